// SPDX-License-Identifier: Apache-2.0
// The explorer as a backend: kernels that crash or do not return, findings made small, replays.
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pto/pto.h"
#include "unit/expect_ok.h"

#define FUNC_ADD_SCALAR 1u
#define FUNC_CRASH 13u
#define FUNC_HANG 14u
#define FUNC_NOP 16u

static struct pto_runner *open_runner(const char *kernels, uint64_t schedules, uint64_t timeout_ns)
{
    struct pto_runner *runner;
    struct pto_config config = {
        .size = sizeof(struct pto_config),
        .core_count = 3,
        .aicpu_so_path = PTO_TEST_AICPU_PROGRAM,
        .aicore_kernel_path = kernels,
        .backend = "explore",
        .timeout_ns = timeout_ns,
        .seed = 7,
        .schedules = schedules,
        .profile = "a2a3",
    };
    OK(pto_runner_create(&runner, &err));
    OK(pto_runner_init(runner, &config, &err));
    return runner;
}

static uint32_t add(struct pto_graph *graph, const uint64_t *args, uint32_t count, uint32_t func_id)
{
    uint32_t task;
    OK(pto_graph_add_task(graph, args, count, func_id, &task, &err));
    return task;
}

// A chain of three, whose second task is `func_id`.
static struct pto_graph *chain_with(const uint64_t *args, uint32_t count, uint32_t func_id)
{
    struct pto_graph *graph;
    OK(pto_graph_create(&graph, &err));
    uint32_t before = add(graph, NULL, 0, FUNC_NOP);
    uint32_t middle = add(graph, args, count, func_id);
    uint32_t after = add(graph, NULL, 0, FUNC_NOP);
    OK(pto_graph_add_successor(graph, before, middle, &err));
    OK(pto_graph_add_successor(graph, middle, after, &err));
    return graph;
}

static void expect_in_message(const char *text)
{
    if (strstr(err.message, text) == NULL) {
        fail_msg("'%s' is not in: %s", text, err.message);
    }
}

static void test_crashes(void **state)
{
    (void)state;
    static const int signals[] = {SIGSEGV, SIGFPE, SIGBUS, SIGILL, SIGSEGV};
    struct pto_runner *runner = open_runner(PTO_TEST_KERNELS, 20, UINT64_C(10000000000));
    for (uint64_t how = 0; how < 5; how++) {
        struct pto_graph *graph = chain_with(&how, 1, FUNC_CRASH);
        assert_int_equal(pto_runner_run(runner, graph, NULL, &err), PTO_E_FAULT);
        assert_int_equal(err.task, 1);
        assert_int_equal(err.func_id, FUNC_CRASH);
        assert_string_equal(err.kernel, "crash");
        assert_true(err.core < 3);
        expect_in_message("That was seed 7, profile a2a3.");
        if (signals[how] == SIGSEGV || err.task_code != SIGSEGV) {
            assert_int_equal(err.task_code, signals[how]);
        }
        if (how == 4) {
            expect_in_message("ran over the end of its stack");
        }
        assert_int_equal(pto_runner_run(runner, graph, NULL, &err), PTO_E_FAILED);
        pto_graph_destroy(graph);
        // The process lives, and so does the runner once it is opened again.
        pto_runner_destroy(runner);
        runner = open_runner(PTO_TEST_KERNELS, 20, UINT64_C(10000000000));
        graph = chain_with(NULL, 0, FUNC_NOP);
        OK(pto_runner_run(runner, graph, NULL, &err));
        pto_graph_destroy(graph);
    }
    pto_runner_destroy(runner);
}

static void test_hang(void **state)
{
    (void)state;
    struct pto_runner *runner = open_runner(PTO_TEST_KERNELS, 20, UINT64_C(50000000));
    struct pto_graph *graph = chain_with(NULL, 0, FUNC_HANG);
    assert_int_equal(pto_runner_run(runner, graph, NULL, &err), PTO_E_TIMEOUT);
    assert_int_equal(err.task, 1);
    assert_string_equal(err.kernel, "hang");
    expect_in_message("That was seed 7");
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
}

// A chain of twelve, and two tasks of their own that write the same block.
static struct pto_graph *race(struct pto_runner *runner)
{
    struct pto_graph *graph;
    uint64_t blocks[2];
    float zeros[16] = {0};
    OK(pto_graph_create(&graph, &err));
    for (size_t i = 0; i < 2; i++) {
        OK(pto_runner_allocate(runner, sizeof(zeros), &blocks[i], &err));
        OK(pto_runner_copy_to_device(runner, blocks[i], zeros, sizeof(zeros), &err));
    }
    for (uint32_t i = 0; i < 14; i++) {
        uint64_t block = blocks[i >= 12];
        uint64_t args[] = {block, 0, block, 16};
        uint32_t task = add(graph, args, 4, FUNC_ADD_SCALAR);
        if (i >= 1 && i < 12) {
            OK(pto_graph_add_successor(graph, task - 1, task, &err));
        }
    }
    return graph;
}

// Runs the race and returns its message, which the caller frees; NULL when nothing was found.
static char *race_message(uint64_t schedules)
{
    struct pto_runner *runner = open_runner(PTO_TEST_AICORE_PROGRAM, schedules, 1000000000);
    struct pto_graph *graph = race(runner);
    enum pto_status status = pto_runner_run(runner, graph, NULL, &err);
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
    if (status == PTO_OK) {
        return NULL;
    }
    assert_int_equal(status, PTO_E_ORDER);
    return strdup(err.message);
}

static void test_replay(void **state)
{
    (void)state;
    if (!PTO_TEST_INSTRUMENTED) {
        skip();
    }
    char path[] = "/tmp/pto_explore_XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    setenv("PTO_EXPLORE_SAVE", path, 1);
    char *first = race_message(1000);
    char *second = race_message(1000);
    assert_non_null(first);
    assert_non_null(second);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "of 14 tasks, 2 of 3 cores"));
    unsetenv("PTO_EXPLORE_SAVE");
    setenv("PTO_EXPLORE_REPLAY", path, 1);
    for (size_t i = 0; i < 2; i++) {
        char *again = race_message(1000);
        assert_non_null(again);
        assert_non_null(strstr(again, "made small: racecheck: "));
        assert_non_null(strstr(again, "graph.add_successor("));
        assert_non_null(strstr(again, "task 12 (kernel"));
        assert_non_null(strstr(again, "task 13 (kernel"));
        free(again);
    }
    free(first);
    free(second);

    // A file that is cut, or of something else, is refused whole.
    assert_int_equal(truncate(path, 40), 0);
    struct pto_runner *runner;
    OK(pto_runner_create(&runner, &err));
    struct pto_config config = {.size = sizeof(config),
                                .core_count = 3,
                                .aicpu_so_path = PTO_TEST_AICPU_PROGRAM,
                                .aicore_kernel_path = PTO_TEST_AICORE_PROGRAM,
                                .backend = "explore"};
    assert_int_equal(pto_runner_init(runner, &config, &err), PTO_E_ARGUMENT);
    expect_in_message("is not a replay file");
    unsetenv("PTO_EXPLORE_REPLAY");
    setenv("PTO_EXPLORE_PART", "2/2", 1);
    assert_int_equal(pto_runner_init(runner, &config, &err), PTO_E_RANGE);
    unsetenv("PTO_EXPLORE_PART");
    OK(pto_runner_init(runner, &config, &err));
    pto_runner_destroy(runner);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crashes),
        cmocka_unit_test(test_hang),
        cmocka_unit_test(test_replay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
