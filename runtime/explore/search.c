// SPDX-License-Identifier: Apache-2.0
#include "explore/search.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "explore/shrink.h"
#include "host/finding.h"

#define SCHEDULES_PER_LOOK 16u // at what the other parts have found

// A launch while it goes on.
struct hunt {
    const struct pto_search *search;
    struct pto_explore_run run;
    struct pto_snapshot start;
    struct pto_poll poll;
    struct pto_explore_result result; // of the last schedule
    uint64_t done;
};

__attribute__((format(printf, 3, 4))) static void
say(const struct pto_search *search, enum pto_log_level level, const char *format, ...)
{
    if (search->log != NULL) {
        char text[PTO_FINDING_TEXT_SIZE + 160];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        search->log(search->log_context, level, text);
    }
}

static const char *profile_of(const struct hunt *hunt)
{
    return pto__profile_name(hunt->run.profile);
}

// The finding is the answer to the caller; that its timeline could not be written goes to the log.
static void write_timeline(const struct hunt *hunt, struct pto_stage *stage,
                           struct pto_small_case *small)
{
    const char *path = hunt->search->options->timeline_path;
    struct pto_explore_trace trace = {.timeline = true};
    struct pto_explore_result result;
    struct pto_script *script = small->task_count != 0 ? &small->script : NULL;
    uint32_t core_count = script != NULL ? small->core_count : hunt->run.core_count;
    uint32_t threads = script != NULL ? small->scheduler_count : hunt->run.scheduler_count;
    bool written = false;
    if (pto__stage_run(stage, core_count, threads, hunt->run.seed, script, &trace, &result, NULL) ==
            PTO_OK &&
        !trace.failed) {
        FILE *file = fopen(path, "w");
        if (file != NULL) {
            written = fwrite(trace.text, 1, trace.length, file) == trace.length;
            written = fclose(file) == 0 && written;
        }
    }
    say(hunt->search, written ? PTO_LOG_INFO : PTO_LOG_WARNING,
        "%s the timeline of seed %" PRIu64 " to %.300s", written ? "wrote" : "could not write",
        hunt->run.seed, path);
    pto__explore_trace_free(&trace);
}

static void write_replay(const struct hunt *hunt, struct pto_small_case *small,
                         const struct pto_explore_result *result)
{
    const char *path = hunt->search->options->save_path;
    struct pto_error why;
    struct pto_replay replay = {
        .launch = hunt->search->launch,
        .seed = hunt->run.seed,
        .profile = (uint32_t)hunt->run.profile,
        .graph_tasks = hunt->run.task_count,
        .small = *small,
    };
    if (pto__replay_write(&replay, result->finding.text, path, &why) != PTO_OK) {
        say(hunt->search, PTO_LOG_WARNING, "%s", why.message);
    }
}

// Makes the finding of hunt->result small and puts that into words, into `text`. A finding whose
// case cannot be made small stays as it is: it is the answer to the caller in any case.
static void make_small(struct hunt *hunt, char *text, size_t size)
{
    const struct pto_explore_options *options = hunt->search->options;
    const struct pto_explore_finding *finding = &hunt->result.finding;
    struct pto_small_case small = {0};
    struct pto_explore_result result;
    struct pto_stage stage;
    uint64_t runs = 0;
    text[0] = '\0';
    // Each launch in which a kernel hangs takes the time-out.
    uint64_t run_max = finding->kind == PTO_FINDING_HANG ? 0 : options->shrink_runs;
    if ((run_max == 0 && options->timeline_path == NULL) ||
        pto__stage_open(&stage, hunt->search->explorer, &hunt->run, &hunt->start, NULL) != PTO_OK) {
        return;
    }
    if (run_max != 0 &&
        pto__shrink(&stage, finding, run_max, &hunt->poll, &small, &result, &runs, NULL) ==
            PTO_OK &&
        small.task_count != 0) {
        snprintf(text, size,
                 " Made small in %" PRIu64 " runs: %u of %u tasks, %u of %u cores, %u decisions.",
                 runs, (unsigned)small.task_count, (unsigned)hunt->run.task_count,
                 (unsigned)small.core_count, (unsigned)hunt->run.core_count,
                 (unsigned)small.script.count);
        say(hunt->search, PTO_LOG_INFO, "made small: %s", result.finding.text);
        if (options->save_path != NULL) {
            write_replay(hunt, &small, &result);
        }
    }
    if (options->timeline_path != NULL) {
        if (small.task_count == 0) {
            stage.task_count = hunt->run.task_count; // the whole graph, where it is
        }
        write_timeline(hunt, &stage, &small);
    }
    pto__small_case_free(&small);
    pto__stage_close(&stage);
}

