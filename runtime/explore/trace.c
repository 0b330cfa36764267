// SPDX-License-Identifier: Apache-2.0
// Traces: one line of text for each access, or a timeline in the JSON that Perfetto and
// chrome://tracing open, with a row for each agent. Nothing in either depends on where in memory
// the process lies, so equal runs give equal bytes.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore/layout.h"

__attribute__((format(printf, 2, 3))) static void emit(struct pto_model *model, const char *format,
                                                       ...)
{
    struct pto_explore_trace *trace = model->trace;
    char entry[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(entry, sizeof(entry), format, arguments);
    va_end(arguments);
    if (length <= 0 || (size_t)length >= sizeof(entry) || trace->failed) {
        return;
    }
    size_t needed = trace->length + (size_t)length + 1;
    if (needed > trace->capacity) {
        size_t capacity = needed * 2 + 4096;
        model->busy = true;
        char *text = realloc(trace->text, capacity);
        model->busy = false;
        if (text == NULL) {
            trace->failed = true;
            return;
        }
        trace->text = text;
        trace->capacity = capacity;
    }
    memcpy(trace->text + trace->length, entry, (size_t)length + 1);
    trace->length += (size_t)length;
}

void pto__trace_begin(struct pto_model *model)
{
    struct pto_explore_trace *trace = model->trace;
    trace->events = 0;
    if (!trace->timeline) {
        return;
    }
    emit(model,
         "[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":"
         "\"explorer, seed %llu\"}}",
         (unsigned long long)model->run->seed);
    for (uint32_t i = 0; i < model->agent_count; i++) {
        emit(model,
             ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"args\":{\"name\":"
             "\"%s %u\"}}",
             (unsigned)i, model->agents[i].is_core ? "core" : "scheduler",
             (unsigned)model->agents[i].index);
    }
}

// A finding's text holds no control characters, but may hold quotes and backslashes.
static void escape(const char *from, char *to, size_t size)
{
    size_t used = 0;
    for (; *from != '\0' && used + 3 < size; from++) {
        if (*from == '"' || *from == '\\') {
            to[used++] = '\\';
        }
        to[used++] = *from;
    }
    to[used] = '\0';
}

void pto__trace_end(struct pto_model *model)
{
    struct pto_explore_trace *trace = model->trace;
    const struct pto_explore_finding *finding = &model->result->finding;
    if (!trace->timeline) {
        return;
    }
    if (finding->kind != PTO_FINDING_NONE) {
        char text[PTO_FINDING_TEXT_SIZE + 64];
        escape(finding->text, text, sizeof(text));
        emit(model,
             ",\n{\"name\":\"finding\",\"ph\":\"i\",\"s\":\"g\",\"ts\":%llu,\"pid\":1,\"tid\":%u,"
             "\"args\":{\"text\":\"%s\"}}",
             (unsigned long long)trace->events, (unsigned)model->current, text);
    }
    emit(model, "\n]\n");
}

void pto__trace_task(struct pto_model *model, const struct pto_model_agent *agent, uint32_t task,
                     bool begins)
{
    struct pto_explore_trace *trace = model->trace;
    trace->events++;
    if (trace->timeline) {
        emit(model, ",\n{\"name\":\"task %u\",\"ph\":\"%s\",\"ts\":%llu,\"pid\":1,\"tid\":%u}",
             (unsigned)pto__task_name(model, task), begins ? "B" : "E",
             (unsigned long long)trace->events, (unsigned)agent->id);
    } else {
        emit(model, "%u\tcore %u\ttask %u %s\n", (unsigned)model->step, (unsigned)agent->index,
             (unsigned)pto__task_name(model, task), begins ? "begins" : "has ended");
    }
}

// An operation on a cache or a barrier; it has no word.
void pto__trace_operation(struct pto_model *model, const struct pto_model_agent *agent)
{
    struct pto_explore_trace *trace = model->trace;
    const char *name = pto__explore_operation_name(agent->site->operation);
    const char *file = pto__explore_file_name(agent->site->file);
    trace->events++;
    if (trace->timeline) {
        emit(model,
             ",\n{\"name\":\"%s\",\"ph\":\"X\",\"ts\":%llu,\"dur\":1,\"pid\":1,\"tid\":%u,"
             "\"args\":{\"at\":\"%s:%u\",\"step\":%u}}",
             name, (unsigned long long)trace->events, (unsigned)agent->id, file,
             (unsigned)agent->site->line, (unsigned)model->step);
    } else {
        emit(model, "%u\t%s %u\t%s\t%s:%u\n", (unsigned)model->step,
             agent->is_core ? "core" : "scheduler", (unsigned)agent->index, name, file,
             (unsigned)agent->site->line);
    }
}

void pto__trace(struct pto_model *model, const struct pto_model_agent *agent, uint32_t line,
                uint32_t word, uint32_t version)
{
    struct pto_explore_trace *trace = model->trace;
    const char *operation = pto__explore_operation_name(agent->site->operation);
    const char *file = pto__explore_file_name(agent->site->file);
    uint32_t value = pto__value(model, line, word, version);
    char name[96];
    pto__name_word(model, line, word, name, sizeof(name));
    trace->events++;
    if (trace->timeline) {
        emit(model,
             ",\n{\"name\":\"%s %s\",\"ph\":\"X\",\"ts\":%llu,\"dur\":1,\"pid\":1,\"tid\":%u,"
             "\"args\":{\"value\":\"0x%x\",\"version\":%u,\"at\":\"%s:%u\",\"step\":%u}}",
             operation, name, (unsigned long long)trace->events, (unsigned)agent->id,
             (unsigned)value, (unsigned)version, file, (unsigned)agent->site->line,
             (unsigned)model->step);
    } else {
        emit(model, "%u\t%s %u\t%s\t%s\t0x%x\tversion %u\t%s:%u\n", (unsigned)model->step,
             agent->is_core ? "core" : "scheduler", (unsigned)agent->index, operation, name,
             (unsigned)value, (unsigned)version, file, (unsigned)agent->site->line);
    }
}

void pto__explore_trace_free(struct pto_explore_trace *trace)
{
    free(trace->text);
    *trace = (struct pto_explore_trace){0};
}
