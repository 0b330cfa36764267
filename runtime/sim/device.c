// SPDX-License-Identifier: Apache-2.0
// Opening and closing the simulated device, and one launch on it.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/access.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/variable.h"
#include "base/wait.h"
#include "sim/backend.h"

#define LANE_COUNT_MAX 256u

static void *load(const char *path, struct pto_error *err)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *reason = dlerror();
        pto_fail(err, PTO_E_PROGRAM, "cannot load %s: %s", path,
                 reason != NULL ? reason : "unknown reason");
    }
    return handle;
}

static enum pto_status check_version(const char *path, uint32_t version, struct pto_error *err)
{
    if (version == PTO_ABI_VERSION) {
        return PTO_OK;
    }
    return pto_fail(err, PTO_E_PROGRAM,
                    "%s was built for version %u of the device interface, and this library for "
                    "version %u; build both from one release",
                    path, (unsigned)version, PTO_ABI_VERSION);
}

static enum pto_status load_programs(struct pto_backend *device,
                                     const struct pto_backend_config *config, struct pto_error *err)
{
    device->aicpu_handle = load(config->aicpu_so_path, err);
    if (device->aicpu_handle == NULL) {
        return PTO_E_PROGRAM;
    }
    device->aicore_handle = load(config->aicore_kernel_path, err);
    if (device->aicore_handle == NULL) {
        return PTO_E_PROGRAM;
    }
    device->aicpu = dlsym(device->aicpu_handle, PTO_AICPU_PROGRAM_SYMBOL);
    device->aicore = dlsym(device->aicore_handle, PTO_AICORE_PROGRAM_SYMBOL);
    if (device->aicpu == NULL || device->aicore == NULL) {
        return pto_fail(err, PTO_E_PROGRAM, "%s has no symbol %s; is it the right file?",
                        device->aicpu == NULL ? config->aicpu_so_path : config->aicore_kernel_path,
                        device->aicpu == NULL ? PTO_AICPU_PROGRAM_SYMBOL
                                              : PTO_AICORE_PROGRAM_SYMBOL);
    }
    enum pto_status status = check_version(config->aicpu_so_path, device->aicpu->version, err);
    if (status == PTO_OK) {
        status = check_version(config->aicore_kernel_path, device->aicore->version, err);
    }
    return status;
}

static void unload_programs(struct pto_backend *device)
{
    if (device->aicore_handle != NULL) {
        dlclose(device->aicore_handle);
    }
    if (device->aicpu_handle != NULL) {
        dlclose(device->aicpu_handle);
    }
}

static uint64_t round_to_line(uint64_t size_bytes)
{
    return (size_bytes + PTO_CACHE_LINE_SIZE - 1) / PTO_CACHE_LINE_SIZE * PTO_CACHE_LINE_SIZE;
}

static void *allocate_lines(uint64_t size_bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, PTO_CACHE_LINE_SIZE, round_to_line(size_bytes)) != 0) {
        return NULL;
    }
    memset(memory, 0, round_to_line(size_bytes));
    return memory;
}

static uint64_t block_bytes(const struct pto_backend *device)
{
    return sizeof(struct pto_sim_block) + device->core_count * sizeof(struct pto_handshake);
}

static enum pto_status allocate_parts(struct pto_backend *device, struct pto_error *err)
{
    uint64_t scheduler_bytes = round_to_line(device->aicpu->state_size);
    uint64_t core_bytes = round_to_line(device->aicore->state_size);
    uint64_t states_bytes =
        PTO_SCHEDULER_COUNT_MAX * scheduler_bytes + device->core_count * core_bytes;
    device->block = allocate_lines(block_bytes(device));
    device->schedulers = allocate_lines(PTO_SCHEDULER_COUNT_MAX * sizeof(*device->schedulers));
    device->cores = allocate_lines(device->core_count * sizeof(*device->cores));
    device->lanes = allocate_lines(device->lane_count * sizeof(*device->lanes));
    device->states = allocate_lines(states_bytes);
    if (device->block == NULL || device->schedulers == NULL || device->cores == NULL ||
        device->lanes == NULL || device->states == NULL) {
        return pto_fail_no_host_memory(err, "the simulated device", states_bytes);
    }
    uint8_t *state = device->states;
    for (uint32_t i = 0; i < PTO_SCHEDULER_COUNT_MAX; i++, state += scheduler_bytes) {
        device->schedulers[i].state = state;
    }
    for (uint32_t i = 0; i < device->core_count; i++, state += core_bytes) {
        device->cores[i].state = state;
    }
    return PTO_OK;
}

