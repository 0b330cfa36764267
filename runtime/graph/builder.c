// SPDX-License-Identifier: Apache-2.0
// Growing and changing graphs.
//
// A call checks its arguments, takes the graph as CHANGING with one compare-and-swap, makes all the
// room it needs, and only then changes anything: so a failure leaves the graph as it was.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "graph/graph.h"

PTO_STATIC_ASSERT(PTO_GRAPH_TASK_MAX == PTO_TASK_COUNT_MAX, "public limit is the image's");
PTO_STATIC_ASSERT(PTO_GRAPH_EDGE_MAX == PTO_EDGE_COUNT_MAX, "public limit is the image's");
PTO_STATIC_ASSERT(PTO_GRAPH_ARG_MAX == PTO_ARG_COUNT_MAX, "public limit is the kernel table's");
PTO_STATIC_ASSERT(PTO_GRAPH_FUNC_ID_MAX == PTO_FUNC_ID_MAX, "public limit is the kernel table's");

// First capacity of a growing array, in elements: a small graph is one allocation for each array.
#define CAPACITY_MIN 16u

// Returns nonzero when the caller may now change the graph. The acquire pairs with the release of
// end_change and of pto__graph_unpin: what other threads did to the graph, or read of it, is done.
static inline int begin_change(struct pto_graph *graph, const char *operation,
                               enum pto_status *out_status, struct pto_error *err)
{
    int state = PTO_GRAPH_IDLE;
    if (atomic_compare_exchange_strong_explicit(&graph->state, &state, PTO_GRAPH_CHANGING,
                                                memory_order_acquire, memory_order_relaxed)) {
        return 1;
    }
    *out_status = pto__graph_fail_busy(state, operation, err);
    return 0;
}

static inline void end_change(struct pto_graph *graph)
{
    atomic_store_explicit(&graph->state, PTO_GRAPH_IDLE, memory_order_release);
}

// The counts are stored atomically because the public count calls read them at any time.
static inline void set_task_count(struct pto_graph *graph, uint32_t count)
{
    __atomic_store_n(&graph->task_count, count, __ATOMIC_RELAXED);
}

static inline void set_edge_count(struct pto_graph *graph, uint32_t count)
{
    __atomic_store_n(&graph->edge_count, count, __ATOMIC_RELAXED);
}

// Makes room for `needed` elements, at most `limit` of which are ever asked for. Returns the array,
// perhaps in another place, or NULL, the old one being as before. Grows by half: for a large array
// realloc moves pages rather than bytes, and what is not used yet was never touched.
static void *grow(void *array, size_t *capacity, size_t needed, size_t limit, size_t element_size,
                  const char *purpose, struct pto_error *err)
{
    size_t wanted = *capacity + *capacity / 2;
    if (wanted < CAPACITY_MIN) {
        wanted = CAPACITY_MIN;
    }
    if (wanted > limit) {
        wanted = limit;
    }
    if (wanted < needed) {
        wanted = needed;
    }
    void *grown = NULL;
    if (wanted <= SIZE_MAX / element_size) {
        grown = realloc(array, wanted * element_size);
    }
    if (grown == NULL) {
        (void)pto_fail_no_host_memory(err, purpose, (uint64_t)wanted * element_size);
        return NULL;
    }
    // Not for an array that grows: realloc moves its pages, and would have to split large ones.
    if (array == NULL) {
        pto__prefer_large_pages(grown, wanted * element_size);
    }
    *capacity = wanted;
    return grown;
}

static enum pto_status reserve_tasks(struct pto_graph *graph, size_t extra, struct pto_error *err)
{
    if (extra <= graph->task_capacity - graph->task_count) {
        return PTO_OK;
    }
    if (extra > PTO_TASK_COUNT_MAX - graph->task_count) {
        return pto_fail(err, PTO_E_LIMIT,
                        "a graph holds at most %u tasks: this one has %u, and %zu more were to be "
                        "added; split the work into several graphs",
                        PTO_TASK_COUNT_MAX, graph->task_count, extra);
    }
    void *grown = grow(graph->records, &graph->task_capacity, graph->task_count + extra,
                       PTO_TASK_COUNT_MAX, sizeof(*graph->records), "the graph's tasks", err);
    if (grown == NULL) {
        return PTO_E_NO_MEMORY;
    }
    graph->records = grown;
    return PTO_OK;
}

