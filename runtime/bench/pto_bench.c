// SPDX-License-Identifier: Apache-2.0
#include "bench/pto_bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/timing.h"
#include "graph/image.h"

enum { KERNEL_EMPTY = 30, KERNEL_SPIN = 31, KERNEL_CHECK = 32, ARGS_MAX = 5 };

struct engine {
    const struct bench_options *options;
    struct pto_runner *runner;
    struct pto_graph *graph;
    struct pto_run_options run_options;
    struct bench_work *work;
    uint64_t epochs;       // device block of BENCH_CHECK, 0: none
    uint64_t predecessors; // likewise
};

bool bench_pto_failed(const struct pto_error *err)
{
    fprintf(stderr, "pto: %s: %s\n", pto_status_name(err->status), err->message);
    return false;
}

bool bench_pto_open_runner(const struct bench_options *options, const char *kernels,
                           struct pto_runner **out_runner)
{
    char lanes[16];
    snprintf(lanes, sizeof(lanes), "%u", (unsigned)options->lanes);
    struct pto_error err;
    struct pto_config config = {
        .size = sizeof(config),
        .core_count = options->cores,
        .aicpu_so_path = BENCH_AICPU_PROGRAM,
        .aicore_kernel_path = kernels,
        .backend = "sim",
    };
    if (setenv("PTO_SIM_LANES", lanes, 1) != 0) {
        perror("PTO_SIM_LANES");
        return false;
    }
    if (pto_runner_create(out_runner, &err) != PTO_OK) {
        return bench_pto_failed(&err);
    }
    if (pto_runner_init(*out_runner, &config, &err) != PTO_OK) {
        pto_runner_destroy(*out_runner);
        *out_runner = NULL;
        return bench_pto_failed(&err);
    }
    return true;
}

// Edges as the bulk call takes them.
static uint64_t *edge_rows(const struct bench_dag *dag)
{
    uint64_t *rows = malloc((2 * dag->edge_count + 1) * sizeof(*rows));
    for (uint32_t task = 0; rows != NULL && task < dag->task_count; task++) {
        for (size_t e = dag->begin[task]; e < dag->begin[task + 1]; e++) {
            rows[2 * e] = dag->predecessors[e];
            rows[2 * e + 1] = task;
        }
    }
    return rows;
}

// The arguments of one task; returns their number.
static uint32_t fill_args(const struct bench_work *work, uint64_t epochs, uint64_t predecessors,
                          uint32_t task, uint64_t *args)
{
    const struct bench_dag *dag = work->dag;
    if (work->kind == BENCH_SPIN) {
        args[0] = work->spin_iterations;
        return 1;
    }
    if (work->kind == BENCH_CHECK) {
        args[0] = epochs;
        args[1] = predecessors + dag->begin[task] * sizeof(uint32_t);
        args[2] = bench_dag_predecessor_count(dag, task);
        args[3] = task;
        args[4] = dag->task_count;
        return 5;
    }
    return 0;
}

static uint32_t func_id_of(const struct bench_work *work)
{
    switch (work->kind) {
    case BENCH_SPIN: return KERNEL_SPIN;
    case BENCH_CHECK: return KERNEL_CHECK;
    case BENCH_EMPTY: break;
    }
    return KERNEL_EMPTY;
}

static enum pto_status add_one_by_one(struct pto_graph *graph, const struct bench_work *work,
                                      uint64_t epochs, uint64_t predecessors, struct pto_error *err)
{
    const struct bench_dag *dag = work->dag;
    const uint32_t func_id = func_id_of(work);
    uint64_t args[ARGS_MAX];
    enum pto_status status = PTO_OK;
    for (uint32_t i = 0; i < dag->task_count && status == PTO_OK; i++) {
        uint32_t task;
        const uint32_t arg_count = fill_args(work, epochs, predecessors, i, args);
        status = pto_graph_add_task(graph, args, arg_count, func_id, &task, err);
        for (size_t e = dag->begin[i]; e < dag->begin[i + 1] && status == PTO_OK; e++) {
            status = pto_graph_add_successor(graph, dag->predecessors[e], i, err);
        }
    }
    return status;
}

