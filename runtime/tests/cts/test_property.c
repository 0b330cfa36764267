// SPDX-License-Identifier: Apache-2.0
// Random graphs of up to 5,000 tasks and 20,000 edges, on 1 to 72 cores, with 1 to 4 scheduler
// threads and 1 to 4 simulator lanes: in every run each task runs exactly once, and after all of
// its predecessors. Between the runs arguments change, and tasks of random length are among them,
// so that several lanes take part.
//
// PTO_TEST_SEED sets the seed and PTO_TEST_CASES the number of graphs; a failure names the seed of
// its graph, which PTO_TEST_CASES=1 runs alone.
#include "tests/cts/cts.h"

#define TASK_MAX 5000u
#define EDGE_MAX 20000u
#define RUN_COUNT 4u
#define SLEEP_NS_MAX 30000u

enum kind { KIND_ORDER, KIND_FOLLOW, KIND_SLEEP };

struct task {
    enum kind kind;
    uint32_t before;      // KIND_FOLLOW: a predecessor
    int is_followed;      // so its slot must stay
    uint32_t slot;        // 0 or 1: which of its two places it writes
    uint32_t expected[2]; // how often it has run with each
    uint32_t latest;      // the latest stamp among all tasks before it
};

struct edge {
    uint32_t from;
    uint32_t to;
};

// The kernel `order` and its relatives write two words: a count and a stamp.
struct place {
    uint32_t count;
    uint32_t stamp;
};

static struct {
    uint64_t seed;
    uint64_t random;
    uint32_t task_count;
    uint32_t edge_count;
    uint32_t stamped_count; // tasks that are no KIND_SLEEP
    struct task tasks[TASK_MAX];
    struct edge edges[EDGE_MAX]; // ascending `from`
    struct pto_runner *runner;
    struct pto_graph *graph;
    uint64_t clock;  // device word
    uint64_t places; // device: struct place[task_count][2]
} world;

#define CHECK(condition, task)                                                          \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fail_msg("line %d: %s, task %u, graph of PTO_TEST_SEED=%" PRIu64, __LINE__, \
                     #condition, (unsigned)(task), world.seed);                         \
        }                                                                               \
    } while (0)

static uint32_t below(uint32_t bound)
{
    return test_below(&world.random, bound);
}

static int compare_edges(const void *a, const void *b)
{
    uint32_t left = ((const struct edge *)a)->from;
    uint32_t right = ((const struct edge *)b)->from;
    return left < right ? -1 : left > right;
}

// Edges lead from lower to higher tasks, at most `reach` far; some are there twice.
static void choose_edges(void)
{
    uint32_t count = world.task_count;
    uint32_t reach = 1 + below(below(2) == 0 ? 10 : count);
    uint32_t most = count * 5 < EDGE_MAX ? count * 5 : EDGE_MAX;
    world.edge_count = count < 2 ? 0 : below(most + 1);
    for (uint32_t i = 0; i < world.edge_count; i++) {
        uint32_t from = below(count - 1);
        uint32_t room = count - 1 - from;
        world.edges[i] =
            (struct edge){.from = from, .to = from + 1 + below(room < reach ? room : reach)};
    }
    qsort(world.edges, world.edge_count, sizeof(world.edges[0]), compare_edges);
}

static void choose_kinds(void)
{
    uint32_t sleep_rarity = 8 + below(200);
    world.stamped_count = 0;
    for (uint32_t i = 0; i < world.task_count; i++) {
        world.tasks[i] = (struct task){.kind = below(sleep_rarity) == 0 ? KIND_SLEEP : KIND_ORDER};
        world.stamped_count += world.tasks[i].kind != KIND_SLEEP;
    }
    for (uint32_t i = 0; i < world.edge_count; i++) {
        struct task *from = &world.tasks[world.edges[i].from];
        struct task *to = &world.tasks[world.edges[i].to];
        if (from->kind != KIND_SLEEP && to->kind == KIND_ORDER && below(3) == 0) {
            to->kind = KIND_FOLLOW;
            to->before = world.edges[i].from;
            from->is_followed = 1;
        }
    }
}

static uint64_t place_of(uint32_t task)
{
    return world.places + (2 * (uint64_t)task + world.tasks[task].slot) * sizeof(struct place);
}

// The arguments of a task as it stands. Returns their number.
static uint32_t fill_args(uint32_t task, uint64_t args[5])
{
    const struct task *description = &world.tasks[task];
    uint32_t count = 0;
    if (description->kind == KIND_SLEEP) {
        args[count++] = below(SLEEP_NS_MAX);
        return count;
    }
    if (description->kind == KIND_FOLLOW) {
        args[count++] = place_of(description->before);
    }
    args[count++] = world.clock;
    args[count++] = place_of(task);
    args[count++] = 1;
    args[count++] = 2;
    return count;
}

