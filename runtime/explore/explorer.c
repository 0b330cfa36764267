// SPDX-License-Identifier: Apache-2.0
// An explorer: the two programs loaded, the model, and the way through one launch.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "explore/layout.h"

#define AICPU_ENTRY_SYMBOL "DynTileFwkBackendKernelServer"

struct pto_explorer {
    struct pto_arena arena;
    struct pto_model model;
    void *aicpu_handle;
    void *aicore_handle;
    struct pto_explore_table *tables[2];
    struct pto_kernel_table kernels;
    struct pto_guard guard;
    bool is_guarded; // guard is open
};

static enum pto_status load(const char *path, void **out_handle, struct pto_explore_table **table,
                            struct pto_error *err)
{
    *out_handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (*out_handle == NULL) {
        const char *reason = dlerror();
        return pto_fail(err, PTO_E_PROGRAM, "cannot load %s: %s", path,
                        reason != NULL ? reason : "unknown reason");
    }
    *table = dlsym(*out_handle, PTO_EXPLORE_TABLE_SYMBOL);
    if (*table == NULL) {
        return pto_fail(err, PTO_E_PROGRAM, "%s is not built for the explorer: it has no symbol %s",
                        path, PTO_EXPLORE_TABLE_SYMBOL);
    }
    if ((*table)->version != PTO_ABI_VERSION) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s was built for version %u of the device interface, and this library "
                        "for version %u; build both from one release",
                        path, (unsigned)(*table)->version, PTO_ABI_VERSION);
    }
    (*table)->function = pto__explore_access;
    return PTO_OK;
}

static enum pto_status load_programs(struct pto_explorer *explorer,
                                     const struct pto_explore_config *config, struct pto_error *err)
{
    struct pto_model *model = &explorer->model;
    enum pto_status status =
        load(config->aicpu_so_path, &explorer->aicpu_handle, &explorer->tables[0], err);
    if (status == PTO_OK) {
        status =
            load(config->aicore_kernel_path, &explorer->aicore_handle, &explorer->tables[1], err);
    }
    if (status == PTO_OK) {
        status = pto__kernel_table_read(config->aicore_kernel_path, &explorer->kernels, err);
    }
    if (status != PTO_OK) {
        return status;
    }
    void *entry = dlsym(explorer->aicpu_handle, AICPU_ENTRY_SYMBOL);
    memcpy(&model->aicpu_entry, &entry, sizeof(entry)); // ISO C converts no object to a function
    model->kernels = &explorer->kernels;
    model->aicore = dlsym(explorer->aicore_handle, PTO_AICORE_PROGRAM_SYMBOL);
    if (entry == NULL || model->aicore == NULL) {
        return pto_fail(err, PTO_E_PROGRAM, "%s has no symbol %s; is it the right file?",
                        entry == NULL ? config->aicpu_so_path : config->aicore_kernel_path,
                        entry == NULL ? AICPU_ENTRY_SYMBOL : PTO_AICORE_PROGRAM_SYMBOL);
    }
    return PTO_OK;
}

// The AICPU entry runs to the end of the launch by itself.
static void scheduler_body(void *argument)
{
    struct pto_model_agent *agent = argument;
    struct pto_model *model = agent->model;
    model->aicpu_entry(&model->block->args);
    pto__leave(model, PTO_AGENT_DONE);
}

// One cube core goes with two vector cores, cube cores first, as on the device.
static void core_body(void *argument)
{
    struct pto_model_agent *agent = argument;
    struct pto_model *model = agent->model;
    uint32_t cube_count = (model->core_count + 2) / 3;
    uint32_t type = agent->index < cube_count ? PTO_CORE_TYPE_AIC : PTO_CORE_TYPE_AIV;
    model->aicore->begin(agent->state_memory, &model->block->launch, agent->index, type,
                         agent->index);
    for (;;) {
        enum pto_step outcome = model->aicore->step(agent->state_memory, PTO_RING_DEPTH);
        if (outcome == PTO_STEP_LEAVE) {
            pto__leave(model, PTO_AGENT_DONE);
        }
        if (outcome == PTO_STEP_IDLE) {
            pto__park(model);
        }
    }
}

