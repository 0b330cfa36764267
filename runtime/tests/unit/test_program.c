// SPDX-License-Identifier: Apache-2.0
// host/program.c, host/elf.c, host/file.c: finding device programs, and telling a sound one from
// everything else a path may lead to. Needs no linker wraps.
#include "unit/elf_builder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "abi/program.h"
#include "host/program.h"

#define SYMBOL "entry"

static const char *const needed[] = {SYMBOL, NULL};

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"a.so",     "fifo",     "socket",   "link",  "loop",
                                        "dangling", "sub/a.so", "sub/b.so", "locked"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unlink(in_folder(names[i]));
    }
    rmdir(in_folder("sub"));
    return rmdir(test_folder);
}

static void assert_found(const char *path, const char *search_dir, const char *name)
{
    char *found = NULL;
    struct pto_error err;
    if (pto__program_find(path, search_dir, NULL, "aicpu_so_path", &found, &err) != PTO_OK) {
        fail_msg("%s", err.message);
    }
    // The working folder may have more than one name, so compare what is there.
    struct stat expected;
    struct stat seen;
    assert_int_equal(found[0], '/');
    assert_int_equal(stat(in_folder(name), &expected), 0);
    assert_int_equal(stat(found, &seen), 0);
    assert_int_equal(expected.st_ino, seen.st_ino);
    free(found);
}

// A backend that looks into a folder of its own first; an absolute path is what it says.
static void test_find_apart(void **state)
{
    (void)state;
    char absolute[4096];
    snprintf(absolute, sizeof(absolute), "%s", in_folder("a.so"));
    const char *const cases[][3] = {{"a.so", "sub", "sub/a.so"}, {"./a.so", "sub", "sub/a.so"},
                                    {"a.so", "none", "a.so"},    {"b.so", "sub", "sub/b.so"},
                                    {absolute, "sub", "a.so"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *found = NULL;
        struct pto_error err;
        assert_int_equal(
            pto__program_find(cases[i][0], test_folder, cases[i][1], "w", &found, &err), PTO_OK);
        assert_string_equal(found, in_folder(cases[i][2]));
        free(found);
    }
}

static void assert_not_found(const char *path, const char *search_dir, const char *text)
{
    char *found = (char *)(uintptr_t)1;
    struct pto_error err;
    assert_int_equal(pto__program_find(path, search_dir, NULL, "aicpu_so_path", &found, &err),
                     PTO_E_FILE);
    assert_null(found);
    assert_memory_equal(err.message, "aicpu_so_path", 13);
    assert_says(&err, text);
    // Whatever is there, reading it directly says so, too, and does not block.
    if (path[0] == '/') {
        assert_int_equal(pto__program_check(path, PTO_MACHINE_NATIVE, needed, "w", &err),
                         PTO_E_FILE);
        assert_says(&err, text);
        struct pto_kernel_table table;
        assert_int_equal(pto__kernel_table_read(path, &table, &err), PTO_E_FILE);
        assert_null(table.records);
    }
}

static void test_find(void **state)
{
    (void)state;
    char start[4096];
    assert_non_null(getcwd(start, sizeof(start)));
    assert_int_equal(mkdir(in_folder("sub"), 0755), 0);
    write_file("a.so", "x", 1);
    write_file("sub/a.so", "y", 1);
    write_file("sub/b.so", "z", 1);
    assert_int_equal(symlink("a.so", in_folder("link")), 0);
    assert_int_equal(chdir(test_folder), 0);
    assert_found(in_folder("a.so"), NULL, "a.so");
    assert_found(in_folder("link"), "/nowhere", "a.so");
    assert_found("a.so", NULL, "a.so");
    assert_found("./a.so", "", "a.so");
    assert_found("sub/../a.so", NULL, "a.so");
    assert_found("a.so", in_folder("sub"), "a.so"); // the working folder comes first
    assert_found("b.so", in_folder("sub"), "sub/b.so");
    assert_found(".//b.so", "sub/", "sub/b.so");
    assert_not_found("c.so", NULL, "/c.so' does not exist; build it");
    assert_not_found("c.so", "sub", "/c.so' does not exist, and '");
    assert_not_found("c.so", "sub", "/sub/c.so' does not exist; build it");
    assert_not_found("a.so/c.so", NULL, "does not exist: a folder on its way is a file");
    assert_not_found("", NULL, "aicpu_so_path is empty");
    char *found = NULL;
    struct pto_error err;
    assert_int_equal(pto__program_find(NULL, NULL, NULL, "w", &found, &err), PTO_E_ARGUMENT);
    assert_says(&err, "w is NULL");
    assert_int_equal(chdir(start), 0);
}

static void test_find_in_removed_folder(void **state)
{
    (void)state;
    char start[4096];
    assert_non_null(getcwd(start, sizeof(start)));
    const char *folder = in_folder("gone");
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(rmdir(folder), 0);
    char *found = NULL;
    struct pto_error err;
    enum pto_status status = pto__program_find("a.so", NULL, NULL, "w", &found, &err);
    assert_int_equal(chdir(start), 0);
    assert_int_equal(status, PTO_E_FILE);
    assert_says(&err, "the working folder");
}

static void test_not_a_file(void **state)
{
    (void)state;
    alarm(30); // a call that blocks on the FIFO ends the test
    assert_not_found(test_folder, NULL, "is a folder");
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_not_found(in_folder("fifo"), NULL, "is a FIFO");
    assert_not_found("/dev/null", NULL, "is a device");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(in_folder("socket")) < sizeof(address.sun_path));
    memcpy(address.sun_path, in_folder("socket"), strlen(in_folder("socket")) + 1);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_not_found(in_folder("socket"), NULL, "is a socket");
    close(fd);
    assert_int_equal(symlink("loop", in_folder("loop")), 0);
    assert_not_found(in_folder("loop"), NULL, "too many symbolic links");
    assert_int_equal(symlink("nothing", in_folder("dangling")), 0);
    assert_not_found(in_folder("dangling"), NULL, "does not exist");
    char name[400];
    memset(name, 'n', sizeof(name));
    name[399] = '\0';
    assert_not_found(in_folder(name), NULL, "its name is too long");
    assert_not_found(in_folder(name), NULL, "'...nnn");
    alarm(0);
}

