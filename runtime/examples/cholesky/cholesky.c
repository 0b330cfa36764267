// SPDX-License-Identifier: Apache-2.0
// Tile Cholesky factorisation A = L L^T of a float32 matrix as a task graph.
//
//     cholesky [--n 1024] [--tile 128] [--cores 8] [--aicpu 1] [--device 9] [--repeat 3]
//              [--indefinite 0|1] [--scheduler FILE] [--kernels FILE]
//
// The matrix is cut into tiles, of which those on and below the diagonal are on the device, each in
// a tensor of its own. Step k of the algorithm is, in terms of the kernels in kernels.c:
//
//     potrf(k, k)
//     trsm(i, k)      for i > k           after potrf(k, k)
//     gemm(i, j)      for i > j > k       after trsm(i, k) and trsm(j, k)
//     syrk(j, j)      for j > k           after trsm(j, k)
//
// and each also runs after the task that wrote its own tile in step k - 1. --indefinite 1 first
// factors a matrix that is not positive definite, to show how such a failure is reported.
// Exit status: 0 right, 1 wrong or failed, 2 wrong usage.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pto/pto.h>

enum { POTRF = 20, TRSM = 21, SYRK = 22, GEMM = 23 };

static const uint32_t NO_TASK = UINT32_MAX;

struct options {
    int64_t n, tile, cores, schedulers, device, repeat, indefinite;
    const char *scheduler_path, *kernel_path;
};

struct tile {
    uint64_t tensor;
    uint32_t writer; // the task that wrote it last, as far as the graph is built
};

// What a task does, to be able to say so when it fails.
struct place {
    uint32_t row, column;
};

struct problem {
    const struct options *options;
    uint32_t side;        // tiles along one side of the matrix
    float *matrix;        // n x n, row by row
    float *factor;        // the same, for L
    float *buffer;        // one tile
    struct tile *tiles;   // side x side; those above the diagonal stay unused
    struct place *places; // one for each task
    struct pto_graph *graph;
    struct pto_runner *runner;
};

static struct tile *tile_at(const struct problem *problem, uint32_t row, uint32_t column)
{
    return &problem->tiles[(size_t)row * problem->side + column];
}

// The tile's first element within an n x n matrix.
static size_t tile_offset(const struct problem *problem, uint32_t row, uint32_t column)
{
    const size_t tile = (size_t)problem->options->tile;
    return (row * (size_t)problem->options->n + column) * tile;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// A random symmetric matrix with 3 added to the diagonal. Its elements are uniform in +-1/sqrt(n),
// so without the 3 its eigenvalues lie within +-1.2 when n is large, and, by Gershgorin's circles,
// within +-3 when n is at most 9: with it, all are positive.
static void make_matrix(float *matrix, size_t n)
{
    uint64_t state = 42;
    const double scale = 1.0 / sqrt((double)n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            const double uniform = (double)(state >> 32) / 2147483648.0 - 1.0;
            matrix[i * n + j] = matrix[j * n + i] = (float)(scale * uniform);
        }
        matrix[i * n + i] += 3.0f;
    }
}

// Adds one task that changes tile (row, column) and reads the tiles of `reads`. A tile is read only
// after its last change, so edges from the last writer of every tile touched are all there are.
static enum pto_status add_task(struct problem *problem, uint32_t func_id, uint32_t row,
                                uint32_t column, const struct tile *const *reads,
                                uint32_t read_count, struct pto_error *err)
{
    struct tile *changed = tile_at(problem, row, column);
    uint64_t args[4];
    uint32_t arg_count = 0;
    for (uint32_t i = 0; i < read_count; i++) {
        args[arg_count++] = reads[i]->tensor;
    }
    args[arg_count++] = changed->tensor;
    args[arg_count++] = (uint64_t)problem->options->tile;

    uint32_t task;
    enum pto_status status =
        pto_graph_add_task(problem->graph, args, arg_count, func_id, &task, err);
    for (uint32_t i = 0; status == PTO_OK && i < read_count; i++) {
        status = pto_graph_add_successor(problem->graph, reads[i]->writer, task, err);
    }
    if (status == PTO_OK && changed->writer != NO_TASK) {
        status = pto_graph_add_successor(problem->graph, changed->writer, task, err);
    }
    if (status == PTO_OK) {
        changed->writer = task;
        problem->places[task] = (struct place){.row = row, .column = column};
    }
    return status;
}

