// SPDX-License-Identifier: Apache-2.0
// Who goes on. Also the device's own doings between two points: buffers drain, cache operations
// complete, lines are evicted.
#include "explore/layout.h"

#define PREEMPTION_MAX 2u

// A choice of the exhaustive search: as the last schedule had it up to the one that differs.
static uint32_t search_choice(struct pto_model *model, uint32_t count)
{
    struct pto_model_scheduling *it = &model->scheduling;
    if (count == 1) {
        return 0;
    }
    if (it->choice_index == it->choice_count) {
        struct pto_choice *choices = pto__grow(model, it->choices, &it->choice_capacity,
                                               it->choice_count + 1, sizeof(*it->choices));
        if (choices == NULL) {
            return 0;
        }
        it->choices = choices;
        it->choices[it->choice_count++] = (struct pto_choice){.count = count, .taken = 0};
    }
    return it->choices[it->choice_index++].taken;
}

// Moves the search to its next schedule. false: there is none.
static bool search_advance(struct pto_model_scheduling *it)
{
    while (it->choice_count != 0) {
        struct pto_choice *last = &it->choices[it->choice_count - 1];
        if (++last->taken < last->count) {
            return true;
        }
        it->choice_count--;
    }
    return false;
}

static void choose_rates(struct pto_model *model)
{
    static const uint32_t drains[] = {1, 3, 7, 31};
    static const uint32_t evictions[] = {UINT32_MAX, UINT32_MAX, 127, 31};
    bool paranoid = model->run->profile == PTO_PROFILE_PARANOID;
    model->drain_mask = drains[pto__random_below(&model->random, 4)];
    model->evict_mask = paranoid ? 15 : evictions[pto__random_below(&model->random, 4)];
    model->start_poisoned = true;
}

void pto__choose_begin(struct pto_model *model)
{
    static const enum pto_explore_policy mix[] = {PTO_POLICY_UNIFORM, PTO_POLICY_UNIFORM,
                                                  PTO_POLICY_UNIFORM, PTO_POLICY_PCT,
                                                  PTO_POLICY_PCT,     PTO_POLICY_ROUND_ROBIN};
    struct pto_model_scheduling *it = &model->scheduling;
    pto__random_seed(&model->random, model->run->seed);
    model->next_event = model->run->hasty_clock         ? 0
                        : model->run->stop_at_step != 0 ? model->run->stop_at_step
                                                        : model->step_limit;
    model->host_dma_unseen = model->run->profile != PTO_PROFILE_A5;
    model->yield_always = model->run->profile == PTO_PROFILE_PARANOID;
    uint32_t drawn = pto__random_below(&model->random, 6);
    it->policy = model->run->policy == PTO_POLICY_MIXED ? mix[drawn] : model->run->policy;
    choose_rates(model);
    it->change_count = 1 + pto__random_below(&model->random, 3); // d = 2 to 4
    uint32_t expected = 40 * model->agent_count + 24 * model->run->task_count;
    for (uint32_t i = 0; i < it->change_count; i++) {
        it->change_points[i] = pto__random_below(&model->random, expected);
    }
    it->lowest_priority = 1000;
    it->slice = 1;
    for (uint32_t i = 0; i < model->agent_count; i++) {
        model->agents[i].priority = 2000 + pto__random_below(&model->random, 1000000);
    }
    it->preemptions = 0;
    it->choice_index = 0;
    if (it->policy == PTO_POLICY_EXHAUSTIVE) {
        // The device's own doings are part of the search: at once or as late as can be.
        pto__random_seed(&model->random, 1);
        model->evict_mask = UINT32_MAX;
        model->drain_mask = search_choice(model, 2) == 0 ? UINT32_MAX : 0;
        model->start_poisoned = search_choice(model, 2) != 0;
    }
}

static uint32_t random_runnable(struct pto_model *model)
{
    uint64_t left = model->runnable;
    if ((left & (left + 1)) == 0) { // the first of the agents, none left out
        return pto__random_below(&model->random, (uint32_t)__builtin_ctzll(left + 1));
    }
    uint32_t count = 0;
    for (; left != 0; left &= left - 1) {
        count++;
    }
    left = model->runnable;
    for (uint32_t n = pto__random_below(&model->random, count); n != 0; n--) {
        left &= left - 1;
    }
    return (uint32_t)__builtin_ctzll(left);
}

