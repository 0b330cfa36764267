// SPDX-License-Identifier: Apache-2.0
// host/kernel_table.c: the records that are read, in whatever way a linker laid them, and every way
// in which one can be malformed. Needs no linker wraps.
#include "unit/elf_builder.h"

#include "host/program.h"

#define RECORD_SIZE sizeof(struct pto_kernel_record)

static const struct pto_kernel_record sample = {
    .magic = PTO_KERNEL_MAGIC,
    .version = PTO_ABI_VERSION,
    .record_size = sizeof(struct pto_kernel_record),
    .func_id = 7,
    .arg_count = 4,
    .name = "scale",
    .args = {{PTO_ARG_IN, 4, 3, PTO_NO_ARG},
             {PTO_ARG_FLOAT, 0, PTO_NO_ARG, PTO_NO_ARG},
             {PTO_ARG_OUT, 4, 3, 3},
             {PTO_ARG_INTEGER, 0, PTO_NO_ARG, PTO_NO_ARG}},
};

static int remove_folder(void **state)
{
    (void)state;
    unlink(in_folder("kernel.o"));
    return rmdir(test_folder);
}

static struct pto_kernel_record with_id(uint32_t func_id, const char *name)
{
    struct pto_kernel_record record = sample;
    record.func_id = func_id;
    memset(record.name, 0, sizeof(record.name));
    memcpy(record.name, name, strlen(name));
    return record;
}

static enum pto_status read_table(const struct elf_file *file, struct pto_kernel_table *table,
                                  struct pto_error *err)
{
    // What was in the memory before must not matter.
    memset(table, 0x5a, sizeof(*table));
    return pto__kernel_table_read(write_file("kernel.o", file->bytes, file->size), table, err);
}

static void assert_file_bad(const struct elf_file *file, const char *text)
{
    struct pto_kernel_table table;
    struct pto_error err;
    assert_int_equal(read_table(file, &table, &err), PTO_E_PROGRAM);
    assert_memory_equal(err.message, "aicore_kernel_path: ", 20);
    assert_says(&err, "/kernel.o'");
    assert_says(&err, text);
    assert_null(table.records);
    assert_int_equal(table.count, 0);
    assert_null(pto__kernel_find(&table, 7));
    assert_int_equal(read_table(file, &table, NULL), PTO_E_PROGRAM);
}

static void assert_bad(const struct pto_kernel_record *records, size_t count, const char *text)
{
    struct elf_file file;
    build_elf(&file, NATIVE_MACHINE, "entry", records, count * RECORD_SIZE, NULL, 0);
    assert_file_bad(&file, text);
}

