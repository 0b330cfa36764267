// SPDX-License-Identifier: Apache-2.0
// host/check.c: tasks against their kernels and the ledger. Prints how long a large graph takes.
// Needs no linker wraps.
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "host/check.h"

#define SCALAR {PTO_ARG_INTEGER, 0, PTO_NO_ARG, PTO_NO_ARG}
#define BLOCK 0x100000u
#define BLOCK_SIZE 4096u

// 0 'scale': src, factor, out, n. 5 'matmul': a [m, k], b [k, n], c [m, n], m, n, k. 9 'one': one
// element of 12 bytes. 10 'big': elements of 256 bytes.
static struct pto_kernel_record records[] = {
    {.func_id = 0, .arg_count = 4, .name = "scale",
     .args = {{PTO_ARG_IN, 4, 3, PTO_NO_ARG},
              {PTO_ARG_FLOAT, 0, PTO_NO_ARG, PTO_NO_ARG},
              {PTO_ARG_OUT, 4, 3, PTO_NO_ARG},
              SCALAR}},
    {.func_id = 5, .arg_count = 6, .name = "matmul",
     .args = {{PTO_ARG_IN, 4, 3, 5}, {PTO_ARG_IN, 4, 5, 4}, {PTO_ARG_INOUT, 8, 3, 4}, SCALAR,
              SCALAR, SCALAR}},
    {.func_id = 9, .arg_count = 1, .name = "one",
     .args = {{PTO_ARG_INOUT, 12, PTO_NO_ARG, PTO_NO_ARG}}},
    {.func_id = 10, .arg_count = 1, .name = "big",
     .args = {{PTO_ARG_INOUT, 256, PTO_NO_ARG, PTO_NO_ARG}}},
};

static struct pto_kernel_table kernels;
static struct pto_ledger *ledger;

static void add_block(uint64_t address, uint64_t size_bytes)
{
    assert_int_equal(pto__ledger_reserve(ledger, NULL), PTO_OK);
    pto__ledger_add(ledger, address, size_bytes);
}

// Two blocks of BLOCK_SIZE bytes, the second BLOCK bytes behind the first.
static int set_up(void **state)
{
    (void)state;
    kernels.records = records;
    kernels.count = sizeof(records) / sizeof(records[0]);
    for (uint32_t i = 0; i < kernels.count; i++) {
        kernels.by_func_id[records[i].func_id] = (uint16_t)(i + 1);
    }
    if (pto__ledger_create(&ledger, NULL) != PTO_OK) {
        return 1;
    }
    add_block(BLOCK, BLOCK_SIZE);
    add_block(2 * BLOCK, BLOCK_SIZE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pto__ledger_destroy(ledger);
    return 0;
}

static void assert_good(uint32_t func_id, const uint64_t *args, uint32_t arg_count)
{
    struct pto_task_view view = {.func_id = func_id, .arg_count = arg_count, .args = args};
    struct pto_error err;
    if (pto__check_task(&view, 7, &kernels, ledger, &err) != PTO_OK) {
        fail_msg("%s", err.message);
    }
}

static void assert_bad(uint32_t func_id, const uint64_t *args, uint32_t arg_count,
                       enum pto_status status, const char *text)
{
    struct pto_task_view view = {.func_id = func_id, .arg_count = arg_count, .args = args};
    struct pto_error err;
    assert_int_equal(pto__check_task(&view, 7, &kernels, ledger, &err), status);
    if (strstr(err.message, text) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, text);
    }
    const struct pto_kernel_record *kernel = pto__kernel_find(&kernels, func_id);
    assert_int_equal(err.status, status);
    assert_int_equal(err.task, 7);
    assert_int_equal(err.func_id, func_id);
    assert_string_equal(err.kernel, kernel == NULL ? "" : kernel->name);
    assert_int_equal(pto__check_task(&view, 7, &kernels, ledger, NULL), status);
}

static void assert_scale_bad(uint64_t src, uint64_t factor, uint64_t out, uint64_t n,
                             enum pto_status status, const char *text)
{
    const uint64_t args[] = {src, factor, out, n};
    assert_bad(0, args, 4, status, text);
}

