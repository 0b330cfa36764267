// SPDX-License-Identifier: Apache-2.0
// The explorer as a backend: results, profiles, what it refuses, and what it says.
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/faulty.h"
#include "pto/pto.h"
#include "unit/expect_ok.h"

#define FUNC_ADD_SCALAR 1u
#define FUNC_FAIL 12u
#define FUNC_OVERRUN 19u
#define N 40u // elements; not a whole number of cache lines

static struct pto_config config_for(const char *profile, uint64_t schedules)
{
    return (struct pto_config){
        .size = sizeof(struct pto_config),
        .core_count = 3,
        .aicpu_so_path = PTO_TEST_AICPU_PROGRAM,
        .aicore_kernel_path = PTO_TEST_AICORE_PROGRAM,
        .backend = "explore",
        .timeout_ns = UINT64_C(1000000000),
        .seed = 7,
        .schedules = schedules,
        .profile = profile,
    };
}

static struct pto_runner *open_with(const char *kernels, const char *profile, uint64_t schedules)
{
    struct pto_runner *runner;
    struct pto_config config = config_for(profile, schedules);
    config.aicore_kernel_path = kernels;
    OK(pto_runner_create(&runner, &err));
    OK(pto_runner_init(runner, &config, &err));
    return runner;
}

static struct pto_runner *open_runner(const char *profile, uint64_t schedules)
{
    return open_with(PTO_TEST_AICORE_PROGRAM, profile, schedules);
}

static uint64_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

// Adds a task out = in + value.
static uint32_t add_step(struct pto_graph *graph, uint64_t in, float value, uint64_t out)
{
    uint64_t args[] = {in, float_bits(value), out, N};
    uint32_t task;
    OK(pto_graph_add_task(graph, args, 4, FUNC_ADD_SCALAR, &task, &err));
    return task;
}

// a -> b, a -> c, b and c -> back into a: a diamond, run on every schedule from the same memory.
static void test_results(void **state)
{
    (void)state;
    static const char *const profiles[] = {"a2a3", "a5", "paranoid", NULL};
    for (size_t p = 0; p < 4; p++) {
        struct pto_runner *runner = open_runner(profiles[p], 100);
        uint64_t a;
        uint64_t b;
        uint64_t c;
        float values[N];
        for (uint32_t i = 0; i < N; i++) {
            values[i] = (float)i;
        }
        OK(pto_runner_allocate(runner, sizeof(values), &a, &err));
        OK(pto_runner_allocate(runner, sizeof(values), &b, &err));
        OK(pto_runner_allocate(runner, sizeof(values), &c, &err));
        OK(pto_runner_copy_to_device(runner, a, values, sizeof(values), &err));
        struct pto_graph *graph;
        OK(pto_graph_create(&graph, &err));
        uint32_t first = add_step(graph, a, 1.0f, a);
        uint32_t left = add_step(graph, a, 2.0f, b);
        uint32_t right = add_step(graph, a, 3.0f, c);
        uint32_t last = add_step(graph, b, 4.0f, a);
        OK(pto_graph_add_successor(graph, first, left, &err));
        OK(pto_graph_add_successor(graph, first, right, &err));
        OK(pto_graph_add_successor(graph, left, last, &err));
        OK(pto_graph_add_successor(graph, right, last, &err));
        for (int64_t threads = 1; threads <= 3; threads++) {
            struct pto_run_options options = {.size = sizeof(options), .scheduler_count = threads};
            OK(pto_runner_run(runner, graph, &options, &err));
        }
        OK(pto_runner_copy_from_device(runner, values, a, sizeof(values), &err));
        for (uint32_t i = 0; i < N; i++) {
            // In place, and once for each run however many schedules each tried.
            assert_true(values[i] == (float)i + 3 * 7.0f);
        }
        pto_graph_destroy(graph);
        pto_runner_destroy(runner);
    }
}

static void test_failing_task(void **state)
{
    (void)state;
    struct pto_runner *runner = open_with(PTO_TEST_KERNELS, "a2a3", 50);
    struct pto_graph *graph;
    uint64_t args[] = {5};
    uint32_t task;
    OK(pto_graph_create(&graph, &err));
    OK(pto_graph_add_task(graph, args, 1, FUNC_FAIL, &task, &err));
    assert_int_equal(pto_runner_run(runner, graph, NULL, &err), PTO_E_TASK);
    assert_int_equal(err.task_code, 5);
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
}

static int poll_stop(void *context)
{
    (void)context;
    return 1;
}

