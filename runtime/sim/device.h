// SPDX-License-Identifier: Apache-2.0
// The simulated device: the real scheduler and worker, stepped by a few host threads ("lanes").
//
// Lane 0 is the thread that calls run(); the others are helpers that sleep until there is more work
// than lane 0 should do alone. Any lane may step any scheduler thread or core: it takes the lock of
// that program, steps it, lets go. So a device of 72 cores needs no more threads than one of 3, and
// a kernel that takes long blocks nothing but its core. A monitor thread steps schedulers that
// nobody else steps, because deadlines live in them, and ends kernels that do not return.
//
// Lock order: a program lock (never two at once), then `mutex`.
#ifndef PTO_SIM_DEVICE_H
#define PTO_SIM_DEVICE_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "abi/program.h"
#include "host/backend.h"

struct pto_sim_memory;

// One scheduler thread or core. `state` is the program's private memory.
struct pto_sim_program {
    bool left; // under its bit of the hints: it is over for this launch
    void *state;
};

// What a lane was doing when a kernel faulted, filled in by the signal handler.
struct pto_sim_fault {
    int signal; // 0: ended by the monitor
    uint64_t address;
};

// A lane looks at the clock after so many turns, or sooner.
#define PTO_SIM_TURNS_PER_LOOK 16u

struct pto_sim_lane {
    struct pto_backend *device;
    pthread_t thread;
    uint32_t index;
    _Alignas(64) _Atomic uint32_t stepping; // core + 1 while inside that core's program, else 0
    _Atomic uint32_t step_count;            // steps of cores begun
    _Atomic uint32_t kill_step;             // the step the monitor wants ended, 0: none
    sigjmp_buf escape;                      // where a fault inside a core's program goes
    struct pto_sim_fault fault;
    bool exclusive;         // lane 0: nobody else steps anything
    uint32_t budget;        // tasks to run in one step of a core
    uint64_t task_count;    // tasks run in this launch, by this lane
    uint64_t work_begin_ns; // when they began to be counted
    uint32_t core_count;    // cores found with work in this turn
    uint32_t turns;         // since the clock was looked at
    uint32_t idle_turns;    // in a row
    uint64_t last_poll_ns;  // lane 0: when the caller's function was last asked
    bool stopped;           // lane 0: it asked for the end
    void *signal_stack;
    // While a thread is this lane, see pto__sim_fault_bind.
    struct pto_sim_lane *outer; // the lane of another device that it was before, or NULL
    sigset_t blocked;           // fault signals that it had blocked
    bool had_blocked;           // any
};

// Launch block: what abi/launch.h describes, in one allocation.
struct pto_sim_block {
    struct pto_launch launch;
    struct pto_control control;
    struct pto_report report;
    struct pto_scheduler_shared shared;
    struct pto_hints hints;
    struct pto_ready_queue queues[PTO_SCHEDULER_COUNT_MAX];
    struct pto_handshake handshakes[]; // core_count
};

struct pto_backend {
    // Constant while open.
    uint32_t core_count;
    uint32_t lane_count;
    uint64_t timeout_ns;
    void *aicpu_handle;
    void *aicore_handle;
    const struct pto_aicpu_program *aicpu;
    const struct pto_aicore_program *aicore;
    struct pto_sim_memory *memory;
    struct pto_sim_block *block;
    struct pto_sim_program *schedulers; // PTO_SCHEDULER_COUNT_MAX
    struct pto_sim_program *cores;      // core_count
    void *states;                       // the programs' private memory
    struct pto_sim_lane *lanes;         // lane_count

    // The launch. Written by the caller of run() while no helper is inside.
    uint32_t scheduler_count;

    // Between lanes. `open` and `inside` keep helpers out while the caller prepares a launch: a
    // helper counts itself inside, then looks whether it may stay; the caller closes, then waits
    // for nobody to be inside.
    _Alignas(64) _Atomic uint32_t open;
    _Atomic uint32_t inside;
    _Atomic uint32_t schedulers_active; // scheduler threads that have not left
    _Atomic uint32_t cores_active;      // cores that have not left
    _Atomic uint32_t killed_core;       // the first whose kernel the monitor ended, or PTO_NO_TASK
    _Atomic uint32_t fault_core;        // the first whose kernel faulted, or PTO_NO_TASK
    _Atomic uint64_t fault_address;     // of that core
    _Alignas(64) _Atomic uint32_t helpers_asleep;
    _Atomic uint32_t helpers_waiting; // those, and the ones that look out for the next run
    _Atomic uint32_t helper_wake_count;
    _Atomic uint32_t caller_asleep;

