// SPDX-License-Identifier: Apache-2.0
// Kernels for tests: they count, wait, fail and crash on request. Simulator only: unlike kernels
// for an NPU, these call the C library and share words with each other while they run.
//
//     id  name            arguments                                     returns
//     10  trace           ticket, out, n                                0
//     11  sleep_ns        ns                                            0
//     12  fail            code                                          code
//     13  crash           kind                                          does not
//     14  hang            none                                          does not
//     15  spin_until_set  flag, n                                       0
//     16  nop             none                                          0
//     17  order           clock, out, 1, 2                              0
//     18  follow          before, clock, out, 1, 2                      0, or 1: see below
//     19  overrun         out, n, extra                                 0, if it returns
//     20  gather          out, n, eight integers                        0
//
// Words that several tasks of a run may touch at once are touched atomically; what only one task of
// a correct run touches is not, so that ThreadSanitizer reports an edge that the runtime lost.
#include "pto/kernel.h"

#include <signal.h>
#include <time.h>

// Macro and array without elements: GNU C, and C23.
#pragma GCC diagnostic ignored "-Wpedantic"

#define NOINLINE __attribute__((noinline))

// Takes the next ticket from a counter that many tasks share: out[0] = 1 + the ticket, so that 0 in
// `out` means "has not run". Tasks that only count may share `out` as well.
// Arguments: ticket (uint32[n]), out (uint32[n]), n >= 1.
PTO_KERNEL(10, trace, PTO_INOUT(uint32_t, 2), PTO_OUT(uint32_t, 2), PTO_INTEGER)
{
    uint32_t *ticket = PTO_POINTER(args, 0, uint32_t);
    uint32_t *out = PTO_POINTER(args, 1, uint32_t);
    uint32_t mine = 1 + __atomic_fetch_add(ticket, 1u, __ATOMIC_SEQ_CST);
    __atomic_store_n(out, mine, __ATOMIC_RELAXED);
    return 0;
}

// Returns after so many nanoseconds: sleeps through most of a long time, and polls the clock for
// the rest, so that short times are met too. Argument: ns.
PTO_KERNEL(11, sleep_ns, PTO_INTEGER)
{
    const uint64_t poll_ns = 100000;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t end_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + args[0];
    for (;;) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        if (now_ns >= end_ns) {
            return 0;
        }
        if (end_ns - now_ns > 2 * poll_ns) {
            uint64_t rest_ns = end_ns - now_ns - poll_ns;
            struct timespec rest = {.tv_sec = (time_t)(rest_ns / 1000000000u),
                                    .tv_nsec = (long)(rest_ns % 1000000000u)};
            nanosleep(&rest, NULL); // a signal that ends it early costs one more turn
        }
    }
}

// Returns the low 32 bits of its argument. Argument: code.
PTO_KERNEL(12, fail, PTO_INTEGER)
{
    return (int32_t)(uint32_t)args[0];
}

// The crashes are spelled so that no compiler sees them coming and makes something else of them.
static NOINLINE int32_t write_to_bad_address(void)
{
    uintptr_t address = 16;
    __asm__("" : "+r"(address));
    __atomic_store_n((uint32_t *)address, 1u, __ATOMIC_RELAXED);
    return 0;
}

// x86 raises SIGFPE for a division by zero; ARM gives zero, so there the signal is sent.
static NOINLINE int32_t divide_by_zero(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __asm__("xorl %%edx, %%edx\n\tmovl $42, %%eax\n\txorl %%ecx, %%ecx\n\tidivl %%ecx" ::
                : "eax", "ecx", "edx", "cc");
#else
    raise(SIGFPE);
#endif
    return 0;
}

static NOINLINE int32_t run_illegal_instruction(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __asm__("ud2");
#else
    raise(SIGILL);
#endif
    return 0;
}

// Each level writes a page of its frame, so the guard page below the stack is met and not skipped;
// the sum afterwards keeps the call from becoming a loop.
static NOINLINE int32_t recurse(uint64_t levels)
{
    char page[4096];
    __atomic_store_n(&page[levels % sizeof(page)], (char)levels, __ATOMIC_RELAXED);
    if (levels == 0) {
        return 0;
    }
    int32_t below = recurse(levels - 1);
    return below + __atomic_load_n(&page[levels % sizeof(page)], __ATOMIC_RELAXED);
}

