// SPDX-License-Identifier: Apache-2.0
// What a runner of the explorer is asked to do: by its configuration, and by the environment.
#ifndef PTO_EXPLORE_OPTIONS_H
#define PTO_EXPLORE_OPTIONS_H

#include "explore/replay.h"
#include "host/backend.h"

// Words of a file that others may read while the search goes on, one block for each part of it.
struct pto_search_progress {
    _Atomic uint64_t launches; // begun
    _Atomic uint64_t asked;    // schedules of those
    _Atomic uint64_t done;
    _Atomic uint64_t found; // 1 + the seed of what went wrong, 0: nothing yet
    uint64_t reserved[4];
};

struct pto_explore_options {
    uint64_t seed;
    uint64_t schedules;
    enum pto_explore_profile profile;
    uint64_t shrink_runs;
    // This process tries the seeds part, part + part_count, ... after the first.
    uint64_t part;
    uint64_t part_count;
    char *timeline_path; // NULL: none is wanted
    char *save_path;     // of a replay file; NULL: none is wanted
    struct pto_replay replay;
    bool replays;
    struct pto_search_progress *progress; // of this part
    void *progress_mapping;               // NULL: nobody looks
    size_t progress_bytes;
    struct pto_search_progress unseen;
};

// Reads the environment where the configuration says nothing:
//   PTO_EXPLORE_SEED, PTO_EXPLORE_SCHEDULES, PTO_EXPLORE_PROFILE
//   PTO_EXPLORE_SHRINK     launches to spend on making a finding small (2000)
//   PTO_EXPLORE_TIMELINE   a file for the timeline of what was found
//   PTO_EXPLORE_SAVE       a file for what was found, made small
//   PTO_EXPLORE_REPLAY     such a file, to be shown again
//   PTO_EXPLORE_PART       "K/N": of the schedules, the K-th of N parts, from 0
//   PTO_EXPLORE_PROGRESS   a file of N blocks of struct pto_search_progress
PTO_NODISCARD enum pto_status pto__explore_options_init(struct pto_explore_options *options,
                                                        const struct pto_backend_config *config,
                                                        struct pto_error *err);
void pto__explore_options_fini(struct pto_explore_options *options);

#endif // PTO_EXPLORE_OPTIONS_H
