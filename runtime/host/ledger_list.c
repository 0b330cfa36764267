// SPDX-License-Identifier: Apache-2.0
// What the ledger holds, for those who want all of it.
#include "host/ledger.h"

void pto__ledger_list(const struct pto_ledger *ledger, struct pto_ledger_entry *out_blocks)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < ledger->chunk_count; i++) {
        const struct pto_ledger_chunk *chunk = ledger->chunk[i];
        for (uint32_t k = 0; k < chunk->count; k++, count++) {
            out_blocks[count] = (struct pto_ledger_entry){.address = chunk->address[k],
                                                          .size_bytes = chunk->block[k].size_bytes,
                                                          .serial = chunk->block[k].serial,
                                                          .written = chunk->block[k].written};
        }
    }
}

uint32_t pto__ledger_list_freed(const struct pto_ledger *ledger,
                                struct pto_ledger_block *out_blocks, uint32_t capacity)
{
    uint32_t count = 0;
    while (count < capacity && count < PTO_LEDGER_FREED_CAPACITY && count < ledger->freed_count) {
        uint64_t place = (ledger->freed_count - 1 - count) % PTO_LEDGER_FREED_CAPACITY;
        out_blocks[count] = ledger->freed[place];
        count++;
    }
    return count;
}

uint64_t pto__ledger_next_serial(const struct pto_ledger *ledger)
{
    return ledger->next_serial;
}
