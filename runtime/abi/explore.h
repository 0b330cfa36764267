// SPDX-License-Identifier: Apache-2.0
// Between the explorer and a device program that was built for it: kinds of access, places in the
// source, and the table through which the two meet.
#ifndef PTO_ABI_EXPLORE_H
#define PTO_ABI_EXPLORE_H

#include "abi/abi.h"

// Kinds of access. The order is part of the interface between a program and the explorer.
enum pto_explore_operation {
    PTO_EXPLORE_CPU_LOAD,
    PTO_EXPLORE_CPU_PEEK,
    PTO_EXPLORE_CPU_STORE,
    PTO_EXPLORE_CPU_PUBLISH,
    PTO_EXPLORE_CPU_OBSERVE,
    PTO_EXPLORE_CPU_REFRESH,
    PTO_EXPLORE_CPU_PAUSE,
    PTO_EXPLORE_CPU_CLOCK,
    PTO_EXPLORE_PEER_LOAD,
    PTO_EXPLORE_PEER_STORE,
    PTO_EXPLORE_PEER_COUNT,
    PTO_EXPLORE_PEER_SUB,
    PTO_EXPLORE_PEER_TRY_LOCK,
    PTO_EXPLORE_PEER_UNLOCK,
    PTO_EXPLORE_CORE_LOAD,
    PTO_EXPLORE_CORE_PEEK,
    PTO_EXPLORE_CORE_STORE,
    PTO_EXPLORE_CORE_OBSERVE,
    PTO_EXPLORE_CORE_PUBLISH,
    PTO_EXPLORE_CORE_INVALIDATE,
    PTO_EXPLORE_CORE_WRITE_LINE,
    PTO_EXPLORE_CORE_FLUSH,
    PTO_EXPLORE_CORE_BARRIER,
    PTO_EXPLORE_CORE_PAUSE,
    PTO_EXPLORE_TASK_BEGIN,
    PTO_EXPLORE_TASK_END,
    PTO_EXPLORE_KERNEL_READ,
    PTO_EXPLORE_KERNEL_WRITE,
    PTO_EXPLORE_OPERATION_COUNT,
};

#define PTO_EXPLORE_SITE_SECTION "pto_explore_sites"

// One place in the source. Its size is its alignment, so that the linker lays places end to end.
struct pto_explore_site {
    const char *file;
    const char *function;
    const char *text; // what was accessed, as the source spells it
    uint32_t line;
    uint32_t operation; // enum pto_explore_operation
    uint64_t reserved[4];
};
PTO_STATIC_ASSERT(sizeof(struct pto_explore_site) == 64, "places are laid end to end");

// `value` is what is stored, the size of a load or of a range in bytes, or a task's number.
typedef uint64_t pto_explore_function(const struct pto_explore_site *site, const void *address,
                                      uint64_t value);

#define PTO_EXPLORE_TABLE_SYMBOL "pto_explore_table"
struct pto_explore_table {
    uint32_t version; // PTO_ABI_VERSION
    uint32_t reserved;
    pto_explore_function *function; // set by the explorer
    const struct pto_explore_site *sites;
    const struct pto_explore_site *sites_end;
};

#endif // PTO_ABI_EXPLORE_H
