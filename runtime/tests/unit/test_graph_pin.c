// SPDX-License-Identifier: Apache-2.0
// graph/: what others rely on while they use a graph: pins, versions, the log of changes, its life;
// and threads that contend for one. Needs pthreads, no linker wraps.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "tests/unit/graph_test.h"

// Looks one past the newest change of the log, and at every place it still reaches.
static void test_change_log(void **state)
{
    (void)state;
    enum { TASKS = 8000, CHANGES = 30000 };
    struct pto_graph *graph = create_graph_of(TASKS);
    static uint32_t changed[CHANGES];
    struct pto_graph_version before = pto__graph_version(graph);
    for (uint32_t i = 0; i < CHANGES; i++) {
        changed[i] = (i * 7919u) % TASKS;
        assert_int_equal(pto_graph_set_args(graph, changed[i], NULL, 0, NULL), PTO_OK);
    }
    struct pto_graph_version after = pto__graph_version(graph);
    assert_int_equal(after.graph_id, before.graph_id);
    assert_int_equal(after.structure, before.structure);
    assert_int_equal(after.args - before.args, CHANGES);
    uint64_t reach = 0;
    for (uint64_t back = 0; back <= CHANGES; back++) {
        const uint32_t *tasks = NULL;
        size_t count = 0;
        if (!pto__graph_changed_args(graph, after.args - back, &tasks, &count)) {
            assert_null(tasks);
            continue;
        }
        assert_int_equal(reach, back);
        reach++;
        assert_int_equal(count, back);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(tasks[i], changed[CHANGES - back + i]);
        }
    }
    // A quarter of the tasks at most, and half of that at least.
    assert_in_range(reach, TASKS / 8, TASKS / 4 + 1);
    const uint32_t *tasks = NULL;
    size_t count = 0;
    assert_false(pto__graph_changed_args(graph, after.args + 1, &tasks, &count));
    pto_graph_destroy(graph);
}

static void test_versions(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(2);
    struct pto_graph *other = create_graph_of(2);
    uint64_t args[7] = {0};
    uint32_t task = 0;
    struct pto_graph_version v0 = pto__graph_version(graph);
    assert_int_not_equal(v0.graph_id, pto__graph_version(other).graph_id);
    add_edge(graph, 0, 1);
    struct pto_graph_version v1 = pto__graph_version(graph);
    assert_int_equal(pto_graph_add_task(graph, args, 1, 0, &task, NULL), PTO_OK);
    struct pto_graph_version v2 = pto__graph_version(graph);
    assert_int_equal(pto_graph_set_args(graph, 0, args, 7, NULL), PTO_OK);
    struct pto_graph_version v3 = pto__graph_version(graph);
    assert_int_equal(pto_graph_set_args(graph, 0, args, 7, NULL), PTO_OK);
    struct pto_graph_version v4 = pto__graph_version(graph);
    assert_true(v0.structure < v1.structure && v1.structure < v2.structure);
    assert_true(v2.structure < v3.structure && v3.structure == v4.structure);
    assert_true(v3.args < v4.args);
    pto_graph_destroy(graph);
    pto_graph_destroy(other);
}

static void test_life(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph();
    struct pto_graph_life *a = pto__graph_life_retain(graph);
    struct pto_graph_life *b = pto__graph_life_retain(graph);
    assert_ptr_equal(a, b);
    assert_true(pto__graph_life_is_alive(a));
    pto__graph_life_release(b);
    pto_graph_destroy(graph);
    assert_false(pto__graph_life_is_alive(a));
    pto__graph_life_release(a);
    pto__graph_life_release(NULL);
}

static int write_nothing(void *context, const char *text, size_t size_bytes)
{
    (void)context;
    (void)text;
    (void)size_bytes;
    return 1;
}

