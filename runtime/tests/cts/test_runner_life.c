// SPDX-License-Identifier: Apache-2.0
// A runner's life: closed, ready, closed again; what each call says in the wrong state; what init
// refuses, and that it leaves nothing behind.
#include <signal.h>
#include <stdbool.h>

#include "tests/cts/cts.h"

// Every call that needs an open device, on one that is not.
static void assert_closed(struct pto_runner *runner)
{
    uint64_t pointer = 77;
    uint64_t freed = 77;
    size_t count = 77;
    char byte = 0;
    struct pto_core_result core;
    struct pto_graph *graph = cts_graph();
    cts_add(graph, CTS_NOP, NULL, 0);
    CTS_FAILS(pto_runner_allocate(runner, 64, &pointer, &cts_error), PTO_E_STATE, "init()");
    assert_true(pointer == 0);
    CTS_FAILS(pto_runner_free(runner, 64, &cts_error), PTO_E_STATE, "init()");
    CTS_FAILS(pto_runner_copy_to_device(runner, 64, &byte, 1, &cts_error), PTO_E_STATE, "init()");
    CTS_FAILS(pto_runner_copy_from_device(runner, &byte, 64, 1, &cts_error), PTO_E_STATE, "init()");
    CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_STATE, "init()");
    CTS_FAILS(pto_runner_handshake_results(runner, &core, 1, &count, &cts_error), PTO_E_STATE,
              "init()");
    assert_true(count == 0);
    CTS_OK(pto_runner_finalize(runner, &freed, &cts_error));
    assert_true(freed == 0);
    struct pto_runner_info info = cts_info(runner);
    assert_int_equal(info.state, PTO_RUNNER_CLOSED);
    assert_true(info.device_id == -1 && info.core_count == 0);
    assert_string_equal(info.backend, "");
    assert_true(info.block_count == 0 && info.block_bytes == 0);
    assert_true(info.run_count == 0 && info.upload_bytes == 0);
    pto_graph_destroy(graph);
}

static void use_before_init(const struct cts_backend *backend)
{
    (void)backend;
    struct pto_runner *runner = NULL;
    CTS_OK(pto_runner_create(&runner, &cts_error));
    assert_closed(runner);
    pto_runner_destroy(runner);
    pto_runner_destroy(NULL);
}

static void use_after_finalize(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 3);
    CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    assert_closed(runner);
    cts_destroy(runner);
}

static void init_twice(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 3);
    struct pto_config config = cts_config(backend, 5);
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_STATE, "finalize()");
    assert_int_equal(cts_info(runner).core_count, 3);
    struct cts_42 work;
    cts_42_make(&work, runner, 100);
    cts_run_graph(runner, work.graph);
    cts_42_check(&work, runner, 42.0f);
    pto_graph_destroy(work.graph);
    cts_close(runner);
}

static void finalize_twice_and_again(const struct cts_backend *backend)
{
    struct pto_config config = cts_config(backend, 2);
    struct pto_runner *runner = NULL;
    CTS_OK(pto_runner_create(&runner, &cts_error));
    for (int i = 0; i < 20; i++) {
        uint64_t freed = 77;
        struct cts_42 work;
        CTS_OK(pto_runner_init(runner, &config, &cts_error));
        cts_42_make(&work, runner, 64);
        cts_run_graph(runner, work.graph);
        cts_42_check(&work, runner, 42.0f);
        assert_true(cts_info(runner).run_count == 1);
        CTS_OK(pto_runner_finalize(runner, &freed, &cts_error));
        assert_true(freed == 6); // the graph's own copy is not among them
        CTS_OK(pto_runner_finalize(runner, &freed, &cts_error));
        assert_true(freed == 0);
        pto_graph_destroy(work.graph);
    }
    pto_runner_destroy(runner);
}

static void freed_blocks_are_counted(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 1);
    uint64_t pointers[5];
    for (uint64_t i = 0; i < 5; i++) {
        pointers[i] = cts_allocate(runner, 100 + i);
    }
    assert_true(cts_info(runner).block_count == 5 && cts_info(runner).block_bytes == 510);
    CTS_OK(pto_runner_free(runner, pointers[1], &cts_error));
    CTS_OK(pto_runner_free(runner, pointers[4], &cts_error));
    assert_true(cts_info(runner).block_count == 3 && cts_info(runner).block_bytes == 305);
    uint64_t freed = 0;
    CTS_OK(pto_runner_finalize(runner, &freed, &cts_error));
    assert_true(freed == 3);
    cts_destroy(runner);
}

