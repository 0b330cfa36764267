// SPDX-License-Identifier: Apache-2.0
// Opening and closing a device.
#include "ascend/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/variable.h"

#define RUN_LIMIT_S_DEFAULT 600u
#define RUN_LIMIT_S_MAX 65000u // CANN takes 16 bits of seconds
// The first use of a device after the machine's start may load its firmware.
#define CALL_LIMIT_MS_DEFAULT 60000u
#define CALL_LIMIT_MS_MAX 86400000u
#define NS_IN_S 1000000000ull
// Usable ones: up to 7 in CANN's platform files; 5 in the smallest.
#define AICPU_COUNT_MAX 7
#define AICPU_COUNT_SAFE 4u
#define PATIENCE_S_MIN 1u // a copy of one stage takes well under a millisecond
#define PATIENCE_S_MAX 30u

// Devices of which a call of CANN hung, and which were not reset since.
static _Atomic int hung_devices[PTO_DEVICE_ID_MAX + 1];

enum pto_status pto__ascend_bind(struct pto_backend *device, struct pto_error *err)
{
    static _Thread_local const void *bound; // a service has one device all its life
    if (bound == device->context) {
        return PTO_OK;
    }
    int code = PTO_CALL(device->cann, aclrtSetCurrentContext, device->context);
    if (code != PTO_CANN_OK) {
        return pto__ascend_fail(device, err, code, "aclrtSetCurrentContext",
                                "turning to the device");
    }
    bound = device->context;
    return PTO_OK;
}

void pto__ascend_mark_hung(struct pto_backend *device)
{
    atomic_store(&device->broken, 1);
    atomic_store(&device->hung, 1);
    atomic_store(&hung_devices[device->device_id], 1);
}

enum pto_status pto__ascend_fail(struct pto_backend *device, struct pto_error *err, int32_t code,
                                 const char *function, const char *what)
{
    if (code >= PTO_CANN_DEVICE_AT_FAULT) {
        atomic_store(&device->broken, 1);
    }
    return pto__cann_fail(device->cann, err, code, function, what);
}

uint64_t pto__ascend_patience_ns(const struct pto_backend *device)
{
    uint64_t least = PATIENCE_S_MIN * NS_IN_S;
    uint64_t most = PATIENCE_S_MAX * NS_IN_S;
    uint64_t wanted = device->timeout_ns;
    return wanted < least ? least : wanted > most ? most : wanted;
}

void pto__ascend_log(const struct pto_backend *device, enum pto_log_level level, const char *format,
                     ...)
{
    char text[2400]; // three paths, and a list of functions
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (!pto__service_log(level, text) && device->log != NULL) {
        device->log(device->log_context, level, text);
    }
}

enum pto_status pto__ascend_choose_limits(struct pto_backend *device, struct pto_error *err)
{
    uint64_t limit_s = RUN_LIMIT_S_DEFAULT;
    uint64_t call_ms = CALL_LIMIT_MS_DEFAULT;
    enum pto_status status = pto__variable_number("PTO_ASCEND_RUN_LIMIT_S", " of seconds", 1,
                                                  RUN_LIMIT_S_MAX, &limit_s, err);
    if (status == PTO_OK) {
        status = pto__variable_number("PTO_ASCEND_CALL_LIMIT_MS", " of milliseconds", 1,
                                      CALL_LIMIT_MS_MAX, &call_ms, err);
    }
    if (status != PTO_OK) {
        return status;
    }
    device->call_limit_ns = call_ms * 1000000u;
    // The scheduler's own limit comes first, because it can say which task is to blame.
    uint64_t least_s = device->timeout_ns / NS_IN_S + device->timeout_ns / NS_IN_S / 2 + 1;
    if (least_s > RUN_LIMIT_S_MAX) {
        return pto_fail(
            err, PTO_E_RANGE, "init: the timeout is %llu s; an Ascend device takes up to %u s",
            (unsigned long long)(device->timeout_ns / NS_IN_S), RUN_LIMIT_S_MAX / 3 * 2);
    }
    device->run_limit_ns = (limit_s < least_s ? least_s : limit_s) * NS_IN_S;
    return PTO_OK;
}

