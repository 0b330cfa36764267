// SPDX-License-Identifier: Apache-2.0
// Linux: the loader's list of objects. The build defines _GNU_SOURCE for this file.
#include <link.h>
#include <stdint.h>

#include "base/objects.h"

static int holds(struct dl_phdr_info *info, size_t size, void *context)
{
    uintptr_t address = (uintptr_t)context;
    (void)size;
    for (uint32_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD &&
            address - (info->dlpi_addr + segment->p_vaddr) < segment->p_memsz) {
            return 1;
        }
    }
    return 0;
}

bool pto__is_in_loaded_object(const void *address)
{
    return dl_iterate_phdr(holds, (void *)(uintptr_t)address) != 0;
}
