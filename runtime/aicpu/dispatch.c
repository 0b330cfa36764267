// SPDX-License-Identifier: Apache-2.0
// The ready queue, and which core gets what.
#include "abi/access.h"
#include "aicpu/scheduler.h"

// How far to look ahead, in bytes of records: memory answers within some ten tasks.
#define PREFETCH_DISTANCE (24u * sizeof(struct pto_task_record))

// A successor of `task` that waits for nothing but it, or none. It can go right behind the task:
// the core runs its ring in order, and stops at a task that fails. The count of zero tells retire()
// that it is queued. Only the first successor is looked at: a chain has no more, and in a wide
// graph the others are for other cores.
static inline uint32_t chain(struct pto_scheduler *scheduler, uint32_t task)
{
    const struct pto_task_record *record = &scheduler->records[task];
    if (pto_cpu_load(&record->successor_count) == 0) {
        return PTO_NO_TASK;
    }
    uint32_t successor =
        pto_cpu_load(&scheduler->successors[pto_cpu_load(&record->successor_begin)]);
    uint32_t *pending = &scheduler->pending[successor];
    // S1: a count of one is final but for this edge, which is this thread's to resolve.
    if (pto_peer_load(pending) != 1) {
        return PTO_NO_TASK;
    }
    pto_cpu_store(pending, 0);
    return successor;
}

// Ready tasks that this thread knows of: its own queue's, and the initially ready ones not taken.
static uint32_t count_ready(const struct pto_scheduler *scheduler)
{
    uint32_t head = scheduler->head;
    uint32_t cursor = scheduler->cursor;
    if (!scheduler->alone) {
        // An estimate: other threads take tasks at the same time.
        head = pto_cpu_peek(&scheduler->queues[scheduler->index].head);
        cursor =
            pto__min_u32(pto_cpu_peek(&scheduler->shared->ready_cursor), scheduler->initial_count);
    }
    return scheduler->tail - head + scheduler->initial_count - cursor;
}

// Puts a task into its place of a ring. Tasks run about in the order in which they were built, so
// records of large graphs are fetched from memory well before their tasks are ready.
static inline void push(const struct pto_scheduler *scheduler, uint32_t *place, uint32_t task)
{
    pto_cpu_store(place, task);
    uintptr_t record = (uintptr_t)&scheduler->records[task];
    pto_cpu_prefetch((const void *)(record + PREFETCH_DISTANCE)); // may be past the last
}

static inline void put(struct pto_scheduler *scheduler, uint32_t core, const uint32_t *tasks,
                       uint32_t count)
{
    struct pto_handshake *handshake = &scheduler->handshakes[core];
    uint32_t *ring = handshake->dispatch.ring;
    uint32_t queued = pto_own_load(&handshake->note.queued);
    uint32_t full = pto_own_load(&handshake->note.retired) + PTO_RING_DEPTH;
    // What is chained takes the places that the tasks still to come leave over, and none while
    // there is enough to do without.
    uint32_t chained = count_ready(scheduler) < PTO_RING_DEPTH ? full - queued - count : 0;
    for (; count != 0; count--) {
        uint32_t task = pto_cpu_load(tasks++);
        push(scheduler, &ring[queued++ % PTO_RING_DEPTH], task);
        for (; chained != 0; chained--) {
            task = chain(scheduler, task);
            if (task == PTO_NO_TASK) {
                break;
            }
            push(scheduler, &ring[queued++ % PTO_RING_DEPTH], task);
        }
    }
    pto_own_store(&handshake->note.queued, queued);
    uint64_t bit = (uint64_t)1 << (core % 64);
    struct pto_core_sets *sets = &scheduler->sets[core / 64];
    scheduler->busy_count += (uint32_t)(sets->idle >> (core % 64)) & 1;
    sets->idle &= ~bit;
    sets->dirty |= bit;
    if (queued == full) {
        sets->room &= ~bit;
    }
}

void pto__scheduler_put(struct pto_scheduler *scheduler, uint32_t core, const uint32_t *tasks,
                        uint32_t count)
{
    put(scheduler, core, tasks, count);
}

static void publish(struct pto_scheduler *scheduler)
{
    for (uint32_t word = scheduler->word_begin; word < scheduler->word_end; word++) {
        uint64_t dirty = scheduler->sets[word].dirty;
        if (dirty == 0) {
            continue;
        }
        scheduler->sets[word].dirty = 0;
        for (uint64_t left = dirty; left != 0; left &= left - 1) {
            uint32_t core = word * 64 + (uint32_t)__builtin_ctzll(left);
            struct pto_handshake *handshake = &scheduler->handshakes[core];
            uint32_t queued = pto_own_load(&handshake->note.queued);
            pto_own_store(&handshake->note.published, queued);
            // D1: the places were written before; the core reads the count first.
            pto_cpu_publish(&handshake->dispatch.queued, queued);
        }
        pto_cpu_ring(scheduler->hints, word, dirty);
    }
}

// Takes up to `want` tasks from the front of the queue of thread `victim`. The places are not
// written again in this run, so they may be read after the lock is gone. Nothing when the lock is
// held: the holder is taking them.
static const uint32_t *take_queued(struct pto_scheduler *scheduler, uint32_t victim, uint32_t want,
                                   uint32_t *got)
{
    struct pto_ready_queue *queue = &scheduler->queues[victim];
    uint32_t tail = pto_peer_load(&queue->tail); // S4
    *got = 0;
    // An older head only costs a look under the lock.
    if (tail == pto_cpu_peek(&queue->head) || !pto_peer_try_lock(&queue->lock)) {
        return NULL;
    }
    uint32_t head = pto_cpu_load(&queue->head); // S5
    *got = pto__min_u32(want, tail > head ? tail - head : 0);
    pto_cpu_store(&queue->head, head + *got);
    pto_peer_unlock(&queue->lock);
    return scheduler->all_ready + (uint64_t)victim * scheduler->task_count + head;
}

