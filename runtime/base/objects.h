// SPDX-License-Identifier: Apache-2.0
// Where the process has its programs and libraries.
#ifndef PTO_BASE_OBJECTS_H
#define PTO_BASE_OBJECTS_H

#include <stdbool.h>

// Whether the address lies in a segment of a loaded program or library: code, constants, statics.
// Takes some microseconds. false where that cannot be found out.
bool pto__is_in_loaded_object(const void *address);

#endif // PTO_BASE_OBJECTS_H
