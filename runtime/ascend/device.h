// SPDX-License-Identifier: Apache-2.0
// An open Ascend device: one struct pto_backend for each runner.
//
// CANN keeps a current context for each thread, and calls come from any thread: every operation
// binds the device's context to its thread and puts back what was there.
// Lock order: copy_mutex, then the pool's.
#ifndef PTO_ASCEND_DEVICE_H
#define PTO_ASCEND_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "abi/launch.h"
#include "ascend/library.h"
#include "host/backend.h"

// One copy through pinned memory moves so much; two of them alternate.
#define PTO_ASCEND_STAGE_BYTES (1024u * 1024u)
#define PTO_ASCEND_STAGE_COUNT 2u

// How the AICPU program is started, and how the AICore's; see docs/ascend.md.
enum pto_ascend_aicpu_path {
    PTO_ASCEND_AICPU_JSON, // aclrtBinaryLoadFromFile, aclrtLaunchKernelWithHostArgs: CANN 8.5
    PTO_ASCEND_AICPU_RT,   // rtAicpuKernelLaunchExWithArgs
    PTO_ASCEND_AICPU_NONE, // no AICPU code: the host gives the cores their tasks
};
enum pto_ascend_aicore_path {
    PTO_ASCEND_AICORE_RT,  // rtRegisterAllKernel, rtKernelLaunchWithHandleV2
    PTO_ASCEND_AICORE_ACL, // aclrtBinaryLoadFromData, aclrtLaunchKernelWithHostArgs
};

// The launch block in device memory. It is uploaded and read back whole or in part, from a copy of
// the same layout in host memory.
struct pto_ascend_block {
    PTO_ALIGNED_LINE struct pto_kernel_args args;
    PTO_ALIGNED_LINE struct pto_cann_device_args device_args;
    struct pto_launch launch;
    struct pto_control control;
    struct pto_report report;
    struct pto_scheduler_shared shared;
    struct pto_ready_queue queues[PTO_SCHEDULER_COUNT_MAX];
    struct pto_handshake handshakes[]; // core_count
};

// Of the handshakes in the host's copy of the block.
enum pto_ascend_lines {
    PTO_ASCEND_LINES_READ,   // as the last launch left them, or zero before the first
    PTO_ASCEND_LINES_UNREAD, // still to be read from the device
    PTO_ASCEND_LINES_LOST,   // the device does not give them back
};

// A piece of pinned host memory, and the stream that copies from and to it.
struct pto_ascend_stage {
    void *memory;
    void *stream;
};

// The pool, see memory.c. Freed blocks stay allocated from CANN and are given out again.
struct pto_ascend_pool;

struct pto_backend {
    // Constant while open.
    const struct pto_cann *cann;
    int32_t device_id;
    int is_set;  // 1: aclrtSetDevice was called, and its reset is due
    int is_lost; // 1: another user of this process reset the device, and all that was on it is gone
    void *context;
    uint32_t core_count;
    uint32_t block_count; // blocks of one cube and two vector cores
    uint32_t aicpu_count; // AICPU threads that may run at once; 0: not known
    uint64_t timeout_ns;
    uint64_t run_limit_ns; // longest run of all
    enum pto_ascend_aicpu_path aicpu_path;
    enum pto_ascend_aicore_path aicore_path;
    int aicpu_forced; // 1: the user chose aicpu_path
    pto_log_function *log;
    void *log_context;

    void *aicore_stream;
    void *aicpu_stream;
    void *aicore_handle; // of the registered program: CANN's, by the path taken
    void *aicore_function;
    void *aicpu_binary; // JSON path
    void *aicpu_init;
    void *aicpu_run;

    struct pto_ascend_pool *pool;
    uint64_t block_address; // device
    struct pto_ascend_block *block;
    uint64_t block_bytes;
    enum pto_ascend_lines lines;

    pthread_mutex_t copy_mutex;
    struct pto_ascend_stage stages[PTO_ASCEND_STAGE_COUNT];

    // 1: the device is in an unknown state, because a call failed that should not, or work did not
    // end. Closing then resets it by force.
    _Atomic int broken;
};

// device.c. What a thread's current context was.
struct pto_ascend_binding {
    void *previous;
};
PTO_NODISCARD enum pto_status pto__ascend_bind(const struct pto_backend *device,
                                               struct pto_ascend_binding *out_binding,
                                               struct pto_error *err);
void pto__ascend_unbind(const struct pto_backend *device, const struct pto_ascend_binding *binding);
// Fills *err for a call of CANN that failed, and marks the device broken if it may be.
enum pto_status pto__ascend_fail(struct pto_backend *device, struct pto_error *err, int32_t code,
                                 const char *function, const char *what);
