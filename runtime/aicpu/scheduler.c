// SPDX-License-Identifier: Apache-2.0
// Beginning a launch, and the step: collect completions, release successors, hand out.
#include "aicpu/scheduler.h"

#include "abi/access.h"

#define POINTER(type, address) ((type *)(uintptr_t)(address))

static int refuse(struct pto_scheduler *scheduler, uint32_t expected, uint32_t seen)
{
    scheduler->unusable = 1;
    scheduler->expected = expected;
    scheduler->seen = seen;
    return 0;
}

// The host checked all of this; a disagreement means that the two programs do not belong together.
static int check_counts(struct pto_scheduler *scheduler, const struct pto_launch *launch)
{
    uint32_t cores = pto_cpu_load(&launch->core_count);
    if (cores == 0 || cores > PTO_CORE_COUNT_MAX) {
        return refuse(scheduler, PTO_CORE_COUNT_MAX, cores);
    }
    uint32_t schedulers = pto_cpu_load(&launch->scheduler_count);
    if (schedulers == 0 || schedulers > pto__min_u32(cores, PTO_SCHEDULER_COUNT_MAX)) {
        return refuse(scheduler, pto__min_u32(cores, PTO_SCHEDULER_COUNT_MAX), schedulers);
    }
    return 1;
}

static int check_image(struct pto_scheduler *scheduler, const struct pto_image_header *image)
{
    if (pto_cpu_load(&image->magic) != PTO_IMAGE_MAGIC) {
        return refuse(scheduler, PTO_IMAGE_MAGIC, pto_cpu_load(&image->magic));
    }
    if (pto_cpu_load(&image->version) != PTO_ABI_VERSION) {
        return refuse(scheduler, PTO_ABI_VERSION, pto_cpu_load(&image->version));
    }
    return 1;
}

static void take_cores(struct pto_scheduler *scheduler, uint32_t core_count)
{
    uint64_t count = scheduler->scheduler_count;
    scheduler->core_begin = (uint32_t)(core_count * (uint64_t)scheduler->index / count);
    scheduler->core_end = (uint32_t)(core_count * ((uint64_t)scheduler->index + 1) / count);
    for (uint32_t core = scheduler->core_begin; core < scheduler->core_end; core++) {
        scheduler->sets[core / 64].owned |= (uint64_t)1 << (core % 64);
    }
    for (uint32_t word = 0; word < PTO_CORE_WORD_COUNT; word++) {
        scheduler->sets[word].idle = scheduler->sets[word].owned;
        scheduler->sets[word].room = scheduler->sets[word].owned;
    }
    scheduler->word_begin = scheduler->core_begin / 64;
    scheduler->word_end = (scheduler->core_end - 1) / 64 + 1;
}

static void take_graph(struct pto_scheduler *scheduler, const struct pto_launch *launch,
                       const struct pto_image_header *image)
{
    uint64_t base = pto_cpu_load64(&launch->image);
    scheduler->task_count = pto_cpu_load(&image->task_count);
    scheduler->initial_count = pto_cpu_load(&image->ready_count);
    scheduler->records =
        POINTER(const struct pto_task_record, base + pto_cpu_load64(&image->record_offset));
    scheduler->successors =
        POINTER(const uint32_t, base + pto_cpu_load64(&image->successor_offset));
    scheduler->initial = POINTER(const uint32_t, base + pto_cpu_load64(&image->ready_offset));
    scheduler->pending = POINTER(uint32_t, pto_cpu_load64(&launch->pending));
    scheduler->all_ready = POINTER(uint32_t, pto_cpu_load64(&launch->ready));
    scheduler->ready = scheduler->all_ready + (uint64_t)scheduler->index * scheduler->task_count;
}

