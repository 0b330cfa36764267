// SPDX-License-Identifier: Apache-2.0
// Random numbers for tests that can be repeated: a seed, the number of cases, and how many of them
// a sanitizer leaves time for.
//
// PTO_TEST_SEED sets the seed, PTO_TEST_CASES the number of cases.
#ifndef PTO_TESTS_SEED_H
#define PTO_TESTS_SEED_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PTO_TEST_TSAN 1
#elif __has_feature(address_sanitizer)
#define PTO_TEST_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define PTO_TEST_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define PTO_TEST_ASAN 1
#endif

// How much less a test does when a sanitizer slows it down.
#if defined(PTO_TEST_TSAN)
#define PTO_TEST_DIVISOR 10u
#elif defined(PTO_TEST_ASAN)
#define PTO_TEST_DIVISOR 4u
#else
#define PTO_TEST_DIVISOR 1u
#endif

static inline uint64_t test_number(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

static inline uint64_t test_seed(void)
{
    return test_number("PTO_TEST_SEED", 20260101);
}

// `usual` cases without a sanitizer.
static inline uint64_t test_cases(uint64_t usual)
{
    uint64_t few = usual / PTO_TEST_DIVISOR;
    return test_number("PTO_TEST_CASES", few == 0 ? 1 : few);
}

// splitmix64: any seed is as good as another, and the seed of each case is a number to print.
static inline uint64_t test_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t value = *state;
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

// 0..bound - 1.
static inline uint32_t test_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(test_random(state) % bound);
}

#endif // PTO_TESTS_SEED_H
