// SPDX-License-Identifier: Apache-2.0
// Accessors of the AICore, in the C++ dialect of Huawei's compiler (ccec). Its data cache is not
// coherent: `dcci` cleans and invalidates a 64-byte line or the whole cache and is complete after
// `dsb`. The intrinsics and the constants SINGLE_CACHE_LINE, ENTIRE_DATA_CACHE, CACHELINE_OUT and
// DSB_DDR are the compiler's (CANN 8.1 cce_aicore_intrinsics.h). Not compiled by ccec, and not run
// on silicon, by us.
#ifndef PTO_ABI_ACCESS_AICORE_H
#define PTO_ABI_ACCESS_AICORE_H

#include "abi/launch.h"

static inline PTO_AICORE uint32_t pto_core_load(PTO_GM const uint32_t *word)
{
    return *word;
}

static inline PTO_AICORE uint16_t pto_core_load16(PTO_GM const uint16_t *word)
{
    return *word;
}

static inline PTO_AICORE uint64_t pto_core_load64(PTO_GM const uint64_t *word)
{
    return *word;
}

static inline PTO_AICORE uint32_t pto_core_peek(PTO_GM const uint32_t *word)
{
    return *word;
}

static inline PTO_AICORE void pto_core_store(PTO_GM uint32_t *word, uint32_t value)
{
    *word = value;
}

static inline PTO_AICORE void pto_core_barrier(void)
{
    dsb(DSB_DDR);
}

static inline PTO_AICORE void pto_core_invalidate_line(PTO_GM const void *line)
{
    dcci((PTO_GM void *)line, SINGLE_CACHE_LINE);
}

static inline PTO_AICORE void pto_core_write_line(PTO_GM const void *line)
{
    dcci((PTO_GM void *)line, SINGLE_CACHE_LINE, CACHELINE_OUT);
}

static inline PTO_AICORE void pto_core_flush_cache(void)
{
    pipe_barrier(PIPE_ALL); // results still in flight from the vector and cube pipes
    dcci((PTO_GM void *)0, ENTIRE_DATA_CACHE, CACHELINE_OUT);
}

static inline PTO_AICORE uint32_t pto_core_observe(PTO_GM const uint32_t *word)
{
    uint32_t value = *word;
    pto_core_barrier();
    return value;
}

static inline PTO_AICORE void pto_core_publish(PTO_GM uint32_t *word, uint32_t value)
{
    pto_core_barrier();
    *word = value;
    pto_core_write_line(word);
    pto_core_barrier();
}

static inline PTO_AICORE void pto_core_pause(void)
{
}

static inline PTO_AICORE void pto_core_task_begin(uint32_t task)
{
    (void)task;
}

static inline PTO_AICORE void pto_core_task_end(uint32_t task)
{
    (void)task;
}

static inline PTO_AICORE void pto_core_ring(uint64_t hints, uint32_t core)
{
    (void)hints;
    (void)core;
}

static inline PTO_AICORE int pto_core_should_yield(uint64_t hints)
{
    (void)hints;
    return 0;
}

#endif // PTO_ABI_ACCESS_AICORE_H
