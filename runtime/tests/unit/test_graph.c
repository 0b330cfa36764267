// SPDX-License-Identifier: Apache-2.0
// graph/: building, changing, looking at and printing graphs; bad input.
// Needs no linker wraps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "tests/unit/graph_test.h"

static void assert_args(const struct pto_graph *graph, uint32_t task, const uint64_t *args,
                        uint32_t arg_count, uint32_t func_id)
{
    struct pto_task_view view;
    assert_int_equal(pto_graph_get_task(graph, task, &view, NULL), PTO_OK);
    assert_int_equal(view.func_id, func_id);
    assert_int_equal(view.arg_count, arg_count);
    if (arg_count > 0) {
        assert_memory_equal(view.args, args, arg_count * sizeof(*args));
    }
}

static void test_every_arg_count(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph();
    uint64_t args[PTO_GRAPH_ARG_MAX];
    for (uint32_t i = 0; i < PTO_GRAPH_ARG_MAX; i++) {
        args[i] = UINT64_MAX - i;
    }
    for (uint32_t count = 0; count <= PTO_GRAPH_ARG_MAX; count++) {
        uint32_t task = PTO_NO_TASK;
        assert_int_equal(
            pto_graph_add_task(graph, count > 0 ? args : NULL, count, count, &task, NULL), PTO_OK);
        assert_int_equal(task, count);
        assert_true(pto__graph_is_valid(graph));
    }
    for (uint32_t count = 0; count <= PTO_GRAPH_ARG_MAX; count++) {
        assert_args(graph, count, args, count, count);
    }
    assert_int_equal(pto_graph_task_count(graph), PTO_GRAPH_ARG_MAX + 1);
    pto_graph_destroy(graph);
}

static void test_bulk_is_the_same_as_single(void **state)
{
    (void)state;
    enum { ROWS = 1000 };
    static const uint32_t arg_counts[] = {0, 1, 6, 7, 128};
    static uint64_t args[ROWS * 128];
    for (size_t i = 0; i < ROWS * 128; i++) {
        args[i] = i * 0x9e3779b97f4a7c15u;
    }
    struct pto_graph *graph = create_graph();
    for (size_t c = 0; c < 5; c++) {
        uint32_t first = 0;
        assert_int_equal(pto_graph_add_tasks(graph, args, ROWS, arg_counts[c], 5, &first, NULL),
                         PTO_OK);
        assert_int_equal(first, c * ROWS);
        assert_true(pto__graph_is_valid(graph));
        for (uint32_t row = 0; row < ROWS; row++) {
            assert_args(graph, first + row, args + (size_t)row * arg_counts[c], arg_counts[c], 5);
        }
    }
    uint32_t first = 0;
    assert_int_equal(pto_graph_add_tasks(graph, NULL, 0, 128, 5, &first, NULL), PTO_OK);
    assert_int_equal(first, 5 * ROWS);
    assert_int_equal(pto_graph_add_successors(graph, NULL, 0, NULL), PTO_OK);
    pto_graph_destroy(graph);
}

