// SPDX-License-Identifier: Apache-2.0
// What the AICore program built for the simulator's checks has beyond the ordinary one.
#include "abi/check.h"

// A thread's own, so that runners of several threads may use one program at a time.
_Thread_local struct pto_check_hooks *pto__check_hooks;

static struct pto_check_hooks *bind(struct pto_check_hooks *hooks)
{
    struct pto_check_hooks *before = pto__check_hooks;
    pto__check_hooks = hooks;
    return before;
}

__attribute__((visibility("default"))) extern const struct pto_check_program pto_check_program;

const struct pto_check_program pto_check_program = {
    .version = PTO_ABI_VERSION,
    .bind = bind,
};
