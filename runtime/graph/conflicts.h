// SPDX-License-Identifier: Apache-2.0
// Conflicts between accesses to memory that a graph does not order.
//
// The accesses are taken in a topological order, and each is compared with what its bytes remember:
// who wrote them last, and who has read them since. Because order is transitive that is enough: if
// all of these are ordered, so is every pair. Bytes with the same memory form a piece; the borders
// that a piece can have are the ends of accesses, so that addresses are numbered once and a set of
// numbers says where pieces begin.
//
// Time: sorting the ends of accesses, and for each access the pieces it covers, with a question to
// the order for each writer and reader they remember. A write makes one piece of those it covers;
// reads leave them, so that n reads of the whole of a tensor written in m parts cost n * m.
#ifndef PTO_GRAPH_CONFLICTS_H
#define PTO_GRAPH_CONFLICTS_H

#include "graph/order.h"

// Bytes [begin, end), not empty.
struct pto_access {
    uint64_t begin;
    uint64_t end;
    uint32_t task;
    uint32_t writes; // 0 or 1
};

// Two accesses, by index, of tasks without a path between them. `first` comes first in the order
// that the accesses were taken in.
struct pto_conflict {
    uint32_t first;
    uint32_t second;
    uint32_t
        shares_line; // 0: both touch bytes begin..end - 1; 1: both write, other bytes of a line
    uint64_t begin;  // of a line its beginning
    uint64_t end;
};

typedef void pto_conflict_function(void *context, const struct pto_conflict *conflict);

// Most accesses of one search: ends are counted in 32 bits.
#define PTO_ACCESS_COUNT_MAX 0x7ffffffeu

// Calls `report` for conflicts such that each byte of a race and each line of a shared line is in
// one, as pto_graph_find_races promises. The accesses are sorted by task; `order` is that of their
// graph. PTO_E_NO_MEMORY, PTO_E_INTERRUPTED.
PTO_NODISCARD enum pto_status pto__find_conflicts(struct pto_order *order,
                                                  const struct pto_access *accesses, uint32_t count,
                                                  pto_conflict_function *report, void *context,
                                                  struct pto_work_poll *poll,
                                                  struct pto_error *err);

#endif // PTO_GRAPH_CONFLICTS_H
