// SPDX-License-Identifier: Apache-2.0
// Reading whole files that a user named, with a reason for everything that can be in the way.
// Private to host/. Threads: any; nothing is shared.
#ifndef PTO_HOST_FILE_H
#define PTO_HOST_FILE_H

#include "pto/status.h"

// A device program is a few MiB at most; this bound keeps a mistaken path from filling the memory.
#define PTO_FILE_SIZE_MAX (UINT64_C(1) << 30)

// What is in the way of reading a file.
enum pto_file_problem {
    PTO_FILE_FINE = 0,
    PTO_FILE_MISSING = 1, // nothing there, so another place may be tried
    PTO_FILE_UNUSABLE = 2, // something is there that is no readable regular file
};

// Looks whether `path` is a regular file that may be read. *out_reason gets a phrase that fits
// after the path: "does not exist", "is a folder", "may not be read (permission denied)". Static
// storage. Opens nothing but regular files, so it neither blocks nor disturbs a device.
enum pto_file_problem pto__file_probe(const char *path, const char **out_reason);

// Reads a whole regular file into memory that the caller frees. `what` begins messages.
// PTO_E_FILE, PTO_E_NO_MEMORY.
PTO_NODISCARD enum pto_status pto__file_read(const char *path, const char *what,
                                             uint8_t **out_bytes, uint64_t *out_size_bytes,
                                             struct pto_error *err);

// For messages: the path, or as much of its end as fits into a message beside other text, and the
// "..." to be printed before it.
const char *pto__path_tail(const char *path);
const char *pto__path_dots(const char *path);

// The two arguments for the "%s%s" that prints a path.
#define PTO_PATH(path) pto__path_dots(path), pto__path_tail(path)

#endif // PTO_HOST_FILE_H
