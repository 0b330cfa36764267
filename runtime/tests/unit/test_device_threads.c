// SPDX-License-Identifier: Apache-2.0
// The two device programs as on an NPU: loaded from their files, the scheduler entered by the name
// that CANN's loader calls, on threads of its own, every core a thread that steps the worker, and
// no work hints. The launch is made by hand, as a backend makes it.
//
// PTO_TEST_SEED sets the seed, PTO_TEST_CASES the number of graphs.
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "abi/program.h"
#include "tests/device_block.h"
#include "tests/seed.h"

#define TASK_MAX 80u
#define EDGE_MAX 300u
#define CORE_MAX 4u
#define SCHEDULER_MAX 3u

// Kernels of tests/kernels/kernels.c.
#define KERNEL_FAIL 12u
#define KERNEL_NOP 16u
#define KERNEL_ORDER 17u

typedef int entry_function(void *args);

static struct {
    entry_function *init;
    entry_function *serve;
    const struct pto_aicore_program *aicore;
    struct device_graph graph;
    struct device_edge edges[EDGE_MAX];
    uint32_t edge_count;
    uint32_t clock;
    uint32_t places[TASK_MAX][2]; // how often a task ran, and when
    struct device_block *block;
    struct pto_kernel_args args;
    uint64_t seed; // of the graph
} world;

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fail_msg("%s, line %d, graph of PTO_TEST_SEED=%" PRIu64, #condition, __LINE__, \
                     world.seed);                                                          \
        }                                                                                  \
    } while (0)

static void *symbol(const char *path, const char *name)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        fail_msg("%s", dlerror());
    }
    void *address = dlsym(handle, name);
    assert_non_null(address);
    return address;
}

static int load(void **state)
{
    (void)state;
    const char *aicpu = PTO_TEST_AICPU_PROGRAM;
    // A function's address, by way of an object pointer's bytes: POSIX has it, C has no cast.
    void *init = symbol(aicpu, "DynTileFwkBackendKernelServerInit");
    void *serve = symbol(aicpu, "DynTileFwkBackendKernelServer");
    memcpy(&world.init, &init, sizeof(init));
    memcpy(&world.serve, &serve, sizeof(serve));
    world.aicore = symbol(PTO_TEST_KERNELS, PTO_AICORE_PROGRAM_SYMBOL);
    return 0;
}

static void *serve_thread(void *result)
{
    *(int *)result = world.serve(&world.args);
    return NULL;
}

static void *core_thread(void *core)
{
    void *memory = device_lines(world.aicore->state_size);
    uint32_t index = (uint32_t)(uintptr_t)core;
    world.aicore->begin(memory, &world.block->launch, index, PTO_CORE_TYPE_AIV, index);
    enum pto_step step;
    do {
        step = world.aicore->step(memory, 1);
        if (step == PTO_STEP_IDLE) {
            sched_yield(); // there are more cores here than processors
        }
    } while (step != PTO_STEP_LEAVE);
    free(memory);
    return NULL;
}

