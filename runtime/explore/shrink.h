// SPDX-License-Identifier: Apache-2.0
// Makes a finding small: fewer tasks, fewer cores and scheduler threads, fewer decisions, while
// the same kind of thing goes wrong between the same two places.
#ifndef PTO_EXPLORE_SHRINK_H
#define PTO_EXPLORE_SHRINK_H

#include "explore/poll.h"
#include "explore/stage.h"

// Launches that are spent on it when nobody says otherwise, and steps of all of them together.
#define PTO_SHRINK_RUNS 2000u
#define PTO_SHRINK_STEPS UINT64_C(20000000)

// `found` is the launch whose seed gave `wanted`. *out is the smallest case that was come by, which
// the caller frees, and *out_result what it gives; task_count 0 when even the first could not be
// had again, which a kernel brings about that does not do the same each time. Ends early when
// the caller's poll function asks for that.
PTO_NODISCARD enum pto_status
pto__shrink(struct pto_stage *stage, const struct pto_explore_finding *wanted, uint64_t run_max,
            struct pto_poll *poll, struct pto_small_case *out,
            struct pto_explore_result *out_result, uint64_t *out_runs, struct pto_error *err);
void pto__small_case_free(struct pto_small_case *small);

#endif // PTO_EXPLORE_SHRINK_H
