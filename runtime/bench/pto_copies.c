// SPDX-License-Identifier: Apache-2.0
// The modes --copies, copies to and from the device beside memcpy between the same two places, and
// --idle, the processor time of an initialised runner that nobody uses.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "bench/pto_bench.h"
#include "bench/timing.h"

#define SIZE_MIN (UINT64_C(4) << 10)
#define SIZE_MAX_BYTES (UINT64_C(64) << 20)
#define BYTES_PER_SAMPLE (UINT64_C(64) << 20)

enum { REPS = 15, WAYS = 4 };

// The four ways by turns, so that all meet the same machine.
static enum pto_status time_copies(struct pto_runner *runner, uint64_t device, void *host,
                                   uint64_t size_bytes, double *medians_ns, struct pto_error *err)
{
    const uint64_t repeat = BYTES_PER_SAMPLE / size_bytes;
    double times_ns[WAYS][REPS];
    enum pto_status status = PTO_OK;
    for (int i = 0; i < REPS * WAYS && status == PTO_OK; i++) {
        const uint64_t begin_ns = bench_now_ns();
        for (uint64_t k = 0; k < repeat && status == PTO_OK; k++) {
            switch (i % WAYS) {
            case 0: memcpy((void *)(uintptr_t)device, host, size_bytes); break;
            case 1: memcpy(host, (void *)(uintptr_t)device, size_bytes); break;
            case 2:
                status = pto_runner_copy_to_device(runner, device, host, size_bytes, err);
                break;
            default:
                status = pto_runner_copy_from_device(runner, host, device, size_bytes, err);
                break;
            }
            __asm__("" : : : "memory");
        }
        times_ns[i % WAYS][i / WAYS] = (double)(bench_now_ns() - begin_ns) / (double)repeat;
    }
    for (int way = 0; way < WAYS && status == PTO_OK; way++) {
        medians_ns[way] = bench_median(times_ns[way], REPS);
    }
    return status;
}

static bool measure_size(const struct bench_options *options, struct pto_runner *runner,
                         uint64_t device, void *host, uint64_t size_bytes, struct bench_json *json)
{
    struct pto_error err;
    double ns[WAYS];
    if (time_copies(runner, device, host, size_bytes, ns, &err) != PTO_OK) {
        return bench_pto_failed(&err);
    }
    const double size = (double)size_bytes;
    bench_json_begin(json, NULL, '{');
    bench_json_number(json, "bytes", size);
    bench_json_number(json, "memcpy_gb_per_s", size / ns[0]);
    bench_json_number(json, "to_device_gb_per_s", size / ns[2]);
    bench_json_number(json, "from_device_gb_per_s", size / ns[3]);
    bench_json_number(json, "to_device_ratio", ns[0] / ns[2]);
    bench_json_number(json, "from_device_ratio", ns[1] / ns[3]);
    bench_json_end(json, '}');
    if (!options->quiet) {
        printf("%10llu %12.2f %12.2f %12.2f %8.3f %8.3f\n", (unsigned long long)(size_bytes >> 10),
               size / ns[0], size / ns[2], size / ns[3], ns[0] / ns[2], ns[1] / ns[3]);
    }
    return true;
}

int bench_pto_copies(const struct bench_options *options)
{
    struct pto_runner *runner = NULL;
    struct pto_error err;
    struct bench_json json;
    uint64_t device;
    if (!bench_pto_open_runner(options, BENCH_KERNELS, &runner)) {
        return 1;
    }
    void *host = malloc(SIZE_MAX_BYTES);
    bool is_done = host != NULL;
    if (!is_done) {
        perror("malloc");
    } else {
        memset(host, 1, SIZE_MAX_BYTES); // so that every page is there
        is_done = pto_runner_allocate(runner, SIZE_MAX_BYTES, &device, &err) == PTO_OK ||
                  bench_pto_failed(&err);
    }
    is_done = is_done && bench_json_open(&json, options, "pto");
    if (is_done) {
        if (!options->quiet) {
            printf("%10s %12s %12s %12s %8s %8s\n", "KiB", "memcpy GB/s", "to device",
                   "from device", "to", "from");
        }
        bench_json_begin(&json, "copies", '[');
        for (uint64_t size = SIZE_MIN; size <= SIZE_MAX_BYTES && is_done; size *= 4) {
            is_done = measure_size(options, runner, device, host, size, &json);
        }
        bench_json_end(&json, ']');
        is_done = bench_json_close(&json) && is_done;
    }
    pto_runner_destroy(runner);
    free(host);
    return is_done ? 0 : 1;
}

static double processor_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void sleep_for(double seconds)
{
    struct timespec rest = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}

// After a run, not only after init: threads that a run started are the ones that could be left
// spinning. They get a tenth of a second to come to rest, which is not counted.
int bench_pto_idle(const struct bench_options *options)
{
    struct pto_runner *runner = NULL;
    struct pto_graph *graph = NULL;
    struct bench_dag dag;
    struct bench_work work;
    struct bench_json json;
    struct pto_error err;
    double build_ns;
    if (!bench_pto_open_runner(options, BENCH_KERNELS, &runner)) {
        return 1;
    }
    bool is_done = bench_dag_init(&dag, BENCH_STENCIL, options->tasks);
    if (is_done) {
        bench_work_init(&work, BENCH_EMPTY, 0, &dag);
        is_done = bench_pto_build_graph(&work, false, &graph, &build_ns) &&
                  (pto_runner_run(runner, graph, NULL, &err) == PTO_OK || bench_pto_failed(&err));
        bench_work_fini(&work);
        bench_dag_fini(&dag);
    }
    if (is_done) {
        sleep_for(0.1);
        const double before = processor_seconds();
        const uint64_t begin_ns = bench_now_ns();
        sleep_for(options->seconds);
        const double wall = (double)(bench_now_ns() - begin_ns) / 1e9;
        const double used = processor_seconds() - before;
        is_done = bench_json_open(&json, options, "pto");
        if (is_done) {
            bench_json_number(&json, "idle_wall_s", wall);
            bench_json_number(&json, "idle_processor_s", used);
            bench_json_number(&json, "idle_percent", 100 * used / wall);
            is_done = bench_json_close(&json);
        }
        if (!options->quiet) {
            printf("idle for %.3f s: %.6f s of processor time, %.4f %%\n", wall, used,
                   100 * used / wall);
        }
    }
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
    return is_done ? 0 : 1;
}
