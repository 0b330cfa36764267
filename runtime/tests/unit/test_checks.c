// SPDX-License-Identifier: Apache-2.0
// The checks of kernels on the simulator: one defect at a time, made by each kind of access.
#include "checks.h"

#include <unistd.h>

// What an access of `touch` is. Those with a size take WIDE bytes.
#define WIDE 40u
static const struct access {
    enum touch operation;
    uint32_t bytes;
    int reads;
    int writes;
    int is_atomic;
} accesses[] = {
    {TOUCH_READ_1, 1, 1, 0, 0},
    {TOUCH_READ_2, 2, 1, 0, 0},
    {TOUCH_READ_4, 4, 1, 0, 0},
    {TOUCH_READ_8, 8, 1, 0, 0},
    {TOUCH_WRITE_1, 1, 0, 1, 0},
    {TOUCH_WRITE_2, 2, 0, 1, 0},
    {TOUCH_WRITE_4, 4, 0, 1, 0},
    {TOUCH_WRITE_8, 8, 0, 1, 0},
    {TOUCH_MODIFY_4, 4, 1, 1, 0},
    {TOUCH_UNALIGNED_READ_8, 8, 1, 0, 0},
    {TOUCH_UNALIGNED_WRITE_8, 8, 0, 1, 0},
    {TOUCH_FORCED_READ_4, 4, 1, 0, 0},
    {TOUCH_FORCED_WRITE_4, 4, 0, 1, 0},
    {TOUCH_ATOMIC_READ_4, 4, 1, 0, 1},
    {TOUCH_ATOMIC_WRITE_4, 4, 0, 1, 1},
    {TOUCH_ATOMIC_ADD_4, 4, 1, 1, 1},
    {TOUCH_MEMCPY_FROM, WIDE, 1, 0, 0},
    {TOUCH_MEMCPY_TO, WIDE, 0, 1, 0},
    {TOUCH_MEMMOVE_TO, WIDE, 0, 1, 0},
    {TOUCH_MEMSET, WIDE, 0, 1, 0},
    {TOUCH_BUILTIN_MEMCPY_TO, 64, 0, 1, 0},
    {TOUCH_BUILTIN_MEMSET, 64, 0, 1, 0},
    {TOUCH_STRUCT_FROM, 64, 1, 0, 0},
    {TOUCH_STRUCT_TO, 64, 0, 1, 0},
};
#define ACCESS_COUNT (sizeof(accesses) / sizeof(accesses[0]))
_Static_assert(ACCESS_COUNT == TOUCH_COUNT, "each kind of access is tried");

static void check_side(const struct pto_check_access *side, uint32_t task,
                       const struct access *access, int64_t begin, int64_t end)
{
    assert_int_equal(side->task, task);
    assert_int_equal(side->func_id, FUNC_TOUCH);
    assert_string_equal(side->kernel, "touch");
    assert_int_equal(side->arg, 0);
    assert_true(side->is_write ? access->writes : access->reads);
    if (side->begin != begin || side->end != end) {
        fail_msg("access %u: bytes %" PRId64 " to %" PRId64 ", not %" PRId64 " to %" PRId64,
                 (unsigned)access->operation, side->begin, side->end, begin, end);
    }
}

// An access at `offset` of a tensor of n bytes, and what memcheck says: nothing for a NULL.
static void try_bounds(struct pto_runner *runner, uint64_t n, const struct access *access,
                       int64_t offset, const char *text)
{
    struct found found;
    struct pto_graph *graph = new_graph();
    uint64_t tensor = allocate_filled(runner, n);
    uint8_t before[256];
    uint8_t after[256];
    OK(pto_runner_copy_from_device(runner, before, tensor, n, &err));
    add_touch(graph, tensor, n, access->operation, offset, WIDE);
    enum pto_status status = run_checked(runner, graph, "memory", &found);
    if (text == NULL) {
        OK(status);
    } else {
        assert_int_equal(status, PTO_E_CHECK);
        assert_int_equal(found.count, 1);
        assert_int_equal(err.task, 0);
        assert_string_equal(err.kernel, "touch");
        const struct pto_check_finding *finding = &found.items[0];
        assert_int_equal(finding->kind, PTO_CHECK_MEMORY);
        assert_int_equal(finding->tensor, tensor);
        assert_int_equal(finding->tensor_bytes, n);
        assert_int_equal(finding->other.task, PTO_ERROR_NONE);
        int64_t end = offset + (int64_t)access->bytes;
        check_side(&finding->access, 0, access,
                   offset >= 0 && offset < (int64_t)n ? (int64_t)n : offset, end);
        assert_non_null(strstr(finding->message, text));
        assert_memory_equal(finding->message, "memcheck: task 0 (kernel 'touch', func_id 30,", 45);
        // The kernel was stopped before.
        OK(pto_runner_copy_from_device(runner, after, tensor, n, &err));
        assert_memory_equal(before, after, n);
    }
    pto_graph_destroy(graph);
    OK(pto_runner_free(runner, tensor, &err));
}

