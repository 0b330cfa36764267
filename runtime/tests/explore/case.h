// SPDX-License-Identifier: Apache-2.0
// Random launches for the explorer: a small graph, a number of cores and scheduler threads, and
// sometimes a task that fails or hangs, a stop request, one AICPU entry too many, a second launch.
#ifndef PTO_TESTS_EXPLORE_CASE_H
#define PTO_TESTS_EXPLORE_CASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/launch.h"
#include "explore/arena.h"
#include "explore/explore.h"
#include "explore/random.h"

#define CASE_CORES_MAX 4u
#define CASE_TASKS_MAX 12u
#define CASE_EDGES_MAX (CASE_TASKS_MAX * (CASE_TASKS_MAX - 1) / 2)

// Device memory for one explorer's cases, laid out for the largest.
struct case_memory {
    struct pto_explorer *explorer;
    struct pto_image_header *image;
    uint32_t *pending;
    uint32_t *ready;
};

struct case_image {
    struct pto_image_header header;
    struct pto_task_record records[CASE_TASKS_MAX];
    uint32_t successors[CASE_EDGES_MAX + 2];
    uint32_t ready[CASE_TASKS_MAX];
};

struct explore_case {
    uint32_t core_count;
    uint32_t task_count;
    uint32_t launches;
    uint8_t edges[CASE_TASKS_MAX][CASE_TASKS_MAX]; // [from][to], from < to
    uint32_t fail_task;
    struct pto_explore_run run;
};

static inline void case_die(const struct pto_error *err)
{
    fprintf(stderr, "%s\n", err->message);
    exit(2);
}

static inline void case_memory_open(struct case_memory *memory, uint32_t core_count,
                                    const char *aicpu_path, const char *aicore_path)
{
    struct pto_error err;
    struct pto_explore_config config = {
        .core_count = core_count,
        .aicpu_so_path = aicpu_path,
        .aicore_kernel_path = aicore_path,
    };
    uint64_t image = 0;
    uint64_t pending = 0;
    uint64_t ready = 0;
    if (pto__explorer_create(&memory->explorer, &config, &err) != PTO_OK) {
        case_die(&err);
    }
    struct pto_arena *arena = pto__explorer_arena(memory->explorer);
    if (pto__arena_allocate(arena, sizeof(struct case_image), &image, &err) != PTO_OK ||
        pto__arena_allocate(arena, CASE_TASKS_MAX * 4, &pending, &err) != PTO_OK ||
        pto__arena_allocate(arena, 16 * CASE_TASKS_MAX * 4, &ready, &err) != PTO_OK) {
        case_die(&err);
    }
    memory->image = (struct pto_image_header *)(uintptr_t)image;
    memory->pending = (uint32_t *)(uintptr_t)pending;
    memory->ready = (uint32_t *)(uintptr_t)ready;
}

static inline uint32_t case_draw(struct pto_random *random, uint32_t bound)
{
    return pto__random_below(random, bound);
}

