// SPDX-License-Identifier: Apache-2.0
#include "explore/layout.h"

#include <stdio.h>
#include <string.h>

struct field {
    uint32_t offset;
    uint32_t size_bytes;
    const char *name;
    const char *edge; // of docs/protocol.md
    uint32_t is_array;
};

#define FIELD(type, prefix, member, edge)                                            \
    {                                                                                \
        offsetof(type, member), sizeof(((type *)0)->member), prefix #member, edge, 0 \
    }
#define ARRAY(type, prefix, member, edge)                                            \
    {                                                                                \
        offsetof(type, member), sizeof(((type *)0)->member), prefix #member, edge, 1 \
    }

static const struct field shared_fields[] = {
    FIELD(struct pto_scheduler_shared, "shared.", tickets, "T1"),
    FIELD(struct pto_scheduler_shared, "shared.", ended, "A1"),
    FIELD(struct pto_scheduler_shared, "shared.", abort, "A2"),
    FIELD(struct pto_scheduler_shared, "shared.", remaining, "S2"),
    FIELD(struct pto_scheduler_shared, "shared.", ready_cursor, "S3"),
};

static const struct field queue_fields[] = {
    FIELD(struct pto_ready_queue, "queue.", tail, "S4"),
    FIELD(struct pto_ready_queue, "queue.", lock, "S5"),
    FIELD(struct pto_ready_queue, "queue.", head, "S5"),
};

static const struct field handshake_fields[] = {
    FIELD(struct pto_handshake, "", dispatch.queued, "D1"),
    FIELD(struct pto_handshake, "", dispatch.command, "Q1"),
    ARRAY(struct pto_handshake, "", dispatch.ring, "D1"),
    FIELD(struct pto_handshake, "", core.completed, "C1"),
    FIELD(struct pto_handshake, "", core.state, "C2"),
    FIELD(struct pto_handshake, "", core.fail_kind, "C2"),
    FIELD(struct pto_handshake, "", core.fail_code, "C2"),
    FIELD(struct pto_handshake, "", core.core_type, "C2"),
    FIELD(struct pto_handshake, "", core.physical_id, "C2"),
    FIELD(struct pto_handshake, "", core.last_task, "C1"),
    FIELD(struct pto_handshake, "", note.queued, "H1"),
    FIELD(struct pto_handshake, "", note.retired, "H1"),
    FIELD(struct pto_handshake, "", note.published, "H1"),
};

static const struct field block_fields[] = {
    FIELD(struct pto_explore_block, "", launch, "H1"),
    FIELD(struct pto_explore_block, "", args, "H1"),
    FIELD(struct pto_explore_block, "", control, "X1"),
    FIELD(struct pto_explore_block, "", report, "R1"),
};

static const struct field *find(const struct field *fields, size_t count, uint64_t offset)
{
    for (size_t i = 0; i < count; i++) {
        if (offset - fields[i].offset < fields[i].size_bytes) {
            return &fields[i];
        }
    }
    return NULL;
}

#define COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

static const char *name_field(const struct field *field, uint64_t offset, const char *owner,
                              uint64_t index, char *text, size_t size)
{
    char suffix[48] = "";
    if (owner != NULL) {
        snprintf(suffix, sizeof(suffix), " of %s %llu", owner, (unsigned long long)index);
    }
    if (field == NULL) {
        snprintf(text, size, "a reserved word%s", suffix);
        return "H1";
    }
    if (field->is_array) {
        snprintf(text, size, "%s[%llu]%s", field->name,
                 (unsigned long long)(offset - field->offset) / 4, suffix);
    } else {
        snprintf(text, size, "%s%s", field->name, suffix);
    }
    return field->edge;
}

