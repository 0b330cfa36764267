// SPDX-License-Identifier: Apache-2.0
// The graph image: what the host uploads for a graph, and both device programs read.
//
// One contiguous block whose references are indices or byte offsets from its start, so it works at
// any address. The device never writes it: run state lives beside it (abi/launch.h). Layout:
//
//     header | task records | successors (CSR) | initially ready tasks | spilled arguments
#ifndef PTO_ABI_IMAGE_H
#define PTO_ABI_IMAGE_H

#include "abi/abi.h"

#define PTO_IMAGE_MAGIC 0x474f5450u // "PTOG", little endian

// Invariants: every section starts on a multiple of 8 bytes, records on a cache line;
// record_offset == sizeof(struct pto_image_header);
// sum of all successor_count == sum of all predecessor_count == edge_count;
// ready_count == number of records whose predecessor_count is 0;
// the successors of a task are distinct, and in the order in which they were added.
struct pto_image_header {
    uint32_t magic;
    uint32_t version;    // PTO_ABI_VERSION
    uint64_t size_bytes; // the whole image
    uint32_t task_count;
    uint32_t edge_count;
    uint32_t ready_count;
    uint32_t spill_count;      // 64-bit words in the spill section
    uint64_t record_offset;    // struct pto_task_record[task_count]
    uint64_t successor_offset; // uint32_t[edge_count]
    uint64_t ready_offset;     // uint32_t[ready_count], ascending
    uint64_t spill_offset;     // uint64_t[spill_count]
};
PTO_STATIC_ASSERT(sizeof(struct pto_image_header) == 64, "one cache line");

// Arguments that fit into the record. A task with more keeps all of them in the spill section, and
// args[0] is then their byte offset from the start of the image.
#define PTO_INLINE_ARG_COUNT 6u

struct pto_task_record {
    uint16_t func_id;
    uint16_t arg_count;
    uint32_t successor_begin; // index into the successor section
    uint32_t successor_count;
    uint32_t predecessor_count; // distinct predecessors
    uint64_t args[PTO_INLINE_ARG_COUNT];
};
PTO_STATIC_ASSERT(sizeof(struct pto_task_record) == PTO_CACHE_LINE_SIZE, "one cache line a task");
PTO_STATIC_ASSERT(offsetof(struct pto_task_record, args) == 16, "the worker reads args here");

#endif // PTO_ABI_IMAGE_H
