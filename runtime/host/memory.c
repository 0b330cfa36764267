// SPDX-License-Identifier: Apache-2.0
// The ledger: live blocks by address, the order they were added in, and what was freed lately.
//
// Live blocks lie in chunks, each sorted and of bounded size, under a sorted index of the chunks'
// first addresses. So adding and removing move a few KiB whatever the number of blocks, and a
// search touches the small index and one chunk. Nothing that takes a const ledger writes to it:
// checks may run at the same time as each other.
#include "host/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "host/ledger.h"
#include "host/written.h"

// A pointer this close to the end of a block was most likely meant for it.
#define NEAR_BYTES 65536u

// Where a block lies. `index` may be one past the chunk's last block when it is a place to insert.
struct place {
    uint32_t chunk;
    uint32_t index;
};

// How many of `count` ascending addresses are <= pointer. Written so that the steps need no
// branch on what was read: mispredicted, those would be most of a search's time.
static uint32_t count_up_to(const uint64_t *addresses, uint32_t count, uint64_t pointer)
{
    uint32_t low = 0;
    while (count > 0) {
        uint32_t half = (count + 1) / 2;
        low += half * (uint32_t)(addresses[low + half - 1] <= pointer);
        count -= half;
    }
    return low;
}

// Finds the block with the highest address <= pointer. Returns 0 when there is none.
static int find_at_or_below(const struct pto_ledger *ledger, uint64_t pointer,
                            struct place *out_place)
{
    uint32_t chunks = count_up_to(ledger->first, ledger->chunk_count, pointer);
    if (chunks == 0) {
        return 0;
    }
    const struct pto_ledger_chunk *chunk = ledger->chunk[chunks - 1];
    out_place->chunk = chunks - 1;
    out_place->index = count_up_to(chunk->address, chunk->count, pointer) - 1;
    return 1;
}

static struct pto_ledger_block block_at(const struct pto_ledger *ledger, struct place place)
{
    const struct pto_ledger_chunk *chunk = ledger->chunk[place.chunk];
    return (struct pto_ledger_block){.address = chunk->address[place.index],
                                     .size_bytes = chunk->block[place.index].size_bytes};
}

static int is_live(const struct pto_ledger *ledger, const struct pto_ledger_addition *addition)
{
    struct place place;
    if (!find_at_or_below(ledger, addition->address, &place)) {
        return 0;
    }
    const struct pto_ledger_chunk *chunk = ledger->chunk[place.chunk];
    return chunk->address[place.index] == addition->address &&
           chunk->block[place.index].serial == addition->serial;
}

enum pto_status pto__ledger_create(struct pto_ledger **out, struct pto_error *err)
{
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        return pto_fail_no_host_memory(err, "the ledger of device memory", sizeof(**out));
    }
    return PTO_OK;
}

void pto__ledger_destroy(struct pto_ledger *ledger)
{
    if (ledger == NULL) {
        return;
    }
    for (uint32_t i = 0; i < ledger->chunk_count; i++) {
        for (uint32_t k = 0; k < ledger->chunk[i]->count; k++) {
            pto__written_free(ledger->chunk[i]->block[k].written);
        }
        free(ledger->chunk[i]);
    }
    free(ledger->spare);
    free(ledger->chunk);
    free(ledger->first);
    free(ledger->additions);
    free(ledger);
}

// Drops the additions whose blocks were removed.
static void compact_additions(struct pto_ledger *ledger)
{
    size_t kept = 0;
    for (size_t i = 0; i < ledger->addition_count; i++) {
        if (is_live(ledger, &ledger->additions[i])) {
            ledger->additions[kept] = ledger->additions[i];
            kept++;
        }
    }
    ledger->addition_count = kept;
}

static enum pto_status reserve_addition(struct pto_ledger *ledger, struct pto_error *err)
{
    if (ledger->addition_count < ledger->addition_capacity) {
        return PTO_OK;
    }
    // Compacting only when at least half goes away keeps its cost per addition constant.
    if (ledger->addition_count > 0 && ledger->block_count <= ledger->addition_count / 2) {
        compact_additions(ledger);
        return PTO_OK;
    }
    size_t capacity = ledger->addition_capacity == 0 ? 64 : ledger->addition_capacity * 2;
    struct pto_ledger_addition *additions =
        realloc(ledger->additions, capacity * sizeof(ledger->additions[0]));
    if (additions == NULL) {
        return pto_fail_no_host_memory(err, "the list of device blocks",
                                       capacity * sizeof(ledger->additions[0]));
    }
    ledger->additions = additions;
    ledger->addition_capacity = capacity;
    return PTO_OK;
}

