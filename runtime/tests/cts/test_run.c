// SPDX-License-Identifier: Apache-2.0
// Runs of good and bad graphs: results, what is uploaded, what is refused before a launch, and
// graphs as large as memory allows.
#include "tests/cts/cts.h"

#define MILLION (1000000u / PTO_TEST_DIVISOR)

static void the_example(const struct cts_backend *backend)
{
    static const int64_t cores[] = {1, 3, 72};
    for (size_t i = 0; i < sizeof(cores) / sizeof(cores[0]); i++) {
        struct pto_runner *runner = cts_open(backend, cores[i]);
        struct cts_42 work;
        cts_42_make(&work, runner, 16384);
        for (int64_t schedulers = 1; schedulers <= 16; schedulers++) {
            struct pto_run_options options = cts_options(schedulers);
            CTS_OK(pto_runner_run(runner, work.graph, &options, &cts_error));
            cts_42_check(&work, runner, 42.0f);
        }
        pto_graph_destroy(work.graph);
        cts_close(runner);
    }
}

static void bad_options(const struct cts_backend *backend)
{
    static const int64_t bad[] = {0, -1, 17, INT64_MAX, INT64_MIN, INT64_C(1) << 32};
    struct pto_runner *runner = cts_open(backend, 3);
    struct cts_42 work;
    cts_42_make(&work, runner, 10);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pto_run_options options = cts_options(bad[i]);
        CTS_FAILS(pto_runner_run(runner, work.graph, &options, &cts_error), PTO_E_RANGE, "1 to 16");
    }
    struct pto_run_options options = {.size = 3, .scheduler_count = 1};
    CTS_FAILS(pto_runner_run(runner, work.graph, &options, &cts_error), PTO_E_ARGUMENT, "size");
    assert_true(cts_info(runner).run_count == 0);
    cts_run_graph(runner, work.graph);
    pto_graph_destroy(work.graph);
    cts_close(runner);
}

static void tiny_graphs(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 3);
    struct pto_graph *graph = cts_graph();
    for (int i = 0; i < 3; i++) {
        cts_run_graph(runner, graph); // no task at all
    }
    uint64_t words = cts_allocate_zero(runner, 8);
    const uint64_t args[3] = {words, words + 4, 1};
    cts_add(graph, CTS_TRACE, args, 3);
    for (uint32_t i = 1; i <= 5; i++) {
        cts_run_graph(runner, graph);
        assert_int_equal(cts_read_word(runner, words), i);
        assert_int_equal(cts_read_word(runner, words + 4), i);
    }
    pto_graph_destroy(graph);
    cts_close(runner);
}

static void unchanged_graph_uploads_nothing(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 3);
    struct cts_42 work;
    cts_42_make(&work, runner, 256);
    cts_run_graph(runner, work.graph);
    uint64_t uploaded = cts_info(runner).upload_bytes;
    assert_true(uploaded != 0);
    for (int i = 0; i < 100; i++) {
        struct pto_run_options options = cts_options(1 + i % 3);
        CTS_OK(pto_runner_run(runner, work.graph, &options, &cts_error));
    }
    assert_true(cts_info(runner).upload_bytes == uploaded);
    assert_true(cts_info(runner).run_count == 101);
    cts_42_check(&work, runner, 42.0f);
    // New blocks elsewhere change nothing for the graph.
    uint64_t other = cts_allocate(runner, 64);
    cts_run_graph(runner, work.graph);
    CTS_OK(pto_runner_free(runner, other, &cts_error));
    cts_run_graph(runner, work.graph);
    assert_true(cts_info(runner).upload_bytes == uploaded);
    pto_graph_destroy(work.graph);
    cts_close(runner);
}

static void set_args_uploads_its_bytes(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 3);
    struct cts_42 work;
    cts_42_make(&work, runner, 256);
    cts_run_graph(runner, work.graph);
    uint64_t uploaded = cts_info(runner).upload_bytes;
    const uint64_t args[4] = {work.blocks[2], cts_float(4.0f), work.blocks[4], 256};
    CTS_OK(pto_graph_set_args(work.graph, 2, args, 4, &cts_error));
    cts_run_graph(runner, work.graph);
    assert_true(cts_info(runner).upload_bytes == uploaded + sizeof(args));
    cts_42_check(&work, runner, 54.0f);
    cts_run_graph(runner, work.graph);
    assert_true(cts_info(runner).upload_bytes == uploaded + sizeof(args));
    // Another edge is another structure.
    cts_edge(work.graph, 1, 2);
    cts_run_graph(runner, work.graph);
    uint64_t again = cts_info(runner).upload_bytes - uploaded - sizeof(args);
    assert_true(again >= 4 * 64);
    cts_42_check(&work, runner, 54.0f);
    pto_graph_destroy(work.graph);
    cts_close(runner);
}

