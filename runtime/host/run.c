// SPDX-License-Identifier: Apache-2.0
// Runs: bring the graph to the device, launch, say how it ended.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "host/checked_run.h"
#include "host/run.h"

void pto__runner_fail(struct pto_runner *runner, const struct pto_error *err)
{
    pthread_mutex_lock(&runner->ledger_mutex);
    if (atomic_load(&runner->state) == PTO_RUNNER_READY) {
        runner->failure = *err;
        runner->failed_run = atomic_load(&runner->run_thread) == pto__this_thread()
                                 ? atomic_load(&runner->run_count)
                                 : 0;
        atomic_store(&runner->state, PTO_RUNNER_FAILED);
    }
    pthread_mutex_unlock(&runner->ledger_mutex);
}

static const char *kernel_name(const struct pto_runner *runner, uint32_t func_id)
{
    const struct pto_kernel_record *kernel = pto__kernel_find(&runner->kernels, func_id);
    return kernel != NULL ? kernel->name : "unknown";
}

// Adds what the report knows of the task to an error.
static void name_task(const struct pto_runner *runner, const struct pto_report *report,
                      struct pto_error *err)
{
    err->core = report->core;
    if (report->task == PTO_NO_TASK) {
        return;
    }
    err->task = report->task;
    err->func_id = report->func_id;
    snprintf(err->kernel, sizeof(err->kernel), "%s", kernel_name(runner, report->func_id));
}

static const char *signal_text(int32_t number)
{
    // strsignal() is not safe in threads.
    switch (number) {
    case SIGILL: return "SIGILL, an illegal instruction";
    case SIGBUS: return "SIGBUS, a bad memory access";
    case SIGFPE: return "SIGFPE, an arithmetic fault such as a division by zero";
    case SIGSEGV: return "SIGSEGV, an access to memory that is not there, or a stack overflow";
    default: return "a fault";
    }
}

// A device has no signals: it says itself what happened.
static enum pto_status explain_device_fault(struct pto_runner *runner,
                                            const struct pto_report *report,
                                            const struct pto_launch_outcome *outcome,
                                            struct pto_error *err)
{
    if (report->task == PTO_NO_TASK) {
        return pto_fail(err, PTO_E_FAULT,
                        "run: a kernel crashed; which one could not be found out. The device says: "
                        "%s. It is in an unknown state: call finalize(), then init()",
                        outcome->detail);
    }
    return pto_fail(
        err, PTO_E_FAULT,
        "run: the kernel '%s' (func_id %u) of task %u crashed on core %u. The device says: %s. It "
        "is in an unknown state: call finalize(), then init()",
        kernel_name(runner, report->func_id), (unsigned)report->func_id, (unsigned)report->task,
        (unsigned)report->core, outcome->detail);
}

static enum pto_status explain_fault(struct pto_runner *runner, const struct pto_report *report,
                                     const struct pto_launch_outcome *outcome,
                                     struct pto_error *err)
{
    if (outcome->vendor_code != 0) {
        return explain_device_fault(runner, report, outcome, err);
    }
    char place[400] = "";
    // For the other signals the address is that of an instruction.
    if (outcome->fault_address != 0 &&
        (report->fail_code == SIGSEGV || report->fail_code == SIGBUS)) {
        struct pto_error where;
        char what[64];
        snprintf(what, sizeof(what), "address 0x%" PRIx64, outcome->fault_address);
        pthread_mutex_lock(&runner->ledger_mutex);
        if (pto__ledger_check(runner->ledger, outcome->fault_address, 1, what, &where) == PTO_OK) {
            snprintf(place, sizeof(place), " It touched %s, inside a live block.", what);
        } else {
            // The ledger's advice after the semicolon is for pointers that a user passes.
            where.message[strcspn(where.message, ";")] = '\0';
            snprintf(place, sizeof(place), " It touched %.380s.", where.message);
        }
        pthread_mutex_unlock(&runner->ledger_mutex);
    }
    enum pto_status status = pto_fail(
        err, PTO_E_FAULT,
        "run: the kernel '%s' (func_id %u) of task %u crashed on core %u: signal %d (%s).%s%s%s "
        "The "
        "device is in an unknown state: call finalize(), then init()",
        kernel_name(runner, report->func_id), (unsigned)report->func_id, (unsigned)report->task,
        (unsigned)report->core, (int)report->fail_code, signal_text(report->fail_code), place,
        outcome->detail[0] == '\0' ? "" : " ", outcome->detail);
    err->task_code = report->fail_code;
    return status;
}