static enum pto_status create_agents(struct pto_explorer *explorer, struct pto_error *err)
{
    struct pto_model *model = &explorer->model;
    uint64_t state_bytes = (model->aicore->state_size + PTO_CACHE_LINE_SIZE - 1) /
                           PTO_CACHE_LINE_SIZE * PTO_CACHE_LINE_SIZE;
    model->agent_capacity = PTO_MODEL_AGENT_MAX;
    model->agents = calloc(model->agent_capacity, sizeof(*model->agents));
    if (model->agents == NULL) {
        return pto_fail_no_host_memory(err, "the explorer's agents",
                                       model->agent_capacity * sizeof(*model->agents));
    }
    enum pto_status status = pto__coroutine_adopt(&model->main, err);
    for (uint32_t i = 0; status == PTO_OK && i < model->agent_capacity; i++) {
        status = pto__coroutine_create(&model->agents[i].coroutine, err);
        if (status == PTO_OK &&
            posix_memalign(&model->agents[i].state_memory, PTO_CACHE_LINE_SIZE, state_bytes) != 0) {
            model->agents[i].state_memory = NULL;
            status = pto_fail_no_host_memory(err, "a worker's state", state_bytes);
        }
    }
    return status;
}

enum pto_status pto__explorer_create(struct pto_explorer **out,
                                     const struct pto_explore_config *config, struct pto_error *err)
{
    *out = NULL;
    if (config->core_count == 0 || config->core_count > PTO_EXPLORE_CORE_MAX) {
        return pto_fail(err, PTO_E_RANGE, "the explorer takes 1 to %u cores, not %u",
                        PTO_EXPLORE_CORE_MAX, (unsigned)config->core_count);
    }
    struct pto_explorer *explorer = calloc(1, sizeof(*explorer));
    if (explorer == NULL) {
        return pto_fail_no_host_memory(err, "the explorer", sizeof(*explorer));
    }
    struct pto_model *model = &explorer->model;
    model->core_capacity = config->core_count;
    enum pto_status status = pto__arena_create(&explorer->arena, err);
    if (status == PTO_OK) {
        status = load_programs(explorer, config, err);
    }
    if (status == PTO_OK) {
        status = create_agents(explorer, err);
    }
    if (status == PTO_OK && config->timeout_ns != 0) {
        status = pto__guard_open(&explorer->guard, model, config->timeout_ns, err);
        explorer->is_guarded = status == PTO_OK;
    }
    uint64_t address = 0;
    if (status == PTO_OK) {
        uint64_t size_bytes =
            sizeof(*model->block) + config->core_count * sizeof(model->block->handshakes[0]);
        status = pto__arena_allocate(&explorer->arena, size_bytes, &address, err);
    }
    if (status != PTO_OK) {
        pto__explorer_destroy(explorer);
        return status;
    }
    model->arena = &explorer->arena;
    model->block = (struct pto_explore_block *)(uintptr_t)address;
    *out = explorer;
    return PTO_OK;
}

void pto__explorer_destroy(struct pto_explorer *explorer)
{
    if (explorer == NULL) {
        return;
    }
    struct pto_model *model = &explorer->model;
    for (uint32_t i = 0; model->agents != NULL && i < model->agent_capacity; i++) {
        pto__coroutine_destroy(&model->agents[i].coroutine);
        free(model->agents[i].state_memory);
        free(model->agents[i].filled);
    }
    pto__coroutine_destroy(&model->main);
    free(model->agents);
    free(model->lines);
    free(model->copies);
    free(model->writes);
    free(model->clock_pool);
    free(model->tasks);
    free(model->predecessors);
    free(model->scheduling.choices);
    free(model->sorted);
    pto__kernel_table_free(&explorer->kernels);
    if (explorer->aicore_handle != NULL) {
        dlclose(explorer->aicore_handle);
    }
    if (explorer->aicpu_handle != NULL) {
        dlclose(explorer->aicpu_handle);
    }
    pto__arena_destroy(&explorer->arena);
    if (explorer->is_guarded) {
        pto__guard_close(&explorer->guard);
    }
    free(explorer);
}