void pto_scheduler_begin(struct pto_scheduler *scheduler, const struct pto_launch *launch,
                         uint32_t index)
{
    *scheduler = (struct pto_scheduler){.launch = launch, .index = index};
    // H1: the host wrote all of this by DMA, which this core's cache may not have seen. The entry
    // has refreshed the launch parameters and the shared words before it took a ticket.
    scheduler->control = POINTER(const struct pto_control, pto_cpu_load64(&launch->control));
    scheduler->report = POINTER(struct pto_report, pto_cpu_load64(&launch->report));
    scheduler->shared = POINTER(struct pto_scheduler_shared, pto_cpu_load64(&launch->shared));
    scheduler->queues = POINTER(struct pto_ready_queue, pto_cpu_load64(&launch->queues));
    scheduler->handshakes = POINTER(struct pto_handshake, pto_cpu_load64(&launch->handshakes));
    scheduler->hints = pto_cpu_load64(&launch->hints);
    scheduler->timeout_ns = pto_cpu_load64(&launch->timeout_ns);
    scheduler->failed_core = PTO_NO_TASK;

    if (!check_counts(scheduler, launch)) {
        return;
    }
    scheduler->scheduler_count = pto_cpu_load(&launch->scheduler_count);
    scheduler->alone = scheduler->scheduler_count == 1;
    take_cores(scheduler, pto_cpu_load(&launch->core_count));

    const struct pto_image_header *image =
        POINTER(const struct pto_image_header, pto_cpu_load64(&launch->image));
    pto_cpu_refresh(image, sizeof(*image));
    if (!check_image(scheduler, image)) {
        return;
    }
    if (pto_cpu_load(&launch->image_changed) != 0) {
        uint64_t task_count = pto_cpu_load(&image->task_count);
        pto_cpu_refresh(image, pto_cpu_load64(&image->size_bytes));
        pto_cpu_refresh(POINTER(const void, pto_cpu_load64(&launch->pending)), 4 * task_count);
    }
    take_graph(scheduler, launch, image);
    // Every word of the block was zeroed or set by the host; a line that is cached from the last
    // launch must not be taken for it.
    pto_cpu_refresh(scheduler->control, sizeof(*scheduler->control));
    pto_cpu_refresh(scheduler->queues, sizeof(*scheduler->queues) * scheduler->scheduler_count);
    pto_cpu_refresh(&scheduler->handshakes[scheduler->core_begin],
                    sizeof(struct pto_handshake) *
                        (uint64_t)(scheduler->core_end - scheduler->core_begin));
    uint32_t executors = pto__min_u32(pto_cpu_load(&launch->executor_count), PTO_CORE_COUNT_MAX) /
                         scheduler->scheduler_count;
    while ((uint32_t)1 << scheduler->share_shift < 2 * executors) {
        scheduler->share_shift++;
    }
    scheduler->busy_max = 2 * executors + 1;
    scheduler->depth_min = pto_cpu_load(&launch->depth_min);
    scheduler->remaining = scheduler->task_count;
    scheduler->seen_remaining = scheduler->task_count;
}

// Takes one resolved edge off a task; 1 when that was the last one. A count of zero says that the
// task was chained: it is queued already, behind the only predecessor it had left, in this very
// ring. Only the thread that queued that predecessor, this one, can have set it. No branch depends
// on the count where it need not: which edge is a task's last cannot be predicted.
static inline uint32_t resolve(uint32_t *pending, int alone)
{
    // Zero was set by this thread, if at all; with several, no other value is looked at.
    uint32_t count = pto_cpu_peek(pending);
    if (alone) {
        pto_cpu_store(pending, count - (count != 0));
        return count == 1;
    }
    if (count == 0) {
        return 0;
    }
    // S1: the last to arrive has seen every predecessor's completion, through those who counted
    // before it.
    return pto_peer_sub(pending, 1) == 1;
}

// Retires the tasks of a core's ring from note->retired up to `completed`: their counts go back to
// what the next run needs, their successors' go down. The first successor that the ring's last task
// makes ready goes to the same core, which has nothing else to do and the data in its caches; the
// others to the ready queue.
static inline void retire(struct pto_scheduler *scheduler, uint32_t core, uint32_t completed,
                          int alone)
{
    struct pto_handshake *handshake = &scheduler->handshakes[core];
    // In locals, because every access through the protocol counts as one to anything.
    uint32_t *pending = scheduler->pending;
    uint32_t *ready = scheduler->ready;
    const struct pto_task_record *records = scheduler->records;
    const uint32_t *all_successors = scheduler->successors;
    uint32_t queued = pto_own_load(&handshake->note.queued);
    uint32_t tail = scheduler->tail;
    uint32_t begin = tail; // of what the last task made ready
    for (uint32_t i = pto_own_load(&handshake->note.retired); i != completed; i++) {
        uint32_t task = pto_cpu_load(&handshake->dispatch.ring[i % PTO_RING_DEPTH]);
        const struct pto_task_record *record = &records[task];
        pto_cpu_store(&pending[task], pto_cpu_load(&record->predecessor_count));
        const uint32_t *successors = all_successors + pto_cpu_load(&record->successor_begin);
        const uint32_t *end = successors + pto_cpu_load(&record->successor_count);
        begin = tail;
        for (; successors != end; successors++) {
            // There is always a place: the initially ready tasks have theirs and never come here.
            uint32_t successor = pto_cpu_load(successors);
            pto_cpu_store(&ready[tail], successor);
            tail += resolve(&pending[successor], alone);
        }
    }
    uint32_t kept = completed == queued && tail != begin;
    tail -= kept;
    pto_own_store(&handshake->note.retired, completed);
    if (!alone && tail != scheduler->tail) {
        // S4: a thief that sees the position sees the task, and through it what made it ready.
        pto_peer_store(&scheduler->queues[scheduler->index].tail, tail);
    }
    scheduler->tail = tail;
    uint64_t bit = (uint64_t)1 << (core % 64);
    struct pto_core_sets *sets = &scheduler->sets[core / 64];
    sets->room |= bit;
    if (completed == queued) {
        sets->idle |= bit;
        scheduler->busy_count--;
    }
    if (kept) {
        pto__scheduler_put(scheduler, core, &ready[tail], 1);
    }
}

