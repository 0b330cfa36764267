// SPDX-License-Identifier: Apache-2.0
// Reading the kernel table of an AICore program from its file.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "host/elf.h"
#include "host/file.h"
#include "host/program.h"

// How messages begin: this is the only kind of file that has a kernel table.
#define WHAT "aicore_kernel_path"

// Records begin on multiples of this within their section.
#define RECORD_ALIGNMENT 64u

// The reader of one file. Invariant: count <= PTO_FUNC_ID_MAX + 1, since func_ids are unique.
struct reader {
    const struct pto_elf *elf;
    struct pto_kernel_table *table;
    uint32_t capacity;
    uint32_t seen; // records so far, for messages
};

static enum pto_status fail_record(const struct reader *reader, const char *detail,
                                   struct pto_error *err)
{
    return pto_fail(err, PTO_E_PROGRAM,
                    "%s: kernel record %" PRIu32 " of '%s%s' is malformed: %s; build the file "
                    "again", WHAT, reader->seen, PTO_PATH(reader->elf->path), detail);
}

static enum pto_status fail_argument(const struct reader *reader,
                                     const struct pto_kernel_record *record, uint32_t argument,
                                     const char *detail, struct pto_error *err)
{
    return pto_fail(err, PTO_E_PROGRAM,
                    "%s: kernel '%s' (func_id %" PRIu32 ") in '%s%s' describes its argument "
                    "%" PRIu32 " wrongly: %s; correct its PTO_KERNEL line and build it again",
                    WHAT, record->name, record->func_id, PTO_PATH(reader->elf->path), argument,
                    detail);
}

static int is_name_character(char character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           (character >= '0' && character <= '9') || character == '_';
}

// A name goes into messages and reports, so it has to be what it says.
static int is_name(const char *name)
{
    uint32_t length = 0;
    while (length < PTO_KERNEL_NAME_SIZE && is_name_character(name[length])) {
        length++;
    }
    return length > 0 && length < PTO_KERNEL_NAME_SIZE && name[length] == '\0';
}

// Whether `index` names an argument that can give an element count.
static int is_count(const struct pto_kernel_record *record, uint16_t index)
{
    return index == PTO_NO_ARG ||
           (index < record->arg_count && record->args[index].kind == PTO_ARG_INTEGER);
}

static enum pto_status check_arguments(const struct reader *reader,
                                       const struct pto_kernel_record *record,
                                       struct pto_error *err)
{
    for (uint32_t i = 0; i < record->arg_count; i++) {
        const struct pto_kernel_arg *arg = &record->args[i];
        switch (arg->kind) {
        case PTO_ARG_INTEGER:
        case PTO_ARG_FLOAT:
            break;
        case PTO_ARG_IN:
        case PTO_ARG_OUT:
        case PTO_ARG_INOUT:
            if (arg->element_size == 0) {
                return fail_argument(reader, record, i, "its elements have no size", err);
            }
            if (!is_count(record, arg->count_arg) || !is_count(record, arg->count_arg2)) {
                return fail_argument(reader, record, i,
                                     "the argument that should give its element count is not an "
                                     "integer argument of the kernel", err);
            }
            break;
        default:
            return fail_argument(reader, record, i, "its kind is unknown", err);
        }
    }
    return PTO_OK;
}

static enum pto_status check_record(const struct reader *reader,
                                    const struct pto_kernel_record *record, struct pto_error *err)
{
    if (!is_name(record->name)) {
        return fail_record(reader, "its name is not 1 to 43 ASCII letters, digits and underscores",
                           err);
    }
    if (record->func_id > PTO_FUNC_ID_MAX) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: kernel '%s' in '%s%s' has func_id %" PRIu32 ", but the highest is %u; "
                        "give it another and build it again", WHAT, record->name,
                        PTO_PATH(reader->elf->path), record->func_id, PTO_FUNC_ID_MAX);
    }
    if (record->arg_count > PTO_ARG_COUNT_MAX) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: kernel '%s' (func_id %" PRIu32 ") in '%s%s' has %" PRIu32 " arguments,"
                        " but a kernel may have %u at most; pass the rest in memory", WHAT,
                        record->name, record->func_id, PTO_PATH(reader->elf->path),
                        record->arg_count, PTO_ARG_COUNT_MAX);
    }
    return check_arguments(reader, record, err);
}

