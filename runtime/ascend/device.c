// SPDX-License-Identifier: Apache-2.0
// Opening and closing a device.
#include "ascend/device.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define RUN_LIMIT_S_DEFAULT 600u
#define RUN_LIMIT_S_MAX 65000u // CANN takes 16 bits of seconds
#define NS_IN_S 1000000000ull
#define PATIENCE_S_MIN 1u // a copy of one stage takes well under a millisecond
#define PATIENCE_S_MAX 30u

// Devices that were found to run no AICPU program of ours. Finding out costs a forced reset, which
// ends the runs of every other runner of this process on the device, so it is done once.
static _Atomic int devices_without_aicpu[PTO_DEVICE_ID_MAX + 1];

enum pto_status pto__ascend_bind(const struct pto_backend *device,
                                 struct pto_ascend_binding *out_binding, struct pto_error *err)
{
    out_binding->previous = NULL;
    if (device->cann->aclrtGetCurrentContext(&out_binding->previous) != PTO_CANN_OK) {
        out_binding->previous = NULL; // this thread has had none so far
    }
    if (out_binding->previous == device->context) {
        return PTO_OK;
    }
    int code = device->cann->aclrtSetCurrentContext(device->context);
    return code == PTO_CANN_OK ? PTO_OK
                               : pto__cann_fail(device->cann, err, code, "aclrtSetCurrentContext",
                                                "turning to the device");
}

void pto__ascend_unbind(const struct pto_backend *device, const struct pto_ascend_binding *binding)
{
    if (binding->previous != NULL && binding->previous != device->context) {
        // Failing means that its owner destroyed it meanwhile, and there is nothing to go back to.
        (void)device->cann->aclrtSetCurrentContext(binding->previous);
    }
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
    if (device->log == NULL) {
        return;
    }
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    device->log(device->log_context, level, text);
}

static enum pto_status choose_run_limit(struct pto_backend *device, struct pto_error *err)
{
    uint64_t limit_s = RUN_LIMIT_S_DEFAULT;
    const char *text = getenv("PTO_ASCEND_RUN_LIMIT_S");
    if (text != NULL && *text != '\0') {
        char *end;
        errno = 0;
        limit_s = strtoull(text, &end, 10);
        if (errno != 0 || *end != '\0' || *text == '-' || limit_s == 0 ||
            limit_s > RUN_LIMIT_S_MAX) {
            return pto_fail(err, PTO_E_RANGE,
                            "init: PTO_ASCEND_RUN_LIMIT_S is '%s'; it must be a number of "
                            "seconds, 1 to %u",
                            text, RUN_LIMIT_S_MAX);
        }
    }
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
    uint32_t device_count = 0;
    int code = cann->aclrtGetDeviceCount(&device_count);
    if (code != PTO_CANN_OK) {
        return pto__ascend_fail(device, err, code, "aclrtGetDeviceCount",
                                "init: counting the devices");
    }
    if ((uint32_t)device->device_id >= device_count) {
        return pto_fail(err, PTO_E_RANGE,
                        "init: device_id is %d; this process sees %u device%s, numbered from 0 "
                        "(npu-smi info lists them; ASCEND_RT_VISIBLE_DEVICES chooses among them)",
                        (int)device->device_id, (unsigned)device_count,
                        device_count == 1 ? "" : "s");
    }
    code = cann->aclrtSetDevice(device->device_id);
    if (code >= PTO_CANN_DEVICE_AT_FAULT &&
        cann->aclrtResetDeviceForce(device->device_id) == PTO_CANN_OK) {
        // Some use of this process left it unusable, so there is no other use to spare.
        code = cann->aclrtSetDevice(device->device_id);
    }
    if (code != PTO_CANN_OK) {
        return pto__ascend_fail(device, err, code, "aclrtSetDevice", "init: opening the device");
    }
    device->is_set = 1;
    code = cann->aclrtGetCurrentContext(&device->context);
    if (code != PTO_CANN_OK) {
        device->context = NULL;
        return pto__ascend_fail(device, err, code, "aclrtGetCurrentContext",
                                "init: opening the device");
    }
    return PTO_OK;
}