static void assert_scale_good(uint64_t src, uint64_t factor, uint64_t out, uint64_t n)
{
    const uint64_t args[] = {src, factor, out, n};
    assert_good(0, args, 4);
}

static void test_good(void **state)
{
    (void)state;
    assert_scale_good(BLOCK, 0x3f800000, 2 * BLOCK, BLOCK_SIZE / 4);
    assert_scale_good(BLOCK + 4, UINT32_MAX, BLOCK + 4, BLOCK_SIZE / 4 - 1); // in place
    assert_scale_good(BLOCK + BLOCK_SIZE - 4, 0, 2 * BLOCK + 64, 1);
    // Nothing is touched, so any pointer will do.
    assert_scale_good(0, 0, 3, 0);
    const uint64_t no_rows[] = {0, BLOCK, 0, 0, UINT64_MAX, 8};
    const uint64_t not_empty[] = {0, BLOCK, 0, 0, 4, 8};
    assert_bad(5, no_rows, 6, PTO_E_POINTER, "argument 1");
    assert_good(5, not_empty, 6);
    const uint64_t matmul[] = {BLOCK, 2 * BLOCK, 2 * BLOCK + 2048, 16, 16, 32};
    assert_good(5, matmul, 6);
    const uint64_t one[] = {BLOCK + 4};
    assert_good(9, one, 1);
    const uint64_t big[] = {BLOCK + 64};
    assert_good(10, big, 1);
}

static void test_kernel(void **state)
{
    (void)state;
    const uint64_t args[7] = {0};
    assert_bad(3, args, 4, PTO_E_KERNEL,
               "task 7: no kernel has func_id 3; the AICore program has 0 'scale', 5 'matmul', "
               "9 'one', 10 'big'");
    assert_bad(PTO_FUNC_ID_MAX + 1, args, 4, PTO_E_KERNEL, "no kernel has func_id 1024");
    assert_bad(UINT32_MAX, NULL, 0, PTO_E_KERNEL, "no kernel has func_id 4294967295");
    assert_bad(0, args, 3, PTO_E_KERNEL,
               "task 7 (kernel 'scale', func_id 0): it has 3 arguments, the kernel takes 4: in, "
               "float, out, integer");
    assert_bad(0, NULL, 0, PTO_E_KERNEL, "it has 0 arguments, the kernel takes 4");
    assert_bad(5, args, 7, PTO_E_KERNEL, "it has 7 arguments, the kernel takes 6");
    assert_scale_bad(BLOCK, 0x3ff0000000000000, 2 * BLOCK, 4, PTO_E_KERNEL,
                     "task 7 (kernel 'scale', func_id 0): argument 1 (float) is "
                     "0x3ff0000000000000, not the bits of a float32");
    assert_scale_bad(BLOCK, 0x100000000, 2 * BLOCK, 4, PTO_E_KERNEL, "argument 1 (float)");
}

