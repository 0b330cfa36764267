// SPDX-License-Identifier: Apache-2.0
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

void pto__prefer_large_pages(void *start, size_t size_bytes)
{
#ifdef MADV_HUGEPAGE
    if (start == NULL || size_bytes < PTO_LARGE_MEMORY_BYTES) {
        return;
    }
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)start + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)start + size_bytes) / page * page;
    // Refused where the kernel has none, or the administrator forbids them.
    (void)madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
    (void)start;
    (void)size_bytes;
#endif
}
