// SPDX-License-Identifier: Apache-2.0
// graph/: random graphs, built by every call there is, against a naive reference: the image,
// cycles, and an image kept up to date by the log of changes.
// The seed is printed; PTO_TEST_SEED in the environment sets it. Needs no linker wraps.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"
#include "tests/unit/graph_test.h"

static uint64_t random_state;

static uint64_t random_word(void)
{
    random_state += 0x9e3779b97f4a7c15u; // splitmix64
    uint64_t word = random_state;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
    return word ^ (word >> 31);
}

static uint32_t random_below(uint32_t bound)
{
    return (uint32_t)(random_word() % bound);
}

enum { TASK_MAX = 5000, EDGE_MAX = 20000 };

// What a graph should be: plain lists, nothing clever.
struct model {
    uint32_t task_count;
    uint32_t edge_count;
    uint32_t func_id[TASK_MAX];
    uint32_t arg_count[TASK_MAX];
    uint64_t first_arg[TASK_MAX]; // argument i is first_arg + i
    struct pto_edge edges[EDGE_MAX];
};

static struct model model;

static void fill_args(uint64_t *args, uint64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        args[i] = first + i;
    }
}

static uint32_t random_arg_count(void)
{
    return random_below(8) == 0 ? random_below(PTO_ARG_COUNT_MAX + 1) : random_below(8);
}

static void model_task(uint32_t task, uint64_t first_arg, uint32_t arg_count)
{
    model.first_arg[task] = first_arg;
    model.arg_count[task] = arg_count;
}

static void add_random_tasks(struct pto_graph *graph, uint32_t count)
{
    static uint64_t args[64 * PTO_ARG_COUNT_MAX];
    while (model.task_count < count) {
        uint32_t rows = random_below(3) == 0 ? random_below(64) : 1;
        rows = rows > count - model.task_count ? count - model.task_count : rows;
        uint32_t arg_count = random_arg_count();
        uint32_t func_id = random_below(PTO_FUNC_ID_MAX + 1);
        uint32_t first = PTO_NO_TASK;
        for (uint32_t row = 0; row < rows; row++) {
            uint64_t value = random_word();
            fill_args(args + (size_t)row * arg_count, value, arg_count);
            model_task(model.task_count + row, value, arg_count);
            model.func_id[model.task_count + row] = func_id;
        }
        enum pto_status status =
            rows == 1 ? pto_graph_add_task(graph, args, arg_count, func_id, &first, NULL)
                      : pto_graph_add_tasks(graph, args, rows, arg_count, func_id, &first, NULL);
        assert_int_equal(status, PTO_OK);
        assert_int_equal(first, model.task_count);
        model.task_count += rows;
    }
}

// Up to `count` edges; `backward_percent` of them may close a cycle.
static void add_random_edges(struct pto_graph *graph, uint32_t count, uint32_t backward_percent)
{
    uint64_t rows[2 * 32];
    uint32_t row_count = 0;
    for (uint32_t i = 0; i < count && model.task_count > 1; i++) {
        uint32_t from = random_below(model.task_count);
        uint32_t to = random_below(model.task_count);
        if (model.edge_count > 0 && random_below(8) == 0) {
            from = model.edges[random_below(model.edge_count)].from;
            to = model.edges[random_below(model.edge_count)].to;
        }
        if (from == to) {
            continue;
        }
        if (from > to && random_below(100) >= backward_percent) {
            uint32_t swapped = from;
            from = to;
            to = swapped;
        }
        model.edges[model.edge_count] = (struct pto_edge){.from = from, .to = to};
        model.edge_count++;
        rows[2 * row_count] = from;
        rows[2 * row_count + 1] = to;
        row_count++;
        if (row_count == 32 || random_below(16) == 0) {
            assert_int_equal(pto_graph_add_successors(graph, rows, row_count, NULL), PTO_OK);
            row_count = 0;
        } else if (row_count == 1 && random_below(2) == 0) {
            assert_int_equal(pto_graph_add_successor(graph, from, to, NULL), PTO_OK);
            row_count = 0;
        }
    }
    assert_int_equal(pto_graph_add_successors(graph, rows, row_count, NULL), PTO_OK);
}

