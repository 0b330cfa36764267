// SPDX-License-Identifier: Apache-2.0
// Bringing a graph's edges into compressed form: a counting sort by source that keeps the order of
// insertion, then one sweep that leaves out duplicates and counts predecessors.
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "graph/graph.h"

// Sorts all edges, duplicates included. begin[] has two places more than there are tasks, so that
// while the edges are laid out begin[i + 1] is where the next one of task i goes, and afterwards
// begin[i] is where task i starts, without a second array.
static void sort_edges(const struct pto_graph *graph, struct pto_csr *csr)
{
    uint32_t *begin = csr->begin;
    for (uint32_t i = 0; i < graph->edge_count; i++) {
        begin[(size_t)graph->edges[i].from + 2]++;
    }
    for (size_t i = 2; i < (size_t)csr->task_count + 2; i++) {
        begin[i] += begin[i - 1];
    }
    for (uint32_t i = 0; i < graph->edge_count; i++) {
        uint32_t *place = &begin[(size_t)graph->edges[i].from + 1];
        csr->successors[*place] = graph->edges[i].to;
        (*place)++;
    }
}

// Closes the gaps that duplicates leave. A node's scratch is the source that named it last, plus 1.
static void remove_duplicates(struct pto_csr *csr)
{
    uint32_t kept = 0;
    uint32_t next = 0;
    for (uint32_t task = 0; task < csr->task_count; task++) {
        uint32_t end = csr->begin[task + 1];
        csr->begin[task] = kept;
        for (; next < end; next++) {
            uint32_t successor = csr->successors[next];
            struct pto_csr_node *node = &csr->nodes[successor];
            if (node->scratch != task + 1) {
                node->scratch = task + 1;
                node->predecessor_count++;
                csr->successors[kept] = successor;
                kept++;
            }
        }
    }
    csr->begin[csr->task_count] = kept;
    csr->edge_count = kept;
}

enum pto_status pto__csr_init(struct pto_csr *csr, const struct pto_graph *graph,
                              struct pto_error *err)
{
    size_t task_count = graph->task_count;
    size_t edge_count = graph->edge_count;
    *csr = (struct pto_csr){.task_count = graph->task_count};
    // One more of each than needed, because a size of zero has no one meaning for malloc.
    csr->begin = calloc(task_count + 2, sizeof(*csr->begin));
    csr->nodes = calloc(task_count + 1, sizeof(*csr->nodes));
    csr->successors = malloc((edge_count + 1) * sizeof(*csr->successors));
    pto__prefer_large_pages(csr->begin, (task_count + 2) * sizeof(*csr->begin));
    pto__prefer_large_pages(csr->nodes, (task_count + 1) * sizeof(*csr->nodes));
    pto__prefer_large_pages(csr->successors, (edge_count + 1) * sizeof(*csr->successors));
    if (csr->begin == NULL || csr->nodes == NULL || csr->successors == NULL) {
        pto__csr_fini(csr);
        return pto_fail_no_host_memory(err, "putting the graph's edges in order",
                                       (task_count + 2) * sizeof(*csr->begin) +
                                           (task_count + 1) * sizeof(*csr->nodes) +
                                           (edge_count + 1) * sizeof(*csr->successors));
    }
    sort_edges(graph, csr);
    remove_duplicates(csr);
    return PTO_OK;
}

void pto__csr_fini(struct pto_csr *csr)
{
    free(csr->begin);
    free(csr->nodes);
    free(csr->successors);
    *csr = (struct pto_csr){0};
}
