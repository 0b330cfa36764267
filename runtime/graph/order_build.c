// SPDX-License-Identifier: Apache-2.0
// Building the index of a graph's order.
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "graph/order_index.h"

static void *allocate(size_t count, size_t size, uint64_t *total_bytes)
{
    *total_bytes += (uint64_t)count * size;
    void *block = calloc(count, size);
    pto__prefer_large_pages(block, count * size);
    return block;
}

static enum pto_status allocate_index(struct pto_order *order, struct pto_error *err)
{
    // Some more of each than needed, because a size of zero has no one meaning for calloc.
    size_t tasks = (size_t)order->task_count + 2;
    size_t edges = (size_t)order->edge_count + 1;
    uint64_t bytes = 0;
    order->ranks = allocate(tasks, sizeof(*order->ranks), &bytes);
    order->tasks = allocate(tasks, sizeof(*order->tasks), &bytes);
    order->nodes = allocate(tasks, sizeof(*order->nodes), &bytes);
    order->marks = allocate(tasks, sizeof(*order->marks), &bytes);
    order->stack = allocate(tasks, sizeof(*order->stack), &bytes);
    int complete = order->ranks != NULL && order->tasks != NULL && order->nodes != NULL &&
                   order->marks != NULL && order->stack != NULL;
    for (uint32_t side = 0; side < 2; side++) {
        struct pto_order_edges *ends = &order->edges[side];
        ends->begin = allocate(tasks, sizeof(*ends->begin), &bytes);
        ends->adjacent = allocate(edges, sizeof(*ends->adjacent), &bytes);
        complete = complete && ends->begin != NULL && ends->adjacent != NULL;
    }
    return complete ? PTO_OK : pto_fail_no_host_memory(err, "the order of the tasks", bytes);
}

// Tasks without unranked predecessors come one after the other (Kahn's algorithm); `tasks` is its
// queue. Numbers in which a user built the graph are kept where possible: neighbours in them are
// neighbours in the graph, mostly, and a search between two ranks stays between them.
static void rank_tasks(struct pto_order *order, const struct pto_csr *csr, int in_order)
{
    uint32_t queued = 0;
    for (uint32_t task = 0; task < csr->task_count; task++) {
        csr->nodes[task].scratch = csr->nodes[task].predecessor_count;
        if (in_order || csr->nodes[task].scratch == 0) {
            order->tasks[queued++] = task;
        }
    }
    for (uint32_t taken = 0; taken < queued; taken++) {
        uint32_t task = order->tasks[taken];
        order->ranks[task] = taken;
        for (uint32_t i = csr->begin[task]; !in_order && i < csr->begin[task + 1]; i++) {
            struct pto_csr_node *node = &csr->nodes[csr->successors[i]];
            node->scratch--;
            if (node->scratch == 0) {
                order->tasks[queued++] = csr->successors[i];
            }
        }
    }
    assert(queued == csr->task_count);
}

static void copy_edges(struct pto_order *order, const struct pto_csr *csr)
{
    struct pto_order_edges *along = &order->edges[PTO_ORDER_ALONG];
    uint32_t kept = 0;
    for (uint32_t rank = 0; rank < order->task_count; rank++) {
        uint32_t task = order->tasks[rank];
        along->begin[rank] = kept;
        for (uint32_t i = csr->begin[task]; i < csr->begin[task + 1]; i++) {
            along->adjacent[kept++] = order->ranks[csr->successors[i]];
        }
    }
    along->begin[order->task_count] = kept;
}

// A counting sort by the other end, which leaves every list ascending. begin[i + 1] is where the
// next neighbour of i goes while they are laid out, and where those of i end afterwards.
static void turn_edges(uint32_t task_count, const struct pto_order_edges *from,
                       struct pto_order_edges *to)
{
    uint32_t *begin = to->begin;
    memset(begin, 0, ((size_t)task_count + 2) * sizeof(*begin));
    for (uint32_t i = 0; i < from->begin[task_count]; i++) {
        begin[(size_t)from->adjacent[i] + 2]++;
    }
    for (size_t i = 2; i < (size_t)task_count + 2; i++) {
        begin[i] += begin[i - 1];
    }
    for (uint32_t rank = 0; rank < task_count; rank++) {
        for (uint32_t i = from->begin[rank]; i < from->begin[rank + 1]; i++) {
            uint32_t *place = &begin[(size_t)from->adjacent[i] + 1];
            to->adjacent[*place] = rank;
            (*place)++;
        }
    }
}

// The place of a neighbour in the order of the search: nearest first, which makes the search tree
// deep and its intervals wide.
static uint32_t neighbour(const struct pto_order_edges *edges, enum pto_order_side side,
                          uint32_t rank, uint32_t index)
{
    return side == PTO_ORDER_ALONG ? edges->adjacent[edges->begin[rank] + index]
                                   : edges->adjacent[edges->begin[rank + 1] - 1 - index];
}

// Searches from one root through what no search has entered. A task's mark is how many of its
// neighbours have been left by a search. *posted is the number of tasks that have been.
static void visit(struct pto_order *order, enum pto_order_side side, uint32_t root,
                  uint32_t *posted)
{
    const struct pto_order_edges *edges = &order->edges[side];
    uint32_t depth = 0;
    order->stack[depth++] = root;
    while (depth > 0) {
        uint32_t rank = order->stack[depth - 1];
        struct pto_order_label *label = &order->nodes[rank].labels[side];
        if (label->tree_low == 0) {
            label->tree_low = *posted + 1;
            label->low = *posted + 1;
        }
        if (order->marks[rank] == edges->begin[rank + 1] - edges->begin[rank]) {
            (*posted)++;
            label->post = *posted;
            depth--;
            continue;
        }
        uint32_t next = neighbour(edges, side, rank, order->marks[rank]);
        const struct pto_order_label *below = &order->nodes[next].labels[side];
        if (below->post == 0) {
            order->stack[depth++] = next;
        } else {
            label->low = below->low < label->low ? below->low : label->low;
            order->marks[rank]++;
        }
    }
}

