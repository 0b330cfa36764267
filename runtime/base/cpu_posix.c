// SPDX-License-Identifier: Apache-2.0
#include "base/cpu.h"

#include <unistd.h>

// Not in POSIX 2008, but everywhere: Linux, the BSDs, macOS.
#ifdef _SC_NPROCESSORS_ONLN
#define ONLINE_PROCESSORS sysconf(_SC_NPROCESSORS_ONLN)
#else
#define ONLINE_PROCESSORS 1L
#endif

uint32_t pto__cpu_count(void)
{
    long count = ONLINE_PROCESSORS;
    return count > 0 ? (uint32_t)count : 1u;
}
