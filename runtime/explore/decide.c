// SPDX-License-Identifier: Apache-2.0
// A schedule as a list of what happened in it otherwise than by default.
//
// By default the agent that runs goes on until it waits for something, and then the next one in
// turn; nothing leaves a buffer or a cache before it must; whatever leaves first is the oldest; and
// no line is old. A decision is told apart by its kind, the agent that it is about, and how many of
// the kind that agent has had: so one can be taken out and the others still mean something.
#include <stdlib.h>

#include "explore/layout.h"

static int by_place(const void *left, const void *right)
{
    const struct pto_decision *a = *(struct pto_decision *const *)left;
    const struct pto_decision *b = *(struct pto_decision *const *)right;
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->agent != b->agent) {
        return a->agent < b->agent ? -1 : 1;
    }
    return a->ordinal < b->ordinal ? -1 : a->ordinal > b->ordinal;
}

bool pto__decisions_begin(struct pto_model *model)
{
    struct pto_script *script = model->run->script;
    model->script = script;
    if (script == NULL) {
        return true;
    }
    for (uint32_t i = 0; i < model->agent_count; i++) {
        for (uint32_t kind = 0; kind < PTO_DECIDE_COUNT; kind++) {
            model->agents[i].decided[kind] = 0;
        }
    }
    if (!script->replays) {
        script->count = 0;
        return true;
    }
    struct pto_decision **sorted = pto__grow(model, model->sorted, &model->sorted_capacity,
                                             script->count + 1, sizeof(struct pto_decision *));
    if (sorted == NULL) {
        return false;
    }
    model->sorted = sorted;
    for (uint32_t i = 0; i < script->count; i++) {
        script->decisions[i].used = false;
        sorted[i] = &script->decisions[i];
    }
    qsort(sorted, script->count, sizeof(struct pto_decision *), by_place);
    return true;
}

static uint32_t look_up(const struct pto_model *model, struct pto_decision wanted)
{
    const struct pto_decision *key = &wanted;
    struct pto_decision *const *found =
        bsearch(&key, model->sorted, model->script->count, sizeof(struct pto_decision *), by_place);
    if (found == NULL) {
        return 0;
    }
    (*found)->used = true;
    return (*found)->value;
}

static uint32_t decide(struct pto_model *model, enum pto_decision_kind kind, uint32_t agent,
                       uint32_t value)
{
    struct pto_script *script = model->script;
    struct pto_decision decision = {.kind = kind,
                                    .agent = agent,
                                    .ordinal = model->agents[agent].decided[kind]++,
                                    .value = value};
    if (script->replays) {
        return look_up(model, decision);
    }
    if (value != 0) {
        struct pto_decision *decisions = pto__grow(model, script->decisions, &script->capacity,
                                                   script->count + 1, sizeof(*script->decisions));
        if (decisions != NULL) {
            script->decisions = decisions;
            decisions[script->count++] = decision;
        }
    }
    return value;
}

uint32_t pto__decide_pick(struct pto_model *model, enum pto_decision_kind kind, uint32_t agent,
                          uint32_t bound)
{
    bool replays = model->script->replays;
    uint32_t value = replays ? 0 : pto__random_below(&model->random, bound);
    value = decide(model, kind, agent, value);
    return value < bound ? value : 0;
}

bool pto__decide_chance(struct pto_model *model, enum pto_decision_kind kind, uint32_t agent,
                        uint32_t mask)
{
    bool replays = model->script->replays;
    return decide(model, kind, agent, !replays && (pto__random_next(&model->random) & mask) == 0) !=
           0;
}

uint32_t pto__decide_agent(struct pto_model *model, enum pto_decision_kind kind, uint64_t possible,
                           uint32_t by_default, uint32_t chosen)
{
    bool counts = chosen != by_default && chosen != PTO_NO_AGENT && (possible >> chosen & 1) != 0;
    uint32_t natural = counts ? chosen + 1 : 0;
    uint32_t value = decide(model, kind, model->current, natural);
    return value != 0 && value <= model->agent_count && (possible >> (value - 1) & 1) != 0
               ? value - 1
               : by_default;
}
