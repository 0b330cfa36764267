// SPDX-License-Identifier: Apache-2.0
// Entry points of the scheduler program.
//
// On an NPU, CANN's loader of AICPU programs looks up three names, calls ...ServerInit once and
// ...Server on as many AICPU threads as the launch asks for, all with the same argument. Names,
// signature and the layout of the argument follow the loader's published source (hicann/pypto,
// pypto_aicpu_interface). The simulator uses the table at the end instead.
#include "abi/access.h"
#include "abi/program.h"
#include "aicpu/scheduler.h"

#define PTO_EXPORT __attribute__((visibility("default")))

PTO_EXPORT int StaticTileFwkBackendKernelServer(void *args);
PTO_EXPORT int DynTileFwkBackendKernelServerInit(void *args);
PTO_EXPORT int DynTileFwkBackendKernelServer(void *args);

// Runs one scheduler thread to the end of the launch. 0 also when the run failed: the report says
// how, and a non-zero value would make CANN declare the AICPU itself broken.
static int serve(void *args)
{
    const struct pto_kernel_args *kernel_args = (const struct pto_kernel_args *)args;
    if (kernel_args == NULL) {
        return 1;
    }
    pto_cpu_refresh(kernel_args, sizeof(*kernel_args));
    uint64_t address = pto_cpu_load64(&kernel_args->launch);
    const struct pto_launch *launch = (const struct pto_launch *)(uintptr_t)address;
    if (launch == NULL) {
        return 1;
    }
    pto_cpu_refresh(launch, sizeof(*launch));
    if (pto_cpu_load(&launch->magic) != PTO_LAUNCH_MAGIC ||
        pto_cpu_load(&launch->version) != PTO_ABI_VERSION) {
        return 1;
    }
    struct pto_scheduler_shared *shared =
        (struct pto_scheduler_shared *)(uintptr_t)pto_cpu_load64(&launch->shared);
    // H1: the ticket is read before anything else of these lines, and so is a copy of them that is
    // cached from the last launch.
    pto_cpu_refresh(shared, sizeof(*shared));
    // T1: each thread its own index; one too many has nothing to do.
    uint32_t index = pto_peer_count(&shared->tickets, 1);
    if (index >= pto_cpu_load(&launch->scheduler_count)) {
        pto_cpu_refresh(shared, sizeof(*shared)); // H2: it wrote the line, perhaps last of all
        return 0;
    }
    struct pto_scheduler scheduler;
    pto_scheduler_begin(&scheduler, launch, index);
    enum pto_step outcome;
    do {
        outcome = pto_scheduler_step(&scheduler);
        if (outcome == PTO_STEP_IDLE) {
            pto_cpu_pause();
        }
    } while (outcome != PTO_STEP_LEAVE);
    return 0;
}

int StaticTileFwkBackendKernelServer(void *args)
{
    return serve(args);
}

int DynTileFwkBackendKernelServerInit(void *args)
{
    (void)args;
    return 0;
}

int DynTileFwkBackendKernelServer(void *args)
{
    return serve(args);
}

static void begin(void *state, const struct pto_launch *launch, uint32_t index)
{
    pto_scheduler_begin((struct pto_scheduler *)state, launch, index);
}

static enum pto_step step(void *state)
{
    return pto_scheduler_step((struct pto_scheduler *)state);
}

PTO_EXPORT extern const struct pto_aicpu_program pto_aicpu_program;

const struct pto_aicpu_program pto_aicpu_program = {
    .version = PTO_ABI_VERSION,
    .state_size = sizeof(struct pto_scheduler),
    .begin = begin,
    .step = step,
};
