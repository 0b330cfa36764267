// SPDX-License-Identifier: Apache-2.0
// Accessors of the native simulator. All agents are threads of one coherent machine, so cache
// operations mean nothing, and the order that barriers give on the device is given by acquire and
// release. The simulator's work hints live here too. Its checks of kernels (PTO_TARGET_CHECK) want
// to know which task a core runs.
#ifndef PTO_ABI_ACCESS_NATIVE_H
#define PTO_ABI_ACCESS_NATIVE_H

#include <sched.h>
#include <time.h>

#include "abi/access_peer.h"
#include "abi/check.h"
#include "abi/launch.h"

static inline uint32_t pto_cpu_load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint32_t pto_cpu_peek(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint16_t pto_cpu_load16(const uint16_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t pto_cpu_load64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void pto_cpu_store(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void pto_cpu_publish(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline uint32_t pto_cpu_observe(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline uint32_t pto_own_load(const uint32_t *word)
{
    return *word;
}

static inline void pto_own_store(uint32_t *word, uint32_t value)
{
    *word = value;
}

static inline void pto_cpu_refresh(const void *address, uint64_t size_bytes)
{
    (void)address;
    (void)size_bytes;
}

// The hint words carry no data: a bit is set after a publish and taken before an observe, both by
// read-modify-write, so a taken bit has the publish behind it, and one set too late stays for the
// next time. While one thread does everything, plain loads and stores do.
static inline uint64_t pto_hint_set(const struct pto_hints *hints, uint64_t *word, uint64_t bits)
{
    if (__atomic_load_n(&hints->exclusive, __ATOMIC_RELAXED) != 0) {
        uint64_t before = __atomic_load_n(word, __ATOMIC_RELAXED);
        __atomic_store_n(word, before | bits, __ATOMIC_RELAXED);
        return before;
    }
    return __atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
}

static inline uint64_t pto_hint_clear(const struct pto_hints *hints, uint64_t *word, uint64_t bits)
{
    if (__atomic_load_n(&hints->exclusive, __ATOMIC_RELAXED) != 0) {
        uint64_t before = __atomic_load_n(word, __ATOMIC_RELAXED);
        __atomic_store_n(word, before & ~bits, __ATOMIC_RELAXED);
        return before;
    }
    return __atomic_fetch_and(word, ~bits, __ATOMIC_SEQ_CST);
}

static inline void pto_cpu_ring(uint64_t hints, uint32_t word, uint64_t cores)
{
    struct pto_hints *shared = (struct pto_hints *)(uintptr_t)hints;
    if (shared != NULL) {
        pto_hint_set(shared, &shared->words[word].runnable, cores);
    }
}

static inline uint64_t pto_cpu_take_completed(uint64_t hints, uint32_t word, uint64_t cores)
{
    struct pto_hints *shared = (struct pto_hints *)(uintptr_t)hints;
    if (shared == NULL) {
        return cores;
    }
    if ((__atomic_load_n(&shared->words[word].completed, __ATOMIC_RELAXED) & cores) == 0) {
        return 0;
    }
    return pto_hint_clear(shared, &shared->words[word].completed, cores) & cores;
}

static inline void pto_cpu_prefetch(const void *address)
{
    __builtin_prefetch(address);
}

static inline uint64_t pto_cpu_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Threads of the host may outnumber its processors, so one that waits makes room.
static inline void pto_cpu_pause(void)
{
    sched_yield();
}

static inline uint32_t pto_core_load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint16_t pto_core_load16(const uint16_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t pto_core_load64(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint32_t pto_core_peek(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void pto_core_store(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline uint32_t pto_core_observe(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void pto_core_publish(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline void pto_core_invalidate_line(const void *line)
{
    (void)line;
}

static inline void pto_core_write_line(const void *line)
{
    (void)line;
}

static inline void pto_core_flush_cache(void)
{
}

static inline void pto_core_barrier(void)
{
}

static inline void pto_core_pause(void)
{
    sched_yield();
}

#if defined(PTO_TARGET_CHECK)
static inline void pto_core_task_begin(uint32_t task)
{
    if (pto__check_hooks != NULL) {
        pto__check_hooks->task(pto__check_hooks, task);
    }
}

static inline void pto_core_task_end(uint32_t task)
{
    (void)task;
    pto_core_task_begin(PTO_NO_TASK);
}
#else
static inline void pto_core_task_begin(uint32_t task)
{
    (void)task;
}

static inline void pto_core_task_end(uint32_t task)
{
    (void)task;
}
#endif

static inline void pto_core_ring(uint64_t hints, uint32_t core)
{
    struct pto_hints *shared = (struct pto_hints *)(uintptr_t)hints;
    if (shared != NULL) {
        pto_hint_set(shared, &shared->words[core / 64].completed, (uint64_t)1 << (core % 64));
    }
}

static inline int pto_core_should_yield(uint64_t hints)
{
    const struct pto_hints *shared = (const struct pto_hints *)(uintptr_t)hints;
    return __builtin_expect(shared != NULL, 1) &&
           __builtin_expect(__atomic_load_n(&shared->yield, __ATOMIC_RELAXED) != 0, 0);
}

#endif // PTO_ABI_ACCESS_NATIVE_H
