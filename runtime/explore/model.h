// SPDX-License-Identifier: Apache-2.0
// The model of the device: agents, lines, versions. Insides of explore/, used on one thread.
//
// Every write of a 32-bit word makes a version: its place in one log, so a larger number is a later
// write. A line knows for each word the latest version and the one that memory holds; a core's copy
// of a line holds versions as well. Values are looked up through versions: 1 is what the host wrote
// before the launch and lies in the arena, 0 is what was there before that. The arena itself does
// not change during a launch, except by kernels' own stores.
//
// Order is kept in vector clocks. An agent's clock advances with every release; a version made by a
// release carries the clocks that its reader takes over.
#ifndef PTO_EXPLORE_MODEL_H
#define PTO_EXPLORE_MODEL_H

#include <stdbool.h>

#include "abi/explore.h"
#include "explore/arena.h"
#include "explore/coroutine.h"
#include "explore/explore.h"
#include "explore/guard.h"
#include "explore/random.h"
#include "host/program.h"

#define PTO_MODEL_WORDS (PTO_CACHE_LINE_SIZE / 4u)
#define PTO_MODEL_AGENT_MAX 48u
#define PTO_MODEL_BUFFER_DEPTH 8u
#define PTO_MODEL_PENDING_DEPTH 8u
#define PTO_MODEL_POLL_MAX 256u
#define PTO_MODEL_EARLY_MAX 24u

// What seldom happens stays out of the way of what an access does each time.
#define PTO_COLD __attribute__((cold))

// Versions that are not in the log, and the agent that wrote them.
#define PTO_VERSION_OLD 0u  // whatever was there before the host wrote
#define PTO_VERSION_HOST 1u // what the launch starts from
#define PTO_AGENT_HOST 0xffffu
#define PTO_NO_AGENT UINT32_MAX

struct pto_model_write {
    uint32_t value;
    uint32_t previous; // version of the word before
    uint32_t clock;    // of the writer, when it wrote
    uint32_t clocks;   // place in the pool of what a reader takes over; 0: nothing
    uint32_t agent;
    uint32_t arrival; // step at which memory got it
    uint32_t task;    // that the writer ran
    const struct pto_explore_site *site;
};

// A plain read of a word, kept until somebody writes it.
struct pto_model_read {
    const struct pto_explore_site *site;
    uint32_t agent;
    uint32_t clock;
    uint32_t task; // that the reader ran
};

// How the AICPU's caches, one for all its threads, see a line.
enum pto_cpu_view {
    PTO_CPU_UNKNOWN = 0, // not touched in this launch
    PTO_CPU_COHERENT = 1,
    PTO_CPU_STALE = 2, // holds what was there before the host's DMA
};

struct pto_model_line {
    uint64_t address; // in the arena; 0 for the result of a task
    uint32_t task;    // of which this is the result
    uint32_t latest[PTO_MODEL_WORDS];
    uint32_t memory[PTO_MODEL_WORDS];
    uint32_t cpu_held[PTO_MODEL_WORDS]; // while STALE
    struct pto_model_read reads[PTO_MODEL_WORDS][2];
    uint32_t readers; // bit 2 * word + i: reads[word][i] is one
    uint64_t waiters; // agents that polled it and wait for a change, one bit each
    uint32_t changes; // times memory changed
    // The one agent that wrote it in this launch; HOST: none yet, UINT32_MAX: more than one.
    uint32_t only_writer;
    uint8_t cpu_view; // enum pto_cpu_view
    bool direct;      // user memory: kernels store into the arena itself
    bool cpu_dirty;   // written by the AICPU, not written back
};

// A core's copy of a line.
struct pto_model_copy {
    uint32_t held[PTO_MODEL_WORDS];
    uint32_t dirty; // one bit for each word
    bool valid;
    bool known;  // was in this cache, or looked for, in this launch
    bool listed; // in the agent's `filled`
};

enum pto_agent_state { PTO_AGENT_RUNNING, PTO_AGENT_PARKED, PTO_AGENT_DONE, PTO_AGENT_HUNG };
enum pto_pending_kind { PTO_PENDING_INVALIDATE, PTO_PENDING_WRITE, PTO_PENDING_FLUSH };

