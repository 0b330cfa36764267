// SPDX-License-Identifier: Apache-2.0
// Lines and their versions: made when first touched, looked up by address or task.
#include <stdlib.h>
#include <string.h>

#include "explore/layout.h"

void *pto__grow_more(struct pto_model *model, void *array, uint32_t *capacity, uint32_t needed,
                     uint64_t element_bytes)
{
    uint32_t wanted = *capacity < 64 ? 64 : *capacity;
    while (wanted < needed) {
        wanted = wanted > UINT32_MAX / 2 ? UINT32_MAX : wanted * 2;
    }
    model->busy = true;
    void *grown = realloc(array, wanted * element_bytes);
    model->busy = false;
    if (grown == NULL) {
        pto__violate(model, &(struct pto_explore_finding){.kind = PTO_FINDING_RESOURCE});
        return NULL; // only outside the coroutines
    }
    *capacity = wanted;
    return grown;
}

static bool in_range(uint64_t address, uint64_t begin, uint64_t size_bytes)
{
    return address - begin < size_bytes;
}

// Whether a line is neither the launch block's nor the graph's.
static bool is_user(const struct pto_model *model, uint64_t address)
{
    uint64_t block_bytes =
        sizeof(*model->block) + model->core_count * sizeof(model->block->handshakes[0]);
    const struct pto_explore_run *run = model->run;
    uint64_t place_bytes = (uint64_t)run->task_count * run->scheduler_count * 4;
    uint64_t last = address + PTO_CACHE_LINE_SIZE - 1;
    return !in_range(address, (uint64_t)(uintptr_t)model->block, block_bytes) &&
           !in_range(address, run->image, model->image->size_bytes) &&
           (last < run->pending || address >= run->pending + (uint64_t)run->task_count * 4) &&
           (last < run->ready || address >= run->ready + place_bytes);
}

// The ready queues' places are the scheduler's to write; the host never does. Nor has anybody
// written to a line of user memory that is not marked so.
static uint32_t first_version(const struct pto_model *model, uint64_t address, bool direct)
{
    uint64_t index = pto__arena_line(model->arena, address);
    if (direct) {
        return model->arena->written[index] != 0 ? PTO_VERSION_HOST : PTO_VERSION_OLD;
    }
    uint64_t size_bytes = (uint64_t)model->run->task_count * model->run->scheduler_count * 4;
    uint64_t begin = model->run->ready & ~(uint64_t)(PTO_CACHE_LINE_SIZE - 1);
    return in_range(address, begin, model->run->ready - begin + size_bytes) ? PTO_VERSION_OLD
                                                                            : PTO_VERSION_HOST;
}

static uint32_t add_line(struct pto_model *model, uint64_t address, uint32_t task, uint32_t version,
                         bool direct)
{
    uint32_t index = model->line_count;
    // Both arrays first, so that a failure changes nothing.
    struct pto_model_line *lines =
        pto__grow(model, model->lines, &model->line_capacity, index + 1, sizeof(*model->lines));
    if (lines == NULL) {
        return 0;
    }
    model->lines = lines;
    uint32_t copies_needed = (index + 1) * model->core_count;
    struct pto_model_copy *copies = pto__grow(model, model->copies, &model->copy_capacity,
                                              copies_needed, sizeof(*model->copies));
    if (copies == NULL) {
        return 0;
    }
    model->copies = copies;
    // cpu_held and reads count only where cpu_view and readers say so.
    struct pto_model_line *line = &lines[index];
    line->address = address;
    line->task = task;
    line->readers = 0;
    line->waiters = 0;
    line->changes = 0;
    line->only_writer = PTO_AGENT_HOST;
    line->cpu_view = PTO_CPU_UNKNOWN;
    line->direct = direct;
    line->cpu_dirty = false;
    for (uint32_t i = 0; i < PTO_MODEL_WORDS; i++) {
        line->latest[i] = version;
        line->memory[i] = version;
    }
    struct pto_model_copy *copy = &copies[(uint64_t)index * model->core_count];
    for (uint32_t i = 0; i < model->core_count; i++) {
        copy[i].valid = false;
        copy[i].known = false;
        copy[i].listed = false;
        copy[i].dirty = 0;
    }
    model->line_count++;
    return index;
}

