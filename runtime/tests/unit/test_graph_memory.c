// SPDX-License-Identifier: Apache-2.0
// graph/: host memory runs out at each allocation in turn. Nothing leaks, the graph is as it was,
// and the same call works once there is memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/conflicts.h"
#include "graph/graph.h"
#include "tests/unit/failing_memory.h"
#include "tests/unit/graph_test.h"

enum { TASKS = 40 };

// A deterministic image of everything a graph holds, whatever its capacities.
static void describe(struct pto_graph *graph, uint64_t *sum)
{
    assert_true(pto__graph_is_valid(graph));
    assert_int_equal(atomic_load(&graph->state), PTO_GRAPH_IDLE);
    struct pto_graph_version version = pto__graph_version(graph);
    *sum = version.structure * 31 + version.args;
    for (uint32_t task = 0; task < pto_graph_task_count(graph); task++) {
        struct pto_task_view view;
        assert_int_equal(pto_graph_get_task(graph, task, &view, NULL), PTO_OK);
        *sum = *sum * 31 + view.func_id;
        for (uint32_t i = 0; i < view.arg_count; i++) {
            *sum = *sum * 31 + view.args[i];
        }
    }
    for (uint32_t i = 0; i < graph->edge_count; i++) {
        *sum = *sum * 31 + graph->edges[i].from * 1000003u + graph->edges[i].to;
    }
}

// Makes `call` fail at its first allocation, its second, and so on until it succeeds.
#define CALL_WITHOUT_MEMORY(graph, call)                                 \
    do {                                                                 \
        for (long nth = 0;; nth++) {                                     \
            uint64_t before = 0;                                         \
            uint64_t after = 0;                                          \
            struct pto_error err = {0};                                  \
            describe(graph, &before);                                    \
            long live_before = live_count;                               \
            failed = 0;                                                  \
            allocations_left = nth;                                      \
            enum pto_status status = call;                               \
            allocations_left = -1;                                       \
            if (status == PTO_OK) {                                      \
                break;                                                   \
            }                                                            \
            assert_true(failed);                                         \
            assert_int_equal(status, PTO_E_NO_MEMORY);                   \
            assert_non_null(strstr(err.message, "no host memory for ")); \
            assert_int_equal(live_count, live_before);                   \
            describe(graph, &after);                                     \
            assert_int_equal(after, before);                             \
            failures++;                                                  \
        }                                                                \
    } while (0)

static int ignore(void *context, const char *text, size_t size_bytes)
{
    (void)context;
    (void)text;
    (void)size_bytes;
    return 0;
}

static void count_conflict(void *context, const struct pto_conflict *conflict)
{
    assert_in_range(conflict->begin, 0, conflict->end);
    (*(uint32_t *)context)++;
}

// Every task but one reads the same bytes, so that lists grow, and that one races with those that
// the graph does not order before it.
static enum pto_status find_conflicts(struct pto_graph *graph, uint32_t *out_count,
                                      struct pto_error *err)
{
    struct pto_access accesses[2 * TASKS];
    for (uint32_t i = 0; i < 2 * TASKS; i++) {
        accesses[i] =
            (struct pto_access){.begin = 8, .end = 64 + 8 * i, .task = i, .writes = i == TASKS};
    }
    *out_count = 0;
    struct pto_order *order = NULL;
    assert_int_equal(pto__graph_pin(graph, NULL), PTO_OK);
    enum pto_status status = pto__order_create(graph, NULL, &order, err);
    if (status == PTO_OK) {
        status =
            pto__find_conflicts(order, accesses, 2 * TASKS, count_conflict, out_count, NULL, err);
    }
    pto__order_destroy(order);
    pto__graph_unpin(graph);
    return status;
}

static void test_create(void **state)
{
    (void)state;
    long live_before = live_count;
    for (long nth = 0; nth < 2; nth++) {
        struct pto_graph *graph = (void *)&live_before;
        allocations_left = nth;
        assert_int_equal(pto_graph_create(&graph, NULL), PTO_E_NO_MEMORY);
        allocations_left = -1;
        assert_null(graph);
        assert_int_equal(live_count, live_before);
    }
    struct pto_graph *graph = NULL;
    assert_int_equal(pto_graph_create(&graph, NULL), PTO_OK);
    pto_graph_destroy(graph);
    assert_int_equal(live_count, live_before);
}

