// SPDX-License-Identifier: Apache-2.0
// Accessors of the explorer: every one is a call into its model of the device, with the place in
// the source that made it. The model says which value a load sees, may let another agent run, and
// reports an access that lacks its order. Nothing here touches the memory itself.
//
// A program built like this exports one more symbol, `pto_explore_table`: the explorer puts its
// function in before the launch, and reads the list of all places from it.
#ifndef PTO_ABI_ACCESS_EXPLORE_H
#define PTO_ABI_ACCESS_EXPLORE_H

#include "abi/explore.h"
#include "abi/launch.h"

#if defined(__cplusplus)
#error "the explorer's programs are compiled as C"
#endif

extern const struct pto_explore_site __start_pto_explore_sites[];
extern const struct pto_explore_site __stop_pto_explore_sites[];

// Weak, so that each source file of a program may define it.
extern struct pto_explore_table pto_explore_table;
__attribute__((weak, visibility("default"))) struct pto_explore_table pto_explore_table = {
    PTO_ABI_VERSION, 0, NULL, __start_pto_explore_sites, __stop_pto_explore_sites};

#define PTO_EXPLORE_HERE(operation_, text_)                                               \
    (__extension__({                                                                      \
        __attribute__((section(PTO_EXPLORE_SITE_SECTION), used,                           \
                       aligned(64))) static const struct pto_explore_site pto_here = {    \
            __FILE__, __func__, text_, __LINE__, PTO_EXPLORE_##operation_, {0, 0, 0, 0}}; \
        &pto_here;                                                                        \
    }))

static inline uint64_t pto__explore(const struct pto_explore_site *site, const void *address,
                                    uint64_t value)
{
    return pto_explore_table.function(site, address, value);
}

// One function for each type, so that a wrong pointer is an error in this build as in the others.
static inline uint16_t pto__explore_load16(const struct pto_explore_site *site,
                                           const uint16_t *word)
{
    return (uint16_t)pto__explore(site, word, sizeof(*word));
}

static inline uint32_t pto__explore_load(const struct pto_explore_site *site, const uint32_t *word)
{
    return (uint32_t)pto__explore(site, word, sizeof(*word));
}

static inline uint64_t pto__explore_load64(const struct pto_explore_site *site,
                                           const uint64_t *word)
{
    return pto__explore(site, word, sizeof(*word));
}

static inline uint32_t pto__explore_modify(const struct pto_explore_site *site, uint32_t *word,
                                           uint32_t value)
{
    return (uint32_t)pto__explore(site, word, value);
}

static inline void pto__explore_do(const struct pto_explore_site *site, const void *address,
                                   uint64_t value)
{
    pto__explore(site, address, value);
}

#define pto_cpu_load(word) pto__explore_load(PTO_EXPLORE_HERE(CPU_LOAD, #word), (word))
#define pto_cpu_load16(word) pto__explore_load16(PTO_EXPLORE_HERE(CPU_LOAD, #word), (word))
#define pto_cpu_load64(word) pto__explore_load64(PTO_EXPLORE_HERE(CPU_LOAD, #word), (word))
#define pto_cpu_peek(word) pto__explore_load(PTO_EXPLORE_HERE(CPU_PEEK, #word), (word))
#define pto_cpu_observe(word) pto__explore_load(PTO_EXPLORE_HERE(CPU_OBSERVE, #word), (word))
#define pto_cpu_store(word, value) \
    ((void)pto__explore_modify(PTO_EXPLORE_HERE(CPU_STORE, #word), (word), (value)))
#define pto_cpu_publish(word, value) \
    ((void)pto__explore_modify(PTO_EXPLORE_HERE(CPU_PUBLISH, #word), (word), (value)))
#define pto_cpu_refresh(address, size_bytes) \
    pto__explore_do(PTO_EXPLORE_HERE(CPU_REFRESH, #address), (address), (size_bytes))
#define pto_cpu_pause() pto__explore_do(PTO_EXPLORE_HERE(CPU_PAUSE, ""), NULL, 0)
#define pto_cpu_clock_ns() pto__explore(PTO_EXPLORE_HERE(CPU_CLOCK, ""), NULL, 0)
// In the model a line may be in a cache at any time, asked for or not.
#define pto_cpu_prefetch(address) ((void)(address))
// Words that only one AICPU thread touches during a launch are accesses like any other here.
#define pto_own_load(word) pto_cpu_load(word)
#define pto_own_store(word, value) pto_cpu_store(word, value)

#define pto_peer_load(word) pto__explore_load(PTO_EXPLORE_HERE(PEER_LOAD, #word), (word))
#define pto_peer_store(word, value) \
    ((void)pto__explore_modify(PTO_EXPLORE_HERE(PEER_STORE, #word), (word), (value)))
#define pto_peer_count(word, value) \
    pto__explore_modify(PTO_EXPLORE_HERE(PEER_COUNT, #word), (word), (value))
#define pto_peer_sub(word, value) \
    pto__explore_modify(PTO_EXPLORE_HERE(PEER_SUB, #word), (word), (value))
#define pto_peer_try_lock(lock) \
    ((int)pto__explore_modify(PTO_EXPLORE_HERE(PEER_TRY_LOCK, #lock), (lock), 1))
#define pto_peer_unlock(lock) \
    ((void)pto__explore_modify(PTO_EXPLORE_HERE(PEER_UNLOCK, #lock), (lock), 0))

#define pto_core_load(word) pto__explore_load(PTO_EXPLORE_HERE(CORE_LOAD, #word), (word))
#define pto_core_load16(word) pto__explore_load16(PTO_EXPLORE_HERE(CORE_LOAD, #word), (word))
#define pto_core_load64(word) pto__explore_load64(PTO_EXPLORE_HERE(CORE_LOAD, #word), (word))
#define pto_core_store(word, value) \
    ((void)pto__explore_modify(PTO_EXPLORE_HERE(CORE_STORE, #word), (word), (value)))
#define pto_core_peek(word) pto__explore_load(PTO_EXPLORE_HERE(CORE_PEEK, #word), (word))
#define pto_core_observe(word) pto__explore_load(PTO_EXPLORE_HERE(CORE_OBSERVE, #word), (word))
#define pto_core_publish(word, value) \
    ((void)pto__explore_modify(PTO_EXPLORE_HERE(CORE_PUBLISH, #word), (word), (value)))
#define pto_core_invalidate_line(line) \
    pto__explore_do(PTO_EXPLORE_HERE(CORE_INVALIDATE, #line), (line), 0)
#define pto_core_write_line(line) \
    pto__explore_do(PTO_EXPLORE_HERE(CORE_WRITE_LINE, #line), (line), 0)
#define pto_core_flush_cache() pto__explore_do(PTO_EXPLORE_HERE(CORE_FLUSH, ""), NULL, 0)
#define pto_core_barrier() pto__explore_do(PTO_EXPLORE_HERE(CORE_BARRIER, ""), NULL, 0)
#define pto_core_pause() pto__explore_do(PTO_EXPLORE_HERE(CORE_PAUSE, ""), NULL, 0)
#define pto_core_task_begin(task) pto__explore_do(PTO_EXPLORE_HERE(TASK_BEGIN, ""), NULL, (task))
#define pto_core_task_end(task) pto__explore_do(PTO_EXPLORE_HERE(TASK_END, ""), NULL, (task))

// The simulator's work hints: a launch of the explorer has none.
static inline void pto_cpu_ring(uint64_t hints, uint32_t word, uint64_t cores)
{
    (void)hints;
    (void)word;
    (void)cores;
}

static inline uint64_t pto_cpu_take_completed(uint64_t hints, uint32_t word, uint64_t cores)
{
    (void)hints;
    (void)word;
    return cores;
}

static inline void pto_core_ring(uint64_t hints, uint32_t core)
{
    (void)hints;
    (void)core;
}

static inline int pto_core_should_yield(uint64_t hints)
{
    (void)hints;
    return 0;
}

#endif // PTO_ABI_ACCESS_EXPLORE_H
