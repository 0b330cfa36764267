// SPDX-License-Identifier: Apache-2.0
// libascendcl.so: what CANN has had since 8.5 (and the loading of programs, which older ones have
// for other kinds only).
#include <string.h>

#include "ascend/symbols.h"
#include "tests/fake_cann/state.h"

#define DECLARE(library, name, need, since, parameters) FAKE_API int name parameters;
PTO_CANN_SYMBOLS(DECLARE)
#undef DECLARE

// The one option of this number, NULL: none, or others beside it.
static const struct pto_cann_option *only_option(const struct pto_cann_options *options,
                                                 uint32_t id)
{
    return options != NULL && options->count == 1 && options->options[0].id == id
               ? &options->options[0]
               : NULL;
}

int aclrtBinaryLoadFromFile(const char *path, struct pto_cann_options *options, void **binary)
{
    struct fake_device *device;
    struct fake_binary *made;
    int code = fake_enter_device("aclrtBinaryLoadFromFile", &device);
    const struct pto_cann_option *mode = only_option(options, PTO_CANN_LOAD_CPU_KERNEL_MODE);
    if (code == 0) {
        code = mode != NULL && mode->value.i32 == 0 ? fake_binary_load_json(device, path, &made)
                                                    : FAKE_INVALID_PARAM;
    }
    if (code == 0) {
        *binary = made;
    }
    return fake_leave(code);
}

int aclrtBinaryLoadFromData(const void *data, size_t size_bytes,
                            const struct pto_cann_options *options, void **binary)
{
    struct fake_device *device;
    struct fake_binary *made;
    int code = fake_enter_device("aclrtBinaryLoadFromData", &device);
    const struct pto_cann_option *magic = only_option(options, PTO_CANN_LOAD_MAGIC);
    if (code == 0) {
        code = magic != NULL
                   ? fake_binary_load_aicore(device, data, size_bytes, magic->value.u32, &made)
                   : FAKE_INVALID_PARAM;
    }
    if (code == 0) {
        *binary = made;
    }
    return fake_leave(code);
}

int aclrtBinaryUnLoad(void *binary)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtBinaryUnLoad", &device);
    if (code == 0 && !fake_binary_is_known(binary)) {
        code = FAKE_INVALID_HANDLE;
    }
    return fake_leave(code == 0 ? fake_binary_unload(binary) : code);
}

int aclrtBinaryGetFunction(void *binary, const char *name, void **function)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtBinaryGetFunction", &device);
    struct fake_binary *known = binary;
    if (code == 0 && !fake_binary_is_known(known)) {
        code = FAKE_INVALID_HANDLE;
    }
    if (code == 0) {
        code = 507027;
        for (int i = 0; i < 2 && code != 0; i++) {
            if (strcmp(known->functions[i].name, name) == 0) {
                *function = &known->functions[i];
                code = 0;
            }
        }
    }
    return fake_leave(code);
}

int aclrtLaunchKernelWithHostArgs(void *function, uint32_t block_count, void *stream,
                                  struct pto_cann_options *config, void *args, size_t args_size,
                                  struct pto_cann_place_holder *holders, size_t holder_count)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtLaunchKernelWithHostArgs", &device);
    const struct fake_function *known = function;
    if (code == 0 && (known == NULL || !fake_binary_is_known(known->binary))) {
        code = FAKE_INVALID_HANDLE;
    }
    if (code == 0 && !fake_stream_is_known(stream)) {
        code = FAKE_STREAM_CONTEXT;
    }
    int is_batch = 0;
    int has_limit = 0;
    uint64_t limit_s = 0;
    for (size_t i = 0; config != NULL && i < config->count; i++) {
        const struct pto_cann_option *option = &config->options[i];
        is_batch |=
            option->id == PTO_CANN_LAUNCH_SCHEM_MODE && option->value.u8 == PTO_CANN_SCHEM_BATCH;
        if (option->id == PTO_CANN_LAUNCH_TIMEOUT) {
            has_limit = 1;
            limit_s = option->value.u16;
        }
    }
    if (code == 0 && (holders != NULL || holder_count != 0)) {
        code = FAKE_INVALID_PARAM;
    }
    if (code == 0) {
        code =
            known->kind == FAKE_FUNCTION_AICORE
                ? fake_launch_aicore(known->binary, block_count, stream, args, args_size, is_batch)
                : fake_launch_aicpu(device, known->kind, block_count, stream, args, args_size,
                                    has_limit, limit_s);
    }
    return fake_leave(code);
}

int aclrtGetDeviceInfo(uint32_t device_id, int32_t attribute, int64_t *value)
{
    int code = fake_enter("aclrtGetDeviceInfo");
    if (code == 0 && fake_device((int32_t)device_id) == NULL) {
        code = FAKE_INVALID_DEVICE;
    }
    switch (attribute) {
    case PTO_CANN_ATTR_AICPU_COUNT: *value = fake_aicpu_count(); break;
    case PTO_CANN_ATTR_CUBE_COUNT: *value = fake_block_limit() + 1; break;
    case PTO_CANN_ATTR_VECTOR_COUNT: *value = 2 * (int64_t)fake_block_limit() + 2; break;
    default: code = code == 0 ? FAKE_INVALID_PARAM : code;
    }
    return fake_leave(code);
}

// One block fewer than the chip has: what may be used is what the stream says.
int aclrtGetStreamResLimit(void *stream, int32_t resource, uint32_t *value)
{
    int code = fake_enter("aclrtGetStreamResLimit");
    if (code == 0 && !fake_stream_is_known(stream)) {
        code = FAKE_STREAM_CONTEXT;
    }
    *value = resource == PTO_CANN_LIMIT_CUBE ? fake_block_limit() : 2 * fake_block_limit();
    return fake_leave(code);
}
