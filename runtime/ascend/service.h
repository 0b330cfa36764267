// SPDX-License-Identifier: Apache-2.0
// Threads of the backend's own that make all calls of CANN, because any of these may never return.
//
// A caller hands an operation over and waits; it polls meanwhile for its user's wish to end. When
// one call of CANN takes longer than the limit, the caller abandons the service: the operation
// fails with PTO_E_TIMEOUT, and the thread is left behind with what it holds. Should the call come
// back after all, every further one is skipped with the code PTO_CANN_ABANDONED, so the operation
// unwinds by its ordinary error paths, and the thread ends. It does not touch the caller's memory
// any more: a service is abandoned only while a call is out, and an operation looks at the caller's
// memory only after a call that went well.
//
// CANN's context belongs to a thread, so the threads of a program keep theirs.
#ifndef PTO_ASCEND_SERVICE_H
#define PTO_ASCEND_SERVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "ascend/library.h"
#include "host/backend.h"

// An operation: what it takes and what it gives, by value. Only `from` and `to` are the caller's.
struct pto_ascend_op {
    enum pto_status (*body)(struct pto_ascend_op *op, struct pto_error *err);
    const char *what; // for messages: "run"
    struct pto_backend *device;
    uint64_t address;
    uint64_t size_bytes;
    const void *from;
    void *to;
    struct pto_launch_request request; // without its poll function
    struct pto_launch_outcome outcome;
    int is_unusable; // see pto__ascend_set_up
    enum pto_status status;
    struct pto_error err;
};

struct pto_ascend_service;

// A thread that waits for operations, and calls on_end(device) when it ends: maybe long after its
// service was destroyed. Calls of CANN may take call_limit_ns each.
PTO_NODISCARD enum pto_status pto__service_create(struct pto_ascend_service **out,
                                                  uint64_t call_limit_ns,
                                                  void (*on_end)(struct pto_backend *device),
                                                  struct pto_backend *device,
                                                  struct pto_error *err);
// Ends the thread, or lets go of one that was left behind; NULL is allowed. No operation is in it.
void pto__service_destroy(struct pto_ascend_service *service);

// Takes the service for one operation, to be filled in; waits for those of other threads.
struct pto_ascend_op *pto__service_take(struct pto_ascend_service *service);
void pto__service_give(struct pto_ascend_service *service);

// What the caller's thread does meanwhile; every member may be NULL.
struct pto_ascend_listener {
    pto_poll_function *poll;
    void *poll_context;
    _Atomic int *stop_wanted; // becomes 1 when poll returns other than 0; not NULL beside poll
    pto_log_function *log;    // for the messages of the operation
    void *log_context;
};
// Runs the operation. 1: it is over, and its status and results can be read. 0: a call of CANN did
// not return, now or in an earlier operation; *err says which, and the operation is lost.
int pto__service_run(struct pto_ascend_service *service, const struct pto_ascend_op *op,
                     const struct pto_ascend_listener *listener, struct pto_error *err);

// Inside an operation. Keeps a message for the caller; 0: this thread is no service's.
int pto__service_log(enum pto_log_level level, const char *text);
// Around something that may not return, and may take more_ns beyond the limit. begin: 0 when the
// thread was left behind, and it must not be done. end: gives back `code`, or PTO_CANN_ABANDONED.
// On other threads they do nothing.
int pto__call_begin(const char *name, uint64_t more_ns);
int pto__call_end(int code);
const char *pto__call_end_text(const char *text);

// A call of CANN: its code, or PTO_CANN_ABANDONED.
#define PTO_CALL_FOR(more_ns, cann, function, ...)                                        \
    (pto__call_begin(#function, (more_ns)) ? pto__call_end((cann)->function(__VA_ARGS__)) \
                                           : PTO_CANN_ABANDONED)
#define PTO_CALL(cann, function, ...) PTO_CALL_FOR(0, cann, function, __VA_ARGS__)
// One that returns text; NULL as well when it was skipped.
#define PTO_CALL_TEXT(cann, function) \
    (pto__call_begin(#function, 0) ? pto__call_end_text((cann)->function()) : NULL)

#endif // PTO_ASCEND_SERVICE_H
