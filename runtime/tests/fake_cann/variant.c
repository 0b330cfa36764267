// SPDX-License-Identifier: Apache-2.0
// In what the variants of the stand-in differ, besides the functions that they have.
#include "tests/fake_cann/state.h"

const int fake_aicpu_is_broken = FAKE_AICPU_IS_BROKEN;
