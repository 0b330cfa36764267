// SPDX-License-Identifier: Apache-2.0
// Lanes: when to step what, to sleep and to wake. What a step is, is in step.c.
//
// Waking a thread costs more than a small graph (tens of microseconds on a virtual machine), so
// lane 0 works alone until it has measured that the tasks are long enough, and enough are left, for
// a helper to pay. A helper that finds nothing spins briefly and sleeps.
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/error.h"
#include "base/wait.h"
#include "sim/device.h"

#define POLL_PERIOD_NS 50000000u
#define CALLER_SLEEP_NS 10000000u
// What a wake must bring in, and the mean task length from which two lanes beat one.
#define WAKE_WORK_NS 100000u
#define WAKE_TASK_NS 100u
#define HELPER_TASK_NS_MIN 70u
// What has been measured for less is no reason to wake anybody: the first task of a run waits for
// all that is not in the caches.
#define TRUST_NS 2000u
// How long a lane should stay with one core: a whole ring of short tasks, because each change of
// hands moves cache lines between processors, but not so long that others wait for the scheduling
// it would do in between. A lane that is alone has only polling to come back for.
#define STEP_NS 160000u
#define STEP_ALONE_NS 1600000u
// How long a helper looks out for the next run, and how often it looks at the clock meanwhile.
#define LOOK_OUT_NS 50000u
#define LOOK_OUT_TURNS 16u
#define IDLE_TURNS_MAX 1000u

// Alone, a lane needs no locks, and the hints no read-modify-write: of the cost of a short task
// that is a third. Lane 0 goes in and out of it between two turns. Whoever else may step a program
// counts itself `inside` first and then looks at the flag; lane 0 sets the flag first and then
// looks whether anybody is inside.
static void enter_exclusive(struct pto_sim_lane *lane)
{
    struct pto_backend *device = lane->device;
    uint32_t *flag = &device->block->hints.exclusive;
    if (lane->exclusive || atomic_load(&device->inside) != 0) {
        return;
    }
    __atomic_store_n(flag, 1, __ATOMIC_SEQ_CST);
    if (atomic_load(&device->inside) != 0) {
        __atomic_store_n(flag, 0, __ATOMIC_SEQ_CST);
        return;
    }
    lane->exclusive = true;
}

static void leave_exclusive(struct pto_sim_lane *lane)
{
    lane->exclusive = false;
    __atomic_store_n(&lane->device->block->hints.exclusive, 0, __ATOMIC_SEQ_CST);
}

bool pto__sim_may_step(const struct pto_backend *device)
{
    return atomic_load(&device->open) != 0 &&
           __atomic_load_n(&device->block->hints.exclusive, __ATOMIC_SEQ_CST) == 0;
}

void pto__sim_wake_caller(struct pto_backend *device)
{
    if (atomic_load(&device->caller_asleep) == 0) {
        return;
    }
    pthread_mutex_lock(&device->mutex);
    pthread_cond_signal(&device->caller_wake);
    pthread_mutex_unlock(&device->mutex);
}

void pto__sim_wake_helpers(struct pto_backend *device)
{
    if (atomic_load(&device->helpers_waiting) == 0) {
        return;
    }
    atomic_fetch_add(&device->helper_wake_count, 1);
    if (atomic_load(&device->helpers_asleep) != 0) {
        pthread_mutex_lock(&device->mutex);
        pthread_cond_broadcast(&device->helper_wake);
        pthread_mutex_unlock(&device->mutex);
    }
}

