// SPDX-License-Identifier: Apache-2.0
// The scheduler and the worker, stepped by one thread in random order: small random graphs, 1 to 16
// scheduler threads, 1 to 130 cores, work hints on and off, runs that end well, fail and are
// stopped. After each step the invariants of aicpu/scheduler.h and abi/handshake.h are checked.
//
// PTO_TEST_SEED sets the seed, PTO_TEST_CASES the number of graphs; a failure names the seed of its
// graph, and PTO_TEST_CASES=1 with that seed runs it alone.
#include "tests/unit/scheduler_world.h"

static void begin_run(enum ending ending)
{
    uint32_t task_count = world.graph.task_count;
    device_block_fill(world.block, &world.graph, world.scheduler_count, world.hinted);
    world.block->launch.executor_count = 1 + below(world.core_count);
    world.block->launch.depth_min = 1 + below(PTO_RING_DEPTH);
    world.block->hints.yield = below(2);
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
        world.block->launch.executor_count = 64; // one task for each core
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
        assert_int_equal(report->task, world.block->handshakes[4].dispatch.ring[0]);
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
