// SPDX-License-Identifier: Apache-2.0
// What comes of a kernel's fault on a lane: the lane jumps to where it contains it.
#include <stddef.h>

#include "sim/device.h"

static bool on_fault(struct pto_fault_scope *scope, int signal_number, const siginfo_t *info)
{
    struct pto_sim_lane *lane =
        (struct pto_sim_lane *)(void *)((char *)scope - offsetof(struct pto_sim_lane, fault_scope));
    bool sent = !pto__fault_is_own(info);
    uint32_t kill_step = atomic_load_explicit(&lane->kill_step, memory_order_relaxed);
    bool stepping = atomic_load_explicit(&lane->stepping, memory_order_relaxed) != 0;
    if (sent && signal_number == SIGSEGV && kill_step != 0) {
        // From the monitor, which may have been too late: then the kernel has returned.
        atomic_store_explicit(&lane->kill_step, 0, memory_order_relaxed);
        if (!stepping ||
            kill_step != atomic_load_explicit(&lane->step_count, memory_order_relaxed)) {
            return true;
        }
        lane->fault = (struct pto_sim_fault){.signal = 0};
        siglongjmp(lane->escape, 1);
    }
    if (stepping) {
        lane->fault = (struct pto_sim_fault){
            .signal = signal_number, .address = sent ? 0 : (uint64_t)(uintptr_t)info->si_addr};
        siglongjmp(lane->escape, 1);
    }
    return false;
}

void pto__sim_fault_stop(struct pto_sim_lane *lane, uint64_t address)
{
    lane->fault = (struct pto_sim_fault){.signal = SIGSEGV, .address = address};
    siglongjmp(lane->escape, 1);
}

enum pto_status pto__sim_fault_prepare_lane(struct pto_sim_lane *lane, struct pto_error *err)
{
    lane->fault_scope.handle = on_fault;
    return pto__fault_prepare(&lane->fault_scope, err);
}
