// SPDX-License-Identifier: Apache-2.0
#include "explore/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void pto__snapshot_drop(struct pto_snapshot *snapshot)
{
    free(snapshot->bytes);
    free(snapshot->host_written);
    free(snapshot->written);
    *snapshot = (struct pto_snapshot){0};
}

enum pto_status pto__snapshot_take(struct pto_snapshot *snapshot, const struct pto_arena *arena,
                                   struct pto_error *err)
{
    *snapshot = (struct pto_snapshot){0};
    if (arena->block_count != 0) {
        const struct pto_arena_block *last = &arena->blocks[arena->block_count - 1];
        snapshot->size_bytes = last->offset + last->size_bytes;
    }
    uint64_t line_count = snapshot->size_bytes / PTO_CACHE_LINE_SIZE + 1;
    snapshot->bytes = malloc(snapshot->size_bytes + 1);
    snapshot->host_written = malloc(line_count);
    snapshot->written = malloc(line_count);
    if (snapshot->bytes == NULL || snapshot->host_written == NULL || snapshot->written == NULL) {
        pto__snapshot_drop(snapshot);
        return pto_fail_no_host_memory(err, "a copy of the explorer's device memory",
                                       snapshot->size_bytes);
    }
    memcpy(snapshot->bytes, arena->base, snapshot->size_bytes);
    memcpy(snapshot->host_written, arena->host_written, line_count);
    memcpy(snapshot->written, arena->written, line_count);
    return PTO_OK;
}

void pto__snapshot_restore(const struct pto_snapshot *snapshot, struct pto_arena *arena)
{
    memcpy(arena->base, snapshot->bytes, snapshot->size_bytes);
    uint64_t line_count = snapshot->size_bytes / PTO_CACHE_LINE_SIZE + 1;
    memcpy(arena->host_written, snapshot->host_written, line_count);
    memcpy(arena->written, snapshot->written, line_count);
}
