// SPDX-License-Identifier: Apache-2.0
// The hooks: which task runs, what it may touch, what it touches.
#include "check/shadow.h"

#include <string.h>

#include "base/objects.h"
#include "host/finding.h"

#define LINE PTO_CACHE_LINE_SIZE
#define ALL_BITS UINT64_MAX

// A bad access so close to a tensor of the task was meant for it, whatever else has been there; one
// a little further off, if nothing else is known of the address.
#define NEXT_BYTES LINE
#define NEAR_BYTES (UINT64_C(1) << 20)
// Addresses below this are a zero pointer and an offset.
#define ZERO_BYTES 4096u
// How far a thread's own variables may lie from one of them.
#define OWN_BYTES 65536u

static void add_view(struct pto_checker *checker, uint64_t pointer)
{
    for (uint32_t i = 0; i < checker->view_count; i++) {
        if (pointer - checker->views[i].begin < checker->views[i].end - checker->views[i].begin) {
            return;
        }
    }
    struct pto_check_block *block = pto__checker_find_block(checker, pointer);
    if (block != NULL && pointer - block->address < block->size_bytes) {
        pto__checker_open_block(checker, block);
        checker->views[checker->view_count++] = (struct pto_check_view){
            .begin = block->address, .end = block->address + block->size_bytes, .block = block};
    }
}

void pto__checker_task(struct pto_check_hooks *hooks, uint32_t task)
{
    struct pto_checker *checker = (struct pto_checker *)hooks;
    checker->task = task;
    if (task == PTO_NO_TASK) {
        return;
    }
    if (checker->serial == UINT32_MAX) {
        checker->serial = 0;
        memset(checker->seen, 0, sizeof(checker->seen));
        memset(checker->before, 0, sizeof(checker->before));
        memset(checker->added, 0, sizeof(checker->added));
        memset(checker->passed, 0, sizeof(checker->passed));
    }
    checker->serial++;
    uint32_t count;
    const uint64_t *args = pto__image_args(checker->image, task, &count);
    checker->args_begin = (uint64_t)(uintptr_t)args;
    checker->args_end = checker->args_begin + count * sizeof(*args);
    checker->view_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        add_view(checker, args[i]);
    }
}

// The bits of bytes `from` to `to` - 1 of a line.
static uint64_t bits(uint64_t from, uint64_t to)
{
    return (ALL_BITS >> (LINE - (to - from))) << from;
}

static struct pto_check_seen *seen_line(struct pto_checker *checker, uint64_t line)
{
    struct pto_check_seen *seen = &checker->seen[line % PTO_CHECK_SEEN_COUNT];
    if (seen->line != line || seen->serial != checker->serial) {
        *seen = (struct pto_check_seen){.line = line, .serial = checker->serial};
    }
    return seen;
}

static void stop_kernel(struct pto_checker *checker, uint64_t address)
{
    checker->stopped = true;
    checker->task = PTO_NO_TASK;
    checker->stop(checker->stop_context, address);
}

// The tensor of the task that the address is nearest to.
static const struct pto_check_block *nearest(const struct pto_checker *checker, uint64_t address,
                                             uint64_t within_bytes)
{
    const struct pto_check_block *best = NULL;
    uint64_t best_bytes = within_bytes + 1;
    for (uint32_t i = 0; i < checker->view_count; i++) {
        const struct pto_check_view *view = &checker->views[i];
        uint64_t bytes = address < view->begin ? view->begin - address
                         : address < view->end ? 0
                                               : address - view->end;
        if (bytes < best_bytes) {
            best_bytes = bytes;
            best = view->block;
        }
    }
    return best;
}

static const struct pto_ledger_block *find_freed(const struct pto_checker *checker,
                                                 uint64_t address)
{
    for (uint32_t i = 0; i < checker->freed_count; i++) {
        if (address - checker->freed[i].address < checker->freed[i].size_bytes) {
            return &checker->freed[i];
        }
    }
    return NULL;
}

static bool is_own(uint64_t address)
{
    static _Thread_local char here;
    uint64_t own = (uint64_t)(uintptr_t)&here;
    return address - own + OWN_BYTES < 2 * OWN_BYTES ||
           pto__is_in_loaded_object((const void *)(uintptr_t)address);
}

static void report(struct pto_checker *checker, const struct pto_check_block *block,
                   uint64_t address, uint64_t size_bytes, bool writes, const char *reason)
{
    uint64_t begin = block != NULL ? address - block->address : address;
    uint64_t end =
        begin + (size_bytes < PTO_FINDING_RANGE_MAX ? size_bytes : PTO_FINDING_RANGE_MAX);
    if (block != NULL && begin < block->size_bytes && end > block->size_bytes) {
        begin = block->size_bytes; // what lies inside is in order
    }
    pto__checker_report_memory(checker, block, (int64_t)begin, (int64_t)end, writes, reason);
    stop_kernel(checker, address);
}

// The reason for a finding at an address of which nothing is known, but perhaps a tensor near it.
static const char *what_is_there(const struct pto_check_block *block, uint64_t address)
{
    if (block != NULL) {
        return address < block->address
                   ? "that is before its beginning. The kernel was stopped before"
                   : "that is past its end. The kernel was stopped before";
    }
    return address < ZERO_BYTES
               ? "a pointer that is 0, with an offset. The kernel was stopped before"
               : "no device memory is there: a kernel has the tensors of its arguments, its stack "
                 "and constants, but no heap. The kernel was stopped before";
}

