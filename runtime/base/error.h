// SPDX-License-Identifier: Apache-2.0
// Filling in struct pto_error.
#ifndef PTO_BASE_ERROR_H
#define PTO_BASE_ERROR_H

#include "pto/status.h"

// Fills *err (which may be NULL) with a status and a formatted message, every other field empty,
// and returns the status. A message longer than the field is cut at a character's border.
enum pto_status pto_fail(struct pto_error *err, enum pto_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Returns PTO_E_NO_MEMORY with a message naming what the host memory was for.
enum pto_status pto_fail_no_host_memory(struct pto_error *err, const char *purpose,
                                        uint64_t size_bytes);

// Empties *err, which may be NULL.
void pto_error_clear(struct pto_error *err);

#endif // PTO_BASE_ERROR_H
