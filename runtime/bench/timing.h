// SPDX-License-Identifier: Apache-2.0
// Clocks, the calibration of the spin body, and the distance between two processors.
#ifndef PTO_BENCH_TIMING_H
#define PTO_BENCH_TIMING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The state of the machine while something was measured, by the round trip of one cache line
// between two processors: NEAR was at most 120 ns before and after, FAR at least 200 ns before and
// after, and UNKNOWN was not measured (or there is one processor only).
enum bench_state { BENCH_UNKNOWN, BENCH_NEAR, BENCH_FAR, BENCH_MIXED };

uint64_t bench_now_ns(void);

// Sorts the values; the middle one, or the mean of the two in the middle. count >= 1.
double bench_median(double *values, size_t count);

// What one iteration of bench_spin takes now, in ns. Takes about 5 ms.
double bench_spin_iteration_ns(void);

// Median time in ns for a cache line to go to the other processor and back; 0: not measured.
double bench_round_trip_ns(void);

enum bench_state bench_state_of(double before_ns, double after_ns);
const char *bench_state_name(enum bench_state state);

#ifdef __cplusplus
}
#endif

#endif // PTO_BENCH_TIMING_H
