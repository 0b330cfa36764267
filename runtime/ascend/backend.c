// SPDX-License-Identifier: Apache-2.0
// Ascend devices behind the backend seam: hands each operation to one of the device's services.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ascend/device.h"
#include "base/error.h"

static const char *const aicpu_symbols[] = {"StaticTileFwkBackendKernelServer",
                                            "DynTileFwkBackendKernelServerInit",
                                            "DynTileFwkBackendKernelServer", NULL};
static const char *const aicore_symbols[] = {"aicore_kernel_0_mix_aic", "aicore_kernel_0_mix_aiv",
                                             NULL};

// Devices that were found to run no AICPU program of ours. Finding out costs a forced reset, which
// ends the runs of every other runner of this process on the device, so it is done once.
static _Atomic int devices_without_aicpu[PTO_DEVICE_ID_MAX + 1];

static void drop_device(struct pto_backend *device)
{
    if (atomic_fetch_sub(&device->references, 1) != 1) {
        return;
    }
    pto__ascend_pool_destroy(device->pool);
    free(device->block);
    free(device->aicpu_so_path);
    free(device->aicore_kernel_path);
    free(device);
}

static enum pto_status start_service(struct pto_backend *device, enum pto_ascend_service_kind kind,
                                     struct pto_error *err)
{
    atomic_fetch_add(&device->references, 1);
    enum pto_status status = pto__service_create(&device->services[kind], device->call_limit_ns,
                                                 drop_device, device, err);
    if (status != PTO_OK) {
        drop_device(device);
    }
    return status;
}

// An operation that the caller has taken and filled in. Afterwards it may read the results.
static enum pto_status perform(struct pto_backend *device, enum pto_ascend_service_kind kind,
                               const struct pto_ascend_op *op,
                               const struct pto_launch_request *request, struct pto_error *err)
{
    const struct pto_ascend_listener listener = {
        .poll = request != NULL ? request->poll : NULL,
        .poll_context = request != NULL ? request->poll_context : NULL,
        .stop_wanted = &device->stop_wanted,
        .log = device->log,
        .log_context = device->log_context,
    };
    if (!pto__service_run(device->services[kind], op, &listener, err)) {
        pto__ascend_mark_hung(device);
        return PTO_E_TIMEOUT;
    }
    if (op->status != PTO_OK && err != NULL) {
        *err = op->err;
    }
    return op->status;
}

static enum pto_status allocate_body(struct pto_ascend_op *op, struct pto_error *err)
{
    enum pto_status status = pto__ascend_bind(op->device, err);
    return status == PTO_OK ? pto__ascend_allocate(op->device, op->size_bytes, &op->address, err)
                            : status;
}

static enum pto_status allocate(struct pto_backend *device, uint64_t size_bytes,
                                uint64_t *out_address, struct pto_error *err)
{
    if (!atomic_load(&device->broken) && pto__ascend_pool_take(device, size_bytes, out_address)) {
        return PTO_OK;
    }
    struct pto_ascend_service *service = device->services[PTO_ASCEND_MEMORY];
    struct pto_ascend_op *op = pto__service_take(service);
    op->body = allocate_body;
    op->what = "allocating device memory";
    op->size_bytes = size_bytes;
    enum pto_status status = perform(device, PTO_ASCEND_MEMORY, op, NULL, err);
    *out_address = status == PTO_OK ? op->address : 0;
    pto__service_give(service);
    return status;
}

static enum pto_status release_body(struct pto_ascend_op *op, struct pto_error *err)
{
    enum pto_status status = pto__ascend_bind(op->device, err);
    if (status == PTO_OK) {
        pto__ascend_release(op->device, op->address, op->size_bytes);
    }
    return status;
}

static void release(struct pto_backend *device, uint64_t address, uint64_t size_bytes)
{
    if (pto__ascend_pool_put(device, address, size_bytes)) {
        return;
    }
    struct pto_ascend_service *service = device->services[PTO_ASCEND_MEMORY];
    struct pto_ascend_op *op = pto__service_take(service);
    op->body = release_body;
    op->what = "freeing device memory";
    op->address = address;
    op->size_bytes = size_bytes;
    if (perform(device, PTO_ASCEND_MEMORY, op, NULL, NULL) != PTO_OK) {
        atomic_store(&device->broken, 1); // the reset frees it
    }
    pto__service_give(service);
}

// Exactly one of op->from and op->to is set.
static enum pto_status copy_body(struct pto_ascend_op *op, struct pto_error *err)
{
    enum pto_status status = pto__ascend_bind(op->device, err);
    if (status != PTO_OK) {
        return status;
    }
    return op->from != NULL ? pto__ascend_upload(op->device, PTO_ASCEND_MEMORY, op->address,
                                                 op->from, op->size_bytes, err)
                            : pto__ascend_download(op->device, PTO_ASCEND_MEMORY, op->to,
                                                   op->address, op->size_bytes, err);
}

