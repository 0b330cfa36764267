// SPDX-License-Identifier: Apache-2.0
// The ways a launch ends: done, failed, stopped by the host, out of time.
#include "abi/access.h"
#include "aicpu/scheduler.h"

static enum pto_step leave(struct pto_scheduler *scheduler, enum pto_core_command command)
{
    for (uint32_t core = scheduler->core_begin; core < scheduler->core_end; core++) {
        // Q1: orders nothing. QUIT is sent when every task is retired, and STOP ends the ring as it
        // is; the refresh below takes it to memory.
        pto_cpu_store(&scheduler->handshakes[core].dispatch.command, (uint32_t)command);
    }
    for (uint32_t word = scheduler->word_begin; word < scheduler->word_end; word++) {
        pto_cpu_ring(scheduler->hints, word, scheduler->sets[word].owned);
    }
    // H2: the host writes these lines by DMA before the next launch, and a line that is still dirty
    // in this core's cache then could be written over it later.
    if (scheduler->core_end != 0) {
        pto_cpu_refresh(&scheduler->handshakes[scheduler->core_begin],
                        sizeof(struct pto_handshake) *
                            (uint64_t)(scheduler->core_end - scheduler->core_begin));
    }
    pto_cpu_refresh(scheduler->queues, sizeof(*scheduler->queues) * scheduler->scheduler_count);
    pto_cpu_refresh(scheduler->pending, 4 * (uint64_t)scheduler->task_count);
    // retire() writes up to two places behind the last, of which it then makes no use.
    uint64_t places = pto__min_u32(scheduler->tail + 2, scheduler->task_count);
    pto_cpu_refresh(scheduler->ready, 4 * places);
    pto_cpu_refresh(scheduler->shared, sizeof(*scheduler->shared));
    pto_cpu_refresh(scheduler->report, sizeof(*scheduler->report));
    scheduler->left = 1;
    return PTO_STEP_LEAVE;
}

// A1: one thread writes the report; the others' news is the same or comes too late to matter.
// Returns 1 in that thread.
static int write_report(struct pto_scheduler *scheduler, const struct pto_report *from)
{
    if (pto_peer_count(&scheduler->shared->ended, 1) != 0) {
        return 0;
    }
    struct pto_report *report = scheduler->report;
    // Other threads may still be counting; this one has counted all that it knows of.
    uint32_t remaining = pto_cpu_peek(&scheduler->shared->remaining);
    pto_cpu_store(&report->core, from->core);
    pto_cpu_store(&report->task, from->task);
    pto_cpu_store(&report->func_id, from->func_id);
    pto_cpu_store(&report->fail_kind, from->fail_kind);
    pto_cpu_store((uint32_t *)&report->fail_code, (uint32_t)from->fail_code);
    pto_cpu_store(&report->expected, from->expected);
    pto_cpu_store(&report->seen, from->seen);
    pto_cpu_store(&report->core_state, from->core_state);
    pto_cpu_store(&report->completed, scheduler->task_count - remaining);
    pto_cpu_store(&report->status, from->status); // R1: leave() writes the line back
    return 1;
}

enum pto_step pto__scheduler_finish(struct pto_scheduler *scheduler)
{
    struct pto_report report = {
        .status = PTO_REPORT_DONE, .core = PTO_NO_TASK, .task = PTO_NO_TASK};
    write_report(scheduler, &report);
    return leave(scheduler, PTO_CORE_QUIT);
}

enum pto_step pto__scheduler_follow_abort(struct pto_scheduler *scheduler)
{
    return leave(scheduler, PTO_CORE_STOP);
}

enum pto_step pto__scheduler_abort(struct pto_scheduler *scheduler, const struct pto_report *report)
{
    if (write_report(scheduler, report)) {
        pto_cpu_store(&scheduler->shared->abort, 1); // A2: nothing beyond the flag
    }
    return leave(scheduler, PTO_CORE_STOP);
}

// Ends the run because of a core: with what it was asked to do, and how far it came.
enum pto_step pto__scheduler_report_core(struct pto_scheduler *scheduler, uint32_t status,
                                         uint32_t core)
{
    const struct pto_handshake *handshake = &scheduler->handshakes[core];
    const struct pto_core_note *note = &handshake->note;
    uint32_t task = PTO_NO_TASK;
    uint32_t func_id = 0;
    uint32_t queued = pto_own_load(&note->queued);
    uint32_t retired = pto_own_load(&note->retired);
    if (retired != queued) {
        task = pto_cpu_load(&handshake->dispatch.ring[retired % PTO_RING_DEPTH]);
        func_id = pto_cpu_load16(&scheduler->records[task].func_id);
    }
    struct pto_report report = {
        .status = status,
        .core = core,
        .task = task,
        .func_id = func_id,
        .expected = queued,
        // As it is now: nothing is released by it any more.
        .seen = pto_cpu_peek(&handshake->core.completed),
        .core_state = pto_cpu_observe(&handshake->core.state),
    };
    // C2: only a core that says FAILED has written how.
    if (report.core_state == PTO_CORE_FAILED) {
        report.fail_kind = pto_cpu_load(&handshake->core.fail_kind);
        report.fail_code = (int32_t)pto_cpu_load((const uint32_t *)&handshake->core.fail_code);
    }
    return pto__scheduler_abort(scheduler, &report);
}

static uint32_t find_busy_core(const struct pto_scheduler *scheduler)
{
    for (uint32_t core = scheduler->core_begin; core < scheduler->core_end; core++) {
        if ((scheduler->sets[core / 64].idle >> (core % 64) & 1) == 0) {
            return core;
        }
    }
    return PTO_NO_TASK;
}

// After a step that found nothing to do. The deadline restarts with every completion of any
// thread's core. A thread without a busy core waits a quarter longer, so that one that can name the
// core speaks first.
enum pto_step pto__scheduler_idle(struct pto_scheduler *scheduler)
{
    uint64_t now = pto_cpu_clock_ns();
    if (now >= scheduler->next_look_ns) {
        // X1: the host writes by DMA; a copy of the line in this core's cache would hide it.
        scheduler->next_look_ns = now + PTO_STOP_LOOK_NS;
        pto_cpu_refresh(scheduler->control, sizeof(*scheduler->control));
    }
    // Whether it changes is all that matters.
    uint32_t remaining = pto_cpu_peek(&scheduler->shared->remaining);
    uint32_t core = find_busy_core(scheduler);
    if (scheduler->progressed || scheduler->deadline_ns == 0 ||
        remaining != scheduler->seen_remaining) {
        scheduler->progressed = 0;
        scheduler->seen_remaining = remaining;
        scheduler->deadline_ns = now + scheduler->timeout_ns;
        return PTO_STEP_IDLE;
    }
    uint64_t grace = core == PTO_NO_TASK ? scheduler->timeout_ns / 4 : 0;
    if (now < scheduler->deadline_ns + grace) {
        return PTO_STEP_IDLE;
    }
    if (core != PTO_NO_TASK) {
        return pto__scheduler_report_core(scheduler, PTO_REPORT_TIMEOUT, core);
    }
    struct pto_report report = {
        .status = PTO_REPORT_TIMEOUT, .core = PTO_NO_TASK, .task = PTO_NO_TASK};
    return pto__scheduler_abort(scheduler, &report);
}
