// SPDX-License-Identifier: Apache-2.0
// Looking at a graph without running it: edges it does not need, and edges it lacks.
//
// Both calls need an acyclic graph (PTO_E_CYCLE) and leave it as it is. Changing the graph fails
// with PTO_E_BUSY until they return; reading and running it do not. Both work from an index of the
// graph's order, which takes time linear in tasks and edges and 72 bytes a task and 8 bytes an
// edge; after that their time depends on how much of the graph lies between two tasks that they ask
// about. In graphs whose edges are local it is near-linear on the whole; the worst case is below.
#ifndef PTO_ANALYSIS_H
#define PTO_ANALYSIS_H

#include "pto/graph.h"
#include "pto/runner.h"

#ifdef __cplusplus
extern "C" {
#endif

// NULL stands for no poll function. Zero the struct, set size, then fill in.
struct pto_analysis_options {
    size_t size;
    pto_poll_function *poll; // called every few ms on the calling thread; not 0: PTO_E_INTERRUPTED
    void *poll_context;
};

// Finds the edges that change nothing: those whose two tasks another path orders too, and the
// repetitions of an edge. All of them can be left out at once: what is left is the transitive
// reduction, which orders the same tasks. Writes the first `capacity` as rows of (from, to) to
// out_edges, in the order in which they were added, and their number to *out_count;
// pto_graph_edge_count() rows are always enough. An edge added n times is listed n - 1 times when
// it is needed, and n times when it is not.
// Time: for each task, questions about its predecessors; at worst O(tasks + edges) for each edge.
// PTO_E_CYCLE, PTO_E_BUSY, PTO_E_NO_MEMORY, PTO_E_INTERRUPTED.
PTO_API PTO_NODISCARD enum pto_status
pto_graph_redundant_edges(struct pto_graph *graph, const struct pto_analysis_options *options,
                          uint64_t *out_edges, size_t capacity, size_t *out_count,
                          struct pto_error *err);

// Finds tasks that the graph should order and does not, from what the runner's kernels declare:
// which arguments are pointers, read or written, and how far they reach. What a kernel does beyond
// that, for example through a pointer passed as an integer, is not seen. First the graph is checked
// as a run would check it (PTO_E_KERNEL, PTO_E_POINTER); no kernel runs.
// Writes the first `capacity` findings to out_findings and the number of all to *out_count. They
// are those of racecheck in a run: `other` and `access` are the two sides, each with the bytes in
// which they meet, or, of a shared line, its own bytes of the line. Making access.task a successor
// of other.task mends it; such edges for any number of findings of one call never make a cycle.
// other.task is the lower number, unless the graph has edges from higher to lower numbers.
// Complete in this sense: a byte that two unordered tasks touch, one writing it, is in a finding
// that does not share a line; a line of which two unordered tasks write different bytes has a
// finding of some kind. Not every pair has one: when tasks a, b and c race for a byte, a-b and b-c
// are told, a-c may not be. Neighbouring bytes of the same pair of arguments are one finding.
// Arguments of one task do not race with each other.
// Time: the sum, over all arguments, of the pieces of memory with different histories that an
// argument covers (one for a tensor that is always used as a whole), with a question for each
// earlier use since the last write; at worst O(tasks + edges) for each question.
// Memory: 150 bytes for each pointer argument, and 8 for each piece that a read one covers. The
// runner's memory may be used, and freed, meanwhile: what counts is how it was at the beginning.
// Besides the above PTO_E_STATE, PTO_E_FAILED, PTO_E_FORKED, PTO_E_BUSY (from inside the runner's
// own run), PTO_E_LIMIT (2^31 pointer arguments), PTO_E_NO_MEMORY, PTO_E_INTERRUPTED.
PTO_API PTO_NODISCARD enum pto_status
pto_graph_find_races(struct pto_graph *graph, struct pto_runner *runner,
                     const struct pto_analysis_options *options,
                     struct pto_check_finding *out_findings, size_t capacity, size_t *out_count,
                     struct pto_error *err);

#ifdef __cplusplus
}
#endif

#endif // PTO_ANALYSIS_H
