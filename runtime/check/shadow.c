// SPDX-License-Identifier: Apache-2.0
// The checker's life, and the shadows of blocks.
#include "check/shadow.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "host/written.h"

#define LINE PTO_CACHE_LINE_SIZE
#define ALL_BITS UINT64_MAX

// Cells of larger blocks are mapped, for what is touched alone to take memory, and mapped anew for
// each run instead of being cleared.
#define CLEAR_BYTES_MAX 65536u

enum pto_status pto__checker_create(struct pto_checker **out, struct pto_error *err)
{
    struct pto_checker *checker = calloc(1, sizeof(*checker));
    *out = NULL;
    if (checker != NULL) {
        checker->keys = calloc(PTO_CHECK_KEY_COUNT, sizeof(*checker->keys));
        checker->places = calloc(PTO_CHECK_KEY_COUNT, sizeof(*checker->places));
    }
    if (checker == NULL || checker->keys == NULL || checker->places == NULL) {
        pto__checker_destroy(checker);
        return pto_fail_no_host_memory(err, "the checks of kernels", sizeof(*checker));
    }
    checker->hooks.task = pto__checker_task;
    checker->hooks.access = pto__checker_access;
    checker->task = PTO_NO_TASK;
    *out = checker;
    return PTO_OK;
}

static uint64_t line_count(const struct pto_check_block *block)
{
    return (block->size_bytes + LINE - 1) / LINE;
}

static uint64_t cell_bytes(const struct pto_check_block *block)
{
    return line_count(block) * LINE * sizeof(*block->cells);
}

static void make_cells(struct pto_check_block *block)
{
    uint64_t size_bytes = cell_bytes(block);
    if (size_bytes <= CLEAR_BYTES_MAX) {
        block->cells = calloc(1, size_bytes);
        return;
    }
    block->cells = pto__map_zeros(NULL, size_bytes);
}

static void drop_cells(struct pto_check_block *block)
{
    if (block->cells != NULL && cell_bytes(block) > CLEAR_BYTES_MAX) {
        munmap(block->cells, cell_bytes(block));
    } else {
        free(block->cells);
    }
    block->cells = NULL;
}

static void drop_shadow(struct pto_check_block *block)
{
    free(block->written);
    block->written = NULL;
    drop_cells(block);
}

void pto__checker_destroy(struct pto_checker *checker)
{
    if (checker == NULL) {
        return;
    }
    for (uint64_t i = 0; i < checker->block_count; i++) {
        drop_shadow(&checker->blocks[i]);
    }
    free(checker->blocks);
    free(checker->readers);
    free(checker->places);
    free(checker->keys);
    free(checker);
}

static void count_all(struct pto_check_block *block)
{
    free(block->written);
    block->written = NULL;
    block->all_written = true;
}

static void mark(struct pto_check_block *block, uint64_t begin, uint64_t end)
{
    end = end < block->size_bytes ? end : block->size_bytes;
    for (uint64_t at = begin; at < end;) {
        uint64_t rest = LINE - at % LINE;
        uint64_t bytes = rest < end - at ? rest : end - at;
        block->written[at / LINE] |= (ALL_BITS >> (LINE - bytes)) << (at % LINE);
        at += bytes;
    }
}

// Takes in what the host has written. false: no memory.
static bool take_in(struct pto_check_block *block, const struct pto_ledger_entry *entry,
                    uint64_t opaque_serial)
{
    const struct pto_written *written = entry->written;
    if (block->all_written) {
        return true;
    }
    if (entry->serial < opaque_serial || (written != NULL && written->count == PTO_WRITTEN_ALL)) {
        count_all(block);
        return true;
    }
    if (written == NULL || written->changes == block->changes) {
        return true;
    }
    block->changes = written->changes;
    if (written->ranges[0].begin == 0 && written->ranges[0].end >= block->size_bytes) {
        count_all(block);
        return true;
    }
    if (block->written == NULL) {
        block->written = calloc(line_count(block), sizeof(*block->written));
    }
    for (uint32_t i = 0; block->written != NULL && i < written->count; i++) {
        mark(block, written->ranges[i].begin, written->ranges[i].end);
    }
    return block->written != NULL;
}

