// SPDX-License-Identifier: Apache-2.0
#include "graph/conflicts.h"

#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "graph/cells.h"
#include "graph/order_index.h"

#define NONE UINT32_MAX

// What the bytes of a piece remember.
struct piece {
    uint32_t writer;  // the access that wrote last, or NONE
    uint32_t readers; // the head of a list in `nodes`, or NONE: those that have read since
};

// Lists share their tails: when a piece is cut in two, both go on from the same head.
struct node {
    uint32_t access;
    uint32_t next;
};

// Invariants: starts has cell 0 and the last border; pieces[i] means something where starts has i,
// and stands for the memory from there to the next start.
struct sweep {
    struct pto_order *order;
    const struct pto_access *accesses;
    struct pto_cells cells;
    struct pto_bits starts;
    struct piece *pieces;
    struct node *nodes;
    size_t node_count;
    size_t node_capacity;
    // The conflicts of the access that is looked at, so that neighbours can be joined. found_at[i]
    // is where the one with access i is, if it has one.
    struct pto_conflict *found;
    size_t found_count;
    size_t found_capacity;
    uint32_t *found_at;
    struct pto_work_poll *poll;
};

// Makes room for one more element.
static void *grow(void *array, size_t count, size_t *capacity, size_t size, struct pto_error *err)
{
    if (count < *capacity) {
        return array;
    }
    size_t wanted = *capacity + *capacity / 2 + 64;
    void *grown = wanted > NONE ? NULL : realloc(array, wanted * size);
    if (grown == NULL) {
        (void)pto_fail_no_host_memory(err, "what bytes remember", (uint64_t)wanted * size);
        return NULL;
    }
    *capacity = wanted;
    return grown;
}

// Whether two accesses are of tasks that no path orders. `earlier` was taken first, so that a path
// could lead in one direction only. Most of the time goes here, so the caller is asked here too.
static enum pto_status compare(struct sweep *sweep, uint32_t earlier, uint32_t later,
                               int *out_unordered, struct pto_error *err)
{
    uint32_t first = sweep->order->ranks[sweep->accesses[earlier].task];
    uint32_t second = sweep->order->ranks[sweep->accesses[later].task];
    *out_unordered = first != second && !pto__order_rank_before(sweep->order, first, second);
    return pto__poll(sweep->poll, 1 + pto__order_take_work(sweep->order), err);
}

static enum pto_status add_conflict(struct sweep *sweep, const struct pto_conflict *conflict,
                                    struct pto_error *err)
{
    // Two accesses either have bytes in common or share a line, so that the kind is the same too.
    uint32_t place = sweep->found_at[conflict->first];
    if (place < sweep->found_count && sweep->found[place].first == conflict->first &&
        sweep->found[place].end >= conflict->begin) {
        sweep->found[place].end = conflict->end;
        return PTO_OK;
    }
    struct pto_conflict *grown =
        grow(sweep->found, sweep->found_count, &sweep->found_capacity, sizeof(*sweep->found), err);
    if (grown == NULL) {
        return PTO_E_NO_MEMORY;
    }
    sweep->found = grown;
    sweep->found_at[conflict->first] = (uint32_t)sweep->found_count;
    sweep->found[sweep->found_count++] = *conflict;
    return PTO_OK;
}

// Tells of a conflict if its two tasks are unordered.
static enum pto_status check_conflict(struct sweep *sweep, const struct pto_conflict *conflict,
                                      struct pto_error *err)
{
    int unordered;
    enum pto_status status = compare(sweep, conflict->first, conflict->second, &unordered, err);
    return status == PTO_OK && unordered ? add_conflict(sweep, conflict, err) : status;
}

static enum pto_status compare_bytes(struct sweep *sweep, uint32_t earlier, uint32_t later,
                                     uint32_t first_cell, uint32_t end_cell, struct pto_error *err)
{
    const struct pto_conflict conflict = {
        .first = earlier,
        .second = later,
        .begin = sweep->cells.borders[first_cell],
        .end = sweep->cells.borders[end_cell],
    };
    return check_conflict(sweep, &conflict, err);
}

// Of two writes in one line. Where they share bytes too, those are told and the line need not be:
// neighbours in a line that share bytes share some of that line.
static enum pto_status compare_line(struct sweep *sweep, uint32_t earlier, uint32_t later,
                                    uint64_t line, struct pto_error *err)
{
    const struct pto_access *before = earlier != NONE ? &sweep->accesses[earlier] : NULL;
    const struct pto_access *after = &sweep->accesses[later];
    if (before == NULL || (before->begin < after->end && after->begin < before->end)) {
        return PTO_OK;
    }
    const struct pto_conflict conflict = {
        .first = earlier,
        .second = later,
        .shares_line = 1,
        .begin = line,
        .end = line + PTO_CACHE_LINE_SIZE,
    };
    return check_conflict(sweep, &conflict, err);
}

