// SPDX-License-Identifier: Apache-2.0
// Settings from the environment.
#ifndef PTO_BASE_VARIABLE_H
#define PTO_BASE_VARIABLE_H

#include <stdint.h>

#include "pto/status.h"

// Reads a whole number, decimal, from a variable; *in_out_value stays as it is when the variable is
// not set or empty. `unit` is for the message: " of seconds", or "". PTO_E_RANGE unless all of the
// text is a number from least to most.
PTO_NODISCARD enum pto_status pto__variable_number(const char *name, const char *unit,
                                                   uint64_t least, uint64_t most,
                                                   uint64_t *in_out_value, struct pto_error *err);

#endif // PTO_BASE_VARIABLE_H
