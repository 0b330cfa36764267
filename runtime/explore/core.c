// SPDX-License-Identifier: Apache-2.0
// The AICore's side of the model: a cache of whole lines that sees nothing of what others write.
// A cache operation takes effect at the next barrier, or at any time before it.
#include <string.h>

#include "explore/model.h"

static void list(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                 struct pto_model_copy *copy)
{
    if (copy->listed) {
        return;
    }
    uint32_t *filled = pto__grow(model, agent->filled, &agent->filled_capacity,
                                 agent->filled_count + 1, sizeof(*filled));
    if (filled != NULL) {
        agent->filled = filled;
        agent->filled[agent->filled_count++] = line;
        copy->listed = true;
    }
}

// Until the cache was flushed, a line may be there from before the launch.
static void load_line(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                      struct pto_model_copy *copy)
{
    bool old = !copy->known && !agent->flushed && model->start_poisoned &&
               pto__chance(model, PTO_DECIDE_OLD, agent->id, 1);
    if (old) {
        memset(copy->held, 0, sizeof(copy->held)); // PTO_VERSION_OLD
    } else {
        memcpy(copy->held, model->lines[line].memory, sizeof(copy->held));
    }
    copy->valid = true;
    copy->known = true;
    copy->dirty = 0;
    list(model, agent, line, copy);
}

static inline struct pto_model_copy *fill(struct pto_model *model, struct pto_model_agent *agent,
                                          uint32_t line)
{
    struct pto_model_copy *copy = pto__copy(model, line, agent);
    if (!copy->valid) {
        load_line(model, agent, line, copy);
    }
    return copy;
}

uint32_t pto__core_seen(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                        uint32_t word)
{
    return fill(model, agent, line)->held[word];
}

void pto__core_put(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                   uint32_t word, uint32_t version)
{
    struct pto_model_copy *copy = fill(model, agent, line);
    copy->held[word] = version;
    copy->dirty |= 1u << word;
}

// A write-back emits the whole line. Words that this core never wrote go back as they were when the
// line was filled, over whatever others have written since.
static void write_back(struct pto_model *model, struct pto_model_agent *agent, uint32_t line)
{
    struct pto_model_copy *copy = pto__copy(model, line, agent);
    if (!copy->valid) {
        return;
    }
    uint32_t dirty = copy->dirty;
    copy->valid = false;
    if (dirty == 0) {
        return;
    }
    copy->dirty = 0;
    const uint32_t *memory = model->lines[line].memory;
    for (uint32_t word = 0; word < PTO_MODEL_WORDS; word++) {
        uint32_t before = memory[word];
        if (copy->held[word] == before) {
            continue;
        }
        if (copy->held[word] < before && (dirty >> word & 1) == 0) {
            pto__violate(model, &(struct pto_explore_finding){
                                    .kind = PTO_FINDING_OVERWRITTEN,
                                    .agent = agent->id,
                                    .other = model->writes[before].agent,
                                    .site = agent->site,
                                    .other_site = model->writes[before].site,
                                    .line = line,
                                    .word = word,
                                    .advice = "no line may have two writers",
                                });
        }
        pto__memory_put(model, line, word, copy->held[word]);
    }
}

static void flush(struct pto_model *model, struct pto_model_agent *agent)
{
    for (uint32_t i = 0; i < agent->filled_count; i++) {
        write_back(model, agent, agent->filled[i]);
        pto__copy(model, agent->filled[i], agent)->listed = false;
    }
    agent->filled_count = 0;
    agent->flushed = true;
}

static void complete(struct pto_model *model, struct pto_model_agent *agent, uint32_t place)
{
    uint32_t line = agent->pending[place].line;
    uint32_t kind = agent->pending[place].kind;
    agent->pending_count--;
    agent->pending[place] = agent->pending[agent->pending_count];
    struct pto_model_copy *copy;
    switch (kind) {
    case PTO_PENDING_INVALIDATE:
        // What the core wrote into the line and did not write back is lost, as on the device.
        copy = pto__copy(model, line, agent);
        copy->valid = false;
        copy->known = true;
        copy->dirty = 0;
        break;
    case PTO_PENDING_WRITE:
        write_back(model, agent, line);
        pto__copy(model, line, agent)->known = true;
        break;
    default: flush(model, agent); break;
    }
}

void pto__core_queue(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                     enum pto_pending_kind kind)
{
    if (agent->pending_count == PTO_MODEL_PENDING_DEPTH) {
        pto__core_complete_one(model, agent);
    }
    agent->pending[agent->pending_count].line = line;
    agent->pending[agent->pending_count].kind = kind;
    agent->pending_count++;
}

// Operations complete in any order, and one on the whole cache line by line.
void pto__core_complete_one(struct pto_model *model, struct pto_model_agent *agent)
{
    if (agent->pending_count == 0) {
        return;
    }
    uint32_t place = pto__pick(model, agent, agent->pending_count);
    if (agent->pending[place].kind == PTO_PENDING_FLUSH &&
        pto__chance(model, PTO_DECIDE_PICK, agent->id, 1)) {
        pto__core_evict(model, agent);
        return;
    }
    complete(model, agent, place);
}

void pto__core_settle(struct pto_model *model, struct pto_model_agent *agent)
{
    while (agent->pending_count != 0) {
        complete(model, agent, 0);
    }
}

// Others go on while the core waits, and see what is complete already.
void pto__core_barrier(struct pto_model *model, struct pto_model_agent *agent)
{
    while (agent->pending_count > 1) {
        pto__core_complete_one(model, agent);
        pto__point(model);
    }
    pto__core_settle(model, agent);
}

void pto__core_evict(struct pto_model *model, struct pto_model_agent *agent)
{
    if (agent->filled_count != 0) {
        uint32_t place = pto__pick(model, agent, agent->filled_count);
        write_back(model, agent, agent->filled[place]);
    }
}
