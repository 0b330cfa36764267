// SPDX-License-Identifier: Apache-2.0
// Device memory. CANN's allocation takes tens of microseconds to milliseconds, so what is freed is
// kept and given out again: small blocks by size class, carved out of chunks; large ones whole.
//
// CANN's rules for memory that is divided up: a piece starts on 64 bytes, and 32 bytes follow its
// size rounded up to 32, because the cores' copy engines read ahead. A chunk of 2 MiB gets huge
// pages.
#include <inttypes.h>
#include <stdlib.h>

#include "ascend/device.h"
#include "base/error.h"

#define CHUNK_BYTES (2u * 1024u * 1024u)
#define SMALL_BYTES_MAX (512u * 1024u)
#define CLASS_COUNT 64u
// Freed large blocks that are kept, and their bytes together.
#define KEPT_COUNT_MAX 32u
#define KEPT_BYTES_MAX (1024ull * 1024ull * 1024ull)
#define LARGE_STEP 65536u
#define SIZE_BYTES_MAX (UINT64_MAX / 4)

// Invariant: count <= total <= capacity, so that giving a piece back cannot fail.
struct size_class {
    uint64_t *free_pieces;
    size_t count;
    size_t total; // pieces ever carved
    size_t capacity;
};

struct kept_block {
    uint64_t address;
    uint64_t size_bytes;
};

struct pto_ascend_pool {
    pthread_mutex_t mutex;
    struct size_class classes[CLASS_COUNT];
    uint64_t *chunks;
    size_t chunk_count;
    size_t chunk_capacity;
    uint64_t carve_address; // the rest of the newest chunk
    uint64_t carve_bytes;
    struct kept_block kept[KEPT_COUNT_MAX]; // oldest first
    uint32_t kept_count;
    uint64_t kept_bytes;
};

static uint64_t round_up(uint64_t value, uint64_t step)
{
    return (value + step - 1) / step * step;
}

// The size that a block of so many bytes takes.
static uint64_t padded(uint64_t size_bytes)
{
    return round_up(round_up(size_bytes, 32) + 32, 64);
}

// Classes are 64, 128, 192, 256, then four to each doubling, so that at most a fifth is wasted.
static uint32_t find_class(uint64_t piece_bytes, uint64_t *out_class_bytes)
{
    if (piece_bytes <= 256) {
        *out_class_bytes = round_up(piece_bytes, 64);
        return (uint32_t)(*out_class_bytes / 64) - 1;
    }
    uint32_t index = 4;
    for (uint64_t base = 256;; base *= 2) {
        for (uint64_t part = 5; part <= 8; part++, index++) {
            if (piece_bytes <= base / 4 * part) {
                *out_class_bytes = base / 4 * part;
                return index;
            }
        }
    }
}

enum pto_status pto__ascend_pool_create(struct pto_ascend_pool **out, struct pto_error *err)
{
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        return pto_fail_no_host_memory(err, "the pool of device memory", sizeof(**out));
    }
    pthread_mutex_init(&(*out)->mutex, NULL);
    return PTO_OK;
}

static void free_whole(struct pto_backend *device, uint64_t address)
{
    if (atomic_load(&device->broken)) {
        return; // the reset frees it, and the call might not return
    }
    if (PTO_CALL(device->cann, aclrtFree, (void *)(uintptr_t)address) != PTO_CANN_OK) {
        atomic_store(&device->broken, 1);
    }
}

// Gives the kept large blocks back to CANN.
static void drop_kept(struct pto_backend *device, struct pto_ascend_pool *pool)
{
    for (uint32_t i = 0; i < pool->kept_count; i++) {
        free_whole(device, pool->kept[i].address);
    }
    pool->kept_count = 0;
    pool->kept_bytes = 0;
}

void pto__ascend_pool_empty(struct pto_backend *device)
{
    struct pto_ascend_pool *pool = device->pool;
    if (pool == NULL) {
        return;
    }
    drop_kept(device, pool);
    for (size_t i = 0; i < pool->chunk_count; i++) {
        free_whole(device, pool->chunks[i]);
    }
    pool->chunk_count = 0;
}

