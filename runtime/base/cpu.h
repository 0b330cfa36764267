// SPDX-License-Identifier: Apache-2.0
// What the host's processors are. One implementation file for each platform.
#ifndef PTO_BASE_CPU_H
#define PTO_BASE_CPU_H

#include <stdint.h>

// Processors this process may run on, at least 1.
uint32_t pto__cpu_count(void);

// Tells the processor that this thread waits in a loop.
static inline void pto__cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield" ::: "memory");
#endif
}

#endif // PTO_BASE_CPU_H
