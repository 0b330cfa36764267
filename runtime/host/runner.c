// SPDX-License-Identifier: Apache-2.0
// A runner's life. Its memory is in runner_memory.c, runs are in run.c.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/variable.h"
#include "base/wait.h"
#include "host/run.h"
#include "host/runner.h"

#define TIMEOUT_NS_DEFAULT 10000000000ull
#define TIMEOUT_NS_MIN 1000000ull
#define NS_IN_MS 1000000u
#define TURN_WAIT_NS 50000000u

uintptr_t pto__this_thread(void)
{
    static _Thread_local char place;
    return (uintptr_t)&place;
}

enum pto_status pto_runner_create(struct pto_runner **out_runner, struct pto_error *err)
{
    if (out_runner == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "pto_runner_create: out_runner is NULL");
    }
    *out_runner = NULL;
    struct pto_runner *runner = calloc(1, sizeof(*runner));
    if (runner == NULL) {
        return pto_fail_no_host_memory(err, "a runner", sizeof(*runner));
    }
    pthread_mutex_init(&runner->turn_mutex, NULL);
    pto__wait_init(&runner->turn_over);
    pthread_mutex_init(&runner->ledger_mutex, NULL);
    pthread_rwlock_init(&runner->use_lock, NULL);
    pto__fork_mark_init(&runner->fork_mark);
    *out_runner = runner;
    return PTO_OK;
}

void pto_runner_destroy(struct pto_runner *runner)
{
    if (runner == NULL || atomic_load(&runner->run_thread) == pto__this_thread()) {
        return;
    }
    if (pto__fork_mark_is_child(&runner->fork_mark)) {
        // The threads that the locks and the device belong to are the parent's.
        pto__fork_mark_fini(&runner->fork_mark);
        free(runner);
        return;
    }
    // Closing cannot fail in the process that owns the runner, outside run().
    enum pto_status status = pto_runner_finalize(runner, NULL, NULL);
    assert(status == PTO_OK);
    (void)status;
    pthread_rwlock_destroy(&runner->use_lock);
    pthread_mutex_destroy(&runner->ledger_mutex);
    pthread_cond_destroy(&runner->turn_over);
    pthread_mutex_destroy(&runner->turn_mutex);
    pto__fork_mark_fini(&runner->fork_mark);
    free(runner);
}

// Before any lock: a forked child must not touch one, and the thread inside run() holds some.
enum pto_status pto__runner_enter(const struct pto_runner *runner, const char *operation,
                                  struct pto_error *err)
{
    if (runner == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "%s: the runner is NULL", operation);
    }
    if (pto__fork_mark_is_child(&runner->fork_mark)) {
        return pto_fail(err, PTO_E_FORKED,
                        "%s: this runner belongs to process %ld, and this is its forked child; "
                        "use it in the parent only, or start the child by spawn and make a runner "
                        "there",
                        operation, (long)runner->fork_mark.owner);
    }
    if (atomic_load(&runner->run_thread) == pto__this_thread()) {
        return pto_fail(err, PTO_E_BUSY,
                        "%s was called from inside run() of the same runner; call it when run() "
                        "has returned",
                        operation);
    }
    return PTO_OK;
}

enum pto_status pto__runner_poll_turn(struct pto_runner *runner, pto_poll_function *poll,
                                      void *poll_context, struct pto_error *err)
{
    pthread_mutex_lock(&runner->turn_mutex);
    while (runner->turn_taken) {
        pto__wait_for(&runner->turn_over, &runner->turn_mutex, TURN_WAIT_NS);
        if (runner->turn_taken && poll != NULL) {
            pthread_mutex_unlock(&runner->turn_mutex);
            if (poll(poll_context) != 0) {
                return pto_fail(err, PTO_E_INTERRUPTED,
                                "run: stopped at the caller's wish while it waited for the runs "
                                "of other threads; no task was begun");
            }
            pthread_mutex_lock(&runner->turn_mutex);
        }
    }
    runner->turn_taken = 1;
    pthread_mutex_unlock(&runner->turn_mutex);
    return PTO_OK;
}

