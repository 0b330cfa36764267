// SPDX-License-Identifier: Apache-2.0
// The explorer's device memory: one reservation of address space, so that an address gives a line
// by a subtraction, and equal calls give equal offsets whatever the process looks like; mostly
// equal addresses too.
#ifndef PTO_EXPLORE_ARENA_H
#define PTO_EXPLORE_ARENA_H

#include <stdbool.h>

#include "abi/abi.h"
#include "pto/status.h"

#define PTO_ARENA_BYTES (UINT64_C(1) << 30)

struct pto_arena_block {
    uint64_t offset;
    uint64_t size_bytes; // whole lines, the last one a guard
    uint64_t asked_bytes;
};

struct pto_arena {
    uint8_t *base;
    // For each line: its place in the model's list, 0 while it was not touched in this launch.
    uint32_t *line_index;
    // For each line: 1 when the host wrote it and no AICPU thread has refreshed it since.
    uint8_t *host_written;
    // For each line: 1 when anybody has written it since its block was allocated.
    uint8_t *written;
    // Live blocks, ascending. The first that fits is taken, so offsets repeat.
    struct pto_arena_block *blocks;
    uint32_t block_count;
    uint32_t block_capacity;
    uint64_t used_bytes;
};

PTO_NODISCARD enum pto_status pto__arena_create(struct pto_arena *arena, struct pto_error *err);
void pto__arena_destroy(struct pto_arena *arena);
PTO_NODISCARD enum pto_status pto__arena_allocate(struct pto_arena *arena, uint64_t size_bytes,
                                                  uint64_t *out_address, struct pto_error *err);
void pto__arena_release(struct pto_arena *arena, uint64_t address);
// Notes that the host wrote these bytes by DMA.
void pto__arena_host_wrote(struct pto_arena *arena, uint64_t address, uint64_t size_bytes);

static inline bool pto__arena_holds(const struct pto_arena *arena, uint64_t address)
{
    return address - (uint64_t)(uintptr_t)arena->base < PTO_ARENA_BYTES;
}

static inline uint64_t pto__arena_line(const struct pto_arena *arena, uint64_t address)
{
    return (address - (uint64_t)(uintptr_t)arena->base) / PTO_CACHE_LINE_SIZE;
}

#endif // PTO_EXPLORE_ARENA_H
