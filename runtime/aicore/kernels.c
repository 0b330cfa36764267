// SPDX-License-Identifier: Apache-2.0
// The built-in kernels: element-wise float32. The output may be one of the inputs.
#include "pto/kernel.h"

// out[i] = src0[i] + src1[i]. Arguments: src0, src1, out, n (elements).
PTO_KERNEL(0, add, PTO_IN(float, 3), PTO_IN(float, 3), PTO_OUT(float, 3), PTO_INTEGER)
{
    PTO_GM const float *src0 = PTO_POINTER(args, 0, const float);
    PTO_GM const float *src1 = PTO_POINTER(args, 1, const float);
    PTO_GM float *out = PTO_POINTER(args, 2, float);
    uint64_t n = args[3];
    for (uint64_t i = 0; i < n; i++) {
        out[i] = src0[i] + src1[i];
    }
    return 0;
}

// out[i] = src[i] + scalar. Arguments: src, scalar (float32), out, n.
PTO_KERNEL(1, add_scalar, PTO_IN(float, 3), PTO_FLOAT, PTO_OUT(float, 3), PTO_INTEGER)
{
    PTO_GM const float *src = PTO_POINTER(args, 0, const float);
    float scalar = pto_arg_float(args, 1);
    PTO_GM float *out = PTO_POINTER(args, 2, float);
    uint64_t n = args[3];
    for (uint64_t i = 0; i < n; i++) {
        out[i] = src[i] + scalar;
    }
    return 0;
}

// out[i] = src0[i] * src1[i]. Arguments: src0, src1, out, n.
PTO_KERNEL(2, mul, PTO_IN(float, 3), PTO_IN(float, 3), PTO_OUT(float, 3), PTO_INTEGER)
{
    PTO_GM const float *src0 = PTO_POINTER(args, 0, const float);
    PTO_GM const float *src1 = PTO_POINTER(args, 1, const float);
    PTO_GM float *out = PTO_POINTER(args, 2, float);
    uint64_t n = args[3];
    for (uint64_t i = 0; i < n; i++) {
        out[i] = src0[i] * src1[i];
    }
    return 0;
}
