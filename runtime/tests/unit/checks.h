// SPDX-License-Identifier: Apache-2.0
// For the tests of the checks: runners with the kernels of faulty.c, and what a run found.
#ifndef PTO_TESTS_UNIT_CHECKS_H
#define PTO_TESTS_UNIT_CHECKS_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/faulty.h"
#include "pto/pto.h"
#include "unit/expect_ok.h"

#define FOUND_MAX 64u
struct found {
    struct pto_check_finding items[FOUND_MAX];
    uint32_t count;
    uint64_t remaining; // after the last one
};

static inline void collect(void *context, const struct pto_check_finding *finding,
                           uint64_t remaining)
{
    struct found *found = context;
    assert_true(found->count < FOUND_MAX);
    found->items[found->count++] = *finding;
    found->remaining = remaining;
}

static inline struct pto_config config_for(const char *backend, const char *kernels)
{
    return (struct pto_config){
        .size = sizeof(struct pto_config),
        .core_count = 3,
        .aicpu_so_path = PTO_TEST_AICPU_PROGRAM,
        .aicore_kernel_path = kernels,
        .backend = backend,
    };
}

static inline struct pto_runner *open_on(const char *backend, const char *kernels)
{
    struct pto_runner *runner;
    struct pto_config config = config_for(backend, kernels);
    OK(pto_runner_create(&runner, &err));
    OK(pto_runner_init(runner, &config, &err));
    return runner;
}

static inline struct pto_runner *open_runner(void)
{
    return open_on("sim", PTO_TEST_FAULTY);
}

static inline uint64_t allocate(struct pto_runner *runner, uint64_t size_bytes)
{
    uint64_t pointer;
    OK(pto_runner_allocate(runner, size_bytes, &pointer, &err));
    return pointer;
}

// Writes bytes begin..end - 1 of a block from the host.
static inline void fill(struct pto_runner *runner, uint64_t pointer, uint64_t begin, uint64_t end)
{
    uint8_t *bytes = calloc(1, end - begin + 1);
    assert_non_null(bytes);
    OK(pto_runner_copy_to_device(runner, pointer + begin, bytes, end - begin, &err));
    free(bytes);
}

static inline uint64_t allocate_filled(struct pto_runner *runner, uint64_t size_bytes)
{
    uint64_t pointer = allocate(runner, size_bytes);
    fill(runner, pointer, 0, size_bytes);
    return pointer;
}

static inline struct pto_graph *new_graph(void)
{
    struct pto_graph *graph;
    OK(pto_graph_create(&graph, &err));
    return graph;
}

static inline uint32_t add_touch(struct pto_graph *graph, uint64_t tensor, uint64_t n,
                                 enum touch operation, int64_t offset, uint64_t size)
{
    const uint64_t args[] = {tensor, n, operation, (uint64_t)offset, size};
    uint32_t task;
    OK(pto_graph_add_task(graph, args, 5, FUNC_TOUCH, &task, &err));
    return task;
}

// Runs with these checks, and says how it ended.
static inline enum pto_status run_checked(struct pto_runner *runner, struct pto_graph *graph,
                                          const char *check, struct found *out)
{
    *out = (struct found){.count = 0};
    const struct pto_run_options options = {.size = sizeof(options),
                                            .scheduler_count = 1,
                                            .check = check,
                                            .finding = collect,
                                            .finding_context = out};
    enum pto_status status = pto_runner_run(runner, graph, &options, &err);
    if (status == PTO_E_CHECK) {
        assert_true(out->count != 0);
        assert_non_null(strstr(err.message, "run: the checks found "));
        struct pto_runner_info info;
        pto_runner_get_info(runner, &info);
        assert_int_equal(info.state, PTO_RUNNER_READY);
    } else {
        assert_int_equal(out->count, 0);
    }
    return status;
}

// Other sanitizers exclude the one whose calls the checks need, and the build makes programs for
// checks on Linux only.
static inline void need_instrumented_kernels(void)
{
#if defined(__linux__)
    if (!PTO_TEST_INSTRUMENTED) {
        skip();
    }
#else
    skip();
#endif
}

#endif // PTO_TESTS_UNIT_CHECKS_H