struct pto_model_agent {
    struct pto_coroutine coroutine;
    struct pto_model *model;
    uint32_t id;    // schedulers first, then cores
    uint32_t index; // of the scheduler thread or core
    bool is_core;
    uint8_t state; // enum pto_agent_state
    uint32_t clock[PTO_MODEL_AGENT_MAX];
    uint32_t priority;
    const struct pto_explore_site *site; // where it is

    // AICPU: stores that memory has not seen, each with its pto__place.
    struct {
        uint32_t place;
        uint32_t version;
    } buffer[PTO_MODEL_BUFFER_DEPTH];
    uint32_t buffer_count;
    // Loads since its last load barrier: none of them is older than that.
    struct {
        uint32_t place;
        uint32_t version;
    } early[PTO_MODEL_EARLY_MAX];
    uint32_t early_count;
    uint32_t barrier_step;

    // AICore: cache operations that are not complete, lines in the cache.
    struct {
        uint32_t line;
        uint32_t kind;
    } pending[PTO_MODEL_PENDING_DEPTH];
    uint32_t pending_count;
    bool flushed; // nothing of an earlier launch is left in the cache
    uint32_t *filled;
    uint32_t filled_count;
    uint32_t filled_capacity;
    uint32_t task;  // that it runs, else PTO_NO_TASK
    uint32_t tasks; // it has begun
    // The block that its kernel touched last and may touch.
    uint64_t block_offset;
    uint64_t block_bytes;

    // What it has polled since it was last told that there is nothing to do.
    struct {
        uint32_t line;
        uint32_t changes;
    } polls[PTO_MODEL_POLL_MAX];
    uint32_t poll_count;
    bool saw_old; // a poll saw less than memory had
    uint32_t idle_count;
    void *state_memory; // of the worker program
    uint32_t decided[PTO_DECIDE_COUNT];
};

struct pto_model_task {
    uint32_t line; // its result, 0: none yet
    uint32_t begun;
    bool ended;
    uint32_t core;
    uint32_t predecessor_begin; // into `predecessors`
};

struct pto_choice {
    uint32_t count;
    uint32_t taken;
};

// How the next agent is chosen.
struct pto_model_scheduling {
    enum pto_explore_policy policy;
    uint32_t change_points[4]; // PCT: steps at which the running agent falls behind the others
    uint32_t change_count;
    uint32_t lowest_priority;
    uint32_t slice; // round robin: points until the next agent
    // Exhaustive search: the choices of this schedule, kept for the next one.
    struct pto_choice *choices;
    uint32_t choice_count;
    uint32_t choice_capacity;
    uint32_t choice_index;
    uint32_t preemptions;
};

struct pto_model {
    struct pto_arena *arena;
    struct pto_random random;
    const struct pto_explore_run *run;
    struct pto_explore_result *result;
    struct pto_model_scheduling scheduling;
    struct pto_coroutine main;

    // This launch's rules, from profile and seed.
    bool host_dma_unseen; // AICPU caches do not see host DMA
    bool yield_always;    // every access is a point of choice, not only those that meet others
    bool quick;           // a plain load that finds nothing to do may go the short way
    bool start_poisoned;  // caches hold lines of before the launch
    uint32_t drain_mask;  // a background event one time in mask + 1
    uint32_t evict_mask;  // an eviction one time in mask + 1; UINT32_MAX: never
    uint32_t fetch_mask;  // a line that nobody asked for comes into a cache; as above

    struct pto_model_agent *agents;
    uint32_t agent_count;
    uint32_t agent_capacity;
    uint32_t scheduler_count; // AICPU entries, which may be more than the launch asks for
    uint32_t core_count;
    uint32_t core_capacity;
    uint32_t current;
    struct pto_model_agent *agent; // the current one
    uint64_t runnable;             // one bit for each agent
    uint32_t active;               // agents that are not DONE
    uint32_t active_schedulers;
    uint32_t step;
    uint32_t step_limit;
    uint32_t next_event; // the first step at which more is to be done than to count it
    uint64_t clock_ns;
    bool running; // inside the coroutines
    bool busy;    // inside a function of the C library that must not be left
    bool stopped; // the host's stop request was made

