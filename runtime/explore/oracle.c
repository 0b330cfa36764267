// SPDX-License-Identifier: Apache-2.0
// What is wrong, by version and by order rather than by value.
//
// A read is right when it sees the newest version that is ordered before it. A plain read must also
// find every version of the word ordered before it: nobody writes while it looks. A flag, which is
// how order is made in the first place, may see an older version than the latest, or none yet.
#include <string.h>

#include "explore/layout.h"

static PTO_COLD struct pto_explore_finding describe(const struct pto_model *model,
                                                    const struct pto_model_agent *agent,
                                                    enum pto_finding_kind kind, uint32_t line,
                                                    uint32_t word, uint32_t version)
{
    return (struct pto_explore_finding){
        .kind = kind,
        .agent = agent->id,
        .other = model->writes[version].agent,
        .site = agent->site,
        .other_site = model->writes[version].site,
        .line = line,
        .word = word,
        .task = agent->task,
        .other_task = model->writes[version].task,
    };
}

// Whose fault it is that `agent` saw less than `newest`.
static const char *stale_advice(const struct pto_model *model, const struct pto_model_agent *agent,
                                uint32_t line, uint32_t word, uint32_t newest)
{
    const struct pto_model_line *it = &model->lines[line];
    uint32_t writer = model->writes[newest].agent;
    if (writer == agent->id) {
        return "its own write was lost: the line was invalidated before it was written back";
    }
    if (it->memory[word] >= newest) {
        return agent->is_core
                   ? "the reader's cache holds the line since before: it must invalidate it, and "
                     "wait for that at a barrier"
                   : "the AICPU's cache holds the line since before the host's DMA: "
                     "pto_cpu_refresh";
    }
    if (writer == PTO_AGENT_HOST) {
        return "an old line was written over the host's";
    }
    return model->agents[writer].is_core
               ? "the writer's cache still holds it: it must be written back, and that waited for "
                 "at a barrier, before the flag is published"
               : "it is still in the writer's store buffer: pto_cpu_publish";
}

void pto__check_old_read(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                         uint32_t word, uint32_t seen, enum pto_read_kind kind)
{
    uint32_t newest = model->lines[line].latest[word];
    if (kind == PTO_READ_PLAIN && !pto__is_ordered(model, agent, newest)) {
        struct pto_explore_finding finding =
            describe(model, agent, PTO_FINDING_UNORDERED, line, word, newest);
        finding.advice = "the read must come after a flag that orders it behind the write";
        pto__violate(model, &finding);
        return;
    }
    while (!pto__is_ordered(model, agent, newest)) {
        newest = model->writes[newest].previous;
    }
    if (seen < newest) {
        struct pto_explore_finding finding =
            describe(model, agent, PTO_FINDING_STALE, line, word, newest);
        finding.advice = stale_advice(model, agent, line, word, newest);
        pto__violate(model, &finding);
        return;
    }
    if (newest == PTO_VERSION_OLD) {
        struct pto_explore_finding finding =
            describe(model, agent, PTO_FINDING_UNWRITTEN, line, word, newest);
        finding.advice = "nothing wrote this word before it was read";
        pto__violate(model, &finding);
        return;
    }
    if (kind == PTO_READ_PLAIN) {
        pto__note_read(&model->lines[line], agent, word);
    }
}

// A write must come after the write before it, and after every plain read of what it replaces.
static void check_write(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                        uint32_t word)
{
    struct pto_model_line *it = &model->lines[line];
    if (!pto__is_ordered(model, agent, it->latest[word])) {
        struct pto_explore_finding finding =
            describe(model, agent, PTO_FINDING_UNORDERED, line, word, it->latest[word]);
        finding.advice = "two agents write the word, and nothing says who comes first";
        pto__violate(model, &finding);
        return;
    }
    for (uint32_t readers = it->readers >> 2 * word & 3, i = 0; readers >> i != 0; i++) {
        const struct pto_model_read *read = &it->reads[word][i];
        if ((readers >> i & 1) != 0 && read->agent != agent->id &&
            agent->clock[read->agent] < read->clock) {
            pto__violate(model, &(struct pto_explore_finding){
                                    .kind = PTO_FINDING_UNORDERED,
                                    .agent = agent->id,
                                    .other = read->agent,
                                    .site = agent->site,
                                    .other_site = read->site,
                                    .line = line,
                                    .word = word,
                                    .task = agent->task,
                                    .other_task = read->task,
                                    .advice = "the word is written again before its reader has "
                                              "said that it was read",
                                });
            return;
        }
    }
}

