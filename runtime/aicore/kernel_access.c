// SPDX-License-Identifier: Apache-2.0
// Shows every load and store of a kernel, in the builds for the explorer and for the simulator's
// checks.
//
// They compile kernels with -fsanitize=thread, which puts a call before each access, and link them
// with the functions here instead of a sanitizer's. Kernels stay as they are. Names and signatures
// are those that GCC and Clang call. Of the functions of the C library, those in kernel_libc.c are
// seen; kernels of an NPU have no C library.
#include "aicore/kernel_access.h"

#define EXPORT_NOTHING __attribute__((visibility("hidden")))

#define ACCESS(name, function, size)                  \
    EXPORT_NOTHING void __tsan_##name(void *address); \
    void __tsan_##name(void *address)                 \
    {                                                 \
        function(address, size);                      \
    }

#define ACCESSES(size)                                                    \
    ACCESS(read##size, pto__kernel_read, size)                            \
    ACCESS(write##size, pto__kernel_write, size)                          \
    ACCESS(unaligned_read##size, pto__kernel_read, size)                  \
    ACCESS(unaligned_write##size, pto__kernel_write, size)                \
    ACCESS(volatile_read##size, pto__kernel_read, size)                   \
    ACCESS(volatile_write##size, pto__kernel_write, size)                 \
    ACCESS(unaligned_volatile_read##size, pto__kernel_read, size)         \
    ACCESS(unaligned_volatile_write##size, pto__kernel_write, size)       \
    EXPORT_NOTHING void __tsan_read_write##size(void *address);           \
    void __tsan_read_write##size(void *address)                           \
    {                                                                     \
        pto__kernel_read(address, size);                                  \
        pto__kernel_write(address, size);                                 \
    }                                                                     \
    EXPORT_NOTHING void __tsan_unaligned_read_write##size(void *address); \
    void __tsan_unaligned_read_write##size(void *address)                 \
    {                                                                     \
        pto__kernel_read(address, size);                                  \
        pto__kernel_write(address, size);                                 \
    }

// The compilers call these names and no others, reserved though they are.
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

EXPORT_NOTHING void __tsan_init(void);
EXPORT_NOTHING void __tsan_func_entry(void *caller);
EXPORT_NOTHING void __tsan_func_exit(void);
EXPORT_NOTHING void __tsan_read_range(void *address, uint64_t size_bytes);
EXPORT_NOTHING void __tsan_write_range(void *address, uint64_t size_bytes);
EXPORT_NOTHING void *__tsan_memcpy(void *to, const void *from, uint64_t size_bytes);
EXPORT_NOTHING void *__tsan_memmove(void *to, const void *from, uint64_t size_bytes);
EXPORT_NOTHING void *__tsan_memset(void *to, int value, uint64_t size_bytes);

void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void)
{
}

void __tsan_read_range(void *address, uint64_t size_bytes)
{
    pto__kernel_read(address, size_bytes);
}

void __tsan_write_range(void *address, uint64_t size_bytes)
{
    pto__kernel_write(address, size_bytes);
}

void *__tsan_memcpy(void *to, const void *from, uint64_t size_bytes)
{
    pto__kernel_read(from, size_bytes);
    pto__kernel_write(to, size_bytes);
    return __builtin_memcpy(to, from, size_bytes);
}

void *__tsan_memmove(void *to, const void *from, uint64_t size_bytes)
{
    pto__kernel_read(from, size_bytes);
    pto__kernel_write(to, size_bytes);
    return __builtin_memmove(to, from, size_bytes);
}

void *__tsan_memset(void *to, int value, uint64_t size_bytes)
{
    pto__kernel_write(to, size_bytes);
    return __builtin_memset(to, value, size_bytes);
}

// An NPU's cores have no atomic operations on memory, so only kernels that test the simulator use
// them.
#define SHOW(word, access) pto__kernel_atomic((word), sizeof(*(word)), (access))
#define READ_WRITE (PTO_SHOW_READ | PTO_SHOW_WRITE)

#define ATOMIC_FETCH(bits, type, operation)                                               \
    EXPORT_NOTHING type __tsan_atomic##bits##_fetch_##operation(type *word, type operand, \
                                                                int order);               \
    type __tsan_atomic##bits##_fetch_##operation(type *word, type operand, int order)     \
    {                                                                                     \
        (void)order;                                                                      \
        SHOW(word, READ_WRITE);                                                           \
        return __atomic_fetch_##operation(word, operand, __ATOMIC_SEQ_CST);               \
    }

#define ATOMIC_COMPARE(bits, type, strength)                                                       \
    EXPORT_NOTHING int __tsan_atomic##bits##_compare_exchange_##strength(                          \
        type *word, type *expected, type wanted, int order, int failure_order);                    \
    int __tsan_atomic##bits##_compare_exchange_##strength(type *word, type *expected, type wanted, \
                                                          int order, int failure_order)            \
    {                                                                                              \
        (void)order;                                                                               \
        (void)failure_order;                                                                       \
        SHOW(word, READ_WRITE);                                                                    \
        return __atomic_compare_exchange_n(word, expected, wanted, 0, __ATOMIC_SEQ_CST,            \
                                           __ATOMIC_SEQ_CST);                                      \
    }

#define ATOMICS(bits, type)                                                                 \
    ATOMIC_FETCH(bits, type, add)                                                           \
    ATOMIC_FETCH(bits, type, sub)                                                           \
    ATOMIC_FETCH(bits, type, and)                                                           \
    ATOMIC_FETCH(bits, type, or)                                                            \
    ATOMIC_FETCH(bits, type, xor)                                                           \
    ATOMIC_COMPARE(bits, type, strong)                                                      \
    ATOMIC_COMPARE(bits, type, weak)                                                        \
    EXPORT_NOTHING type __tsan_atomic##bits##_compare_exchange_val(                         \
        type *word, type expected, type wanted, int order, int failure_order);              \
    type __tsan_atomic##bits##_compare_exchange_val(type *word, type expected, type wanted, \
                                                    int order, int failure_order)           \
    {                                                                                       \
        (void)__tsan_atomic##bits##_compare_exchange_strong(word, &expected, wanted, order, \
                                                            failure_order);                 \
        return expected;                                                                    \
    }                                                                                       \
    EXPORT_NOTHING type __tsan_atomic##bits##_exchange(type *word, type value, int order);  \
    type __tsan_atomic##bits##_exchange(type *word, type value, int order)                  \
    {                                                                                       \
        (void)order;                                                                        \
        SHOW(word, READ_WRITE);                                                             \
        return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);                          \
    }                                                                                       \
    EXPORT_NOTHING type __tsan_atomic##bits##_load(const type *word, int order);            \
    type __tsan_atomic##bits##_load(const type *word, int order)                            \
    {                                                                                       \
        (void)order;                                                                        \
        SHOW(word, PTO_SHOW_READ);                                                          \
        return __atomic_load_n(word, __ATOMIC_SEQ_CST);                                     \
    }                                                                                       \
    EXPORT_NOTHING void __tsan_atomic##bits##_store(type *word, type value, int order);     \
    void __tsan_atomic##bits##_store(type *word, type value, int order)                     \
    {                                                                                       \
        (void)order;                                                                        \
        SHOW(word, PTO_SHOW_WRITE);                                                         \
        __atomic_store_n(word, value, __ATOMIC_SEQ_CST);                                    \
    }

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)

EXPORT_NOTHING void __tsan_atomic_thread_fence(int order);
EXPORT_NOTHING void __tsan_atomic_signal_fence(int order);

void __tsan_atomic_thread_fence(int order)
{
    (void)order;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void __tsan_atomic_signal_fence(int order)
{
    (void)order;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
