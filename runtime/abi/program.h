// SPDX-License-Identifier: Apache-2.0
// How the simulator drives the device programs: step by step, through a table that each exports.
//
// On an NPU a program's entry point loops over the same step function until it says to leave.
#ifndef PTO_ABI_PROGRAM_H
#define PTO_ABI_PROGRAM_H

#include "abi/launch.h"

#define PTO_AICPU_PROGRAM_SYMBOL "pto_aicpu_program"
#define PTO_AICORE_PROGRAM_SYMBOL "pto_aicore_program"

// Private state of a program lies in memory of the caller, `state_size` bytes aligned to a cache
// line; one agent steps it at a time.
struct pto_aicpu_program {
    uint32_t version; // PTO_ABI_VERSION
    uint32_t state_size;
    // Starts scheduler thread `index` of launch->scheduler_count.
    void (*begin)(void *state, const struct pto_launch *launch, uint32_t index);
    enum pto_step (*step)(void *state);
};

struct pto_aicore_program {
    uint32_t version; // PTO_ABI_VERSION
    uint32_t state_size;
    // Starts core `core` of launch->core_count; type is an enum pto_core_type.
    void (*begin)(void *state, const struct pto_launch *launch, uint32_t core, uint32_t type,
                  uint32_t physical_id);
    // Runs at most `budget` tasks.
    enum pto_step (*step)(void *state, uint32_t budget);
};

#endif // PTO_ABI_PROGRAM_H
