// SPDX-License-Identifier: Apache-2.0
// The Cholesky example's kernels with a clock around each. Arguments: those of the example's
// kernel, then where the time in ns goes, then 1, the number of elements there.
//
//     40  timed_potrf    41  timed_trsm    42  timed_syrk    43  timed_gemm
#include "examples/cholesky/kernels.c"

#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// `place` is the index of the argument that says where the time goes.
static int32_t time_kernel(pto_kernel_function *kernel, const uint64_t *args, uint32_t place)
{
    const uint64_t begin_ns = now_ns();
    const int32_t code = kernel(args);
    *PTO_POINTER(args, place, uint64_t) = now_ns() - begin_ns;
    return code;
}

PTO_KERNEL(40, timed_potrf, PTO_INOUT_2D(float, 1, 1), PTO_INTEGER, PTO_OUT(uint64_t, 3),
           PTO_INTEGER)
{
    return time_kernel(potrf, args, 2);
}

PTO_KERNEL(41, timed_trsm, PTO_IN_2D(float, 2, 2), PTO_INOUT_2D(float, 2, 2), PTO_INTEGER,
           PTO_OUT(uint64_t, 4), PTO_INTEGER)
{
    return time_kernel(trsm, args, 3);
}

PTO_KERNEL(42, timed_syrk, PTO_IN_2D(float, 2, 2), PTO_INOUT_2D(float, 2, 2), PTO_INTEGER,
           PTO_OUT(uint64_t, 4), PTO_INTEGER)
{
    return time_kernel(syrk, args, 3);
}

PTO_KERNEL(43, timed_gemm, PTO_IN_2D(float, 3, 3), PTO_IN_2D(float, 3, 3),
           PTO_INOUT_2D(float, 3, 3), PTO_INTEGER, PTO_OUT(uint64_t, 5), PTO_INTEGER)
{
    return time_kernel(gemm, args, 4);
}