static void test_bad_tasks(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph();
    uint32_t task = 77;
    uint64_t args[1] = {5};
    struct pto_task_view view;
    ASSERT_REFUSED(graph, pto_graph_add_task(graph, args, 1, 1024, &task, &err), PTO_E_RANGE,
                   "func_id 1024 is out of range: kernels are numbered from 0 to 1023");
    ASSERT_REFUSED(graph, pto_graph_add_tasks(graph, args, 1, 1, UINT32_MAX, &task, &err),
                   PTO_E_RANGE, "add_tasks: func_id 4294967295");
    ASSERT_REFUSED(graph, pto_graph_add_task(graph, args, 129, 0, &task, &err), PTO_E_LIMIT,
                   "at most 128 arguments, but 129");
    ASSERT_REFUSED(graph, pto_graph_add_tasks(graph, args, 1, 129, 0, &task, &err), PTO_E_LIMIT,
                   "at most 128 arguments, but 129");
    ASSERT_REFUSED(graph, pto_graph_add_task(graph, NULL, 1, 0, &task, &err), PTO_E_ARGUMENT,
                   "args is NULL, but arg_count is 1");
    ASSERT_REFUSED(graph, pto_graph_add_tasks(graph, NULL, 1, 1, 0, &task, &err), PTO_E_ARGUMENT,
                   "args is NULL");
    ASSERT_REFUSED(graph, pto_graph_add_task(NULL, args, 1, 0, &task, &err), PTO_E_ARGUMENT,
                   "graph is NULL");
    ASSERT_REFUSED(graph, pto_graph_add_task(graph, args, 1, 0, NULL, &err), PTO_E_ARGUMENT,
                   "out_task is NULL");
    ASSERT_REFUSED(graph, pto_graph_add_tasks(graph, args, 1, 1, 0, NULL, &err), PTO_E_ARGUMENT,
                   "out_first_task is NULL");
    ASSERT_REFUSED(graph, pto_graph_add_tasks(graph, args, (size_t)1 << 31, 128, 0, &task, &err),
                   PTO_E_LIMIT, "at most 2147483647 tasks: this one has 0, and 2147483648 more");
    ASSERT_REFUSED(graph, pto_graph_add_tasks(graph, args, SIZE_MAX, 128, 0, &task, &err),
                   PTO_E_LIMIT, "at most 2147483647 tasks");
    ASSERT_REFUSED(graph, pto_graph_set_args(graph, 0, args, 1, &err), PTO_E_RANGE,
                   "task 0 is unknown: the graph has no tasks yet");
    ASSERT_REFUSED(graph, pto_graph_set_args(NULL, 0, args, 1, &err), PTO_E_ARGUMENT, "NULL");
    ASSERT_REFUSED(graph, pto_graph_set_args(graph, 0, args, 129, &err), PTO_E_LIMIT, "129");
    ASSERT_REFUSED(graph, pto_graph_get_task(graph, 0, &view, &err), PTO_E_RANGE, "no tasks yet");
    ASSERT_REFUSED(graph, pto_graph_get_task(NULL, 0, &view, &err), PTO_E_ARGUMENT, "NULL");
    ASSERT_REFUSED(graph, pto_graph_get_task(graph, 0, NULL, &err), PTO_E_ARGUMENT, "out_view");
    assert_int_equal(task, 77);
    struct pto_error err;
    assert_int_equal(pto_graph_create(NULL, &err), PTO_E_ARGUMENT);
    assert_int_equal(pto_graph_task_count(NULL), 0);
    assert_int_equal(pto_graph_edge_count(NULL), 0);
    pto_graph_destroy(NULL);
    pto_graph_destroy(graph);
}

