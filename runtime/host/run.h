// SPDX-License-Identifier: Apache-2.0
// What the runner's files need of each other.
#ifndef PTO_HOST_RUN_H
#define PTO_HOST_RUN_H

#include "host/runner.h"

// Refuses a call from a forked child, or from inside run(). Before any lock.
PTO_NODISCARD enum pto_status pto__runner_enter(const struct pto_runner *runner,
                                                const char *operation, struct pto_error *err);

// Waits until no other thread inits, runs or finalizes. With a poll function, which is asked every
// 50 ms, PTO_E_INTERRUPTED when that asks for the end; then it is not the caller's turn.
PTO_NODISCARD enum pto_status pto__runner_poll_turn(struct pto_runner *runner,
                                                    pto_poll_function *poll, void *poll_context,
                                                    struct pto_error *err);
void pto__runner_take_turn(struct pto_runner *runner);
void pto__runner_end_turn(struct pto_runner *runner);

// PTO_E_STATE or PTO_E_FAILED unless the runner is READY.
PTO_NODISCARD enum pto_status pto__runner_require_ready(const struct pto_runner *runner,
                                                        const char *operation,
                                                        struct pto_error *err);

// Makes the runner FAILED because of `err`; the first failure stays.
void pto__runner_fail(struct pto_runner *runner, const struct pto_error *err);

#endif // PTO_HOST_RUN_H
