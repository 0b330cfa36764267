// SPDX-License-Identifier: Apache-2.0
// What all programs of this folder do: parse, build, check, time, report. A program gives an
// engine, which is its way to build and run a DAG, and calls bench_main.
#ifndef PTO_BENCH_DRIVER_H
#define PTO_BENCH_DRIVER_H

#include <stdbool.h>

#include "bench/options.h"
#include "bench/patterns.h"
#include "bench/report.h"
#include "bench/work.h"

#ifdef __cplusplus
extern "C" {
#endif

// Times that an engine knows better than the driver, which measures the whole of `build`. Below 0:
// it does not know, or has no such part.
struct bench_build {
    double build_ns;
    double compile_ns;
};

// Each function returns false after it printed why it failed. `engine` is what `open` made.
struct bench_engine {
    const char *name;
    const char *version; // a peer's own; NULL: this project's
    bool (*open)(const struct bench_options *options, void **out_engine);
    // Builds the DAG; dag and work stay until `clear`. When only running it builds the graph, that
    // is said by a build_ns below 0.
    bool (*build)(void *engine, const struct bench_dag *dag, struct bench_work *work,
                  struct bench_build *out_times);
    bool (*run)(void *engine);
    // After runs of BENCH_CHECK work: brings the epochs to work->epochs. NULL: they are there.
    bool (*collect)(void *engine);
    void (*clear)(void *engine); // undoes build
    void (*close)(void *engine);
    // The modes that are not the driver's; NULL: none. Returns the exit status.
    int (*other_mode)(const struct bench_options *options);
};

// Returns the exit status: 0, 1 after a failure or a wrong order, 2 after wrong usage.
int bench_main(int argc, char **argv, const struct bench_engine *engine);

// The mode --metg (metg.c).
bool bench_metg(const struct bench_engine *engine, void *state, const struct bench_options *options,
                struct bench_json *json);

// Runs the DAG reps times after one run that is not timed; times_ns gets what each took.
bool bench_time_runs(const struct bench_engine *engine, void *state, uint32_t reps,
                     double *times_ns);

#ifdef __cplusplus
}
#endif

#endif // PTO_BENCH_DRIVER_H