static enum pto_status reserve_edges(struct pto_graph *graph, size_t extra, struct pto_error *err)
{
    if (extra <= graph->edge_capacity - graph->edge_count) {
        return PTO_OK;
    }
    if (extra > PTO_EDGE_COUNT_MAX - graph->edge_count) {
        return pto_fail(err, PTO_E_LIMIT,
                        "a graph holds at most %u edges, duplicates included: this one has %u, and "
                        "%zu more were to be added; split the work into several graphs",
                        PTO_EDGE_COUNT_MAX, graph->edge_count, extra);
    }
    void *grown = grow(graph->edges, &graph->edge_capacity, graph->edge_count + extra,
                       PTO_EDGE_COUNT_MAX, sizeof(*graph->edges), "the graph's edges", err);
    if (grown == NULL) {
        return PTO_E_NO_MEMORY;
    }
    graph->edges = grown;
    return PTO_OK;
}

// Moves the arguments in use to an array of their own, leaving behind what set_args replaced.
static enum pto_status compact_spill(struct pto_graph *graph, size_t extra, struct pto_error *err)
{
    size_t capacity = 0;
    uint64_t *compact = grow(NULL, &capacity, graph->spill_live + extra, SIZE_MAX, sizeof(*compact),
                             "the arguments of the graph's tasks", err);
    if (compact == NULL) {
        return PTO_E_NO_MEMORY;
    }
    size_t used = 0;
    for (uint32_t task = 0; task < graph->task_count; task++) {
        struct pto_task_record *record = &graph->records[task];
        if (record->arg_count > PTO_INLINE_ARG_COUNT) {
            memcpy(compact + used, graph->spill + record->args[0],
                   record->arg_count * sizeof(*compact));
            record->args[0] = used;
            used += record->arg_count;
        }
    }
    assert(used == graph->spill_live);
    free(graph->spill);
    graph->spill = compact;
    graph->spill_count = used;
    graph->spill_capacity = capacity;
    return PTO_OK;
}

static enum pto_status reserve_spill(struct pto_graph *graph, uint64_t extra, struct pto_error *err)
{
    if (extra <= graph->spill_capacity - graph->spill_count) {
        return PTO_OK;
    }
    // Once half of the array is left over, so that the time is made up for by the changes.
    if (graph->spill_count - graph->spill_live > graph->spill_live + extra) {
        return compact_spill(graph, extra, err);
    }
    if (extra > SIZE_MAX - graph->spill_count) {
        return pto_fail_no_host_memory(err, "the arguments of the graph's tasks", UINT64_MAX);
    }
    void *grown = grow(graph->spill, &graph->spill_capacity, graph->spill_count + (size_t)extra,
                       SIZE_MAX, sizeof(*graph->spill), "the arguments of the graph's tasks", err);
    if (grown == NULL) {
        return PTO_E_NO_MEMORY;
    }
    graph->spill = grown;
    return PTO_OK;
}

static enum pto_status check_args(const char *operation, const uint64_t *args, size_t row_count,
                                  uint32_t arg_count, struct pto_error *err)
{
    if (arg_count > PTO_ARG_COUNT_MAX) {
        return pto_fail(err, PTO_E_LIMIT,
                        "%s: a task has at most %u arguments, but %u were given; pass a pointer to "
                        "a block that holds them",
                        operation, PTO_ARG_COUNT_MAX, arg_count);
    }
    if (args == NULL && arg_count > 0 && row_count > 0) {
        return pto_fail(err, PTO_E_ARGUMENT, "%s: args is NULL, but arg_count is %u", operation,
                        arg_count);
    }
    return PTO_OK;
}

