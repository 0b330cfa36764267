// SPDX-License-Identifier: Apache-2.0
// What the tasks of a measured DAG do: nothing, spin for a given time, or check the order in which
// they run. Peers call bench_work_do from each of their tasks; kernels.c has the same three bodies
// as kernels.
//
// The order is checked by epochs. Each run of the DAG raises every task's epoch by one; a task
// finds each of its predecessors one ahead of itself, or else it began too early.
#ifndef PTO_BENCH_WORK_H
#define PTO_BENCH_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/patterns.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bench_work;
typedef void bench_body(struct bench_work *work, uint32_t task);

enum bench_kind { BENCH_EMPTY, BENCH_SPIN, BENCH_CHECK };

struct bench_work {
    bench_body *body;
    enum bench_kind kind;
    uint64_t spin_iterations; // BENCH_SPIN
    const struct bench_dag *dag;
    uint32_t *epochs; // BENCH_CHECK: one for each task; each is written by its own task only
};

// False when memory is exhausted; there is nothing to undo then.
bool bench_work_init(struct bench_work *work, enum bench_kind kind, uint64_t spin_iterations,
                     const struct bench_dag *dag);
void bench_work_fini(struct bench_work *work);

// Of BENCH_CHECK, after run_count runs: whether each task ran once in each of them, and after its
// predecessors. Prints the first few that did not, with `program` in front.
bool bench_work_is_right(const struct bench_work *work, uint32_t run_count, const char *program);

static inline void bench_work_do(struct bench_work *work, uint32_t task)
{
    work->body(work, task);
}

#ifdef __cplusplus
}
#endif

#endif // PTO_BENCH_WORK_H