// A pointer of the life before must not pass in the next one, unless memory was given out anew.
static void pointers_end_with_the_device(const struct cts_backend *backend)
{
    struct pto_config config = cts_config(backend, 1);
    struct pto_runner *runner = cts_open_config(&config);
    uint64_t pointer = cts_allocate(runner, 1000);
    char byte = 1;
    CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    CTS_OK(pto_runner_init(runner, &config, &cts_error));
    CTS_FAILS(pto_runner_copy_to_device(runner, pointer, &byte, 1, &cts_error), PTO_E_POINTER,
              "unknown");
    CTS_FAILS(pto_runner_free(runner, pointer, &cts_error), PTO_E_POINTER, "unknown");
    cts_close(runner);
}

static void destroy_closes(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 3);
    struct cts_42 work;
    cts_42_make(&work, runner, 1000);
    cts_run_graph(runner, work.graph);
    cts_destroy(runner); // with blocks and a graph's copy; leak checkers watch
    pto_graph_destroy(work.graph);
}

static void failed_init_can_be_retried(const struct cts_backend *backend)
{
    struct pto_runner *runner = NULL;
    CTS_OK(pto_runner_create(&runner, &cts_error));
    struct pto_config good = cts_config(backend, 3);
    struct pto_config config = good;
    CTS_FAILS(pto_runner_init(runner, NULL, &cts_error), PTO_E_ARGUMENT, "config");
    config.size = 8;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_ARGUMENT, "size");

    static const int64_t bad_cores[] = {0, -1, 1025, INT64_MAX, INT64_MIN, INT64_C(1) << 32};
    for (size_t i = 0; i < sizeof(bad_cores) / sizeof(bad_cores[0]); i++) {
        config = good;
        config.core_count = bad_cores[i];
        CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_RANGE, "num_cores");
    }
    static const int64_t bad_devices[] = {-1, 16, INT64_MAX, INT64_MIN, INT64_C(1) << 32};
    for (size_t i = 0; i < sizeof(bad_devices) / sizeof(bad_devices[0]); i++) {
        config = good;
        config.device_id = bad_devices[i];
        CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_RANGE, "0 to 15");
    }
    config = good;
    config.backend = "abacus";
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_BACKEND, "'abacus'");
    config = good;
    config.aicpu_so_path = NULL;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_ARGUMENT, "aicpu_so_path");
    config = good;
    config.aicore_kernel_path = NULL;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_ARGUMENT, "aicore_kernel_path");
    config = good;
    config.aicore_kernel_path = "/there/is/no/such/file";
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_FILE, "/there/is/no/such/file");
    config = good;
    config.timeout_ns = 1;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_RANGE, "timeout");
    config.timeout_ns = UINT64_MAX;
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_RANGE, "timeout");
    assert_closed(runner);

    CTS_OK(pto_runner_init(runner, &good, &cts_error));
    assert_int_equal(cts_info(runner).state, PTO_RUNNER_READY);
    cts_close(runner);
}

static void environment_is_checked(const struct cts_backend *backend)
{
    static const char *const bad[] = {"0", "-5", "abc", "10x", "99999999999999999999", " "};
    struct pto_runner *runner = NULL;
    CTS_OK(pto_runner_create(&runner, &cts_error));
    struct pto_config config = cts_config(backend, 3);
    config.timeout_ns = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("PTO_TIMEOUT_MS", bad[i], 1);
        CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_RANGE, "PTO_TIMEOUT_MS");
    }
    setenv("PTO_TIMEOUT_MS", "5000", 1);
    CTS_OK(pto_runner_init(runner, &config, &cts_error));
    CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    unsetenv("PTO_TIMEOUT_MS");

    config.backend = NULL;
    setenv("PTO_BACKEND", "abacus", 1);
    CTS_FAILS(pto_runner_init(runner, &config, &cts_error), PTO_E_BACKEND, "PTO_BACKEND");
    setenv("PTO_BACKEND", backend->name, 1);
    CTS_OK(pto_runner_init(runner, &config, &cts_error));
    assert_string_equal(cts_info(runner).backend, backend->name);
    unsetenv("PTO_BACKEND");
    cts_close(runner);
}

