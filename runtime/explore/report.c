// SPDX-License-Identifier: Apache-2.0
// Findings in words, and traces.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore/layout.h"

static const char *const operation_names[PTO_EXPLORE_OPERATION_COUNT] = {
    [PTO_EXPLORE_CPU_LOAD] = "pto_cpu_load",
    [PTO_EXPLORE_CPU_PEEK] = "pto_cpu_peek",
    [PTO_EXPLORE_CPU_STORE] = "pto_cpu_store",
    [PTO_EXPLORE_CPU_PUBLISH] = "pto_cpu_publish",
    [PTO_EXPLORE_CPU_OBSERVE] = "pto_cpu_observe",
    [PTO_EXPLORE_CPU_REFRESH] = "pto_cpu_refresh",
    [PTO_EXPLORE_CPU_PAUSE] = "pto_cpu_pause",
    [PTO_EXPLORE_CPU_CLOCK] = "pto_cpu_clock_ns",
    [PTO_EXPLORE_PEER_LOAD] = "pto_peer_load",
    [PTO_EXPLORE_PEER_STORE] = "pto_peer_store",
    [PTO_EXPLORE_PEER_COUNT] = "pto_peer_count",
    [PTO_EXPLORE_PEER_SUB] = "pto_peer_sub",
    [PTO_EXPLORE_PEER_TRY_LOCK] = "pto_peer_try_lock",
    [PTO_EXPLORE_PEER_UNLOCK] = "pto_peer_unlock",
    [PTO_EXPLORE_CORE_LOAD] = "pto_core_load",
    [PTO_EXPLORE_CORE_PEEK] = "pto_core_peek",
    [PTO_EXPLORE_CORE_STORE] = "pto_core_store",
    [PTO_EXPLORE_CORE_OBSERVE] = "pto_core_observe",
    [PTO_EXPLORE_CORE_PUBLISH] = "pto_core_publish",
    [PTO_EXPLORE_CORE_INVALIDATE] = "pto_core_invalidate_line",
    [PTO_EXPLORE_CORE_WRITE_LINE] = "pto_core_write_line",
    [PTO_EXPLORE_CORE_FLUSH] = "pto_core_flush_cache",
    [PTO_EXPLORE_CORE_BARRIER] = "pto_core_barrier",
    [PTO_EXPLORE_CORE_PAUSE] = "pto_core_pause",
    [PTO_EXPLORE_TASK_BEGIN] = "pto_core_task_begin",
    [PTO_EXPLORE_TASK_END] = "pto_core_task_end",
    [PTO_EXPLORE_KERNEL_READ] = "read",
    [PTO_EXPLORE_KERNEL_WRITE] = "write",
};

const char *pto__explore_operation_name(uint32_t operation)
{
    return operation < PTO_EXPLORE_OPERATION_COUNT ? operation_names[operation] : "unknown";
}

const char *pto__explore_file_name(const char *path)
{
    const char *from = path;
    const char *last = NULL;
    for (const char *at = strchr(path, '/'); at != NULL; at = strchr(at + 1, '/')) {
        from = last != NULL ? last + 1 : from;
        last = at;
    }
    return from;
}

