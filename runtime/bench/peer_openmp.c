// SPDX-License-Identifier: Apache-2.0
// OpenMP tasks with `depend`. OpenMP has no graph to keep, so each run makes the tasks and resolves
// their dependences again; building is part of the run.
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/driver.h"

struct engine {
    struct bench_work *work;
    char *places; // one for each task: what the dependences name
    int lanes;
};

static bool open_engine(const struct bench_options *options, void **out_engine)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (engine != NULL) {
        engine->lanes = (int)options->lanes;
        omp_set_dynamic(0);
    }
    *out_engine = engine;
    return engine != NULL;
}

static bool build(void *state, const struct bench_dag *dag, struct bench_work *work,
                  struct bench_build *out_times)
{
    struct engine *engine = state;
    engine->work = work;
    engine->places = malloc(dag->task_count);
    out_times->build_ns = -1;
    if (engine->places == NULL) {
        fprintf(stderr, "openmp: no memory\n");
    }
    return engine->places != NULL;
}

static void clear(void *state)
{
    struct engine *engine = state;
    free(engine->places);
    engine->places = NULL;
}

static void make_tasks(struct bench_work *work, char *places)
{
    const struct bench_dag *dag = work->dag;
    (void)places; // gcc does not count its use in a clause
    for (uint32_t i = 0; i < dag->task_count; i++) {
        const uint32_t *predecessors = dag->predecessors + dag->begin[i];
        const int count = (int)bench_dag_predecessor_count(dag, i);
        // Most tasks have few predecessors; a list that is written out costs less than an iterator.
        switch (count) {
        case 0:
#pragma omp task firstprivate(i) depend(out : places[i])
            bench_work_do(work, i);
            break;
        case 1:
#pragma omp task firstprivate(i) depend(in : places[predecessors[0]]) depend(out : places[i])
            bench_work_do(work, i);
            break;
        case 2:
#pragma omp task firstprivate(i) depend(in                                                  \
                                        : places[predecessors[0]], places[predecessors[1]]) \
    depend(out                                                                              \
           : places[i])
            bench_work_do(work, i);
            break;
        case 3:
#pragma omp task firstprivate(i) depend(in                                                  \
                                        : places[predecessors[0]], places[predecessors[1]], \
                                          places[predecessors[2]]) depend(out               \
                                                                          : places[i])
            bench_work_do(work, i);
            break;
        default:
#pragma omp task firstprivate(i) depend(iterator(k = 0                        \
                                                 : count),                    \
                                        in                                    \
                                        : places[predecessors[k]]) depend(out \
                                                                          : places[i])
            bench_work_do(work, i);
            break;
        }
    }
}

static bool run(void *state)
{
    struct engine *engine = state;
    struct bench_work *work = engine->work;
    char *places = engine->places;
#pragma omp parallel num_threads(engine->lanes)
#pragma omp single
    make_tasks(work, places);
    return true;
}

int main(int argc, char **argv)
{
    static const struct bench_engine engine = {
        .name = "openmp",
        .open = open_engine,
        .build = build,
        .run = run,
        .clear = clear,
        .close = free,
    };
    return bench_main(argc, argv, &engine);
}