enum pto_status pto__checker_prepare(struct pto_checker *checker,
                                     const struct pto_check_setup *setup, struct pto_error *err)
{
    struct pto_check_block *blocks = calloc(setup->block_count + 1, sizeof(*blocks));
    if (blocks == NULL) {
        return pto_fail_no_host_memory(err, "the checks of kernels",
                                       (setup->block_count + 1) * sizeof(*blocks));
    }
    uint64_t old = 0;
    bool enough = true;
    for (uint64_t i = 0; i < setup->block_count; i++) {
        const struct pto_ledger_entry *entry = &setup->blocks[i];
        while (old < checker->block_count && checker->blocks[old].address < entry->address) {
            drop_shadow(&checker->blocks[old++]);
        }
        if (old < checker->block_count && checker->blocks[old].serial == entry->serial) {
            blocks[i] = checker->blocks[old++];
        } else {
            blocks[i] = (struct pto_check_block){.address = entry->address,
                                                 .size_bytes = entry->size_bytes,
                                                 .serial = entry->serial,
                                                 .changes = UINT64_MAX};
        }
        enough = take_in(&blocks[i], entry, setup->opaque_serial) && enough;
    }
    while (old < checker->block_count) {
        drop_shadow(&checker->blocks[old++]);
    }
    free(checker->blocks);
    checker->blocks = blocks;
    checker->block_count = setup->block_count;
    checker->freed_count = setup->freed_count;
    memcpy(checker->freed, setup->freed, setup->freed_count * sizeof(checker->freed[0]));
    checker->kinds = setup->kinds;
    checker->order = setup->order;
    checker->kernels = setup->kernels;
    return enough ? PTO_OK : pto_fail_no_host_memory(err, "the shadow of device memory", 0);
}

struct pto_check_block *pto__checker_find_block(struct pto_checker *checker, uint64_t address)
{
    uint64_t low = 0;
    uint64_t high = checker->block_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (checker->blocks[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : &checker->blocks[low - 1];
}

void pto__checker_open_block(struct pto_checker *checker, struct pto_check_block *block)
{
    // Without initcheck too: what is written now may be read in a run with it.
    if (!block->all_written && block->written == NULL) {
        block->written = calloc(line_count(block), sizeof(*block->written));
        checker->out_of_memory |= block->written == NULL;
    }
    if ((checker->kinds & PTO_CHECK_RACE) == 0 || block->run == checker->run) {
        return;
    }
    block->run = checker->run;
    if (block->cells != NULL && cell_bytes(block) <= CLEAR_BYTES_MAX) {
        memset(block->cells, 0, cell_bytes(block));
        return;
    }
    drop_cells(block);
    make_cells(block);
    checker->out_of_memory |= block->cells == NULL;
}

struct pto_check_hooks *pto__checker_begin(struct pto_checker *checker, uint64_t image,
                                           const void *stack_top, pto_check_stop *stop,
                                           void *stop_context)
{
    checker->run = checker->run == UINT32_MAX ? 1 : checker->run + 1;
    checker->image = (const struct pto_image_header *)(uintptr_t)image;
    checker->hooks.stack_top = (uint64_t)(uintptr_t)stack_top;
    checker->stop = stop;
    checker->stop_context = stop_context;
    checker->stopped = false;
    checker->out_of_memory = false;
    checker->task = PTO_NO_TASK;
    checker->readers_count = 1; // 0 is the empty set
    checker->finding_count = 0;
    checker->more_findings = 0;
    checker->last_key = 0;
    if (checker->key_count != 0) {
        memset(checker->keys, 0, PTO_CHECK_KEY_COUNT * sizeof(*checker->keys));
        checker->key_count = 0;
    }
    return &checker->hooks;
}