static void test_bounds(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    static const uint64_t sizes[] = {64, 100, 128, 129};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        int64_t n = (int64_t)sizes[s];
        for (size_t i = 0; i < ACCESS_COUNT; i++) {
            int64_t bytes = (int64_t)accesses[i].bytes;
            try_bounds(runner, sizes[s], &accesses[i], 0, NULL);
            try_bounds(runner, sizes[s], &accesses[i], n - bytes, NULL);
            try_bounds(runner, sizes[s], &accesses[i], n - bytes + 1, "past its end");
            try_bounds(runner, sizes[s], &accesses[i], n, "past its end");
            try_bounds(runner, sizes[s], &accesses[i], -1, "before its beginning");
            try_bounds(runner, sizes[s], &accesses[i], -bytes, "before its beginning");
        }
    }
    pto_runner_destroy(runner);
}

// Memory that is no tensor of the task's.
static void test_elsewhere(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    struct found found;
    uint64_t tensor = allocate_filled(runner, 128);
    uint64_t other = allocate_filled(runner, 256);
    uint64_t host = (uint64_t)(uintptr_t)&runner;
    void *heap = malloc(UINT64_C(1) << 26); // a mapping of its own, far from everything
    assert_non_null(heap);
    const struct {
        uint64_t address;
        const char *text;
    } cases[] = {
        {other + 200, "no argument of the task points into it"},
        {16, "a pointer that is 0, with an offset"},
        {host, "no heap"}, // the caller's stack is not the kernel's
        {(uint64_t)(uintptr_t)heap + 4096, "no heap"},
        {UINT64_MAX - 2, "no heap"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (uint32_t writes = 0; writes < 2; writes++) {
            struct pto_graph *graph = new_graph();
            add_touch(graph, tensor, 128, writes ? TOUCH_WRITE_1 : TOUCH_READ_1,
                      (int64_t)(cases[i].address - tensor), 0);
            assert_int_equal(run_checked(runner, graph, "memory,init,race", &found), PTO_E_CHECK);
            assert_int_equal(found.count, 1);
            if (strstr(found.items[0].message, cases[i].text) == NULL) {
                fail_msg("not '%s': %s", cases[i].text, found.items[0].message);
            }
            assert_int_equal(found.items[0].access.is_write, writes);
            pto_graph_destroy(graph);
        }
    }
    free(heap);
    pto_runner_destroy(runner);
}

// A size that was computed below zero.
static void test_negative_size(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    struct found found;
    uint64_t tensor = allocate_filled(runner, 128);
    static const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - 63, UINT64_C(1) << 63, 129};
    static const enum touch operations[] = {TOUCH_MEMSET, TOUCH_MEMCPY_FROM, TOUCH_MEMMOVE_TO};
    for (size_t i = 0; i < 3 * 4; i++) {
        struct pto_graph *graph = new_graph();
        add_touch(graph, tensor, 128, operations[i % 3], 1, sizes[i / 3]);
        assert_int_equal(run_checked(runner, graph, "all", &found), PTO_E_CHECK);
        assert_int_equal(found.items[0].tensor, tensor);
        assert_int_equal(found.items[0].access.begin, 128);
        assert_true(found.items[0].access.end > 128);
        assert_non_null(strstr(found.items[0].message, "past its end"));
        pto_graph_destroy(graph);
    }
    pto_runner_destroy(runner);
}