static void assert_words(struct pto_runner *runner, uint64_t block, const uint64_t *expected)
{
    uint64_t seen[8];
    cts_read(runner, seen, block, sizeof(seen));
    assert_memory_equal(seen, expected, sizeof(seen));
}

// Ten arguments do not fit into a record; they lie elsewhere in the image.
static void spilled_arguments(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 3);
    struct pto_graph *graph = cts_graph();
    uint64_t args[3][10];
    for (uint64_t t = 0; t < 3; t++) {
        args[t][0] = cts_allocate(runner, 64);
        args[t][1] = 8;
        for (uint64_t i = 0; i < 8; i++) {
            args[t][2 + i] = t == 2 ? UINT64_MAX - i : 100 * t + i;
        }
        cts_add(graph, CTS_GATHER, args[t], 10);
    }
    cts_run_graph(runner, graph);
    for (int t = 0; t < 3; t++) {
        assert_words(runner, args[t][0], &args[t][2]);
    }
    uint64_t uploaded = cts_info(runner).upload_bytes;
    args[1][9] = 12345;
    CTS_OK(pto_graph_set_args(graph, 1, args[1], 10, &cts_error));
    cts_run_graph(runner, graph);
    assert_true(cts_info(runner).upload_bytes == uploaded + sizeof(args[1]));
    for (int t = 0; t < 3; t++) {
        assert_words(runner, args[t][0], &args[t][2]);
    }
    pto_graph_destroy(graph);
    cts_close(runner);
}

static void assert_task_error(uint32_t task, uint32_t func_id, const char *kernel)
{
    assert_int_equal(cts_error.task, task);
    assert_int_equal(cts_error.func_id, func_id);
    assert_string_equal(cts_error.kernel, kernel);
}

// The graph stands as it was after each refusal, and no task of it has run.
static void refused_before_the_launch(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 3);
    struct pto_graph *graph = cts_graph();
    uint64_t block = cts_allocate_zero(runner, 400);
    const float one = 1.0f;
    cts_write(runner, block, &one, sizeof(one));
    const uint64_t good[4] = {block, block, block, 100};
    cts_add(graph, CTS_ADD, good, 4);
    uint32_t task = cts_add(graph, CTS_ADD, good, 4);

    const struct {
        uint64_t args[4];
        uint32_t arg_count;
        enum pto_status status;
        const char *text;
    } bad[] = {
        {{block, block, block}, 3, PTO_E_KERNEL, "takes 4"},
        {{0}, 0, PTO_E_KERNEL, "takes 4"},
        {{0, block, block, 100}, 4, PTO_E_POINTER, "argument 0"},
        {{block, block, block, 101}, 4, PTO_E_POINTER, "argument 0"},
        {{block, block + 4, block, 100}, 4, PTO_E_POINTER, "argument 1"},
        {{block, block, block + 2, 1}, 4, PTO_E_POINTER, "argument 2"},
        {{block, block, UINT64_MAX, 1}, 4, PTO_E_POINTER, "argument 2"},
        {{block, block, block + 400, 1}, 4, PTO_E_POINTER, "argument 2"},
        {{block, block, block, UINT64_MAX}, 4, PTO_E_POINTER, "-1 as a signed"},
        {{block, block, block, UINT64_C(1) << 62}, 4, PTO_E_POINTER, "past the end"},
        {{block, block, block, (UINT64_C(1) << 62) + 1}, 4, PTO_E_POINTER, "past the end"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CTS_OK(pto_graph_set_args(graph, task, bad[i].args, bad[i].arg_count, &cts_error));
        for (int k = 0; k < 2; k++) {
            CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), bad[i].status, bad[i].text);
            assert_task_error(task, CTS_ADD, "add");
        }
    }
    const uint64_t wide[4] = {block, UINT64_C(0x3ff0000000000000), block, 1};
    uint32_t scalar_task = cts_add(graph, CTS_ADD_SCALAR, wide, 4);
    CTS_OK(pto_graph_set_args(graph, task, good, 4, &cts_error));
    CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_KERNEL, "float32");
    assert_task_error(scalar_task, CTS_ADD_SCALAR, "add_scalar");
    assert_true(cts_info(runner).run_count == 0);

    float seen = 0.0f;
    cts_read(runner, &seen, block, sizeof(seen));
    assert_true(seen == 1.0f);
    const uint64_t zero[4] = {block, cts_float(0.5f), block, 1};
    CTS_OK(pto_graph_set_args(graph, scalar_task, zero, 4, &cts_error));
    cts_edge(graph, 0, 1);
    cts_edge(graph, 1, 2);
    cts_run_graph(runner, graph);
    cts_read(runner, &seen, block, sizeof(seen));
    assert_true(seen == 4.5f);
    // An empty extent needs no block.
    const uint64_t nothing[4] = {0, 1, 2, 0};
    CTS_OK(pto_graph_set_args(graph, 0, nothing, 4, &cts_error));
    cts_run_graph(runner, graph);
    // A block that is freed after a run is missed by the next one.
    CTS_OK(pto_runner_free(runner, block, &cts_error));
    CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_POINTER, "freed");
    pto_graph_destroy(graph);
    cts_close(runner);
}

