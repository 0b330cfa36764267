// SPDX-License-Identifier: Apache-2.0
// What the host side needs of a graph beyond the public interface: pinning it for a run, compiling
// it to an image, and learning what changed since.
#ifndef PTO_GRAPH_IMAGE_H
#define PTO_GRAPH_IMAGE_H

#include "abi/image.h"
#include "pto/graph.h"

// A compiled graph in host memory. `bytes` starts with the header and is aligned to a cache line.
struct pto_image {
    struct pto_image_header *header; // == (void *)bytes
    uint8_t *bytes;
    uint64_t size_bytes;
};

// Where a graph stands. Two equal values of one graph mean the same structure and arguments.
struct pto_graph_version {
    uint64_t graph_id;  // unique in the process, never used again
    uint64_t structure; // changes with tasks, edges, and argument counts
    uint64_t args;      // length of the log of argument changes, see pto__graph_changed_args
};

// Keeps the graph from being changed until unpin. Any number of pins at a time. PTO_E_BUSY while
// another thread changes it.
PTO_NODISCARD enum pto_status pto__graph_pin(struct pto_graph *graph, struct pto_error *err);
void pto__graph_unpin(struct pto_graph *graph);

// Of a pinned graph.
struct pto_graph_version pto__graph_version(const struct pto_graph *graph);

// Whether the graph with this id still exists: a runner drops the device copies of those that do
// not. Safe from any thread. `life` is shared between a graph and those who hold it.
struct pto_graph_life;
struct pto_graph_life *pto__graph_life_retain(const struct pto_graph *graph);
void pto__graph_life_release(struct pto_graph_life *life);
int pto__graph_life_is_alive(const struct pto_graph_life *life);

// Compiles a pinned graph. PTO_E_CYCLE, PTO_E_NO_MEMORY. The caller frees the image.
PTO_NODISCARD enum pto_status pto__graph_compile(const struct pto_graph *graph,
                                                 struct pto_image *out_image,
                                                 struct pto_error *err);
void pto__image_free(struct pto_image *image);

// Tasks whose arguments were replaced after `since` (a version's args) while the structure stayed:
// *out_tasks borrows an array of *out_count task indices, in order of change, perhaps repeated.
// Returns 0 when so much changed that the log no longer reaches back to `since`.
int pto__graph_changed_args(const struct pto_graph *graph, uint64_t since,
                            const uint32_t **out_tasks, size_t *out_count);

// Of a pinned graph: writes up to `capacity` successors of a task, as added, duplicates included,
// to out_tasks and their number to *out_count; returns how many there are. Reads every edge: for
// messages.
uint64_t pto__graph_successors(const struct pto_graph *graph, uint32_t task, uint32_t *out_tasks,
                               size_t capacity, size_t *out_count);

// Checks every invariant written above the structs of abi/image.h. For tests and debug builds.
PTO_NODISCARD enum pto_status pto__image_check(const struct pto_image *image,
                                               struct pto_error *err);

#endif // PTO_GRAPH_IMAGE_H
