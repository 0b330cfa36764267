// SPDX-License-Identifier: Apache-2.0
// The handshake between the AICPU scheduler and one AICore: three cache lines, one writer each.
//
// The scheduler queues task indices in a ring and counts them; the core runs them in order and
// counts them too. Counts start at zero in every launch, never wrap within one, and are all that
// says "new": there is no flag to clear, and so none to be left over. The edges D1, C1, C2 and Q1
// named here are the ones of docs/protocol.md.
#ifndef PTO_ABI_HANDSHAKE_H
#define PTO_ABI_HANDSHAKE_H

#include "abi/abi.h"

// What the scheduler asks of a core beyond running its ring.
enum pto_core_command {
    PTO_CORE_RUN = 0,
    PTO_CORE_QUIT = 1, // nothing more will be queued: leave once the ring is empty
    PTO_CORE_STOP = 2, // the run is over early: leave now, whatever is queued
};

// What a core says of itself.
enum pto_core_state {
    PTO_CORE_ABSENT = 0,  // has not started in this launch
    PTO_CORE_RUNNING = 1, // runs its loop
    PTO_CORE_LEFT = 2,    // left because it was told to
    PTO_CORE_FAILED = 3,  // left because the task after the `completed` ones failed; see fail_*
};

enum pto_core_type {
    PTO_CORE_TYPE_UNKNOWN = 0,
    PTO_CORE_TYPE_AIC = 1, // cube core
    PTO_CORE_TYPE_AIV = 2, // vector core
};

// How a task failed.
enum pto_fail_kind {
    PTO_FAIL_NONE = 0,
    PTO_FAIL_RETURN = 1,  // its kernel returned fail_code, not zero
    PTO_FAIL_UNKNOWN = 2, // no kernel has its func_id, which is fail_code
    PTO_FAIL_FAULT = 3,   // its kernel faulted; fail_code is the signal's number
    PTO_FAIL_HANG = 4,    // its kernel was ended because it did not return in time
};

// Written by the scheduler thread that owns the core, read by the core.
// Invariant: core.completed <= queued <= core.completed + PTO_RING_DEPTH.
struct pto_dispatch_line {
    PTO_ALIGNED_LINE uint32_t queued; // tasks ever queued in this launch; published last (D1)
    uint32_t command;                 // enum pto_core_command (Q1)
    uint32_t reserved[6];             // keeps the ring on its own half line
    uint32_t ring[PTO_RING_DEPTH];    // task index of the n-th queued task at n % PTO_RING_DEPTH
};
PTO_STATIC_ASSERT(sizeof(struct pto_dispatch_line) == PTO_CACHE_LINE_SIZE, "one line");
PTO_STATIC_ASSERT(offsetof(struct pto_dispatch_line, ring) == 32, "the core reads the ring here");

// Written by the core, read by the scheduler, and by the host after the launch.
struct pto_core_line {
    PTO_ALIGNED_LINE uint32_t completed; // tasks run to their end, results written out (C1)
    uint32_t state;                      // enum pto_core_state; FAILED is published last (C2)
    uint32_t fail_kind;                  // enum pto_fail_kind
    int32_t fail_code;
    uint32_t core_type;   // enum pto_core_type
    uint32_t physical_id; // which core of the device this is
    uint32_t last_task;   // the task run last, PTO_NO_TASK before the first
    uint32_t reserved[9];
};
PTO_STATIC_ASSERT(sizeof(struct pto_core_line) == PTO_CACHE_LINE_SIZE, "one line");

// The owning scheduler thread's own notes on the core. No other agent touches them; they lie here
// because an AICPU entry has little stack and no heap.
struct pto_core_note {
    PTO_ALIGNED_LINE uint32_t queued; // what has been put into the ring, published or not
    uint32_t retired;                 // completions that have been dealt with
    uint32_t published;               // what dispatch_line.queued says
    uint32_t reserved[13];
};
PTO_STATIC_ASSERT(sizeof(struct pto_core_note) == PTO_CACHE_LINE_SIZE, "one line");

struct pto_handshake {
    struct pto_dispatch_line dispatch;
    struct pto_core_line core;
    struct pto_core_note note;
};
PTO_STATIC_ASSERT(sizeof(struct pto_handshake) == 3 * PTO_CACHE_LINE_SIZE, "three lines a core");

#endif // PTO_ABI_HANDSHAKE_H
