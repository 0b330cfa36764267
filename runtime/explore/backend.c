// SPDX-License-Identifier: Apache-2.0
// The explorer behind the backend seam: a launch is one schedule or many, each from the same device
// memory, and fails with the first finding.
//
// The programs are the explorer's builds, which lie beside the ones that the caller names:
// kernel_explore.o for kernel.o. A kernel that crashes takes the process with it; the simulator
// contains that, and says more.
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "abi/program.h"
#include "base/error.h"
#include "explore/arena.h"
#include "explore/explore.h"
#include "host/backend.h"

struct pto_backend {
    pthread_mutex_t mutex; // device memory; held during a launch
    struct pto_explorer *explorer;
    uint32_t core_count;
    uint64_t timeout_ns;
    uint64_t seed;
    uint64_t schedules;
    enum pto_explore_profile profile;
    pto_log_function *log;
    void *log_context;
};

static const char *const aicpu_symbols[] = {PTO_AICPU_PROGRAM_SYMBOL, NULL};
static const char *const aicore_symbols[] = {PTO_AICORE_PROGRAM_SYMBOL, NULL};
static const char *const explore_symbols[] = {PTO_EXPLORE_TABLE_SYMBOL, NULL};

static const char *const profile_names[] = {
    [PTO_PROFILE_A2A3] = "a2a3",
    [PTO_PROFILE_A5] = "a5",
    [PTO_PROFILE_PARANOID] = "paranoid",
};
#define PROFILE_COUNT (sizeof(profile_names) / sizeof(profile_names[0]))

static enum pto_status choose_profile(const char *name, enum pto_explore_profile *out,
                                      struct pto_error *err)
{
    *out = PTO_PROFILE_A2A3;
    for (size_t i = 0; name != NULL && i < PROFILE_COUNT; i++) {
        if (strcmp(profile_names[i], name) == 0) {
            *out = (enum pto_explore_profile)i;
            return PTO_OK;
        }
    }
    return name == NULL ? PTO_OK
                        : pto_fail(err, PTO_E_ARGUMENT,
                                   "init: there is no profile '%s'; the explorer has 'a2a3', 'a5' "
                                   "and 'paranoid'",
                                   name);
}

// A number that the caller left at zero may come from the environment.
static enum pto_status choose_number(uint64_t given, const char *variable, uint64_t otherwise,
                                     uint64_t *out, struct pto_error *err)
{
    const char *text = getenv(variable);
    *out = given != 0 ? given : otherwise;
    if (given != 0 || text == NULL || *text == '\0') {
        return PTO_OK;
    }
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || *text < '0' || *text > '9') {
        return pto_fail(err, PTO_E_RANGE, "init: %s is '%s'; it must be a number", variable, text);
    }
    *out = value;
    return PTO_OK;
}

static enum pto_status choose_options(struct pto_backend *device,
                                      const struct pto_backend_config *config,
                                      struct pto_error *err)
{
    const char *profile = config->profile != NULL ? config->profile : getenv("PTO_EXPLORE_PROFILE");
    enum pto_status status = choose_profile(profile, &device->profile, err);
    if (status == PTO_OK) {
        status = choose_number(config->seed, "PTO_EXPLORE_SEED", 0, &device->seed, err);
    }
    if (status == PTO_OK) {
        status =
            choose_number(config->schedules, "PTO_EXPLORE_SCHEDULES", 1, &device->schedules, err);
    }
    return status;
}

