// SPDX-License-Identifier: Apache-2.0
// What runner.c and run.c need of each other.
#ifndef PTO_HOST_RUN_H
#define PTO_HOST_RUN_H

#include "host/runner.h"

// Refuses a call from a forked child, or from inside run(). Before any lock.
PTO_NODISCARD enum pto_status pto__runner_enter(const struct pto_runner *runner,
                                                const char *operation, struct pto_error *err);

// PTO_E_STATE or PTO_E_FAILED unless the runner is READY.
PTO_NODISCARD enum pto_status pto__runner_require_ready(const struct pto_runner *runner,
                                                        const char *operation,
                                                        struct pto_error *err);

// Makes the runner FAILED because of `err`; the first failure stays.
void pto__runner_fail(struct pto_runner *runner, const struct pto_error *err);

#endif // PTO_HOST_RUN_H
