// SPDX-License-Identifier: Apache-2.0
// Accessors of the AICPU: aarch64, coherent with the AICore's written-back lines, but the AICore
// and the DMA engine are outside the ARM cores' shareable domain, so ordering towards them takes
// `dsb` rather than the load-acquire and store-release instructions. On A2 and A3 the AICPU's
// caches do not see host DMA; `dc civac` drops a line. Source of these rules: the public hardware
// notes of the hw-native-sys/simpler project (cache-coherency.md). Not run on silicon.
#ifndef PTO_ABI_ACCESS_AICPU_H
#define PTO_ABI_ACCESS_AICPU_H

#if !defined(__aarch64__)
#error "the AICPU is an aarch64 processor: compile with an aarch64 compiler"
#endif

#include "abi/access_peer.h"
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
    __asm__ __volatile__("dsb st" ::: "memory");
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline uint32_t pto_cpu_observe(const uint32_t *word)
{
    uint32_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
    __asm__ __volatile__("dsb ld" ::: "memory");
    return value;
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
    uint64_t first = (uint64_t)(uintptr_t)address & ~(uint64_t)(PTO_CACHE_LINE_SIZE - 1);
    uint64_t end = (uint64_t)(uintptr_t)address + size_bytes;
    for (uint64_t line = first; line < end; line += PTO_CACHE_LINE_SIZE) {
        __asm__ __volatile__("dc civac, %0" ::"r"(line) : "memory");
    }
    __asm__ __volatile__("dsb sy\n\tisb" ::: "memory");
}

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

static inline void pto_cpu_pause(void)
{
    __asm__ __volatile__("yield");
}

static inline void pto_cpu_prefetch(const void *address)
{
    __builtin_prefetch(address);
}

static inline uint64_t pto_cpu_clock_ns(void)
{
    uint64_t ticks;
    uint64_t frequency;
    __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(ticks));
    __asm__ __volatile__("mrs %0, cntfrq_el0" : "=r"(frequency));
    if (frequency == 0) {
        frequency = 50000000u; // 50 MHz on A2 and A3
    }
    // Split so that the product cannot overflow.
    return ticks / frequency * 1000000000u + ticks % frequency * 1000000000u / frequency;
}

#endif // PTO_ABI_ACCESS_AICPU_H
