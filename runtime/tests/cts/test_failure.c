// SPDX-License-Identifier: Apache-2.0
// What goes wrong in a run: tasks that fail, crash and hang, runs that are stopped; and what holds
// afterwards. Calls at the wrong time from other threads are in test_threads.c.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "tests/cts/cts.h"

#define SHORT_TIMEOUT_NS (300 * CTS_MS)

static uint64_t add_trace(struct pto_runner *runner, struct pto_graph *graph, uint64_t ticket)
{
    uint64_t out = cts_allocate_zero(runner, 4);
    const uint64_t args[3] = {ticket, out, 1};
    cts_add(graph, CTS_TRACE, args, 3);
    return out;
}

static void task_returns_an_error(const struct cts_backend *backend)
{
    static const int32_t codes[] = {1, -1, 7, INT32_MAX, INT32_MIN};
    for (int64_t cores = 1; cores <= 9; cores += 4) {
        struct pto_runner *runner = cts_open_test(backend, cores);
        struct pto_graph *graph = cts_graph();
        uint64_t ticket = cts_allocate_zero(runner, 4);
        uint64_t before = add_trace(runner, graph, ticket);
        uint32_t failing = cts_add1(graph, CTS_FAIL, 0);
        uint64_t behind = add_trace(runner, graph, ticket);
        uint64_t far_behind = add_trace(runner, graph, ticket);
        cts_edge(graph, 0, failing);
        cts_edge(graph, failing, 2);
        cts_edge(graph, 2, 3);
        cts_run_graph(runner, graph);
        uint32_t runs_before = 1;
        for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++, runs_before++) {
            uint64_t code = (uint32_t)codes[i];
            struct pto_run_options options = cts_options(1 + (int64_t)i % 3);
            CTS_OK(pto_graph_set_args(graph, failing, &code, 1, &cts_error));
            CTS_FAILS(pto_runner_run(runner, graph, &options, &cts_error), PTO_E_TASK, "'fail'");
            assert_int_equal(cts_error.task, failing);
            assert_int_equal(cts_error.func_id, CTS_FAIL);
            assert_string_equal(cts_error.kernel, "fail");
            assert_int_equal(cts_error.task_code, codes[i]);
            assert_true(cts_error.core < cores);
            assert_int_equal(cts_info(runner).state, PTO_RUNNER_READY);
            // One trace ran in each failed run, three in the good one.
            assert_int_equal(cts_read_word(runner, ticket), 3 + runs_before);
            assert_int_equal(cts_read_word(runner, before), 3 + runs_before);
            assert_int_equal(cts_read_word(runner, behind), 2);
            assert_int_equal(cts_read_word(runner, far_behind), 3);
        }
        uint64_t good = 0;
        CTS_OK(pto_graph_set_args(graph, failing, &good, 1, &cts_error));
        for (uint32_t i = 0; i < 3; i++) {
            cts_run_graph(runner, graph);
        }
        assert_int_equal(cts_read_word(runner, ticket), 3 + 5 + 9);
        pto_graph_destroy(graph);
        cts_close(runner);
    }
}

// One of many tasks fails, wherever it stands; the error names it and no other.
static void one_of_many_fails(const struct cts_backend *backend)
{
    enum { TASK_COUNT = 600, EDGE_COUNT = 1500 };
    uint64_t random = test_seed();
    printf("seed %" PRIu64 "\n", random);
    setenv("PTO_SIM_LANES", "3", 1);
    struct pto_runner *runner = cts_open_test(backend, 20);
    struct pto_graph *graph = cts_graph();
    for (uint32_t i = 0; i < TASK_COUNT; i++) {
        cts_add1(graph, CTS_FAIL, 0);
    }
    for (uint32_t i = 0; i < EDGE_COUNT; i++) {
        uint32_t from = test_below(&random, TASK_COUNT - 1);
        cts_edge(graph, from, from + 1 + test_below(&random, TASK_COUNT - 1 - from));
    }
    for (uint64_t i = test_cases(200); i != 0; i--) {
        struct pto_run_options options = cts_options(1 + test_below(&random, 4));
        uint32_t failing = test_below(&random, TASK_COUNT);
        uint64_t code = 1 + test_below(&random, 1000);
        CTS_OK(pto_graph_set_args(graph, failing, &code, 1, &cts_error));
        CTS_FAILS(pto_runner_run(runner, graph, &options, &cts_error), PTO_E_TASK, "returned");
        assert_int_equal(cts_error.task, failing);
        assert_int_equal(cts_error.task_code, code);
        code = 0;
        CTS_OK(pto_graph_set_args(graph, failing, &code, 1, &cts_error));
        CTS_OK(pto_runner_run(runner, graph, &options, &cts_error));
    }
    unsetenv("PTO_SIM_LANES");
    pto_graph_destroy(graph);
    cts_close(runner);
}

