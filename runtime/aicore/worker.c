// SPDX-License-Identifier: Apache-2.0
#include "aicore/worker.h"

#include "abi/access.h"

PTO_WORKER_LOCAL PTO_AICORE void pto_worker_begin(struct pto_worker *worker,
                                                  PTO_GM const struct pto_launch *launch,
                                                  uint32_t core, uint32_t type,
                                                  uint32_t physical_id)
{
    // H1: the host wrote the launch block, the image and the tensors before the launch. Whatever
    // the cache still holds of them is from before, a "queued" count of the last launch included.
    pto_core_flush_cache();
    pto_core_barrier();
    PTO_GM struct pto_handshake *handshake =
        (PTO_GM struct pto_handshake *)(uintptr_t)pto_core_load64(&launch->handshakes) + core;
    worker->dispatch = &handshake->dispatch;
    worker->line = &handshake->core;
    worker->image = pto_core_load64(&launch->image);
    PTO_GM const struct pto_image_header *header =
        (PTO_GM const struct pto_image_header *)(uintptr_t)worker->image;
    worker->records =
        (PTO_GM const struct pto_task_record *)(uintptr_t)(worker->image +
                                                           pto_core_load64(&header->record_offset));
    worker->hints = pto_core_load64(&launch->hints);
    worker->core = core;
    worker->completed = 0;

    pto_core_store(&worker->line->core_type, type);
    pto_core_store(&worker->line->physical_id, physical_id);
    worker->last_task = PTO_NO_TASK;
    pto_core_publish(&worker->line->state, PTO_CORE_RUNNING);
}

static PTO_AICORE enum pto_step leave(struct pto_worker *worker, enum pto_core_state state)
{
    pto_core_store(&worker->line->last_task, worker->last_task);
    pto_core_publish(&worker->line->state, (uint32_t)state); // C2
    pto_core_ring(worker->hints, worker->core);
    return PTO_STEP_LEAVE;
}

// A failed task stays uncounted, so nothing that waits for it, in this ring or elsewhere, begins.
static PTO_AICORE enum pto_step fail(struct pto_worker *worker, enum pto_fail_kind kind,
                                     int32_t code)
{
    // H2: what the failed kernel left in the cache goes out now, not over what the host writes
    // there before the next launch.
    pto_core_flush_cache();
    pto_core_store(&worker->line->fail_kind, (uint32_t)kind);
    pto_core_store((PTO_GM uint32_t *)&worker->line->fail_code, (uint32_t)code);
    return leave(worker, PTO_CORE_FAILED);
}

// The arguments of a task: in its record, or where the record says.
static PTO_AICORE PTO_GM const uint64_t *task_args(const struct pto_worker *worker,
                                                   PTO_GM const struct pto_task_record *record)
{
    if (pto_core_load16(&record->arg_count) <= PTO_INLINE_ARG_COUNT) {
        return record->args;
    }
    return (PTO_GM const uint64_t *)(uintptr_t)(worker->image + pto_core_load64(record->args));
}

PTO_WORKER_LOCAL PTO_AICORE enum pto_step pto_worker_step(struct pto_worker *worker,
                                                          uint32_t budget)
{
    PTO_GM const struct pto_dispatch_line *dispatch = worker->dispatch;
    // No barrier: the one in observe completes this, and what is still read from the old line here
    // is read from memory in the next step.
    pto_core_invalidate_line(dispatch);
    // Q1: orders nothing; QUIT comes when every task is completed.
    uint32_t command = pto_core_peek(&dispatch->command);
    uint32_t queued = pto_core_observe(&dispatch->queued);
    if (command == PTO_CORE_STOP) {
        return leave(worker, PTO_CORE_LEFT);
    }
    uint32_t completed = worker->completed;
    if (completed == queued) {
        return command == PTO_CORE_QUIT ? leave(worker, PTO_CORE_LEFT) : PTO_STEP_IDLE;
    }
    // D1: a line that the cache fetched unasked since the last flush may be older than what
    // `queued` stands for, which is the results of other cores too. What it fetches from here on
    // is not.
    pto_core_flush_cache();
    pto_core_barrier();
    uint32_t end = queued - completed < budget ? queued : completed + budget;
    while (completed != end) {
        // D1: the place was written before `queued` counted it, and is not written again before
        // the scheduler has seen this task completed.
        uint32_t task = pto_core_load(&dispatch->ring[completed % PTO_RING_DEPTH]);
        PTO_GM const struct pto_task_record *record = &worker->records[task];
        uint32_t func_id = pto_core_load16(&record->func_id);
        pto_kernel_way kernel = pto__kernel_lookup(func_id);
        if (!kernel) {
            return fail(worker, PTO_FAIL_UNKNOWN, (int32_t)func_id);
        }
        pto_core_task_begin(task);
        int32_t code = pto__kernel_call(kernel, task_args(worker, record));
        if (code != 0) {
            return fail(worker, PTO_FAIL_RETURN, code);
        }
        pto_core_task_end(task);
        // Results go out before they are announced, and no line of a tensor outlives the task that
        // loaded it, so the next task reads what other cores wrote.
        pto_core_flush_cache();
        completed++;
        worker->completed = completed;
        worker->last_task = task;
        // C1: waits for the flush first.
        pto_core_publish(&worker->line->completed, completed);
        if (pto_core_should_yield(worker->hints)) {
            break;
        }
    }
    pto_core_ring(worker->hints, worker->core);
    return PTO_STEP_BUSY;
}