enum pto_status pto__explorer_enter(struct pto_explorer *explorer, struct pto_error *err)
{
    return pto__guard_enter(&explorer->guard, err);
}

void pto__explorer_leave(struct pto_explorer *explorer)
{
    pto__guard_leave(&explorer->guard);
}

struct pto_arena *pto__explorer_arena(struct pto_explorer *explorer)
{
    return &explorer->arena;
}

const struct pto_handshake *pto__explorer_handshakes(const struct pto_explorer *explorer)
{
    return explorer->model.block->handshakes;
}

const struct pto_explore_table *pto__explorer_table(const struct pto_explorer *explorer,
                                                    uint32_t program)
{
    return explorer->tables[program];
}

// The host's part of a launch, as every backend does it.
static void fill_block(struct pto_model *model, const struct pto_explore_run *run)
{
    struct pto_explore_block *block = model->block;
    uint64_t size_bytes = sizeof(*block) + model->core_count * sizeof(block->handshakes[0]);
    memset(block, 0, size_bytes);
    block->launch = (struct pto_launch){
        .magic = PTO_LAUNCH_MAGIC,
        .version = PTO_ABI_VERSION,
        .core_count = model->core_count,
        .scheduler_count = run->scheduler_count,
        .executor_count = model->core_count,
        .depth_min = 2, // as on hardware, so that cores find work while a completion is on its way
        .image_changed = run->image_changed,
        .image = run->image,
        .pending = run->pending,
        .ready = run->ready,
        .control = (uint64_t)(uintptr_t)&block->control,
        .report = (uint64_t)(uintptr_t)&block->report,
        .shared = (uint64_t)(uintptr_t)&block->shared,
        .queues = (uint64_t)(uintptr_t)block->queues,
        .handshakes = (uint64_t)(uintptr_t)block->handshakes,
        .timeout_ns = run->timeout_ns,
    };
    block->args.launch = (uint64_t)(uintptr_t)&block->launch;
    block->shared.remaining = run->task_count;
    pto__arena_host_wrote(model->arena, (uint64_t)(uintptr_t)block, size_bytes);
}

static void begin_agents(struct pto_model *model, const struct pto_explore_run *run)
{
    model->scheduler_count = run->scheduler_count + run->extra_entries;
    model->agent_count = model->scheduler_count + model->core_count;
    model->runnable = (UINT64_C(1) << model->agent_count) - 1;
    model->active = model->agent_count;
    model->active_schedulers = model->scheduler_count;
    for (uint32_t i = 0; i < model->agent_count; i++) {
        struct pto_model_agent *agent = &model->agents[i];
        agent->model = model;
        agent->id = i;
        agent->is_core = i >= model->scheduler_count;
        agent->index = agent->is_core ? i - model->scheduler_count : i;
        agent->state = PTO_AGENT_RUNNING;
        memset(agent->clock, 0, model->agent_count * sizeof(agent->clock[0]));
        agent->clock[i] = 1;
        agent->site = NULL;
        agent->buffer_count = 0;
        agent->early_count = 0;
        agent->barrier_step = 0;
        agent->pending_count = 0;
        agent->flushed = false;
        agent->filled_count = 0;
        agent->task = PTO_NO_TASK;
        agent->tasks = 0;
        agent->poll_count = 0;
        agent->saw_old = false;
        agent->idle_count = 0;
        pto__coroutine_prepare(&agent->coroutine, agent->is_core ? core_body : scheduler_body,
                               agent);
    }
}

