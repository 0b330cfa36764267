// SPDX-License-Identifier: Apache-2.0
// Ascend devices behind the backend seam.
#include "ascend/device.h"

static const char *const aicpu_symbols[] = {"StaticTileFwkBackendKernelServer",
                                            "DynTileFwkBackendKernelServerInit",
                                            "DynTileFwkBackendKernelServer", NULL};
static const char *const aicore_symbols[] = {"aicore_kernel_0_mix_aic", "aicore_kernel_0_mix_aiv",
                                             NULL};

static enum pto_status allocate(struct pto_backend *device, uint64_t size_bytes,
                                uint64_t *out_address, struct pto_error *err)
{
    struct pto_ascend_binding binding;
    enum pto_status status = pto__ascend_bind(device, &binding, err);
    if (status == PTO_OK) {
        status = pto__ascend_allocate(device, size_bytes, out_address, err);
        pto__ascend_unbind(device, &binding);
    }
    return status;
}

static void release(struct pto_backend *device, uint64_t address, uint64_t size_bytes)
{
    struct pto_ascend_binding binding;
    if (pto__ascend_bind(device, &binding, NULL) == PTO_OK) {
        pto__ascend_release(device, address, size_bytes);
        pto__ascend_unbind(device, &binding);
    } else {
        atomic_store(&device->broken, 1); // the reset frees it
    }
}

static enum pto_status upload(struct pto_backend *device, uint64_t address, const void *host,
                              uint64_t size_bytes, struct pto_error *err)
{
    struct pto_ascend_binding binding;
    enum pto_status status = pto__ascend_bind(device, &binding, err);
    if (status == PTO_OK) {
        status = pto__ascend_upload(device, address, host, size_bytes, err);
        pto__ascend_unbind(device, &binding);
    }
    return status;
}

static enum pto_status download(struct pto_backend *device, void *host, uint64_t address,
                                uint64_t size_bytes, struct pto_error *err)
{
    struct pto_ascend_binding binding;
    enum pto_status status = pto__ascend_bind(device, &binding, err);
    if (status == PTO_OK) {
        status = pto__ascend_download(device, host, address, size_bytes, err);
        pto__ascend_unbind(device, &binding);
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
    .open = pto__ascend_open,
    .close = pto__ascend_close,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .launch = pto__ascend_launch,
    .handshakes = pto__ascend_handshakes,
};
