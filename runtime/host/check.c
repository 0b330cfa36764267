// SPDX-License-Identifier: Apache-2.0
// Checking tasks before a launch.
//
// The check of a good task makes no text and searches the ledger only for a pointer that does not
// lie in the block where the same argument of the task before it did.
#include "host/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

// Arguments whose last block is remembered; a power of two. Beyond it arguments share.
#define RECENT_COUNT 8u

// Blocks start on multiples of this, so no element can need more.
#define ALIGNMENT_MAX 64u

// Bytes of the list of known kernels that a message has room for.
#define KNOWN_TEXT_SIZE 400u

// Blocks that were found lately; a search starts with them. Lives as long as the caller keeps the
// ledger from changing.
struct recent {
    struct pto_ledger_block blocks[RECENT_COUNT];
};

struct task_check {
    const struct pto_task_view *view;
    uint32_t task;
    const struct pto_kernel_record *kernel; // NULL: unknown
    const struct pto_ledger *ledger;
    struct pto_error *err;
};

// The extent of a pointer argument. A factor that the kernel does not name is one.
struct extent {
    uint64_t count;
    uint64_t count2;
    uint64_t size_bytes;
    int overflows;
};

// Completes an error that a failed check made.
static enum pto_status fill_in(const struct task_check *check, enum pto_status status)
{
    struct pto_error *err = check->err;
    if (err != NULL) {
        err->task = check->task;
        err->func_id = check->view->func_id;
        if (check->kernel != NULL) {
            memcpy(err->kernel, check->kernel->name, sizeof(err->kernel));
            err->kernel[sizeof(err->kernel) - 1] = '\0';
        }
    }
    return status;
}

static const char *kind_name(uint16_t kind)
{
    switch (kind) {
    case PTO_ARG_IN: return "in";
    case PTO_ARG_OUT: return "out";
    case PTO_ARG_INOUT: return "inout";
    case PTO_ARG_INTEGER: return "integer";
    case PTO_ARG_FLOAT: return "float";
    default: return "unused";
    }
}

// Writes "0 'add', 1 'mul'", as many as fit, and how many did not.
static void list_known(const struct pto_kernel_table *kernels, char *text, size_t text_size)
{
    static const size_t room_for_rest = sizeof(", and 1024 more");
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < kernels->count; i++) {
        char item[PTO_KERNEL_NAME_SIZE + 32];
        int length = snprintf(item, sizeof(item), "%s%" PRIu32 " '%s'", i == 0 ? "" : ", ",
                              kernels->records[i].func_id, kernels->records[i].name);
        if (length < 0 || used + (size_t)length + room_for_rest > text_size) {
            snprintf(text + used, text_size - used, ", and %" PRIu32 " more", kernels->count - i);
            return;
        }
        memcpy(text + used, item, (size_t)length + 1);
        used += (size_t)length;
    }
}

static enum pto_status fail_unknown(const struct task_check *check,
                                    const struct pto_kernel_table *kernels)
{
    char known[KNOWN_TEXT_SIZE];
    list_known(kernels, known, sizeof(known));
    return fill_in(check, pto_fail(check->err, PTO_E_KERNEL,
                                   "task %" PRIu32 ": no kernel has func_id %" PRIu32
                                   "; the AICore program has %s", check->task,
                                   check->view->func_id, known));
}

static enum pto_status fail_arg_count(const struct task_check *check)
{
    char kinds[256];
    size_t used = 0;
    kinds[0] = '\0';
    for (uint32_t i = 0; i < check->kernel->arg_count; i++) {
        const char *kind = kind_name(check->kernel->args[i].kind);
        int length = snprintf(kinds + used, sizeof(kinds) - used, "%s%s", i == 0 ? ": " : ", ",
                              kind);
        if (length < 0 || (size_t)length >= sizeof(kinds) - used) {
            // The list is an extra; a kernel with so many arguments does without it.
            kinds[0] = '\0';
            break;
        }
        used += (size_t)length;
    }
    return fill_in(check, pto_fail(check->err, PTO_E_KERNEL,
                                   "task %" PRIu32 " (kernel '%s', func_id %" PRIu32 "): it has "
                                   "%" PRIu32 " arguments, the kernel takes %" PRIu32 "%s",
                                   check->task, check->kernel->name, check->view->func_id,
                                   check->view->arg_count, check->kernel->arg_count, kinds));
}

static enum pto_status fail_float(const struct task_check *check, uint32_t argument)
{
    return fill_in(check, pto_fail(check->err, PTO_E_KERNEL,
                                   "task %" PRIu32 " (kernel '%s', func_id %" PRIu32 "): argument "
                                   "%" PRIu32 " (float) is 0x%" PRIx64 ", not the bits of a "
                                   "float32 under a zero high word; pass a float, not an integer, "
                                   "pointer or double", check->task, check->kernel->name,
                                   check->view->func_id, argument, check->view->args[argument]));
}

static uint64_t factor(const struct pto_task_view *view, uint16_t argument)
{
    return argument == PTO_NO_ARG ? 1 : view->args[argument];
}

static struct extent extent_of(const struct pto_task_view *view, const struct pto_kernel_arg *arg)
{
    struct extent extent = {.count = factor(view, arg->count_arg),
                            .count2 = factor(view, arg->count_arg2)};
    if (extent.count == 0 || extent.count2 == 0) {
        return extent; // nothing is touched, however large the other factor
    }
    uint64_t element_count = 0;
    extent.overflows =
        __builtin_mul_overflow(extent.count, extent.count2, &element_count) ||
        __builtin_mul_overflow(element_count, (uint64_t)arg->element_size, &extent.size_bytes);
    return extent;
}

