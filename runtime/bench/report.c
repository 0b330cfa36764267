// SPDX-License-Identifier: Apache-2.0
#include "bench/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/machine.h"

#define TEXT_OF(value) #value
#define VALUE_TEXT(macro) TEXT_OF(macro)

#if defined(__clang__)
#define COMPILER                                                                         \
    "clang " VALUE_TEXT(__clang_major__) "." VALUE_TEXT(__clang_minor__) "." VALUE_TEXT( \
        __clang_patchlevel__)
#elif defined(__GNUC__)
#define COMPILER \
    "gcc " VALUE_TEXT(__GNUC__) "." VALUE_TEXT(__GNUC_MINOR__) "." VALUE_TEXT(__GNUC_PATCHLEVEL__)
#else
#define COMPILER "unknown"
#endif

#if defined(__x86_64__)
#define PROCESSOR "x86_64"
#elif defined(__aarch64__)
#define PROCESSOR "aarch64"
#else
#define PROCESSOR "other"
#endif

#if defined(__OPTIMIZE__) && defined(NDEBUG)
#define BUILD "optimised"
#else
#define BUILD "with assertions or not optimised"
#endif

const char *bench_compiler(void)
{
    return COMPILER ", " PROCESSOR ", " BUILD;
}

static void name_member(struct bench_json *json, const char *name)
{
    FILE *file = json->file;
    fprintf(file, json->needs_comma ? ",\n" : "\n");
    json->needs_comma = true;
    if (name != NULL) {
        fprintf(file, "\"%s\": ", name);
    }
}

void bench_json_text(struct bench_json *json, const char *name, const char *value)
{
    if (json->file == NULL) {
        return;
    }
    FILE *file = json->file;
    name_member(json, name);
    fputc('"', file);
    for (; *value != '\0'; value++) {
        const unsigned char letter = (unsigned char)*value;
        if (letter == '"' || letter == '\\') {
            fputc('\\', file);
        }
        if (letter >= ' ') {
            fputc(letter, file);
        }
    }
    fputc('"', file);
}

void bench_json_number(struct bench_json *json, const char *name, double value)
{
    if (json->file != NULL) {
        name_member(json, name);
        fprintf(json->file, "%.9g", value);
    }
}

void bench_json_null(struct bench_json *json, const char *name)
{
    if (json->file != NULL) {
        name_member(json, name);
        fprintf(json->file, "null");
    }
}

void bench_json_begin(struct bench_json *json, const char *name, char kind)
{
    if (json->file != NULL) {
        name_member(json, name);
        fputc(kind, json->file);
        json->needs_comma = false;
    }
}

void bench_json_end(struct bench_json *json, char kind)
{
    if (json->file != NULL) {
        fputc('\n', json->file);
        fputc(kind, json->file);
        json->needs_comma = true;
    }
}

bool bench_json_open(struct bench_json *json, const struct bench_options *options,
                     const char *program)
{
    *json = (struct bench_json){.file = NULL};
    if (options->json == NULL) {
        return true;
    }
    json->file = strcmp(options->json, "-") == 0 ? stdout : fopen(options->json, "w");
    if (json->file == NULL) {
        fprintf(stderr, "%s: cannot write '%s': %s\n", program, options->json, strerror(errno));
        return false;
    }
    char model[128];
    bench_cpu_model(model, sizeof(model));
    fputc('{', json->file);
    bench_json_text(json, "program", program);
    bench_json_text(json, "compiler", bench_compiler());
    bench_json_text(json, "cpu_model", model);
    bench_json_number(json, "cpu_count", bench_cpu_count());
    bench_json_number(json, "cores", options->cores);
    bench_json_number(json, "schedulers", options->schedulers);
    bench_json_number(json, "lanes", options->lanes);
    bench_json_number(json, "body_ns", options->body_ns);
    bench_json_number(json, "reps", options->reps);
    return true;
}