static uint32_t highest_priority(const struct pto_model *model)
{
    uint32_t best = (uint32_t)__builtin_ctzll(model->runnable);
    for (uint64_t left = model->runnable & (model->runnable - 1); left != 0; left &= left - 1) {
        uint32_t agent = (uint32_t)__builtin_ctzll(left);
        if (model->agents[agent].priority > model->agents[best].priority) {
            best = agent;
        }
    }
    return best;
}

static uint32_t next_in_turn(struct pto_model *model)
{
    struct pto_model_scheduling *it = &model->scheduling;
    bool can_stay = (model->runnable >> model->current & 1) != 0;
    if (can_stay && --it->slice != 0) {
        return model->current;
    }
    it->slice = 1 + (model->step & 3);
    uint64_t above = model->runnable & ~((UINT64_C(2) << model->current) - 1);
    return (uint32_t)__builtin_ctzll(above != 0 ? above : model->runnable);
}

// The current agent goes on unless the search spends one of its few preemptions here.
static uint32_t next_in_search(struct pto_model *model)
{
    struct pto_model_scheduling *it = &model->scheduling;
    bool can_stay = (model->runnable >> model->current & 1) != 0;
    uint32_t count = (uint32_t)__builtin_popcountll(model->runnable);
    if (can_stay && it->preemptions == PREEMPTION_MAX) {
        return model->current;
    }
    uint32_t taken = search_choice(model, count);
    uint32_t first = can_stay ? model->current : (uint32_t)__builtin_ctzll(model->runnable);
    if (taken == 0) {
        return first;
    }
    it->preemptions += can_stay;
    uint64_t others = model->runnable & ~(UINT64_C(1) << first);
    while (--taken != 0) {
        others &= others - 1;
    }
    return (uint32_t)__builtin_ctzll(others);
}

static uint32_t next_by_policy(struct pto_model *model)
{
    struct pto_model_scheduling *it = &model->scheduling;
    switch (it->policy) {
    case PTO_POLICY_PCT:
        for (uint32_t i = 0; i < it->change_count; i++) {
            if (model->step == it->change_points[i]) {
                pto__current(model)->priority = it->lowest_priority--;
            }
        }
        return highest_priority(model);
    case PTO_POLICY_ROUND_ROBIN: return next_in_turn(model);
    case PTO_POLICY_EXHAUSTIVE: return next_in_search(model);
    default: return random_runnable(model);
    }
}

// By default the current agent goes on, else the next one in turn that can.
static PTO_COLD uint32_t next_by_script(struct pto_model *model)
{
    uint64_t above = model->runnable & ~((UINT64_C(1) << model->current) - 1);
    uint32_t by_default = (uint32_t)__builtin_ctzll(above != 0 ? above : model->runnable);
    uint32_t chosen = model->script->replays ? PTO_NO_AGENT : next_by_policy(model);
    return pto__decide_agent(model, PTO_DECIDE_NEXT, model->runnable, by_default, chosen);
}

static inline uint32_t next_agent(struct pto_model *model)
{
    return model->script != NULL ? next_by_script(model) : next_by_policy(model);
}

static void drain(struct pto_model *model, struct pto_model_agent *agent)
{
    if (agent->is_core) {
        pto__core_complete_one(model, agent);
    } else {
        pto__cpu_drain_one(model, agent);
    }
}

