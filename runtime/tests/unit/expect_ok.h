// SPDX-License-Identifier: Apache-2.0
// Calls that must succeed: one that does not fails the test with what the library says.
#ifndef PTO_TEST_EXPECT_OK_H
#define PTO_TEST_EXPECT_OK_H

#include "pto/status.h"

static struct pto_error err; // of the last call

#define OK(call)                                                       \
    do {                                                               \
        if ((call) != PTO_OK) {                                        \
            fail_msg("line %d: %s: %s", __LINE__, #call, err.message); \
        }                                                              \
    } while (0)

#endif // PTO_TEST_EXPECT_OK_H
