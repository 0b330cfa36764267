// SPDX-License-Identifier: Apache-2.0
// A launch without AICPU code: the host plays the scheduler between launches of the worker program.
//
// A round gives each core a full ring and the command to leave when it is empty, starts the cores,
// waits, counts what they completed and releases successors. Tasks that wait for one other alone
// are put behind it, so a chain takes a round for eight of its tasks. Slower than the scheduler by
// a launch and two copies for each round, but it needs nothing of the AICPU.
#include <stdlib.h>
#include <string.h>

#include "ascend/device.h"
#include "base/error.h"
#include "base/wait.h"

#define SLICE_NS 20000000u // between two looks at whether the run is to end

struct driver {
    struct pto_backend *device;
    const struct pto_launch_request *request;
    uint8_t *image; // the host's copy
    const struct pto_task_record *records;
    const uint32_t *successors;
    uint32_t *pending; // predecessors that are not done; 0 also for a task that is in a ring
    uint32_t *ready;   // FIFO; a task enters it once
    uint32_t *totals;  // for each core the tasks it completed in earlier rounds
    uint32_t head;
    uint32_t tail;
    uint32_t completed;
};

static enum pto_status read_image(struct driver *driver, struct pto_error *err)
{
    struct pto_image_header header;
    uint64_t address = driver->request->image;
    enum pto_status status = pto__ascend_download(driver->device, PTO_ASCEND_RUNS, &header, address,
                                                  sizeof(header), err);
    if (status != PTO_OK) {
        return status;
    }
    if (header.magic != PTO_IMAGE_MAGIC || header.task_count != driver->request->task_count) {
        return pto_fail(err, PTO_E_INTERNAL,
                        "run: the graph on the device is not what was put "
                        "there");
    }
    uint64_t task_bytes = (uint64_t)header.task_count * sizeof(uint32_t);
    driver->image = malloc(header.size_bytes);
    driver->pending = malloc(task_bytes);
    driver->ready = malloc(task_bytes);
    driver->totals = calloc(driver->device->core_count, sizeof(uint32_t));
    if (driver->image == NULL || driver->pending == NULL || driver->ready == NULL ||
        driver->totals == NULL) {
        return pto_fail_no_host_memory(err, "a graph that the host schedules",
                                       header.size_bytes + 2 * task_bytes);
    }
    status = pto__ascend_download(driver->device, PTO_ASCEND_RUNS, driver->image, address,
                                  header.size_bytes, err);
    if (status != PTO_OK) {
        return status;
    }
    driver->records = (const void *)(driver->image + header.record_offset);
    driver->successors = (const void *)(driver->image + header.successor_offset);
    for (uint32_t task = 0; task < header.task_count; task++) {
        driver->pending[task] = driver->records[task].predecessor_count;
        if (driver->pending[task] == 0) {
            driver->ready[driver->tail] = task;
            driver->tail++;
        }
    }
    return PTO_OK;
}

static void put(struct driver *driver, uint32_t core, uint32_t task)
{
    struct pto_dispatch_line *line = &driver->device->block->handshakes[core].dispatch;
    line->ring[line->queued] = task;
    line->queued++;
}

// A task that waits for `task` alone, or PTO_NO_TASK.
static uint32_t find_follower(const struct driver *driver, uint32_t task)
{
    const struct pto_task_record *record = &driver->records[task];
    for (uint32_t i = 0; i < record->successor_count; i++) {
        uint32_t successor = driver->successors[record->successor_begin + i];
        if (driver->pending[successor] == 1) {
            return successor;
        }
    }
    return PTO_NO_TASK;
}

// Hands out a round: ready tasks by turns, then chains behind each core's last one.
static void fill_rings(struct driver *driver)
{
    struct pto_backend *device = driver->device;
    memset(device->block->handshakes, 0, device->core_count * sizeof(struct pto_handshake));
    for (uint32_t turn = 0; turn < PTO_RING_DEPTH; turn++) {
        for (uint32_t core = 0; core < device->core_count && driver->head != driver->tail; core++) {
            put(driver, core, driver->ready[driver->head]);
            driver->head++;
        }
    }
    for (uint32_t core = 0; core < device->core_count; core++) {
        struct pto_dispatch_line *line = &device->block->handshakes[core].dispatch;
        line->command = PTO_CORE_QUIT;
        while (line->queued != 0 && line->queued < PTO_RING_DEPTH) {
            uint32_t follower = find_follower(driver, line->ring[line->queued - 1]);
            if (follower == PTO_NO_TASK) {
                break;
            }
            driver->pending[follower] = 0;
            put(driver, core, follower);
        }
    }
}

static void retire(struct driver *driver, uint32_t task)
{
    const struct pto_task_record *record = &driver->records[task];
    driver->completed++;
    for (uint32_t i = 0; i < record->successor_count; i++) {
        uint32_t successor = driver->successors[record->successor_begin + i];
        if (driver->pending[successor] != 0 && --driver->pending[successor] == 0) {
            driver->ready[driver->tail] = successor;
            driver->tail++;
        }
    }
}

static enum pto_status read_lines(struct driver *driver, struct pto_error *err)
{
    return pto__ascend_block_download(driver->device, offsetof(struct pto_ascend_block, handshakes),
                                      driver->device->core_count * sizeof(struct pto_handshake),
                                      err);
}

static uint64_t count_completed(const struct driver *driver)
{
    uint64_t count = 0;
    for (uint32_t core = 0; core < driver->device->core_count; core++) {
        count += driver->device->block->handshakes[core].core.completed;
    }
    return count;
}

