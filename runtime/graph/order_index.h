// SPDX-License-Identifier: Apache-2.0
// The insides of the index of graph/order.h. Private to graph/.
#ifndef PTO_GRAPH_ORDER_INDEX_H
#define PTO_GRAPH_ORDER_INDEX_H

#include "graph/graph.h"
#include "graph/order.h"

// Everything is there twice, once for each direction of walking.
enum pto_order_side {
    PTO_ORDER_ALONG = 0,   // to successors
    PTO_ORDER_AGAINST = 1, // to predecessors
};

// Hubs: tasks spread over the ranks, for each of which all that leads there and all that it leads
// to is known, as a bit in every other task.
#define PTO_ORDER_HUB_COUNT 64u

// What walking in one direction found out about a task. `post` numbers the tasks from 1 in the
// order in which a depth-first search left them.
// Invariants: low <= tree_low <= post; the tasks below this one in the search tree are those with
// tree_low <= post < this post; every task that can be reached has low <= its post < this post.
struct pto_order_label {
    uint64_t hubs;  // those that lead here, itself if it is one
    uint32_t level; // edges on the longest path that leads here
    uint32_t low;
    uint32_t tree_low;
    uint32_t post;
};

struct pto_order_node {
    struct pto_order_label labels[2]; // by side
};

// The neighbours of rank i are adjacent[begin[i] .. begin[i + 1]), ascending. begin has two places
// more than there are tasks.
struct pto_order_edges {
    uint32_t *begin;
    uint32_t *adjacent;
};

// A question that took a search. from == to: none yet.
struct pto_order_memo {
    uint32_t from;
    uint32_t to;
    int answer;
};

#define PTO_ORDER_MEMO_COUNT 1024u // a power of two

// Invariant: marks[i] < epoch + 2 for every rank i.
struct pto_order {
    uint32_t task_count;
    uint32_t edge_count;
    uint32_t *ranks; // of each task
    uint32_t *tasks; // of each rank
    struct pto_order_edges edges[2];
    struct pto_order_node *nodes; // of each rank
    uint32_t *marks;              // of each rank: which search was there, and from which side
    uint32_t *stack;
    uint32_t epoch; // even; a search marks by it from one side and by it + 1 from the other
    uint64_t work;  // edges that searches have looked at
    struct pto_order_memo memo[PTO_ORDER_MEMO_COUNT];
};

// The work since the last call.
static inline uint64_t pto__order_take_work(struct pto_order *order)
{
    uint64_t work = order->work;
    order->work = 0;
    return work;
}

// Begins a search: returns an even number above every mark.
uint32_t pto__order_next_epoch(struct pto_order *order);

enum pto_order_answer { PTO_ORDER_NO, PTO_ORDER_YES, PTO_ORDER_OPEN };

static inline enum pto_order_answer pto__order_compare(const struct pto_order_label *from,
                                                       const struct pto_order_label *to)
{
    if (from->level >= to->level || from->post < to->post || from->low > to->low) {
        return PTO_ORDER_NO;
    }
    return from->tree_low <= to->post ? PTO_ORDER_YES : PTO_ORDER_OPEN;
}

// A hub between the two is a path. One that leads to the first leads to the second where there is a
// path, and one that the second leads to, the first does too.
static inline enum pto_order_answer pto__order_compare_hubs(const struct pto_order_label *first,
                                                            const struct pto_order_label *second)
{
    if ((first[PTO_ORDER_AGAINST].hubs & second[PTO_ORDER_ALONG].hubs) != 0) {
        return PTO_ORDER_YES;
    }
    uint64_t lost = (first[PTO_ORDER_ALONG].hubs & ~second[PTO_ORDER_ALONG].hubs) |
                    (second[PTO_ORDER_AGAINST].hubs & ~first[PTO_ORDER_AGAINST].hubs);
    return lost != 0 ? PTO_ORDER_NO : PTO_ORDER_OPEN;
}

// What the labels say about a path between two ranks.
static inline enum pto_order_answer pto__order_ask_labels(const struct pto_order *order,
                                                          uint32_t from, uint32_t to)
{
    if (from >= to) {
        return PTO_ORDER_NO;
    }
    const struct pto_order_label *first = order->nodes[from].labels;
    const struct pto_order_label *second = order->nodes[to].labels;
    enum pto_order_answer answer =
        pto__order_compare(&first[PTO_ORDER_ALONG], &second[PTO_ORDER_ALONG]);
    if (answer == PTO_ORDER_OPEN) {
        answer = pto__order_compare_hubs(first, second);
    }
    if (answer == PTO_ORDER_OPEN) {
        answer = pto__order_compare(&second[PTO_ORDER_AGAINST], &first[PTO_ORDER_AGAINST]);
    }
    return answer;
}

// As pto__order_before, between ranks.
int pto__order_rank_before(struct pto_order *order, uint32_t before, uint32_t after);

#endif // PTO_GRAPH_ORDER_INDEX_H
