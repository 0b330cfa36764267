// SPDX-License-Identifier: Apache-2.0
// Coroutines: the agents of the explorer, all on one thread. A switch saves the registers that a
// call preserves and costs a few nanoseconds; processors without an assembly version use ucontext.
#ifndef PTO_EXPLORE_COROUTINE_H
#define PTO_EXPLORE_COROUTINE_H

#include "pto/status.h"

// Kernels run on it, so it is as large as a small thread's.
#define PTO_COROUTINE_STACK_BYTES (256u * 1024u)

struct pto_coroutine {
    void *context;    // where it goes on; the assembly's stack pointer or a ucontext
    uint8_t *mapping; // a guard page, then the stack; NULL for the thread's own
    uint64_t mapping_bytes;
};

// A coroutine with a stack of its own.
PTO_NODISCARD enum pto_status pto__coroutine_create(struct pto_coroutine *coroutine,
                                                    struct pto_error *err);
// The coroutine that stands for the calling thread.
PTO_NODISCARD enum pto_status pto__coroutine_adopt(struct pto_coroutine *coroutine,
                                                   struct pto_error *err);
void pto__coroutine_destroy(struct pto_coroutine *coroutine);

// The next switch to the coroutine calls entry(argument), which must never return. Whatever it was
// doing before is forgotten.
void pto__coroutine_prepare(struct pto_coroutine *coroutine, void (*entry)(void *), void *argument);

// Goes on in `to`; returns when something switches back to `from`.
void pto__coroutine_switch(struct pto_coroutine *from, struct pto_coroutine *to);

#endif // PTO_EXPLORE_COROUTINE_H