// Runs the launch that the block describes; asks for its end once `stop_at` tasks have retired. One
// thread too many enters: it must find nothing to do.
static void launch(uint32_t stop_at)
{
    pthread_t schedulers[SCHEDULER_MAX + 1];
    pthread_t cores[CORE_MAX];
    int results[SCHEDULER_MAX + 1];
    uint32_t scheduler_count = world.block->launch.scheduler_count;
    uint32_t core_count = world.block->launch.core_count;
    world.args = (struct pto_kernel_args){.launch = (uint64_t)(uintptr_t)&world.block->launch};
    CHECK(world.init(&world.args) == 0);
    for (uintptr_t i = 0; i < core_count; i++) {
        CHECK(pthread_create(&cores[i], NULL, core_thread, (void *)i) == 0);
    }
    for (uint32_t i = 0; i <= scheduler_count; i++) {
        results[i] = -1;
        CHECK(pthread_create(&schedulers[i], NULL, serve_thread, &results[i]) == 0);
    }
    uint32_t task_count = world.graph.task_count;
    const uint32_t *remaining = &world.block->shared.remaining;
    const uint32_t *status = &world.block->report.status;
    while (stop_at < task_count &&
           task_count - __atomic_load_n(remaining, __ATOMIC_RELAXED) < stop_at &&
           __atomic_load_n(status, __ATOMIC_RELAXED) == PTO_REPORT_NONE) {
        sched_yield();
    }
    if (stop_at < task_count) {
        __atomic_store_n(&world.block->control.stop, 1u, __ATOMIC_RELAXED);
    }
    for (uint32_t i = 0; i <= scheduler_count; i++) {
        pthread_join(schedulers[i], NULL);
        CHECK(results[i] == 0);
    }
    for (uint32_t i = 0; i < core_count; i++) {
        pthread_join(cores[i], NULL);
    }
}

static void make_graph(uint64_t *random)
{
    static uint8_t taken[TASK_MAX][TASK_MAX];
    uint32_t task_count = 1 + test_below(random, TASK_MAX);
    uint32_t wanted = test_below(random, 4 * task_count);
    memset(taken, 0, sizeof(taken));
    world.edge_count = 0;
    for (uint32_t i = 0; i < wanted && i < EDGE_MAX && task_count > 1; i++) {
        uint32_t from = test_below(random, task_count - 1);
        uint32_t to = from + 1 + test_below(random, task_count - 1 - from);
        if (!taken[from][to]) {
            taken[from][to] = 1;
            world.edges[world.edge_count++] = (struct device_edge){.from = from, .to = to};
        }
    }
    device_graph_init(&world.graph, task_count, world.edges, world.edge_count);
    for (uint32_t i = 0; i < task_count; i++) {
        struct pto_task_record *record = &world.graph.records[i];
        record->func_id = KERNEL_ORDER;
        record->arg_count = 4;
        record->args[0] = (uint64_t)(uintptr_t)&world.clock;
        record->args[1] = (uint64_t)(uintptr_t)world.places[i];
        record->args[2] = 1;
        record->args[3] = 2;
    }
}

static void prepare(uint32_t scheduler_count)
{
    world.clock = 0;
    memset(world.places, 0, sizeof(world.places));
    device_block_fill(world.block, &world.graph, scheduler_count, 0);
}

// What ran, ran once and in order.
static void check_order(void)
{
    for (uint32_t i = 0; i < world.graph.task_count; i++) {
        CHECK(world.places[i][0] <= 1);
    }
    for (uint32_t i = 0; i < world.edge_count; i++) {
        const uint32_t *from = world.places[world.edges[i].from];
        const uint32_t *to = world.places[world.edges[i].to];
        CHECK(to[0] == 0 || (from[0] == 1 && from[1] < to[1]));
    }
}

static void check_done(void)
{
    CHECK(world.block->report.status == PTO_REPORT_DONE);
    CHECK(world.block->report.completed == world.graph.task_count);
    CHECK(world.clock == world.graph.task_count);
    check_order();
    for (uint32_t i = 0; i < world.graph.task_count; i++) {
        CHECK(world.graph.pending[i] == world.graph.records[i].predecessor_count);
    }
    for (uint32_t i = 0; i < world.block->launch.core_count; i++) {
        const struct pto_handshake *handshake = &world.block->handshakes[i];
        CHECK(handshake->core.state == PTO_CORE_LEFT);
        CHECK(handshake->core.completed == handshake->dispatch.queued);
    }
}

