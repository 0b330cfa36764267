// SPDX-License-Identifier: Apache-2.0
// The AICore program as the simulator loads it: a table of its functions, and the way from a
// func_id to a kernel.
#include "abi/program.h"
#include "aicore/worker.h"

// The linker lays the entries of all object files end to end and marks both ends.
extern const struct pto_kernel_entry __start_pto_kernel_entries[];
extern const struct pto_kernel_entry __stop_pto_kernel_entries[];

// Filled once, while the file is loaded, and constant from then on.
static pto_kernel_function *functions[PTO_FUNC_ID_MAX + 1];

__attribute__((constructor)) static void fill_functions(void)
{
    for (const struct pto_kernel_entry *entry = __start_pto_kernel_entries;
         entry != __stop_pto_kernel_entries; entry++) {
        functions[entry->func_id] = entry->function;
    }
}

pto_kernel_function *pto__kernel_lookup(uint32_t func_id)
{
    return func_id <= PTO_FUNC_ID_MAX ? functions[func_id] : NULL;
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

__attribute__((visibility("default"))) extern const struct pto_aicore_program pto_aicore_program;

const struct pto_aicore_program pto_aicore_program = {
    .version = PTO_ABI_VERSION,
    .state_size = sizeof(struct pto_worker),
    .begin = begin,
    .step = step,
};