uint64_t pto__arg_size_bytes(const struct pto_task_view *view, const struct pto_kernel_arg *arg)
{
    return extent_of(view, arg).size_bytes;
}

// Writes an element count, and what it is as a signed number when it was most likely meant so.
static void describe_count(uint64_t count, char *text, size_t text_size)
{
    if (count > INT64_MAX) {
        snprintf(text, text_size, "%" PRIu64 " (-%" PRIu64 " as a signed number)", count,
                 UINT64_MAX - count + 1);
    } else {
        snprintf(text, text_size, "%" PRIu64, count);
    }
}

// Explains a pointer that did not pass.
static enum pto_status fail_pointer(const struct task_check *check, uint32_t argument,
                                    const struct extent *extent, uint64_t alignment)
{
    const struct pto_kernel_arg *arg = &check->kernel->args[argument];
    uint64_t pointer = check->view->args[argument];
    char count[64];
    char count2[64] = "";
    char where[320];
    describe_count(extent->count, count, sizeof(count));
    if (arg->count_arg2 != PTO_NO_ARG) {
        describe_count(extent->count2, count2, sizeof(count2));
    }
    snprintf(where, sizeof(where),
             "task %" PRIu32 " (kernel '%s', func_id %" PRIu32 "): argument %" PRIu32
             " (%s, %s%s%s elements of %u bytes)",
             check->task, check->kernel->name, check->view->func_id, argument,
             kind_name(arg->kind), count, count2[0] != '\0' ? " x " : "", count2,
             (unsigned)arg->element_size);
    enum pto_status status;
    if (extent->overflows) {
        status = pto_fail(check->err, PTO_E_POINTER,
                          "%s: 0x%" PRIx64 " with so many elements would reach past the end of "
                          "the address space; correct the element count", where, pointer);
    } else {
        // What the pointer is comes before how it is aligned: a stray value is mostly odd, too.
        status = pto__ledger_check(check->ledger, pointer, extent->size_bytes, where, check->err);
        if (status == PTO_OK) {
            status = pto_fail(check->err, PTO_E_POINTER,
                              "%s: 0x%" PRIx64 " is not a multiple of %" PRIu64 ", which such "
                              "elements need; correct the offset", where, pointer, alignment);
        }
    }
    return fill_in(check, status);
}

static inline int is_in_block(const struct pto_ledger_block *block, uint64_t pointer,
                              uint64_t size_bytes)
{
    uint64_t offset = pointer - block->address;
    return offset < block->size_bytes && size_bytes <= block->size_bytes - offset;
}

static inline enum pto_status check_pointer(const struct task_check *check, uint32_t argument,
                                            struct recent *recent)
{
    const struct pto_kernel_arg *arg = &check->kernel->args[argument];
    struct extent extent = extent_of(check->view, arg);
    if (extent.size_bytes == 0 && !extent.overflows) {
        return PTO_OK;
    }
    uint64_t pointer = check->view->args[argument];
    uint64_t alignment = arg->element_size & (~(uint64_t)arg->element_size + 1);
    if (alignment > ALIGNMENT_MAX) {
        alignment = ALIGNMENT_MAX;
    }
    struct pto_ledger_block *block = &recent->blocks[argument % RECENT_COUNT];
    if (!extent.overflows && (pointer & (alignment - 1)) == 0 &&
        (is_in_block(block, pointer, extent.size_bytes) ||
         (pto__ledger_find(check->ledger, pointer, block) &&
          is_in_block(block, pointer, extent.size_bytes)))) {
        return PTO_OK;
    }
    return fail_pointer(check, argument, &extent, alignment);
}

static enum pto_status check_task(const struct pto_task_view *view, uint32_t task,
                                  const struct pto_kernel_table *kernels,
                                  const struct pto_ledger *ledger, struct recent *recent,
                                  struct pto_error *err)
{
    struct task_check check = {.view = view,
                               .task = task,
                               .kernel = pto__kernel_find(kernels, view->func_id),
                               .ledger = ledger,
                               .err = err};
    if (check.kernel == NULL) {
        return fail_unknown(&check, kernels);
    }
    if (view->arg_count != check.kernel->arg_count) {
        return fail_arg_count(&check);
    }
    for (uint32_t i = 0; i < view->arg_count; i++) {
        enum pto_status status = PTO_OK;
        switch (check.kernel->args[i].kind) {
        case PTO_ARG_IN:
        case PTO_ARG_OUT:
        case PTO_ARG_INOUT:
            status = check_pointer(&check, i, recent);
            break;
        case PTO_ARG_FLOAT:
            status = (view->args[i] >> 32) == 0 ? PTO_OK : fail_float(&check, i);
            break;
        default:
            break; // every value is an integer
        }
        if (status != PTO_OK) {
            return status;
        }
    }
    return PTO_OK;
}

enum pto_status pto__check_task(const struct pto_task_view *view, uint32_t task,
                                const struct pto_kernel_table *kernels,
                                const struct pto_ledger *ledger, struct pto_error *err)
{
    struct recent recent = {0};
    return check_task(view, task, kernels, ledger, &recent, err);
}

enum pto_status pto__check_graph(const struct pto_graph *graph,
                                 const struct pto_kernel_table *kernels,
                                 const struct pto_ledger *ledger, struct pto_error *err)
{
    struct recent recent = {0};
    uint32_t task_count = pto_graph_task_count(graph);
    for (uint32_t task = 0; task < task_count; task++) {
        struct pto_task_view view;
        enum pto_status status = pto_graph_get_task(graph, task, &view, err);
        if (status != PTO_OK) {
            return status;
        }
        status = check_task(&view, task, kernels, ledger, &recent, err);
        if (status != PTO_OK) {
            return status;
        }
    }
    return PTO_OK;
}
