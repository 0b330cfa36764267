// SPDX-License-Identifier: Apache-2.0
#include "explore/stage.h"

#include <stdlib.h>
#include <string.h>

#include "abi/image.h"
#include "base/error.h"
#include "explore/arena.h"

// Edges that a part may have beyond those of the whole graph, and looks at edges to find them.
#define EXTRA_EDGES 1024u
#define WALK_MAX 8000000u

static const struct pto_image_header *whole_image(const struct pto_stage *stage)
{
    return (const struct pto_image_header *)(uintptr_t)stage->whole.image;
}

static const void *section(const struct pto_image_header *image, uint64_t offset)
{
    return (const uint8_t *)image + offset;
}

static uint64_t round_up(uint64_t value)
{
    return (value + 7) & ~UINT64_C(7);
}

enum pto_status pto__stage_open(struct pto_stage *stage, struct pto_explorer *explorer,
                                const struct pto_explore_run *whole,
                                const struct pto_snapshot *start, struct pto_error *err)
{
    *stage = (struct pto_stage){.explorer = explorer, .whole = *whole, .start = start};
    const struct pto_image_header *image = whole_image(stage);
    uint64_t count = whole->task_count;
    stage->edge_capacity = image->edge_count + EXTRA_EDGES;
    // The ready section has a word for each task at most.
    stage->image_capacity = image->size_bytes + (EXTRA_EDGES + count) * sizeof(uint32_t) + 16;
    stage->image =
        aligned_alloc(PTO_CACHE_LINE_SIZE, (stage->image_capacity + PTO_CACHE_LINE_SIZE - 1) /
                                               PTO_CACHE_LINE_SIZE * PTO_CACHE_LINE_SIZE);
    stage->pending = malloc(count * sizeof(*stage->pending));
    stage->names = malloc(count * sizeof(*stage->names));
    stage->scratch = malloc(3 * count * sizeof(*stage->scratch));
    enum pto_status status = PTO_OK;
    if (stage->image == NULL || stage->pending == NULL || stage->names == NULL ||
        stage->scratch == NULL) {
        status = pto_fail_no_host_memory(err, "a part of the graph", stage->image_capacity);
    }
    struct pto_arena *arena = pto__explorer_arena(explorer);
    if (status == PTO_OK) {
        status = pto__arena_allocate(arena, stage->image_capacity, &stage->image_address, err);
    }
    if (status == PTO_OK) {
        status = pto__arena_allocate(arena, count * 4, &stage->pending_address, err);
    }
    if (status == PTO_OK) {
        status = pto__arena_allocate(arena, count * whole->scheduler_count * 4,
                                     &stage->ready_address, err);
    }
    if (status != PTO_OK) {
        pto__stage_close(stage);
    }
    return status;
}

void pto__stage_close(struct pto_stage *stage)
{
    struct pto_arena *arena = pto__explorer_arena(stage->explorer);
    const uint64_t addresses[] = {stage->image_address, stage->pending_address,
                                  stage->ready_address};
    for (size_t i = 0; i < 3; i++) {
        if (addresses[i] != 0) {
            pto__arena_release(arena, addresses[i]);
        }
    }
    free(stage->image);
    free(stage->pending);
    free(stage->names);
    free(stage->scratch);
    stage->image = NULL;
    stage->pending = NULL;
    stage->names = NULL;
    stage->scratch = NULL;
}

// While a part is chosen. A task's place is its number in the part + 1, 0 for one that is left out.
struct walk {
    const struct pto_task_record *records;
    const uint32_t *successors;
    uint32_t *place;
    uint32_t *seen_from; // the place of the last task from which this one was reached
    uint32_t *stack;
    uint32_t work;
    uint32_t *edges;
    uint32_t edge_count;
    uint32_t edge_max;
};

// The tasks of the part that come next after one of them, through any that are left out.
static bool walk_from(struct walk *walk, uint32_t task)
{
    uint32_t from = walk->place[task];
    uint32_t depth = 0;
    walk->stack[depth++] = task;
    while (depth != 0) {
        const struct pto_task_record *record = &walk->records[walk->stack[--depth]];
        for (uint32_t i = 0; i < record->successor_count; i++) {
            uint32_t next = walk->successors[record->successor_begin + i];
            if (walk->work++ == WALK_MAX) {
                return false;
            }
            if (walk->seen_from[next] == from) {
                continue;
            }
            walk->seen_from[next] = from;
            if (walk->place[next] == 0) {
                walk->stack[depth++] = next;
            } else if (walk->edge_count == walk->edge_max) {
                return false;
            } else {
                walk->edges[walk->edge_count++] = walk->place[next] - 1;
            }
        }
    }
    return true;
}