static enum pto_status build_graph(struct problem *problem, struct pto_error *err)
{
    const uint32_t side = problem->side;
    for (uint32_t k = 0; k < side; k++) {
        enum pto_status status = add_task(problem, POTRF, k, k, NULL, 0, err);
        const struct tile *diagonal = tile_at(problem, k, k);
        for (uint32_t i = k + 1; status == PTO_OK && i < side; i++) {
            status = add_task(problem, TRSM, i, k, &diagonal, 1, err);
        }
        for (uint32_t i = k + 1; status == PTO_OK && i < side; i++) {
            const struct tile *reads[] = {tile_at(problem, i, k), NULL};
            for (uint32_t j = k + 1; status == PTO_OK && j < i; j++) {
                reads[1] = tile_at(problem, j, k);
                status = add_task(problem, GEMM, i, j, reads, 2, err);
            }
            if (status == PTO_OK) {
                status = add_task(problem, SYRK, i, i, reads, 1, err);
            }
        }
        if (status != PTO_OK) {
            return status;
        }
    }
    return PTO_OK;
}

// Copies the tiles on and below the diagonal from problem->matrix to the device, or from the device
// to problem->factor.
static enum pto_status copy_tiles(struct problem *problem, int to_device, struct pto_error *err)
{
    const size_t n = (size_t)problem->options->n, tile = (size_t)problem->options->tile;
    const uint64_t size_bytes = tile * tile * sizeof(float);
    for (uint32_t row = 0; row < problem->side; row++) {
        for (uint32_t column = 0; column <= row; column++) {
            const uint64_t tensor = tile_at(problem, row, column)->tensor;
            const size_t offset = tile_offset(problem, row, column);
            enum pto_status status;
            if (to_device) {
                for (size_t i = 0; i < tile; i++) {
                    memcpy(problem->buffer + i * tile, problem->matrix + offset + i * n,
                           tile * sizeof(float));
                }
                status = pto_runner_copy_to_device(problem->runner, tensor, problem->buffer,
                                                   size_bytes, err);
            } else {
                status = pto_runner_copy_from_device(problem->runner, problem->buffer, tensor,
                                                     size_bytes, err);
                for (size_t i = 0; status == PTO_OK && i < tile; i++) {
                    memcpy(problem->factor + offset + i * n, problem->buffer + i * tile,
                           tile * sizeof(float));
                }
            }
            if (status != PTO_OK) {
                return status;
            }
        }
    }
    return PTO_OK;
}

// Opens the device, makes a tensor for each tile, builds the graph.
static enum pto_status prepare(struct problem *problem, struct pto_error *err)
{
    const struct options *options = problem->options;
    const struct pto_config config = {
        .size = sizeof(config),
        .device_id = options->device,
        .core_count = options->cores,
        .aicpu_so_path = options->scheduler_path,
        .aicore_kernel_path = options->kernel_path,
    };
    enum pto_status status = pto_runner_init(problem->runner, &config, err);
    for (uint32_t row = 0; status == PTO_OK && row < problem->side; row++) {
        for (uint32_t column = 0; status == PTO_OK && column <= row; column++) {
            struct tile *tile = tile_at(problem, row, column);
            tile->writer = NO_TASK;
            status = pto_runner_allocate(problem->runner,
                                         (uint64_t)(options->tile * options->tile) * sizeof(float),
                                         &tile->tensor, err);
        }
    }
    if (status == PTO_OK) {
        status = build_graph(problem, err);
    }
    if (status == PTO_OK) {
        printf("matrix %" PRId64 " x %" PRId64 ", tiles %" PRId64 " x %" PRId64 ": %" PRIu32
               " tasks, %" PRIu64 " edges\n",
               options->n, options->n, options->tile, options->tile,
               pto_graph_task_count(problem->graph), pto_graph_edge_count(problem->graph));
    }
    return status;
}

static enum pto_status run_once(struct problem *problem, double *out_seconds, struct pto_error *err)
{
    const struct pto_run_options options = {
        .size = sizeof(options),
        .scheduler_count = problem->options->schedulers,
    };
    enum pto_status status = copy_tiles(problem, 1, err);
    if (status == PTO_OK) {
        const double begin = seconds_now();
        status = pto_runner_run(problem->runner, problem->graph, &options, err);
        *out_seconds = seconds_now() - begin;
    }
    return status;
}