static void test_pinned_graph_is_not_changed(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(3);
    uint64_t edge[2] = {0, 1};
    uint32_t task = 0;
    size_t count = 0;
    assert_int_equal(pto__graph_pin(graph, NULL), PTO_OK);
    assert_int_equal(pto__graph_pin(graph, NULL), PTO_OK);
    ASSERT_REFUSED(graph, pto_graph_add_task(graph, NULL, 0, 0, &task, &err), PTO_E_BUSY,
                   "add_task: the graph cannot be changed while it runs");
    ASSERT_REFUSED(graph, pto_graph_add_tasks(graph, NULL, 1, 0, 0, &task, &err), PTO_E_BUSY,
                   "add_tasks: ");
    ASSERT_REFUSED(graph, pto_graph_add_successor(graph, 0, 1, &err), PTO_E_BUSY,
                   "add_successor: ");
    ASSERT_REFUSED(graph, pto_graph_add_successors(graph, edge, 1, &err), PTO_E_BUSY,
                   "add_successors: ");
    ASSERT_REFUSED(graph, pto_graph_set_args(graph, 0, NULL, 0, &err), PTO_E_BUSY, "set_args: ");
    assert_int_equal(pto_graph_validate(graph, NULL), PTO_OK);
    assert_int_equal(pto_graph_find_cycle(graph, NULL, 0, &count, NULL), PTO_OK);
    pto__graph_unpin(graph);
    ASSERT_REFUSED(graph, pto_graph_add_successor(graph, 0, 1, &err), PTO_E_BUSY, "runs");
    pto__graph_unpin(graph);
    add_edge(graph, 0, 1);
    atomic_store(&graph->state, PTO_GRAPH_CHANGING);
    ASSERT_REFUSED(graph, pto_graph_add_successor(graph, 0, 1, &err), PTO_E_BUSY,
                   "is being changed by another thread");
    ASSERT_REFUSED(graph, pto_graph_validate(graph, &err), PTO_E_BUSY, "another thread");
    ASSERT_REFUSED(graph, pto_graph_find_cycle(graph, NULL, 0, &count, &err), PTO_E_BUSY,
                   "another thread");
    ASSERT_REFUSED(graph, pto_graph_print(graph, write_nothing, NULL, &err), PTO_E_BUSY,
                   "another thread");
    atomic_store(&graph->state, PTO_GRAPH_IDLE);
    pto_graph_destroy(graph);
}

enum { ATTEMPTS = 20000, THREADS = 3 };

struct contender {
    struct pto_graph *graph;
    uint32_t added;
    uint32_t refused;
};

static void *contend(void *context)
{
    struct contender *contender = context;
    for (uint32_t i = 0; i < ATTEMPTS; i++) {
        uint32_t task = 0;
        size_t count = 0;
        (void)pto_graph_task_count(contender->graph);
        enum pto_status status =
            i % 4 == 3 ? pto_graph_find_cycle(contender->graph, NULL, 0, &count, NULL)
                       : pto_graph_add_task(contender->graph, NULL, 0, 0, &task, NULL);
        contender->refused += status == PTO_E_BUSY;
        contender->added += i % 4 != 3 && status == PTO_OK;
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(2);
    add_edge(graph, 1, 0);
    pthread_t threads[THREADS];
    struct contender contenders[THREADS];
    for (int i = 0; i < THREADS; i++) {
        contenders[i] = (struct contender){.graph = graph};
        assert_int_equal(pthread_create(&threads[i], NULL, contend, &contenders[i]), 0);
    }
    uint32_t added = 2;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        added += contenders[i].added;
    }
    assert_int_equal(pto_graph_task_count(graph), added);
    assert_int_equal(atomic_load(&graph->state), PTO_GRAPH_IDLE);
    assert_true(pto__graph_is_valid(graph));
    pto_graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_change_log), cmocka_unit_test(test_versions),
        cmocka_unit_test(test_life),       cmocka_unit_test(test_pinned_graph_is_not_changed),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