static void unknown_func_id(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 3);
    struct pto_graph *graph = cts_graph();
    cts_add(graph, 1023, NULL, 0);
    CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_KERNEL, "func_id 1023");
    assert_non_null(strstr(cts_error.message, "0 'add', 1 'add_scalar', 2 'mul'"));
    assert_int_equal(cts_error.task, 0);
    assert_int_equal(cts_error.func_id, 1023);
    pto_graph_destroy(graph);
    cts_close(runner);
}

static struct pto_graph *chain(uint32_t task_count)
{
    struct pto_graph *graph = cts_graph();
    uint32_t first;
    CTS_OK(pto_graph_add_tasks(graph, NULL, task_count, 0, CTS_NOP, &first, &cts_error));
    uint64_t *edges = malloc(2 * (size_t)task_count * sizeof(*edges));
    assert_non_null(edges);
    for (uint32_t i = 0; i + 1 < task_count; i++) {
        edges[2 * i] = i;
        edges[2 * i + 1] = i + 1;
    }
    CTS_OK(pto_graph_add_successors(graph, edges, task_count - 1, &cts_error));
    free(edges);
    return graph;
}

static void cycles(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 3);
    struct pto_graph *graph = chain(100000);
    CTS_FAILS(pto_graph_add_successor(graph, 7, 7, &cts_error), PTO_E_ARGUMENT, "7");
    cts_run_graph(runner, graph);
    cts_edge(graph, 1, 0);
    CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_CYCLE, "0");
    pto_graph_destroy(graph);

    graph = chain(100000);
    cts_edge(graph, 99999, 0);
    CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_CYCLE, "100000");
    CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_CYCLE, "100000");
    assert_true(cts_info(runner).run_count == 1);
    pto_graph_destroy(graph);
    graph = chain(10);
    cts_run_graph(runner, graph);
    pto_graph_destroy(graph);
    cts_close(runner);
}

// Two layers of `trace` around one task with a million successors, then all of them into one.
static void a_million_successors(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 8);
    struct pto_graph *graph = cts_graph();
    uint32_t count = MILLION;
    uint64_t words = cts_allocate_zero(runner, 16);
    const uint64_t source[3] = {words, words + 4, 1};
    const uint64_t sink[3] = {words, words + 8, 1};
    cts_add(graph, CTS_TRACE, source, 3);
    uint32_t first;
    CTS_OK(pto_graph_add_tasks(graph, NULL, count, 0, CTS_NOP, &first, &cts_error));
    uint32_t last = cts_add(graph, CTS_TRACE, sink, 3);
    uint64_t *edges = malloc(4 * (size_t)count * sizeof(*edges));
    assert_non_null(edges);
    for (uint64_t i = 0; i < count; i++) {
        edges[4 * i] = 0;
        edges[4 * i + 1] = first + i;
        edges[4 * i + 2] = first + i;
        edges[4 * i + 3] = last;
    }
    CTS_OK(pto_graph_add_successors(graph, edges, 2 * (size_t)count, &cts_error));
    free(edges);
    for (uint32_t run = 0; run < 2; run++) {
        struct pto_run_options options = cts_options(1 + 2 * (int64_t)run);
        CTS_OK(pto_runner_run(runner, graph, &options, &cts_error));
        assert_int_equal(cts_read_word(runner, words), 2 * run + 2);
        assert_int_equal(cts_read_word(runner, words + 4), 2 * run + 1);
        assert_int_equal(cts_read_word(runner, words + 8), 2 * run + 2);
    }
    pto_graph_destroy(graph);
    cts_close(runner);
}

static uint32_t completed_by_all(struct pto_runner *runner)
{
    static struct pto_core_result cores[1024];
    size_t count = 0;
    uint32_t completed = 0;
    CTS_OK(pto_runner_handshake_results(runner, cores, 1024, &count, &cts_error));
    for (size_t i = 0; i < count; i++) {
        completed += cores[i].completed;
    }
    return completed;
}

