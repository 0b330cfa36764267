// SPDX-License-Identifier: Apache-2.0
// The conformance suite's harness: each case of a file runs on every backend that this build has,
// and its name says on which.
//
// A case is a function that takes the backend. It opens runners with cts_open and makes its calls
// inside CTS_OK and CTS_FAILS, which print the library's message when the outcome is another one.
// PTO_TEST_AICPU_PROGRAM, PTO_TEST_AICORE_PROGRAM and PTO_TEST_KERNELS name the device programs; a
// variable of the same name in the environment goes before.
#ifndef PTO_TESTS_CTS_CTS_H
#define PTO_TESTS_CTS_CTS_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pto/pto.h"
#include "tests/seed.h"

// Kernels of tests/kernels/kernels.c.
enum {
    CTS_ADD = 0,
    CTS_ADD_SCALAR = 1,
    CTS_MUL = 2,
    CTS_TRACE = 10,
    CTS_SLEEP = 11,
    CTS_FAIL = 12,
    CTS_CRASH = 13,
    CTS_HANG = 14,
    CTS_SPIN = 15,
    CTS_NOP = 16,
    CTS_ORDER = 17,
    CTS_FOLLOW = 18,
    CTS_OVERRUN = 19,
    CTS_GATHER = 20,
};

#define CTS_MS UINT64_C(1000000)

struct cts_backend {
    const char *name;
};

// PTO_TEST_BACKEND names the one to test. Others than "sim" need more of the environment, which the
// build file sets.
static struct cts_backend cts_backends[] = {{.name = "sim"}};
#define CTS_BACKEND_COUNT (sizeof(cts_backends) / sizeof(cts_backends[0]))

// The error of the last call inside CTS_OK or CTS_FAILS.
static struct pto_error cts_error;

#define CTS_OK(call)                                                                         \
    do {                                                                                     \
        enum pto_status cts_status_ = (call);                                                \
        if (cts_status_ != PTO_OK) {                                                         \
            fail_msg("line %d: %s\n  %s: %s", __LINE__, #call, pto_status_name(cts_status_), \
                     cts_error.message);                                                     \
        }                                                                                    \
    } while (0)

// The call fails with this status, and its message holds `text`.
#define CTS_FAILS(call, expected, text)                                                      \
    do {                                                                                     \
        cts_error = (struct pto_error){0};                                                   \
        enum pto_status cts_status_ = (call);                                                \
        if (cts_status_ != (expected) || cts_error.status != (expected) ||                   \
            strstr(cts_error.message, (text)) == NULL) {                                     \
            fail_msg("line %d: %s\n  expected %s and \"%s\"\n  got %s: %s", __LINE__, #call, \
                     pto_status_name(expected), (text), pto_status_name(cts_status_),        \
                     cts_error.message);                                                     \
        }                                                                                    \
    } while (0)

static inline const char *cts_path(const char *variable, const char *built)
{
    const char *path = getenv(variable);
    return path != NULL && *path != '\0' ? path : built;
}

// With the built-in kernels add, add_scalar and mul.
static inline struct pto_config cts_config(const struct cts_backend *backend, int64_t core_count)
{
    return (struct pto_config){
        .size = sizeof(struct pto_config),
        .device_id = 9,
        .core_count = core_count,
        .aicpu_so_path = cts_path("PTO_TEST_AICPU_PROGRAM", PTO_TEST_AICPU_PROGRAM),
        .aicore_kernel_path = cts_path("PTO_TEST_AICORE_PROGRAM", PTO_TEST_AICORE_PROGRAM),
        .backend = backend->name,
        .timeout_ns = 60000 * CTS_MS,
    };
}

// With the kernels of tests/kernels.
static inline struct pto_config cts_test_config(const struct cts_backend *backend,
                                                int64_t core_count)
{
    struct pto_config config = cts_config(backend, core_count);
    config.aicore_kernel_path = cts_path("PTO_TEST_KERNELS", PTO_TEST_KERNELS);
    return config;
}

// The open runners of a case. One that fails leaves some, which would disturb the next case.
static struct pto_runner *cts_runners[16];

static inline void cts_remember(const struct pto_runner *before, struct pto_runner *after)
{
    for (size_t i = 0; i < sizeof(cts_runners) / sizeof(cts_runners[0]); i++) {
        if (cts_runners[i] == before) {
            cts_runners[i] = after;
            return;
        }
    }
}

