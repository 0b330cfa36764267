// SPDX-License-Identifier: Apache-2.0
// Host memory runs out at each allocation of a run with checks in turn: the run says so, the runner
// stays ready, and the same run finds what there is once there is memory. Nothing leaks.
#include "checks.h"
#include "failing_memory.h"

// A race and a read of garbage. Returns how often it failed before it found both.
static uint32_t find_both(struct pto_runner *runner, struct pto_graph *graph)
{
    struct found found;
    for (uint32_t failures = 0;; failures++) {
        assert_true(failures < 100);
        allocations_left = failures;
        enum pto_status status = run_checked(runner, graph, "all", &found);
        allocations_left = -1;
        struct pto_runner_info info;
        pto_runner_get_info(runner, &info);
        assert_int_equal(info.state, PTO_RUNNER_READY);
        if (status == PTO_E_CHECK && found.count == 2) {
            assert_true(found.items[0].kind != found.items[1].kind);
            return failures;
        }
        // Findings made before memory ran out are told.
        assert_true(status == PTO_E_NO_MEMORY || status == PTO_E_CHECK);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    need_instrumented_kernels();
    for (uint32_t round = 0; round < 2; round++) {
        // The first checked run opens a device; a later one prepares the launch alone.
        long live_before = live_count;
        struct pto_runner *runner = open_runner();
        struct pto_graph *graph = new_graph();
        uint64_t tensor = allocate(runner, 200);
        fill(runner, tensor, 0, 100);
        add_touch(graph, tensor, 200, TOUCH_WRITE_4, 0, 0);
        add_touch(graph, tensor, 200, TOUCH_READ_4, 0, 0);
        add_touch(graph, tensor, 200, TOUCH_READ_4, 128, 0);
        if (round == 1) {
            struct found found;
            assert_int_equal(run_checked(runner, graph, "all", &found), PTO_E_CHECK);
            // So that the image, the order and the shadow are made again.
            uint64_t other = allocate_filled(runner, 100);
            add_touch(graph, other, 100, TOUCH_WRITE_4, 0, 0);
        }
        assert_true(find_both(runner, graph) > 3);
        assert_true(find_both(runner, graph) > 0);
        pto_graph_destroy(graph);
        pto_runner_destroy(runner);
        assert_int_equal(live_count, live_before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_out_of_memory)};
    unsetenv("PTO_CHECK");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
