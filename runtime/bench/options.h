// SPDX-License-Identifier: Apache-2.0
// The command line that every program of this folder takes.
#ifndef PTO_BENCH_OPTIONS_H
#define PTO_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/patterns.h"

#ifdef __cplusplus
extern "C" {
#endif

// Modes besides MODE_RUN and MODE_METG are of pto_bench only.
enum bench_mode {
    BENCH_MODE_RUN,
    BENCH_MODE_METG,
    BENCH_MODE_MEMORY,
    BENCH_MODE_KERNELS,
    BENCH_MODE_COPIES,
    BENCH_MODE_ANALYSIS,
    BENCH_MODE_IDLE,
    BENCH_MODE_DESCRIBE
};

struct bench_options {
    enum bench_mode mode;
    bool is_chosen[BENCH_PATTERN_COUNT];
    bool lanes_given;
    bool tasks_given;
    bool quiet;
    bool bulk;   // pto_bench: build by the bulk calls
    bool verify; // check the order in runs that are not timed
    bool state;  // measure the round trip
    uint32_t tasks;
    uint32_t cores;
    uint32_t schedulers;
    uint32_t lanes; // host threads
    uint32_t reps;
    double body_ns;
    double seconds;   // --idle
    const char *json; // NULL: no file; "-": standard output, and no table
};

// 0: go on. Otherwise the program ends: with status 0 after --help, with 2 after a message.
enum bench_parse { BENCH_PARSE_GO, BENCH_PARSE_HELP, BENCH_PARSE_WRONG };
enum bench_parse bench_options_parse(struct bench_options *options, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif // PTO_BENCH_OPTIONS_H