static uint32_t func_id_of(const struct hunt *hunt, uint32_t task)
{
    const struct pto_image_header *image =
        (const struct pto_image_header *)(uintptr_t)hunt->run.image;
    return task < hunt->run.task_count ? pto__image_record(image, task)->func_id : 0;
}

// A kernel that crashed or did not return, as the simulator reports it.
static void report_kernel(const struct hunt *hunt, const char *small,
                          struct pto_launch_outcome *out)
{
    const struct pto_explore_result *result = &hunt->result;
    bool hangs = result->finding.kind == PTO_FINDING_HANG;
    out->report = (struct pto_report){
        .status = PTO_REPORT_TASK,
        .core = result->core,
        .task = result->finding.task,
        .func_id = func_id_of(hunt, result->finding.task),
        .fail_kind = hangs ? PTO_FAIL_HANG : PTO_FAIL_FAULT,
        .fail_code = result->signal_number,
        .expected = result->core_tasks,
        .seen = result->core_tasks - 1,
        .core_state = PTO_CORE_RUNNING,
        .completed = result->tasks_ended,
    };
    out->fault_address = result->fault_address;
    snprintf(out->detail, sizeof(out->detail), "%sThat was seed %" PRIu64 ", profile %s.%s",
             result->stack_overflow ? "It ran over the end of its stack, which has 256 KiB in the "
                                      "explorer. "
                                    : "",
             hunt->run.seed, profile_of(hunt), small);
}

// The schedule that went wrong is the last one.
static enum pto_status fail_finding(struct hunt *hunt, struct pto_launch_outcome *out,
                                    struct pto_error *err)
{
    const struct pto_explore_finding *finding = &hunt->result.finding;
    char small[160];
    make_small(hunt, small, sizeof(small));
    if (finding->kind == PTO_FINDING_CRASH || finding->kind == PTO_FINDING_HANG) {
        report_kernel(hunt, small, out);
        return PTO_OK;
    }
    enum pto_status status =
        pto_fail(err, PTO_E_ORDER,
                 "run: the explorer found a fault with seed %" PRIu64 ", profile %s: %s.%s",
                 hunt->run.seed, profile_of(hunt), finding->text, small);
    if (err != NULL && finding->kind >= PTO_FINDING_TASK_TWICE &&
        finding->kind <= PTO_FINDING_TASK_EARLY) {
        err->task = finding->task;
    }
    return status;
}

// Shows a small case again. true: it went wrong, and *status says how.
static bool replay(struct hunt *hunt, enum pto_status *status, struct pto_error *err)
{
    const struct pto_search *search = hunt->search;
    const struct pto_replay *it = &search->options->replay;
    struct pto_small_case small = it->small;
    struct pto_stage stage;
    hunt->run.profile = (enum pto_explore_profile)it->profile;
    hunt->run.seed = it->seed;
    if (it->graph_tasks != hunt->run.task_count || small.core_count > hunt->run.core_count ||
        small.scheduler_count > hunt->run.scheduler_count) {
        *status = pto_fail(err, PTO_E_ARGUMENT,
                           "run: the replay file is of another launch: of %u tasks, with %u cores "
                           "and %u scheduler threads or more; this one has %u, %u and %u",
                           (unsigned)it->graph_tasks, (unsigned)small.core_count,
                           (unsigned)small.scheduler_count, (unsigned)hunt->run.task_count,
                           (unsigned)hunt->run.core_count, (unsigned)hunt->run.scheduler_count);
        return true;
    }
    *status = pto__stage_open(&stage, search->explorer, &hunt->run, &hunt->start, err);
    if (*status != PTO_OK) {
        return true;
    }
    if (!pto__stage_choose(&stage, small.tasks, small.task_count)) {
        *status = pto_fail(err, PTO_E_ARGUMENT, "run: the replay file is of another graph");
    } else {
        *status = pto__stage_run(&stage, small.core_count, small.scheduler_count, it->seed,
                                 &small.script, NULL, &hunt->result, err);
    }
    if (*status == PTO_OK && search->options->timeline_path != NULL) {
        write_timeline(hunt, &stage, &small);
    }
    pto__stage_close(&stage);
    pto__snapshot_restore(&hunt->start, pto__explorer_arena(search->explorer));
    if (*status != PTO_OK || hunt->result.finding.kind != PTO_FINDING_NONE) {
        return true;
    }
    hunt->run.profile = search->options->profile;
    return false;
}