// Lays the sections behind the edges.
static void finish_image(struct pto_stage *stage, struct pto_image_header *header)
{
    const struct pto_image_header *whole = whole_image(stage);
    struct pto_task_record *records = (void *)(stage->image + header->record_offset);
    uint32_t *ready = (void *)(stage->image + header->ready_offset);
    header->ready_count = 0;
    for (uint32_t i = 0; i < header->task_count; i++) {
        stage->pending[i] = records[i].predecessor_count;
        if (records[i].predecessor_count == 0) {
            ready[header->ready_count++] = i;
        }
    }
    header->spill_offset = round_up(header->ready_offset + header->ready_count * UINT64_C(4));
    header->size_bytes = header->spill_offset + header->spill_count * UINT64_C(8);
    memcpy(stage->image + header->spill_offset, section(whole, whole->spill_offset),
           header->spill_count * UINT64_C(8));
    for (uint32_t i = 0; i < header->task_count; i++) {
        if (records[i].arg_count > PTO_INLINE_ARG_COUNT) {
            records[i].args[0] += header->spill_offset - whole->spill_offset;
        }
    }
    stage->image_bytes = header->size_bytes;
    memcpy(stage->image, header, sizeof(*header));
}

bool pto__stage_choose(struct pto_stage *stage, const uint32_t *tasks, uint32_t task_count)
{
    const struct pto_image_header *whole = whole_image(stage);
    uint32_t count = stage->whole.task_count;
    stage->task_count = 0;
    // The arena's image is read below, so it must be as the launch found it.
    pto__snapshot_restore(stage->start, pto__explorer_arena(stage->explorer));
    memset(stage->scratch, 0, 3 * (uint64_t)count * sizeof(*stage->scratch));
    struct pto_image_header header = *whole;
    header.task_count = task_count;
    header.successor_offset =
        header.record_offset + task_count * (uint64_t)sizeof(struct pto_task_record);
    struct walk walk = {
        .records = section(whole, whole->record_offset),
        .successors = section(whole, whole->successor_offset),
        .place = stage->scratch,
        .seen_from = stage->scratch + count,
        .stack = stage->scratch + 2 * (uint64_t)count,
        .edges = (void *)(stage->image + header.successor_offset),
        .edge_max = stage->edge_capacity,
    };
    struct pto_task_record *records = (void *)(stage->image + header.record_offset);
    for (uint32_t i = 0; i < task_count; i++) {
        walk.place[tasks[i]] = i + 1;
        stage->names[i] = tasks[i];
        records[i] = walk.records[tasks[i]];
        records[i].predecessor_count = 0;
    }
    for (uint32_t i = 0; i < task_count; i++) {
        uint32_t begin = walk.edge_count;
        if (!walk_from(&walk, tasks[i])) {
            return false;
        }
        records[i].successor_begin = begin;
        records[i].successor_count = walk.edge_count - begin;
        for (uint32_t k = begin; k < walk.edge_count; k++) {
            records[walk.edges[k]].predecessor_count++;
        }
    }
    header.edge_count = walk.edge_count;
    header.ready_offset = round_up(header.successor_offset + header.edge_count * UINT64_C(4));
    finish_image(stage, &header);
    stage->task_count = task_count;
    return true;
}

// Puts the part into device memory, as the host's upload does.
static void upload(const struct pto_stage *stage, struct pto_arena *arena)
{
    memcpy((void *)(uintptr_t)stage->image_address, stage->image, stage->image_bytes);
    memcpy((void *)(uintptr_t)stage->pending_address, stage->pending,
           stage->task_count * sizeof(*stage->pending));
    pto__arena_host_wrote(arena, stage->image_address, stage->image_bytes);
    pto__arena_host_wrote(arena, stage->pending_address, stage->task_count * UINT64_C(4));
}

enum pto_status pto__stage_run(struct pto_stage *stage, uint32_t core_count,
                               uint32_t scheduler_count, uint64_t seed, struct pto_script *script,
                               struct pto_explore_trace *trace,
                               struct pto_explore_result *out_result, struct pto_error *err)
{
    struct pto_arena *arena = pto__explorer_arena(stage->explorer);
    struct pto_explore_run run = stage->whole;
    run.core_count = core_count;
    run.scheduler_count = scheduler_count;
    run.seed = seed;
    run.script = script;
    run.trace = trace;
    pto__snapshot_restore(stage->start, arena);
    // The whole graph stays where it is: so the schedule of its seed can be had again.
    if (stage->task_count != stage->whole.task_count) {
        upload(stage, arena);
        run.image = stage->image_address;
        run.pending = stage->pending_address;
        run.ready = stage->ready_address;
        run.task_count = stage->task_count;
        run.image_changed = 1;
        run.task_names = stage->names;
    }
    enum pto_status status = pto__explorer_run(stage->explorer, &run, out_result, err);
    struct pto_explore_finding *finding = &out_result->finding;
    if (status == PTO_OK && finding->kind != PTO_FINDING_NONE && run.task_names != NULL) {
        finding->task =
            finding->task < run.task_count ? run.task_names[finding->task] : finding->task;
        finding->other_task = finding->other_task < run.task_count
                                  ? run.task_names[finding->other_task]
                                  : finding->other_task;
    }
    return status;
}
