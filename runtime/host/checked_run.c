// SPDX-License-Identifier: Apache-2.0
#include "host/checked_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static const struct {
    const char *name;
    uint32_t kinds;
} names[] = {
    {"memory", PTO_CHECK_MEMORY},
    {"init", PTO_CHECK_INIT},
    {"race", PTO_CHECK_RACE},
    {"stale", PTO_CHECK_STALE},
    {"all", PTO_CHECK_MEMORY | PTO_CHECK_INIT | PTO_CHECK_RACE},
};

static uint32_t find_name(const char *text, size_t length)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i].name) == length && memcmp(names[i].name, text, length) == 0) {
            return names[i].kinds;
        }
    }
    return 0;
}

// A list of names with commas, and perhaps spaces, between them.
static enum pto_status parse(const char *text, const char *what, uint32_t *out_kinds,
                             struct pto_error *err)
{
    *out_kinds = 0;
    if (text[strspn(text, " ")] == '\0') {
        return PTO_OK;
    }
    for (const char *at = text;; at++) {
        at += strspn(at, " ");
        size_t length = strcspn(at, ",");
        size_t name_length = length;
        while (name_length > 0 && at[name_length - 1] == ' ') {
            name_length--;
        }
        uint32_t kinds = find_name(at, name_length);
        if (kinds == 0) {
            return pto_fail(err, PTO_E_ARGUMENT,
                            "run: %s is '%.60s', and '%.*s' is no check; there are 'memory', "
                            "'init', 'race' and, on the backend 'explore', 'stale'; separate them "
                            "by commas, or give 'all'",
                            what, text, (int)(name_length < 40 ? name_length : 40), at);
        }
        *out_kinds |= kinds;
        at += length;
        if (*at == '\0') {
            return PTO_OK;
        }
    }
}

enum pto_status pto__checks_choose(const struct pto_runner *runner,
                                   const struct pto_run_options *options, uint32_t *out_kinds,
                                   struct pto_error *err)
{
    const char *what = "check";
    const char *text = options->check;
    *out_kinds = 0;
    if (text == NULL) {
        what = "PTO_CHECK";
        text = runner->check_variable;
    }
    if (text == NULL) {
        return PTO_OK;
    }
    enum pto_status status = parse(text, what, out_kinds, err);
    uint32_t missing = *out_kinds & ~runner->ops->checks;
    if (status != PTO_OK || missing == 0) {
        return status;
    }
    if (runner->ops->checks == 0) {
        return pto_fail(err, PTO_E_BACKEND,
                        "run: %s is '%.60s', but the backend '%s' has no checks of kernels; run "
                        "the graph on the simulator: init(..., backend=\"sim\")",
                        what, text, runner->ops->name);
    }
    return pto_fail(err, PTO_E_BACKEND,
                    "run: %s is '%.60s', but the backend '%s' has no caches that could be stale; "
                    "that is found by init(..., backend=\"explore\")",
                    what, text, runner->ops->name);
}

// The ledger's blocks, as they are now.
static enum pto_status list_blocks(struct pto_runner *runner, struct pto_check_setup *setup,
                                   struct pto_error *err)
{
    uint64_t count = pto__ledger_block_count(runner->ledger);
    struct pto_ledger_entry *blocks = malloc((count + 1) * sizeof(*blocks));
    if (blocks == NULL) {
        return pto_fail_no_host_memory(err, "a list of device blocks", count * sizeof(*blocks));
    }
    pto__ledger_list(runner->ledger, blocks);
    setup->blocks = blocks;
    setup->block_count = count;
    return PTO_OK;
}

enum pto_status pto__checks_prepare(struct pto_runner *runner, const struct pto_graph *graph,
                                    const struct pto_run_options *options, uint32_t kinds,
                                    struct pto_order **out_order, struct pto_error *err)
{
    struct pto_work_poll poll = {
        .operation = "run", .function = options->poll, .context = options->poll_context};
    struct pto_ledger_block freed[PTO_CHECK_FREED_MAX];
    struct pto_check_setup setup = {
        .kinds = kinds,
        .kernels = &runner->kernels,
        .opaque_serial = runner->opaque_serial,
        .freed = freed,
    };
    *out_order = NULL;
    if ((kinds & PTO_CHECK_RACE) != 0) {
        enum pto_status status = pto__order_create(graph, &poll, out_order, err);
        if (status != PTO_OK) {
            return status;
        }
    }
    setup.order = *out_order;
    // The ranges that the host wrote are the ledger's, and change under its lock.
    pthread_mutex_lock(&runner->ledger_mutex);
    enum pto_status status = list_blocks(runner, &setup, err);
    if (status == PTO_OK) {
        setup.freed_count = pto__ledger_list_freed(runner->ledger, freed, PTO_CHECK_FREED_MAX);
        status = runner->ops->prepare_checks(runner->backend, &setup, err);
        free((void *)(uintptr_t)setup.blocks);
    }
    pthread_mutex_unlock(&runner->ledger_mutex);
    if (status != PTO_OK) {
        pto__order_destroy(*out_order);
        *out_order = NULL;
    }
    return status;
}

enum pto_status pto__checks_conclude(const struct pto_launch_outcome *outcome,
                                     const struct pto_run_options *options, enum pto_status status,
                                     struct pto_error *err)
{
    uint64_t count = outcome->finding_count + outcome->more_findings;
    for (uint32_t i = 0; options->finding != NULL && i < outcome->finding_count; i++) {
        options->finding(options->finding_context, &outcome->findings[i], count - i - 1);
    }
    if (status != PTO_OK && !outcome->stopped_by_check) {
        return status; // the graph's own failure says more
    }
    if (count != 0) {
        const struct pto_check_finding *first = &outcome->findings[0];
        status = pto_fail(err, PTO_E_CHECK, "run: the checks found %" PRIu64 " fault%s: %s", count,
                          count == 1 ? "" : "s", first->message);
        err->task = first->access.task;
        err->func_id = first->access.func_id;
        snprintf(err->kernel, sizeof(err->kernel), "%s", first->access.kernel);
        return status;
    }
    if (outcome->checks_out_of_memory) {
        return pto_fail(err, PTO_E_NO_MEMORY,
                        "run: every task was run, but host memory did not suffice to check all of "
                        "it: checks take about nine times the device memory that tasks touch");
    }
    return status;
}
