// SPDX-License-Identifier: Apache-2.0
// Reading ELF files. Numbers are put together byte by byte, so neither the alignment of what is
// read nor the byte order of this machine matters.
#include "host/elf.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "host/file.h"

// Field offsets in the structs of the ELF specification.
enum {
    HEADER_CLASS = 4,
    HEADER_DATA = 5,
    HEADER_IDENT_VERSION = 6,
    HEADER_TYPE = 16,
    HEADER_MACHINE = 18,
    HEADER_VERSION = 20,
    HEADER_SEGMENT_OFFSET = 32,
    HEADER_SECTION_OFFSET = 40,
    HEADER_SEGMENT_SIZE = 54,
    HEADER_SEGMENT_COUNT = 56,
    HEADER_SECTION_SIZE = 58,
    HEADER_SECTION_COUNT = 60,
    HEADER_NAMES_INDEX = 62,

    SEGMENT_TYPE = 0,
    SEGMENT_OFFSET = 8,
    SEGMENT_ADDRESS = 16,
    SEGMENT_FILE_SIZE = 32,
    SEGMENT_MEMORY_SIZE = 40,

    SECTION_NAME = 0,
    SECTION_TYPE = 4,
    SECTION_FLAGS = 8,
    SECTION_OFFSET = 24,
    SECTION_SIZE = 32,
    SECTION_LINK = 40,
    SECTION_ENTRY_SIZE = 56,

    SYMBOL_NAME = 0,
    SYMBOL_INFO = 4,
    SYMBOL_OTHER = 5,
    SYMBOL_SECTION = 6,
    SYMBOL_VALUE = 8,
};

enum {
    CLASS_32 = 1,
    CLASS_64 = 2,
    DATA_LITTLE_ENDIAN = 1,
    DATA_BIG_ENDIAN = 2,
    VERSION_CURRENT = 1,

    SEGMENT_COUNT_EXTENDED = 0xffff, // the real count is elsewhere
    NAMES_INDEX_EXTENDED = 0xffff,

    SYMBOL_SECTION_UNDEFINED = 0,
    SYMBOL_BIND_GLOBAL = 1,
    SYMBOL_BIND_WEAK = 2,
    SYMBOL_TYPE_NONE = 0,
    SYMBOL_TYPE_OBJECT = 1,
    SYMBOL_TYPE_FUNCTION = 2,
    SYMBOL_TYPE_INDIRECT_FUNCTION = 10,
    SYMBOL_VISIBILITY_DEFAULT = 0,
    SYMBOL_VISIBILITY_PROTECTED = 3,
};

static uint16_t read_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (uint32_t)bytes[1] << 8);
}

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)read_u16(bytes) | (uint32_t)read_u16(bytes + 2) << 16;
}

static uint64_t read_u64(const uint8_t *bytes)
{
    return (uint64_t)read_u32(bytes) | (uint64_t)read_u32(bytes + 4) << 32;
}

// Whether [offset, offset + size) lies inside [0, limit).
static int is_inside(uint64_t offset, uint64_t size, uint64_t limit)
{
    return offset <= limit && size <= limit - offset;
}