static inline struct pto_runner *cts_open_config(const struct pto_config *config)
{
    struct pto_runner *runner = NULL;
    CTS_OK(pto_runner_create(&runner, &cts_error));
    assert_non_null(runner);
    cts_remember(NULL, runner);
    CTS_OK(pto_runner_init(runner, config, &cts_error));
    return runner;
}

static inline struct pto_runner *cts_open(const struct cts_backend *backend, int64_t core_count)
{
    struct pto_config config = cts_config(backend, core_count);
    return cts_open_config(&config);
}

static inline struct pto_runner *cts_open_test(const struct cts_backend *backend,
                                               int64_t core_count)
{
    struct pto_config config = cts_test_config(backend, core_count);
    return cts_open_config(&config);
}

static inline void cts_destroy(struct pto_runner *runner)
{
    cts_remember(runner, NULL);
    pto_runner_destroy(runner);
}

static inline void cts_close(struct pto_runner *runner)
{
    CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    cts_destroy(runner);
}

static inline struct pto_runner_info cts_info(struct pto_runner *runner)
{
    struct pto_runner_info info;
    pto_runner_get_info(runner, &info);
    return info;
}

static inline uint64_t cts_allocate(struct pto_runner *runner, uint64_t size_bytes)
{
    uint64_t pointer = 0;
    CTS_OK(pto_runner_allocate(runner, size_bytes, &pointer, &cts_error));
    assert_true(pointer != 0 && pointer % 64 == 0);
    return pointer;
}

// A block of so many bytes, all zero.
static inline uint64_t cts_allocate_zero(struct pto_runner *runner, uint64_t size_bytes)
{
    uint64_t pointer = cts_allocate(runner, size_bytes);
    void *zeros = calloc(1, size_bytes);
    assert_non_null(zeros);
    CTS_OK(pto_runner_copy_to_device(runner, pointer, zeros, size_bytes, &cts_error));
    free(zeros);
    return pointer;
}

static inline void cts_write(struct pto_runner *runner, uint64_t pointer, const void *bytes,
                             uint64_t size_bytes)
{
    CTS_OK(pto_runner_copy_to_device(runner, pointer, bytes, size_bytes, &cts_error));
}

static inline void cts_read(struct pto_runner *runner, void *bytes, uint64_t pointer,
                            uint64_t size_bytes)
{
    CTS_OK(pto_runner_copy_from_device(runner, bytes, pointer, size_bytes, &cts_error));
}

static inline uint32_t cts_read_word(struct pto_runner *runner, uint64_t pointer)
{
    uint32_t word = 0;
    cts_read(runner, &word, pointer, sizeof(word));
    return word;
}

static inline void cts_write_word(struct pto_runner *runner, uint64_t pointer, uint32_t word)
{
    cts_write(runner, pointer, &word, sizeof(word));
}

static inline struct pto_graph *cts_graph(void)
{
    struct pto_graph *graph = NULL;
    CTS_OK(pto_graph_create(&graph, &cts_error));
    assert_non_null(graph);
    return graph;
}

static inline uint32_t cts_add(struct pto_graph *graph, uint32_t func_id, const uint64_t *args,
                               uint32_t arg_count)
{
    uint32_t task = 0;
    CTS_OK(pto_graph_add_task(graph, args, arg_count, func_id, &task, &cts_error));
    return task;
}

static inline uint32_t cts_add1(struct pto_graph *graph, uint32_t func_id, uint64_t arg)
{
    return cts_add(graph, func_id, &arg, 1);
}

static inline void cts_edge(struct pto_graph *graph, uint64_t from, uint64_t to)
{
    CTS_OK(pto_graph_add_successor(graph, from, to, &cts_error));
}

static inline uint64_t cts_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static inline struct pto_run_options cts_options(int64_t scheduler_count)
{
    return (struct pto_run_options){.size = sizeof(struct pto_run_options),
                                    .scheduler_count = scheduler_count};
}

static inline void cts_run_graph(struct pto_runner *runner, struct pto_graph *graph)
{
    CTS_OK(pto_runner_run(runner, graph, NULL, &cts_error));
}

