// SPDX-License-Identifier: Apache-2.0
// Status codes and error details of the C library.
//
// Every call that can fail returns an enum pto_status, 0 on success, and takes a struct pto_error
// in the caller's memory as its last parameter, which may be NULL. After a failure nothing is
// half-created: what the call was to make does not exist, and what it was given is as before.
// The library never prints, exits or aborts because of its input.
#ifndef PTO_STATUS_H
#define PTO_STATUS_H

#include <stdint.h>

#if defined(__GNUC__)
#define PTO_API __attribute__((visibility("default")))
#define PTO_NODISCARD __attribute__((warn_unused_result))
#else
#define PTO_API
#define PTO_NODISCARD
#endif

#ifdef __cplusplus
extern "C" {
#endif

// Values never change their meaning; new ones are added at the end.
enum pto_status {
    PTO_OK = 0,
    PTO_E_ARGUMENT = -1,     // an argument makes no sense (NULL, self edge, malformed)
    PTO_E_RANGE = -2,        // a number is outside its documented range
    PTO_E_LIMIT = -3,        // a documented limit would be passed
    PTO_E_STATE = -4,        // not in this state: before init, after finalize, init twice
    PTO_E_BUSY = -5,         // the graph or runner is in use by another call
    PTO_E_FORKED = -6,       // the runner was made before fork(); use it in the parent only
    PTO_E_NO_MEMORY = -7,    // host or device memory is exhausted
    PTO_E_POINTER = -8,      // not a device pointer that may be used like this
    PTO_E_CYCLE = -9,        // the graph has a cycle
    PTO_E_FILE = -10,        // a file cannot be opened or read
    PTO_E_PROGRAM = -11,     // a file is not a device program for this backend and version
    PTO_E_BACKEND = -12,     // the backend asked for cannot be had
    PTO_E_KERNEL = -13,      // a task does not fit its kernel: unknown func_id, argument count
    PTO_E_TASK = -14,        // a task's kernel returned an error
    PTO_E_FAULT = -15,       // a task's kernel crashed; the runner is FAILED
    PTO_E_TIMEOUT = -16,     // no progress for the time allowed; the runner is FAILED
    PTO_E_INTERRUPTED = -17, // the caller's poll function asked for the end
    PTO_E_FAILED = -18,      // an earlier run left the runner FAILED; finalize and init it again
    PTO_E_DEVICE = -19,      // the device or its driver reported an error
    PTO_E_INTERNAL = -20,    // a defect of this library
    PTO_E_ORDER = -21,       // the explorer found an access without the order it needs
    PTO_E_CHECK = -22,       // the checks of a run found faults in kernels or in the graph
};

#define PTO_ERROR_NONE UINT32_MAX
#define PTO_ERROR_MESSAGE_SIZE 768

// Details of a failure. Defined only after a call returned other than PTO_OK.
struct pto_error {
    enum pto_status status;
    int32_t vendor_code; // the driver's own number, 0 when it had no part in it
    uint32_t task;       // the task concerned, else PTO_ERROR_NONE
    uint32_t func_id;    // its kernel's number, else PTO_ERROR_NONE
    uint32_t core;       // the core concerned, else PTO_ERROR_NONE
    int32_t task_code;   // PTO_E_TASK: what the kernel returned; PTO_E_FAULT: the signal's number
    char kernel[44];     // the kernel's name, else empty
    char message[PTO_ERROR_MESSAGE_SIZE]; // UTF-8: what was asked, what was seen, what to do
};

// The constant's name ("PTO_E_RANGE"), or "PTO_E_UNKNOWN". Static storage.
PTO_API const char *pto_status_name(enum pto_status status);

#ifdef __cplusplus
}
#endif

#endif // PTO_STATUS_H