// As below, by the script or into it.
static PTO_COLD void background_by_script(struct pto_model *model)
{
    bool draws = !model->script->replays;
    uint32_t drawn = draws ? pto__random_next(&model->random) : 0;
    uint64_t possible = 0;
    uint32_t chosen = PTO_NO_AGENT;
    for (uint32_t i = 0; i < model->agent_count; i++) {
        const struct pto_model_agent *agent = &model->agents[i];
        possible |= (uint64_t)(agent->buffer_count + agent->pending_count != 0) << i;
    }
    if (draws && model->drain_mask != UINT32_MAX && (drawn & model->drain_mask) == 0) {
        chosen = pto__random_below(&model->random, model->agent_count);
    }
    chosen = pto__decide_agent(model, PTO_DECIDE_DRAIN, possible, PTO_NO_AGENT, chosen);
    if (chosen != PTO_NO_AGENT) {
        drain(model, &model->agents[chosen]);
    }
    possible = 0;
    chosen = PTO_NO_AGENT;
    for (uint32_t i = 0; i < model->agent_count; i++) {
        possible |= (uint64_t)(model->agents[i].filled_count != 0) << i;
    }
    if (draws && model->evict_mask != UINT32_MAX && (drawn >> 16 & model->evict_mask) == 0) {
        chosen = model->scheduler_count + pto__random_below(&model->random, model->core_count);
    }
    chosen = pto__decide_agent(model, PTO_DECIDE_EVICT, possible, PTO_NO_AGENT, chosen);
    if (chosen != PTO_NO_AGENT) {
        pto__core_evict(model, &model->agents[chosen]);
    }
}

static void background(struct pto_model *model)
{
    if (model->script != NULL) {
        background_by_script(model);
        return;
    }
    uint32_t drawn = pto__random_next(&model->random);
    if (model->drain_mask != UINT32_MAX && (drawn & model->drain_mask) == 0) {
        drain(model, &model->agents[pto__random_below(&model->random, model->agent_count)]);
    }
    if (model->evict_mask != UINT32_MAX && (drawn >> 16 & model->evict_mask) == 0) {
        uint32_t core = pto__random_below(&model->random, model->core_count);
        pto__core_evict(model, &model->agents[model->scheduler_count + core]);
    }
}

// The host's request arrives by DMA: memory has it, the AICPU's cached copy does not.
static void request_stop(struct pto_model *model)
{
    uint32_t line = pto__line_at(model, &model->block->control.stop);
    uint32_t word = pto__word_at(&model->block->control.stop);
    struct pto_model_write *writes = pto__grow(model, model->writes, &model->write_capacity,
                                               model->write_count + 1, sizeof(*model->writes));
    model->writes = writes;
    uint32_t version = model->write_count++;
    struct pto_model_line *it = &model->lines[line];
    writes[version] =
        (struct pto_model_write){.value = 1, .previous = it->latest[word], .agent = PTO_AGENT_HOST};
    if (model->host_dma_unseen && it->cpu_view == PTO_CPU_COHERENT) {
        it->cpu_view = PTO_CPU_STALE;
        for (uint32_t i = 0; i < PTO_MODEL_WORDS; i++) {
            it->cpu_held[i] = it->memory[i];
        }
    }
    it->latest[word] = version;
    pto__memory_put(model, line, word, version);
    model->stopped = true;
}

static void switch_to(struct pto_model *model, uint32_t next)
{
    struct pto_model_agent *from = pto__current(model);
    struct pto_model_agent *to = &model->agents[next];
    model->current = next;
    model->agent = to;
    if (from != to) {
        pto__coroutine_switch(&from->coroutine, &to->coroutine);
    }
}

void pto__stop(struct pto_model *model)
{
    struct pto_model_agent *from = pto__current(model);
    model->running = false;
    pto__coroutine_switch(&from->coroutine, &model->main);
}

// What comes with certain steps, and the end of them.
static PTO_COLD void step_event(struct pto_model *model)
{
    if (model->step >= model->step_limit) {
        pto__violate(model, &(struct pto_explore_finding){
                                .kind = PTO_FINDING_ENDLESS,
                                .agent = model->current,
                                .other = PTO_AGENT_HOST,
                                .site = pto__current(model)->site,
                                .task = PTO_NO_TASK,
                                .advice = "agents go on without getting further",
                            });
    }
    if (model->run->stop_at_step != 0 && !model->stopped &&
        model->step >= model->run->stop_at_step) {
        request_stop(model);
    }
    if (model->run->hasty_clock && pto__chance(model, PTO_DECIDE_CLOCK, model->current, 63)) {
        model->clock_ns += model->run->timeout_ns / 2;
    }
}

