// SPDX-License-Identifier: Apache-2.0
#include "bench/driver.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/timing.h"

enum { CHECK_RUNS = 2 }; // the second sees what the first left behind

static bool fail_no_memory(const struct bench_engine *engine, enum bench_pattern pattern,
                           uint32_t task_count)
{
    fprintf(stderr, "%s: no memory for %s of %u tasks\n", engine->name, bench_pattern_name(pattern),
            (unsigned)task_count);
    return false;
}

static bool verify(const struct bench_engine *engine, void *state, enum bench_pattern pattern,
                   const struct bench_dag *dag)
{
    struct bench_work work;
    struct bench_build times;
    if (!bench_work_init(&work, BENCH_CHECK, 0, dag)) {
        return fail_no_memory(engine, pattern, dag->task_count);
    }
    bool is_right = engine->build(state, dag, &work, &times);
    if (is_right) {
        for (int i = 0; i < CHECK_RUNS && is_right; i++) {
            is_right = engine->run(state);
        }
        is_right = is_right && (engine->collect == NULL || engine->collect(state)) &&
                   bench_work_is_right(&work, CHECK_RUNS, engine->name);
        engine->clear(state);
    }
    bench_work_fini(&work);
    return is_right;
}

static bool time_run(const struct bench_engine *engine, void *state, double *out_ns)
{
    const uint64_t begin_ns = bench_now_ns();
    const bool is_done = engine->run(state);
    *out_ns = (double)(bench_now_ns() - begin_ns);
    return is_done;
}

bool bench_time_runs(const struct bench_engine *engine, void *state, uint32_t reps,
                     double *times_ns)
{
    for (uint32_t i = 0; i < reps; i++) {
        if (!time_run(engine, state, &times_ns[i])) {
            return false;
        }
    }
    return true;
}

static bool time_dag(const struct bench_engine *engine, void *state, const struct bench_dag *dag,
                     struct bench_work *work, const struct bench_options *options,
                     struct bench_row *row)
{
    double *times_ns = malloc(options->reps * sizeof(*times_ns));
    if (times_ns == NULL) {
        return fail_no_memory(engine, row->pattern, dag->task_count);
    }
    row->round_trip_before_ns = options->state ? bench_round_trip_ns() : 0;
    const uint64_t begin_ns = bench_now_ns();
    struct bench_build times = {.build_ns = 0, .compile_ns = -1};
    bool is_done = engine->build(state, dag, work, &times);
    row->build_ns = times.build_ns == 0 ? (double)(bench_now_ns() - begin_ns) : times.build_ns;
    row->compile_ns = times.compile_ns;
    if (is_done) {
        is_done = time_run(engine, state, &row->first_ns) &&
                  bench_time_runs(engine, state, options->reps, times_ns);
        row->round_trip_after_ns = options->state ? bench_round_trip_ns() : 0;
        engine->clear(state);
    }
    if (is_done) {
        row->median_ns = bench_median(times_ns, options->reps);
        row->min_ns = times_ns[0];
    }
    free(times_ns);
    return is_done;
}

static bool measure(const struct bench_engine *engine, void *state, enum bench_pattern pattern,
                    const struct bench_options *options, struct bench_row *row)
{
    struct bench_dag dag;
    if (!bench_dag_init(&dag, pattern, options->tasks)) {
        return fail_no_memory(engine, pattern, options->tasks);
    }
    *row = (struct bench_row){
        .pattern = pattern,
        .task_count = dag.task_count,
        .edge_count = dag.edge_count,
        .depth = dag.depth,
        .is_verified = options->verify,
    };
    bool is_done = !options->verify || verify(engine, state, pattern, &dag);
    struct bench_work work;
    if (is_done) {
        const bool spins = options->body_ns > 0;
        const double iteration_ns = spins ? bench_spin_iteration_ns() : 1;
        const uint64_t iterations = (uint64_t)(options->body_ns / iteration_ns + 0.5);
        row->body_ns = spins ? (double)iterations * iteration_ns : 0;
        bench_work_init(&work, spins ? BENCH_SPIN : BENCH_EMPTY, iterations, &dag);
        is_done = time_dag(engine, state, &dag, &work, options, row);
        bench_work_fini(&work);
    }
    bench_dag_fini(&dag);
    return is_done;
}

static bool run_patterns(const struct bench_engine *engine, void *state,
                         const struct bench_options *options, struct bench_json *json)
{
    bool is_done = true;
    bench_table_head(engine->name, options);
    bench_json_begin(json, "rows", '[');
    for (int i = 0; i < BENCH_PATTERN_COUNT && is_done; i++) {
        struct bench_row row;
        if (!options->is_chosen[i]) {
            continue;
        }
        is_done = measure(engine, state, (enum bench_pattern)i, options, &row);
        if (is_done) {
            bench_json_row(json, &row, options->lanes);
        }
        if (is_done && !options->quiet) {
            bench_table_row(&row, options->lanes);
        }
    }
    bench_json_end(json, ']');
    return is_done;
}

int bench_main(int argc, char **argv, const struct bench_engine *engine)
{
    struct bench_options options;
    switch (bench_options_parse(&options, argc, argv)) {
    case BENCH_PARSE_GO: break;
    case BENCH_PARSE_HELP: return 0;
    case BENCH_PARSE_WRONG: return 2;
    }
    if (options.mode == BENCH_MODE_DESCRIBE) {
        printf("%s\n", bench_compiler());
        return 0;
    }
    if (options.mode != BENCH_MODE_RUN && options.mode != BENCH_MODE_METG) {
        if (engine->other_mode == NULL) {
            fprintf(stderr, "%s: this mode is of pto_bench only\n", engine->name);
            return 2;
        }
        return engine->other_mode(&options);
    }
    void *state = NULL;
    struct bench_json json;
    if (!engine->open(&options, &state)) {
        return 1;
    }
    bool is_done = bench_json_open(&json, &options, engine->name);
    if (is_done) {
        if (engine->version != NULL) {
            bench_json_text(&json, "version", engine->version);
        }
        is_done = options.mode == BENCH_MODE_METG ? bench_metg(engine, state, &options, &json)
                                                  : run_patterns(engine, state, &options, &json);
        is_done = bench_json_close(&json) && is_done;
    }
    engine->close(state);
    return is_done ? 0 : 1;
}