// Measures the tasks since the last look. Returns their mean length, 0 when there were none.
static uint64_t look_at_clock(struct pto_sim_lane *lane, uint64_t now_ns)
{
    struct pto_backend *device = lane->device;
    lane->turns = 0;
    uint64_t tasks = lane->task_count;
    if (tasks == 0) {
        return 0;
    }
    uint64_t elapsed_ns = now_ns - lane->work_begin_ns;
    uint64_t mean_ns = elapsed_ns / tasks;
    bool is_trusted = lane->index != 0 || mean_ns < WAKE_TASK_NS || elapsed_ns >= TRUST_NS;
    uint64_t step_ns = !is_trusted ? TRUST_NS : device->lane_count == 1 ? STEP_ALONE_NS : STEP_NS;
    uint64_t budget = mean_ns == 0 ? PTO_RING_DEPTH : step_ns / mean_ns;
    lane->budget = budget == 0 ? 1 : (uint32_t)budget;
    if (lane->budget > PTO_RING_DEPTH) {
        lane->budget = PTO_RING_DEPTH;
    }
    if (!is_trusted) {
        lane->turns = PTO_SIM_TURNS_PER_LOOK - 1; // looks again after the next one
        return mean_ns;
    }
    lane->task_count = 0;
    lane->work_begin_ns = now_ns;
    if (device->lane_count == 1 || mean_ns < WAKE_TASK_NS) {
        if (lane->index == 0) {
            enter_exclusive(lane);
        }
        return mean_ns;
    }
    if (lane->exclusive) {
        leave_exclusive(lane);
    }
    uint64_t remaining = __atomic_load_n(&device->block->shared.remaining, __ATOMIC_RELAXED);
    if (lane->core_count > 1 && remaining * mean_ns >= WAKE_WORK_NS) {
        pto__sim_wake_helpers(device);
    }
    return mean_ns;
}

static void begin_work(struct pto_sim_lane *lane)
{
    lane->budget = 1;
    lane->task_count = 0;
    lane->turns = 0;
    lane->exclusive = false;
    lane->work_begin_ns = pto__now_ns();
}

static bool lane_turn(struct pto_sim_lane *lane)
{
    bool scheduled = pto__sim_step_schedulers(lane->device, lane->exclusive);
    if (scheduled && lane->index != 0) {
        pto__sim_wake_caller(lane->device);
    }
    bool stepped = pto__sim_step_cores(lane);
    lane->turns++;
    return scheduled || stepped;
}

static bool is_over(const struct pto_backend *device)
{
    return atomic_load(&device->schedulers_active) == 0 && atomic_load(&device->cores_active) == 0;
}

static void caller_sleep(struct pto_backend *device)
{
    pthread_mutex_lock(&device->mutex);
    // Whoever makes work from here on sees the flag; whoever did before is seen by
    // pto__sim_has_work().
    atomic_store(&device->caller_asleep, 1);
    if (!pto__sim_has_work(device)) {
        pto__wait_for(&device->caller_wake, &device->mutex, CALLER_SLEEP_NS);
    }
    atomic_store(&device->caller_asleep, 0);
    pthread_mutex_unlock(&device->mutex);
}

bool pto__sim_lane_run_caller(struct pto_backend *device, pto_poll_function *poll,
                              void *poll_context)
{
    struct pto_sim_lane *lane = &device->lanes[0];
    begin_work(lane);
    lane->last_poll_ns = lane->work_begin_ns;
    lane->idle_turns = 0;
    lane->stopped = false;
    if (sigsetjmp(lane->escape, 0) != 0) {
        pto__sim_contain_fault(lane);
    }
    while (!is_over(device)) {
        bool busy = lane_turn(lane);
        lane->idle_turns = busy ? 0 : lane->idle_turns + 1;
        if (lane->turns < PTO_SIM_TURNS_PER_LOOK && lane->budget == PTO_RING_DEPTH) {
            continue;
        }
        uint64_t now_ns = pto__now_ns();
        look_at_clock(lane, now_ns);
        if (poll != NULL && !lane->stopped && now_ns - lane->last_poll_ns >= POLL_PERIOD_NS) {
            lane->last_poll_ns = now_ns;
            if (poll(poll_context) != 0) {
                lane->stopped = true;
                __atomic_store_n(&device->block->control.stop, 1, __ATOMIC_RELAXED); // X1
            }
        }
        if (lane->idle_turns >= IDLE_TURNS_MAX) {
            leave_exclusive(lane);
            caller_sleep(device);
        } else if (lane->idle_turns != 0) {
            pto__cpu_relax();
        }
    }
    return lane->stopped;
}