// How long the device may take for what the host waits for: a task's time limit, within reason.
uint64_t pto__ascend_patience_ns(const struct pto_backend *device);
void pto__ascend_log(const struct pto_backend *device, enum pto_log_level level, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));
enum pto_status pto__ascend_open(struct pto_backend **out, const struct pto_backend_config *config,
                                 struct pto_error *err);
void pto__ascend_close(struct pto_backend *device);

// memory.c. Bound.
PTO_NODISCARD enum pto_status pto__ascend_pool_create(struct pto_ascend_pool **out,
                                                      struct pto_error *err);
// Frees everything, unless the device is broken: then its reset does.
void pto__ascend_pool_destroy(struct pto_backend *device, struct pto_ascend_pool *pool);
PTO_NODISCARD enum pto_status pto__ascend_allocate(struct pto_backend *device, uint64_t size_bytes,
                                                   uint64_t *out_address, struct pto_error *err);
void pto__ascend_release(struct pto_backend *device, uint64_t address, uint64_t size_bytes);

// copy.c. Bound.
PTO_NODISCARD enum pto_status pto__ascend_stages_create(struct pto_backend *device,
                                                        struct pto_error *err);
void pto__ascend_stages_destroy(struct pto_backend *device);
PTO_NODISCARD enum pto_status pto__ascend_upload(struct pto_backend *device, uint64_t address,
                                                 const void *host, uint64_t size_bytes,
                                                 struct pto_error *err);
PTO_NODISCARD enum pto_status pto__ascend_download(struct pto_backend *device, void *host,
                                                   uint64_t address, uint64_t size_bytes,
                                                   struct pto_error *err);

// path.c: the launch paths. Bound. Chooses the paths, by PTO_ASCEND_LAUNCH or by what CANN has.
PTO_NODISCARD enum pto_status pto__ascend_choose_paths(struct pto_backend *device,
                                                       struct pto_error *err);
const char *pto__ascend_aicpu_path_name(enum pto_ascend_aicpu_path path);
const char *pto__ascend_aicore_path_name(enum pto_ascend_aicore_path path);
// aicore.c: registers the worker program, once; starts it on the AICore stream.
PTO_NODISCARD enum pto_status pto__ascend_load_aicore(struct pto_backend *device, const char *path,
                                                      struct pto_error *err);
void pto__ascend_unload_aicore(struct pto_backend *device);
PTO_NODISCARD enum pto_status pto__ascend_start_aicore(struct pto_backend *device,
                                                       struct pto_error *err);
// aicpu.c: brings the scheduler to the device; starts it on the AICPU stream. *out_unusable: 1 when
// this device cannot run AICPU programs at all.
PTO_NODISCARD enum pto_status pto__ascend_load_aicpu(struct pto_backend *device, const char *path,
                                                     int *out_unusable, struct pto_error *err);
void pto__ascend_unload_aicpu(struct pto_backend *device);
PTO_NODISCARD enum pto_status pto__ascend_start_aicpu(struct pto_backend *device,
                                                      uint32_t thread_count, struct pto_error *err);

// run.c
enum pto_status pto__ascend_launch(struct pto_backend *device,
                                   const struct pto_launch_request *request,
                                   struct pto_launch_outcome *out, struct pto_error *err);
enum pto_status pto__ascend_handshakes(struct pto_backend *device, struct pto_handshake *out,
                                       uint32_t core_count, struct pto_error *err);
// Of device memory at the launch block: `field` is an offset in struct pto_ascend_block.
PTO_NODISCARD enum pto_status pto__ascend_block_upload(struct pto_backend *device, uint64_t field,
                                                       uint64_t size_bytes, struct pto_error *err);
PTO_NODISCARD enum pto_status pto__ascend_block_download(struct pto_backend *device, uint64_t field,
                                                         uint64_t size_bytes,
                                                         struct pto_error *err);
// Says which task a core that did not end was running, from the lines in device->block.
void pto__ascend_blame(struct pto_backend *device, const struct pto_launch_request *request,
                       struct pto_launch_outcome *out);
// For cores that ended by `code`, or (0) did not end in time: marks the device broken, reads the
// lines and fills out->report, with the status NONE when the code is neither exception nor time
// limit.
void pto__ascend_report_cores(struct pto_backend *device, const struct pto_launch_request *request,
                              int32_t code, struct pto_launch_outcome *out);
// Waits for a stream at most so long: CANN's code, PTO_CANN_STREAM_SYNC_TIMEOUT if it goes on.
int32_t pto__ascend_wait(struct pto_backend *device, void *stream, uint64_t duration_ns);

// host_driver.c: a launch without AICPU code.
PTO_NODISCARD enum pto_status pto__ascend_drive(struct pto_backend *device,
                                                const struct pto_launch_request *request,
                                                struct pto_launch_outcome *out,
                                                struct pto_error *err);

#endif // PTO_ASCEND_DEVICE_H
