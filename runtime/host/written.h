// SPDX-License-Identifier: Apache-2.0
// Which bytes of a block somebody has written: a set of ranges, for what the host copies there, few
// of which are not next to each other.
#ifndef PTO_HOST_WRITTEN_H
#define PTO_HOST_WRITTEN_H

#include <stdint.h>

// The count of a set without ranges, in which every byte is.
#define PTO_WRITTEN_ALL UINT32_MAX

// Invariant: the ranges ascend, and there are bytes between any two of them.
struct pto_written {
    uint32_t count;
    uint32_t capacity;
    uint64_t changes; // ever made to the set
    struct pto_written_range {
        uint64_t begin;
        uint64_t end;
    } ranges[];
};

// Adds [begin, end) to *set, which is NULL while it is empty. Cannot fail: where memory is lacking,
// and from PTO_WRITTEN_RANGE_MAX ranges on, bytes between two ranges are added as well.
#define PTO_WRITTEN_RANGE_MAX 256u
void pto__written_add(struct pto_written **set, uint64_t begin, uint64_t end);
void pto__written_free(struct pto_written *set); // NULL is allowed

#endif // PTO_HOST_WRITTEN_H