// Every call on a runner whose device failed, and the way back.
static void assert_failed_and_recover(struct pto_runner *runner, const struct pto_config *config)
{
    uint64_t pointer = 77;
    size_t count = 0;
    char byte = 0;
    struct pto_core_result cores[64];
    struct pto_graph *graph = cts_graph();
    cts_add(graph, CTS_NOP, NULL, 0);
    assert_int_equal(cts_info(runner).state, PTO_RUNNER_FAILED);
    CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_FAILED, "finalize()");
    CTS_FAILS(pto_runner_allocate(runner, 8, &pointer, &cts_error), PTO_E_FAILED, "finalize()");
    assert_true(pointer == 0);
    CTS_FAILS(pto_runner_free(runner, 64, &cts_error), PTO_E_FAILED, "finalize()");
    CTS_FAILS(pto_runner_copy_to_device(runner, 64, &byte, 1, &cts_error), PTO_E_FAILED,
              "finalize()");
    CTS_FAILS(pto_runner_copy_from_device(runner, &byte, 64, 1, &cts_error), PTO_E_FAILED,
              "finalize()");
    CTS_FAILS(pto_runner_init(runner, config, &cts_error), PTO_E_STATE, "finalize()");
    CTS_OK(pto_runner_handshake_results(runner, cores, 64, &count, &cts_error));
    assert_int_equal(count, config->core_count);
    CTS_OK(pto_runner_finalize(runner, NULL, &cts_error));
    assert_int_equal(cts_info(runner).state, PTO_RUNNER_CLOSED);
    CTS_OK(pto_runner_init(runner, config, &cts_error));
    cts_run_graph(runner, graph);
    pto_graph_destroy(graph);
}

// A graph whose only bad task is on its own, or among others, so that a helper lane may meet it.
static struct pto_graph *graph_around(uint32_t func_id, const uint64_t *args, uint32_t arg_count,
                                      uint32_t others)
{
    struct pto_graph *graph = cts_graph();
    for (uint32_t i = 0; i < others; i++) {
        cts_add1(graph, CTS_SLEEP, 200000);
    }
    uint32_t task = cts_add(graph, func_id, args, arg_count);
    for (uint32_t i = 0; i < others; i++) {
        cts_edge(graph, task, cts_add1(graph, CTS_SLEEP, 100));
    }
    return graph;
}

static void crashes(const struct cts_backend *backend)
{
    static const int32_t signals[] = {SIGSEGV, SIGFPE, SIGBUS, SIGILL, SIGSEGV};
    for (uint64_t i = 0; i < 10; i++) {
        uint64_t kind = i / 2;
        setenv("PTO_SIM_LANES", i % 2 == 0 ? "1" : "3", 1);
        struct pto_config config = cts_test_config(backend, 6);
        struct pto_runner *runner = cts_open_config(&config);
        uint32_t others = i % 2 == 0 ? 0 : 40;
        struct pto_graph *graph = graph_around(CTS_CRASH, &kind, 1, others);
        CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_FAULT, "'crash'");
        assert_int_equal(cts_error.task, others);
        assert_int_equal(cts_error.func_id, CTS_CRASH);
        assert_string_equal(cts_error.kernel, "crash");
        if (strcmp(backend->name, "sim") == 0) {
            assert_int_equal(cts_error.task_code, signals[kind]);
        } else {
            assert_true(cts_error.task_code == 0 && cts_error.vendor_code != 0);
        }
        assert_failed_and_recover(runner, &config);
        pto_graph_destroy(graph);
        cts_close(runner);
    }
    unsetenv("PTO_SIM_LANES");
}

