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

// In which way the access is weakened, 0 when it is not.
static inline uint32_t variant_of(const struct pto_model *model,
                                  const struct pto_model_agent *agent)
{
    return agent->site == model->run->mutant ? model->run->mutant_variant : 0;
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

#define OPERATION(name)                                                          \
    static uint64_t name(struct pto_model *model, struct pto_model_agent *agent, \
                         const void *address, uint64_t value)

static void load_barrier(struct pto_model *model, struct pto_model_agent *agent)
{
    agent->barrier_step = model->step;
    agent->early_count = 0;
}

// A load of what others may be writing; it takes over what the writer knew.
OPERATION(observe)
{
    (void)value;
    pto__point(model);
    struct pto_loaded loaded = pto__load_flag(model, agent, address);
    if (variant_of(model, agent) == 0) {
        pto__take_over(model, agent, loaded.version);
        load_barrier(model, agent);
        if (agent->is_core) {
            pto__core_barrier(model, agent);
        }
    }
    return loaded.value;
}

// What it sees may be old by the time it is used: the next access is a point of choice.
OPERATION(peek)
{
    (void)value;
    if (model->yield_always) {
        pto__point(model);
    }
    return pto__load_flag(model, agent, address).value;
}

static void store(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                  uint32_t value, bool release, bool modifies)
{
    uint32_t line = pto__find_line(model, address);
    uint32_t word = pto__word_at(address);
    uint32_t version = pto__write(model, agent, line, word, value, release, modifies);
    put(model, agent, line, word, version);
    if (model->trace != NULL) {
        pto__trace(model, agent, line, word, version);
    }
}

OPERATION(store_plain)
{
    if (model->yield_always) {
        pto__point(model);
    }
    store(model, agent, address, (uint32_t)value, false, false);
    return 0;
}

static inline void release(struct pto_model *model, struct pto_model_agent *agent,
                           const void *address, uint32_t value, bool modifies)
{
    bool orders = variant_of(model, agent) == 0;
    pto__point(model);
    if (orders) {
        pto__cpu_drain(model, agent);
    }
    store(model, agent, address, value, orders, modifies);
}

OPERATION(cpu_publish)
{
    release(model, agent, address, (uint32_t)value, false);
    return 0;
}

OPERATION(peer_store)
{
    release(model, agent, address, (uint32_t)value, true);
    return 0;
}

// Reads and writes a word in one. Returns what was there.
static uint32_t modify(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                       uint32_t operand, bool ordered)
{
    pto__point(model);
    if (ordered) {
        pto__cpu_drain(model, agent);
    }
    struct pto_loaded loaded = pto__load_newest(model, agent, address);
    if (ordered) {
        pto__take_over(model, agent, loaded.version);
        load_barrier(model, agent);
    }
    store(model, agent, address, loaded.value + operand, ordered, true);
    if (!ordered) {
        // What an earlier release gave stays with the word when it is only counted on.
        model->writes[model->write_count - 1].clocks = model->writes[loaded.version].clocks;
    }
    pto__cpu_drain(model, agent);
    return loaded.value;
}

OPERATION(peer_count)
{
    return modify(model, agent, address, (uint32_t)value, false);
}

OPERATION(peer_sub)
{
    return modify(model, agent, address, (uint32_t)(0 - value), variant_of(model, agent) == 0);
}

OPERATION(try_lock)
{
    (void)value;
    uint32_t variant = variant_of(model, agent);
    pto__point(model);
    if (pto__load_newest(model, agent, address).value != 0 && variant != 2) {
        return 0;
    }
    pto__point(model);
    struct pto_loaded loaded = pto__load_newest(model, agent, address);
    if (variant != 1) {
        pto__take_over(model, agent, loaded.version);
        load_barrier(model, agent);
    }
    store(model, agent, address, 1, false, true);
    model->writes[model->write_count - 1].clocks = model->writes[loaded.version].clocks;
    pto__cpu_drain(model, agent);
    return loaded.value == 0 || variant == 2;
}

OPERATION(refresh)
{
    pto__point(model);
    if (model->trace != NULL) {
        pto__trace_operation(model, agent);
    }
    if (variant_of(model, agent) == 0) {
        pto__cpu_refresh(model, agent, address, value);
        load_barrier(model, agent);
    }
    return 0;
}

OPERATION(clock_ns)
{
    (void)agent;
    (void)address;
    (void)value;
    return model->clock_ns;
}

OPERATION(nothing_to_do)
{
    (void)agent;
    (void)address;
    (void)value;
    pto__park(model);
    return 0;
}

OPERATION(core_publish)
{
    uint32_t variant = variant_of(model, agent);
    pto__point(model);
    if (variant == 1) {
        store(model, agent, address, (uint32_t)value, false, false);
        return 0;
    }
    if (variant != 2) {
        pto__core_barrier(model, agent);
    }
    store(model, agent, address, (uint32_t)value, true, false);
    pto__point(model);
    if (variant != 3) {
        pto__core_queue(model, agent, pto__line_at(model, address), PTO_PENDING_WRITE);
        pto__point(model);
    }
    pto__core_barrier(model, agent);
    return 0;
}

// An operation on the core's cache. Begun, it changes nothing that others see; what completes it
// does.
static inline uint64_t cache(struct pto_model *model, struct pto_model_agent *agent,
                             const void *address, enum pto_pending_kind kind)
{
    if (model->yield_always) {
        pto__point(model);
    }
    if (model->trace != NULL) {
        pto__trace_operation(model, agent);
    }
    if (variant_of(model, agent) == 0) {
        pto__core_queue(model, agent, address != NULL ? pto__find_line(model, address) : 0, kind);
    }
    return 0;
}

OPERATION(invalidate_line)
{
    (void)value;
    return cache(model, agent, address, PTO_PENDING_INVALIDATE);
}

OPERATION(write_line)
{
    (void)value;
    return cache(model, agent, address, PTO_PENDING_WRITE);
}

OPERATION(flush_cache)
{
    (void)value;
    return cache(model, agent, address, PTO_PENDING_FLUSH);
}

OPERATION(barrier)
{
    (void)address;
    (void)value;
    pto__point(model);
    if (model->trace != NULL) {
        pto__trace_operation(model, agent);
    }
    if (variant_of(model, agent) == 0) {
        pto__core_barrier(model, agent);
    }
    return 0;
}

OPERATION(task_begin)
{
    (void)address;
    pto__point(model);
    pto__task_begin(model, agent, (uint32_t)value);
    return 0;
}

OPERATION(task_end)
{
    (void)address;
    pto__task_end(model, agent, (uint32_t)value);
    return 0;
}

OPERATION(kernel_read)
{
    pto__kernel_touch(model, agent, address, value, false);
    return 0;
}

OPERATION(kernel_write)
{
    pto__kernel_touch(model, agent, address, value, true);
    return 0;
}

typedef uint64_t operation_function(struct pto_model *model, struct pto_model_agent *agent,
                                    const void *address, uint64_t value);

static operation_function *const operations[PTO_EXPLORE_OPERATION_COUNT] = {
    [PTO_EXPLORE_CPU_LOAD] = pto__cpu_load,     [PTO_EXPLORE_CPU_PEEK] = peek,
    [PTO_EXPLORE_CPU_STORE] = store_plain,      [PTO_EXPLORE_CPU_PUBLISH] = cpu_publish,
    [PTO_EXPLORE_CPU_OBSERVE] = observe,        [PTO_EXPLORE_CPU_REFRESH] = refresh,
    [PTO_EXPLORE_CPU_PAUSE] = nothing_to_do,    [PTO_EXPLORE_CPU_CLOCK] = clock_ns,
    [PTO_EXPLORE_PEER_LOAD] = observe,          [PTO_EXPLORE_PEER_STORE] = peer_store,
    [PTO_EXPLORE_PEER_COUNT] = peer_count,      [PTO_EXPLORE_PEER_SUB] = peer_sub,
    [PTO_EXPLORE_PEER_TRY_LOCK] = try_lock,     [PTO_EXPLORE_PEER_UNLOCK] = peer_store,
    [PTO_EXPLORE_CORE_LOAD] = pto__core_load,   [PTO_EXPLORE_CORE_PEEK] = peek,
    [PTO_EXPLORE_CORE_STORE] = store_plain,     [PTO_EXPLORE_CORE_OBSERVE] = observe,
    [PTO_EXPLORE_CORE_PUBLISH] = core_publish,  [PTO_EXPLORE_CORE_INVALIDATE] = invalidate_line,
    [PTO_EXPLORE_CORE_WRITE_LINE] = write_line, [PTO_EXPLORE_CORE_FLUSH] = flush_cache,
    [PTO_EXPLORE_CORE_BARRIER] = barrier,       [PTO_EXPLORE_CORE_PAUSE] = nothing_to_do,
    [PTO_EXPLORE_TASK_BEGIN] = task_begin,      [PTO_EXPLORE_TASK_END] = task_end,
    [PTO_EXPLORE_KERNEL_READ] = kernel_read,    [PTO_EXPLORE_KERNEL_WRITE] = kernel_write,
};

// An address that is not of device memory.
static PTO_COLD uint64_t access_elsewhere(struct pto_model *model,
                                          const struct pto_model_agent *agent, const void *address)
{
    const struct pto_explore_site *site = agent->site;
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
    return 0;
}

uint64_t pto__explore_access(const struct pto_explore_site *site, const void *address,
                             uint64_t value)
{
    struct pto_model *model = pto__model;
    struct pto_model_agent *agent = model->agent;
    agent->site = site;
    if (address != NULL && !pto__arena_holds(model->arena, (uint64_t)(uintptr_t)address)) {
        return access_elsewhere(model, agent, address);
    }
    return operations[site->operation](model, agent, address, value);
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
