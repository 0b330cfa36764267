// SPDX-License-Identifier: Apache-2.0
// The mode --analysis: how long it takes to look at a graph without running it, from 10^4 tasks up.
//
// Each task adds what two of its predecessors wrote into a tensor of its own, one line long, so
// that there is no race to be found; a task with fewer predecessors reads its own tensor instead.
#include <stdio.h>
#include <stdlib.h>

#include "bench/pto_bench.h"
#include "bench/timing.h"

#define TASKS_MIN 10000u
#define TASKS_MAX_DEFAULT 1000000u
#define KERNEL_ADD 0u
#define TENSOR_BYTES 64u

enum { TIMED_CALLS = 3 };

struct measure {
    uint32_t task_count;
    size_t edge_count;
    size_t redundant_count;
    size_t race_count;
    double redundant_ns; // medians
    double race_ns;
};

static enum pto_status add_tasks(struct pto_graph *graph, const struct bench_dag *dag,
                                 uint64_t tensors, struct pto_error *err)
{
    enum pto_status status = PTO_OK;
    for (uint32_t i = 0; i < dag->task_count && status == PTO_OK; i++) {
        const uint64_t own = tensors + (uint64_t)i * TENSOR_BYTES;
        uint64_t args[] = {own, own, own, TENSOR_BYTES / sizeof(float)};
        for (uint32_t k = 0; k < 2 && k < bench_dag_predecessor_count(dag, i); k++) {
            args[k] = tensors + (uint64_t)dag->predecessors[dag->begin[i] + k] * TENSOR_BYTES;
        }
        uint32_t task;
        status = pto_graph_add_task(graph, args, 4, KERNEL_ADD, &task, err);
        for (size_t e = dag->begin[i]; e < dag->begin[i + 1] && status == PTO_OK; e++) {
            status = pto_graph_add_successor(graph, dag->predecessors[e], i, err);
        }
    }
    return status;
}

static enum pto_status time_calls(struct pto_graph *graph, struct pto_runner *runner,
                                  struct measure *measure, struct pto_error *err)
{
    double redundant_ns[TIMED_CALLS];
    double race_ns[TIMED_CALLS];
    enum pto_status status = PTO_OK;
    for (int i = 0; i < TIMED_CALLS && status == PTO_OK; i++) {
        const uint64_t begin_ns = bench_now_ns();
        status = pto_graph_redundant_edges(graph, NULL, NULL, 0, &measure->redundant_count, err);
        const uint64_t between_ns = bench_now_ns();
        if (status == PTO_OK) {
            status = pto_graph_find_races(graph, runner, NULL, NULL, 0, &measure->race_count, err);
        }
        redundant_ns[i] = (double)(between_ns - begin_ns);
        race_ns[i] = (double)(bench_now_ns() - between_ns);
    }
    if (status == PTO_OK) {
        measure->redundant_ns = bench_median(redundant_ns, TIMED_CALLS);
        measure->race_ns = bench_median(race_ns, TIMED_CALLS);
    }
    return status;
}

static bool measure_graph(struct pto_runner *runner, const struct bench_dag *dag,
                          struct measure *measure)
{
    struct pto_error err;
    struct pto_graph *graph = NULL;
    uint64_t tensors = 0;
    *measure = (struct measure){.task_count = dag->task_count, .edge_count = dag->edge_count};
    enum pto_status status = pto_graph_create(&graph, &err);
    if (status == PTO_OK) {
        status =
            pto_runner_allocate(runner, (uint64_t)dag->task_count * TENSOR_BYTES, &tensors, &err);
    }
    if (status == PTO_OK) {
        status = add_tasks(graph, dag, tensors, &err);
    }
    if (status == PTO_OK) {
        status = time_calls(graph, runner, measure, &err);
    }
    bool is_done = status == PTO_OK || bench_pto_failed(&err);
    if (tensors != 0 && pto_runner_free(runner, tensors, &err) != PTO_OK) {
        is_done = bench_pto_failed(&err);
    }
    pto_graph_destroy(graph);
    return is_done;
}

static void print_measure(enum bench_pattern pattern, const struct measure *measure)
{
    printf("%-10s %10u %10zu %10zu %9.3f %10zu %9.3f\n", bench_pattern_name(pattern),
           (unsigned)measure->task_count, measure->edge_count, measure->redundant_count,
           measure->redundant_ns / 1e9, measure->race_count, measure->race_ns / 1e9);
    fflush(stdout);
}

static void write_measure(struct bench_json *json, enum bench_pattern pattern,
                          const struct measure *measure)
{
    bench_json_begin(json, NULL, '{');
    bench_json_text(json, "pattern", bench_pattern_name(pattern));
    bench_json_number(json, "tasks", measure->task_count);
    bench_json_number(json, "edges", (double)measure->edge_count);
    bench_json_number(json, "redundant_edges", (double)measure->redundant_count);
    bench_json_number(json, "redundant_edges_ns", measure->redundant_ns);
    bench_json_number(json, "races", (double)measure->race_count);
    bench_json_number(json, "find_races_ns", measure->race_ns);
    bench_json_end(json, '}');
}

static bool measure_pattern(const struct bench_options *options, struct pto_runner *runner,
                            enum bench_pattern pattern, struct bench_json *json)
{
    const uint32_t most = options->tasks_given ? options->tasks : TASKS_MAX_DEFAULT;
    const uint32_t least = most < TASKS_MIN ? most : TASKS_MIN;
    for (uint64_t count = least; count <= most; count *= 10) {
        struct bench_dag dag;
        if (!bench_dag_init(&dag, pattern, (uint32_t)count)) {
            fprintf(stderr, "pto: no memory for %s of %u tasks\n", bench_pattern_name(pattern),
                    (unsigned)count);
            return false;
        }
        struct measure measure;
        const bool is_done = measure_graph(runner, &dag, &measure);
        bench_dag_fini(&dag);
        if (!is_done) {
            return false;
        }
        if (measure.race_count != 0) {
            fprintf(stderr, "pto: %zu races in %s, which has none\n", measure.race_count,
                    bench_pattern_name(pattern));
            return false;
        }
        write_measure(json, pattern, &measure);
        if (!options->quiet) {
            print_measure(pattern, &measure);
        }
    }
    return true;
}

int bench_pto_analysis(const struct bench_options *options)
{
    struct bench_json json;
    struct pto_runner *runner = NULL;
    if (!bench_json_open(&json, options, "pto")) {
        return 1;
    }
    bool is_done = bench_pto_open_runner(options, BENCH_BUILTIN_KERNELS, &runner);
    if (!options->quiet) {
        printf("%-10s %10s %10s %10s %9s %10s %9s\n", "pattern", "tasks", "edges", "redundant", "s",
               "races", "s");
    }
    bench_json_begin(&json, "analysis", '[');
    for (int i = 0; i < BENCH_PATTERN_COUNT && is_done; i++) {
        if (options->is_chosen[i]) {
            is_done = measure_pattern(options, runner, (enum bench_pattern)i, &json);
        }
    }
    bench_json_end(&json, ']');
    pto_runner_destroy(runner);
    return bench_json_close(&json) && is_done ? 0 : 1;
}