    struct pto_model_line *lines; // [0] is not used
    uint32_t line_count;
    uint32_t line_capacity;
    struct pto_model_copy *copies; // [line * core_count + core]
    uint32_t copy_capacity;
    struct pto_model_write *writes;
    uint32_t write_count;
    uint32_t write_capacity;
    uint32_t *clock_pool;
    uint32_t clock_count;
    uint32_t clock_capacity;

    const struct pto_image_header *image;
    struct pto_model_task *tasks;
    uint32_t task_capacity;
    uint32_t *predecessors;
    uint32_t predecessor_capacity;
    const uint32_t *successors;
    const struct pto_task_record *records;
    const struct pto_kernel_table *kernels;

    int (*aicpu_entry)(void *);
    const struct pto_aicore_program *aicore;
    struct pto_explore_block *block;

    struct pto_guard *guard;         // NULL: nothing is contained
    struct pto_explore_trace *trace; // NULL: none
    struct pto_script *script;       // NULL: none
    struct pto_decision **sorted;    // its decisions, for looking up
    uint32_t sorted_capacity;
};

static inline struct pto_model_agent *pto__current(struct pto_model *model)
{
    return model->agent;
}

// lines.c
void *pto__grow_more(struct pto_model *model, void *array, uint32_t *capacity, uint32_t needed,
                     uint64_t element_bytes) PTO_COLD;

// Room for one more of something. Ends the schedule when there is none.
static inline void *pto__grow(struct pto_model *model, void *array, uint32_t *capacity,
                              uint32_t needed, uint64_t element_bytes)
{
    return needed <= *capacity ? array
                               : pto__grow_more(model, array, capacity, needed, element_bytes);
}

// decide.c, all but the first only while model->script is set
bool pto__decisions_begin(struct pto_model *model);
uint32_t pto__decide_pick(struct pto_model *model, enum pto_decision_kind kind, uint32_t agent,
                          uint32_t bound) PTO_COLD;
bool pto__decide_chance(struct pto_model *model, enum pto_decision_kind kind, uint32_t agent,
                        uint32_t mask) PTO_COLD;
// What the current agent's turn brings: `chosen`, or what the script says if that is possible.
uint32_t pto__decide_agent(struct pto_model *model, enum pto_decision_kind kind, uint64_t possible,
                           uint32_t by_default, uint32_t chosen) PTO_COLD;

// True one time in mask + 1.
static inline bool pto__chance(struct pto_model *model, enum pto_decision_kind kind, uint32_t agent,
                               uint32_t mask)
{
    return model->script != NULL ? pto__decide_chance(model, kind, agent, mask)
                                 : (pto__random_next(&model->random) & mask) == 0;
}

// One of `bound` things of an agent, in the order of their age.
static inline uint32_t pto__pick(struct pto_model *model, const struct pto_model_agent *agent,
                                 uint32_t bound)
{
    return model->script != NULL ? pto__decide_pick(model, PTO_DECIDE_PICK, agent->id, bound)
                                 : pto__random_below(&model->random, bound);
}

// A word of a line as one number.
static inline uint32_t pto__place(uint32_t line, uint32_t word)
{
    return line * PTO_MODEL_WORDS + word;
}

static inline struct pto_model_copy *pto__copy(struct pto_model *model, uint32_t line,
                                               const struct pto_model_agent *agent)
{
    return &model->copies[(uint64_t)line * model->core_count + agent->index];
}

// lines.c: the line of an address in the arena, made known when it is first touched; the line of a
// task's result. They move: an index is good for the launch, a pointer until the next call.
uint32_t pto__line_at(struct pto_model *model, const void *address);
uint32_t pto__line_of_task(struct pto_model *model, uint32_t task);
uint32_t pto__value_of_host(const struct pto_model *model, uint32_t line, uint32_t word,
                            uint32_t version);
// Begins and ends the bookkeeping of a launch. false: host memory is exhausted.
bool pto__lines_begin(struct pto_model *model);
void pto__lines_commit(struct pto_model *model);
void pto__lines_end(struct pto_model *model);

