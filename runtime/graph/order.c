// SPDX-License-Identifier: Apache-2.0
// Answering questions about a graph's order.
#include "graph/order.h"

#include <string.h>

#include "graph/order_index.h"

uint32_t pto__order_next_epoch(struct pto_order *order)
{
    if (order->epoch >= UINT32_MAX - 3) {
        memset(order->marks, 0, order->task_count * sizeof(*order->marks));
        order->epoch = 0;
    }
    order->epoch += 2;
    return order->epoch;
}

// A search from both ends. The tasks still to be looked at lie on one stack, those of the one end
// from its bottom up and those of the other from its top down: a task is on one of them only.
struct search {
    struct pto_order *order;
    uint32_t ends[2]; // by side: where it began
    uint32_t counts[2];
    uint64_t costs[2]; // edges looked at
    uint32_t mark;
};

static void push(struct search *search, uint32_t side, uint32_t rank)
{
    uint32_t place = search->counts[side]++;
    search->order->marks[rank] = search->mark + side;
    search->order->stack[side == 0 ? place : search->order->task_count - 1 - place] = rank;
}

static uint32_t pop(struct search *search, uint32_t side)
{
    uint32_t place = --search->counts[side];
    return search->order->stack[side == 0 ? place : search->order->task_count - 1 - place];
}

// Looks at a task's neighbours on one side. Returns whether a path is found.
static int expand(struct search *search, uint32_t side)
{
    struct pto_order *order = search->order;
    const struct pto_order_edges *edges = &order->edges[side];
    uint32_t rank = pop(search, side);
    search->costs[side] += 1 + edges->begin[rank + 1] - edges->begin[rank];
    for (uint32_t i = edges->begin[rank]; i < edges->begin[rank + 1]; i++) {
        uint32_t next = edges->adjacent[i];
        if (order->marks[next] == search->mark + side) {
            continue;
        }
        if (order->marks[next] == search->mark + 1 - side) {
            return 1; // the two have met
        }
        enum pto_order_answer answer =
            side == PTO_ORDER_ALONG
                ? pto__order_ask_labels(order, next, search->ends[PTO_ORDER_AGAINST])
                : pto__order_ask_labels(order, search->ends[PTO_ORDER_ALONG], next);
        if (answer == PTO_ORDER_YES) {
            return 1;
        }
        if (answer == PTO_ORDER_OPEN) {
            push(search, side, next);
        }
    }
    return 0;
}

static int find_path(struct pto_order *order, uint32_t before, uint32_t after)
{
    struct search search = {
        .order = order, .ends = {before, after}, .mark = pto__order_next_epoch(order)};
    push(&search, PTO_ORDER_ALONG, before);
    push(&search, PTO_ORDER_AGAINST, after);
    int found = 0;
    while (search.counts[0] > 0 && search.counts[1] > 0) {
        if (expand(&search, search.costs[1] < search.costs[0])) {
            found = 1;
            break;
        }
    }
    order->work += search.costs[0] + search.costs[1];
    return found;
}

int pto__order_rank_before(struct pto_order *order, uint32_t before, uint32_t after)
{
    enum pto_order_answer answer = pto__order_ask_labels(order, before, after);
    if (answer != PTO_ORDER_OPEN) {
        return answer == PTO_ORDER_YES;
    }
    uint32_t hash = before * UINT32_C(0x9e3779b1) ^ after * UINT32_C(0x85ebca77);
    struct pto_order_memo *memo = &order->memo[(hash >> 16) % PTO_ORDER_MEMO_COUNT];
    if (memo->from != before || memo->to != after) {
        *memo = (struct pto_order_memo){
            .from = before, .to = after, .answer = find_path(order, before, after)};
    }
    return memo->answer;
}

int pto__order_before(struct pto_order *order, uint32_t before, uint32_t after)
{
    assert(before < order->task_count && after < order->task_count);
    return pto__order_rank_before(order, order->ranks[before], order->ranks[after]);
}
