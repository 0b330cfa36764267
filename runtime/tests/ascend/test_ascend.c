// SPDX-License-Identifier: Apache-2.0
// What is particular to the Ascend backend: what it says when CANN is not all there, which programs
// it takes, how it counts cores, that it is sparing with CANN's calls and never touches device
// memory, and what it can still say of a device that died.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/ascend/standin.h"

static const struct cts_backend backend = {.name = "ascend"};
static struct standin standin;
static char home[400]; // of the variant under test

// init() with this toolkit's folder fails with this status, and says each of the texts.
static void assert_toolkit_refused(const char *folder, const char *first, const char *second)
{
    struct pto_config config = cts_config(&backend, 3);
    struct pto_runner *runner = NULL;
    setenv("ASCEND_HOME_PATH", folder, 1);
    CTS_OK(pto_runner_create(&runner, &cts_error));
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_BACKEND, first);
    if (strstr(cts_error.message, second) == NULL) {
        fail_msg("expected \"%s\" in: %s", second, cts_error.message);
    }
    pto_runner_destroy(runner);
    setenv("ASCEND_HOME_PATH", home, 1);
}

static void run_command(const char *format, const char *first, const char *second)
{
    char command[1000];
    snprintf(command, sizeof(command), format, first, second);
    assert_int_equal(system(command), 0);
}

// The first case: once CANN is loaded, it stays.
static void parts_are_missing(void **state)
{
    (void)state;
    char folder[] = "/tmp/pto_ascend_XXXXXX";
    char inside[64];
    assert_non_null(mkdtemp(folder));
    assert_toolkit_refused(folder, "driver is not installed", "libascend_hal.so");
    snprintf(inside, sizeof(inside), "%s/a", folder);
    run_command("mkdir -p %s/lib64; %s", inside, "true");
    char at_top[80];
    snprintf(at_top, sizeof(at_top), "%s/driver", folder);
    run_command("ln -s %s/../../driver %s", home, at_top);
    assert_toolkit_refused(inside, "libascendcl.so cannot be loaded", "set_env.sh");
    assert_non_null(strstr(cts_error.message, inside));
    // There, but not what it should be.
    run_command("cp %s/../../driver/lib64/driver/libascend_hal.so %s/lib64/libascendcl.so", home,
                inside);
    assert_toolkit_refused(inside, "has no function aclInit", "8.1");
    run_command("rm %s/lib64/libascendcl.so; echo text > %s/lib64/libascendcl.so", inside, inside);
    assert_toolkit_refused(inside, "libascendcl.so cannot be loaded", "file too short");
    run_command("rm -rf %s; %s", folder, "true");
}

// A program for the simulator, and one for a device, are told apart by their ELF headers.
static void simulators_programs(void **state)
{
    (void)state;
    struct pto_runner *runner = NULL;
    struct pto_config config = cts_config(&backend, 3);
    CTS_OK(pto_runner_create(&runner, &cts_error));
    config.aicpu_so_path = PTO_TEST_AICPU_PROGRAM;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_PROGRAM, "aarch64");
    config = cts_config(&backend, 3);
    config.aicore_kernel_path = PTO_TEST_AICORE_PROGRAM;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_PROGRAM, "AICore");
    config = cts_config(&backend, 3);
    config.backend = "sim";
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_PROGRAM, "aarch64");
    pto_runner_destroy(runner);
}

static void cores_are_counted(void **state)
{
    (void)state;
    setenv("FAKE_CANN_CUBES", "24", 1);
    struct pto_runner *runner = NULL;
    struct pto_config config = cts_config(&backend, 73);
    CTS_OK(pto_runner_create(&runner, &cts_error));
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_RANGE, "at most 72");
    static const int64_t good[] = {1, 2, 3, 4, 71, 72};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        config.core_count = good[i];
        CTS_OK(pto_runner_init(runner, &config, &cts_error));
        struct cts_42 work;
        cts_42_make(&work, runner, 10);
        cts_run_graph(runner, work.graph);
        cts_42_check(&work, runner, 42.0f);
        struct pto_core_result cores[72];
        size_t count = 0;
        CTS_OK(pto_runner_handshake_results(runner, cores, 72, &count, &cts_error));
        for (size_t core = 0; core < count; core++) {
            // One cube core for two vector cores, cube cores first.
            assert_int_equal(cores[core].core_type, core < (count + 2) / 3 ? 1 : 2);
        }
        pto_graph_destroy(work.graph);
        CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    }
    pto_runner_destroy(runner);
    setenv("FAKE_CANN_CUBES", "400", 1);
    standin_assert_clean(&standin);
}

