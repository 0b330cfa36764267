// SPDX-License-Identifier: Apache-2.0
// The kernel table: how kernel.o tells the host which kernels it has and what they expect.
//
// Each kernel contributes one record to the ELF section PTO_KERNEL_SECTION. Records hold no
// pointers, so the host reads them from the file, whatever processor the file is for. The worker's
// way from a func_id to code is a second section, private to the AICore program.
#ifndef PTO_ABI_KERNEL_TABLE_H
#define PTO_ABI_KERNEL_TABLE_H

#include "abi/abi.h"

#define PTO_KERNEL_SECTION "pto_kernels"
#define PTO_KERNEL_ENTRY_SECTION "pto_kernel_entries"
#define PTO_KERNEL_MAGIC 0x4b4f5450u // "PTOK", little endian
#define PTO_KERNEL_NAME_SIZE 44u     // with the terminating zero
#define PTO_NO_ARG 0xffffu

// How a kernel uses an argument. A pointer kind says which arguments give its extent.
enum pto_arg_kind {
    PTO_ARG_UNUSED = 0,  // past arg_count
    PTO_ARG_IN = 1,      // pointer, read
    PTO_ARG_OUT = 2,     // pointer, written
    PTO_ARG_INOUT = 3,   // pointer, read and written
    PTO_ARG_INTEGER = 4, // 64-bit integer, also an element count
    PTO_ARG_FLOAT = 5,   // float32 bits in the low word, high word zero
};

// A pointer's extent in bytes is element_size * args[count_arg] * args[count_arg2], where
// PTO_NO_ARG stands for a factor of one.
struct pto_kernel_arg {
    uint16_t kind;         // enum pto_arg_kind
    uint16_t element_size; // bytes; 0 for a scalar
    uint16_t count_arg;
    uint16_t count_arg2;
};
PTO_STATIC_ASSERT(sizeof(struct pto_kernel_arg) == 8, "kernel table layout");

struct pto_kernel_record {
    uint32_t magic;
    uint32_t version;     // PTO_ABI_VERSION
    uint32_t record_size; // sizeof(struct pto_kernel_record)
    uint32_t func_id;
    uint32_t arg_count;
    char name[PTO_KERNEL_NAME_SIZE];
    struct pto_kernel_arg args[PTO_ARG_COUNT_MAX];
};
PTO_STATIC_ASSERT(sizeof(struct pto_kernel_record) == 64 + 8 * PTO_ARG_COUNT_MAX, "no padding");
PTO_STATIC_ASSERT(sizeof(struct pto_kernel_record) % 64 == 0,
                  "records of several object files are laid end to end by the linker");

#endif // PTO_ABI_KERNEL_TABLE_H
