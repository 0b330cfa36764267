// SPDX-License-Identifier: Apache-2.0
// The world of test_scheduler.c: the scheduler's and the worker's sources themselves, with an
// interruption point in front of every access to shared memory; one graph, its launch, and all
// agents; stepping one of them; and the invariants that hold between steps.
//
// At an interruption point the steps of other agents may run from begin to end, so orders are seen
// that two real threads meet once in a million runs, and a seed repeats them.
#ifndef PTO_TESTS_UNIT_SCHEDULER_WORLD_H
#define PTO_TESTS_UNIT_SCHEDULER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "abi/access.h"

static void interrupt(void);
static uint64_t virtual_clock(void);

#define pto_cpu_load(word) (interrupt(), pto_cpu_load(word))
#define pto_cpu_peek(word) (interrupt(), pto_cpu_peek(word))
#define pto_cpu_store(word, value) (interrupt(), pto_cpu_store(word, value))
#define pto_cpu_publish(word, value) (interrupt(), pto_cpu_publish(word, value))
#define pto_cpu_observe(word) (interrupt(), pto_cpu_observe(word))
#define pto_cpu_ring(hints, word, cores) (interrupt(), pto_cpu_ring(hints, word, cores))
#define pto_cpu_clock_ns() virtual_clock()
#define pto_peer_load(word) (interrupt(), pto_peer_load(word))
#define pto_peer_store(word, value) (interrupt(), pto_peer_store(word, value))
#define pto_peer_count(word, value) (interrupt(), pto_peer_count(word, value))
#define pto_peer_sub(word, value) (interrupt(), pto_peer_sub(word, value))
#define pto_peer_try_lock(lock) (interrupt(), pto_peer_try_lock(lock))
#define pto_peer_unlock(lock) (interrupt(), pto_peer_unlock(lock))
#define pto_core_peek(word) (interrupt(), pto_core_peek(word))
#define pto_core_observe(word) (interrupt(), pto_core_observe(word))
#define pto_core_publish(word, value) (interrupt(), pto_core_publish(word, value))
#define pto_core_ring(hints, core) (interrupt(), pto_core_ring(hints, core))

#include "aicpu/dispatch.c"
#include "aicpu/finish.c"
#include "aicpu/scheduler.c"

#define leave worker_leave
#include "aicore/worker.c"
#undef leave

#include <cmocka.h>

#include "tests/device_block.h"
#include "tests/seed.h"

#define TASK_MAX 240u
#define EDGE_MAX 1200u
#define CORE_MAX 130u
#define NESTING_MAX 3u
#define MS UINT64_C(1000000)

// What is to become of a run.
enum ending { END_GOOD, END_FAIL, END_STOP };

struct agent {
    int begun;
    int left;
    int inside; // in a step, perhaps interrupted
    uint64_t step_count;
};

static struct {
    uint64_t seed;   // of this graph, for messages
    uint64_t random; // state of the generator
    struct device_graph graph;
    struct device_edge edges[EDGE_MAX];
    uint32_t edge_count;
    struct device_block *block;
    uint32_t core_count;
    uint32_t scheduler_count;
    int hinted;
    uint32_t rarity; // one access in so many is interrupted
    uint32_t nesting;
    uint64_t clock_ns;
    uint32_t frozen_core; // never stepped, else PTO_NO_TASK
    struct pto_scheduler schedulers[PTO_SCHEDULER_COUNT_MAX];
    struct pto_worker workers[CORE_MAX];
    struct agent scheduler_agents[PTO_SCHEDULER_COUNT_MAX];
    struct agent core_agents[CORE_MAX];
    uint8_t run_count[TASK_MAX];
    uint8_t must_fail[TASK_MAX];
    uint8_t has_failed[TASK_MAX];
    // What each core was given: the n-th task queued to it.
    uint32_t given[CORE_MAX][TASK_MAX + PTO_RING_DEPTH];
    uint32_t given_count[CORE_MAX];
    uint8_t retired[TASK_MAX];
} world;

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fail_msg("%s, line %d, graph of PTO_TEST_SEED=%" PRIu64, #condition, __LINE__, \
                     world.seed);                                                          \
        }                                                                                  \
    } while (0)

