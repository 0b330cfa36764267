// SPDX-License-Identifier: Apache-2.0
// What the benchmarks ask of the machine beyond POSIX. machine_linux.c knows the answers,
// machine_posix.c says that it does not.
#ifndef PTO_BENCH_MACHINE_H
#define PTO_BENCH_MACHINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Processors that this process may use, at least 1.
uint32_t bench_cpu_count(void);

// Keeps the calling thread on the index-th of them, if that can be done.
void bench_pin_thread(uint32_t index);

// Bytes of memory that the process has in use now; 0: not known.
uint64_t bench_resident_bytes(void);

// The processor's name, "unknown" at worst. Ends with a zero; size_bytes is the room in `text`.
void bench_cpu_model(char *text, size_t size_bytes);

#ifdef __cplusplus
}
#endif

#endif // PTO_BENCH_MACHINE_H
