// SPDX-License-Identifier: Apache-2.0
// Containing the faults of kernels: a bad access, a division by zero, a stack overflow inside a
// kernel costs the user an exception, not the process.
//
// A device that runs kernels on the host binds a scope to the thread that does, and the scope's
// function decides what comes of a fault there. A signal that is not the scope's goes to whatever
// handler was there before.
#ifndef PTO_BASE_FAULT_H
#define PTO_BASE_FAULT_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "pto/status.h"

struct pto_fault_scope {
    // Called in the signal handler, on the signal stack, when a fault signal arrives. Jumps to
    // where the fault is dealt with, or returns whether the signal was for the scope.
    bool (*handle)(struct pto_fault_scope *scope, int signal_number, const siginfo_t *info);
    void *signal_stack;
    // While it is bound.
    struct pto_fault_scope *outer; // that the thread was bound to before, or NULL
    sigset_t blocked;              // fault signals that the thread had blocked
    bool had_blocked;              // any
};

// Installs the handlers with the first call and gives them back with the last pto__fault_close.
PTO_NODISCARD enum pto_status pto__fault_open(struct pto_error *err);
void pto__fault_close(void);

// The memory that a scope needs.
PTO_NODISCARD enum pto_status pto__fault_prepare(struct pto_fault_scope *scope,
                                                 struct pto_error *err);
void pto__fault_release(struct pto_fault_scope *scope);

// Makes the calling thread's faults the scope's, on a signal stack of its own; NULL ends that. A
// thread inside a run may run another device from the poll function, so scopes nest.
void pto__fault_bind(struct pto_fault_scope *scope);

// Whether the processor raised the signal, and not kill() or one of its kind.
static inline bool pto__fault_is_own(const siginfo_t *info)
{
    return info->si_code > 0;
}

// Starts a thread with all signals blocked: those sent to the process are for its own threads.
// Binding unblocks faults. Returns an errno number, 0 on success.
int pto__fault_thread_create(pthread_t *thread, void *(*entry)(void *), void *argument);

#endif // PTO_BASE_FAULT_H
