// SPDX-License-Identifier: Apache-2.0
// The checker's insides.
#ifndef PTO_CHECK_SHADOW_H
#define PTO_CHECK_SHADOW_H

#include "check/checker.h"
#include "graph/order.h"

// A byte in this run. Tasks are counted from 1 here, 0 is none; readers is a set's place in the
// pool, 0 the empty one.
struct pto_check_cell {
    uint32_t writer;
    uint32_t readers;
};

// A block of device memory and its shadow, which is made when a task may touch it.
struct pto_check_block {
    uint64_t address;
    uint64_t size_bytes;
    uint64_t serial;
    uint64_t changes;  // of the host's ranges, as they were taken in; UINT64_MAX: never
    bool all_written;  // every byte counts as written; there is no map
    uint32_t run;      // of the checker, that `cells` are of; 0: there are none
    uint64_t *written; // a word for each line, a bit for each byte; NULL: see all_written
    struct pto_check_cell *cells;
};

// The readers of a byte since it was written: a list that shares its tail with others. Not the ones
// that the graph puts before another reader in it, as far as that was looked for.
struct pto_check_readers {
    uint32_t task; // counted from 1
    uint32_t rest;
};

// A question about two things within one task, remembered.
struct pto_check_memo {
    uint32_t serial; // of the task; another one's answer is worth nothing
    uint32_t key;
    uint32_t answer;
};

// What the task has done to a line, so that doing it again costs little.
struct pto_check_seen {
    uint64_t line;
    uint64_t read;    // bits of bytes that need no further look when read
    uint64_t written; // and when written
    uint64_t serial;
};

#define PTO_CHECK_SEEN_COUNT 2048u
#define PTO_CHECK_MEMO_COUNT 1024u
#define PTO_CHECK_FINDING_MAX 64u
#define PTO_CHECK_KEY_COUNT 16384u // a power of two; findings that are told apart

// A block that an argument of the task points into.
struct pto_check_view {
    uint64_t begin;
    uint64_t end;
    struct pto_check_block *block;
};

struct pto_checker {
    struct pto_check_hooks hooks; // first: the hooks get its address
    uint32_t kinds;
    struct pto_order *order;
    const struct pto_kernel_table *kernels;
    struct pto_check_block *blocks; // ascending
    uint64_t block_count;
    struct pto_ledger_block freed[PTO_CHECK_FREED_MAX];
    uint32_t freed_count;

    // The launch.
    uint32_t run;
    const struct pto_image_header *image;
    pto_check_stop *stop;
    void *stop_context;
    bool stopped;
    bool out_of_memory;

    // The task that runs, else PTO_NO_TASK.
    uint32_t task;
    uint32_t serial; // of tasks, over all launches; ends at 2^32
    uint64_t args_begin;
    uint64_t args_end;
    struct pto_check_view views[PTO_ARG_COUNT_MAX];
    uint32_t view_count;
    struct pto_check_seen seen[PTO_CHECK_SEEN_COUNT];

    // race.c
    struct pto_check_memo before[PTO_CHECK_MEMO_COUNT]; // is that task before this one?
    struct pto_check_memo added[PTO_CHECK_MEMO_COUNT];  // that set, with this task
    struct pto_check_memo passed[PTO_CHECK_MEMO_COUNT]; // who in that set is not before this one?
    struct pto_check_readers *readers;
    uint32_t readers_count;
    uint32_t readers_capacity;

    // findings.c
    struct pto_check_finding findings[PTO_CHECK_FINDING_MAX];
    uint32_t finding_count;
    uint64_t more_findings;
    uint64_t *keys; // PTO_CHECK_KEY_COUNT; 0: free
    uint16_t *places;
    uint32_t key_count;
    uint64_t last_key; // and its place
    uint32_t last_place;
};

// access.c
void pto__checker_task(struct pto_check_hooks *hooks, uint32_t task);
void pto__checker_access(struct pto_check_hooks *hooks, const void *address, uint64_t size_bytes,
                         uint32_t access);

// shadow.c: the block at or below an address, NULL if none; its shadow, made when it is not there.
struct pto_check_block *pto__checker_find_block(struct pto_checker *checker, uint64_t address);
void pto__checker_open_block(struct pto_checker *checker, struct pto_check_block *block);

// race.c: the task touches the bytes `mask` of a line of a block, which begins at `offset`.
// `new_line`: it has not written into the line before.
void pto__checker_race(struct pto_checker *checker, struct pto_check_block *block, uint64_t offset,
                       uint64_t mask, bool writes, bool new_line);

// findings.c. `block` may be NULL where no tensor is near; begin and end count from its start, or
// are addresses.
void pto__checker_report_memory(struct pto_checker *checker, const struct pto_check_block *block,
                                int64_t begin, int64_t end, bool writes, const char *reason);
void pto__checker_report_init(struct pto_checker *checker, const struct pto_check_block *block,
                              int64_t begin, int64_t end);
// One byte of each of the two tasks; the same one unless they share a line.
void pto__checker_report_race(struct pto_checker *checker, const struct pto_check_block *block,
                              uint32_t other, bool other_writes, int64_t other_byte, bool writes,
                              int64_t byte);

#endif // PTO_CHECK_SHADOW_H
