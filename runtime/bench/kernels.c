// SPDX-License-Identifier: Apache-2.0
// The bodies of work.h as kernels.
//
//     id  name   arguments                                     returns
//     30  empty  none                                          0
//     31  spin   iterations                                    0
//     32  check  epochs, predecessors, count, task, n          0, or 1: it began too early
#include "pto/kernel.h"

#include "bench/body.h"

// Macro and array without elements: GNU C, and C23.
#pragma GCC diagnostic ignored "-Wpedantic"

PTO_KERNEL(30, empty, )
{
    (void)args;
    return 0;
}

PTO_KERNEL(31, spin, PTO_INTEGER)
{
    uint64_t sink = bench_spin(args[0]);
    __asm__("" : : "r"(sink));
    return 0;
}

// A task of a DAG under test: its epoch goes up by one, and each of its predecessors must be there
// already. Arguments: epochs (uint32[n]), predecessors (uint32[count]), count, the task's number,
// n.
// Only the task itself writes its epoch, and only after its predecessors wrote theirs; the accesses
// are atomic so that a lost edge is a failed task and not undefined behaviour.
PTO_KERNEL(32, check, PTO_INOUT(uint32_t, 4), PTO_IN(uint32_t, 2), PTO_INTEGER, PTO_INTEGER,
           PTO_INTEGER)
{
    uint32_t *epochs = PTO_POINTER(args, 0, uint32_t);
    const uint32_t *predecessors = PTO_POINTER(args, 1, const uint32_t);
    const uint64_t count = args[2];
    const uint64_t task = args[3];
    const uint32_t next = __atomic_load_n(&epochs[task], __ATOMIC_RELAXED) + 1;
    for (uint64_t i = 0; i < count; i++) {
        if (__atomic_load_n(&epochs[predecessors[i]], __ATOMIC_RELAXED) != next) {
            return 1;
        }
    }
    __atomic_store_n(&epochs[task], next, __ATOMIC_RELAXED);
    return 0;
}
