// SPDX-License-Identifier: Apache-2.0
// Device runners: one runner drives one device: its memory, its two programs, its runs.
//
// States: CLOSED -> init -> READY -> finalize -> CLOSED. A device failure (PTO_E_FAULT,
// PTO_E_TIMEOUT, PTO_E_DEVICE) makes it FAILED; every call but finalize and handshake_results then
// fails with PTO_E_FAILED and says which run broke it. finalize, then init, recovers.
//
// On a device whose driver hangs a call fails with PTO_E_TIMEOUT after a limit, see docs/ascend.md.
//
// Threads: every call may be made from any thread. Runs on one runner take turns; runs on two
// runners go in parallel. Copies and allocations may be made during a run; freeing and finalize
// wait for its end. A call made from inside a run's poll function fails with PTO_E_BUSY.
// Processes: after fork() the child may not use a runner of its parent (PTO_E_FORKED).
#ifndef PTO_RUNNER_H
#define PTO_RUNNER_H

#include <stddef.h>
#include <stdint.h>

#include "pto/graph.h"
#include "pto/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pto_runner;

#define PTO_DEVICE_ID_MAX 15
#define PTO_RUNNER_CORE_MAX 1024u
#define PTO_RUNNER_SCHEDULER_MAX 16u

enum pto_log_level { PTO_LOG_DEBUG = 0, PTO_LOG_INFO = 1, PTO_LOG_WARNING = 2 };

// Receives one message, without a line end. Called on the thread that made the call, inside it; it
// must not call the runner.
typedef void pto_log_function(void *context, enum pto_log_level level, const char *message);

// What init needs. Zero the struct, set size = sizeof(struct pto_config), then fill in.
struct pto_config {
    size_t size;
    int64_t device_id;              // 0..PTO_DEVICE_ID_MAX
    int64_t core_count;             // 1..PTO_RUNNER_CORE_MAX on the simulator
    const char *aicpu_so_path;      // the scheduler, libaicpu_graph_kernel.so
    const char *aicore_kernel_path; // the worker and kernels, kernel.o
    // A relative path is tried from the working folder, then from this folder; NULL: not so. For a
    // simulated device sim/<path> goes before, in each: a build for an NPU has those there.
    const char *search_dir;
    // "sim", "explore" or "ascend". NULL: PTO_BACKEND from the environment; else "ascend" when
    // ASCEND_HOME_PATH is set, else "sim". One that cannot be had is an error, never replaced.
    const char *backend;
    // A run fails when no task completes for so long. 0: 10 s, or PTO_TIMEOUT_MS.
    uint64_t timeout_ns;
    pto_log_function *log; // NULL: silent
    void *log_context;
    // For "explore" alone, which runs the programs on a model of the device's caches. A run tries
    // this many schedules (0: one) with seeds from `seed` on, each from the same device memory, and
    // fails with PTO_E_ORDER at the first that goes wrong. profile is "a2a3" (NULL), "a5" or
    // "paranoid": what the hardware is taken to do. What is zero here comes from the environment's
    // PTO_EXPLORE_SEED, PTO_EXPLORE_SCHEDULES and PTO_EXPLORE_PROFILE, where those are set. The
    // other variables of the explorer are in docs/architecture.md.
    uint64_t seed;
    uint64_t schedules;
    const char *profile;
};

// Called every 50 ms or so on the thread that called run, between tasks. Not 0: end the run.
typedef int pto_poll_function(void *context);

// What a check is for; a finding has one of them.
enum pto_check {
    PTO_CHECK_MEMORY = 1, // memcheck: outside the blocks that the task's arguments point into
    PTO_CHECK_INIT = 2,   // initcheck: a read of what nobody wrote
    PTO_CHECK_RACE = 4,   // racecheck: two tasks that the graph does not order
    PTO_CHECK_STALE = 8,  // stalecheck: a read of what another core has not written back
};

// A task's part in a finding.
struct pto_check_access {
    uint32_t task;     // PTO_ERROR_NONE: there is no such task
    uint32_t func_id;  // of its kernel
    uint32_t arg;      // the argument by which it reaches the tensor, else PTO_ERROR_NONE
    uint32_t is_write; // 1: it writes; 0: it reads
    // Bytes begin..end - 1, counted from the tensor's first. Below 0 or past the tensor's end in
    // findings of memcheck. Of a range that is touched in pieces, first and last.
    int64_t begin;
    int64_t end;
    char kernel[44];
};

#define PTO_CHECK_MESSAGE_SIZE 640

struct pto_check_finding {
    uint32_t kind;         // enum pto_check
    uint32_t shares_line;  // racecheck: 1: other bytes, but of one cache line
    uint64_t tensor;       // the block's device pointer; 0: no block is near
    uint64_t tensor_bytes; // its size
    struct pto_check_access access;
    struct pto_check_access other;        // racecheck: the task that came first in this run
    char message[PTO_CHECK_MESSAGE_SIZE]; // all of it in words
};

// Receives what a checked run on the simulator found, one after the other, before run returns, on
// the thread that called it; `remaining` more were found, of which the last ones may only have been
// counted. It must not call the runner.
typedef void pto_finding_function(void *context, const struct pto_check_finding *finding,
                                  uint64_t remaining);