// Makes a border of a cell the start of a piece.
static void split(struct sweep *sweep, uint32_t cell)
{
    if (!pto__bits_has(&sweep->starts, cell)) {
        sweep->pieces[cell] = sweep->pieces[pto__bits_previous(&sweep->starts, cell)];
        pto__bits_set(&sweep->starts, cell);
    }
}

static enum pto_status add_reader(struct sweep *sweep, struct piece *piece, uint32_t access,
                                  struct pto_error *err)
{
    struct node *grown =
        grow(sweep->nodes, sweep->node_count, &sweep->node_capacity, sizeof(*sweep->nodes), err);
    if (grown == NULL) {
        return PTO_E_NO_MEMORY;
    }
    sweep->nodes = grown;
    sweep->nodes[sweep->node_count] = (struct node){.access = access, .next = piece->readers};
    piece->readers = (uint32_t)sweep->node_count;
    sweep->node_count++;
    return PTO_OK;
}

// Whether the task has read the piece already, by another argument: then that has been compared
// with the last write. A task's accesses follow each other, so it would be the latest reader.
static int has_read(const struct sweep *sweep, const struct piece *piece, uint32_t task)
{
    return piece->readers != NONE &&
           sweep->accesses[sweep->nodes[piece->readers].access].task == task;
}

// Compares an access with one of its pieces and lets the piece remember a read.
static enum pto_status visit_piece(struct sweep *sweep, uint32_t access, uint32_t cell,
                                   uint32_t end_cell, struct pto_error *err)
{
    struct piece *piece = &sweep->pieces[cell];
    int writes = sweep->accesses[access].writes != 0;
    enum pto_status status = pto__poll(sweep->poll, 1, err);
    if (status == PTO_OK && !has_read(sweep, piece, sweep->accesses[access].task)) {
        if (piece->writer != NONE) {
            status = compare_bytes(sweep, piece->writer, access, cell, end_cell, err);
        }
        if (status == PTO_OK && !writes) {
            status = add_reader(sweep, piece, access, err);
        }
    }
    for (uint32_t i = piece->readers; i != NONE && writes && status == PTO_OK;
         i = sweep->nodes[i].next) {
        status = compare_bytes(sweep, sweep->nodes[i].access, access, cell, end_cell, err);
    }
    return status;
}

// Compares a write with the other writes of its first and its last line, where it leaves bytes of
// them to others. In the lines between it covers every byte.
static enum pto_status visit_lines(struct sweep *sweep, uint32_t access, uint32_t first_cell,
                                   uint32_t end_cell, struct pto_error *err)
{
    const uint64_t *borders = sweep->cells.borders;
    uint64_t line = borders[first_cell] / PTO_CACHE_LINE_SIZE * PTO_CACHE_LINE_SIZE;
    enum pto_status status = PTO_OK;
    for (uint32_t cell = first_cell; cell > 0 && borders[cell] > line && status == PTO_OK;) {
        cell = pto__bits_previous(&sweep->starts, cell - 1);
        status = compare_line(sweep, sweep->pieces[cell].writer, access, line, err);
    }
    line = (borders[end_cell] - 1) / PTO_CACHE_LINE_SIZE * PTO_CACHE_LINE_SIZE;
    uint32_t last = sweep->cells.border_count - 1;
    for (uint32_t cell = end_cell;
         cell < last && borders[cell] - line < PTO_CACHE_LINE_SIZE && status == PTO_OK;
         cell = pto__bits_next(&sweep->starts, cell + 1)) {
        status = compare_line(sweep, sweep->pieces[cell].writer, access, line, err);
    }
    return status;
}

static enum pto_status visit_access(struct sweep *sweep, uint32_t access, struct pto_error *err)
{
    uint32_t first_cell = sweep->cells.ends[2 * (size_t)access];
    uint32_t end_cell = sweep->cells.ends[2 * (size_t)access + 1];
    split(sweep, first_cell);
    split(sweep, end_cell);
    enum pto_status status = PTO_OK;
    for (uint32_t cell = first_cell; cell < end_cell && status == PTO_OK;) {
        uint32_t next = pto__bits_next(&sweep->starts, cell + 1);
        status = visit_piece(sweep, access, cell, next, err);
        if (sweep->accesses[access].writes && cell != first_cell) {
            pto__bits_clear(&sweep->starts, cell);
        }
        cell = next;
    }
    if (status == PTO_OK && sweep->accesses[access].writes) {
        sweep->pieces[first_cell] = (struct piece){.writer = access, .readers = NONE};
        status = visit_lines(sweep, access, first_cell, end_cell, err);
    }
    return status;
}

