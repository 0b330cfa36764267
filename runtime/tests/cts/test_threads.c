// SPDX-License-Identifier: Apache-2.0
// Calls from several threads, and from a forked child: what waits, what is refused, what goes on in
// parallel. A task that spins until the host sets a flag holds a run where the test wants it.
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/cts/cts.h"

// A run on a thread of its own. Assertions belong to the main thread, so it keeps what it saw.
struct work {
    struct pto_runner *runner;
    struct pto_graph *graph;
    uint64_t pointer;
    pthread_t thread;
    atomic_int done;
    enum pto_status status;
    struct pto_error err;
};

static void *run_work(void *argument)
{
    struct work *work = argument;
    work->status = pto_runner_run(work->runner, work->graph, NULL, &work->err);
    atomic_store(&work->done, 1);
    return NULL;
}

static void *free_work(void *argument)
{
    struct work *work = argument;
    work->status = pto_runner_free(work->runner, work->pointer, &work->err);
    atomic_store(&work->done, 1);
    return NULL;
}

static void *finalize_work(void *argument)
{
    struct work *work = argument;
    work->status = pto_runner_finalize(work->runner, NULL, &work->err);
    atomic_store(&work->done, 1);
    return NULL;
}

static void start(struct work *work, void *(*entry)(void *))
{
    atomic_store(&work->done, 0);
    assert_int_equal(pthread_create(&work->thread, NULL, entry, work), 0);
}

static void finish(struct work *work, enum pto_status expected)
{
    assert_int_equal(pthread_join(work->thread, NULL), 0);
    if (work->status != expected) {
        fail_msg("%s: %s", pto_status_name(work->status), work->err.message);
    }
}

// A run that has begun and ends when the flag is set.
struct held {
    struct work work;
    uint64_t flag;
};

static void hold(struct held *held, struct pto_runner *runner)
{
    *held = (struct held){.work = {.runner = runner, .graph = cts_graph()}};
    held->flag = cts_allocate_zero(runner, 4);
    const uint64_t args[2] = {held->flag, 1};
    cts_add(held->work.graph, CTS_SPIN, args, 2);
    uint64_t before = cts_info(runner).run_count;
    start(&held->work, run_work);
    while (cts_info(runner).run_count == before) {
        sched_yield();
    }
}

static void set_flag(struct held *held)
{
#if defined(PTO_TEST_TSAN)
    // The simulator's memory is the host's. A copy is not atomic, which the sanitizer would report,
    // although a word that a task polls is the program's own affair. A device's memory is not.
    if (strcmp(cts_info(held->work.runner).backend, "sim") == 0) {
        __atomic_store_n((uint32_t *)(uintptr_t)held->flag, 1u, __ATOMIC_RELEASE);
        return;
    }
#endif
    cts_write_word(held->work.runner, held->flag, 1);
}

static void release(struct held *held)
{
    set_flag(held);
    finish(&held->work, PTO_OK);
    pto_graph_destroy(held->work.graph);
}

// Long enough for a call that does not wait as it should to come back.
static void give_time(void)
{
    struct timespec moment = {.tv_nsec = 30000000};
    nanosleep(&moment, NULL);
}

static void graph_is_pinned_in_a_run(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 3);
    struct held held;
    hold(&held, runner);
    struct pto_graph *graph = held.work.graph;
    const uint64_t args[2] = {0, 1};
    uint32_t task;
    for (int i = 0; i < 100; i++) {
        CTS_FAILS(pto_graph_add_task(graph, NULL, 0, CTS_NOP, &task, &cts_error), PTO_E_BUSY, "");
        CTS_FAILS(pto_graph_add_tasks(graph, NULL, 5, 0, CTS_NOP, &task, &cts_error), PTO_E_BUSY,
                  "");
        CTS_FAILS(pto_graph_add_successor(graph, 0, 1, &cts_error), PTO_E_BUSY, "");
        CTS_FAILS(pto_graph_set_args(graph, 0, args, 2, &cts_error), PTO_E_BUSY, "");
    }
    assert_int_equal(pto_graph_task_count(graph), 1);
    set_flag(&held);
    finish(&held.work, PTO_OK);
    cts_add(graph, CTS_NOP, NULL, 0);
    cts_run_graph(runner, graph);
    pto_graph_destroy(graph);
    cts_close(runner);
}