// Released tasks go before initially ready ones: what they read is warmer, and fewer are in flight.
static const uint32_t *take(struct pto_scheduler *scheduler, uint32_t want, uint32_t *got)
{
    if (scheduler->alone) {
        const uint32_t *tasks;
        if (scheduler->tail != scheduler->head) {
            *got = pto__min_u32(want, scheduler->tail - scheduler->head);
            tasks = scheduler->ready + scheduler->head;
            scheduler->head += *got;
        } else {
            *got = pto__min_u32(want, scheduler->initial_count - scheduler->cursor);
            tasks = scheduler->initial + scheduler->cursor;
            scheduler->cursor += *got;
        }
        return tasks;
    }
    const uint32_t *tasks = take_queued(scheduler, scheduler->index, want, got);
    if (*got != 0) {
        return tasks;
    }
    uint32_t *cursor = &scheduler->shared->ready_cursor;
    // The counter only grows, so an older value cannot say that nothing is left.
    if (pto_cpu_peek(cursor) >= scheduler->initial_count) {
        return NULL;
    }
    // S3: the list is constant; the counter only divides it. At most one call of each thread
    // overshoots, so it cannot wrap.
    uint32_t first = pto_peer_count(cursor, want);
    if (first >= scheduler->initial_count) {
        return NULL;
    }
    *got = pto__min_u32(want, scheduler->initial_count - first);
    return scheduler->initial + first;
}

// An owned core with nothing to do. The lowest first, so that a simulator lane finds a few warm
// ones rather than many cold ones.
static uint32_t find_idle(const struct pto_scheduler *scheduler)
{
    for (uint32_t word = scheduler->word_begin; word < scheduler->word_end; word++) {
        if (scheduler->sets[word].idle != 0) {
            return word * 64 + (uint32_t)__builtin_ctzll(scheduler->sets[word].idle);
        }
    }
    return PTO_NO_TASK;
}

// An owned core that has work, but fewer than `depth` tasks of it.
static uint32_t find_room(const struct pto_scheduler *scheduler, uint32_t depth)
{
    for (uint32_t word = scheduler->word_begin; depth > 1 && word < scheduler->word_end; word++) {
        uint64_t left = scheduler->sets[word].room & ~scheduler->sets[word].idle;
        for (; left != 0; left &= left - 1) {
            uint32_t core = word * 64 + (uint32_t)__builtin_ctzll(left);
            const struct pto_core_note *note = &scheduler->handshakes[core].note;
            if (pto_own_load(&note->queued) - pto_own_load(&note->retired) < depth) {
                return core;
            }
        }
    }
    return PTO_NO_TASK;
}

// Another thread's ready tasks, for an idle core of this one.
static uint32_t steal(struct pto_scheduler *scheduler)
{
    uint32_t core = find_idle(scheduler);
    if (core == PTO_NO_TASK) {
        return 0;
    }
    for (uint32_t i = 1; i < scheduler->scheduler_count; i++) {
        uint32_t victim = (scheduler->index + i) % scheduler->scheduler_count;
        uint32_t got;
        const uint32_t *tasks = take_queued(scheduler, victim, 1, &got);
        if (got != 0) {
            put(scheduler, core, tasks, 1);
            return 1;
        }
    }
    return 0;
}

// Hands `count` tasks at most to one core. Returns how many there were.
static uint32_t hand_out(struct pto_scheduler *scheduler, uint32_t core, uint32_t count)
{
    uint32_t got;
    const uint32_t *tasks = take(scheduler, count, &got);
    if (got != 0) {
        put(scheduler, core, tasks, got);
    }
    return got;
}

// Every idle core gets a task before any gets two, and what is queued ahead of need is a share of
// the surplus: half of what each executor could have, so that the last tasks spread evenly. Where
// there are more cores than executors, only as many cores are kept busy as executors can want.
uint32_t pto__scheduler_dispatch(struct pto_scheduler *scheduler)
{
    uint32_t total = 0;
    for (;;) {
        uint32_t ready = count_ready(scheduler);
        if (ready == 0) {
            break;
        }
        uint32_t share = pto__min_u32((ready >> scheduler->share_shift) + 1, PTO_RING_DEPTH);
        uint32_t core = PTO_NO_TASK;
        if (scheduler->busy_count < scheduler->busy_max) {
            core = find_idle(scheduler);
        }
        if (core == PTO_NO_TASK) {
            uint32_t depth = share < scheduler->depth_min ? scheduler->depth_min : share;
            core = find_room(scheduler, depth);
            if (core == PTO_NO_TASK) {
                break;
            }
            const struct pto_core_note *note = &scheduler->handshakes[core].note;
            share = depth - (pto_own_load(&note->queued) - pto_own_load(&note->retired));
        }
        uint32_t got = hand_out(scheduler, core, share);
        if (got == 0) {
            break;
        }
        total += got;
    }
    if (total == 0 && !scheduler->alone) {
        total = steal(scheduler);
    }
    publish(scheduler);
    return total;
}
