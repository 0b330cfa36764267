// SPDX-License-Identifier: Apache-2.0
// As much of cmocka as the tests take that run on an emulated ARM processor, where no cmocka is
// installed: the first failure ends the program.
#ifndef PTO_TESTS_AARCH64_CMOCKA_H
#define PTO_TESTS_AARCH64_CMOCKA_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

#define cmocka_unit_test(function)         \
    {                                      \
        .name = #function, .run = function \
    }

#define fail_msg(...)                                           \
    do {                                                        \
        fprintf(stderr, "%s:%d: failed: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__);                           \
        fputc('\n', stderr);                                    \
        _Exit(1);                                               \
    } while (0)

#define assert_true(condition)          \
    do {                                \
        if (!(condition)) {             \
            fail_msg("%s", #condition); \
        }                               \
    } while (0)

#define assert_false(condition) assert_true(!(condition))
#define assert_non_null(pointer) assert_true((pointer) != NULL)
#define assert_null(pointer) assert_true((pointer) == NULL)

#define assert_int_equal(a, b)                                          \
    do {                                                                \
        long long seen_ = (long long)(a);                               \
        long long wanted_ = (long long)(b);                             \
        if (seen_ != wanted_) {                                         \
            fail_msg("%s is %lld, %s is %lld", #a, seen_, #b, wanted_); \
        }                                                               \
    } while (0)

#define cmocka_run_group_tests(tests, set_up, tear_down) \
    run_group_tests(tests, sizeof(tests) / sizeof((tests)[0]), set_up, tear_down)

static inline int run_group_tests(const struct CMUnitTest *tests, size_t count,
                                  int (*set_up)(void **), int (*tear_down)(void **))
{
    void *state = NULL;
    if (set_up != NULL && set_up(&state) != 0) {
        return 1;
    }
    for (size_t i = 0; i < count; i++) {
        tests[i].run(&state);
        printf("ok %s\n", tests[i].name);
    }
    return tear_down != NULL ? tear_down(&state) : 0;
}

#endif // PTO_TESTS_AARCH64_CMOCKA_H
