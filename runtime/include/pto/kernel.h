// SPDX-License-Identifier: Apache-2.0
// For authors of AICore kernels: declare a kernel, get at its arguments.
//
//     #include <pto/kernel.h>
//
//     // out[i] = src[i] * factor, for n elements. Arguments: src, factor, out, n.
//     PTO_KERNEL(7, scale, PTO_IN(float, 3), PTO_FLOAT, PTO_OUT(float, 3), PTO_INTEGER)
//     {
//         PTO_GM const float *src = PTO_POINTER(args, 0, const float);
//         float factor = pto_arg_float(args, 1);
//         PTO_GM float *out = PTO_POINTER(args, 2, float);
//         uint64_t n = args[3];
//         for (uint64_t i = 0; i < n; i++) {
//             out[i] = src[i] * factor;
//         }
//         return 0;
//     }
//
// The body is that of `int32_t scale(const uint64_t *args)`. Zero is success; any other value ends
// the run with a PTO_E_TASK error that carries it. A kernel runs on one AICore, without other tasks
// that use the same bytes if the graph orders them; it may read and write only what its pointer
// arguments name, keeps no state between calls, and cannot call the C library on an NPU.
// A kernel.o is built from such files by the CMake function pto_add_kernels().
#ifndef PTO_KERNEL_H
#define PTO_KERNEL_H

#include "abi/kernel_table.h"

// Descriptions of arguments, in order. COUNT is the index of the argument that holds the number of
// elements; the 2D forms name two arguments whose product is the number of elements.
#define PTO_IN(type, count)                           \
    {                                                 \
        PTO_ARG_IN, sizeof(type), (count), PTO_NO_ARG \
    }
#define PTO_OUT(type, count)                           \
    {                                                  \
        PTO_ARG_OUT, sizeof(type), (count), PTO_NO_ARG \
    }
#define PTO_INOUT(type, count)                           \
    {                                                    \
        PTO_ARG_INOUT, sizeof(type), (count), PTO_NO_ARG \
    }
#define PTO_IN_2D(type, rows, columns)              \
    {                                               \
        PTO_ARG_IN, sizeof(type), (rows), (columns) \
    }
#define PTO_OUT_2D(type, rows, columns)              \
    {                                                \
        PTO_ARG_OUT, sizeof(type), (rows), (columns) \
    }
#define PTO_INOUT_2D(type, rows, columns)              \
    {                                                  \
        PTO_ARG_INOUT, sizeof(type), (rows), (columns) \
    }
#define PTO_INTEGER                                \
    {                                              \
        PTO_ARG_INTEGER, 0, PTO_NO_ARG, PTO_NO_ARG \
    }
#define PTO_FLOAT                                \
    {                                            \
        PTO_ARG_FLOAT, 0, PTO_NO_ARG, PTO_NO_ARG \
    }

#define PTO_POINTER(args, index, type) ((PTO_GM type *)(uintptr_t)(args)[index])

typedef int32_t pto_kernel_function(PTO_GM const uint64_t *args);

// The worker's half of the table; read only inside the AICore program.
struct pto_kernel_entry {
    uint64_t func_id;
    pto_kernel_function *function;
};

static inline PTO_AICORE float pto_arg_float(PTO_GM const uint64_t *args, uint32_t index)
{
    union {
        uint32_t bits;
        float value;
    } both;
    both.bits = (uint32_t)args[index];
    return both.value;
}

#if defined(__CCE_AICORE__)
// AICore code is loaded without its data being relocated, so the way from a func_id to a kernel is
// code: a specialization for each kernel, which the entry file puts into a tree of comparisons. The
// records that describe the kernels are put into the file by the build.
template <uint32_t func_id> struct pto_kernel_slot {
    static constexpr bool is_used = false;
    static PTO_AICORE int32_t run(PTO_GM const uint64_t *)
    {
        return 0;
    }
};

#define PTO_KERNEL(func_id_, name_, ...)                            \
    static PTO_AICORE int32_t name_(PTO_GM const uint64_t *args);   \
    template <> struct pto_kernel_slot<(func_id_)> {                \
        static constexpr bool is_used = true;                       \
        static PTO_AICORE int32_t run(PTO_GM const uint64_t *args)  \
        {                                                           \
            return name_(args);                                     \
        }                                                           \
    };                                                              \
    static PTO_AICORE int32_t name_(PTO_GM const uint64_t *args)
#else
// func_id 0..PTO_FUNC_ID_MAX, unique in a kernel.o; name is a C identifier of at most 43
// characters.
#define PTO_KERNEL(func_id_, name_, ...)                                                           \
    enum {                                                                                         \
        pto_kernel_arg_count_##name_ =                                                             \
            sizeof(__extension__(const struct pto_kernel_arg[]){__VA_ARGS__}) /                    \
            sizeof(struct pto_kernel_arg)                                                          \
    };                                                                                             \
    static int32_t name_(PTO_GM const uint64_t *args);                                             \
    PTO_STATIC_ASSERT((func_id_) <= PTO_FUNC_ID_MAX, "func_id out of range");                      \
    PTO_STATIC_ASSERT(sizeof(#name_) <= PTO_KERNEL_NAME_SIZE, "kernel name too long");             \
    __attribute__((                                                                                \
        section(PTO_KERNEL_SECTION), used,                                                         \
        aligned(64))) static const struct pto_kernel_record pto_kernel_record_##name_ = {          \
        PTO_KERNEL_MAGIC,                                                                          \
        PTO_ABI_VERSION,                                                                           \
        sizeof(struct pto_kernel_record),                                                          \
        (func_id_),                                                                                \
        pto_kernel_arg_count_##name_,                                                              \
        #name_,                                                                                    \
        {__VA_ARGS__}};                                                                            \
    __attribute__((section(PTO_KERNEL_ENTRY_SECTION), used,                                        \
                   aligned(16))) static const struct pto_kernel_entry pto_kernel_entry_##name_ = { \
        (func_id_), name_};                                                                        \
    static PTO_AICORE int32_t name_(PTO_GM const uint64_t *args)
#endif

#endif // PTO_KERNEL_H
