// SPDX-License-Identifier: Apache-2.0
// Host memory that runs out: for programs that the linker wraps all of these functions for, against
// the library's objects (pto_add_test's FAILING_MEMORY).
#ifndef PTO_TEST_FAILING_MEMORY_H
#define PTO_TEST_FAILING_MEMORY_H

#include <errno.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);

static long live_count;            // blocks that are not freed yet
static long allocations_left = -1; // the ones after so many fail; negative: none does
static int failed;                 // 1: one did

static int fails(void)
{
    if (allocations_left == 0) {
        failed = 1;
        return 1;
    }
    allocations_left -= allocations_left > 0;
    return 0;
}

static void *counted(void *block)
{
    live_count += block != NULL;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    void *grown = fails() ? NULL : __real_realloc(block, size);
    live_count += block == NULL && grown != NULL;
    return grown;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size)
{
    int code = fails() ? ENOMEM : __real_posix_memalign(out, alignment, size);
    live_count += code == 0;
    return code;
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : counted(__real_strdup(text));
}

void __wrap_free(void *block)
{
    live_count -= block != NULL;
    __real_free(block);
}

#endif // PTO_TEST_FAILING_MEMORY_H