    // Sleeping, under `mutex`.
    pthread_mutex_t mutex;
    pthread_cond_t helper_wake;
    pthread_cond_t caller_wake;
    bool closing;

    // The monitor, see monitor.c.
    pthread_t monitor;
    pthread_cond_t monitor_wake;
    _Atomic uint32_t monitor_awake;
    _Atomic uint64_t launch_count;
    uint32_t watched_step;     // monitor's: lane 0's step that it saw last
    uint64_t watched_since_ns; // and since when
    uint64_t ending_since_ns;  // monitor's: when it first saw schedulers gone and cores not
    uint64_t ending_launch;    // of which launch
};

// lane.c
enum pto_status pto__sim_lanes_start(struct pto_backend *device, struct pto_error *err);
void pto__sim_lanes_stop(struct pto_backend *device);
// Works as lane 0 until every program has left; polls the caller's function. Returns true when that
// asked for the end.
bool pto__sim_lane_run_caller(struct pto_backend *device, pto_poll_function *poll,
                              void *poll_context);
// Whether a thread other than lane 0, which has counted itself inside, may step programs.
bool pto__sim_may_step(const struct pto_backend *device);
void pto__sim_wake_helpers(struct pto_backend *device);
void pto__sim_wake_caller(struct pto_backend *device); // lane 0, when it sleeps in a run
// Waits until no helper is inside the launch. `open` must be 0.
void pto__sim_wait_outside(struct pto_backend *device);

// step.c
// Steps the schedulers that nobody else steps. True when one did something.
bool pto__sim_step_schedulers(struct pto_backend *device, bool exclusive);
// Steps cores that have work and that no other lane steps: with a small budget one of them, else
// each once. True when one was stepped.
bool pto__sim_step_cores(struct pto_sim_lane *lane);
// A kernel on this lane faulted, or was ended: its core fails, as one does of its own accord.
void pto__sim_contain_fault(struct pto_sim_lane *lane);
// Whether a lane without work would find some.
bool pto__sim_has_work(const struct pto_backend *device);

// monitor.c
enum pto_status pto__sim_monitor_start(struct pto_backend *device, struct pto_error *err);
void pto__sim_monitor_stop(struct pto_backend *device);
void pto__sim_monitor_arm(struct pto_backend *device); // at each launch

// fault.c: signal handlers for the faults of kernels, installed while any device is open.
enum pto_status pto__sim_fault_open(struct pto_error *err);
void pto__sim_fault_close(void);
// Makes the calling thread catch faults for `lane`, on a signal stack of its own; NULL ends that. A
// thread inside run() may run another device from the poll function, so lanes nest.
void pto__sim_fault_bind(struct pto_sim_lane *lane);
// Starts a thread with all signals blocked: those sent to the process are for its own threads.
// Binding unblocks faults. Returns an errno number, 0 on success.
int pto__sim_thread_create(pthread_t *thread, void *(*entry)(void *), void *argument);
enum pto_status pto__sim_fault_prepare_lane(struct pto_sim_lane *lane, struct pto_error *err);
void pto__sim_fault_release_lane(struct pto_sim_lane *lane);

// memory.c: the device's memory. Thread-safe.
enum pto_status pto__sim_memory_create(struct pto_sim_memory **out, struct pto_error *err);
void pto__sim_memory_destroy(struct pto_sim_memory *memory);
enum pto_status pto__sim_memory_allocate(struct pto_sim_memory *memory, uint64_t size_bytes,
                                         uint64_t *out_address, struct pto_error *err);
void pto__sim_memory_release(struct pto_sim_memory *memory, uint64_t address, uint64_t size_bytes);

#endif // PTO_SIM_DEVICE_H