static void test_bad_edges(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(3);
    ASSERT_REFUSED(graph, pto_graph_add_successor(graph, 3, 0, &err), PTO_E_RANGE,
                   "from_task 3 is unknown: the graph has 3 tasks, numbered from 0 to 2");
    ASSERT_REFUSED(graph, pto_graph_add_successor(graph, 0, UINT64_MAX, &err), PTO_E_RANGE,
                   "to_task 18446744073709551615 is unknown");
    ASSERT_REFUSED(graph, pto_graph_add_successor(graph, 0, (uint64_t)1 << 32, &err), PTO_E_RANGE,
                   "to_task 4294967296 is unknown");
    ASSERT_REFUSED(graph, pto_graph_add_successor(graph, 2, 2, &err), PTO_E_ARGUMENT,
                   "task 2 cannot run after itself");
    ASSERT_REFUSED(graph, pto_graph_add_successor(NULL, 0, 1, &err), PTO_E_ARGUMENT, "NULL");
    ASSERT_REFUSED(graph, pto_graph_add_successors(NULL, NULL, 0, &err), PTO_E_ARGUMENT, "graph");
    ASSERT_REFUSED(graph, pto_graph_add_successors(graph, NULL, 1, &err), PTO_E_ARGUMENT,
                   "edges is NULL");
    static const uint64_t edges[] = {0, 1, 1, 2, 2, 2, 9, 9};
    ASSERT_REFUSED(graph, pto_graph_add_successors(graph, edges, 4, &err), PTO_E_ARGUMENT,
                   "add_successors: row 2: task 2 cannot run after itself");
    ASSERT_REFUSED(graph, pto_graph_add_successors(graph, edges + 2, 3, &err), PTO_E_ARGUMENT,
                   "row 1: task 2");
    ASSERT_REFUSED(graph, pto_graph_add_successors(graph, edges + 6, 1, &err), PTO_E_RANGE,
                   "row 0: from_task 9 is unknown");
    ASSERT_REFUSED(graph, pto_graph_add_successors(graph, edges, SIZE_MAX, &err), PTO_E_LIMIT,
                   "at most 4294967294 edges, but 18446744073709551615 were given");
    struct pto_error err;
    assert_int_equal(pto_graph_add_successor(graph, 1, 1, &err), PTO_E_ARGUMENT);
    assert_int_equal(err.task, 1);
    assert_int_equal(pto_graph_add_successors(graph, edges, 2, &err), PTO_OK);
    assert_int_equal(pto_graph_edge_count(graph), 2);
    add_edge(graph, 0, 1);
    assert_int_equal(pto_graph_edge_count(graph), 3);
    pto_graph_destroy(graph);
}

// The counts are set by hand: so many tasks do not fit into a test.
static void test_full_graph(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(2);
    struct pto_error err;
    uint32_t task = 0;
    graph->edge_count = PTO_GRAPH_EDGE_MAX;
    graph->edge_capacity = PTO_GRAPH_EDGE_MAX;
    assert_int_equal(pto_graph_add_successor(graph, 0, 1, &err), PTO_E_LIMIT);
    assert_non_null(strstr(err.message, "at most 4294967294 edges"));
    assert_int_equal(pto_graph_edge_count(graph), PTO_GRAPH_EDGE_MAX);
    graph->edge_count = 0;
    graph->edge_capacity = 0;
    size_t capacity = graph->task_capacity;
    graph->task_count = PTO_GRAPH_TASK_MAX;
    graph->task_capacity = PTO_GRAPH_TASK_MAX;
    assert_int_equal(pto_graph_add_task(graph, NULL, 0, 0, &task, &err), PTO_E_LIMIT);
    assert_non_null(strstr(err.message, "this one has 2147483647, and 1 more"));
    assert_int_equal(pto_graph_add_tasks(graph, NULL, 0, 0, 0, &task, &err), PTO_OK);
    graph->task_count = 2;
    graph->task_capacity = capacity;
    assert_true(pto__graph_is_valid(graph));
    pto_graph_destroy(graph);
}

// What pto__graph_is_valid is for: each invariant, broken, is noticed.
static void test_validity_check_notices(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(2);
    uint64_t args[7] = {0};
    assert_int_equal(pto_graph_set_args(graph, 1, args, 7, NULL), PTO_OK);
    add_edge(graph, 0, 1);
    struct pto_graph good = *graph;
    graph->task_count = (uint32_t)graph->task_capacity + 1;
    assert_false(pto__graph_is_valid(graph));
    *graph = good;
    graph->spill_live--;
    assert_false(pto__graph_is_valid(graph));
    *graph = good;
    graph->spill_count = 0;
    assert_false(pto__graph_is_valid(graph));
    *graph = good;
    graph->has_backward_edge = 1;
    assert_false(pto__graph_is_valid(graph));
    *graph = good;
    graph->edges[0].to = 2;
    assert_false(pto__graph_is_valid(graph));
    graph->edges[0].to = 1;
    graph->records[0].args[5] = 1;
    assert_false(pto__graph_is_valid(graph));
    graph->records[0].args[5] = 0;
    graph->records[0].func_id = 1024;
    assert_false(pto__graph_is_valid(graph));
    graph->records[0].func_id = 0;
    graph->records[1].args[0] = 1;
    assert_false(pto__graph_is_valid(graph));
    graph->records[1].args[0] = 0;
    assert_true(pto__graph_is_valid(graph));
    pto_graph_destroy(graph);
}