static void test_every_call(void **state)
{
    (void)state;
    long live_before_all = live_count;
    uint32_t failures = 0;
    static uint64_t args[TASKS * 128];
    for (size_t i = 0; i < TASKS * 128; i++) {
        args[i] = i;
    }
    struct pto_graph *graph = NULL;
    assert_int_equal(pto_graph_create(&graph, NULL), PTO_OK);
    uint32_t task = 0;
    for (uint32_t i = 0; i < TASKS; i++) {
        CALL_WITHOUT_MEMORY(graph, pto_graph_add_task(graph, args + i, i % 12, i, &task, &err));
        assert_int_equal(task, i);
    }
    CALL_WITHOUT_MEMORY(graph, pto_graph_add_tasks(graph, args, TASKS, 128, 0, &task, &err));
    assert_int_equal(task, TASKS);
    for (uint64_t i = 1; i < TASKS; i++) {
        CALL_WITHOUT_MEMORY(graph, pto_graph_add_successor(graph, i, i / 2, &err));
    }
    uint64_t edges[2 * TASKS];
    for (uint64_t i = 0; i < TASKS; i++) {
        edges[2 * i] = i;
        edges[2 * i + 1] = TASKS + i;
    }
    CALL_WITHOUT_MEMORY(graph, pto_graph_add_successors(graph, edges, TASKS, &err));
    // Back and forth, so that the spilled arguments are laid out anew.
    for (uint32_t i = 0; i < 400; i++) {
        CALL_WITHOUT_MEMORY(graph, pto_graph_set_args(graph, i % TASKS, args, 60 + i % 7, &err));
    }
    CALL_WITHOUT_MEMORY(graph, pto_graph_validate(graph, &err));
    size_t count = 0;
    CALL_WITHOUT_MEMORY(graph, pto_graph_find_cycle(graph, NULL, 0, &count, &err));
    assert_int_equal(count, 0);
    CALL_WITHOUT_MEMORY(graph, pto_graph_print(graph, ignore, NULL, &err));
    CALL_WITHOUT_MEMORY(graph, pto_graph_redundant_edges(graph, NULL, NULL, 0, &count, &err));
    assert_int_equal(count, 0);
    uint32_t conflict_count = 0;
    CALL_WITHOUT_MEMORY(graph, find_conflicts(graph, &conflict_count, &err));
    assert_int_equal(conflict_count, TASKS - 1);
    struct pto_image image;
    CALL_WITHOUT_MEMORY(graph, compile(graph, &image, &err));
    CALL_WITHOUT_MEMORY(graph, pto__image_check(&image, &err));
    pto__image_free(&image);
    pto_graph_destroy(graph);
    assert_int_equal(live_count, live_before_all);
    assert_in_range(failures, 20, 1000);
}

// A change that cannot be logged is told all the same.
static void test_log_of_changes(void **state)
{
    (void)state;
    long live_before = live_count;
    struct pto_graph *graph = NULL;
    uint32_t task = 0;
    assert_int_equal(pto_graph_create(&graph, NULL), PTO_OK);
    assert_int_equal(pto_graph_add_tasks(graph, NULL, 8, 0, 0, &task, NULL), PTO_OK);
    const uint32_t *tasks = NULL;
    size_t count = 0;
    for (uint32_t i = 0; i < 4000; i++) {
        uint64_t since = pto__graph_version(graph).args;
        allocations_left = i % 3 == 0 ? 0 : -1;
        failed = 0;
        assert_int_equal(pto_graph_set_args(graph, i % 8, NULL, 0, NULL), PTO_OK);
        allocations_left = -1;
        assert_int_equal(pto__graph_version(graph).args, since + 1);
        int reached = pto__graph_changed_args(graph, since, &tasks, &count);
        assert_int_equal(reached, !failed);
        if (reached) {
            assert_int_equal(count, 1);
            assert_int_equal(tasks[0], i % 8);
        }
        since = pto__graph_version(graph).args;
        assert_true(pto__graph_changed_args(graph, since, &tasks, &count));
        assert_int_equal(count, 0);
    }
    pto_graph_destroy(graph);
    assert_int_equal(live_count, live_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_every_call),
        cmocka_unit_test(test_log_of_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