// Text that is cut where the room ends.
struct writer {
    char *text;
    size_t size;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void append(struct writer *writer, const char *format,
                                                         ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length =
        vsnprintf(writer->text + writer->used, writer->size - writer->used, format, arguments);
    va_end(arguments);
    if (length > 0) {
        writer->used += (size_t)length;
        if (writer->used >= writer->size) {
            writer->used = writer->size - 1;
        }
    }
}

static void append_agent(struct writer *writer, const struct pto_model *model, uint32_t agent)
{
    if (agent >= model->agent_count) {
        append(writer, "the host");
    } else {
        append(writer, "%s %u", model->agents[agent].is_core ? "core" : "scheduler",
               (unsigned)model->agents[agent].index);
    }
}

static bool is_kernel(const struct pto_explore_site *site)
{
    return site != NULL && (site->operation == PTO_EXPLORE_KERNEL_READ ||
                            site->operation == PTO_EXPLORE_KERNEL_WRITE);
}

static void append_site(struct writer *writer, const struct pto_explore_site *site)
{
    if (is_kernel(site)) {
        append(writer, " (a kernel's %s)", operation_names[site->operation]);
    } else if (site != NULL) {
        append(writer, " at %s:%u (%s %s)", pto__explore_file_name(site->file),
               (unsigned)site->line, operation_names[site->operation], site->text);
    }
}

static const char *what(enum pto_finding_kind kind)
{
    switch (kind) {
    case PTO_FINDING_STALE: return "read an old value of";
    case PTO_FINDING_UNORDERED: return "touched, with no order between the two,";
    case PTO_FINDING_SHARED_LINE: return "wrote a line that another agent writes as well, with";
    case PTO_FINDING_OVERWRITTEN: return "wrote a line back over a later value of";
    case PTO_FINDING_UNWRITTEN: return "read what nobody wrote:";
    case PTO_FINDING_NOT_WRITTEN_BACK: return "left in its cache what it wrote to";
    default: return "touched";
    }
}

static void describe_access(struct writer *writer, const struct pto_model *model,
                            const struct pto_explore_finding *finding)
{
    char name[128];
    const char *edge = pto__name_word(model, finding->line, finding->word, name, sizeof(name));
    const struct pto_model_line *line = &model->lines[finding->line];
    if (line->direct) {
        pto__name_user(model, finding->task, line->address + (uint64_t)finding->word * 4, name,
                       sizeof(name));
        edge = "C1";
    }
    append_agent(writer, model, finding->agent);
    append(writer, " %s %s", what(finding->kind), name);
    uint64_t address = model->lines[finding->line].address;
    if (address != 0) {
        append(writer, " (line 0x%llx)",
               (unsigned long long)(address - (uint64_t)(uintptr_t)model->arena->base));
    }
    append_site(writer, finding->site);
    if (is_kernel(finding->site) && finding->task != PTO_NO_TASK) {
        append(writer, " in task %u", (unsigned)pto__task_name(model, finding->task));
    }
    if (finding->other < model->agent_count || finding->other_site != NULL) {
        append(writer, "; the other access is by ");
        append_agent(writer, model, finding->other);
        append_site(writer, finding->other_site);
        if (is_kernel(finding->other_site) && finding->other_task != PTO_NO_TASK) {
            append(writer, " in task %u", (unsigned)pto__task_name(model, finding->other_task));
        }
    }
    if (finding->kind == PTO_FINDING_UNWRITTEN) {
        append(writer, ": %s", finding->advice);
    } else {
        append(writer, ". Missing: %s. Edge %s of docs/protocol.md", finding->advice,
               finding->kind == PTO_FINDING_NOT_WRITTEN_BACK ? "H2" : edge);
    }
}

static void describe_task(struct writer *writer, const struct pto_model *model,
                          const struct pto_explore_finding *finding)
{
    switch (finding->kind) {
    case PTO_FINDING_TASK_TWICE:
        append(writer, "task %u was run twice: by ",
               (unsigned)pto__task_name(model, finding->task));
        append_agent(writer, model, finding->other);
        append(writer, " and now by ");
        append_agent(writer, model, finding->agent);
        break;
    case PTO_FINDING_TASK_NEVER:
        append(writer, "task %u never ran", (unsigned)pto__task_name(model, finding->task));
        break;
    case PTO_FINDING_TASK_EARLY:
        append(writer, "task %u began on ", (unsigned)pto__task_name(model, finding->task));
        append_agent(writer, model, finding->agent);
        append(writer, " before its predecessor %u had ended",
               (unsigned)pto__task_name(model, finding->line));
        break;
    case PTO_FINDING_CRASH:
        append(writer, "the kernel of task %u crashed on ",
               (unsigned)pto__task_name(model, finding->task));
        append_agent(writer, model, finding->agent);
        append(writer, ": signal %d%s", model->result->signal_number,
               model->result->stack_overflow ? ", at the end of its stack" : "");
        break;
    case PTO_FINDING_HANG:
        append(writer, "the kernel of task %u did not return, on ",
               (unsigned)pto__task_name(model, finding->task));
        append_agent(writer, model, finding->agent);
        break;
    case PTO_FINDING_REPORT:
        append(writer, "the scheduler's report (status %u, task %u, %u completed) is wrong",
               (unsigned)model->result->report.status,
               (unsigned)pto__task_name(model, model->result->report.task),
               (unsigned)model->result->report.completed);
        break;
    case PTO_FINDING_ENDLESS:
        append(writer, "the launch did not end within %u steps; at the end ran ",
               (unsigned)model->step);
        append_agent(writer, model, finding->agent);
        append_site(writer, finding->site);
        break;
    default: append(writer, "host memory is exhausted"); break;
    }
    if (finding->advice != NULL) {
        append(writer, ": %s", finding->advice);
    }
}

void pto__violate(struct pto_model *model, const struct pto_explore_finding *finding)
{
    struct pto_explore_finding *out = &model->result->finding;
    if (out->kind == PTO_FINDING_NONE) {
        *out = *finding;
        out->step = model->step;
        if (out->text[0] == '\0') {
            struct writer writer = {.text = out->text, .size = sizeof(out->text)};
            if (pto__describe_kernel(model, finding, out->text, sizeof(out->text))) {
                // said
            } else if (finding->kind <= PTO_FINDING_NOT_WRITTEN_BACK && finding->line != 0) {
                describe_access(&writer, model, finding);
            } else if (finding->kind == PTO_FINDING_UNWRITTEN) {
                append_agent(&writer, model, finding->agent);
                append_site(&writer, finding->site);
                append(&writer, ": %s", finding->advice);
            } else {
                describe_task(&writer, model, finding);
            }
        }
    }
    if (model->running) {
        pto__stop(model);
    }
}

static void describe_core(struct writer *writer, const struct pto_model *model,
                          const struct pto_model_agent *agent)
{
    const struct pto_handshake *handshake = &model->block->handshakes[agent->index];
    uint64_t address = (uint64_t)(uintptr_t)&handshake->dispatch;
    uint32_t line = pto__line_known(model, address);
    append(writer, "core %u", (unsigned)agent->index);
    if (agent->state == PTO_AGENT_HUNG) {
        append(writer, " runs task %u, whose kernel does not return; ",
               (unsigned)pto__task_name(model, agent->task));
        return;
    }
    if (line == 0) {
        append(writer, " has not looked at its dispatch line; ");
        return;
    }
    const struct pto_model_line *it = &model->lines[line];
    const struct pto_model_copy *copy =
        &model->copies[(uint64_t)line * model->core_count + agent->index];
    append(writer, " began %u tasks and waits for more: dispatch.queued is %u, command %u",
           (unsigned)agent->tasks, (unsigned)pto__value(model, line, 0, it->memory[0]),
           (unsigned)pto__value(model, line, 1, it->memory[1]));
    if (copy->valid && (copy->held[0] != it->memory[0] || copy->held[1] != it->memory[1])) {
        append(writer, ", but its cache still holds %u and %u: it never drops the line (edge D1)",
               (unsigned)pto__value(model, line, 0, copy->held[0]),
               (unsigned)pto__value(model, line, 1, copy->held[1]));
    }
    append(writer, "; ");
}

static void describe_scheduler(struct writer *writer, const struct pto_model *model,
                               const struct pto_model_agent *agent)
{
    append(writer, "scheduler %u waits for completions:", (unsigned)agent->index);
    for (uint32_t core = 0; core < model->core_count; core++) {
        uint64_t address = (uint64_t)(uintptr_t)&model->block->handshakes[core].core;
        uint32_t line = pto__line_known(model, address);
        if (line == 0) {
            continue;
        }
        const struct pto_model_line *it = &model->lines[line];
        append(writer, " core %u says %u", (unsigned)core,
               (unsigned)pto__value(model, line, 0, it->memory[0]));
        if (it->memory[0] != it->latest[0]) {
            append(writer, " (it wrote %u, which is not written back: edge C1)",
                   (unsigned)pto__value(model, line, 0, it->latest[0]));
        }
    }
    append(writer, "; ");
}

void pto__report_deadlock(struct pto_model *model)
{
    struct pto_explore_finding finding = {.kind = PTO_FINDING_DEADLOCK,
                                          .agent = model->current,
                                          .other = PTO_AGENT_HOST,
                                          .task = PTO_NO_TASK};
    struct writer writer = {.text = finding.text, .size = sizeof(finding.text)};
    append(&writer, "nobody can go on: ");
    for (uint32_t i = 0; i < model->agent_count; i++) {
        const struct pto_model_agent *agent = &model->agents[i];
        if (agent->state == PTO_AGENT_DONE) {
            continue;
        }
        if (agent->is_core) {
            describe_core(&writer, model, agent);
        } else {
            describe_scheduler(&writer, model, agent);
        }
    }
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < model->run->task_count; i++) {
        waiting += model->tasks[i].begun == 0;
    }
    append(&writer, "%u of %u tasks never began", (unsigned)waiting,
           (unsigned)model->run->task_count);
    pto__violate(model, &finding);
}
