// SPDX-License-Identifier: Apache-2.0
// Coroutines on x86-64 and aarch64 in assembly, elsewhere by ucontext. Neither version restores the
// signal mask or the floating-point control words: no device program changes them.
#include "explore/coroutine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

#if !defined(MAP_ANONYMOUS)
#define MAP_ANONYMOUS MAP_ANON
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ADDRESS_SANITIZER 1
#endif
#endif

// A coroutine that is given up leaves frames behind that AddressSanitizer still guards.
#if defined(__SANITIZE_ADDRESS__) || defined(UNDER_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>

static void forget_frames(struct pto_coroutine *coroutine)
{
    uint64_t page = coroutine->mapping_bytes - PTO_COROUTINE_STACK_BYTES;
    __asan_unpoison_memory_region(coroutine->mapping + page, PTO_COROUTINE_STACK_BYTES);
}
#else
static void forget_frames(struct pto_coroutine *coroutine)
{
    (void)coroutine;
}
#endif

#if defined(__x86_64__) || defined(__aarch64__)

void pto__coroutine_jump(void **from, void *to);
void pto__coroutine_start(void);

#if defined(__x86_64__)

// The registers that a call preserves, then the address to return to.
__asm__(".text\n"
        ".hidden pto__coroutine_jump\n"
        ".globl pto__coroutine_jump\n"
        ".type pto__coroutine_jump, @function\n"
        "pto__coroutine_jump:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size pto__coroutine_jump, .-pto__coroutine_jump\n"
        ".hidden pto__coroutine_start\n"
        ".globl pto__coroutine_start\n"
        ".type pto__coroutine_start, @function\n"
        "pto__coroutine_start:\n"
        "    movq %r12, %rdi\n"
        "    callq *%rbx\n"
        "    ud2\n"
        ".size pto__coroutine_start, .-pto__coroutine_start\n");

static void *first_frame(uint8_t *top, void (*entry)(void *), void *argument)
{
    // r15, r14, r13, r12, rbx, rbp, the return address; a call expects the stack 16-byte aligned.
    uint64_t frame[] = {0,
                        0,
                        0,
                        (uint64_t)(uintptr_t)argument,
                        (uint64_t)(uintptr_t)entry,
                        0,
                        (uint64_t)(uintptr_t)pto__coroutine_start};
    return memcpy(top - 16 - sizeof(frame), frame, sizeof(frame));
}

#else

__asm__(".text\n"
        ".hidden pto__coroutine_jump\n"
        ".globl pto__coroutine_jump\n"
        ".type pto__coroutine_jump, %function\n"
        "pto__coroutine_jump:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size pto__coroutine_jump, .-pto__coroutine_jump\n"
        ".hidden pto__coroutine_start\n"
        ".globl pto__coroutine_start\n"
        ".type pto__coroutine_start, %function\n"
        "pto__coroutine_start:\n"
        "    mov x0, x20\n"
        "    blr x19\n"
        "    brk #1\n"
        ".size pto__coroutine_start, .-pto__coroutine_start\n");

static void *first_frame(uint8_t *top, void (*entry)(void *), void *argument)
{
    uint64_t frame[20] = {(uint64_t)(uintptr_t)entry, (uint64_t)(uintptr_t)argument};
    frame[11] = (uint64_t)(uintptr_t)pto__coroutine_start; // x30
    return memcpy(top - 16 - sizeof(frame), frame, sizeof(frame));
}

#endif

static enum pto_status make_context(struct pto_coroutine *coroutine, struct pto_error *err)
{
    (void)err;
    coroutine->context = NULL;
    return PTO_OK;
}

static void free_context(struct pto_coroutine *coroutine)
{
    coroutine->context = NULL;
}

void pto__coroutine_prepare(struct pto_coroutine *coroutine, void (*entry)(void *), void *argument)
{
    forget_frames(coroutine);
    coroutine->context =
        first_frame(coroutine->mapping + coroutine->mapping_bytes, entry, argument);
}

void pto__coroutine_switch(struct pto_coroutine *from, struct pto_coroutine *to)
{
    pto__coroutine_jump(&from->context, to->context);
}

#else

#include <ucontext.h>

struct start {
    ucontext_t context;
    void (*entry)(void *);
    void *argument;
};

static enum pto_status make_context(struct pto_coroutine *coroutine, struct pto_error *err)
{
    coroutine->context = calloc(1, sizeof(struct start));
    return coroutine->context != NULL
               ? PTO_OK
               : pto_fail_no_host_memory(err, "a coroutine", sizeof(struct start));
}

static void free_context(struct pto_coroutine *coroutine)
{
    free(coroutine->context);
    coroutine->context = NULL;
}

// makecontext passes integers, so a pointer comes in halves.
static void begin(unsigned high, unsigned low)
{
    struct start *start = (struct start *)(uintptr_t)((uint64_t)high << 32 | low);
    start->entry(start->argument);
}

void pto__coroutine_prepare(struct pto_coroutine *coroutine, void (*entry)(void *), void *argument)
{
    struct start *start = coroutine->context;
    uint64_t address = (uint64_t)(uintptr_t)start;
    forget_frames(coroutine);
    start->entry = entry;
    start->argument = argument;
    getcontext(&start->context);
    start->context.uc_stack.ss_sp = coroutine->mapping;
    start->context.uc_stack.ss_size = coroutine->mapping_bytes;
    start->context.uc_link = NULL;
    makecontext(&start->context, (void (*)(void))begin, 2, (unsigned)(address >> 32),
                (unsigned)address);
}

void pto__coroutine_switch(struct pto_coroutine *from, struct pto_coroutine *to)
{
    struct start *start_from = from->context;
    struct start *start_to = to->context;
    swapcontext(&start_from->context, &start_to->context);
}

#endif

enum pto_status pto__coroutine_adopt(struct pto_coroutine *coroutine, struct pto_error *err)
{
    *coroutine = (struct pto_coroutine){0};
    return make_context(coroutine, err);
}

enum pto_status pto__coroutine_create(struct pto_coroutine *coroutine, struct pto_error *err)
{
    *coroutine = (struct pto_coroutine){0};
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t size_bytes = PTO_COROUTINE_STACK_BYTES + page;
    enum pto_status status = make_context(coroutine, err);
    if (status != PTO_OK) {
        return status;
    }
    void *mapping =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) {
        free_context(coroutine);
        return pto_fail_no_host_memory(err, "a coroutine's stack", size_bytes);
    }
    // Without the guard an overflow would go unseen, so a refusal is worth knowing; it cannot
    // happen for a page that was just mapped.
    if (mprotect(mapping, page, PROT_NONE) != 0) {
        munmap(mapping, size_bytes);
        free_context(coroutine);
        return pto_fail_no_host_memory(err, "a coroutine's guard page", page);
    }
    coroutine->mapping = mapping;
    coroutine->mapping_bytes = size_bytes;
    return PTO_OK;
}

void pto__coroutine_destroy(struct pto_coroutine *coroutine)
{
    if (coroutine->mapping != NULL) {
        forget_frames(coroutine);
        munmap(coroutine->mapping, coroutine->mapping_bytes);
    }
    free_context(coroutine);
    *coroutine = (struct pto_coroutine){0};
}