static void test_poll(void **state)
{
    (void)state;
    struct pto_runner *runner = open_with(PTO_TEST_KERNELS, "a2a3", UINT64_C(1) << 40);
    struct pto_graph *graph;
    uint64_t args[] = {0};
    uint32_t task;
    OK(pto_graph_create(&graph, &err));
    OK(pto_graph_add_task(graph, args, 1, FUNC_FAIL, &task, &err));
    struct pto_run_options options = {
        .size = sizeof(options), .scheduler_count = 1, .poll = poll_stop};
    assert_int_equal(pto_runner_run(runner, graph, &options, &err), PTO_E_INTERRUPTED);
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
}

static void test_refusals(void **state)
{
    (void)state;
    struct pto_runner *runner;
    OK(pto_runner_create(&runner, &err));
    struct pto_config config = config_for("a9", 1);
    assert_int_equal(pto_runner_init(runner, &config, &err), PTO_E_ARGUMENT);
    assert_non_null(strstr(err.message, "'paranoid'"));
    config = config_for("a5", 1);
    config.core_count = 33;
    assert_int_equal(pto_runner_init(runner, &config, &err), PTO_E_RANGE);

    // A kernel.o without the explorer's build beside it.
    char folder[] = "/tmp/pto_explore_XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/kernel.o", folder);
    assert_int_equal(symlink(PTO_TEST_KERNELS, path), 0);
    config = config_for("a5", 1);
    config.aicore_kernel_path = path;
    assert_int_equal(pto_runner_init(runner, &config, &err), PTO_E_FILE);
    assert_non_null(strstr(err.message, "kernel_explore.o"));
    unlink(path);
    rmdir(folder);
    config = config_for("a5", 1);
    OK(pto_runner_init(runner, &config, &err));
    pto_runner_destroy(runner);
}

// The graph was uploaded, but the run ended before its launch. The next one uploads nothing and has
// to tell the scheduler all the same that the host wrote: on A2 and A3 it would read old lines.
static void test_upload_without_launch(void **state)
{
    (void)state;
    struct pto_runner *runner = open_runner("a2a3", 50);
    struct pto_graph *graph;
    uint64_t a;
    float zeros[N] = {0};
    OK(pto_runner_allocate(runner, N * sizeof(float), &a, &err));
    OK(pto_runner_copy_to_device(runner, a, zeros, sizeof(zeros), &err));
    OK(pto_graph_create(&graph, &err));
    uint32_t task = add_step(graph, a, 1.0f, a + 4);
    assert_int_equal(pto_runner_run(runner, graph, NULL, &err), PTO_E_POINTER);
    uint64_t args[] = {a, float_bits(1.0f), a, N};
    OK(pto_graph_set_args(graph, task, args, 4, &err));
    OK(pto_runner_run(runner, graph, NULL, &err));
    OK(pto_runner_run(runner, graph, NULL, &err));
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
}

// What kernels do to each other and to memory, found from their own loads and stores.
struct kernel_case {
    const char *what;
    uint32_t left_at; // words into the block b where the two tasks write
    uint32_t right_at;
    uint32_t count; // words each of them writes
    int has_edge;
    int reads_garbage;
    const char *expected; // part of the message; NULL: nothing is found
};

static void test_kernel_case(const struct kernel_case *it)
{
    struct pto_runner *runner = open_runner("a2a3", 50);
    struct pto_graph *graph;
    uint64_t a;
    uint64_t b;
    float values[64] = {0};
    OK(pto_runner_allocate(runner, sizeof(values), &a, &err));
    OK(pto_runner_allocate(runner, sizeof(values), &b, &err));
    if (!it->reads_garbage) {
        OK(pto_runner_copy_to_device(runner, a, values, sizeof(values), &err));
    }
    OK(pto_graph_create(&graph, &err));
    uint32_t tasks[2];
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t at = i == 0 ? it->left_at : it->right_at;
        uint64_t args[] = {a, float_bits(1.0f), b + at * sizeof(float), it->count};
        OK(pto_graph_add_task(graph, args, 4, FUNC_ADD_SCALAR, &tasks[i], &err));
    }
    if (it->has_edge) {
        OK(pto_graph_add_successor(graph, tasks[0], tasks[1], &err));
    }
    enum pto_status status = pto_runner_run(runner, graph, NULL, &err);
    if (it->expected == NULL) {
        OK(status);
    } else if (status != PTO_E_ORDER || strstr(err.message, it->expected) == NULL) {
        fail_msg("%s: %s", it->what, status == PTO_OK ? "nothing was found" : err.message);
    }
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
}