static void a_million_tasks(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 72);
    struct pto_graph *graph = cts_graph();
    uint32_t first;
    CTS_OK(pto_graph_add_tasks(graph, NULL, MILLION, 0, CTS_NOP, &first, &cts_error));
    for (int64_t schedulers = 1; schedulers <= 4; schedulers += 3) {
        struct pto_run_options options = cts_options(schedulers);
        CTS_OK(pto_runner_run(runner, graph, &options, &cts_error));
        assert_int_equal(completed_by_all(runner), MILLION);
    }
    pto_graph_destroy(graph);
    cts_close(runner);
}

// More graphs than a device keeps: those used longest ago go, and come back when they are run.
static void many_graphs(const struct cts_backend *backend)
{
    enum { GRAPH_COUNT = 150 };
    struct pto_runner *runner = cts_open_test(backend, 4);
    struct pto_graph *graphs[GRAPH_COUNT];
    uint64_t words = cts_allocate_zero(runner, 4 + 4 * GRAPH_COUNT);
    for (uint64_t i = 0; i < GRAPH_COUNT; i++) {
        const uint64_t args[3] = {words, words + 4 + 4 * i, 1};
        graphs[i] = cts_graph();
        cts_edge(graphs[i], cts_add(graphs[i], CTS_TRACE, args, 3),
                 cts_add(graphs[i], CTS_NOP, NULL, 0));
    }
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < GRAPH_COUNT; i++) {
            cts_run_graph(runner, graphs[i]);
            assert_int_equal(cts_read_word(runner, words + 4 + 4 * i), round * GRAPH_COUNT + i + 1);
        }
    }
    uint64_t uploaded = cts_info(runner).upload_bytes;
    for (uint32_t i = GRAPH_COUNT - 30; i < GRAPH_COUNT; i++) {
        cts_run_graph(runner, graphs[i]);
    }
    assert_true(cts_info(runner).upload_bytes == uploaded);
    for (uint32_t i = 0; i < GRAPH_COUNT; i++) {
        pto_graph_destroy(graphs[i]);
    }
    cts_close(runner);
}

// Graphs that come and go: their copies on the device must go as well, and a graph that lies where
// a destroyed one lay must not be taken for it.
static void short_lived_graphs(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 4);
    uint64_t words = cts_allocate_zero(runner, 8);
    uint32_t ran = 0;
    for (uint32_t i = 0; i < 2000 / PTO_TEST_DIVISOR; i++) {
        struct pto_graph *graph = cts_graph();
        const uint64_t args[3] = {words, words + 4, 1};
        for (uint32_t k = 0; k <= i % 5; k++, ran++) {
            cts_add(graph, CTS_TRACE, args, 3);
        }
        cts_run_graph(runner, graph);
        assert_int_equal(cts_read_word(runner, words), ran);
        pto_graph_destroy(graph);
    }
    struct pto_runner_info info = cts_info(runner);
    assert_true(info.block_count == 1 && info.block_bytes == 8);
    cts_close(runner);
}

// A graph that grows and shrinks in arguments and gains tasks between runs.
static void changing_graph(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 4);
    struct pto_graph *graph = cts_graph();
    uint64_t words = cts_allocate_zero(runner, 8);
    uint64_t out = cts_allocate(runner, 64);
    const uint64_t trace[3] = {words, words + 4, 1};
    uint64_t gather[10] = {out, 8, 1, 2, 3, 4, 5, 6, 7, 8};
    uint32_t ran = 0;
    cts_add(graph, CTS_GATHER, gather, 10);
    for (uint32_t round = 1; round <= 200; round++) {
        if (round % 3 == 0) {
            cts_edge(graph, 0, cts_add(graph, CTS_TRACE, trace, 3));
        }
        gather[2 + round % 8] = round;
        CTS_OK(pto_graph_set_args(graph, 0, gather, 10, &cts_error));
        cts_run_graph(runner, graph);
        ran += pto_graph_task_count(graph) - 1;
        assert_int_equal(cts_read_word(runner, words), ran);
        assert_words(runner, out, &gather[2]);
    }
    pto_graph_destroy(graph);
    cts_close(runner);
}

static const struct cts_case cases[] = {
    CTS_CASE(the_example),
    CTS_CASE(bad_options),
    CTS_CASE(tiny_graphs),
    CTS_CASE(unchanged_graph_uploads_nothing),
    CTS_CASE(set_args_uploads_its_bytes),
    CTS_CASE(spilled_arguments),
    CTS_CASE(refused_before_the_launch),
    CTS_CASE(unknown_func_id),
    CTS_CASE(cycles),
    CTS_CASE(a_million_successors),
    CTS_CASE(a_million_tasks),
    CTS_CASE(many_graphs),
    CTS_CASE(short_lived_graphs),
    CTS_CASE(changing_graph),
};

CTS_MAIN(cases)