// Makes the device's context the thread's; it is the process's only one for this device.
static enum pto_status set_device(struct pto_backend *device, struct pto_error *err)
{
    const struct pto_cann *cann = device->cann;
    _Atomic int *hung = &hung_devices[device->device_id];
    int code = PTO_CALL(cann, aclrtGetDeviceCount, &device->device_count);
    if (code != PTO_CANN_OK) {
        return pto__ascend_fail(device, err, code, "aclrtGetDeviceCount",
                                "init: counting the devices");
    }
    if ((uint32_t)device->device_id >= device->device_count) {
        return pto_fail(err, PTO_E_RANGE,
                        "init: device_id is %d; this process sees %u device%s, numbered from 0 "
                        "(npu-smi info lists them; ASCEND_RT_VISIBLE_DEVICES chooses among them)",
                        (int)device->device_id, (unsigned)device->device_count,
                        device->device_count == 1 ? "" : "s");
    }
    if (atomic_load(hung)) {
        // The use that it hung in could not be ended.
        pto__ascend_force_reset(device);
    }
    code = PTO_CALL(cann, aclrtSetDevice, device->device_id);
    if (code >= PTO_CANN_DEVICE_AT_FAULT &&
        PTO_CALL(cann, aclrtResetDeviceForce, device->device_id) == PTO_CANN_OK) {
        // Some use of this process left it unusable, so there is no other use to spare.
        code = PTO_CALL(cann, aclrtSetDevice, device->device_id);
    }
    if (code != PTO_CANN_OK) {
        return pto__ascend_fail(device, err, code, "aclrtSetDevice", "init: opening the device");
    }
    device->is_set = 1;
    code = PTO_CALL(cann, aclrtGetCurrentContext, &device->context);
    if (code != PTO_CANN_OK) {
        device->context = NULL;
        return pto__ascend_fail(device, err, code, "aclrtGetCurrentContext",
                                "init: opening the device");
    }
    const char *chip = cann->aclrtGetSocName != NULL ? PTO_CALL_TEXT(cann, aclrtGetSocName) : NULL;
    snprintf(device->chip, sizeof(device->chip), "%s", chip != NULL ? chip : "");
    return PTO_OK;
}

static enum pto_status make_streams(struct pto_backend *device, struct pto_error *err)
{
    void **const streams[] = {&device->aicore_stream, &device->aicpu_stream};
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        int code = PTO_CALL(device->cann, aclrtCreateStream, streams[i]);
        if (code != PTO_CANN_OK) {
            *streams[i] = NULL;
            return pto__ascend_fail(device, err, code, "aclrtCreateStream",
                                    "init: making a stream");
        }
    }
    return PTO_OK;
}

static int64_t device_info(const struct pto_backend *device, int32_t attribute)
{
    int64_t value = 0;
    if (device->cann->aclrtGetDeviceInfo == NULL ||
        PTO_CALL(device->cann, aclrtGetDeviceInfo, (uint32_t)device->device_id, attribute,
                 &value) != PTO_CANN_OK) {
        return 0;
    }
    return value > 0 ? value : 0;
}

// What CANN says this stream may use can be less than what the device has.
static int64_t stream_limit(const struct pto_backend *device, int32_t resource, int64_t count)
{
    uint32_t limit = 0;
    if (device->cann->aclrtGetStreamResLimit != NULL &&
        PTO_CALL(device->cann, aclrtGetStreamResLimit, device->aicore_stream, resource, &limit) ==
            PTO_CANN_OK &&
        limit != 0 && (count == 0 || limit < count)) {
        return limit;
    }
    return count;
}

// More scheduler threads than AICPUs wait for each other's turn, or for ever; so a count that no
// call gives, or that no chip has, is taken to be small.
static void count_aicpus(struct pto_backend *device)
{
    const struct pto_cann *cann = device->cann;
    int64_t count = device_info(device, PTO_CANN_ATTR_AICPU_COUNT);
    uint32_t older = 0;
    if (count == 0 && cann->rtGetAiCpuCount != NULL &&
        PTO_CALL(cann, rtGetAiCpuCount, &older) == PTO_CANN_OK) {
        count = older;
    }
    if (count == 0 || count > AICPU_COUNT_MAX) {
        pto__ascend_log(device, count == 0 ? PTO_LOG_INFO : PTO_LOG_WARNING,
                        "device %d: CANN %s AICPUs (%lld); a run takes at most %u of them",
                        (int)device->device_id,
                        count == 0 ? "does not count the" : "counts more than any chip's usable",
                        (long long)count, AICPU_COUNT_SAFE);
        count = AICPU_COUNT_SAFE;
    }
    device->aicpu_count = (uint32_t)count;
}

// Counts that no call of this CANN gives stay unknown, and are left to the launch to refuse.
static enum pto_status check_cores(struct pto_backend *device, struct pto_error *err)
{
    const struct pto_cann *cann = device->cann;
    int64_t cubes =
        stream_limit(device, PTO_CANN_LIMIT_CUBE, device_info(device, PTO_CANN_ATTR_CUBE_COUNT));
    int64_t vectors = stream_limit(device, PTO_CANN_LIMIT_VECTOR,
                                   device_info(device, PTO_CANN_ATTR_VECTOR_COUNT));
    uint32_t count = 0;
    if (cubes == 0 && cann->rtGetAiCoreCount != NULL &&
        PTO_CALL(cann, rtGetAiCoreCount, &count) == PTO_CANN_OK) {
        cubes = count;
    }
    device->block_count = (device->core_count + 2) / 3;
    int64_t blocks = cubes;
    if (vectors != 0 && (blocks == 0 || vectors / 2 < blocks)) {
        blocks = vectors / 2;
    }
    if (blocks != 0 && device->block_count > blocks) {
        return pto_fail(err, PTO_E_RANGE,
                        "init: num_cores is %u; device %d has %lld cube and %lld vector cores to "
                        "give, and takes at most %lld (three for each block of one cube and two "
                        "vector cores)",
                        (unsigned)device->core_count, (int)device->device_id, (long long)cubes,
                        (long long)(vectors != 0 ? vectors : 2 * cubes), (long long)(3 * blocks));
    }
    return PTO_OK;
}

