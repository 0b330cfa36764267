// SPDX-License-Identifier: Apache-2.0
// The explorer: one launch of the real device programs under a seed.
//
// One thread runs every agent as a coroutine. Each access to shared memory is a call into a model
// of the device's caches and buffers, and a point at which another agent may go on; the seed
// decides who. An access that lacks the order docs/protocol.md gives it is a finding, whatever the
// value that it happened to see. The same seed, profile and launch give the same run.
#ifndef PTO_EXPLORE_EXPLORE_H
#define PTO_EXPLORE_EXPLORE_H

#include <stdbool.h>

#include "abi/explore.h"
#include "abi/program.h"
#include "pto/status.h"

// What the hardware is taken to do.
enum pto_explore_profile {
    PTO_PROFILE_A2A3,     // the AICPU's caches do not see host DMA
    PTO_PROFILE_A5,       // they do
    PTO_PROFILE_PARANOID, // as A2A3; every access is a point of choice, evictions are frequent,
                          // and lines come into caches unasked
};

enum pto_explore_policy {
    PTO_POLICY_MIXED, // by seed: one of those below, exhaustive apart
    PTO_POLICY_UNIFORM,
    PTO_POLICY_PCT,
    PTO_POLICY_ROUND_ROBIN,
    PTO_POLICY_EXHAUSTIVE, // the next schedule of a search in order; the seed is not used
};

enum pto_finding_kind {
    PTO_FINDING_NONE = 0,
    PTO_FINDING_STALE,            // a read saw an older version than the newest ordered before it
    PTO_FINDING_UNORDERED,        // two accesses, one a write, with no order between them
    PTO_FINDING_SHARED_LINE,      // two cores write one line without order
    PTO_FINDING_OVERWRITTEN,      // a write-back put old bytes over another agent's
    PTO_FINDING_UNWRITTEN,        // a read of what nobody wrote
    PTO_FINDING_NOT_WRITTEN_BACK, // the launch ended with a line only a cache holds
    PTO_FINDING_BOUNDS,           // a kernel touched what its task has no argument for
    PTO_FINDING_DEADLOCK,         // no agent can go on
    PTO_FINDING_ENDLESS,          // the launch did not end within its budget of steps
    PTO_FINDING_TASK_TWICE,
    PTO_FINDING_TASK_NEVER,
    PTO_FINDING_TASK_EARLY, // before a predecessor had ended
    PTO_FINDING_REPORT,     // the scheduler's report is not what happened
    PTO_FINDING_CRASH,      // a kernel faulted
    PTO_FINDING_HANG,       // a kernel did not return within the time-out
    PTO_FINDING_RESOURCE,   // host memory is exhausted; nothing was found
};

// Agents are bits of a word.
#define PTO_EXPLORE_CORE_MAX 32u
#define PTO_FINDING_TEXT_SIZE 640

struct pto_explore_finding {
    enum pto_finding_kind kind;
    uint32_t agent; // who made the access that was found wrong; see text for its name
    uint32_t other; // the other agent
    const struct pto_explore_site *site;
    const struct pto_explore_site *other_site;
    uint32_t line; // the model's, and the word in it
    uint32_t word;
    uint64_t bytes; // BOUNDS: of the access, which begins `word` bytes into the arena's line `line`
    uint32_t step;
    uint32_t task;
    uint32_t other_task;
    const char *advice; // what is missing
    char text[PTO_FINDING_TEXT_SIZE];
};

// What happened, in order; grows as needed.
struct pto_explore_trace {
    bool timeline; // JSON for Perfetto; otherwise a line of text for each access
    uint64_t events;
    char *text;
    size_t length;
    size_t capacity;
    bool failed; // host memory was exhausted, the text is cut
};

// Kinds of decision, see decide.c. Their order is part of what a replay file says.
enum pto_decision_kind {
    PTO_DECIDE_NEXT,  // another agent than the default goes on: its number + 1
    PTO_DECIDE_DRAIN, // something leaves a buffer or queue of an agent: its number + 1
    PTO_DECIDE_EVICT, // a line leaves the cache of a core: the agent's number + 1
    PTO_DECIDE_FETCH, // a line comes into it unasked
    PTO_DECIDE_PICK,  // which of them, not the oldest
    PTO_DECIDE_OLD,   // a line that is touched first is old; a flag was loaded early
    PTO_DECIDE_CLOCK, // time passes
    PTO_DECIDE_COUNT,
};

