// SPDX-License-Identifier: Apache-2.0
// What the loads of the device programs see.
#include "explore/layout.h"

// A plain load of the long way: whatever is wrong with it is found here.
static uint32_t load_word(struct pto_model *model, struct pto_model_agent *agent,
                          const void *address)
{
    uint32_t line = pto__find_line(model, address);
    uint32_t word = pto__word_at(address);
    uint32_t seen = agent->is_core ? pto__core_seen(model, agent, line, word)
                                   : pto__cpu_seen(model, agent, line, word);
    pto__check_read(model, agent, line, word, seen, PTO_READ_PLAIN);
    if (model->trace != NULL) {
        pto__trace(model, agent, line, word, seen);
    }
    return pto__value(model, line, word, seen);
}

static __attribute__((noinline)) uint64_t load_slowly(struct pto_model *model,
                                                      struct pto_model_agent *agent,
                                                      const void *address, uint64_t size_bytes)
{
    if (model->yield_always) {
        pto__point(model);
    }
    uint32_t low = load_word(model, agent, address);
    if (size_bytes == sizeof(uint16_t)) {
        return (uint16_t)(((uintptr_t)address & 2) != 0 ? low >> 16 : low);
    }
    if (size_bytes == sizeof(uint32_t)) {
        return low;
    }
    uint64_t high = load_word(model, agent, (const uint8_t *)address + 4);
    return high << 32 | low;
}

// One word of the usual plain load: its latest version, which is ordered before it.
static inline bool load_latest(const struct pto_model *model, const struct pto_model_agent *agent,
                               struct pto_model_line *line, uint32_t word, uint32_t seen,
                               uint32_t *out_value)
{
    if (seen != line->latest[word] || seen == PTO_VERSION_OLD ||
        !pto__is_ordered(model, agent, seen)) {
        return false;
    }
    pto__note_read(line, agent, word);
    *out_value = seen == PTO_VERSION_HOST ? ((const uint32_t *)(uintptr_t)line->address)[word]
                                          : model->writes[seen].value;
    return true;
}

static inline uint64_t load_held(struct pto_model *model, struct pto_model_agent *agent,
                                 const void *address, uint64_t size_bytes,
                                 struct pto_model_line *line, const uint32_t *held)
{
    uint32_t word = pto__word_at(address);
    uint32_t low;
    uint32_t high = 0;
    if (!load_latest(model, agent, line, word, held[word], &low) ||
        (size_bytes == sizeof(uint64_t) &&
         !load_latest(model, agent, line, word + 1, held[word + 1], &high))) {
        return load_slowly(model, agent, address, size_bytes);
    }
    if (size_bytes == sizeof(uint16_t)) {
        return (uint16_t)(((uintptr_t)address & 2) != 0 ? low >> 16 : low);
    }
    return (uint64_t)high << 32 | low;
}

// Most accesses are plain loads of a line that the agent has, so these do not go the long way.
//
// A store of the thread's own that is still in its buffer is not lost sight of: either it is the
// latest version, which memory then does not have, or the one that overtook it is not ordered
// before the thread, whose releases empty the buffer.
uint64_t pto__cpu_load(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                       uint64_t size_bytes)
{
    struct pto_model_line *line =
        &model->lines[pto__line_known(model, (uint64_t)(uintptr_t)address)];
    // Line 0, which stands for those that are not known, is never COHERENT.
    if (!model->quick || line->cpu_view != PTO_CPU_COHERENT) {
        return load_slowly(model, agent, address, size_bytes);
    }
    return load_held(model, agent, address, size_bytes, line, line->memory);
}

uint64_t pto__core_load(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                        uint64_t size_bytes)
{
    uint32_t index = pto__line_known(model, (uint64_t)(uintptr_t)address);
    const struct pto_model_copy *copy = pto__copy(model, index, agent);
    if (!model->quick || !copy->valid) { // so is line 0's
        return load_slowly(model, agent, address, size_bytes);
    }
    return load_held(model, agent, address, size_bytes, &model->lines[index], copy->held);
}

// Until its next load barrier an ARM core may have made a load early, so a flag may be as old as
// that; but never older than what the thread has seen of the word since.
static inline uint32_t load_early(struct pto_model *model, struct pto_model_agent *agent,
                                  uint32_t place, uint32_t seen)
{
    const struct pto_model_write *write = &model->writes[seen];
    if (seen > PTO_VERSION_HOST && write->arrival > agent->barrier_step &&
        write->agent != agent->id) {
        uint32_t floor = 0;
        for (uint32_t i = 0; i < agent->early_count; i++) {
            if (agent->early[i].place == place) {
                floor = agent->early[i].version;
            }
        }
        while (seen > PTO_VERSION_HOST && write->arrival > agent->barrier_step &&
               write->agent != agent->id && write->previous >= floor &&
               pto__chance(model, PTO_DECIDE_OLD, agent->id, 3)) {
            seen = write->previous;
            write = &model->writes[seen];
        }
    }
    agent->early[agent->early_count].place = place;
    agent->early[agent->early_count].version = seen;
    agent->early_count++;
    return seen;
}

static inline void note_poll(const struct pto_model_line *line, struct pto_model_agent *agent,
                             uint32_t index, uint32_t word, uint32_t seen)
{
    agent->saw_old = agent->saw_old || seen < line->memory[word];
    if (agent->poll_count < PTO_MODEL_POLL_MAX) {
        agent->polls[agent->poll_count].line = index;
        agent->polls[agent->poll_count].changes = line->changes;
        agent->poll_count++;
    }
}

static inline struct pto_loaded load_flag(struct pto_model *model, struct pto_model_agent *agent,
                                          const void *address, bool may_be_early)
{
    uint32_t line = pto__find_line(model, address);
    uint32_t word = pto__word_at(address);
    uint32_t seen;
    bool is_buffered = false;
    if (agent->is_core) {
        seen = pto__core_seen(model, agent, line, word);
    } else {
        // A thread's own store that has not left its buffer is the newest for the thread, whatever
        // others have stored since: it will arrive after that.
        is_buffered = pto__cpu_is_buffered(agent, line, word);
        seen = pto__cpu_seen(model, agent, line, word);
        if (may_be_early && agent->early_count < PTO_MODEL_EARLY_MAX && agent->idle_count < 4) {
            seen = load_early(model, agent, pto__place(line, word), seen);
        }
    }
    if (!is_buffered) {
        pto__check_read(model, agent, line, word, seen, PTO_READ_FLAG);
    }
    note_poll(&model->lines[line], agent, line, word, seen);
    if (model->trace != NULL) {
        pto__trace(model, agent, line, word, seen);
    }
    return (struct pto_loaded){pto__value(model, line, word, seen), seen};
}

struct pto_loaded pto__load_flag(struct pto_model *model, struct pto_model_agent *agent,
                                 const void *address)
{
    return load_flag(model, agent, address, true);
}

struct pto_loaded pto__load_newest(struct pto_model *model, struct pto_model_agent *agent,
                                   const void *address)
{
    return load_flag(model, agent, address, false);
}
