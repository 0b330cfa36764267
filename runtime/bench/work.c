// SPDX-License-Identifier: Apache-2.0
#include "bench/work.h"

#include <stdio.h>
#include <stdlib.h>

#include "bench/body.h"

// An epoch that no number of runs reaches: the task began before one of its predecessors ended.
#define TOO_EARLY 0x80000000u

enum { REPORTED_MAX = 5 };

static void do_nothing(struct bench_work *work, uint32_t task)
{
    (void)work;
    (void)task;
}

static void spin(struct bench_work *work, uint32_t task)
{
    (void)task;
    uint64_t sink = bench_spin(work->spin_iterations);
    __asm__("" : : "r"(sink));
}

// Relaxed loads and stores: the runtime under test has to order them, and not this. They are atomic
// so that a runtime that does not is a wrong result and not undefined behaviour.
static void check(struct bench_work *work, uint32_t task)
{
    const struct bench_dag *dag = work->dag;
    const uint32_t next = __atomic_load_n(&work->epochs[task], __ATOMIC_RELAXED) + 1;
    uint32_t result = next;
    for (size_t e = dag->begin[task]; e < dag->begin[task + 1]; e++) {
        if (__atomic_load_n(&work->epochs[dag->predecessors[e]], __ATOMIC_RELAXED) != next) {
            result = TOO_EARLY;
        }
    }
    __atomic_store_n(&work->epochs[task], result, __ATOMIC_RELAXED);
}

bool bench_work_init(struct bench_work *work, enum bench_kind kind, uint64_t spin_iterations,
                     const struct bench_dag *dag)
{
    static bench_body *const bodies[] = {
        [BENCH_EMPTY] = do_nothing, [BENCH_SPIN] = spin, [BENCH_CHECK] = check};
    *work = (struct bench_work){
        .body = bodies[kind], .kind = kind, .spin_iterations = spin_iterations, .dag = dag};
    if (kind == BENCH_CHECK) {
        work->epochs = calloc(dag->task_count, sizeof(*work->epochs));
        return work->epochs != NULL;
    }
    return true;
}

void bench_work_fini(struct bench_work *work)
{
    free(work->epochs);
    *work = (struct bench_work){.body = do_nothing};
}

bool bench_work_is_right(const struct bench_work *work, uint32_t run_count, const char *program)
{
    uint32_t wrong_count = 0;
    for (uint32_t i = 0; i < work->dag->task_count; i++) {
        if (work->epochs[i] == run_count) {
            continue;
        }
        if (wrong_count++ < REPORTED_MAX) {
            fprintf(stderr, "%s: task %u of %u %s\n", program, (unsigned)i,
                    (unsigned)work->dag->task_count,
                    work->epochs[i] >= TOO_EARLY ? "began before one of its predecessors ended"
                                                 : "did not run once in each run");
        }
    }
    if (wrong_count > 0) {
        fprintf(stderr, "%s: %u tasks in all ran wrongly\n", program, (unsigned)wrong_count);
    }
    return wrong_count == 0;
}
