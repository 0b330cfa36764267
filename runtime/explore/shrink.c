// SPDX-License-Identifier: Apache-2.0
#include "explore/shrink.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

// Seeds that a smaller case is tried with when the decisions of the larger one do not carry over.
#define SEEDS_EACH 24u

struct shrink {
    struct pto_stage *stage;
    const struct pto_explore_finding *wanted;
    struct pto_poll *poll;
    struct pto_small_case *best;
    struct pto_script attempt; // decisions being tried
    uint64_t runs;
    uint64_t run_limit; // of the part that is under way
    uint64_t steps;
    enum pto_status status;
    struct pto_error *err;
};

void pto__small_case_free(struct pto_small_case *small)
{
    free(small->tasks);
    free(small->script.decisions);
    *small = (struct pto_small_case){0};
}

static bool is_spent(struct shrink *it)
{
    return it->status != PTO_OK || it->runs >= it->run_limit || it->steps >= PTO_SHRINK_STEPS ||
           pto__poll_stops(it->poll);
}

static bool is_pair(const void *a, const void *b, const void *c, const void *d)
{
    return (a == c && b == d) || (a == d && b == c);
}

static bool is_kernel(const struct pto_explore_site *site)
{
    return site != NULL && site->operation >= PTO_EXPLORE_KERNEL_READ;
}

// Which of the two agents comes second may differ. Between kernels it is the tasks that count: all
// share the places at which they read and write.
static bool is_same(const struct pto_explore_finding *a, const struct pto_explore_finding *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case PTO_FINDING_DEADLOCK:
    case PTO_FINDING_ENDLESS:
    case PTO_FINDING_REPORT: return true;
    case PTO_FINDING_CRASH:
    case PTO_FINDING_TASK_TWICE:
    case PTO_FINDING_TASK_NEVER:
    case PTO_FINDING_TASK_EARLY: return a->task == b->task;
    default: break;
    }
    if (is_kernel(a->site) || is_kernel(a->other_site)) {
        return (a->task == b->task && a->other_task == b->other_task) ||
               (a->task == b->other_task && a->other_task == b->task);
    }
    return is_pair(a->site, a->other_site, b->site, b->other_site);
}

static bool copy_script(struct shrink *it, struct pto_script *to, const struct pto_script *from)
{
    if (from->count > to->capacity) {
        struct pto_decision *decisions =
            realloc(to->decisions, from->count * sizeof(*from->decisions));
        if (decisions == NULL) {
            it->status = pto_fail_no_host_memory(it->err, "decisions of the explorer",
                                                 from->count * sizeof(*from->decisions));
            return false;
        }
        to->decisions = decisions;
        to->capacity = from->count;
    }
    if (from->count != 0) {
        memcpy(to->decisions, from->decisions, from->count * sizeof(*from->decisions));
    }
    to->count = from->count;
    to->replays = from->replays;
    return true;
}

// Runs what the stage has, by it->attempt or into it. true: what was looked for is there.
static bool try_once(struct shrink *it, uint32_t core_count, uint32_t scheduler_count,
                     uint64_t seed, struct pto_explore_result *result)
{
    it->status = pto__stage_run(it->stage, core_count, scheduler_count, seed, &it->attempt, NULL,
                                result, it->err);
    it->runs++;
    it->steps += it->status == PTO_OK ? result->steps : 0;
    return it->status == PTO_OK && is_same(&result->finding, it->wanted);
}

// Decisions that a replay never came to are none.
static void drop_unused(struct pto_script *script)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < script->count; i++) {
        if (script->decisions[i].used) {
            script->decisions[count++] = script->decisions[i];
        }
    }
    script->count = count;
}

// Takes the attempt over as the best.
static void keep(struct shrink *it)
{
    if (it->attempt.replays) {
        drop_unused(&it->attempt);
    }
    copy_script(it, &it->best->script, &it->attempt);
    it->best->script.replays = true;
}

// The decisions of the best case, for one with fewer scheduler threads: those of cores move up.
static void carry_over(struct shrink *it, uint32_t core_count, uint32_t scheduler_count)
{
    uint32_t before = it->best->scheduler_count;
    uint32_t count = 0;
    if (!copy_script(it, &it->attempt, &it->best->script)) {
        return;
    }
    for (uint32_t i = 0; i < it->attempt.count; i++) {
        struct pto_decision decision = it->attempt.decisions[i];
        if (decision.agent >= scheduler_count && decision.agent < before) {
            continue;
        }
        decision.agent -= decision.agent < before ? 0 : before - scheduler_count;
        if (decision.kind <= PTO_DECIDE_EVICT && decision.value > before) {
            decision.value -= before - scheduler_count;
        }
        if (decision.agent < scheduler_count + core_count) {
            it->attempt.decisions[count++] = decision;
        }
    }
    it->attempt.count = count;
    it->attempt.replays = true;
}

// Whether what the stage has shows the finding on so many cores and threads.
static bool try_case(struct shrink *it, uint32_t core_count, uint32_t scheduler_count)
{
    struct pto_explore_result result;
    carry_over(it, core_count, scheduler_count);
    if (is_spent(it)) {
        return false;
    }
    bool found = try_once(it, core_count, scheduler_count, 0, &result);
    for (uint32_t i = 0; !found && i < SEEDS_EACH && !is_spent(it); i++) {
        it->attempt.replays = false;
        found = try_once(it, core_count, scheduler_count, it->stage->whole.seed + i, &result);
    }
    if (found) {
        keep(it);
        it->best->core_count = core_count;
        it->best->scheduler_count = scheduler_count;
    }
    return found && it->status == PTO_OK;
}

