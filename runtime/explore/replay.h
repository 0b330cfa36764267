// SPDX-License-Identifier: Apache-2.0
// A finding made small, as a file: which launch of a runner it was, the tasks, cores and scheduler
// threads that are left, and the decisions of the schedule.
#ifndef PTO_EXPLORE_REPLAY_H
#define PTO_EXPLORE_REPLAY_H

#include "explore/stage.h"

struct pto_replay {
    uint64_t launch; // of the runner, from 1
    uint64_t seed;   // that the finding had
    uint32_t profile;
    uint32_t graph_tasks; // of the whole graph
    struct pto_small_case small;
};

// `text` is the finding's, and goes into a comment.
PTO_NODISCARD enum pto_status pto__replay_write(const struct pto_replay *replay, const char *text,
                                                const char *path, struct pto_error *err);
// The caller frees out->small. Everything in the file is checked but what only the launch knows.
PTO_NODISCARD enum pto_status pto__replay_read(struct pto_replay *out, const char *path,
                                               struct pto_error *err);
// A profile by name, "a2a3"; NULL when there is no such number.
const char *pto__profile_name(uint32_t profile);

#endif // PTO_EXPLORE_REPLAY_H
