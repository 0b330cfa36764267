// SPDX-License-Identifier: Apache-2.0
// pto_graph_find_races on a runner: what a finding says, what is refused, and what may be done
// meanwhile. Its search is tested on random accesses in unit/test_conflicts.c.
#include <pthread.h>

#include "tests/cts/cts.h"

static struct pto_check_finding found[64];

static size_t find(struct pto_graph *graph, struct pto_runner *runner)
{
    size_t count = 0;
    CTS_OK(pto_graph_find_races(graph, runner, NULL, found, 64, &count, &cts_error));
    assert_in_range(count, 0, 64);
    return count;
}

static uint32_t add_task(struct pto_graph *graph, uint64_t src0, uint64_t src1, uint64_t out,
                         uint64_t n)
{
    const uint64_t args[] = {src0, src1, out, n};
    return cts_add(graph, CTS_ADD, args, 4);
}

// A correct graph has no race; each edge taken away gives one between its two tasks.
static void every_edge_counts(const struct cts_backend *backend)
{
    static const uint32_t edges[4][2] = {{0, 1}, {0, 2}, {1, 3}, {2, 3}};
    struct pto_runner *runner = cts_open(backend, 2);
    struct cts_42 work;
    cts_42_make(&work, runner, 1000);
    assert_int_equal(find(work.graph, runner), 0);
    for (uint32_t left_out = 0; left_out < 4; left_out++) {
        struct pto_graph *graph = cts_graph();
        for (uint32_t i = 0; i < 4; i++) {
            struct pto_task_view view;
            CTS_OK(pto_graph_get_task(work.graph, i, &view, &cts_error));
            cts_add(graph, view.func_id, view.args, view.arg_count);
        }
        for (uint32_t i = 0; i < 4; i++) {
            if (i != left_out) {
                cts_edge(graph, edges[i][0], edges[i][1]);
            }
        }
        assert_int_equal(find(graph, runner), 1);
        assert_int_equal(found[0].kind, PTO_CHECK_RACE);
        assert_int_equal(found[0].shares_line, 0);
        assert_int_equal(found[0].other.task, edges[left_out][0]);
        assert_int_equal(found[0].access.task, edges[left_out][1]);
        assert_int_equal(found[0].other.is_write, 1);
        assert_int_equal(found[0].access.is_write, 0);
        assert_true(found[0].tensor == work.blocks[found[0].other.task + 2]);
        assert_true(found[0].tensor_bytes == 4000);
        assert_true(found[0].access.begin == 0 && found[0].access.end == 4000);
        cts_edge(graph, found[0].other.task, found[0].access.task);
        assert_int_equal(find(graph, runner), 0);
        pto_graph_destroy(graph);
    }
    cts_run_graph(runner, work.graph);
    cts_42_check(&work, runner, 42.0f);
    pto_graph_destroy(work.graph);
    cts_close(runner);
}

static void what_a_finding_says(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 1);
    uint64_t source = cts_allocate(runner, 400);
    uint64_t out = cts_allocate(runner, 100);
    struct pto_graph *graph = cts_graph();
    add_task(graph, source, source, out, 18);          // bytes 0..71
    add_task(graph, source + 64, source, out + 68, 8); // bytes 68..99
    add_task(graph, out, source, source + 300, 1);     // reads 0..3
    assert_int_equal(find(graph, runner), 2);
    const struct pto_check_finding *race = &found[0];
    assert_true(race->kind == PTO_CHECK_RACE && race->shares_line == 0);
    assert_true(race->tensor == out && race->tensor_bytes == 100);
    assert_true(race->other.begin == 68 && race->other.end == 72);
    assert_true(race->access.begin == 68 && race->access.end == 72);
    assert_true(race->other.task == 0 && race->other.func_id == CTS_ADD && race->other.arg == 2);
    assert_string_equal(race->other.kernel, "add");
    race = &found[1];
    assert_true(race->access.task == 2 && race->access.arg == 0 && race->access.is_write == 0);
    assert_true(race->access.begin == 0 && race->access.end == 4);
    assert_non_null(strstr(race->message, "racecheck: task 0 (kernel 'add', func_id 0, argument 2) "
                                          "writes and task 2 (kernel 'add', func_id 0, argument 0) "
                                          "reads bytes 0 to 3"));

    // With 17 elements the two share a line, and each is told its bytes of it; with 16 nothing.
    const uint64_t fewer[] = {source, source, out, 17};
    CTS_OK(pto_graph_set_args(graph, 0, fewer, 4, &cts_error));
    assert_int_equal(find(graph, runner), 2);
    assert_int_equal(found[0].shares_line, 1);
    assert_true(found[0].other.begin == 64 && found[0].other.end == 68);
    assert_true(found[0].access.begin == 68 && found[0].access.end == 100);
    assert_non_null(strstr(found[0].message, "64-byte cache line"));
    const uint64_t line[] = {source, source, out, 16};
    CTS_OK(pto_graph_set_args(graph, 0, line, 4, &cts_error));
    assert_int_equal(find(graph, runner), 1);
    // No elements, no bytes.
    const uint64_t none[] = {source, source, out, 0};
    CTS_OK(pto_graph_set_args(graph, 0, none, 4, &cts_error));
    assert_int_equal(find(graph, runner), 0);
    pto_graph_destroy(graph);
    cts_close(runner);
}