static inline void count_step(struct pto_model *model)
{
    if (++model->step >= model->next_event) {
        step_event(model);
    }
}

void pto__point(struct pto_model *model)
{
    count_step(model);
    background(model);
    switch_to(model, next_agent(model));
}

void pto__wake(struct pto_model *model, uint64_t agents)
{
    for (uint64_t left = agents & ~model->runnable; left != 0; left &= left - 1) {
        struct pto_model_agent *agent = &model->agents[__builtin_ctzll(left)];
        if (agent->state == PTO_AGENT_PARKED) {
            agent->state = PTO_AGENT_RUNNING;
            model->runnable |= UINT64_C(1) << agent->id;
        }
    }
}

// Nobody can go on: whatever is on its way arrives now. Time passes only when that is not enough
// and a task hangs, which is what deadlines are for.
static void settle(struct pto_model *model)
{
    for (uint32_t i = 0; i < model->agent_count; i++) {
        struct pto_model_agent *agent = &model->agents[i];
        if (agent->is_core) {
            pto__core_settle(model, agent);
        } else {
            pto__cpu_drain(model, agent);
        }
    }
    if (model->runnable != 0) {
        return;
    }
    if (model->run->stop_at_step != 0 && !model->stopped) {
        request_stop(model);
    }
    bool hangs = model->run->hang_task != PTO_NO_TASK;
    if (model->runnable == 0 && hangs && model->active_schedulers != 0 &&
        model->clock_ns < 16 * model->run->timeout_ns) {
        model->clock_ns += model->run->timeout_ns / 2;
        for (uint32_t i = 0; i < model->scheduler_count; i++) {
            pto__wake(model, UINT64_C(1) << i);
        }
    }
}

static void go_on(struct pto_model *model)
{
    if (model->runnable == 0) {
        settle(model);
    }
    if (model->runnable == 0) {
        pto__report_deadlock(model);
    }
    switch_to(model, next_agent(model));
}

// An agent that saw everything as it is now, and found nothing to do, will find nothing again. One
// that saw something older gets more tries; when they change nothing it is stuck all the same.
void pto__park(struct pto_model *model)
{
    struct pto_model_agent *agent = pto__current(model);
    bool same = agent->poll_count < PTO_MODEL_POLL_MAX;
    for (uint32_t i = 0; same && i < agent->poll_count; i++) {
        same = model->lines[agent->polls[i].line].changes == agent->polls[i].changes;
    }
    agent->idle_count++;
    bool stuck = same && (!agent->saw_old || agent->idle_count >= 16);
    if (!same) {
        agent->idle_count = 0;
    }
    if (stuck) {
        for (uint32_t i = 0; i < agent->poll_count; i++) {
            model->lines[agent->polls[i].line].waiters |= UINT64_C(1) << agent->id;
        }
        agent->state = PTO_AGENT_PARKED;
        agent->idle_count = 0;
        model->runnable &= ~(UINT64_C(1) << agent->id);
        agent->poll_count = 0;
        agent->saw_old = false;
        count_step(model);
        background(model);
        go_on(model);
        return;
    }
    agent->poll_count = 0;
    agent->saw_old = false;
    pto__point(model);
}

// Over when every agent has left; a core whose kernel hangs is not waited for.
void pto__leave(struct pto_model *model, enum pto_agent_state state)
{
    struct pto_model_agent *agent = pto__current(model);
    agent->state = (uint8_t)state;
    model->runnable &= ~(UINT64_C(1) << agent->id);
    model->active--;
    if (!agent->is_core) {
        model->active_schedulers--;
    }
    if (model->active == 0) {
        for (uint32_t i = 0; i < model->agent_count; i++) {
            pto__cpu_drain(model, &model->agents[i]);
            pto__core_settle(model, &model->agents[i]);
        }
        pto__stop(model);
    }
    go_on(model);
}

bool pto__choose_advance(struct pto_model *model)
{
    return search_advance(&model->scheduling);
}
