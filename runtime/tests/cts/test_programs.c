// SPDX-License-Identifier: Apache-2.0
// Device program files that init must refuse, each with a reason, and none of them loaded: missing,
// no file at all, not a program, the wrong program, one of another version.
#include <sys/stat.h>
#include <unistd.h>

#include "abi/kernel_table.h"
#include "tests/cts/cts.h"

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static uint32_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/pto_cts_XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    static const char *const names[] = {"file", "fifo", "sub", "copy.so"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        remove(in_folder(names[i]));
    }
    assert_int_equal(rmdir(folder), 0);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fwrite(bytes, 1, size, file) == size);
    assert_int_equal(fclose(file), 0);
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_true(fread(bytes, 1, *size, file) == *size);
    fclose(file);
    return bytes;
}

// Each of the two programs is replaced by this file in turn.
static void assert_refused(const struct cts_backend *backend, const char *path,
                           enum pto_status status, const char *text)
{
    struct pto_runner *runner = NULL;
    CTS_OK(pto_runner_create(&runner, &cts_error));
    struct pto_config good = cts_config(backend, 3);
    struct pto_config config = good;
    config.aicpu_so_path = path;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), status, text);
    assert_non_null(strstr(cts_error.message, "aicpu_so_path"));
    config = good;
    config.aicore_kernel_path = path;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), status, text);
    assert_non_null(strstr(cts_error.message, "aicore_kernel_path"));
    assert_int_equal(cts_info(runner).state, PTO_RUNNER_CLOSED);
    CTS_OK(pto_runner_init(runner, &good, &cts_error));
    cts_close(runner);
}

static void not_a_file(const struct cts_backend *backend)
{
    make_folder();
    assert_refused(backend, "", PTO_E_FILE, "empty");
    assert_refused(backend, in_folder("none"), PTO_E_FILE, "does not exist");
    assert_refused(backend, folder, PTO_E_FILE, "is a folder");
    assert_refused(backend, "/dev/null", PTO_E_FILE, "is a device");
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_refused(backend, in_folder("fifo"), PTO_E_FILE, "FIFO"); // and does not block
    remove_folder();
}

static void not_a_program(const struct cts_backend *backend)
{
    make_folder();
    const char *path = in_folder("file");
    uint8_t noise[5000];
    uint64_t random = 5;
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (uint8_t)test_random(&random);
    }
    write_file(path, noise, 0);
    assert_refused(backend, path, PTO_E_PROGRAM, "empty");
    write_file(path, noise, sizeof(noise));
    assert_refused(backend, path, PTO_E_PROGRAM, "ELF");
    write_file(path, "\177ELF", 4);
    assert_refused(backend, path, PTO_E_PROGRAM, path);
    write_file(path, "#!/bin/sh\n", 10);
    assert_refused(backend, path, PTO_E_PROGRAM, "script");
    remove_folder();
}

// A file cut off anywhere, as by a full disk or a broken download, is refused, and never loaded.
static void truncated(const struct cts_backend *backend)
{
    make_folder();
    const char *copy = in_folder("copy.so");
    struct pto_config good = cts_config(backend, 3);
    for (int which = 0; which < 2; which++) {
        size_t size;
        uint8_t *bytes =
            read_file(which == 0 ? good.aicpu_so_path : good.aicore_kernel_path, &size);
        struct pto_runner *runner = NULL;
        CTS_OK(pto_runner_create(&runner, &cts_error));
        for (size_t part = 0; part < 64; part++) {
            struct pto_config config = good;
            *(which == 0 ? &config.aicpu_so_path : &config.aicore_kernel_path) = copy;
            write_file(copy, bytes, size / 64 * part);
            CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_PROGRAM, "copy.so");
            remove(copy); // a loaded file must not be written over
        }
        pto_runner_destroy(runner);
        free(bytes);
    }
    remove_folder();
}

static void swapped(const struct cts_backend *backend)
{
    struct pto_runner *runner = NULL;
    CTS_OK(pto_runner_create(&runner, &cts_error));
    struct pto_config good = cts_config(backend, 3);
    struct pto_config config = good;
    config.aicpu_so_path = good.aicore_kernel_path;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_PROGRAM, "aicpu_so_path");
    config = good;
    config.aicore_kernel_path = good.aicpu_so_path;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_PROGRAM, "aicore_kernel_path");
    pto_runner_destroy(runner);
}

// Finds the first kernel record in a file's bytes.
static uint8_t *find_record(uint8_t *bytes, size_t size)
{
    const uint32_t start[3] = {PTO_KERNEL_MAGIC, PTO_ABI_VERSION, sizeof(struct pto_kernel_record)};
    for (size_t i = 0; i + sizeof(start) <= size; i += 4) {
        if (memcmp(bytes + i, start, sizeof(start)) == 0) {
            return bytes + i;
        }
    }
    return NULL;
}

// A copy of the kernels with one word of the first record replaced.
static void assert_patch_refused(const struct cts_backend *backend, size_t word, uint32_t value,
                                 const char *text)
{
    const char *copy = in_folder("copy.so");
    struct pto_config config = cts_config(backend, 3);
    struct pto_runner *runner = NULL;
    CTS_OK(pto_runner_create(&runner, &cts_error));
    size_t size;
    uint8_t *bytes = read_file(config.aicore_kernel_path, &size);
    uint8_t *record = find_record(bytes, size);
    assert_non_null(record);
    memcpy(record + word * 4, &value, 4);
    write_file(copy, bytes, size);
    config.aicore_kernel_path = copy;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_PROGRAM, text);
    pto_runner_destroy(runner);
    free(bytes);
    remove(copy);
}

static void kernel_table(const struct cts_backend *backend)
{
    char version[32];
    snprintf(version, sizeof(version), "version %u", PTO_ABI_VERSION + 1);
    make_folder();
    assert_patch_refused(backend, 1, PTO_ABI_VERSION + 1, version);
    assert_patch_refused(backend, 0, 0, "kernel record");
    assert_patch_refused(backend, 2, 64, "size");
    assert_patch_refused(backend, 3, 5000, "1023");
    assert_patch_refused(backend, 4, 1000, "128");
    remove_folder();
}

static void relative_paths(const struct cts_backend *backend)
{
    char before[4096];
    assert_non_null(getcwd(before, sizeof(before)));
    make_folder();
    struct pto_config config = cts_config(backend, 2);
    size_t size;
    uint8_t *bytes = read_file(config.aicore_kernel_path, &size);
    write_file(in_folder("copy.so"), bytes, size);
    free(bytes);
    struct pto_runner *runner = NULL;
    CTS_OK(pto_runner_create(&runner, &cts_error));
    config.aicore_kernel_path = "copy.so";
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_FILE, "copy.so");
    config.search_dir = folder;
    CTS_OK(pto_runner_init(runner, &config, &cts_error));
    CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    config.search_dir = NULL;
    assert_int_equal(chdir(folder), 0);
    CTS_OK(pto_runner_init(runner, &config, &cts_error));
    CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    config.search_dir = "/";
    config.aicore_kernel_path = "none.so";
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_FILE, "'/none.so'");
    assert_non_null(strstr(cts_error.message, in_folder("none.so")));
    assert_int_equal(chdir(before), 0);
    pto_runner_destroy(runner);
    remove_folder();
}

static const struct cts_case cases[] = {
    CTS_CASE(not_a_file), CTS_CASE(not_a_program), CTS_CASE(truncated),
    CTS_CASE(swapped),    CTS_CASE(kernel_table),  CTS_CASE(relative_paths),
};

CTS_MAIN(cases)