static enum pto_status reserve_chunk(struct pto_ledger *ledger, struct pto_error *err)
{
    if (ledger->chunk_count == ledger->chunk_capacity) {
        uint32_t capacity = ledger->chunk_capacity == 0 ? 16 : ledger->chunk_capacity * 2;
        uint64_t *first = realloc(ledger->first, capacity * sizeof(ledger->first[0]));
        if (first == NULL) {
            return pto_fail_no_host_memory(err, "the index of device blocks",
                                           capacity * sizeof(ledger->first[0]));
        }
        ledger->first = first;
        struct pto_ledger_chunk **chunk =
            realloc(ledger->chunk, capacity * sizeof(ledger->chunk[0]));
        if (chunk == NULL) {
            return pto_fail_no_host_memory(err, "the index of device blocks",
                                           capacity * sizeof(ledger->chunk[0]));
        }
        ledger->chunk = chunk;
        ledger->chunk_capacity = capacity;
    }
    if (ledger->spare == NULL) {
        ledger->spare = malloc(sizeof(*ledger->spare));
        if (ledger->spare == NULL) {
            return pto_fail_no_host_memory(err, "a list of device blocks",
                                           sizeof(*ledger->spare));
        }
    }
    return PTO_OK;
}

enum pto_status pto__ledger_reserve(struct pto_ledger *ledger, struct pto_error *err)
{
    enum pto_status status = reserve_addition(ledger, err);
    if (status != PTO_OK) {
        return status;
    }
    return reserve_chunk(ledger, err);
}

// Puts the spare chunk into the index at position `at`.
static struct pto_ledger_chunk *insert_spare(struct pto_ledger *ledger, uint32_t at)
{
    struct pto_ledger_chunk *chunk = ledger->spare;
    assert(chunk != NULL && ledger->chunk_count < ledger->chunk_capacity);
    ledger->spare = NULL;
    size_t behind = ledger->chunk_count - at;
    memmove(&ledger->first[at + 1], &ledger->first[at], behind * sizeof(ledger->first[0]));
    memmove(&ledger->chunk[at + 1], &ledger->chunk[at], behind * sizeof(ledger->chunk[0]));
    ledger->chunk[at] = chunk;
    ledger->chunk_count++;
    chunk->count = 0;
    return chunk;
}

// Makes room in a full chunk for a block at place.index by moving its upper part to a chunk of its
// own; returns where the block goes now. Blocks mostly come in ascending order, so a block for the
// very end starts a chunk and leaves the full one full.
static struct place split(struct pto_ledger *ledger, struct place place)
{
    struct pto_ledger_chunk *lower = ledger->chunk[place.chunk];
    struct pto_ledger_chunk *upper = insert_spare(ledger, place.chunk + 1);
    uint32_t keep = place.index == lower->count ? lower->count : lower->count / 2;
    uint32_t moved = lower->count - keep;
    memcpy(upper->address, &lower->address[keep], moved * sizeof(upper->address[0]));
    memcpy(upper->block, &lower->block[keep], moved * sizeof(upper->block[0]));
    upper->count = moved;
    lower->count = keep;
    if (moved > 0) {
        ledger->first[place.chunk + 1] = upper->address[0];
    }
    if (place.index >= keep) {
        place.chunk++;
        place.index -= keep;
    }
    return place;
}

static struct place place_for(struct pto_ledger *ledger, uint64_t address, uint64_t size_bytes)
{
    struct place place = {0, 0};
    if (find_at_or_below(ledger, address, &place)) {
        assert(address - block_at(ledger, place).address >= block_at(ledger, place).size_bytes);
        place.index++;
    } else if (ledger->chunk_count == 0) {
        insert_spare(ledger, 0);
    }
    // The next block in address order must not be overlapped either.
    const struct pto_ledger_chunk *chunk = ledger->chunk[place.chunk];
    if (place.index < chunk->count) {
        assert(chunk->address[place.index] - address >= size_bytes);
    } else if (place.chunk + 1 < ledger->chunk_count) {
        assert(ledger->first[place.chunk + 1] - address >= size_bytes);
    }
    (void)size_bytes; // read by asserts only
    return chunk->count == PTO_LEDGER_CHUNK_CAPACITY ? split(ledger, place) : place;
}

