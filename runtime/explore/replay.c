// SPDX-License-Identifier: Apache-2.0
#include "explore/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "explore/shrink.h"

#define LINE_BYTES 1280u // a comment holds the whole of a finding

static const char *const profile_names[] = {
    [PTO_PROFILE_A2A3] = "a2a3",
    [PTO_PROFILE_A5] = "a5",
    [PTO_PROFILE_PARANOID] = "paranoid",
};

static const char *const decision_names[PTO_DECIDE_COUNT] = {
    [PTO_DECIDE_NEXT] = "next", [PTO_DECIDE_DRAIN] = "drain", [PTO_DECIDE_EVICT] = "evict",
    [PTO_DECIDE_PICK] = "pick", [PTO_DECIDE_OLD] = "old",     [PTO_DECIDE_CLOCK] = "clock",
};

const char *pto__profile_name(uint32_t profile)
{
    return profile < sizeof(profile_names) / sizeof(profile_names[0]) ? profile_names[profile]
                                                                      : NULL;
}

// Writes text to a file; what goes wrong is known at its end.
__attribute__((format(printf, 2, 3))) static void put(FILE *file, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length > 0) {
        size_t size = (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1;
        fwrite(text, 1, size, file);
    }
}

enum pto_status pto__replay_write(const struct pto_replay *replay, const char *text,
                                  const char *path, struct pto_error *err)
{
    const struct pto_small_case *small = &replay->small;
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return pto_fail(err, PTO_E_FILE, "cannot write %s: %s", path, strerror(errno));
    }
    put(file, "pto-explore-replay 1\n# %s\n", text);
    put(file, "# Shown again by: python -m pto_runtime explore --replay FILE SCRIPT\n");
    put(file, "launch %" PRIu64 "\nseed %" PRIu64 "\nprofile %s\ngraph-tasks %u\n", replay->launch,
        replay->seed, profile_names[replay->profile], (unsigned)replay->graph_tasks);
    put(file, "cores %u\nschedulers %u\n", (unsigned)small->core_count,
        (unsigned)small->scheduler_count);
    for (uint32_t i = 0; i < small->task_count; i++) {
        put(file, "task %u\n", (unsigned)small->tasks[i]);
    }
    put(file, "# kind, agent (scheduler threads first), which of its kind, what\n");
    for (uint32_t i = 0; i < small->script.count; i++) {
        const struct pto_decision *it = &small->script.decisions[i];
        put(file, "%s %u %u %u\n", decision_names[it->kind], (unsigned)it->agent,
            (unsigned)it->ordinal, (unsigned)it->value);
    }
    bool failed = ferror(file) != 0;
    failed = fclose(file) != 0 || failed;
    return failed ? pto_fail(err, PTO_E_FILE, "cannot write %s: %s", path, strerror(errno))
                  : PTO_OK;
}

// Up to three numbers. Returns how many, -1 when something else is there.
static int read_numbers(const char *text, uint64_t *numbers)
{
    int count = 0;
    for (text += strspn(text, " \t\n"); *text != '\0'; text += strspn(text, " \t\n")) {
        char *end;
        errno = 0;
        unsigned long long value = strtoull(text, &end, 10);
        if (count == 3 || errno != 0 || *text < '0' || *text > '9') {
            return -1;
        }
        numbers[count++] = value;
        text = end;
    }
    return count;
}

static bool add_task(struct pto_small_case *small, uint64_t task, uint32_t *capacity)
{
    if (task >= UINT32_MAX ||
        (small->task_count != 0 && task <= small->tasks[small->task_count - 1])) {
        return false;
    }
    if (small->task_count == *capacity) {
        *capacity = *capacity * 2 + 16;
        uint32_t *tasks = realloc(small->tasks, *capacity * sizeof(*tasks));
        if (tasks == NULL) {
            return false;
        }
        small->tasks = tasks;
    }
    small->tasks[small->task_count++] = (uint32_t)task;
    return true;
}

