// SPDX-License-Identifier: Apache-2.0
// METG, the metric of Task Bench: the smallest granularity (wall time x lanes / tasks) at which a
// runtime still reaches a given efficiency, here for the stencil of width 64. Efficiency is the
// time that the bodies alone take on all lanes, over the wall time.
//
// Bodies go from long to short. METG(e) lies between the shortest that reached e and the next, by
// interpolation of the logarithms of the two granularities.
#include <math.h>
#include <stdio.h>

#include "bench/driver.h"
#include "bench/timing.h"

#define LONGEST_BODY_NS 200000.0
#define SHORTEST_BODY_NS 4.0
#define POINTS_PER_DECADE 6.0
#define RUN_NS 30e6 // how long one run is to take, when the bodies are long

enum { WIDTH = 64, STEPS_MIN = 16, STEPS_MAX = 256, REPS = 5, LEVELS = 3, POINTS_MAX = 64 };

struct point {
    double body_ns;
    double granularity_ns;
    double efficiency;
};

static uint32_t choose_steps(double body_ns, uint32_t lanes)
{
    const double steps = RUN_NS * lanes / (body_ns * (double)WIDTH);
    if (steps < (double)STEPS_MIN) {
        return STEPS_MIN;
    }
    return steps > (double)STEPS_MAX ? STEPS_MAX : (uint32_t)steps;
}

static bool measure_point(const struct bench_engine *engine, void *state,
                          const struct bench_options *options, double body_ns, struct point *point)
{
    struct bench_dag dag;
    struct bench_work work;
    struct bench_build times;
    double times_ns[REPS + 1];
    if (!bench_dag_init(&dag, BENCH_STENCIL, WIDTH * choose_steps(body_ns, options->lanes))) {
        fprintf(stderr, "%s: no memory for a stencil\n", engine->name);
        return false;
    }
    const double iteration_ns = bench_spin_iteration_ns();
    uint64_t iterations = (uint64_t)(body_ns / iteration_ns + 0.5);
    iterations = iterations < 1 ? 1 : iterations;
    bench_work_init(&work, BENCH_SPIN, iterations, &dag);
    bool is_done = engine->build(state, &dag, &work, &times);
    if (is_done) {
        is_done = bench_time_runs(engine, state, REPS + 1, times_ns);
        engine->clear(state);
    }
    if (is_done) {
        // The first run is left out: it may build and upload.
        const double median_ns = bench_median(times_ns + 1, REPS);
        point->body_ns = (double)iterations * iteration_ns;
        point->granularity_ns = median_ns * options->lanes / dag.task_count;
        point->efficiency = point->body_ns / point->granularity_ns;
    }
    bench_work_fini(&work);
    bench_dag_fini(&dag);
    return is_done;
}

// 0: never so efficient. *out_is_bound: so efficient to the last point, so METG is smaller yet.
static double find_metg(const struct point *points, int count, double level, bool *out_is_bound)
{
    int i = count - 1;
    while (i >= 0 && points[i].efficiency < level) {
        i--;
    }
    *out_is_bound = i == count - 1;
    if (i < 0 || *out_is_bound) {
        return i < 0 ? 0 : points[i].granularity_ns;
    }
    const struct point *above = &points[i], *below = &points[i + 1];
    const double share = (level - below->efficiency) / (above->efficiency - below->efficiency);
    return exp(log(below->granularity_ns) +
               share * (log(above->granularity_ns) - log(below->granularity_ns)));
}

static void report_levels(const struct point *points, int count, bool quiet,
                          struct bench_json *json)
{
    static const double levels[LEVELS] = {0.50, 0.75, 0.90};
    bench_json_begin(json, "metg", '[');
    for (int i = 0; i < LEVELS; i++) {
        bool is_bound;
        const double metg_ns = find_metg(points, count, levels[i], &is_bound);
        bench_json_begin(json, NULL, '{');
        bench_json_number(json, "efficiency", levels[i]);
        if (metg_ns > 0) {
            bench_json_number(json, "metg_ns", metg_ns);
        } else {
            bench_json_null(json, "metg_ns");
        }
        bench_json_number(json, "is_upper_bound", is_bound);
        bench_json_end(json, '}');
        if (!quiet && metg_ns > 0) {
            printf("METG(%.0f %%) %s %.3f us\n", 100 * levels[i], is_bound ? "<=" : "=",
                   metg_ns / 1000);
        } else if (!quiet) {
            printf("METG(%.0f %%) not reached\n", 100 * levels[i]);
        }
    }
    bench_json_end(json, ']');
}

bool bench_metg(const struct bench_engine *engine, void *state, const struct bench_options *options,
                struct bench_json *json)
{
    struct point points[POINTS_MAX];
    int count = 0;
    const double before_ns = options->state ? bench_round_trip_ns() : 0;
    if (!options->quiet) {
        printf("%s: stencil of width %d, %u lanes\n%12s %15s %10s\n", engine->name, (int)WIDTH,
               (unsigned)options->lanes, "body ns", "granularity ns", "efficiency");
    }
    for (double body_ns = LONGEST_BODY_NS; body_ns >= SHORTEST_BODY_NS && count < POINTS_MAX;
         body_ns /= pow(10, 1 / POINTS_PER_DECADE)) {
        struct point *point = &points[count++];
        if (!measure_point(engine, state, options, body_ns, point)) {
            return false;
        }
        if (!options->quiet) {
            printf("%12.1f %15.1f %10.3f\n", point->body_ns, point->granularity_ns,
                   point->efficiency);
        }
    }
    const double after_ns = options->state ? bench_round_trip_ns() : 0;
    bench_json_text(json, "state", bench_state_name(bench_state_of(before_ns, after_ns)));
    bench_json_number(json, "round_trip_before_ns", before_ns);
    bench_json_number(json, "round_trip_after_ns", after_ns);
    bench_json_begin(json, "points", '[');
    for (int i = 0; i < count; i++) {
        bench_json_begin(json, NULL, '{');
        bench_json_number(json, "body_ns", points[i].body_ns);
        bench_json_number(json, "granularity_ns", points[i].granularity_ns);
        bench_json_number(json, "efficiency", points[i].efficiency);
        bench_json_end(json, '}');
    }
    bench_json_end(json, ']');
    report_levels(points, count, options->quiet, json);
    return true;
}
