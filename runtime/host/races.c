// SPDX-License-Identifier: Apache-2.0
// Races of a graph from what its kernels declare: the accesses come from the kernel table and the
// tasks' arguments, the blocks from the ledger, the conflicts from graph/conflicts.h.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/pages.h"
#include "graph/conflicts.h"
#include "host/check.h"
#include "host/finding.h"
#include "host/run.h"
#include "host/runner.h"

// What a finding needs to know of an access besides its bytes.
struct place {
    struct pto_ledger_block block;
    uint32_t argument;
};

// Taken from the runner at the beginning: the rest needs none of its locks, so that a poll function
// may use the runner as it likes.
struct survey {
    struct pto_access *accesses;
    struct place *places; // of each access
    uint64_t count;
    char (*names)[PTO_KERNEL_NAME_SIZE]; // of kernels, by func_id
};

struct findings {
    const struct pto_graph *graph;
    const struct survey *survey;
    struct pto_check_finding *out_findings;
    size_t capacity;
    size_t count;
};

static int is_pointer(const struct pto_kernel_arg *arg)
{
    return arg->kind == PTO_ARG_IN || arg->kind == PTO_ARG_OUT || arg->kind == PTO_ARG_INOUT;
}

// Adds a task's pointer arguments that name bytes. Only counts while there is no room for them.
static void survey_task(struct survey *survey, const struct pto_task_view *view, uint32_t task,
                        const struct pto_kernel_record *kernel, const struct pto_ledger *ledger)
{
    for (uint32_t i = 0; i < view->arg_count; i++) {
        const struct pto_kernel_arg *arg = &kernel->args[i];
        uint64_t size_bytes = is_pointer(arg) ? pto__arg_size_bytes(view, arg) : 0;
        if (size_bytes == 0) {
            continue;
        }
        uint64_t index = survey->count++;
        if (survey->accesses == NULL) {
            continue;
        }
        survey->accesses[index] = (struct pto_access){
            .begin = view->args[i],
            .end = view->args[i] + size_bytes,
            .task = task,
            .writes = arg->kind != PTO_ARG_IN,
        };
        survey->places[index].argument = i;
        int found = pto__ledger_find(ledger, view->args[i], &survey->places[index].block);
        assert(found); // the graph was checked
        (void)found;
    }
}

static enum pto_status survey_tasks(struct survey *survey, const struct pto_runner *runner,
                                    const struct pto_graph *graph, struct pto_error *err)
{
    survey->count = 0;
    uint32_t task_count = pto_graph_task_count(graph);
    for (uint32_t task = 0; task < task_count; task++) {
        struct pto_task_view view;
        enum pto_status status = pto_graph_get_task(graph, task, &view, err);
        if (status != PTO_OK) {
            return status;
        }
        const struct pto_kernel_record *kernel = pto__kernel_find(&runner->kernels, view.func_id);
        assert(kernel != NULL); // the graph was checked
        survey_task(survey, &view, task, kernel, runner->ledger);
    }
    return PTO_OK;
}

static enum pto_status make_room(struct survey *survey, struct pto_error *err)
{
    if (survey->count > PTO_ACCESS_COUNT_MAX) {
        return pto_fail(err, PTO_E_LIMIT,
                        "find_races: the graph's tasks have %llu pointer arguments; at most %u can "
                        "be compared; look at parts of the graph",
                        (unsigned long long)survey->count, PTO_ACCESS_COUNT_MAX);
    }
    // One more than needed, because a size of zero has no one meaning for malloc.
    size_t count = (size_t)survey->count + 1;
    size_t each = sizeof(*survey->accesses) + sizeof(*survey->places);
    survey->accesses = malloc(count * sizeof(*survey->accesses));
    survey->places = malloc(count * sizeof(*survey->places));
    pto__prefer_large_pages(survey->accesses, count * sizeof(*survey->accesses));
    pto__prefer_large_pages(survey->places, count * sizeof(*survey->places));
    return survey->accesses != NULL && survey->places != NULL
               ? PTO_OK
               : pto_fail_no_host_memory(err, "the tasks' pointer arguments", count * each);
}

static enum pto_status copy_names(struct survey *survey, const struct pto_kernel_table *kernels,
                                  struct pto_error *err)
{
    size_t count = PTO_FUNC_ID_MAX + 1;
    survey->names = calloc(count, sizeof(*survey->names));
    if (survey->names == NULL) {
        return pto_fail_no_host_memory(err, "the kernels' names", count * sizeof(*survey->names));
    }
    for (uint32_t i = 0; i < kernels->count; i++) {
        memcpy(survey->names[kernels->records[i].func_id], kernels->records[i].name,
               sizeof(*survey->names));
    }
    return PTO_OK;
}

