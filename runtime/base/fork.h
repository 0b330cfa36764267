// SPDX-License-Identifier: Apache-2.0
// Noticing that the process is a forked child. One implementation file for each platform.
#ifndef PTO_BASE_FORK_H
#define PTO_BASE_FORK_H

#include <stdint.h>
#include <sys/types.h>

// Made in one process; in its forked children it tells that they are.
struct pto_fork_mark {
    pid_t owner;
    const uint32_t *page; // reads 1 in the owner and 0 in a child, or NULL: then ask for the pid
};

void pto__fork_mark_init(struct pto_fork_mark *mark);

// Also in a child.
void pto__fork_mark_fini(struct pto_fork_mark *mark);

// A load where the platform can do that, else a system call.
int pto__fork_mark_is_child(const struct pto_fork_mark *mark);

#endif // PTO_BASE_FORK_H