static enum pto_status copy(struct pto_backend *device, uint64_t address, const void *from,
                            void *to, uint64_t size_bytes, struct pto_error *err)
{
    struct pto_ascend_service *service = device->services[PTO_ASCEND_MEMORY];
    struct pto_ascend_op *op = pto__service_take(service);
    op->body = copy_body;
    op->what = from != NULL ? "copying to the device" : "copying from the device";
    op->address = address;
    op->from = from;
    op->to = to;
    op->size_bytes = size_bytes;
    enum pto_status status = perform(device, PTO_ASCEND_MEMORY, op, NULL, err);
    pto__service_give(service);
    return status;
}

static enum pto_status upload(struct pto_backend *device, uint64_t address, const void *host,
                              uint64_t size_bytes, struct pto_error *err)
{
    return copy(device, address, host, NULL, size_bytes, err);
}

static enum pto_status download(struct pto_backend *device, void *host, uint64_t address,
                                uint64_t size_bytes, struct pto_error *err)
{
    return copy(device, address, NULL, host, size_bytes, err);
}

static enum pto_status launch_body(struct pto_ascend_op *op, struct pto_error *err)
{
    return pto__ascend_launch(op->device, &op->request, &op->outcome, err);
}

static enum pto_status launch(struct pto_backend *device, const struct pto_launch_request *request,
                              struct pto_launch_outcome *out, struct pto_error *err)
{
    struct pto_ascend_service *service = device->services[PTO_ASCEND_RUNS];
    struct pto_ascend_op *op = pto__service_take(service);
    op->body = launch_body;
    op->what = "run";
    op->request = *request;
    atomic_store(&device->stop_wanted, 0);
    enum pto_status status = perform(device, PTO_ASCEND_RUNS, op, request, err);
    *out = status == PTO_E_TIMEOUT && atomic_load(&device->hung) ? (struct pto_launch_outcome){0}
                                                                 : op->outcome;
    pto__service_give(service);
    return status;
}

static enum pto_status lines_body(struct pto_ascend_op *op, struct pto_error *err)
{
    return pto__ascend_read_lines(op->device, err);
}

static enum pto_status handshakes(struct pto_backend *device, struct pto_handshake *out,
                                  uint32_t core_count, struct pto_error *err)
{
    struct pto_ascend_service *service = device->services[PTO_ASCEND_RUNS];
    struct pto_ascend_op *op = pto__service_take(service);
    op->body = lines_body;
    op->what = "handshake_results";
    enum pto_status status = perform(device, PTO_ASCEND_RUNS, op, NULL, err);
    if (status == PTO_OK) {
        memcpy(out, device->block->handshakes, core_count * sizeof(*out));
    }
    pto__service_give(service);
    return status;
}

static enum pto_status open_body(struct pto_ascend_op *op, struct pto_error *err)
{
    return pto__ascend_set_up(op->device, &op->is_unusable, err);
}

static enum pto_status close_body(struct pto_ascend_op *op, struct pto_error *err)
{
    (void)err;
    pto__ascend_tear_down(op->device);
    return PTO_OK;
}

static enum pto_status reset_body(struct pto_ascend_op *op, struct pto_error *err)
{
    (void)err;
    pto__ascend_force_reset(op->device);
    return PTO_OK;
}

// Ends the services and lets go of the device; a thread that was left behind may keep it for long.
static void abandon(struct pto_backend *device)
{
    for (int kind = 0; kind < PTO_ASCEND_SERVICE_COUNT; kind++) {
        pto__service_destroy(device->services[kind]);
    }
    drop_device(device);
}

// Performs one of the operations without results, on a new thread if need be.
static enum pto_status perform_last(struct pto_backend *device,
                                    enum pto_status (*body)(struct pto_ascend_op *op,
                                                            struct pto_error *err),
                                    struct pto_error *err)
{
    if (atomic_load(&device->hung)) {
        struct pto_ascend_service *old = device->services[PTO_ASCEND_RUNS];
        enum pto_status status = start_service(device, PTO_ASCEND_RUNS, err);
        if (status != PTO_OK) {
            device->services[PTO_ASCEND_RUNS] = old;
            return status;
        }
        pto__service_destroy(old);
    }
    struct pto_ascend_service *service = device->services[PTO_ASCEND_RUNS];
    struct pto_ascend_op *op = pto__service_take(service);
    op->body = body;
    op->what = "finalize";
    enum pto_status status = perform(device, PTO_ASCEND_RUNS, op, NULL, err);
    pto__service_give(service);
    return status;
}

static void close_device(struct pto_backend *device)
{
    struct pto_error failure;
    if (perform_last(device, close_body, &failure) != PTO_OK) {
        pto__ascend_log(device, PTO_LOG_WARNING, "%s", failure.message);
        if (perform_last(device, reset_body, &failure) != PTO_OK) {
            pto__ascend_log(device, PTO_LOG_WARNING, "%s", failure.message);
        }
    }
    abandon(device);
}