// The first few tasks that wait for the one that did not end.
static void list_waiting(const struct pto_graph *graph, uint32_t task, char *text, size_t size)
{
    uint32_t waiting[4];
    size_t count = 0;
    uint64_t total = pto__graph_successors(graph, task, waiting, 4, &count);
    text[0] = '\0';
    if (total == 0) {
        return;
    }
    size_t used = (size_t)snprintf(text, size, " Task%s", total == 1 ? "" : "s");
    for (size_t i = 0; i < count && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s %u", i == 0 ? "" : ",",
                                 (unsigned)waiting[i]);
    }
    if (used < size && total > count) {
        used += (size_t)snprintf(text + used, size - used, " and %" PRIu64 " more",
                                 total - (uint64_t)count);
    }
    if (used < size) {
        snprintf(text + used, size - used, " wait%s for it.", total == 1 ? "s" : "");
    }
}

static enum pto_status explain_timeout(struct pto_runner *runner, const struct pto_graph *graph,
                                       const struct pto_launch_outcome *outcome,
                                       struct pto_error *err)
{
    const struct pto_report *report = &outcome->report;
    double seconds = (double)runner->timeout_ns / 1e9;
    uint32_t task_count = pto_graph_task_count(graph);
    if (report->task == PTO_NO_TASK) {
        return pto_fail(err, PTO_E_TIMEOUT,
                        "run: no task completed for %.3f s; %u of %u had. Call finalize(), then "
                        "init(); if the graph is right, raise the timeout",
                        seconds, (unsigned)report->completed, (unsigned)task_count);
    }
    char waiting[160];
    list_waiting(graph, report->task, waiting, sizeof(waiting));
    return pto_fail(err, PTO_E_TIMEOUT,
                    "run: no task completed for %.3f s; %u of %u had. Core %u (%s) was given %u "
                    "tasks and completed %u; it was to run task %u, kernel '%s' (func_id %u).%s "
                    "%s%sCall finalize(), then init(); if the kernel is only slow, raise the "
                    "timeout",
                    seconds, (unsigned)report->completed, (unsigned)task_count,
                    (unsigned)report->core,
                    report->core_state == PTO_CORE_ABSENT ? "which never started" : "running",
                    (unsigned)report->expected, (unsigned)report->seen, (unsigned)report->task,
                    kernel_name(runner, report->func_id), (unsigned)report->func_id, waiting,
                    outcome->detail, outcome->detail[0] == '\0' ? "" : " ");
}

static enum pto_status explain_task(struct pto_runner *runner, const struct pto_graph *graph,
                                    const struct pto_launch_outcome *outcome, struct pto_error *err)
{
    const struct pto_report *report = &outcome->report;
    enum pto_status status;
    switch (report->fail_kind) {
    case PTO_FAIL_FAULT: return explain_fault(runner, report, outcome, err);
    case PTO_FAIL_HANG: return explain_timeout(runner, graph, outcome, err);
    case PTO_FAIL_UNKNOWN:
        return pto_fail(err, PTO_E_PROGRAM,
                        "run: the worker has no kernel %d, which its kernel table lists; the "
                        "kernel.o file is damaged, build it again",
                        (int)report->fail_code);
    default:
        status = pto_fail(err, PTO_E_TASK,
                          "run: the kernel '%s' (func_id %u) of task %u returned %d on core %u; %u "
                          "of %u tasks had completed, and what waits for this task was not run",
                          kernel_name(runner, report->func_id), (unsigned)report->func_id,
                          (unsigned)report->task, (int)report->fail_code, (unsigned)report->core,
                          (unsigned)report->completed, (unsigned)pto_graph_task_count(graph));
        err->task_code = report->fail_code;
        return status;
    }
}