static const char *name_in_block(uint64_t offset, char *text, size_t size)
{
    const uint64_t handshakes = offsetof(struct pto_explore_block, handshakes);
    const uint64_t queues = offsetof(struct pto_explore_block, queues);
    const uint64_t shared = offsetof(struct pto_explore_block, shared);
    if (offset >= handshakes) {
        uint64_t within = (offset - handshakes) % sizeof(struct pto_handshake);
        return name_field(find(handshake_fields, COUNT(handshake_fields), within), within, "core",
                          (offset - handshakes) / sizeof(struct pto_handshake), text, size);
    }
    if (offset >= queues) {
        uint64_t within = (offset - queues) % sizeof(struct pto_ready_queue);
        return name_field(find(queue_fields, COUNT(queue_fields), within), within, "scheduler",
                          (offset - queues) / sizeof(struct pto_ready_queue), text, size);
    }
    if (offset >= shared) {
        uint64_t within = offset - shared;
        return name_field(find(shared_fields, COUNT(shared_fields), within), within, NULL, 0, text,
                          size);
    }
    const struct field *field = find(block_fields, COUNT(block_fields), offset);
    if (field == NULL) {
        snprintf(text, size, "a word of the launch block");
        return "H1";
    }
    snprintf(text, size, "byte %llu of %s", (unsigned long long)(offset - field->offset),
             field->name);
    return field->edge;
}

const char *pto__name_word(const struct pto_model *model, uint32_t line, uint32_t word, char *text,
                           size_t size)
{
    const struct pto_model_line *it = &model->lines[line];
    if (it->address == 0) {
        snprintf(text, size, "the result of task %u", (unsigned)pto__task_name(model, it->task));
        return "C1";
    }
    uint64_t address = it->address + (uint64_t)word * 4;
    uint64_t block = (uint64_t)(uintptr_t)model->block;
    uint64_t block_bytes =
        sizeof(*model->block) + model->core_count * sizeof(model->block->handshakes[0]);
    const struct pto_explore_run *run = model->run;
    if (address - block < block_bytes) {
        return name_in_block(address - block, text, size);
    }
    if (address - run->image < model->image->size_bytes) {
        uint64_t offset = address - run->image;
        uint64_t records = model->image->record_offset;
        if (offset - records < run->task_count * sizeof(struct pto_task_record)) {
            uint32_t task = (uint32_t)((offset - records) / sizeof(struct pto_task_record));
            snprintf(text, size, "the record of task %u", (unsigned)pto__task_name(model, task));
        } else {
            snprintf(text, size, "byte %llu of the graph image", (unsigned long long)offset);
        }
        return "H1";
    }
    if (address - run->pending < (uint64_t)run->task_count * 4) {
        uint32_t task = (uint32_t)((address - run->pending) / 4);
        snprintf(text, size, "the pending count of task %u", (unsigned)pto__task_name(model, task));
        return "S1";
    }
    uint64_t places = (uint64_t)run->task_count * run->scheduler_count;
    if (address - run->ready < places * 4) {
        uint64_t place = (address - run->ready) / 4;
        snprintf(text, size, "place %llu of the ready queue of scheduler %llu",
                 (unsigned long long)(place % run->task_count),
                 (unsigned long long)(place / run->task_count));
        return "S4";
    }
    snprintf(text, size, "device memory");
    return "H1";
}

void pto__name_user(const struct pto_model *model, uint32_t task, uint64_t address, char *text,
                    size_t size)
{
    uint32_t count = 0;
    uint32_t nearest = UINT32_MAX;
    const uint64_t *args = NULL;
    if (task < model->run->task_count) {
        args = pto__task_args(model, task, &count);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (args[i] <= address && pto__arena_holds(model->arena, args[i]) &&
            (nearest == UINT32_MAX || args[i] > args[nearest])) {
            nearest = i;
        }
    }
    if (nearest == UINT32_MAX) {
        snprintf(text, size, "device memory");
        return;
    }
    snprintf(text, size, "byte %llu from argument %u of task %u",
             (unsigned long long)(address - args[nearest]), (unsigned)nearest,
             (unsigned)pto__task_name(model, task));
}
