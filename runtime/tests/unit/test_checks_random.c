// SPDX-License-Identifier: Apache-2.0
// The checks beside a naive oracle: random graphs whose tasks touch random bytes. The oracle knows
// every byte that each task reads and writes, and which tasks the edges order.
#include "checks.h"

#include "seed.h"

#define TASK_MAX 10u
#define TENSOR_MAX 4u
#define BYTES_MAX 300u
#define STEP_COUNT SCRIPT_STEP_COUNT
#define LINE 64u

struct world {
    uint32_t task_count;
    uint32_t tensor_count;
    uint32_t sizes[TENSOR_MAX];
    uint64_t pointers[TENSOR_MAX];
    uint8_t host[TENSOR_MAX][BYTES_MAX]; // 1: the host wrote it
    uint8_t before[TASK_MAX][TASK_MAX];
    uint8_t reads[TASK_MAX][TENSOR_MAX][BYTES_MAX];
    uint8_t writes[TASK_MAX][TENSOR_MAX][BYTES_MAX];
    // 1: read when the task itself had not written it.
    uint8_t needs[TASK_MAX][TENSOR_MAX][BYTES_MAX];
};

static void add_script(struct world *world, struct pto_graph *graph, uint32_t task,
                       uint64_t *random)
{
    uint64_t args[6 + STEP_COUNT];
    uint32_t tensors[3];
    for (uint32_t i = 0; i < 3; i++) {
        tensors[i] = test_below(random, world->tensor_count);
        args[i] = world->pointers[tensors[i]];
        args[3 + i] = world->sizes[tensors[i]];
    }
    for (uint32_t i = 0; i < STEP_COUNT; i++) {
        uint32_t which = test_below(random, 3);
        uint32_t tensor = tensors[which];
        uint32_t offset = test_below(random, world->sizes[tensor]);
        uint32_t size = test_below(random, world->sizes[tensor] - offset + 1);
        if (test_below(random, 2) != 0 && size > 8) {
            size = 1 + test_below(random, 8);
        }
        uint32_t writes = test_below(random, 3) == 0;
        args[6 + i] = SCRIPT_STEP(which, writes, test_below(random, 2), offset, size);
        for (uint32_t byte = offset; byte < offset + size; byte++) {
            if (writes) {
                world->writes[task][tensor][byte] = 1;
            } else {
                world->reads[task][tensor][byte] = 1;
                world->needs[task][tensor][byte] |= !world->writes[task][tensor][byte];
            }
        }
    }
    uint32_t number;
    OK(pto_graph_add_task(graph, args, 6 + STEP_COUNT, FUNC_SCRIPT, &number, &err));
    assert_int_equal(number, task);
}

static void make_world(struct world *world, struct pto_runner *runner, struct pto_graph *graph,
                       uint64_t *random)
{
    memset(world, 0, sizeof(*world));
    world->task_count = 1 + test_below(random, TASK_MAX);
    world->tensor_count = 1 + test_below(random, TENSOR_MAX);
    for (uint32_t i = 0; i < world->tensor_count; i++) {
        world->sizes[i] = 1 + test_below(random, BYTES_MAX);
        world->pointers[i] = allocate(runner, world->sizes[i]);
        for (uint32_t copies = test_below(random, 4); copies > 0; copies--) {
            uint32_t begin = test_below(random, world->sizes[i]);
            uint32_t end = begin + 1 + test_below(random, world->sizes[i] - begin);
            fill(runner, world->pointers[i], begin, end);
            memset(&world->host[i][begin], 1, end - begin);
        }
    }
    for (uint32_t i = 0; i < world->task_count; i++) {
        add_script(world, graph, i, random);
    }
    uint32_t density = 1 + test_below(random, 4);
    for (uint32_t to = 1; to < world->task_count; to++) {
        for (uint32_t from = 0; from < to; from++) {
            if (test_below(random, 4) >= density) {
                continue;
            }
            OK(pto_graph_add_successor(graph, from, to, &err));
            world->before[from][to] = 1;
            for (uint32_t i = 0; i < from; i++) {
                world->before[i][to] |= world->before[i][from];
            }
        }
    }
}

static int are_ordered(const struct world *world, uint32_t a, uint32_t b)
{
    return a == b || world->before[a][b] || world->before[b][a];
}

static int meet_in_byte(const struct world *world, uint32_t a, uint32_t b, uint32_t tensor,
                        uint32_t byte)
{
    return (world->writes[a][tensor][byte] &&
            (world->writes[b][tensor][byte] || world->reads[b][tensor][byte])) ||
           (world->writes[b][tensor][byte] && world->reads[a][tensor][byte]);
}

// Whether two tasks race for a byte of a tensor, or else, with `lines`, write into one line.
static int race(const struct world *world, uint32_t a, uint32_t b, uint32_t tensor, int lines)
{
    uint32_t last[2] = {UINT32_MAX, UINT32_MAX}; // lines that each has written
    if (are_ordered(world, a, b)) {
        return 0;
    }
    for (uint32_t byte = 0; byte < world->sizes[tensor]; byte++) {
        if (!lines && meet_in_byte(world, a, b, tensor, byte)) {
            return 1;
        }
        last[0] = world->writes[a][tensor][byte] ? byte / LINE : last[0];
        last[1] = world->writes[b][tensor][byte] ? byte / LINE : last[1];
        if (lines && last[0] == byte / LINE && last[1] == byte / LINE) {
            return 1;
        }
    }
    return 0;
}