static void memory_calls_go_on_in_a_run(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 3);
    struct held held;
    hold(&held, runner);
    uint64_t other = cts_allocate_zero(runner, 1000);
    cts_write_word(runner, other + 500, 77);
    assert_int_equal(cts_read_word(runner, other + 500), 77);
    struct work freeing = {.runner = runner, .pointer = other};
    start(&freeing, free_work);
    give_time();
    assert_int_equal(atomic_load(&freeing.done), 0);
    assert_int_equal(atomic_load(&held.work.done), 0);
    assert_true(cts_info(runner).block_count == 2);
    release(&held);
    finish(&freeing, PTO_OK);
    assert_true(cts_info(runner).block_count == 1);
    cts_close(runner);
}

static void finalize_waits_for_a_run(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 3);
    struct held held;
    hold(&held, runner);
    struct work closing = {.runner = runner};
    start(&closing, finalize_work);
    give_time();
    assert_int_equal(atomic_load(&closing.done), 0);
    release(&held);
    finish(&closing, PTO_OK);
    assert_int_equal(cts_info(runner).state, PTO_RUNNER_CLOSED);
    cts_destroy(runner);
}

static void two_runners_run_in_parallel(const struct cts_backend *backend)
{
    struct pto_runner *first = cts_open_test(backend, 3);
    struct pto_runner *second = cts_open_test(backend, 3);
    struct held held;
    hold(&held, first);
    struct held other;
    hold(&other, second);
    release(&other);
    struct pto_graph *graph = cts_graph();
    cts_add(graph, CTS_NOP, NULL, 0);
    for (int i = 0; i < 100; i++) {
        cts_run_graph(second, graph);
    }
    assert_int_equal(atomic_load(&held.work.done), 0);
    release(&held);
    pto_graph_destroy(graph);
    cts_close(first);
    cts_close(second);
}

// One graph may be in two runs at a time, on two devices that share no memory.
static void one_graph_in_two_runs(const struct cts_backend *backend)
{
    struct pto_runner *runners[2] = {cts_open_test(backend, 3), cts_open_test(backend, 70)};
    struct pto_graph *graph = cts_graph();
    for (uint32_t i = 0; i < 500; i++) {
        uint32_t task = cts_add(graph, CTS_NOP, NULL, 0);
        if (task >= 7) {
            cts_edge(graph, task - 7, task);
        }
    }
    for (int i = 0; i < 20; i++) {
        struct work works[2];
        for (int k = 0; k < 2; k++) {
            works[k] = (struct work){.runner = runners[k], .graph = graph};
            start(&works[k], run_work);
        }
        finish(&works[0], PTO_OK);
        finish(&works[1], PTO_OK);
    }
    pto_graph_destroy(graph);
    cts_close(runners[0]);
    cts_close(runners[1]);
}

#define TURN_COUNT (400u / PTO_TEST_DIVISOR)

struct turns {
    struct pto_runner *runner;
    struct pto_graph *graph;
    uint64_t words; // first, second: the tickets of the graph's two tasks
    pthread_t thread;
    uint32_t bad_count;
    enum pto_status status;
};

// Two tasks in a row take tickets from a counter that all threads share. When runs take turns, no
// other run's ticket is between them.
static void *take_turns(void *argument)
{
    struct turns *turns = argument;
    for (uint32_t i = 0; i < TURN_COUNT && turns->status == PTO_OK; i++) {
        uint32_t words[2] = {0, 0};
        struct pto_run_options options = cts_options(1 + i % 3);
        turns->status = pto_runner_run(turns->runner, turns->graph, &options, NULL);
        if (turns->status == PTO_OK) {
            turns->status = pto_runner_copy_from_device(turns->runner, words, turns->words,
                                                        sizeof(words), NULL);
        }
        turns->bad_count += words[1] != words[0] + 1;
    }
    return NULL;
}