static void assert_good(const struct elf_file *file, const uint32_t *func_ids, uint32_t count)
{
    struct pto_kernel_table table;
    struct pto_error err;
    if (read_table(file, &table, &err) != PTO_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(table.count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(table.records[i].func_id, func_ids[i]);
        assert_ptr_equal(pto__kernel_find(&table, func_ids[i]), &table.records[i]);
    }
    uint32_t known = 0;
    for (uint32_t func_id = 0; func_id <= PTO_FUNC_ID_MAX + 2; func_id++) {
        known += pto__kernel_find(&table, func_id) != NULL;
    }
    assert_int_equal(known, count);
    assert_null(pto__kernel_find(&table, UINT32_MAX));
    pto__kernel_table_free(&table);
    assert_null(pto__kernel_find(&table, func_ids[0]));
    pto__kernel_table_free(&table);
}

static void test_records(void **state)
{
    (void)state;
    struct pto_kernel_record records[3] = {with_id(9, "nine"), with_id(PTO_FUNC_ID_MAX, "last"),
                                           with_id(0, "a_0_Z")};
    static const uint32_t func_ids[] = {0, 9, PTO_FUNC_ID_MAX};
    struct elf_file file;
    build_elf(&file, NATIVE_MACHINE, "entry", records, sizeof(records), NULL, 0);
    assert_good(&file, func_ids, 3);
    // In two sections, with zeroes before, between and behind them.
    uint8_t first[64 + RECORD_SIZE + 128 + RECORD_SIZE + 40];
    memset(first, 0, sizeof(first));
    memcpy(first + 64, &records[0], RECORD_SIZE);
    memcpy(first + 64 + RECORD_SIZE + 128, &records[1], RECORD_SIZE);
    build_elf(&file, NATIVE_MACHINE, "entry", first, sizeof(first), &records[2], RECORD_SIZE);
    assert_good(&file, func_ids, 3);

    struct pto_kernel_table table;
    assert_int_equal(read_table(&file, &table, NULL), PTO_OK);
    assert_memory_equal(&table.records[1], &records[0], RECORD_SIZE);
    pto__kernel_table_free(&table);
    pto__kernel_table_free(NULL);
}

static void test_no_kernels(void **state)
{
    (void)state;
    static const uint8_t zeroes[256] = {0};
    struct elf_file file;
    build_elf(&file, NATIVE_MACHINE, "entry", NULL, 0, NULL, 0);
    assert_file_bad(&file, "no kernels in its kernel table");
    build_elf(&file, NATIVE_MACHINE, "entry", zeroes, sizeof(zeroes), zeroes, 100);
    assert_file_bad(&file, "no kernels in its kernel table");
    put(section_header(&file, SECTION_KERNELS), 4, 17);
    put(section_header(&file, SECTION_KERNELS2), 4, 17);
    assert_file_bad(&file, "no kernel table (section pto_kernels); declare kernels with PTO_KER");
    put(section_header(&file, SECTION_KERNELS), 4, UINT32_MAX); // a name outside of all names
    assert_file_bad(&file, "no kernel table");
}

static void test_section(void **state)
{
    (void)state;
    struct elf_file file;
    build_elf(&file, NATIVE_MACHINE, "entry", &sample, RECORD_SIZE, NULL, 0);
    put(section_header(&file, SECTION_KERNELS) + 4, 4, 8);
    assert_file_bad(&file, "is not in the file");
    build_elf(&file, NATIVE_MACHINE, "entry", &sample, RECORD_SIZE, NULL, 0);
    put(section_header(&file, SECTION_KERNELS) + 8, 8, 0x800);
    assert_file_bad(&file, "is compressed");
    build_elf(&file, NATIVE_MACHINE, "entry", &sample, RECORD_SIZE, NULL, 0);
    put(section_header(&file, SECTION_KERNELS) + 24, 8, 0);
    put(section_header(&file, SECTION_KERNELS) + 32, 8, file.size);
    put(section_header(&file, SECTION_KERNELS2) + 32, 8, file.size);
    put(section_header(&file, SECTION_KERNELS2) + 24, 8, 0);
    assert_file_bad(&file, "kernel record 0 of");
    for (size_t size = 1; size < RECORD_SIZE; size++) {
        build_elf(&file, NATIVE_MACHINE, "entry", &sample, size, NULL, 0);
        assert_file_bad(&file, "runs past the end of its section");
    }
    // Zero records, so nothing stops the reader before the second of two overlapping sections.
    uint8_t zeroes[4096] = {0};
    build_elf(&file, NATIVE_MACHINE, "entry", zeroes, sizeof(zeroes), NULL, 0);
    uint64_t offset = get(section_header(&file, SECTION_KERNELS) + 24, 8);
    put(section_header(&file, SECTION_KERNELS2) + 24, 8, offset);
    put(section_header(&file, SECTION_KERNELS2) + 32, 8, sizeof(zeroes));
    assert_file_bad(&file, "its kernel tables overlap");
}

static void test_version(void **state)
{
    (void)state;
    struct pto_kernel_record record = sample;
    record.version = PTO_ABI_VERSION + 41;
    record.record_size = 64; // whatever the size: the version is what is wrong
    char text[160];
    snprintf(text, sizeof(text), "was built for version %u of the kernel interface, this library "
             "is for version %u; build it again", PTO_ABI_VERSION + 41, PTO_ABI_VERSION);
    assert_bad(&record, 1, text);
}

static void test_malformed(void **state)
{
    (void)state;
    struct pto_kernel_record records[2] = {sample, sample};
    struct pto_kernel_record *bad = &records[1];
    *bad = with_id(8, "bad");
    bad->magic = 1;
    assert_bad(records, 2, "kernel record 1 of");
    assert_bad(records, 2, "does not begin with the mark of a kernel record");
    *bad = with_id(8, "bad");
    bad->record_size = 1024;
    assert_bad(records, 2, "does not have the size of a kernel record");
    *bad = with_id(8, "bad");
    memset(bad->name, 'x', sizeof(bad->name));
    assert_bad(records, 2, "its name is not 1 to 43");
    *bad = with_id(8, "");
    assert_bad(records, 2, "its name is not 1 to 43");
    *bad = with_id(8, "a b");
    assert_bad(records, 2, "its name is not 1 to 43");
    *bad = with_id(PTO_FUNC_ID_MAX + 1, "bad");
    assert_bad(records, 2, "kernel 'bad' in");
    assert_bad(records, 2, "has func_id 1024, but the highest is 1023");
    *bad = with_id(8, "bad");
    bad->arg_count = PTO_ARG_COUNT_MAX + 1;
    assert_bad(records, 2, "has 129 arguments, but a kernel may have 128");
    bad->arg_count = UINT32_MAX;
    assert_bad(records, 2, "has 4294967295 arguments");
}

static void test_malformed_arguments(void **state)
{
    (void)state;
    static const struct {
        uint32_t argument;
        struct pto_kernel_arg arg;
        const char *text;
    } cases[] = {
        {0, {PTO_ARG_UNUSED, 0, 0, 0}, "argument 0 wrongly: its kind is unknown"},
        {1, {99, 0, 0, 0}, "argument 1 wrongly: its kind is unknown"},
        {2, {PTO_ARG_INOUT, 0, 3, PTO_NO_ARG}, "argument 2 wrongly: its elements have no size"},
        {2, {PTO_ARG_INOUT, 4, 4, PTO_NO_ARG}, "is not an integer argument"},
        {2, {PTO_ARG_INOUT, 4, 1, PTO_NO_ARG}, "is not an integer argument"},
        {2, {PTO_ARG_INOUT, 4, PTO_NO_ARG, 0}, "is not an integer argument"},
        {2, {PTO_ARG_INOUT, 4, 3, 0xfffe}, "is not an integer argument"},
        {3, {PTO_ARG_FLOAT, 0, PTO_NO_ARG, PTO_NO_ARG}, "argument 0 wrongly: the argument that"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pto_kernel_record record = sample;
        record.args[cases[i].argument] = cases[i].arg;
        assert_bad(&record, 1, "kernel 'scale' (func_id 7)");
        assert_bad(&record, 1, cases[i].text);
    }
    struct pto_kernel_record record = sample;
    record.args[0] = (struct pto_kernel_arg){PTO_ARG_IN, 65535, PTO_NO_ARG, PTO_NO_ARG};
    static const uint32_t func_ids[] = {7};
    struct elf_file file;
    build_elf(&file, NATIVE_MACHINE, "entry", &record, RECORD_SIZE, NULL, 0);
    assert_good(&file, func_ids, 1);
}

static void test_twice(void **state)
{
    (void)state;
    struct pto_kernel_record records[3] = {with_id(3, "three"), with_id(7, "one"),
                                           with_id(7, "other")};
    assert_bad(records, 3, "the kernels 'one' and 'other' in");
    assert_bad(records, 3, "both have func_id 7");
    records[2] = records[1];
    assert_bad(records, 3, "the kernels 'one' and 'one' in");
    // An AICore program holds each kernel once for each of its two kinds of core.
    static const uint32_t func_ids[] = {3, 7};
    struct elf_file file;
    build_elf(&file, AICORE_MACHINE, "entry", records, sizeof(records), records, sizeof(records));
    assert_good(&file, func_ids, 2);
    records[2].arg_count = 0;
    build_elf(&file, AICORE_MACHINE, "entry", records, sizeof(records), NULL, 0);
    assert_file_bad(&file, "both have func_id 7");
}

// Every byte of a record takes other values; the result is an error or a table, never a crash.
static void test_corrupted(void **state)
{
    (void)state;
    struct elf_file sound;
    uint64_t random = 0x9e3779b97f4a7c15u;
    build_elf(&sound, NATIVE_MACHINE, "entry", &sample, RECORD_SIZE, &sample, RECORD_SIZE);
    size_t start = (size_t)get(section_header(&sound, SECTION_KERNELS) + 24, 8);
    for (uint32_t i = 0; i < 3000; i++) {
        struct elf_file file = sound;
        for (uint64_t flips = 1 + next_random(&random) % 6; flips > 0; flips--) {
            size_t span = next_random(&random) % 2 == 0 ? 128 : 2 * RECORD_SIZE;
            file.bytes[start + next_random(&random) % span] = (uint8_t)next_random(&random);
        }
        struct pto_kernel_table table;
        enum pto_status status = read_table(&file, &table, NULL);
        assert_true(status == PTO_OK || status == PTO_E_PROGRAM);
        pto__kernel_table_free(&table);
    }
}

static void test_real_program(void **state)
{
    (void)state;
    static const char *const names[] = {"add", "add_scalar", "mul"};
    struct pto_kernel_table table;
    struct pto_error err;
    if (pto__kernel_table_read(PTO_TEST_AICORE_PROGRAM, &table, &err) != PTO_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(table.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct pto_kernel_record *record = pto__kernel_find(&table, i);
        assert_non_null(record);
        assert_string_equal(record->name, names[i]);
        assert_int_equal(record->arg_count, 4);
        assert_int_equal(record->args[0].kind, PTO_ARG_IN);
        assert_int_equal(record->args[0].element_size, 4);
        assert_int_equal(record->args[1].kind, i == 1 ? PTO_ARG_FLOAT : PTO_ARG_IN);
        assert_int_equal(record->args[2].kind, PTO_ARG_OUT);
        assert_int_equal(record->args[2].count_arg, 3);
        assert_int_equal(record->args[3].kind, PTO_ARG_INTEGER);
        assert_int_equal(record->args[4].kind, PTO_ARG_UNUSED);
    }
    pto__kernel_table_free(&table);
    assert_int_equal(pto__kernel_table_read(PTO_TEST_KERNELS, &table, &err), PTO_OK);
    assert_true(table.count >= 5);
    assert_non_null(pto__kernel_find(&table, 10));
    assert_null(pto__kernel_find(&table, 0));
    pto__kernel_table_free(&table);
    assert_int_equal(pto__kernel_table_read(PTO_TEST_AICPU_PROGRAM, &table, &err), PTO_E_PROGRAM);
    assert_says(&err, "no kernel table");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_no_kernels),
        cmocka_unit_test(test_section),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_malformed_arguments),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_corrupted),
        cmocka_unit_test(test_real_program),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
