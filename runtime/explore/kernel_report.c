// SPDX-License-Identifier: Apache-2.0
// What kernels did wrong, in the words of the simulator's checks.
#include <stdio.h>
#include <string.h>

#include "explore/layout.h"
#include "host/finding.h"

static bool is_kernel(const struct pto_explore_site *site, uint32_t task)
{
    return site != NULL && task != PTO_NO_TASK &&
           (site->operation == PTO_EXPLORE_KERNEL_READ ||
            site->operation == PTO_EXPLORE_KERNEL_WRITE);
}

// Which check finds such a thing in kernels; 0: none does.
static uint32_t check_of(const struct pto_explore_finding *finding)
{
    bool both = is_kernel(finding->other_site, finding->other_task);
    if (!is_kernel(finding->site, finding->task)) {
        return 0;
    }
    switch (finding->kind) {
    case PTO_FINDING_BOUNDS: return PTO_CHECK_MEMORY;
    case PTO_FINDING_UNWRITTEN: return PTO_CHECK_INIT;
    case PTO_FINDING_UNORDERED:
    case PTO_FINDING_SHARED_LINE: return both ? PTO_CHECK_RACE : 0;
    case PTO_FINDING_STALE: return both ? PTO_CHECK_STALE : 0;
    default: return 0;
    }
}

// The tensor that an access was meant for: the block that it lies in, or ends in, or, where only
// the line between two blocks is touched, the one of the two that the task has an argument for.
static const struct pto_arena_block *find_tensor(const struct pto_model *model, uint32_t task,
                                                 uint64_t offset)
{
    const struct pto_arena *arena = model->arena;
    const struct pto_arena_block *block = pto__arena_find(arena, offset);
    if (block == NULL || offset - block->offset < block->asked_bytes ||
        pto__task_may_touch(model, task, block)) {
        return block;
    }
    const struct pto_arena_block *next = block + 1;
    return next < arena->blocks + arena->block_count &&
                   next->offset == block->offset + block->size_bytes &&
                   pto__task_may_touch(model, task, next)
               ? next
               : block;
}

static void describe_side(struct pto_check_access *side, const struct pto_model *model,
                          uint32_t task, const struct pto_explore_site *site,
                          const struct pto_check_finding *finding, uint64_t address, int64_t begin,
                          int64_t end)
{
    pto__finding_name(side, task, model->image, model->kernels, finding->tensor,
                      finding->tensor_bytes, address);
    side->task = pto__task_name(model, task);
    side->is_write = site->operation == PTO_EXPLORE_KERNEL_WRITE;
    side->begin = begin;
    side->end = end;
}

bool pto__describe_kernel(const struct pto_model *model, const struct pto_explore_finding *finding,
                          char *text, size_t size)
{
    struct pto_check_finding out = {.kind = check_of(finding)};
    if (out.kind == 0) {
        return false;
    }
    uint64_t base = (uint64_t)(uintptr_t)model->arena->base;
    uint64_t address = finding->kind == PTO_FINDING_BOUNDS
                           ? base + (uint64_t)finding->line * PTO_CACHE_LINE_SIZE + finding->word
                           : model->lines[finding->line].address + (uint64_t)finding->word * 4;
    uint64_t bytes = finding->kind == PTO_FINDING_BOUNDS ? finding->bytes : 4;
    bytes = bytes < PTO_FINDING_RANGE_MAX ? bytes : PTO_FINDING_RANGE_MAX;
    const struct pto_arena_block *block = find_tensor(model, finding->task, address - base);
    out.tensor = block != NULL ? base + block->offset : 0;
    out.tensor_bytes = block != NULL ? block->asked_bytes : 0;
    out.shares_line = finding->kind == PTO_FINDING_SHARED_LINE;
    int64_t begin = (int64_t)(address - out.tensor);
    int64_t end = begin + (int64_t)bytes;
    int64_t tensor_end = (int64_t)out.tensor_bytes;
    if (block != NULL && begin < tensor_end && end > tensor_end) {
        // What is wrong is what lies outside; of a last word that is not whole, what lies inside.
        begin = finding->kind == PTO_FINDING_BOUNDS ? tensor_end : begin;
        end = finding->kind == PTO_FINDING_BOUNDS ? end : tensor_end;
    }
    describe_side(&out.access, model, finding->task, finding->site, &out, address, begin, end);
    if (out.kind == PTO_CHECK_RACE) {
        describe_side(&out.other, model, finding->other_task, finding->other_site, &out, address,
                      begin, end);
    }
    const char *reason = finding->advice;
    if (out.kind == PTO_CHECK_MEMORY && block != NULL && begin < 0) {
        reason = "that is before its beginning";
    }
    pto__finding_describe(&out, reason);
    uint32_t core = model->agents[finding->agent].index;
    if (finding->other < model->agent_count) {
        snprintf(text, size, "%s. In this schedule: core %u, after core %u", out.message,
                 (unsigned)core, (unsigned)model->agents[finding->other].index);
    } else {
        snprintf(text, size, "%s. In this schedule: core %u", out.message, (unsigned)core);
    }
    return true;
}