static enum pto_status add_in_bulk(struct pto_graph *graph, const struct bench_dag *dag,
                                   const uint64_t *args, const uint64_t *rows, uint32_t arg_count,
                                   uint32_t func_id, struct pto_error *err)
{
    uint32_t first;
    enum pto_status status =
        pto_graph_add_tasks(graph, args, dag->task_count, arg_count, func_id, &first, err);
    return status != PTO_OK ? status : pto_graph_add_successors(graph, rows, dag->edge_count, err);
}

// Rows of arguments and edges are the caller's in real life, so making them is not timed.
static bool build_in_bulk(struct pto_graph *graph, const struct bench_work *work, double *out_ns)
{
    const struct bench_dag *dag = work->dag;
    struct pto_error err;
    const uint32_t arg_count = work->kind == BENCH_SPIN;
    uint64_t *args = malloc(((size_t)dag->task_count * arg_count + 1) * sizeof(*args));
    uint64_t *rows = edge_rows(dag);
    bool is_done = args != NULL && rows != NULL;
    if (is_done) {
        for (uint32_t i = 0; i < dag->task_count * arg_count; i++) {
            args[i] = work->spin_iterations;
        }
        const uint64_t begin_ns = bench_now_ns();
        is_done = add_in_bulk(graph, dag, args, rows, arg_count, func_id_of(work), &err) == PTO_OK;
        *out_ns = (double)(bench_now_ns() - begin_ns);
        if (!is_done) {
            bench_pto_failed(&err);
        }
    } else {
        fprintf(stderr, "pto: no memory for rows of %zu edges\n", dag->edge_count);
    }
    free(args);
    free(rows);
    return is_done;
}

static bool build_graph(const struct bench_work *work, bool bulk, uint64_t epochs,
                        uint64_t predecessors, struct pto_graph **out_graph, double *out_ns)
{
    struct pto_error err;
    const uint64_t begin_ns = bench_now_ns();
    if (pto_graph_create(out_graph, &err) != PTO_OK) {
        return bench_pto_failed(&err);
    }
    bool is_done;
    if (bulk && work->kind != BENCH_CHECK) {
        is_done = build_in_bulk(*out_graph, work, out_ns);
    } else {
        is_done = add_one_by_one(*out_graph, work, epochs, predecessors, &err) == PTO_OK ||
                  bench_pto_failed(&err);
        *out_ns = (double)(bench_now_ns() - begin_ns);
    }
    if (!is_done) {
        pto_graph_destroy(*out_graph);
        *out_graph = NULL;
    }
    return is_done;
}

bool bench_pto_build_graph(const struct bench_work *work, bool bulk, struct pto_graph **out_graph,
                           double *out_ns)
{
    return build_graph(work, bulk, 0, 0, out_graph, out_ns);
}

bool bench_pto_compile(struct pto_graph *graph, double *out_ns, uint64_t *out_size_bytes)
{
    struct pto_error err;
    struct pto_image image;
    if (pto__graph_pin(graph, &err) != PTO_OK) {
        return bench_pto_failed(&err);
    }
    const uint64_t begin_ns = bench_now_ns();
    enum pto_status status = pto__graph_compile(graph, &image, &err);
    *out_ns = (double)(bench_now_ns() - begin_ns);
    pto__graph_unpin(graph);
    if (status != PTO_OK) {
        return bench_pto_failed(&err);
    }
    *out_size_bytes = image.size_bytes;
    pto__image_free(&image);
    return true;
}

