// SPDX-License-Identifier: Apache-2.0
// graph/: compiling to an image, checking one, and cycles. Needs no linker wraps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "tests/unit/graph_test.h"

static void test_empty_graph(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(0);
    struct pto_image image = compile_good(graph);
    assert_int_equal(image.size_bytes, sizeof(struct pto_image_header));
    assert_int_equal(image.header->task_count, 0);
    pto__image_free(&image);
    assert_null(image.bytes);
    pto__image_free(&image);
    pto__image_free(NULL);
    pto_graph_destroy(graph);
}

static void test_layout(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(1);
    uint64_t args[9] = {11, 12, 13, 14, 15, 16, 17, 18, 19};
    uint32_t task = 0;
    assert_int_equal(pto_graph_add_task(graph, args, 9, 1, &task, NULL), PTO_OK);
    assert_int_equal(pto_graph_add_task(graph, args + 2, 6, 2, &task, NULL), PTO_OK);
    assert_int_equal(pto_graph_add_task(graph, args + 1, 7, 3, &task, NULL), PTO_OK);
    static const uint64_t edges[] = {0, 2, 0, 1, 2, 3, 0, 2, 1, 3, 0, 3, 0, 1};
    assert_int_equal(pto_graph_add_successors(graph, edges, 7, NULL), PTO_OK);
    struct pto_image image = compile_good(graph);
    assert_int_equal(image.header->edge_count, 5);
    assert_int_equal(image.header->ready_count, 1);
    assert_int_equal(image.header->spill_count, 16);
    static const uint32_t successors[] = {2, 1, 3, 3, 3};
    assert_memory_equal(successors_of(&image), successors, sizeof(successors));
    static const uint32_t counts[4][3] = {{0, 3, 0}, {3, 1, 1}, {4, 1, 1}, {5, 0, 3}};
    struct pto_task_record *records = records_of(&image);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(records[i].func_id, i);
        assert_int_equal(records[i].successor_begin, counts[i][0]);
        assert_int_equal(records[i].successor_count, counts[i][1]);
        assert_int_equal(records[i].predecessor_count, counts[i][2]);
    }
    assert_int_equal(ready_of(&image)[0], 0);
    // Padding is zero, so that equal graphs make equal images.
    assert_int_equal(successors_of(&image)[5], 0);
    assert_int_equal(ready_of(&image)[1], 0);
    assert_memory_equal(image.bytes + records[1].args[0], args, 9 * sizeof(*args));
    assert_memory_equal(records[2].args, args + 2, 6 * sizeof(*args));
    assert_memory_equal(image.bytes + records[3].args[0], args + 1, 7 * sizeof(*args));
    pto__image_free(&image);
    pto_graph_destroy(graph);
}

static void test_too_many_spilled_arguments(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(1);
    struct pto_image image;
    struct pto_error err;
    graph->spill_live = (size_t)UINT32_MAX + 1; // 32 GiB of them would be needed
    assert_int_equal(compile(graph, &image, &err), PTO_E_LIMIT);
    assert_non_null(strstr(err.message, "4294967295 arguments altogether, but this graph's have "
                                        "4294967296"));
    assert_null(image.bytes);
    graph->spill_live = 0;
    pto_graph_destroy(graph);
}

static void test_cycle_messages(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(20);
    struct pto_image image;
    struct pto_error err;
    size_t count = 9;
    uint32_t tasks[20] = {0};
    add_edge(graph, 0, 7);
    add_edge(graph, 7, 3);
    assert_int_equal(pto_graph_validate(graph, &err), PTO_OK);
    assert_int_equal(pto_graph_find_cycle(graph, tasks, 20, &count, &err), PTO_OK);
    assert_int_equal(count, 0);
    add_edge(graph, 3, 9);
    add_edge(graph, 9, 7);
    add_edge(graph, 9, 12); // behind the cycle, not on it
    add_edge(graph, 12, 5);
    assert_int_equal(pto_graph_validate(graph, &err), PTO_E_CYCLE);
    assert_int_equal(err.task, 3);
    assert_non_null(strstr(err.message, "cycle of 3 tasks"));
    assert_non_null(strstr(err.message, ": 3 -> 9 -> 7 -> 3;"));
    assert_int_equal(compile(graph, &image, &err), PTO_E_CYCLE);
    assert_null(image.bytes);
    assert_int_equal(err.task, 3);
    assert_int_equal(pto_graph_validate(graph, NULL), PTO_E_CYCLE);
    assert_int_equal(pto_graph_find_cycle(graph, tasks, 2, &count, &err), PTO_OK);
    assert_int_equal(count, 3);
    assert_int_equal(tasks[0], 3);
    assert_int_equal(tasks[1], 9);
    assert_int_equal(tasks[2], 0);
    assert_int_equal(pto_graph_find_cycle(graph, NULL, 1, &count, &err), PTO_E_ARGUMENT);
    assert_int_equal(pto_graph_find_cycle(graph, NULL, 0, NULL, &err), PTO_E_ARGUMENT);
    assert_int_equal(pto_graph_find_cycle(NULL, NULL, 0, &count, &err), PTO_E_ARGUMENT);
    assert_int_equal(pto_graph_validate(NULL, &err), PTO_E_ARGUMENT);
    pto_graph_destroy(graph);
}