static enum pto_status init_sweep(struct sweep *sweep, uint32_t count, struct pto_error *err)
{
    enum pto_status status =
        pto__cells_init(&sweep->cells, sweep->accesses, count, sweep->poll, err);
    if (status != PTO_OK) {
        return status;
    }
    uint32_t border_count = sweep->cells.border_count;
    status = pto__bits_init(&sweep->starts, border_count, err);
    if (status != PTO_OK) {
        return status;
    }
    sweep->pieces = malloc(border_count * sizeof(*sweep->pieces));
    sweep->found_at = calloc(count, sizeof(*sweep->found_at));
    pto__prefer_large_pages(sweep->pieces, border_count * sizeof(*sweep->pieces));
    pto__prefer_large_pages(sweep->found_at, count * sizeof(*sweep->found_at));
    if (sweep->pieces == NULL || sweep->found_at == NULL) {
        return pto_fail_no_host_memory(err, "what bytes remember",
                                       border_count * (uint64_t)sizeof(*sweep->pieces) +
                                           count * (uint64_t)sizeof(*sweep->found_at));
    }
    sweep->pieces[0] = (struct piece){.writer = NONE, .readers = NONE};
    sweep->pieces[border_count - 1] = (struct piece){.writer = NONE, .readers = NONE};
    pto__bits_set(&sweep->starts, 0);
    pto__bits_set(&sweep->starts, border_count - 1);
    return PTO_OK;
}

static void fini_sweep(struct sweep *sweep)
{
    pto__cells_fini(&sweep->cells);
    pto__bits_fini(&sweep->starts);
    free(sweep->pieces);
    free(sweep->nodes);
    free(sweep->found);
    free(sweep->found_at);
}

// Visits the accesses of one task, [first, end), what it reads before what it writes: a piece would
// forget the write of another task in favour of its own.
static enum pto_status visit_task(struct sweep *sweep, uint32_t first, uint32_t end,
                                  pto_conflict_function *report, void *context,
                                  struct pto_error *err)
{
    for (uint32_t writes = 0; writes < 2; writes++) {
        for (uint32_t i = first; i < end; i++) {
            if (sweep->accesses[i].writes != writes) {
                continue;
            }
            enum pto_status status = visit_access(sweep, i, err);
            if (status != PTO_OK) {
                return status;
            }
            for (size_t k = 0; k < sweep->found_count; k++) {
                report(context, &sweep->found[k]);
            }
            sweep->found_count = 0;
        }
    }
    return PTO_OK;
}

// begin[task] is the first access of a task, begin[task + 1] the end.
static uint32_t *find_tasks(uint32_t task_count, const struct pto_access *accesses, uint32_t count,
                            struct pto_error *err)
{
    size_t size_bytes = ((size_t)task_count + 1) * sizeof(uint32_t);
    uint32_t *begin = malloc(size_bytes);
    if (begin == NULL) {
        (void)pto_fail_no_host_memory(err, "the first argument of each task", size_bytes);
        return NULL;
    }
    uint32_t next = 0;
    for (uint32_t task = 0; task <= task_count; task++) {
        while (next < count && accesses[next].task < task) {
            next++;
        }
        begin[task] = next;
    }
    return begin;
}

enum pto_status pto__find_conflicts(struct pto_order *order, const struct pto_access *accesses,
                                    uint32_t count, pto_conflict_function *report, void *context,
                                    struct pto_work_poll *poll, struct pto_error *err)
{
    assert(count <= PTO_ACCESS_COUNT_MAX);
    if (count == 0) {
        return PTO_OK;
    }
    uint32_t *begin = find_tasks(order->task_count, accesses, count, err);
    if (begin == NULL) {
        return PTO_E_NO_MEMORY;
    }
    struct sweep sweep = {.order = order, .accesses = accesses, .poll = poll};
    enum pto_status status = init_sweep(&sweep, count, err);
    for (uint32_t rank = 0; rank < order->task_count && status == PTO_OK; rank++) {
        uint32_t task = order->tasks[rank];
        status = visit_task(&sweep, begin[task], begin[task + 1], report, context, err);
    }
    fini_sweep(&sweep);
    free(begin);
    return status;
}
