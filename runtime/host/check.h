// SPDX-License-Identifier: Apache-2.0
// Checking tasks against the kernels they name and the memory they point to, before a launch.
#ifndef PTO_HOST_CHECK_H
#define PTO_HOST_CHECK_H

#include "graph/image.h"
#include "host/memory.h"
#include "host/program.h"

// Checks one task: its func_id is known (the message lists the known ones), the argument count is
// the kernel's, a float scalar's high word is zero, each pointer whose extent is not empty is
// aligned as its elements can need at most (the largest power of two, up to 64, that divides their
// size), and its whole extent lies inside one live block. Overflowing extents are errors.
// PTO_E_KERNEL or PTO_E_POINTER, with task, func_id and kernel filled in; the message names the
// argument by its number and kind, its value, and the element count asked for.
PTO_NODISCARD enum pto_status pto__check_task(const struct pto_task_view *view, uint32_t task,
                                              const struct pto_kernel_table *kernels,
                                              const struct pto_ledger *ledger,
                                              struct pto_error *err);

// Checks every task of a pinned graph; the error is the first bad task's.
PTO_NODISCARD enum pto_status pto__check_graph(const struct pto_graph *graph,
                                               const struct pto_kernel_table *kernels,
                                               const struct pto_ledger *ledger,
                                               struct pto_error *err);

// The extent of a pointer argument, of a task that passed its check.
uint64_t pto__arg_size_bytes(const struct pto_task_view *view, const struct pto_kernel_arg *arg);

#endif // PTO_HOST_CHECK_H
