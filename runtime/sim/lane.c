// SPDX-License-Identifier: Apache-2.0
// Lanes: stepping schedulers and cores, and when to sleep and to wake.
//
// Waking a thread costs more than a small graph (tens of microseconds on a virtual machine), so
// lane 0 works alone until it has measured that the tasks are long enough, and enough are left, for
// a helper to pay. A helper that finds nothing spins briefly and sleeps.
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "abi/access.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/wait.h"
#include "sim/device.h"

#define POLL_PERIOD_NS 50000000u
#define CALLER_SLEEP_NS 10000000u
// What a wake must bring in, and the mean task length from which two lanes beat one.
#define WAKE_WORK_NS 100000u
#define WAKE_TASK_NS 150u
#define HELPER_TASK_NS_MIN 100u
// How long a lane should stay with one core: a whole ring of short tasks, because each change of
// hands moves cache lines between processors, but not so long that others wait for the scheduling
// it would do in between. A lane that is alone has only polling to come back for.
#define STEP_NS 160000u
#define STEP_ALONE_NS 1600000u
#define TURNS_PER_LOOK 16u
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

static bool try_lock(struct pto_sim_program *program, bool exclusive)
{
    if (exclusive) {
        return true;
    }
    return atomic_load_explicit(&program->lock, memory_order_relaxed) == 0 &&
           atomic_exchange_explicit(&program->lock, 1, memory_order_acquire) == 0;
}

static void unlock(struct pto_sim_program *program, bool exclusive)
{
    if (!exclusive) {
        atomic_store_explicit(&program->lock, 0, memory_order_release);
    }
}

static void wake_caller(struct pto_backend *device)
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
    if (atomic_load(&device->helpers_asleep) == 0) {
        return;
    }
    pthread_mutex_lock(&device->mutex);
    device->helper_wake_count++;
    pthread_cond_broadcast(&device->helper_wake);
    pthread_mutex_unlock(&device->mutex);
}

bool pto__sim_step_schedulers(struct pto_backend *device, bool exclusive)
{
    bool busy = false;
    for (uint32_t i = 0; i < device->scheduler_count; i++) {
        struct pto_sim_program *program = &device->schedulers[i];
        if (!try_lock(program, exclusive)) {
            continue;
        }
        if (!program->left) {
            enum pto_step step = device->aicpu->step(program->state);
            busy |= step != PTO_STEP_IDLE;
            if (step == PTO_STEP_LEAVE) {
                program->left = true;
                atomic_fetch_sub(&device->schedulers_active, 1);
            }
        }
        unlock(program, exclusive);
    }
    return busy;
}

// The program of a core is over; its lock is held.
static void core_left(struct pto_sim_lane *lane, struct pto_sim_program *program)
{
    program->left = true;
    unlock(program, lane->exclusive);
    atomic_fetch_sub(&lane->device->cores_active, 1);
}

// Steps a core that a hint says has work. False when another lane has it.
static bool step_core(struct pto_sim_lane *lane, uint32_t core)
{
    struct pto_backend *device = lane->device;
    struct pto_sim_program *program = &device->cores[core];
    if (!try_lock(program, lane->exclusive)) {
        return false;
    }
    struct pto_hints *hints = &device->block->hints;
    uint64_t *hint = &hints->runnable[core / 64];
    uint64_t bit = (uint64_t)1 << (core % 64);
    // Taken before the step: what is queued after the step looked sets it again.
    pto_hint_clear(hints, hint, bit);
    if (program->left) {
        unlock(program, lane->exclusive);
        return true;
    }
    const uint32_t *completed = &device->block->handshakes[core].core.completed;
    uint32_t before = __atomic_load_n(completed, __ATOMIC_RELAXED);
    uint32_t step_count = atomic_load_explicit(&lane->step_count, memory_order_relaxed) + 1;
    // Zero means "no step" to the monitor.
    atomic_store_explicit(&lane->step_count, step_count == 0 ? 1 : step_count,
                          memory_order_relaxed);
    atomic_store_explicit(&lane->stepping, core + 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    enum pto_step step = device->aicore->step(program->state, lane->budget);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&lane->stepping, 0, memory_order_relaxed);
    lane->task_count += __atomic_load_n(completed, __ATOMIC_RELAXED) - before;
    if (step == PTO_STEP_LEAVE) {
        core_left(lane, program);
    } else {
        bool yielded = pto_core_should_yield((uint64_t)(uintptr_t)hints);
        if (step == PTO_STEP_BUSY && (yielded || lane->budget < PTO_RING_DEPTH)) {
            pto_hint_set(hints, hint, bit); // there may be more
        }
        unlock(program, lane->exclusive);
    }
    if (lane->index != 0) {
        wake_caller(device);
    }
    return true;
}