static bool try_tasks(struct shrink *it, const uint32_t *tasks, uint32_t task_count)
{
    struct pto_small_case *best = it->best;
    if (task_count == 0 || !pto__stage_choose(it->stage, tasks, task_count) ||
        !try_case(it, best->core_count, best->scheduler_count)) {
        return false;
    }
    memmove(best->tasks, tasks, task_count * sizeof(*tasks));
    best->task_count = task_count;
    return true;
}

// First those that the finding names and no others; then it leaves out ever smaller pieces.
static void shrink_tasks(struct shrink *it, uint32_t *tasks)
{
    struct pto_small_case *best = it->best;
    uint32_t a = it->wanted->task;
    uint32_t b = it->wanted->other_task;
    uint32_t count = 0;
    for (uint32_t i = 0; i < best->task_count; i++) {
        if (best->tasks[i] == a || best->tasks[i] == b) {
            tasks[count++] = best->tasks[i];
        }
    }
    if (count < best->task_count && try_tasks(it, tasks, count)) {
        return;
    }
    for (uint32_t piece = (best->task_count + 1) / 2; piece != 0; piece /= 2) {
        for (uint32_t begin = 0; begin < best->task_count && !is_spent(it);) {
            count = 0;
            for (uint32_t i = 0; i < best->task_count; i++) {
                uint32_t task = best->tasks[i];
                if (i < begin || i - begin >= piece || task == a || task == b) {
                    tasks[count++] = task;
                }
            }
            if (count == best->task_count || !try_tasks(it, tasks, count)) {
                begin += piece;
            }
        }
    }
}

static void shrink_agents(struct shrink *it)
{
    struct pto_small_case *best = it->best;
    for (uint32_t i = 1; i < best->core_count && !is_spent(it); i++) {
        uint32_t threads = best->scheduler_count < i ? best->scheduler_count : i;
        if (try_case(it, i, threads)) {
            break;
        }
    }
    for (uint32_t i = 1; i < best->scheduler_count && !is_spent(it); i++) {
        if (try_case(it, best->core_count, i)) {
            break;
        }
    }
}

static void shrink_decisions(struct shrink *it)
{
    struct pto_small_case *best = it->best;
    struct pto_explore_result result;
    for (uint32_t piece = (best->script.count + 1) / 2; piece != 0; piece /= 2) {
        for (uint32_t begin = 0; begin < best->script.count && !is_spent(it);) {
            if (!copy_script(it, &it->attempt, &best->script)) {
                return;
            }
            uint32_t end = begin + piece < it->attempt.count ? begin + piece : it->attempt.count;
            memmove(&it->attempt.decisions[begin], &it->attempt.decisions[end],
                    (it->attempt.count - end) * sizeof(it->attempt.decisions[0]));
            it->attempt.count -= end - begin;
            if (try_once(it, best->core_count, best->scheduler_count, 0, &result)) {
                keep(it);
            } else {
                begin += piece;
            }
        }
    }
}

static bool begin(struct shrink *it)
{
    const struct pto_explore_run *whole = &it->stage->whole;
    struct pto_small_case *best = it->best;
    struct pto_explore_result result;
    best->tasks = malloc(whole->task_count * sizeof(*best->tasks));
    if (best->tasks == NULL) {
        it->status = pto_fail_no_host_memory(it->err, "the tasks of a case",
                                             whole->task_count * sizeof(*best->tasks));
        return false;
    }
    for (uint32_t i = 0; i < whole->task_count; i++) {
        best->tasks[i] = i;
    }
    best->core_count = whole->core_count;
    best->scheduler_count = whole->scheduler_count;
    if (!pto__stage_choose(it->stage, best->tasks, whole->task_count) ||
        !try_once(it, best->core_count, best->scheduler_count, whole->seed, &result)) {
        return false;
    }
    best->task_count = whole->task_count;
    keep(it);
    return it->status == PTO_OK;
}

enum pto_status pto__shrink(struct pto_stage *stage, const struct pto_explore_finding *wanted,
                            uint64_t run_max, struct pto_poll *poll, struct pto_small_case *out,
                            struct pto_explore_result *out_result, uint64_t *out_runs,
                            struct pto_error *err)
{
    *out = (struct pto_small_case){0};
    struct shrink it = {.stage = stage, .wanted = wanted, .poll = poll, .best = out, .err = err};
    uint32_t *tasks = malloc(stage->whole.task_count * sizeof(*tasks));
    if (tasks == NULL) {
        return pto_fail_no_host_memory(err, "the tasks of a case",
                                       stage->whole.task_count * sizeof(*tasks));
    }
    it.run_limit = run_max;
    if (begin(&it)) {
        it.run_limit = run_max / 2;
        shrink_tasks(&it, tasks);
        pto__stage_choose(stage, out->tasks, out->task_count);
        it.run_limit = run_max / 4 * 3;
        shrink_agents(&it);
        it.run_limit = run_max;
        shrink_decisions(&it);
    }
    // What the case gives, once more: the last attempt may have failed.
    if (it.status == PTO_OK && out->task_count != 0) {
        it.status = pto__stage_run(stage, out->core_count, out->scheduler_count, 0, &out->script,
                                   NULL, out_result, err);
        out->task_count = is_same(&out_result->finding, wanted) ? out->task_count : 0;
    }
    *out_runs = it.runs;
    free(it.attempt.decisions);
    free(tasks);
    if (it.status != PTO_OK || out->task_count == 0) {
        pto__small_case_free(out);
    }
    return it.status;
}
