// SPDX-License-Identifier: Apache-2.0
#include "bench/patterns.h"

#include <stdlib.h>
#include <string.h>

enum {
    FORK_WIDTH = 64,
    STENCIL_WIDTH = 64,
    RANDOM_WINDOW = 256,
    RANDOM_DRAWS_MAX = 4,
};

static const char *const names[BENCH_PATTERN_COUNT] = {
    [BENCH_CHAIN] = "chain",       [BENCH_INDEP] = "indep", [BENCH_FORK_JOIN] = "fork_join",
    [BENCH_STENCIL] = "stencil",   [BENCH_TREE] = "tree",   [BENCH_RANDOM] = "random",
    [BENCH_CHOLESKY] = "cholesky",
};

const char *bench_pattern_name(enum bench_pattern pattern)
{
    return names[pattern];
}

bool bench_pattern_find(const char *name, size_t length, enum bench_pattern *out_pattern)
{
    for (int i = 0; i < BENCH_PATTERN_COUNT; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0) {
            *out_pattern = (enum bench_pattern)i;
            return true;
        }
    }
    return false;
}

// A DAG that grows a task at a time: the edges of a task are added first, then the task is ended.
struct writer {
    struct bench_dag *dag;
    size_t edge_capacity;
    bool failed;
};

static void add_edge(struct writer *writer, uint32_t from)
{
    struct bench_dag *dag = writer->dag;
    if (dag->edge_count == writer->edge_capacity) {
        size_t capacity = writer->edge_capacity + writer->edge_capacity / 2 + 1024;
        uint32_t *grown = realloc(dag->predecessors, capacity * sizeof(*grown));
        if (grown == NULL) {
            writer->failed = true;
            return;
        }
        dag->predecessors = grown;
        writer->edge_capacity = capacity;
    }
    dag->predecessors[dag->edge_count++] = from;
}

static uint32_t end_task(struct writer *writer)
{
    writer->dag->begin[++writer->dag->task_count] = writer->dag->edge_count;
    return writer->dag->task_count - 1;
}

static void add_chain_task(struct writer *writer, uint32_t task)
{
    if (task > 0) {
        add_edge(writer, task - 1);
    }
}

static void add_fork_join_task(struct writer *writer, uint32_t task)
{
    const uint32_t place = task % (FORK_WIDTH + 2);
    if (place == 0) {
        add_chain_task(writer, task);
    } else if (place <= FORK_WIDTH) {
        add_edge(writer, task - place);
    } else {
        for (uint32_t before = FORK_WIDTH; before > 0; before--) {
            add_edge(writer, task - before);
        }
    }
}

static void add_stencil_task(struct writer *writer, uint32_t task)
{
    if (task < STENCIL_WIDTH) {
        return;
    }
    const uint32_t above = task - STENCIL_WIDTH;
    const uint32_t column = task % STENCIL_WIDTH;
    if (column > 0) {
        add_edge(writer, above - 1);
    }
    add_edge(writer, above);
    if (column + 1 < STENCIL_WIDTH) {
        add_edge(writer, above + 1);
    }
}

// A binary heap counted from the end: the root is the last task, so children come before parents.
static void add_tree_task(struct writer *writer, uint32_t task, uint32_t task_count)
{
    const uint32_t last = task_count - 1;
    const uint32_t heap_index = last - task;
    if (2 * heap_index + 2 <= last) {
        add_edge(writer, last - (2 * heap_index + 2));
    }
    if (2 * heap_index + 1 <= last) {
        add_edge(writer, last - (2 * heap_index + 1));
    }
}

// Marsaglia's xorshift64: the same numbers on every machine.
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x >> 16;
}

static void add_random_task(struct writer *writer, uint32_t task, uint64_t *seed)
{
    if (task == 0) {
        return;
    }
    const uint32_t window = task < RANDOM_WINDOW ? task : RANDOM_WINDOW;
    const uint32_t draws = 1 + (uint32_t)(next_random(seed) % RANDOM_DRAWS_MAX);
    const size_t first = writer->dag->edge_count;
    for (uint32_t i = 0; i < draws; i++) {
        const uint32_t from = task - 1 - (uint32_t)(next_random(seed) % window);
        bool is_known = false;
        for (size_t e = first; e < writer->dag->edge_count; e++) {
            is_known = is_known || writer->dag->predecessors[e] == from;
        }
        if (!is_known) {
            add_edge(writer, from);
        }
    }
}

static uint64_t cholesky_task_count(uint64_t tiles)
{
    return tiles + tiles * (tiles - 1) + (tiles < 3 ? 0 : tiles * (tiles - 1) * (tiles - 2) / 6);
}