// A phrase for a file that is no ELF file, from its first bytes.
static const char *describe_bytes(const uint8_t *bytes, uint64_t size_bytes)
{
    static const struct {
        const char *start;
        const char *phrase;
    } known[] = {
        {"!<arch>", "is a static library (ar archive)"},
        {"#!", "is a script"},
        {"MZ", "is a Windows program"},
        {"\xcf\xfa\xed\xfe", "is a macOS (Mach-O) program"},
        {"BC\xc0\xde", "is LLVM bitcode"},
        {"version https://git-lfs", "is a Git LFS pointer whose contents were not fetched"},
        {"\x1f\x8b", "is gzip-compressed"},
        {"PK\x03\x04", "is a zip archive"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t length = strlen(known[i].start);
        if (size_bytes >= length && memcmp(bytes, known[i].start, length) == 0) {
            return known[i].phrase;
        }
    }
    return "is not an ELF file";
}

enum pto_status pto__elf_read_header(struct pto_elf *out_elf, const uint8_t *bytes,
                                     uint64_t size_bytes, const char *path, const char *what,
                                     struct pto_error *err)
{
    static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};
    if (size_bytes == 0) {
        return pto_fail(err, PTO_E_PROGRAM, "%s: '%s%s' is empty; build it again", what,
                        PTO_PATH(path));
    }
    if (size_bytes < sizeof(magic) || memcmp(bytes, magic, sizeof(magic)) != 0) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: '%s%s' %s; give the path of a device program that the build made",
                        what, PTO_PATH(path), describe_bytes(bytes, size_bytes));
    }
    if (size_bytes < PTO_ELF_HEADER_SIZE) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: '%s%s' is truncated: it has %" PRIu64 " bytes, an ELF header alone "
                        "takes %d; build or copy it again", what, PTO_PATH(path), size_bytes,
                        PTO_ELF_HEADER_SIZE);
    }
    if (bytes[HEADER_CLASS] == CLASS_32 || bytes[HEADER_DATA] == DATA_BIG_ENDIAN) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: '%s%s' is a %s ELF file; a 64-bit little-endian one is needed: build "
                        "it for this machine", what, PTO_PATH(path),
                        bytes[HEADER_CLASS] == CLASS_32 ? "32-bit" : "big-endian");
    }
    if (bytes[HEADER_CLASS] != CLASS_64 || bytes[HEADER_DATA] != DATA_LITTLE_ENDIAN ||
        bytes[HEADER_IDENT_VERSION] != VERSION_CURRENT ||
        read_u32(bytes + HEADER_VERSION) != VERSION_CURRENT) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: '%s%s' is damaged: its ELF header has class %u, byte order %u and "
                        "version %u instead of 2, 1 and 1; build or copy it again", what,
                        PTO_PATH(path), (unsigned)bytes[HEADER_CLASS],
                        (unsigned)bytes[HEADER_DATA], (unsigned)bytes[HEADER_IDENT_VERSION]);
    }
    *out_elf = (struct pto_elf){
        .bytes = bytes,
        .size_bytes = size_bytes,
        .path = path,
        .what = what,
        .type = read_u16(bytes + HEADER_TYPE),
        .machine = read_u16(bytes + HEADER_MACHINE),
    };
    return PTO_OK;
}

// Something of the file lies outside it. The usual cause is a file that was not copied whole.
static enum pto_status fail_outside(const struct pto_elf *elf, const char *part, uint32_t index,
                                    uint64_t offset, uint64_t size, struct pto_error *err)
{
    return pto_fail(err, PTO_E_PROGRAM,
                    "%s: '%s%s' is truncated or damaged: %s %" PRIu32 " (offset %" PRIu64
                    ", %" PRIu64 " bytes) does not lie inside the file's %" PRIu64
                    " bytes; build or copy it again", elf->what, PTO_PATH(elf->path), part, index,
                    offset, size, elf->size_bytes);
}

static enum pto_status fail_damaged(const struct pto_elf *elf, const char *detail,
                                    struct pto_error *err)
{
    return pto_fail(err, PTO_E_PROGRAM, "%s: '%s%s' is damaged: %s; build or copy it again",
                    elf->what, PTO_PATH(elf->path), detail);
}

static const uint8_t *segment_at(const struct pto_elf *elf, uint32_t index)
{
    return elf->bytes + elf->segment_offset + (uint64_t)index * PTO_ELF_SEGMENT_SIZE;
}

static const uint8_t *section_at(const struct pto_elf *elf, uint32_t index)
{
    return elf->bytes + elf->section_offset + (uint64_t)index * PTO_ELF_SECTION_SIZE;
}

// Whether a range of addresses lies in the part of one loaded segment that comes from the file.
static int is_loaded(const struct pto_elf *elf, uint64_t address, uint64_t size)
{
    for (uint32_t i = 0; i < elf->segment_count; i++) {
        const uint8_t *segment = segment_at(elf, i);
        uint64_t start = read_u64(segment + SEGMENT_ADDRESS);
        if (read_u32(segment + SEGMENT_TYPE) == PTO_ELF_SEGMENT_LOAD && address >= start &&
            is_inside(address - start, size, read_u64(segment + SEGMENT_FILE_SIZE))) {
            return 1;
        }
    }
    return 0;
}

