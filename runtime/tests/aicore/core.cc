// SPDX-License-Identifier: Apache-2.0
// Which core a thread stands for; set by the stand-in's device.
#include <stdint.h>

extern "C" __attribute__((visibility("default"))) thread_local int64_t cce_core[4];
thread_local int64_t cce_core[4];
