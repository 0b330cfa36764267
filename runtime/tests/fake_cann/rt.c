// SPDX-License-Identifier: Apache-2.0
// libruntime.so: the older interface below ACL.
#include <string.h>

#include "ascend/symbols.h"
#include "tests/fake_cann/state.h"

#define DECLARE(library, name, need, since, parameters) FAKE_API int name parameters;
PTO_CANN_SYMBOLS(DECLARE)
#undef DECLARE

int rtGetAiCoreCount(uint32_t *count)
{
    struct fake_device *device;
    int code = fake_enter_device("rtGetAiCoreCount", &device);
    *count = fake_block_limit();
    return fake_leave(code);
}

int rtGetAiCpuCount(uint32_t *count)
{
    struct fake_device *device;
    int code = fake_enter_device("rtGetAiCpuCount", &device);
    *count = fake_aicpu_count();
    return fake_leave(code);
}

int rtRegisterAllKernel(const struct pto_cann_binary *binary, void **handle)
{
    struct fake_device *device;
    struct fake_binary *made;
    int code = fake_enter_device("rtRegisterAllKernel", &device);
    if (code == 0 && binary->version != 0) {
        code = FAKE_INVALID_PARAM;
    }
    if (code == 0) {
        code = fake_binary_load_aicore(device, binary->data, binary->length, binary->magic, &made);
    }
    if (code == 0) {
        *handle = made;
    }
    return fake_leave(code);
}

int rtDevBinaryUnRegister(void *handle)
{
    struct fake_device *device;
    int code = fake_enter_device("rtDevBinaryUnRegister", &device);
    if (code == 0 && !fake_binary_is_known(handle)) {
        code = FAKE_INVALID_HANDLE;
    }
    return fake_leave(code == 0 ? fake_binary_unload(handle) : code);
}

int rtKernelLaunchWithHandleV2(void *handle, uint64_t tiling_key, uint32_t block_count,
                               struct pto_cann_args *args, void *sm_desc, void *stream,
                               const struct pto_cann_task_config *config)
{
    struct fake_device *device;
    int code = fake_enter_device("rtKernelLaunchWithHandleV2", &device);
    const struct fake_binary *binary = handle;
    if (code == 0 && (!fake_binary_is_known(binary) || !binary->is_aicore)) {
        code = FAKE_INVALID_HANDLE;
    }
    if (code == 0 && !fake_stream_is_known(stream)) {
        code = FAKE_STREAM_CONTEXT;
    }
    if (code == 0 && (tiling_key != 0 || sm_desc != NULL || args->has_tiling != 0 ||
                      args->host_input_info_count != 0 || args->is_no_need_h2d_copy != 0)) {
        code = FAKE_INVALID_PARAM;
    }
    if (code == 0) {
        code = fake_launch_aicore(handle, block_count, stream, args->args, args->args_size,
                                  config != NULL && config->schem_mode == PTO_CANN_SCHEM_BATCH);
    }
    return fake_leave(code);
}

static int names(const struct pto_cann_aicpu_args *args, uint32_t offset, const char *text)
{
    return offset < args->args_size &&
           strncmp((const char *)args->args + offset, text, args->args_size - offset) == 0;
}

int rtAicpuKernelLaunchExWithArgs(uint32_t kernel_type, const char *op_name, uint32_t block_count,
                                  const struct pto_cann_aicpu_args *args, void *sm_desc,
                                  void *stream, uint32_t flags)
{
    (void)op_name;
    struct fake_device *device;
    int code = fake_enter_device("rtAicpuKernelLaunchExWithArgs", &device);
    if (code == 0 && !fake_stream_is_known(stream)) {
        code = FAKE_STREAM_CONTEXT;
    }
    if (code == 0 && (kernel_type != PTO_CANN_KERNEL_TYPE_AICPU_KFC || sm_desc != NULL ||
                      args->is_no_need_h2d_copy != 0 ||
                      !names(args, args->so_name_offset, PTO_CANN_LOADER_SO))) {
        code = FAKE_INVALID_PARAM;
    }
    int is_init = code == 0 && names(args, args->kernel_name_offset, PTO_CANN_LOADER_INIT);
    if (code == 0 && !is_init && !names(args, args->kernel_name_offset, PTO_CANN_LOADER_RUN)) {
        code = 507027;
    }
    if (code == 0) {
        code = fake_launch_aicpu(device, is_init ? FAKE_FUNCTION_INIT : FAKE_FUNCTION_RUN,
                                 block_count, stream, args->args, args->args_size,
                                 (flags & PTO_CANN_KERNEL_SPECIAL_TIMEOUT) != 0, args->timeout_s);
    }
    return fake_leave(code);
}