static enum pto_status fail_func_id(const char *operation, uint32_t func_id, struct pto_error *err)
{
    return pto_fail(err, PTO_E_RANGE,
                    "%s: func_id %u is out of range: kernels are numbered from 0 to %u", operation,
                    func_id, PTO_FUNC_ID_MAX);
}

// Stores the arguments in the record, or at the end of the spill array, where there is room.
// `args` may lie in the graph, but not in this record.
static inline void store_args(struct pto_graph *graph, struct pto_task_record *record,
                              const uint64_t *args, uint32_t arg_count)
{
    record->arg_count = (uint16_t)arg_count;
    if (arg_count <= PTO_INLINE_ARG_COUNT) {
        uint32_t i = 0;
        for (; i < arg_count; i++) {
            record->args[i] = args[i];
        }
        for (; i < PTO_INLINE_ARG_COUNT; i++) {
            record->args[i] = 0;
        }
        return;
    }
    memset(record->args, 0, sizeof(record->args));
    record->args[0] = graph->spill_count;
    memcpy(graph->spill + graph->spill_count, args, arg_count * sizeof(*args));
    graph->spill_count += arg_count;
    graph->spill_live += arg_count;
}

static inline void append_task(struct pto_graph *graph, const uint64_t *args, uint32_t arg_count,
                               uint32_t func_id)
{
    struct pto_task_record *record = &graph->records[graph->task_count];
    record->func_id = (uint16_t)func_id;
    record->successor_begin = 0;
    record->successor_count = 0;
    record->predecessor_count = 0;
    store_args(graph, record, args, arg_count);
    set_task_count(graph, graph->task_count + 1);
}

// The rare half of pto_graph_add_task. The arguments are held here because they may be those of
// another task of this graph (pto_graph_get_task), and growing moves them.
static enum pto_status grow_and_append_task(struct pto_graph *graph, const uint64_t *args,
                                            uint32_t arg_count, uint32_t func_id,
                                            struct pto_error *err)
{
    uint64_t held[PTO_ARG_COUNT_MAX];
    if (arg_count > 0) {
        memcpy(held, args, arg_count * sizeof(*args));
    }
    enum pto_status status = reserve_tasks(graph, 1, err);
    if (status == PTO_OK && arg_count > PTO_INLINE_ARG_COUNT) {
        status = reserve_spill(graph, arg_count, err);
    }
    if (status == PTO_OK) {
        append_task(graph, held, arg_count, func_id);
    }
    return status;
}

enum pto_status pto_graph_add_task(struct pto_graph *graph, const uint64_t *args,
                                   uint32_t arg_count, uint32_t func_id, uint32_t *out_task,
                                   struct pto_error *err)
{
    if (graph == NULL || out_task == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "add_task: %s is NULL",
                        graph == NULL ? "graph" : "out_task");
    }
    if (func_id > PTO_FUNC_ID_MAX) {
        return fail_func_id("add_task", func_id, err);
    }
    enum pto_status status = PTO_OK;
    if (arg_count > PTO_INLINE_ARG_COUNT || args == NULL) {
        status = check_args("add_task", args, 1, arg_count, err);
        if (status != PTO_OK) {
            return status;
        }
    }
    if (!begin_change(graph, "add_task", &status, err)) {
        return status;
    }
    uint32_t task = graph->task_count;
    if (task < graph->task_capacity && (arg_count <= PTO_INLINE_ARG_COUNT ||
                                        arg_count <= graph->spill_capacity - graph->spill_count)) {
        append_task(graph, args, arg_count, func_id);
    } else {
        status = grow_and_append_task(graph, args, arg_count, func_id, err);
    }
    end_change(graph);
    if (status == PTO_OK) {
        *out_task = task;
    }
    return status;
}

