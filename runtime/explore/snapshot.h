// SPDX-License-Identifier: Apache-2.0
// Device memory as a launch found it, so that every schedule starts from the same.
#ifndef PTO_EXPLORE_SNAPSHOT_H
#define PTO_EXPLORE_SNAPSHOT_H

#include "explore/arena.h"

struct pto_snapshot {
    uint8_t *bytes; // NULL: none was taken
    uint8_t *host_written;
    uint8_t *written;
    uint64_t size_bytes;
};

PTO_NODISCARD enum pto_status pto__snapshot_take(struct pto_snapshot *snapshot,
                                                 const struct pto_arena *arena,
                                                 struct pto_error *err);
void pto__snapshot_restore(const struct pto_snapshot *snapshot, struct pto_arena *arena);
void pto__snapshot_drop(struct pto_snapshot *snapshot);

#endif // PTO_EXPLORE_SNAPSHOT_H