static void hangs(const struct cts_backend *backend)
{
    for (uint32_t i = 0; i < 4; i++) {
        setenv("PTO_SIM_LANES", i % 2 == 0 ? "1" : "3", 1);
        struct pto_config config = cts_test_config(backend, 6);
        config.timeout_ns = SHORT_TIMEOUT_NS;
        struct pto_runner *runner = cts_open_config(&config);
        uint32_t others = i < 2 ? 0 : 40;
        struct pto_graph *graph = graph_around(CTS_HANG, NULL, 0, others);
        struct pto_run_options options = cts_options(1 + i % 3);
        CTS_FAILS(pto_runner_run(runner, graph, &options, &cts_error), PTO_E_TIMEOUT, "'hang'");
        assert_int_equal(cts_error.task, others);
        assert_string_equal(cts_error.kernel, "hang");
        assert_failed_and_recover(runner, &config);
        pto_graph_destroy(graph);
        cts_close(runner);
    }
    unsetenv("PTO_SIM_LANES");
}

// A task fails while another hangs: the run ends all the same, and the device is not sane.
static void failure_beside_a_hang(const struct cts_backend *backend)
{
    setenv("PTO_SIM_LANES", "3", 1);
    struct pto_config config = cts_test_config(backend, 4);
    config.timeout_ns = SHORT_TIMEOUT_NS;
    struct pto_runner *runner = cts_open_config(&config);
    struct pto_graph *graph = cts_graph();
    cts_add(graph, CTS_HANG, NULL, 0);
    cts_edge(graph, cts_add1(graph, CTS_SLEEP, 20 * CTS_MS), cts_add1(graph, CTS_FAIL, 3));
    CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_TIMEOUT, "");
    assert_failed_and_recover(runner, &config);
    unsetenv("PTO_SIM_LANES");
    pto_graph_destroy(graph);
    cts_close(runner);
}

// Tasks that each stay under the timeout may together take many times as long.
static void slow_is_not_hung(const struct cts_backend *backend)
{
    struct pto_config config = cts_test_config(backend, 2);
    config.timeout_ns = SHORT_TIMEOUT_NS;
    struct pto_runner *runner = cts_open_config(&config);
    struct pto_graph *graph = cts_graph();
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t task = cts_add1(graph, CTS_SLEEP, 60 * CTS_MS);
        if (task != 0) {
            cts_edge(graph, task - 1, task);
        }
    }
    cts_run_graph(runner, graph);
    pto_graph_destroy(graph);
    cts_close(runner);
}

struct stopper {
    uint32_t calls;
    uint32_t stop_at;
};

static int stop(void *context)
{
    struct stopper *stopper = context;
    stopper->calls++;
    return stopper->calls >= stopper->stop_at;
}

static void stopped_by_poll(const struct cts_backend *backend)
{
    enum { TASK_COUNT = 400 };
    for (int64_t schedulers = 1; schedulers <= 3; schedulers++) {
        struct pto_runner *runner = cts_open_test(backend, 4);
        struct pto_graph *graph = cts_graph();
        uint64_t words = cts_allocate_zero(runner, 8);
        const uint64_t trace[3] = {words, words + 4, 1};
        for (uint32_t i = 0; i < TASK_COUNT; i++) {
            uint32_t sleep = cts_add1(graph, CTS_SLEEP, 5 * CTS_MS);
            if (sleep != 0) {
                cts_edge(graph, sleep - 1, sleep);
            }
            cts_edge(graph, sleep, cts_add(graph, CTS_TRACE, trace, 3));
        }
        struct stopper stopper = {.stop_at = 2};
        struct pto_run_options options = cts_options(schedulers);
        options.poll = stop;
        options.poll_context = &stopper;
        CTS_FAILS(pto_runner_run(runner, graph, &options, &cts_error), PTO_E_INTERRUPTED, "of 800");
        assert_int_equal(stopper.calls, 2); // not asked again once it said so
        uint32_t ran = cts_read_word(runner, words);
        assert_true(ran > 0 && ran < TASK_COUNT);
        assert_int_equal(cts_info(runner).state, PTO_RUNNER_READY);
        for (uint64_t i = 0; i < TASK_COUNT; i++) {
            const uint64_t short_time = 10;
            CTS_OK(pto_graph_set_args(graph, 2 * i, &short_time, 1, &cts_error));
        }
        stopper = (struct stopper){.stop_at = UINT32_MAX};
        for (uint32_t i = 1; i <= 3; i++) {
            CTS_OK(pto_runner_run(runner, graph, &options, &cts_error));
            assert_int_equal(cts_read_word(runner, words), ran + i * TASK_COUNT);
        }
        pto_graph_destroy(graph);
        cts_close(runner);
    }
}