// What is known of a byte that a task reads: somebody wrote it before for sure, or surely nobody.
static int is_surely_written(const struct world *world, uint32_t task, uint32_t tensor,
                             uint32_t byte)
{
    int written = world->host[tensor][byte];
    for (uint32_t i = 0; i < world->task_count; i++) {
        written |= world->before[i][task] && world->writes[i][tensor][byte];
    }
    return written;
}

static int is_surely_unwritten(const struct world *world, uint32_t task, uint32_t tensor,
                               uint32_t byte)
{
    int written = world->host[tensor][byte];
    for (uint32_t i = 0; i < world->task_count; i++) {
        written |= i != task && !world->before[task][i] && world->writes[i][tensor][byte];
    }
    return !written;
}

static uint32_t tensor_of(const struct world *world, uint64_t pointer)
{
    uint32_t tensor = 0;
    while (world->pointers[tensor] != pointer) {
        tensor++;
        assert_true(tensor < world->tensor_count);
    }
    return tensor;
}

// Each finding is real.
static void check_finding(const struct world *world, const struct pto_check_finding *finding)
{
    uint32_t tensor = tensor_of(world, finding->tensor);
    uint32_t task = finding->access.task;
    assert_int_equal(finding->tensor_bytes, world->sizes[tensor]);
    assert_true(finding->access.begin >= 0 && finding->access.begin < finding->access.end &&
                finding->access.end <= (int64_t)world->sizes[tensor]);
    assert_true(finding->access.arg < 3);
    uint32_t first = (uint32_t)finding->access.begin;
    if (finding->kind == PTO_CHECK_INIT) {
        assert_true(world->needs[task][tensor][first]);
        assert_false(is_surely_written(world, task, tensor, first));
        return;
    }
    assert_int_equal(finding->kind, PTO_CHECK_RACE);
    uint32_t other = finding->other.task;
    assert_true(race(world, task, other, tensor, finding->shares_line != 0));
    if (finding->shares_line == 0) {
        assert_true(meet_in_byte(world, task, other, tensor, first));
        assert_int_equal(finding->other.begin, finding->access.begin);
    } else {
        assert_true(world->writes[task][tensor][first]);
        assert_true(world->writes[other][tensor][finding->other.begin]);
    }
}

// Some finding of this kind about the tensor; of this task, unless it is TASK_MAX.
static int is_found(const struct world *world, const struct found *found, uint32_t kind,
                    uint32_t tensor, uint32_t task)
{
    for (uint32_t i = 0; i < found->count; i++) {
        const struct pto_check_finding *finding = &found->items[i];
        if (finding->kind == kind && finding->tensor == world->pointers[tensor] &&
            (task == TASK_MAX || finding->access.task == task)) {
            return 1;
        }
    }
    return 0;
}

// Nothing is left out: a tensor that tasks race for has a finding, whatever else is wrong.
static void check_complete(const struct world *world, const struct found *found)
{
    for (uint32_t tensor = 0; tensor < world->tensor_count; tensor++) {
        int races = 0;
        for (uint32_t a = 0; a < world->task_count; a++) {
            for (uint32_t b = a + 1; b < world->task_count; b++) {
                races |= race(world, a, b, tensor, 0) || race(world, a, b, tensor, 1);
            }
            int garbage = 0;
            for (uint32_t byte = 0; byte < world->sizes[tensor]; byte++) {
                garbage |=
                    world->needs[a][tensor][byte] && is_surely_unwritten(world, a, tensor, byte);
            }
            assert_true(!garbage || is_found(world, found, PTO_CHECK_INIT, tensor, a));
        }
        assert_int_equal(races, is_found(world, found, PTO_CHECK_RACE, tensor, TASK_MAX));
    }
}

static void try_world(struct pto_runner *runner, uint64_t seed)
{
    static struct world world;
    struct found found;
    uint64_t random = seed;
    struct pto_graph *graph = new_graph();
    make_world(&world, runner, graph, &random);
    enum pto_status status = run_checked(runner, graph, "all", &found);
    assert_true(status == PTO_OK || status == PTO_E_CHECK);
    if (found.remaining == 0) {
        check_complete(&world, &found);
    }
    for (uint32_t i = 0; i < found.count; i++) {
        check_finding(&world, &found.items[i]);
    }
    pto_graph_destroy(graph);
    for (uint32_t i = 0; i < world.tensor_count; i++) {
        OK(pto_runner_free(runner, world.pointers[i], &err));
    }
}

static void test_worlds(void **state)
{
    (void)state;
    need_instrumented_kernels();
    struct pto_runner *runner = open_runner();
    uint64_t cases = test_cases(3000);
    for (uint64_t i = 0; i < cases; i++) {
        uint64_t seed = test_seed() + i;
        char text[32];
        snprintf(text, sizeof(text), "%" PRIu64, seed);
        setenv("PTO_TEST_LAST_SEED", text, 1); // for a debugger, and whoever reads a core file
        try_world(runner, seed);
    }
    pto_runner_destroy(runner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_worlds)};
    unsetenv("PTO_CHECK");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