void pto__runner_take_turn(struct pto_runner *runner)
{
    enum pto_status status = pto__runner_poll_turn(runner, NULL, NULL, NULL);
    assert(status == PTO_OK); // only a poll function can make it fail
    (void)status;
}

void pto__runner_end_turn(struct pto_runner *runner)
{
    pthread_mutex_lock(&runner->turn_mutex);
    runner->turn_taken = 0;
    pthread_cond_signal(&runner->turn_over);
    pthread_mutex_unlock(&runner->turn_mutex);
}

enum pto_status pto__runner_require_ready(const struct pto_runner *runner, const char *operation,
                                          struct pto_error *err)
{
    int state = atomic_load(&runner->state);
    if (state == PTO_RUNNER_READY) {
        return PTO_OK;
    }
    if (state == PTO_RUNNER_CLOSED) {
        return pto_fail(err, PTO_E_STATE, "%s: the runner is not initialized; call init() first",
                        operation);
    }
    char when[40] = "outside a run";
    if (runner->failed_run != 0) {
        snprintf(when, sizeof(when), "in run %llu", (unsigned long long)runner->failed_run);
    }
    enum pto_status status =
        pto_fail(err, PTO_E_FAILED,
                 "%s: the device failed %s; call finalize(), then init(). The failure: %s",
                 operation, when, runner->failure.message);
    if (err != NULL) {
        err->vendor_code = runner->failure.vendor_code;
    }
    return status;
}

static const char *choose_backend(const struct pto_config *config)
{
    if (config->backend != NULL) {
        return config->backend;
    }
    const char *chosen = getenv("PTO_BACKEND");
    if (chosen != NULL && *chosen != '\0') {
        return chosen;
    }
    const char *toolkit = getenv("ASCEND_HOME_PATH");
    return toolkit != NULL && *toolkit != '\0' ? "ascend" : "sim";
}

static enum pto_status choose_timeout(const struct pto_config *config, uint64_t *out_timeout_ns,
                                      struct pto_error *err)
{
    if (config->timeout_ns != 0) {
        *out_timeout_ns = config->timeout_ns;
    } else {
        uint64_t timeout_ms = TIMEOUT_NS_DEFAULT / NS_IN_MS;
        enum pto_status status = pto__variable_number("PTO_TIMEOUT_MS", " of milliseconds", 1,
                                                      UINT64_MAX / 2 / NS_IN_MS, &timeout_ms, err);
        if (status != PTO_OK) {
            return status;
        }
        *out_timeout_ns = timeout_ms * NS_IN_MS;
    }
    if (*out_timeout_ns < TIMEOUT_NS_MIN || *out_timeout_ns > UINT64_MAX / 2) {
        return pto_fail(err, PTO_E_RANGE,
                        "init: the timeout is %llu ns; it must be at least %llu ns",
                        (unsigned long long)*out_timeout_ns, TIMEOUT_NS_MIN);
    }
    return PTO_OK;
}

static enum pto_status check_config(const struct pto_config *config,
                                    const struct pto_backend_ops **out_ops, struct pto_error *err)
{
    if (config == NULL || config->size != sizeof(*config)) {
        return pto_fail(err, PTO_E_ARGUMENT,
                        "init: config is NULL, or its size field is not sizeof(struct pto_config); "
                        "was the caller compiled with another version's headers?");
    }
    if (config->aicpu_so_path == NULL || config->aicore_kernel_path == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "init: %s is NULL",
                        config->aicpu_so_path == NULL ? "aicpu_so_path" : "aicore_kernel_path");
    }
    const char *name = choose_backend(config);
    const struct pto_backend_ops *ops = pto__backend_find(name);
    if (ops == NULL) {
        return pto_fail(err, PTO_E_BACKEND,
                        "init: there is no backend '%s' in this build; it has 'sim', 'explore' and "
                        "'ascend'. The backend is chosen by the backend argument, else by "
                        "PTO_BACKEND, else by ASCEND_HOME_PATH ('ascend' when it is set, 'sim' "
                        "when it is not)",
                        name);
    }
    if (config->device_id < 0 || config->device_id > PTO_DEVICE_ID_MAX) {
        return pto_fail(err, PTO_E_RANGE, "init: device_id is %lld; it must be 0 to %d",
                        (long long)config->device_id, PTO_DEVICE_ID_MAX);
    }
    if (config->core_count < ops->core_count_min || config->core_count > ops->core_count_max) {
        return pto_fail(err, PTO_E_RANGE, "init: num_cores is %lld; backend '%s' takes %u to %u",
                        (long long)config->core_count, ops->name, (unsigned)ops->core_count_min,
                        (unsigned)ops->core_count_max);
    }
    *out_ops = ops;
    return PTO_OK;
}

