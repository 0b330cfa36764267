// SPDX-License-Identifier: Apache-2.0
// Memory that is zero, and takes room only where it is touched.
#ifndef PTO_BASE_MAP_H
#define PTO_BASE_MAP_H

#include <stddef.h>
#include <sys/mman.h>

#if !defined(MAP_ANONYMOUS)
#define MAP_ANONYMOUS MAP_ANON
#endif
#if !defined(MAP_NORESERVE)
#define MAP_NORESERVE 0
#endif

// NULL: there is no room. At `wish`, if that is not NULL and free; else anywhere. The caller gives
// it back by munmap.
static inline void *pto__map_zeros(void *wish, size_t size_bytes)
{
    void *mapping = mmap(wish, size_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return mapping != MAP_FAILED ? mapping : NULL;
}

#endif // PTO_BASE_MAP_H