static inline void retire_completed(struct pto_scheduler *scheduler, uint32_t core)
{
    struct pto_handshake *handshake = &scheduler->handshakes[core];
    // C1: the core counted the task after its results were written out.
    uint32_t completed = pto_cpu_observe(&handshake->core.completed);
    uint32_t count = completed - pto_own_load(&handshake->note.retired);
    if (count == 0) {
        return;
    }
    scheduler->retired += count;
    if (scheduler->alone) {
        retire(scheduler, core, completed, 1);
    } else {
        retire(scheduler, core, completed, 0);
    }
}

static void collect_core(struct pto_scheduler *scheduler, uint32_t core)
{
    retire_completed(scheduler, core);
    const uint32_t *state = &scheduler->handshakes[core].core.state;
    if (pto_cpu_peek(state) == PTO_CORE_FAILED && pto_cpu_observe(state) == PTO_CORE_FAILED) {
        // C2: a core that fails says so after it counted everything it completed, which may have
        // been after the look above. The task behind those is the one that failed.
        retire_completed(scheduler, core);
        scheduler->failed_core = core;
    }
}

static void collect(struct pto_scheduler *scheduler)
{
    for (uint32_t word = scheduler->word_begin; word < scheduler->word_end; word++) {
        uint64_t busy = scheduler->sets[word].owned & ~scheduler->sets[word].idle;
        if (busy == 0) {
            continue;
        }
        uint64_t news = pto_cpu_take_completed(scheduler->hints, word, busy);
        while (news != 0) {
            uint32_t core = word * 64 + (uint32_t)__builtin_ctzll(news);
            news &= news - 1;
            collect_core(scheduler, core);
        }
    }
}

// Counts what this step retired; returns what is left of the whole graph.
static uint32_t count_retired(struct pto_scheduler *scheduler)
{
    uint32_t retired = scheduler->retired;
    scheduler->retired = 0;
    if (scheduler->alone) {
        if (retired != 0) {
            scheduler->remaining -= retired;
            pto_cpu_store(&scheduler->shared->remaining, scheduler->remaining);
        }
        return scheduler->remaining;
    }
    // S2: counts only. Each thread writes back what it has written when it leaves, and the host
    // looks when all have left.
    return retired == 0 ? pto_cpu_peek(&scheduler->shared->remaining)
                        : pto_peer_count(&scheduler->shared->remaining, 0 - retired) - retired;
}

enum pto_step pto_scheduler_step(struct pto_scheduler *scheduler)
{
    if (scheduler->left) {
        return PTO_STEP_LEAVE;
    }
    if (scheduler->unusable) {
        struct pto_report report = {.status = PTO_REPORT_LAUNCH,
                                    .core = PTO_NO_TASK,
                                    .task = PTO_NO_TASK,
                                    .expected = scheduler->expected,
                                    .seen = scheduler->seen};
        return pto__scheduler_abort(scheduler, &report);
    }
    collect(scheduler);
    uint32_t retired = scheduler->retired;
    if (scheduler->failed_core != PTO_NO_TASK) {
        count_retired(scheduler);
        return pto__scheduler_report_core(scheduler, PTO_REPORT_TASK, scheduler->failed_core);
    }
    if (count_retired(scheduler) == 0) {
        return pto__scheduler_finish(scheduler);
    }
    // A2: another thread ended the run.
    if (!scheduler->alone && pto_cpu_peek(&scheduler->shared->abort) != 0) {
        return pto__scheduler_follow_abort(scheduler);
    }
    // X1: nothing hangs on when the request is seen; idle() drops the line now and then.
    if (pto_cpu_peek(&scheduler->control->stop) != 0) {
        struct pto_report report = {
            .status = PTO_REPORT_STOPPED, .core = PTO_NO_TASK, .task = PTO_NO_TASK};
        return pto__scheduler_abort(scheduler, &report);
    }
    if (pto__scheduler_dispatch(scheduler) + retired != 0) {
        scheduler->progressed = 1;
        return PTO_STEP_BUSY;
    }
    return pto__scheduler_idle(scheduler);
}
