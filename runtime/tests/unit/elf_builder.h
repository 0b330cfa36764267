// SPDX-License-Identifier: Apache-2.0
// For tests of host/program.c and host/kernel_table.c: makes small ELF files from nothing, sound or
// broken in one chosen place, and keeps them in a temporary folder.
//
// A file is: header | program headers | sections' contents | section headers. It has sections
// .dynsym, .symtab (the same symbols), .strtab, two for kernel tables, and .shstrtab.
#ifndef PTO_TESTS_ELF_BUILDER_H
#define PTO_TESTS_ELF_BUILDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/kernel_table.h"
#include "pto/status.h"

enum { SECTION_DYNSYM = 1, SECTION_SYMTAB, SECTION_STRTAB, SECTION_KERNELS, SECTION_KERNELS2,
       SECTION_NAMES, SECTION_COUNT };
enum { SEGMENT_LOAD = 0, SEGMENT_DYNAMIC, SEGMENT_COUNT };

#if defined(__x86_64__)
#define NATIVE_MACHINE 62
#define FOREIGN_MACHINE 183
#define NATIVE_NAME "x86-64"
#define FOREIGN_NAME "aarch64"
#else
#define NATIVE_MACHINE 183
#define FOREIGN_MACHINE 62
#define NATIVE_NAME "aarch64"
#define FOREIGN_NAME "x86-64"
#endif

// No processor that runs an operating system has this number; it stands for the AICore's.
#define AICORE_MACHINE 0x1029

struct elf_file {
    uint8_t bytes[32768];
    size_t size;
    size_t segments; // offset of the program headers
    size_t sections; // offset of the section headers
    size_t symbol;   // offset of the one defined symbol in .dynsym
};