static void bounds_of_init(const struct cts_backend *backend)
{
    static const int64_t cores[] = {1, 2, 63, 64, 65, 72, 1024};
    for (size_t i = 0; i < sizeof(cores) / sizeof(cores[0]); i++) {
        struct pto_config config = cts_config(backend, cores[i]);
        config.device_id = i % 2 == 0 ? 0 : PTO_DEVICE_ID_MAX;
        struct pto_runner *runner = cts_open_config(&config);
        struct pto_runner_info info = cts_info(runner);
        assert_int_equal(info.state, PTO_RUNNER_READY);
        assert_int_equal(info.device_id, config.device_id);
        assert_int_equal(info.core_count, cores[i]);
        assert_string_equal(info.backend, backend->name);
        struct cts_42 work;
        cts_42_make(&work, runner, 16);
        cts_run_graph(runner, work.graph);
        cts_42_check(&work, runner, 42.0f);
        pto_graph_destroy(work.graph);
        cts_close(runner);
    }
}

static void two_runners(const struct cts_backend *backend)
{
    struct pto_runner *first = cts_open(backend, 3);
    struct pto_runner *second = cts_open(backend, 8);
    struct cts_42 first_work;
    struct cts_42 second_work;
    cts_42_make(&first_work, first, 100);
    cts_42_make(&second_work, second, 200);
    CTS_FAILS(pto_runner_run(second, first_work.graph, NULL, &cts_error), PTO_E_POINTER, "task 0");
    CTS_FAILS(pto_runner_free(second, first_work.blocks[0], &cts_error), PTO_E_POINTER, "0x");
    cts_run_graph(first, first_work.graph);
    cts_run_graph(second, second_work.graph);
    cts_42_check(&first_work, first, 42.0f);
    cts_close(first);
    cts_run_graph(second, second_work.graph);
    cts_42_check(&second_work, second, 42.0f);
    cts_close(second);
    pto_graph_destroy(first_work.graph);
    pto_graph_destroy(second_work.graph);
}

// One graph, run by two devices in turn, keeps a copy on each.
static void one_graph_on_two_runners(const struct cts_backend *backend)
{
    struct pto_runner *first = cts_open_test(backend, 3);
    struct pto_runner *second = cts_open_test(backend, 8);
    struct pto_graph *graph = cts_graph();
    cts_edge(graph, cts_add(graph, CTS_NOP, NULL, 0), cts_add(graph, CTS_NOP, NULL, 0));
    for (int i = 0; i < 3; i++) {
        cts_run_graph(first, graph);
        cts_run_graph(second, graph);
    }
    uint64_t uploaded = cts_info(first).upload_bytes;
    assert_true(uploaded != 0 && uploaded == cts_info(second).upload_bytes);
    cts_run_graph(first, graph);
    cts_run_graph(second, graph);
    assert_true(uploaded == cts_info(first).upload_bytes);
    pto_graph_destroy(graph);
    cts_close(first);
    cts_close(second);
}

static void check_cores(struct pto_runner *runner, size_t core_count, uint32_t tasks)
{
    struct pto_core_result cores[8];
    size_t count = 0;
    CTS_OK(pto_runner_handshake_results(runner, NULL, 0, &count, &cts_error));
    assert_true(count == core_count);
    memset(cores, 0xee, sizeof(cores));
    CTS_OK(pto_runner_handshake_results(runner, cores, 8, &count, &cts_error));
    assert_true(count == core_count);
    uint32_t completed = 0;
    for (uint32_t i = 0; i < core_count; i++) {
        assert_int_equal(cores[i].core, i);
        assert_true(cores[i].queued == cores[i].completed);
        assert_int_equal(cores[i].fail_code, 0);
        assert_int_equal(cores[i].state, tasks == 0 ? 0 : 2);
        assert_true((cores[i].completed == 0) == (cores[i].last_task == UINT32_MAX));
        completed += cores[i].completed;
    }
    assert_int_equal(completed, tasks);
}