static void free_parts(struct pto_backend *device)
{
    free(device->block);
    free(device->schedulers);
    free(device->cores);
    free(device->lanes);
    free(device->states);
}

// As many lanes as processors, but never more than there are programs to step.
static enum pto_status choose_lane_count(struct pto_backend *device,
                                         const struct pto_backend_config *config,
                                         struct pto_error *err)
{
    uint64_t count = config->lane_count;
    if (count == 0) {
        count = pto__cpu_count();
        enum pto_status status =
            pto__variable_number("PTO_SIM_LANES", "", 1, LANE_COUNT_MAX, &count, err);
        if (status != PTO_OK) {
            return status;
        }
    }
    uint64_t useful = (uint64_t)device->core_count + 1;
    device->lane_count = (uint32_t)(count < useful ? count : useful);
    return PTO_OK;
}

static void stop_threads(struct pto_backend *device)
{
    pthread_mutex_lock(&device->mutex);
    device->closing = true;
    pthread_mutex_unlock(&device->mutex);
    pto__sim_lanes_stop(device);
}

static void destroy_sync(struct pto_backend *device)
{
    pthread_cond_destroy(&device->monitor_wake);
    pthread_cond_destroy(&device->caller_wake);
    pthread_cond_destroy(&device->helper_wake);
    pthread_mutex_destroy(&device->mutex);
}

enum pto_status pto__sim_open(struct pto_backend **out, const struct pto_backend_config *config,
                              struct pto_error *err)
{
    *out = NULL;
    struct pto_backend *device = allocate_lines(sizeof(*device));
    if (device == NULL) {
        return pto_fail_no_host_memory(err, "the simulated device", sizeof(*device));
    }
    device->core_count = config->core_count;
    device->timeout_ns = config->timeout_ns;
    pthread_mutex_init(&device->mutex, NULL);
    pthread_cond_init(&device->helper_wake, NULL);
    pto__wait_init(&device->caller_wake);
    pto__wait_init(&device->monitor_wake);

    enum pto_status status = choose_lane_count(device, config, err);
    if (status == PTO_OK) {
        status = load_programs(device, config, err);
    }
    if (status != PTO_OK) {
        goto fail_load;
    }
    status = allocate_parts(device, err);
    if (status != PTO_OK) {
        goto fail_parts;
    }
    status = pto__sim_memory_create(&device->memory, err);
    if (status != PTO_OK) {
        goto fail_parts;
    }
    status = pto__sim_checks_create(&device->checks, config, err);
    if (status != PTO_OK) {
        goto fail_fault;
    }
    status = pto__fault_open(err);
    if (status != PTO_OK) {
        goto fail_fault;
    }
    status = pto__sim_lanes_start(device, err);
    if (status != PTO_OK) {
        goto fail_threads;
    }
    status = pto__sim_monitor_start(device, err);
    if (status != PTO_OK) {
        goto fail_threads;
    }
    *out = device;
    return PTO_OK;

fail_threads:
    stop_threads(device);
    pto__fault_close();
fail_fault:
    pto__sim_checks_destroy(device->checks);
    pto__sim_memory_destroy(device->memory);
fail_parts:
    free_parts(device);
fail_load:
    unload_programs(device);
    destroy_sync(device);
    free(device);
    return status;
}

void pto__sim_close(struct pto_backend *device)
{
    stop_threads(device);
    pto__sim_monitor_stop(device);
    pto__fault_close();
    pto__sim_checks_destroy(device->checks);
    pto__sim_memory_destroy(device->memory);
    free_parts(device);
    unload_programs(device);
    destroy_sync(device);
    free(device);
}

static void fill_block(struct pto_backend *device, const struct pto_launch_request *request)
{
    struct pto_sim_block *block = device->block;
    // Nobody else is inside. Queue headers beyond the schedulers of this launch are never read.
    memset(block, 0,
           offsetof(struct pto_sim_block, queues) +
               request->scheduler_count * sizeof(block->queues[0]));
    memset(block->handshakes, 0, device->core_count * sizeof(block->handshakes[0]));
    block->launch = (struct pto_launch){
        .magic = PTO_LAUNCH_MAGIC,
        .version = PTO_ABI_VERSION,
        .core_count = device->core_count,
        .scheduler_count = request->scheduler_count,
        .executor_count = device->lane_count,
        .depth_min = 1, // a completion is seen at once, so queueing ahead of need gains nothing
        .image_changed = request->image_changed,
        .image = request->image,
        .pending = request->pending,
        .ready = request->ready,
        .control = (uint64_t)(uintptr_t)&block->control,
        .report = (uint64_t)(uintptr_t)&block->report,
        .shared = (uint64_t)(uintptr_t)&block->shared,
        .queues = (uint64_t)(uintptr_t)block->queues,
        .handshakes = (uint64_t)(uintptr_t)block->handshakes,
        .hints = (uint64_t)(uintptr_t)&block->hints,
        .timeout_ns = device->timeout_ns,
    };
    block->shared.remaining = request->task_count;
}

