// SPDX-License-Identifier: Apache-2.0
// One step of a scheduler or a core by a lane: whose turn it is, and what a fault in it does.
#include "abi/access.h"
#include "sim/device.h"

// A program belongs to the lane that has set its bit.
static bool try_lock(uint64_t *word, uint64_t bit, bool exclusive)
{
    return exclusive || ((__atomic_load_n(word, __ATOMIC_RELAXED) & bit) == 0 &&
                         (__atomic_fetch_or(word, bit, __ATOMIC_ACQUIRE) & bit) == 0);
}

static void unlock(uint64_t *word, uint64_t bit, bool exclusive)
{
    if (!exclusive) {
        __atomic_fetch_and(word, ~bit, __ATOMIC_RELEASE);
    }
}

static void unlock_core(const struct pto_sim_lane *lane, uint32_t core)
{
    unlock(&lane->device->block->hints.words[core / 64].stepped, (uint64_t)1 << (core % 64),
           lane->exclusive);
}

// The lines of the cores that a scheduler is about to look at, all at once: they may be in another
// processor's cache each.
static void prefetch_completed(const struct pto_sim_block *block, uint32_t core_count)
{
    for (uint32_t word = 0; word < (core_count + 63) / 64; word++) {
        uint64_t bits = __atomic_load_n(&block->hints.words[word].completed, __ATOMIC_RELAXED);
        for (; bits != 0; bits &= bits - 1) {
            const struct pto_handshake *handshake =
                &block->handshakes[word * 64 + (uint32_t)__builtin_ctzll(bits)];
            __builtin_prefetch(&handshake->core);
            __builtin_prefetch(&handshake->note, 1);
            __builtin_prefetch(&handshake->dispatch, 1);
        }
    }
}

bool pto__sim_step_schedulers(struct pto_backend *device, bool exclusive)
{
    bool busy = false;
    uint64_t *stepped = &device->block->hints.words[0].threads_stepped;
    for (uint32_t i = 0; i < device->scheduler_count; i++) {
        struct pto_sim_program *program = &device->schedulers[i];
        if (!try_lock(stepped, (uint64_t)1 << i, exclusive)) {
            continue;
        }
        if (!exclusive) {
            prefetch_completed(device->block, device->core_count);
        }
        if (!program->left) {
            enum pto_step step = device->aicpu->step(program->state);
            busy |= step != PTO_STEP_IDLE;
            if (step == PTO_STEP_LEAVE) {
                program->left = true;
                atomic_fetch_sub(&device->schedulers_active, 1);
            }
        }
        unlock(stepped, (uint64_t)1 << i, exclusive);
    }
    return busy;
}

// The program of a core is over; its lock is held.
static void core_left(struct pto_sim_lane *lane, uint32_t core)
{
    lane->device->cores[core].left = true;
    unlock_core(lane, core);
    atomic_fetch_sub(&lane->device->cores_active, 1);
}

// The scheduler may have been on another processor, and then the records are in its caches: to wait
// for all of them at once takes no longer than for one. What else is in the ring is a task as well.
static void prefetch_records(const struct pto_sim_block *block, uint32_t core)
{
    const uint8_t *image = (const uint8_t *)(uintptr_t)block->launch.image;
    const uint32_t *ring = block->handshakes[core].dispatch.ring;
    for (uint32_t i = 0; i < PTO_RING_DEPTH; i++) {
        uint32_t task = __atomic_load_n(&ring[i], __ATOMIC_RELAXED);
        __builtin_prefetch(image + sizeof(struct pto_image_header) +
                           (uint64_t)task * sizeof(struct pto_task_record));
    }
}

// Steps a core that a hint says has work. False when another lane has it.
static bool step_core(struct pto_sim_lane *lane, uint32_t core)
{
    struct pto_backend *device = lane->device;
    struct pto_hints *hints = &device->block->hints;
    uint64_t *hint = &hints->words[core / 64].runnable;
    uint64_t bit = (uint64_t)1 << (core % 64);
    if (!try_lock(&hints->words[core / 64].stepped, bit, lane->exclusive)) {
        return false;
    }
    struct pto_sim_program *program = &device->cores[core];
    if (!lane->exclusive) {
        prefetch_records(device->block, core);
    }
    // Taken before the step: what is queued after the step looked sets it again.
    pto_hint_clear(hints, hint, bit);
    if (program->left) {
        unlock_core(lane, core);
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
        core_left(lane, core);
    } else {
        bool yielded = pto_core_should_yield((uint64_t)(uintptr_t)hints);
        if (step == PTO_STEP_BUSY && (yielded || lane->budget < PTO_RING_DEPTH)) {
            pto_hint_set(hints, hint, bit); // there may be more
        }
        unlock_core(lane, core);
    }
    if (lane->index != 0) {
        pto__sim_wake_caller(device);
    }
    return true;
}

// A kernel on this lane faulted, or was ended. The core fails as a core of its own accord does,
// and the scheduler deals with it; where the fault was goes to the host.
void pto__sim_contain_fault(struct pto_sim_lane *lane)
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
    core_left(lane, core);
    pto__sim_wake_caller(device);
}

// The monitor found that a step takes long: the lane's idea of how long tasks are is out of date.
static bool asked_to_yield(struct pto_sim_lane *lane)
{
    uint32_t *yield = &lane->device->block->hints.yield;
    if (__atomic_load_n(yield, __ATOMIC_RELAXED) == 0) {
        return false;
    }
    __atomic_store_n(yield, 0, __ATOMIC_RELAXED);
    lane->turns = PTO_SIM_TURNS_PER_LOOK;
    return true;
}

bool pto__sim_step_cores(struct pto_sim_lane *lane)
{
    struct pto_backend *device = lane->device;
    uint32_t word_count = (device->core_count + 63) / 64;
    bool busy = false;
    lane->core_count = 0;
    for (uint32_t i = 0; i < word_count; i++) {
        uint32_t word = lane->index == 0 ? i : word_count - 1 - i;
        uint64_t bits =
            __atomic_load_n(&device->block->hints.words[word].runnable, __ATOMIC_RELAXED);
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

bool pto__sim_has_work(const struct pto_backend *device)
{
    if (atomic_load(&device->schedulers_active) == 0 && atomic_load(&device->cores_active) == 0) {
        return true;
    }
    for (uint32_t word = 0; word < (device->core_count + 63) / 64; word++) {
        if (__atomic_load_n(&device->block->hints.words[word].completed, __ATOMIC_SEQ_CST) != 0) {
            return true;
        }
        uint64_t bits =
            __atomic_load_n(&device->block->hints.words[word].runnable, __ATOMIC_SEQ_CST);
        if ((bits &
             ~__atomic_load_n(&device->block->hints.words[word].stepped, __ATOMIC_SEQ_CST)) != 0) {
            return true;
        }
    }
    return false;
}