static void test_unreadable(void **state)
{
    (void)state;
    const char *path = write_file("locked", "x", 1);
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chmod(test_folder, 0755), 0);
    // The superuser may read anything, so it becomes somebody else for a moment.
    int is_root = geteuid() == 0;
    if (is_root && seteuid(65534) != 0) {
        skip();
    }
    int readable = access(path, R_OK) == 0; // some systems know no permissions
    char *found = NULL;
    struct pto_error err;
    enum pto_status status = pto__program_find(path, NULL, NULL, "w", &found, &err);
    if (is_root) {
        assert_int_equal(seteuid(0), 0);
    }
    free(found);
    if (!readable || status != PTO_OK) {
        assert_int_equal(status, PTO_E_FILE);
        assert_says(&err, "may not be read (permission denied)");
    }
}

static enum pto_status check(const struct elf_file *file, size_t size, enum pto_machine machine,
                             struct pto_error *err)
{
    const char *path = write_file("a.so", file->bytes, size);
    return pto__program_check(path, machine, needed, "aicpu_so_path", err);
}

static void assert_bad(const struct elf_file *file, enum pto_machine machine, const char *text)
{
    struct pto_error err;
    assert_int_equal(check(file, file->size, machine, &err), PTO_E_PROGRAM);
    assert_memory_equal(err.message, "aicpu_so_path: '", 16);
    assert_says(&err, "/a.so' ");
    assert_says(&err, text);
    assert_int_equal(check(file, file->size, machine, NULL), PTO_E_PROGRAM);
}

static void assert_good(const struct elf_file *file, enum pto_machine machine)
{
    struct pto_error err;
    if (check(file, file->size, machine, &err) != PTO_OK) {
        fail_msg("%s", err.message);
    }
}