static enum pto_status factor(struct problem *problem, struct pto_error *err)
{
    const struct options *options = problem->options;
    double best = INFINITY, first = 0;
    for (int64_t k = 0; k < options->repeat; k++) {
        double seconds;
        enum pto_status status = run_once(problem, &seconds, err);
        if (status != PTO_OK) {
            return status;
        }
        first = k == 0 ? seconds : first;
        best = fmin(best, seconds);
    }
    const double n = (double)options->n;
    printf("cores: %" PRId64 ", first run %.2f ms, best %.2f ms, %.1f GFLOP/s\n", options->cores,
           1e3 * first, 1e3 * best, n * n * n / 3 / best * 1e-9);
    return copy_tiles(problem, 0, err);
}

// Whether L L^T is A within float32 rounding. For every order of evaluation, element (i, j) of
// L L^T - A is at most (n + 1) u |L| |L|^T (Higham, Accuracy and Stability of Numerical Algorithms,
// theorem 10.3), with u = 2^-24; the norm of row i of L is sqrt(A[i][i]). The kernels multiply by
// the reciprocal of a pivot, which the 8 allows for.
static int check(const struct problem *problem)
{
    const size_t n = (size_t)problem->options->n;
    const double unit = ((double)n + 8) * 0x1p-24;
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        const float *row = problem->factor + i * n;
        for (size_t j = 0; j <= i; j++) {
            const float *other = problem->factor + j * n;
            double sums[4] = {0}; // four chains of additions instead of one
            for (size_t p = 0; p <= j; p++) {
                sums[p % 4] += (double)row[p] * (double)other[p];
            }
            const double difference =
                fabs((double)problem->matrix[i * n + j] - (sums[0] + sums[1] + sums[2] + sums[3]));
            const double bound = unit * sqrt((double)problem->matrix[i * n + i] *
                                             (double)problem->matrix[j * n + j]);
            const double ratio = difference / bound;
            if (!(ratio <= 1)) {
                printf("FAILED: element (%zu, %zu) of A - L L^T is %.3g; rounding is %.3g\n", i, j,
                       difference, bound);
                return 0;
            }
            worst = fmax(worst, ratio);
        }
    }
    printf("A - L L^T is within rounding: at most %.3g of the bound\n", worst);
    return 1;
}

// Makes one diagonal element negative, and checks that the failure names its tile and column. The
// runner stays ready.
static int factor_indefinite(struct problem *problem, struct pto_error *err)
{
    const size_t n = (size_t)problem->options->n, tile = (size_t)problem->options->tile;
    const size_t bad = n * 5 / 7;
    float *element = &problem->matrix[bad * n + bad];
    const float saved = *element;
    double seconds;
    *element = -1.0f;
    enum pto_status status = run_once(problem, &seconds, err);
    *element = saved;
    if (status != PTO_E_TASK) {
        printf("FAILED: a matrix with a negative diagonal element gave %s\n",
               status == PTO_OK ? "a factor" : err->message);
        return 0;
    }
    const struct place place = problem->places[err->task];
    printf("not positive definite, as it should be: %s of tile (%" PRIu32 ", %" PRIu32
           ") stopped at its column %" PRId32 "\n  %s\n",
           err->kernel, place.row, place.column, err->task_code - 1, err->message);
    if (err->func_id != POTRF || place.row * tile + (size_t)err->task_code - 1 != bad) {
        printf("FAILED: expected potrf to stop at column %zu of the matrix\n", bad);
        return 0;
    }
    return 1;
}

static int fail(enum pto_status status, const struct pto_error *err)
{
    fprintf(stderr, "%s: %s\n", pto_status_name(status), err->message);
    return EXIT_FAILURE;
}

