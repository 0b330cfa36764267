// SPDX-License-Identifier: Apache-2.0
// The explorer's launch block, and names for what lies at an address.
#ifndef PTO_EXPLORE_LAYOUT_H
#define PTO_EXPLORE_LAYOUT_H

#include "abi/launch.h"
#include "explore/model.h"

struct pto_explore_block {
    struct pto_launch launch;
    PTO_ALIGNED_LINE struct pto_kernel_args args;
    struct pto_control control;
    struct pto_report report;
    struct pto_scheduler_shared shared;
    struct pto_ready_queue queues[PTO_SCHEDULER_COUNT_MAX];
    struct pto_handshake handshakes[];
};

// Writes the name of a word ("dispatch.ring[3] of core 1") and returns the edge of
// docs/protocol.md that orders it ("D1").
const char *pto__name_word(const struct pto_model *model, uint32_t line, uint32_t word, char *text,
                           size_t size);

// Writes the name of a byte of user memory by the nearest argument of a task that lies before it.
void pto__name_user(const struct pto_model *model, uint32_t task, uint64_t address, char *text,
                    size_t size);

#endif // PTO_EXPLORE_LAYOUT_H