struct caller {
    struct pto_runner *runner;
    struct pto_graph *graph;
    uint32_t calls;
    enum pto_status statuses[16];
    uint32_t count;
    enum pto_runner_state state;
};

// Every call, from inside a run. Assertions would jump out of run(), so statuses are kept.
static int call_everything(void *context)
{
    struct caller *caller = context;
    if (caller->calls++ != 0) {
        return 0;
    }
    struct pto_runner *runner = caller->runner;
    uint64_t pointer;
    size_t count;
    char byte = 0;
    struct pto_core_result core;
    struct pto_config config = {.size = sizeof(config)};
    const enum pto_status statuses[] = {
        pto_runner_run(runner, caller->graph, NULL, NULL),
        pto_runner_allocate(runner, 8, &pointer, NULL),
        pto_runner_free(runner, 64, NULL),
        pto_runner_copy_to_device(runner, 64, &byte, 1, NULL),
        pto_runner_copy_from_device(runner, &byte, 64, 1, NULL),
        pto_runner_handshake_results(runner, &core, 1, &count, NULL),
        pto_runner_init(runner, &config, NULL),
        pto_runner_finalize(runner, NULL, NULL),
        pto_graph_set_args(caller->graph, 0, &pointer, 1, NULL),
        pto_graph_add_successor(caller->graph, 0, 1, NULL),
        pto_graph_add_task(caller->graph, NULL, 0, CTS_NOP, &caller->count, NULL),
    };
    memcpy(caller->statuses, statuses, sizeof(statuses));
    caller->count = sizeof(statuses) / sizeof(statuses[0]);
    struct pto_runner_info info;
    pto_runner_get_info(runner, &info);
    caller->state = info.state;
    return 0;
}

static struct pto_graph *long_graph(void)
{
    struct pto_graph *graph = cts_graph();
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t task = cts_add1(graph, CTS_SLEEP, 2 * CTS_MS);
        if (task != 0) {
            cts_edge(graph, task - 1, task);
        }
    }
    return graph;
}

static void calls_inside_poll(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 3);
    struct caller caller = {.runner = runner, .graph = long_graph()};
    struct pto_run_options options = cts_options(1);
    options.poll = call_everything;
    options.poll_context = &caller;
    CTS_OK(pto_runner_run(runner, caller.graph, &options, &cts_error));
    assert_int_equal(caller.count, 11);
    for (uint32_t i = 0; i < caller.count; i++) {
        if (caller.statuses[i] != PTO_E_BUSY) {
            fail_msg("call %u gave %s", (unsigned)i, pto_status_name(caller.statuses[i]));
        }
    }
    assert_int_equal(caller.state, PTO_RUNNER_READY);
    pto_graph_destroy(caller.graph);
    cts_close(runner);
}

// From inside a run of one runner another one may run. What crashes later in the outer run must
// still be contained.
static int run_another(void *context)
{
    struct caller *caller = context;
    if (caller->calls++ == 0) {
        caller->statuses[0] = pto_runner_run(caller->runner, caller->graph, NULL, NULL);
    }
    return 0;
}

static void another_runner_inside_poll(const struct cts_backend *backend)
{
    setenv("PTO_SIM_LANES", "1", 1);
    struct pto_runner *outer = cts_open_test(backend, 3);
    struct pto_runner *inner = cts_open_test(backend, 3);
    struct pto_graph *graph = long_graph();
    struct caller caller = {.runner = inner, .graph = cts_graph()};
    cts_add(caller.graph, CTS_NOP, NULL, 0);
    cts_edge(graph, 99, cts_add1(graph, CTS_CRASH, 0));
    struct pto_run_options options = cts_options(1);
    options.poll = run_another;
    options.poll_context = &caller;
    CTS_FAILS(pto_runner_run(outer, graph, &options, &cts_error), PTO_E_FAULT, "'crash'");
    assert_int_equal(caller.statuses[0], PTO_OK);
    assert_true(caller.calls != 0);
    unsetenv("PTO_SIM_LANES");
    pto_graph_destroy(caller.graph);
    pto_graph_destroy(graph);
    cts_close(outer);
    cts_close(inner);
}