static void runs_take_turns(const struct cts_backend *backend)
{
    enum { THREAD_COUNT = 4 };
    struct pto_runner *runner = cts_open_test(backend, 5);
    uint64_t ticket = cts_allocate_zero(runner, 4);
    struct turns turns[THREAD_COUNT];
    for (int i = 0; i < THREAD_COUNT; i++) {
        turns[i] = (struct turns){.runner = runner, .graph = cts_graph()};
        turns[i].words = cts_allocate_zero(runner, 8);
        for (uint64_t k = 0; k < 2; k++) {
            const uint64_t args[3] = {ticket, turns[i].words + 4 * k, 1};
            cts_add(turns[i].graph, CTS_TRACE, args, 3);
        }
        cts_edge(turns[i].graph, 0, 1);
    }
    for (int i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_create(&turns[i].thread, NULL, take_turns, &turns[i]), 0);
    }
    for (int i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_join(turns[i].thread, NULL), 0);
        assert_int_equal(turns[i].status, PTO_OK);
        assert_int_equal(turns[i].bad_count, 0);
        pto_graph_destroy(turns[i].graph);
    }
    assert_int_equal(cts_read_word(runner, ticket), 2 * THREAD_COUNT * TURN_COUNT);
    cts_close(runner);
}

struct churn {
    struct pto_runner *runner;
    atomic_int stop;
    uint32_t bad_count;
    pthread_t thread;
};

static void *allocate_and_free(void *argument)
{
    struct churn *churn = argument;
    while (!atomic_load(&churn->stop)) {
        uint64_t pointer;
        struct pto_runner_info info = {0};
        churn->bad_count += pto_runner_allocate(churn->runner, 500, &pointer, NULL) != PTO_OK;
        churn->bad_count += pto_runner_copy_to_device(churn->runner, pointer, &info, 8, NULL) != 0;
        pto_runner_get_info(churn->runner, &info);
        churn->bad_count += info.state != PTO_RUNNER_READY || info.block_count == 0;
        churn->bad_count += pto_runner_free(churn->runner, pointer, NULL) != PTO_OK;
    }
    return NULL;
}

static void memory_calls_beside_many_runs(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 5);
    struct cts_42 work;
    cts_42_make(&work, runner, 64);
    struct churn churn = {.runner = runner};
    assert_int_equal(pthread_create(&churn.thread, NULL, allocate_and_free, &churn), 0);
    for (uint32_t i = 0; i < 2000 / PTO_TEST_DIVISOR; i++) {
        cts_run_graph(runner, work.graph);
        cts_42_check(&work, runner, 42.0f);
    }
    atomic_store(&churn.stop, 1);
    assert_int_equal(pthread_join(churn.thread, NULL), 0);
    assert_int_equal(churn.bad_count, 0);
    pto_graph_destroy(work.graph);
    cts_close(runner);
}

// In the child, where an assertion would run the rest of the tests a second time. Returns the
// number of the first call that did something else than refuse, 0 for none.
static int use_parents_runner(struct pto_runner *runner, struct pto_graph *graph)
{
    uint64_t pointer;
    size_t count;
    char byte = 0;
    struct pto_core_result core;
    struct pto_config config = {.size = sizeof(config)};
    struct pto_error err = {0};
    const enum pto_status statuses[] = {
        pto_runner_run(runner, graph, NULL, &err),
        pto_runner_allocate(runner, 8, &pointer, &err),
        pto_runner_free(runner, 64, &err),
        pto_runner_copy_to_device(runner, 64, &byte, 1, &err),
        pto_runner_copy_from_device(runner, &byte, 64, 1, &err),
        pto_runner_handshake_results(runner, &core, 1, &count, &err),
        pto_runner_init(runner, &config, &err),
        pto_runner_finalize(runner, NULL, &err),
    };
    for (int i = 0; i < (int)(sizeof(statuses) / sizeof(statuses[0])); i++) {
        if (statuses[i] != PTO_E_FORKED) {
            return i + 1;
        }
    }
    if (strstr(err.message, "fork") == NULL) {
        return 20;
    }
    struct pto_runner_info info;
    pto_runner_get_info(runner, &info);
    if (info.state != PTO_RUNNER_CLOSED) {
        return 21;
    }
    pto_runner_destroy(runner);
    return 0;
}