static void log_path(const struct pto_config *config, const char *what, const char *given,
                     const char *found)
{
    if (config->log != NULL) {
        struct pto_error line; // for its formatting alone
        pto_fail(&line, PTO_OK, "%s: %s taken for '%s'", what, found, given);
        config->log(config->log_context, PTO_LOG_INFO, line.message);
    }
}

// Finds and checks one program file. The caller frees *out_path.
static enum pto_status find_program(const struct pto_config *config, const char *what,
                                    const char *given, enum pto_machine machine,
                                    const char *const *symbols, char **out_path,
                                    struct pto_error *err)
{
    // A build for an NPU keeps the simulator's programs in a folder of their own.
    const char *apart = machine == PTO_MACHINE_NATIVE ? "sim" : NULL;
    enum pto_status status =
        pto__program_find(given, config->search_dir, apart, what, out_path, err);
    if (status != PTO_OK) {
        return status;
    }
    status = pto__program_check(*out_path, machine, symbols, what, err);
    if (status == PTO_OK) {
        log_path(config, what, given, *out_path);
    }
    return status;
}

// A copy of PTO_CHECK, NULL when it is not set. Which checks it names is a run's business.
static enum pto_status read_check_variable(char **out, struct pto_error *err)
{
    const char *text = getenv("PTO_CHECK");
    *out = text != NULL && *text != '\0' ? strdup(text) : NULL;
    return *out != NULL || text == NULL || *text == '\0'
               ? PTO_OK
               : pto_fail_no_host_memory(err, "a copy of PTO_CHECK", strlen(text) + 1);
}

static enum pto_status open_device(struct pto_runner *runner, const struct pto_config *config,
                                   const struct pto_backend_ops *ops, uint64_t timeout_ns,
                                   struct pto_error *err)
{
    char *aicpu_path = NULL;
    char *aicore_path = NULL;
    struct pto_kernel_table kernels = {0};
    struct pto_ledger *ledger = NULL;
    char *check_variable = NULL;
    enum pto_status status = find_program(config, "aicpu_so_path", config->aicpu_so_path,
                                          ops->aicpu_machine, ops->aicpu_symbols, &aicpu_path, err);
    if (status == PTO_OK) {
        status = find_program(config, "aicore_kernel_path", config->aicore_kernel_path,
                              ops->aicore_machine, ops->aicore_symbols, &aicore_path, err);
    }
    if (status == PTO_OK) {
        status = pto__kernel_table_read(aicore_path, &kernels, err);
    }
    if (status == PTO_OK) {
        status = pto__ledger_create(&ledger, err);
    }
    if (status == PTO_OK) {
        status = read_check_variable(&check_variable, err);
    }
    if (status == PTO_OK) {
        struct pto_backend_config backend_config = {
            .device_id = (int32_t)config->device_id,
            .core_count = (uint32_t)config->core_count,
            .aicpu_so_path = aicpu_path,
            .aicore_kernel_path = aicore_path,
            .timeout_ns = timeout_ns,
            .seed = config->seed,
            .schedules = config->schedules,
            .profile = config->profile,
            .log = config->log,
            .log_context = config->log_context,
        };
        status = ops->open(&runner->backend, &backend_config, err);
    }
    free(aicpu_path);
    free(aicore_path);
    if (status != PTO_OK) {
        free(check_variable);
        pto__ledger_destroy(ledger);
        pto__kernel_table_free(&kernels);
        return status;
    }
    runner->ops = ops;
    runner->kernels = kernels;
    runner->ledger = ledger;
    runner->device_id = (int32_t)config->device_id;
    runner->core_count = (uint32_t)config->core_count;
    runner->timeout_ns = timeout_ns;
    runner->check_variable = check_variable;
    runner->opaque_serial = 0;
    atomic_store(&runner->run_count, 0);
    atomic_store(&runner->upload_bytes, 0);
    return PTO_OK;
}

