// SPDX-License-Identifier: Apache-2.0
// What each accessor of the device programs means in the model.
//
// Accesses that meet other agents are points of choice. A plain load or store is not, unless the
// profile wants it: if its order is right nobody can tell when it was made, and if it is not the
// oracle says so whenever it was made.
#include <string.h>

#include "explore/layout.h"

// Initial-exec, because every access reads it.
_Thread_local struct pto_model *pto__model __attribute__((tls_model("initial-exec")));

// pto__line_at without the call, for a line that is known.
static inline uint32_t find_line(struct pto_model *model, const void *address, uint32_t *out_word)
{
    uint64_t place = (uint64_t)(uintptr_t)address;
    uint32_t index = model->arena->line_index[pto__arena_line(model->arena, place)];
    *out_word = (uint32_t)(place % PTO_CACHE_LINE_SIZE / 4);
    return index != 0 ? index : pto__line_at(model, address, out_word);
}

static void note_poll(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                      uint32_t word, uint32_t seen)
{
    const struct pto_model_line *it = &model->lines[line];
    agent->saw_old = agent->saw_old || seen < it->memory[word];
    if (agent->poll_count < PTO_MODEL_POLL_MAX) {
        agent->polls[agent->poll_count].line = line;
        agent->polls[agent->poll_count].changes = it->changes;
        agent->poll_count++;
    }
}

static uint32_t seen_by(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                        uint32_t word)
{
    return agent->is_core ? pto__core_seen(model, agent, line, word)
                          : pto__cpu_seen(model, agent, line, word);
}

static void put(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                uint32_t word, uint32_t version)
{
    if (agent->is_core) {
        pto__core_put(model, agent, line, word, version);
    } else {
        pto__cpu_put(model, agent, line, word, version);
    }
}

// Until its next load barrier an ARM core may have made a load early, so a flag may be as old as
// that; but never older than what the thread has seen of the word since.
static uint32_t load_early(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                           uint32_t word, uint32_t seen)
{
    uint32_t floor = 0;
    for (uint32_t i = 0; i < agent->early_count; i++) {
        if (agent->early[i].line == line && agent->early[i].word == word) {
            floor = agent->early[i].version;
        }
    }
    while (seen > PTO_VERSION_HOST && model->writes[seen].arrival > agent->barrier_step &&
           model->writes[seen].agent != agent->id && model->writes[seen].previous >= floor &&
           pto__chance(model, 3)) {
        seen = model->writes[seen].previous;
    }
    agent->early[agent->early_count].line = line;
    agent->early[agent->early_count].word = word;
    agent->early[agent->early_count].version = seen;
    agent->early_count++;
    return seen;
}

static void load_barrier(struct pto_model *model, struct pto_model_agent *agent)
{
    agent->barrier_step = model->step;
    agent->early_count = 0;
}

// A thread's own store that has not left its buffer is the newest for the thread, whatever others
// have stored since: it will arrive after that.
static bool is_buffered(const struct pto_model_agent *agent, uint32_t line, uint32_t word)
{
    for (uint32_t i = 0; i < agent->buffer_count; i++) {
        if (agent->buffer[i].line == line && agent->buffer[i].word == word) {
            return true;
        }
    }
    return false;
}

static uint32_t load_word(struct pto_model *model, struct pto_model_agent *agent,
                          const void *address, enum pto_read_kind kind, uint32_t *out_version)
{
    uint32_t word;
    uint32_t line = find_line(model, address, &word);
    uint32_t seen = seen_by(model, agent, line, word);
    if (kind == PTO_READ_FLAG && !agent->is_core && agent->early_count < PTO_MODEL_EARLY_MAX &&
        agent->idle_count < 4) {
        seen = load_early(model, agent, line, word, seen);
    }
    if (kind == PTO_READ_PLAIN || !is_buffered(agent, line, word)) {
        pto__check_read(model, agent, line, word, seen, kind);
    }
    if (kind == PTO_READ_FLAG) {
        note_poll(model, agent, line, word, seen);
    }
    if (model->trace != NULL) {
        pto__trace(model, agent, line, word, seen);
    }
    *out_version = seen;
    return pto__value(model, line, word, seen);
}

