// SPDX-License-Identifier: Apache-2.0
#include "base/fork.h"

#include <stddef.h>
#include <unistd.h>

void pto__fork_mark_init(struct pto_fork_mark *mark)
{
    mark->owner = getpid();
    mark->page = NULL;
}

void pto__fork_mark_fini(struct pto_fork_mark *mark)
{
    (void)mark;
}

int pto__fork_mark_is_child(const struct pto_fork_mark *mark)
{
    return mark->owner != getpid();
}