static void keep_warning(void *context, enum pto_log_level level, const char *message)
{
    if (level == PTO_LOG_WARNING) {
        snprintf(context, 600, "%s", message);
    }
}

// No more scheduler threads than there are AICPUs, and few if CANN's count cannot be.
static void aicpus_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *count;
        uint64_t thread_count;
        const char *warning;
    } cases[] = {{"1", 1, ""},
                 {"6", 6, ""},
                 {"0", 4, ""},
                 {"8", 4, "more than any chip's usable AICPUs (8)"},
                 {"4294967295", 4, "(4294967295)"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) && !standin_is("noaicpu"); i++) {
        char warning[600] = "";
        struct pto_config config = cts_config(&backend, 24);
        config.log = keep_warning;
        config.log_context = warning;
        setenv("FAKE_CANN_AICPUS", cases[i].count, 1);
        struct pto_runner *runner = cts_open_config(&config);
        struct pto_run_options options = cts_options(16);
        struct cts_42 work;
        cts_42_make(&work, runner, 10);
        standin.inject(FAKE_CANN_NONE, 0, 0);
        CTS_OK(pto_runner_run(runner, work.graph, &options, &cts_error));
        assert_int_equal(standin_stats(&standin).aicpu_blocks, cases[i].thread_count);
        assert_true(strstr(warning, cases[i].warning) != NULL &&
                    (*warning == '\0') == (*cases[i].warning == '\0'));
        pto_graph_destroy(work.graph);
        cts_close(runner);
    }
    unsetenv("FAKE_CANN_AICPUS");
}

static void bad_settings(void **state)
{
    (void)state;
    static const char *const launches[] = {"x", "json+", "json+x", "rt+rt+rt", "+rt", "JSON"};
    static const char *const limits[] = {"0", "-1", "x", "1s", "70000", "99999999999999999999"};
    struct pto_runner *runner = NULL;
    struct pto_config config = cts_config(&backend, 3);
    CTS_OK(pto_runner_create(&runner, &cts_error));
    for (size_t i = 0; i < 6; i++) {
        setenv("PTO_ASCEND_LAUNCH", launches[i], 1);
        CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_RANGE, "PTO_ASCEND_LAUNCH");
        unsetenv("PTO_ASCEND_LAUNCH");
        setenv("PTO_ASCEND_RUN_LIMIT_S", limits[i], 1);
        CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_RANGE, "RUN_LIMIT_S");
        unsetenv("PTO_ASCEND_RUN_LIMIT_S");
    }
    const char *missing = standin_is("v81") ? "json" : standin_is("acl") ? "json+rt" : NULL;
    if (missing != NULL) {
        setenv("PTO_ASCEND_LAUNCH", missing, 1);
        CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_BACKEND, "lacks");
        unsetenv("PTO_ASCEND_LAUNCH");
    }
    config.device_id = 15;
    CTS_OK(pto_runner_init(runner, &config, &cts_error));
    pto_runner_destroy(runner);
    standin_assert_clean(&standin);
}

// CANN loads one scheduler for each process and device; another would be ignored.
static void another_scheduler(void **state)
{
    (void)state;
    char path[] = "/tmp/pto_ascend_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct pto_config config = cts_config(&backend, 3);
    struct pto_runner *runner = cts_open_config(&config);
    run_command("cp %s %s", config.aicpu_so_path, path);
    CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    config.aicpu_so_path = path;
    CTS_OK(pto_runner_init(runner, &config, &cts_error)); // the same bytes
    CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    run_command("echo >> %s; %s", path, "true");
    if (!standin_is("noaicpu")) {
        CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_PROGRAM, "new process");
        config.device_id = 10; // which has had none
        CTS_OK(pto_runner_init(runner, &config, &cts_error));
        CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    }
    pto_runner_destroy(runner);
    remove(path);
    standin_assert_clean(&standin);
}

// A kernel.o is registered once; small blocks cost no call; an unchanged graph uploads the launch
// block only.
static void calls_are_few(void **state)
{
    (void)state;
    struct pto_runner *runner = cts_open(&backend, 6);
    struct cts_42 work;
    cts_42_make(&work, runner, 100);
    cts_run_graph(runner, work.graph);
    uint64_t binaries = standin_stats(&standin).binaries;
    uint64_t blocks = standin_stats(&standin).device_blocks;
    standin.inject(FAKE_CANN_NONE, 0, 0);
    for (int i = 0; i < 10; i++) {
        cts_run_graph(runner, work.graph);
    }
    struct fake_cann_stats stats = standin_stats(&standin);
    assert_true(stats.binaries == binaries);
    if (!standin_is("noaicpu")) {
        assert_true(stats.jobs == 10 * 4); // block up, cores, scheduler, report back
    }
    uint64_t pointers[500];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 500; i++) {
            pointers[i] = cts_allocate(runner, 1 + i * 8);
        }
        for (size_t i = 0; i < 500; i++) {
            CTS_OK(pto_runner_free(runner, pointers[i], &cts_error));
        }
    }
    assert_true(standin_stats(&standin).device_blocks <= blocks + 2);
    pto_graph_destroy(work.graph);
    cts_close(runner);
    standin_assert_clean(&standin);
}

