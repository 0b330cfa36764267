// SPDX-License-Identifier: Apache-2.0
// The backends of this build.
#include <string.h>

#include "host/backend.h"

static const struct pto_backend_ops *const backends[] = {
    &pto__sim_backend, &pto__explore_backend, &pto__ascend_backend};

const struct pto_backend_ops *pto__backend_find(const char *name)
{
    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}
