// SPDX-License-Identifier: Apache-2.0
// Reading 64-bit little-endian ELF files from memory, trusting nothing in them.
//
// <elf.h> is not in POSIX, so what is needed of the format is declared here. Every offset, size
// and index that leads anywhere is checked before it is followed; a file that passes can be handed
// to the system's loader without a read past its end. Private to host/. Threads: any.
#ifndef PTO_HOST_ELF_H
#define PTO_HOST_ELF_H

#include "pto/status.h"

// Values of the ELF specification ("System V ABI", chapters 4 and 5).
enum {
    PTO_ELF_HEADER_SIZE = 64,
    PTO_ELF_SEGMENT_SIZE = 56,
    PTO_ELF_SECTION_SIZE = 64,
    PTO_ELF_SYMBOL_SIZE = 24,

    PTO_ELF_TYPE_RELOCATABLE = 1,
    PTO_ELF_TYPE_EXECUTABLE = 2,
    PTO_ELF_TYPE_SHARED = 3,
    PTO_ELF_TYPE_CORE = 4,

    PTO_ELF_SEGMENT_NULL = 0,
    PTO_ELF_SEGMENT_LOAD = 1,
    PTO_ELF_SEGMENT_DYNAMIC = 2,

    PTO_ELF_SECTION_NULL = 0,
    PTO_ELF_SECTION_SYMTAB = 2,
    PTO_ELF_SECTION_STRTAB = 3,
    PTO_ELF_SECTION_NOBITS = 8,
    PTO_ELF_SECTION_DYNSYM = 11,
    PTO_ELF_FLAG_COMPRESSED = 0x800,
};

// A file being read. `bytes`, `path` and `what` are borrowed; what begins messages.
struct pto_elf {
    const uint8_t *bytes;
    uint64_t size_bytes;
    const char *path;
    const char *what;
    uint16_t type;
    uint16_t machine;
    // Set by pto__elf_read_tables.
    uint64_t segment_offset;
    uint32_t segment_count;
    uint64_t section_offset;
    uint32_t section_count;
    const char *names; // section names, zero-terminated as a whole
    uint64_t names_size;
};

struct pto_elf_section {
    const char *name;
    uint32_t type;
    uint32_t link;
    uint64_t flags;
    const uint8_t *bytes; // NULL for NOBITS and NULL sections
    uint64_t size_bytes;
    uint64_t entry_size;
};

// Checks that the bytes begin as a 64-bit little-endian ELF file does, and takes type and machine
// from its header. PTO_E_PROGRAM says what the file is instead.
PTO_NODISCARD enum pto_status pto__elf_read_header(struct pto_elf *out_elf, const uint8_t *bytes,
                                                   uint64_t size_bytes, const char *path,
                                                   const char *what, struct pto_error *err);

// Checks that all segments and sections lie inside the file, and that a dynamic segment lies in
// what gets loaded. PTO_E_PROGRAM.
PTO_NODISCARD enum pto_status pto__elf_read_tables(struct pto_elf *elf, struct pto_error *err);

// Of a file whose tables were read.
struct pto_elf_section pto__elf_section(const struct pto_elf *elf, uint32_t index);

// Finds the first section of this name at or after *index. Returns 0 when there is none, else
// sets *index to its index.
int pto__elf_find_section(const struct pto_elf *elf, const char *name, uint32_t *index);

// Whether the first symbol table of this type (SYMTAB, DYNSYM) defines a global or weak function or
// object of this name. *out_found is set on success only. PTO_E_PROGRAM: the table is malformed.
// A file without such a table defines nothing.
PTO_NODISCARD enum pto_status pto__elf_find_symbol(const struct pto_elf *elf, uint32_t table_type,
                                                   const char *name, int *out_found,
                                                   struct pto_error *err);

// Whether the file has a segment of this type.
int pto__elf_has_segment(const struct pto_elf *elf, uint32_t type);

// Whether an ELF machine number is that of a known processor other than an AICore. In program.c.
int pto__machine_is_host(uint32_t machine);

#endif // PTO_HOST_ELF_H
