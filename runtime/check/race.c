// SPDX-License-Identifier: Apache-2.0
// racecheck: two tasks touch a byte, one of them writing, and the graph does not order them.
//
// Tasks run one after the other here, in some order that the graph allows. So a task need be
// compared only with the last writer of a byte and those who have read it since: whoever touched it
// before is before one of them, or was found unordered with one already.
#include "check/shadow.h"

#include <stdlib.h>

#define LINE PTO_CACHE_LINE_SIZE
// Readers that a new one is compared with, so as to leave out those before it. The rest stay, which
// costs memory and no correctness.
#define PRUNE_MAX 16u

static struct pto_check_memo *memo_at(struct pto_check_memo *memos, uint32_t key)
{
    return &memos[key % PTO_CHECK_MEMO_COUNT];
}

static bool remembers(const struct pto_checker *checker, const struct pto_check_memo *memo,
                      uint32_t key)
{
    return memo->serial == checker->serial && memo->key == key;
}

static uint32_t remember(const struct pto_checker *checker, struct pto_check_memo *memo,
                         uint32_t key, uint32_t answer)
{
    *memo = (struct pto_check_memo){.serial = checker->serial, .key = key, .answer = answer};
    return answer;
}

// Whether `other`, counted from 1, is this task or before it.
static bool is_before(struct pto_checker *checker, uint32_t other)
{
    struct pto_check_memo *memo = memo_at(checker->before, other);
    if (remembers(checker, memo, other)) {
        return memo->answer != 0;
    }
    bool before = other == checker->task + 1 ||
                  pto__order_before(checker->order, other - 1, checker->task) != 0;
    return remember(checker, memo, other, before) != 0;
}

static uint32_t push(struct pto_checker *checker, uint32_t task, uint32_t rest)
{
    if (checker->readers_count >= checker->readers_capacity) {
        uint32_t capacity = checker->readers_capacity == 0 ? 1024 : checker->readers_capacity * 2;
        struct pto_check_readers *readers =
            capacity > checker->readers_capacity
                ? realloc(checker->readers, (uint64_t)capacity * sizeof(*readers))
                : NULL;
        if (readers == NULL) {
            checker->out_of_memory = true;
            return rest;
        }
        checker->readers = readers;
        checker->readers_capacity = capacity;
    }
    checker->readers[checker->readers_count] =
        (struct pto_check_readers){.task = task, .rest = rest};
    return checker->readers_count++;
}

// The set of readers that `set` becomes with this task.
static uint32_t add_reader(struct pto_checker *checker, uint32_t set)
{
    struct pto_check_memo *memo = memo_at(checker->added, set);
    if (remembers(checker, memo, set)) {
        return memo->answer;
    }
    uint32_t kept[PRUNE_MAX];
    uint32_t kept_count = 0;
    uint32_t rest = set;
    uint32_t looked_at = 0;
    for (; rest != 0 && looked_at < PRUNE_MAX; looked_at++) {
        uint32_t reader = checker->readers[rest].task;
        if (!is_before(checker, reader)) {
            kept[kept_count++] = reader;
        }
        rest = checker->readers[rest].rest;
    }
    if (kept_count == looked_at) {
        rest = set;
    } else {
        while (kept_count > 0) {
            rest = push(checker, kept[--kept_count], rest);
        }
    }
    return remember(checker, memo, set, push(checker, checker->task + 1, rest));
}

// A reader of the set that is not before this task, 0 for none.
static uint32_t find_unordered(struct pto_checker *checker, uint32_t set)
{
    struct pto_check_memo *memo = memo_at(checker->passed, set);
    if (remembers(checker, memo, set)) {
        return memo->answer;
    }
    uint32_t found = 0;
    for (uint32_t at = set; at != 0 && found == 0; at = checker->readers[at].rest) {
        found = is_before(checker, checker->readers[at].task) ? 0 : checker->readers[at].task;
    }
    return remember(checker, memo, set, found);
}

static void touch_byte(struct pto_checker *checker, const struct pto_check_block *block,
                       uint64_t byte, bool writes)
{
    struct pto_check_cell *cell = &block->cells[byte];
    uint32_t me = checker->task + 1;
    if (cell->writer == me) {
        return; // nobody has run since
    }
    if (cell->writer != 0 && !is_before(checker, cell->writer)) {
        pto__checker_report_race(checker, block, cell->writer - 1, true, (int64_t)byte, writes,
                                 (int64_t)byte);
    }
    if (!writes) {
        if (cell->readers == 0 || checker->readers[cell->readers].task != me) {
            cell->readers = add_reader(checker, cell->readers);
        }
        return;
    }
    uint32_t reader = cell->readers != 0 ? find_unordered(checker, cell->readers) : 0;
    if (reader != 0) {
        pto__checker_report_race(checker, block, reader - 1, false, (int64_t)byte, true,
                                 (int64_t)byte);
    }
    *cell = (struct pto_check_cell){.writer = me};
}

void pto__checker_race(struct pto_checker *checker, struct pto_check_block *block, uint64_t offset,
                       uint64_t mask, bool writes, bool new_line)
{
    for (uint64_t rest = mask; rest != 0; rest &= rest - 1) {
        touch_byte(checker, block, offset + (uint64_t)__builtin_ctzll(rest), writes);
    }
    if (!writes || !new_line) {
        return;
    }
    uint64_t byte = offset + (uint64_t)__builtin_ctzll(mask);
    uint32_t ordered = checker->task + 1; // the last writer known to be
    for (uint32_t i = 0; i < LINE; i++) {
        uint32_t writer = block->cells[offset + i].writer;
        if (writer == 0 || writer == ordered || is_before(checker, writer)) {
            ordered = writer != 0 ? writer : ordered;
            continue;
        }
        pto__checker_report_race(checker, block, writer - 1, true, (int64_t)(offset + i), true,
                                 (int64_t)byte);
    }
}
