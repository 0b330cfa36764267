// SPDX-License-Identifier: Apache-2.0
// For tests of the Ascend backend itself: the controls of the stand-in for CANN, and a small graph.
#ifndef PTO_TESTS_ASCEND_STANDIN_H
#define PTO_TESTS_ASCEND_STANDIN_H

#include <dlfcn.h>

#include "tests/cts/cts.h"
#include "tests/fake_cann/fake_cann.h"

struct standin {
    fake_cann_stats_function *stats;
    fake_cann_inject_function *inject;
    fake_cann_hit_function *hit;
    fake_cann_dead_reads_function *dead_reads;
    fake_cann_drop_limits_function *drop_limits;
};

// The variant that ASCEND_HOME_PATH names; loads it, so that it is there before the library asks.
static inline struct standin standin_open(void)
{
    char path[512];
    const char *home = getenv("ASCEND_HOME_PATH");
    assert_non_null(home);
    snprintf(path, sizeof(path), "%s/lib64/libfake_cann_core.so", home);
    void *core = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    assert_non_null(core);
    struct standin standin;
    *(void **)&standin.stats = dlsym(core, "fake_cann_stats");
    *(void **)&standin.inject = dlsym(core, "fake_cann_inject");
    *(void **)&standin.hit = dlsym(core, "fake_cann_hit");
    *(void **)&standin.dead_reads = dlsym(core, "fake_cann_dead_reads");
    *(void **)&standin.drop_limits = dlsym(core, "fake_cann_drop_limits");
    assert_true(standin.stats != NULL && standin.inject != NULL && standin.hit != NULL &&
                standin.dead_reads != NULL && standin.drop_limits != NULL);
    return standin;
}

static inline int standin_is(const char *variant)
{
    const char *home = getenv("ASCEND_HOME_PATH");
    size_t length = strlen(variant);
    return home != NULL && strlen(home) > length &&
           strcmp(home + strlen(home) - length, variant) == 0;
}

static inline struct fake_cann_stats standin_stats(const struct standin *standin)
{
    struct fake_cann_stats stats;
    standin->stats(&stats);
    return stats;
}

// Nothing of a device is left, and nothing was done to it that a real one would punish later.
static inline void standin_assert_clean(const struct standin *standin)
{
    struct fake_cann_stats stats = standin_stats(standin);
    assert_true(stats.device_blocks == 0 && stats.pinned_blocks == 0 && stats.streams == 0);
    assert_true(stats.binaries == 0 && stats.device_uses == 0 && stats.leaked == 0);
    assert_true(stats.unbatched == 0 && stats.default_limit == 0);
}

#endif // PTO_TESTS_ASCEND_STANDIN_H
