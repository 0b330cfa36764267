// SPDX-License-Identifier: Apache-2.0
// Asking a caller's poll function now and then during long work, by the amount of work done:
// reading a clock at each step would cost more than the step.
#ifndef PTO_GRAPH_POLL_H
#define PTO_GRAPH_POLL_H

#include "pto/analysis.h"

struct pto_work_poll {
    const char *operation;       // begins the message
    pto_poll_function *function; // NULL: never
    void *context;
    uint64_t work; // since it was asked last
};

// Takes the poll function out of a caller's options, which may be NULL. PTO_E_ARGUMENT.
PTO_NODISCARD enum pto_status pto__poll_init(struct pto_work_poll *poll, const char *operation,
                                             const struct pto_analysis_options *options,
                                             struct pto_error *err);

// Counts `work` steps of some nanoseconds. PTO_E_INTERRUPTED when the caller wants the end. A poll
// that is NULL asks nobody.
PTO_NODISCARD enum pto_status pto__poll(struct pto_work_poll *poll, uint64_t work,
                                        struct pto_error *err);

#endif // PTO_GRAPH_POLL_H