uint32_t pto__line_at(struct pto_model *model, const void *address)
{
    uint64_t place = (uint64_t)(uintptr_t)address;
    uint32_t *index = &model->arena->line_index[pto__arena_line(model->arena, place)];
    if (*index == 0) {
        uint64_t line_address = place & ~(uint64_t)(PTO_CACHE_LINE_SIZE - 1);
        bool direct = is_user(model, line_address);
        uint32_t version = first_version(model, line_address, direct);
        *index = add_line(model, line_address, PTO_NO_TASK, version, direct);
    }
    return *index;
}

uint32_t pto__line_of_task(struct pto_model *model, uint32_t task)
{
    if (model->tasks[task].line == 0) {
        uint32_t line = add_line(model, 0, task, PTO_VERSION_HOST, false);
        model->tasks[task].line = line;
    }
    return model->tasks[task].line;
}

uint32_t pto__value_of_host(const struct pto_model *model, uint32_t line, uint32_t word,
                            uint32_t version)
{
    uint64_t address = model->lines[line].address;
    if (address == 0) {
        return 0;
    }
    uint32_t value;
    memcpy(&value, (const uint8_t *)(uintptr_t)address + (uint64_t)word * 4, sizeof(value));
    // What was there before the host wrote is anything; the complement is never right by chance.
    return version == PTO_VERSION_HOST ? value : ~value;
}

bool pto__lines_begin(struct pto_model *model)
{
    model->line_count = 1;
    model->write_count = 2;
    model->clock_count = 1;
    struct pto_model_write *writes =
        pto__grow(model, model->writes, &model->write_capacity, 2, sizeof(*model->writes));
    if (writes == NULL) {
        return false;
    }
    model->writes = writes;
    for (uint32_t i = 0; i < 2; i++) {
        writes[i] = (struct pto_model_write){.agent = PTO_AGENT_HOST};
    }
    // Line 0 stands for every line that was not touched yet.
    struct pto_model_line *lines =
        pto__grow(model, model->lines, &model->line_capacity, 1, sizeof(*model->lines));
    if (lines == NULL) {
        return false;
    }
    model->lines = lines;
    lines[0].cpu_view = PTO_CPU_UNKNOWN;
    struct pto_model_copy *copies = pto__grow(model, model->copies, &model->copy_capacity,
                                              model->core_count, sizeof(*model->copies));
    if (copies == NULL) {
        return false;
    }
    model->copies = copies;
    for (uint32_t i = 0; i < model->core_count; i++) {
        copies[i].valid = false;
    }
    return true;
}

// The launch is over and nothing was found: what memory holds becomes what the arena holds.
void pto__lines_commit(struct pto_model *model)
{
    for (uint32_t line = 1; line < model->line_count; line++) {
        const struct pto_model_line *it = &model->lines[line];
        if (it->changes == 0) {
            continue;
        }
        if (it->direct) {
            model->arena->written[pto__arena_line(model->arena, it->address)] = 1;
            continue;
        }
        for (uint32_t word = 0; it->address != 0 && word < PTO_MODEL_WORDS; word++) {
            if (it->memory[word] > PTO_VERSION_HOST) {
                uint32_t value = model->writes[it->memory[word]].value;
                memcpy((uint8_t *)(uintptr_t)it->address + (uint64_t)word * 4, &value,
                       sizeof(value));
            }
        }
    }
}

void pto__lines_end(struct pto_model *model)
{
    for (uint32_t line = 1; line < model->line_count; line++) {
        if (model->lines[line].address != 0) {
            model->arena->line_index[pto__arena_line(model->arena, model->lines[line].address)] = 0;
        }
    }
}
