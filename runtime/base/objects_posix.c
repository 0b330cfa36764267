// SPDX-License-Identifier: Apache-2.0
// POSIX has no list of loaded objects.
#include "base/objects.h"

bool pto__is_in_loaded_object(const void *address)
{
    (void)address;
    return false;
}