static void set_random_args(struct pto_graph *graph, uint32_t count, int keep_arg_count)
{
    uint64_t args[PTO_ARG_COUNT_MAX];
    for (uint32_t i = 0; i < count && model.task_count > 0; i++) {
        uint32_t task = random_below(model.task_count);
        uint32_t arg_count = keep_arg_count ? model.arg_count[task] : random_arg_count();
        uint64_t value = random_word();
        fill_args(args, value, arg_count);
        model_task(task, value, arg_count);
        assert_int_equal(pto_graph_set_args(graph, task, args, arg_count, NULL), PTO_OK);
    }
}

// Follows each task's edges in the order in which they were added (next[i] is the edge after i with
// the same source), and searches all that came before for a duplicate.
static void assert_image_is_model(const struct pto_image *image)
{
    static uint32_t head[TASK_MAX];
    static uint32_t next[EDGE_MAX];
    static uint32_t predecessor_count[TASK_MAX];
    memset(head, 0xff, sizeof(head));
    memset(predecessor_count, 0, sizeof(predecessor_count));
    for (uint32_t i = model.edge_count; i > 0; i--) {
        next[i - 1] = head[model.edges[i - 1].from];
        head[model.edges[i - 1].from] = i - 1;
    }
    const struct pto_task_record *records = records_of(image);
    const uint32_t *successors = successors_of(image);
    uint32_t edge_count = 0;
    assert_int_equal(image->header->task_count, model.task_count);
    for (uint32_t task = 0; task < model.task_count; task++) {
        assert_int_equal(records[task].successor_begin, edge_count);
        uint32_t begin = edge_count;
        for (uint32_t i = head[task]; i != UINT32_MAX; i = next[i]) {
            uint32_t seen = begin;
            while (seen < edge_count && successors[seen] != model.edges[i].to) {
                seen++;
            }
            if (seen == edge_count) {
                assert_in_range(edge_count + 1, 1, image->header->edge_count);
                assert_int_equal(successors[edge_count], model.edges[i].to);
                predecessor_count[model.edges[i].to]++;
                edge_count++;
            }
        }
        assert_int_equal(records[task].successor_count, edge_count - begin);
    }
    assert_int_equal(image->header->edge_count, edge_count);
    uint32_t ready_count = 0;
    for (uint32_t task = 0; task < model.task_count; task++) {
        uint64_t args[PTO_ARG_COUNT_MAX];
        uint32_t arg_count = model.arg_count[task];
        fill_args(args, model.first_arg[task], arg_count);
        assert_int_equal(records[task].func_id, model.func_id[task]);
        assert_int_equal(records[task].arg_count, arg_count);
        const void *seen = arg_count > PTO_INLINE_ARG_COUNT
                               ? (const void *)(image->bytes + records[task].args[0])
                               : records[task].args;
        assert_memory_equal(seen, args, arg_count * sizeof(*args));
        assert_int_equal(records[task].predecessor_count, predecessor_count[task]);
        if (predecessor_count[task] == 0) {
            assert_int_equal(ready_of(image)[ready_count], task);
            ready_count++;
        }
    }
    assert_int_equal(image->header->ready_count, ready_count);
}

// Whether the model has a cycle, by relaxing longest paths: without one, each is over after as many
// rounds as there are tasks.
static int model_has_cycle(void)
{
    static uint32_t depth[TASK_MAX];
    memset(depth, 0, sizeof(depth));
    for (uint32_t round = 0; round <= model.task_count; round++) {
        int changed = 0;
        for (uint32_t i = 0; i < model.edge_count; i++) {
            uint32_t wanted = depth[model.edges[i].from] + 1;
            if (depth[model.edges[i].to] < wanted) {
                depth[model.edges[i].to] = wanted;
                changed = 1;
                if (wanted >= model.task_count) {
                    return 1;
                }
            }
        }
        if (!changed) {
            return 0;
        }
    }
    return 1;
}

