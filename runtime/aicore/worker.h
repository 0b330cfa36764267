// SPDX-License-Identifier: Apache-2.0
// The AICore worker: takes tasks from its ring in order, runs their kernels, counts them.
//
// Runs on one AICore, or on whichever simulator lane holds that core. C11 that is also C++17.
#ifndef PTO_AICORE_WORKER_H
#define PTO_AICORE_WORKER_H

#include "abi/launch.h"
#include "pto/kernel.h"

// Private to the core.
struct pto_worker {
    PTO_GM const struct pto_dispatch_line *dispatch;
    PTO_GM struct pto_core_line *line;
    PTO_GM const struct pto_task_record *records;
    uint64_t image;
    uint64_t hints;
    uint32_t core;
    uint32_t completed; // tasks run in this launch
    uint32_t last_task;
};

// An NPU's program is two objects, for cube and vector cores, linked into one file: each has its
// own.
#if defined(__CCE_AICORE__)
#define PTO_WORKER_LOCAL static
#else
#define PTO_WORKER_LOCAL
#endif

PTO_WORKER_LOCAL PTO_AICORE void pto_worker_begin(struct pto_worker *worker,
                                                  PTO_GM const struct pto_launch *launch,
                                                  uint32_t core, uint32_t type,
                                                  uint32_t physical_id);
PTO_WORKER_LOCAL PTO_AICORE enum pto_step pto_worker_step(struct pto_worker *worker,
                                                          uint32_t budget);

// The way to a kernel: a false value when there is none with this number.
#if defined(__CCE_AICORE__)
typedef uint32_t pto_kernel_way; // func_id + 1; entry_aicore.cc says why it is no pointer
static PTO_AICORE pto_kernel_way pto__kernel_lookup(uint32_t func_id);
static PTO_AICORE int32_t pto__kernel_call(pto_kernel_way kernel, PTO_GM const uint64_t *args);
#else
typedef pto_kernel_function *pto_kernel_way;

// Filled by the entry file while the program is loaded, and constant from then on.
extern pto_kernel_function *pto__kernel_functions[PTO_FUNC_ID_MAX + 1];

static inline pto_kernel_way pto__kernel_lookup(uint32_t func_id)
{
    return func_id <= PTO_FUNC_ID_MAX ? pto__kernel_functions[func_id] : NULL;
}

static inline int32_t pto__kernel_call(pto_kernel_way kernel, const uint64_t *args)
{
    return kernel(args);
}
#endif

#endif // PTO_AICORE_WORKER_H