// The host cannot reach device memory, and neither does the library: it would have crashed.
static void device_pointers_are_not_the_hosts(void **state)
{
    (void)state;
    struct pto_runner *runner = cts_open(&backend, 3);
    uint64_t pointer = cts_allocate_zero(runner, 64);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(*(const char *)(uintptr_t)pointer);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0); // a sanitizer exits with a report
    cts_close(runner);
}

// Every size around the steps of the pool and of the copies.
static void sizes(void **state)
{
    (void)state;
    static const uint64_t around[] = {32,     64,     256,    320,     4096,    65536,
                                      524224, 524288, 655360, 1048576, 2097152, 3145728};
    struct pto_runner *runner = cts_open(&backend, 3);
    uint64_t live[36];
    size_t count = 0;
    for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
        for (uint64_t size = around[i] - 1; size <= around[i] + 1; size++) {
            uint8_t *host = malloc(size);
            uint8_t *seen = malloc(size);
            assert_true(host != NULL && seen != NULL);
            memset(host, (int)(size % 251), size);
            live[count] = cts_allocate(runner, size);
            cts_write(runner, live[count], host, size);
            cts_read(runner, seen, live[count], size);
            assert_memory_equal(seen, host, size);
            count++;
            free(host);
            free(seen);
        }
    }
    // No two overlap, nor share a line.
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = 0;
        uint64_t size = around[i / 3] - 1 + i % 3;
        cts_read(runner, &byte, live[i] + size - 1, 1);
        assert_int_equal(byte, size % 251);
    }
    CTS_FAILS(pto_runner_allocate(runner, UINT64_C(1) << 40, &live[0], &cts_error), PTO_E_NO_MEMORY,
              "are free");
    assert_int_equal(cts_error.vendor_code, 207001);
    CTS_FAILS(pto_runner_allocate(runner, UINT64_MAX, &live[0], &cts_error), PTO_E_NO_MEMORY, "");
    cts_close(runner);
    standin_assert_clean(&standin);
}

// Reports of dead devices differ in whether their memory can still be read.
static void dead_and_mute(void **state)
{
    (void)state;
    struct pto_config config = cts_test_config(&backend, 3);
    struct pto_runner *runner = cts_open_config(&config);
    const uint64_t kind = 0;
    for (int mute = 0; mute < 2; mute++) {
        struct pto_graph *graph = cts_graph();
        cts_add(graph, CTS_CRASH, &kind, 1);
        standin.dead_reads(mute);
        CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_FAULT,
                  mute ? "could not be found out" : "'crash'");
        assert_int_equal(cts_error.vendor_code, 507015);
        assert_non_null(strstr(cts_error.message, "AICORE_EXCEPTION"));
        struct pto_core_result cores[3];
        size_t count;
        enum pto_status status = pto_runner_handshake_results(runner, cores, 3, &count, &cts_error);
        assert_int_equal(status, mute ? PTO_E_DEVICE : PTO_OK);
        standin.dead_reads(0);
        pto_graph_destroy(graph);
        CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
        CTS_OK(pto_runner_init(runner, &config, &cts_error));
    }
    cts_close(runner);
    standin_assert_clean(&standin);
}

// Codes that have no name in our table are of a family at least.
static void unnamed_codes(void **state)
{
    (void)state;
    static const struct {
        int32_t code;
        const char *text;
    } cases[] = {{107099, "107099 (a code of wrong use"},
                 {107030, "107030 (a code of graph capture"},
                 {207099, "207099 (a code of missing resources"},
                 {507999, "507999 (a code of the device"},
                 {-7, "-7 (UNKNOWN"},
                 {999999, "999999 (UNKNOWN"}};
    struct pto_runner *runner = NULL;
    struct pto_config config = cts_config(&backend, 3);
    CTS_OK(pto_runner_create(&runner, &cts_error));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        standin.inject(FAKE_CANN_FAIL, 1, cases[i].code);
        CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_DEVICE, cases[i].text);
        assert_int_equal(cts_error.vendor_code, cases[i].code);
    }
    standin.inject(FAKE_CANN_NONE, 0, 0);
    pto_runner_destroy(runner);
    standin_assert_clean(&standin);
}