static void run_with_failure(uint32_t scheduler_count, uint32_t task)
{
    struct pto_task_record saved = world.graph.records[task];
    prepare(scheduler_count);
    world.graph.records[task].func_id = KERNEL_FAIL;
    world.graph.records[task].arg_count = 1;
    world.graph.records[task].args[0] = 1234;
    launch(UINT32_MAX);
    const struct pto_report *report = &world.block->report;
    CHECK(report->status == PTO_REPORT_TASK);
    CHECK(report->task == task && report->func_id == KERNEL_FAIL);
    CHECK(report->fail_kind == PTO_FAIL_RETURN && report->fail_code == 1234);
    CHECK(report->core_state == PTO_CORE_FAILED);
    check_order(); // and so nothing behind the task ran
    world.graph.records[task] = saved;
    device_graph_reset(&world.graph);
}

static void run_one_graph(uint64_t seed)
{
    uint64_t random = seed;
    world.seed = seed;
    make_graph(&random);
    uint32_t core_count = 1 + test_below(&random, CORE_MAX);
    uint32_t scheduler_max = core_count < SCHEDULER_MAX ? core_count : SCHEDULER_MAX;
    world.block = device_block_create(core_count);
    for (int i = 0; i < 2; i++) {
        prepare(1 + test_below(&random, scheduler_max));
        launch(UINT32_MAX);
        check_done();
    }
    run_with_failure(1 + test_below(&random, scheduler_max),
                     test_below(&random, world.graph.task_count));
    prepare(1 + test_below(&random, scheduler_max));
    launch(test_below(&random, world.graph.task_count));
    if (world.block->report.status != PTO_REPORT_DONE) {
        CHECK(world.block->report.status == PTO_REPORT_STOPPED);
        check_order();
        device_graph_reset(&world.graph);
    }
    prepare(1 + test_below(&random, scheduler_max));
    launch(UINT32_MAX);
    check_done();
    free(world.block);
    device_graph_fini(&world.graph);
}

static void test_random_graphs(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint64_t cases = test_cases(30);
    for (uint64_t i = 0; i < cases; i++) {
        run_one_graph(seed + i);
    }
}

static void make_small(uint32_t scheduler_count)
{
    uint64_t random = 3;
    make_graph(&random);
    world.block = device_block_create(3);
    prepare(scheduler_count);
}

static void end_small(void)
{
    free(world.block);
    device_graph_fini(&world.graph);
}

static void test_bad_image(void **state)
{
    (void)state;
    for (uint32_t scheduler_count = 1; scheduler_count <= 3; scheduler_count++) {
        make_small(scheduler_count);
        world.graph.image->magic ^= 0xff;
        launch(UINT32_MAX);
        assert_int_equal(world.block->report.status, PTO_REPORT_LAUNCH);
        assert_int_equal(world.block->report.expected, PTO_IMAGE_MAGIC);
        assert_int_equal(world.block->report.seen, PTO_IMAGE_MAGIC ^ 0xff);
        assert_int_equal(world.clock, 0);
        end_small();

        make_small(scheduler_count);
        world.graph.image->version++;
        launch(UINT32_MAX);
        assert_int_equal(world.block->report.status, PTO_REPORT_LAUNCH);
        assert_int_equal(world.block->report.seen, PTO_ABI_VERSION + 1);
        assert_int_equal(world.clock, 0);
        end_small();
    }
}

// Arguments that are no launch are refused without touching what they point to.
static void test_bad_launch(void **state)
{
    (void)state;
    make_small(1);
    assert_int_equal(world.serve(NULL), 1);
    struct pto_kernel_args args = {.launch = 0};
    assert_int_equal(world.serve(&args), 1);
    args.launch = (uint64_t)(uintptr_t)&world.block->launch;
    world.block->launch.magic++;
    assert_int_equal(world.serve(&args), 1);
    world.block->launch.magic--;
    world.block->launch.version++;
    assert_int_equal(world.serve(&args), 1);
    assert_int_equal(world.block->shared.tickets, 0);
    assert_int_equal(world.block->report.status, PTO_REPORT_NONE);
    end_small();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_bad_image),
        cmocka_unit_test(test_bad_launch),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
