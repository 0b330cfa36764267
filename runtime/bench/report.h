// SPDX-License-Identifier: Apache-2.0
// Results as a table for people and as JSON for run.py.
#ifndef PTO_BENCH_REPORT_H
#define PTO_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/options.h"
#include "bench/timing.h"

#ifdef __cplusplus
extern "C" {
#endif

// A JSON object that is being written. Members are separated as they come.
struct bench_json {
    void *file; // a FILE, or NULL: nothing is written
    bool needs_comma;
};

// One pattern in one process. A time below 0 was not measured.
struct bench_row {
    enum bench_pattern pattern;
    uint32_t task_count;
    size_t edge_count;
    uint32_t depth;
    bool is_verified;
    double build_ns; // all times but body_ns for the whole graph
    double compile_ns;
    double first_ns;
    double min_ns;
    double median_ns;
    double body_ns; // of one task, as calibrated
    double round_trip_before_ns;
    double round_trip_after_ns;
};

// Opens options->json and writes what is known of program, machine and options. False, after a
// message, when the file cannot be written.
bool bench_json_open(struct bench_json *json, const struct bench_options *options,
                     const char *program);
// False, after a message, when something could not be written.
bool bench_json_close(struct bench_json *json);

void bench_json_text(struct bench_json *json, const char *name, const char *value);
void bench_json_number(struct bench_json *json, const char *name, double value);
void bench_json_null(struct bench_json *json, const char *name);
// kind: '{' or '['; name NULL inside an array. Ended with '}' or ']'.
void bench_json_begin(struct bench_json *json, const char *name, char kind);
void bench_json_end(struct bench_json *json, char kind);

// How this program was compiled: compiler, version, processor, optimised or not.
const char *bench_compiler(void);

// How much of the processors the bodies used: the time that a perfect schedule takes, over the one
// it took. 0 without bodies.
double bench_efficiency(const struct bench_row *row, uint32_t lanes);

void bench_table_head(const char *program, const struct bench_options *options);
void bench_table_row(const struct bench_row *row, uint32_t lanes);
void bench_json_row(struct bench_json *json, const struct bench_row *row, uint32_t lanes);

#ifdef __cplusplus
}
#endif

#endif // PTO_BENCH_REPORT_H