static enum pto_status survey_locked(struct survey *survey, struct pto_runner *runner,
                                     const struct pto_graph *graph, struct pto_error *err)
{
    pthread_mutex_lock(&runner->ledger_mutex);
    enum pto_status status = pto__check_graph(graph, &runner->kernels, runner->ledger, err);
    if (status == PTO_OK) {
        status = survey_tasks(survey, runner, graph, err);
    }
    if (status == PTO_OK) {
        status = make_room(survey, err);
    }
    if (status == PTO_OK) {
        status = survey_tasks(survey, runner, graph, err);
    }
    pthread_mutex_unlock(&runner->ledger_mutex);
    return status == PTO_OK ? copy_names(survey, &runner->kernels, err) : status;
}

static enum pto_status take_survey(struct survey *survey, struct pto_runner *runner,
                                   const struct pto_graph *graph, struct pto_error *err)
{
    // Kernels and blocks stay as they are while use_lock is held.
    pthread_rwlock_rdlock(&runner->use_lock);
    enum pto_status status = pto__runner_require_ready(runner, "find_races", err);
    if (status == PTO_OK) {
        status = survey_locked(survey, runner, graph, err);
    }
    pthread_rwlock_unlock(&runner->use_lock);
    return status;
}

static void fini_survey(struct survey *survey)
{
    free(survey->accesses);
    free(survey->places);
    free(survey->names);
}

static struct pto_check_access describe_access(const struct findings *findings, uint32_t index,
                                               uint64_t begin, uint64_t end)
{
    const struct survey *survey = findings->survey;
    const struct pto_access *access = &survey->accesses[index];
    const struct place *place = &survey->places[index];
    struct pto_task_view view = {0};
    enum pto_status status = pto_graph_get_task(findings->graph, access->task, &view, NULL);
    assert(status == PTO_OK); // the graph is pinned
    (void)status;
    // Of what both touch, or of a line: the part that is the access's own.
    begin = begin > access->begin ? begin : access->begin;
    end = end < access->end ? end : access->end;
    struct pto_check_access described = {
        .task = access->task,
        .func_id = view.func_id,
        .arg = place->argument,
        .is_write = access->writes,
        .begin = (int64_t)(begin - place->block.address),
        .end = (int64_t)(end - place->block.address),
    };
    memcpy(described.kernel, survey->names[view.func_id], sizeof(described.kernel));
    return described;
}

// A pto_conflict_function.
static void add_finding(void *context, const struct pto_conflict *conflict)
{
    struct findings *findings = context;
    if (findings->count < findings->capacity) {
        const struct pto_ledger_block *block = &findings->survey->places[conflict->first].block;
        struct pto_check_finding *finding = &findings->out_findings[findings->count];
        *finding = (struct pto_check_finding){
            .kind = PTO_CHECK_RACE,
            .shares_line = conflict->shares_line,
            .tensor = block->address,
            .tensor_bytes = block->size_bytes,
            .access = describe_access(findings, conflict->second, conflict->begin, conflict->end),
            .other = describe_access(findings, conflict->first, conflict->begin, conflict->end),
        };
        pto__finding_describe(finding, NULL);
    }
    findings->count++;
}

static enum pto_status find_in_pinned(struct findings *findings, struct survey *survey,
                                      struct pto_runner *runner, struct pto_work_poll *poll,
                                      struct pto_error *err)
{
    enum pto_status status = take_survey(survey, runner, findings->graph, err);
    struct pto_order *order = NULL;
    if (status == PTO_OK) {
        status = pto__order_create(findings->graph, poll, &order, err);
    }
    if (status == PTO_OK) {
        status = pto__find_conflicts(order, survey->accesses, (uint32_t)survey->count, add_finding,
                                     findings, poll, err);
    }
    pto__order_destroy(order);
    return status;
}

enum pto_status pto_graph_find_races(struct pto_graph *graph, struct pto_runner *runner,
                                     const struct pto_analysis_options *options,
                                     struct pto_check_finding *out_findings, size_t capacity,
                                     size_t *out_count, struct pto_error *err)
{
    if (graph == NULL || out_count == NULL || (out_findings == NULL && capacity > 0)) {
        return pto_fail(err, PTO_E_ARGUMENT, "find_races: %s is NULL",
                        graph == NULL       ? "graph"
                        : out_count == NULL ? "out_count"
                                            : "out_findings");
    }
    *out_count = 0;
    struct pto_work_poll poll;
    enum pto_status status = pto__runner_enter(runner, "find_races", err);
    if (status == PTO_OK) {
        status = pto__poll_init(&poll, "find_races", options, err);
    }
    if (status == PTO_OK) {
        status = pto__graph_pin(graph, err);
    }
    if (status != PTO_OK) {
        return status;
    }
    struct survey survey = {0};
    struct findings findings = {
        .graph = graph, .survey = &survey, .out_findings = out_findings, .capacity = capacity};
    status = find_in_pinned(&findings, &survey, runner, &poll, err);
    *out_count = status == PTO_OK ? findings.count : 0;
    fini_survey(&survey);
    pto__graph_unpin(graph);
    return status;
}