// Of one step k of the factorisation: the task that factors tile (k, k), those that solve the tiles
// below it, and those that update the tiles to the right. writers[i * tiles + j] is one more than
// the task that wrote tile (i, j) last, 0: none.
static void add_cholesky_step(struct writer *writer, uint32_t *writers, uint32_t tiles, uint32_t k)
{
#define WRITER(i, j) writers[(size_t)(i)*tiles + (j)]
    if (WRITER(k, k) != 0) {
        add_edge(writer, WRITER(k, k) - 1);
    }
    WRITER(k, k) = end_task(writer) + 1;
    for (uint32_t i = k + 1; i < tiles; i++) {
        if (WRITER(i, k) != 0) {
            add_edge(writer, WRITER(i, k) - 1);
        }
        add_edge(writer, WRITER(k, k) - 1);
        WRITER(i, k) = end_task(writer) + 1;
    }
    for (uint32_t i = k + 1; i < tiles; i++) {
        for (uint32_t j = k + 1; j <= i; j++) {
            if (WRITER(i, j) != 0) {
                add_edge(writer, WRITER(i, j) - 1);
            }
            add_edge(writer, WRITER(j, k) - 1);
            if (j < i) {
                add_edge(writer, WRITER(i, k) - 1);
            }
            WRITER(i, j) = end_task(writer) + 1;
        }
    }
#undef WRITER
}

static void add_cholesky(struct writer *writer, uint32_t task_count)
{
    uint32_t tiles = 1;
    while (cholesky_task_count(tiles + 1) <= task_count) {
        tiles++;
    }
    uint32_t *writers = calloc((size_t)tiles * tiles, sizeof(*writers));
    if (writers == NULL) {
        writer->failed = true;
        return;
    }
    for (uint32_t k = 0; k < tiles && !writer->failed; k++) {
        add_cholesky_step(writer, writers, tiles, k);
    }
    free(writers);
}

static void add_task(struct writer *writer, enum bench_pattern pattern, uint32_t task,
                     uint32_t task_count, uint64_t *seed)
{
    switch (pattern) {
    case BENCH_CHAIN: add_chain_task(writer, task); break;
    case BENCH_FORK_JOIN: add_fork_join_task(writer, task); break;
    case BENCH_STENCIL: add_stencil_task(writer, task); break;
    case BENCH_TREE: add_tree_task(writer, task, task_count); break;
    case BENCH_RANDOM: add_random_task(writer, task, seed); break;
    case BENCH_INDEP:
    case BENCH_CHOLESKY: // adds its tasks by itself
    case BENCH_PATTERN_COUNT: break;
    }
    end_task(writer);
}

static bool find_depth(struct bench_dag *dag)
{
    uint32_t *levels = malloc(dag->task_count * sizeof(*levels));
    if (levels == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < dag->task_count; i++) {
        levels[i] = 1;
        for (size_t e = dag->begin[i]; e < dag->begin[i + 1]; e++) {
            const uint32_t above = levels[dag->predecessors[e]];
            levels[i] = above + 1 > levels[i] ? above + 1 : levels[i];
        }
        dag->depth = levels[i] > dag->depth ? levels[i] : dag->depth;
    }
    free(levels);
    return true;
}

bool bench_dag_init(struct bench_dag *dag, enum bench_pattern pattern, uint32_t task_count)
{
    *dag = (struct bench_dag){.begin = calloc((size_t)task_count + 1, sizeof(*dag->begin))};
    struct writer writer = {.dag = dag, .failed = dag->begin == NULL};
    uint64_t seed = 0x9e3779b97f4a7c15u;
    if (pattern == BENCH_CHOLESKY && !writer.failed) {
        add_cholesky(&writer, task_count);
    }
    for (uint32_t i = 0; pattern != BENCH_CHOLESKY && i < task_count && !writer.failed; i++) {
        add_task(&writer, pattern, i, task_count, &seed);
    }
    if (writer.failed || !find_depth(dag)) {
        bench_dag_fini(dag);
        return false;
    }
    return true;
}

void bench_dag_fini(struct bench_dag *dag)
{
    free(dag->begin);
    free(dag->predecessors);
    *dag = (struct bench_dag){0};
}

bool bench_successors_init(struct bench_successors *successors, const struct bench_dag *dag)
{
    // One place more than needed, so that the counting below can run one ahead of the beginnings.
    size_t *begin = calloc((size_t)dag->task_count + 2, sizeof(*begin));
    uint32_t *array = malloc((dag->edge_count + 1) * sizeof(*array));
    if (begin == NULL || array == NULL) {
        free(begin);
        free(array);
        *successors = (struct bench_successors){0};
        return false;
    }
    for (size_t e = 0; e < dag->edge_count; e++) {
        begin[dag->predecessors[e] + 2]++;
    }
    for (uint32_t i = 2; i <= dag->task_count; i++) {
        begin[i] += begin[i - 1];
    }
    for (uint32_t task = 0; task < dag->task_count; task++) {
        for (size_t e = dag->begin[task]; e < dag->begin[task + 1]; e++) {
            array[begin[dag->predecessors[e] + 1]++] = task;
        }
    }
    *successors = (struct bench_successors){.begin = begin, .successors = array};
    return true;
}

void bench_successors_fini(struct bench_successors *successors)
{
    free(successors->begin);
    free(successors->successors);
    *successors = (struct bench_successors){0};
}