static void test_use_after_free(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    struct found found;
    uint64_t tensor = allocate_filled(runner, 128);
    uint64_t other = allocate_filled(runner, 128);
    struct pto_graph *graph = new_graph();
    uint64_t args[] = {tensor, 128, 1};
    uint32_t task;
    OK(pto_graph_add_task(graph, args, 3, FUNC_KEEP, &task, &err));
    OK(run_checked(runner, graph, "all", &found));
    OK(pto_runner_free(runner, tensor, &err));
    args[0] = other;
    args[2] = 0;
    OK(pto_graph_set_args(graph, task, args, 3, &err));
    assert_int_equal(run_checked(runner, graph, "all", &found), PTO_E_CHECK);
    assert_non_null(strstr(found.items[0].message, "it was freed"));
    assert_int_equal(found.items[0].tensor, tensor);
    assert_int_equal(found.items[0].access.begin, 0);
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
}

// A read of bytes that nobody wrote; and once written, by the host or a task before, no more.
static void test_unwritten(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    struct found found;
    for (size_t i = 0; i < ACCESS_COUNT; i++) {
        const struct access *access = &accesses[i];
        uint64_t tensor = allocate(runner, 200);
        fill(runner, tensor, 0, 64); // which leaves a hole
        fill(runner, tensor, 136, 200);
        struct pto_graph *graph = new_graph();
        add_touch(graph, tensor, 200, access->operation, 70, WIDE);
        enum pto_status status = run_checked(runner, graph, "init", &found);
        if (access->reads) {
            assert_int_equal(status, PTO_E_CHECK);
            assert_int_equal(found.count, 1);
            assert_int_equal(found.items[0].kind, PTO_CHECK_INIT);
            check_side(&found.items[0].access, 0, access, 70, 70 + (int64_t)access->bytes);
            assert_non_null(strstr(found.items[0].message, "which nobody has written"));
        } else {
            OK(status);
        }
        // What it wrote may be read, here and in the next run, and nothing more may.
        uint32_t reader = add_touch(graph, tensor, 200, TOUCH_MEMCPY_FROM, 70, access->bytes);
        OK(pto_graph_add_successor(graph, 0, reader, &err));
        for (uint32_t run = 0; run < 2; run++) {
            status = run_checked(runner, graph, "init", &found);
            assert_int_equal(status, access->writes ? PTO_OK : PTO_E_CHECK);
        }
        fill(runner, tensor, 70, 70 + access->bytes);
        OK(run_checked(runner, graph, "init", &found));
        pto_graph_destroy(graph);
        OK(pto_runner_free(runner, tensor, &err));
    }
    pto_runner_destroy(runner);
}

// What a run without checks has written is not known, and so not complained of.
static void test_unchecked_runs(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    struct found found;
    uint64_t tensor = allocate(runner, 64);
    struct pto_graph *graph = new_graph();
    uint32_t task = add_touch(graph, tensor, 64, TOUCH_WRITE_8, 0, 0);
    OK(pto_runner_run(runner, graph, NULL, &err));
    const uint64_t args[] = {tensor, 64, TOUCH_READ_8, 0, 0};
    OK(pto_graph_set_args(graph, task, args, 5, &err));
    OK(run_checked(runner, graph, "init", &found));
    // A block that came later is known from its beginning.
    uint64_t later = allocate(runner, 64);
    const uint64_t later_args[] = {later, 64, TOUCH_READ_8, 0, 0};
    OK(pto_graph_set_args(graph, task, later_args, 5, &err));
    assert_int_equal(run_checked(runner, graph, "init", &found), PTO_E_CHECK);
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
}

