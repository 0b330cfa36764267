// SPDX-License-Identifier: Apache-2.0
// A graph's life, its state word, and looking at it.
#include "graph/graph.h"

#include <stdlib.h>

// The number of the next graph. Shared by the whole process, because a runner tells graphs apart by
// number: an address may be used again by a later graph, a number is not.
static _Atomic uint64_t next_graph_id = 1;

enum pto_status pto_graph_create(struct pto_graph **out_graph, struct pto_error *err)
{
    if (out_graph == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "graph create: out_graph is NULL");
    }
    *out_graph = NULL;
    struct pto_graph *graph = calloc(1, sizeof(*graph));
    if (graph == NULL) {
        return pto_fail_no_host_memory(err, "a graph", sizeof(*graph));
    }
    graph->life = malloc(sizeof(*graph->life));
    if (graph->life == NULL) {
        free(graph);
        return pto_fail_no_host_memory(err, "a graph", sizeof(*graph->life));
    }
    atomic_init(&graph->state, PTO_GRAPH_IDLE);
    atomic_init(&graph->life->holder_count, 1);
    atomic_init(&graph->life->alive, 1);
    graph->life->graph_id = atomic_fetch_add_explicit(&next_graph_id, 1, memory_order_relaxed);
    *out_graph = graph;
    return PTO_OK;
}

void pto_graph_destroy(struct pto_graph *graph)
{
    if (graph == NULL) {
        return;
    }
    assert(atomic_load_explicit(&graph->state, memory_order_acquire) == PTO_GRAPH_IDLE);
    atomic_store_explicit(&graph->life->alive, 0, memory_order_release);
    pto__graph_life_release(graph->life);
    free(graph->records);
    free(graph->edges);
    free(graph->spill);
    free(graph->log);
    free(graph);
}

struct pto_graph_life *pto__graph_life_retain(const struct pto_graph *graph)
{
    // Relaxed: the caller already has the graph, and with it a holder.
    atomic_fetch_add_explicit(&graph->life->holder_count, 1, memory_order_relaxed);
    return graph->life;
}

void pto__graph_life_release(struct pto_graph_life *life)
{
    // Acquire and release: the last holder frees only after every other one's last access.
    if (life != NULL &&
        atomic_fetch_sub_explicit(&life->holder_count, 1, memory_order_acq_rel) == 1) {
        free(life);
    }
}

int pto__graph_life_is_alive(const struct pto_graph_life *life)
{
    return atomic_load_explicit(&life->alive, memory_order_acquire);
}

enum pto_status pto__graph_fail_busy(int state, const char *operation, struct pto_error *err)
{
    if (state == PTO_GRAPH_CHANGING) {
        return pto_fail(err, PTO_E_BUSY,
                        "%s: the graph is being changed by another thread; let one thread build "
                        "it, or guard it by a lock",
                        operation);
    }
    return pto_fail(err, PTO_E_BUSY,
                    "%s: the graph cannot be changed while it runs, or while another call reads it "
                    "(%d at the moment); wait until that has returned, or build another graph",
                    operation, state);
}