// An access that does not lie inside a tensor of the task. Returns when the kernel may go on.
static void touch_outside(struct pto_checker *checker, uint64_t address, uint64_t size_bytes,
                          uint32_t access)
{
    bool writes = (access & PTO_SHOW_WRITE) != 0;
    if (!writes && address - checker->args_begin < checker->args_end - checker->args_begin &&
        size_bytes <= checker->args_end - address) {
        uint64_t from = address % LINE;
        uint64_t to = size_bytes < LINE - from ? from + size_bytes : LINE;
        seen_line(checker, address / LINE)->read |= bits(from, to);
        return;
    }
    if ((checker->kinds & PTO_CHECK_MEMORY) == 0) {
        return;
    }
    const struct pto_check_block *block = pto__checker_find_block(checker, address);
    if (block != NULL && address - block->address < block->size_bytes) {
        bool past = false;
        for (uint32_t i = 0; i < checker->view_count; i++) {
            past = past || checker->views[i].block == block;
        }
        report(checker, block, address, size_bytes, writes,
               past ? "that is past its end. The kernel was stopped before"
                    : "no argument of the task points into it. The kernel was stopped before");
        return;
    }
    block = nearest(checker, address, NEXT_BYTES);
    const struct pto_ledger_block *freed = block == NULL ? find_freed(checker, address) : NULL;
    if (freed != NULL) {
        struct pto_check_block gone = {.address = freed->address, .size_bytes = freed->size_bytes};
        report(checker, &gone, address, size_bytes, writes,
               "it was freed. The kernel was stopped before");
        return;
    }
    if (address - (uint64_t)(uintptr_t)checker->image < checker->image->size_bytes) {
        report(checker, NULL, address, size_bytes, writes,
               "the graph lies there, of which a kernel may read its arguments and write nothing. "
               "The kernel was stopped before");
        return;
    }
    if (block == NULL && address >= ZERO_BYTES && is_own(address)) {
        struct pto_check_seen *seen = seen_line(checker, address / LINE);
        seen->read = ALL_BITS;
        seen->written = ALL_BITS;
        return;
    }
    block = block != NULL ? block : nearest(checker, address, NEAR_BYTES);
    report(checker, block, address, size_bytes, writes, what_is_there(block, address));
}

static void touch_line(struct pto_checker *checker, struct pto_check_block *block, uint64_t offset,
                       uint64_t mask, uint32_t access)
{
    bool writes = (access & PTO_SHOW_WRITE) != 0;
    struct pto_check_seen *seen = seen_line(checker, (block->address + offset) / LINE);
    if (block->written != NULL) {
        uint64_t *written = &block->written[offset / LINE];
        uint64_t missing = (checker->kinds & PTO_CHECK_INIT) != 0 ? mask & ~*written : 0;
        if ((access & PTO_SHOW_READ) != 0 && missing != 0) {
            pto__checker_report_init(checker, block,
                                     (int64_t)(offset + (uint64_t)__builtin_ctzll(missing)),
                                     (int64_t)(offset + LINE - (uint64_t)__builtin_clzll(missing)));
        }
        *written |= writes ? mask : 0;
    }
    if ((access & PTO_SHOW_ATOMIC) != 0) {
        return;
    }
    if ((checker->kinds & PTO_CHECK_RACE) != 0 && block->cells != NULL) {
        pto__checker_race(checker, block, offset, mask, writes, seen->written == 0);
    }
    seen->read |= mask;
    seen->written |= writes ? mask : 0;
}

static void touch(struct pto_checker *checker, uint64_t address, uint64_t size_bytes,
                  uint32_t access)
{
    struct pto_check_block *block = NULL;
    for (uint32_t i = 0; block == NULL && i < checker->view_count; i++) {
        const struct pto_check_view *view = &checker->views[i];
        block = address - view->begin < view->end - view->begin ? view->block : NULL;
    }
    if (block == NULL && (checker->kinds & PTO_CHECK_MEMORY) == 0) {
        block = pto__checker_find_block(checker, address);
        block = block != NULL && address - block->address < block->size_bytes ? block : NULL;
        if (block != NULL) {
            pto__checker_open_block(checker, block);
        }
    }
    uint64_t room = block != NULL ? block->address + block->size_bytes - address : 0;
    if (size_bytes > room) {
        touch_outside(checker, address, size_bytes, access);
        size_bytes = room; // without memcheck, the part that is a tensor's counts
    }
    uint64_t offset = block != NULL ? address - block->address : 0;
    for (uint64_t end = offset + size_bytes; offset < end;) {
        uint64_t from = offset % LINE;
        uint64_t to = end - offset < LINE - from ? from + (end - offset) : LINE;
        touch_line(checker, block, offset - from, bits(from, to), access);
        offset += to - from;
    }
}

void pto__checker_access(struct pto_check_hooks *hooks, const void *address, uint64_t size_bytes,
                         uint32_t access)
{
    struct pto_checker *checker = (struct pto_checker *)hooks;
    uint64_t at = (uint64_t)(uintptr_t)address;
    if (checker->task == PTO_NO_TASK || size_bytes == 0) {
        return;
    }
    uint64_t from = at % LINE;
    if (size_bytes <= LINE - from && (access & PTO_SHOW_ATOMIC) == 0) {
        const struct pto_check_seen *seen = &checker->seen[at / LINE % PTO_CHECK_SEEN_COUNT];
        uint64_t known = access == PTO_SHOW_READ ? seen->read : seen->written;
        if (seen->line == at / LINE && seen->serial == checker->serial &&
            (bits(from, from + size_bytes) & ~known) == 0) {
            return;
        }
    }
    touch(checker, at, size_bytes, access);
}