// Adds a checked record. While reading, by_func_id refers to records in the order of the file.
static enum pto_status add_record(struct reader *reader, const struct pto_kernel_record *record,
                                  struct pto_error *err)
{
    struct pto_kernel_table *table = reader->table;
    const struct pto_kernel_record *other = pto__kernel_find(table, record->func_id);
    if (other != NULL) {
        // An AICore program holds its kernels twice, compiled for the cube and for the vector
        // cores, and so has each record twice. A program for the host has one kind of core.
        if (!pto__machine_is_host(reader->elf->machine) &&
            memcmp(other, record, sizeof(*record)) == 0) {
            return PTO_OK;
        }
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: the kernels '%s' and '%s' in '%s%s' both have func_id %" PRIu32
                        "; give one of them another and build it again", WHAT, other->name,
                        record->name, PTO_PATH(reader->elf->path), record->func_id);
    }
    if (table->count == reader->capacity) {
        uint32_t capacity = reader->capacity == 0 ? 16 : reader->capacity * 2;
        struct pto_kernel_record *records =
            realloc(table->records, capacity * sizeof(table->records[0]));
        if (records == NULL) {
            return pto_fail_no_host_memory(err, "the kernel table",
                                           capacity * sizeof(table->records[0]));
        }
        table->records = records;
        reader->capacity = capacity;
    }
    table->records[table->count] = *record;
    table->count++;
    table->by_func_id[record->func_id] = (uint16_t)table->count;
    return PTO_OK;
}

// Reads the record at the start of `bytes`. Version comes before size: a record of another version
// may have another.
static enum pto_status read_record(struct reader *reader, const uint8_t *bytes, uint64_t size_bytes,
                                   struct pto_error *err)
{
    struct pto_kernel_record record;
    uint32_t start[3]; // magic, version, record_size
    if (size_bytes < sizeof(start)) {
        return fail_record(reader, "it runs past the end of its section", err);
    }
    memcpy(start, bytes, sizeof(start));
    if (start[0] != PTO_KERNEL_MAGIC) {
        return fail_record(reader, "it does not begin with the mark of a kernel record", err);
    }
    if (start[1] != PTO_ABI_VERSION) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: '%s%s' was built for version %" PRIu32 " of the kernel interface, this"
                        " library is for version %u; build it again with the headers of this "
                        "library's version", WHAT, PTO_PATH(reader->elf->path), start[1],
                        PTO_ABI_VERSION);
    }
    if (start[2] != sizeof(record)) {
        return fail_record(reader, "it does not have the size of a kernel record", err);
    }
    if (size_bytes < sizeof(record)) {
        return fail_record(reader, "it runs past the end of its section", err);
    }
    memcpy(&record, bytes, sizeof(record));
    enum pto_status status = check_record(reader, &record, err);
    if (status != PTO_OK) {
        return status;
    }
    return add_record(reader, &record, err);
}

static int is_zero(const uint8_t *bytes, uint64_t size_bytes)
{
    for (uint64_t i = 0; i < size_bytes; i++) {
        if (bytes[i] != 0) {
            return 0;
        }
    }
    return 1;
}