enum pto_status pto_graph_add_tasks(struct pto_graph *graph, const uint64_t *args,
                                    size_t task_count, uint32_t arg_count, uint32_t func_id,
                                    uint32_t *out_first_task, struct pto_error *err)
{
    if (graph == NULL || out_first_task == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "add_tasks: %s is NULL",
                        graph == NULL ? "graph" : "out_first_task");
    }
    if (func_id > PTO_FUNC_ID_MAX) {
        return fail_func_id("add_tasks", func_id, err);
    }
    enum pto_status status = check_args("add_tasks", args, task_count, arg_count, err);
    if (status != PTO_OK || !begin_change(graph, "add_tasks", &status, err)) {
        return status;
    }
    uint32_t first_task = graph->task_count;
    status = reserve_tasks(graph, task_count, err);
    if (status == PTO_OK && arg_count > PTO_INLINE_ARG_COUNT) {
        // Cannot overflow: reserve_tasks refuses more than PTO_TASK_COUNT_MAX tasks.
        status = reserve_spill(graph, (uint64_t)task_count * arg_count, err);
    }
    if (status == PTO_OK) {
        for (size_t row = 0; row < task_count; row++) {
            append_task(graph, arg_count > 0 ? args + row * arg_count : NULL, arg_count, func_id);
        }
        *out_first_task = first_task;
    }
    end_change(graph);
    return status;
}

// Says what is wrong with an edge that must not be added. `operation` ends with the edge's place.
static enum pto_status fail_edge(const struct pto_graph *graph, const char *operation,
                                 uint64_t from_task, uint64_t to_task, struct pto_error *err)
{
    if (from_task >= graph->task_count) {
        return pto__graph_fail_unknown_task(graph, operation, "from_task", from_task, err);
    }
    if (to_task >= graph->task_count) {
        return pto__graph_fail_unknown_task(graph, operation, "to_task", to_task, err);
    }
    enum pto_status status = pto_fail(err, PTO_E_ARGUMENT, "%s: task %llu cannot run after itself",
                                      operation, (unsigned long long)to_task);
    if (err != NULL) {
        err->task = (uint32_t)to_task;
    }
    return status;
}

static inline int is_good_edge(const struct pto_graph *graph, uint64_t from_task, uint64_t to_task)
{
    return from_task < graph->task_count && to_task < graph->task_count && from_task != to_task;
}

enum pto_status pto_graph_add_successor(struct pto_graph *graph, uint64_t from_task,
                                        uint64_t to_task, struct pto_error *err)
{
    if (graph == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "add_successor: graph is NULL");
    }
    enum pto_status status = PTO_OK;
    if (!begin_change(graph, "add_successor", &status, err)) {
        return status;
    }
    if (!is_good_edge(graph, from_task, to_task)) {
        status = fail_edge(graph, "add_successor", from_task, to_task, err);
    } else if (graph->edge_count == graph->edge_capacity) {
        status = reserve_edges(graph, 1, err);
    }
    if (status == PTO_OK) {
        graph->edges[graph->edge_count] =
            (struct pto_edge){.from = (uint32_t)from_task, .to = (uint32_t)to_task};
        graph->has_backward_edge |= to_task < from_task;
        set_edge_count(graph, graph->edge_count + 1);
    }
    end_change(graph);
    return status;
}

static enum pto_status append_edges(struct pto_graph *graph, const uint64_t *edges,
                                    size_t edge_count, struct pto_error *err)
{
    for (size_t row = 0; row < edge_count; row++) {
        if (!is_good_edge(graph, edges[2 * row], edges[2 * row + 1])) {
            char place[64];
            (void)snprintf(place, sizeof(place), "add_successors: row %zu", row);
            return fail_edge(graph, place, edges[2 * row], edges[2 * row + 1], err);
        }
    }
    enum pto_status status = reserve_edges(graph, edge_count, err);
    if (status != PTO_OK) {
        return status;
    }
    struct pto_edge *added = graph->edges + graph->edge_count;
    uint32_t has_backward_edge = graph->has_backward_edge;
    for (size_t row = 0; row < edge_count; row++) {
        added[row].from = (uint32_t)edges[2 * row];
        added[row].to = (uint32_t)edges[2 * row + 1];
        has_backward_edge |= added[row].to < added[row].from;
    }
    graph->has_backward_edge = has_backward_edge;
    set_edge_count(graph, graph->edge_count + (uint32_t)edge_count);
    return PTO_OK;
}

