// SPDX-License-Identifier: Apache-2.0
// A floor: the DAG run by one thread in a loop, with a stack of tasks that are ready. No runtime
// that counts predecessors can need less for each task.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/driver.h"

struct engine {
    struct bench_work *work;
    struct bench_successors edges;
    uint32_t *initial; // predecessors of each task
    uint32_t *waiting; // those that have not run yet
    uint32_t *stack;
};

static bool open_engine(const struct bench_options *options, void **out_engine)
{
    (void)options;
    *out_engine = calloc(1, sizeof(struct engine));
    return *out_engine != NULL;
}

static void clear(void *state)
{
    struct engine *engine = state;
    bench_successors_fini(&engine->edges);
    free(engine->initial);
    free(engine->waiting);
    free(engine->stack);
    *engine = (struct engine){0};
}

static bool build(void *state, const struct bench_dag *dag, struct bench_work *work,
                  struct bench_build *out_times)
{
    (void)out_times;
    struct engine *engine = state;
    const size_t size_bytes = dag->task_count * sizeof(uint32_t);
    engine->work = work;
    engine->initial = malloc(size_bytes);
    engine->waiting = malloc(size_bytes);
    engine->stack = malloc(size_bytes);
    if (!bench_successors_init(&engine->edges, dag) || engine->initial == NULL ||
        engine->waiting == NULL || engine->stack == NULL) {
        fprintf(stderr, "serial: no memory\n");
        clear(engine);
        return false;
    }
    for (uint32_t i = 0; i < dag->task_count; i++) {
        engine->initial[i] = bench_dag_predecessor_count(dag, i);
    }
    return true;
}

static bool run(void *state)
{
    struct engine *engine = state;
    struct bench_work *work = engine->work;
    const uint32_t task_count = work->dag->task_count;
    const size_t *begin = engine->edges.begin;
    const uint32_t *successors = engine->edges.successors;
    uint32_t *waiting = engine->waiting, *stack = engine->stack;
    uint32_t depth = 0;
    memcpy(waiting, engine->initial, task_count * sizeof(*waiting));
    for (uint32_t i = task_count; i-- > 0;) {
        if (waiting[i] == 0) {
            stack[depth++] = i;
        }
    }
    while (depth > 0) {
        const uint32_t task = stack[--depth];
        bench_work_do(work, task);
        for (size_t e = begin[task]; e < begin[task + 1]; e++) {
            if (--waiting[successors[e]] == 0) {
                stack[depth++] = successors[e];
            }
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct bench_engine engine = {
        .name = "serial",
        .open = open_engine,
        .build = build,
        .run = run,
        .clear = clear,
        .close = free,
    };
    return bench_main(argc, argv, &engine);
}
