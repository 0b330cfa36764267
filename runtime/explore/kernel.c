// SPDX-License-Identifier: Apache-2.0
// What kernels themselves load and store. Their data goes straight to the arena; the model keeps
// versions only, which is all that the oracle needs.
#include "explore/layout.h"
#include "host/finding.h"

const struct pto_arena_block *pto__arena_find(const struct pto_arena *arena, uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = arena->block_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (arena->blocks[middle].offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return NULL;
    }
    const struct pto_arena_block *block = &arena->blocks[low - 1];
    return offset - block->offset < block->size_bytes ? block : NULL;
}

const uint64_t *pto__task_args(const struct pto_model *model, uint32_t task, uint32_t *out_count)
{
    return pto__image_args(model->image, task, out_count);
}

bool pto__task_may_touch(const struct pto_model *model, uint32_t task,
                         const struct pto_arena_block *block)
{
    uint32_t count;
    const uint64_t *args = pto__task_args(model, task, &count);
    uint64_t begin = (uint64_t)(uintptr_t)model->arena->base + block->offset;
    for (uint32_t i = 0; i < count; i++) {
        if (args[i] - begin < block->size_bytes) {
            return true;
        }
    }
    return false;
}

// A kernel may touch the blocks that its task's arguments point into, and read the arguments.
static bool may_touch(const struct pto_model *model, const struct pto_model_agent *agent,
                      const struct pto_arena_block *block, uint64_t address)
{
    return (agent->site->operation == PTO_EXPLORE_KERNEL_READ &&
            address - model->run->image < model->image->size_bytes) ||
           pto__task_may_touch(model, agent->task, block);
}

static void check_bounds(struct pto_model *model, struct pto_model_agent *agent, uint64_t address,
                         uint64_t size_bytes)
{
    uint64_t offset = address - (uint64_t)(uintptr_t)model->arena->base;
    if (offset - agent->block_offset < agent->block_bytes &&
        size_bytes <= agent->block_bytes - (offset - agent->block_offset)) {
        return;
    }
    const struct pto_arena_block *block = pto__arena_find(model->arena, offset);
    const char *advice = NULL;
    if (block == NULL) {
        advice = "no live block of device memory is there";
    } else if (offset - block->offset >= block->asked_bytes ||
               size_bytes > block->asked_bytes - (offset - block->offset)) {
        advice = "that is past its end";
    } else if (!may_touch(model, agent, block, address)) {
        advice = "no argument of the task points into it";
    }
    if (advice != NULL) {
        pto__violate(model, &(struct pto_explore_finding){
                                .kind = PTO_FINDING_BOUNDS,
                                .agent = agent->id,
                                .other = PTO_AGENT_HOST,
                                .site = agent->site,
                                .line = (uint32_t)(offset / PTO_CACHE_LINE_SIZE),
                                .word = (uint32_t)(offset % PTO_CACHE_LINE_SIZE),
                                .bytes = size_bytes,
                                .task = agent->task,
                                .advice = advice,
                            });
        return;
    }
    if (address - model->run->image < model->image->size_bytes) {
        return; // which a later write may not follow
    }
    agent->block_offset = block->offset;
    agent->block_bytes = block->asked_bytes;
}

static void touch_word(struct pto_model *model, struct pto_model_agent *agent, uint64_t address,
                       bool writes)
{
    const void *place = (const void *)(uintptr_t)address;
    uint32_t line = pto__line_at(model, place);
    uint32_t word = pto__word_at(place);
    if (writes) {
        uint32_t version = pto__write(model, agent, line, word, 0, false, false);
        pto__core_put(model, agent, line, word, version);
        return;
    }
    uint32_t seen = pto__core_seen(model, agent, line, word);
    pto__check_read(model, agent, line, word, seen, PTO_READ_PLAIN);
}

void pto__kernel_touch(struct pto_model *model, struct pto_model_agent *agent, const void *place,
                       uint64_t size_bytes, bool writes)
{
    uint64_t address = (uint64_t)(uintptr_t)place;
    if (size_bytes == 0 || agent->task == PTO_NO_TASK || !pto__arena_holds(model->arena, address)) {
        return; // the kernel's own variables
    }
    if (model->yield_always) {
        // However much a kernel loads and stores, the launch gets further: the watchdog looks after
        // one that does nothing else.
        model->step_limit++;
        model->next_event += model->next_event + 1 == model->step_limit;
        pto__point(model);
    }
    check_bounds(model, agent, address, size_bytes);
    model->result->kernel_words += (size_bytes + 3) / 4;
    for (uint64_t at = address & ~UINT64_C(3); at < address + size_bytes; at += 4) {
        touch_word(model, agent, at, writes);
    }
}
