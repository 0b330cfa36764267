// SPDX-License-Identifier: Apache-2.0
// One launch: fill the block, start the cores, start the scheduler, wait for both, read the report.
//
// Every wait is finite. The scheduler's own limit (no task completed for timeout_ns) comes first
// and can name the task; then CANN's limit for the AICPU program (the run limit); then the host's.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ascend/device.h"
#include "base/error.h"
#include "base/wait.h"

#define MS 1000000ull
#define SLICE_NS (20 * MS) // between two looks at whether the run is to end
#define SETTLE_NS 20000000
#define SETTLE_TURNS 50u
// A completion takes about a microsecond to be seen, so two tasks a core keep it busy.
#define DEPTH_MIN 2u

int32_t pto__ascend_wait(struct pto_backend *device, void *stream, uint64_t duration_ns)
{
    uint64_t ms = (duration_ns + MS - 1) / MS;
    return PTO_CALL_FOR(duration_ns, device->cann, aclrtSynchronizeStreamWithTimeout, stream,
                        ms < INT32_MAX ? (int32_t)(ms != 0 ? ms : 1) : INT32_MAX);
}

enum pto_status pto__ascend_block_upload(struct pto_backend *device, uint64_t field,
                                         uint64_t size_bytes, struct pto_error *err)
{
    return pto__ascend_upload(device, PTO_ASCEND_RUNS, device->block_address + field,
                              (const char *)device->block + field, size_bytes, err);
}

enum pto_status pto__ascend_block_download(struct pto_backend *device, uint64_t field,
                                           uint64_t size_bytes, struct pto_error *err)
{
    return pto__ascend_download(device, PTO_ASCEND_RUNS, (char *)device->block + field,
                                device->block_address + field, size_bytes, err);
}

static uint64_t lines_bytes(const struct pto_backend *device)
{
    return device->core_count * sizeof(device->block->handshakes[0]);
}

static enum pto_status download_lines(struct pto_backend *device, struct pto_error *err)
{
    enum pto_status status = pto__ascend_block_download(
        device, offsetof(struct pto_ascend_block, handshakes), lines_bytes(device), err);
    device->lines = status == PTO_OK ? PTO_ASCEND_LINES_READ : PTO_ASCEND_LINES_LOST;
    return status;
}

static uint32_t choose_threads(const struct pto_backend *device,
                               const struct pto_launch_request *request)
{
    // More threads than processors would share one, and take turns of milliseconds.
    uint32_t count = request->scheduler_count;
    return count > device->aicpu_count ? device->aicpu_count : count;
}

static void fill_block(struct pto_backend *device, const struct pto_launch_request *request)
{
    struct pto_ascend_block *block = device->block;
    const uint64_t base = device->block_address;
    const uint64_t first = offsetof(struct pto_ascend_block, launch);
    memset((char *)block + first, 0, device->block_bytes - first);
    block->launch = (struct pto_launch){
        .magic = PTO_LAUNCH_MAGIC,
        .version = PTO_ABI_VERSION,
        .core_count = device->core_count,
        .scheduler_count = choose_threads(device, request),
        .executor_count = device->core_count,
        .depth_min = DEPTH_MIN,
        .image_changed = request->image_changed,
        .image = request->image,
        .pending = request->pending,
        .ready = request->ready,
        .control = base + offsetof(struct pto_ascend_block, control),
        .report = base + offsetof(struct pto_ascend_block, report),
        .shared = base + offsetof(struct pto_ascend_block, shared),
        .queues = base + offsetof(struct pto_ascend_block, queues),
        .handshakes = base + offsetof(struct pto_ascend_block, handshakes),
        .timeout_ns = device->timeout_ns,
    };
    block->shared.remaining = request->task_count;
}