// A core's line must not be another agent's as well, or one write-back undoes the other.
static void check_sharing(struct pto_model *model, struct pto_model_agent *agent, uint32_t line)
{
    for (uint32_t word = 0; word < PTO_MODEL_WORDS; word++) {
        uint32_t version = model->lines[line].latest[word];
        if (!pto__is_ordered(model, agent, version)) {
            struct pto_explore_finding finding =
                describe(model, agent, PTO_FINDING_SHARED_LINE, line, word, version);
            finding.advice = "the two fields need lines of their own";
            pto__violate(model, &finding);
            return;
        }
    }
}

uint32_t pto__write(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                    uint32_t word, uint32_t value, bool release, bool modifies)
{
    if (!modifies) {
        check_write(model, agent, line, word);
    }
    uint32_t *only = &model->lines[line].only_writer;
    if (agent->is_core && *only != agent->id && *only != PTO_AGENT_HOST) {
        check_sharing(model, agent, line);
    }
    *only = *only == PTO_AGENT_HOST || *only == agent->id ? agent->id : UINT32_MAX;
    struct pto_model_write *writes = pto__grow(model, model->writes, &model->write_capacity,
                                               model->write_count + 1, sizeof(*model->writes));
    model->writes = writes;
    uint32_t version = model->write_count++;
    struct pto_model_line *it = &model->lines[line];
    writes[version] = (struct pto_model_write){
        .value = value,
        .previous = it->latest[word],
        .clock = agent->clock[agent->id],
        .agent = agent->id,
        .task = agent->task,
        .site = agent->site,
    };
    if (release) {
        uint32_t *pool = pto__grow(model, model->clock_pool, &model->clock_capacity,
                                   model->clock_count + model->agent_count, sizeof(*pool));
        model->clock_pool = pool;
        memcpy(&pool[model->clock_count], agent->clock, model->agent_count * sizeof(*pool));
        writes[version].clocks = model->clock_count;
        model->clock_count += model->agent_count;
        agent->clock[agent->id]++;
    }
    it->latest[word] = version;
    it->readers &= ~(3u << 2 * word);
    return version;
}

void pto__take_over(struct pto_model *model, struct pto_model_agent *agent, uint32_t version)
{
    uint32_t clocks = model->writes[version].clocks;
    if (clocks == 0) {
        return;
    }
    for (uint32_t i = 0; i < model->agent_count; i++) {
        if (model->clock_pool[clocks + i] > agent->clock[i]) {
            agent->clock[i] = model->clock_pool[clocks + i];
        }
    }
}

// The host reads by DMA, which sees memory alone; and it may write any line next, which a dirty one
// in a cache would later be put over.
void pto__check_end(struct pto_model *model)
{
    for (uint32_t line = 1; line < model->line_count; line++) {
        const struct pto_model_line *it = &model->lines[line];
        uint32_t holder = UINT32_MAX;
        uint32_t dirty_word = 0;
        for (uint32_t word = 0; it->cpu_dirty && word < PTO_MODEL_WORDS; word++) {
            if (it->latest[word] > PTO_VERSION_HOST) {
                dirty_word = word;
                holder = model->writes[it->latest[word]].agent;
            }
        }
        for (uint32_t core = 0; core < model->core_count; core++) {
            const struct pto_model_copy *copy =
                &model->copies[(uint64_t)line * model->core_count + core];
            if (copy->valid && copy->dirty != 0 &&
                model->agents[model->scheduler_count + core].state != PTO_AGENT_HUNG) {
                dirty_word = (uint32_t)__builtin_ctz(copy->dirty);
                holder = model->scheduler_count + core;
            }
        }
        if (holder == UINT32_MAX || holder == PTO_AGENT_HOST) {
            continue;
        }
        uint32_t version = it->latest[dirty_word];
        pto__violate(model, &(struct pto_explore_finding){
                                .kind = PTO_FINDING_NOT_WRITTEN_BACK,
                                .agent = holder,
                                .other = PTO_AGENT_HOST,
                                .site = model->writes[version].site,
                                .line = line,
                                .word = dirty_word,
                                .task = it->task,
                                .advice = "the host's DMA does not see the line, and what the host "
                                          "writes there next can be overwritten by it later",
                            });
        return;
    }
}
