// SPDX-License-Identifier: Apache-2.0
// pto_graph_redundant_edges: random graphs, repeated edges among them, beside the definition.
// PTO_TEST_SEED and PTO_TEST_CASES as in tests/seed.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pto/analysis.h"
#include "tests/unit/closure.h"

enum { EDGE_MAX = 4 * CLOSURE_TASK_MAX * 5 };

static uint64_t rows[2 * EDGE_MAX];

// By definition: repeated before, or ordered by a path over another predecessor.
static int is_redundant(const struct pto_graph *graph, uint32_t edge)
{
    uint32_t from = graph->edges[edge].from;
    uint32_t to = graph->edges[edge].to;
    for (uint32_t i = 0; i < graph->edge_count; i++) {
        const struct pto_edge *other = &graph->edges[i];
        if (other->to == to && ((i < edge && other->from == from) ||
                                (other->from != from && is_before(from, other->from)))) {
            return 1;
        }
    }
    return 0;
}

static void check_rows(struct pto_graph *graph)
{
    struct pto_error err = {0};
    size_t count = 0;
    assert_in_range(graph->edge_count, 0, EDGE_MAX);
    if (pto_graph_redundant_edges(graph, NULL, rows, EDGE_MAX, &count, &err) != PTO_OK) {
        fail_msg("%s", err.message);
    }
    size_t expected = 0;
    for (uint32_t i = 0; i < graph->edge_count; i++) {
        if (is_redundant(graph, i)) {
            assert_in_range(expected + 1, 1, count);
            assert_int_equal(rows[2 * expected], graph->edges[i].from);
            assert_int_equal(rows[2 * expected + 1], graph->edges[i].to);
            expected++;
        }
    }
    assert_int_equal(count, expected);
}

static void repeat_some_edges(struct pto_graph *graph, uint64_t *state)
{
    uint32_t edge_count = graph->edge_count;
    for (uint32_t i = 0; edge_count > 0 && i < 10; i++) {
        struct pto_edge edge = graph->edges[test_below(state, edge_count)];
        add_edge(graph, edge.from, edge.to);
    }
}

static void test_random_graphs(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    print_message("PTO_TEST_SEED=%" PRIu64 "\n", seed);
    for (uint64_t i = 0; i < test_cases(2000); i++) {
        uint64_t random = seed + i;
        uint32_t task_count = test_below(&random, i % 40 == 0 ? CLOSURE_TASK_MAX + 1 : 161);
        // Up to 5 predecessors a task are asked about in pairs; a gathering task has many.
        struct pto_graph *graph = random_graph(&random, task_count, i % 2 == 1);
        if (i % 3 == 0 && task_count > 0) {
            uint32_t last = 0;
            assert_int_equal(pto_graph_add_task(graph, NULL, 0, 0, &last, NULL), PTO_OK);
            for (uint32_t task = test_below(&random, 3); task < task_count;
                 task += 1 + test_below(&random, 4)) {
                add_edge(graph, task, last);
            }
        }
        if (i % 5 == 0) {
            repeat_some_edges(graph, &random);
        }
        check_rows(graph);
        pto_graph_destroy(graph);
    }
}

// A cut list is its beginning, and its length is told all the same.
static void test_capacity(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(4);
    add_edge(graph, 0, 3);
    add_edge(graph, 0, 1);
    add_edge(graph, 1, 3);
    add_edge(graph, 0, 1);
    size_t count = 0;
    assert_int_equal(pto_graph_redundant_edges(graph, NULL, NULL, 0, &count, NULL), PTO_OK);
    assert_int_equal(count, 2);
    rows[2] = 77;
    assert_int_equal(pto_graph_redundant_edges(graph, NULL, rows, 1, &count, NULL), PTO_OK);
    assert_int_equal(count, 2);
    assert_int_equal(rows[0], 0);
    assert_int_equal(rows[1], 3);
    assert_int_equal(rows[2], 77);
    pto_graph_destroy(graph);
}

static struct pto_graph *polled_graph;

// Reads, and tries to change, the graph that is looked at.
static int stop(void *context)
{
    struct pto_error err = {0};
    assert_int_equal(pto_graph_add_successor(polled_graph, 0, 1, &err), PTO_E_BUSY);
    (*(int *)context)++;
    return *(int *)context == 3;
}

static void test_refusals(void **state)
{
    (void)state;
    size_t count = 7;
    struct pto_error err = {0};
    struct pto_graph *graph = create_graph_of(2);
    assert_int_equal(pto_graph_redundant_edges(NULL, NULL, NULL, 0, &count, &err), PTO_E_ARGUMENT);
    assert_int_equal(pto_graph_redundant_edges(graph, NULL, NULL, 1, &count, &err), PTO_E_ARGUMENT);
    assert_int_equal(pto_graph_redundant_edges(graph, NULL, NULL, 0, NULL, &err), PTO_E_ARGUMENT);
    struct pto_analysis_options options = {.size = 3};
    assert_int_equal(pto_graph_redundant_edges(graph, &options, NULL, 0, &count, &err),
                     PTO_E_ARGUMENT);
    add_edge(graph, 0, 1);
    add_edge(graph, 1, 0);
    assert_int_equal(pto_graph_redundant_edges(graph, NULL, NULL, 0, &count, &err), PTO_E_CYCLE);
    assert_int_equal(count, 0);
    pto_graph_destroy(graph);

    polled_graph = create_graph_of(1200000);
    int asked = 0;
    options = (struct pto_analysis_options){
        .size = sizeof(options), .poll = stop, .poll_context = &asked};
    assert_int_equal(pto_graph_redundant_edges(polled_graph, &options, NULL, 0, &count, &err),
                     PTO_E_INTERRUPTED);
    assert_int_equal(asked, 3);
    add_edge(polled_graph, 0, 1); // it is free again
    pto_graph_destroy(polled_graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