// The core to blame when cores did not end: one that is inside a task. The others have been sent
// away by the scheduler, or have nothing to do. *out_count is the number of such cores.
static uint32_t find_stuck_core(const struct pto_backend *device, uint32_t *out_count)
{
    uint32_t found = PTO_NO_TASK;
    *out_count = 0;
    for (uint32_t core = 0; core < device->core_count; core++) {
        const struct pto_handshake *lines = &device->block->handshakes[core];
        uint32_t waiting = lines->dispatch.queued - lines->core.completed;
        if (waiting != 0 && waiting <= PTO_RING_DEPTH &&
            (lines->core.state == PTO_CORE_RUNNING || lines->core.state == PTO_CORE_ABSENT)) {
            found = found == PTO_NO_TASK ? core : found;
            ++*out_count;
        }
    }
    return found;
}

void pto__ascend_blame(struct pto_backend *device, const struct pto_launch_request *request,
                       struct pto_launch_outcome *out)
{
    struct pto_report *report = &out->report;
    report->core = PTO_NO_TASK;
    report->task = PTO_NO_TASK;
    uint32_t count = 0;
    uint32_t core =
        device->lines == PTO_ASCEND_LINES_READ ? find_stuck_core(device, &count) : PTO_NO_TASK;
    if (core == PTO_NO_TASK) {
        return;
    }
    const struct pto_handshake *lines = &device->block->handshakes[core];
    report->core = core;
    report->core_state = lines->core.state;
    report->expected = lines->dispatch.queued;
    report->seen = lines->core.completed;
    uint32_t task = lines->dispatch.ring[lines->core.completed % PTO_RING_DEPTH];
    uint16_t func_id = 0;
    uint64_t record = request->image + sizeof(struct pto_image_header) +
                      (uint64_t)task * sizeof(struct pto_task_record);
    if (task < request->task_count &&
        pto__ascend_download(device, PTO_ASCEND_RUNS, &func_id,
                             record + offsetof(struct pto_task_record, func_id), sizeof(func_id),
                             NULL) == PTO_OK) {
        report->task = task;
        report->func_id = func_id;
    }
    if (count > 1) {
        size_t used = strlen(out->detail);
        snprintf(out->detail + used, sizeof(out->detail) - used,
                 "%s%u cores were inside a task; this is the first of them", used != 0 ? "; " : "",
                 (unsigned)count);
    }
}

static int is_core_timeout(int32_t code)
{
    return code == PTO_CANN_AICORE_TIMEOUT || code == PTO_CANN_VECTOR_CORE_TIMEOUT;
}

static int is_core_exception(int32_t code)
{
    return code == PTO_CANN_AICORE_EXCEPTION || code == PTO_CANN_VECTOR_CORE_EXCEPTION;
}

static uint32_t count_completed(const struct pto_backend *device)
{
    uint32_t count = 0;
    for (uint32_t core = 0; core < device->core_count; core++) {
        count += device->block->handshakes[core].core.completed;
    }
    return count;
}

// Reads the lines until they stand still: cores that are well may still be busy when another one's
// end is known.
static void read_settled_lines(struct pto_backend *device)
{
    uint32_t seen = UINT32_MAX;
    for (uint32_t turn = 0; turn < SETTLE_TURNS; turn++) {
        // Only a dead device does not give its lines back; then the report stays without names.
        if (download_lines(device, NULL) != PTO_OK) {
            return;
        }
        uint32_t completed = count_completed(device);
        if (completed == seen) {
            return;
        }
        seen = completed;
        const struct timespec pause = {.tv_nsec = SETTLE_NS};
        nanosleep(&pause, NULL);
    }
}

void pto__ascend_report_cores(struct pto_backend *device, const struct pto_launch_request *request,
                              int32_t code, struct pto_launch_outcome *out)
{
    atomic_store(&device->broken, 1);
    out->vendor_code = code;
    read_settled_lines(device);
    if (code == 0 || is_core_timeout(code)) {
        if (out->report.status != PTO_REPORT_TIMEOUT) {
            snprintf(out->detail, sizeof(out->detail),
                     "a kernel that was running when the run ended did not return");
            out->report.status = PTO_REPORT_TIMEOUT;
            pto__ascend_blame(device, request, out);
        }
        return;
    }
    pto__cann_describe(device->cann, code, out->detail, sizeof(out->detail));
    if (!is_core_exception(code)) {
        out->report = (struct pto_report){.status = PTO_REPORT_NONE};
        pto__ascend_blame(device, request, out);
        return;
    }
    out->report = (struct pto_report){.status = PTO_REPORT_TASK, .fail_kind = PTO_FAIL_FAULT};
    if (device->lines == PTO_ASCEND_LINES_READ) {
        out->report.completed = count_completed(device);
    }
    pto__ascend_blame(device, request, out);
}

