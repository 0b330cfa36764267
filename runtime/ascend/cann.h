// SPDX-License-Identifier: Apache-2.0
// What this library uses of CANN, declared by ourselves: no header of the vendor's is needed to
// build, and no library of the vendor's to start. Names in comments are CANN's. Layouts and numbers
// are those of the public documentation and sources of CANN 8.1 to 9.2; they did not change between
// those versions.
#ifndef PTO_ASCEND_CANN_H
#define PTO_ASCEND_CANN_H

#include <stddef.h>
#include <stdint.h>

#include "abi/abi.h"

// Return codes. Every call returns 0 or one of these; errors.c says what they mean.
enum {
    PTO_CANN_OK = 0,
    PTO_CANN_ABANDONED = -1, // ours, see service.h
    PTO_CANN_REPEAT_INITIALIZE = 100002,
    PTO_CANN_NO_CONTEXT = 107002,
    PTO_CANN_MEMORY_ALLOCATION = 207001,
    PTO_CANN_DEVICE_OOM = 207018,
    PTO_CANN_DEVICE_AT_FAULT = 500000, // from here on it is not the call that is wrong
    PTO_CANN_AICORE_TIMEOUT = 507014,
    PTO_CANN_AICORE_EXCEPTION = 507015,
    PTO_CANN_AICPU_TIMEOUT = 507017,
    PTO_CANN_AICPU_EXCEPTION = 507018,
    PTO_CANN_VECTOR_CORE_TIMEOUT = 507034,
    PTO_CANN_VECTOR_CORE_EXCEPTION = 507035,
    PTO_CANN_STREAM_SYNC_TIMEOUT = 507046,
    PTO_CANN_DRIVER_INTERNAL = 507899,
};

enum {
    PTO_CANN_MEM_HUGE_FIRST = 0, // ACL_MEM_MALLOC_HUGE_FIRST
    PTO_CANN_MEM_ATTR_HBM = 1,   // ACL_HBM_MEM
    PTO_CANN_COPY_TO_DEVICE = 1, // ACL_MEMCPY_HOST_TO_DEVICE
    PTO_CANN_COPY_TO_HOST = 2,   // ACL_MEMCPY_DEVICE_TO_HOST

    PTO_CANN_LOAD_MAGIC = 2,           // ACL_RT_BINARY_LOAD_OPT_MAGIC
    PTO_CANN_LOAD_CPU_KERNEL_MODE = 3, // ACL_RT_BINARY_LOAD_OPT_CPU_KERNEL_MODE
    PTO_CANN_MAGIC_AICORE = 0x43554245,

    PTO_CANN_LAUNCH_SCHEM_MODE = 1, // ACL_RT_LAUNCH_KERNEL_ATTR_SCHEM_MODE, one byte
    PTO_CANN_LAUNCH_TIMEOUT = 7,    // ..._TIMEOUT, 16 bits of seconds, 0: for ever
    PTO_CANN_SCHEM_BATCH = 1,       // start when all requested cores are idle

    PTO_CANN_ATTR_AICPU_COUNT = 1,    // ACL_DEV_ATTR_AICPU_CORE_NUM
    PTO_CANN_ATTR_CUBE_COUNT = 102,   // ACL_DEV_ATTR_CUBE_CORE_NUM
    PTO_CANN_ATTR_VECTOR_COUNT = 201, // ACL_DEV_ATTR_VECTOR_CORE_NUM
    PTO_CANN_LIMIT_CUBE = 0,          // ACL_RT_DEV_RES_CUBE_CORE
    PTO_CANN_LIMIT_VECTOR = 1,        // ACL_RT_DEV_RES_VECTOR_CORE

    PTO_CANN_KERNEL_TYPE_AICPU_KFC = 5,
    PTO_CANN_KERNEL_SPECIAL_TIMEOUT = 0x100, // RT_KERNEL_USE_SPECIAL_TIMEOUT
};

// aclrtBinaryLoadOption, aclrtLaunchKernelAttr: an id and 16 bytes that it gives a meaning.
struct pto_cann_option {
    uint32_t id;
    union {
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        int32_t i32;
        uint32_t words[4];
    } value;
};
PTO_STATIC_ASSERT(sizeof(struct pto_cann_option) == 20, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_option, value) == 4, "CANN's layout");

// aclrtBinaryLoadOptions, aclrtLaunchKernelCfg.
struct pto_cann_options {
    struct pto_cann_option *options;
    size_t count;
};
PTO_STATIC_ASSERT(sizeof(struct pto_cann_options) == 16, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_options, count) == 8, "CANN's layout");