void pto__ledger_add(struct pto_ledger *ledger, uint64_t address, uint64_t size_bytes)
{
    assert(address != 0 && size_bytes != 0 && address <= UINT64_MAX - size_bytes);
    assert(ledger->addition_count < ledger->addition_capacity);
    struct place place = place_for(ledger, address, size_bytes);
    struct pto_ledger_chunk *chunk = ledger->chunk[place.chunk];
    uint32_t at = place.index;
    size_t behind = chunk->count - at;
    memmove(&chunk->address[at + 1], &chunk->address[at], behind * sizeof(chunk->address[0]));
    memmove(&chunk->block[at + 1], &chunk->block[at], behind * sizeof(chunk->block[0]));
    chunk->address[at] = address;
    chunk->block[at] =
        (struct pto_ledger_item){.size_bytes = size_bytes, .serial = ledger->next_serial};
    chunk->count++;
    ledger->first[place.chunk] = chunk->address[0];
    ledger->additions[ledger->addition_count] =
        (struct pto_ledger_addition){.address = address, .serial = ledger->next_serial};
    ledger->addition_count++;
    ledger->next_serial++;
    ledger->block_count++;
    ledger->block_bytes += size_bytes;
    ledger->generation++;
}

static struct pto_ledger_block strike_out(struct pto_ledger *ledger, struct place place)
{
    struct pto_ledger_block block = block_at(ledger, place);
    struct pto_ledger_chunk *chunk = ledger->chunk[place.chunk];
    uint32_t at = place.index;
    pto__written_free(chunk->block[at].written);
    chunk->count--;
    size_t behind = chunk->count - at;
    memmove(&chunk->address[at], &chunk->address[at + 1], behind * sizeof(chunk->address[0]));
    memmove(&chunk->block[at], &chunk->block[at + 1], behind * sizeof(chunk->block[0]));
    if (chunk->count > 0) {
        ledger->first[place.chunk] = chunk->address[0];
    } else {
        ledger->chunk_count--;
        behind = ledger->chunk_count - place.chunk;
        memmove(&ledger->first[place.chunk], &ledger->first[place.chunk + 1],
                behind * sizeof(ledger->first[0]));
        memmove(&ledger->chunk[place.chunk], &ledger->chunk[place.chunk + 1],
                behind * sizeof(ledger->chunk[0]));
        free(chunk);
    }
    ledger->freed[ledger->freed_count % PTO_LEDGER_FREED_CAPACITY] = block;
    ledger->freed_count++;
    ledger->block_count--;
    ledger->block_bytes -= block.size_bytes;
    ledger->generation++;
    return block;
}

// Finds the range freed last that holds the pointer. NULL when none is remembered.
static const struct pto_ledger_block *find_freed(const struct pto_ledger *ledger, uint64_t pointer)
{
    uint64_t known =
        ledger->freed_count < PTO_LEDGER_FREED_CAPACITY ? ledger->freed_count
                                                        : PTO_LEDGER_FREED_CAPACITY;
    for (uint64_t age = 1; age <= known; age++) {
        const struct pto_ledger_block *block =
            &ledger->freed[(ledger->freed_count - age) % PTO_LEDGER_FREED_CAPACITY];
        if (pointer - block->address < block->size_bytes) {
            return block;
        }
    }
    return NULL;
}

// Explains a pointer that lies in no live block. `context` begins the message.
static enum pto_status fail_not_live(const struct pto_ledger *ledger, uint64_t pointer,
                                     const char *context, struct pto_error *err)
{
    if (pointer == 0) {
        return pto_fail(err, PTO_E_POINTER,
                        "%s: the pointer is 0; pass an address inside a block of device memory "
                        "that was allocated from this runner", context);
    }
    const struct pto_ledger_block *freed = find_freed(ledger, pointer);
    if (freed != NULL) {
        return pto_fail(err, PTO_E_POINTER,
                        "%s: 0x%" PRIx64 " was freed: it lies %" PRIu64 " bytes into a block of %"
                        PRIu64 " bytes at 0x%" PRIx64 " that is no longer allocated; keep a block "
                        "allocated while it is in use", context, pointer,
                        pointer - freed->address, freed->size_bytes, freed->address);
    }
    struct place place;
    if (find_at_or_below(ledger, pointer, &place)) {
        struct pto_ledger_block below = block_at(ledger, place);
        uint64_t past = pointer - below.address - below.size_bytes;
        if (past < NEAR_BYTES) {
            return pto_fail(err, PTO_E_POINTER,
                            "%s: 0x%" PRIx64 " lies %" PRIu64 " bytes past the end of the block of "
                            "%" PRIu64 " bytes at 0x%" PRIx64 "; allocate a larger block, or "
                            "correct the offset", context, pointer, past, below.size_bytes,
                            below.address);
        }
    }
    return pto_fail(err, PTO_E_POINTER,
                    "%s: 0x%" PRIx64 " is unknown: it lies in none of the %" PRIu64 " live blocks "
                    "of this runner; pass an address inside a block of device memory that was "
                    "allocated from it", context, pointer, ledger->block_count);
}

