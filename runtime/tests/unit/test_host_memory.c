// SPDX-License-Identifier: Apache-2.0
// host/: host memory runs out at each allocation in turn, of the ledger and of everything that
// looks at device programs. Nothing leaks, and the same call works once there is memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "abi/program.h"
#include "host/memory.h"
#include "host/program.h"
#include "tests/unit/failing_memory.h"

// Makes `call` fail at its first allocation, its second, and so on until it succeeds; sets
// `failures` to how often it failed.
#define CALL_WITHOUT_MEMORY(failures, call)                                                        \
    do {                                                                                           \
        for (failures = 0;; failures++) {                                                          \
            struct pto_error err = {0};                                                            \
            long live_before = live_count;                                                         \
            allocations_left = failures;                                                           \
            enum pto_status status = call;                                                         \
            allocations_left = -1;                                                                 \
            if (status == PTO_OK) {                                                                \
                break;                                                                             \
            }                                                                                      \
            assert_int_equal(status, PTO_E_NO_MEMORY);                                             \
            assert_int_equal(err.status, PTO_E_NO_MEMORY);                                         \
            assert_non_null(strstr(err.message, "no host memory for "));                           \
            assert_true(live_count >= live_before);                                                \
        }                                                                                          \
    } while (0)

static void test_ledger(void **state)
{
    (void)state;
    struct pto_ledger *ledger = NULL;
    long live_at_start = live_count;
    long failures = 0;
    long total = 0;
    CALL_WITHOUT_MEMORY(failures, pto__ledger_create(&ledger, &err));
    assert_int_equal(failures, 1);
    for (uint64_t i = 0; i < 20000; i++) {
        // What a failed reserve has obtained already stays as room for the next.
        CALL_WITHOUT_MEMORY(failures, pto__ledger_reserve(ledger, &err));
        total += failures;
        pto__ledger_add(ledger, (1 + i * 7919 % 20000) * 64, 64);
    }
    assert_true(total > 20000 / 256);
    assert_int_equal(pto__ledger_block_count(ledger), 20000);
    for (uint64_t i = 0; i < 20000; i++) {
        assert_int_equal(pto__ledger_check(ledger, (1 + i) * 64, 64, "w", NULL), PTO_OK);
    }
    pto__ledger_destroy(ledger);
    assert_int_equal(live_count, live_at_start);
}

static void test_programs(void **state)
{
    (void)state;
    static const char *const symbols[] = {PTO_AICORE_PROGRAM_SYMBOL, NULL};
    long live_at_start = live_count;
    long failures = 0;
    char *path = NULL;
    struct pto_kernel_table table;
    CALL_WITHOUT_MEMORY(failures, pto__program_find(PTO_TEST_AICORE_PROGRAM, NULL, NULL, "w", &path,
                                                    &err));
    assert_int_equal(failures, 1);
    free(path);
    for (long nth = 0; nth < 9; nth++) {
        struct pto_error err;
        allocations_left = nth;
        assert_int_equal(pto__program_find("no/such", "sub", "sim", "w", &path, &err),
                         PTO_E_NO_MEMORY);
        allocations_left = -1;
        assert_int_equal(live_count, live_at_start);
    }
    CALL_WITHOUT_MEMORY(failures, pto__program_check(PTO_TEST_AICORE_PROGRAM, PTO_MACHINE_NATIVE,
                                                     symbols, "w", &err));
    assert_int_equal(failures, 1);
    CALL_WITHOUT_MEMORY(failures, pto__kernel_table_read(PTO_TEST_AICORE_PROGRAM, &table, &err));
    assert_int_equal(failures, 2);
    pto__kernel_table_free(&table);
    assert_int_equal(live_count, live_at_start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger),
        cmocka_unit_test(test_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