static uint32_t below(uint32_t bound)
{
    return test_below(&world.random, bound);
}

// Kernel 0: notes that the task ran, in order and for the first time.
static int32_t note_run(PTO_GM const uint64_t *args)
{
    uintptr_t record = (uintptr_t)args - offsetof(struct pto_task_record, args);
    uint32_t task =
        (uint32_t)((record - (uintptr_t)world.graph.records) / sizeof(struct pto_task_record));
    CHECK(task < world.graph.task_count);
    CHECK(world.run_count[task] == 0);
    for (uint32_t i = 0; i < world.edge_count; i++) {
        if (world.edges[i].to == task) {
            CHECK(world.run_count[world.edges[i].from] == 1);
        }
    }
    if (world.must_fail[task]) {
        world.has_failed[task] = 1;
        return -(int32_t)task - 1;
    }
    interrupt(); // the task is long: much happens while it runs
    world.run_count[task] = 1;
    return 0;
}

pto_kernel_function *pto__kernel_functions[PTO_FUNC_ID_MAX + 1] = {[0] = note_run};

static uint64_t virtual_clock(void)
{
    return ++world.clock_ns;
}

// Copies what a step queued: eight tasks for each core at most, so all are still in the ring.
static void write_down_given(const struct pto_scheduler *scheduler)
{
    for (uint32_t core = scheduler->core_begin; core < scheduler->core_end; core++) {
        const struct pto_core_note *note = &world.block->handshakes[core].note;
        CHECK(note->queued <= world.graph.task_count);
        CHECK(note->queued - world.given_count[core] <= PTO_RING_DEPTH);
        for (; world.given_count[core] < note->queued; world.given_count[core]++) {
            uint32_t n = world.given_count[core];
            world.given[core][n] = world.block->handshakes[core].dispatch.ring[n % PTO_RING_DEPTH];
        }
    }
}

static void step_scheduler(uint32_t index)
{
    struct agent *agent = &world.scheduler_agents[index];
    if (agent->left || agent->inside) {
        return;
    }
    agent->inside = 1;
    agent->step_count++;
    if (!agent->begun) {
        agent->begun = 1;
        pto_scheduler_begin(&world.schedulers[index], &world.block->launch, index);
    } else if (pto_scheduler_step(&world.schedulers[index]) == PTO_STEP_LEAVE) {
        agent->left = 1;
    }
    write_down_given(&world.schedulers[index]);
    agent->inside = 0;
}

// With hints a core is stepped only when its bit is set, as a simulator lane does it.
static void step_core(uint32_t core)
{
    struct agent *agent = &world.core_agents[core];
    if (agent->left || agent->inside || core == world.frozen_core) {
        return;
    }
    uint64_t *hint = &world.block->hints.words[core / 64].runnable;
    uint64_t bit = (uint64_t)1 << (core % 64);
    if (world.hinted && (*hint & bit) == 0) {
        return;
    }
    agent->inside = 1;
    agent->step_count++;
    if (!agent->begun) {
        agent->begun = 1;
        pto_worker_begin(&world.workers[core], &world.block->launch, core, PTO_CORE_TYPE_AIV, core);
    } else {
        *hint &= ~bit;
        uint32_t budget = 1 + below(PTO_RING_DEPTH);
        enum pto_step step = pto_worker_step(&world.workers[core], budget);
        agent->left = step == PTO_STEP_LEAVE;
        if (step == PTO_STEP_BUSY && (budget < PTO_RING_DEPTH || world.block->hints.yield)) {
            *hint |= bit;
        }
    }
    agent->inside = 0;
}

static void step_any(void)
{
    if (below(2) == 0) {
        step_scheduler(below(world.scheduler_count));
    } else {
        step_core(below(world.core_count));
    }
}

static void interrupt(void)
{
    if (world.rarity == 0 || world.nesting == NESTING_MAX || below(world.rarity) != 0) {
        return;
    }
    world.nesting++;
    for (uint32_t i = below(4); i < 4; i++) {
        step_any();
    }
    world.nesting--;
}

static int get_bit(uint64_t set, uint32_t core)
{
    return (int)(set >> (core % 64) & 1);
}