// A run as the host watches it.
struct watch {
    struct pto_backend *device;
    const struct pto_launch_request *request;
    uint64_t begin_ns;
    int stopping;       // 1: the scheduler was asked to end
    int32_t aicpu_code; // how the streams ended; PTO_CANN_STREAM_SYNC_TIMEOUT: they have not
    int32_t aicore_code;
};

// Asks the scheduler to end the run. That it cannot be asked shows in how the run ends.
static void stop(struct watch *watch)
{
    watch->stopping = 1;
    watch->device->block->control.stop = 1;
    struct pto_error failure;
    if (pto__ascend_block_upload(watch->device, offsetof(struct pto_ascend_block, control),
                                 sizeof(struct pto_control), &failure) != PTO_OK) {
        pto__ascend_log(watch->device, PTO_LOG_WARNING, "run: stopping: %s", failure.message);
    }
}

// Waits until the scheduler has left, or cannot leave any more.
static void watch_scheduler(struct watch *watch)
{
    struct pto_backend *device = watch->device;
    uint64_t limit_ns = device->run_limit_ns + pto__ascend_patience_ns(device);
    for (;;) {
        watch->aicpu_code = pto__ascend_wait(device, device->aicpu_stream, SLICE_NS);
        uint64_t now = pto__now_ns();
        if (watch->aicpu_code != PTO_CANN_STREAM_SYNC_TIMEOUT || now - watch->begin_ns > limit_ns) {
            return;
        }
        if (watch->aicore_code == PTO_CANN_STREAM_SYNC_TIMEOUT) {
            watch->aicore_code = pto__ascend_wait(device, device->aicore_stream, 0);
            if (watch->aicore_code != PTO_CANN_OK &&
                watch->aicore_code != PTO_CANN_STREAM_SYNC_TIMEOUT) {
                return; // the cores are gone, and the scheduler waits for them in vain
            }
        }
        if (!watch->stopping && atomic_load(&device->stop_wanted)) {
            stop(watch);
        }
    }
}

// The scheduler has left, well or not; the cores should too, once their kernels return.
static void watch_cores(struct watch *watch)
{
    struct pto_backend *device = watch->device;
    if (watch->aicore_code != PTO_CANN_STREAM_SYNC_TIMEOUT) {
        return;
    }
    uint32_t status = device->block->report.status;
    int hopeless = watch->aicpu_code != PTO_CANN_OK || status == PTO_REPORT_TIMEOUT;
    watch->aicore_code = pto__ascend_wait(device, device->aicore_stream,
                                          hopeless ? device->timeout_ns / 8 : device->timeout_ns);
}

// Fails a run for the sake of a stream that did, with the name of a task that was being run.
static enum pto_status fail_stream(struct watch *watch, int32_t code, const char *what,
                                   struct pto_launch_outcome *out, struct pto_error *err)
{
    struct pto_backend *device = watch->device;
    enum pto_status status;
    pto__ascend_report_cores(device, watch->request, code, out);
    if (code == PTO_CANN_STREAM_SYNC_TIMEOUT || code == PTO_CANN_AICPU_TIMEOUT) {
        status = pto_fail(err, PTO_E_TIMEOUT,
                          "run: the run did not end within the run limit of %llu s: %.255s. Call "
                          "finalize(), then init(); if runs may take so long, raise "
                          "PTO_ASCEND_RUN_LIMIT_S",
                          (unsigned long long)(device->run_limit_ns / (1000 * MS)), out->detail);
        if (err != NULL) {
            err->vendor_code = code;
        }
    } else {
        status = pto__ascend_fail(device, err, code, "aclrtSynchronizeStreamWithTimeout", what);
    }
    if (err != NULL && out->report.task != PTO_NO_TASK) {
        err->core = out->report.core;
        err->task = out->report.task;
        err->func_id = out->report.func_id;
    }
    return status;
}

