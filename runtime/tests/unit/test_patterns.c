// SPDX-License-Identifier: Apache-2.0
// The DAGs that the benchmarks run: what they must all be, and the shape of each.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/patterns.h"

static const uint32_t SIZES[] = {1, 2, 3, 4, 63, 64, 65, 66, 67, 129, 132, 133, 257, 1000, 4099};

#define SIZE_COUNT (sizeof(SIZES) / sizeof(SIZES[0]))

static void each_pattern_counts_only_earlier_and_distinct_tasks(void **state)
{
    (void)state;
    for (int pattern = 0; pattern < BENCH_PATTERN_COUNT; pattern++) {
        for (size_t s = 0; s < SIZE_COUNT; s++) {
            struct bench_dag dag;
            assert_true(bench_dag_init(&dag, (enum bench_pattern)pattern, SIZES[s]));
            assert_true(dag.task_count >= 1 && dag.task_count <= SIZES[s]);
            assert_true(pattern == BENCH_CHOLESKY || dag.task_count == SIZES[s]);
            assert_int_equal(dag.begin[0], 0);
            assert_int_equal(dag.begin[dag.task_count], dag.edge_count);
            for (uint32_t task = 0; task < dag.task_count; task++) {
                for (size_t e = dag.begin[task]; e < dag.begin[task + 1]; e++) {
                    assert_true(dag.predecessors[e] < task);
                    for (size_t before = dag.begin[task]; before < e; before++) {
                        assert_int_not_equal(dag.predecessors[before], dag.predecessors[e]);
                    }
                }
            }
            bench_dag_fini(&dag);
        }
    }
}

static void successors_are_the_predecessors_turned_round(void **state)
{
    (void)state;
    for (int pattern = 0; pattern < BENCH_PATTERN_COUNT; pattern++) {
        struct bench_dag dag;
        struct bench_successors edges;
        assert_true(bench_dag_init(&dag, (enum bench_pattern)pattern, 1000));
        assert_true(bench_successors_init(&edges, &dag));
        assert_int_equal(edges.begin[dag.task_count], dag.edge_count);
        for (uint32_t from = 0; from < dag.task_count; from++) {
            for (size_t e = edges.begin[from]; e < edges.begin[from + 1]; e++) {
                const uint32_t to = edges.successors[e];
                int found = 0;
                for (size_t p = dag.begin[to]; p < dag.begin[to + 1]; p++) {
                    found += dag.predecessors[p] == from;
                }
                assert_int_equal(found, 1);
            }
        }
        bench_successors_fini(&edges);
        bench_dag_fini(&dag);
    }
}

// Tasks, edges and longest path of a pattern, counted by hand.
static void check_shape(enum bench_pattern pattern, uint32_t asked, uint32_t tasks, size_t edges,
                        uint32_t depth)
{
    struct bench_dag dag;
    assert_true(bench_dag_init(&dag, pattern, asked));
    assert_int_equal(dag.task_count, tasks);
    assert_int_equal(dag.edge_count, edges);
    assert_int_equal(dag.depth, depth);
    bench_dag_fini(&dag);
}

static void the_patterns_have_the_shapes_that_are_documented(void **state)
{
    (void)state;
    check_shape(BENCH_CHAIN, 100, 100, 99, 100);
    check_shape(BENCH_INDEP, 100, 100, 0, 1);
    check_shape(BENCH_FORK_JOIN, 66, 66, 128, 3);
    check_shape(BENCH_FORK_JOIN, 132, 132, 257, 6);
    check_shape(BENCH_STENCIL, 256, 256, 3 * (3 * 64 - 2), 4);
    check_shape(BENCH_TREE, 127, 127, 126, 7);
    // Tiles 1, 2, 3, 4 make 1, 4, 10, 20 tasks; those of 2 tiles run one after another.
    check_shape(BENCH_CHOLESKY, 4, 4, 3, 4);
    check_shape(BENCH_CHOLESKY, 9, 4, 3, 4);
    check_shape(BENCH_CHOLESKY, 20, 20, 30, 10);
}

static void names_lead_to_patterns_and_back(void **state)
{
    (void)state;
    enum bench_pattern found;
    assert_true(bench_pattern_find("tree,random", 4, &found));
    assert_int_equal(found, BENCH_TREE);
    assert_string_equal(bench_pattern_name(BENCH_FORK_JOIN), "fork_join");
    assert_false(bench_pattern_find("tre", 3, &found));
    assert_false(bench_pattern_find("", 0, &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pattern_counts_only_earlier_and_distinct_tasks),
        cmocka_unit_test(successors_are_the_predecessors_turned_round),
        cmocka_unit_test(the_patterns_have_the_shapes_that_are_documented),
        cmocka_unit_test(names_lead_to_patterns_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
