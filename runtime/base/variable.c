// SPDX-License-Identifier: Apache-2.0
#include "base/variable.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"

enum pto_status pto__variable_number(const char *name, const char *unit, uint64_t least,
                                     uint64_t most, uint64_t *in_out_value, struct pto_error *err)
{
    const char *text = getenv(name);
    if (text == NULL || *text == '\0') {
        return PTO_OK;
    }
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    // strtoull takes spaces and signs, and makes large numbers of negative ones.
    if (errno != 0 || *end != '\0' || *text < '0' || *text > '9' || value < least || value > most) {
        return pto_fail(err, PTO_E_RANGE,
                        "init: %s is '%s'; it must be a number%s, %" PRIu64 " to %" PRIu64, name,
                        text, unit, least, most);
    }
    *in_out_value = value;
    return PTO_OK;
}
