// SPDX-License-Identifier: Apache-2.0
// What one launch gives the device programs, and what they give back.
//
// The launch block is one piece of device memory that a backend owns and the host zeroes and fills
// before every launch: parameters, the host's stop line, the report, the schedulers' shared words,
// one queue header for each scheduler thread, one handshake for each core. The run state of a graph
// (pending counts and ready queues, sized by the graph) lies beside its image; the host writes it
// once, and the scheduler puts it back as tasks complete, so an unchanged graph runs again without
// an upload.
#ifndef PTO_ABI_LAUNCH_H
#define PTO_ABI_LAUNCH_H

#include "abi/handshake.h"
#include "abi/image.h"

#define PTO_LAUNCH_MAGIC 0x4c4f5450u // "PTOL", little endian

// Launch parameters. Written by the host before the launch, constant during it (edge H1).
struct pto_launch {
    PTO_ALIGNED_LINE uint32_t magic;
    uint32_t version;         // PTO_ABI_VERSION
    uint32_t core_count;      // 1..PTO_CORE_COUNT_MAX
    uint32_t scheduler_count; // 1..min(PTO_SCHEDULER_COUNT_MAX, core_count)
    uint32_t executor_count; // cores that really run at the same time: hardware all, simulator CPUs
    uint32_t depth_min;      // tasks to keep queued on a busy core even when few are ready; >= 1
    uint32_t image_changed;  // 1: the host wrote the image or run state since the last launch
    uint32_t reserved;
    uint64_t image;      // address of struct pto_image_header
    uint64_t pending;    // address of uint32_t[task_count]: predecessors not yet completed
    uint64_t ready;      // address of uint32_t[scheduler_count][task_count]: ready queues
    uint64_t control;    // address of struct pto_control
    uint64_t report;     // address of struct pto_report
    uint64_t shared;     // address of struct pto_scheduler_shared
    uint64_t queues;     // address of struct pto_ready_queue[scheduler_count]
    uint64_t handshakes; // address of struct pto_handshake[core_count]
    uint64_t hints;      // simulator: address of its work hints; hardware: 0
    uint64_t timeout_ns; // the run ends when no task completes for so long
    uint64_t reserved2[2];
};
PTO_STATIC_ASSERT(sizeof(struct pto_launch) == 2 * PTO_CACHE_LINE_SIZE, "two lines");

// Written by the host, read by the scheduler during the launch.
struct pto_control {
    PTO_ALIGNED_LINE uint32_t stop; // 1: end the run early (edge X1)
    uint32_t reserved[15];
};
PTO_STATIC_ASSERT(sizeof(struct pto_control) == PTO_CACHE_LINE_SIZE, "one line");

enum pto_report_status {
    PTO_REPORT_NONE = 0,    // the scheduler has not finished
    PTO_REPORT_DONE = 1,    // every task completed
    PTO_REPORT_STOPPED = 2, // the host asked for the end
    PTO_REPORT_TASK = 3,    // a task failed: fail_*, core, task
    PTO_REPORT_TIMEOUT = 4, // nothing completed for timeout_ns
    PTO_REPORT_LAUNCH = 5,  // the launch parameters or the image are not usable; see expected, seen
};

// Written by one scheduler thread at the end of a run, read by the host after the launch (edge R1).
struct pto_report {
    PTO_ALIGNED_LINE uint32_t status; // enum pto_report_status
    uint32_t core;      // TASK and TIMEOUT: the core, or PTO_NO_TASK when no core holds a task
    uint32_t task;      // TASK and TIMEOUT: the task that core was to run next
    uint32_t func_id;   // of that task
    uint32_t fail_kind; // enum pto_fail_kind
    int32_t fail_code;
    uint32_t expected;   // TIMEOUT: tasks queued to the core; LAUNCH: what was needed
    uint32_t seen;       // TIMEOUT: tasks it completed; LAUNCH: what was found
    uint32_t core_state; // enum pto_core_state of that core
    uint32_t completed;  // tasks retired before the end
    uint32_t reserved[6];
};
PTO_STATIC_ASSERT(sizeof(struct pto_report) == PTO_CACHE_LINE_SIZE, "one line");

// Shared by the scheduler threads; all start at zero except `remaining`.
struct pto_scheduler_shared {
    PTO_ALIGNED_LINE uint32_t tickets; // entries that have taken a scheduler index (edge T1)
    uint32_t ended;                    // 1: some thread has claimed the report (edge A1)
    uint32_t abort;                    // 1: leave, the report says why (edge A2)
    uint32_t aic_tickets;              // host builds: cores that have taken an index (edge T1);
    uint32_t aiv_tickets;              // a core of an NPU knows its own
    uint32_t reserved[11];
    PTO_ALIGNED_LINE uint32_t remaining; // tasks not yet retired (edge S2)
    uint32_t ready_cursor;               // initially ready tasks taken so far (edge S3)
    uint32_t reserved2[14];
};
PTO_STATIC_ASSERT(sizeof(struct pto_scheduler_shared) == 2 * PTO_CACHE_LINE_SIZE, "two lines");

// The header of one scheduler thread's FIFO of tasks that became ready. The owner appends; the
// owner and thieves take from the front while holding the lock. A task enters a queue once per run,
// so positions never wrap and task_count places are enough.
// Invariant: head <= tail <= task_count.
struct pto_ready_queue {
    PTO_ALIGNED_LINE uint32_t tail; // written by the owner (edge S4)
    uint32_t reserved[15];
    PTO_ALIGNED_LINE uint32_t lock; // 1: held (edge S5)
    uint32_t head;                  // written by the holder of the lock
    uint32_t reserved2[14];
};
PTO_STATIC_ASSERT(sizeof(struct pto_ready_queue) == 2 * PTO_CACHE_LINE_SIZE, "two lines");

// The simulator's work hints: one bit for each core, so that an idle core costs nothing to skip.
// What concerns 64 cores is together: a lane that writes one of the words writes the others next,
// and the line has to come from another processor once.
#define PTO_HINT_WORD_COUNT (PTO_CORE_COUNT_MAX / 64u)
struct pto_hint_word {
    uint64_t runnable;        // set by the scheduler's doorbell
    uint64_t completed;       // set by the core
    uint64_t stepped;         // cores that one of the simulator's lanes is stepping
    uint64_t threads_stepped; // in word 0: scheduler threads that one is stepping, a bit each
};
struct pto_hints {
    PTO_ALIGNED_LINE struct pto_hint_word words[PTO_HINT_WORD_COUNT];
    // 1: one host thread does everything at the moment, so the words need no read-modify-write.
    PTO_ALIGNED_LINE uint32_t exclusive;
    uint32_t yield; // 1: a core is to come back after its current task
    uint32_t reserved[14];
};

// What an entry point's argument points to on an NPU. CANN's loader of AICPU programs reads the
// pointer at byte 40; the bytes before it are its own, and ours follow.
struct pto_kernel_args {
    uint64_t loader[5];
    uint64_t device_args;
    uint64_t launch; // address of struct pto_launch
};
PTO_STATIC_ASSERT(offsetof(struct pto_kernel_args, device_args) == 40, "read by CANN's loader");
PTO_STATIC_ASSERT(offsetof(struct pto_kernel_args, launch) == 48, "read by our entry points");

// Outcome of one step of a device program.
enum pto_step {
    PTO_STEP_IDLE = 0,  // polled, found nothing to do
    PTO_STEP_BUSY = 1,  // did something
    PTO_STEP_LEAVE = 2, // the program is over for this launch; do not step it again
};

#endif // PTO_ABI_LAUNCH_H
