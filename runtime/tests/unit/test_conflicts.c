// SPDX-License-Identifier: Apache-2.0
// graph/conflicts.h: random accesses of random graphs, beside a comparison of every two of them.
// PTO_TEST_SEED and PTO_TEST_CASES as in tests/seed.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/cells.h"
#include "tests/unit/closure.h"

enum { LINE = 64, BYTE_MAX = 12 * LINE, ACCESS_MAX = 3 * CLOSURE_TASK_MAX, FOUND_MAX = 20000 };

// Above 2^32, so that numbers of cells are not mistaken for addresses.
static const uint64_t base = UINT64_C(0x5555000000c0);

static struct pto_access accesses[ACCESS_MAX];
static uint32_t access_count;
static struct pto_conflict found[FOUND_MAX];
static uint32_t found_count;

// What the search must tell: bytes that race, and lines that are shared or have such bytes.
static uint8_t is_racing[BYTE_MAX];
static uint8_t is_shared[BYTE_MAX / LINE];

static void collect(void *context, const struct pto_conflict *conflict)
{
    assert_ptr_equal(context, found);
    assert_in_range(found_count, 0, FOUND_MAX - 1);
    found[found_count++] = *conflict;
}

static void add_random_accesses(uint64_t *state, uint32_t task_count)
{
    // From words to whole lines, and from crowded to lonely.
    uint32_t unit = 1u << (2 + test_below(state, 5));
    uint32_t units = (1 + test_below(state, BYTE_MAX / LINE)) * LINE / unit;
    uint32_t largest = 1 + test_below(state, 1 + test_below(state, units));
    access_count = 0;
    for (uint32_t task = 0; task < task_count; task++) {
        for (uint32_t i = test_below(state, 4); i > 0; i--) {
            uint32_t size = 1 + test_below(state, largest);
            uint32_t first = test_below(state, units - size + 1);
            accesses[access_count++] = (struct pto_access){
                .begin = base + (uint64_t)first * unit,
                .end = base + (uint64_t)(first + size) * unit,
                .task = task,
                .writes = test_below(state, 3) == 0,
            };
        }
    }
}

static int are_unordered(uint32_t a, uint32_t b)
{
    return a != b && !is_before(a, b) && !is_before(b, a);
}

static void mark(const struct pto_access *a, const struct pto_access *b)
{
    uint64_t begin = a->begin > b->begin ? a->begin : b->begin;
    uint64_t end = a->end < b->end ? a->end : b->end;
    for (uint64_t at = begin; at < end; at++) {
        is_racing[at - base] = 1;
        is_shared[(at - base) / LINE] = 1;
    }
    for (uint64_t line = 0; line < BYTE_MAX / LINE && a->writes && b->writes; line++) {
        uint64_t low = base + line * LINE;
        if (a->begin < low + LINE && a->end > low && b->begin < low + LINE && b->end > low) {
            is_shared[line] = 1;
        }
    }
}

static void mark_all(void)
{
    memset(is_racing, 0, sizeof(is_racing));
    memset(is_shared, 0, sizeof(is_shared));
    for (uint32_t a = 0; a < access_count; a++) {
        for (uint32_t b = 0; b < a; b++) {
            if ((accesses[a].writes || accesses[b].writes) &&
                are_unordered(accesses[a].task, accesses[b].task)) {
                mark(&accesses[a], &accesses[b]);
            }
        }
    }
}

// Each conflict is one, and no two say the same or could be joined.
static void check_found(void)
{
    for (uint32_t i = 0; i < found_count; i++) {
        const struct pto_conflict *one = &found[i];
        const struct pto_access *a = &accesses[one->first];
        const struct pto_access *b = &accesses[one->second];
        assert_true(are_unordered(a->task, b->task));
        assert_true(one->begin < one->end);
        if (!one->shares_line) {
            assert_true(a->writes || b->writes);
            assert_true(one->begin >= a->begin && one->end <= a->end);
            assert_true(one->begin >= b->begin && one->end <= b->end);
        } else {
            assert_true(a->writes && b->writes);
            assert_true(a->end <= b->begin || b->end <= a->begin);
            assert_true(one->begin % LINE == 0 && one->end == one->begin + LINE);
            assert_true(a->begin < one->end && a->end > one->begin);
            assert_true(b->begin < one->end && b->end > one->begin);
        }
        for (uint32_t k = 0; k < i; k++) {
            const struct pto_conflict *other = &found[k];
            const struct pto_access *c = &accesses[other->first];
            const struct pto_access *d = &accesses[other->second];
            int is_same_pair = other->first == one->first && other->second == one->second;
            assert_false(is_same_pair && (other->shares_line != one->shares_line ||
                                          (other->begin <= one->end && one->begin <= other->end)));
            // Nor are bytes told for a task's read when they have been for another of its reads.
            assert_false(other->first == one->first && d->task == b->task && a->writes &&
                         !one->shares_line && !other->shares_line && c->writes &&
                         other->begin < one->end && one->begin < other->end);
        }
    }
}