static void test_machine_and_type(void **state)
{
    (void)state;
    struct elf_file file;
    build_elf(&file, NATIVE_MACHINE, SYMBOL, NULL, 0, NULL, 0);
    assert_good(&file, PTO_MACHINE_NATIVE);
    assert_bad(&file, PTO_MACHINE_ASCEND_AICORE, "is for " NATIVE_NAME ", an Ascend AICore");
    build_elf(&file, FOREIGN_MACHINE, SYMBOL, NULL, 0, NULL, 0);
    assert_bad(&file, PTO_MACHINE_NATIVE, "is for " FOREIGN_NAME ", this machine is " NATIVE_NAME);
    build_elf(&file, 183, SYMBOL, NULL, 0, NULL, 0);
    assert_good(&file, PTO_MACHINE_AARCH64);
    build_elf(&file, 62, SYMBOL, NULL, 0, NULL, 0);
    assert_bad(&file, PTO_MACHINE_AARCH64, "is for x86-64, the NPU's control processors are");
    build_elf(&file, AICORE_MACHINE, SYMBOL, NULL, 0, NULL, 0);
    assert_good(&file, PTO_MACHINE_ASCEND_AICORE);
    assert_bad(&file, PTO_MACHINE_NATIVE, "not known here (ELF number 4137)");
    put(file.bytes + 16, 2, 2); // an executable: what an AICore program is after linking
    put(segment_header(&file, SEGMENT_DYNAMIC), 4, 0);
    assert_good(&file, PTO_MACHINE_ASCEND_AICORE);
    put(file.bytes + 16, 2, 1);
    assert_bad(&file, PTO_MACHINE_ASCEND_AICORE, "an object file before linking; a linked AICore");

    build_elf(&file, NATIVE_MACHINE, SYMBOL, NULL, 0, NULL, 0);
    put(file.bytes + 16, 2, 1);
    assert_bad(&file, PTO_MACHINE_NATIVE, "is an object file before linking; a shared object");
    put(file.bytes + 16, 2, 2);
    assert_bad(&file, PTO_MACHINE_NATIVE, "is an executable");
    put(file.bytes + 16, 2, 4);
    assert_bad(&file, PTO_MACHINE_NATIVE, "is a core dump");
    put(file.bytes + 16, 2, 0xfe00);
    assert_bad(&file, PTO_MACHINE_NATIVE, "is of an unknown ELF type");
}