static void refusals(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 1);
    struct pto_graph *graph = cts_graph();
    uint64_t block = cts_allocate(runner, 64);
    size_t count = 5;
    CTS_FAILS(pto_graph_find_races(NULL, runner, NULL, NULL, 0, &count, &cts_error), PTO_E_ARGUMENT,
              "graph");
    CTS_FAILS(pto_graph_find_races(graph, NULL, NULL, NULL, 0, &count, &cts_error), PTO_E_ARGUMENT,
              "runner");
    CTS_FAILS(pto_graph_find_races(graph, runner, NULL, NULL, 1, &count, &cts_error),
              PTO_E_ARGUMENT, "out_findings");
    CTS_FAILS(pto_graph_find_races(graph, runner, NULL, NULL, 0, NULL, &cts_error), PTO_E_ARGUMENT,
              "out_count");
    struct pto_analysis_options options = {.size = 1};
    CTS_FAILS(pto_graph_find_races(graph, runner, &options, NULL, 0, &count, &cts_error),
              PTO_E_ARGUMENT, "size");
    assert_int_equal(find(graph, runner), 0); // no tasks
    add_task(graph, block, block, block, 16);
    add_task(graph, block, block, block, 17);
    CTS_FAILS(pto_graph_find_races(graph, runner, NULL, NULL, 0, &count, &cts_error), PTO_E_POINTER,
              "task 1");
    assert_int_equal(cts_error.task, 1);
    const uint64_t good[] = {block, block, block, 1};
    CTS_OK(pto_graph_set_args(graph, 1, good, 4, &cts_error));
    assert_int_equal(find(graph, runner), 1);
    cts_edge(graph, 0, 1);
    cts_edge(graph, 1, 0);
    CTS_FAILS(pto_graph_find_races(graph, runner, NULL, NULL, 0, &count, &cts_error), PTO_E_CYCLE,
              "cycle");
    assert_int_equal(count, 0);
    cts_add(graph, 1023, NULL, 0);
    CTS_FAILS(pto_graph_find_races(graph, runner, NULL, NULL, 0, &count, &cts_error), PTO_E_KERNEL,
              "1023");
    CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    CTS_FAILS(pto_graph_find_races(graph, runner, NULL, NULL, 0, &count, &cts_error), PTO_E_STATE,
              "init");
    pto_graph_destroy(graph);
    cts_destroy(runner);
}

struct visitor {
    struct pto_runner *runner;
    struct pto_graph *graph;
    uint64_t block;
    int asked;
};

// Frees what is looked at, and closes the runner: neither waits for the search to end.
static int use_runner(void *context)
{
    struct visitor *visitor = context;
    struct pto_error err;
    visitor->asked++;
    assert_int_equal(pto_graph_add_successor(visitor->graph, 0, 1, &err), PTO_E_BUSY);
    if (visitor->asked == 1) {
        CTS_OK(pto_runner_free(visitor->runner, visitor->block, &cts_error));
        CTS_OK(pto_runner_finalize(visitor->runner, NULL, &cts_error));
    }
    return 0;
}