struct pto_decision {
    uint32_t kind;
    uint32_t agent;   // that it is about
    uint32_t ordinal; // of those of the kind that this agent has had
    uint32_t value;   // never 0, which is the default
    bool used;        // in the last replay
};

// The decisions of one schedule, in the order in which they were made.
struct pto_script {
    bool replays; // they are taken from here, and no seed is used; otherwise they are put here
    struct pto_decision *decisions; // the caller frees them
    uint32_t count;
    uint32_t capacity;
};

// One launch.
struct pto_explore_run {
    uint64_t image; // device addresses, as in a launch request
    uint64_t pending;
    uint64_t ready;
    uint32_t task_count;
    uint32_t scheduler_count;
    uint32_t image_changed;
    uint64_t timeout_ns; // on the clock of the model, which stands still while anybody can go on
    uint64_t seed;
    enum pto_explore_profile profile;
    enum pto_explore_policy policy;
    // Things that happen to the launch, for tests.
    uint32_t extra_entries; // AICPU threads that the launch did not ask for
    uint32_t stop_at_step;  // the host asks for the end at this step; 0: never
    uint32_t hang_task;     // whose kernel never returns, else PTO_NO_TASK
    bool hasty_clock;       // time passes for no reason, so deadlines pass while agents can go on
    // One access that means less than it says, for tests of the explorer.
    const struct pto_explore_site *mutant; // NULL: none
    uint32_t mutant_variant;               // 1..pto__explore_variant_count
    struct pto_explore_trace *trace;       // NULL: none
    struct pto_script *script;             // NULL: none
    uint32_t core_count;                   // the first so many; 0: all that there are
    const uint32_t *task_names;            // what reports call a task; NULL: its number
};

struct pto_explore_result {
    struct pto_report report; // as memory held it at the end
    int signal_number;        // PTO_FINDING_CRASH: which, and the address that was touched
    uint64_t fault_address;
    bool stack_overflow; // it was at the end of the kernel's stack
    uint32_t core;       // CRASH and HANG: on which
    uint32_t core_tasks; // and how many it had begun
    uint32_t tasks_ended;
    uint64_t kernel_words; // that kernels loaded or stored
    uint32_t steps;
    bool exhausted;                     // exhaustive search: there is no further schedule
    struct pto_explore_finding finding; // kind NONE: the launch ended as it should
};

struct pto_explore_config {
    uint32_t core_count;
    const char *aicpu_so_path; // the explorer's builds
    const char *aicore_kernel_path;
    uint64_t timeout_ns; // of one kernel, between enter and leave; 0: they are not called
};

struct pto_explorer;
struct pto_arena;

PTO_NODISCARD enum pto_status pto__explorer_create(struct pto_explorer **out,
                                                   const struct pto_explore_config *config,
                                                   struct pto_error *err);
void pto__explorer_destroy(struct pto_explorer *explorer);
struct pto_arena *pto__explorer_arena(struct pto_explorer *explorer);
const struct pto_handshake *pto__explorer_handshakes(const struct pto_explorer *explorer);
// The places of both programs: 0 the scheduler's, 1 the worker's.
const struct pto_explore_table *pto__explorer_table(const struct pto_explorer *explorer,
                                                    uint32_t program);

// Between the two, launches of the calling thread contain kernels that crash or do not return. Not
// from several threads at once; a process has room for any number of explorers.
PTO_NODISCARD enum pto_status pto__explorer_enter(struct pto_explorer *explorer,
                                                  struct pto_error *err);
void pto__explorer_leave(struct pto_explorer *explorer);

// Runs one launch. A finding is a result, not a failure.
PTO_NODISCARD enum pto_status pto__explorer_run(struct pto_explorer *explorer,
                                                const struct pto_explore_run *run,
                                                struct pto_explore_result *out_result,
                                                struct pto_error *err);

// In how many ways the operation of a place can be weakened or left out.
uint32_t pto__explore_variant_count(const struct pto_explore_site *site);
// Such a way in words, for example "without its first barrier".
const char *pto__explore_variant_text(const struct pto_explore_site *site, uint32_t variant);
const char *pto__explore_operation_name(uint32_t operation);
// A source file's name from its last folder on.
const char *pto__explore_file_name(const char *path);

void pto__explore_trace_free(struct pto_explore_trace *trace);

#endif // PTO_EXPLORE_EXPLORE_H
