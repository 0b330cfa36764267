// SPDX-License-Identifier: Apache-2.0
// The Cholesky example's kernels on the DAG of patterns.h, for PTO Runtime and for a peer: the same
// matrix, the same tasks, the same code in them. Each task also says how long its kernel took, so
// that a program can tell which part of the processors' time was spent in kernels.
#ifndef PTO_BENCH_CHOLESKY_H
#define PTO_BENCH_CHOLESKY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/patterns.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BENCH_CHOLESKY_ARGS = 6 };

// Which kernel, and the tiles that it reads or writes: their numbers in the array of tiles.
struct bench_tile_task {
    uint32_t func_id;
    uint32_t tile_count;
    uint32_t tiles[3];
};

// Tile (i, j) lies at (i * side + j) * tile * tile in `tiles`; only those with j <= i are used.
struct bench_cholesky {
    uint32_t tile; // elements along one side of a tile
    uint32_t side; // tiles along one side of the matrix
    size_t tiles_bytes;
    float *original;
    float *tiles;
    float *expected;    // what serial execution left
    uint64_t *times_ns; // of each task, in its last run
    struct bench_tile_task *tasks;
    struct bench_dag dag;
};

struct bench_cholesky_engine {
    const char *name;
    bool (*open)(struct bench_cholesky *problem, uint32_t lanes, void **out_engine);
    // From the original matrix to its factor in problem->tiles, with problem->times_ns; *out_ns
    // gets what the tasks took, without bringing the matrices to and fro.
    bool (*run)(void *engine, double *out_ns);
    void (*close)(void *engine);
};

// Fills the arguments of one task, for tiles and times at these addresses; returns their number.
uint32_t bench_cholesky_args(const struct bench_cholesky *problem, uint32_t task, uint64_t tiles,
                             uint64_t times, uint64_t *args);

// Runs one task here and now on problem->tiles. 0, or what the kernel returned.
int32_t bench_cholesky_do(const struct bench_cholesky *problem, uint32_t task);

// Parses [--n N] [--tile N] [--lanes N] [--reps N] [--json FILE] [--quiet], measures, reports.
// Returns the exit status.
int bench_cholesky_main(int argc, char **argv, const struct bench_cholesky_engine *engine);

#ifdef __cplusplus
}
#endif

#endif // PTO_BENCH_CHOLESKY_H
