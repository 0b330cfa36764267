// SPDX-License-Identifier: Apache-2.0
// Edges that a graph does not need: the complement of its transitive reduction.
//
// An edge (u, v) is not needed when u is before another predecessor of v. A task with few
// predecessors asks the order about each pair of them; one with many makes a single search from all
// of them back to the lowest, and sees which ones it comes across.
#include <stdlib.h>

#include "graph/order_index.h"
#include "graph/poll.h"
#include "pto/analysis.h"

// Predecessors up to which pairs are asked about: questions are cheap, but grow by the square.
#define PAIRED_MAX 8u

// What is known of an edge, by its place among the edges against the order.
enum {
    EDGE_REDUNDANT = 1,
    EDGE_SEEN = 2,
};

static void ask_pairs(struct pto_order *order, uint32_t first, uint32_t end, uint8_t *flags)
{
    const uint32_t *ranks = order->edges[PTO_ORDER_AGAINST].adjacent;
    for (uint32_t i = first; i < end; i++) {
        for (uint32_t k = i + 1; k < end && flags[i] == 0; k++) {
            flags[i] = pto__order_rank_before(order, ranks[i], ranks[k]) ? EDGE_REDUNDANT : 0;
        }
    }
}

// A predecessor's mark is `mark + 1` until the search comes across it, then `mark`, like that of
// every other task it has seen.
static void search_back(struct pto_order *order, uint32_t first, uint32_t end, uint8_t *flags)
{
    const struct pto_order_edges *edges = &order->edges[PTO_ORDER_AGAINST];
    const uint32_t *ranks = edges->adjacent;
    uint32_t mark = pto__order_next_epoch(order);
    uint32_t lowest_level = UINT32_MAX;
    uint32_t depth = 0;
    for (uint32_t i = first; i < end; i++) {
        uint32_t level = order->nodes[ranks[i]].labels[PTO_ORDER_ALONG].level;
        lowest_level = level < lowest_level ? level : lowest_level;
        order->marks[ranks[i]] = mark + 1;
        order->stack[depth++] = ranks[i];
    }
    while (depth > 0) {
        uint32_t rank = order->stack[--depth];
        order->work += 1 + edges->begin[rank + 1] - edges->begin[rank];
        for (uint32_t i = edges->begin[rank]; i < edges->begin[rank + 1]; i++) {
            uint32_t next = ranks[i];
            if (order->marks[next] == mark + 1) {
                order->marks[next] = mark;
            } else if (next > ranks[first] && order->marks[next] != mark &&
                       order->nodes[next].labels[PTO_ORDER_ALONG].level > lowest_level) {
                order->marks[next] = mark;
                order->stack[depth++] = next;
            }
        }
    }
    for (uint32_t i = first; i < end; i++) {
        flags[i] = order->marks[ranks[i]] == mark ? EDGE_REDUNDANT : 0;
    }
}

static enum pto_status find_redundant(struct pto_order *order, uint8_t *flags,
                                      struct pto_work_poll *poll, struct pto_error *err)
{
    const uint32_t *begin = order->edges[PTO_ORDER_AGAINST].begin;
    for (uint32_t rank = 0; rank < order->task_count; rank++) {
        if (begin[rank + 1] - begin[rank] <= PAIRED_MAX) {
            ask_pairs(order, begin[rank], begin[rank + 1], flags);
        } else {
            search_back(order, begin[rank], begin[rank + 1], flags);
        }
        enum pto_status status = pto__poll(poll, pto__order_take_work(order) + 1, err);
        if (status != PTO_OK) {
            return status;
        }
    }
    return PTO_OK;
}

// The place of an edge that is there, by halving.
static uint32_t find_edge(const struct pto_order *order, uint32_t from, uint32_t to)
{
    const struct pto_order_edges *edges = &order->edges[PTO_ORDER_AGAINST];
    uint32_t first = edges->begin[to];
    uint32_t end = edges->begin[to + 1];
    while (end - first > 1) {
        uint32_t middle = first + (end - first) / 2;
        if (edges->adjacent[middle] <= from) {
            first = middle;
        } else {
            end = middle;
        }
    }
    assert(edges->adjacent[first] == from);
    return first;
}

static size_t list_edges(const struct pto_graph *graph, const struct pto_order *order,
                         uint8_t *flags, uint64_t *out_edges, size_t capacity)
{
    size_t count = 0;
    for (uint32_t i = 0; i < graph->edge_count; i++) {
        const struct pto_edge *edge = &graph->edges[i];
        uint32_t place = find_edge(order, order->ranks[edge->from], order->ranks[edge->to]);
        if (flags[place] != 0) {
            if (count < capacity) {
                out_edges[2 * count] = edge->from;
                out_edges[2 * count + 1] = edge->to;
            }
            count++;
        }
        flags[place] |= EDGE_SEEN;
    }
    return count;
}

static enum pto_status find_in_pinned(const struct pto_graph *graph, struct pto_work_poll *poll,
                                      uint64_t *out_edges, size_t capacity, size_t *out_count,
                                      struct pto_error *err)
{
    struct pto_order *order;
    enum pto_status status = pto__order_create(graph, poll, &order, err);
    if (status != PTO_OK) {
        return status;
    }
    size_t size_bytes = (size_t)order->edge_count + 1;
    uint8_t *flags = calloc(size_bytes, sizeof(*flags));
    if (flags == NULL) {
        status = pto_fail_no_host_memory(err, "a mark for each edge", size_bytes);
    }
    if (status == PTO_OK) {
        status = find_redundant(order, flags, poll, err);
    }
    if (status == PTO_OK) {
        *out_count = list_edges(graph, order, flags, out_edges, capacity);
    }
    free(flags);
    pto__order_destroy(order);
    return status;
}

enum pto_status pto_graph_redundant_edges(struct pto_graph *graph,
                                          const struct pto_analysis_options *options,
                                          uint64_t *out_edges, size_t capacity, size_t *out_count,
                                          struct pto_error *err)
{
    if (graph == NULL || out_count == NULL || (out_edges == NULL && capacity > 0)) {
        return pto_fail(err, PTO_E_ARGUMENT, "redundant_edges: %s is NULL",
                        graph == NULL       ? "graph"
                        : out_count == NULL ? "out_count"
                                            : "out_edges");
    }
    *out_count = 0;
    struct pto_work_poll poll;
    enum pto_status status = pto__poll_init(&poll, "redundant_edges", options, err);
    if (status == PTO_OK) {
        status = pto__graph_pin(graph, err);
    }
    if (status == PTO_OK) {
        status = find_in_pinned(graph, &poll, out_edges, capacity, out_count, err);
        pto__graph_unpin(graph);
    }
    return status;
}
