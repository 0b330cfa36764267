// SPDX-License-Identifier: Apache-2.0
// The scheduler and the worker, stepped by one thread in random order: small random graphs, 1 to 16
// scheduler threads, 1 to 130 cores, work hints on and off.
//
// The sources are compiled into this file, with an interruption point in front of every access to
// shared memory. There the step of another agent may run from begin to end, so orders are seen that
// two real threads meet once in a million runs, and a seed repeats them. After each step the
// invariants of aicpu/scheduler.h and abi/handshake.h are checked.
//
// PTO_TEST_SEED sets the seed, PTO_TEST_CASES the number of graphs; a failure names the seed of its
// graph, and PTO_TEST_CASES=1 with that seed runs it alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "abi/access.h"

static void interrupt(void);
static uint64_t virtual_clock(void);

#define pto_cpu_load(word) (interrupt(), pto_cpu_load(word))
#define pto_cpu_store(word, value) (interrupt(), pto_cpu_store(word, value))
#define pto_cpu_publish(word, value) (interrupt(), pto_cpu_publish(word, value))
#define pto_cpu_observe(word) (interrupt(), pto_cpu_observe(word))
#define pto_cpu_ring(hints, word, cores) (interrupt(), pto_cpu_ring(hints, word, cores))
#define pto_cpu_clock_ns() virtual_clock()
#define pto_peer_load(word) (interrupt(), pto_peer_load(word))
#define pto_peer_store(word, value) (interrupt(), pto_peer_store(word, value))
#define pto_peer_add(word, value) (interrupt(), pto_peer_add(word, value))
#define pto_peer_sub(word, value) (interrupt(), pto_peer_sub(word, value))
#define pto_peer_exchange(word, value) (interrupt(), pto_peer_exchange(word, value))
#define pto_peer_try_lock(lock) (interrupt(), pto_peer_try_lock(lock))
#define pto_peer_unlock(lock) (interrupt(), pto_peer_unlock(lock))
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
    uint32_t rarity;   // one access in so many is interrupted
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

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_msg("%s, line %d, graph of PTO_TEST_SEED=%" PRIu64, #condition, __LINE__,         \
                     world.seed);                                                                  \
        }                                                                                          \
    } while (0)

static uint32_t below(uint32_t bound)
{
    return test_below(&world.random, bound);
}