static enum pto_status conclude(struct watch *watch, struct pto_launch_outcome *out,
                                struct pto_error *err)
{
    struct pto_backend *device = watch->device;
    struct pto_error read_error = {0};
    enum pto_status read_status = pto__ascend_block_download(
        device, offsetof(struct pto_ascend_block, report), sizeof(struct pto_report), &read_error);
    if (read_status != PTO_OK) {
        memset(&device->block->report, 0, sizeof(device->block->report));
    }
    watch_cores(watch);
    out->report = device->block->report; // R1
    if (is_core_exception(watch->aicore_code) || is_core_timeout(watch->aicore_code)) {
        pto__ascend_report_cores(device, watch->request, watch->aicore_code, out);
        return PTO_OK;
    }
    int is_core_error =
        watch->aicore_code != PTO_CANN_OK && watch->aicore_code != PTO_CANN_STREAM_SYNC_TIMEOUT;
    // Without cores a scheduler that is well goes on until its time is over.
    if (watch->aicpu_code != PTO_CANN_OK &&
        !(is_core_error && watch->aicpu_code == PTO_CANN_STREAM_SYNC_TIMEOUT)) {
        return fail_stream(watch, watch->aicpu_code, "run: the scheduler", out, err);
    }
    if (is_core_error) {
        return fail_stream(watch, watch->aicore_code, "run: the cores", out, err);
    }
    if (read_status != PTO_OK) {
        atomic_store(&device->broken, 1);
        if (err != NULL) {
            *err = read_error;
        }
        return read_status;
    }
    if (watch->aicore_code == PTO_CANN_STREAM_SYNC_TIMEOUT) {
        pto__ascend_report_cores(device, watch->request, 0, out);
    }
    return PTO_OK;
}

static enum pto_status start(struct pto_backend *device, struct pto_error *err)
{
    enum pto_status status = pto__ascend_block_upload(device, 0, device->block_bytes, err);
    // The cores first: behind a running scheduler their first start takes a second.
    if (status == PTO_OK) {
        status = pto__ascend_start_aicore(device, err);
    }
    if (status == PTO_OK) {
        status = pto__ascend_start_aicpu(device, device->block->launch.scheduler_count, err);
        if (status != PTO_OK) {
            // The cores run, and nobody will send them away.
            atomic_store(&device->broken, 1);
        }
    }
    return status;
}

static enum pto_status launch(struct pto_backend *device, const struct pto_launch_request *request,
                              struct pto_launch_outcome *out, struct pto_error *err)
{
    fill_block(device, request);
    device->lines = PTO_ASCEND_LINES_UNREAD;
    if (device->aicpu_path == PTO_ASCEND_AICPU_NONE) {
        return pto__ascend_drive(device, request, out, err);
    }
    struct watch watch = {
        .device = device,
        .request = request,
        .begin_ns = pto__now_ns(),
        .aicore_code = PTO_CANN_STREAM_SYNC_TIMEOUT,
    };
    enum pto_status status = start(device, err);
    if (status != PTO_OK) {
        return status;
    }
    watch_scheduler(&watch);
    return conclude(&watch, out, err);
}

enum pto_status pto__ascend_launch(struct pto_backend *device,
                                   const struct pto_launch_request *request,
                                   struct pto_launch_outcome *out, struct pto_error *err)
{
    enum pto_status status = launch(device, request, out, err);
    // To the caller a device that does not take a launch is a failed one, whatever it ran out of.
    if (status == PTO_E_NO_MEMORY) {
        status = PTO_E_DEVICE;
        err->status = status;
    }
    return status;
}

enum pto_status pto__ascend_read_lines(struct pto_backend *device, struct pto_error *err)
{
    if (device->lines == PTO_ASCEND_LINES_UNREAD) {
        return download_lines(device, err);
    }
    if (device->lines == PTO_ASCEND_LINES_LOST) {
        return pto_fail(err, PTO_E_DEVICE,
                        "handshake_results: the device failed, and its cores' lines could not be "
                        "read any more; call finalize(), then init()");
    }
    return PTO_OK;
}
