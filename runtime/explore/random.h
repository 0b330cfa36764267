// SPDX-License-Identifier: Apache-2.0
// The explorer's random numbers: xorshift64*, seeded through splitmix64. The same on every machine.
#ifndef PTO_EXPLORE_RANDOM_H
#define PTO_EXPLORE_RANDOM_H

#include <stdint.h>

struct pto_random {
    uint64_t state; // never 0
};

static inline void pto__random_seed(struct pto_random *random, uint64_t seed)
{
    uint64_t z = seed + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    random->state = z != 0 ? z : 1;
}

static inline uint32_t pto__random_next(struct pto_random *random)
{
    uint64_t x = random->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    random->state = x;
    return (uint32_t)(x * UINT64_C(0x2545f4914f6cdd1d) >> 32);
}

// 0..bound-1; bound is at least 1.
static inline uint32_t pto__random_below(struct pto_random *random, uint32_t bound)
{
    return (uint32_t)((uint64_t)pto__random_next(random) * bound >> 32);
}

#endif // PTO_EXPLORE_RANDOM_H