static void test_not_elf(void **state)
{
    (void)state;
    static const struct {
        const char *start;
        const char *text;
    } cases[] = {
        {"", "is empty"},
        {"hello", "is not an ELF file"},
        {"\x7f"
         "EL",
         "is not an ELF file"},
        {"\x7f"
         "ELF",
         "is truncated: it has 4 bytes"},
        {"\x7f"
         "ELF\2\1\1",
         "is truncated: it has 7 bytes"},
        {"!<arch>\nfoo", "is a static library"},
        {"#!/bin/sh\n", "is a script"},
        {"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"},
        {"MZ", "is a Windows program"},
        {"\xcf\xfa\xed\xfe", "is a macOS (Mach-O) program"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct elf_file file = {.size = strlen(cases[i].start)};
        memcpy(file.bytes, cases[i].start, file.size);
        assert_bad(&file, PTO_MACHINE_NATIVE, cases[i].text);
    }
}

// Fields of a sound file, what they are changed to, and what is said then.
static void test_damaged_fields(void **state)
{
    (void)state;
    static const struct {
        int part; // -1 header, 0.. section's header, 100.. segment's header
        size_t offset;
        size_t width;
        uint64_t value;
        const char *text;
    } cases[] = {
        {-1, 4, 1, 1, "is a 32-bit ELF file"},
        {-1, 5, 1, 2, "is a big-endian ELF file"},
        {-1, 4, 1, 9, "class 9"},
        {-1, 5, 1, 0, "byte order 0"},
        {-1, 6, 1, 2, "version 2"},
        {-1, 20, 4, 7, "is damaged"},
        {-1, 32, 8, 1u << 30, "table of program headers"},
        {-1, 32, 8, UINT64_MAX - 8, "table of program headers"},
        {-1, 54, 2, 32, "impossible program headers"},
        {-1, 56, 2, 0, "nothing to load"},
        {-1, 56, 2, 0xffff, "impossible program headers"},
        {-1, 56, 2, 0xfffe, "table of program headers"},
        {-1, 40, 8, 0, "has no section headers"},
        {-1, 40, 8, UINT64_MAX - 8, "header of section 0"},
        {-1, 58, 2, 40, "impossible section headers"},
        {-1, 60, 2, 0, "its 0 section headers"},
        {-1, 60, 2, 0xfeff, "its 65279 section headers"},
        {-1, 62, 2, SECTION_COUNT, "section names are missing"},
        {-1, 62, 2, SECTION_DYNSYM, "section names are not a table of strings"},
        {SECTION_NAMES, 24, 8, 1u << 20, "section 6 (offset 1048576"},
        {SECTION_NAMES, 32, 8, 0, "section names are not a table of strings"},
        {SECTION_KERNELS, 24, 8, UINT64_MAX, "section 4 (offset 18446744073709551615"},
        {SECTION_KERNELS, 32, 8, UINT64_MAX, "does not lie inside the file"},
        {SECTION_DYNSYM, 32, 8, 47, "symbol table has an impossible shape"},
        {SECTION_DYNSYM, 56, 8, 16, "symbol table has an impossible shape"},
        {SECTION_DYNSYM, 40, 4, 99, "symbol table has an impossible shape"},
        {SECTION_DYNSYM, 40, 4, SECTION_KERNELS, "names of its symbols are not a table"},
        {SECTION_DYNSYM, 4, 4, 1, "does not export 'entry'"},
        {SECTION_STRTAB, 32, 8, 3, "names of its symbols are not a table"},
        {100 + SEGMENT_LOAD, 8, 8, UINT64_MAX - 3, "segment 0"},
        {100 + SEGMENT_LOAD, 32, 8, 1u << 20, "segment 0 (offset 0, 1048576 bytes)"},
        {100 + SEGMENT_LOAD, 40, 8, 1, "a segment to load has an impossible size"},
        {100 + SEGMENT_LOAD, 16, 8, UINT64_MAX - 3, "a segment to load has an impossible size"},
        {100 + SEGMENT_LOAD, 0, 4, 6, "dynamic segment is not in what gets loaded"},
        {100 + SEGMENT_DYNAMIC, 16, 8, 1u << 20, "dynamic segment is not in what gets loaded"},
        {100 + SEGMENT_DYNAMIC, 0, 4, 0, "nothing to load"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct elf_file file;
        build_elf(&file, NATIVE_MACHINE, SYMBOL, NULL, 0, NULL, 0);
        uint8_t *part = cases[i].part < 0     ? file.bytes
                        : cases[i].part < 100 ? section_header(&file, (size_t)cases[i].part)
                                              : segment_header(&file, (size_t)cases[i].part - 100);
        put(part + cases[i].offset, cases[i].width, cases[i].value);
        assert_bad(&file, PTO_MACHINE_NATIVE, cases[i].text);
    }
}

static void test_many_sections(void **state)
{
    (void)state;
    struct elf_file file;
    build_elf(&file, NATIVE_MACHINE, SYMBOL, NULL, 0, NULL, 0);
    // Their number and the index of their names may be in section 0 instead.
    put(file.bytes + 60, 2, 0);
    put(file.bytes + 62, 2, 0xffff);
    put(section_header(&file, 0) + 32, 8, SECTION_COUNT);
    put(section_header(&file, 0) + 40, 4, SECTION_NAMES);
    assert_good(&file, PTO_MACHINE_NATIVE);
    put(section_header(&file, 0) + 32, 8, UINT64_MAX / 64 + 2);
    assert_bad(&file, PTO_MACHINE_NATIVE, "section headers at offset");
}

static void test_symbols(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        size_t width;
        uint64_t value;
    } unusable[] = {
        {4, 1, 0x02}, // local
        {4, 1, 0x13}, // a section
        {4, 1, 0x16}, // thread-local
        {5, 1, 2},    // hidden
        {6, 2, 0},    // undefined
    };
    struct elf_file file;
    for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
        build_elf(&file, NATIVE_MACHINE, SYMBOL, NULL, 0, NULL, 0);
        put(file.bytes + file.symbol + unusable[i].offset, unusable[i].width, unusable[i].value);
        assert_bad(&file, PTO_MACHINE_NATIVE, "does not export 'entry'");
    }
    build_elf(&file, NATIVE_MACHINE, SYMBOL, NULL, 0, NULL, 0);
    put(file.bytes + file.symbol, 4, 1000);
    assert_bad(&file, PTO_MACHINE_NATIVE, "a symbol's name lies outside");
    build_elf(&file, NATIVE_MACHINE, SYMBOL, NULL, 0, NULL, 0);
    put(file.bytes + file.symbol + 8, 8, 1u << 24);
    assert_bad(&file, PTO_MACHINE_NATIVE, "lies outside what gets loaded");
    build_elf(&file, NATIVE_MACHINE, "entry_", NULL, 0, NULL, 0);
    assert_bad(&file, PTO_MACHINE_NATIVE, "does not export 'entry'");

    const char *path = write_file("a.so", file.bytes, file.size);
    struct pto_error err;
    assert_int_equal(pto__program_check(path, PTO_MACHINE_NATIVE, NULL, "w", &err), PTO_OK);
    static const char *const several[] = {"entry_", "one", "two", NULL};
    assert_int_equal(pto__program_check(path, PTO_MACHINE_NATIVE, several, "w", &err),
                     PTO_E_PROGRAM);
    assert_says(&err, "does not export 'one', 'two', so");
    char names[30][32];
    const char *many[31] = {NULL};
    for (size_t i = 0; i < 30; i++) {
        snprintf(names[i], sizeof(names[i]), "a_rather_long_symbol_%zu", i);
        many[i] = names[i];
    }
    assert_int_equal(pto__program_check(path, PTO_MACHINE_NATIVE, many, "w", &err), PTO_E_PROGRAM);
    assert_says(&err, "'a_rather_long_symbol_8', and more, so it is not");
}