enum pto_status pto_runner_init(struct pto_runner *runner, const struct pto_config *config,
                                struct pto_error *err)
{
    const struct pto_backend_ops *ops = NULL;
    uint64_t timeout_ns = 0;
    enum pto_status status = pto__runner_enter(runner, "init", err);
    if (status == PTO_OK) {
        status = check_config(config, &ops, err);
    }
    if (status == PTO_OK) {
        status = choose_timeout(config, &timeout_ns, err);
    }
    if (status != PTO_OK) {
        return status;
    }
    pto__runner_take_turn(runner);
    pthread_rwlock_wrlock(&runner->use_lock);
    if (atomic_load(&runner->state) != PTO_RUNNER_CLOSED) {
        status = pto_fail(err, PTO_E_STATE,
                          "init: the runner is initialized already, for device %d with %u cores; "
                          "call finalize() first",
                          (int)runner->device_id, (unsigned)runner->core_count);
    } else {
        status = open_device(runner, config, ops, timeout_ns, err);
        if (status == PTO_OK) {
            atomic_store(&runner->state, PTO_RUNNER_READY);
        }
    }
    pthread_rwlock_unlock(&runner->use_lock);
    pto__runner_end_turn(runner);
    return status;
}

enum pto_status pto_runner_finalize(struct pto_runner *runner, uint64_t *out_freed_blocks,
                                    struct pto_error *err)
{
    if (out_freed_blocks != NULL) {
        *out_freed_blocks = 0;
    }
    enum pto_status status = pto__runner_enter(runner, "finalize", err);
    if (status != PTO_OK) {
        return status;
    }
    pto__runner_take_turn(runner);
    pthread_rwlock_wrlock(&runner->use_lock);
    if (atomic_load(&runner->state) != PTO_RUNNER_CLOSED) {
        uint64_t count = 0;
        uint64_t address;
        uint64_t size_bytes;
        pto__image_cache_clear(runner);
        while (pto__ledger_pop(runner->ledger, &address, &size_bytes)) {
            runner->ops->release(runner->backend, address, size_bytes);
            count++;
        }
        runner->ops->close(runner->backend);
        pto__ledger_destroy(runner->ledger);
        pto__kernel_table_free(&runner->kernels);
        free(runner->check_variable);
        runner->check_variable = NULL;
        runner->ledger = NULL;
        runner->backend = NULL;
        runner->ops = NULL;
        atomic_store(&runner->state, PTO_RUNNER_CLOSED);
        if (out_freed_blocks != NULL) {
            *out_freed_blocks = count;
        }
    }
    pthread_rwlock_unlock(&runner->use_lock);
    pto__runner_end_turn(runner);
    return PTO_OK;
}

void pto_runner_get_info(struct pto_runner *runner, struct pto_runner_info *out_info)
{
    *out_info = (struct pto_runner_info){.device_id = -1, .backend = ""};
    if (runner == NULL || pto__fork_mark_is_child(&runner->fork_mark)) {
        return;
    }
    // The thread inside run() holds use_lock for reading; asking again could wait for a writer that
    // waits for it.
    int inside_run = atomic_load(&runner->run_thread) == pto__this_thread();
    if (!inside_run) {
        pthread_rwlock_rdlock(&runner->use_lock);
    }
    int state = atomic_load(&runner->state);
    out_info->state = (enum pto_runner_state)state;
    if (state != PTO_RUNNER_CLOSED) {
        out_info->device_id = runner->device_id;
        out_info->core_count = runner->core_count;
        out_info->backend = runner->ops->name;
        out_info->run_count = atomic_load(&runner->run_count);
        out_info->upload_bytes = atomic_load(&runner->upload_bytes);
        pthread_mutex_lock(&runner->ledger_mutex);
        out_info->block_count = pto__ledger_block_count(runner->ledger);
        out_info->block_bytes = pto__ledger_block_bytes(runner->ledger);
        pthread_mutex_unlock(&runner->ledger_mutex);
    }
    if (!inside_run) {
        pthread_rwlock_unlock(&runner->use_lock);
    }
}