static void test_pointers(void **state)
{
    (void)state;
    assert_scale_bad(0, 0, 2 * BLOCK, 4, PTO_E_POINTER,
                     "task 7 (kernel 'scale', func_id 0): argument 0 (in, 4 elements of 4 bytes): "
                     "the pointer is 0");
    assert_scale_bad(BLOCK, 0, 5, 4, PTO_E_POINTER,
                     "argument 2 (out, 4 elements of 4 bytes): 0x5 is unknown");
    assert_scale_bad(BLOCK, 0, 2 * BLOCK, BLOCK_SIZE / 4 + 1, PTO_E_POINTER,
                     "argument 0 (in, 1025 elements of 4 bytes): 4100 bytes from 0x100000 run 4 "
                     "bytes past the end of the block of 4096 bytes at 0x100000");
    assert_scale_bad(BLOCK, 0, 2 * BLOCK + 4, BLOCK_SIZE / 4, PTO_E_POINTER,
                     "argument 2 (out, 1024 elements");
    assert_scale_bad(BLOCK + BLOCK_SIZE, 0, BLOCK, 1, PTO_E_POINTER, "past the end of the block");
    assert_scale_bad(BLOCK, 0, 2 * BLOCK + 2, 4, PTO_E_POINTER,
                     "argument 2 (out, 4 elements of 4 bytes): 0x200002 is not a multiple of 4");
    const uint64_t matmul[] = {BLOCK, 2 * BLOCK, 2 * BLOCK + 4, 16, 16, 32};
    assert_bad(5, matmul, 6, PTO_E_POINTER,
               "argument 2 (inout, 16 x 16 elements of 8 bytes): 0x200004 is not a multiple of 8");
    const uint64_t large[] = {BLOCK, 2 * BLOCK, 2 * BLOCK, 64, 16, 32};
    assert_bad(5, large, 6, PTO_E_POINTER, "argument 0 (in, 64 x 32 elements of 4 bytes): 8192 by");
    const uint64_t one[] = {BLOCK + 2};
    assert_bad(9, one, 1, PTO_E_POINTER, "argument 0 (inout, 1 elements of 12 bytes): 0x100002 is");
    const uint64_t big[] = {BLOCK + 32};
    assert_bad(10, big, 1, PTO_E_POINTER, "is not a multiple of 64");
}

static void test_freed(void **state)
{
    (void)state;
    uint64_t size_bytes = 0;
    add_block(3 * BLOCK, 64);
    assert_scale_good(3 * BLOCK, 0, 3 * BLOCK, 16);
    assert_int_equal(pto__ledger_remove(ledger, 3 * BLOCK, &size_bytes, NULL), PTO_OK);
    assert_scale_bad(3 * BLOCK + 4, 0, BLOCK, 1, PTO_E_POINTER,
                     "argument 0 (in, 1 elements of 4 bytes): 0x300004 was freed");
}

static void test_overflow(void **state)
{
    (void)state;
    assert_scale_bad(BLOCK, 0, 2 * BLOCK, UINT64_MAX, PTO_E_POINTER,
                     "argument 0 (in, 18446744073709551615 (-1 as a signed number) elements of 4 "
                     "bytes): 0x100000 with so many elements would reach past the end");
    // The product of all three wraps to a number that would fit.
    assert_scale_bad(BLOCK, 0, 2 * BLOCK, (UINT64_C(1) << 62) + 1, PTO_E_POINTER,
                     "4611686018427387905 elements of 4 bytes): 0x100000 with so many");
    const uint64_t wraps[] = {BLOCK, 2 * BLOCK, BLOCK, UINT64_C(1) << 32, 4, UINT64_C(1) << 32};
    assert_bad(5, wraps, 6, PTO_E_POINTER,
               "argument 0 (in, 4294967296 x 4294967296 elements of 4 bytes): 0x100000 with so");
    // No overflow, but the end would lie past the end of the address space.
    assert_scale_bad(BLOCK, 0, 2 * BLOCK, UINT64_MAX / 4, PTO_E_POINTER,
                     "past the end of the block");
}

static void test_many_kernels(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    struct pto_kernel_record *many = calloc(COUNT, sizeof(*many));
    struct pto_kernel_table *table = calloc(1, sizeof(*table));
    assert_non_null(many);
    assert_non_null(table);
    table->records = many;
    table->count = COUNT;
    for (uint32_t i = 0; i < COUNT; i++) {
        many[i].func_id = i;
        snprintf(many[i].name, sizeof(many[i].name), "kernel_with_quite_a_long_name_%u", i);
        table->by_func_id[i] = (uint16_t)(i + 1);
    }
    struct pto_task_view view = {.func_id = COUNT};
    struct pto_error err;
    assert_int_equal(pto__check_task(&view, 0, table, ledger, &err), PTO_E_KERNEL);
    assert_non_null(strstr(err.message, "0 'kernel_with_quite_a_long_name_0', 1 'kernel"));
    const char *more = strstr(err.message, ", and ");
    assert_non_null(more);
    assert_non_null(strstr(more, " more"));
    many[1].arg_count = PTO_ARG_COUNT_MAX; // too many to be listed
    view.func_id = 1;
    assert_int_equal(pto__check_task(&view, 0, table, ledger, &err), PTO_E_KERNEL);
    assert_string_equal(strstr(err.message, "it has"), "it has 0 arguments, the kernel takes 128");
    free(table);
    free(many);
}

