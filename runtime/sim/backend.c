// SPDX-License-Identifier: Apache-2.0
// The simulator behind the backend seam.
#include <string.h>

#include "abi/program.h"
#include "sim/backend.h"

static const char *const aicpu_symbols[] = {PTO_AICPU_PROGRAM_SYMBOL, NULL};
static const char *const aicore_symbols[] = {PTO_AICORE_PROGRAM_SYMBOL, NULL};

static enum pto_status allocate(struct pto_backend *device, uint64_t size_bytes,
                                uint64_t *out_address, struct pto_error *err)
{
    return pto__sim_memory_allocate(device->memory, size_bytes, out_address, err);
}

static void release(struct pto_backend *device, uint64_t address, uint64_t size_bytes)
{
    pto__sim_memory_release(device->memory, address, size_bytes);
}

static enum pto_status upload(struct pto_backend *device, uint64_t address, const void *host,
                              uint64_t size_bytes, struct pto_error *err)
{
    (void)device;
    (void)err;
    memcpy((void *)(uintptr_t)address, host, size_bytes);
    return PTO_OK;
}

static enum pto_status download(struct pto_backend *device, void *host, uint64_t address,
                                uint64_t size_bytes, struct pto_error *err)
{
    (void)device;
    (void)err;
    memcpy(host, (const void *)(uintptr_t)address, size_bytes);
    return PTO_OK;
}

const struct pto_backend_ops pto__sim_backend = {
    .name = "sim",
    .aicpu_machine = PTO_MACHINE_NATIVE,
    .aicore_machine = PTO_MACHINE_NATIVE,
    .aicpu_symbols = aicpu_symbols,
    .aicore_symbols = aicore_symbols,
    .core_count_min = 1,
    .core_count_max = PTO_CORE_COUNT_MAX,
    .checks = PTO_CHECK_MEMORY | PTO_CHECK_INIT | PTO_CHECK_RACE,
    .open = pto__sim_open,
    .close = pto__sim_close,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .launch = pto__sim_launch_any,
    .prepare_checks = pto__sim_prepare_checks,
    .handshakes = pto__sim_handshakes_any,
};
