// SPDX-License-Identifier: Apache-2.0
// The ledger of device memory: which blocks the user owns, and what any pointer is.
//
// Bookkeeping only: it never touches device memory. The runner allocates from the backend and
// enters the block here. Threads: the caller locks; no call blocks.
#ifndef PTO_HOST_MEMORY_H
#define PTO_HOST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "pto/status.h"

struct pto_ledger;
struct pto_written;

PTO_NODISCARD enum pto_status pto__ledger_create(struct pto_ledger **out, struct pto_error *err);
void pto__ledger_destroy(struct pto_ledger *ledger); // NULL is allowed; blocks are the caller's

// Enters a block. Makes room first, so that it cannot fail after the memory was obtained: call
// reserve, allocate, add, under one hold of the caller's lock: a reserve makes room for one add.
// The block is not empty, overlaps no live block, and does not end past 2^64.
PTO_NODISCARD enum pto_status pto__ledger_reserve(struct pto_ledger *ledger, struct pto_error *err);
void pto__ledger_add(struct pto_ledger *ledger, uint64_t address, uint64_t size_bytes);

// Checks that `pointer` is the start of a live block, strikes it out and returns its size; else
// PTO_E_POINTER with what the pointer is: zero, inside a block, freed before, unknown.
PTO_NODISCARD enum pto_status pto__ledger_remove(struct pto_ledger *ledger, uint64_t pointer,
                                                 uint64_t *out_size_bytes, struct pto_error *err);

// Checks that [pointer, pointer + size_bytes) lies inside one live block. PTO_E_POINTER explains:
// zero, freed (of which size), past the end of which block and by how much, unknown. A pointer one
// past a block's end with size 0 is accepted. `what` begins the message, for example
// "copy_to_device: dev_ptr".
PTO_NODISCARD enum pto_status pto__ledger_check(const struct pto_ledger *ledger, uint64_t pointer,
                                                uint64_t size_bytes, const char *what,
                                                struct pto_error *err);

// A live block, or a freed one.
struct pto_ledger_block {
    uint64_t address;
    uint64_t size_bytes;
};

// Finds the live block that holds the byte at `pointer`. Returns 0 when there is none. Unlike a
// check it makes no message, and lets the caller test more pointers against the same block.
int pto__ledger_find(const struct pto_ledger *ledger, uint64_t pointer,
                     struct pto_ledger_block *out_block);

// Notes that the host wrote these bytes, which a check has found to lie inside one live block.
void pto__ledger_note_written(struct pto_ledger *ledger, uint64_t pointer, uint64_t size_bytes);

// A live block, and what the host has written of it since it was allocated: NULL for nothing. The
// ranges are the ledger's.
struct pto_ledger_entry {
    uint64_t address;
    uint64_t size_bytes;
    uint64_t serial; // ascends with every block, and is never used again
    const struct pto_written *written;
};

// Writes out the live blocks in ascending order; there is room for all of them.
void pto__ledger_list(const struct pto_ledger *ledger, struct pto_ledger_entry *out_blocks);
// Writes out the ranges freed lately, the latest first, and returns how many.
uint32_t pto__ledger_list_freed(const struct pto_ledger *ledger,
                                struct pto_ledger_block *out_blocks, uint32_t capacity);
// What the next block's serial will be.
uint64_t pto__ledger_next_serial(const struct pto_ledger *ledger);

// Takes out the block that was added last; 0 when there is none.
int pto__ledger_pop(struct pto_ledger *ledger, uint64_t *out_address, uint64_t *out_size_bytes);

uint64_t pto__ledger_block_count(const struct pto_ledger *ledger);
uint64_t pto__ledger_block_bytes(const struct pto_ledger *ledger);

// Changes with every add, remove and pop: a check made at one generation holds while it lasts.
uint64_t pto__ledger_generation(const struct pto_ledger *ledger);

#endif // PTO_HOST_MEMORY_H
