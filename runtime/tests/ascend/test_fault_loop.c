// SPDX-License-Identifier: Apache-2.0
// Every call of CANN fails once, in every way: the n-th call of a whole use of a device, for every
// n. The status is the right one, nothing stays behind, and the next use works.
#include "tests/ascend/standin.h"

#define FLOATS UINT64_C(300000) // two stages of a copy, and a block that is not pooled
#if defined(PTO_TEST_TSAN)
#define STEP 13u // a use takes a second
#elif defined(PTO_TEST_ASAN)
#define STEP 3u
#else
#define STEP 1u
#endif

static struct standin standin;

// What a program does with a device, up to the first failure, which is returned. The results are
// checked when there is none.
static enum pto_status use_device(struct pto_runner *runner, const struct pto_config *config,
                                  struct pto_error *err)
{
    static float host[FLOATS];
    uint64_t blocks[3] = {0};
    struct pto_graph *graph = cts_graph();
    enum pto_status status = pto_runner_init(runner, config, err);
    for (int i = 0; i < 3 && status == PTO_OK; i++) {
        status = pto_runner_allocate(runner, i == 2 ? 64 : sizeof(host), &blocks[i], err);
    }
    for (uint64_t i = 0; i < FLOATS; i++) {
        host[i] = (float)(i % 1000);
    }
    if (status == PTO_OK) {
        status = pto_runner_copy_to_device(runner, blocks[0], host, sizeof(host), err);
    }
    if (status == PTO_OK) {
        const uint64_t double_it[4] = {blocks[0], blocks[0], blocks[1], FLOATS};
        const uint64_t add_one[4] = {blocks[1], cts_float(1.0f), blocks[1], FLOATS};
        cts_edge(graph, cts_add(graph, CTS_ADD, double_it, 4),
                 cts_add(graph, CTS_ADD_SCALAR, add_one, 4));
        status = pto_runner_run(runner, graph, NULL, err);
    }
    memset(host, 0, sizeof(host));
    if (status == PTO_OK) {
        status = pto_runner_copy_from_device(runner, host, blocks[1], sizeof(host), err);
    }
    for (uint64_t i = 0; i < FLOATS && status == PTO_OK; i++) {
        assert_true(host[i] == (float)(i % 1000 * 2 + 1));
    }
    if (status == PTO_OK) {
        status = pto_runner_free(runner, blocks[0], err);
    }
    size_t count;
    struct pto_core_result cores[8];
    if (status == PTO_OK) {
        status = pto_runner_handshake_results(runner, cores, 8, &count, err);
    }
    enum pto_status final = pto_runner_finalize(runner, NULL, NULL);
    assert_int_equal(final, PTO_OK);
    pto_graph_destroy(graph);
    return status;
}

static int is_right(enum pto_status status, int32_t code, const struct pto_error *err)
{
    switch (status) {
    case PTO_OK: return 1; // tolerated: the work was done all the same
    case PTO_E_NO_MEMORY: return code == 207001;
    case PTO_E_DEVICE: return err->vendor_code != 0 && strstr(err->message, "Hint: ") != NULL;
    case PTO_E_FAULT: return code == 507015;
    case PTO_E_TIMEOUT: return code == 0;
    default: return 0;
    }
}