// Enters the coroutines, and returns when the launch is over. A kernel that faulted, or was ended,
// comes back through the jump.
static void enter_agents(struct pto_model *model)
{
    if (model->guard != NULL && sigsetjmp(model->guard->escape, 0) != 0) {
        const struct pto_model_agent *agent = model->agent;
        struct pto_explore_result *result = model->result;
        const uint8_t *stack = agent->coroutine.mapping;
        model->running = false;
        result->signal_number = model->guard->signal_number;
        result->fault_address = model->guard->address;
        result->stack_overflow = (uintptr_t)result->fault_address - (uintptr_t)stack <
                                 agent->coroutine.mapping_bytes - PTO_COROUTINE_STACK_BYTES;
        result->core = agent->index;
        result->core_tasks = agent->tasks;
        for (uint32_t i = 0; i < model->run->task_count; i++) {
            result->tasks_ended += model->tasks[i].ended;
        }
        pto__violate(model, &(struct pto_explore_finding){
                                .kind = model->guard->signal_number != 0 ? PTO_FINDING_CRASH
                                                                         : PTO_FINDING_HANG,
                                .agent = agent->id,
                                .other = PTO_AGENT_HOST,
                                .task = agent->task,
                                .other_task = PTO_NO_TASK,
                            });
        return;
    }
    model->running = true;
    pto__coroutine_switch(&model->main, &pto__current(model)->coroutine);
    model->running = false;
}

static void run_agents(struct pto_model *model)
{
    model->step = 0;
    model->step_limit = 20000 + 400 * model->agent_count * (model->run->task_count + 4);
    model->clock_ns = 1;
    model->stopped = false;
    pto__choose_begin(model);
    // The first to run is chosen as any other.
    model->current = 0;
    bool replays = model->script != NULL && model->script->replays;
    uint32_t first = replays ? 0 : pto__random_below(&model->random, model->agent_count);
    model->current = model->script == NULL
                         ? first
                         : pto__decide_agent(model, PTO_DECIDE_NEXT, model->runnable, 0, first);
    model->agent = &model->agents[model->current];
    model->quick = !model->yield_always && model->trace == NULL;
    enter_agents(model);
}

enum pto_status pto__explorer_run(struct pto_explorer *explorer, const struct pto_explore_run *run,
                                  struct pto_explore_result *out_result, struct pto_error *err)
{
    struct pto_model *model = &explorer->model;
    memset(out_result, 0, offsetof(struct pto_explore_result, finding.text) + 1);
    model->core_count = run->core_count != 0 ? run->core_count : model->core_capacity;
    if (run->scheduler_count == 0 ||
        run->scheduler_count + run->extra_entries + model->core_count > PTO_MODEL_AGENT_MAX) {
        return pto_fail(err, PTO_E_RANGE, "the explorer takes %u cores and scheduler threads",
                        PTO_MODEL_AGENT_MAX);
    }
    model->run = run;
    model->result = out_result;
    model->trace = run->trace;
    fill_block(model, run);
    begin_agents(model, run);
    if (pto__lines_begin(model) && pto__tasks_begin(model) && pto__decisions_begin(model)) {
        struct pto_model *outer = pto__model;
        if (model->trace != NULL) {
            pto__trace_begin(model);
        }
        pto__model = model;
        run_agents(model);
        pto__model = outer;
        if (out_result->finding.kind == PTO_FINDING_NONE) {
            pto__lines_commit(model);
            out_result->report = model->block->report;
            pto__check_end(model);
            pto__check_tasks(model);
        }
        if (model->trace != NULL) {
            pto__trace_end(model);
        }
        pto__lines_end(model);
    }
    out_result->steps = model->step;
    out_result->exhausted =
        model->scheduling.policy == PTO_POLICY_EXHAUSTIVE && !pto__choose_advance(model);
    if (out_result->finding.kind == PTO_FINDING_RESOURCE) {
        return pto_fail_no_host_memory(err, "the explorer's model", 0);
    }
    return PTO_OK;
}