// What the seed says apart from the schedule.
static inline void case_generate(struct explore_case *it, uint64_t seed,
                                 enum pto_explore_profile profile)
{
    struct pto_random random;
    pto__random_seed(&random, seed ^ UINT64_C(0xca5e));
    memset(it, 0, sizeof(*it));
    it->core_count = 1 + case_draw(&random, CASE_CORES_MAX);
    it->task_count = 1 + case_draw(&random, case_draw(&random, 4) == 0 ? CASE_TASKS_MAX : 7);
    it->launches = 1 + (case_draw(&random, 4) == 0);
    it->fail_task = PTO_NO_TASK;
    uint32_t shape = case_draw(&random, 4);
    for (uint32_t from = 0; from < it->task_count; from++) {
        for (uint32_t to = from + 1; to < it->task_count; to++) {
            it->edges[from][to] = shape == 0   ? to == from + 1 // a chain
                                  : shape == 1 ? case_draw(&random, 5) == 0
                                               : case_draw(&random, 3) == 0;
        }
    }
    uint32_t schedulers = 1 + case_draw(&random, 3);
    it->run = (struct pto_explore_run){
        .task_count = it->task_count,
        .scheduler_count = schedulers < it->core_count ? schedulers : it->core_count,
        .image_changed = 1,
        .timeout_ns = 1000000000,
        .seed = seed,
        .profile = profile,
        .hang_task = PTO_NO_TASK,
    };
    uint32_t event = case_draw(&random, 16);
    uint32_t task = case_draw(&random, it->task_count);
    uint32_t step = 1 + case_draw(&random, 400);
    if (event < 2) {
        it->fail_task = task;
    } else if (event == 2) {
        it->run.stop_at_step = step;
    } else if (event == 3) {
        it->run.hang_task = task;
    } else if (event == 4) {
        it->run.hang_task = task;
        it->run.stop_at_step = step;
    } else if (event == 5) {
        it->run.extra_entries = 1;
    }
    if (event == 6) {
        it->run.hasty_clock = true;
        it->fail_task = case_draw(&random, 2) == 0 ? task : PTO_NO_TASK;
    }
    if (event < 5 || event == 6) {
        it->launches = 1; // the counts of tasks that did not run are not put back
    }
}

// The host's upload.
static inline void case_upload(const struct case_memory *memory, struct explore_case *it)
{
    struct case_image *image = (struct case_image *)(void *)memory->image;
    memset(image, 0, sizeof(*image));
    uint32_t edge_count = 0;
    uint32_t ready_count = 0;
    for (uint32_t from = 0; from < it->task_count; from++) {
        struct pto_task_record *record = &image->records[from];
        record->arg_count = 1;
        record->args[0] = from == it->fail_task ? 7 : 0;
        record->successor_begin = edge_count;
        for (uint32_t to = 0; to < it->task_count; to++) {
            if (it->edges[from][to]) {
                image->successors[edge_count++] = to;
                record->successor_count++;
                image->records[to].predecessor_count++;
            }
        }
    }
    for (uint32_t i = 0; i < it->task_count; i++) {
        memory->pending[i] = image->records[i].predecessor_count;
        if (memory->pending[i] == 0) {
            image->ready[ready_count++] = i;
        }
    }
    image->header = (struct pto_image_header){
        .magic = PTO_IMAGE_MAGIC,
        .version = PTO_ABI_VERSION,
        .size_bytes = sizeof(*image),
        .task_count = it->task_count,
        .edge_count = edge_count,
        .ready_count = ready_count,
        .record_offset = offsetof(struct case_image, records),
        .successor_offset = offsetof(struct case_image, successors),
        .ready_offset = offsetof(struct case_image, ready),
        .spill_offset = sizeof(*image),
    };
    struct pto_arena *arena = pto__explorer_arena(memory->explorer);
    it->run.image = (uint64_t)(uintptr_t)memory->image;
    it->run.pending = (uint64_t)(uintptr_t)memory->pending;
    it->run.ready = (uint64_t)(uintptr_t)memory->ready;
    pto__arena_host_wrote(arena, it->run.image, sizeof(*image));
    pto__arena_host_wrote(arena, it->run.pending, (uint64_t)it->task_count * 4);
}

// Runs every launch of the case. *out_result is the last one's, or the first that has a finding.
static inline void case_run(const struct case_memory *memories, struct explore_case *it,
                            struct pto_explore_result *out_result)
{
    const struct case_memory *memory = &memories[it->core_count - 1];
    struct pto_error err;
    case_upload(memory, it);
    for (uint32_t launch = 0; launch < it->launches; launch++) {
        it->run.image_changed = launch == 0;
        if (pto__explorer_run(memory->explorer, &it->run, out_result, &err) != PTO_OK) {
            case_die(&err);
        }
        if (out_result->finding.kind != PTO_FINDING_NONE) {
            return;
        }
    }
}

#endif // PTO_TESTS_EXPLORE_CASE_H