// loads.c: a plain load, and loads of what others may be writing. The second kind is never early.
struct pto_loaded {
    uint32_t value;
    uint32_t version;
};
uint64_t pto__cpu_load(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                       uint64_t size_bytes);
uint64_t pto__core_load(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                        uint64_t size_bytes);
struct pto_loaded pto__load_flag(struct pto_model *model, struct pto_model_agent *agent,
                                 const void *address);
struct pto_loaded pto__load_newest(struct pto_model *model, struct pto_model_agent *agent,
                                   const void *address);

// cpu.c and core.c: what each side's operations do to caches and buffers.
// The thread's own latest store to a word, if that has not left its buffer, else 0; and what its
// caches have.
uint32_t pto__cpu_buffered(const struct pto_model_agent *agent, uint32_t line, uint32_t word);
uint32_t pto__cpu_seen(struct pto_model *model, uint32_t line, uint32_t word);
void pto__cpu_put(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                  uint32_t word, uint32_t version);
void pto__cpu_drain(struct pto_model *model, struct pto_model_agent *agent);
void pto__cpu_drain_one(struct pto_model *model, struct pto_model_agent *agent);
void pto__cpu_refresh(struct pto_model *model, struct pto_model_agent *agent, const void *address,
                      uint64_t size_bytes);
uint32_t pto__core_seen(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                        uint32_t word);
void pto__core_put(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                   uint32_t word, uint32_t version);
void pto__core_queue(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                     enum pto_pending_kind kind);
void pto__core_complete_one(struct pto_model *model, struct pto_model_agent *agent);
// Completes everything at once, for a core that nobody watches.
void pto__core_settle(struct pto_model *model, struct pto_model_agent *agent);
void pto__core_barrier(struct pto_model *model, struct pto_model_agent *agent);
void pto__core_evict(struct pto_model *model, struct pto_model_agent *agent);
// A line that the core did not ask for comes into its cache as memory has it.
void pto__core_fetch(struct pto_model *model, struct pto_model_agent *agent);

// oracle.c
enum pto_read_kind { PTO_READ_PLAIN, PTO_READ_FLAG };
void pto__check_old_read(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                         uint32_t word, uint32_t seen, enum pto_read_kind kind);
// Makes a version; `release` gives its readers what the agent knows.
uint32_t pto__write(struct pto_model *model, struct pto_model_agent *agent, uint32_t line,
                    uint32_t word, uint32_t value, bool release, bool modifies);
void pto__take_over(struct pto_model *model, struct pto_model_agent *agent, uint32_t version);
void pto__check_end(struct pto_model *model);

// tasks.c
bool pto__tasks_begin(struct pto_model *model);
void pto__task_begin(struct pto_model *model, struct pto_model_agent *agent, uint32_t task);
void pto__task_end(struct pto_model *model, struct pto_model_agent *agent, uint32_t task);
void pto__check_tasks(struct pto_model *model);

// kernel.c: a kernel loads or stores these bytes.
void pto__kernel_touch(struct pto_model *model, struct pto_model_agent *agent, const void *place,
                       uint64_t size_bytes, bool writes);
const uint64_t *pto__task_args(const struct pto_model *model, uint32_t task, uint32_t *out_count);
// Whether an argument of the task points into the block.
bool pto__task_may_touch(const struct pto_model *model, uint32_t task,
                         const struct pto_arena_block *block);
// The live block that holds the offset, or has its guard there; NULL: none.
const struct pto_arena_block *pto__arena_find(const struct pto_arena *arena, uint64_t offset);

// kernel_report.c: describes a finding that is a kernel's. false: it is none.
bool pto__describe_kernel(const struct pto_model *model, const struct pto_explore_finding *finding,
                          char *text, size_t size);

// choose.c
void pto__choose_begin(struct pto_model *model);
// Moves the exhaustive search on after a schedule. false: it is complete.
bool pto__choose_advance(struct pto_model *model);
// A point at which another agent may go on.
void pto__point(struct pto_model *model);
// The current agent waits until something it polled changes, or is over.
void pto__park(struct pto_model *model);
void pto__leave(struct pto_model *model, enum pto_agent_state state);
void pto__wake(struct pto_model *model, uint64_t agents);
// Leaves the coroutines for good.
void pto__stop(struct pto_model *model);

