// SPDX-License-Identifier: Apache-2.0
#include "bench/timing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "bench/body.h"
#include "bench/machine.h"

#define NEAR_NS_MAX 120.0
#define FAR_NS_MIN 200.0

enum {
    SAMPLES = 21, // of which the median is taken
    TRIPS_PER_SAMPLE = 500,
    SPINS_PER_SAMPLE = 100000,
};

uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *first, const void *second)
{
    const double a = *(const double *)first, b = *(const double *)second;
    return (a > b) - (a < b);
}

double bench_median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

double bench_spin_iteration_ns(void)
{
    double samples[SAMPLES];
    uint64_t sink = 0;
    for (int i = 0; i < SAMPLES; i++) {
        const uint64_t begin_ns = bench_now_ns();
        sink += bench_spin(SPINS_PER_SAMPLE);
        samples[i] = (double)(bench_now_ns() - begin_ns) / (double)SPINS_PER_SAMPLE;
    }
    __asm__("" : : "r"(sink));
    // The smallest: whatever else runs on the machine can only have added to the others.
    bench_median(samples, SAMPLES);
    return samples[0];
}

// Both counters in one line, which thus is the only thing that travels. A thread answers the value
// of the other's counter by setting its own to it.
struct line {
    _Alignas(64) atomic_uint there;
    atomic_uint back;
    char rest[56];
};

struct trip {
    struct line line;
    double samples[SAMPLES];
};

static void *answer(void *context)
{
    struct trip *trip = context;
    bench_pin_thread(1);
    for (unsigned i = 1; i <= SAMPLES * TRIPS_PER_SAMPLE; i++) {
        while (atomic_load_explicit(&trip->line.there, memory_order_acquire) != i) {
        }
        atomic_store_explicit(&trip->line.back, i, memory_order_release);
    }
    return NULL;
}

static void *ask(void *context)
{
    struct trip *trip = context;
    bench_pin_thread(0);
    unsigned i = 0;
    for (int sample = 0; sample < SAMPLES; sample++) {
        const uint64_t begin_ns = bench_now_ns();
        for (int k = 0; k < TRIPS_PER_SAMPLE; k++) {
            atomic_store_explicit(&trip->line.there, ++i, memory_order_release);
            while (atomic_load_explicit(&trip->line.back, memory_order_acquire) != i) {
            }
        }
        trip->samples[sample] = (double)(bench_now_ns() - begin_ns) / (double)TRIPS_PER_SAMPLE;
    }
    return NULL;
}

double bench_round_trip_ns(void)
{
    struct trip trip = {.samples = {0}};
    pthread_t asking, answering;
    if (bench_cpu_count() < 2 || pthread_create(&answering, NULL, answer, &trip) != 0) {
        return 0;
    }
    // Two threads of their own, so that the caller keeps the processors it may run on.
    if (pthread_create(&asking, NULL, ask, &trip) == 0) {
        pthread_join(asking, NULL);
    } else {
        ask(&trip);
    }
    pthread_join(answering, NULL);
    return bench_median(trip.samples, SAMPLES);
}

enum bench_state bench_state_of(double before_ns, double after_ns)
{
    if (before_ns <= 0 || after_ns <= 0) {
        return BENCH_UNKNOWN;
    }
    if (before_ns <= NEAR_NS_MAX && after_ns <= NEAR_NS_MAX) {
        return BENCH_NEAR;
    }
    return before_ns >= FAR_NS_MIN && after_ns >= FAR_NS_MIN ? BENCH_FAR : BENCH_MIXED;
}

const char *bench_state_name(enum bench_state state)
{
    switch (state) {
    case BENCH_NEAR: return "near";
    case BENCH_FAR: return "far";
    case BENCH_MIXED: return "mixed";
    case BENCH_UNKNOWN: break;
    }
    return "unknown";
}