static enum pto_status make_streams(struct pto_backend *device, struct pto_error *err)
{
    void **const streams[] = {&device->aicore_stream, &device->aicpu_stream};
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        int code = device->cann->aclrtCreateStream(streams[i]);
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
        device->cann->aclrtGetDeviceInfo((uint32_t)device->device_id, attribute, &value) !=
            PTO_CANN_OK) {
        return 0;
    }
    return value > 0 ? value : 0;
}

// What CANN says this stream may use can be less than what the device has.
static int64_t stream_limit(const struct pto_backend *device, int32_t resource, int64_t count)
{
    uint32_t limit = 0;
    if (device->cann->aclrtGetStreamResLimit != NULL &&
        device->cann->aclrtGetStreamResLimit(device->aicore_stream, resource, &limit) ==
            PTO_CANN_OK &&
        limit != 0 && (count == 0 || limit < count)) {
        return limit;
    }
    return count;
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
        cann->rtGetAiCoreCount(&count) == PTO_CANN_OK) {
        cubes = count;
    }
    device->aicpu_count = (uint32_t)device_info(device, PTO_CANN_ATTR_AICPU_COUNT);
    if (device->aicpu_count == 0 && cann->rtGetAiCpuCount != NULL &&
        cann->rtGetAiCpuCount(&count) == PTO_CANN_OK) {
        device->aicpu_count = count;
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
        device->cann->aclrtDestroyStream(*stream) != PTO_CANN_OK) {
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
        cann->aclrtResetDevice(device->device_id) == PTO_CANN_OK) {
        return;
    }
    if (cann->aclrtResetDeviceForce(device->device_id) != PTO_CANN_OK) {
        pto__ascend_log(device, PTO_LOG_WARNING,
                        "device %d could not be reset; other programs may find it unusable",
                        (int)device->device_id);
    }
}

// Undoes as much of an opening as was done. Bound, if there is a context: without one nothing but
// the device itself was opened.
static void tear_down(struct pto_backend *device)
{
    if (device->is_set) {
        pto__ascend_unload_aicpu(device);
        pto__ascend_unload_aicore(device);
        destroy_stream(device, &device->aicpu_stream);
        destroy_stream(device, &device->aicore_stream);
        pto__ascend_stages_destroy(device);
        pto__ascend_pool_destroy(device, device->pool);
        device->pool = NULL;
        reset(device);
    }
    pthread_mutex_destroy(&device->copy_mutex);
    free(device->block);
    free(device);
}

static enum pto_status set_up(struct pto_backend *device, const struct pto_backend_config *config,
                              int *out_unusable, struct pto_error *err)
{
    enum pto_status status = set_device(device, err);
    if (status == PTO_OK) {
        status = make_streams(device, err);
    }
    if (status == PTO_OK) {
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
        status = pto__ascend_load_aicore(device, config->aicore_kernel_path, err);
    }
    if (status == PTO_OK && device->aicpu_path != PTO_ASCEND_AICPU_NONE) {
        status = pto__ascend_load_aicpu(device, config->aicpu_so_path, out_unusable, err);
    }
    return status;
}

