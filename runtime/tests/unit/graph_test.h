// SPDX-License-Identifier: Apache-2.0
// What the tests of graph/ share. Included after cmocka.
#ifndef PTO_TESTS_UNIT_GRAPH_TEST_H
#define PTO_TESTS_UNIT_GRAPH_TEST_H

#include <string.h>

#include "graph/graph.h"

// The graph must have refused with `status` and said `text`, and be as before.
#define ASSERT_REFUSED(graph, call, expected_status, text)                            \
    do {                                                                              \
        uint32_t tasks_before = pto_graph_task_count(graph);                          \
        uint64_t edges_before = pto_graph_edge_count(graph);                          \
        struct pto_graph_version version_before = pto__graph_version(graph);          \
        struct pto_error err = {0};                                                   \
        assert_int_equal(call, expected_status);                                      \
        assert_int_equal(err.status, expected_status);                                \
        if (strstr(err.message, text) == NULL) {                                      \
            fail_msg("\"%s\" lacks \"%s\"", err.message, text);                       \
        }                                                                             \
        struct pto_graph_version version_after = pto__graph_version(graph);           \
        assert_int_equal(pto_graph_task_count(graph), tasks_before);                  \
        assert_int_equal(pto_graph_edge_count(graph), edges_before);                  \
        assert_memory_equal(&version_after, &version_before, sizeof(version_before)); \
        assert_true(pto__graph_is_valid(graph));                                      \
    } while (0)

static inline struct pto_graph *create_graph(void)
{
    struct pto_graph *graph = NULL;
    assert_int_equal(pto_graph_create(&graph, NULL), PTO_OK);
    assert_non_null(graph);
    return graph;
}

static inline struct pto_graph *create_graph_of(size_t task_count)
{
    struct pto_graph *graph = create_graph();
    uint32_t first = 1;
    assert_int_equal(pto_graph_add_tasks(graph, NULL, task_count, 0, 0, &first, NULL), PTO_OK);
    assert_int_equal(first, 0);
    return graph;
}

static inline void add_edge(struct pto_graph *graph, uint64_t from, uint64_t to)
{
    assert_int_equal(pto_graph_add_successor(graph, from, to, NULL), PTO_OK);
}

static inline enum pto_status compile(struct pto_graph *graph, struct pto_image *image,
                                      struct pto_error *err)
{
    assert_int_equal(pto__graph_pin(graph, NULL), PTO_OK);
    enum pto_status status = pto__graph_compile(graph, image, err);
    pto__graph_unpin(graph);
    return status;
}

static inline struct pto_image compile_good(struct pto_graph *graph)
{
    struct pto_image image;
    struct pto_error err = {0};
    if (compile(graph, &image, &err) != PTO_OK || pto__image_check(&image, &err) != PTO_OK) {
        fail_msg("%s", err.message);
    }
    return image;
}

static inline struct pto_task_record *records_of(const struct pto_image *image)
{
    return (void *)(image->bytes + image->header->record_offset);
}

static inline uint32_t *successors_of(const struct pto_image *image)
{
    return (void *)(image->bytes + image->header->successor_offset);
}

static inline uint32_t *ready_of(const struct pto_image *image)
{
    return (void *)(image->bytes + image->header->ready_offset);
}

#endif // PTO_TESTS_UNIT_GRAPH_TEST_H
