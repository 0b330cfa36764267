// SPDX-License-Identifier: Apache-2.0
// Linux 4.14 and later can give a forked child a zeroed page, so that looking costs a load; asking
// for the pid costs a system call, a tenth of what a small run takes.
#include "base/fork.h"

#include <sys/mman.h>
#include <unistd.h>

void pto__fork_mark_init(struct pto_fork_mark *mark)
{
    mark->owner = getpid();
    mark->page = NULL;
#ifdef MADV_WIPEONFORK
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    uint32_t *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return;
    }
    if (madvise(page, size, MADV_WIPEONFORK) != 0) {
        munmap(page, size);
        return;
    }
    *page = 1;
    mark->page = page;
#endif
}

void pto__fork_mark_fini(struct pto_fork_mark *mark)
{
    if (mark->page != NULL) {
        munmap((void *)(uintptr_t)mark->page, (size_t)sysconf(_SC_PAGESIZE));
    }
}

int pto__fork_mark_is_child(const struct pto_fork_mark *mark)
{
    // Relaxed: only fork() changes it, between two instructions of the one thread that survives.
    return mark->page != NULL ? __atomic_load_n(mark->page, __ATOMIC_RELAXED) == 0
                              : mark->owner != getpid();
}
