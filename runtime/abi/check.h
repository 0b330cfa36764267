// SPDX-License-Identifier: Apache-2.0
// Between the simulator's checks of kernels and an AICore program that was built for them: the
// program shows every load and store of its kernels, and which task makes them.
#ifndef PTO_ABI_CHECK_H
#define PTO_ABI_CHECK_H

#include "abi/abi.h"

// What an access does, as bits.
#define PTO_SHOW_READ 1u
#define PTO_SHOW_WRITE 2u
#define PTO_SHOW_ATOMIC 4u

// The functions are called before the access is made, by the thread that makes it; `access` need
// not return.
struct pto_check_hooks {
    // What lies between the frame of a kernel and this address is the kernel's own, and not shown.
    uint64_t stack_top;
    // A task's kernel is about to run, or has run: then the number is PTO_NO_TASK.
    void (*task)(struct pto_check_hooks *hooks, uint32_t task);
    void (*access)(struct pto_check_hooks *hooks, const void *address, uint64_t size_bytes,
                   uint32_t access);
};

#define PTO_CHECK_PROGRAM_SYMBOL "pto_check_program"
struct pto_check_program {
    uint32_t version; // PTO_ABI_VERSION
    uint32_t reserved;
    // Sets the calling thread's hooks, NULL for none; returns the ones before.
    struct pto_check_hooks *(*bind)(struct pto_check_hooks *hooks);
};

// The program's side, which aicore/kernel_check.c defines.
#if defined(PTO_TARGET_CHECK)
extern _Thread_local struct pto_check_hooks *pto__check_hooks
    __attribute__((visibility("hidden"), tls_model("initial-exec")));
#endif

#endif // PTO_ABI_CHECK_H
