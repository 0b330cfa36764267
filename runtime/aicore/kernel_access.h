// SPDX-License-Identifier: Apache-2.0
// To whom an instrumented kernel shows its accesses: to the explorer's model or to the simulator's
// checks, whichever the program is built for. Each function is called before the access.
#ifndef PTO_AICORE_KERNEL_ACCESS_H
#define PTO_AICORE_KERNEL_ACCESS_H

#include "abi/check.h"

#if defined(PTO_TARGET_EXPLORE)

#include "abi/access_explore.h"

static inline void pto__kernel_read(const void *address, uint64_t size_bytes)
{
    pto__explore_do(PTO_EXPLORE_HERE(KERNEL_READ, ""), address, size_bytes);
}

static inline void pto__kernel_write(const void *address, uint64_t size_bytes)
{
    pto__explore_do(PTO_EXPLORE_HERE(KERNEL_WRITE, ""), address, size_bytes);
}

// An NPU's cores have no atomic operations on memory, and the model none either.
static inline void pto__kernel_atomic(const void *address, uint64_t size_bytes, uint32_t access)
{
    (void)address;
    (void)size_bytes;
    (void)access;
}

#else

static inline void pto__kernel_show(const void *address, uint64_t size_bytes, uint32_t access)
{
    struct pto_check_hooks *hooks = pto__check_hooks;
    uint64_t frame = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    if (hooks != NULL && (uint64_t)(uintptr_t)address - frame >= hooks->stack_top - frame) {
        hooks->access(hooks, address, size_bytes, access);
    }
}

static inline void pto__kernel_read(const void *address, uint64_t size_bytes)
{
    pto__kernel_show(address, size_bytes, PTO_SHOW_READ);
}

static inline void pto__kernel_write(const void *address, uint64_t size_bytes)
{
    pto__kernel_show(address, size_bytes, PTO_SHOW_WRITE);
}

static inline void pto__kernel_atomic(const void *address, uint64_t size_bytes, uint32_t access)
{
    pto__kernel_show(address, size_bytes, access | PTO_SHOW_ATOMIC);
}

#endif

#endif // PTO_AICORE_KERNEL_ACCESS_H