// A kernel on this lane faulted, or was ended. The core fails as a core of its own accord does,
// and the scheduler deals with it; where the fault was goes to the host.
static void contain_fault(struct pto_sim_lane *lane)
{
    struct pto_backend *device = lane->device;
    uint32_t core = atomic_load_explicit(&lane->stepping, memory_order_relaxed) - 1;
    atomic_store_explicit(&lane->stepping, 0, memory_order_relaxed);
    bool ended = lane->fault.signal == 0;
    if (ended) {
        uint32_t none = PTO_NO_TASK;
        atomic_compare_exchange_strong(&device->killed_core, &none, core);
    } else {
        uint32_t none = PTO_NO_TASK;
        if (atomic_compare_exchange_strong(&device->fault_core, &none, core)) {
            atomic_store(&device->fault_address, lane->fault.address);
        }
    }
    struct pto_core_line *line = &device->block->handshakes[core].core;
    pto_core_store(&line->fail_kind, ended ? PTO_FAIL_HANG : PTO_FAIL_FAULT);
    pto_core_store((uint32_t *)&line->fail_code, (uint32_t)lane->fault.signal);
    pto_core_publish(&line->state, PTO_CORE_FAILED); // C2
    pto_core_ring((uint64_t)(uintptr_t)&device->block->hints, core);
    core_left(lane, &device->cores[core]);
    wake_caller(device);
}

// The monitor found that a step takes long: the lane's idea of how long tasks are is out of date.
static bool asked_to_yield(struct pto_sim_lane *lane)
{
    uint32_t *yield = &lane->device->block->hints.yield;
    if (__atomic_load_n(yield, __ATOMIC_RELAXED) == 0) {
        return false;
    }
    __atomic_store_n(yield, 0, __ATOMIC_RELAXED);
    lane->turns = TURNS_PER_LOOK;
    return true;
}

static bool step_cores(struct pto_sim_lane *lane)
{
    struct pto_backend *device = lane->device;
    uint32_t word_count = (device->core_count + 63) / 64;
    bool busy = false;
    lane->core_count = 0;
    for (uint32_t i = 0; i < word_count; i++) {
        uint32_t word = lane->index == 0 ? i : word_count - 1 - i;
        uint64_t bits = __atomic_load_n(&device->block->hints.runnable[word], __ATOMIC_RELAXED);
        while (bits != 0) {
            // Lane 0 from below, helpers from above: they meet late.
            uint32_t place = lane->index == 0 ? (uint32_t)__builtin_ctzll(bits)
                                              : 63 - (uint32_t)__builtin_clzll(bits);
            bits &= ~((uint64_t)1 << place);
            lane->core_count++;
            if (step_core(lane, word * 64 + place)) {
                busy = true;
                if (lane->budget < PTO_RING_DEPTH || asked_to_yield(lane)) {
                    lane->core_count += bits != 0; // the next one counts, though it has to wait
                    return true;
                }
            }
        }
    }
    return busy;
}

// Whether a lane that is about to sleep would find something.
bool pto__sim_has_work(const struct pto_backend *device)
{
    if (atomic_load(&device->schedulers_active) == 0 && atomic_load(&device->cores_active) == 0) {
        return true;
    }
    for (uint32_t word = 0; word < (device->core_count + 63) / 64; word++) {
        if (__atomic_load_n(&device->block->hints.completed[word], __ATOMIC_SEQ_CST) != 0) {
            return true;
        }
        uint64_t bits = __atomic_load_n(&device->block->hints.runnable[word], __ATOMIC_SEQ_CST);
        for (; bits != 0; bits &= bits - 1) {
            uint32_t core = word * 64 + (uint32_t)__builtin_ctzll(bits);
            if (atomic_load(&device->cores[core].lock) == 0) {
                return true;
            }
        }
    }
    return false;
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
    uint64_t mean_ns = (now_ns - lane->work_begin_ns) / tasks;
    lane->task_count = 0;
    lane->work_begin_ns = now_ns;
    uint64_t step_ns = device->lane_count == 1 ? STEP_ALONE_NS : STEP_NS;
    uint64_t budget = mean_ns == 0 ? PTO_RING_DEPTH : step_ns / mean_ns;
    lane->budget = budget == 0 ? 1 : (uint32_t)budget;
    if (lane->budget > PTO_RING_DEPTH) {
        lane->budget = PTO_RING_DEPTH;
    }
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
        wake_caller(lane->device);
    }
    bool stepped = step_cores(lane);
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
        contain_fault(lane);
    }
    while (!is_over(device)) {
        bool busy = lane_turn(lane);
        lane->idle_turns = busy ? 0 : lane->idle_turns + 1;
        if (lane->turns < TURNS_PER_LOOK && lane->budget == PTO_RING_DEPTH) {
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
        if (lane->turns >= TURNS_PER_LOOK || lane->budget < PTO_RING_DEPTH) {
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

static void *helper_main(void *argument)
{
    struct pto_sim_lane *lane = argument;
    struct pto_backend *device = lane->device;
    pto__fault_bind(&lane->fault_scope);
    pthread_mutex_lock(&device->mutex);
    while (!device->closing) {
        uint32_t seen = device->helper_wake_count;
        atomic_fetch_add(&device->helpers_asleep, 1);
        while (!device->closing && device->helper_wake_count == seen) {
            pthread_cond_wait(&device->helper_wake, &device->mutex);
        }
        atomic_fetch_sub(&device->helpers_asleep, 1);
        pthread_mutex_unlock(&device->mutex);
        atomic_fetch_add(&device->inside, 1);
        if (sigsetjmp(lane->escape, 0) != 0) {
            contain_fault(lane);
        }
        help(lane);
        atomic_fetch_sub(&device->inside, 1);
        pthread_mutex_lock(&device->mutex);
    }
    pthread_mutex_unlock(&device->mutex);
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