static enum pto_status make_device(struct pto_backend **out,
                                   const struct pto_backend_config *config, struct pto_error *err)
{
    struct pto_backend *device = calloc(1, sizeof(*device));
    if (device == NULL) {
        return pto_fail_no_host_memory(err, "the device", sizeof(*device));
    }
    device->references = 1;
    device->device_id = config->device_id;
    device->core_count = config->core_count;
    device->timeout_ns = config->timeout_ns;
    device->log = config->log;
    device->log_context = config->log_context;
    device->aicpu_so_path = strdup(config->aicpu_so_path);
    device->aicore_kernel_path = strdup(config->aicore_kernel_path);
    enum pto_status status = PTO_OK;
    if (device->aicpu_so_path == NULL || device->aicore_kernel_path == NULL) {
        status = pto_fail_no_host_memory(err, "the programs' paths", 2);
    }
    if (status == PTO_OK) {
        status = pto__ascend_choose_limits(device, err);
    }
    if (status != PTO_OK) {
        drop_device(device);
        return status;
    }
    *out = device;
    return PTO_OK;
}

// One attempt. *out_unusable: the device runs no AICPU program of ours, and nobody insisted on one.
static enum pto_status open_once(struct pto_backend **out, const struct pto_backend_config *config,
                                 int without_aicpu, int *out_unusable, struct pto_error *err)
{
    struct pto_backend *device = NULL;
    *out_unusable = 0;
    enum pto_status status = make_device(&device, config, err);
    if (status != PTO_OK) {
        return status;
    }
    device->without_aicpu = without_aicpu;
    status = start_service(device, PTO_ASCEND_RUNS, err);
    if (status == PTO_OK) {
        struct pto_ascend_service *service = device->services[PTO_ASCEND_RUNS];
        struct pto_ascend_op *op = pto__service_take(service);
        op->body = open_body;
        op->what = "init";
        status = perform(device, PTO_ASCEND_RUNS, op, NULL, err);
        *out_unusable = status != PTO_OK && !atomic_load(&device->hung) && op->is_unusable;
        pto__service_give(service);
    }
    if (status != PTO_OK) {
        abandon(device);
        return status;
    }
    status = start_service(device, PTO_ASCEND_MEMORY, err);
    if (status != PTO_OK) {
        close_device(device);
        return status;
    }
    *out = device;
    return PTO_OK;
}

// With what a launch path was not taken for.
static void log_opened(const struct pto_backend *device)
{
    const struct pto_cann *cann = device->cann;
    char missing[500] = "";
    size_t used = 0;
    for (size_t i = 0; i < pto__cann_symbol_count; i++) {
        const struct pto_cann_symbol *symbol = &pto__cann_symbols[i];
        if (!pto__cann_has(cann, symbol) && used < sizeof(missing)) {
            used += (size_t)snprintf(missing + used, sizeof(missing) - used, "%s%s (since %s)",
                                     used != 0 ? ", " : "", symbol->name, symbol->since);
        }
    }
    pto__ascend_log(device, PTO_LOG_INFO,
                    "device %d of %u: %s; AICPU by %s, AICore by %s; driver %s, ACL %s, runtime "
                    "%s; functions that this CANN lacks: %s",
                    (int)device->device_id, (unsigned)device->device_count,
                    device->chip[0] != '\0' ? device->chip : "chip of unknown name",
                    pto__ascend_aicpu_path_name(device->aicpu_path),
                    pto__ascend_aicore_path_name(device->aicore_path), cann->driver_path,
                    cann->acl_path, cann->runtime_path[0] != '\0' ? cann->runtime_path : "none",
                    used != 0 ? missing : "none");
}

static enum pto_status open_device(struct pto_backend **out,
                                   const struct pto_backend_config *config, struct pto_error *err)
{
    *out = NULL;
    struct pto_error failure = {0};
    _Atomic int *without_aicpu = &devices_without_aicpu[config->device_id];
    int unusable = 0;
    enum pto_status status = open_once(out, config, *without_aicpu, &unusable, &failure);
    if (status != PTO_OK && unusable) {
        *without_aicpu = 1;
        if (config->log != NULL) {
            config->log(config->log_context, PTO_LOG_WARNING, failure.message);
            config->log(config->log_context, PTO_LOG_WARNING,
                        "init: running without AICPU code: the host gives the cores their tasks, "
                        "which is slower");
        }
        status = open_once(out, config, 1, &unusable, &failure);
    }
    if (status == PTO_OK) {
        log_opened(*out);
    } else if (err != NULL) {
        *err = failure;
    }
    return status;
}

const struct pto_backend_ops pto__ascend_backend = {
    .name = "ascend",
    .aicpu_machine = PTO_MACHINE_AARCH64,
    .aicore_machine = PTO_MACHINE_ASCEND_AICORE,
    .aicpu_symbols = aicpu_symbols,
    .aicore_symbols = aicore_symbols,
    .core_count_min = 1,
    .core_count_max = PTO_CORE_COUNT_MAX,
    .open = open_device,
    .close = close_device,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .launch = launch,
    .handshakes = handshakes,
};