// Two tasks without an edge, each with every kind of access; then with one.
static void try_race(struct pto_runner *runner, uint64_t tensor, const struct access *first,
                     const struct access *second)
{
    struct found found;
    struct pto_graph *graph = new_graph();
    add_touch(graph, tensor, 256, first->operation, 64, WIDE);
    add_touch(graph, tensor, 256, second->operation, 64, WIDE);
    int races = (first->writes || second->writes) && !first->is_atomic && !second->is_atomic;
    enum pto_status status = run_checked(runner, graph, "race", &found);
    if (!races) {
        OK(status);
    } else {
        assert_int_equal(status, PTO_E_CHECK);
        const struct pto_check_finding *finding = &found.items[0];
        int64_t bytes = first->bytes < second->bytes ? first->bytes : second->bytes;
        int later = finding->access.task == 0; // either may have run first
        assert_int_equal(finding->kind, PTO_CHECK_RACE);
        assert_int_equal(finding->shares_line, 0);
        assert_int_equal(finding->tensor, tensor);
        check_side(&finding->access, later ? 0 : 1, later ? first : second, 64, 64 + bytes);
        check_side(&finding->other, later ? 1 : 0, later ? second : first, 64, 64 + bytes);
        char edge[64];
        snprintf(edge, sizeof(edge), "graph.add_successor(%u, %u)", (unsigned)finding->other.task,
                 (unsigned)finding->access.task);
        assert_non_null(strstr(finding->message, edge));
        assert_memory_equal(finding->message, "racecheck: task ", 16);
    }
    OK(pto_graph_add_successor(graph, 1, 0, &err));
    OK(run_checked(runner, graph, "race", &found));
    pto_graph_destroy(graph);
}

static void test_races(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    uint64_t tensor = allocate_filled(runner, 256);
    for (size_t i = 0; i < ACCESS_COUNT; i++) {
        for (size_t k = 0; k < ACCESS_COUNT; k++) {
            try_race(runner, tensor, &accesses[i], &accesses[k]);
        }
    }
    pto_runner_destroy(runner);
}

