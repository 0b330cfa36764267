// SPDX-License-Identifier: Apache-2.0
// Kernels for the explorer's own tests.
#include "pto/kernel.h"

// Does nothing and returns its argument.
PTO_KERNEL(0, probe, PTO_INTEGER)
{
    return (int32_t)args[0];
}
