// SPDX-License-Identifier: Apache-2.0
// Device program files: finding them, checking that they are what they should be, and reading the
// kernel table, all without loading a byte of their code.
#ifndef PTO_HOST_PROGRAM_H
#define PTO_HOST_PROGRAM_H

#include "abi/kernel_table.h"
#include "pto/status.h"

// ELF machines a backend may ask for. NATIVE is the machine this library was compiled for.
enum pto_machine { PTO_MACHINE_NATIVE, PTO_MACHINE_AARCH64, PTO_MACHINE_ASCEND_AICORE };

// Finds `path`: absolute, or relative to the working folder, then to search_dir (may be NULL). In
// each of the two, the file of that path inside the folder `apart` (may be NULL) goes before.
// *out_path gets an absolute path that the caller frees. `what` names the file in messages, for
// example "aicpu_so_path". PTO_E_FILE lists every place that was tried, and tells a folder, FIFO or
// device apart from a missing file and from one that may not be read. Never blocks on a FIFO.
PTO_NODISCARD enum pto_status pto__program_find(const char *path, const char *search_dir,
                                                const char *apart, const char *what,
                                                char **out_path, struct pto_error *err);

// The path of another build of a program, which lies beside it: "/a/kernel_check.o" for
// "/a/kernel.o" and "_check". The caller frees it. NULL: no memory.
char *pto__program_sibling(const char *path, const char *infix);

// Reads the file (regular, at most 1 GiB) and checks: ELF64, little endian, for this machine, a
// shared object (native, aarch64) or linked program (AICore), all headers and segments inside the
// file, and a symbol of each name in `symbols` (a NULL-terminated list) defined in the dynamic
// symbol table (AICore: in the symbol table). PTO_E_FILE, PTO_E_PROGRAM.
PTO_NODISCARD enum pto_status pto__program_check(const char *path, enum pto_machine machine,
                                                 const char *const *symbols, const char *what,
                                                 struct pto_error *err);

// The kernels of a kernel.o.
struct pto_kernel_table {
    struct pto_kernel_record *records; // ascending func_id
    uint32_t count;
    // Index into records + 1 for each func_id, 0 for none.
    uint16_t by_func_id[PTO_FUNC_ID_MAX + 1];
};

// Reads the kernel table section of a file that passed pto__program_check. PTO_E_PROGRAM: no such
// section, no kernels, records of another version (both versions named), malformed records (bad
// kind, count_arg not an integer argument, name not terminated), two kernels with one func_id. An
// AICore program holds each record twice, for its two kinds of core: equal ones count as one there.
PTO_NODISCARD enum pto_status pto__kernel_table_read(const char *path,
                                                     struct pto_kernel_table *out_table,
                                                     struct pto_error *err);
void pto__kernel_table_free(struct pto_kernel_table *table);

// NULL when no kernel has this func_id.
static inline const struct pto_kernel_record *pto__kernel_find(const struct pto_kernel_table *table,
                                                               uint32_t func_id)
{
    if (func_id > PTO_FUNC_ID_MAX || table->by_func_id[func_id] == 0) {
        return NULL;
    }
    return &table->records[table->by_func_id[func_id] - 1];
}

#endif // PTO_HOST_PROGRAM_H