// Waits for the cores: CANN's code, or PTO_CANN_STREAM_SYNC_TIMEOUT when none completed anything
// for the time allowed.
static int32_t wait_round(struct driver *driver)
{
    struct pto_backend *device = driver->device;
    uint64_t slice_ns = device->timeout_ns > SLICE_NS ? SLICE_NS : device->timeout_ns;
    uint64_t seen = 0;
    uint64_t since_ns = pto__now_ns();
    for (;;) {
        int32_t code = pto__ascend_wait(device, device->aicore_stream, slice_ns);
        if (code != PTO_CANN_STREAM_SYNC_TIMEOUT) {
            return code;
        }
        if (pto__now_ns() - since_ns < device->timeout_ns) {
            continue;
        }
        uint64_t completed = read_lines(driver, NULL) == PTO_OK ? count_completed(driver) : seen;
        if (completed == seen) {
            return PTO_CANN_STREAM_SYNC_TIMEOUT;
        }
        seen = completed;
        since_ns = pto__now_ns();
    }
}

// Counts a round's completions. Returns the first core that failed, or left tasks undone.
static uint32_t collect(struct driver *driver)
{
    uint32_t failed = PTO_NO_TASK;
    for (uint32_t core = 0; core < driver->device->core_count; core++) {
        const struct pto_handshake *lines = &driver->device->block->handshakes[core];
        for (uint32_t i = 0; i < lines->core.completed && i < lines->dispatch.queued; i++) {
            retire(driver, lines->dispatch.ring[i]);
        }
        driver->totals[core] += lines->core.completed;
        if (failed == PTO_NO_TASK && lines->core.completed != lines->dispatch.queued) {
            failed = core;
        }
    }
    return failed;
}

static void report_failed_core(struct driver *driver, uint32_t core, struct pto_report *report)
{
    const struct pto_handshake *lines = &driver->device->block->handshakes[core];
    uint32_t task = lines->dispatch.ring[lines->core.completed % PTO_RING_DEPTH];
    *report = (struct pto_report){
        .status = lines->core.state == PTO_CORE_FAILED ? PTO_REPORT_TASK : PTO_REPORT_TIMEOUT,
        .core = core,
        .task = task,
        .func_id = driver->records[task].func_id,
        .fail_kind = lines->core.fail_kind,
        .fail_code = lines->core.fail_code,
        .expected = lines->dispatch.queued,
        .seen = lines->core.completed,
        .core_state = lines->core.state,
    };
}

// The lines of the whole run, as a scheduler would have left them.
static void sum_lines(struct driver *driver)
{
    for (uint32_t core = 0; core < driver->device->core_count; core++) {
        struct pto_handshake *lines = &driver->device->block->handshakes[core];
        uint32_t earlier = driver->totals[core] - lines->core.completed;
        lines->dispatch.queued += earlier;
        lines->core.completed = driver->totals[core];
    }
}

// One round. *out_over: 1 when the run is.
static enum pto_status run_round(struct driver *driver, struct pto_launch_outcome *out,
                                 int *out_over, struct pto_error *err)
{
    struct pto_backend *device = driver->device;
    const uint64_t first = offsetof(struct pto_ascend_block, shared);
    fill_rings(driver);
    memset(&device->block->shared, 0, sizeof(device->block->shared));
    enum pto_status status =
        pto__ascend_block_upload(device, first, device->block_bytes - first, err);
    if (status == PTO_OK) {
        status = pto__ascend_start_aicore(device, err);
    }
    if (status != PTO_OK) {
        return status;
    }
    int32_t code = wait_round(driver);
    *out_over = 1;
    if (code != PTO_CANN_OK) {
        int32_t cause = code == PTO_CANN_STREAM_SYNC_TIMEOUT ? 0 : code;
        pto__ascend_report_cores(device, driver->request, cause, out);
        if (out->report.status == PTO_REPORT_NONE) {
            return pto__ascend_fail(device, err, code, "aclrtSynchronizeStreamWithTimeout",
                                    "run: the cores");
        }
        out->report.completed = driver->completed;
        return PTO_OK;
    }
    status = read_lines(driver, err);
    if (status != PTO_OK) {
        atomic_store(&device->broken, 1);
        return status;
    }
    device->lines = PTO_ASCEND_LINES_READ;
    uint32_t failed = collect(driver);
    if (failed != PTO_NO_TASK) {
        report_failed_core(driver, failed, &out->report);
    } else if (driver->completed == driver->request->task_count) {
        out->report.status = PTO_REPORT_DONE;
    } else if (atomic_load(&device->stop_wanted)) {
        out->report.status = PTO_REPORT_STOPPED;
    } else {
        *out_over = 0;
    }
    out->report.completed = driver->completed;
    return PTO_OK;
}

enum pto_status pto__ascend_drive(struct pto_backend *device,
                                  const struct pto_launch_request *request,
                                  struct pto_launch_outcome *out, struct pto_error *err)
{
    struct driver driver = {.device = device, .request = request};
    int over = 0;
    out->report = (struct pto_report){.core = PTO_NO_TASK, .task = PTO_NO_TASK};
    enum pto_status status = pto__ascend_block_upload(device, 0, device->block_bytes, err);
    if (status == PTO_OK) {
        status = read_image(&driver, err);
    }
    while (status == PTO_OK && !over) {
        if (driver.head == driver.tail) {
            status = pto_fail(err, PTO_E_INTERNAL,
                              "run: %u of %u tasks completed, and none is "
                              "ready",
                              (unsigned)driver.completed, (unsigned)request->task_count);
            break;
        }
        status = run_round(&driver, out, &over, err);
    }
    if (driver.totals != NULL && device->lines == PTO_ASCEND_LINES_READ) {
        sum_lines(&driver);
    }
    free(driver.image);
    free(driver.pending);
    free(driver.ready);
    free(driver.totals);
    return status;
}