static enum pto_status read_segments(struct pto_elf *elf, struct pto_error *err)
{
    const uint8_t *header = elf->bytes;
    uint64_t offset = read_u64(header + HEADER_SEGMENT_OFFSET);
    uint32_t count = read_u16(header + HEADER_SEGMENT_COUNT);
    if (count == 0) {
        return PTO_OK;
    }
    if (count == SEGMENT_COUNT_EXTENDED ||
        read_u16(header + HEADER_SEGMENT_SIZE) != PTO_ELF_SEGMENT_SIZE) {
        return fail_damaged(elf, "its ELF header describes impossible program headers", err);
    }
    if (!is_inside(offset, (uint64_t)count * PTO_ELF_SEGMENT_SIZE, elf->size_bytes)) {
        return fail_outside(elf, "the table of program headers, number", 0, offset,
                            (uint64_t)count * PTO_ELF_SEGMENT_SIZE, err);
    }
    elf->segment_offset = offset;
    elf->segment_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *segment = segment_at(elf, i);
        uint32_t type = read_u32(segment + SEGMENT_TYPE);
        uint64_t start = read_u64(segment + SEGMENT_OFFSET);
        uint64_t file_size = read_u64(segment + SEGMENT_FILE_SIZE);
        uint64_t memory_size = read_u64(segment + SEGMENT_MEMORY_SIZE);
        uint64_t address = read_u64(segment + SEGMENT_ADDRESS);
        if (type == PTO_ELF_SEGMENT_NULL) {
            continue;
        }
        if (!is_inside(start, file_size, elf->size_bytes)) {
            return fail_outside(elf, "segment", i, start, file_size, err);
        }
        if (type == PTO_ELF_SEGMENT_LOAD &&
            (file_size > memory_size || !is_inside(address, memory_size, UINT64_MAX))) {
            return fail_damaged(elf, "a segment to load has an impossible size", err);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *segment = segment_at(elf, i);
        // The loader follows the dynamic segment by its address, whatever lies there.
        if (read_u32(segment + SEGMENT_TYPE) == PTO_ELF_SEGMENT_DYNAMIC &&
            !is_loaded(elf, read_u64(segment + SEGMENT_ADDRESS),
                       read_u64(segment + SEGMENT_FILE_SIZE))) {
            return fail_damaged(elf, "its dynamic segment is not in what gets loaded", err);
        }
    }
    return PTO_OK;
}

// Finds the table of sections. A file with very many keeps their number and the index of their
// names in section 0.
static enum pto_status locate_sections(struct pto_elf *elf, uint32_t *out_names_index,
                                       struct pto_error *err)
{
    const uint8_t *header = elf->bytes;
    uint64_t offset = read_u64(header + HEADER_SECTION_OFFSET);
    uint64_t count = read_u16(header + HEADER_SECTION_COUNT);
    *out_names_index = read_u16(header + HEADER_NAMES_INDEX);
    if (offset == 0) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: '%s%s' has no section headers, so its contents cannot be checked; "
                        "keep them when stripping it, or build it again", elf->what,
                        PTO_PATH(elf->path));
    }
    if (read_u16(header + HEADER_SECTION_SIZE) != PTO_ELF_SECTION_SIZE) {
        return fail_damaged(elf, "its ELF header describes impossible section headers", err);
    }
    if (!is_inside(offset, PTO_ELF_SECTION_SIZE, elf->size_bytes)) {
        return fail_outside(elf, "the header of section", 0, offset, PTO_ELF_SECTION_SIZE, err);
    }
    const uint8_t *section = elf->bytes + offset;
    if (count == 0) {
        count = read_u64(section + SECTION_SIZE);
    }
    if (*out_names_index == NAMES_INDEX_EXTENDED) {
        *out_names_index = read_u32(section + SECTION_LINK);
    }
    if (count == 0 || count > elf->size_bytes / PTO_ELF_SECTION_SIZE ||
        !is_inside(offset, count * PTO_ELF_SECTION_SIZE, elf->size_bytes)) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: '%s%s' is truncated or damaged: its %" PRIu64 " section headers at "
                        "offset %" PRIu64 " do not lie inside the file's %" PRIu64
                        " bytes; build or copy it again", elf->what, PTO_PATH(elf->path), count,
                        offset, elf->size_bytes);
    }
    elf->section_offset = offset;
    elf->section_count = (uint32_t)count;
    return PTO_OK;
}

// Whether a section is a table of strings, the last of which is terminated.
static int is_string_table(const struct pto_elf_section *section)
{
    return section->type == PTO_ELF_SECTION_STRTAB && section->size_bytes > 0 &&
           section->bytes[section->size_bytes - 1] == 0;
}

static enum pto_status read_sections(struct pto_elf *elf, struct pto_error *err)
{
    uint32_t names_index = 0;
    enum pto_status status = locate_sections(elf, &names_index, err);
    if (status != PTO_OK) {
        return status;
    }
    for (uint32_t i = 0; i < elf->section_count; i++) {
        const uint8_t *section = section_at(elf, i);
        uint32_t type = read_u32(section + SECTION_TYPE);
        uint64_t offset = read_u64(section + SECTION_OFFSET);
        uint64_t size = read_u64(section + SECTION_SIZE);
        if (type != PTO_ELF_SECTION_NULL && type != PTO_ELF_SECTION_NOBITS &&
            !is_inside(offset, size, elf->size_bytes)) {
            return fail_outside(elf, "section", i, offset, size, err);
        }
    }
    if (names_index >= elf->section_count) {
        return fail_damaged(elf, "its section names are missing", err);
    }
    struct pto_elf_section names = pto__elf_section(elf, names_index);
    if (!is_string_table(&names)) {
        return fail_damaged(elf, "its section names are not a table of strings", err);
    }
    elf->names = (const char *)names.bytes;
    elf->names_size = names.size_bytes;
    return PTO_OK;
}

