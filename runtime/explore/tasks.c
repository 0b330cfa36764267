// SPDX-License-Identifier: Apache-2.0
// Tasks as the explorer sees them: each reads a word of every predecessor's result and writes one
// of its own, in a line that exists in the model only. So the way of results from core to core is
// checked for any graph, whatever its kernels do.
#include <string.h>

#include "explore/model.h"

// Reads the graph from the arena, where the host has put it, and turns its edges round.
bool pto__tasks_begin(struct pto_model *model)
{
    const struct pto_image_header *image =
        (const struct pto_image_header *)(uintptr_t)model->run->image;
    const uint8_t *bytes = (const uint8_t *)image;
    uint32_t count = model->run->task_count;
    model->image = image;
    model->records = (const struct pto_task_record *)(const void *)(bytes + image->record_offset);
    model->successors = (const uint32_t *)(const void *)(bytes + image->successor_offset);
    struct pto_model_task *tasks =
        pto__grow(model, model->tasks, &model->task_capacity, count + 1, sizeof(*model->tasks));
    if (tasks == NULL) {
        return false;
    }
    model->tasks = tasks;
    uint32_t *predecessors = pto__grow(model, model->predecessors, &model->predecessor_capacity,
                                       image->edge_count + 1, sizeof(*model->predecessors));
    if (predecessors == NULL) {
        return false;
    }
    model->predecessors = predecessors;
    memset(tasks, 0, (count + 1) * sizeof(*tasks));
    uint32_t begin = 0;
    for (uint32_t i = 0; i < count; i++) {
        begin += model->records[i].predecessor_count;
        tasks[i].predecessor_begin = begin; // of the next task; counted down below
    }
    tasks[count].predecessor_begin = begin;
    for (uint32_t i = 0; i < count; i++) {
        const struct pto_task_record *record = &model->records[i];
        for (uint32_t k = 0; k < record->successor_count; k++) {
            uint32_t successor = model->successors[record->successor_begin + k];
            predecessors[--tasks[successor].predecessor_begin] = i;
        }
    }
    return true;
}

static PTO_COLD void violate_task(struct pto_model *model, const struct pto_model_agent *agent,
                                  struct pto_explore_finding *finding)
{
    finding->agent = agent->id;
    finding->site = agent->site;
    finding->task = agent->task;
    pto__violate(model, finding);
}

void pto__task_begin(struct pto_model *model, struct pto_model_agent *agent, uint32_t task)
{
    if (model->trace != NULL) {
        pto__trace_task(model, agent, task, true);
    }
    if (model->guard != NULL) {
        pto__guard_note_progress(model->guard);
    }
    agent->task = task;
    agent->tasks++;
    agent->block_bytes = 0;
    if (task >= model->run->task_count) {
        violate_task(model, agent,
                     &(struct pto_explore_finding){
                         .kind = PTO_FINDING_REPORT,
                         .other = PTO_AGENT_HOST,
                         .advice = "the core was given a number that is no task's",
                     });
        return;
    }
    if (model->tasks[task].begun++ != 0) {
        violate_task(model, agent,
                     &(struct pto_explore_finding){
                         .kind = PTO_FINDING_TASK_TWICE,
                         .other = model->scheduler_count + model->tasks[task].core,
                         .advice = "a task runs once",
                     });
        return;
    }
    model->tasks[task].core = agent->index;
    for (uint32_t i = model->tasks[task].predecessor_begin;
         i < model->tasks[task + 1].predecessor_begin; i++) {
        uint32_t predecessor = model->predecessors[i];
        if (!model->tasks[predecessor].ended) {
            violate_task(model, agent,
                         &(struct pto_explore_finding){
                             .kind = PTO_FINDING_TASK_EARLY,
                             .other = PTO_AGENT_HOST,
                             .line = predecessor,
                             .advice = "a task begins after each predecessor has ended",
                         });
            return;
        }
        uint32_t line = pto__line_of_task(model, predecessor);
        uint32_t seen = pto__core_seen(model, agent, line, 0);
        pto__check_read(model, agent, line, 0, seen, PTO_READ_PLAIN);
    }
    uint32_t line = pto__line_of_task(model, task);
    uint32_t version = pto__write(model, agent, line, 0, task, false, false);
    pto__core_put(model, agent, line, 0, version);
    if (task == model->run->hang_task) {
        pto__leave(model, PTO_AGENT_HUNG);
    }
}

void pto__task_end(struct pto_model *model, struct pto_model_agent *agent, uint32_t task)
{
    if (model->trace != NULL) {
        pto__trace_task(model, agent, task, false);
    }
    if (model->guard != NULL) {
        pto__guard_note_progress(model->guard);
    }
    model->tasks[task].ended = true;
    agent->task = PTO_NO_TASK;
}

static void report_never(struct pto_model *model)
{
    for (uint32_t i = 0; i < model->run->task_count; i++) {
        if (!model->tasks[i].ended) {
            pto__violate(model, &(struct pto_explore_finding){
                                    .kind = PTO_FINDING_TASK_NEVER,
                                    .agent = PTO_AGENT_HOST,
                                    .other = PTO_AGENT_HOST,
                                    .task = i,
                                    .advice = "the report says that every task completed",
                                });
            return;
        }
    }
}

static const char *timeout_fault(const struct pto_model *model, const struct pto_report *report)
{
    if (model->run->hasty_clock) {
        return NULL;
    }
    if (model->run->hang_task == PTO_NO_TASK || model->stopped) {
        return "it says that time ran out";
    }
    if (report->core < model->core_count &&
        model->agents[model->scheduler_count + report->core].state == PTO_AGENT_HUNG &&
        (report->core_state != PTO_CORE_RUNNING || report->task != model->run->hang_task)) {
        return "it does not say that the core runs the task that hangs";
    }
    return NULL;
}

// The report against what happened.
void pto__check_tasks(struct pto_model *model)
{
    const struct pto_report *report = &model->result->report;
    uint32_t ended = 0;
    for (uint32_t i = 0; i < model->run->task_count; i++) {
        ended += model->tasks[i].ended;
    }
    const char *wrong = NULL;
    switch (report->status) {
    case PTO_REPORT_DONE:
        report_never(model);
        wrong = report->completed != model->run->task_count ? "it counts too few tasks" : NULL;
        break;
    case PTO_REPORT_TASK:
        if (report->task >= model->run->task_count || model->tasks[report->task].begun != 1 ||
            model->tasks[report->task].ended || report->fail_kind == PTO_FAIL_NONE ||
            report->core != model->tasks[report->task].core) {
            wrong = "it names a task that did not fail, or not as it failed";
        }
        break;
    case PTO_REPORT_STOPPED:
        wrong = !model->stopped ? "it says that the host asked for the end" : NULL;
        break;
    case PTO_REPORT_TIMEOUT: wrong = timeout_fault(model, report); break;
    case PTO_REPORT_LAUNCH: break;
    default: wrong = "there is none"; break;
    }
    if (report->status != PTO_REPORT_LAUNCH && report->completed > ended) {
        wrong = "it counts more tasks than have ended";
    }
    if (wrong != NULL) {
        pto__violate(model, &(struct pto_explore_finding){
                                .kind = PTO_FINDING_REPORT,
                                .agent = PTO_AGENT_HOST,
                                .other = PTO_AGENT_HOST,
                                .task = PTO_NO_TASK,
                                .advice = wrong,
                            });
    }
}
