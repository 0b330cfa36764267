// SPDX-License-Identifier: Apache-2.0
// Shows what the C library's copying functions do for a kernel, which calls them by name, or
// because the compiler makes a call of an assignment or a loop. The linker's --wrap leads the
// program's calls here. The forms with a fourth parameter are those of _FORTIFY_SOURCE.
#include "aicore/kernel_access.h"

#define WRAP(name) __attribute__((visibility("hidden"))) void *__wrap_##name

void *__real_memcpy(void *to, const void *from, size_t size);
void *__real_memmove(void *to, const void *from, size_t size);
void *__real_memset(void *to, int value, size_t size);
void *__real___memcpy_chk(void *to, const void *from, size_t size, size_t room);
void *__real___memmove_chk(void *to, const void *from, size_t size, size_t room);
void *__real___memset_chk(void *to, int value, size_t size, size_t room);

WRAP(memcpy)(void *to, const void *from, size_t size);
WRAP(memmove)(void *to, const void *from, size_t size);
WRAP(memset)(void *to, int value, size_t size);
WRAP(__memcpy_chk)(void *to, const void *from, size_t size, size_t room);
WRAP(__memmove_chk)(void *to, const void *from, size_t size, size_t room);
WRAP(__memset_chk)(void *to, int value, size_t size, size_t room);

static void show_copy(const void *to, const void *from, size_t size)
{
    pto__kernel_read(from, size);
    pto__kernel_write(to, size);
}

void *__wrap_memcpy(void *to, const void *from, size_t size)
{
    show_copy(to, from, size);
    return __real_memcpy(to, from, size);
}

void *__wrap_memmove(void *to, const void *from, size_t size)
{
    show_copy(to, from, size);
    return __real_memmove(to, from, size);
}

void *__wrap_memset(void *to, int value, size_t size)
{
    pto__kernel_write(to, size);
    return __real_memset(to, value, size);
}

void *__wrap___memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
    show_copy(to, from, size);
    return __real___memcpy_chk(to, from, size, room);
}

void *__wrap___memmove_chk(void *to, const void *from, size_t size, size_t room)
{
    show_copy(to, from, size);
    return __real___memmove_chk(to, from, size, room);
}

void *__wrap___memset_chk(void *to, int value, size_t size, size_t room)
{
    pto__kernel_write(to, size);
    return __real___memset_chk(to, value, size, room);
}
