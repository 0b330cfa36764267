// SPDX-License-Identifier: Apache-2.0
// The simulator's checks of kernels: memcheck, initcheck and racecheck.
//
// A program built for checks (kernel_check.o) shows each access of a kernel before it is made. The
// checker keeps a shadow of device memory beside it: for each byte whether somebody has written it,
// which task wrote it last and which have read it since. So a fault is found by what the graph
// orders, and not by what this run happened to do.
//
// Threads: one at a time. During a launch the hooks are called by the thread that runs the kernels,
// which is the one that called run().
#ifndef PTO_CHECK_CHECKER_H
#define PTO_CHECK_CHECKER_H

#include <stdbool.h>

#include "abi/check.h"
#include "host/backend.h"

struct pto_checker;

PTO_NODISCARD enum pto_status pto__checker_create(struct pto_checker **out, struct pto_error *err);
void pto__checker_destroy(struct pto_checker *checker); // NULL is allowed

// Takes in what a launch needs: blocks that are there no more lose their shadow, those that came
// get one when they are touched. After PTO_E_NO_MEMORY it may be called again.
PTO_NODISCARD enum pto_status pto__checker_prepare(struct pto_checker *checker,
                                                   const struct pto_check_setup *setup,
                                                   struct pto_error *err);

// Ends the kernel that is running: does not return.
typedef void pto_check_stop(void *context, uint64_t address);

// Begins a launch of this image. What lies between the frame of the kernel and `stack_top` is its
// own.
struct pto_check_hooks *pto__checker_begin(struct pto_checker *checker, uint64_t image,
                                           const void *stack_top, pto_check_stop *stop,
                                           void *stop_context);
// Ends it: the findings are there until the next one begins.
void pto__checker_end(struct pto_checker *checker, struct pto_launch_outcome *out);

#endif // PTO_CHECK_CHECKER_H
