// SPDX-License-Identifier: Apache-2.0
// The AICore program for an NPU: its entry points, and the way from a func_id to a kernel. Compiled
// by CANN's compiler (ccec, a C++17 dialect) as the end of one file that includes the kernels and
// worker.c before it, once for the cube and once for the vector cores. Not compiled by ccec, and
// not run on silicon, by us.
//
// The program is position independent and has no data: a table of function pointers would hold
// addresses as linked, and nobody relocates them when CANN puts the code somewhere. So a kernel is
// found by comparisons and called directly; the compiler turns the recursion below, ten deep, into
// branches for the kernels that there are.
#include "abi/access.h"
#include "aicore/worker.h"

#ifndef __global__
#define __global__ __attribute__((cce_kernel))
#endif

template <uint32_t first, uint32_t count> static constexpr bool pto_any_kernel()
{
    if constexpr (count == 1) {
        return pto_kernel_slot<first>::is_used;
    } else {
        return pto_any_kernel<first, count / 2>() ||
               pto_any_kernel<first + count / 2, count - count / 2>();
    }
}

template <uint32_t first, uint32_t count>
static inline PTO_AICORE bool pto_has_kernel(uint32_t func_id)
{
    if constexpr (!pto_any_kernel<first, count>()) {
        return false;
    } else if constexpr (count == 1) {
        return func_id == first;
    } else {
        return func_id < first + count / 2
                   ? pto_has_kernel<first, count / 2>(func_id)
                   : pto_has_kernel<first + count / 2, count - count / 2>(func_id);
    }
}

template <uint32_t first, uint32_t count>
static inline PTO_AICORE int32_t pto_run_kernel(uint32_t func_id, PTO_GM const uint64_t *args)
{
    if constexpr (!pto_any_kernel<first, count>()) {
        return 0;
    } else if constexpr (count == 1) {
        return pto_kernel_slot<first>::run(args);
    } else {
        return func_id < first + count / 2
                   ? pto_run_kernel<first, count / 2>(func_id, args)
                   : pto_run_kernel<first + count / 2, count - count / 2>(func_id, args);
    }
}

static PTO_AICORE pto_kernel_way pto__kernel_lookup(uint32_t func_id)
{
    return pto_has_kernel<0, PTO_FUNC_ID_MAX + 1>(func_id) ? func_id + 1 : 0;
}

static PTO_AICORE int32_t pto__kernel_call(pto_kernel_way kernel, PTO_GM const uint64_t *args)
{
    return pto_run_kernel<0, PTO_FUNC_ID_MAX + 1>(kernel - 1, args);
}

// Runs one core to the end of the launch. Cube cores come first in our numbers, and a launch of
// whole blocks may have one or two vector cores more than were asked for.
static PTO_AICORE void pto_run_core(PTO_GM const struct pto_kernel_args *args, uint32_t core,
                                    uint32_t type)
{
    // H1: the arguments too were written since this core's cache last saw their lines.
    pto_core_flush_cache();
    pto_core_barrier();
    PTO_GM const struct pto_launch *launch =
        (PTO_GM const struct pto_launch *)(uintptr_t)pto_core_load64(&args->launch);
    if (core >= pto_core_load(&launch->core_count)) {
        return;
    }
    struct pto_worker worker;
    pto_worker_begin(&worker, launch, core, type, (uint32_t)(get_coreid() & 0xfff));
    while (pto_worker_step(&worker, PTO_RING_DEPTH) != PTO_STEP_LEAVE) {
    }
}

#if defined(__DAV_CUBE__)
extern "C" __global__ PTO_AICORE void
aicore_kernel_0_mix_aic(PTO_GM const struct pto_kernel_args *args)
{
    pto_run_core(args, (uint32_t)get_block_idx(), PTO_CORE_TYPE_AIC);
}
#else
extern "C" __global__ PTO_AICORE void
aicore_kernel_0_mix_aiv(PTO_GM const struct pto_kernel_args *args)
{
    // Read here, before any kernel: some change what these intrinsics say.
    uint32_t index = (uint32_t)(get_block_idx() * get_subblockdim() + get_subblockid());
    pto_run_core(args, (uint32_t)get_block_num() + index, PTO_CORE_TYPE_AIV);
}
#endif