static void test_shared_lines(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    struct found found;
    uint64_t tensor = allocate_filled(runner, 256);
    const struct {
        enum touch first;
        enum touch second;
        int64_t first_at;
        int64_t second_at;
        int finds;
    } cases[] = {
        {TOUCH_WRITE_4, TOUCH_WRITE_4, 0, 60, 1},    {TOUCH_WRITE_4, TOUCH_WRITE_4, 0, 64, 0},
        {TOUCH_WRITE_4, TOUCH_READ_4, 0, 60, 0},     {TOUCH_READ_4, TOUCH_WRITE_4, 0, 60, 0},
        {TOUCH_WRITE_1, TOUCH_WRITE_1, 128, 129, 1}, {TOUCH_MEMSET, TOUCH_WRITE_1, 40, 80, 1},
        {TOUCH_MEMSET, TOUCH_WRITE_1, 40, 128, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pto_graph *graph = new_graph();
        add_touch(graph, tensor, 256, cases[i].first, cases[i].first_at, WIDE);
        add_touch(graph, tensor, 256, cases[i].second, cases[i].second_at, WIDE);
        enum pto_status status = run_checked(runner, graph, "race", &found);
        assert_int_equal(status, cases[i].finds ? PTO_E_CHECK : PTO_OK);
        if (cases[i].finds) {
            assert_int_equal(found.count, 1);
            assert_int_equal(found.items[0].shares_line, 1);
            assert_non_null(strstr(found.items[0].message, "64-byte cache line"));
        }
        OK(pto_graph_add_successor(graph, 0, 1, &err));
        OK(run_checked(runner, graph, "race", &found));
        pto_graph_destroy(graph);
    }
    pto_runner_destroy(runner);
}

// More findings than are kept.
static void test_many_findings(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    struct found found;
    struct pto_graph *graph = new_graph();
    uint64_t tensor = allocate(runner, 64);
    for (uint32_t i = 0; i < 100; i++) {
        add_touch(graph, tensor, 64, TOUCH_READ_8, 0, 0);
    }
    assert_int_equal(run_checked(runner, graph, "all", &found), PTO_E_CHECK);
    assert_int_equal(found.count, 64);
    assert_int_equal(found.remaining, 36);
    assert_non_null(strstr(err.message, "found 100 faults: initcheck"));
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
}

// A hundred thousand tasks on one tensor, each after the one before it; then one edge is missing.
static void test_many_tasks(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    struct found found;
    uint64_t tensor = allocate_filled(runner, 64);
    const uint32_t count = 100000;
    for (uint32_t missing = 0; missing < 2; missing++) {
        struct pto_graph *graph = new_graph();
        for (uint32_t i = 0; i < count; i++) {
            add_touch(graph, tensor, 64, i % 3 == 0 ? TOUCH_MODIFY_4 : TOUCH_READ_4, 8, 0);
            if (i != 0 && !(missing && i == count / 2)) {
                OK(pto_graph_add_successor(graph, i - 1, i, &err));
            }
        }
        enum pto_status status = run_checked(runner, graph, "all", &found);
        assert_int_equal(status, missing ? PTO_E_CHECK : PTO_OK);
        for (uint32_t i = 0; i < found.count; i++) {
            uint32_t a = found.items[i].access.task;
            uint32_t b = found.items[i].other.task;
            assert_true((a < count / 2) != (b < count / 2));
        }
        pto_graph_destroy(graph);
    }
    pto_runner_destroy(runner);
}

static void expect_refusal(struct pto_runner *runner, struct pto_graph *graph, const char *check,
                           enum pto_status expected, const char *text)
{
    struct found found;
    enum pto_status status = run_checked(runner, graph, check, &found);
    if (status != expected || strstr(err.message, text) == NULL) {
        fail_msg("check \"%s\": %s: %s", check, pto_status_name(status), err.message);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct found found;
    struct pto_runner *runner = open_runner();
    struct pto_graph *graph = new_graph();
    expect_refusal(runner, graph, "memroy", PTO_E_ARGUMENT, "'memroy' is no check; there are 'm");
    expect_refusal(runner, graph, "memory,,race", PTO_E_ARGUMENT, "'' is no check");
    expect_refusal(runner, graph, "memory,", PTO_E_ARGUMENT, "'' is no check");
    expect_refusal(runner, graph, "all,stale", PTO_E_BACKEND, "backend=\"explore\"");
    OK(run_checked(runner, graph, "", &found));
    OK(run_checked(runner, graph, " memory , race ", &found));
    // Options of a caller who was compiled before there were checks.
    struct pto_run_options options = {
        .size = offsetof(struct pto_run_options, check), .scheduler_count = 1, .check = "nonsense"};
    OK(pto_runner_run(runner, graph, &options, &err));
    options.size = sizeof(options) - 1;
    assert_int_equal(pto_runner_run(runner, graph, &options, &err), PTO_E_ARGUMENT);
    pto_runner_destroy(runner);

    // PTO_CHECK holds for runs that say nothing, and is read by init.
    setenv("PTO_CHECK", "init,rice", 1);
    runner = open_runner();
    unsetenv("PTO_CHECK");
    expect_refusal(runner, graph, NULL, PTO_E_ARGUMENT, "PTO_CHECK is 'init,rice', and 'rice'");
    OK(run_checked(runner, graph, "", &found));
    pto_runner_destroy(runner);

    runner = open_on("explore", PTO_TEST_FAULTY);
    OK(run_checked(runner, graph, "memory,init,race,stale", &found));
    expect_refusal(runner, graph, "every", PTO_E_ARGUMENT, "'every' is no check");
    pto_runner_destroy(runner);
    pto_graph_destroy(graph);
}

// A program without the build for checks beside it: said, and the runner goes on without.
static void test_missing_program(void **state)
{
    (void)state;
    struct found found;
    char folder[] = "/tmp/pto_check_XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/kernel.o", folder);
    assert_int_equal(symlink(PTO_TEST_FAULTY, path), 0);
    struct pto_runner *runner = open_on("sim", path);
    unlink(path);
    rmdir(folder);
    struct pto_graph *graph = new_graph();
    uint64_t tensor = allocate_filled(runner, 64);
    add_touch(graph, tensor, 64, TOUCH_READ_8, 0, 0);
    expect_refusal(runner, graph, "all", PTO_E_FILE, "kernel_check.o");
    expect_refusal(runner, graph, "all", PTO_E_FILE, "pto_add_kernels()");
    OK(run_checked(runner, graph, "", &found));
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),         cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_use_after_free), cmocka_unit_test(test_negative_size),
        cmocka_unit_test(test_unwritten),      cmocka_unit_test(test_unchecked_runs),
        cmocka_unit_test(test_races),          cmocka_unit_test(test_shared_lines),
        cmocka_unit_test(test_many_findings),  cmocka_unit_test(test_many_tasks),
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_missing_program),
    };
    unsetenv("PTO_CHECK");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