// rtDevBinary_t
struct pto_cann_binary {
    uint32_t magic;
    uint32_t version;
    const void *data;
    uint64_t length;
};
PTO_STATIC_ASSERT(sizeof(struct pto_cann_binary) == 24, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_binary, version) == 4, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_binary, data) == 8, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_binary, length) == 16, "CANN's layout");

// rtArgsEx_t
struct pto_cann_args {
    void *args;
    void *host_input_info;
    uint32_t args_size;
    uint32_t tiling_addr_offset;
    uint32_t tiling_data_offset;
    uint16_t host_input_info_count;
    uint8_t has_tiling;
    uint8_t is_no_need_h2d_copy;
    uint8_t reserved[8];
};
PTO_STATIC_ASSERT(sizeof(struct pto_cann_args) == 40, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_args, host_input_info) == 8, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_args, args_size) == 16, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_args, tiling_addr_offset) == 20, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_args, tiling_data_offset) == 24, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_args, host_input_info_count) == 28, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_args, has_tiling) == 30, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_args, is_no_need_h2d_copy) == 31, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_args, reserved) == 32, "CANN's layout");

// rtAicpuArgsEx_t
struct pto_cann_aicpu_args {
    void *args;
    void *host_input_info;
    void *kernel_offset_info;
    uint32_t args_size;
    uint16_t host_input_info_count;
    uint16_t kernel_offset_info_count;
    uint32_t so_name_offset;
    uint32_t kernel_name_offset;
    uint8_t is_no_need_h2d_copy;
    uint8_t padding;
    uint16_t timeout_s;
    uint8_t reserved[4];
};
PTO_STATIC_ASSERT(sizeof(struct pto_cann_aicpu_args) == 48, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_aicpu_args, host_input_info) == 8, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_aicpu_args, kernel_offset_info) == 16, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_aicpu_args, args_size) == 24, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_aicpu_args, host_input_info_count) == 28,
                  "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_aicpu_args, kernel_offset_info_count) == 30,
                  "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_aicpu_args, so_name_offset) == 32, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_aicpu_args, kernel_name_offset) == 36, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_aicpu_args, is_no_need_h2d_copy) == 40, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_aicpu_args, timeout_s) == 42, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_aicpu_args, reserved) == 44, "CANN's layout");

// rtHostInputInfo_t, rtPlaceHolderInfo_t, aclrtPlaceHolderInfo
struct pto_cann_place_holder {
    uint32_t address_offset;
    uint32_t data_offset;
};
PTO_STATIC_ASSERT(sizeof(struct pto_cann_place_holder) == 8, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_place_holder, data_offset) == 4, "CANN's layout");

// rtTaskCfgInfo_t
struct pto_cann_task_config {
    uint8_t qos;
    uint8_t part_id;
    uint8_t schem_mode;
    uint8_t d2d_cross_flag;
    uint32_t block_dim_offset;
    uint8_t dump_flag;
    uint8_t never_timeout;
    uint8_t reserved[2];
    uint32_t local_memory_size;
};
PTO_STATIC_ASSERT(sizeof(struct pto_cann_task_config) == 16, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_task_config, part_id) == 1, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_task_config, schem_mode) == 2, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_task_config, d2d_cross_flag) == 3, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_task_config, block_dim_offset) == 4, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_task_config, dump_flag) == 8, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_task_config, never_timeout) == 9, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_task_config, local_memory_size) == 12, "CANN's layout");

// What CANN's own AICPU program reads to load ours: struct DeviceArgs, found through the pointer at
// byte 40 of a launch's arguments. Older versions end before device_id; newer ones read past 112.
struct pto_cann_device_args {
    uint64_t unused[12];
    uint64_t aicpu_so_address;
    uint64_t aicpu_so_size_bytes;
    uint64_t device_id;
    uint64_t reserved[9];
};
PTO_STATIC_ASSERT(sizeof(struct pto_cann_device_args) == 192, "three lines, more than is read");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_device_args, aicpu_so_address) == 96, "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_device_args, aicpu_so_size_bytes) == 104,
                  "CANN's layout");
PTO_STATIC_ASSERT(offsetof(struct pto_cann_device_args, device_id) == 112, "CANN's layout");

// CANN's AICPU program, and its entry points that load ours and call it.
#define PTO_CANN_LOADER_SO "libaicpu_extend_kernels.so"
#define PTO_CANN_LOADER_INIT "DynTileFwkKernelServerInit"
#define PTO_CANN_LOADER_RUN "DynTileFwkKernelServer"

#endif // PTO_ASCEND_CANN_H
