// SPDX-License-Identifier: Apache-2.0
// Included by the build before each instrumented kernel, for GCC: copies that are spelled as
// built-ins become calls, which kernel_libc.c shows. GCC expands built-ins without instrumenting
// them.
#ifndef PTO_AICORE_KERNEL_COPIES_H
#define PTO_AICORE_KERNEL_COPIES_H

void *memcpy(void *to, const void *from, __SIZE_TYPE__ size);
void *memmove(void *to, const void *from, __SIZE_TYPE__ size);
void *memset(void *to, int value, __SIZE_TYPE__ size);

#define __builtin_memcpy memcpy
#define __builtin_memmove memmove
#define __builtin_memset memset

#endif // PTO_AICORE_KERNEL_COPIES_H