enum pto_status pto__graph_pin(struct pto_graph *graph, struct pto_error *err)
{
    int state = atomic_load_explicit(&graph->state, memory_order_relaxed);
    do {
        if (state == PTO_GRAPH_CHANGING) {
            return pto__graph_fail_busy(state, "reading the graph", err);
        }
        // The acquire pairs with the release at the end of a change: what it wrote is seen.
    } while (!atomic_compare_exchange_weak_explicit(&graph->state, &state, state + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    return PTO_OK;
}

void pto__graph_unpin(struct pto_graph *graph)
{
    // The release pairs with the acquire at the start of a change: it comes after what was read.
    int state = atomic_fetch_sub_explicit(&graph->state, 1, memory_order_release);
    assert(state > 0);
    (void)state;
}

struct pto_graph_version pto__graph_version(const struct pto_graph *graph)
{
    // Tasks and edges are never removed, so the sum grows with every change of structure.
    return (struct pto_graph_version){
        .graph_id = graph->life->graph_id,
        .structure = (uint64_t)graph->task_count + graph->edge_count + graph->reshape_count,
        .args = graph->log_base + graph->log_count,
    };
}

int pto__graph_changed_args(const struct pto_graph *graph, uint64_t since,
                            const uint32_t **out_tasks, size_t *out_count)
{
    *out_tasks = NULL;
    *out_count = 0;
    if (since < graph->log_base || since > graph->log_base + graph->log_count) {
        return 0;
    }
    size_t first = (size_t)(since - graph->log_base);
    if (first < graph->log_count) {
        *out_tasks = graph->log + first;
        *out_count = graph->log_count - first;
    }
    return 1;
}

uint32_t pto_graph_task_count(const struct pto_graph *graph)
{
    return graph == NULL ? 0 : __atomic_load_n(&graph->task_count, __ATOMIC_RELAXED);
}

uint64_t pto_graph_edge_count(const struct pto_graph *graph)
{
    return graph == NULL ? 0 : __atomic_load_n(&graph->edge_count, __ATOMIC_RELAXED);
}

enum pto_status pto__graph_fail_unknown_task(const struct pto_graph *graph, const char *operation,
                                             const char *what, uint64_t task, struct pto_error *err)
{
    uint32_t count = graph->task_count;
    if (count == 0) {
        return pto_fail(err, PTO_E_RANGE, "%s: %s %llu is unknown: the graph has no tasks yet",
                        operation, what, (unsigned long long)task);
    }
    return pto_fail(
        err, PTO_E_RANGE, "%s: %s %llu is unknown: the graph has %u task%s, numbered from 0 to %u",
        operation, what, (unsigned long long)task, count, count == 1 ? "" : "s", count - 1);
}

enum pto_status pto_graph_get_task(const struct pto_graph *graph, uint64_t task,
                                   struct pto_task_view *out_view, struct pto_error *err)
{
    if (graph == NULL || out_view == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "get_task: %s is NULL",
                        graph == NULL ? "graph" : "out_view");
    }
    if (task >= graph->task_count) {
        return pto__graph_fail_unknown_task(graph, "get_task", "task", task, err);
    }
    const struct pto_task_record *record = &graph->records[task];
    *out_view = (struct pto_task_view){
        .func_id = record->func_id,
        .arg_count = record->arg_count,
        .args = pto__graph_task_args(graph, record),
    };
    return PTO_OK;
}

static int record_is_valid(const struct pto_graph *graph, const struct pto_task_record *record)
{
    if (record->func_id > PTO_FUNC_ID_MAX || record->arg_count > PTO_ARG_COUNT_MAX ||
        record->successor_begin != 0 || record->successor_count != 0 ||
        record->predecessor_count != 0) {
        return 0;
    }
    uint32_t used = record->arg_count;
    if (used > PTO_INLINE_ARG_COUNT) {
        if (record->args[0] > graph->spill_count || used > graph->spill_count - record->args[0]) {
            return 0;
        }
        used = 1;
    }
    for (uint32_t i = used; i < PTO_INLINE_ARG_COUNT; i++) {
        if (record->args[i] != 0) {
            return 0;
        }
    }
    return 1;
}

int pto__graph_is_valid(const struct pto_graph *graph)
{
    if (atomic_load_explicit(&graph->state, memory_order_relaxed) < PTO_GRAPH_CHANGING ||
        graph->task_count > graph->task_capacity || graph->task_capacity > PTO_TASK_COUNT_MAX ||
        graph->edge_count > graph->edge_capacity || graph->edge_capacity > PTO_EDGE_COUNT_MAX ||
        graph->spill_live > graph->spill_count || graph->spill_count > graph->spill_capacity ||
        graph->log_count > graph->log_capacity) {
        return 0;
    }
    size_t spill_live = 0;
    for (uint32_t task = 0; task < graph->task_count; task++) {
        const struct pto_task_record *record = &graph->records[task];
        if (!record_is_valid(graph, record)) {
            return 0;
        }
        spill_live += record->arg_count > PTO_INLINE_ARG_COUNT ? record->arg_count : 0u;
    }
    uint32_t has_backward_edge = 0;
    for (uint32_t i = 0; i < graph->edge_count; i++) {
        const struct pto_edge *edge = &graph->edges[i];
        if (edge->from >= graph->task_count || edge->to >= graph->task_count ||
            edge->from == edge->to) {
            return 0;
        }
        has_backward_edge |= edge->to < edge->from;
    }
    return spill_live == graph->spill_live && has_backward_edge == graph->has_backward_edge;
}

uint64_t pto__graph_successors(const struct pto_graph *graph, uint32_t task, uint32_t *out_tasks,
                               size_t capacity, size_t *out_count)
{
    uint64_t total = 0;
    *out_count = 0;
    for (uint32_t i = 0; i < graph->edge_count; i++) {
        if (graph->edges[i].from != task) {
            continue;
        }
        if (*out_count < capacity) {
            out_tasks[(*out_count)++] = graph->edges[i].to;
        }
        total++;
    }
    return total;
}