// Turns the end of a launch into a status. *err is the caller's copy, never NULL.
static enum pto_status explain(struct pto_runner *runner, const struct pto_graph *graph,
                               const struct pto_launch_outcome *outcome, struct pto_error *err)
{
    const struct pto_report *report = &outcome->report;
    enum pto_status status;
    switch (report->status) {
    case PTO_REPORT_DONE:
        if (report->completed == pto_graph_task_count(graph)) {
            return PTO_OK;
        }
        status = pto_fail(err, PTO_E_INTERNAL, "run: %u of %u tasks completed, and no error",
                          (unsigned)report->completed, (unsigned)pto_graph_task_count(graph));
        break;
    case PTO_REPORT_STOPPED:
        return pto_fail(err, PTO_E_INTERRUPTED,
                        "run: stopped at the caller's wish; %u of %u tasks had completed",
                        (unsigned)report->completed, (unsigned)pto_graph_task_count(graph));
    case PTO_REPORT_TASK: status = explain_task(runner, graph, outcome, err); break;
    case PTO_REPORT_TIMEOUT: status = explain_timeout(runner, graph, outcome, err); break;
    case PTO_REPORT_LAUNCH:
        status = pto_fail(err, PTO_E_PROGRAM,
                          "run: the scheduler refused the launch: it needs 0x%x and found 0x%x; "
                          "library and device programs are not of one release",
                          (unsigned)report->expected, (unsigned)report->seen);
        break;
    default:
        status = pto_fail(err, PTO_E_DEVICE, "run: the scheduler left without a report");
        break;
    }
    name_task(runner, report, err);
    err->vendor_code = outcome->vendor_code;
    return status;
}

static int leaves_device_sane(enum pto_status status)
{
    return status == PTO_OK || status == PTO_E_TASK || status == PTO_E_INTERRUPTED;
}

// How a run is made.
struct run_plan {
    uint32_t scheduler_count;
    uint32_t kinds;      // of enum pto_check
    bool prepare_checks; // the backend does not check of itself
};

static enum pto_status launch(struct pto_runner *runner, const struct pto_graph *graph,
                              struct pto_cached_image *image, const struct pto_run_options *options,
                              const struct run_plan *plan, struct pto_error *err)
{
    struct pto_launch_request request = {
        .image = image->address,
        .pending = image->pending_address,
        .ready = image->ready_address,
        .task_count = image->task_count,
        .scheduler_count = plan->scheduler_count,
        .image_changed = image->written != 0,
        .checked = plan->prepare_checks,
        .poll = options->poll,
        .poll_context = options->poll_context,
    };
    struct pto_launch_outcome outcome;
    atomic_fetch_add(&runner->run_count, 1);
    image->written = 0;
    if (!plan->prepare_checks) {
        runner->opaque_serial = image->next_serial;
    }
    enum pto_status status = runner->ops->launch(runner->backend, &request, &outcome, err);
    if (status == PTO_OK) {
        status = explain(runner, graph, &outcome, err);
    }
    if (status != PTO_OK) {
        // Counts of tasks that did not run were not put back.
        image->usable = 0;
    }
    if (!leaves_device_sane(status) && !(plan->prepare_checks && outcome.stopped_by_check)) {
        pto__runner_fail(runner, err);
    }
    return plan->prepare_checks ? pto__checks_conclude(&outcome, options, status, err) : status;
}

static enum pto_status run_pinned(struct pto_runner *runner, const struct pto_graph *graph,
                                  const struct pto_run_options *options,
                                  const struct run_plan *plan, struct pto_error *err)
{
    if (pto_graph_task_count(graph) == 0) {
        return PTO_OK;
    }
    struct pto_cached_image *image;
    enum pto_status status =
        pto__image_cache_get(runner, graph, plan->scheduler_count, &image, err);
    if (status == PTO_E_DEVICE || status == PTO_E_TIMEOUT) {
        pto__runner_fail(runner, err);
    }
    if (status != PTO_OK) {
        return status;
    }
    struct pto_order *order = NULL;
    if (plan->prepare_checks) {
        status = pto__checks_prepare(runner, graph, options, plan->kinds, &order, err);
    }
    if (status == PTO_OK) {
        status = launch(runner, graph, image, options, plan, err);
    }
    pto__order_destroy(order);
    return status;
}

// The options as this library knows them. Those of a caller who was compiled when there were fewer
// lack the last fields, which are then zero.
static enum pto_status take_options(const struct pto_run_options *given,
                                    struct pto_run_options *out, struct pto_error *err)
{
    *out = (struct pto_run_options){.size = sizeof(*out), .scheduler_count = 1};
    if (given == NULL) {
        return PTO_OK;
    }
    if (given->size != sizeof(*given) && given->size != offsetof(struct pto_run_options, check)) {
        return pto_fail(err, PTO_E_ARGUMENT,
                        "run: the options' size field is not sizeof(struct pto_run_options); was "
                        "the caller compiled with another version's headers?");
    }
    memcpy(out, given, given->size);
    out->size = sizeof(*out);
    return PTO_OK;
}

