// SPDX-License-Identifier: Apache-2.0
#include "bench/machine.h"

#include <stdio.h>
#include <unistd.h>

uint32_t bench_cpu_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 1 ? (uint32_t)count : 1;
}

void bench_pin_thread(uint32_t index)
{
    (void)index;
}

uint64_t bench_resident_bytes(void)
{
    return 0;
}

void bench_cpu_model(char *text, size_t size_bytes)
{
    snprintf(text, size_bytes, "unknown");
}
