// SPDX-License-Identifier: Apache-2.0
// The insides of the ledger: memory.c keeps it, ledger_list.c reads it out.
#ifndef PTO_HOST_LEDGER_H
#define PTO_HOST_LEDGER_H

#include "host/memory.h"

// A chunk's addresses fill 2 KiB: eight steps of a search within them stay in few cache lines.
#define PTO_LEDGER_CHUNK_CAPACITY 256u

// Freed ranges that are remembered: enough to explain a stale pointer of the last steps of a
// program, and quick to search when a check has failed.
#define PTO_LEDGER_FREED_CAPACITY 256u

struct pto_ledger_item {
    uint64_t size_bytes;
    uint64_t serial;
    struct pto_written *written; // by the host; NULL: nothing
};

struct pto_ledger_chunk {
    uint32_t count;
    uint64_t address[PTO_LEDGER_CHUNK_CAPACITY];
    struct pto_ledger_item block[PTO_LEDGER_CHUNK_CAPACITY];
};

// One addition. Stale once its block was removed; see is_live.
struct pto_ledger_addition {
    uint64_t address;
    uint64_t serial;
};

// Invariants: chunk[i]->count >= 1 and first[i] == chunk[i]->address[0] for all i < chunk_count;
// addresses ascend within a chunk and from chunk to chunk; blocks do not overlap;
// block_count == sum of all chunk[i]->count <= addition_count <= addition_capacity;
// the additions of live blocks are in the order they were made, oldest first.
struct pto_ledger {
    uint64_t *first;
    struct pto_ledger_chunk **chunk;
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    struct pto_ledger_chunk *spare; // room for a split, put there by reserve

    struct pto_ledger_addition *additions;
    size_t addition_count;
    size_t addition_capacity;

    struct pto_ledger_block freed[PTO_LEDGER_FREED_CAPACITY];
    uint64_t freed_count; // ever; the newest lies at (freed_count - 1) % PTO_LEDGER_FREED_CAPACITY

    uint64_t block_count;
    uint64_t block_bytes;
    uint64_t generation;
    uint64_t next_serial;
};

#endif // PTO_HOST_LEDGER_H
