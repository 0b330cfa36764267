// SPDX-License-Identifier: Apache-2.0
// Containing what a kernel does on the explorer that no model sees: it crashes, or it does not
// return. A fault of the processor ends the schedule, and so does a watchdog thread when no kernel
// has begun or ended for the time-out.
#ifndef PTO_EXPLORE_GUARD_H
#define PTO_EXPLORE_GUARD_H

#include <setjmp.h>
#include <stdatomic.h>

#include "base/fault.h"

struct pto_model;

struct pto_guard {
    struct pto_fault_scope scope;
    struct pto_model *model;
    sigjmp_buf escape; // set while the model runs
    int signal_number; // why it was taken; 0: the watchdog
    uint64_t address;
    _Atomic uint64_t progress; // kernels begun and ended
    _Atomic uint64_t kill;     // the progress that the watchdog wants ended, 0: none
    uint64_t timeout_ns;
    pthread_t caller;
    pthread_t watchdog;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool leaving; // under the mutex
};

PTO_NODISCARD enum pto_status pto__guard_open(struct pto_guard *guard, struct pto_model *model,
                                              uint64_t timeout_ns, struct pto_error *err);
void pto__guard_close(struct pto_guard *guard);
// Between the two the calling thread's launches are contained.
PTO_NODISCARD enum pto_status pto__guard_enter(struct pto_guard *guard, struct pto_error *err);
void pto__guard_leave(struct pto_guard *guard);

static inline void pto__guard_note_progress(struct pto_guard *guard)
{
    uint64_t progress = atomic_load_explicit(&guard->progress, memory_order_relaxed);
    atomic_store_explicit(&guard->progress, progress + 1, memory_order_relaxed);
}

#endif // PTO_EXPLORE_GUARD_H