static void build(void)
{
    static const uint32_t func_ids[] = {CTS_ORDER, CTS_FOLLOW, CTS_SLEEP};
    world.graph = cts_graph();
    for (uint32_t i = 0; i < world.task_count; i++) {
        uint64_t args[5];
        uint32_t arg_count = fill_args(i, args);
        assert_int_equal(cts_add(world.graph, func_ids[world.tasks[i].kind], args, arg_count), i);
    }
    for (uint32_t i = 0; i < world.edge_count; i++) {
        cts_edge(world.graph, world.edges[i].from, world.edges[i].to);
    }
}

// Sends some of the tasks that nobody follows to their other place, and changes some lengths.
static void change_args(void)
{
    for (uint32_t i = below(1 + world.task_count / 4); i != 0; i--) {
        uint32_t task = below(world.task_count);
        struct task *description = &world.tasks[task];
        if (description->kind == KIND_FOLLOW || description->is_followed) {
            continue;
        }
        uint64_t args[5];
        description->slot = 1 - description->slot;
        uint32_t arg_count = fill_args(task, args);
        CTS_OK(pto_graph_set_args(world.graph, task, args, arg_count, &cts_error));
    }
}

static void check_run(uint32_t run, struct place (*places)[2], uint8_t *seen)
{
    uint32_t first = (run - 1) * world.stamped_count;
    memset(seen, 0, world.task_count);
    for (uint32_t i = 0; i < world.task_count; i++) {
        struct task *task = &world.tasks[i];
        task->latest = first;
        if (task->kind == KIND_SLEEP) {
            continue;
        }
        task->expected[task->slot]++;
        CHECK(places[i][0].count == task->expected[0], i);
        CHECK(places[i][1].count == task->expected[1], i);
        uint32_t stamp = places[i][task->slot].stamp;
        CHECK(stamp > first && stamp <= first + world.stamped_count, i);
        CHECK(seen[stamp - first - 1] == 0, i);
        seen[stamp - first - 1] = 1;
    }
    // In ascending `from`, so what stands before a task is known when its own edges come.
    for (uint32_t i = 0; i < world.edge_count; i++) {
        const struct task *from = &world.tasks[world.edges[i].from];
        struct task *to = &world.tasks[world.edges[i].to];
        uint32_t stamp =
            from->kind == KIND_SLEEP ? from->latest : places[world.edges[i].from][from->slot].stamp;
        to->latest = stamp > to->latest ? stamp : to->latest;
    }
    for (uint32_t i = 0; i < world.task_count; i++) {
        const struct task *task = &world.tasks[i];
        CHECK(task->kind == KIND_SLEEP || places[i][task->slot].stamp > task->latest, i);
    }
}

static void run_one_graph(const struct cts_backend *backend, uint64_t seed)
{
    world.seed = seed;
    world.random = seed;
    char lanes[8];
    snprintf(lanes, sizeof(lanes), "%u", (unsigned)(1 + below(4)));
    setenv("PTO_SIM_LANES", lanes, 1);
    world.task_count = 1 + below(below(4) == 0 ? TASK_MAX : 300);
    choose_edges();
    choose_kinds();
    world.runner = cts_open_test(backend, 1 + below(below(2) == 0 ? 72 : 4));
    uint64_t size = world.task_count * sizeof(struct place[2]);
    world.clock = cts_allocate_zero(world.runner, sizeof(uint32_t));
    world.places = cts_allocate_zero(world.runner, size);
    build();
    struct place(*places)[2] = malloc(size);
    uint8_t *seen = malloc(world.task_count);
    assert_true(places != NULL && seen != NULL);
    for (uint32_t run = 1; run <= RUN_COUNT; run++) {
        struct pto_run_options options = cts_options(1 + below(4));
        if (pto_runner_run(world.runner, world.graph, &options, &cts_error) != PTO_OK) {
            fail_msg("%s\n  graph of PTO_TEST_SEED=%" PRIu64, cts_error.message, seed);
        }
        cts_read(world.runner, places, world.places, size);
        check_run(run, places, seen);
        change_args();
    }
    free(seen);
    free(places);
    pto_graph_destroy(world.graph);
    cts_close(world.runner);
    unsetenv("PTO_SIM_LANES");
}

static void random_graphs(const struct cts_backend *backend)
{
    uint64_t seed = test_seed();
    uint64_t count = test_cases(100);
    for (uint64_t i = 0; i < count; i++) {
        run_one_graph(backend, seed + i);
    }
}

static const struct cts_case cases[] = {CTS_CASE(random_graphs)};

CTS_MAIN(cases)