static void assert_is_cycle(const uint32_t *tasks, size_t count)
{
    static uint8_t seen[TASK_MAX];
    memset(seen, 0, sizeof(seen));
    assert_in_range(count, 2, model.task_count);
    for (size_t i = 0; i < count; i++) {
        uint32_t from = tasks[i];
        uint32_t to = tasks[(i + 1) % count];
        assert_in_range(from, tasks[0], model.task_count - 1);
        assert_false(seen[from]);
        seen[from] = 1;
        uint32_t edge = 0;
        while (edge < model.edge_count &&
               (model.edges[edge].from != from || model.edges[edge].to != to)) {
            edge++;
        }
        assert_in_range(edge, 0, model.edge_count - 1);
    }
}

// An old image with the changed records put in must be what compiling anew gives.
static void assert_patch_is_compile(struct pto_graph *graph, struct pto_image *old, uint64_t since)
{
    struct pto_image fresh = compile_good(graph);
    const uint32_t *tasks = NULL;
    size_t count = 0;
    assert_true(pto__graph_changed_args(graph, since, &tasks, &count));
    for (size_t i = 0; i < count; i++) {
        struct pto_task_view view;
        assert_int_equal(pto_graph_get_task(graph, tasks[i], &view, NULL), PTO_OK);
        struct pto_task_record *record = &records_of(old)[tasks[i]];
        void *place = view.arg_count > PTO_INLINE_ARG_COUNT ? (void *)(old->bytes + record->args[0])
                                                            : record->args;
        memcpy(place, view.args, view.arg_count * sizeof(*view.args));
    }
    assert_int_equal(old->size_bytes, fresh.size_bytes);
    assert_memory_equal(old->bytes, fresh.bytes, fresh.size_bytes);
    pto__image_free(&fresh);
}

static void check_random_graph(uint32_t task_count, uint32_t edge_count, uint32_t backward_percent)
{
    static uint32_t cycle[TASK_MAX];
    model.task_count = 0;
    model.edge_count = 0;
    struct pto_graph *graph = create_graph_of(0);
    add_random_tasks(graph, task_count / 2);
    add_random_edges(graph, edge_count / 2, backward_percent);
    set_random_args(graph, task_count / 4, 0);
    add_random_tasks(graph, task_count);
    add_random_edges(graph, edge_count - edge_count / 2, backward_percent);
    set_random_args(graph, task_count / 2, 0);
    assert_true(pto__graph_is_valid(graph));
    assert_int_equal(pto_graph_edge_count(graph), model.edge_count);

    size_t count = 0;
    assert_int_equal(pto_graph_find_cycle(graph, cycle, TASK_MAX, &count, NULL), PTO_OK);
    assert_int_equal(count > 0, model_has_cycle());
    if (count > 0) {
        struct pto_image image;
        struct pto_error err;
        assert_is_cycle(cycle, count);
        assert_int_equal(pto_graph_validate(graph, &err), PTO_E_CYCLE);
        assert_int_equal(err.task, cycle[0]);
        assert_int_equal(compile(graph, &image, &err), PTO_E_CYCLE);
    } else {
        assert_int_equal(pto_graph_validate(graph, NULL), PTO_OK);
        struct pto_image image = compile_good(graph);
        assert_image_is_model(&image);
        struct pto_graph_version version = pto__graph_version(graph);
        set_random_args(graph, random_below(512), 1);
        assert_int_equal(pto__graph_version(graph).structure, version.structure);
        assert_patch_is_compile(graph, &image, version.args);
        assert_image_is_model(&image);
        pto__image_free(&image);
    }
    pto_graph_destroy(graph);
}

static void test_random_graphs(void **state)
{
    (void)state;
    static const uint32_t backward_percents[] = {0, 1, 10, 100};
    const char *given = getenv("PTO_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 1;
    print_message("PTO_TEST_SEED=%llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 400; round++) {
        random_state = seed * 1000003 + round;
        // Small graphs reach the corners, large ones the limits.
        uint32_t task_max = round % 20 == 0 ? TASK_MAX : 1 + random_below(60);
        uint32_t edge_max = round % 20 == 0 ? EDGE_MAX : 4 * task_max;
        check_random_graph(random_below(task_max + 1), random_below(edge_max + 1),
                           backward_percents[random_below(4)]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
