// SPDX-License-Identifier: Apache-2.0
// graph/order.h: every question about random graphs, beside their transitive closure.
// PTO_TEST_SEED and PTO_TEST_CASES as in tests/seed.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/order_index.h"
#include "tests/unit/closure.h"

static struct pto_order *create_order(struct pto_graph *graph)
{
    struct pto_order *order = NULL;
    struct pto_error err = {0};
    assert_int_equal(pto__graph_pin(graph, NULL), PTO_OK);
    if (pto__order_create(graph, NULL, &order, &err) != PTO_OK) {
        fail_msg("%s", err.message);
    }
    pto__graph_unpin(graph);
    return order;
}

// Row by row or column by column: an answer that is remembered must not serve for a pair that has
// one task in common.
static void check_every_pair(struct pto_order *order, uint32_t task_count, int by_column)
{
    for (uint32_t i = 0; i < task_count; i++) {
        for (uint32_t k = 0; k < task_count; k++) {
            uint32_t before = by_column ? k : i;
            uint32_t after = by_column ? i : k;
            if (pto__order_before(order, before, after) != is_before(before, after)) {
                fail_msg("task %u before task %u: %d", before, after, !is_before(before, after));
            }
        }
    }
}

static void test_random_graphs(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    print_message("PTO_TEST_SEED=%" PRIu64 "\n", seed);
    for (uint64_t i = 0; i < test_cases(2000); i++) {
        uint64_t random = seed + i;
        // In a small graph nearly every task is a hub; only in a large one searches go far.
        uint32_t task_max = i % 40 == 0 || i % 40 == 1 ? CLOSURE_TASK_MAX : 100;
        uint32_t task_count = test_below(&random, task_max + 1);
        struct pto_graph *graph = random_graph(&random, task_count, i % 2 == 1);
        struct pto_order *order = create_order(graph);
        if (i % 4 == 0) {
            order->epoch = UINT32_MAX - 5; // even; the marks soon begin anew
        }
        check_every_pair(order, task_count, i % 80 < 40);
        pto__order_destroy(order);
        pto_graph_destroy(graph);
    }
}

static void test_cycle(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(3);
    add_edge(graph, 0, 1);
    add_edge(graph, 1, 2);
    add_edge(graph, 2, 1);
    struct pto_order *order = (struct pto_order *)(void *)&order;
    struct pto_error err = {0};
    assert_int_equal(pto__graph_pin(graph, NULL), PTO_OK);
    assert_int_equal(pto__order_create(graph, NULL, &order, &err), PTO_E_CYCLE);
    assert_null(order);
    assert_non_null(strstr(err.message, "1 -> 2 -> 1"));
    pto__graph_unpin(graph);
    pto_graph_destroy(graph);
}

static int asked;

static int stop(void *context)
{
    asked++;
    return context != NULL;
}

// A caller is asked often in a large graph, and obeyed.
static void test_poll(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(1200000);
    struct pto_order *order = NULL;
    struct pto_error err = {0};
    assert_int_equal(pto__graph_pin(graph, NULL), PTO_OK);
    struct pto_work_poll poll = {.operation = "test", .function = stop};
    assert_int_equal(pto__order_create(graph, &poll, &order, &err), PTO_OK);
    assert_in_range(asked, 2, 100);
    pto__order_destroy(order);
    poll.context = &poll;
    asked = 0;
    assert_int_equal(pto__order_create(graph, &poll, &order, &err), PTO_E_INTERRUPTED);
    assert_int_equal(asked, 1);
    assert_null(order);
    assert_string_equal(err.message, "test: stopped at the caller's wish");
    pto__graph_unpin(graph);
    pto_graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_cycle),
        cmocka_unit_test(test_poll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
