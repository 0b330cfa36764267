// SPDX-License-Identifier: Apache-2.0
#include "host/finding.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *pto__check_name(uint32_t kind)
{
    switch (kind) {
    case PTO_CHECK_MEMORY: return "memcheck";
    case PTO_CHECK_INIT: return "initcheck";
    case PTO_CHECK_RACE: return "racecheck";
    default: return "stalecheck";
    }
}

const uint64_t *pto__image_args(const struct pto_image_header *image, uint32_t task,
                                uint32_t *out_count)
{
    const uint8_t *bytes = (const uint8_t *)image;
    const struct pto_task_record *record = pto__image_record(image, task);
    *out_count = record->arg_count;
    return record->arg_count <= PTO_INLINE_ARG_COUNT
               ? record->args
               : (const uint64_t *)(const void *)(bytes + record->args[0]);
}

static uint32_t find_arg(const struct pto_image_header *image, uint32_t task, uint64_t tensor,
                         uint64_t tensor_bytes, uint64_t address)
{
    uint32_t count;
    const uint64_t *args = pto__image_args(image, task, &count);
    uint32_t before = PTO_ERROR_NONE;
    uint32_t after = PTO_ERROR_NONE;
    for (uint32_t i = 0; i < count; i++) {
        if (args[i] - tensor >= tensor_bytes) {
            continue;
        }
        if (args[i] <= address) {
            before = before == PTO_ERROR_NONE || args[i] > args[before] ? i : before;
        } else {
            after = after == PTO_ERROR_NONE || args[i] < args[after] ? i : after;
        }
    }
    return before != PTO_ERROR_NONE ? before : after;
}

void pto__finding_name(struct pto_check_access *access, uint32_t task,
                       const struct pto_image_header *image, const struct pto_kernel_table *kernels,
                       uint64_t tensor, uint64_t tensor_bytes, uint64_t address)
{
    const struct pto_task_record *records =
        (const struct pto_task_record *)(const void *)((const uint8_t *)image +
                                                       image->record_offset);
    const struct pto_kernel_record *kernel = pto__kernel_find(kernels, records[task].func_id);
    access->task = task;
    access->func_id = records[task].func_id;
    access->arg = find_arg(image, task, tensor, tensor_bytes, address);
    snprintf(access->kernel, sizeof(access->kernel), "%s", kernel != NULL ? kernel->name : "?");
}

// Text that is cut where the room ends.
struct text {
    char *begin;
    size_t size;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    int length = vsnprintf(text->begin + text->used, text->size - text->used, format, values);
    va_end(values);
    if (length > 0) {
        text->used += (size_t)length;
        text->used = text->used < text->size ? text->used : text->size - 1;
    }
}

static void add_task(struct text *text, const struct pto_check_access *access)
{
    add(text, "task %u (kernel '%s', func_id %u", (unsigned)access->task, access->kernel,
        (unsigned)access->func_id);
    if (access->arg != PTO_ERROR_NONE) {
        add(text, ", argument %u", (unsigned)access->arg);
    }
    add(text, ")");
}

static void add_bytes(struct text *text, const struct pto_check_access *access)
{
    if (access->end - access->begin == 1) {
        add(text, "byte %" PRId64, access->begin);
    } else {
        add(text, "bytes %" PRId64 " to %" PRId64, access->begin, access->end - 1);
    }
}

static void add_tensor(struct text *text, const struct pto_check_finding *finding)
{
    add(text, " of the tensor at 0x%" PRIx64 " (%" PRIu64 " bytes)", finding->tensor,
        finding->tensor_bytes);
}

static const char *verb(const struct pto_check_access *access)
{
    return access->is_write != 0 ? "writes" : "reads";
}

static void describe_race(struct text *text, const struct pto_check_finding *finding)
{
    const struct pto_check_access *first = &finding->other;
    const struct pto_check_access *second = &finding->access;
    const unsigned edge[2] = {(unsigned)first->task, (unsigned)second->task};
    add_task(text, first);
    add(text, " %s ", verb(first));
    if (finding->shares_line != 0) {
        add_bytes(text, first);
        add(text, " and ");
        add_task(text, second);
        add(text, " ");
        add_bytes(text, second);
        add_tensor(text, finding);
        add(text,
            ", which share a %u-byte cache line, and nothing in the graph orders the two. Cores "
            "write back whole lines: on an NPU one of the writes is lost. "
            "graph.add_successor(%u, %u) orders them; or give each task lines of its own",
            PTO_CACHE_LINE_SIZE, edge[0], edge[1]);
        return;
    }
    add(text, "and ");
    add_task(text, second);
    add(text, " %s ", verb(second));
    add_bytes(text, second);
    add_tensor(text, finding);
    add(text,
        ", and nothing in the graph orders the two: graph.add_successor(%u, %u), or (%u, %u) if "
        "that is what is meant",
        edge[0], edge[1], edge[1], edge[0]);
}

void pto__finding_describe(struct pto_check_finding *finding, const char *reason)
{
    struct text text = {.begin = finding->message, .size = sizeof(finding->message)};
    add(&text, "%s: ", pto__check_name(finding->kind));
    if (finding->kind == PTO_CHECK_RACE) {
        describe_race(&text, finding);
        return;
    }
    add_task(&text, &finding->access);
    add(&text, " %s ", verb(&finding->access));
    if (finding->tensor != 0) {
        add_bytes(&text, &finding->access);
        add_tensor(&text, finding);
    } else {
        add(&text, "%" PRId64 " bytes at 0x%" PRIx64, finding->access.end - finding->access.begin,
            (uint64_t)finding->access.begin);
    }
    if (finding->kind == PTO_CHECK_INIT) {
        add(&text, ", which nobody has written: copy_to_device() fills a tensor, or a task that "
                   "comes before");
    } else {
        add(&text, ": %s", reason);
    }
}
