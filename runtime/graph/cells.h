// SPDX-License-Identifier: Apache-2.0
// Addresses by number, and sets of such numbers. For the search of conflicts.
#ifndef PTO_GRAPH_CELLS_H
#define PTO_GRAPH_CELLS_H

#include "graph/conflicts.h"

// The ends of accesses, ascending and distinct. A cell is the memory from one to the next.
struct pto_cells {
    uint64_t *borders;     // border_count of them
    uint32_t border_count; // 0 when there are no accesses
    uint32_t *ends;        // of access i: borders [2 * i] and [2 * i + 1], by their index
};

// Time linear in the accesses (a radix sort). The caller calls fini, after a failure too.
PTO_NODISCARD enum pto_status pto__cells_init(struct pto_cells *cells,
                                              const struct pto_access *accesses, uint32_t count,
                                              struct pto_work_poll *poll, struct pto_error *err);
void pto__cells_fini(struct pto_cells *cells);

// A set of numbers below a bound that finds the next and the previous member in a few steps: a bit
// for each number, a bit for each word of such bits that is not zero, and so on up to one word.
#define PTO_BIT_LEVELS 6u // 64^6 > 2^32

struct pto_bits {
    uint64_t *levels[PTO_BIT_LEVELS];
};

PTO_NODISCARD enum pto_status pto__bits_init(struct pto_bits *bits, uint32_t bound,
                                             struct pto_error *err);
void pto__bits_fini(struct pto_bits *bits);

static inline int pto__bits_has(const struct pto_bits *bits, uint32_t number)
{
    return (int)(bits->levels[0][number / 64] >> (number % 64) & 1);
}

void pto__bits_set(struct pto_bits *bits, uint32_t number);
void pto__bits_clear(struct pto_bits *bits, uint32_t number);

// The nearest member that is not below, or not above, `number`. There must be one.
uint32_t pto__bits_next(const struct pto_bits *bits, uint32_t number);
uint32_t pto__bits_previous(const struct pto_bits *bits, uint32_t number);

#endif // PTO_GRAPH_CELLS_H
