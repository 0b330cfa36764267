// SPDX-License-Identifier: Apache-2.0
// Stands for what CANN's AICore compiler brings along, so that an ordinary C++ compiler takes the
// AICore program: spellings defined away, intrinsics declared. Put before the program by -include.
#ifndef PTO_TESTS_CCE_H
#define PTO_TESTS_CCE_H

#include <sched.h>
#include <stdint.h>

#define __CCE_AICORE__ 220
#define __gm__
#define __aicore__
#define __global__ __attribute__((visibility("default")))

enum { SINGLE_CACHE_LINE = 0, ENTIRE_DATA_CACHE = 1 };
enum { CACHELINE_ALL = 0, CACHELINE_OUT = 2 };
enum { DSB_ALL = 0, DSB_DDR = 1 };
enum { PIPE_ALL = 0 };

static inline void dcci(void *, int)
{
}

static inline void dcci(void *, int, int)
{
}

// The stand-in's cores are threads of few processors, and a core that polls is here in each turn.
static inline void dsb(int)
{
    sched_yield();
}

static inline void pipe_barrier(int)
{
}

// Of the core that this thread stands for.
extern "C" thread_local int64_t cce_core[4]; // block index, sub-block index, block count, core id

static inline int64_t get_block_idx()
{
    return cce_core[0];
}

static inline int64_t get_subblockid()
{
    return cce_core[1];
}

static inline int64_t get_subblockdim()
{
    return 2;
}

static inline int64_t get_block_num()
{
    return cce_core[2];
}

static inline int64_t get_coreid()
{
    return cce_core[3];
}

#endif // PTO_TESTS_CCE_H
