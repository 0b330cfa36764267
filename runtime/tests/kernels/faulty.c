// SPDX-License-Identifier: Apache-2.0
// Kernels that do what they are told, right or wrong, for the tests of the checks.
//
//     id  name    arguments                                  does
//     30  touch   tensor, n, operation, offset, size    one access at tensor + offset, of `size`
//                                                       bytes or as many as the operation has
//     31  script  t0, t1, t2, n0, n1, n2, eight steps   what SCRIPT_STEP says, in order
//     32  keep    tensor, n, what                       writes into a tensor of another task's
#include "pto/kernel.h"

#include "kernels/faulty.h"

#include <string.h>

struct line {
    uint8_t bytes[64];
};

typedef uint64_t unaligned_word __attribute__((aligned(1)));

static int32_t touch_wide(uint8_t *at, uint64_t operation, uint64_t size)
{
    static struct line kept; // the program's own, and so no finding
    const struct line zeros = {{0}};
    uint8_t scratch[256] = {0};
    switch (operation) {
    case TOUCH_MEMCPY_FROM: memcpy(scratch, at, size); return scratch[size / 2] == 255;
    case TOUCH_MEMCPY_TO: memcpy(at, scratch, size); return 0;
    case TOUCH_MEMMOVE_TO: memmove(at, scratch, size); return 0;
    case TOUCH_MEMSET: memset(at, 1, size); return 0;
    case TOUCH_BUILTIN_MEMCPY_TO: __builtin_memcpy(at, scratch, 64); return 0;
    case TOUCH_BUILTIN_MEMSET: __builtin_memset(at, 1, 64); return 0;
    case TOUCH_STRUCT_FROM: kept = *(struct line *)(void *)at; return kept.bytes[size] == 255;
    case TOUCH_STRUCT_TO: *(struct line *)(void *)at = zeros; return 0;
    default: return -1;
    }
}

// Arguments: tensor (uint8[n]), n, an enum touch, offset (may be negative), size (up to 256).
PTO_KERNEL(30, touch, PTO_INOUT(uint8_t, 1), PTO_INTEGER, PTO_INTEGER, PTO_INTEGER, PTO_INTEGER)
{
    uint8_t *at = PTO_POINTER(args, 0, uint8_t) + (int64_t)args[3];
    switch (args[2]) {
    case TOUCH_READ_1: return *at == 255;
    case TOUCH_READ_2: return *(uint16_t *)(void *)at == 65535;
    case TOUCH_READ_4: return *(uint32_t *)(void *)at == UINT32_MAX;
    case TOUCH_READ_8: return *(uint64_t *)(void *)at == UINT64_MAX;
    case TOUCH_WRITE_1: *at = 1; return 0;
    case TOUCH_WRITE_2: *(uint16_t *)(void *)at = 1; return 0;
    case TOUCH_WRITE_4: *(uint32_t *)(void *)at = 1; return 0;
    case TOUCH_WRITE_8: *(uint64_t *)(void *)at = 1; return 0;
    case TOUCH_MODIFY_4: *(uint32_t *)(void *)at += 1; return 0;
    case TOUCH_UNALIGNED_READ_8: return *(unaligned_word *)(void *)at == UINT64_MAX;
    case TOUCH_UNALIGNED_WRITE_8: *(unaligned_word *)(void *)at = 1; return 0;
    case TOUCH_FORCED_READ_4: return *(__volatile__ uint32_t *)(void *)at == UINT32_MAX;
    case TOUCH_FORCED_WRITE_4: *(__volatile__ uint32_t *)(void *)at = 1; return 0;
    case TOUCH_ATOMIC_READ_4:
        return __atomic_load_n((uint32_t *)(void *)at, __ATOMIC_RELAXED) == UINT32_MAX;
    case TOUCH_ATOMIC_WRITE_4: __atomic_store_n((uint32_t *)(void *)at, 1, __ATOMIC_RELAXED); break;
    case TOUCH_ATOMIC_ADD_4:
        return __atomic_fetch_add((uint32_t *)(void *)at, 1, __ATOMIC_RELAXED) == UINT32_MAX;
    default: return touch_wide(at, args[2], args[4]);
    }
    return 0;
}

PTO_KERNEL(31, script, PTO_INOUT(uint8_t, 3), PTO_INOUT(uint8_t, 4), PTO_INOUT(uint8_t, 5),
           PTO_INTEGER, PTO_INTEGER, PTO_INTEGER, PTO_INTEGER, PTO_INTEGER, PTO_INTEGER,
           PTO_INTEGER, PTO_INTEGER, PTO_INTEGER, PTO_INTEGER, PTO_INTEGER)
{
    static const uint8_t constants[2] = {1, 2}; // the program's own, and so no finding
    uint8_t sum = 0;
    for (uint32_t i = 0; i < SCRIPT_STEP_COUNT; i++) {
        uint64_t step = args[6 + i];
        uint8_t *at = PTO_POINTER(args, SCRIPT_TENSOR(step), uint8_t) + SCRIPT_OFFSET(step);
        uint64_t size = SCRIPT_SIZE(step);
        if (SCRIPT_WRITES(step) && SCRIPT_WHOLE(step)) {
            memset(at, constants[i % 2], size);
            continue;
        }
        for (uint64_t k = 0; k < size; k++) {
            if (SCRIPT_WRITES(step)) {
                at[k] = constants[k % 2];
            } else {
                sum = (uint8_t)(sum + at[k]);
            }
        }
    }
    __asm__ __volatile__("" : : "r"(sum)); // the reads are wanted
    return 0;
}

// A defect that kernels must not have: a pointer kept from task to task. Arguments: tensor
// (uint8[n]), n, 1: remember the tensor; 0: write into the one remembered.
PTO_KERNEL(32, keep, PTO_INOUT(uint8_t, 1), PTO_INTEGER, PTO_INTEGER)
{
    static uint8_t *kept;
    if (args[2] != 0) {
        kept = PTO_POINTER(args, 0, uint8_t);
    } else {
        kept[0] = 1;
    }
    return 0;
}
