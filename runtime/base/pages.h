// SPDX-License-Identifier: Apache-2.0
// Large pages for large memory. One implementation file for each platform.
#ifndef PTO_BASE_PAGES_H
#define PTO_BASE_PAGES_H

#include <stddef.h>

// Memory from this size on gains by large pages: the first touch of a graph of a million tasks in
// small ones costs more than building it, and walking it misses the processor's page tables.
#define PTO_LARGE_MEMORY_BYTES ((size_t)4 << 20)
#define PTO_LARGE_PAGE_BYTES ((size_t)2 << 20)

// Asks for large pages in memory from malloc and its kind, which need not be touched yet. Only a
// wish: nothing changes but speed. Smaller memory than the above is left alone.
void pto__prefer_large_pages(void *start, size_t size_bytes);

#endif // PTO_BASE_PAGES_H
