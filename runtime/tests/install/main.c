// SPDX-License-Identifier: Apache-2.0
// Scales a tensor by two, twice, with a kernel of this project's own, and checks the result.
//
//     use_shared [<backend> <scheduler> <kernels>]     default: the simulator
#include <pto/pto.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT 1000u

static int run(struct pto_runner *runner, struct pto_graph *graph, char **arguments,
               struct pto_error *err)
{
    struct pto_config config = {
        .size = sizeof(config),
        .device_id = 0,
        .core_count = 2,
        .aicpu_so_path = AICPU_PROGRAM,
        .aicore_kernel_path = KERNELS,
        .backend = "sim",
    };
    if (arguments != NULL) {
        config.backend = arguments[1];
        config.aicpu_so_path = arguments[2];
        config.aicore_kernel_path = arguments[3];
    }
    if (pto_runner_init(runner, &config, err) != PTO_OK) {
        return 1;
    }
    float values[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        values[i] = (float)i;
    }
    uint64_t tensor = 0;
    if (pto_runner_allocate(runner, sizeof(values), &tensor, err) != PTO_OK ||
        pto_runner_copy_to_device(runner, tensor, values, sizeof(values), err) != PTO_OK) {
        return 1;
    }
    float factor = 2.0f;
    uint32_t factor_bits;
    memcpy(&factor_bits, &factor, sizeof(factor_bits));
    const uint64_t args[] = {tensor, factor_bits, tensor, COUNT};
    uint32_t first, second;
    if (pto_graph_add_task(graph, args, 4, 7, &first, err) != PTO_OK ||
        pto_graph_add_task(graph, args, 4, 7, &second, err) != PTO_OK ||
        pto_graph_add_successor(graph, first, second, err) != PTO_OK ||
        pto_runner_run(runner, graph, NULL, err) != PTO_OK ||
        pto_runner_copy_from_device(runner, values, tensor, sizeof(values), err) != PTO_OK) {
        return 1;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        if (values[i] != 4.0f * (float)i) {
            snprintf(err->message, sizeof(err->message), "element %" PRIu32 " is %f", i,
                     (double)values[i]);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct pto_error err = {0};
    struct pto_runner *runner = NULL;
    struct pto_graph *graph = NULL;
    int failed = 1;
    if (pto_runner_create(&runner, &err) == PTO_OK && pto_graph_create(&graph, &err) == PTO_OK) {
        failed = run(runner, graph, argc == 4 ? argv : NULL, &err);
    }
    printf("pto_runtime %s: %s\n", pto_version(), failed ? err.message : "correct");
    pto_graph_destroy(graph);
    pto_runner_destroy(runner);
    return failed;
}