static bool add_decision(struct pto_script *script, const char *word, const uint64_t *numbers)
{
    uint32_t kind = 0;
    while (kind < PTO_DECIDE_COUNT && strcmp(decision_names[kind], word) != 0) {
        kind++;
    }
    if (kind == PTO_DECIDE_COUNT || numbers[0] > 64 || numbers[1] > UINT32_MAX || numbers[2] == 0 ||
        numbers[2] > UINT32_MAX) {
        return false;
    }
    if (script->count == script->capacity) {
        script->capacity = script->capacity * 2 + 16;
        struct pto_decision *decisions =
            realloc(script->decisions, script->capacity * sizeof(*decisions));
        if (decisions == NULL) {
            return false;
        }
        script->decisions = decisions;
    }
    script->decisions[script->count++] = (struct pto_decision){.kind = kind,
                                                               .agent = (uint32_t)numbers[0],
                                                               .ordinal = (uint32_t)numbers[1],
                                                               .value = (uint32_t)numbers[2]};
    return true;
}

static bool read_line(struct pto_replay *out, char *line, uint32_t *task_capacity)
{
    uint64_t numbers[3] = {0};
    size_t length = strcspn(line, " \t\n");
    char *rest = line + length + (line[length] != '\0');
    line[length] = '\0';
    if (strcmp(line, "profile") == 0) {
        rest[strcspn(rest, " \t\n")] = '\0';
        out->profile = 0;
        while (pto__profile_name(out->profile) != NULL &&
               strcmp(pto__profile_name(out->profile), rest) != 0) {
            out->profile++;
        }
        return pto__profile_name(out->profile) != NULL;
    }
    int count = read_numbers(rest, numbers);
    if (count == 3) {
        return add_decision(&out->small.script, line, numbers);
    }
    if (count != 1) {
        return false;
    }
    if (strcmp(line, "launch") == 0) {
        out->launch = numbers[0];
    } else if (strcmp(line, "seed") == 0) {
        out->seed = numbers[0];
    } else if (strcmp(line, "graph-tasks") == 0 && numbers[0] < UINT32_MAX) {
        out->graph_tasks = (uint32_t)numbers[0];
    } else if (strcmp(line, "cores") == 0 && numbers[0] <= PTO_EXPLORE_CORE_MAX) {
        out->small.core_count = (uint32_t)numbers[0];
    } else if (strcmp(line, "schedulers") == 0 && numbers[0] <= PTO_EXPLORE_CORE_MAX) {
        out->small.scheduler_count = (uint32_t)numbers[0];
    } else {
        return strcmp(line, "task") == 0 && add_task(&out->small, numbers[0], task_capacity);
    }
    return true;
}

enum pto_status pto__replay_read(struct pto_replay *out, const char *path, struct pto_error *err)
{
    char line[LINE_BYTES];
    uint32_t line_count = 0;
    uint32_t task_capacity = 0;
    *out = (struct pto_replay){0};
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return pto_fail(err, PTO_E_FILE, "init: cannot open the replay file %s: %s", path,
                        strerror(errno));
    }
    bool good = fgets(line, sizeof(line), file) != NULL &&
                strncmp(line, "pto-explore-replay 1\n", sizeof(line)) == 0;
    for (line_count = 1; good && fgets(line, sizeof(line), file) != NULL; line_count++) {
        good = line[0] == '#' || line[0] == '\n' || read_line(out, line, &task_capacity);
    }
    fclose(file);
    const struct pto_small_case *small = &out->small;
    if (good &&
        (out->launch == 0 || small->core_count == 0 || small->scheduler_count == 0 ||
         small->task_count == 0 || small->tasks[small->task_count - 1] >= out->graph_tasks)) {
        good = false;
    }
    out->small.script.replays = true;
    if (!good) {
        pto__small_case_free(&out->small);
        return pto_fail(err, PTO_E_ARGUMENT,
                        "init: %s is not a replay file of the explorer: line %u, or what is not "
                        "there after it; let the explorer write it again",
                        path, (unsigned)line_count);
    }
    return PTO_OK;
}
