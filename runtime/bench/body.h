// SPDX-License-Identifier: Apache-2.0
// What a task computes when it is to take some time: the same loop in the kernels and in the peers.
#ifndef PTO_BENCH_BODY_H
#define PTO_BENCH_BODY_H

#include <stdint.h>

// A chain of multiplications that no compiler can shorten: each waits for the one before it, so the
// time is `iterations` times a few cycles whatever else the processor could do at once.
static inline uint64_t bench_spin(uint64_t iterations)
{
    uint64_t x = iterations;
    for (uint64_t i = 0; i < iterations; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__("" : "+r"(x));
    }
    return x;
}

#endif // PTO_BENCH_BODY_H
