// SPDX-License-Identifier: Apache-2.0
// The monitor: one thread that looks after a launch that takes long, and sleeps otherwise.
//
// Deadlines live in the scheduler, and a lane that is inside a kernel does not step it; so the
// monitor does, every period. When the schedulers have left and a core has not, its kernel is ended
// by a signal to its lane: at once if the scheduler's deadline passed, else (the run failed
// elsewhere, or was stopped) once it had as long again. Lane 0 alone steps its scheduler itself,
// and the deadline of a kernel that it is in is the monitor's. A launch that is over within a
// period is never waited for: after a period without one the monitor sleeps until a launch wakes
// it.
#include <signal.h>
#include <string.h>

#include "base/error.h"
#include "base/wait.h"
#include "sim/device.h"

#define PERIOD_NS_MAX 10000000u

static void end_stuck_kernels(struct pto_backend *device)
{
    for (uint32_t i = 0; i < device->lane_count; i++) {
        struct pto_sim_lane *lane = &device->lanes[i];
        uint32_t step = atomic_load(&lane->step_count);
        if (atomic_load(&lane->stepping) != 0 && step == atomic_load(&lane->step_count)) {
            atomic_store(&lane->kill_step, step);
            pthread_kill(lane->thread, SIGSEGV);
        }
    }
}

static void look(struct pto_backend *device)
{
    // Lane 0 cannot tell that tasks are long while it is in the first of them.
    if (pto__sim_step_schedulers(device, false) || pto__sim_has_work(device)) {
        pto__sim_wake_helpers(device);
    }
    if (atomic_load(&device->schedulers_active) != 0 || atomic_load(&device->cores_active) == 0) {
        device->ending_since_ns = 0;
        return;
    }
    uint64_t now = pto__now_ns();
    uint64_t launch = atomic_load(&device->launch_count);
    if (device->ending_since_ns == 0 || device->ending_launch != launch) {
        device->ending_since_ns = now;
        device->ending_launch = launch;
    }
    uint32_t status = __atomic_load_n(&device->block->report.status, __ATOMIC_ACQUIRE);
    bool overdue = now - device->ending_since_ns >= device->timeout_ns;
    // After a good end nothing is inside a kernel, whatever a lane is still busy with.
    if (status != PTO_REPORT_DONE && (status == PTO_REPORT_TIMEOUT || overdue)) {
        end_stuck_kernels(device);
    }
}

// A step that has lasted since the last look is one of long tasks: the lane is asked to come back
// between two. While lane 0 is alone nobody else may step the scheduler, so the deadline of the
// kernel that it is in is this thread's to keep.
static void watch_steps(struct pto_backend *device)
{
    struct pto_sim_lane *lane = &device->lanes[0];
    uint64_t now = pto__now_ns();
    uint32_t step = atomic_load(&lane->step_count);
    if (atomic_load(&lane->stepping) == 0 || step != device->watched_step) {
        device->watched_step = step;
        device->watched_since_ns = now;
        return;
    }
    __atomic_store_n(&device->block->hints.yield, 1, __ATOMIC_RELAXED);
    if (!pto__sim_may_step(device) && now - device->watched_since_ns >= device->timeout_ns) {
        end_stuck_kernels(device);
    }
}

// Like a helper, the monitor counts itself inside, so that no launch is prepared under its feet.
static bool look_inside(struct pto_backend *device)
{
    bool running = false;
    atomic_fetch_add(&device->inside, 1);
    if (atomic_load(&device->open)) {
        running = true;
        watch_steps(device);
        if (pto__sim_may_step(device)) {
            look(device);
        }
    }
    atomic_fetch_sub(&device->inside, 1);
    return running;
}

static void *monitor_main(void *argument)
{
    struct pto_backend *device = argument;
    uint64_t period_ns =
        device->timeout_ns / 4 < PERIOD_NS_MAX ? device->timeout_ns / 4 : PERIOD_NS_MAX;
    pthread_mutex_lock(&device->mutex);
    while (!device->closing) {
        if (!atomic_load(&device->monitor_awake)) {
            pthread_cond_wait(&device->monitor_wake, &device->mutex);
            continue;
        }
        uint64_t seen = atomic_load(&device->launch_count);
        pto__wait_for(&device->monitor_wake, &device->mutex, period_ns);
        if (device->closing) {
            break;
        }
        pthread_mutex_unlock(&device->mutex);
        bool running = look_inside(device);
        pthread_mutex_lock(&device->mutex);
        if (!running && atomic_load(&device->launch_count) == seen) {
            atomic_store(&device->monitor_awake, 0);
            // A launch that counted itself before it could see the zero is for this thread to see.
            if (atomic_load(&device->launch_count) != seen) {
                atomic_store(&device->monitor_awake, 1);
            }
        }
    }
    pthread_mutex_unlock(&device->mutex);
    return NULL;
}

void pto__sim_monitor_arm(struct pto_backend *device)
{
    atomic_fetch_add(&device->launch_count, 1);
    if (atomic_load(&device->monitor_awake)) {
        return;
    }
    pthread_mutex_lock(&device->mutex);
    atomic_store(&device->monitor_awake, 1);
    pthread_cond_signal(&device->monitor_wake);
    pthread_mutex_unlock(&device->mutex);
}

enum pto_status pto__sim_monitor_start(struct pto_backend *device, struct pto_error *err)
{
    int code = pto__fault_thread_create(&device->monitor, monitor_main, device);
    if (code != 0) {
        return pto_fail(err, PTO_E_NO_MEMORY, "cannot start the simulator's monitor thread: %s",
                        strerror(code));
    }
    return PTO_OK;
}

// The caller has set `closing` under the mutex.
void pto__sim_monitor_stop(struct pto_backend *device)
{
    pthread_mutex_lock(&device->mutex);
    pthread_cond_signal(&device->monitor_wake);
    pthread_mutex_unlock(&device->mutex);
    pthread_join(device->monitor, NULL);
}
