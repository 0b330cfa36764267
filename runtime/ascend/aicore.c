// SPDX-License-Identifier: Apache-2.0
// The worker program: registered once (each registration costs device memory that some versions of
// CANN never give back), started for each run on all its blocks at once.
#include <stdlib.h>

#include "ascend/device.h"
#include "base/error.h"
#include "host/file.h"

// CANN strips "_mix_aic" and "_mix_aiv" and shows the pair under one name.
#define FUNCTION_NAME "aicore_kernel_0"

static enum pto_status register_rt(struct pto_backend *device, const uint8_t *bytes,
                                   uint64_t size_bytes, struct pto_error *err)
{
    const struct pto_cann_binary binary = {
        .magic = PTO_CANN_MAGIC_AICORE, .data = bytes, .length = size_bytes};
    int code = PTO_CALL(device->cann, rtRegisterAllKernel, &binary, &device->aicore_handle);
    if (code != PTO_CANN_OK) {
        device->aicore_handle = NULL;
        return pto__ascend_fail(device, err, code, "rtRegisterAllKernel",
                                "init: registering the AICore program");
    }
    return PTO_OK;
}

static enum pto_status register_acl(struct pto_backend *device, const uint8_t *bytes,
                                    uint64_t size_bytes, struct pto_error *err)
{
    struct pto_cann_option option = {.id = PTO_CANN_LOAD_MAGIC, .value.u32 = PTO_CANN_MAGIC_AICORE};
    const struct pto_cann_options options = {.options = &option, .count = 1};
    int code = PTO_CALL(device->cann, aclrtBinaryLoadFromData, bytes, size_bytes, &options,
                        &device->aicore_handle);
    if (code != PTO_CANN_OK) {
        device->aicore_handle = NULL;
        return pto__ascend_fail(device, err, code, "aclrtBinaryLoadFromData",
                                "init: loading the AICore program");
    }
    code = PTO_CALL(device->cann, aclrtBinaryGetFunction, device->aicore_handle, FUNCTION_NAME,
                    &device->aicore_function);
    return code == PTO_CANN_OK
               ? PTO_OK
               : pto__ascend_fail(device, err, code, "aclrtBinaryGetFunction",
                                  "init: finding " FUNCTION_NAME " in the AICore program");
}

enum pto_status pto__ascend_load_aicore(struct pto_backend *device, const char *path,
                                        struct pto_error *err)
{
    uint8_t *bytes = NULL;
    uint64_t size_bytes = 0;
    enum pto_status status = pto__file_read(path, "aicore_kernel_path", &bytes, &size_bytes, err);
    if (status == PTO_OK) {
        status = device->aicore_path == PTO_ASCEND_AICORE_RT
                     ? register_rt(device, bytes, size_bytes, err)
                     : register_acl(device, bytes, size_bytes, err);
    }
    free(bytes);
    return status;
}

void pto__ascend_unload_aicore(struct pto_backend *device)
{
    const struct pto_cann *cann = device->cann;
    if (device->aicore_handle == NULL || atomic_load(&device->broken)) {
        return; // on a broken device the call might not return
    }
    int code = PTO_CANN_OK;
    if (device->aicore_path == PTO_ASCEND_AICORE_ACL) {
        code = PTO_CALL(cann, aclrtBinaryUnLoad, device->aicore_handle);
    } else if (cann->rtDevBinaryUnRegister != NULL) {
        code = PTO_CALL(cann, rtDevBinaryUnRegister, device->aicore_handle);
    }
    if (code != PTO_CANN_OK) {
        pto__ascend_log(device, PTO_LOG_WARNING,
                        "device %d: unloading the AICore program returned %d; it stays until the "
                        "device is reset",
                        (int)device->device_id, code);
    }
    device->aicore_handle = NULL;
}

// BATCH: no core starts before all can, because cores wait for tasks that others complete.
static int start_rt(struct pto_backend *device, uint64_t *parameters, uint32_t size_bytes)
{
    struct pto_cann_args args = {.args = parameters, .args_size = size_bytes};
    const struct pto_cann_task_config config = {.schem_mode = PTO_CANN_SCHEM_BATCH};
    return PTO_CALL(device->cann, rtKernelLaunchWithHandleV2, device->aicore_handle, 0,
                    device->block_count, &args, NULL, device->aicore_stream, &config);
}

static int start_acl(struct pto_backend *device, uint64_t *parameters, uint32_t size_bytes)
{
    struct pto_cann_option attributes[] = {
        {.id = PTO_CANN_LAUNCH_SCHEM_MODE, .value.u8 = PTO_CANN_SCHEM_BATCH},
        {.id = PTO_CANN_LAUNCH_TIMEOUT,
         .value.u16 = (uint16_t)(device->run_limit_ns / 1000000000u)},
    };
    struct pto_cann_options config = {.options = attributes, .count = 2};
    return PTO_CALL(device->cann, aclrtLaunchKernelWithHostArgs, device->aicore_function,
                    device->block_count, device->aicore_stream, &config, parameters, size_bytes,
                    NULL, 0);
}

enum pto_status pto__ascend_start_aicore(struct pto_backend *device, struct pto_error *err)
{
    // The entry point's one parameter.
    uint64_t parameters[1] = {device->block_address + offsetof(struct pto_ascend_block, args)};
    int is_rt = device->aicore_path == PTO_ASCEND_AICORE_RT;
    int code = is_rt ? start_rt(device, parameters, sizeof(parameters))
                     : start_acl(device, parameters, sizeof(parameters));
    return code == PTO_CANN_OK ? PTO_OK
                               : pto__ascend_fail(device, err, code,
                                                  is_rt ? "rtKernelLaunchWithHandleV2"
                                                        : "aclrtLaunchKernelWithHostArgs",
                                                  "run: starting the AICore program");
}
