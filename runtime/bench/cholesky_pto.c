// SPDX-License-Identifier: Apache-2.0
// The Cholesky problem on PTO Runtime, with as many simulated cores as lanes.
#include <stdio.h>
#include <stdlib.h>

#include <pto/pto.h>

#include "bench/cholesky.h"
#include "bench/timing.h"

struct engine {
    struct bench_cholesky *problem;
    struct pto_runner *runner;
    struct pto_graph *graph;
    uint64_t tiles;
    uint64_t times;
};

static bool failed(const struct pto_error *err)
{
    fprintf(stderr, "pto: %s: %s\n", pto_status_name(err->status), err->message);
    return false;
}

static void close_engine(void *state)
{
    struct engine *engine = state;
    pto_graph_destroy(engine->graph);
    pto_runner_destroy(engine->runner); // frees the tensors
    free(engine);
}

static enum pto_status build(struct engine *engine, struct pto_error *err)
{
    const struct bench_cholesky *problem = engine->problem;
    const struct bench_dag *dag = &problem->dag;
    uint64_t args[BENCH_CHOLESKY_ARGS];
    enum pto_status status =
        pto_runner_allocate(engine->runner, problem->tiles_bytes, &engine->tiles, err);
    if (status == PTO_OK) {
        status = pto_runner_allocate(engine->runner, dag->task_count * sizeof(uint64_t),
                                     &engine->times, err);
    }
    for (uint32_t i = 0; i < dag->task_count && status == PTO_OK; i++) {
        uint32_t task;
        const uint32_t count = bench_cholesky_args(problem, i, engine->tiles, engine->times, args);
        status =
            pto_graph_add_task(engine->graph, args, count, problem->tasks[i].func_id, &task, err);
        for (size_t e = dag->begin[i]; e < dag->begin[i + 1] && status == PTO_OK; e++) {
            status = pto_graph_add_successor(engine->graph, dag->predecessors[e], i, err);
        }
    }
    return status;
}

static bool open_engine(struct bench_cholesky *problem, uint32_t lanes, void **out_engine)
{
    struct pto_error err;
    struct engine *engine = calloc(1, sizeof(*engine));
    char lanes_text[16];
    snprintf(lanes_text, sizeof(lanes_text), "%u", (unsigned)lanes);
    if (engine == NULL || setenv("PTO_SIM_LANES", lanes_text, 1) != 0) {
        fprintf(stderr, "pto: no memory\n");
        free(engine);
        return false;
    }
    engine->problem = problem;
    const struct pto_config config = {
        .size = sizeof(config),
        .core_count = lanes,
        .aicpu_so_path = BENCH_AICPU_PROGRAM,
        .aicore_kernel_path = BENCH_CHOLESKY_KERNELS,
        .backend = "sim",
    };
    if (pto_runner_create(&engine->runner, &err) != PTO_OK ||
        pto_runner_init(engine->runner, &config, &err) != PTO_OK ||
        pto_graph_create(&engine->graph, &err) != PTO_OK || build(engine, &err) != PTO_OK) {
        close_engine(engine);
        return failed(&err);
    }
    *out_engine = engine;
    return true;
}

static bool run(void *state, double *out_ns)
{
    struct engine *engine = state;
    struct bench_cholesky *problem = engine->problem;
    struct pto_error err;
    if (pto_runner_copy_to_device(engine->runner, engine->tiles, problem->original,
                                  problem->tiles_bytes, &err) != PTO_OK) {
        return failed(&err);
    }
    const uint64_t begin_ns = bench_now_ns();
    if (pto_runner_run(engine->runner, engine->graph, NULL, &err) != PTO_OK) {
        return failed(&err);
    }
    *out_ns = (double)(bench_now_ns() - begin_ns);
    if (pto_runner_copy_from_device(engine->runner, problem->tiles, engine->tiles,
                                    problem->tiles_bytes, &err) != PTO_OK ||
        pto_runner_copy_from_device(engine->runner, problem->times_ns, engine->times,
                                    problem->dag.task_count * sizeof(uint64_t), &err) != PTO_OK) {
        return failed(&err);
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct bench_cholesky_engine engine = {
        .name = "pto", .open = open_engine, .run = run, .close = close_engine};
    return bench_cholesky_main(argc, argv, &engine);
}
