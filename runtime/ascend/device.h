// SPDX-License-Identifier: Apache-2.0
// An open Ascend device: one struct pto_backend for each runner.
//
// All calls of CANN are made by two threads of its own, see service.h: one opens, runs and closes,
// the other allocates and copies meanwhile. "On a service" below is on one of these.
#ifndef PTO_ASCEND_DEVICE_H
#define PTO_ASCEND_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "abi/launch.h"
#include "ascend/service.h"

// One copy through pinned memory moves so much; two of them alternate.
#define PTO_ASCEND_STAGE_BYTES (1024u * 1024u)
#define PTO_ASCEND_STAGE_COUNT 2u

// What a service copies for: each has stages of its own, so that they do not wait for each other.
enum pto_ascend_service_kind { PTO_ASCEND_RUNS, PTO_ASCEND_MEMORY, PTO_ASCEND_SERVICE_COUNT };

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
    _Atomic uint32_t references; // the owner's, and each service's until its thread ends
    struct pto_ascend_service *services[PTO_ASCEND_SERVICE_COUNT];

    // Constant while open.
    const struct pto_cann *cann;
    char *aicpu_so_path;
    char *aicore_kernel_path;
    char chip[64];          // as CANN calls it; empty: it does not say
    int without_aicpu;      // 1: the host is to drive the cores, unless the user chose otherwise
    uint64_t call_limit_ns; // longest call of CANN
    int32_t device_id;
    int is_set;  // 1: aclrtSetDevice was called, and its reset is due
    int is_lost; // 1: another user of this process reset the device, and all that was on it is gone
    void *context;
    uint32_t device_count; // that CANN shows this process
    uint32_t core_count;
    uint32_t block_count; // blocks of one cube and two vector cores
    uint32_t aicpu_count; // AICPU threads that may run at once
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

    struct pto_ascend_stage stages[PTO_ASCEND_SERVICE_COUNT][PTO_ASCEND_STAGE_COUNT];

    _Atomic int stop_wanted; // 1: the caller of the run in progress wants it to end

    // 1: the device is in an unknown state, because a call failed that should not, or work did not
    // end. Closing then resets it by force.
    _Atomic int broken;
    // 1: besides, a call of CANN did not return, and may still use what it was given.
    _Atomic int hung;
};

// device.c. On a service: makes the device's context its thread's.
PTO_NODISCARD enum pto_status pto__ascend_bind(struct pto_backend *device, struct pto_error *err);
// Fills *err for a call of CANN that failed, and marks the device broken if it may be.
enum pto_status pto__ascend_fail(struct pto_backend *device, struct pto_error *err, int32_t code,
                                 const char *function, const char *what);
// How long the device may take for what the host waits for: a task's time limit, within reason.
uint64_t pto__ascend_patience_ns(const struct pto_backend *device);
void pto__ascend_log(const struct pto_backend *device, enum pto_log_level level, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));
// Reads the limits that the environment sets.
PTO_NODISCARD enum pto_status pto__ascend_choose_limits(struct pto_backend *device,
                                                        struct pto_error *err);
// On a service. A failure leaves nothing open. *out_unusable: the device runs no AICPU program of
// ours, and nobody insisted on one.
PTO_NODISCARD enum pto_status pto__ascend_set_up(struct pto_backend *device, int *out_unusable,
                                                 struct pto_error *err);
// On a service, which may be another one. Undoes set_up.
void pto__ascend_tear_down(struct pto_backend *device);
// On a service: the last resort for a device of which a call hangs.
void pto__ascend_force_reset(struct pto_backend *device);
// Notes that a call for the device did not return.
void pto__ascend_mark_hung(struct pto_backend *device);

// memory.c. On a service.
PTO_NODISCARD enum pto_status pto__ascend_pool_create(struct pto_ascend_pool **out,
                                                      struct pto_error *err);
// Gives everything back to CANN, unless the device is broken: then its reset does.
void pto__ascend_pool_empty(struct pto_backend *device);
// On any thread. The host's memory; NULL is allowed.
void pto__ascend_pool_destroy(struct pto_ascend_pool *pool);
// On any thread: without CANN, 0 when it takes CANN.
int pto__ascend_pool_take(struct pto_backend *device, uint64_t size_bytes, uint64_t *out_address);
int pto__ascend_pool_put(struct pto_backend *device, uint64_t address, uint64_t size_bytes);
PTO_NODISCARD enum pto_status pto__ascend_allocate(struct pto_backend *device, uint64_t size_bytes,
                                                   uint64_t *out_address, struct pto_error *err);
void pto__ascend_release(struct pto_backend *device, uint64_t address, uint64_t size_bytes);

// copy.c. On the service that is named.
PTO_NODISCARD enum pto_status pto__ascend_stages_create(struct pto_backend *device,
                                                        struct pto_error *err);
void pto__ascend_stages_destroy(struct pto_backend *device);
PTO_NODISCARD enum pto_status pto__ascend_upload(struct pto_backend *device,
                                                 enum pto_ascend_service_kind kind,
                                                 uint64_t address, const void *host,
                                                 uint64_t size_bytes, struct pto_error *err);
PTO_NODISCARD enum pto_status pto__ascend_download(struct pto_backend *device,
                                                   enum pto_ascend_service_kind kind, void *host,
                                                   uint64_t address, uint64_t size_bytes,
                                                   struct pto_error *err);

// path.c, on a service: chooses the launch paths, by PTO_ASCEND_LAUNCH or by what CANN has.
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

// run.c. On the service for runs.
PTO_NODISCARD enum pto_status pto__ascend_launch(struct pto_backend *device,
                                                 const struct pto_launch_request *request,
                                                 struct pto_launch_outcome *out,
                                                 struct pto_error *err);
// Reads the cores' lines from the device, if a launch left them there.
PTO_NODISCARD enum pto_status pto__ascend_read_lines(struct pto_backend *device,
                                                     struct pto_error *err);
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