// (a + b + 1) * (a + b + 2) over n floats, as four tasks. With a = 2 and b = 3 that is 42.
struct cts_42 {
    struct pto_graph *graph;
    uint64_t blocks[6]; // a, b, a + b, + 1, + 2, product
    uint64_t n;
};

static inline void cts_42_make(struct cts_42 *work, struct pto_runner *runner, uint64_t n)
{
    *work = (struct cts_42){.graph = cts_graph(), .n = n};
    for (int i = 0; i < 6; i++) {
        work->blocks[i] = cts_allocate(runner, n * sizeof(float));
    }
    float *host = malloc(n * sizeof(float));
    assert_non_null(host);
    for (int i = 0; i < 2; i++) {
        for (uint64_t k = 0; k < n; k++) {
            host[k] = i == 0 ? 2.0f : 3.0f;
        }
        cts_write(runner, work->blocks[i], host, n * sizeof(float));
    }
    free(host);
    const uint64_t *p = work->blocks;
    const uint64_t args[4][4] = {{p[0], p[1], p[2], n},
                                 {p[2], cts_float(1.0f), p[3], n},
                                 {p[2], cts_float(2.0f), p[4], n},
                                 {p[3], p[4], p[5], n}};
    const uint32_t func_ids[4] = {CTS_ADD, CTS_ADD_SCALAR, CTS_ADD_SCALAR, CTS_MUL};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(cts_add(work->graph, func_ids[i], args[i], 4), i);
    }
    cts_edge(work->graph, 0, 1);
    cts_edge(work->graph, 0, 2);
    cts_edge(work->graph, 1, 3);
    cts_edge(work->graph, 2, 3);
}

static inline void cts_42_check(const struct cts_42 *work, struct pto_runner *runner, float value)
{
    float *host = calloc(work->n, sizeof(float));
    assert_non_null(host);
    cts_read(runner, host, work->blocks[5], work->n * sizeof(float));
    for (uint64_t k = 0; k < work->n; k++) {
        if (host[k] != value) {
            fail_msg("element %" PRIu64 " is %g, not %g", k, (double)host[k], (double)value);
        }
    }
    free(host);
}

struct cts_case {
    const char *name;
    void (*run)(const struct cts_backend *backend);
};

#define CTS_CASE(function)                   \
    {                                        \
        .name = #function, .run = (function) \
    }

struct cts_bound_case {
    const struct cts_backend *backend;
    const struct cts_case *test;
};

static inline void cts_call(void **state)
{
    const struct cts_bound_case *bound = *state;
    bound->test->run(bound->backend);
}

static inline int cts_clean_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cts_runners) / sizeof(cts_runners[0]); i++) {
        pto_runner_destroy(cts_runners[i]);
        cts_runners[i] = NULL;
    }
    unsetenv("PTO_SIM_LANES");
    unsetenv("PTO_SIM_GUARD");
    return 0;
}

// Runs every case on every backend. Returns what main is to return.
static inline int cts_run(const char *group, const struct cts_case *cases, size_t case_count)
{
    cts_backends[0].name = cts_path("PTO_TEST_BACKEND", "sim");
    size_t total = case_count * CTS_BACKEND_COUNT;
    struct CMUnitTest *tests = calloc(total, sizeof(*tests));
    struct cts_bound_case *bound = calloc(total, sizeof(*bound));
    char(*names)[128] = calloc(total, sizeof(*names));
    if (tests == NULL || bound == NULL || names == NULL) {
        return 1;
    }
    for (size_t i = 0; i < total; i++) {
        bound[i] = (struct cts_bound_case){.backend = &cts_backends[i / case_count],
                                           .test = &cases[i % case_count]};
        snprintf(names[i], sizeof(names[i]), "%s: %s", bound[i].backend->name, bound[i].test->name);
        tests[i] = (struct CMUnitTest){
            .name = names[i],
            .test_func = cts_call,
            .teardown_func = cts_clean_up,
            .initial_state = &bound[i],
        };
    }
    int failed = _cmocka_run_group_tests(group, tests, total, NULL, NULL);
    free(names);
    free(bound);
    free(tests);
    return failed == 0 ? 0 : 1;
}

#define CTS_MAIN(cases)                                                      \
    int main(void)                                                           \
    {                                                                        \
        return cts_run(__FILE__, cases, sizeof(cases) / sizeof((cases)[0])); \
    }

#endif // PTO_TESTS_CTS_CTS_H
