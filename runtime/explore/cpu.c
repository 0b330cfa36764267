// SPDX-License-Identifier: Apache-2.0
// The AICPU's side of the model. Its threads are coherent with each other and with what cores have
// written back; each has a buffer of stores that leave it in any order, and on A2 and A3 their
// caches do not see host DMA.
#include "explore/model.h"

// The first touch in a launch may find a copy of before the host's DMA.
static void first_view(struct pto_model *model, struct pto_model_line *it)
{
    it->cpu_view = PTO_CPU_COHERENT;
    if (model->host_dma_unseen && model->start_poisoned &&
        model->arena->host_written[pto__arena_line(model->arena, it->address)] != 0 &&
        pto__chance(model, PTO_DECIDE_OLD, model->current, 1)) {
        it->cpu_view = PTO_CPU_STALE;
        for (uint32_t i = 0; i < PTO_MODEL_WORDS; i++) {
            it->cpu_held[i] = PTO_VERSION_OLD;
        }
    }
}

static inline enum pto_cpu_view view_of(struct pto_model *model, uint32_t line)
{
    struct pto_model_line *it = &model->lines[line];
    if (it->cpu_view == PTO_CPU_UNKNOWN) {
        first_view(model, it);
    }
    return it->cpu_view;
}

bool pto__cpu_is_buffered(const struct pto_model_agent *agent, uint32_t line, uint32_t word)
{
    for (uint32_t i = 0; i < agent->buffer_count; i++) {
        if (agent->buffer[i].place == pto__place(line, word)) {
            return true;
        }
    }
    return false;
}

uint32_t pto__cpu_seen(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                       uint32_t word)
{
    for (uint32_t i = agent->buffer_count; i-- != 0;) {
        if (agent->buffer[i].place == pto__place(line, word)) {
            return agent->buffer[i].version;
        }
    }
    return view_of(model, line) == PTO_CPU_STALE ? model->lines[line].cpu_held[word]
                                                 : model->lines[line].memory[word];
}

// Stores of several threads to one word take the order in which they arrive. One that comes after a
// later one has arrived is the newest all the same: it gets a version of its own.
static uint32_t renumber(struct pto_model *model, uint32_t line, uint32_t word, uint32_t version)
{
    struct pto_model_line *it = &model->lines[line];
    if (version > it->memory[word]) {
        return version;
    }
    struct pto_model_write *writes = pto__grow(model, model->writes, &model->write_capacity,
                                               model->write_count + 1, sizeof(*model->writes));
    model->writes = writes;
    uint32_t later = model->write_count++;
    writes[later] = writes[version];
    writes[later].previous = it->latest[word];
    it->latest[word] = later;
    return later;
}

// A store into a copy that is old makes the whole old line the newest, for everybody.
static void arrive(struct pto_model *model, uint32_t place, uint32_t version)
{
    uint32_t line = place / PTO_MODEL_WORDS;
    uint32_t word = place % PTO_MODEL_WORDS;
    struct pto_model_line *it = &model->lines[line];
    if (view_of(model, line) == PTO_CPU_STALE) {
        for (uint32_t i = 0; i < PTO_MODEL_WORDS; i++) {
            if (it->memory[i] != it->cpu_held[i]) {
                pto__memory_put(model, line, i, it->cpu_held[i]);
            }
        }
        it->cpu_view = PTO_CPU_COHERENT;
    }
    it->cpu_dirty = model->host_dma_unseen;
    version = renumber(model, line, word, version);
    pto__memory_put(model, line, word, version);
}

// Takes out one entry; an older one of the same word goes first.
static void drain_entry(struct pto_model *model, struct pto_model_agent *agent, uint32_t entry)
{
    uint32_t place = agent->buffer[entry].place;
    for (uint32_t i = 0; i < entry; i++) {
        if (agent->buffer[i].place == place) {
            entry = i;
        }
    }
    uint32_t version = agent->buffer[entry].version;
    agent->buffer_count--;
    for (uint32_t i = entry; i < agent->buffer_count; i++) {
        agent->buffer[i] = agent->buffer[i + 1];
    }
    arrive(model, place, version);
}

void pto__cpu_drain_one(struct pto_model *model, struct pto_model_agent *agent)
{
    if (agent->buffer_count != 0) {
        drain_entry(model, agent, pto__pick(model, agent, agent->buffer_count));
    }
}

void pto__cpu_drain(struct pto_model *model, struct pto_model_agent *agent)
{
    for (uint32_t i = 0; i < agent->buffer_count; i++) {
        arrive(model, agent->buffer[i].place, agent->buffer[i].version);
    }
    agent->buffer_count = 0;
}

void pto__cpu_put(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                  uint32_t word, uint32_t version)
{
    if (agent->buffer_count == PTO_MODEL_BUFFER_DEPTH) {
        pto__cpu_drain_one(model, agent);
    }
    agent->buffer[agent->buffer_count].place = pto__place(line, word);
    agent->buffer[agent->buffer_count].version = version;
    agent->buffer_count++;
}

void pto__cpu_refresh(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                      uint64_t size_bytes)
{
    pto__cpu_drain(model, agent);
    if (size_bytes == 0) {
        return;
    }
    uint64_t first = (uint64_t)(uintptr_t)address & ~(uint64_t)(PTO_CACHE_LINE_SIZE - 1);
    uint64_t end = (uint64_t)(uintptr_t)address + size_bytes;
    for (uint64_t place = first; place < end; place += PTO_CACHE_LINE_SIZE) {
        uint32_t line = pto__line_known(model, place);
        if (line != 0) {
            model->lines[line].cpu_view = PTO_CPU_COHERENT;
            model->lines[line].cpu_dirty = false;
        }
        model->arena->host_written[pto__arena_line(model->arena, place)] = 0;
    }
}