// Puts "_explore" before the extension. The caller frees *out_path.
static enum pto_status explorer_path(const char *path, const char *what, char **out_path,
                                     struct pto_error *err)
{
    static const char infix[] = "_explore";
    const char *name = strrchr(path, '/');
    const char *dot = strrchr(name != NULL ? name : path, '.');
    size_t stem = dot != NULL ? (size_t)(dot - path) : strlen(path);
    size_t size = strlen(path) + sizeof(infix);
    char *text = malloc(size);
    if (text == NULL) {
        return pto_fail_no_host_memory(err, "a path", size);
    }
    memcpy(text, path, stem);
    memcpy(text + stem, infix, sizeof(infix) - 1);
    memcpy(text + stem + sizeof(infix) - 1, path + stem, strlen(path) - stem + 1);
    char *found = NULL;
    enum pto_status status = pto__program_find(text, NULL, NULL, what, &found, err);
    if (status == PTO_OK) {
        status = pto__program_check(found, PTO_MACHINE_NATIVE, explore_symbols, what, err);
    } else if (status == PTO_E_FILE) {
        status =
            pto_fail(err, PTO_E_FILE,
                     "init: the backend 'explore' needs %s, the explorer's build of %s, and it "
                     "is not there; pto_add_kernels() and the project's own build make both",
                     text, path);
    }
    free(text);
    *out_path = found;
    if (status != PTO_OK) {
        free(found);
        *out_path = NULL;
    }
    return status;
}

static enum pto_status open_device(struct pto_backend **out,
                                   const struct pto_backend_config *config, struct pto_error *err)
{
    char *aicpu_path = NULL;
    char *aicore_path = NULL;
    *out = NULL;
    struct pto_backend *device = calloc(1, sizeof(*device));
    if (device == NULL) {
        return pto_fail_no_host_memory(err, "the explorer's device", sizeof(*device));
    }
    device->core_count = config->core_count;
    device->timeout_ns = config->timeout_ns;
    device->log = config->log;
    device->log_context = config->log_context;
    enum pto_status status = choose_options(device, config, err);
    if (status == PTO_OK) {
        status = explorer_path(config->aicpu_so_path, "aicpu_so_path", &aicpu_path, err);
    }
    if (status == PTO_OK) {
        status = explorer_path(config->aicore_kernel_path, "aicore_kernel_path", &aicore_path, err);
    }
    if (status == PTO_OK) {
        struct pto_explore_config explore_config = {
            .core_count = config->core_count,
            .aicpu_so_path = aicpu_path,
            .aicore_kernel_path = aicore_path,
        };
        status = pto__explorer_create(&device->explorer, &explore_config, err);
    }
    free(aicpu_path);
    free(aicore_path);
    if (status != PTO_OK) {
        free(device);
        return status;
    }
    pthread_mutex_init(&device->mutex, NULL);
    *out = device;
    return PTO_OK;
}

static void close_device(struct pto_backend *device)
{
    pto__explorer_destroy(device->explorer);
    pthread_mutex_destroy(&device->mutex);
    free(device);
}

static enum pto_status allocate(struct pto_backend *device, uint64_t size_bytes,
                                uint64_t *out_address, struct pto_error *err)
{
    pthread_mutex_lock(&device->mutex);
    enum pto_status status =
        pto__arena_allocate(pto__explorer_arena(device->explorer), size_bytes, out_address, err);
    pthread_mutex_unlock(&device->mutex);
    return status;
}

static void release(struct pto_backend *device, uint64_t address, uint64_t size_bytes)
{
    (void)size_bytes;
    pthread_mutex_lock(&device->mutex);
    pto__arena_release(pto__explorer_arena(device->explorer), address);
    pthread_mutex_unlock(&device->mutex);
}

static enum pto_status upload(struct pto_backend *device, uint64_t address, const void *host,
                              uint64_t size_bytes, struct pto_error *err)
{
    (void)err;
    pthread_mutex_lock(&device->mutex);
    memcpy((void *)(uintptr_t)address, host, size_bytes);
    pto__arena_host_wrote(pto__explorer_arena(device->explorer), address, size_bytes);
    pthread_mutex_unlock(&device->mutex);
    return PTO_OK;
}

static enum pto_status download(struct pto_backend *device, void *host, uint64_t address,
                                uint64_t size_bytes, struct pto_error *err)
{
    (void)err;
    pthread_mutex_lock(&device->mutex);
    memcpy(host, (const void *)(uintptr_t)address, size_bytes);
    pthread_mutex_unlock(&device->mutex);
    return PTO_OK;
}