static inline void put(uint8_t *at, size_t width, uint64_t value)
{
    for (size_t i = 0; i < width; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static inline uint64_t get(const uint8_t *at, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

// Where the header of a section or segment lies.
static inline uint8_t *section_header(struct elf_file *file, size_t index)
{
    return file->bytes + file->sections + 64 * index;
}

static inline uint8_t *segment_header(struct elf_file *file, size_t index)
{
    return file->bytes + file->segments + 56 * index;
}

// Appends bytes at a multiple of 64, and returns their offset.
static inline size_t append(struct elf_file *file, const void *bytes, size_t size)
{
    file->size = (file->size + 63) / 64 * 64;
    size_t offset = file->size;
    assert_true(offset + size <= sizeof(file->bytes));
    if (size > 0) {
        memcpy(file->bytes + offset, bytes, size);
    }
    file->size += size;
    return offset;
}

static inline void put_section(struct elf_file *file, size_t index, uint32_t name, uint32_t type,
                               size_t offset, size_t size, uint32_t link, uint64_t entry_size)
{
    uint8_t *header = section_header(file, index);
    put(header + 0, 4, name);
    put(header + 4, 4, type);
    put(header + 24, 8, offset);
    put(header + 32, 8, size);
    put(header + 40, 4, link);
    put(header + 56, 8, entry_size);
}

static inline void put_segment(struct elf_file *file, size_t index, uint32_t type, size_t offset,
                               size_t size)
{
    uint8_t *header = segment_header(file, index);
    put(header + 0, 4, type);
    put(header + 8, 8, offset);
    put(header + 16, 8, offset);
    put(header + 32, 8, size);
    put(header + 40, 8, size);
}

// Makes a sound shared object that defines `symbol` and has two kernel table sections.
static inline void build_elf(struct elf_file *file, uint16_t machine, const char *symbol,
                             const void *kernels, size_t kernels_size, const void *kernels2,
                             size_t kernels2_size)
{
    static const char names[] = "\0.dynsym\0.symtab\0.strtab\0pto_kernels\0.shstrtab";
    memset(file, 0, sizeof(*file));
    file->segments = 64;
    file->size = 64 + 56 * SEGMENT_COUNT;

    uint8_t symbols[48] = {0};
    char strings[80] = {0};
    snprintf(strings + 1, sizeof(strings) - 1, "%s", symbol);
    put(symbols + 24, 4, 1);      // its name
    put(symbols + 28, 1, 0x12);   // a global function
    put(symbols + 30, 2, 1);      // in some section
    put(symbols + 32, 8, 64);     // at this address
    size_t dynsym = append(file, symbols, sizeof(symbols));
    size_t symtab = append(file, symbols, sizeof(symbols));
    size_t strtab = append(file, strings, strlen(symbol) + 2);
    size_t table = append(file, kernels, kernels_size);
    size_t table2 = append(file, kernels2, kernels2_size);
    size_t shstrtab = append(file, names, sizeof(names));
    uint8_t section_headers[64 * SECTION_COUNT] = {0};
    file->sections = append(file, section_headers, sizeof(section_headers));
    file->symbol = dynsym + 24;

    put_section(file, SECTION_DYNSYM, 1, 11, dynsym, sizeof(symbols), SECTION_STRTAB, 24);
    put_section(file, SECTION_SYMTAB, 9, 2, symtab, sizeof(symbols), SECTION_STRTAB, 24);
    put_section(file, SECTION_STRTAB, 17, 3, strtab, strlen(symbol) + 2, 0, 0);
    put_section(file, SECTION_KERNELS, 25, 1, table, kernels_size, 0, 0);
    put_section(file, SECTION_KERNELS2, 25, 1, table2, kernels2_size, 0, 0);
    put_section(file, SECTION_NAMES, 37, 3, shstrtab, sizeof(names), 0, 0);
    put_segment(file, SEGMENT_LOAD, 1, 0, file->size);
    put_segment(file, SEGMENT_DYNAMIC, 2, dynsym, 16);

    memcpy(file->bytes, "\x7f" "ELF\2\1\1", 7);
    put(file->bytes + 16, 2, 3);
    put(file->bytes + 18, 2, machine);
    put(file->bytes + 20, 4, 1);
    put(file->bytes + 32, 8, file->segments);
    put(file->bytes + 40, 8, file->sections);
    put(file->bytes + 52, 2, 64);
    put(file->bytes + 54, 2, 56);
    put(file->bytes + 56, 2, SEGMENT_COUNT);
    put(file->bytes + 58, 2, 64);
    put(file->bytes + 60, 2, SECTION_COUNT);
    put(file->bytes + 62, 2, SECTION_NAMES);
}

// The temporary folder of this run, made and left by the group's setup and teardown.
static char test_folder[64];

static inline const char *in_folder(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s", test_folder, name);
    return path;
}

static inline int make_folder(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || strlen(parent) > 32) {
        parent = "/tmp";
    }
    snprintf(test_folder, sizeof(test_folder), "%s/pto_test_XXXXXX", parent);
    return mkdtemp(test_folder) == NULL;
}

// Writes a file of this name into the folder; returns its path, valid until the next call.
static inline const char *write_file(const char *name, const void *bytes, size_t size)
{
    const char *path = in_folder(name);
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
    return path;
}

// Reads a file that the build made; the caller frees it.
static inline uint8_t *read_file(const char *path, size_t *out_size)
{
    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        fail_msg("cannot open %s", path);
        abort(); // not reached; tells the compiler so
    }
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    long size = ftell(stream);
    assert_true(size > 0);
    rewind(stream);
    uint8_t *bytes = malloc((size_t)size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)size, stream), (size_t)size);
    fclose(stream);
    *out_size = (size_t)size;
    return bytes;
}

static inline void assert_says(const struct pto_error *err, const char *text)
{
    if (strstr(err->message, text) == NULL) {
        fail_msg("'%s' does not say '%s'", err->message, text);
    }
}

// A fixed sequence, so that a failure can be repeated.
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif // PTO_TESTS_ELF_BUILDER_H