// Kernel 0: notes that the task ran, in order and for the first time.
static int32_t note_run(PTO_GM const uint64_t *args)
{
    uintptr_t record = (uintptr_t)args - offsetof(struct pto_task_record, args);
    uint32_t task = (uint32_t)((record - (uintptr_t)world.graph.records) /
                               sizeof(struct pto_task_record));
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

pto_kernel_function *pto__kernel_lookup(uint32_t func_id)
{
    return func_id == 0 ? note_run : NULL;
}

static uint64_t virtual_clock(void)
{
    return ++world.clock_ns;
}

// Copies what a step queued: eight tasks for each core at most, so all of them are still in the ring.
static void write_down_given(const struct pto_scheduler *scheduler)
{
    for (uint32_t core = scheduler->core_begin; core < scheduler->core_end; core++) {
        const struct pto_core_note *note = &world.block->handshakes[core].note;
        CHECK(note->queued <= world.graph.task_count);
        CHECK(note->queued - world.given_count[core] <= PTO_RING_DEPTH);
        for (; world.given_count[core] < note->queued; world.given_count[core]++) {
            uint32_t n = world.given_count[core];
            world.given[core][n] = note->ring[n % PTO_RING_DEPTH];
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
    uint64_t *hint = &world.block->hints.runnable[core / 64];
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
        if (step == PTO_STEP_BUSY && budget < PTO_RING_DEPTH) {
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

static int get_bit(const uint64_t *set, uint32_t core)
{
    return (int)(set[core / 64] >> (core % 64) & 1);
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
        CHECK(note->ring[n % PTO_RING_DEPTH] == world.given[core][n]);
        CHECK(handshake->dispatch.ring[n % PTO_RING_DEPTH] == world.given[core][n]);
    }
    if (!scheduler->left) {
        CHECK(note->published == note->queued);
        CHECK(queued == note->queued);
        CHECK(get_bit(scheduler->sets.idle, core) == (note->queued == note->retired));
        CHECK(get_bit(scheduler->sets.room, core) ==
              (note->queued - note->retired < PTO_RING_DEPTH));
        CHECK(get_bit(scheduler->sets.dirty, core) == 0);
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
        const struct pto_scheduler *scheduler = &world.schedulers[i];
        const struct pto_ready_queue *queue = &world.block->queues[i];
        if (!world.scheduler_agents[i].begun) {
            continue;
        }
        CHECK(scheduler->core_begin ==
              (i == 0 ? 0 : world.core_count * i / world.scheduler_count));
        for (uint32_t core = scheduler->core_begin; core < scheduler->core_end; core++) {
            check_core(scheduler, core);
            retired += world.block->handshakes[core].note.retired;
        }
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

static void begin_run(enum ending ending)
{
    uint32_t task_count = world.graph.task_count;
    device_block_fill(world.block, &world.graph, world.scheduler_count, world.hinted);
    world.block->launch.executor_count = 1 + below(world.core_count);
    world.block->launch.depth_min = 1 + below(PTO_RING_DEPTH);
    memset(world.scheduler_agents, 0, sizeof(world.scheduler_agents));
    memset(world.core_agents, 0, sizeof(world.core_agents));
    memset(world.run_count, 0, sizeof(world.run_count));
    memset(world.must_fail, 0, sizeof(world.must_fail));
    memset(world.has_failed, 0, sizeof(world.has_failed));
    memset(world.given_count, 0, sizeof(world.given_count));
    world.nesting = 0;
    world.frozen_core = PTO_NO_TASK;
    if (ending == END_FAIL) {
        for (uint32_t i = 1 + below(3); i != 0; i--) {
            world.must_fail[below(task_count)] = 1;
        }
    }
    // With hints nobody would ring for the beginning.
    for (uint32_t i = 0; world.hinted && i < world.core_count; i++) {
        world.core_agents[i].begun = 1;
        pto_worker_begin(&world.workers[i], &world.block->launch, i, PTO_CORE_TYPE_AIV, i);
    }
}

static int everybody_left(void)
{
    for (uint32_t i = 0; i < world.scheduler_count; i++) {
        if (!world.scheduler_agents[i].left) {
            return 0;
        }
    }
    for (uint32_t i = 0; i < world.core_count; i++) {
        if (!world.core_agents[i].left) {
            return 0;
        }
    }
    return 1;
}

// Steps until all have left. A graph that is still not over after so many turns is stuck.
static void run_to_end(enum ending ending)
{
    uint32_t turns_max = 4000 + 400 * world.graph.task_count;
    uint32_t stop_turn = ending == END_STOP ? below(1 + 4 * world.graph.task_count) : UINT32_MAX;
    for (uint32_t turn = 0; !everybody_left(); turn++) {
        CHECK(turn < turns_max);
        if (turn >= stop_turn) {
            world.block->control.stop = 1;
        }
        // A scheduler and a few cores in a random order, so that all get on.
        step_scheduler(below(world.scheduler_count));
        for (uint32_t i = below(world.core_count + 1); i != 0; i--) {
            step_core(below(world.core_count));
        }
        check_invariants(turn % 8 == 0);
    }
}

static uint32_t count_run(void)
{
    uint32_t count = 0;
    for (uint32_t task = 0; task < world.graph.task_count; task++) {
        count += world.run_count[task];
    }
    return count;
}

static void check_good_end(void)
{
    const struct pto_report *report = &world.block->report;
    CHECK(report->status == PTO_REPORT_DONE);
    CHECK(report->completed == world.graph.task_count);
    CHECK(count_run() == world.graph.task_count);
    for (uint32_t core = 0; core < world.core_count; core++) {
        const struct pto_handshake *handshake = &world.block->handshakes[core];
        CHECK(handshake->core.state == PTO_CORE_LEFT);
        CHECK(handshake->core.completed == handshake->dispatch.queued);
    }
    for (uint32_t task = 0; task < world.graph.task_count; task++) {
        CHECK(world.graph.pending[task] == world.graph.records[task].predecessor_count);
    }
}

static void check_failed_end(void)
{
    const struct pto_report *report = &world.block->report;
    CHECK(report->status == PTO_REPORT_TASK);
    CHECK(report->fail_kind == PTO_FAIL_RETURN);
    CHECK(report->task < world.graph.task_count);
    CHECK(world.has_failed[report->task] == 1);
    CHECK(report->fail_code == -(int32_t)report->task - 1);
    CHECK(report->core < world.core_count);
    CHECK(report->core_state == PTO_CORE_FAILED);
    CHECK(report->completed <= count_run());
    const struct pto_handshake *handshake = &world.block->handshakes[report->core];
    CHECK(report->seen == handshake->core.completed);
    CHECK(world.given[report->core][report->seen] == report->task);
}

static void run(enum ending ending, uint32_t rarity)
{
    begin_run(ending);
    world.rarity = rarity;
    run_to_end(ending);
    world.rarity = 0;
    if (ending == END_FAIL) {
        check_failed_end();
        device_graph_reset(&world.graph);
    } else if (ending == END_STOP && world.block->report.status == PTO_REPORT_STOPPED) {
        CHECK(world.block->report.completed <= count_run());
        device_graph_reset(&world.graph);
    } else {
        check_good_end();
    }
}

// Edges go upwards. Few far ones, many near ones, and in between, so that chains, wide layers and
// thickets all occur.
static void make_graph(uint32_t task_count)
{
    uint32_t reach = 1 + below(task_count);
    uint32_t wanted = below(4) == 0 ? task_count - 1 : below(1 + 5 * task_count);
    static uint8_t taken[TASK_MAX][TASK_MAX];
    memset(taken, 0, sizeof(taken));
    world.edge_count = 0;
    for (uint32_t i = 0; i < wanted && i < EDGE_MAX && task_count > 1; i++) {
        uint32_t from = below(task_count - 1);
        uint32_t room = task_count - 1 - from;
        uint32_t to = from + 1 + below(room < reach ? room : reach);
        if (!taken[from][to]) {
            taken[from][to] = 1;
            world.edges[world.edge_count++] = (struct device_edge){.from = from, .to = to};
        }
    }
    device_graph_init(&world.graph, task_count, world.edges, world.edge_count);
}

static void run_one_graph(uint64_t seed)
{
    world.seed = seed;
    world.random = seed;
    world.rarity = 0;
    // Mostly few cores and tasks: that is where all the states of a ring meet.
    world.core_count = 1 + below(below(3) == 0 ? CORE_MAX : 6);
    world.scheduler_count = 1 + below(below(3) == 0 ? PTO_SCHEDULER_COUNT_MAX : 3);
    if (world.scheduler_count > world.core_count) {
        world.scheduler_count = world.core_count;
    }
    make_graph(1 + below(below(3) == 0 ? TASK_MAX : 40));
    world.block = device_block_create(world.core_count);
    uint32_t rarity = below(4) == 0 ? 0 : 6 + world.core_count + below(40);
    for (uint32_t i = 0; i < 5; i++) {
        static const enum ending endings[] = {END_GOOD, END_GOOD, END_FAIL, END_GOOD, END_STOP};
        world.hinted = below(2) == 0;
        run(endings[i], rarity);
    }
    free(world.block);
    device_graph_fini(&world.graph);
}

static void test_random_orders(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint64_t cases = test_cases(2000);
    for (uint64_t i = 0; i < cases; i++) {
        run_one_graph(seed + i);
    }
}

static void make_world(uint32_t task_count, uint32_t core_count, uint32_t scheduler_count)
{
    world.random = 1;
    world.rarity = 0;
    world.hinted = 0;
    world.core_count = core_count;
    world.scheduler_count = scheduler_count;
    world.edge_count = 0;
    world.block = device_block_create(core_count);
    device_graph_init(&world.graph, task_count, world.edges, 0);
}

static void end_world(void)
{
    free(world.block);
    device_graph_fini(&world.graph);
}

// The clock is ours: a core that hangs is named once the timeout has passed, and not before. The
// threads whose cores are idle leave the word to the one that can name the core.
static void test_timeout_names_core(void **state)
{
    (void)state;
    for (uint32_t scheduler_count = 1; scheduler_count <= 3; scheduler_count++) {
        make_world(6, 6, scheduler_count);
        begin_run(END_GOOD);
        world.block->launch.timeout_ns = 100 * MS;
        world.block->launch.executor_count = UINT32_MAX; // one task for each core
        world.block->launch.depth_min = 1;
        world.frozen_core = 4;
        for (uint32_t turn = 0; turn < 1000; turn++) {
            step_scheduler(turn % scheduler_count);
            for (uint32_t core = 0; core < 6; core++) {
                step_core(core);
            }
        }
        assert_int_equal(world.block->report.status, PTO_REPORT_NONE);
        assert_int_equal(count_run(), 5);
        world.clock_ns += 101 * MS;
        for (uint32_t turn = 0; turn < 100; turn++) {
            step_scheduler(turn % scheduler_count);
        }
        const struct pto_report *report = &world.block->report;
        assert_int_equal(report->status, PTO_REPORT_TIMEOUT);
        assert_int_equal(report->core, 4);
        assert_int_equal(report->task, world.block->handshakes[4].note.ring[0]);
        assert_int_equal(report->expected, 1);
        assert_int_equal(report->seen, 0);
        assert_int_equal(report->core_state, PTO_CORE_ABSENT);
        assert_int_equal(report->completed, 5);
        for (uint32_t i = 0; i < scheduler_count; i++) {
            assert_int_equal(world.scheduler_agents[i].left, 1);
        }
        // A core that comes back late finds that it is to stop, and does not begin its task.
        world.frozen_core = PTO_NO_TASK;
        for (uint32_t turn = 0; turn < 3; turn++) {
            for (uint32_t core = 0; core < 6; core++) {
                step_core(core);
            }
        }
        assert_int_equal(count_run(), 5);
        assert_true(everybody_left());
        end_world();
    }
}

// Each completion restarts the deadline, another thread's core's too.
static void test_progress_restarts_deadline(void **state)
{
    (void)state;
    make_world(20, 2, 2);
    begin_run(END_GOOD);
    world.block->launch.timeout_ns = 100 * MS;
    world.block->launch.depth_min = PTO_RING_DEPTH;
    step_core(0); // begins
    step_core(1);
    for (uint32_t turn = 0; !everybody_left() && turn < 1000; turn++) {
        for (uint32_t i = 0; i < 3; i++) {
            step_scheduler(0);
            step_scheduler(1);
        }
        world.clock_ns += 60 * MS;
        step_core(turn % 2);
    }
    assert_int_equal(world.block->report.status, PTO_REPORT_DONE);
    assert_int_equal(count_run(), 20);
    end_world();
}

static void test_bad_image_is_refused(void **state)
{
    (void)state;
    for (uint32_t scheduler_count = 1; scheduler_count <= 3; scheduler_count++) {
        make_world(5, 3, scheduler_count);
        begin_run(END_GOOD);
        world.graph.image->magic ^= 1;
        for (uint32_t turn = 0; turn < 100 && !everybody_left(); turn++) {
            step_scheduler(turn % scheduler_count);
            step_core(turn % 3);
        }
        const struct pto_report *report = &world.block->report;
        assert_true(everybody_left());
        assert_int_equal(report->status, PTO_REPORT_LAUNCH);
        assert_int_equal(report->expected, PTO_IMAGE_MAGIC);
        assert_int_equal(report->seen, PTO_IMAGE_MAGIC ^ 1);
        assert_int_equal(count_run(), 0);
        end_world();
    }
}

static void test_unknown_kernel(void **state)
{
    (void)state;
    make_world(1, 1, 1);
    begin_run(END_GOOD);
    world.graph.records[0].func_id = 77;
    for (uint32_t turn = 0; turn < 100 && !everybody_left(); turn++) {
        step_scheduler(0);
        step_core(0);
    }
    assert_true(everybody_left());
    assert_int_equal(world.block->report.status, PTO_REPORT_TASK);
    assert_int_equal(world.block->report.fail_kind, PTO_FAIL_UNKNOWN);
    assert_int_equal(world.block->report.fail_code, 77);
    assert_int_equal(world.block->report.func_id, 77);
    end_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_orders),
        cmocka_unit_test(test_timeout_names_core),
        cmocka_unit_test(test_progress_restarts_deadline),
        cmocka_unit_test(test_bad_image_is_refused),
        cmocka_unit_test(test_unknown_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
