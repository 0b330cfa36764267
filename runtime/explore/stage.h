// SPDX-License-Identifier: Apache-2.0
// Launches of parts of a graph: some of its tasks, with the order among them that the whole graph
// gives, on some of the cores. Each starts from the same device memory.
#ifndef PTO_EXPLORE_STAGE_H
#define PTO_EXPLORE_STAGE_H

#include "explore/explore.h"
#include "explore/snapshot.h"

// A case: what a finding was made small to.
struct pto_small_case {
    uint32_t *tasks; // numbers in the whole graph, ascending
    uint32_t task_count;
    uint32_t core_count;
    uint32_t scheduler_count;
    struct pto_script script;
};

struct pto_stage {
    struct pto_explorer *explorer;
    struct pto_explore_run whole; // the launch of the whole graph
    const struct pto_snapshot *start;
    // The part of the graph that was chosen, and the blocks of device memory that it goes to.
    uint8_t *image;
    uint32_t *pending;
    uint64_t image_bytes;
    uint64_t image_capacity;
    uint32_t edge_capacity;
    uint64_t image_address;
    uint64_t pending_address;
    uint64_t ready_address;
    uint32_t *names; // of its tasks
    uint32_t task_count;
    uint32_t *scratch; // for walking the whole graph: three words for each task
};

// `start` and what the run points to must outlive the stage. The whole graph lies in the arena.
PTO_NODISCARD enum pto_status pto__stage_open(struct pto_stage *stage,
                                              struct pto_explorer *explorer,
                                              const struct pto_explore_run *whole,
                                              const struct pto_snapshot *start,
                                              struct pto_error *err);
void pto__stage_close(struct pto_stage *stage);
// Chooses the part. Tasks that are left out keep ordering those that stay: an edge is put where
// there was a way through them. false: that gives too many edges, or takes too long to find out.
bool pto__stage_choose(struct pto_stage *stage, const uint32_t *tasks, uint32_t task_count);
// Runs the part that was chosen: by the script if that replays, else by the seed, into the script.
// What the result says of tasks are numbers of the whole graph.
PTO_NODISCARD enum pto_status
pto__stage_run(struct pto_stage *stage, uint32_t core_count, uint32_t scheduler_count,
               uint64_t seed, struct pto_script *script, struct pto_explore_trace *trace,
               struct pto_explore_result *out_result, struct pto_error *err);

#endif // PTO_EXPLORE_STAGE_H
