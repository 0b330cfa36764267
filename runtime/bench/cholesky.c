// SPDX-License-Identifier: Apache-2.0
#include "bench/cholesky.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/machine.h"
#include "bench/report.h"
#include "pto/kernel.h"

#define N_DEFAULT 4096u
#define TILE_DEFAULT 128u
#define REPS_DEFAULT 5u
#define N_MAX 65536u

enum { POTRF = 40, TRSM = 41, SYRK = 42, GEMM = 43, REPS_MAX = 1000 };

// The kernels are linked into the program; the linker marks both ends of their table.
extern const struct pto_kernel_entry __start_pto_kernel_entries[];
extern const struct pto_kernel_entry __stop_pto_kernel_entries[];

struct choice {
    uint32_t n, tile, reps;
    struct bench_options options; // what the report needs
};

static pto_kernel_function *find_kernel(uint32_t func_id)
{
    const struct pto_kernel_entry *entry = __start_pto_kernel_entries;
    while (entry != __stop_pto_kernel_entries && entry->func_id != func_id) {
        entry++;
    }
    return entry != __stop_pto_kernel_entries ? entry->function : NULL;
}

uint32_t bench_cholesky_args(const struct bench_cholesky *problem, uint32_t task, uint64_t tiles,
                             uint64_t times, uint64_t *args)
{
    const struct bench_tile_task *record = &problem->tasks[task];
    const uint64_t tile_bytes = (uint64_t)problem->tile * problem->tile * sizeof(float);
    uint32_t count = 0;
    for (; count < record->tile_count; count++) {
        args[count] = tiles + record->tiles[count] * tile_bytes;
    }
    args[count++] = problem->tile;
    args[count++] = times + task * sizeof(uint64_t);
    args[count++] = 1;
    return count;
}

int32_t bench_cholesky_do(const struct bench_cholesky *problem, uint32_t task)
{
    uint64_t args[BENCH_CHOLESKY_ARGS];
    bench_cholesky_args(problem, task, (uint64_t)(uintptr_t)problem->tiles,
                        (uint64_t)(uintptr_t)problem->times_ns, args);
    return find_kernel(problem->tasks[task].func_id)(args);
}

// In the order in which patterns.c makes the tasks of this DAG.
static void make_tasks(struct bench_cholesky *problem)
{
    const uint32_t side = problem->side;
    uint32_t task = 0;
    for (uint32_t k = 0; k < side; k++) {
        const uint32_t diagonal = k * side + k;
        problem->tasks[task++] = (struct bench_tile_task){POTRF, 1, {diagonal, 0, 0}};
        for (uint32_t i = k + 1; i < side; i++) {
            problem->tasks[task++] = (struct bench_tile_task){TRSM, 2, {diagonal, i * side + k, 0}};
        }
        for (uint32_t i = k + 1; i < side; i++) {
            for (uint32_t j = k + 1; j < i; j++) {
                problem->tasks[task++] =
                    (struct bench_tile_task){GEMM, 3, {i * side + k, j * side + k, i * side + j}};
            }
            problem->tasks[task++] =
                (struct bench_tile_task){SYRK, 2, {i * side + k, i * side + i, 0}};
        }
    }
}

// Symmetric, with a diagonal that outweighs the rest of its row: positive definite.
static void make_matrix(struct bench_cholesky *problem)
{
    const uint32_t side = problem->side, tile = problem->tile, n = side * tile;
    for (uint32_t row = 0; row < n; row++) {
        for (uint32_t column = 0; column < n; column++) {
            const uint32_t low = row < column ? row : column, high = row < column ? column : row;
            const uint32_t mixed = (low * 7919u + high * 104729u) % 1009u;
            const float value = (float)mixed / 1009.0f + (row == column ? (float)n : 0.0f);
            const size_t place = (size_t)(row / tile) * side + column / tile;
            problem->original[(place * tile + row % tile) * tile + column % tile] = value;
        }
    }
}

static void problem_fini(struct bench_cholesky *problem)
{
    bench_dag_fini(&problem->dag);
    free(problem->tasks);
    free(problem->times_ns);
    free(problem->expected);
    free(problem->tiles);
    free(problem->original);
}

static bool problem_init(struct bench_cholesky *problem, uint32_t n, uint32_t tile)
{
    const uint32_t side = n / tile;
    // As many tasks as so many tiles make, so that patterns.c chooses this number of tiles.
    const uint64_t t = side;
    const uint64_t task_count = t * t + (t < 3 ? 0 : t * (t - 1) * (t - 2) / 6);
    *problem = (struct bench_cholesky){.tile = tile, .side = side};
    problem->tiles_bytes = (size_t)n * n * sizeof(float);
    problem->original = malloc(problem->tiles_bytes);
    problem->tiles = malloc(problem->tiles_bytes);
    problem->expected = malloc(problem->tiles_bytes);
    problem->times_ns = calloc(task_count, sizeof(*problem->times_ns));
    problem->tasks = calloc(task_count, sizeof(*problem->tasks));
    if (problem->original == NULL || problem->tiles == NULL || problem->expected == NULL ||
        problem->times_ns == NULL || problem->tasks == NULL || task_count > BENCH_TASK_MAX ||
        !bench_dag_init(&problem->dag, BENCH_CHOLESKY, (uint32_t)task_count)) {
        fprintf(stderr, "no memory for a matrix of %u x %u\n", (unsigned)n, (unsigned)n);
        problem_fini(problem);
        return false;
    }
    make_tasks(problem);
    make_matrix(problem);
    return true;
}

static double kernels_ns(const struct bench_cholesky *problem)
{
    double sum = 0;
    for (uint32_t i = 0; i < problem->dag.task_count; i++) {
        sum += (double)problem->times_ns[i];
    }
    return sum;
}

