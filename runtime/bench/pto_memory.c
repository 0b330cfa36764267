// SPDX-License-Identifier: Apache-2.0
// The mode --memory: what a graph takes, in bytes and in time, from 10^4 tasks up.
//
// Each size is measured in a process of its own, because memory that an earlier one gave back would
// not count as grown. The host's bytes are the growth of the resident memory while the graph is
// built: what the allocator holds, not only what was asked for.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/image.h"
#include "bench/machine.h"
#include "bench/pto_bench.h"
#include "bench/timing.h"

#define TASKS_MIN 10000u
#define TASKS_MAX_DEFAULT 10000000u

enum { TIMED_RUNS = 3 };

struct measure {
    uint64_t task_count;
    uint64_t edge_count;
    uint64_t host_bytes; // 0: not known
    uint64_t image_bytes;
    double build_ns;
    double compile_ns;
    double first_ns;
    double run_ns; // median
    double peak_bytes;
};

static bool time_runs(const struct bench_options *options, struct pto_graph *graph,
                      struct measure *measure)
{
    struct pto_error err;
    struct pto_runner *runner = NULL;
    struct pto_run_options run_options = {.size = sizeof(run_options),
                                          .scheduler_count = options->schedulers};
    if (!bench_pto_open_runner(options, BENCH_KERNELS, &runner)) {
        return false;
    }
    double times_ns[TIMED_RUNS + 1];
    enum pto_status status = PTO_OK;
    for (int i = 0; i <= TIMED_RUNS && status == PTO_OK; i++) {
        const uint64_t begin_ns = bench_now_ns();
        status = pto_runner_run(runner, graph, &run_options, &err);
        times_ns[i] = (double)(bench_now_ns() - begin_ns);
    }
    pto_runner_destroy(runner);
    measure->first_ns = times_ns[0];
    if (status == PTO_OK) {
        measure->run_ns = bench_median(times_ns + 1, TIMED_RUNS);
    }
    return status == PTO_OK || bench_pto_failed(&err);
}

static bool measure_here(const struct bench_options *options, enum bench_pattern pattern,
                         uint32_t task_count, struct measure *measure)
{
    struct bench_dag dag;
    if (!bench_dag_init(&dag, pattern, task_count)) {
        fprintf(stderr, "pto: no memory for %s of %u tasks\n", bench_pattern_name(pattern),
                (unsigned)task_count);
        return false;
    }
    struct bench_work work;
    bench_work_init(&work, BENCH_EMPTY, 0, &dag);
    *measure = (struct measure){.task_count = dag.task_count, .edge_count = dag.edge_count};

    struct pto_graph *graph = NULL;
    const uint64_t before_bytes = bench_resident_bytes();
    bool is_done = bench_pto_build_graph(&work, false, &graph, &measure->build_ns);
    const uint64_t after_bytes = bench_resident_bytes();
    measure->host_bytes = after_bytes > before_bytes ? after_bytes - before_bytes : 0;
    is_done = is_done && bench_pto_compile(graph, &measure->compile_ns, &measure->image_bytes) &&
              time_runs(options, graph, measure);
    pto_graph_destroy(graph);
    bench_work_fini(&work);
    bench_dag_fini(&dag);
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        measure->peak_bytes = (double)usage.ru_maxrss * 1024;
    }
    return is_done;
}

static bool read_all(int fd, void *buffer, size_t size_bytes)
{
    size_t got = 0;
    while (got < size_bytes) {
        ssize_t count = read(fd, (char *)buffer + got, size_bytes - got);
        if (count == 0 || (count < 0 && errno != EINTR)) {
            return false;
        }
        got += count > 0 ? (size_t)count : 0;
    }
    return true;
}

static bool measure_in_child(const struct bench_options *options, enum bench_pattern pattern,
                             uint32_t task_count, struct measure *measure)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends) != 0) {
        perror("pipe");
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        const bool is_done = measure_here(options, pattern, task_count, measure);
        // A pipe takes this much in one piece.
        const bool is_told = write(ends[1], measure, sizeof(*measure)) == (ssize_t)sizeof(*measure);
        _exit(is_done && is_told ? 0 : 1);
    }
    close(ends[1]);
    int status = 1;
    bool is_done = child > 0 && read_all(ends[0], measure, sizeof(*measure));
    close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (child < 0) {
        perror("fork");
    }
    return is_done && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void print_measure(enum bench_pattern pattern, const struct measure *measure)
{
    const double count = (double)measure->task_count;
    printf("%-10s %10.0f %10.0f %7.1f %7.1f %8.1f %8.1f %8.1f %8.1f %9.0f\n",
           bench_pattern_name(pattern), count, (double)measure->edge_count,
           (double)measure->image_bytes / count, (double)measure->host_bytes / count,
           measure->build_ns / count, measure->compile_ns / count, measure->first_ns / count,
           measure->run_ns / count, measure->peak_bytes / 1048576);
    fflush(stdout);
}

static void write_measure(struct bench_json *json, enum bench_pattern pattern,
                          const struct measure *measure)
{
    const double count = (double)measure->task_count;
    const double edge_bytes = 4 * (double)measure->edge_count;
    bench_json_begin(json, NULL, '{');
    bench_json_text(json, "pattern", bench_pattern_name(pattern));
    bench_json_number(json, "tasks", count);
    bench_json_number(json, "edges", (double)measure->edge_count);
    bench_json_number(json, "image_bytes", (double)measure->image_bytes);
    bench_json_number(json, "image_bytes_per_task_without_edges",
                      ((double)measure->image_bytes - edge_bytes) / count);
    bench_json_number(json, "host_bytes_per_task", (double)measure->host_bytes / count);
    bench_json_number(json, "build_ns_per_task", measure->build_ns / count);
    bench_json_number(json, "compile_ns_per_task", measure->compile_ns / count);
    bench_json_number(json, "first_ns_per_task", measure->first_ns / count);
    bench_json_number(json, "run_ns_per_task", measure->run_ns / count);
    bench_json_number(json, "peak_mib", measure->peak_bytes / 1048576);
    bench_json_end(json, '}');
}

int bench_pto_memory(const struct bench_options *options)
{
    static const enum bench_pattern patterns[] = {BENCH_STENCIL, BENCH_RANDOM};
    const uint32_t most = options->tasks_given ? options->tasks : TASKS_MAX_DEFAULT;
    struct bench_json json;
    if (!bench_json_open(&json, options, "pto")) {
        return 1;
    }
    if (!options->quiet) {
        printf("%-10s %10s %10s %15s %8s %8s %8s %8s %9s\n", "", "", "", "bytes a task", "ns", "",
               "", "", "peak");
        printf("%-10s %10s %10s %7s %7s %8s %8s %8s %8s %9s\n", "pattern", "tasks", "edges",
               "image", "host", "build", "compile", "first", "run", "MiB");
    }
    bool is_done = true;
    bench_json_begin(&json, "memory", '[');
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]) && is_done; i++) {
        for (uint64_t count = TASKS_MIN; count <= most && is_done; count *= 10) {
            struct measure measure;
            is_done = measure_in_child(options, patterns[i], (uint32_t)count, &measure);
            if (is_done) {
                write_measure(&json, patterns[i], &measure);
            }
            if (is_done && !options->quiet) {
                print_measure(patterns[i], &measure);
            }
        }
    }
    bench_json_end(&json, ']');
    return bench_json_close(&json) && is_done ? 0 : 1;
}
