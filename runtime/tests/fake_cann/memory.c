// SPDX-License-Identifier: Apache-2.0
// Device memory: first fit, 64-byte aligned, with gaps, and full of a value that is no plausible
// one.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/fake_cann/state.h"

#define ALIGNMENT 512u
#define GAP 4096u
#define UNWRITTEN 0xa5
#define FILL_BYTES_MAX (4u << 20)

int fake_memory_allocate(struct fake_device *device, uint64_t size_bytes, uint64_t *out_address)
{
    if (size_bytes == 0) {
        return FAKE_INVALID_PARAM;
    }
    if (size_bytes > FAKE_CAPACITY_BYTES - device->block_bytes) {
        fake_say("EL0004: the device has no memory of %llu bytes\n",
                 (unsigned long long)size_bytes);
        return PTO_CANN_MEMORY_ALLOCATION;
    }
    uint64_t taken = (size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GAP;
    uint64_t address = device->base + GAP;
    struct fake_block **place = &device->blocks;
    while (*place != NULL && (*place)->address - address < taken) {
        address = (*place)->address +
                  ((*place)->size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GAP;
        place = &(*place)->next;
    }
    struct fake_block *block = malloc(sizeof(*block));
    if (block == NULL || address + taken > device->base + FAKE_MEMORY_BYTES) {
        free(block);
        return PTO_CANN_MEMORY_ALLOCATION;
    }
    *block = (struct fake_block){.address = address, .size_bytes = size_bytes, .next = *place};
    *place = block;
    device->block_bytes += size_bytes;
    fake_stats.device_blocks++;
    memset(device->alias + (address - device->base), UNWRITTEN,
           size_bytes < FILL_BYTES_MAX ? size_bytes : FILL_BYTES_MAX);
    *out_address = address;
    return 0;
}

static void drop(struct fake_device *device, struct fake_block **place)
{
    struct fake_block *block = *place;
    *place = block->next;
    device->block_bytes -= block->size_bytes;
    fake_stats.device_blocks--;
    free(block);
}

int fake_memory_free(struct fake_device *device, uint64_t address)
{
    struct fake_block **place = &device->blocks;
    while (*place != NULL && (*place)->address != address) {
        place = &(*place)->next;
    }
    if (*place == NULL) {
        fake_say("EE1003: 0x%llx is no allocated block\n", (unsigned long long)address);
        return FAKE_INVALID_PARAM;
    }
    // Whole pages go back to the system.
    uint64_t first = (address - device->base + 4095) / 4096 * 4096;
    uint64_t end = (address - device->base + (*place)->size_bytes) / 4096 * 4096;
    if (end > first) {
        madvise(device->alias + first, end - first, MADV_REMOVE);
    }
    drop(device, place);
    return 0;
}

void fake_memory_clear(struct fake_device *device)
{
    while (device->blocks != NULL) {
        drop(device, &device->blocks);
    }
}

uint8_t *fake_memory_at(struct fake_device *device, uint64_t address, uint64_t size_bytes)
{
    for (struct fake_block *block = device->blocks; block != NULL; block = block->next) {
        if (address >= block->address && address - block->address <= block->size_bytes &&
            size_bytes <= block->size_bytes - (address - block->address)) {
            return device->alias + (address - device->base);
        }
    }
    return NULL;
}