// Reads the records of one section; a linker may leave zeroes between those of two object files.
static enum pto_status read_section(struct reader *reader, const struct pto_elf_section *section,
                                    struct pto_error *err)
{
    if (section->bytes == NULL || (section->flags & PTO_ELF_FLAG_COMPRESSED) != 0) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: the kernel table (section " PTO_KERNEL_SECTION ") of '%s%s' is %s; "
                        "build the file again without changing its sections", WHAT,
                        PTO_PATH(reader->elf->path),
                        section->bytes == NULL ? "not in the file" : "compressed");
    }
    uint64_t at = 0;
    while (at < section->size_bytes) {
        uint64_t rest = section->size_bytes - at;
        uint64_t piece = rest < RECORD_ALIGNMENT ? rest : RECORD_ALIGNMENT;
        if (is_zero(section->bytes + at, piece)) {
            at += piece;
            continue;
        }
        enum pto_status status = read_record(reader, section->bytes + at, rest, err);
        if (status != PTO_OK) {
            return status;
        }
        reader->seen++;
        at += sizeof(struct pto_kernel_record);
    }
    return PTO_OK;
}

static int compare_func_id(const void *left, const void *right)
{
    uint32_t a = ((const struct pto_kernel_record *)left)->func_id;
    uint32_t b = ((const struct pto_kernel_record *)right)->func_id;
    return (a > b) - (a < b);
}

static enum pto_status read_sections(struct reader *reader, struct pto_error *err)
{
    struct pto_kernel_table *table = reader->table;
    uint32_t index = 0;
    uint32_t section_count = 0;
    uint64_t total_bytes = 0;
    while (pto__elf_find_section(reader->elf, PTO_KERNEL_SECTION, &index)) {
        struct pto_elf_section section = pto__elf_section(reader->elf, index);
        // Sections of a sound file do not overlap, which also bounds the time this loop takes.
        total_bytes += section.size_bytes;
        if (total_bytes > reader->elf->size_bytes) {
            return pto_fail(err, PTO_E_PROGRAM,
                            "%s: '%s%s' is damaged: its kernel tables overlap; build or copy it "
                            "again", WHAT, PTO_PATH(reader->elf->path));
        }
        enum pto_status status = read_section(reader, &section, err);
        if (status != PTO_OK) {
            return status;
        }
        section_count++;
        index++;
    }
    if (table->count == 0) {
        return pto_fail(err, PTO_E_PROGRAM,
                        "%s: '%s%s' has %s; declare kernels with PTO_KERNEL of <pto/kernel.h> and "
                        "build them with the CMake function pto_add_kernels()", WHAT,
                        PTO_PATH(reader->elf->path),
                        section_count == 0 ? "no kernel table (section " PTO_KERNEL_SECTION ")"
                                           : "no kernels in its kernel table");
    }
    qsort(table->records, table->count, sizeof(table->records[0]), compare_func_id);
    for (uint32_t i = 0; i < table->count; i++) {
        table->by_func_id[table->records[i].func_id] = (uint16_t)(i + 1);
    }
    return PTO_OK;
}

enum pto_status pto__kernel_table_read(const char *path, struct pto_kernel_table *out_table,
                                       struct pto_error *err)
{
    memset(out_table, 0, sizeof(*out_table));
    uint8_t *bytes = NULL;
    uint64_t size_bytes = 0;
    enum pto_status status = pto__file_read(path, WHAT, &bytes, &size_bytes, err);
    if (status != PTO_OK) {
        return status;
    }
    // The file may have been replaced since it was checked, so nothing about it is taken for
    // granted.
    struct pto_elf elf;
    status = pto__elf_read_header(&elf, bytes, size_bytes, path, WHAT, err);
    if (status == PTO_OK) {
        status = pto__elf_read_tables(&elf, err);
    }
    if (status == PTO_OK) {
        struct reader reader = {.elf = &elf, .table = out_table};
        status = read_sections(&reader, err);
    }
    if (status != PTO_OK) {
        pto__kernel_table_free(out_table);
    }
    free(bytes);
    return status;
}

void pto__kernel_table_free(struct pto_kernel_table *table)
{
    if (table == NULL) {
        return;
    }
    free(table->records);
    memset(table, 0, sizeof(*table));
}