static void handshake_results(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 5);
    struct cts_42 work;
    struct pto_core_result two[2];
    size_t count = 0;
    check_cores(runner, 5, 0);
    cts_42_make(&work, runner, 10);
    cts_run_graph(runner, work.graph);
    check_cores(runner, 5, 4);
    memset(two, 0xee, sizeof(two));
    CTS_OK(pto_runner_handshake_results(runner, two, 1, &count, &cts_error));
    assert_true(count == 5 && two[1].core == 0xeeeeeeee);
    CTS_FAILS(pto_runner_handshake_results(runner, two, 1, NULL, &cts_error), PTO_E_ARGUMENT,
              "NULL");
    CTS_FAILS(pto_runner_handshake_results(runner, NULL, 1, &count, &cts_error), PTO_E_ARGUMENT,
              "NULL");
    pto_graph_destroy(work.graph);
    cts_close(runner);
}

static void null_arguments(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 1);
    CTS_FAILS(pto_runner_create(NULL, &cts_error), PTO_E_ARGUMENT, "NULL");
    CTS_FAILS(pto_runner_run(runner, NULL, NULL, &cts_error), PTO_E_ARGUMENT, "NULL");
    CTS_FAILS(pto_runner_run(NULL, NULL, NULL, &cts_error), PTO_E_ARGUMENT, "NULL");
    CTS_FAILS(pto_runner_allocate(runner, 1, NULL, &cts_error), PTO_E_ARGUMENT, "NULL");
    CTS_FAILS(pto_runner_finalize(NULL, NULL, &cts_error), PTO_E_ARGUMENT, "NULL");
    assert_int_equal(pto_runner_run(runner, NULL, NULL, NULL), PTO_E_ARGUMENT);
    struct pto_runner_info info = cts_info(NULL);
    assert_int_equal(info.state, PTO_RUNNER_CLOSED);
    cts_close(runner);
}

static bool same_handler(int number, const struct sigaction *before)
{
    struct sigaction now;
    sigaction(number, NULL, &now);
    return now.sa_sigaction == before->sa_sigaction && now.sa_flags == before->sa_flags;
}

// What the library sets up in the process, it takes back.
static void signal_handlers_are_given_back(const struct cts_backend *backend)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGINT, SIGTERM, SIGPIPE};
    struct sigaction before[7];
    for (size_t i = 0; i < 7; i++) {
        sigaction(numbers[i], NULL, &before[i]);
    }
    struct pto_runner *first = cts_open(backend, 3);
    struct pto_runner *second = cts_open(backend, 3);
    for (size_t i = 4; i < 7; i++) {
        assert_true(same_handler(numbers[i], &before[i]));
    }
    cts_close(first);
    cts_close(second);
    for (size_t i = 0; i < 7; i++) {
        assert_true(same_handler(numbers[i], &before[i]));
    }
}

static void count_message(void *context, enum pto_log_level level, const char *message)
{
    (void)level;
    assert_non_null(strstr(message, "/"));
    ++*(int *)context;
}

static void log_names_the_files(const struct cts_backend *backend)
{
    int count = 0;
    struct pto_config config = cts_config(backend, 1);
    config.log = count_message;
    config.log_context = &count;
    struct pto_runner *runner = cts_open_config(&config);
    assert_true(count >= 2);
    cts_close(runner);
}

static const struct cts_case cases[] = {
    CTS_CASE(use_before_init),
    CTS_CASE(use_after_finalize),
    CTS_CASE(init_twice),
    CTS_CASE(finalize_twice_and_again),
    CTS_CASE(freed_blocks_are_counted),
    CTS_CASE(pointers_end_with_the_device),
    CTS_CASE(destroy_closes),
    CTS_CASE(failed_init_can_be_retried),
    CTS_CASE(environment_is_checked),
    CTS_CASE(bounds_of_init),
    CTS_CASE(two_runners),
    CTS_CASE(one_graph_on_two_runners),
    CTS_CASE(handshake_results),
    CTS_CASE(null_arguments),
    CTS_CASE(signal_handlers_are_given_back),
    CTS_CASE(log_names_the_files),
};

CTS_MAIN(cases)