static int stop_at_third_poll(void *context)
{
    return ++*(int *)context >= 3;
}

// A call of CANN that does not return fails its operation, which names it, and the runner; sooner
// when the caller wants to end. The thread that made it goes on when the device is in use again.
static void a_call_hangs(void **state)
{
    (void)state;
    setenv("PTO_ASCEND_CALL_LIMIT_MS", "1000", 1);
    struct pto_config config = cts_config(&backend, 3);
    struct pto_runner *runner = cts_open_config(&config);
    struct cts_42 work;
    uint64_t pointer = cts_allocate(runner, 1u << 20); // by the same thread as the next
    int poll_count = 0;
    struct pto_run_options options = cts_options(1);
    options.poll = stop_at_third_poll;
    options.poll_context = &poll_count;
    cts_42_make(&work, runner, 100);
    cts_run_graph(runner, work.graph);
    for (int is_run = 0; is_run < 2; is_run++) {
        standin.inject(FAKE_CANN_STALL, 1, 0);
        if (is_run) {
            CTS_FAILS(pto_runner_run(runner, work.graph, &options, &cts_error), PTO_E_TIMEOUT,
                      "run: CANN's aclrtMemcpyAsync did not return within 0.25 s");
            assert_int_equal(poll_count, 3);
        } else {
            CTS_FAILS(pto_runner_allocate(runner, 8u << 20, &pointer, &cts_error), PTO_E_TIMEOUT,
                      "allocating device memory: CANN's aclrtMalloc did not return within 1 s");
            assert_true(pointer == 0);
        }
        CTS_FAILS(pto_runner_run(runner, work.graph, NULL, &cts_error), PTO_E_FAILED,
                  is_run ? "aclrtMemcpyAsync" : "aclrtMalloc");
        struct pto_core_result cores[3];
        size_t count;
        enum pto_status lines = pto_runner_handshake_results(runner, cores, 3, &count, NULL);
        assert_int_equal(lines, is_run ? PTO_E_TIMEOUT : PTO_OK);
        pto_graph_destroy(work.graph);
        CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
        CTS_OK(pto_runner_init(runner, &config, &cts_error));
        standin.inject(FAKE_CANN_NONE, 0, 0);
        cts_42_make(&work, runner, 100);
        cts_run_graph(runner, work.graph);
        cts_42_check(&work, runner, 42.0f);
    }
    unsetenv("PTO_ASCEND_CALL_LIMIT_MS");
    pto_graph_destroy(work.graph);
    cts_close(runner);
}

// CANN ends an AICPU program after 28 or 60 s unless a launch says otherwise, and a run may take
// longer. The stand-in's clock goes a hundred times faster, so its 60 s are over in the run.
static void longer_than_canns_default(void **state)
{
    (void)state;
    if (standin_is("noaicpu")) {
        skip();
    }
    struct pto_config config = cts_test_config(&backend, 3);
    struct pto_runner *runner = cts_open_config(&config);
    struct pto_graph *graph = cts_graph();
    for (uint32_t i = 0; i < 2; i++) {
        (void)cts_add1(graph, CTS_SLEEP, 400 * CTS_MS);
    }
    cts_edge(graph, 0, 1);
    setenv("FAKE_CANN_CLOCK", "100", 1);
    CTS_OK(pto_runner_run(runner, graph, NULL, &cts_error));
    standin.drop_limits(1);
    CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_TIMEOUT, "run limit");
    assert_int_equal(cts_error.vendor_code, 507017);
    standin.drop_limits(0);
    unsetenv("FAKE_CANN_CLOCK");
    pto_graph_destroy(graph);
    cts_close(runner);
    standin_assert_clean(&standin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_missing),
        cmocka_unit_test(simulators_programs),
        cmocka_unit_test(cores_are_counted),
        cmocka_unit_test(aicpus_are_counted),
        cmocka_unit_test(bad_settings),
        cmocka_unit_test(another_scheduler),
        cmocka_unit_test(calls_are_few),
        cmocka_unit_test(device_pointers_are_not_the_hosts),
        cmocka_unit_test(sizes),
        cmocka_unit_test(dead_and_mute),
        cmocka_unit_test(longer_than_canns_default),
        cmocka_unit_test(unnamed_codes),
        cmocka_unit_test(a_call_hangs), // the last: it leaves pinned memory behind
    };
    standin = standin_open();
    snprintf(home, sizeof(home), "%s", getenv("ASCEND_HOME_PATH"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