// One attempt. With `without_aicpu` the host is to drive the cores. *out_unusable: the device runs
// no AICPU program of ours, and nobody insisted on one.
static enum pto_status open_once(struct pto_backend **out, const struct pto_backend_config *config,
                                 const struct pto_cann *cann, int without_aicpu, int *out_unusable,
                                 struct pto_error *err)
{
    *out_unusable = 0;
    struct pto_backend *device = calloc(1, sizeof(*device));
    if (device == NULL) {
        return pto_fail_no_host_memory(err, "the device", sizeof(*device));
    }
    device->cann = cann;
    device->device_id = config->device_id;
    device->core_count = config->core_count;
    device->timeout_ns = config->timeout_ns;
    device->log = config->log;
    device->log_context = config->log_context;
    pthread_mutex_init(&device->copy_mutex, NULL);
    void *previous = NULL;
    if (cann->aclrtGetCurrentContext(&previous) != PTO_CANN_OK) {
        previous = NULL;
    }
    enum pto_status status = choose_run_limit(device, err);
    if (status == PTO_OK) {
        status = pto__ascend_choose_paths(device, err);
    }
    if (status == PTO_OK) {
        if (without_aicpu && !device->aicpu_forced) {
            device->aicpu_path = PTO_ASCEND_AICPU_NONE;
        }
        status = set_up(device, config, out_unusable, err);
    }
    if (status != PTO_OK) {
        tear_down(device);
        device = NULL;
    }
    if (previous != NULL) {
        (void)cann->aclrtSetCurrentContext(previous);
    }
    *out = device;
    return status;
}

// For who wonders why a launch path was not taken.
static void log_missing(const struct pto_backend *device)
{
    char names[500] = "";
    size_t used = 0;
    for (size_t i = 0; i < pto__cann_symbol_count; i++) {
        const struct pto_cann_symbol *symbol = &pto__cann_symbols[i];
        if (!pto__cann_has(device->cann, symbol) && used < sizeof(names)) {
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s (since %s)",
                                     used != 0 ? ", " : "", symbol->name, symbol->since);
        }
    }
    if (used != 0) {
        pto__ascend_log(device, PTO_LOG_INFO, "this CANN lacks %s", names);
    }
}

enum pto_status pto__ascend_open(struct pto_backend **out, const struct pto_backend_config *config,
                                 struct pto_error *err)
{
    *out = NULL;
    struct pto_error cause;
    struct pto_error *failure = err != NULL ? err : &cause;
    const struct pto_cann *cann;
    int unusable = 0;
    enum pto_status status = pto__cann_load(&cann, err);
    if (status != PTO_OK) {
        return status;
    }
    _Atomic int *without_aicpu = &devices_without_aicpu[config->device_id];
    status = open_once(out, config, cann, *without_aicpu, &unusable, failure);
    if (status != PTO_OK && unusable) {
        *without_aicpu = 1;
        if (config->log != NULL) {
            config->log(config->log_context, PTO_LOG_WARNING, failure->message);
            config->log(config->log_context, PTO_LOG_WARNING,
                        "init: running without AICPU code: the host gives the cores their tasks, "
                        "which is slower");
        }
        status = open_once(out, config, cann, 1, &unusable, err);
    }
    if (status == PTO_OK) {
        const struct pto_backend *device = *out;
        pto__ascend_log(device, PTO_LOG_INFO,
                        "device %d: %s; AICPU by %s, AICore by %s; driver %s, ACL %s, runtime %s",
                        (int)device->device_id,
                        cann->aclrtGetSocName != NULL && cann->aclrtGetSocName() != NULL
                            ? cann->aclrtGetSocName()
                            : "chip of unknown name",
                        pto__ascend_aicpu_path_name(device->aicpu_path),
                        pto__ascend_aicore_path_name(device->aicore_path), cann->driver_path,
                        cann->acl_path,
                        cann->runtime_path[0] != '\0' ? cann->runtime_path : "none");
        log_missing(device);
    }
    return status;
}

void pto__ascend_close(struct pto_backend *device)
{
    struct pto_ascend_binding binding;
    if (pto__ascend_bind(device, &binding, NULL) != PTO_OK) {
        // The context ended under us. Giving back pinned memory takes one.
        atomic_store(&device->broken, 1);
        device->is_lost = device->cann->aclrtSetDevice(device->device_id) == PTO_CANN_OK;
    }
    if (binding.previous == device->context) {
        binding.previous = NULL; // it ends here
    }
    const struct pto_cann *cann = device->cann;
    tear_down(device);
    if (binding.previous != NULL) {
        (void)cann->aclrtSetCurrentContext(binding.previous);
    }
}