enum pto_status pto__elf_read_tables(struct pto_elf *elf, struct pto_error *err)
{
    enum pto_status status = read_segments(elf, err);
    if (status != PTO_OK) {
        return status;
    }
    return read_sections(elf, err);
}

struct pto_elf_section pto__elf_section(const struct pto_elf *elf, uint32_t index)
{
    const uint8_t *section = section_at(elf, index);
    uint32_t name = read_u32(section + SECTION_NAME);
    uint32_t type = read_u32(section + SECTION_TYPE);
    int has_bytes = type != PTO_ELF_SECTION_NULL && type != PTO_ELF_SECTION_NOBITS;
    return (struct pto_elf_section){
        .name = name < elf->names_size ? elf->names + name : "",
        .type = type,
        .link = read_u32(section + SECTION_LINK),
        .flags = read_u64(section + SECTION_FLAGS),
        .bytes = has_bytes ? elf->bytes + read_u64(section + SECTION_OFFSET) : NULL,
        .size_bytes = has_bytes ? read_u64(section + SECTION_SIZE) : 0,
        .entry_size = read_u64(section + SECTION_ENTRY_SIZE),
    };
}

int pto__elf_find_section(const struct pto_elf *elf, const char *name, uint32_t *index)
{
    for (uint32_t i = *index; i < elf->section_count; i++) {
        if (strcmp(pto__elf_section(elf, i).name, name) == 0) {
            *index = i;
            return 1;
        }
    }
    return 0;
}

int pto__elf_has_segment(const struct pto_elf *elf, uint32_t type)
{
    for (uint32_t i = 0; i < elf->segment_count; i++) {
        if (read_u32(segment_at(elf, i) + SEGMENT_TYPE) == type) {
            return 1;
        }
    }
    return 0;
}

// Whether a symbol is one that a loader's look-up by name finds and that code or data stands for.
static int is_definition(const uint8_t *symbol)
{
    uint32_t bind = symbol[SYMBOL_INFO] >> 4;
    uint32_t type = symbol[SYMBOL_INFO] & 0xfu;
    uint32_t visibility = symbol[SYMBOL_OTHER] & 0x3u;
    return read_u16(symbol + SYMBOL_SECTION) != SYMBOL_SECTION_UNDEFINED &&
           (bind == SYMBOL_BIND_GLOBAL || bind == SYMBOL_BIND_WEAK) &&
           (type == SYMBOL_TYPE_NONE || type == SYMBOL_TYPE_OBJECT ||
            type == SYMBOL_TYPE_FUNCTION || type == SYMBOL_TYPE_INDIRECT_FUNCTION) &&
           (visibility == SYMBOL_VISIBILITY_DEFAULT || visibility == SYMBOL_VISIBILITY_PROTECTED);
}

enum pto_status pto__elf_find_symbol(const struct pto_elf *elf, uint32_t table_type,
                                     const char *name, int *out_found, struct pto_error *err)
{
    uint32_t index = 0;
    while (index < elf->section_count && pto__elf_section(elf, index).type != table_type) {
        index++;
    }
    if (index == elf->section_count) {
        *out_found = 0;
        return PTO_OK;
    }
    struct pto_elf_section table = pto__elf_section(elf, index);
    if (table.entry_size != PTO_ELF_SYMBOL_SIZE || table.size_bytes % PTO_ELF_SYMBOL_SIZE != 0 ||
        table.link >= elf->section_count) {
        return fail_damaged(elf, "its symbol table has an impossible shape", err);
    }
    struct pto_elf_section strings = pto__elf_section(elf, table.link);
    if (!is_string_table(&strings)) {
        return fail_damaged(elf, "the names of its symbols are not a table of strings", err);
    }
    uint64_t count = table.size_bytes / PTO_ELF_SYMBOL_SIZE;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *symbol = table.bytes + i * PTO_ELF_SYMBOL_SIZE;
        uint32_t offset = read_u32(symbol + SYMBOL_NAME);
        if (offset >= strings.size_bytes) {
            return fail_damaged(elf, "a symbol's name lies outside the table of names", err);
        }
        if (strcmp((const char *)strings.bytes + offset, name) != 0 || !is_definition(symbol)) {
            continue;
        }
        // The host is going to follow a dynamic symbol; it must not lead out of the program.
        if (table_type == PTO_ELF_SECTION_DYNSYM &&
            !is_loaded(elf, read_u64(symbol + SYMBOL_VALUE), 1)) {
            return fail_damaged(elf, "a symbol that is needed lies outside what gets loaded", err);
        }
        *out_found = 1;
        return PTO_OK;
    }
    *out_found = 0;
    return PTO_OK;
}