// A program may have all signals blocked where it calls the library, as one does that takes them by
// sigwait(). A blocked fault would end the process.
static void faults_with_signals_blocked(const struct cts_backend *backend)
{
    sigset_t all;
    sigset_t before;
    sigset_t after;
    sigfillset(&all);
    for (uint32_t i = 0; i < 4; i++) {
        setenv("PTO_SIM_LANES", i % 2 == 0 ? "1" : "3", 1);
        struct pto_config config = cts_test_config(backend, 6);
        config.timeout_ns = SHORT_TIMEOUT_NS;
        const uint64_t kind = 0;
        struct pto_graph *graph =
            i < 2 ? graph_around(CTS_CRASH, &kind, 1, 40) : graph_around(CTS_HANG, NULL, 0, 40);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        struct pto_runner *runner = cts_open_config(&config);
        enum pto_status status = pto_runner_run(runner, graph, NULL, &cts_error);
        pthread_sigmask(SIG_SETMASK, &before, &after);
        assert_int_equal(status, i < 2 ? PTO_E_FAULT : PTO_E_TIMEOUT);
        assert_true(sigismember(&after, SIGSEGV) == 1 && sigismember(&after, SIGINT) == 1);
        cts_close(runner);
        pto_graph_destroy(graph);
    }
    unsetenv("PTO_SIM_LANES");
}

static _Atomic int taken_count;

static void take_signal(int number)
{
    (void)number;
    taken_count++;
}

// Signals sent to the process are for the program's own threads, never for the library's.
static void threads_take_no_signals(const struct cts_backend *backend)
{
#if defined(PTO_TEST_TSAN)
    skip(); // ThreadSanitizer takes signals itself and hands them on later
#endif
    struct sigaction action = {.sa_handler = take_signal};
    struct sigaction old;
    sigset_t set;
    sigset_t before;
    sigset_t pending;
    setenv("PTO_SIM_LANES", "3", 1);
    struct pto_runner *runner = cts_open_test(backend, 6);
    sigaction(SIGUSR1, &action, &old);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    struct pto_graph *graph = long_graph();
    kill(getpid(), SIGUSR1);
    cts_run_graph(runner, graph);
    assert_int_equal(taken_count, 0);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGUSR1), 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(taken_count, 1);
    sigaction(SIGUSR1, &old, NULL);
    unsetenv("PTO_SIM_LANES");
    pto_graph_destroy(graph);
    cts_close(runner);
}

// The simulator's guard finds a kernel that writes further than it says.
static void guard_finds_overrun(const struct cts_backend *backend)
{
    if (strcmp(backend->name, "sim") != 0) {
        skip();
    }
    setenv("PTO_SIM_GUARD", "1", 1);
    struct pto_config config = cts_test_config(backend, 3);
    struct pto_runner *runner = cts_open_config(&config);
    static const uint64_t sizes[] = {1, 64, 100, 4096, 4097, 70000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t block = cts_allocate(runner, sizes[i]);
        uint8_t byte = 0;
        cts_read(runner, &byte, block + sizes[i] - 1, 1);
        assert_int_equal(byte, 0xA5);
        struct pto_graph *graph = cts_graph();
        uint64_t args[3] = {block, sizes[i], 0};
        uint32_t task = cts_add(graph, CTS_OVERRUN, args, 3);
        cts_run_graph(runner, graph);
        args[2] = 64; // past what the alignment leaves
        CTS_OK(pto_graph_set_args(graph, task, args, 3, &cts_error));
        CTS_FAILS(pto_runner_run(runner, graph, NULL, &cts_error), PTO_E_FAULT, "'overrun'");
        assert_non_null(strstr(cts_error.message, "past the end of the block"));
        assert_failed_and_recover(runner, &config);
        pto_graph_destroy(graph);
    }
    unsetenv("PTO_SIM_GUARD");
    cts_close(runner);
}

static const struct cts_case cases[] = {
    CTS_CASE(task_returns_an_error),
    CTS_CASE(one_of_many_fails),
    CTS_CASE(crashes),
    CTS_CASE(hangs),
    CTS_CASE(failure_beside_a_hang),
    CTS_CASE(slow_is_not_hung),
    CTS_CASE(stopped_by_poll),
    CTS_CASE(calls_inside_poll),
    CTS_CASE(another_runner_inside_poll),
    CTS_CASE(faults_with_signals_blocked),
    CTS_CASE(threads_take_no_signals),
    CTS_CASE(guard_finds_overrun),
};

CTS_MAIN(cases)