// Of each share of the ranks the task that the most pairs of edges meet in: many paths use it.
static void choose_hubs(struct pto_order *order)
{
    const uint32_t *in = order->edges[PTO_ORDER_AGAINST].begin;
    const uint32_t *out = order->edges[PTO_ORDER_ALONG].begin;
    for (uint32_t hub = 0; hub < PTO_ORDER_HUB_COUNT; hub++) {
        uint32_t begin = (uint32_t)((uint64_t)order->task_count * hub / PTO_ORDER_HUB_COUNT);
        uint32_t end = (uint32_t)((uint64_t)order->task_count * (hub + 1) / PTO_ORDER_HUB_COUNT);
        uint32_t best = begin;
        uint64_t best_pairs = 0;
        for (uint32_t rank = begin; rank < end; rank++) {
            uint64_t pairs = (uint64_t)(in[rank + 1] - in[rank]) * (out[rank + 1] - out[rank]);
            if (pairs > best_pairs) {
                best = rank;
                best_pairs = pairs;
            }
        }
        if (begin < end) {
            order->nodes[best].labels[PTO_ORDER_ALONG].hubs = UINT64_C(1) << hub;
            order->nodes[best].labels[PTO_ORDER_AGAINST].hubs = UINT64_C(1) << hub;
        }
    }
}

// Levels and hubs: what depends on all that leads to a task.
static void find_levels(struct pto_order *order, enum pto_order_side side)
{
    const struct pto_order_edges *from = &order->edges[1 - side];
    for (uint32_t i = 0; i < order->task_count; i++) {
        uint32_t rank = side == PTO_ORDER_ALONG ? i : order->task_count - 1 - i;
        struct pto_order_label *label = &order->nodes[rank].labels[side];
        for (uint32_t edge = from->begin[rank]; edge < from->begin[rank + 1]; edge++) {
            const struct pto_order_label *above = &order->nodes[from->adjacent[edge]].labels[side];
            label->level = above->level + 1 > label->level ? above->level + 1 : label->level;
            label->hubs |= above->hubs;
        }
    }
}

static enum pto_status label_tasks(struct pto_order *order, enum pto_order_side side,
                                   struct pto_work_poll *poll, struct pto_error *err)
{
    uint32_t posted = 0;
    find_levels(order, side);
    memset(order->marks, 0, order->task_count * sizeof(*order->marks));
    for (uint32_t i = 0; i < order->task_count; i++) {
        uint32_t rank = side == PTO_ORDER_ALONG ? i : order->task_count - 1 - i;
        uint32_t before = posted;
        if (order->nodes[rank].labels[side].post == 0) {
            visit(order, side, rank, &posted);
        }
        enum pto_status status = pto__poll(poll, posted - before + 1, err);
        if (status != PTO_OK) {
            return status;
        }
    }
    return PTO_OK;
}

static enum pto_status build(struct pto_order *order, const struct pto_csr *csr, int in_order,
                             struct pto_work_poll *poll, struct pto_error *err)
{
    enum pto_status status = allocate_index(order, err);
    if (status != PTO_OK) {
        return status;
    }
    rank_tasks(order, csr, in_order);
    copy_edges(order, csr);
    // There and back again, so that both lists of neighbours are ascending.
    turn_edges(order->task_count, &order->edges[PTO_ORDER_ALONG], &order->edges[PTO_ORDER_AGAINST]);
    turn_edges(order->task_count, &order->edges[PTO_ORDER_AGAINST], &order->edges[PTO_ORDER_ALONG]);
    choose_hubs(order);
    for (uint32_t side = 0; side < 2 && status == PTO_OK; side++) {
        status = label_tasks(order, (enum pto_order_side)side, poll, err);
    }
    memset(order->marks, 0, order->task_count * sizeof(*order->marks));
    return status;
}

enum pto_status pto__order_create(const struct pto_graph *graph, struct pto_work_poll *poll,
                                  struct pto_order **out_order, struct pto_error *err)
{
    *out_order = NULL;
    struct pto_csr csr;
    enum pto_status status = pto__csr_init(&csr, graph, err);
    if (status != PTO_OK) {
        return status;
    }
    if (graph->has_backward_edge) {
        status = pto__csr_check_acyclic(&csr, err);
    }
    struct pto_order *order = NULL;
    if (status == PTO_OK) {
        order = calloc(1, sizeof(*order));
        status = order != NULL
                     ? PTO_OK
                     : pto_fail_no_host_memory(err, "the order of the tasks", sizeof(*order));
    }
    if (status == PTO_OK) {
        order->task_count = csr.task_count;
        order->edge_count = csr.edge_count;
        status = build(order, &csr, !graph->has_backward_edge, poll, err);
    }
    pto__csr_fini(&csr);
    if (status != PTO_OK) {
        pto__order_destroy(order);
        return status;
    }
    *out_order = order;
    return PTO_OK;
}

void pto__order_destroy(struct pto_order *order)
{
    if (order == NULL) {
        return;
    }
    for (uint32_t side = 0; side < 2; side++) {
        free(order->edges[side].begin);
        free(order->edges[side].adjacent);
    }
    free(order->ranks);
    free(order->tasks);
    free(order->nodes);
    free(order->marks);
    free(order->stack);
    free(order);
}