void pto__ascend_pool_destroy(struct pto_ascend_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    for (uint32_t i = 0; i < CLASS_COUNT; i++) {
        free(pool->classes[i].free_pieces);
    }
    free(pool->chunks);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

// What the device says it has left. 0: it does not say.
static int read_free_bytes(const struct pto_backend *device, uint64_t *free_bytes,
                           uint64_t *total_bytes)
{
    size_t free_size = 0;
    size_t total_size = 0;
    if (device->cann->aclrtGetMemInfo == NULL ||
        PTO_CALL(device->cann, aclrtGetMemInfo, PTO_CANN_MEM_ATTR_HBM, &free_size, &total_size) !=
            PTO_CANN_OK) {
        return 0;
    }
    *free_bytes = free_size;
    *total_bytes = total_size;
    return 1;
}

static enum pto_status fail_allocation(struct pto_backend *device, uint64_t size_bytes,
                                       int32_t code, struct pto_error *err)
{
    struct pto_error cause;
    uint64_t free_bytes = 0;
    uint64_t total_bytes = 0;
    enum pto_status status =
        pto__ascend_fail(device, &cause, code, "aclrtMalloc", "the allocation");
    if (status != PTO_E_NO_MEMORY || !read_free_bytes(device, &free_bytes, &total_bytes)) {
        pto_fail(err, status, "device %d did not allocate %" PRIu64 " bytes: %s",
                 (int)device->device_id, size_bytes, cause.message);
    } else if (size_bytes <= free_bytes / 2) {
        // CANN gives the same code for a device that died earlier.
        atomic_store(&device->broken, 1);
        status = pto_fail(err, PTO_E_DEVICE,
                          "device %d did not allocate %" PRIu64 " bytes, though %" PRIu64
                          " are free, so it is not memory that it lacks: %s",
                          (int)device->device_id, size_bytes, free_bytes, cause.message);
    } else {
        pto_fail(err, status,
                 "device %d has no room for %" PRIu64 " bytes: %" PRIu64 " of its %" PRIu64
                 " bytes are free; %s",
                 (int)device->device_id, size_bytes, free_bytes, total_bytes, cause.message);
    }
    if (err != NULL) {
        err->vendor_code = code;
    }
    return status;
}

// From CANN, after giving back what is kept if it must be.
static enum pto_status allocate_whole(struct pto_backend *device, uint64_t size_bytes,
                                      uint64_t *out_address, struct pto_error *err)
{
    void *address = NULL;
    int32_t code =
        PTO_CALL(device->cann, aclrtMalloc, &address, size_bytes, PTO_CANN_MEM_HUGE_FIRST);
    if ((code == PTO_CANN_MEMORY_ALLOCATION || code == PTO_CANN_DEVICE_OOM) &&
        device->pool->kept_count != 0) {
        drop_kept(device, device->pool);
        code = PTO_CALL(device->cann, aclrtMalloc, &address, size_bytes, PTO_CANN_MEM_HUGE_FIRST);
    }
    if (code != PTO_CANN_OK) {
        return fail_allocation(device, size_bytes, code, err);
    }
    *out_address = (uint64_t)(uintptr_t)address;
    return PTO_OK;
}

static int take_large(struct pto_ascend_pool *pool, uint64_t size_bytes, uint64_t *out_address)
{
    for (uint32_t i = 0; i < pool->kept_count; i++) {
        if (pool->kept[i].size_bytes == size_bytes) {
            *out_address = pool->kept[i].address;
            pool->kept_bytes -= size_bytes;
            pool->kept_count--;
            for (; i < pool->kept_count; i++) {
                pool->kept[i] = pool->kept[i + 1];
            }
            return 1;
        }
    }
    return 0;
}

static int put_large(struct pto_ascend_pool *pool, uint64_t address, uint64_t size_bytes)
{
    if (pool->kept_count == KEPT_COUNT_MAX || size_bytes > KEPT_BYTES_MAX - pool->kept_bytes) {
        return 0;
    }
    pool->kept[pool->kept_count] = (struct kept_block){address, size_bytes};
    pool->kept_count++;
    pool->kept_bytes += size_bytes;
    return 1;
}

static void release_large(struct pto_backend *device, uint64_t address, uint64_t size_bytes)
{
    struct pto_ascend_pool *pool = device->pool;
    if (size_bytes > KEPT_BYTES_MAX) {
        free_whole(device, address);
        return;
    }
    while (!put_large(pool, address, size_bytes)) {
        free_whole(device, pool->kept[0].address);
        pool->kept_bytes -= pool->kept[0].size_bytes;
        pool->kept_count--;
        for (uint32_t i = 0; i < pool->kept_count; i++) {
            pool->kept[i] = pool->kept[i + 1];
        }
    }
}

// Makes `*items` hold one more than `count`.
static enum pto_status make_place(uint64_t **items, size_t *capacity, size_t count,
                                  struct pto_error *err)
{
    if (count < *capacity) {
        return PTO_OK;
    }
    size_t grown = *capacity == 0 ? 16 : *capacity * 2;
    uint64_t *moved = realloc(*items, grown * sizeof(**items));
    if (moved == NULL) {
        return pto_fail_no_host_memory(err, "a list of device blocks", grown * sizeof(**items));
    }
    *items = moved;
    *capacity = grown;
    return PTO_OK;
}

static enum pto_status add_chunk(struct pto_backend *device, struct pto_error *err)
{
    struct pto_ascend_pool *pool = device->pool;
    uint64_t address = 0;
    enum pto_status status =
        make_place(&pool->chunks, &pool->chunk_capacity, pool->chunk_count, err);
    if (status == PTO_OK) {
        status = allocate_whole(device, CHUNK_BYTES, &address, err);
    }
    if (status == PTO_OK) {
        pool->chunks[pool->chunk_count] = address;
        pool->chunk_count++;
        pool->carve_address = address;
        pool->carve_bytes = CHUNK_BYTES;
    }
    return status;
}

// A piece of what the pool has. *out_address stays 0 when it has none.
static enum pto_status take_small(struct pto_ascend_pool *pool, uint64_t piece_bytes,
                                  uint64_t *out_address, struct pto_error *err)
{
    uint64_t class_bytes;
    struct size_class *size_class = &pool->classes[find_class(piece_bytes, &class_bytes)];
    if (size_class->count != 0) {
        size_class->count--;
        *out_address = size_class->free_pieces[size_class->count];
        return PTO_OK;
    }
    enum pto_status status =
        make_place(&size_class->free_pieces, &size_class->capacity, size_class->total, err);
    if (status == PTO_OK && pool->carve_bytes >= class_bytes) {
        *out_address = pool->carve_address;
        pool->carve_address += class_bytes;
        pool->carve_bytes -= class_bytes;
        size_class->total++;
    }
    return status;
}

static enum pto_status allocate_small(struct pto_backend *device, uint64_t piece_bytes,
                                      uint64_t *out_address, struct pto_error *err)
{
    enum pto_status status = take_small(device->pool, piece_bytes, out_address, err);
    if (status == PTO_OK && *out_address == 0) {
        status = add_chunk(device, err);
        if (status == PTO_OK) {
            status = take_small(device->pool, piece_bytes, out_address, err);
        }
    }
    return status;
}

int pto__ascend_pool_take(struct pto_backend *device, uint64_t size_bytes, uint64_t *out_address)
{
    struct pto_ascend_pool *pool = device->pool;
    *out_address = 0;
    // Taken while CANN is asked for more.
    if (size_bytes > SIZE_BYTES_MAX || pthread_mutex_trylock(&pool->mutex) != 0) {
        return 0;
    }
    uint64_t piece_bytes = padded(size_bytes);
    int found = piece_bytes <= SMALL_BYTES_MAX
                    ? take_small(pool, piece_bytes, out_address, NULL) == PTO_OK
                    : take_large(pool, round_up(size_bytes, LARGE_STEP), out_address);
    pthread_mutex_unlock(&pool->mutex);
    return found && *out_address != 0;
}

enum pto_status pto__ascend_allocate(struct pto_backend *device, uint64_t size_bytes,
                                     uint64_t *out_address, struct pto_error *err)
{
    *out_address = 0;
    if (size_bytes > SIZE_BYTES_MAX) {
        return pto_fail(err, PTO_E_NO_MEMORY,
                        "device %d has no room for %" PRIu64 " bytes; ask for less",
                        (int)device->device_id, size_bytes);
    }
    struct pto_ascend_pool *pool = device->pool;
    uint64_t piece_bytes = padded(size_bytes);
    uint64_t large_bytes = round_up(size_bytes, LARGE_STEP);
    enum pto_status status = PTO_OK;
    pthread_mutex_lock(&pool->mutex);
    if (piece_bytes <= SMALL_BYTES_MAX) {
        status = allocate_small(device, piece_bytes, out_address, err);
    } else if (!take_large(pool, large_bytes, out_address)) {
        status = allocate_whole(device, large_bytes, out_address, err);
    }
    pthread_mutex_unlock(&pool->mutex);
    return status;
}

// Locked.
static void put_small(struct pto_ascend_pool *pool, uint64_t address, uint64_t piece_bytes)
{
    uint64_t class_bytes;
    struct size_class *size_class = &pool->classes[find_class(piece_bytes, &class_bytes)];
    size_class->free_pieces[size_class->count] = address;
    size_class->count++;
}

int pto__ascend_pool_put(struct pto_backend *device, uint64_t address, uint64_t size_bytes)
{
    struct pto_ascend_pool *pool = device->pool;
    uint64_t piece_bytes = padded(size_bytes);
    int is_kept = 1;
    if (pthread_mutex_trylock(&pool->mutex) != 0) {
        return 0;
    }
    if (piece_bytes <= SMALL_BYTES_MAX) {
        put_small(pool, address, piece_bytes);
    } else {
        is_kept = put_large(pool, address, round_up(size_bytes, LARGE_STEP));
    }
    pthread_mutex_unlock(&pool->mutex);
    return is_kept;
}

void pto__ascend_release(struct pto_backend *device, uint64_t address, uint64_t size_bytes)
{
    uint64_t piece_bytes = padded(size_bytes);
    pthread_mutex_lock(&device->pool->mutex);
    if (piece_bytes <= SMALL_BYTES_MAX) {
        put_small(device->pool, address, piece_bytes);
    } else {
        release_large(device, address, round_up(size_bytes, LARGE_STEP));
    }
    pthread_mutex_unlock(&device->pool->mutex);
}
