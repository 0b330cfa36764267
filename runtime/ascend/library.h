// SPDX-License-Identifier: Apache-2.0
// CANN's libraries: finding and loading them, and what they said last.
//
// They cannot be unloaded, and belong to the process: they are loaded once, when the first device
// is opened, and stay.
#ifndef PTO_ASCEND_LIBRARY_H
#define PTO_ASCEND_LIBRARY_H

#include "ascend/symbols.h"
#include "pto/status.h"

// The functions, NULL for an optional one that is missing.
struct pto_cann {
#define PTO_CANN_MEMBER(library, name, need, since, parameters) int(*name) parameters;
    PTO_CANN_SYMBOLS(PTO_CANN_MEMBER)
#undef PTO_CANN_MEMBER
#define PTO_CANN_MEMBER(library, name, need, since, parameters) const char *(*name)parameters;
    PTO_CANN_TEXT_SYMBOLS(PTO_CANN_MEMBER)
#undef PTO_CANN_MEMBER
    char driver_path[512]; // where the libraries were found, for the log
    char acl_path[512];
    char runtime_path[512]; // empty: there is none
};

enum pto_cann_library { PTO_CANN_ACL, PTO_CANN_RUNTIME };
enum pto_cann_need { PTO_CANN_REQUIRED, PTO_CANN_OPTIONAL };

struct pto_cann_symbol {
    const char *name;
    const char *since;
    enum pto_cann_library library;
    enum pto_cann_need need;
    size_t offset; // of its member
};

// The table of all symbols.
extern const struct pto_cann_symbol pto__cann_symbols[];
extern const size_t pto__cann_symbol_count;
// Whether a loaded CANN has this one.
int pto__cann_has(const struct pto_cann *cann, const struct pto_cann_symbol *symbol);

// Loads the libraries, and initialises CANN once for the process. PTO_E_BACKEND: no driver, no
// toolkit, a library that does not load, a required symbol that is missing; says where it looked.
// Nothing is kept after a failure, so a later call may succeed. Thread-safe.
PTO_NODISCARD enum pto_status pto__cann_load(const struct pto_cann **out_cann,
                                             struct pto_error *err);

// errors.c: what a code means. The name is CANN's, without its prefix; nothing of it is NULL.
struct pto_cann_code {
    int32_t code;
    const char *name;
    const char *text;
    const char *hint;
};
const struct pto_cann_code *pto__cann_code(int32_t code);

// Fills *err for a failed call: `what` was being done by CANN's `function`, which returned `code`.
// PTO_E_NO_MEMORY when the device has no memory left, else PTO_E_DEVICE.
enum pto_status pto__cann_fail(const struct pto_cann *cann, struct pto_error *err, int32_t code,
                               const char *function, const char *what);

// Describes a code in one line: name, number, meaning, and the vendor's recent text.
void pto__cann_describe(const struct pto_cann *cann, int32_t code, char *text, size_t size);

#endif // PTO_ASCEND_LIBRARY_H