// Does what its argument says. Argument: kind: 0 writes to address 16 (SIGSEGV), 1 divides by zero
// (SIGFPE), 2 sends itself SIGBUS, 3 runs an illegal instruction (SIGILL), 4 exhausts its stack
// (SIGSEGV). Any other kind returns it.
PTO_KERNEL(13, crash, PTO_INTEGER)
{
    switch (args[0]) {
    case 0: return write_to_bad_address();
    case 1: return divide_by_zero();
    case 2: return raise(SIGBUS);
    case 3: return run_illegal_instruction();
    case 4: return recurse(UINT64_MAX);
    default: return (int32_t)(uint32_t)args[0];
    }
}

// Never returns. It reads memory atomically, so that the loop may not be taken for dead.
PTO_KERNEL(14, hang, )
{
    static uint32_t never;
    (void)args;
    while (__atomic_load_n(&never, __ATOMIC_RELAXED) == 0) {
    }
    return 0;
}

// Returns when flag[0] is not zero: the host, or another task, sets it. Arguments: flag
// (uint32[n]), n >= 1.
PTO_KERNEL(15, spin_until_set, PTO_INOUT(uint32_t, 1), PTO_INTEGER)
{
    const uint32_t *flag = PTO_POINTER(args, 0, const uint32_t);
    while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) == 0) {
    }
    return 0;
}

PTO_KERNEL(16, nop, )
{
    (void)args;
    return 0;
}

// One task of a DAG under test. `clock` is one word for the whole DAG, `out` two words of the
// task's own, both zeroed by the host before the first run:
//     out[0] = how often the task has run
//     out[1] = the value of the clock when it ran last, counted from 1
// After run r of a DAG of T tasks: every out[0] == r; the out[1] are distinct, and all of
// (r - 1) * T + 1 .. r * T; and for every edge a -> b, out[1] of a < out[1] of b.
// out[0] is counted atomically, so that two runs of one task at the same time count as two.
// Arguments: clock (uint32[1]), out (uint32[2]), 1, 2.
PTO_KERNEL(17, order, PTO_INOUT(uint32_t, 2), PTO_INOUT(uint32_t, 3), PTO_INTEGER, PTO_INTEGER)
{
    uint32_t *clock_word = PTO_POINTER(args, 0, uint32_t);
    uint32_t *out = PTO_POINTER(args, 1, uint32_t);
    __atomic_fetch_add(&out[0], 1u, __ATOMIC_SEQ_CST);
    out[1] = 1 + __atomic_fetch_add(clock_word, 1u, __ATOMIC_SEQ_CST);
    return 0;
}

// `order` that also reads, without atomics, what the task before it wrote, as a real kernel reads
// its input. `before` is the `out` of a predecessor. Returns 1 when that task is not one run ahead,
// which no correct run shows. Arguments: before (uint32[2]), clock (uint32[1]), out (uint32[2]),
// 1, 2.
PTO_KERNEL(18, follow, PTO_IN(uint32_t, 4), PTO_INOUT(uint32_t, 3), PTO_INOUT(uint32_t, 4),
           PTO_INTEGER, PTO_INTEGER)
{
    const uint32_t *before = PTO_POINTER(args, 0, const uint32_t);
    uint32_t *clock_word = PTO_POINTER(args, 1, uint32_t);
    uint32_t *out = PTO_POINTER(args, 2, uint32_t);
    uint32_t run_count = 1 + __atomic_fetch_add(&out[0], 1u, __ATOMIC_SEQ_CST);
    out[1] = 1 + __atomic_fetch_add(clock_word, 1u, __ATOMIC_SEQ_CST);
    return before[0] == run_count && before[1] < out[1] ? 0 : 1;
}

// Writes further than it says: out[0..n + extra). Arguments: out (uint8[n]), n, extra.
PTO_KERNEL(19, overrun, PTO_OUT(uint8_t, 1), PTO_INTEGER, PTO_INTEGER)
{
    uint8_t *out = PTO_POINTER(args, 0, uint8_t);
    for (uint64_t i = 0; i < args[1] + args[2]; i++) {
        out[i] = 1;
    }
    return 0;
}

// More arguments than a task record holds: out[i] = args[2 + i]. Arguments: out (uint64[n]), n = 8,
// eight integers.
PTO_KERNEL(20, gather, PTO_OUT(uint64_t, 1), PTO_INTEGER, PTO_INTEGER, PTO_INTEGER, PTO_INTEGER,
           PTO_INTEGER, PTO_INTEGER, PTO_INTEGER, PTO_INTEGER, PTO_INTEGER)
{
    uint64_t *out = PTO_POINTER(args, 0, uint64_t);
    for (uint64_t i = 0; i < 8 && i < args[1]; i++) {
        out[i] = args[2 + i];
    }
    return 0;
}
