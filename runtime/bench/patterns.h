// SPDX-License-Identifier: Apache-2.0
// The task graphs that every program of this folder runs: one definition, so all run the same DAG.
//
// A DAG is given by the predecessors of each task. Every predecessor has a lower number than its
// task, so a program that builds in the order of numbers never names a task that is not there yet.
//
//   chain      each task after the one before it
//   indep      no edges
//   fork_join  blocks of 66: 1 -> 64 -> 1, each block after the one before it
//   stencil    rows of 64; each task after its three neighbours of the row before, two at the ends
//   tree       binary reduction: the last task is the root, each task after its two children
//   random     each task after 1 to 4 draws from the 256 tasks before it, duplicates dropped; fixed
//              seed
//   cholesky   tile Cholesky factorisation, with the most tiles that make at most so many tasks
#ifndef PTO_BENCH_PATTERNS_H
#define PTO_BENCH_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_TASK_MAX 200000000u

enum bench_pattern {
    BENCH_CHAIN,
    BENCH_INDEP,
    BENCH_FORK_JOIN,
    BENCH_STENCIL,
    BENCH_TREE,
    BENCH_RANDOM,
    BENCH_CHOLESKY,
    BENCH_PATTERN_COUNT
};

// The predecessors of task i are predecessors[begin[i] .. begin[i + 1]), all distinct.
struct bench_dag {
    uint32_t task_count;
    uint32_t depth; // tasks on the longest path
    size_t edge_count;
    size_t *begin;
    uint32_t *predecessors;
};

// The same edges from the other end: the successors of task i, ascending.
struct bench_successors {
    size_t *begin;
    uint32_t *successors;
};

const char *bench_pattern_name(enum bench_pattern pattern);

// False when there is no such pattern.
bool bench_pattern_find(const char *name, size_t length, enum bench_pattern *out_pattern);

// Makes a DAG of task_count tasks, 1..BENCH_TASK_MAX; cholesky of about so many. False when memory
// is exhausted; there is nothing to undo then.
bool bench_dag_init(struct bench_dag *dag, enum bench_pattern pattern, uint32_t task_count);
void bench_dag_fini(struct bench_dag *dag);

bool bench_successors_init(struct bench_successors *successors, const struct bench_dag *dag);
void bench_successors_fini(struct bench_successors *successors);

static inline uint32_t bench_dag_predecessor_count(const struct bench_dag *dag, uint32_t task)
{
    return (uint32_t)(dag->begin[task + 1] - dag->begin[task]);
}

#ifdef __cplusplus
}
#endif

#endif // PTO_BENCH_PATTERNS_H
