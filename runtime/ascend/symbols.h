// SPDX-License-Identifier: Apache-2.0
// Every function of CANN that is used: one line each, from which the members of struct pto_cann,
// their resolution and every message about them are made.
//
//     X(library, name, need, since, parameters)
//
// All return an int, 0 for success, but for those of PTO_CANN_TEXT_SYMBOLS. A required symbol that
// is missing makes the backend unusable; an optional one only the launch path that takes it.
// `since` is the oldest version known to have it.
#ifndef PTO_ASCEND_SYMBOLS_H
#define PTO_ASCEND_SYMBOLS_H

#include "ascend/cann.h"

#define PTO_CANN_SYMBOLS(X)                                                                        \
    X(ACL, aclInit, REQUIRED, "8.1", (const char *config_path))                                    \
    X(ACL, aclrtGetDeviceCount, REQUIRED, "8.1", (uint32_t * count))                               \
    X(ACL, aclrtSetDevice, REQUIRED, "8.1", (int32_t device_id))                                   \
    X(ACL, aclrtResetDevice, REQUIRED, "8.1", (int32_t device_id))                                 \
    X(ACL, aclrtResetDeviceForce, REQUIRED, "8.1", (int32_t device_id))                            \
    X(ACL, aclrtGetCurrentContext, REQUIRED, "8.1", (void **context))                              \
    X(ACL, aclrtSetCurrentContext, REQUIRED, "8.1", (void *context))                               \
    X(ACL, aclrtMalloc, REQUIRED, "8.1", (void **address, size_t size_bytes, int32_t policy))      \
    X(ACL, aclrtFree, REQUIRED, "8.1", (void *address))                                            \
    X(ACL, aclrtMallocHost, REQUIRED, "8.1", (void **address, size_t size_bytes))                  \
    X(ACL, aclrtFreeHost, REQUIRED, "8.1", (void *address))                                        \
    X(ACL, aclrtMemcpyAsync, REQUIRED, "8.1",                                                      \
      (void *to, size_t to_size, const void *from, size_t size_bytes, int32_t kind, void *stream)) \
    X(ACL, aclrtCreateStream, REQUIRED, "8.1", (void **stream))                                    \
    X(ACL, aclrtDestroyStream, REQUIRED, "8.1", (void *stream))                                    \
    X(ACL, aclrtSynchronizeStreamWithTimeout, REQUIRED, "8.1", (void *stream, int32_t timeout_ms)) \
    X(ACL, aclrtGetMemInfo, OPTIONAL, "8.1",                                                       \
      (int32_t attribute, size_t * free_bytes, size_t * total_bytes))                              \
    X(ACL, aclrtBinaryLoadFromFile, OPTIONAL, "8.1",                                               \
      (const char *path, struct pto_cann_options *options, void **binary))                         \
    X(ACL, aclrtBinaryUnLoad, OPTIONAL, "8.1", (void *binary))                                     \
    X(ACL, aclrtBinaryGetFunction, OPTIONAL, "8.1",                                                \
      (void *binary, const char *name, void **function))                                           \
    X(ACL, aclrtBinaryLoadFromData, OPTIONAL, "8.5",                                               \
      (const void *data, size_t size_bytes, const struct pto_cann_options *options,                \
       void **binary))                                                                             \
    X(ACL, aclrtLaunchKernelWithHostArgs, OPTIONAL, "8.5",                                         \
      (void *function, uint32_t block_count, void *stream, struct pto_cann_options *config,        \
       void *args, size_t args_size, struct pto_cann_place_holder *holders, size_t holder_count))  \
    X(ACL, aclrtGetDeviceInfo, OPTIONAL, "8.5",                                                    \
      (uint32_t device_id, int32_t attribute, int64_t * value))                                    \
    X(ACL, aclrtGetStreamResLimit, OPTIONAL, "8.5",                                                \
      (void *stream, int32_t resource, uint32_t *value))                                           \
    X(RUNTIME, rtGetAiCoreCount, OPTIONAL, "8.1", (uint32_t * count))                              \
    X(RUNTIME, rtGetAiCpuCount, OPTIONAL, "8.1", (uint32_t * count))                               \
    X(RUNTIME, rtRegisterAllKernel, OPTIONAL, "8.1",                                               \
      (const struct pto_cann_binary *binary, void **handle))                                       \
    X(RUNTIME, rtDevBinaryUnRegister, OPTIONAL, "8.1", (void *handle))                             \
    X(RUNTIME, rtKernelLaunchWithHandleV2, OPTIONAL, "8.1",                                        \
      (void *handle, uint64_t tiling_key, uint32_t block_count, struct pto_cann_args *args,        \
       void *sm_desc, void *stream, const struct pto_cann_task_config *config))                    \
    X(RUNTIME, rtAicpuKernelLaunchExWithArgs, OPTIONAL, "8.1",                                     \
      (uint32_t kernel_type, const char *op_name, uint32_t block_count,                            \
       const struct pto_cann_aicpu_args *args, void *sm_desc, void *stream, uint32_t flags))

#define PTO_CANN_TEXT_SYMBOLS(X)                        \
    X(ACL, aclGetRecentErrMsg, OPTIONAL, "8.1", (void)) \
    X(ACL, aclrtGetSocName, OPTIONAL, "8.1", (void))

#endif // PTO_ASCEND_SYMBOLS_H