// Set size = sizeof(struct pto_run_options). A caller built before `check` was there may go on.
struct pto_run_options {
    size_t size;
    int64_t scheduler_count; // AICPU threads, 1..PTO_RUNNER_SCHEDULER_MAX
    pto_poll_function *poll; // NULL: none
    void *poll_context;
    // What to check kernels for, on the simulator: "memory", "init", "race", a list of them with
    // commas, or "all". "": nothing. NULL: what PTO_CHECK held at init. "explore" checks everything
    // always, and takes these and "stale"; "ascend" has no checks.
    const char *check;
    pto_finding_function *finding; // NULL: none
    void *finding_context;
};

// One core after a run, as the handshake left it.
struct pto_core_result {
    uint32_t core;
    uint32_t core_type; // 0 unknown, 1 AIC (cube), 2 AIV (vector)
    uint32_t physical_id;
    uint32_t state;     // 0 absent, 1 running, 2 left, 3 failed
    uint32_t queued;    // tasks the scheduler gave it in the last run
    uint32_t completed; // tasks it completed
    uint32_t last_task; // the task it ran last, UINT32_MAX: none
    int32_t fail_code;
};

enum pto_runner_state { PTO_RUNNER_CLOSED = 0, PTO_RUNNER_READY = 1, PTO_RUNNER_FAILED = 2 };

struct pto_runner_info {
    enum pto_runner_state state;
    int64_t device_id;     // -1 when closed
    int64_t core_count;    // 0 when closed
    const char *backend;   // "sim"; "" when closed. Static storage.
    uint64_t block_count;  // live device blocks
    uint64_t block_bytes;  // their sizes
    uint64_t run_count;    // runs begun since init
    uint64_t upload_bytes; // graph bytes copied to the device since init
};

// Creates a closed runner; the caller destroys it.
PTO_API PTO_NODISCARD enum pto_status pto_runner_create(struct pto_runner **out_runner,
                                                        struct pto_error *err);

// Finalizes if need be and frees; NULL is allowed. In a forked child it only frees host memory.
// From inside the runner's own poll function it does nothing.
PTO_API void pto_runner_destroy(struct pto_runner *runner);

// Opens the device and loads both programs. A failed init leaves the runner closed.
// PTO_E_STATE when it is open already; PTO_E_RANGE, PTO_E_FILE, PTO_E_PROGRAM, PTO_E_BACKEND,
// PTO_E_NO_MEMORY, PTO_E_DEVICE, PTO_E_TIMEOUT.
PTO_API PTO_NODISCARD enum pto_status
pto_runner_init(struct pto_runner *runner, const struct pto_config *config, struct pto_error *err);

// Allocates size_bytes (at least 1) of device memory, aligned to 64 bytes, contents undefined.
// PTO_E_NO_MEMORY when the device has no such room; PTO_E_RANGE for 0.
PTO_API PTO_NODISCARD enum pto_status pto_runner_allocate(struct pto_runner *runner,
                                                          uint64_t size_bytes,
                                                          uint64_t *out_pointer,
                                                          struct pto_error *err);

// Frees a block; the pointer must be the one allocate returned. PTO_E_POINTER says what it is else.
PTO_API PTO_NODISCARD enum pto_status pto_runner_free(struct pto_runner *runner, uint64_t pointer,
                                                      struct pto_error *err);

// Copies size_bytes between host memory and the device. The device pointer may lie inside a block;
// the bytes must too (PTO_E_POINTER). 0 bytes copy nothing, but the pointer is checked.
PTO_API PTO_NODISCARD enum pto_status
pto_runner_copy_to_device(struct pto_runner *runner, uint64_t device_pointer, const void *host,
                          uint64_t size_bytes, struct pto_error *err);
PTO_API PTO_NODISCARD enum pto_status
pto_runner_copy_from_device(struct pto_runner *runner, void *host, uint64_t device_pointer,
                            uint64_t size_bytes, struct pto_error *err);

// Runs every task of the graph once, each after its predecessors, and returns when all are done.
// Before anything is launched the graph is checked: cycle, unknown func_id, argument count,
// pointers and extents. options may be NULL (one scheduler thread, no poll).
// After PTO_E_TASK and PTO_E_INTERRUPTED the runner is READY: the tasks that had not begun were not
// run. After PTO_E_FAULT, PTO_E_TIMEOUT and PTO_E_DEVICE it is FAILED.
// PTO_E_CHECK: a checked run found something; the message is the first finding's. The runner is
// READY; every task was run, unless memcheck stopped a kernel before a bad access.
PTO_API PTO_NODISCARD enum pto_status pto_runner_run(struct pto_runner *runner,
                                                     struct pto_graph *graph,
                                                     const struct pto_run_options *options,
                                                     struct pto_error *err);

// The handshake of every core after the last run. Writes up to `capacity` entries, and the number
// of cores to *out_count. Also when FAILED. PTO_E_STATE when closed.
PTO_API PTO_NODISCARD enum pto_status
pto_runner_handshake_results(struct pto_runner *runner, struct pto_core_result *out_cores,
                             size_t capacity, size_t *out_count, struct pto_error *err);

// Frees the device blocks that are left, unloads the programs, closes the device.
// *out_freed_blocks (may be NULL) gets the number of blocks that were left; 0 when closed already.
PTO_API PTO_NODISCARD enum pto_status
pto_runner_finalize(struct pto_runner *runner, uint64_t *out_freed_blocks, struct pto_error *err);

PTO_API void pto_runner_get_info(struct pto_runner *runner, struct pto_runner_info *out_info);

#ifdef __cplusplus
}
#endif

#endif // PTO_RUNNER_H
