// SPDX-License-Identifier: Apache-2.0
#include <pto/kernel.h>

// out[i] = src[i] * factor, for n elements. Arguments: src, factor, out, n.
PTO_KERNEL(7, scale, PTO_IN(float, 3), PTO_FLOAT, PTO_OUT(float, 3), PTO_INTEGER)
{
    PTO_GM const float *src = PTO_POINTER(args, 0, const float);
    float factor = pto_arg_float(args, 1);
    PTO_GM float *out = PTO_POINTER(args, 2, float);
    uint64_t n = args[3];
    for (uint64_t i = 0; i < n; i++) {
        out[i] = src[i] * factor;
    }
    return 0;
}
