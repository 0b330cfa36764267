// SPDX-License-Identifier: Apache-2.0
// Constants and spellings shared by host library, AICPU scheduler and AICore worker.
//
// Everything in abi/ is freestanding, valid as C11 and as C++17 (the AICore compiler takes a C++
// dialect only), and describes bytes that cross a program border. Fields are plain and of fixed
// width; who writes a field is said beside it, and the only way to touch one that another agent
// may touch at the same time is an accessor of abi/access.h.
#ifndef PTO_ABI_ABI_H
#define PTO_ABI_ABI_H

#include <stddef.h>
#include <stdint.h>

// Changes whenever a layout in abi/ or a meaning of a field changes. Each program states the
// version it was built with, and the host refuses to combine programs that differ.
#define PTO_ABI_VERSION 2u

// Cache line of the AICore's data cache and of the AICPU's cores, in bytes. The AICore writes back
// whole lines, so no line has two writers.
#define PTO_CACHE_LINE_SIZE 64u

// Tasks queued to one core at most, a power of two. Two hide a completion's way through memory
// (about 1 us on A2/A3); eight also spread the cost of a hand-over and still fit into the one line
// that the scheduler writes for the core.
#define PTO_RING_DEPTH 8u

// Bounds of a launch. An A3 die has 72 usable cores; the simulator takes more so that larger parts
// can be modelled. Six AICPU threads are usable on A2/A3 and A5.
#define PTO_CORE_COUNT_MAX 1024u
#define PTO_SCHEDULER_COUNT_MAX 16u

// Bounds of a graph. Indices are 32 bits wide, and the all-ones index means "none".
#define PTO_TASK_COUNT_MAX 0x7fffffffu
#define PTO_EDGE_COUNT_MAX 0xfffffffeu
#define PTO_NO_TASK 0xffffffffu

// Bounds of a kernel: its number indexes a table in the worker, and its argument descriptions are
// stored in place in the kernel table, so both are modest.
#define PTO_FUNC_ID_MAX 1023u
#define PTO_ARG_COUNT_MAX 128u

#ifdef __cplusplus
#define PTO_STATIC_ASSERT(condition, text) static_assert(condition, text)
#define PTO_ALIGNED_LINE alignas(64)
#else
#define PTO_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#define PTO_ALIGNED_LINE _Alignas(64)
#endif

// AICore code names the address space of device memory and the processor a function is for; other
// compilers have one address space and need neither.
#if defined(__CCE_AICORE__)
#ifndef __aicore__
#define __aicore__ [aicore]
#endif
#define PTO_GM __gm__
#define PTO_AICORE __aicore__
#else
#define PTO_GM
#define PTO_AICORE
#endif

#endif // PTO_ABI_ABI_H