bool bench_json_close(struct bench_json *json)
{
    if (json->file == NULL) {
        return true;
    }
    FILE *file = json->file;
    json->file = NULL;
    fprintf(file, "\n}\n");
    bool is_written = ferror(file) == 0;
    is_written = (file == stdout ? fflush(file) : fclose(file)) == 0 && is_written;
    if (!is_written) {
        fprintf(stderr, "the JSON could not be written: %s\n", strerror(errno));
    }
    return is_written;
}

double bench_efficiency(const struct bench_row *row, uint32_t lanes)
{
    const uint32_t share = (row->task_count + lanes - 1) / lanes;
    const uint32_t rounds = row->depth > share ? row->depth : share;
    return row->median_ns > 0 ? rounds * row->body_ns / row->median_ns : 0;
}

void bench_table_head(const char *program, const struct bench_options *options)
{
    if (options->quiet) {
        return;
    }
    printf("%s: %u lanes, %u cores, %u schedulers, bodies of %g ns, %u runs; ns for each task\n",
           program, (unsigned)options->lanes, (unsigned)options->cores,
           (unsigned)options->schedulers, options->body_ns, (unsigned)options->reps);
    printf("%-10s %10s %10s %8s %8s %8s %8s %8s %6s  %-14s %s\n", "pattern", "tasks", "edges",
           "build", "compile", "first", "min", "median", "effic.", "round trip", "state");
}

static void print_time(double whole_ns, uint32_t task_count)
{
    if (whole_ns < 0) {
        printf(" %8s", "-");
    } else {
        printf(" %8.1f", whole_ns / task_count);
    }
}

void bench_table_row(const struct bench_row *row, uint32_t lanes)
{
    const uint32_t count = row->task_count;
    printf("%-10s %10u %10zu", bench_pattern_name(row->pattern), (unsigned)count, row->edge_count);
    print_time(row->build_ns, count);
    print_time(row->compile_ns, count);
    print_time(row->first_ns, count);
    print_time(row->min_ns, count);
    print_time(row->median_ns, count);
    if (row->body_ns > 0) {
        printf(" %6.3f", bench_efficiency(row, lanes));
    } else {
        printf(" %6s", "-");
    }
    printf("  %6.1f %6.1f  %s%s\n", row->round_trip_before_ns, row->round_trip_after_ns,
           bench_state_name(bench_state_of(row->round_trip_before_ns, row->round_trip_after_ns)),
           row->is_verified ? "" : ", order not checked");
    fflush(stdout);
}

static void number_or_null(struct bench_json *json, const char *name, double value, bool is_known)
{
    if (is_known) {
        bench_json_number(json, name, value);
    } else {
        bench_json_null(json, name);
    }
}

void bench_json_row(struct bench_json *json, const struct bench_row *row, uint32_t lanes)
{
    const double count = row->task_count;
    bench_json_begin(json, NULL, '{');
    bench_json_text(json, "pattern", bench_pattern_name(row->pattern));
    bench_json_number(json, "tasks", count);
    bench_json_number(json, "edges", (double)row->edge_count);
    bench_json_number(json, "depth", row->depth);
    bench_json_number(json, "verified", row->is_verified);
    number_or_null(json, "build_ns_per_task", row->build_ns / count, row->build_ns >= 0);
    number_or_null(json, "compile_ns_per_task", row->compile_ns / count, row->compile_ns >= 0);
    bench_json_number(json, "first_ns_per_task", row->first_ns / count);
    bench_json_number(json, "min_ns_per_task", row->min_ns / count);
    bench_json_number(json, "median_ns_per_task", row->median_ns / count);
    bench_json_number(json, "calibrated_body_ns", row->body_ns);
    number_or_null(json, "efficiency", bench_efficiency(row, lanes), row->body_ns > 0);
    bench_json_number(json, "round_trip_before_ns", row->round_trip_before_ns);
    bench_json_number(json, "round_trip_after_ns", row->round_trip_after_ns);
    bench_json_text(
        json, "state",
        bench_state_name(bench_state_of(row->round_trip_before_ns, row->round_trip_after_ns)));
    bench_json_end(json, '}');
}