static void check_complete(void)
{
    static uint8_t told_bytes[BYTE_MAX];
    static uint8_t told_lines[BYTE_MAX / LINE];
    memset(told_bytes, 0, sizeof(told_bytes));
    memset(told_lines, 0, sizeof(told_lines));
    for (uint32_t i = 0; i < found_count; i++) {
        for (uint64_t at = found[i].begin; at < found[i].end; at++) {
            told_bytes[at - base] |= !found[i].shares_line;
            told_lines[(at - base) / LINE] = 1;
        }
    }
    assert_memory_equal(told_bytes, is_racing, sizeof(is_racing));
    assert_memory_equal(told_lines, is_shared, sizeof(is_shared));
}

static void find(struct pto_graph *graph)
{
    struct pto_order *order = NULL;
    struct pto_error err = {0};
    assert_int_equal(pto__graph_pin(graph, NULL), PTO_OK);
    assert_int_equal(pto__order_create(graph, NULL, &order, NULL), PTO_OK);
    found_count = 0;
    if (pto__find_conflicts(order, accesses, access_count, collect, found, NULL, &err) != PTO_OK) {
        fail_msg("%s", err.message);
    }
    pto__order_destroy(order);
    pto__graph_unpin(graph);
}

static void test_random_accesses(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint64_t found_sum = 0;
    uint64_t clean_count = 0;
    print_message("PTO_TEST_SEED=%" PRIu64 "\n", seed);
    for (uint64_t i = 0; i < test_cases(3000); i++) {
        uint64_t random = seed + i;
        uint32_t task_max = i % 3 == 0 ? 6 : i % 50 == 1 ? 160 : 30;
        uint32_t task_count = test_below(&random, task_max + 1);
        struct pto_graph *graph = random_graph(&random, task_count, i % 2 == 1);
        add_random_accesses(&random, task_count);
        mark_all();
        find(graph);
        check_found();
        check_complete();
        found_sum += found_count;
        clean_count += found_count == 0;
        pto_graph_destroy(graph);
    }
    // The cases are neither all clean nor all full.
    assert_true(found_sum > 0 && clean_count > 0);
}

static void test_bits(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (uint32_t bound = 2; bound < 600000; bound = bound * 3 + test_below(&random, 5)) {
        struct pto_bits bits;
        uint8_t *model = calloc(bound, 1);
        assert_non_null(model);
        assert_int_equal(pto__bits_init(&bits, bound, NULL), PTO_OK);
        uint32_t ends[2] = {0, bound - 1};
        for (uint32_t i = 0; i < 300; i++) {
            uint32_t number = i < 2 ? ends[i] : test_below(&random, bound);
            if (i < 2 || test_below(&random, 2) == 0) {
                pto__bits_set(&bits, number);
                model[number] = 1;
            } else if (number != 0 && number != bound - 1) {
                pto__bits_clear(&bits, number);
                model[number] = 0;
            }
            uint32_t from = test_below(&random, bound);
            uint32_t next = from;
            uint32_t previous = from;
            assert_int_equal(pto__bits_has(&bits, from), model[from]);
            while (i > 0 && model[next] == 0) {
                next++;
            }
            while (i > 0 && model[previous] == 0) {
                previous--;
            }
            if (i > 0) {
                assert_int_equal(pto__bits_next(&bits, from), next);
                assert_int_equal(pto__bits_previous(&bits, from), previous);
            }
        }
        pto__bits_fini(&bits);
        free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_accesses),
        cmocka_unit_test(test_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
