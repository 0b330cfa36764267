// SPDX-License-Identifier: Apache-2.0
// Runs with checks of kernels, as far as the runner has a part in them.
#ifndef PTO_HOST_CHECKED_RUN_H
#define PTO_HOST_CHECKED_RUN_H

#include "graph/order.h"
#include "host/runner.h"

// What a run is to check: of the options, or else of PTO_CHECK at init. 0: nothing. PTO_E_ARGUMENT
// for a name that is none; PTO_E_BACKEND when the device has no such check.
PTO_NODISCARD enum pto_status pto__checks_choose(const struct pto_runner *runner,
                                                 const struct pto_run_options *options,
                                                 uint32_t *out_kinds, struct pto_error *err);

// Makes the device ready for one checked launch of a pinned graph. The caller destroys *out_order
// after the launch.
PTO_NODISCARD enum pto_status pto__checks_prepare(struct pto_runner *runner,
                                                  const struct pto_graph *graph,
                                                  const struct pto_run_options *options,
                                                  uint32_t kinds, struct pto_order **out_order,
                                                  struct pto_error *err);

// Hands a launch's findings to the caller, and turns `status`, what came of the launch otherwise,
// into what run returns. *err is never NULL.
enum pto_status pto__checks_conclude(const struct pto_launch_outcome *outcome,
                                     const struct pto_run_options *options, enum pto_status status,
                                     struct pto_error *err);

#endif // PTO_HOST_CHECKED_RUN_H