static enum pto_status fail_replay(const struct hunt *hunt, struct pto_launch_outcome *out,
                                   struct pto_error *err)
{
    const struct pto_explore_finding *finding = &hunt->result.finding;
    if (finding->kind == PTO_FINDING_CRASH || finding->kind == PTO_FINDING_HANG) {
        report_kernel(hunt, " Replayed.", out);
        return PTO_OK;
    }
    return pto_fail(err, PTO_E_ORDER,
                    "run: the explorer found a fault with seed %" PRIu64
                    ", profile %s, made small: %s",
                    hunt->run.seed, profile_of(hunt), finding->text);
}

// Another part of the search has found something, so this one may end.
static bool is_found_elsewhere(const struct pto_explore_options *options)
{
    const struct pto_search_progress *parts = options->progress_mapping;
    for (uint64_t i = 0; parts != NULL && i < options->part_count; i++) {
        if (i != options->part && atomic_load_explicit(&parts[i].found, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static enum pto_status hunt_schedules(struct hunt *hunt, struct pto_launch_outcome *out,
                                      struct pto_error *err)
{
    const struct pto_explore_options *options = hunt->search->options;
    struct pto_arena *arena = pto__explorer_arena(hunt->search->explorer);
    // A replay is for one launch; the others have to be got past.
    uint64_t schedules = options->replays ? 1 : options->schedules;
    // A part without a share tries one all the same, so that results are there.
    uint64_t first = options->replays ? 0 : options->part;
    uint64_t share = schedules > first ? (schedules - first - 1) / options->part_count + 1 : 1;
    atomic_fetch_add(&options->progress->launches, 1);
    atomic_fetch_add(&options->progress->asked, options->replays ? 1 : share);
    for (uint64_t i = first; i < schedules || i == first; i += options->part_count) {
        if (i != first) {
            pto__snapshot_restore(&hunt->start, arena);
        }
        if (pto__poll_stops(&hunt->poll)) {
            out->report = (struct pto_report){
                .status = PTO_REPORT_STOPPED, .core = PTO_NO_TASK, .task = PTO_NO_TASK};
            break;
        }
        hunt->run.seed = options->seed + i;
        enum pto_status status =
            pto__explorer_run(hunt->search->explorer, &hunt->run, &hunt->result, err);
        if (status != PTO_OK) {
            return status;
        }
        hunt->done++;
        atomic_fetch_add_explicit(&options->progress->done, 1, memory_order_relaxed);
        if (hunt->result.finding.kind != PTO_FINDING_NONE) {
            atomic_store(&options->progress->found, hunt->run.seed + 1);
            return fail_finding(hunt, out, err);
        }
        out->report = hunt->result.report;
        if (hunt->done % SCHEDULES_PER_LOOK == 1 && is_found_elsewhere(options)) {
            break;
        }
    }
    return PTO_OK;
}

enum pto_status pto__search_launch(const struct pto_search *search,
                                   const struct pto_launch_request *request,
                                   struct pto_launch_outcome *out, struct pto_error *err)
{
    const struct pto_explore_options *options = search->options;
    struct hunt hunt = {
        .search = search,
        .run = {.image = request->image,
                .pending = request->pending,
                .ready = request->ready,
                .task_count = request->task_count,
                .scheduler_count = request->scheduler_count,
                .image_changed = request->image_changed,
                .timeout_ns = search->timeout_ns,
                .seed = options->seed,
                .profile = options->profile,
                .hang_task = PTO_NO_TASK,
                .core_count = search->core_count},
        .poll = {.function = request->poll, .context = request->poll_context},
    };
    enum pto_status status =
        pto__snapshot_take(&hunt.start, pto__explorer_arena(search->explorer), err);
    if (status != PTO_OK) {
        return status;
    }
    status = pto__explorer_enter(search->explorer, err);
    if (status == PTO_OK) {
        if (options->replays && options->replay.launch == search->launch &&
            replay(&hunt, &status, err)) {
            status = status == PTO_OK ? fail_replay(&hunt, out, err) : status;
        } else {
            status = hunt_schedules(&hunt, out, err);
        }
        pto__explorer_leave(search->explorer);
    }
    if (options->schedules > 1) {
        say(search, PTO_LOG_INFO,
            "explored %" PRIu64 " schedules from seed %" PRIu64 ", profile %s: %s", hunt.done,
            options->seed, profile_of(&hunt), status == PTO_OK ? "nothing found" : "a fault");
    }
    pto__snapshot_drop(&hunt.start);
    return status;
}
