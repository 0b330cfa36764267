// SPDX-License-Identifier: Apache-2.0
// The AICPU scheduler: hands ready tasks to cores, and releases successors as tasks complete.
//
// One struct for each scheduler thread, private to it. Thread i of n owns a contiguous share of the
// cores: it alone writes their dispatch lines and reads their completions. Ready tasks may be taken
// by any thread. No call waits, allocates, logs or sleeps.
#ifndef PTO_AICPU_SCHEDULER_H
#define PTO_AICPU_SCHEDULER_H

#include "abi/launch.h"

#define PTO_CORE_WORD_COUNT (PTO_CORE_COUNT_MAX / 64u)

// How often an idle thread fetches the host's stop line from memory. A person waits for it, so a
// millisecond is soon enough, and rare enough to cost nothing.
#define PTO_STOP_LOOK_NS 1000000u

// Sets of 64 cores, one bit each. Invariants, for every core this thread owns:
// idle bit == (queued == retired); room bit == (queued - retired < PTO_RING_DEPTH);
// dirty bit == (queued != published).
struct pto_core_sets {
    uint64_t owned;
    uint64_t idle;
    uint64_t room;
    uint64_t dirty;
};

struct pto_scheduler {
    // The launch and the graph, constant.
    const struct pto_launch *launch;
    struct pto_handshake *handshakes;
    const struct pto_task_record *records;
    const uint32_t *successors;
    const uint32_t *initial; // initially ready tasks
    uint32_t *pending;
    uint32_t *all_ready; // the ready queues of all threads, task_count places each
    uint32_t *ready;     // this thread's
    struct pto_ready_queue *queues;
    struct pto_scheduler_shared *shared;
    const struct pto_control *control;
    struct pto_report *report;
    uint64_t hints;
    uint64_t timeout_ns;
    uint32_t task_count;
    uint32_t initial_count;
    uint32_t index;
    uint32_t scheduler_count;
    uint32_t core_begin; // owned cores: [core_begin, core_end)
    uint32_t core_end;
    uint32_t word_begin; // words of the sets that hold them: [word_begin, word_end)
    uint32_t word_end;
    uint32_t share_shift; // 2^share_shift >= twice this thread's share of the executors
    uint32_t busy_max;    // cores to keep busy at most
    uint32_t depth_min;
    uint32_t alone;    // 1: the only thread, so shared words need no read-modify-write
    uint32_t unusable; // 1: begin refused the launch; expected and seen say why
    uint32_t expected;
    uint32_t seen;

    // What a step changes, in as few lines as can be: the simulator steps a scheduler now on one
    // processor, now on another. Ready tasks of this thread's queue are ready[head..tail). With
    // several threads `head` is the queue header's, and `cursor`, the position in `initial`, the
    // shared block's.
    PTO_ALIGNED_LINE uint32_t head;
    uint32_t tail;
    uint32_t cursor;
    uint32_t remaining;      // alone: tasks not yet retired
    uint32_t busy_count;     // owned cores that are not idle
    uint32_t retired;        // in this step
    uint32_t failed_core;    // core whose line says FAILED, else PTO_NO_TASK
    uint32_t progressed;     // 1: something happened since the deadline was last looked at
    uint32_t seen_remaining; // when it was
    uint64_t deadline_ns;    // 0: not set yet
    uint64_t next_look_ns;   // when to fetch the host's stop line again
    uint32_t left;           // 1: the program is over
    PTO_ALIGNED_LINE struct pto_core_sets sets[PTO_CORE_WORD_COUNT];
};

void pto_scheduler_begin(struct pto_scheduler *scheduler, const struct pto_launch *launch,
                         uint32_t index);
enum pto_step pto_scheduler_step(struct pto_scheduler *scheduler);

// dispatch.c: queues tasks to a core that has room for them, and what can be chained to them.
void pto__scheduler_put(struct pto_scheduler *scheduler, uint32_t core, const uint32_t *tasks,
                        uint32_t count);

// dispatch.c: hands out ready tasks and publishes what was put. Returns how many it handed out.
uint32_t pto__scheduler_dispatch(struct pto_scheduler *scheduler);

// finish.c: the ways a launch ends. Each sends this thread's cores away.
enum pto_step pto__scheduler_finish(struct pto_scheduler *scheduler);
enum pto_step pto__scheduler_abort(struct pto_scheduler *scheduler,
                                   const struct pto_report *report);
enum pto_step pto__scheduler_follow_abort(struct pto_scheduler *scheduler);
// Looks at the clock and at the host's stop line after a step that found nothing to do.
enum pto_step pto__scheduler_idle(struct pto_scheduler *scheduler);
enum pto_step pto__scheduler_report_core(struct pto_scheduler *scheduler, uint32_t status,
                                         uint32_t core);

static inline uint32_t pto__min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

#endif // PTO_AICPU_SCHEDULER_H
