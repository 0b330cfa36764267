// SPDX-License-Identifier: Apache-2.0
// The insides of a graph: what the builder keeps, and the compressed form that compiling, cycle
// search and printing work from. Private to graph/.
#ifndef PTO_GRAPH_GRAPH_H
#define PTO_GRAPH_GRAPH_H

#include <assert.h>
#include <stdatomic.h>

#include "abi/image.h"
#include "base/error.h"
#include "graph/image.h"

// Values of pto_graph.state besides a number of pins.
#define PTO_GRAPH_IDLE 0
#define PTO_GRAPH_CHANGING (-1)

// Fewest argument changes that the log reaches back, whatever the graph's size.
#define PTO_GRAPH_LOG_MIN 1024u

// Outlives its graph while others hold it.
struct pto_graph_life {
    atomic_uint holder_count;
    atomic_int alive;
    uint64_t graph_id;
};

struct pto_edge {
    uint32_t from;
    uint32_t to;
};

// Tasks are kept as the records of an image, with two differences: successor_begin,
// successor_count and predecessor_count are zero, and the args[0] of a task with spilled arguments
// is their index in `spill`. Argument words that a task does not use are zero.
//
// Invariants, checked by pto__graph_is_valid:
//   state >= -1; it is -1 while a call changes the graph, n while n pins are held
//   task_count <= task_capacity <= PTO_TASK_COUNT_MAX
//   edge_count <= edge_capacity <= PTO_EDGE_COUNT_MAX
//   each edge: from < task_count, to < task_count, from != to
//   has_backward_edge == (some edge has to < from); without one there can be no cycle
//   spill_live == sum of arg_count of the tasks with more than PTO_INLINE_ARG_COUNT arguments
//   spill_live <= spill_count <= spill_capacity
//   log_count <= log_capacity
// Every field but `state` is written only by the call that holds the graph as CHANGING.
struct pto_graph {
    atomic_int state;
    uint32_t has_backward_edge;
    uint32_t task_count;
    uint32_t edge_count;
    struct pto_task_record *records;
    struct pto_edge *edges; // in the order in which they were added, duplicates included
    uint64_t *spill;
    size_t task_capacity;
    size_t edge_capacity;
    size_t spill_count; // words in use, those of replaced arguments included
    size_t spill_live;
    size_t spill_capacity;
    uint64_t reshape_count; // changes of an argument count
    uint64_t log_base;      // argument changes that the log no longer holds
    uint32_t *log;          // the tasks of the log_count latest argument changes
    size_t log_count;
    size_t log_capacity;
    struct pto_graph_life *life;
};

// Fills *err for a graph found in this state.
enum pto_status pto__graph_fail_busy(int state, const char *operation, struct pto_error *err);

// PTO_E_RANGE with a message that tells which tasks there are. `what` names the parameter.
enum pto_status pto__graph_fail_unknown_task(const struct pto_graph *graph, const char *operation,
                                             const char *what, uint64_t task,
                                             struct pto_error *err);

// Whether every invariant above holds. For tests and debug builds; time linear in the graph.
int pto__graph_is_valid(const struct pto_graph *graph);

static inline const uint64_t *pto__graph_task_args(const struct pto_graph *graph,
                                                   const struct pto_task_record *record)
{
    return record->arg_count > PTO_INLINE_ARG_COUNT ? graph->spill + record->args[0] : record->args;
}

struct pto_csr_node {
    uint32_t predecessor_count; // distinct predecessors
    uint32_t scratch;           // of whoever works on the CSR; its contents mean nothing between
};

// A graph's edges in compressed form, duplicates left out: the successors of task i are
// successors[begin[i] .. begin[i + 1]), in the order in which they were added.
// Invariant: begin[task_count] == edge_count.
struct pto_csr {
    uint32_t task_count;
    uint32_t edge_count;
    uint32_t *begin;
    uint32_t *successors;
    struct pto_csr_node *nodes; // both counts of a task in one place: one cache miss, not two
};

// Of a pinned graph. Time and memory linear in tasks and edges. PTO_E_NO_MEMORY.
PTO_NODISCARD enum pto_status pto__csr_init(struct pto_csr *csr, const struct pto_graph *graph,
                                            struct pto_error *err);
void pto__csr_fini(struct pto_csr *csr);

// Finds one cycle, beginning with its lowest task number. Writes its first `capacity` tasks and its
// length, 0 when there is none. Uses the nodes' scratch. PTO_E_NO_MEMORY.
PTO_NODISCARD enum pto_status pto__csr_find_cycle(struct pto_csr *csr, uint32_t *out_tasks,
                                                  size_t capacity, size_t *out_count,
                                                  struct pto_error *err);

// PTO_E_CYCLE, naming tasks of one cycle, when there is one.
PTO_NODISCARD enum pto_status pto__csr_check_acyclic(struct pto_csr *csr, struct pto_error *err);

#endif // PTO_GRAPH_GRAPH_H