static int solve(struct problem *problem)
{
    struct pto_error err;
    enum pto_status status = pto_graph_create(&problem->graph, &err);
    if (status == PTO_OK) {
        status = pto_runner_create(&problem->runner, &err);
    }
    if (status == PTO_OK) {
        status = prepare(problem, &err);
    }
    if (status != PTO_OK) {
        return fail(status, &err);
    }
    if (problem->options->indefinite && !factor_indefinite(problem, &err)) {
        return EXIT_FAILURE;
    }
    status = factor(problem, &err);
    if (status != PTO_OK) {
        return fail(status, &err);
    }
    return check(problem) ? EXIT_SUCCESS : EXIT_FAILURE;
}

// Returns 0 when the arguments cannot be understood, and says why.
static int parse_options(struct options *options, int argc, char **argv)
{
    const struct {
        const char *name;
        int64_t *value;
        int64_t min, max;
    } numbers[] = {
        {"--n", &options->n, 1, 32768},
        {"--tile", &options->tile, 1, 1024},
        {"--cores", &options->cores, 1, PTO_RUNNER_CORE_MAX},
        {"--aicpu", &options->schedulers, 1, PTO_RUNNER_SCHEDULER_MAX},
        {"--device", &options->device, 0, PTO_DEVICE_ID_MAX},
        {"--repeat", &options->repeat, 1, 1000000},
        {"--indefinite", &options->indefinite, 0, 1},
    };
    enum { NUMBER_COUNT = sizeof(numbers) / sizeof(numbers[0]) };

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) {
            fprintf(stderr, "%s: a value is missing after it\n", argv[i]);
            return 0;
        }
        if (strcmp(argv[i], "--scheduler") == 0) {
            options->scheduler_path = argv[i + 1];
            continue;
        }
        if (strcmp(argv[i], "--kernels") == 0) {
            options->kernel_path = argv[i + 1];
            continue;
        }
        size_t k = 0;
        while (k < NUMBER_COUNT && strcmp(argv[i], numbers[k].name) != 0) {
            k++;
        }
        if (k == NUMBER_COUNT) {
            fprintf(stderr, "%s: no such option\n", argv[i]);
            return 0;
        }
        char *end;
        errno = 0;
        const long long value = strtoll(argv[i + 1], &end, 10);
        if (end == argv[i + 1] || *end != '\0' || errno != 0 || value < numbers[k].min ||
            value > numbers[k].max) {
            fprintf(stderr, "%s %s: not a number from %" PRId64 " to %" PRId64 "\n", argv[i],
                    argv[i + 1], numbers[k].min, numbers[k].max);
            return 0;
        }
        *numbers[k].value = value;
    }
    if (options->n % options->tile != 0) {
        fprintf(stderr, "--n %" PRId64 " is not a multiple of --tile %" PRId64 "\n", options->n,
                options->tile);
        return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct options options = {
        .n = 1024,
        .tile = 128,
        .cores = 8,
        .schedulers = 1,
        .device = 9,
        .repeat = 3,
        .scheduler_path = EXAMPLE_SCHEDULER,
        .kernel_path = EXAMPLE_KERNELS,
    };
    if (!parse_options(&options, argc, argv)) {
        return 2;
    }
    const size_t n = (size_t)options.n, tile = (size_t)options.tile;
    const size_t side = n / tile;
    // Steps k = 0..side-1 have (s + 1) s / 2 tasks each, with s = side - k.
    const size_t task_count = side * (side + 1) * (side + 2) / 6;
    struct problem problem = {
        .options = &options,
        .side = (uint32_t)side,
        .matrix = malloc(n * n * sizeof(float)),
        .factor = calloc(n * n, sizeof(float)),
        .buffer = malloc(tile * tile * sizeof(float)),
        .tiles = calloc(side * side, sizeof(struct tile)),
        .places = calloc(task_count, sizeof(struct place)),
    };
    int code = EXIT_FAILURE;
    if (problem.matrix == NULL || problem.factor == NULL || problem.buffer == NULL ||
        problem.tiles == NULL || problem.places == NULL) {
        fprintf(stderr, "no memory for a matrix of %zu x %zu\n", n, n);
    } else {
        make_matrix(problem.matrix, n);
        code = solve(&problem);
    }
    // Every one of these accepts NULL. The runner frees the tensors that are left.
    pto_runner_destroy(problem.runner);
    pto_graph_destroy(problem.graph);
    free(problem.places);
    free(problem.tiles);
    free(problem.buffer);
    free(problem.factor);
    free(problem.matrix);
    return code;
}
