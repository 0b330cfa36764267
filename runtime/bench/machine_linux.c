// SPDX-License-Identifier: Apache-2.0
#include "bench/machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint32_t bench_cpu_count(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        return 1;
    }
    int count = CPU_COUNT(&allowed);
    return count > 1 ? (uint32_t)count : 1;
}

void bench_pin_thread(uint32_t index)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        return;
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && index-- == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            // A thread that may not be pinned stays where the system puts it.
            (void)sched_setaffinity(0, sizeof(one), &one);
            return;
        }
    }
}

uint64_t bench_resident_bytes(void)
{
    unsigned long long total, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) {
        return 0;
    }
    int count = fscanf(file, "%llu %llu", &total, &resident);
    fclose(file);
    return count == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void bench_cpu_model(char *text, size_t size_bytes)
{
    snprintf(text, size_bytes, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (file == NULL) {
        return;
    }
    char line[256];
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && value != NULL) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(text, size_bytes, "%s", value + 1 + strspn(value + 1, " "));
            break;
        }
    }
    fclose(file);
}
