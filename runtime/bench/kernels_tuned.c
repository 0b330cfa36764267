// SPDX-License-Identifier: Apache-2.0
// Compiled with -O3 for the processor of this machine, unlike the kernels, which are for any of its
// kind. These loops may assume what a kernel may not: arrays that are aligned and do not overlap.
#include "bench/kernels_tuned.h"

enum { ALIGNMENT = 64 };

#define ALIGNED(pointer) __builtin_assume_aligned((pointer), ALIGNMENT)

void bench_tuned_add(const float *src0, const float *src1, float *out, size_t count)
{
    const float *restrict a = ALIGNED(src0);
    const float *restrict b = ALIGNED(src1);
    float *restrict c = ALIGNED(out);
    for (size_t i = 0; i < count; i++) {
        c[i] = a[i] + b[i];
    }
}

void bench_tuned_add_scalar(const float *src, float scalar, float *out, size_t count)
{
    const float *restrict a = ALIGNED(src);
    float *restrict c = ALIGNED(out);
    for (size_t i = 0; i < count; i++) {
        c[i] = a[i] + scalar;
    }
}

void bench_tuned_mul(const float *src0, const float *src1, float *out, size_t count)
{
    const float *restrict a = ALIGNED(src0);
    const float *restrict b = ALIGNED(src1);
    float *restrict c = ALIGNED(out);
    for (size_t i = 0; i < count; i++) {
        c[i] = a[i] * b[i];
    }
}