// Other sanitizers exclude the one whose calls the explorer needs.
static void need_instrumented_kernels(void)
{
    if (!PTO_TEST_INSTRUMENTED) {
        skip();
    }
}

static void test_overrun(void **state)
{
    (void)state;
    need_instrumented_kernels();
    static const char expected[] = "that is past its end";
    for (size_t i = 0; i < 2; i++) {
        struct pto_runner *runner = open_with(PTO_TEST_KERNELS, "a5", 1);
        struct pto_graph *graph;
        uint64_t block;
        uint64_t size_bytes = i == 0 ? 100 : 128; // the last line is not all the block's, or is
        uint32_t task;
        OK(pto_runner_allocate(runner, size_bytes, &block, &err));
        OK(pto_graph_create(&graph, &err));
        uint64_t args[] = {block, size_bytes, 1};
        OK(pto_graph_add_task(graph, args, 3, FUNC_OVERRUN, &task, &err));
        enum pto_status status = pto_runner_run(runner, graph, NULL, &err);
        if (status != PTO_E_ORDER ||
            strstr(err.message, "memcheck: task 0 (kernel 'overrun'") == NULL ||
            strstr(err.message, expected) == NULL) {
            fail_msg("%s: %s", expected, status == PTO_OK ? "nothing was found" : err.message);
        }
        pto_graph_destroy(graph);
        pto_runner_destroy(runner);
    }
}

// Where a bad access lies, in the words that the simulator's checks have for it.
static void test_bad_places(void **state)
{
    (void)state;
    need_instrumented_kernels();
    static const struct {
        enum touch operation;
        int64_t offset; // from the second of three blocks of 100 bytes, a line and a half apart
        const char *expected;
    } cases[] = {
        {TOUCH_READ_4, 100, "reads bytes 100 to 103 of the tensor at"},
        {TOUCH_WRITE_8, 96, "writes bytes 100 to 103 of the tensor at"},
        {TOUCH_WRITE_8, 96, "(100 bytes): that is past its end"},
        {TOUCH_READ_1, -1, "(100 bytes): that is before its beginning"},
        {TOUCH_READ_1, -1, "reads byte -1 of the tensor at"},
        {TOUCH_MEMSET, 61, "writes byte 100 of the tensor at"},
        {TOUCH_WRITE_1, 192, "(100 bytes): no argument of the task points into it"},
        {TOUCH_WRITE_1, 1 << 20, "no live block of device memory is there"},
        {TOUCH_MEMSET, 0, "that is past its end"}, // of -1 bytes
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pto_runner *runner = open_with(PTO_TEST_FAULTY, "a5", 1);
        struct pto_graph *graph;
        uint64_t blocks[3];
        uint32_t task;
        for (size_t k = 0; k < 3; k++) {
            OK(pto_runner_allocate(runner, 100, &blocks[k], &err));
        }
        assert_int_equal(blocks[2] - blocks[1], 192);
        OK(pto_graph_create(&graph, &err));
        const uint64_t args[] = {blocks[1], 100, cases[i].operation, (uint64_t)cases[i].offset,
                                 cases[i].offset == 0 ? UINT64_MAX : 40};
        OK(pto_graph_add_task(graph, args, 5, FUNC_TOUCH, &task, &err));
        enum pto_status status = pto_runner_run(runner, graph, NULL, &err);
        if (status != PTO_E_ORDER || strstr(err.message, cases[i].expected) == NULL ||
            strstr(err.message, "memcheck: task 0 (kernel 'touch', func_id 30") == NULL) {
            fail_msg("not '%s': %s", cases[i].expected,
                     status == PTO_OK ? "nothing was found" : err.message);
        }
        pto_graph_destroy(graph);
        pto_runner_destroy(runner);
    }
}

static void test_kernels(void **state)
{
    (void)state;
    need_instrumented_kernels();
    static const struct kernel_case cases[] = {
        {"ordered", 0, 0, 16, 1, 0, NULL},
        {"lines of their own", 0, 16, 16, 0, 0, NULL},
        {"two write the same", 0, 4, 16, 0, 0, "graph.add_successor("},
        {"two write one line", 0, 8, 8, 0, 0, "lines of its own"},
        {"reads garbage", 0, 0, 16, 1, 1,
         "initcheck: task 0 (kernel 'add_scalar', func_id 1, argument 0) reads bytes 0 to 3"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        test_kernel_case(&cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_failing_task),
        cmocka_unit_test(test_poll),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_upload_without_launch),
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_overrun),
        cmocka_unit_test(test_bad_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
