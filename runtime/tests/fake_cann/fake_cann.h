// SPDX-License-Identifier: Apache-2.0
// What tests may ask of the stand-in for CANN: counts of what is alive, and failures on request.
// Found by dlsym in libfake_cann_core.so of the variant that ASCEND_HOME_PATH names.
#ifndef PTO_TESTS_FAKE_CANN_H
#define PTO_TESTS_FAKE_CANN_H

#include <stdint.h>

struct fake_cann_stats {
    uint64_t calls;        // since the last fake_cann_inject
    uint64_t jobs;         // copies and launches, since then
    uint64_t aicpu_blocks; // most of an AICPU launch, since then
    // Alive now, on all devices.
    uint64_t device_blocks;
    uint64_t pinned_blocks;
    uint64_t streams;
    uint64_t binaries;
    uint64_t device_uses; // aclrtSetDevice without its reset
    // Mistakes that a real device would not show at once, since the process began.
    uint64_t leaked;        // things that an ordinary reset of a device found alive
    uint64_t unbatched;     // launches on several cores that did not ask for all at once
    uint64_t default_limit; // AICPU launches without a time limit of their own
    uint64_t inits;         // schedulers loaded
};

enum fake_cann_fault {
    FAKE_CANN_NONE,
    FAKE_CANN_FAIL, // the n-th call fails with the code, and does nothing
    FAKE_CANN_DIE,  // the same, and the device is dead until it is reset by force
    FAKE_CANN_HANG, // the n-th job (copy or launch) never ends
    // The n-th call does not return before the next fake_cann_inject, and then fails.
    FAKE_CANN_STALL,
};

typedef void fake_cann_stats_function(struct fake_cann_stats *out_stats);
// The n-th call or job from now on, n from 1. Sets the counters to zero.
typedef void fake_cann_inject_function(enum fake_cann_fault fault, uint64_t n, int32_t code);
// The call that the injected failure hit, NULL: none yet.
typedef const char *fake_cann_hit_function(void);
// 1: copies from a dead device fail too. Reports of real devices differ in this.
typedef void fake_cann_dead_reads_function(int fail);
// 1: AICPU launches have CANN's default time limit, whatever they ask for.
typedef void fake_cann_drop_limits_function(int drop);

#endif // PTO_TESTS_FAKE_CANN_H
