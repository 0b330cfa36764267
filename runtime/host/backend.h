// SPDX-License-Identifier: Apache-2.0
// The seam between the runner and a device: one struct of operations.
//
// A backend owns the device and its launch block; the runner owns graphs, user memory and the order
// of calls. The runner never dereferences a device address.
// Threads: open, close and launch are never called at the same time for one backend; allocate,
// release, upload and download may be, from several threads and during a launch.
#ifndef PTO_HOST_BACKEND_H
#define PTO_HOST_BACKEND_H

#include <stdbool.h>

#include "abi/launch.h"
#include "host/memory.h"
#include "host/program.h"
#include "pto/runner.h"

struct pto_backend; // each backend's own

struct pto_backend_config {
    int32_t device_id;
    uint32_t core_count;
    const char *aicpu_so_path;      // absolute, checked with the machine and symbols below
    const char *aicore_kernel_path; // absolute, checked
    uint64_t timeout_ns;
    uint64_t seed;       // the explorer's, see struct pto_config
    uint64_t schedules;
    const char *profile; // may be NULL
    uint32_t lane_count; // the simulator's host threads; 0: as many as there are processors
    pto_log_function *log; // may be NULL
    void *log_context;
};

struct pto_launch_request {
    uint64_t image; // device addresses, see struct pto_launch
    uint64_t pending;
    uint64_t ready;
    uint32_t task_count;
    uint32_t scheduler_count;
    uint32_t image_changed;
    bool checked; // prepare_checks was called for this launch
    pto_poll_function *poll; // may be NULL
    void *poll_context;
};

struct pto_order;

// Freed blocks that checks are told of.
#define PTO_CHECK_FREED_MAX 256u

// What the checks of a launch are to know. All of it is the caller's, and may change as soon as
// prepare_checks has returned, but for `order` and `kernels`: those stay until the launch is over.
struct pto_check_setup {
    uint32_t kinds; // of enum pto_check
    struct pto_order *order;
    const struct pto_kernel_table *kernels;
    const struct pto_ledger_entry *blocks; // live, ascending
    uint64_t block_count;
    // Blocks whose serial is less may have been written by runs without checks.
    uint64_t opaque_serial;
    const struct pto_ledger_block *freed; // latest first
    uint32_t freed_count; // at most PTO_CHECK_FREED_MAX
};

// How a launch ended. `report` is the scheduler's; the backend adds what only it knows.
struct pto_launch_outcome {
    struct pto_report report;
    uint64_t fault_address; // PTO_FAIL_FAULT: the address that was touched, when known
    int32_t vendor_code;
    char detail[256]; // more on the failure, or empty
    // A checked launch. The findings are the backend's, until its next call.
    const struct pto_check_finding *findings;
    uint32_t finding_count;
    uint64_t more_findings; // that were only counted
    bool stopped_by_check;     // the fault in the report is memcheck's doing
    bool checks_out_of_memory; // not everything was looked at
};

struct pto_backend_ops {
    const char *name;
    enum pto_machine aicpu_machine;
    enum pto_machine aicore_machine;
    const char *const *aicpu_symbols; // NULL-terminated
    const char *const *aicore_symbols;
    // Range of core_count that open accepts.
    uint32_t core_count_min;
    uint32_t core_count_max;
    uint32_t checks; // of enum pto_check: what it has, made always where prepare_checks is NULL

    enum pto_status (*open)(struct pto_backend **out, const struct pto_backend_config *config,
                            struct pto_error *err);
    void (*close)(struct pto_backend *backend);
    // 64-byte aligned device memory, contents undefined.
    enum pto_status (*allocate)(struct pto_backend *backend, uint64_t size_bytes,
                                uint64_t *out_address, struct pto_error *err);
    void (*release)(struct pto_backend *backend, uint64_t address, uint64_t size_bytes);
    enum pto_status (*upload)(struct pto_backend *backend, uint64_t address, const void *host,
                              uint64_t size_bytes, struct pto_error *err);
    enum pto_status (*download)(struct pto_backend *backend, void *host, uint64_t address,
                                uint64_t size_bytes, struct pto_error *err);
    // Runs to the end. PTO_OK: *out is filled, whatever the report says. Otherwise the device could
    // not be driven, and the runner is FAILED.
    enum pto_status (*launch)(struct pto_backend *backend, const struct pto_launch_request *request,
                              struct pto_launch_outcome *out, struct pto_error *err);
    // Makes ready for one checked launch, which comes next. A failure leaves the device as it was.
    enum pto_status (*prepare_checks)(struct pto_backend *backend,
                                      const struct pto_check_setup *setup, struct pto_error *err);
    // The handshakes as the last launch left them, all zero before the first.
    enum pto_status (*handshakes)(struct pto_backend *backend, struct pto_handshake *out,
                                  uint32_t core_count, struct pto_error *err);
};

// Finds a backend by name. *out is NULL when there is none of that name.
const struct pto_backend_ops *pto__backend_find(const char *name);

extern const struct pto_backend_ops pto__sim_backend;
extern const struct pto_backend_ops pto__explore_backend;
extern const struct pto_backend_ops pto__ascend_backend;

#endif // PTO_HOST_BACKEND_H