// A file cut short anywhere is no program, whatever part is missing.
static void assert_no_prefix_passes(const uint8_t *bytes, size_t size, size_t step)
{
    for (size_t length = 0; length < size; length += step) {
        const char *path = write_file("a.so", bytes, length);
        struct pto_error err;
        struct pto_kernel_table table;
        assert_int_equal(pto__program_check(path, PTO_MACHINE_NATIVE, NULL, "w", &err),
                         PTO_E_PROGRAM);
        assert_true(strlen(err.message) > 20);
        assert_int_equal(pto__kernel_table_read(path, &table, &err), PTO_E_PROGRAM);
    }
}

// Damaged files either pass or get their error; the sanitizers watch what is read.
static void assert_flips_are_survived(const uint8_t *sound, size_t size, uint32_t count)
{
    uint64_t random = 88172645463325252u;
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(bytes, sound, size);
        for (uint64_t flips = 1 + next_random(&random) % 8; flips > 0; flips--) {
            // Mostly where the structure is: the first bytes and the section headers at the end.
            uint64_t place = next_random(&random);
            uint64_t span = next_random(&random) % 2 == 0 ? size : size / 8 + 1;
            place = next_random(&random) % 2 == 0 ? place % span : size - 1 - place % span;
            bytes[place] = (uint8_t)next_random(&random);
        }
        const char *path = write_file("a.so", bytes, size);
        struct pto_error err;
        struct pto_kernel_table table;
        enum pto_status status = pto__program_check(path, PTO_MACHINE_NATIVE, needed, "w", &err);
        assert_true(status == PTO_OK || status == PTO_E_PROGRAM);
        status = pto__program_check(path, PTO_MACHINE_ASCEND_AICORE, needed, "w", &err);
        assert_true(status == PTO_OK || status == PTO_E_PROGRAM);
        status = pto__kernel_table_read(path, &table, &err);
        assert_true(status == PTO_OK || status == PTO_E_PROGRAM);
        pto__kernel_table_free(&table);
    }
    free(bytes);
}

static void test_corrupted(void **state)
{
    (void)state;
    struct elf_file file;
    build_elf(&file, NATIVE_MACHINE, SYMBOL, NULL, 0, NULL, 0);
    assert_no_prefix_passes(file.bytes, file.size, 1);
    assert_flips_are_survived(file.bytes, file.size, 4000);
}

static void test_real_programs(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *symbol;
    } programs[] = {
        {PTO_TEST_AICPU_PROGRAM, PTO_AICPU_PROGRAM_SYMBOL},
        {PTO_TEST_AICORE_PROGRAM, PTO_AICORE_PROGRAM_SYMBOL},
        {PTO_TEST_KERNELS, PTO_AICORE_PROGRAM_SYMBOL},
    };
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        const char *const symbols[] = {programs[i].symbol, NULL};
        struct pto_error err;
        if (pto__program_check(programs[i].path, PTO_MACHINE_NATIVE, symbols, "w", &err) != 0) {
            fail_msg("%s", err.message);
        }
        const char *const wrong[] = {"main", NULL};
        assert_int_equal(pto__program_check(programs[i].path, PTO_MACHINE_NATIVE, wrong, "w", &err),
                         PTO_E_PROGRAM);
        assert_says(&err, "does not export 'main'");
        size_t size = 0;
        uint8_t *bytes = read_file(programs[i].path, &size);
        assert_no_prefix_passes(bytes, size, size / 300 + 1);
        assert_flips_are_survived(bytes, size, 1000);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_find_apart),
        cmocka_unit_test(test_find_in_removed_folder),
        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_machine_and_type),
        cmocka_unit_test(test_not_elf),
        cmocka_unit_test(test_damaged_fields),
        cmocka_unit_test(test_many_sections),
        cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_corrupted),
        cmocka_unit_test(test_real_programs),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