// One task after the other, which also says what is expected of every other way.
static bool run_serially(struct bench_cholesky *problem, double *out_ns)
{
    memcpy(problem->tiles, problem->original, problem->tiles_bytes);
    for (uint32_t i = 0; i < problem->dag.task_count; i++) {
        const int32_t code = bench_cholesky_do(problem, i);
        if (code != 0) {
            fprintf(stderr, "task %u returned %d\n", (unsigned)i, (int)code);
            return false;
        }
    }
    memcpy(problem->expected, problem->tiles, problem->tiles_bytes);
    *out_ns = kernels_ns(problem);
    return true;
}

static bool measure(struct bench_cholesky *problem, const struct bench_cholesky_engine *engine,
                    const struct choice *choice, double *out_wall_ns, double *out_share)
{
    void *state = NULL;
    double *walls_ns = malloc(2 * (size_t)choice->reps * sizeof(*walls_ns));
    double *shares = walls_ns + choice->reps;
    if (walls_ns == NULL || !engine->open(problem, choice->options.lanes, &state)) {
        free(walls_ns);
        return false;
    }
    bool is_done = engine->run(state, &walls_ns[0]); // not counted: it may build and upload
    for (uint32_t i = 0; i < choice->reps && is_done; i++) {
        is_done = engine->run(state, &walls_ns[i]);
        // Each tile sees its updates in one order, so not even rounding may differ.
        if (is_done && memcmp(problem->tiles, problem->expected, problem->tiles_bytes) != 0) {
            fprintf(stderr, "%s: the factor differs from the serial one\n", engine->name);
            is_done = false;
        }
        shares[i] = kernels_ns(problem) / (walls_ns[i] * choice->options.lanes);
    }
    engine->close(state);
    if (is_done) {
        *out_wall_ns = bench_median(walls_ns, choice->reps);
        *out_share = bench_median(shares, choice->reps);
    }
    free(walls_ns);
    return is_done;
}

static bool parse_number(const char *text, uint32_t most, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *out = (uint32_t)value;
    return errno == 0 && end != text && *end == '\0' && value >= 1 && value <= most;
}

static bool parse(struct choice *choice, int argc, char **argv)
{
    struct bench_options *options = &choice->options;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--quiet") == 0) {
            options->quiet = true;
            continue;
        }
        bool is_right = false;
        if (strcmp(argv[i], "--n") == 0) {
            is_right = parse_number(value, N_MAX, &choice->n);
        } else if (strcmp(argv[i], "--tile") == 0) {
            is_right = parse_number(value, N_MAX, &choice->tile);
        } else if (strcmp(argv[i], "--lanes") == 0) {
            is_right = parse_number(value, 1024, &options->lanes);
        } else if (strcmp(argv[i], "--reps") == 0) {
            is_right = parse_number(value, REPS_MAX, &choice->reps);
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = value;
            is_right = *value != '\0';
        }
        if (!is_right) {
            return false;
        }
        i++;
    }
    options->reps = choice->reps;
    return choice->n % choice->tile == 0;
}

static bool report(const struct choice *choice, const struct bench_cholesky_engine *engine,
                   uint32_t task_count, double serial_ns, double wall_ns, double share)
{
    struct bench_json json;
    const double n = choice->n;
    const double efficiency = serial_ns / (wall_ns * choice->options.lanes);
    if (!choice->options.quiet) {
        printf("%s: Cholesky of %u x %u, tiles of %u: %u tasks, %u lanes\n"
               "%.1f ms (%.1f GFLOP/s), kernels %.3f of the processors' time; one after the other "
               "%.1f ms, efficiency %.3f\n",
               engine->name, (unsigned)choice->n, (unsigned)choice->n, (unsigned)choice->tile,
               (unsigned)task_count, (unsigned)choice->options.lanes, wall_ns / 1e6,
               n * n * n / 3 / wall_ns, share, serial_ns / 1e6, efficiency);
    }
    if (!bench_json_open(&json, &choice->options, engine->name)) {
        return false;
    }
    bench_json_number(&json, "n", n);
    bench_json_number(&json, "tile", choice->tile);
    bench_json_number(&json, "tasks", task_count);
    bench_json_number(&json, "wall_ms", wall_ns / 1e6);
    bench_json_number(&json, "gflop_per_s", n * n * n / 3 / wall_ns);
    bench_json_number(&json, "kernel_share", share);
    bench_json_number(&json, "serial_ms", serial_ns / 1e6);
    bench_json_number(&json, "efficiency", efficiency);
    return bench_json_close(&json);
}

int bench_cholesky_main(int argc, char **argv, const struct bench_cholesky_engine *engine)
{
    struct choice choice = {.n = N_DEFAULT, .tile = TILE_DEFAULT, .reps = REPS_DEFAULT};
    choice.options.lanes = bench_cpu_count();
    if (!parse(&choice, argc, argv)) {
        fprintf(stderr,
                "usage: %s [--n N] [--tile N] [--lanes N] [--reps N] [--json FILE] [--quiet]\n"
                "tile must divide n\n",
                argv[0]);
        return 2;
    }
    struct bench_cholesky problem;
    double serial_ns, wall_ns, share;
    if (!problem_init(&problem, choice.n, choice.tile)) {
        return 1;
    }
    const bool is_done = run_serially(&problem, &serial_ns) &&
                         measure(&problem, engine, &choice, &wall_ns, &share) &&
                         report(&choice, engine, problem.dag.task_count, serial_ns, wall_ns, share);
    problem_fini(&problem);
    return is_done ? 0 : 1;
}
