// SPDX-License-Identifier: Apache-2.0
// The mode --kernels: the bandwidth of the built-in kernels beside that of tuned loops over the
// same memory. Each measurement is a chain of tasks over the same tensors, so that what a task
// costs beyond its kernel is spread over much data; the loop repeats as often.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kernels_tuned.h"
#include "bench/pto_bench.h"
#include "bench/timing.h"

#define BYTES_PER_RUN (UINT64_C(256) << 20) // of one tensor, all repetitions together
#define SIZE_MIN (UINT64_C(64) << 10)
#define SIZE_MAX_BYTES (UINT64_C(64) << 20)

enum { REPS = 9, TENSORS = 3, ADD = 0, ADD_SCALAR = 1, MUL = 2, KERNEL_COUNT = 3 };

static const float SCALAR = 1.5f;

struct kernels {
    struct pto_runner *runner;
    struct pto_graph *graph;
    uint64_t tensors[TENSORS];
    uint64_t size_bytes; // of each tensor
    uint32_t repeat;
};

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static enum pto_status make_tensors(struct kernels *kernels, struct pto_error *err)
{
    enum pto_status status = PTO_OK;
    float *values = malloc(kernels->size_bytes);
    if (values == NULL) {
        *err = (struct pto_error){.status = PTO_E_NO_MEMORY, .message = "no memory for a tensor"};
        return PTO_E_NO_MEMORY;
    }
    for (size_t i = 0; i < kernels->size_bytes / sizeof(float); i++) {
        values[i] = 1.0f;
    }
    for (int i = 0; i < TENSORS && status == PTO_OK; i++) {
        status =
            pto_runner_allocate(kernels->runner, kernels->size_bytes, &kernels->tensors[i], err);
        if (status == PTO_OK) {
            status = pto_runner_copy_to_device(kernels->runner, kernels->tensors[i], values,
                                               kernels->size_bytes, err);
        }
    }
    free(values);
    return status;
}

static enum pto_status make_chain(struct kernels *kernels, uint32_t func_id, struct pto_error *err)
{
    const uint64_t second = func_id == ADD_SCALAR ? float_bits(SCALAR) : kernels->tensors[1];
    const uint64_t args[] = {kernels->tensors[0], second, kernels->tensors[2],
                             kernels->size_bytes / sizeof(float)};
    enum pto_status status = pto_graph_create(&kernels->graph, err);
    for (uint32_t i = 0; i < kernels->repeat && status == PTO_OK; i++) {
        uint32_t task;
        status = pto_graph_add_task(kernels->graph, args, 4, func_id, &task, err);
        if (status == PTO_OK && task > 0) {
            status = pto_graph_add_successor(kernels->graph, task - 1, task, err);
        }
    }
    return status;
}

// On the simulator a device pointer is an address of this process, so both sides use the very same
// memory: where it lies decides as much as how it is used.
static void run_tuned(const struct kernels *kernels, uint32_t func_id)
{
    const float *a = (const float *)(uintptr_t)kernels->tensors[0];
    const float *b = (const float *)(uintptr_t)kernels->tensors[1];
    float *c = (float *)(uintptr_t)kernels->tensors[2];
    const size_t count = kernels->size_bytes / sizeof(float);
    for (uint32_t i = 0; i < kernels->repeat; i++) {
        switch (func_id) {
        case ADD: bench_tuned_add(a, b, c, count); break;
        case ADD_SCALAR: bench_tuned_add_scalar(a, SCALAR, c, count); break;
        default: bench_tuned_mul(a, b, c, count); break;
        }
    }
}

// Both sides by turns; the medians in ns.
static enum pto_status time_kernel(const struct kernels *kernels, uint32_t func_id,
                                   double *out_kernel_ns, double *out_tuned_ns,
                                   struct pto_error *err)
{
    double kernel_ns[REPS], tuned_ns[REPS];
    enum pto_status status = pto_runner_run(kernels->runner, kernels->graph, NULL, err);
    for (int i = 0; i < REPS && status == PTO_OK; i++) {
        const uint64_t begin_ns = bench_now_ns();
        status = pto_runner_run(kernels->runner, kernels->graph, NULL, err);
        const uint64_t middle_ns = bench_now_ns();
        run_tuned(kernels, func_id);
        tuned_ns[i] = (double)(bench_now_ns() - middle_ns);
        kernel_ns[i] = (double)(middle_ns - begin_ns);
    }
    if (status == PTO_OK) {
        *out_kernel_ns = bench_median(kernel_ns, REPS);
        *out_tuned_ns = bench_median(tuned_ns, REPS);
    }
    return status;
}

static bool measure_size(const struct bench_options *options, uint64_t size_bytes,
                         struct bench_json *json)
{
    static const char *const names[KERNEL_COUNT] = {"add", "add_scalar", "mul"};
    struct kernels kernels = {.size_bytes = size_bytes,
                              .repeat = (uint32_t)(BYTES_PER_RUN / size_bytes)};
    struct pto_error err;
    if (!bench_pto_open_runner(options, BENCH_BUILTIN_KERNELS, &kernels.runner)) {
        return false;
    }
    enum pto_status status = make_tensors(&kernels, &err);
    for (uint32_t id = 0; id < KERNEL_COUNT && status == PTO_OK; id++) {
        double kernel_ns = 1, tuned_ns = 1;
        status = make_chain(&kernels, id, &err);
        if (status == PTO_OK) {
            status = time_kernel(&kernels, id, &kernel_ns, &tuned_ns, &err);
        }
        pto_graph_destroy(kernels.graph);
        kernels.graph = NULL;
        if (status != PTO_OK) {
            break;
        }
        const int tensors = id == ADD_SCALAR ? 2 : 3;
        const double moved_bytes = (double)(size_bytes * kernels.repeat) * tensors;
        bench_json_begin(json, NULL, '{');
        bench_json_text(json, "kernel", names[id]);
        bench_json_number(json, "tensor_bytes", (double)size_bytes);
        bench_json_number(json, "kernel_gb_per_s", moved_bytes / kernel_ns);
        bench_json_number(json, "tuned_gb_per_s", moved_bytes / tuned_ns);
        bench_json_number(json, "ratio", tuned_ns / kernel_ns);
        bench_json_end(json, '}');
        if (!options->quiet) {
            printf("%-10s %10llu %10.2f %10.2f %8.3f\n", names[id],
                   (unsigned long long)(size_bytes >> 10), moved_bytes / kernel_ns,
                   moved_bytes / tuned_ns, tuned_ns / kernel_ns);
        }
    }
    pto_runner_destroy(kernels.runner);
    return status == PTO_OK || bench_pto_failed(&err);
}

int bench_pto_kernels(const struct bench_options *options)
{
    // One lane unless told otherwise: two would only pass the chain to and fro.
    struct bench_options chosen = *options;
    chosen.lanes = options->lanes_given ? options->lanes : 1;
    struct bench_json json;
    if (!bench_json_open(&json, &chosen, "pto")) {
        return 1;
    }
    if (!options->quiet) {
        printf("%-10s %10s %10s %10s %8s\n", "kernel", "KiB", "GB/s", "tuned GB/s", "ratio");
    }
    bool is_done = true;
    bench_json_begin(&json, "kernels", '[');
    for (uint64_t size = SIZE_MIN; size <= SIZE_MAX_BYTES && is_done; size *= 4) {
        is_done = measure_size(&chosen, size, &json);
    }
    bench_json_end(&json, ']');
    return bench_json_close(&json) && is_done ? 0 : 1;
}
