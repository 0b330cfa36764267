// SPDX-License-Identifier: Apache-2.0
// The runner's insides, shared by runner.c (life), runner_memory.c, run.c (runs), image_cache.c.
//
// Lock order: the turn, use_lock, ledger_mutex. A run holds use_lock for reading from check to
// end, so blocks it uses cannot be freed under it; freeing and finalize take it for writing.
#ifndef PTO_HOST_RUNNER_H
#define PTO_HOST_RUNNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/fork.h"
#include "graph/image.h"
#include "host/backend.h"
#include "host/memory.h"
#include "host/program.h"
#include "pto/runner.h"

// A graph's copy on the device.
struct pto_cached_image {
    struct pto_graph_life *life;      // retained; NULL: the place is free
    struct pto_graph_version version; // what was uploaded
    uint64_t last_use;
    int usable;  // 0: must be compiled and uploaded again
    int written; // device memory was written since the last launch of this graph
    // Device memory: image and pending counts in one block, ready queues in another.
    uint64_t address;
    uint64_t size_bytes;
    uint64_t pending_address;
    uint64_t ready_address;
    uint64_t ready_bytes;
    uint64_t record_offset;
    uint32_t task_count;
    // The last check against kernels and memory, see pto__check_graph.
    int checked;
    uint64_t checked_generation;
    uint64_t checked_structure;
    uint64_t checked_args;
    uint64_t next_serial; // of the ledger's blocks, at that check
};

// Graphs that stay on the device at most. More are run as well, the one used longest ago making
// room; a program that cycles through more pays an upload each time.
#define PTO_CACHED_IMAGE_COUNT 64u

struct pto_runner {
    // Whose turn it is to init, run, finalize. Not a mutex, because waiting for another thread's
    // run must not keep the caller's poll function from being asked.
    pthread_mutex_t turn_mutex; // guards turn_taken
    pthread_cond_t turn_over;
    int turn_taken;
    pthread_rwlock_t use_lock;      // see above
    pthread_mutex_t ledger_mutex;   // ledger, counters
    struct pto_fork_mark fork_mark; // of the process that created it
    _Atomic int state;              // enum pto_runner_state
    _Atomic uintptr_t run_thread;   // identifies the thread inside run(), 0: none

    // Set by init, constant until finalize.
    const struct pto_backend_ops *ops;
    struct pto_backend *backend;
    struct pto_kernel_table kernels;
    int32_t device_id;
    uint32_t core_count;
    uint64_t timeout_ns;
    char *check_variable; // what PTO_CHECK held; NULL: nothing

    struct pto_ledger *ledger; // under ledger_mutex
    _Atomic uint64_t run_count;
    _Atomic uint64_t upload_bytes;

    // In one's turn.
    struct pto_cached_image images[PTO_CACHED_IMAGE_COUNT];
    uint64_t use_count;
    // Blocks with a lower serial may have been written by runs without checks.
    uint64_t opaque_serial;

    // Why the runner is FAILED; written before state, constant while it is.
    struct pto_error failure;
    uint64_t failed_run; // the run that did it, counted from 1 after init; 0: a copy
};

// Identifies the calling thread, never 0.
uintptr_t pto__this_thread(void);

// image_cache.c, all in one's turn, the graph pinned. Brings the graph's copy on the device up to
// date; *out_image is valid until the next call.
PTO_NODISCARD enum pto_status pto__image_cache_get(struct pto_runner *runner,
                                                   const struct pto_graph *graph,
                                                   uint32_t scheduler_count,
                                                   struct pto_cached_image **out_image,
                                                   struct pto_error *err);
void pto__image_cache_clear(struct pto_runner *runner);

#endif // PTO_HOST_RUNNER_H