#if defined(PTO_TEST_TSAN)
// ThreadSanitizer cannot start threads after a fork.
static int use_own_runner(const struct cts_backend *backend)
{
    (void)backend;
    return 0;
}
#else
// A runner of the child's own. Returns 0 when it works.
static int use_own_runner(const struct cts_backend *backend)
{
    struct pto_runner *runner = NULL;
    struct pto_graph *graph = NULL;
    struct pto_config config = cts_test_config(backend, 5);
    uint32_t task;
    if (strcmp(backend->name, "sim") != 0) {
        // A device's driver does not pass to a child, which is said and not left to chance.
        int refused = pto_runner_create(&runner, NULL) == PTO_OK &&
                      pto_runner_init(runner, &config, NULL) == PTO_E_FORKED;
        pto_runner_destroy(runner);
        return refused ? 0 : 29;
    }
    if (pto_runner_create(&runner, NULL) != PTO_OK ||
        pto_runner_init(runner, &config, NULL) != PTO_OK ||
        pto_graph_create(&graph, NULL) != PTO_OK ||
        pto_graph_add_task(graph, NULL, 0, CTS_NOP, &task, NULL) != PTO_OK ||
        pto_runner_run(runner, graph, NULL, NULL) != PTO_OK) {
        return 30;
    }
    uint64_t kind = 0;
    if (pto_graph_add_task(graph, &kind, 1, CTS_CRASH, &task, NULL) != PTO_OK ||
        pto_runner_run(runner, graph, NULL, NULL) != PTO_E_FAULT) {
        return 31;
    }
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
    return 0;
}
#endif

static void wait_for_child(pid_t child)
{
    int status = 0;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static pid_t fork_child(const struct cts_backend *backend, struct pto_runner *runner,
                        struct pto_graph *graph)
{
    pid_t child = fork();
    if (child == 0) {
        alarm(30); // a child that hangs is killed
        int result = use_parents_runner(runner, graph);
        _exit(result != 0 ? result : use_own_runner(backend));
    }
    return child;
}

static void fork_then_use(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open(backend, 5);
    struct cts_42 work;
    cts_42_make(&work, runner, 64);
    cts_run_graph(runner, work.graph);
    wait_for_child(fork_child(backend, runner, work.graph));
    cts_run_graph(runner, work.graph);
    cts_42_check(&work, runner, 42.0f);
    pto_graph_destroy(work.graph);
    cts_close(runner);
}

// Another thread is inside run() and holds the runner's locks when the child is made.
static void fork_beside_a_run(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 5);
    struct held held;
    hold(&held, runner);
    pid_t child = fork_child(backend, runner, held.work.graph);
    wait_for_child(child);
    release(&held);
    cts_close(runner);
}

struct forker {
    const struct cts_backend *backend;
    struct pto_runner *runner;
    struct pto_graph *graph;
    pid_t child;
};

static int fork_once(void *context)
{
    struct forker *forker = context;
    if (forker->child == 0) {
        forker->child = fork_child(forker->backend, forker->runner, forker->graph);
    }
    return 0;
}

static void fork_inside_poll(const struct cts_backend *backend)
{
    struct pto_runner *runner = cts_open_test(backend, 5);
    struct forker forker = {.backend = backend, .runner = runner, .graph = cts_graph()};
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t task = cts_add1(forker.graph, CTS_SLEEP, 2 * CTS_MS);
        if (task != 0) {
            cts_edge(forker.graph, task - 1, task);
        }
    }
    struct pto_run_options options = cts_options(1);
    options.poll = fork_once;
    options.poll_context = &forker;
    CTS_OK(pto_runner_run(runner, forker.graph, &options, &cts_error));
    wait_for_child(forker.child);
    pto_graph_destroy(forker.graph);
    cts_close(runner);
}

static const struct cts_case cases[] = {
    CTS_CASE(graph_is_pinned_in_a_run),
    CTS_CASE(memory_calls_go_on_in_a_run),
    CTS_CASE(finalize_waits_for_a_run),
    CTS_CASE(two_runners_run_in_parallel),
    CTS_CASE(one_graph_in_two_runs),
    CTS_CASE(runs_take_turns),
    CTS_CASE(memory_calls_beside_many_runs),
    CTS_CASE(fork_then_use),
    CTS_CASE(fork_beside_a_run),
    CTS_CASE(fork_inside_poll),
};

CTS_MAIN(cases)