static enum pto_status make_block(struct pto_backend *device, struct pto_error *err)
{
    device->block_bytes =
        sizeof(struct pto_ascend_block) + device->core_count * sizeof(device->block->handshakes[0]);
    void *block = NULL;
    if (posix_memalign(&block, PTO_CACHE_LINE_SIZE, device->block_bytes) != 0) {
        return pto_fail_no_host_memory(err, "the launch block", device->block_bytes);
    }
    memset(block, 0, device->block_bytes);
    device->block = block;
    enum pto_status status =
        pto__ascend_allocate(device, device->block_bytes, &device->block_address, err);
    if (status != PTO_OK) {
        return status;
    }
    device->block->args = (struct pto_kernel_args){
        .device_args = device->block_address + offsetof(struct pto_ascend_block, device_args),
        .launch = device->block_address + offsetof(struct pto_ascend_block, launch),
    };
    device->block->device_args.device_id = (uint64_t)device->device_id;
    return PTO_OK;
}

static void destroy_stream(struct pto_backend *device, void **stream)
{
    if (*stream != NULL && !atomic_load(&device->broken) &&
        PTO_CALL(device->cann, aclrtDestroyStream, *stream) != PTO_CANN_OK) {
        atomic_store(&device->broken, 1);
    }
    *stream = NULL;
}

static void reset(struct pto_backend *device)
{
    const struct pto_cann *cann = device->cann;
    // A device in an unknown state stays in it through an ordinary reset. One that somebody else
    // reset by force is well, and may be in use again.
    if ((!atomic_load(&device->broken) || device->is_lost) &&
        PTO_CALL(cann, aclrtResetDevice, device->device_id) == PTO_CANN_OK) {
        return;
    }
    pto__ascend_force_reset(device);
}

void pto__ascend_force_reset(struct pto_backend *device)
{
    if (PTO_CALL(device->cann, aclrtResetDeviceForce, device->device_id) == PTO_CANN_OK) {
        atomic_store(&hung_devices[device->device_id], 0);
    } else {
        pto__ascend_log(device, PTO_LOG_WARNING,
                        "device %d could not be reset; other programs may find it unusable",
                        (int)device->device_id);
    }
}

// Undoes as much of an opening as was done. Without a context nothing but the device itself was
// opened.
static void undo(struct pto_backend *device)
{
    if (!device->is_set) {
        return;
    }
    // A thread that was left behind may still look at all of this, and its call may be copying from
    // pinned memory or to it.
    if (!atomic_load(&device->hung)) {
        pto__ascend_unload_aicpu(device);
        pto__ascend_unload_aicore(device);
        destroy_stream(device, &device->aicpu_stream);
        destroy_stream(device, &device->aicore_stream);
        pto__ascend_stages_destroy(device);
        pto__ascend_pool_empty(device);
    }
    reset(device);
}

enum pto_status pto__ascend_set_up(struct pto_backend *device, int *out_unusable,
                                   struct pto_error *err)
{
    enum pto_status status = pto__cann_load(&device->cann, err);
    if (status != PTO_OK) {
        return status;
    }
    status = pto__ascend_choose_paths(device, err);
    if (status == PTO_OK && device->without_aicpu && !device->aicpu_forced) {
        device->aicpu_path = PTO_ASCEND_AICPU_NONE;
    }
    if (status == PTO_OK) {
        status = set_device(device, err);
    }
    if (status == PTO_OK) {
        status = make_streams(device, err);
    }
    if (status == PTO_OK) {
        count_aicpus(device);
        status = check_cores(device, err);
    }
    if (status == PTO_OK) {
        status = pto__ascend_pool_create(&device->pool, err);
    }
    if (status == PTO_OK) {
        status = pto__ascend_stages_create(device, err);
    }
    if (status == PTO_OK) {
        status = make_block(device, err);
    }
    if (status == PTO_OK) {
        status = pto__ascend_load_aicore(device, device->aicore_kernel_path, err);
    }
    if (status == PTO_OK && device->aicpu_path != PTO_ASCEND_AICPU_NONE) {
        status = pto__ascend_load_aicpu(device, device->aicpu_so_path, out_unusable, err);
    }
    if (status != PTO_OK) {
        undo(device);
    }
    return status;
}

// 1: the device's context is alive, and this thread's.
static int has_context(struct pto_backend *device)
{
    void *context = NULL;
    return (PTO_CALL(device->cann, aclrtGetCurrentContext, &context) == PTO_CANN_OK &&
            context == device->context) ||
           PTO_CALL(device->cann, aclrtSetCurrentContext, device->context) == PTO_CANN_OK;
}

void pto__ascend_tear_down(struct pto_backend *device)
{
    if (!has_context(device)) {
        // It ended under us. Giving back pinned memory takes one.
        atomic_store(&device->broken, 1);
        device->is_lost = PTO_CALL(device->cann, aclrtSetDevice, device->device_id) == PTO_CANN_OK;
    }
    undo(device);
}