// hooks.c
pto_explore_function pto__explore_access;
extern _Thread_local struct pto_model *pto__model __attribute__((tls_model("initial-exec")));

// report.c: describes a violation and ends the schedule.
void pto__violate(struct pto_model *model, const struct pto_explore_finding *finding) PTO_COLD;
void pto__report_deadlock(struct pto_model *model) PTO_COLD;

// trace.c, all only while model->trace is set
void pto__trace_begin(struct pto_model *model);
void pto__trace_end(struct pto_model *model);
void pto__trace(struct pto_model *model, const struct pto_model_agent *agent, uint32_t line,
                uint32_t word, uint32_t version) PTO_COLD;
void pto__trace_operation(struct pto_model *model, const struct pto_model_agent *agent) PTO_COLD;
void pto__trace_task(struct pto_model *model, const struct pto_model_agent *agent, uint32_t task,
                     bool begins) PTO_COLD;

static inline uint32_t pto__task_name(const struct pto_model *model, uint32_t task)
{
    const uint32_t *names = model->run->task_names;
    return names != NULL && task < model->run->task_count ? names[task] : task;
}

// The line of an address, 0 when it was not touched yet.
static inline uint32_t pto__line_known(const struct pto_model *model, uint64_t address)
{
    return model->arena->line_index[pto__arena_line(model->arena, address)];
}

// pto__line_at without the call, for a line that is known.
static inline uint32_t pto__find_line(struct pto_model *model, const void *address)
{
    uint32_t line = pto__line_known(model, (uint64_t)(uintptr_t)address);
    return line != 0 ? line : pto__line_at(model, address);
}

static inline uint32_t pto__word_at(const void *address)
{
    return (uint32_t)((uintptr_t)address % PTO_CACHE_LINE_SIZE / 4);
}

static inline uint32_t pto__value(const struct pto_model *model, uint32_t line, uint32_t word,
                                  uint32_t version)
{
    return version > PTO_VERSION_HOST ? model->writes[version].value
                                      : pto__value_of_host(model, line, word, version);
}

// Puts a version of one word into memory and wakes who waits for the line.
static inline void pto__memory_put(struct pto_model *model, uint32_t line, uint32_t word,
                                   uint32_t version)
{
    struct pto_model_line *it = &model->lines[line];
    uint64_t waiters = it->waiters;
    it->memory[word] = version;
    it->changes++;
    model->writes[version].arrival = model->step;
    if (waiters != 0) {
        it->waiters = 0;
        pto__wake(model, waiters);
    }
}

// One reader is remembered in place of another that is ordered before it.
static inline void pto__note_read(struct pto_model_line *line, const struct pto_model_agent *agent,
                                  uint32_t word)
{
    struct pto_model_read *reads = line->reads[word];
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t bit = 1u << (2 * word + i);
        if ((line->readers & bit) == 0 || agent->clock[reads[i].agent] >= reads[i].clock) {
            line->readers |= bit;
            reads[i].site = agent->site;
            reads[i].agent = agent->id;
            reads[i].task = agent->task;
            reads[i].clock = agent->clock[agent->id];
            return;
        }
    }
}

// The version was written before whatever the agent does now.
static inline bool pto__is_ordered(const struct pto_model *model,
                                   const struct pto_model_agent *agent, uint32_t version)
{
    if (version <= PTO_VERSION_HOST) {
        return true;
    }
    const struct pto_model_write *write = &model->writes[version];
    return write->agent != PTO_AGENT_HOST && agent->clock[write->agent] >= write->clock;
}

// A read that sees the latest version, ordered before it, is right. Nearly all are.
static inline void pto__check_read(struct pto_model *model, struct pto_model_agent *agent,
                                   uint32_t line, uint32_t word, uint32_t seen,
                                   enum pto_read_kind kind)
{
    struct pto_model_line *it = &model->lines[line];
    if (seen != it->latest[word] || seen == PTO_VERSION_OLD ||
        !pto__is_ordered(model, agent, seen)) {
        pto__check_old_read(model, agent, line, word, seen, kind);
    } else if (kind == PTO_READ_PLAIN) {
        pto__note_read(it, agent, word);
    }
}

#endif // PTO_EXPLORE_MODEL_H