enum pto_status pto_graph_add_successors(struct pto_graph *graph, const uint64_t *edges,
                                         size_t edge_count, struct pto_error *err)
{
    if (graph == NULL || (edges == NULL && edge_count > 0)) {
        return pto_fail(err, PTO_E_ARGUMENT, "add_successors: %s is NULL",
                        graph == NULL ? "graph" : "edges");
    }
    if (edge_count > PTO_EDGE_COUNT_MAX) {
        return pto_fail(err, PTO_E_LIMIT,
                        "add_successors: a graph holds at most %u edges, but %zu were given; split "
                        "the work into several graphs",
                        PTO_EDGE_COUNT_MAX, edge_count);
    }
    enum pto_status status = PTO_OK;
    if (edge_count == 0 || !begin_change(graph, "add_successors", &status, err)) {
        return status;
    }
    status = append_edges(graph, edges, edge_count, err);
    end_change(graph);
    return status;
}

// Remembers that a task's arguments changed. Never fails: a change that cannot be logged moves
// log_base past it, which tells every reader that the log does not reach back to where it stood.
static void log_change(struct pto_graph *graph, uint32_t task)
{
    size_t limit = graph->task_count / 4;
    if (limit < PTO_GRAPH_LOG_MIN) {
        limit = PTO_GRAPH_LOG_MIN;
    }
    if (graph->log_count >= limit) {
        // Half is kept, so that a runner that keeps up is never sent back to a whole upload.
        size_t kept = limit / 2;
        size_t dropped = graph->log_count - kept;
        memmove(graph->log, graph->log + dropped, kept * sizeof(*graph->log));
        graph->log_base += dropped;
        graph->log_count = kept;
    }
    if (graph->log_count == graph->log_capacity) {
        void *grown = grow(graph->log, &graph->log_capacity, graph->log_count + 1, limit,
                           sizeof(*graph->log), "the log of argument changes", NULL);
        if (grown == NULL) {
            graph->log_base += graph->log_count + 1;
            graph->log_count = 0;
            return;
        }
        graph->log = grown;
    }
    graph->log[graph->log_count] = task;
    graph->log_count++;
}

static enum pto_status replace_args(struct pto_graph *graph, uint32_t task, const uint64_t *args,
                                    uint32_t arg_count, struct pto_error *err)
{
    // Held here because they may be those of this or another task of the graph.
    uint64_t held[PTO_ARG_COUNT_MAX];
    if (arg_count > 0) {
        memcpy(held, args, arg_count * sizeof(*args));
    }
    struct pto_task_record *record = &graph->records[task];
    uint32_t old_count = record->arg_count;
    if (arg_count == old_count) {
        uint64_t *place =
            arg_count > PTO_INLINE_ARG_COUNT ? graph->spill + record->args[0] : record->args;
        memcpy(place, held, arg_count * sizeof(*args));
        log_change(graph, task);
        return PTO_OK;
    }
    if (arg_count > PTO_INLINE_ARG_COUNT) {
        enum pto_status status = reserve_spill(graph, arg_count, err);
        if (status != PTO_OK) {
            return status;
        }
    }
    if (old_count > PTO_INLINE_ARG_COUNT) {
        graph->spill_live -= old_count;
    }
    store_args(graph, record, held, arg_count);
    graph->reshape_count++;
    return PTO_OK;
}

enum pto_status pto_graph_set_args(struct pto_graph *graph, uint64_t task, const uint64_t *args,
                                   uint32_t arg_count, struct pto_error *err)
{
    if (graph == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "set_args: graph is NULL");
    }
    enum pto_status status = check_args("set_args", args, 1, arg_count, err);
    if (status != PTO_OK || !begin_change(graph, "set_args", &status, err)) {
        return status;
    }
    if (task >= graph->task_count) {
        status = pto__graph_fail_unknown_task(graph, "set_args", "task", task, err);
    } else {
        status = replace_args(graph, (uint32_t)task, args, arg_count, err);
    }
    end_change(graph);
    return status;
}