// Cores are numbered as on the NPU: one cube core for two vector cores, all cube cores first.
static uint32_t core_type(const struct pto_backend *device, uint32_t core)
{
    return core < (device->core_count + 2) / 3 ? PTO_CORE_TYPE_AIC : PTO_CORE_TYPE_AIV;
}

static void begin_programs(struct pto_backend *device)
{
    const struct pto_launch *launch = &device->block->launch; // H1
    for (uint32_t i = 0; i < device->scheduler_count; i++) {
        device->schedulers[i].left = false;
        device->aicpu->begin(device->schedulers[i].state, launch, i);
    }
    for (uint32_t i = 0; i < device->core_count; i++) {
        device->cores[i].left = false;
        device->aicore->begin(device->cores[i].state, launch, i, core_type(device, i), i);
    }
    atomic_store(&device->schedulers_active, device->scheduler_count);
    atomic_store(&device->cores_active, device->core_count);
    atomic_store(&device->killed_core, PTO_NO_TASK);
    atomic_store(&device->fault_core, PTO_NO_TASK);
    atomic_store(&device->fault_address, 0);
}

// The scheduler names a core that does not answer. Here that may be one that no lane came to,
// because of a kernel that does not return on another; which that is, the monitor knows.
static void name_killed_core(struct pto_backend *device, struct pto_report *report, uint32_t core)
{
    const struct pto_handshake *handshake = &device->block->handshakes[core];
    const struct pto_image_header *image =
        (const struct pto_image_header *)(uintptr_t)device->block->launch.image;
    const struct pto_task_record *records =
        (const struct pto_task_record *)((const char *)image + image->record_offset);
    report->status = PTO_REPORT_TIMEOUT;
    report->core = core;
    report->core_state = PTO_CORE_RUNNING; // until it was ended
    report->fail_kind = PTO_FAIL_HANG;
    report->fail_code = 0;
    report->expected = handshake->dispatch.queued;
    report->seen = handshake->core.completed;
    report->task = handshake->dispatch.ring[report->seen % PTO_RING_DEPTH];
    report->func_id = records[report->task].func_id;
}

static void describe_failure(struct pto_backend *device, struct pto_launch_outcome *out)
{
    uint32_t core = atomic_load(&device->killed_core);
    if (core != PTO_NO_TASK) {
        if (out->report.status != PTO_REPORT_TIMEOUT) {
            snprintf(out->detail, sizeof(out->detail),
                     "The run had ended before, but this kernel did not return.");
        }
        name_killed_core(device, &out->report, core);
    } else if (out->report.fail_kind == PTO_FAIL_FAULT &&
               out->report.core == atomic_load(&device->fault_core)) {
        out->fault_address = atomic_load(&device->fault_address);
    }
}

enum pto_status pto__sim_launch(struct pto_backend *device,
                                const struct pto_launch_request *request,
                                struct pto_launch_outcome *out, struct pto_error *err)
{
    (void)err;
    *out = (struct pto_launch_outcome){0};
    pto__sim_wait_outside(device);
    device->scheduler_count = request->scheduler_count;
    fill_block(device, request);
    begin_programs(device);

    struct pto_sim_lane *lane = &device->lanes[0];
    lane->thread = pthread_self();
    pto__fault_bind(&lane->fault_scope);
    pto__sim_monitor_arm(device);
    atomic_store(&device->open, 1);
    pto__sim_lane_run_caller(device, request->poll, request->poll_context);
    atomic_store(&device->open, 0);
    // R1: the report was written before its scheduler left.
    out->report = device->block->report;
    if (out->report.status != PTO_REPORT_DONE) {
        // The monitor may be about to send this thread a signal.
        pto__sim_wait_outside(device);
        describe_failure(device, out);
    }
    pto__fault_bind(NULL);
    return PTO_OK;
}

enum pto_status pto__sim_handshakes(struct pto_backend *device, struct pto_handshake *out,
                                    uint32_t core_count, struct pto_error *err)
{
    (void)err;
    memcpy(out, device->block->handshakes, core_count * sizeof(*out));
    return PTO_OK;
}
