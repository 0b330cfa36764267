// SPDX-License-Identifier: Apache-2.0
// A launch made by hand, as a backend makes it: the graph's image in plain memory, its run state
// beside it, and the launch block of abi/launch.h. For tests of the device programs alone.
#ifndef PTO_TESTS_DEVICE_BLOCK_H
#define PTO_TESTS_DEVICE_BLOCK_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "abi/launch.h"

struct device_graph {
    struct pto_image_header *image;
    struct pto_task_record *records;
    uint32_t *successors;
    uint32_t task_count;
    uint32_t *pending; // run state
    uint32_t *ready;   // room for PTO_SCHEDULER_COUNT_MAX queues
};

struct device_block {
    struct pto_launch launch;
    struct pto_control control;
    struct pto_report report;
    struct pto_scheduler_shared shared;
    struct pto_hints hints;
    struct pto_ready_queue queues[PTO_SCHEDULER_COUNT_MAX];
    struct pto_handshake handshakes[];
};

struct device_edge {
    uint32_t from;
    uint32_t to;
};

static inline void *device_lines(uint64_t size_bytes)
{
    void *memory = NULL;
    uint64_t rounded =
        (size_bytes + PTO_CACHE_LINE_SIZE - 1) / PTO_CACHE_LINE_SIZE * PTO_CACHE_LINE_SIZE;
    if (posix_memalign(&memory, PTO_CACHE_LINE_SIZE, rounded) != 0) {
        abort();
    }
    memset(memory, 0, rounded);
    return memory;
}

// The counts every run starts from.
static inline void device_graph_reset(struct device_graph *graph)
{
    for (uint32_t i = 0; i < graph->task_count; i++) {
        graph->pending[i] = graph->records[i].predecessor_count;
    }
}

// Lays out the image of a graph of distinct edges; every task runs kernel 0 without arguments.
static inline void device_graph_init(struct device_graph *graph, uint32_t task_count,
                                     const struct device_edge *edges, uint32_t edge_count)
{
    uint64_t record_offset = sizeof(struct pto_image_header);
    uint64_t successor_offset = record_offset + task_count * sizeof(struct pto_task_record);
    uint64_t ready_offset = successor_offset + (edge_count + 1) / 2 * 2 * sizeof(uint32_t);
    uint64_t size_bytes = ready_offset + (task_count + 1) / 2 * 2 * sizeof(uint32_t);
    uint8_t *bytes = device_lines(size_bytes);
    struct pto_image_header *header = (void *)bytes;
    *graph = (struct device_graph){
        .image = header,
        .records = (void *)(bytes + record_offset),
        .successors = (void *)(bytes + successor_offset),
        .task_count = task_count,
        .pending = device_lines(task_count * sizeof(uint32_t)),
        .ready = device_lines((uint64_t)PTO_SCHEDULER_COUNT_MAX * task_count * sizeof(uint32_t)),
    };
    for (uint32_t i = 0; i < edge_count; i++) {
        graph->records[edges[i].from].successor_count++;
        graph->records[edges[i].to].predecessor_count++;
    }
    uint32_t begin = 0;
    uint32_t *ready = (void *)(bytes + ready_offset);
    uint32_t ready_count = 0;
    for (uint32_t i = 0; i < task_count; i++) {
        graph->records[i].successor_begin = begin;
        begin += graph->records[i].successor_count;
        graph->records[i].successor_count = 0;
        if (graph->records[i].predecessor_count == 0) {
            ready[ready_count++] = i;
        }
    }
    for (uint32_t i = 0; i < edge_count; i++) {
        struct pto_task_record *from = &graph->records[edges[i].from];
        graph->successors[from->successor_begin + from->successor_count++] = edges[i].to;
    }
    *header = (struct pto_image_header){
        .magic = PTO_IMAGE_MAGIC,
        .version = PTO_ABI_VERSION,
        .size_bytes = size_bytes,
        .task_count = task_count,
        .edge_count = edge_count,
        .ready_count = ready_count,
        .record_offset = record_offset,
        .successor_offset = successor_offset,
        .ready_offset = ready_offset,
        .spill_offset = size_bytes,
    };
    device_graph_reset(graph);
}

static inline void device_graph_fini(struct device_graph *graph)
{
    free(graph->image);
    free(graph->pending);
    free(graph->ready);
}

// The caller frees it.
static inline struct device_block *device_block_create(uint32_t core_count)
{
    struct device_block *block =
        device_lines(sizeof(struct device_block) + core_count * sizeof(struct pto_handshake));
    block->launch.core_count = core_count;
    return block;
}

// Fills in the block for a launch, as pto_backend_ops.launch does.
static inline void device_block_fill(struct device_block *block, const struct device_graph *graph,
                                     uint32_t scheduler_count, int with_hints)
{
    uint32_t core_count = block->launch.core_count;
    memset(block, 0, sizeof(*block) + core_count * sizeof(block->handshakes[0]));
    block->launch = (struct pto_launch){
        .magic = PTO_LAUNCH_MAGIC,
        .version = PTO_ABI_VERSION,
        .core_count = core_count,
        .scheduler_count = scheduler_count,
        .executor_count = core_count,
        .depth_min = 1,
        .image_changed = 1,
        .image = (uint64_t)(uintptr_t)graph->image,
        .pending = (uint64_t)(uintptr_t)graph->pending,
        .ready = (uint64_t)(uintptr_t)graph->ready,
        .control = (uint64_t)(uintptr_t)&block->control,
        .report = (uint64_t)(uintptr_t)&block->report,
        .shared = (uint64_t)(uintptr_t)&block->shared,
        .queues = (uint64_t)(uintptr_t)block->queues,
        .handshakes = (uint64_t)(uintptr_t)block->handshakes,
        .hints = with_hints ? (uint64_t)(uintptr_t)&block->hints : 0,
        .timeout_ns = UINT64_C(60000000000),
    };
    block->shared.remaining = graph->task_count;
}

#endif // PTO_TESTS_DEVICE_BLOCK_H
