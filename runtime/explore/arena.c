// SPDX-License-Identifier: Apache-2.0
#include "explore/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"

#define LINE_COUNT (PTO_ARENA_BYTES / PTO_CACHE_LINE_SIZE)
#define PLACE_FIRST UINT64_C(0x300000000000)
#define PLACE_COUNT 16u

static void give_back(void *mapping, uint64_t size_bytes)
{
    if (mapping != NULL) {
        munmap(mapping, size_bytes);
    }
}

// Device addresses are values that programs load, so traces show them: the same place in every
// process, if it is free, keeps those equal. Far from where systems put things by themselves.
static void *reserve_device(void)
{
    for (uint64_t i = 0; i < PLACE_COUNT; i++) {
        void *place = (void *)(uintptr_t)(PLACE_FIRST + i * PTO_ARENA_BYTES);
        void *mapping = pto__map_zeros(place, PTO_ARENA_BYTES);
        if (mapping == place) {
            return mapping;
        }
        give_back(mapping, PTO_ARENA_BYTES);
    }
    return pto__map_zeros(NULL, PTO_ARENA_BYTES);
}

enum pto_status pto__arena_create(struct pto_arena *arena, struct pto_error *err)
{
    *arena = (struct pto_arena){0};
    arena->base = reserve_device();
    arena->line_index = pto__map_zeros(NULL, LINE_COUNT * sizeof(*arena->line_index));
    arena->host_written = pto__map_zeros(NULL, LINE_COUNT * sizeof(*arena->host_written));
    arena->written = pto__map_zeros(NULL, LINE_COUNT * sizeof(*arena->written));
    if (arena->base == NULL || arena->line_index == NULL || arena->host_written == NULL ||
        arena->written == NULL) {
        pto__arena_destroy(arena);
        return pto_fail_no_host_memory(err, "the explorer's device memory", PTO_ARENA_BYTES);
    }
    return PTO_OK;
}

void pto__arena_destroy(struct pto_arena *arena)
{
    give_back(arena->base, PTO_ARENA_BYTES);
    give_back(arena->line_index, LINE_COUNT * sizeof(*arena->line_index));
    give_back(arena->host_written, LINE_COUNT * sizeof(*arena->host_written));
    give_back(arena->written, LINE_COUNT * sizeof(*arena->written));
    free(arena->blocks);
    *arena = (struct pto_arena){0};
}

enum pto_status pto__arena_allocate(struct pto_arena *arena, uint64_t size_bytes,
                                    uint64_t *out_address, struct pto_error *err)
{
    *out_address = 0;
    if (size_bytes > PTO_ARENA_BYTES ||
        size_bytes + 2 * PTO_CACHE_LINE_SIZE > PTO_ARENA_BYTES - arena->used_bytes) {
        return pto_fail(err, PTO_E_NO_MEMORY,
                        "the explorer's device has no room for %llu bytes: %llu of its %llu bytes "
                        "are in use; explore a smaller case",
                        (unsigned long long)size_bytes, (unsigned long long)arena->used_bytes,
                        (unsigned long long)PTO_ARENA_BYTES);
    }
    // Whole lines, and one more that nobody may touch.
    uint64_t rounded =
        (size_bytes + 2 * PTO_CACHE_LINE_SIZE - 1) / PTO_CACHE_LINE_SIZE * PTO_CACHE_LINE_SIZE;
    if (arena->block_count == arena->block_capacity) {
        uint32_t capacity = arena->block_capacity == 0 ? 64 : arena->block_capacity * 2;
        struct pto_arena_block *blocks = realloc(arena->blocks, capacity * sizeof(*blocks));
        if (blocks == NULL) {
            return pto_fail_no_host_memory(err, "the list of device blocks",
                                           capacity * sizeof(*blocks));
        }
        arena->blocks = blocks;
        arena->block_capacity = capacity;
    }
    // The first line is left out, so that no address is zero.
    uint64_t offset = PTO_CACHE_LINE_SIZE;
    uint32_t place = 0;
    while (place < arena->block_count && arena->blocks[place].offset - offset < rounded) {
        offset = arena->blocks[place].offset + arena->blocks[place].size_bytes;
        place++;
    }
    if (offset > PTO_ARENA_BYTES - rounded) {
        return pto_fail(err, PTO_E_NO_MEMORY,
                        "the explorer's device has no %llu bytes in one piece; free blocks, or "
                        "explore a smaller case",
                        (unsigned long long)size_bytes);
    }
    memmove(&arena->blocks[place + 1], &arena->blocks[place],
            (arena->block_count - place) * sizeof(arena->blocks[0]));
    arena->blocks[place] = (struct pto_arena_block){
        .offset = offset, .size_bytes = rounded, .asked_bytes = size_bytes};
    arena->block_count++;
    arena->used_bytes += rounded;
    memset(&arena->written[offset / PTO_CACHE_LINE_SIZE], 0, rounded / PTO_CACHE_LINE_SIZE);
    *out_address = (uint64_t)(uintptr_t)arena->base + offset;
    return PTO_OK;
}

void pto__arena_release(struct pto_arena *arena, uint64_t address)
{
    uint64_t offset = address - (uint64_t)(uintptr_t)arena->base;
    for (uint32_t i = 0; i < arena->block_count; i++) {
        if (arena->blocks[i].offset == offset) {
            arena->used_bytes -= arena->blocks[i].size_bytes;
            arena->block_count--;
            memmove(&arena->blocks[i], &arena->blocks[i + 1],
                    (arena->block_count - i) * sizeof(arena->blocks[0]));
            return;
        }
    }
}

void pto__arena_host_wrote(struct pto_arena *arena, uint64_t address, uint64_t size_bytes)
{
    if (size_bytes != 0) {
        uint64_t first = pto__arena_line(arena, address);
        uint64_t last = pto__arena_line(arena, address + size_bytes - 1);
        memset(&arena->host_written[first], 1, last - first + 1);
        memset(&arena->written[first], 1, last - first + 1);
    }
}