static enum pto_status make_plan(const struct pto_runner *runner,
                                 const struct pto_run_options *options, struct run_plan *out,
                                 struct pto_error *err)
{
    if (options->scheduler_count < 1 || options->scheduler_count > PTO_RUNNER_SCHEDULER_MAX) {
        return pto_fail(err, PTO_E_RANGE, "run: launch_aicpu_num is %lld; it must be 1 to %u",
                        (long long)options->scheduler_count, PTO_RUNNER_SCHEDULER_MAX);
    }
    // A scheduler thread without a core of its own would have nothing to do.
    *out = (struct run_plan){.scheduler_count = (uint32_t)options->scheduler_count};
    if (out->scheduler_count > runner->core_count) {
        out->scheduler_count = runner->core_count;
    }
    enum pto_status status = pto__checks_choose(runner, options, &out->kinds, err);
    out->prepare_checks = out->kinds != 0 && runner->ops->prepare_checks != NULL;
    return status;
}

enum pto_status pto_runner_run(struct pto_runner *runner, struct pto_graph *graph,
                               const struct pto_run_options *options, struct pto_error *err)
{
    struct pto_error own;
    err = err != NULL ? err : &own;
    enum pto_status status = pto__runner_enter(runner, "run", err);
    if (status != PTO_OK) {
        return status;
    }
    if (graph == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "run: the graph is NULL");
    }
    // Told once it is the caller's turn, as what else is wrong; until then there is no poll.
    struct pto_run_options own_options;
    enum pto_status options_status = take_options(options, &own_options, err);
    status = pto__runner_poll_turn(runner, own_options.poll, own_options.poll_context, err);
    if (status != PTO_OK) {
        return status;
    }
    pthread_rwlock_rdlock(&runner->use_lock);
    struct run_plan plan;
    status = pto__runner_require_ready(runner, "run", err);
    if (status == PTO_OK) {
        status = options_status;
    }
    if (status == PTO_OK) {
        status = make_plan(runner, &own_options, &plan, err);
    }
    if (status == PTO_OK) {
        status = pto__graph_pin(graph, err);
    }
    if (status == PTO_OK) {
        atomic_store(&runner->run_thread, pto__this_thread());
        status = run_pinned(runner, graph, &own_options, &plan, err);
        atomic_store(&runner->run_thread, 0);
        pto__graph_unpin(graph);
    }
    pthread_rwlock_unlock(&runner->use_lock);
    pto__runner_end_turn(runner);
    return status;
}

enum pto_status pto_runner_handshake_results(struct pto_runner *runner,
                                             struct pto_core_result *out_cores, size_t capacity,
                                             size_t *out_count, struct pto_error *err)
{
    if (out_count == NULL || (out_cores == NULL && capacity != 0)) {
        return pto_fail(err, PTO_E_ARGUMENT, "handshake_results: an output pointer is NULL");
    }
    *out_count = 0;
    enum pto_status status = pto__runner_enter(runner, "handshake_results", err);
    if (status != PTO_OK) {
        return status;
    }
    // A run in progress is still writing them.
    pto__runner_take_turn(runner);
    struct pto_handshake *handshakes = NULL;
    if (atomic_load(&runner->state) == PTO_RUNNER_CLOSED) {
        status = pto_fail(err, PTO_E_STATE,
                          "handshake_results: the runner is not initialized; call init() first");
        goto out;
    }
    uint64_t size_bytes = runner->core_count * sizeof(*handshakes);
    if (posix_memalign((void **)&handshakes, PTO_CACHE_LINE_SIZE, size_bytes) != 0) {
        handshakes = NULL;
        status = pto_fail_no_host_memory(err, "the handshake lines", size_bytes);
        goto out;
    }
    status = runner->ops->handshakes(runner->backend, handshakes, runner->core_count, err);
    for (uint32_t i = 0; status == PTO_OK && i < runner->core_count && i < capacity; i++) {
        const struct pto_core_line *line = &handshakes[i].core;
        out_cores[i] = (struct pto_core_result){
            .core = i,
            .core_type = line->core_type,
            .physical_id = line->physical_id,
            .state = line->state,
            .queued = handshakes[i].dispatch.queued,
            .completed = line->completed,
            .last_task = line->state == PTO_CORE_ABSENT ? PTO_NO_TASK : line->last_task,
            .fail_code = line->fail_code,
        };
    }
    if (status == PTO_OK) {
        *out_count = runner->core_count;
    }
out:
    pto__runner_end_turn(runner);
    free(handshakes);
    return status;
}