static bool open_engine(const struct bench_options *options, void **out_engine)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        fprintf(stderr, "pto: no memory\n");
        return false;
    }
    engine->options = options;
    engine->run_options = (struct pto_run_options){.size = sizeof(engine->run_options),
                                                   .scheduler_count = options->schedulers};
    if (!bench_pto_open_runner(options, BENCH_KERNELS, &engine->runner)) {
        free(engine);
        return false;
    }
    *out_engine = engine;
    return true;
}

static void close_engine(void *state)
{
    struct engine *engine = state;
    pto_runner_destroy(engine->runner);
    free(engine);
}

static void clear(void *state)
{
    struct engine *engine = state;
    struct pto_error err;
    pto_graph_destroy(engine->graph);
    engine->graph = NULL;
    uint64_t *const blocks[] = {&engine->epochs, &engine->predecessors};
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        if (*blocks[i] != 0 && pto_runner_free(engine->runner, *blocks[i], &err) != PTO_OK) {
            bench_pto_failed(&err);
        }
        *blocks[i] = 0;
    }
}

static enum pto_status make_block(struct engine *engine, const void *host, uint64_t size_bytes,
                                  uint64_t *out_pointer, struct pto_error *err)
{
    // At least one element, so that a list without elements has a place too.
    enum pto_status status =
        pto_runner_allocate(engine->runner, size_bytes + sizeof(uint32_t), out_pointer, err);
    return status != PTO_OK
               ? status
               : pto_runner_copy_to_device(engine->runner, *out_pointer, host, size_bytes, err);
}

static bool build(void *state, const struct bench_dag *dag, struct bench_work *work,
                  struct bench_build *out_times)
{
    struct engine *engine = state;
    struct pto_error err;
    uint64_t size_bytes;
    engine->work = work;
    if (work->kind == BENCH_CHECK &&
        (make_block(engine, work->epochs, dag->task_count * sizeof(uint32_t), &engine->epochs,
                    &err) != PTO_OK ||
         make_block(engine, dag->predecessors, dag->edge_count * sizeof(uint32_t),
                    &engine->predecessors, &err) != PTO_OK)) {
        clear(engine);
        return bench_pto_failed(&err);
    }
    if (!build_graph(work, engine->options->bulk, engine->epochs, engine->predecessors,
                     &engine->graph, &out_times->build_ns) ||
        !bench_pto_compile(engine->graph, &out_times->compile_ns, &size_bytes)) {
        clear(engine);
        return false;
    }
    return true;
}

static bool run(void *state)
{
    struct engine *engine = state;
    struct pto_error err;
    return pto_runner_run(engine->runner, engine->graph, &engine->run_options, &err) == PTO_OK ||
           bench_pto_failed(&err);
}

static bool collect(void *state)
{
    struct engine *engine = state;
    struct pto_error err;
    return pto_runner_copy_from_device(engine->runner, engine->work->epochs, engine->epochs,
                                       engine->work->dag->task_count * sizeof(uint32_t),
                                       &err) == PTO_OK ||
           bench_pto_failed(&err);
}

static int run_other_mode(const struct bench_options *options)
{
    switch (options->mode) {
    case BENCH_MODE_MEMORY: return bench_pto_memory(options);
    case BENCH_MODE_KERNELS: return bench_pto_kernels(options);
    case BENCH_MODE_COPIES: return bench_pto_copies(options);
    case BENCH_MODE_ANALYSIS: return bench_pto_analysis(options);
    case BENCH_MODE_IDLE: return bench_pto_idle(options);
    case BENCH_MODE_RUN:
    case BENCH_MODE_METG:
    case BENCH_MODE_DESCRIBE: break; // the driver's
    }
    return 2;
}

int main(int argc, char **argv)
{
    static const struct bench_engine engine = {
        .name = "pto",
        .open = open_engine,
        .build = build,
        .run = run,
        .collect = collect,
        .clear = clear,
        .close = close_engine,
        .other_mode = run_other_mode,
    };
    return bench_main(argc, argv, &engine);
}
