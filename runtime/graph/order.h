// SPDX-License-Identifier: Apache-2.0
// The order that a graph's edges give: is there a path from one task to another?
//
// An index is built once from an acyclic graph and answers any number of questions. It holds the
// edges in both directions, the tasks renumbered by ranks: a topological order, the tasks' own
// numbers where those are one. What answers most questions at once:
//
//   levels    a path leads upwards
//   intervals a depth-first search along the edges, and one against them, give each task two
//             intervals of finishing numbers: of all that can be reached, so that what lies outside
//             cannot be, and of the search tree below it, so that what lies inside can
//   hubs      64 tasks, of which each task knows those that lead to it and those it leads to
//
// For the rest a search goes from both ends, the cheaper one first, over those tasks alone that
// these leave open.
//
// Time: building is linear in tasks and edges. A question costs O(1), or else the tasks and edges
// between the two that are open: few in graphs whose edges are local, and in the worst case all,
// O(tasks + edges) for one question.
// Memory: 72 bytes a task and 8 bytes an edge, and while it is built another 12 and 4.
//
// Threads: a question writes to the index, so one thread at a time.
#ifndef PTO_GRAPH_ORDER_H
#define PTO_GRAPH_ORDER_H

#include "graph/image.h"
#include "graph/poll.h"

struct pto_order;

// Builds the index of a pinned graph, which need not stay. The caller destroys it. `poll` may be
// NULL. PTO_E_CYCLE, PTO_E_NO_MEMORY, PTO_E_INTERRUPTED.
PTO_NODISCARD enum pto_status pto__order_create(const struct pto_graph *graph,
                                                struct pto_work_poll *poll,
                                                struct pto_order **out_order,
                                                struct pto_error *err);
void pto__order_destroy(struct pto_order *order); // NULL is allowed

// Whether there is a path from task `before` to task `after`, both less than the graph's number of
// tasks. No task is before itself.
int pto__order_before(struct pto_order *order, uint32_t before, uint32_t after);

#endif // PTO_GRAPH_ORDER_H
