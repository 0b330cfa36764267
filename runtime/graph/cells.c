// SPDX-License-Identifier: Apache-2.0
#include "graph/cells.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"

#define DIGIT_BITS 11u
#define DIGIT_COUNT (1u << DIGIT_BITS)

// One end of an access.
struct end {
    uint64_t address;
    uint32_t place; // 2 * access, + 1 for its second end
};

static uint32_t digit_of(const struct end *end, uint32_t shift)
{
    return (uint32_t)(end->address >> shift) % DIGIT_COUNT;
}

// Sorts by one digit, from *from into *to, and exchanges the two; does nothing where all are equal,
// as most digits of addresses are.
static void sort_by_digit(struct end **from, struct end **to, size_t count, uint32_t shift)
{
    size_t places[DIGIT_COUNT] = {0};
    for (size_t i = 0; i < count; i++) {
        places[digit_of(&(*from)[i], shift)]++;
    }
    if (places[digit_of(&(*from)[0], shift)] == count) {
        return;
    }
    size_t next = 0;
    for (uint32_t digit = 0; digit < DIGIT_COUNT; digit++) {
        size_t here = places[digit];
        places[digit] = next;
        next += here;
    }
    for (size_t i = 0; i < count; i++) {
        (*to)[places[digit_of(&(*from)[i], shift)]++] = (*from)[i];
    }
    struct end *sorted = *to;
    *to = *from;
    *from = sorted;
}

static enum pto_status sort_ends(struct end **ends, struct end **spare, size_t count,
                                 struct pto_work_poll *poll, struct pto_error *err)
{
    for (uint32_t shift = 0; shift < 64; shift += DIGIT_BITS) {
        sort_by_digit(ends, spare, count, shift);
        enum pto_status status = pto__poll(poll, count, err);
        if (status != PTO_OK) {
            return status;
        }
    }
    return PTO_OK;
}

// Gives sorted ends their numbers; equal addresses have the same.
static enum pto_status number_ends(struct pto_cells *cells, const struct end *ends, size_t count,
                                   struct pto_error *err)
{
    uint32_t border_count = 0;
    for (size_t i = 0; i < count; i++) {
        border_count += i == 0 || ends[i].address != ends[i - 1].address;
        cells->ends[ends[i].place] = border_count - 1;
    }
    cells->borders = malloc(border_count * sizeof(*cells->borders));
    if (cells->borders == NULL) {
        return pto_fail_no_host_memory(err, "the ends of arguments",
                                       border_count * sizeof(*cells->borders));
    }
    for (size_t i = 0; i < count; i++) {
        cells->borders[cells->ends[ends[i].place]] = ends[i].address;
    }
    cells->border_count = border_count;
    return PTO_OK;
}

enum pto_status pto__cells_init(struct pto_cells *cells, const struct pto_access *accesses,
                                uint32_t count, struct pto_work_poll *poll, struct pto_error *err)
{
    *cells = (struct pto_cells){0};
    if (count == 0) {
        return PTO_OK;
    }
    size_t end_count = 2 * (size_t)count;
    struct end *ends = malloc(end_count * sizeof(*ends));
    struct end *spare = malloc(end_count * sizeof(*spare));
    cells->ends = malloc(end_count * sizeof(*cells->ends));
    pto__prefer_large_pages(ends, end_count * sizeof(*ends));
    pto__prefer_large_pages(spare, end_count * sizeof(*spare));
    pto__prefer_large_pages(cells->ends, end_count * sizeof(*cells->ends));
    enum pto_status status = PTO_OK;
    if (ends == NULL || spare == NULL || cells->ends == NULL) {
        status = pto_fail_no_host_memory(err, "sorting the ends of arguments",
                                         end_count * (2 * sizeof(*ends) + sizeof(*cells->ends)));
        goto out;
    }
    for (uint32_t i = 0; i < count; i++) {
        ends[2 * (size_t)i] = (struct end){.address = accesses[i].begin, .place = 2 * i};
        ends[2 * (size_t)i + 1] = (struct end){.address = accesses[i].end, .place = 2 * i + 1};
    }
    status = sort_ends(&ends, &spare, end_count, poll, err);
    if (status == PTO_OK) {
        status = number_ends(cells, ends, end_count, err);
    }
out:
    free(ends);
    free(spare);
    return status;
}

void pto__cells_fini(struct pto_cells *cells)
{
    free(cells->borders);
    free(cells->ends);
    *cells = (struct pto_cells){0};
}

enum pto_status pto__bits_init(struct pto_bits *bits, uint32_t bound, struct pto_error *err)
{
    *bits = (struct pto_bits){0};
    size_t words = bound;
    for (uint32_t level = 0; level < PTO_BIT_LEVELS; level++) {
        words = words / 64 + 1;
        bits->levels[level] = calloc(words, sizeof(uint64_t));
        if (bits->levels[level] == NULL) {
            pto__bits_fini(bits);
            return pto_fail_no_host_memory(err, "the pieces of memory", words * sizeof(uint64_t));
        }
    }
    return PTO_OK;
}

void pto__bits_fini(struct pto_bits *bits)
{
    for (uint32_t level = 0; level < PTO_BIT_LEVELS; level++) {
        free(bits->levels[level]);
    }
    *bits = (struct pto_bits){0};
}

void pto__bits_set(struct pto_bits *bits, uint32_t number)
{
    for (uint32_t level = 0; level < PTO_BIT_LEVELS; level++) {
        uint64_t *word = &bits->levels[level][number / 64];
        uint64_t before = *word;
        *word |= UINT64_C(1) << (number % 64);
        if (before != 0) {
            return; // the levels above know
        }
        number /= 64;
    }
}

void pto__bits_clear(struct pto_bits *bits, uint32_t number)
{
    for (uint32_t level = 0; level < PTO_BIT_LEVELS; level++) {
        uint64_t *word = &bits->levels[level][number / 64];
        *word &= ~(UINT64_C(1) << (number % 64));
        if (*word != 0) {
            return;
        }
        number /= 64;
    }
}

// Up to the level on which the rest of the word has a member, and down again along its first.
uint32_t pto__bits_next(const struct pto_bits *bits, uint32_t number)
{
    uint64_t at = number;
    for (uint32_t level = 0; level < PTO_BIT_LEVELS; level++) {
        uint64_t rest = bits->levels[level][at / 64] >> (at % 64);
        if (rest != 0) {
            at += (uint64_t)__builtin_ctzll(rest);
            while (level > 0) {
                level--;
                at = at * 64 + (uint64_t)__builtin_ctzll(bits->levels[level][at]);
            }
            return (uint32_t)at;
        }
        at = at / 64 + 1;
    }
    return number; // not reached: there is a member
}

uint32_t pto__bits_previous(const struct pto_bits *bits, uint32_t number)
{
    uint64_t at = number;
    for (uint32_t level = 0; level < PTO_BIT_LEVELS; level++) {
        uint64_t rest = bits->levels[level][at / 64] << (63 - at % 64);
        if (rest != 0) {
            at -= (uint64_t)__builtin_clzll(rest);
            while (level > 0) {
                level--;
                at = at * 64 + 63 - (uint64_t)__builtin_clzll(bits->levels[level][at]);
            }
            return (uint32_t)at;
        }
        if (at < 64) {
            break;
        }
        at = at / 64 - 1;
    }
    return number; // not reached: there is a member
}