// Device memory as the launch found it, so that every schedule starts from the same.
struct snapshot {
    uint8_t *bytes;
    uint8_t *host_written;
    uint8_t *written;
    uint64_t size_bytes;
};

static void snapshot_drop(struct snapshot *snapshot)
{
    free(snapshot->bytes);
    free(snapshot->host_written);
    free(snapshot->written);
    *snapshot = (struct snapshot){0};
}

static enum pto_status snapshot_take(struct snapshot *snapshot, const struct pto_arena *arena,
                                     struct pto_error *err)
{
    *snapshot = (struct snapshot){0};
    if (arena->block_count != 0) {
        const struct pto_arena_block *last = &arena->blocks[arena->block_count - 1];
        snapshot->size_bytes = last->offset + last->size_bytes;
    }
    uint64_t line_count = snapshot->size_bytes / PTO_CACHE_LINE_SIZE + 1;
    snapshot->bytes = malloc(snapshot->size_bytes + 1);
    snapshot->host_written = malloc(line_count);
    snapshot->written = malloc(line_count);
    if (snapshot->bytes == NULL || snapshot->host_written == NULL || snapshot->written == NULL) {
        snapshot_drop(snapshot);
        return pto_fail_no_host_memory(err, "a copy of the explorer's device memory",
                                       snapshot->size_bytes);
    }
    memcpy(snapshot->bytes, arena->base, snapshot->size_bytes);
    memcpy(snapshot->host_written, arena->host_written, line_count);
    memcpy(snapshot->written, arena->written, line_count);
    return PTO_OK;
}

static void snapshot_restore(const struct snapshot *snapshot, struct pto_arena *arena)
{
    memcpy(arena->base, snapshot->bytes, snapshot->size_bytes);
    uint64_t line_count = snapshot->size_bytes / PTO_CACHE_LINE_SIZE + 1;
    memcpy(arena->host_written, snapshot->host_written, line_count);
    memcpy(arena->written, snapshot->written, line_count);
}

static enum pto_status fail_finding(const struct pto_backend *device, uint64_t seed,
                                    const struct pto_explore_result *result, struct pto_error *err)
{
    enum pto_status status = pto_fail(
        err, PTO_E_ORDER, "run: the explorer found a fault with seed %" PRIu64 ", profile %s: %s",
        seed, profile_names[device->profile], result->finding.text);
    if (err != NULL && result->finding.kind >= PTO_FINDING_TASK_TWICE &&
        result->finding.kind <= PTO_FINDING_TASK_EARLY) {
        err->task = result->finding.task;
    }
    return status;
}

static void log_end(const struct pto_backend *device, uint64_t done, enum pto_status status)
{
    if (device->log != NULL && device->schedules > 1) {
        char text[160];
        snprintf(text, sizeof(text),
                 "explored %" PRIu64 " schedules from seed %" PRIu64 ", profile %s: %s", done,
                 device->seed, profile_names[device->profile],
                 status == PTO_OK ? "nothing found" : "a fault");
        device->log(device->log_context, PTO_LOG_INFO, text);
    }
}

// Runs a schedule that was found wrong once more and writes what happens to a file. The finding is
// the answer to the caller; that its timeline could not be written goes to the log.
static void write_timeline(const struct pto_backend *device, const struct pto_explore_run *run,
                           const char *path)
{
    struct pto_explore_trace trace = {.timeline = true};
    struct pto_explore_run again = *run;
    struct pto_explore_result result;
    again.trace = &trace;
    bool written = false;
    if (pto__explorer_run(device->explorer, &again, &result, NULL) == PTO_OK && !trace.failed) {
        FILE *file = fopen(path, "w");
        if (file != NULL) {
            written = fwrite(trace.text, 1, trace.length, file) == trace.length;
            written = fclose(file) == 0 && written;
        }
    }
    if (device->log != NULL) {
        char text[400];
        snprintf(text, sizeof(text), "%s the timeline of seed %" PRIu64 " to %.300s",
                 written ? "wrote" : "could not write", run->seed, path);
        device->log(device->log_context, written ? PTO_LOG_INFO : PTO_LOG_WARNING, text);
    }
    pto__explore_trace_free(&trace);
}