// One helper's part in one launch.
static void help(struct pto_sim_lane *lane)
{
    struct pto_backend *device = lane->device;
    begin_work(lane);
    lane->idle_turns = 0;
    while (pto__sim_may_step(device) && !is_over(device)) {
        bool busy = lane_turn(lane);
        lane->idle_turns = busy ? 0 : lane->idle_turns + 1;
        if (lane->turns >= PTO_SIM_TURNS_PER_LOOK || lane->budget < PTO_RING_DEPTH) {
            uint64_t mean_ns = look_at_clock(lane, pto__now_ns());
            if (mean_ns != 0 && mean_ns < HELPER_TASK_NS_MIN) {
                return; // the tasks are too short to be worth two lanes
            }
        }
        if (lane->idle_turns >= IDLE_TURNS_MAX) {
            return;
        }
        if (!busy) {
            pto__cpu_relax();
        }
    }
}

// Waits for the next wake. Who runs a graph often runs another one soon, and a thread that is still
// awake begins tens of microseconds earlier; so a helper that was of use looks out for a while
// before it sleeps. It does so outside of the launch, which need not wait for it. False when the
// device is being closed.
static bool wait_for_wake(struct pto_backend *device, bool was_of_use)
{
    uint32_t seen = atomic_load(&device->helper_wake_count);
    atomic_fetch_add(&device->helpers_waiting, 1);
    uint64_t begin_ns = pto__now_ns();
    while (was_of_use && atomic_load(&device->helper_wake_count) == seen &&
           pto__now_ns() - begin_ns < LOOK_OUT_NS) {
        for (uint32_t i = 0; i < LOOK_OUT_TURNS; i++) {
            pto__cpu_relax();
        }
    }
    pthread_mutex_lock(&device->mutex);
    atomic_fetch_add(&device->helpers_asleep, 1);
    while (!device->closing && atomic_load(&device->helper_wake_count) == seen) {
        pthread_cond_wait(&device->helper_wake, &device->mutex);
    }
    atomic_fetch_sub(&device->helpers_asleep, 1);
    bool closing = device->closing;
    pthread_mutex_unlock(&device->mutex);
    atomic_fetch_sub(&device->helpers_waiting, 1);
    return !closing;
}

static void take_part(struct pto_sim_lane *lane)
{
    atomic_fetch_add(&lane->device->inside, 1);
    if (sigsetjmp(lane->escape, 0) != 0) {
        pto__sim_contain_fault(lane);
    }
    help(lane);
    atomic_fetch_sub(&lane->device->inside, 1);
}

static void *helper_main(void *argument)
{
    struct pto_sim_lane *lane = argument;
    pto__fault_bind(&lane->fault_scope);
    bool was_of_use = false;
    while (wait_for_wake(lane->device, was_of_use)) {
        uint32_t before = atomic_load(&lane->step_count);
        take_part(lane);
        was_of_use = atomic_load(&lane->step_count) != before;
    }
    pto__fault_bind(NULL);
    return NULL;
}

void pto__sim_wait_outside(struct pto_backend *device)
{
    while (atomic_load(&device->inside) != 0) {
        struct timespec moment = {.tv_nsec = 1000};
        pto__cpu_relax();
        nanosleep(&moment, NULL);
    }
}

enum pto_status pto__sim_lanes_start(struct pto_backend *device, struct pto_error *err)
{
    for (uint32_t i = 0; i < device->lane_count; i++) {
        struct pto_sim_lane *lane = &device->lanes[i];
        lane->device = device;
        lane->index = i;
        enum pto_status status = pto__sim_fault_prepare_lane(lane, err);
        if (status != PTO_OK) {
            device->lane_count = i;
            return status;
        }
        // Lane 0 is whoever calls run().
        int code = i == 0 ? 0 : pto__fault_thread_create(&lane->thread, helper_main, lane);
        if (code != 0) {
            pto__fault_release(&lane->fault_scope);
            device->lane_count = i;
            return pto_fail(err, PTO_E_NO_MEMORY, "cannot start the simulator's lane %u: %s",
                            (unsigned)i, strerror(code));
        }
    }
    return PTO_OK;
}

// The caller has set `closing` under the mutex.
void pto__sim_lanes_stop(struct pto_backend *device)
{
    pthread_mutex_lock(&device->mutex);
    pthread_cond_broadcast(&device->helper_wake);
    pthread_mutex_unlock(&device->mutex);
    for (uint32_t i = 0; i < device->lane_count; i++) {
        if (i != 0) {
            pthread_join(device->lanes[i].thread, NULL);
        }
        pto__fault_release(&device->lanes[i].fault_scope);
    }
}
