// SPDX-License-Identifier: Apache-2.0
// Random acyclic graphs and their transitive closure, which tests compare answers with. Included
// after cmocka.
#ifndef PTO_TESTS_UNIT_CLOSURE_H
#define PTO_TESTS_UNIT_CLOSURE_H

#include "tests/seed.h"
#include "tests/unit/graph_test.h"

enum { CLOSURE_TASK_MAX = 640, CLOSURE_WORDS = (CLOSURE_TASK_MAX + 63) / 64 };

// closure[b] has the bit of every task that has a path to b.
static uint64_t closure[CLOSURE_TASK_MAX][CLOSURE_WORDS];

static inline int is_before(uint32_t before, uint32_t after)
{
    return (int)(closure[after][before / 64] >> (before % 64) & 1);
}

// Edges between tasks at most `window` apart, numbered so that `places` tells where a task stands
// in a topological order; adding them in that order makes the closure at once.
static inline struct pto_graph *random_graph(uint64_t *state, uint32_t task_count, int is_shuffled)
{
    uint32_t places[CLOSURE_TASK_MAX];
    struct pto_graph *graph = create_graph_of(task_count);
    memset(closure, 0, sizeof(closure));
    for (uint32_t i = 0; i < task_count; i++) {
        places[i] = i;
    }
    for (uint32_t i = task_count; is_shuffled && i > 1; i--) {
        uint32_t other = test_below(state, i);
        uint32_t swapped = places[i - 1];
        places[i - 1] = places[other];
        places[other] = swapped;
    }
    uint32_t window = 1 + test_below(state, CLOSURE_TASK_MAX);
    uint32_t degree = 1 + test_below(state, 5);
    for (uint32_t to = 1; to < task_count; to++) {
        uint32_t count = test_below(state, degree + 1);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t from = to - 1 - test_below(state, to < window ? to : window);
            uint32_t before = places[from];
            add_edge(graph, before, places[to]);
            closure[places[to]][before / 64] |= UINT64_C(1) << (before % 64);
            for (uint32_t word = 0; word < CLOSURE_WORDS; word++) {
                closure[places[to]][word] |= closure[before][word];
            }
        }
    }
    return graph;
}

#endif // PTO_TESTS_UNIT_CLOSURE_H