// The usual plain load: the line is known, this agent sees the latest version of the word, and that
// is ordered before it. Most accesses are of this kind, so they do not go the long way.
static bool load_quickly(struct pto_model *model, struct pto_model_agent *agent,
                         const void *address, uint32_t *out_value)
{
    uint64_t place = (uint64_t)(uintptr_t)address;
    uint32_t index = model->arena->line_index[pto__arena_line(model->arena, place)];
    uint32_t word = (uint32_t)(place % PTO_CACHE_LINE_SIZE / 4);
    if (index == 0 || model->trace != NULL) {
        return false;
    }
    struct pto_model_line *line = &model->lines[index];
    uint32_t latest = line->latest[word];
    if (agent->is_core) {
        const struct pto_model_copy *copy = pto__copy(model, index, agent);
        if (!copy->valid || copy->held[word] != latest) {
            return false;
        }
    } else {
        if (line->cpu_view != PTO_CPU_COHERENT || line->memory[word] != latest) {
            return false;
        }
        for (uint32_t i = 0; i < agent->buffer_count; i++) {
            if (agent->buffer[i].line == index) {
                return false;
            }
        }
    }
    if (latest == PTO_VERSION_OLD || !pto__is_ordered(model, agent, latest)) {
        return false;
    }
    pto__note_read(line, agent, word);
    *out_value = pto__value(model, index, word, latest);
    return true;
}

static uint64_t load_plain(struct pto_model *model, struct pto_model_agent *agent,
                           const void *address, uint64_t size_bytes)
{
    uint32_t version;
    if (model->yield_always) {
        pto__point(model);
    }
    uint32_t low;
    if (!load_quickly(model, agent, address, &low)) {
        low = load_word(model, agent, address, PTO_READ_PLAIN, &version);
    }
    if (size_bytes == sizeof(uint16_t)) {
        return (uint16_t)(((uintptr_t)address & 2) != 0 ? low >> 16 : low);
    }
    if (size_bytes == sizeof(uint32_t)) {
        return low;
    }
    uint64_t high = load_word(model, agent, (const uint8_t *)address + 4, PTO_READ_PLAIN, &version);
    return high << 32 | low;
}

// A load of what others may be writing; `acquire` takes over what the writer knew.
static uint32_t load_flag(struct pto_model *model, struct pto_model_agent *agent,
                          const void *address, bool acquire)
{
    uint32_t version;
    pto__point(model);
    uint32_t value = load_word(model, agent, address, PTO_READ_FLAG, &version);
    if (acquire) {
        pto__take_over(model, agent, version);
        load_barrier(model, agent);
    }
    return value;
}

// What it sees may be old by the time it is used: the next access is a point of choice.
static uint32_t peek(struct pto_model *model, struct pto_model_agent *agent, const void *address)
{
    uint32_t version;
    if (model->yield_always) {
        pto__point(model);
    }
    return load_word(model, agent, address, PTO_READ_FLAG, &version);
}

static void store(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                  uint32_t value, bool release, bool modifies)
{
    uint32_t word;
    uint32_t line = find_line(model, address, &word);
    uint32_t version = pto__write(model, agent, line, word, value, release, modifies);
    put(model, agent, line, word, version);
    if (model->trace != NULL) {
        pto__trace(model, agent, line, word, version);
    }
}

static void store_plain(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                        uint32_t value)
{
    if (model->yield_always) {
        pto__point(model);
    }
    store(model, agent, address, value, false, false);
}

// The half of a read-modify-write that reads: nothing is newer, and nothing is made early.
static uint32_t load_newest(struct pto_model *model, struct pto_model_agent *agent,
                            const void *address, uint32_t *out_version)
{
    uint32_t early = agent->early_count;
    agent->early_count = PTO_MODEL_EARLY_MAX;
    uint32_t value = load_word(model, agent, address, PTO_READ_FLAG, out_version);
    agent->early_count = early;
    return value;
}

// Reads and writes a word in one. Returns what was there.
static uint32_t modify(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                       uint32_t operation, uint32_t operand, bool ordered)
{
    uint32_t version;
    if (ordered) {
        pto__cpu_drain(model, agent);
    }
    uint32_t before = load_newest(model, agent, address, &version);
    if (ordered) {
        pto__take_over(model, agent, version);
        load_barrier(model, agent);
    }
    uint32_t after = operation == PTO_EXPLORE_PEER_SUB ? before - operand : before + operand;
    store(model, agent, address, after, ordered, true);
    if (!ordered) {
        // What an earlier release gave stays with the word when it is only counted on.
        model->writes[model->write_count - 1].clocks = model->writes[version].clocks;
    }
    pto__cpu_drain(model, agent);
    return before;
}

