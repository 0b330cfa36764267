// SPDX-License-Identifier: Apache-2.0
// The AICore program built for the host: the way from a func_id to a kernel, the table of functions
// that the simulator steps, and the two entry points that CANN looks up in a kernel for cube and
// vector cores (tiling key 0, "_mix_aic" and "_mix_aiv").
#include "abi/access.h"
#include "abi/program.h"
#include "aicore/worker.h"

#define PTO_EXPORT __attribute__((visibility("default")))

PTO_EXPORT void aicore_kernel_0_mix_aic(void *args);
PTO_EXPORT void aicore_kernel_0_mix_aiv(void *args);

// The linker lays the entries of all object files end to end and marks both ends.
extern const struct pto_kernel_entry __start_pto_kernel_entries[];
extern const struct pto_kernel_entry __stop_pto_kernel_entries[];

pto_kernel_function *pto__kernel_functions[PTO_FUNC_ID_MAX + 1];

__attribute__((constructor)) static void fill_functions(void)
{
    for (const struct pto_kernel_entry *entry = __start_pto_kernel_entries;
         entry != __stop_pto_kernel_entries; entry++) {
        pto__kernel_functions[entry->func_id] = entry->function;
    }
}

static void begin(void *state, const struct pto_launch *launch, uint32_t core, uint32_t type,
                  uint32_t physical_id)
{
    pto_worker_begin((struct pto_worker *)state, launch, core, type, physical_id);
}

static enum pto_step step(void *state, uint32_t budget)
{
    return pto_worker_step((struct pto_worker *)state, budget);
}

// Runs one core to the end of the launch. A core of an NPU knows its block and sub-block number; a
// thread of the host takes a ticket. One cube core goes with two vector cores, cube cores first.
static void run_core(void *args, uint32_t type)
{
    const struct pto_kernel_args *kernel_args = (const struct pto_kernel_args *)args;
    const struct pto_launch *launch =
        (const struct pto_launch *)(uintptr_t)pto_core_load64(&kernel_args->launch);
    struct pto_scheduler_shared *shared =
        (struct pto_scheduler_shared *)(uintptr_t)pto_core_load64(&launch->shared);
    uint32_t core_count = pto_core_load(&launch->core_count);
    uint32_t aic_count = (core_count + 2) / 3;
    // T1: each thread its own core; one too many has nothing to do.
    uint32_t core = type == PTO_CORE_TYPE_AIC ? pto_peer_count(&shared->aic_tickets, 1)
                                              : aic_count + pto_peer_count(&shared->aiv_tickets, 1);
    if (core >= (type == PTO_CORE_TYPE_AIC ? aic_count : core_count)) {
        return;
    }
    struct pto_worker worker;
    pto_worker_begin(&worker, launch, core, type, core);
    enum pto_step outcome;
    do {
        outcome = pto_worker_step(&worker, PTO_RING_DEPTH);
        if (outcome == PTO_STEP_IDLE) {
            pto_core_pause();
        }
    } while (outcome != PTO_STEP_LEAVE);
}

void aicore_kernel_0_mix_aic(void *args)
{
    run_core(args, PTO_CORE_TYPE_AIC);
}

void aicore_kernel_0_mix_aiv(void *args)
{
    run_core(args, PTO_CORE_TYPE_AIV);
}

PTO_EXPORT extern const struct pto_aicore_program pto_aicore_program;

const struct pto_aicore_program pto_aicore_program = {
    .version = PTO_ABI_VERSION,
    .state_size = sizeof(struct pto_worker),
    .begin = begin,
    .step = step,
};
