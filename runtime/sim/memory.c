// SPDX-License-Identifier: Apache-2.0
// The simulated device's memory: host memory, up to what an A2 device has.
//
// With PTO_SIM_GUARD=1 each block lies between two pages that nobody may touch, its end as close to
// the second as its alignment allows, and starts out filled with 0xA5. A kernel that runs past its
// block then faults there and then, and the run says which task it was.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/pages.h"
#include "sim/device.h"

#define CAPACITY_BYTES (64ull << 30)
#define ALIGNMENT ((uint64_t)PTO_CACHE_LINE_SIZE)
#define UNWRITTEN 0xA5

#if !defined(MAP_ANONYMOUS)
#define MAP_ANONYMOUS MAP_ANON
#endif

struct pto_sim_memory {
    pthread_mutex_t mutex; // guards used_bytes
    uint64_t used_bytes;
    uint64_t page_size;
    bool guarded;
};

enum pto_status pto__sim_memory_create(struct pto_sim_memory **out, struct pto_error *err)
{
    *out = NULL;
    struct pto_sim_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return pto_fail_no_host_memory(err, "the simulator's memory", sizeof(*memory));
    }
    pthread_mutex_init(&memory->mutex, NULL);
    memory->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
    const char *guard = getenv("PTO_SIM_GUARD");
    memory->guarded = guard != NULL && strcmp(guard, "") != 0 && strcmp(guard, "0") != 0;
    *out = memory;
    return PTO_OK;
}

void pto__sim_memory_destroy(struct pto_sim_memory *memory)
{
    if (memory != NULL) {
        pthread_mutex_destroy(&memory->mutex);
        free(memory);
    }
}

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

// Pages between the guards for a block of this size.
static uint64_t guarded_bytes(const struct pto_sim_memory *memory, uint64_t size_bytes)
{
    return round_up(round_up(size_bytes, ALIGNMENT), memory->page_size);
}

static void *allocate_guarded(const struct pto_sim_memory *memory, uint64_t size_bytes)
{
    uint64_t inner = guarded_bytes(memory, size_bytes);
    uint64_t page = memory->page_size;
    uint8_t *base = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }
    if (mprotect(base + page, inner, PROT_READ | PROT_WRITE) != 0) {
        munmap(base, inner + 2 * page);
        return NULL;
    }
    uint8_t *block = base + page + inner - round_up(size_bytes, ALIGNMENT);
    memset(base + page, UNWRITTEN, inner);
    return block;
}

static bool claim(struct pto_sim_memory *memory, uint64_t size_bytes, uint64_t *used_bytes)
{
    pthread_mutex_lock(&memory->mutex);
    *used_bytes = memory->used_bytes;
    bool fits = size_bytes <= CAPACITY_BYTES - memory->used_bytes;
    if (fits) {
        memory->used_bytes += size_bytes;
    }
    pthread_mutex_unlock(&memory->mutex);
    return fits;
}

static void disclaim(struct pto_sim_memory *memory, uint64_t size_bytes)
{
    pthread_mutex_lock(&memory->mutex);
    memory->used_bytes -= size_bytes;
    pthread_mutex_unlock(&memory->mutex);
}

enum pto_status pto__sim_memory_allocate(struct pto_sim_memory *memory, uint64_t size_bytes,
                                         uint64_t *out_address, struct pto_error *err)
{
    uint64_t used_bytes;
    *out_address = 0;
    if (!claim(memory, size_bytes, &used_bytes)) {
        return pto_fail(err, PTO_E_NO_MEMORY,
                        "the simulated device has no room for %llu bytes: %llu of its %llu bytes "
                        "are in use; free blocks, or ask for less",
                        (unsigned long long)size_bytes, (unsigned long long)used_bytes,
                        (unsigned long long)CAPACITY_BYTES);
    }
    void *block = NULL;
    if (memory->guarded) {
        block = allocate_guarded(memory, size_bytes);
    } else {
        uint64_t alignment = size_bytes < PTO_LARGE_MEMORY_BYTES ? ALIGNMENT : PTO_LARGE_PAGE_BYTES;
        if (posix_memalign(&block, alignment, round_up(size_bytes, ALIGNMENT)) != 0) {
            block = NULL;
        }
        pto__prefer_large_pages(block, size_bytes);
    }
    if (block == NULL) {
        disclaim(memory, size_bytes);
        return pto_fail(err, PTO_E_NO_MEMORY,
                        "this machine has no memory for a simulated device block of %llu bytes; "
                        "free blocks, or ask for less",
                        (unsigned long long)size_bytes);
    }
    *out_address = (uint64_t)(uintptr_t)block;
    return PTO_OK;
}

void pto__sim_memory_release(struct pto_sim_memory *memory, uint64_t address, uint64_t size_bytes)
{
    uint8_t *block = (uint8_t *)(uintptr_t)address;
    if (memory->guarded) {
        uint64_t inner = guarded_bytes(memory, size_bytes);
        uint8_t *base = block + round_up(size_bytes, ALIGNMENT) - inner - memory->page_size;
        munmap(base, inner + 2 * memory->page_size);
    } else {
        free(block);
    }
    disclaim(memory, size_bytes);
}