static uint64_t try_lock(struct pto_model *model, struct pto_model_agent *agent,
                         const void *address, uint32_t variant)
{
    pto__point(model);
    uint32_t version;
    if (load_newest(model, agent, address, &version) != 0 && variant != 2) {
        return 0;
    }
    pto__point(model);
    uint32_t before = load_newest(model, agent, address, &version);
    if (variant != 1) {
        pto__take_over(model, agent, version);
        load_barrier(model, agent);
    }
    store(model, agent, address, 1, false, true);
    model->writes[model->write_count - 1].clocks = model->writes[version].clocks;
    pto__cpu_drain(model, agent);
    return before == 0 || variant == 2;
}

static void core_publish(struct pto_model *model, struct pto_model_agent *agent,
                         const void *address, uint32_t value, uint32_t variant)
{
    pto__point(model);
    if (variant == 1) {
        store(model, agent, address, value, false, false);
        return;
    }
    if (variant != 2) {
        pto__core_barrier(model, agent);
    }
    store(model, agent, address, value, true, false);
    pto__point(model);
    if (variant != 3) {
        uint32_t word;
        pto__core_queue(model, agent, pto__line_at(model, address, &word), PTO_PENDING_WRITE);
        pto__point(model);
    }
    pto__core_barrier(model, agent);
}

static uint64_t cpu_access(struct pto_model *model, struct pto_model_agent *agent,
                           const void *address, uint64_t value, uint32_t variant)
{
    uint32_t operation = agent->site->operation;
    switch (operation) {
    case PTO_EXPLORE_CPU_LOAD: return load_plain(model, agent, address, value);
    case PTO_EXPLORE_CPU_PEEK: return peek(model, agent, address);
    case PTO_EXPLORE_CPU_STORE: store_plain(model, agent, address, (uint32_t)value); return 0;
    case PTO_EXPLORE_CPU_OBSERVE:
    case PTO_EXPLORE_PEER_LOAD: return load_flag(model, agent, address, variant == 0);
    case PTO_EXPLORE_CPU_PUBLISH:
    case PTO_EXPLORE_PEER_STORE:
    case PTO_EXPLORE_PEER_UNLOCK:
        pto__point(model);
        if (variant == 0) {
            pto__cpu_drain(model, agent);
        }
        store(model, agent, address, (uint32_t)value, variant == 0,
              operation != PTO_EXPLORE_CPU_PUBLISH);
        return 0;
    case PTO_EXPLORE_CPU_REFRESH:
        pto__point(model);
        if (model->trace != NULL) {
            pto__trace_operation(model, agent);
        }
        if (variant == 0) {
            pto__cpu_refresh(model, agent, address, value);
            load_barrier(model, agent);
        }
        return 0;
    case PTO_EXPLORE_CPU_CLOCK: return model->clock_ns;
    case PTO_EXPLORE_CPU_PAUSE: pto__park(model); return 0;
    case PTO_EXPLORE_PEER_COUNT:
    case PTO_EXPLORE_PEER_SUB:
        pto__point(model);
        return modify(model, agent, address, operation, (uint32_t)value,
                      variant == 0 && operation != PTO_EXPLORE_PEER_COUNT);
    case PTO_EXPLORE_PEER_TRY_LOCK: return try_lock(model, agent, address, variant);
    default: return 0;
    }
}

static void core_cache(struct pto_model *model, struct pto_model_agent *agent, const void *address)
{
    uint32_t word;
    uint32_t line = address != NULL ? pto__line_at(model, address, &word) : 0;
    switch (agent->site->operation) {
    case PTO_EXPLORE_CORE_INVALIDATE:
        pto__core_queue(model, agent, line, PTO_PENDING_INVALIDATE);
        break;
    case PTO_EXPLORE_CORE_WRITE_LINE: pto__core_queue(model, agent, line, PTO_PENDING_WRITE); break;
    case PTO_EXPLORE_CORE_FLUSH: pto__core_queue(model, agent, 0, PTO_PENDING_FLUSH); break;
    default: pto__core_barrier(model, agent); break;
    }
}

