// SPDX-License-Identifier: Apache-2.0
// Finding a cycle. No recursion: a cycle may have as many tasks as the graph.
#include <stdio.h>
#include <stdlib.h>

#include "graph/graph.h"

// Tasks of a cycle that a message names.
#define CYCLE_SHOWN_MAX 12u

// Kahn's algorithm: takes away tasks without predecessors until there are none. Afterwards a task's
// scratch is the number of its predecessors that are left; a task is left exactly when that is not
// zero. Returns how many are left: those on a cycle, and those behind one.
static uint32_t strip(struct pto_csr *csr, uint32_t *queue)
{
    uint32_t queued = 0;
    for (uint32_t task = 0; task < csr->task_count; task++) {
        csr->nodes[task].scratch = csr->nodes[task].predecessor_count;
        if (csr->nodes[task].scratch == 0) {
            queue[queued] = task;
            queued++;
        }
    }
    for (uint32_t taken = 0; taken < queued; taken++) {
        uint32_t task = queue[taken];
        for (uint32_t i = csr->begin[task]; i < csr->begin[task + 1]; i++) {
            struct pto_csr_node *node = &csr->nodes[csr->successors[i]];
            node->scratch--;
            if (node->scratch == 0) {
                queue[queued] = csr->successors[i];
                queued++;
            }
        }
    }
    return csr->task_count - queued;
}

// Gives each task that is left one predecessor that is left too. Each has one, while not each has a
// successor that is left: the walk to a cycle therefore goes backwards.
static void choose_predecessors(const struct pto_csr *csr, uint32_t *predecessors)
{
    for (uint32_t task = csr->task_count; task > 0; task--) {
        if (csr->nodes[task - 1].scratch != 0) {
            for (uint32_t i = csr->begin[task - 1]; i < csr->begin[task]; i++) {
                predecessors[csr->successors[i]] = task - 1;
            }
        }
    }
}

// Walks backwards until a task comes a second time: it is on a cycle. Returns the lowest task of
// that cycle. A scratch of zero marks where the walk has been.
static uint32_t walk_to_cycle(struct pto_csr *csr, const uint32_t *predecessors, size_t *out_count)
{
    uint32_t task = 0;
    while (csr->nodes[task].scratch == 0) {
        task++;
    }
    while (csr->nodes[task].scratch != 0) {
        csr->nodes[task].scratch = 0;
        task = predecessors[task];
    }
    uint32_t lowest = task;
    size_t count = 1;
    for (uint32_t at = predecessors[task]; at != task; at = predecessors[at]) {
        lowest = at < lowest ? at : lowest;
        count++;
    }
    *out_count = count;
    return lowest;
}

enum pto_status pto__csr_find_cycle(struct pto_csr *csr, uint32_t *out_tasks, size_t capacity,
                                    size_t *out_count, struct pto_error *err)
{
    *out_count = 0;
    size_t size_bytes = ((size_t)csr->task_count + 1) * sizeof(uint32_t);
    uint32_t *queue = malloc(size_bytes);
    if (queue == NULL) {
        return pto_fail_no_host_memory(err, "looking for a cycle in the graph", size_bytes);
    }
    if (strip(csr, queue) > 0) {
        // The queue has done its work, and its memory serves for the predecessors.
        choose_predecessors(csr, queue);
        uint32_t first = walk_to_cycle(csr, queue, out_count);
        uint32_t task = first;
        for (size_t place = *out_count; place > 0; place--) {
            task = queue[task];
            if (place - 1 < capacity) {
                out_tasks[place - 1] = task;
            }
        }
        assert(task == first);
    }
    free(queue);
    return PTO_OK;
}

static enum pto_status fail_cycle(const uint32_t *tasks, size_t count, struct pto_error *err)
{
    char text[CYCLE_SHOWN_MAX * 16 + 64];
    size_t shown = count < CYCLE_SHOWN_MAX ? count : CYCLE_SHOWN_MAX;
    size_t used = 0;
    for (size_t i = 0; i < shown; i++) {
        // A number has at most ten digits, so that all of it fits.
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%u -> ", tasks[i]);
    }
    if (count > shown) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "(%zu more) -> ", count - shown);
    }
    (void)snprintf(text + used, sizeof(text) - used, "%u", tasks[0]);
    enum pto_status status =
        pto_fail(err, PTO_E_CYCLE,
                 "the graph has a cycle of %zu tasks, each of which waits for the one before it, "
                 "so that none can start: %s; build the graph without one of these edges",
                 count, text);
    if (err != NULL) {
        err->task = tasks[0];
    }
    return status;
}

enum pto_status pto__csr_check_acyclic(struct pto_csr *csr, struct pto_error *err)
{
    uint32_t tasks[CYCLE_SHOWN_MAX];
    size_t count = 0;
    enum pto_status status = pto__csr_find_cycle(csr, tasks, CYCLE_SHOWN_MAX, &count, err);
    if (status == PTO_OK && count > 0) {
        status = fail_cycle(tasks, count, err);
    }
    return status;
}

enum pto_status pto_graph_validate(struct pto_graph *graph, struct pto_error *err)
{
    if (graph == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "validate: graph is NULL");
    }
    enum pto_status status = pto__graph_pin(graph, err);
    if (status != PTO_OK) {
        return status;
    }
    if (graph->has_backward_edge) {
        struct pto_csr csr;
        status = pto__csr_init(&csr, graph, err);
        if (status == PTO_OK) {
            status = pto__csr_check_acyclic(&csr, err);
            pto__csr_fini(&csr);
        }
    }
    pto__graph_unpin(graph);
    return status;
}

enum pto_status pto_graph_find_cycle(struct pto_graph *graph, uint32_t *out_tasks, size_t capacity,
                                     size_t *out_count, struct pto_error *err)
{
    if (graph == NULL || out_count == NULL || (out_tasks == NULL && capacity > 0)) {
        return pto_fail(err, PTO_E_ARGUMENT, "find_cycle: %s is NULL",
                        graph == NULL       ? "graph"
                        : out_count == NULL ? "out_count"
                                            : "out_tasks");
    }
    *out_count = 0;
    enum pto_status status = pto__graph_pin(graph, err);
    if (status != PTO_OK) {
        return status;
    }
    if (graph->has_backward_edge) {
        struct pto_csr csr;
        status = pto__csr_init(&csr, graph, err);
        if (status == PTO_OK) {
            status = pto__csr_find_cycle(&csr, out_tasks, capacity, out_count, err);
            pto__csr_fini(&csr);
        }
    }
    pto__graph_unpin(graph);
    return status;
}
