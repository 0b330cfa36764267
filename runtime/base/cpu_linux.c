// SPDX-License-Identifier: Apache-2.0
#include "base/cpu.h"

#include <sched.h>
#include <unistd.h>

uint32_t pto__cpu_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    // A container or `taskset` may allow fewer than the machine has.
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0) {
        return (uint32_t)CPU_COUNT(&set);
    }
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint32_t)count : 1u;
}