enum pto_status pto__ledger_remove(struct pto_ledger *ledger, uint64_t pointer,
                                   uint64_t *out_size_bytes, struct pto_error *err)
{
    static const char context[] = "cannot free device memory";
    struct place place;
    if (find_at_or_below(ledger, pointer, &place)) {
        struct pto_ledger_block block = block_at(ledger, place);
        if (pointer == block.address) {
            *out_size_bytes = strike_out(ledger, place).size_bytes;
            return PTO_OK;
        }
        if (pointer - block.address < block.size_bytes) {
            return pto_fail(err, PTO_E_POINTER,
                            "%s: 0x%" PRIx64 " lies %" PRIu64 " bytes into the block of %" PRIu64
                            " bytes at 0x%" PRIx64 "; free a block by its start", context, pointer,
                            pointer - block.address, block.size_bytes, block.address);
        }
    }
    const struct pto_ledger_block *freed = find_freed(ledger, pointer);
    if (freed != NULL && freed->address == pointer) {
        return pto_fail(err, PTO_E_POINTER,
                        "%s: 0x%" PRIx64 " was freed before (a block of %" PRIu64 " bytes); free "
                        "each block once", context, pointer, freed->size_bytes);
    }
    return fail_not_live(ledger, pointer, context, err);
}

int pto__ledger_find(const struct pto_ledger *ledger, uint64_t pointer,
                     struct pto_ledger_block *out_block)
{
    struct place place;
    if (!find_at_or_below(ledger, pointer, &place)) {
        return 0;
    }
    *out_block = block_at(ledger, place);
    return pointer - out_block->address < out_block->size_bytes;
}

enum pto_status pto__ledger_check(const struct pto_ledger *ledger, uint64_t pointer,
                                  uint64_t size_bytes, const char *what, struct pto_error *err)
{
    struct place place;
    if (!find_at_or_below(ledger, pointer, &place)) {
        return fail_not_live(ledger, pointer, what, err);
    }
    struct pto_ledger_block block = block_at(ledger, place);
    uint64_t offset = pointer - block.address;
    if (offset > block.size_bytes || (offset == block.size_bytes && size_bytes > 0)) {
        return fail_not_live(ledger, pointer, what, err);
    }
    uint64_t room = block.size_bytes - offset;
    if (size_bytes > room) {
        return pto_fail(err, PTO_E_POINTER,
                        "%s: %" PRIu64 " bytes from 0x%" PRIx64 " run %" PRIu64 " bytes past the "
                        "end of the block of %" PRIu64 " bytes at 0x%" PRIx64 "; %" PRIu64
                        " bytes are left from there: use fewer, or allocate a larger block",
                        what, size_bytes, pointer, size_bytes - room, block.size_bytes,
                        block.address, room);
    }
    return PTO_OK;
}

void pto__ledger_note_written(struct pto_ledger *ledger, uint64_t pointer, uint64_t size_bytes)
{
    struct place place;
    if (find_at_or_below(ledger, pointer, &place)) {
        struct pto_ledger_chunk *chunk = ledger->chunk[place.chunk];
        uint64_t begin = pointer - chunk->address[place.index];
        pto__written_add(&chunk->block[place.index].written, begin, begin + size_bytes);
    }
}

int pto__ledger_pop(struct pto_ledger *ledger, uint64_t *out_address, uint64_t *out_size_bytes)
{
    while (ledger->addition_count > 0) {
        struct pto_ledger_addition last = ledger->additions[ledger->addition_count - 1];
        ledger->addition_count--;
        struct place place;
        if (is_live(ledger, &last) && find_at_or_below(ledger, last.address, &place)) {
            struct pto_ledger_block block = strike_out(ledger, place);
            *out_address = block.address;
            *out_size_bytes = block.size_bytes;
            return 1;
        }
    }
    return 0;
}

uint64_t pto__ledger_block_count(const struct pto_ledger *ledger)
{
    return ledger->block_count;
}

uint64_t pto__ledger_block_bytes(const struct pto_ledger *ledger)
{
    return ledger->block_bytes;
}

uint64_t pto__ledger_generation(const struct pto_ledger *ledger)
{
    return ledger->generation;
}