// How often the caller's poll function is asked, between schedules.
#define POLL_INTERVAL_NS UINT64_C(50000000)

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static enum pto_status run_schedules(struct pto_backend *device,
                                     const struct pto_launch_request *request,
                                     struct pto_launch_outcome *out, struct pto_error *err)
{
    struct pto_arena *arena = pto__explorer_arena(device->explorer);
    struct pto_explore_result result;
    struct pto_explore_run run = {
        .image = request->image,
        .pending = request->pending,
        .ready = request->ready,
        .task_count = request->task_count,
        .scheduler_count = request->scheduler_count,
        .image_changed = request->image_changed,
        .timeout_ns = device->timeout_ns,
        .profile = device->profile,
        .hang_task = PTO_NO_TASK,
    };
    struct snapshot snapshot = {0};
    uint64_t done = 0;
    uint64_t next_poll_ns = 0;
    const char *timeline = getenv("PTO_EXPLORE_TIMELINE");
    timeline = timeline != NULL && *timeline != '\0' ? timeline : NULL;
    enum pto_status status =
        device->schedules > 1 || timeline != NULL ? snapshot_take(&snapshot, arena, err) : PTO_OK;
    for (uint64_t i = 0; status == PTO_OK && i < device->schedules; i++) {
        if (i != 0) {
            snapshot_restore(&snapshot, arena);
        }
        if (request->poll != NULL && now_ns() >= next_poll_ns) {
            next_poll_ns = now_ns() + POLL_INTERVAL_NS;
            if (request->poll(request->poll_context) != 0) {
                out->report = (struct pto_report){
                    .status = PTO_REPORT_STOPPED, .core = PTO_NO_TASK, .task = PTO_NO_TASK};
                break;
            }
        }
        run.seed = device->seed + i;
        status = pto__explorer_run(device->explorer, &run, &result, err);
        if (status == PTO_OK && result.finding.kind != PTO_FINDING_NONE) {
            if (timeline != NULL) {
                snapshot_restore(&snapshot, arena);
                write_timeline(device, &run, timeline);
            }
            status = fail_finding(device, run.seed, &result, err);
        }
        out->report = result.report;
        done++;
    }
    log_end(device, done, status);
    snapshot_drop(&snapshot);
    return status;
}

static enum pto_status launch(struct pto_backend *device, const struct pto_launch_request *request,
                              struct pto_launch_outcome *out, struct pto_error *err)
{
    *out = (struct pto_launch_outcome){0};
    pthread_mutex_lock(&device->mutex);
    enum pto_status status = run_schedules(device, request, out, err);
    pthread_mutex_unlock(&device->mutex);
    return status;
}

static enum pto_status handshakes(struct pto_backend *device, struct pto_handshake *out,
                                  uint32_t core_count, struct pto_error *err)
{
    (void)err;
    pthread_mutex_lock(&device->mutex);
    memcpy(out, pto__explorer_handshakes(device->explorer), core_count * sizeof(*out));
    pthread_mutex_unlock(&device->mutex);
    return PTO_OK;
}

const struct pto_backend_ops pto__explore_backend = {
    .name = "explore",
    .aicpu_machine = PTO_MACHINE_NATIVE,
    .aicore_machine = PTO_MACHINE_NATIVE,
    .aicpu_symbols = aicpu_symbols,
    .aicore_symbols = aicore_symbols,
    .core_count_min = 1,
    .core_count_max = PTO_EXPLORE_CORE_MAX,
    .open = open_device,
    .close = close_device,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .launch = launch,
    .handshakes = handshakes,
};