static void test_long_cycle(void **state)
{
    (void)state;
    enum { LENGTH = 100000 };
    struct pto_graph *graph = create_graph_of(LENGTH + 10);
    for (uint32_t i = 0; i < LENGTH; i++) {
        add_edge(graph, i, (i + 1) % LENGTH);
    }
    static uint32_t tasks[LENGTH + 1];
    size_t count = 0;
    struct pto_error err;
    assert_int_equal(pto_graph_find_cycle(graph, tasks, LENGTH + 1, &count, &err), PTO_OK);
    assert_int_equal(count, LENGTH);
    for (uint32_t i = 0; i < LENGTH; i++) {
        assert_int_equal(tasks[i], i);
    }
    assert_int_equal(pto_graph_validate(graph, &err), PTO_E_CYCLE);
    assert_non_null(strstr(err.message, "cycle of 100000 tasks"));
    assert_non_null(strstr(err.message, " 11 -> (99988 more) -> 0;"));
    pto_graph_destroy(graph);
}

static void test_many_tasks_and_edges(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    struct pto_graph *graph = create_graph_of(COUNT + 1);
    uint64_t *edges = malloc((size_t)COUNT * 2 * sizeof(*edges));
    assert_non_null(edges);
    for (size_t i = 0; i < COUNT; i++) {
        edges[2 * i] = 0;
        edges[2 * i + 1] = i + 1;
    }
    assert_int_equal(pto_graph_add_successors(graph, edges, COUNT, NULL), PTO_OK);
    assert_int_equal(pto_graph_add_successors(graph, edges, COUNT, NULL), PTO_OK);
    free(edges);
    struct pto_image image = compile_good(graph);
    assert_int_equal(image.header->edge_count, COUNT);
    assert_int_equal(records_of(&image)[0].successor_count, COUNT);
    assert_int_equal(records_of(&image)[COUNT].predecessor_count, 1);
    assert_int_equal(image.header->ready_count, 1);
    pto__image_free(&image);
    pto_graph_destroy(graph);
}

// Each field of a good image, spoiled, must be noticed.
static void test_image_check_notices(void **state)
{
    (void)state;
    struct pto_graph *graph = create_graph_of(5);
    uint64_t args[7] = {0};
    add_edge(graph, 0, 2);
    add_edge(graph, 0, 3);
    add_edge(graph, 2, 3);
    assert_int_equal(pto_graph_set_args(graph, 1, args, 7, NULL), PTO_OK);
    struct pto_image image = compile_good(graph);
    struct pto_image_header *header = image.header;
    struct pto_task_record *records = records_of(&image);
    uint32_t *words[] = {
        &header->magic,
        &header->version,
        &header->task_count,
        &header->edge_count,
        &header->ready_count,
        &header->spill_count,
        (uint32_t *)(void *)&header->size_bytes,
        (uint32_t *)(void *)&header->record_offset,
        (uint32_t *)(void *)&header->successor_offset,
        (uint32_t *)(void *)&header->ready_offset,
        (uint32_t *)(void *)&header->spill_offset,
        (uint32_t *)(void *)&image.size_bytes,
        (uint32_t *)(void *)&records[1].args[0],
        &records[0].successor_begin,
        &records[2].successor_count,
        &records[3].predecessor_count,
        &successors_of(&image)[0],
        &ready_of(&image)[1],
    };
    static const uint32_t deltas[] = {1, UINT32_MAX, 0x40000000};
    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        for (size_t d = 0; d < sizeof(deltas) / sizeof(deltas[0]); d++) {
            uint32_t good = *words[w];
            *words[w] += deltas[d];
            struct pto_error err = {0};
            if (pto__image_check(&image, &err) != PTO_E_INTERNAL || err.message[0] == '\0') {
                fail_msg("word %zu, delta %u: not noticed", w, deltas[d]);
            }
            *words[w] = good;
        }
    }
    successors_of(&image)[0] = 3; // twice the same
    assert_int_equal(pto__image_check(&image, NULL), PTO_E_INTERNAL);
    successors_of(&image)[0] = 0; // itself
    assert_int_equal(pto__image_check(&image, NULL), PTO_E_INTERNAL);
    successors_of(&image)[0] = 2;
    records[0].func_id = PTO_FUNC_ID_MAX + 1;
    assert_int_equal(pto__image_check(&image, NULL), PTO_E_INTERNAL);
    records[0].func_id = 0;
    records[0].arg_count = PTO_ARG_COUNT_MAX + 1;
    assert_int_equal(pto__image_check(&image, NULL), PTO_E_INTERNAL);
    records[0].arg_count = 0;
    header->spill_count++; // one more than any task has
    header->size_bytes += sizeof(uint64_t);
    image.size_bytes += sizeof(uint64_t);
    assert_int_equal(pto__image_check(&image, NULL), PTO_E_INTERNAL);
    header->spill_count--;
    header->size_bytes -= sizeof(uint64_t);
    image.size_bytes -= sizeof(uint64_t);
    struct pto_image shorter = image;
    shorter.size_bytes = sizeof(*header) - 1;
    assert_int_equal(pto__image_check(&shorter, NULL), PTO_E_INTERNAL);
    assert_int_equal(pto__image_check(&image, NULL), PTO_OK);
    pto__image_free(&image);
    pto_graph_destroy(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_graph),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_too_many_spilled_arguments),
        cmocka_unit_test(test_cycle_messages),
        cmocka_unit_test(test_long_cycle),
        cmocka_unit_test(test_many_tasks_and_edges),
        cmocka_unit_test(test_image_check_notices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
