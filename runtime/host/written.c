// SPDX-License-Identifier: Apache-2.0
#include "host/written.h"

#include <stdlib.h>
#include <string.h>

// What a set becomes that could not be made. Never changed or freed.
static struct pto_written everything = {.count = PTO_WRITTEN_ALL};

// Makes room for one more range, if it can.
static void reserve(struct pto_written **set)
{
    uint32_t count = *set != NULL ? (*set)->count : 0;
    uint32_t capacity = *set != NULL ? (*set)->capacity : 0;
    if (count < capacity || capacity == PTO_WRITTEN_RANGE_MAX) {
        return;
    }
    capacity = capacity == 0 ? 1 : capacity * 2;
    struct pto_written *larger =
        realloc(*set, sizeof(**set) + capacity * sizeof(struct pto_written_range));
    if (larger == NULL) {
        return;
    }
    if (*set == NULL) {
        *larger = (struct pto_written){.count = 0};
    }
    larger->capacity = capacity;
    *set = larger;
}

void pto__written_add(struct pto_written **set, uint64_t begin, uint64_t end)
{
    if (*set == &everything) {
        return;
    }
    reserve(set);
    struct pto_written *it = *set;
    if (it == NULL) {
        *set = &everything;
        return;
    }
    // The ranges first..last - 1 touch the new one.
    uint32_t first = 0;
    while (first < it->count && it->ranges[first].end < begin) {
        first++;
    }
    uint32_t last = first;
    while (last < it->count && it->ranges[last].begin <= end) {
        last++;
    }
    if (first == last && it->count == it->capacity) {
        // No room: the range before takes it in, or the one after.
        first = first == it->count ? first - 1 : first;
        last = first + 1;
    }
    it->changes++;
    if (first == last) {
        memmove(&it->ranges[first + 1], &it->ranges[first],
                (it->count - first) * sizeof(it->ranges[0]));
        it->ranges[first] = (struct pto_written_range){.begin = begin, .end = end};
        it->count++;
        return;
    }
    struct pto_written_range *joined = &it->ranges[first];
    joined->begin = begin < joined->begin ? begin : joined->begin;
    joined->end = it->ranges[last - 1].end > end ? it->ranges[last - 1].end : end;
    memmove(&it->ranges[first + 1], &it->ranges[last], (it->count - last) * sizeof(it->ranges[0]));
    it->count -= last - first - 1;
}

void pto__written_free(struct pto_written *set)
{
    if (set != &everything) {
        free(set);
    }
}