static void test_args_of_the_graph_itself(void **state)
{
    (void)state;
    // A view's args may be given back to the call that moves the memory they lie in.
    struct pto_graph *graph = create_graph();
    uint64_t args[20];
    for (uint32_t i = 0; i < 20; i++) {
        args[i] = i + 100;
    }
    uint32_t task = 0;
    assert_int_equal(pto_graph_add_task(graph, args, 4, 1, &task, NULL), PTO_OK);
    assert_int_equal(pto_graph_add_task(graph, args, 20, 2, &task, NULL), PTO_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        struct pto_task_view view;
        assert_int_equal(pto_graph_get_task(graph, i, &view, NULL), PTO_OK);
        assert_int_equal(
            pto_graph_add_task(graph, view.args, view.arg_count, view.func_id, &task, NULL),
            PTO_OK);
        assert_args(graph, task, args, i % 2 ? 20 : 4, i % 2 ? 2 : 1);
    }
    for (uint32_t i = 0; i + 1 < 1000; i++) {
        struct pto_task_view view;
        assert_int_equal(pto_graph_get_task(graph, i + 1, &view, NULL), PTO_OK);
        uint32_t count = view.arg_count;
        assert_int_equal(pto_graph_set_args(graph, i, view.args, count, NULL), PTO_OK);
        assert_args(graph, i, args, count, i % 2 ? 2 : 1);
        assert_true(pto__graph_is_valid(graph));
    }
    pto_graph_destroy(graph);
}

static void test_replaced_arguments_are_reclaimed(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(10);
    uint64_t args[128] = {0};
    for (uint32_t i = 0; i < 100000; i++) {
        args[0] = i;
        assert_int_equal(pto_graph_set_args(graph, i % 10, args, i % 2 ? 128 : 64, NULL), PTO_OK);
        assert_int_equal(pto_graph_set_args(graph, i % 10, args, 6, NULL), PTO_OK);
        assert_int_equal(pto_graph_set_args(graph, i % 10, args, 127, NULL), PTO_OK);
    }
    assert_true(graph->spill_capacity < 16384);
    assert_true(pto__graph_is_valid(graph));
    for (uint32_t i = 0; i < 10; i++) {
        args[0] = 99990 + i;
        assert_args(graph, i, args, 127, 0);
    }
    pto_graph_destroy(graph);
}

static void test_successors(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(4);
    static const uint64_t edges[] = {0, 2, 1, 2, 0, 1, 0, 2, 3, 0};
    assert_int_equal(pto_graph_add_successors(graph, edges, 5, NULL), PTO_OK);
    uint32_t tasks[4] = {9, 9, 9, 9};
    size_t count = 9;
    assert_int_equal(pto__graph_successors(graph, 0, tasks, 4, &count), 3);
    assert_int_equal(count, 3);
    assert_memory_equal(tasks, ((uint32_t[]){2, 1, 2, 9}), sizeof(tasks));
    assert_int_equal(pto__graph_successors(graph, 0, tasks, 1, &count), 3);
    assert_int_equal(count, 1);
    assert_int_equal(pto__graph_successors(graph, 2, NULL, 0, &count), 0);
    assert_int_equal(count, 0);
    pto_graph_destroy(graph);
}

struct text {
    char bytes[8192];
    size_t size;
    size_t piece_size_max;
    int pieces_left; // write asks for the end when there are none
};