static struct pto_graph *graph_of(uint32_t task_count, uint32_t bad_task)
{
    struct pto_graph *graph = NULL;
    assert_int_equal(pto_graph_create(&graph, NULL), PTO_OK);
    for (uint32_t i = 0; i < task_count; i++) {
        uint64_t args[] = {BLOCK + 64 * (i % 60), i, 2 * BLOCK + 64 * (i % 50), i % 16};
        if (i >= bad_task) {
            args[2] = 64 * (i - bad_task);
            args[3] = 1;
        }
        uint32_t task = 0;
        assert_int_equal(pto_graph_add_task(graph, args, 4, 0, &task, NULL), PTO_OK);
    }
    assert_int_equal(pto__graph_pin(graph, NULL), PTO_OK);
    return graph;
}

static void drop(struct pto_graph *graph)
{
    pto__graph_unpin(graph);
    pto_graph_destroy(graph);
}

static void test_graph(void **state)
{
    (void)state;
    struct pto_error err;
    struct pto_graph *graph = graph_of(0, UINT32_MAX);
    assert_int_equal(pto__check_graph(graph, &kernels, ledger, &err), PTO_OK);
    drop(graph);
    graph = graph_of(1000, UINT32_MAX);
    assert_int_equal(pto__check_graph(graph, &kernels, ledger, &err), PTO_OK);
    drop(graph);
    graph = graph_of(1000, 700);
    assert_int_equal(pto__check_graph(graph, &kernels, ledger, &err), PTO_E_POINTER);
    assert_int_equal(err.task, 700);
    assert_string_equal(err.kernel, "scale");
    assert_non_null(strstr(err.message, "task 700 (kernel 'scale', func_id 0): argument 2 (out"));
    assert_int_equal(pto__check_graph(graph, &kernels, ledger, NULL), PTO_E_POINTER);
    drop(graph);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

// A million tasks, once with few blocks and once with each pointer in a block of its own.
static void test_large_graph(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    struct timespec start;
    struct pto_graph *graph = graph_of(COUNT, UINT32_MAX);
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(pto__check_graph(graph, &kernels, ledger, NULL), PTO_OK);
    printf("%d tasks, 2 blocks: %.1f ms\n", COUNT, 1e3 * seconds_since(&start));
    drop(graph);

    enum { BLOCKS = 100000 };
    uint64_t size_bytes = 0;
    for (uint64_t i = 0; i < BLOCKS; i++) {
        add_block(0x10000000 + i * 4096, 4096);
    }
    assert_int_equal(pto_graph_create(&graph, NULL), PTO_OK);
    for (uint64_t i = 0; i < COUNT; i++) {
        const uint64_t args[] = {0x10000000 + (i * 7919 % BLOCKS) * 4096, 0,
                                 0x10000000 + (i * 104729 % BLOCKS) * 4096, 1024};
        uint32_t task = 0;
        assert_int_equal(pto_graph_add_task(graph, args, 4, 0, &task, NULL), PTO_OK);
    }
    assert_int_equal(pto__graph_pin(graph, NULL), PTO_OK);
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(pto__check_graph(graph, &kernels, ledger, NULL), PTO_OK);
    printf("%d tasks, %d blocks: %.1f ms\n", COUNT, BLOCKS, 1e3 * seconds_since(&start));
    drop(graph);
    for (uint64_t i = 0; i < BLOCKS; i++) {
        assert_int_equal(pto__ledger_remove(ledger, 0x10000000 + i * 4096, &size_bytes, NULL),
                         PTO_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_kernel),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_freed),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_many_kernels),
        cmocka_unit_test(test_graph),
        cmocka_unit_test(test_large_graph),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
