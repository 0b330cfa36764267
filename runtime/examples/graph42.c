// SPDX-License-Identifier: Apache-2.0
// Builds a small task graph, runs it on a device, checks the result: python/graphbuilder.py in C.
//
//     graph42 [DEVICE_ID [SCHEDULER KERNELS]]
//
// computes (a + b + 1) * (a + b + 2) for matrices a = 2 and b = 3 as four tasks:
//
//     c = a + b    d = c + 1    e = c + 2    f = d * e
//
// The device is simulated unless the environment says otherwise. SCHEDULER and KERNELS are the two
// device programs, libaicpu_graph_kernel.so and kernel.o; without them those of the build are used.
// Exit status: 0 right, 1 wrong or failed, 2 wrong usage.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pto/pto.h>

enum { ROWS = 128, COLUMNS = 128, COUNT = ROWS * COLUMNS, CORES = 3 };
enum { ADD = 0, ADD_SCALAR = 1, MUL = 2 }; // kernels in kernel.o
enum { A, B, C, D, E, F, TENSOR_COUNT };

static const float EXPECTED = 42.0f;

// A float argument of a task is its 32 bits in the low word.
static uint64_t float_argument(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static int write_text(void *stream, const char *text, size_t size_bytes)
{
    return fwrite(text, 1, size_bytes, stream) != size_bytes;
}

static void write_log(void *stream, enum pto_log_level level, const char *message)
{
    if (level >= PTO_LOG_INFO) {
        fprintf(stream, "%s\n", message);
    }
}

static enum pto_status build_graph(struct pto_graph *graph, const uint64_t tensors[TENSOR_COUNT],
                                   struct pto_error *err)
{
    const struct {
        uint64_t args[4];
        uint32_t func_id;
    } tasks[] = {
        {{tensors[A], tensors[B], tensors[C], COUNT}, ADD},
        {{tensors[C], float_argument(1.0f), tensors[D], COUNT}, ADD_SCALAR},
        {{tensors[C], float_argument(2.0f), tensors[E], COUNT}, ADD_SCALAR},
        {{tensors[D], tensors[E], tensors[F], COUNT}, MUL},
    };
    enum { TASK_COUNT = sizeof(tasks) / sizeof(tasks[0]) };

    uint32_t ids[TASK_COUNT];
    for (size_t i = 0; i < TASK_COUNT; i++) {
        enum pto_status status =
            pto_graph_add_task(graph, tasks[i].args, 4, tasks[i].func_id, &ids[i], err);
        if (status != PTO_OK) {
            return status;
        }
    }
    const uint64_t edges[][2] = {
        {ids[0], ids[1]},
        {ids[0], ids[2]},
        {ids[1], ids[3]},
        {ids[2], ids[3]},
    };
    return pto_graph_add_successors(graph, &edges[0][0], sizeof(edges) / sizeof(edges[0]), err);
}

// One tensor for each matrix; a and b get their values.
static enum pto_status make_tensors(struct pto_runner *runner, uint64_t tensors[TENSOR_COUNT],
                                    float *host, struct pto_error *err)
{
    const uint64_t size_bytes = COUNT * sizeof(float);
    const float values[] = {[A] = 2.0f, [B] = 3.0f};
    for (int i = 0; i < TENSOR_COUNT; i++) {
        enum pto_status status = pto_runner_allocate(runner, size_bytes, &tensors[i], err);
        if (status != PTO_OK) {
            return status;
        }
    }
    for (int i = A; i <= B; i++) {
        for (int k = 0; k < COUNT; k++) {
            host[k] = values[i];
        }
        enum pto_status status =
            pto_runner_copy_to_device(runner, tensors[i], host, size_bytes, err);
        if (status != PTO_OK) {
            return status;
        }
    }
    struct pto_runner_info info;
    pto_runner_get_info(runner, &info);
    printf("Device %" PRId64 ": backend %s, %" PRId64 " cores\n", info.device_id, info.backend,
           info.core_count);
    printf("Allocated %" PRIu64 " tensors, %" PRIu64 " bytes\n", info.block_count,
           info.block_bytes);
    return PTO_OK;
}

static enum pto_status print_cores(struct pto_runner *runner, struct pto_error *err)
{
    struct pto_core_result cores[CORES];
    size_t count;
    enum pto_status status = pto_runner_handshake_results(runner, cores, CORES, &count, err);
    for (size_t i = 0; status == PTO_OK && i < count && i < CORES; i++) {
        printf("core %" PRIu32 ": completed %" PRIu32 " of %" PRIu32 " tasks\n", cores[i].core,
               cores[i].completed, cores[i].queued);
    }
    return status;
}

// Leaves matrix f in `result`, which has room for COUNT elements. Whatever was made on the device
// until a failure is freed by pto_runner_destroy().
static enum pto_status compute(struct pto_runner *runner, struct pto_graph *graph,
                               const struct pto_config *config, float *result,
                               struct pto_error *err)
{
    uint64_t tensors[TENSOR_COUNT];
    enum pto_status status = pto_runner_init(runner, config, err);
    if (status == PTO_OK) {
        status = make_tensors(runner, tensors, result, err);
    }
    if (status == PTO_OK) {
        status = build_graph(graph, tensors, err);
    }
    if (status == PTO_OK) {
        status = pto_graph_print(graph, write_text, stdout, err);
    }
    if (status == PTO_OK) {
        status = pto_runner_run(runner, graph, NULL, err);
    }
    if (status == PTO_OK) {
        status = print_cores(runner, err);
    }
    if (status == PTO_OK) {
        memset(result, 0, COUNT * sizeof(float));
        status =
            pto_runner_copy_from_device(runner, result, tensors[F], COUNT * sizeof(float), err);
    }
    for (int i = 0; status == PTO_OK && i < TENSOR_COUNT; i++) {
        status = pto_runner_free(runner, tensors[i], err);
    }
    if (status == PTO_OK) {
        status = pto_runner_finalize(runner, NULL, err);
    }
    return status;
}

static int check(const float *result)
{
    int wrong_count = 0;
    for (int i = 0; i < COUNT; i++) {
        if (result[i] != EXPECTED) {
            if (wrong_count < 5) {
                printf("element [%d, %d] is %g\n", i / COLUMNS, i % COLUMNS, (double)result[i]);
            }
            wrong_count++;
        }
    }
    if (wrong_count > 0) {
        printf("FAILED: %d of %d elements are not %g\n", wrong_count, COUNT, (double)EXPECTED);
        return EXIT_FAILURE;
    }
    printf("✓ SUCCESS: All %d elements are correct (%.1f)\n", COUNT, (double)EXPECTED);
    printf("Formula verified: (a + b + 1)(a + b + 2) = (2+3+1)*(2+3+2) = 42\n");
    printf("=== Success ===\n");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct pto_config config = {
        .size = sizeof(config),
        .device_id = 9,
        .core_count = CORES,
        .aicpu_so_path = argc == 4 ? argv[2] : EXAMPLE_SCHEDULER,
        .aicore_kernel_path = argc == 4 ? argv[3] : EXAMPLE_KERNELS,
        .log = write_log,
        .log_context = stdout,
    };
    char *end = NULL;
    if (argc >= 2) {
        errno = 0;
        config.device_id = strtoll(argv[1], &end, 10);
    }
    if (argc == 3 || argc > 4 || (argc >= 2 && (end == argv[1] || *end != '\0' || errno != 0))) {
        fprintf(stderr, "usage: %s [DEVICE_ID [SCHEDULER KERNELS]]\n", argv[0]);
        return 2;
    }

    printf("=== Graph Builder Example (C) ===\n");
    int code = EXIT_FAILURE;
    struct pto_error err;
    struct pto_graph *graph = NULL;
    struct pto_runner *runner = NULL;
    float *result = malloc(COUNT * sizeof(*result));
    if (result == NULL) {
        fprintf(stderr, "no memory for %d elements\n", COUNT);
        return EXIT_FAILURE;
    }
    enum pto_status status = pto_graph_create(&graph, &err);
    if (status == PTO_OK) {
        status = pto_runner_create(&runner, &err);
    }
    if (status == PTO_OK) {
        status = compute(runner, graph, &config, result, &err);
    }
    if (status == PTO_OK) {
        code = check(result);
    } else {
        fprintf(stderr, "%s: %s\n", pto_status_name(status), err.message);
    }
    // Both accept NULL.
    pto_runner_destroy(runner);
    pto_graph_destroy(graph);
    free(result);
    return code;
}