static int stop(void *context)
{
    (*(int *)context)++;
    return 1;
}

static void meanwhile(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 1);
    struct visitor visitor = {.runner = runner, .graph = cts_graph()};
    visitor.block = cts_allocate(runner, 64);
    const uint32_t task_count = 300000;
    uint64_t *args = malloc(task_count * 4 * sizeof(*args));
    assert_non_null(args);
    for (uint32_t i = 0; i < task_count; i++) {
        const uint64_t row[] = {visitor.block, visitor.block, visitor.block, 1};
        memcpy(args + (size_t)i * 4, row, sizeof(row));
    }
    uint32_t first = 0;
    CTS_OK(pto_graph_add_tasks(visitor.graph, args, task_count, 4, CTS_ADD, &first, &cts_error));
    free(args);
    struct pto_analysis_options options = {
        .size = sizeof(options), .poll = stop, .poll_context = &visitor.asked};
    size_t count = 0;
    CTS_FAILS(pto_graph_find_races(visitor.graph, runner, &options, found, 64, &count, &cts_error),
              PTO_E_INTERRUPTED, "find_races");
    assert_true(visitor.asked == 1 && count == 0);
    visitor.asked = 0;
    options.poll = use_runner;
    options.poll_context = &visitor;
    CTS_OK(pto_graph_find_races(visitor.graph, runner, &options, found, 64, &count, &cts_error));
    // Each task but the first is told with the one before it, and what does not fit is counted.
    assert_int_equal(count, task_count - 1);
    assert_int_equal(found[63].other.task, 63);
    assert_int_equal(found[63].access.task, 64);
    assert_string_equal(found[63].access.kernel, "add");
    assert_true(visitor.asked > 1);
    pto_graph_destroy(visitor.graph);
    cts_destroy(runner);
}

// From inside the runner's own run the runner is busy.
static int look_inside(void *context)
{
    struct visitor *visitor = context;
    size_t count = 0;
    CTS_FAILS(
        pto_graph_find_races(visitor->graph, visitor->runner, NULL, NULL, 0, &count, &cts_error),
        PTO_E_BUSY, "inside run");
    visitor->asked++;
    return 1;
}

struct thread_call {
    struct visitor visitor;
    enum pto_status status;
    size_t count;
};

static void *look(void *context)
{
    struct thread_call *call = context;
    call->status = pto_graph_find_races(call->visitor.graph, call->visitor.runner, NULL, NULL, 0,
                                        &call->count, NULL);
    return NULL;
}

// Looks at the graph that runs, from a thread of its own.
static int look_beside(void *context)
{
    struct thread_call *call = context;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, look, call), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    call->visitor.asked++;
    return 1;
}

static void during_a_run(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 1);
    struct thread_call call = {.visitor = {.runner = runner, .graph = cts_graph()}};
    for (uint32_t i = 0; i < 40; i++) {
        cts_add1(call.visitor.graph, CTS_SLEEP, 20 * CTS_MS);
    }
    struct pto_run_options options = cts_options(1);
    options.poll = look_inside;
    options.poll_context = &call.visitor;
    CTS_FAILS(pto_runner_run(runner, call.visitor.graph, &options, &cts_error), PTO_E_INTERRUPTED,
              "wish");
    options.poll = look_beside;
    options.poll_context = &call;
    call.status = PTO_E_INTERNAL;
    CTS_FAILS(pto_runner_run(runner, call.visitor.graph, &options, &cts_error), PTO_E_INTERRUPTED,
              "wish");
    assert_int_equal(call.visitor.asked, 2);
    assert_int_equal(call.status, PTO_OK);
    assert_int_equal(call.count, 0);
    pto_graph_destroy(call.visitor.graph);
    cts_close(runner);
}

static const struct cts_case cases[] = {
    CTS_CASE(every_edge_counts), CTS_CASE(what_a_finding_says), CTS_CASE(refusals),
    CTS_CASE(meanwhile),         CTS_CASE(during_a_run),
};

CTS_MAIN(cases)
