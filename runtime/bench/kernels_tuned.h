// SPDX-License-Identifier: Apache-2.0
// The built-in kernels as loops that were tuned for the processor they run on.
#ifndef PTO_BENCH_KERNELS_TUNED_H
#define PTO_BENCH_KERNELS_TUNED_H

#include <stddef.h>

void bench_tuned_add(const float *src0, const float *src1, float *out, size_t count);
void bench_tuned_add_scalar(const float *src, float scalar, float *out, size_t count);
void bench_tuned_mul(const float *src0, const float *src1, float *out, size_t count);

#endif // PTO_BENCH_KERNELS_TUNED_H
