// SPDX-License-Identifier: Apache-2.0
// Building task graphs.
//
// A graph is a set of tasks, numbered from 0 in the order they were added, and a set of edges "runs
// after". It belongs to the host, grows as needed, and can be run any number of times, on any
// number of runners.
//
// Threads: a call that changes a graph while another thread changes it, or while it runs, fails
// with PTO_E_BUSY and changes nothing. Calls that only read may run at the same time as each other,
// but not as a change.
#ifndef PTO_GRAPH_H
#define PTO_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "pto/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pto_graph;

// Limits; passing one is PTO_E_LIMIT (PTO_E_RANGE for the func_id).
#define PTO_GRAPH_TASK_MAX 2147483647u
#define PTO_GRAPH_EDGE_MAX 4294967294u
#define PTO_GRAPH_ARG_MAX 128u
#define PTO_GRAPH_FUNC_ID_MAX 1023u

// A task as it stands in the graph. `args` is borrowed: valid until the graph is changed.
struct pto_task_view {
    uint32_t func_id;
    uint32_t arg_count;
    const uint64_t *args;
};

// Creates an empty graph; the caller destroys it. PTO_E_NO_MEMORY.
PTO_API PTO_NODISCARD enum pto_status pto_graph_create(struct pto_graph **out_graph,
                                                       struct pto_error *err);

// Frees a graph; NULL is allowed. It must not be running, nor in use by another call. A runner that
// ran it frees its copy on the device at its next run, or in finalize.
PTO_API void pto_graph_destroy(struct pto_graph *graph);

// Adds a task that runs kernel func_id (0..PTO_GRAPH_FUNC_ID_MAX) with arg_count 64-bit arguments,
// copied from args (NULL when arg_count is 0): device pointers, integers, or float32 bits in the
// low word. Whether the kernel exists and takes such arguments is checked by a run, against
// kernel.o. *out_task gets the task's number.
// PTO_E_RANGE, PTO_E_LIMIT, PTO_E_BUSY, PTO_E_NO_MEMORY.
PTO_API PTO_NODISCARD enum pto_status pto_graph_add_task(struct pto_graph *graph,
                                                         const uint64_t *args, uint32_t arg_count,
                                                         uint32_t func_id, uint32_t *out_task,
                                                         struct pto_error *err);

// Adds task_count tasks that all run kernel func_id; args holds task_count rows of arg_count
// values. All or nothing. *out_first_task gets the number of the first; the others follow it.
PTO_API PTO_NODISCARD enum pto_status pto_graph_add_tasks(struct pto_graph *graph,
                                                          const uint64_t *args, size_t task_count,
                                                          uint32_t arg_count, uint32_t func_id,
                                                          uint32_t *out_first_task,
                                                          struct pto_error *err);

// Adds the edge "to_task runs after from_task". An edge that is there already is counted once. A
// longer cycle is found by validate and by a run, a self edge here (PTO_E_ARGUMENT).
// PTO_E_RANGE for an unknown task, PTO_E_LIMIT, PTO_E_BUSY, PTO_E_NO_MEMORY.
PTO_API PTO_NODISCARD enum pto_status pto_graph_add_successor(struct pto_graph *graph,
                                                              uint64_t from_task, uint64_t to_task,
                                                              struct pto_error *err);

// Adds edge_count edges; edges holds rows of (from, to). All or nothing; the message names the
// first bad row.
PTO_API PTO_NODISCARD enum pto_status pto_graph_add_successors(struct pto_graph *graph,
                                                               const uint64_t *edges,
                                                               size_t edge_count,
                                                               struct pto_error *err);

// Replaces a task's arguments. With as many arguments as before, the next run uploads this task
// alone.
PTO_API PTO_NODISCARD enum pto_status pto_graph_set_args(struct pto_graph *graph, uint64_t task,
                                                         const uint64_t *args, uint32_t arg_count,
                                                         struct pto_error *err);

PTO_API uint32_t pto_graph_task_count(const struct pto_graph *graph);

// Edges as added, duplicates included.
PTO_API uint64_t pto_graph_edge_count(const struct pto_graph *graph);

// Looks at one task. PTO_E_RANGE.
PTO_API PTO_NODISCARD enum pto_status pto_graph_get_task(const struct pto_graph *graph,
                                                         uint64_t task,
                                                         struct pto_task_view *out_view,
                                                         struct pto_error *err);

// Checks that the graph can run on a device with the right kernels: no cycle. PTO_E_CYCLE names
// tasks of one cycle. Time and memory linear in tasks and edges.
PTO_API PTO_NODISCARD enum pto_status pto_graph_validate(struct pto_graph *graph,
                                                         struct pto_error *err);

// Finds one cycle. Writes the first `capacity` of its tasks to out_tasks, in order (each runs after
// the one before it, the first after the last), and its length to *out_count, 0 when there is no
// cycle. Call it with capacity 0 to learn the length.
PTO_API PTO_NODISCARD enum pto_status pto_graph_find_cycle(struct pto_graph *graph,
                                                           uint32_t *out_tasks, size_t capacity,
                                                           size_t *out_count,
                                                           struct pto_error *err);

// Receives a piece of text; returns 0, or anything else to end the printing.
typedef int pto_text_function(void *context, const char *text, size_t size_bytes);

// Writes the graph as text: a line with the counts, then one line for each task with its kernel,
// arguments and distinct successors. Pieces are at most a few KiB. PTO_E_INTERRUPTED when `write`
// asked for the end.
PTO_API PTO_NODISCARD enum pto_status pto_graph_print(struct pto_graph *graph,
                                                      pto_text_function *write, void *context,
                                                      struct pto_error *err);

#ifdef __cplusplus
}
#endif

#endif // PTO_GRAPH_H
