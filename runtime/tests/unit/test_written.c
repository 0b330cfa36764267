// SPDX-License-Identifier: Apache-2.0
// The set of bytes that the host has written, beside a table of bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/written.h"
#include "seed.h"

#define BYTES 4096u

static int holds(const struct pto_written *set, uint64_t byte)
{
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        if (byte >= set->ranges[i].begin && byte < set->ranges[i].end) {
            return 1;
        }
    }
    return 0;
}

static void check(const struct pto_written *set, const uint8_t *bytes, int exact)
{
    for (uint32_t i = 0; set != NULL && i < set->count; i++) {
        assert_true(set->ranges[i].begin < set->ranges[i].end);
        assert_true(i == 0 || set->ranges[i - 1].end < set->ranges[i].begin);
    }
    for (uint32_t i = 0; i < BYTES; i++) {
        assert_true(exact ? holds(set, i) == bytes[i] : holds(set, i) >= bytes[i]);
    }
}

static void try_ranges(uint64_t *random, uint32_t adds, uint32_t longest, int exact)
{
    uint8_t bytes[BYTES] = {0};
    struct pto_written *set = NULL;
    for (uint32_t i = 0; i < adds; i++) {
        uint32_t begin = test_below(random, BYTES);
        uint32_t rest = BYTES - begin;
        uint32_t size = 1 + test_below(random, rest < longest ? rest : longest);
        memset(bytes + begin, 1, size);
        pto__written_add(&set, begin, begin + size);
        if (i % 16 == 0 || i + 1 == adds) {
            check(set, bytes, exact);
        }
    }
    assert_true(set->count <= PTO_WRITTEN_RANGE_MAX);
    pto__written_free(set);
}

static void test_sets(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (uint64_t i = 0; i < test_cases(100); i++) {
        try_ranges(&random, 1 + test_below(&random, 100), 1 + test_below(&random, 400), 1);
    }
    // More ranges than are kept: bytes may be in it that were not added, and none is lost.
    try_ranges(&random, 2000, 1, 0);
    pto__written_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
