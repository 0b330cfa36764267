// SPDX-License-Identifier: Apache-2.0
#include "base/pages.h"

void pto__prefer_large_pages(void *start, size_t size_bytes)
{
    (void)start;
    (void)size_bytes;
}
