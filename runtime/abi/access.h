// SPDX-License-Identifier: Apache-2.0
// The accessors: the only way the device programs touch memory that another agent may touch, and
// the only place that spells a memory order or a cache operation.
//
// One spelling, a meaning for each target:
//   native   the simulator: GCC atomics, so that ThreadSanitizer sees the real protocol
//   aicpu    the NPU's ARM cores: loads, stores, and barriers of the full system
//   aicore   the NPU's compute cores: loads, stores, dcci and dsb
//   explore  the explorer: calls into its model of all of these
//
// AICPU side
//   pto_cpu_load, pto_cpu_load16, pto_cpu_load64
//                                a value that an edge taken before has made fresh, or that only
//                                this thread writes
//   pto_cpu_peek                 a value that another agent may be writing, when nothing hangs on
//                                how old it is; the place says why
//   pto_own_load, pto_own_store  words that only this thread touches during a launch
//   pto_cpu_store                a value that a later publish makes visible
//   pto_cpu_publish              store; everything stored before is visible to whoever observes it
//   pto_cpu_observe              load; everything published before that value is visible after it
//   pto_cpu_refresh              write back and drop cached lines: before reading what the host
//                                wrote by DMA, and after writing what it will write next
//   pto_cpu_ring                 hint: these cores have work (simulator only)
//   pto_cpu_take_completed       hint: which of these cores may have news; all without hints
//   pto_cpu_pause                hint: this thread found nothing to do
//   pto_cpu_clock_ns             a monotonic clock
//   pto_cpu_prefetch             hint: the line will be read soon; any address will do, for caches
//                                fetch lines unasked in any case
// Between AICPU threads, which are coherent with each other
//   pto_peer_load, pto_peer_store           acquire, release
//   pto_peer_count                          adds; returns the value before; orders nothing
//   pto_peer_sub                            returns the value before; acquire and release
//   pto_peer_try_lock, pto_peer_unlock      never wait
// AICore side
//   pto_core_load, pto_core_load16, pto_core_load64   through the core's cache
//   pto_core_peek                load of what the scheduler may be writing, when nothing hangs on
//                                how old it is
//   pto_core_store               into the core's cache
//   pto_core_observe             load, then wait for the core's cache operations; what was
//                                published before it is visible after it, in lines not cached since
//   pto_core_publish             waits for the core's cache operations, stores, writes the line
//                                back, waits for that
//   pto_core_invalidate_line     the next load of the line comes from memory
//   pto_core_write_line          write the line back to memory; complete at the next barrier
//   pto_core_flush_cache         write back and invalidate all lines; complete at the next barrier
//   pto_core_barrier             wait for the core's own memory and cache operations
//   pto_core_ring                hint: this core has news (simulator only)
//   pto_core_pause               hint: this core found nothing to do
//   pto_core_task_begin, pto_core_task_end   note: the kernel of a task is about to run, has run
//   pto_core_should_yield        hint: come back after this task (simulator only)
#ifndef PTO_ABI_ACCESS_H
#define PTO_ABI_ACCESS_H

#include "abi/launch.h"

#if defined(__CCE_AICORE__)
#include "abi/access_aicore.h"
#elif defined(PTO_TARGET_EXPLORE)
#include "abi/access_explore.h"
#elif defined(PTO_TARGET_AICPU)
#include "abi/access_aicpu.h"
#else
#include "abi/access_native.h"
#endif

#endif // PTO_ABI_ACCESS_H