// Uses the device with the n-th call or job failing.
static void try_one(struct pto_runner *runner, const struct pto_config *config,
                    enum fake_cann_fault fault, uint64_t n, int32_t code)
{
    struct pto_error err = {0};
    struct fake_cann_stats before = standin_stats(&standin);
    standin.inject(fault, n, code);
    if (fault == FAKE_CANN_HANG) {
        setenv("FAKE_CANN_CLOCK", "5", 1); // CANN's time limits end sooner
    } else if (fault == FAKE_CANN_STALL) {
        setenv("PTO_ASCEND_CALL_LIMIT_MS", "40", 1);
    }
    enum pto_status status = use_device(runner, config, &err);
    unsetenv("FAKE_CANN_CLOCK");
    unsetenv("PTO_ASCEND_CALL_LIMIT_MS");
    const char *hit = standin.hit();
    standin.inject(FAKE_CANN_NONE, 0, 0);
    if (!is_right(status, code, &err)) {
        fail_msg("code %d at call %u (%s) gave %s: %s", (int)code, (unsigned)n,
                 hit != NULL ? hit : "none", pto_status_name(status), err.message);
    }
    if (hit == NULL) {
        return; // a wait took fewer turns
    }
    if (fault == FAKE_CANN_STALL) {
        // What hung while a device was opened or closed is reset by the next use. Here it goes on
        // while that takes place.
        CTS_OK(use_device(runner, config, &cts_error));
    }
    struct fake_cann_stats after = standin_stats(&standin);
    // A program that CANN does not unload goes with the device.
    uint64_t unloading =
        strcmp(hit, "rtDevBinaryUnRegister") == 0 || strcmp(hit, "aclrtBinaryUnLoad") == 0;
    if (after.device_blocks != 0 || after.streams != 0 || after.binaries != 0 ||
        after.device_uses != 0 ||
        (fault != FAKE_CANN_STALL && after.pinned_blocks != before.pinned_blocks) ||
        after.leaked > before.leaked + unloading) {
        fail_msg("code %d at call %u (%s) left %u blocks, %u pinned, %u streams, %u programs, %u "
                 "uses behind, %u found by a reset",
                 (int)code, (unsigned)n, hit, (unsigned)after.device_blocks,
                 (unsigned)after.pinned_blocks, (unsigned)after.streams, (unsigned)after.binaries,
                 (unsigned)after.device_uses, (unsigned)(after.leaked - before.leaked));
    }
    status = use_device(runner, config, &err);
    if (status != PTO_OK) {
        fail_msg("after code %d at call %u (%s), a retry gave %s: %s", (int)code, (unsigned)n, hit,
                 pto_status_name(status), err.message);
    }
}

static void loop(enum fake_cann_fault fault, int32_t code, uint64_t timeout_ns)
{
    const struct cts_backend backend = {.name = "ascend"};
    struct pto_config config = cts_config(&backend, 5);
    struct pto_runner *runner = NULL;
    config.timeout_ns = timeout_ns;
    CTS_OK(pto_runner_create(&runner, &cts_error));
    standin.inject(FAKE_CANN_NONE, 0, 0);
    CTS_OK(use_device(runner, &config, &cts_error));
    struct fake_cann_stats clean = standin_stats(&standin);
    uint64_t count = fault == FAKE_CANN_HANG ? clean.jobs : clean.calls;
    assert_true(count > 10);
    // Most calls are seen by the first variant already.
    uint64_t step = fault == FAKE_CANN_STALL && !standin_is("v85") ? 3 * STEP : STEP;
    for (uint64_t n = 1; n <= count; n += step) {
        try_one(runner, &config, fault, n, code);
    }
    pto_runner_destroy(runner);
}

static void usage_errors(void **state)
{
    (void)state;
    loop(FAKE_CANN_FAIL, 107000, 5000 * CTS_MS);
}

static void no_memory(void **state)
{
    (void)state;
    loop(FAKE_CANN_FAIL, 207001, 5000 * CTS_MS);
}

static void core_exceptions(void **state)
{
    (void)state;
    loop(FAKE_CANN_FAIL, 507015, 5000 * CTS_MS);
}

static void driver_errors(void **state)
{
    (void)state;
    loop(FAKE_CANN_FAIL, 507899, 5000 * CTS_MS);
}

static void dead_device(void **state)
{
    (void)state;
    loop(FAKE_CANN_DIE, 507899, 5000 * CTS_MS);
}

static void hangs(void **state)
{
    (void)state;
    setenv("PTO_ASCEND_RUN_LIMIT_S", "1", 1);
    loop(FAKE_CANN_HANG, 0, 300 * CTS_MS);
    unsetenv("PTO_ASCEND_RUN_LIMIT_S");
}

static void stalls(void **state)
{
    (void)state;
    loop(FAKE_CANN_STALL, 0, 300 * CTS_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_errors),    cmocka_unit_test(no_memory),
        cmocka_unit_test(core_exceptions), cmocka_unit_test(driver_errors),
        cmocka_unit_test(dead_device),     cmocka_unit_test(hangs),
        cmocka_unit_test(stalls),
    };
    standin = standin_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
