// SPDX-License-Identifier: Apache-2.0
// What was found: each pair of tasks once for each tensor, with all the bytes they meet in.
#include "check/shadow.h"

#include <string.h>

#include "host/finding.h"

// What a place says of a finding that was only counted.
#define COUNTED UINT16_MAX

static uint64_t mix(uint64_t key, uint64_t value)
{
    key = (key ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return key ^ (key >> 29);
}

// The finding's place among those kept; COUNTED when it is not. A new one is entered.
static uint32_t enter(struct pto_checker *checker, const struct pto_check_finding *finding)
{
    uint64_t key = mix(finding->kind + 16u * finding->shares_line, finding->tensor);
    key = mix(key, (uint64_t)finding->access.task << 32 | finding->other.task) | 1;
    if (key == checker->last_key) {
        return checker->last_place;
    }
    uint32_t at = (uint32_t)(key >> 32) % PTO_CHECK_KEY_COUNT;
    while (checker->keys[at] != 0 && checker->keys[at] != key) {
        at = (at + 1) % PTO_CHECK_KEY_COUNT;
    }
    if (checker->keys[at] == 0) {
        uint32_t place = COUNTED;
        if (checker->finding_count < PTO_CHECK_FINDING_MAX) {
            place = checker->finding_count++;
            checker->findings[place] = *finding;
        } else {
            checker->more_findings++;
        }
        if (checker->key_count == PTO_CHECK_KEY_COUNT / 2) {
            // From here on a finding counts anew when another one has come between.
            checker->last_key = key;
            checker->last_place = place;
            return place;
        }
        checker->keys[at] = key;
        checker->places[at] = (uint16_t)place;
        checker->key_count++;
    }
    checker->last_key = key;
    checker->last_place = checker->places[at];
    return checker->last_place;
}

static void widen(struct pto_check_access *access, const struct pto_check_access *by)
{
    access->begin = by->begin < access->begin ? by->begin : access->begin;
    access->end = by->end > access->end ? by->end : access->end;
}

static void record(struct pto_checker *checker, const struct pto_check_finding *finding)
{
    uint32_t place = enter(checker, finding);
    if (place != COUNTED) {
        widen(&checker->findings[place].access, &finding->access);
        widen(&checker->findings[place].other, &finding->other);
    }
}

static struct pto_check_access access_of(uint32_t task, bool writes, int64_t begin, int64_t end)
{
    return (struct pto_check_access){
        .task = task, .is_write = writes, .begin = begin, .end = end, .arg = PTO_ERROR_NONE};
}

static struct pto_check_finding finding_of(enum pto_check kind, const struct pto_check_block *block)
{
    return (struct pto_check_finding){
        .kind = kind,
        .tensor = block != NULL ? block->address : 0,
        .tensor_bytes = block != NULL ? block->size_bytes : 0,
        .other = access_of(PTO_ERROR_NONE, false, 0, 0),
    };
}

// The names of a finding's parts, and its words.
static void finish(struct pto_checker *checker, struct pto_check_finding *finding,
                   const char *reason)
{
    struct pto_check_access *sides[2] = {&finding->access, &finding->other};
    for (uint32_t i = 0; i < 2; i++) {
        if (sides[i]->task != PTO_ERROR_NONE) {
            pto__finding_name(sides[i], sides[i]->task, checker->image, checker->kernels,
                              finding->tensor, finding->tensor_bytes,
                              finding->tensor + (uint64_t)sides[i]->begin);
        }
    }
    pto__finding_describe(finding, reason);
}

void pto__checker_report_memory(struct pto_checker *checker, const struct pto_check_block *block,
                                int64_t begin, int64_t end, bool writes, const char *reason)
{
    struct pto_check_finding finding = finding_of(PTO_CHECK_MEMORY, block);
    finding.access = access_of(checker->task, writes, begin, end);
    finish(checker, &finding, reason); // here, because the reason is not kept
    record(checker, &finding);
}

void pto__checker_report_init(struct pto_checker *checker, const struct pto_check_block *block,
                              int64_t begin, int64_t end)
{
    struct pto_check_finding finding = finding_of(PTO_CHECK_INIT, block);
    finding.access = access_of(checker->task, false, begin, end);
    record(checker, &finding);
}

void pto__checker_report_race(struct pto_checker *checker, const struct pto_check_block *block,
                              uint32_t other, bool other_writes, int64_t other_byte, bool writes,
                              int64_t byte)
{
    struct pto_check_finding finding = finding_of(PTO_CHECK_RACE, block);
    finding.shares_line = other_byte != byte;
    finding.access = access_of(checker->task, writes, byte, byte + 1);
    finding.other = access_of(other, other_writes, other_byte, other_byte + 1);
    record(checker, &finding);
}

// Two tasks that race for some bytes of a tensor meet in lines as well, which says nothing more.
static bool is_implied(const struct pto_checker *checker, const struct pto_check_finding *finding)
{
    for (uint32_t i = 0; finding->shares_line != 0 && i < checker->finding_count; i++) {
        const struct pto_check_finding *other = &checker->findings[i];
        if (other->kind == PTO_CHECK_RACE && other->shares_line == 0 &&
            other->tensor == finding->tensor && other->access.task == finding->access.task &&
            other->other.task == finding->other.task) {
            return true;
        }
    }
    return false;
}

void pto__checker_end(struct pto_checker *checker, struct pto_launch_outcome *out)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < checker->finding_count; i++) {
        if (!is_implied(checker, &checker->findings[i])) {
            checker->findings[kept++] = checker->findings[i];
        }
    }
    checker->finding_count = kept;
    for (uint32_t i = 0; i < kept; i++) {
        if (checker->findings[i].message[0] == '\0') {
            finish(checker, &checker->findings[i], NULL);
        }
    }
    checker->task = PTO_NO_TASK;
    out->findings = checker->findings;
    out->finding_count = kept;
    out->more_findings = checker->more_findings;
    out->stopped_by_check = checker->stopped;
    out->checks_out_of_memory = checker->out_of_memory;
}