static int collect(void *context, const char *text, size_t size_bytes)
{
    struct text *out = context;
    if (size_bytes > out->piece_size_max) {
        out->piece_size_max = size_bytes;
    }
    if (out->size + size_bytes < sizeof(out->bytes)) {
        memcpy(out->bytes + out->size, text, size_bytes);
        out->bytes[out->size + size_bytes] = '\0';
    }
    out->size += size_bytes;
    out->pieces_left--;
    return out->pieces_left == 0;
}

static void test_print(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph();
    struct text out = {0};
    assert_int_equal(pto_graph_print(graph, collect, &out, NULL), PTO_OK);
    assert_string_equal(out.bytes, "Graph: 0 tasks, 0 edges\n");
    static const uint64_t args[] = {0x7f0000000000, UINT64_MAX, 0, 0x4000, 1, 2, 3};
    uint32_t task = 0;
    assert_int_equal(pto_graph_add_task(graph, args, 4, 0, &task, NULL), PTO_OK);
    assert_int_equal(pto_graph_add_task(graph, args, 7, 1023, &task, NULL), PTO_OK);
    assert_int_equal(pto_graph_add_task(graph, NULL, 0, 2, &task, NULL), PTO_OK);
    add_edge(graph, 0, 2);
    add_edge(graph, 0, 1);
    add_edge(graph, 0, 2);
    out = (struct text){0};
    assert_int_equal(pto_graph_print(graph, collect, &out, NULL), PTO_OK);
    assert_string_equal(
        out.bytes,
        "Graph: 3 tasks, 2 edges (1 duplicate left out)\n"
        "  task 0: func_id=0 args=[0x7f0000000000, 0xffffffffffffffff, 0x0, 0x4000] -> [2, 1]\n"
        "  task 1: func_id=1023 args=[0x7f0000000000, 0xffffffffffffffff, 0x0, 0x4000, 0x1, 0x2, "
        "0x3] -> []\n"
        "  task 2: func_id=2 args=[] -> []\n");
    ASSERT_REFUSED(graph, pto_graph_print(NULL, collect, &out, &err), PTO_E_ARGUMENT, "graph");
    ASSERT_REFUSED(graph, pto_graph_print(graph, NULL, &out, &err), PTO_E_ARGUMENT, "write");
    pto_graph_destroy(graph);
}

static void test_print_in_pieces(void **state)
{
    (void)state;
    enum { TASKS = 100000 };
    struct pto_graph *graph = create_graph_of(TASKS);
    size_t size = strlen("Graph: 100000 tasks, 99999 edges\n");
    for (uint32_t i = 0; i < TASKS; i++) {
        char line[64];
        size += (size_t)snprintf(line, sizeof(line), "  task %u: func_id=0 args=[] -> []\n", i);
        if (i > 0) {
            add_edge(graph, 0, i);
            size += (size_t)snprintf(line, sizeof(line), "%s%u", i > 1 ? ", " : "", i);
        }
    }
    struct text out = {0};
    assert_int_equal(pto_graph_print(graph, collect, &out, NULL), PTO_OK);
    assert_int_equal(out.size, size);
    assert_in_range(out.piece_size_max, 1, 4096);
    out = (struct text){.pieces_left = 3};
    ASSERT_REFUSED(graph, pto_graph_print(graph, collect, &out, &err), PTO_E_INTERRUPTED, "print");
    assert_int_equal(out.pieces_left, 0);
    add_edge(graph, 0, 1);
    pto_graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_arg_count),
        cmocka_unit_test(test_bulk_is_the_same_as_single),
        cmocka_unit_test(test_bad_tasks),
        cmocka_unit_test(test_bad_edges),
        cmocka_unit_test(test_full_graph),
        cmocka_unit_test(test_validity_check_notices),
        cmocka_unit_test(test_args_of_the_graph_itself),
        cmocka_unit_test(test_replaced_arguments_are_reclaimed),
        cmocka_unit_test(test_successors),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_print_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