static uint64_t core_access(struct pto_model *model, struct pto_model_agent *agent,
                            const void *address, uint64_t value, uint32_t variant)
{
    uint32_t seen;
    switch (agent->site->operation) {
    case PTO_EXPLORE_CORE_LOAD: return load_plain(model, agent, address, value);
    case PTO_EXPLORE_CORE_PEEK: return peek(model, agent, address);
    case PTO_EXPLORE_CORE_STORE: store_plain(model, agent, address, (uint32_t)value); return 0;
    case PTO_EXPLORE_CORE_OBSERVE:
        seen = load_flag(model, agent, address, variant == 0);
        if (variant == 0) {
            pto__core_barrier(model, agent);
        }
        return seen;
    case PTO_EXPLORE_CORE_PUBLISH:
        core_publish(model, agent, address, (uint32_t)value, variant);
        return 0;
    case PTO_EXPLORE_CORE_INVALIDATE:
    case PTO_EXPLORE_CORE_WRITE_LINE:
    case PTO_EXPLORE_CORE_FLUSH:
    case PTO_EXPLORE_CORE_BARRIER:
        // Begun, they change nothing that others see; what completes them does.
        if (model->yield_always || agent->site->operation == PTO_EXPLORE_CORE_BARRIER) {
            pto__point(model);
        }
        if (model->trace != NULL) {
            pto__trace_operation(model, agent);
        }
        if (variant == 0) {
            core_cache(model, agent, address);
        }
        return 0;
    case PTO_EXPLORE_TASK_BEGIN:
        pto__point(model);
        pto__task_begin(model, agent, (uint32_t)value);
        return 0;
    case PTO_EXPLORE_TASK_END: pto__task_end(model, agent, (uint32_t)value); return 0;
    case PTO_EXPLORE_CORE_PAUSE: pto__park(model); return 0;
    case PTO_EXPLORE_KERNEL_READ: pto__kernel_touch(model, agent, address, value, false); return 0;
    case PTO_EXPLORE_KERNEL_WRITE: pto__kernel_touch(model, agent, address, value, true); return 0;
    default: return 0;
    }
}

uint64_t pto__explore_access(const struct pto_explore_site *site, const void *address,
                             uint64_t value)
{
    struct pto_model *model = pto__model;
    struct pto_model_agent *agent = model->agent;
    agent->site = site;
    if (address != NULL && !pto__arena_holds(model->arena, (uint64_t)(uintptr_t)address)) {
        if (site->operation >= PTO_EXPLORE_KERNEL_READ) {
            return 0; // a variable of the kernel's own
        }
        const uint8_t *stack = agent->coroutine.mapping;
        if (site->operation == PTO_EXPLORE_CPU_LOAD &&
            (uintptr_t)address - (uintptr_t)stack < agent->coroutine.mapping_bytes) {
            uint32_t own; // a variable of the program's own, passed where a shared word could be
            memcpy(&own, address, sizeof(own));
            return own;
        }
        pto__violate(model, &(struct pto_explore_finding){
                                .kind = PTO_FINDING_UNWRITTEN,
                                .agent = agent->id,
                                .other = PTO_AGENT_HOST,
                                .site = site,
                                .task = agent->task,
                                .advice = "the address is not one of device memory",
                            });
    }
    uint32_t variant = site == model->run->mutant ? model->run->mutant_variant : 0;
    return agent->is_core ? core_access(model, agent, address, value, variant)
                          : cpu_access(model, agent, address, value, variant);
}

uint32_t pto__explore_variant_count(const struct pto_explore_site *site)
{
    switch (site->operation) {
    case PTO_EXPLORE_CPU_PUBLISH:
    case PTO_EXPLORE_CPU_OBSERVE:
    case PTO_EXPLORE_CPU_REFRESH:
    case PTO_EXPLORE_PEER_LOAD:
    case PTO_EXPLORE_PEER_STORE:
    case PTO_EXPLORE_PEER_SUB:
    case PTO_EXPLORE_PEER_UNLOCK:
    case PTO_EXPLORE_CORE_OBSERVE:
    case PTO_EXPLORE_CORE_INVALIDATE:
    case PTO_EXPLORE_CORE_WRITE_LINE:
    case PTO_EXPLORE_CORE_FLUSH:
    case PTO_EXPLORE_CORE_BARRIER: return 1;
    case PTO_EXPLORE_PEER_TRY_LOCK: return 2;
    case PTO_EXPLORE_CORE_PUBLISH: return 3;
    default: return 0;
    }
}

const char *pto__explore_variant_text(const struct pto_explore_site *site, uint32_t variant)
{
    switch (site->operation) {
    case PTO_EXPLORE_CPU_REFRESH:
    case PTO_EXPLORE_CORE_INVALIDATE:
    case PTO_EXPLORE_CORE_WRITE_LINE:
    case PTO_EXPLORE_CORE_FLUSH:
    case PTO_EXPLORE_CORE_BARRIER: return "left out";
    case PTO_EXPLORE_PEER_TRY_LOCK: return variant == 1 ? "relaxed" : "taken whoever holds it";
    case PTO_EXPLORE_CORE_PUBLISH:
        return variant == 1   ? "a plain store"
               : variant == 2 ? "without the barrier before"
                              : "without the write-back";
    default: return "relaxed";
    }
}
