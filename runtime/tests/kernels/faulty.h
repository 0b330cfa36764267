// SPDX-License-Identifier: Apache-2.0
// How a test tells the kernels of faulty.c what to do.
#ifndef PTO_TESTS_FAULTY_H
#define PTO_TESTS_FAULTY_H

#define FUNC_TOUCH 30u
#define FUNC_SCRIPT 31u
#define FUNC_KEEP 32u

enum touch {
    TOUCH_READ_1,
    TOUCH_READ_2,
    TOUCH_READ_4,
    TOUCH_READ_8,
    TOUCH_WRITE_1,
    TOUCH_WRITE_2,
    TOUCH_WRITE_4,
    TOUCH_WRITE_8,
    TOUCH_MODIFY_4,
    TOUCH_UNALIGNED_READ_8,
    TOUCH_UNALIGNED_WRITE_8,
    TOUCH_FORCED_READ_4, // an access that a compiler may not leave out
    TOUCH_FORCED_WRITE_4,
    TOUCH_ATOMIC_READ_4,
    TOUCH_ATOMIC_WRITE_4,
    TOUCH_ATOMIC_ADD_4,
    TOUCH_MEMCPY_FROM,
    TOUCH_MEMCPY_TO,
    TOUCH_MEMMOVE_TO,
    TOUCH_MEMSET,
    TOUCH_BUILTIN_MEMCPY_TO, // of 64 bytes
    TOUCH_BUILTIN_MEMSET,
    TOUCH_STRUCT_FROM, // of 64 bytes
    TOUCH_STRUCT_TO,
    TOUCH_COUNT,
};

// A step of a script: which of its three tensors, which bytes, read or written, in pieces or whole.
#define SCRIPT_STEP_COUNT 8u
#define SCRIPT_STEP(tensor, writes, whole, offset, size)                     \
    ((uint64_t)(tensor) | (uint64_t)(writes) << 2 | (uint64_t)(whole) << 3 | \
     (uint64_t)(offset) << 16 | (uint64_t)(size) << 32)
#define SCRIPT_TENSOR(step) ((step)&3)
#define SCRIPT_WRITES(step) (((step) >> 2 & 1) != 0)
#define SCRIPT_WHOLE(step) (((step) >> 3 & 1) != 0)
#define SCRIPT_OFFSET(step) ((step) >> 16 & 0xffff)
#define SCRIPT_SIZE(step) ((step) >> 32 & 0xffff)

#endif // PTO_TESTS_FAULTY_H