static void check_core(const struct pto_scheduler *scheduler, uint32_t core)
{
    const struct pto_handshake *handshake = &world.block->handshakes[core];
    const struct pto_core_note *note = &handshake->note;
    uint32_t queued = handshake->dispatch.queued;
    uint32_t completed = handshake->core.completed;
    CHECK(note->retired <= completed);
    CHECK(completed <= queued);
    CHECK(queued <= note->queued);
    CHECK(note->queued - note->retired <= PTO_RING_DEPTH);
    CHECK(world.given_count[core] == note->queued);
    for (uint32_t n = note->retired; n < note->queued; n++) {
        CHECK(handshake->dispatch.ring[n % PTO_RING_DEPTH] == world.given[core][n]);
    }
    if (!scheduler->left) {
        CHECK(note->published == note->queued);
        CHECK(queued == note->queued);
        CHECK(get_bit(scheduler->sets[core / 64].idle, core) == (note->queued == note->retired));
        CHECK(get_bit(scheduler->sets[core / 64].room, core) ==
              (note->queued - note->retired < PTO_RING_DEPTH));
        CHECK(get_bit(scheduler->sets[core / 64].dirty, core) == 0);
    }
}

// Whether `task` stands in a ring right behind one of its predecessors that has not retired.
static int is_chained(uint32_t task)
{
    for (uint32_t core = 0; core < world.core_count; core++) {
        const struct pto_core_note *note = &world.block->handshakes[core].note;
        for (uint32_t n = note->retired + 1; n < note->queued; n++) {
            for (uint32_t i = 0; world.given[core][n] == task && i < world.edge_count; i++) {
                if (world.edges[i].to == task && world.edges[i].from == world.given[core][n - 1]) {
                    return 1;
                }
            }
        }
    }
    return 0;
}

static void check_pending(void)
{
    uint32_t waits_for[TASK_MAX] = {0};
    memset(world.retired, 0, sizeof(world.retired));
    for (uint32_t core = 0; core < world.core_count; core++) {
        for (uint32_t n = 0; n < world.block->handshakes[core].note.retired; n++) {
            CHECK(world.retired[world.given[core][n]] == 0);
            world.retired[world.given[core][n]] = 1;
        }
    }
    for (uint32_t i = 0; i < world.edge_count; i++) {
        waits_for[world.edges[i].to] += world.retired[world.edges[i].from] == 0;
    }
    for (uint32_t task = 0; task < world.graph.task_count; task++) {
        uint32_t pending = world.graph.pending[task];
        if (world.retired[task]) {
            CHECK(pending == world.graph.records[task].predecessor_count);
        } else if (pending != 0 || waits_for[task] == 0) {
            CHECK(pending == waits_for[task]);
        } else {
            CHECK(waits_for[task] == 1 && is_chained(task));
        }
    }
}

// Between top-level steps, when nobody is inside one.
static void check_invariants(int thoroughly)
{
    uint32_t retired = 0;
    for (uint32_t i = 0; i < world.scheduler_count; i++) {
        uint32_t busy_count = 0;
        const struct pto_scheduler *scheduler = &world.schedulers[i];
        const struct pto_ready_queue *queue = &world.block->queues[i];
        if (!world.scheduler_agents[i].begun) {
            continue;
        }
        CHECK(scheduler->core_begin == (i == 0 ? 0 : world.core_count * i / world.scheduler_count));
        for (uint32_t core = scheduler->core_begin; core < scheduler->core_end; core++) {
            check_core(scheduler, core);
            retired += world.block->handshakes[core].note.retired;
            busy_count += !get_bit(scheduler->sets[core / 64].idle, core);
        }
        CHECK(scheduler->busy_count == busy_count);
        CHECK(queue->lock == 0);
        CHECK(queue->head <= queue->tail && queue->tail <= world.graph.task_count);
        CHECK(scheduler->alone || queue->tail == scheduler->tail);
        CHECK(scheduler->head <= scheduler->tail && scheduler->tail <= world.graph.task_count);
    }
    CHECK(world.block->shared.remaining == world.graph.task_count - retired);
    if (thoroughly) {
        check_pending();
    }
}

#endif // PTO_TESTS_UNIT_SCHEDULER_WORLD_H
