// SPDX-License-Identifier: Apache-2.0
// The explorer's own tests, as one program.
//
//   schedules COUNT [FIRST_SEED]   random launches of the unmutated programs: no finding is allowed
//   speed COUNT                    schedules a second for 3 cores and 8 tasks
//   mutants LIST SEEDS             every weakened or deleted accessor is found, and is listed
//   determinism                    equal seeds give equal traces
//   shrink                         findings are made small, and replay byte for byte
//   search                         every schedule of a tiny case, to a bound of preemptions
//   trace SEED PROFILE             prints one launch
#include <inttypes.h>
#include <time.h>

#include <unistd.h>

#include "case.h"
#include "explore/replay.h"
#include "explore/shrink.h"

static const char *const profile_names[] = {"a2a3", "a5", "paranoid"};
#define PROFILE_COUNT 3u

static struct case_memory memories[CASE_CORES_MAX];

// Of this process alone: what else the machine does is no property of the explorer.
static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "'%s' is not a number\n", text);
        exit(2);
    }
    return value;
}

static int run_schedules(uint64_t count, uint64_t first)
{
    struct explore_case it;
    struct pto_explore_result result;
    uint64_t steps = 0;
    uint64_t findings = 0;
    double begin = now_seconds();
    for (uint64_t i = 0; i < count; i++) {
        enum pto_explore_profile profile = (enum pto_explore_profile)((first + i) % PROFILE_COUNT);
        case_generate(&it, first + i, profile);
        case_run(memories, &it, &result);
        steps += result.steps;
        if (result.finding.kind != PTO_FINDING_NONE) {
            printf("seed %" PRIu64 ", profile %s, step %" PRIu32 ": %s\n", first + i,
                   profile_names[profile], result.finding.step, result.finding.text);
            if (++findings == 10) {
                break;
            }
        }
    }
    double seconds = now_seconds() - begin;
    printf("%" PRIu64 " schedules, %" PRIu64 " steps, %.1f s, %.0f schedules/s, %" PRIu64
           " findings\n",
           count, steps, seconds, (double)count / seconds, findings);
    return findings != 0;
}

static int run_speed(uint64_t count)
{
    struct explore_case it;
    struct pto_explore_result result;
    uint64_t steps = 0;
    case_generate(&it, 1, PTO_PROFILE_A2A3);
    memset(it.edges, 0, sizeof(it.edges));
    it.core_count = 3;
    it.task_count = 8;
    it.fail_task = PTO_NO_TASK;
    it.run = (struct pto_explore_run){.task_count = 8,
                                      .scheduler_count = 1,
                                      .image_changed = 1,
                                      .timeout_ns = 1000000000,
                                      .hang_task = PTO_NO_TASK};
    for (uint32_t i = 0; i < 4; i++) { // a stencil: each depends on two of the row before
        it.edges[i][4 + i] = 1;
        it.edges[i][4 + (i + 1) % 4] = 1;
    }
    it.launches = 1;
    double begin = now_seconds();
    for (uint64_t seed = 0; seed < count; seed++) {
        it.run.seed = seed;
        case_run(memories, &it, &result);
        steps += result.steps;
        if (result.finding.kind != PTO_FINDING_NONE) {
            printf("seed %" PRIu64 ": %s\n", seed, result.finding.text);
            return 1;
        }
    }
    double seconds = now_seconds() - begin;
    printf("3 cores, 8 tasks: %.0f schedules/s, %.1f steps each\n", (double)count / seconds,
           (double)steps / (double)count);
    return 0;
}

// A place by what it is, so that lines may move: file, function, operation, text, and which of
// several equal ones.
static void name_site(const struct pto_explore_table *table, const struct pto_explore_site *site,
                      uint32_t variant, char *text, size_t size)
{
    uint32_t ordinal = 1;
    for (const struct pto_explore_site *at = table->sites; at != table->sites_end; at++) {
        ordinal += at->operation == site->operation && at->line < site->line &&
                   strcmp(at->file, site->file) == 0 && strcmp(at->text, site->text) == 0 &&
                   strcmp(at->function, site->function) == 0;
    }
    snprintf(text, size, "%s %s %s(%s) #%" PRIu32 ": %s", pto__explore_file_name(site->file),
             site->function, pto__explore_operation_name(site->operation), site->text, ordinal,
             pto__explore_variant_text(site, variant));
}

// The first seed, from 1 on, that finds the mutant under this profile; 0 when none does.
static uint64_t find_mutant(const struct pto_explore_site *site, uint32_t variant,
                            enum pto_explore_profile profile, uint64_t seeds,
                            struct pto_explore_result *result)
{
    struct explore_case it;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        case_generate(&it, seed, profile);
        it.run.mutant = site;
        it.run.mutant_variant = variant;
        case_run(memories, &it, result);
        if (result->finding.kind != PTO_FINDING_NONE) {
            return seed;
        }
    }
    return 0;
}

#define LIST_MAX 256
struct mutant_list {
    char lines[LIST_MAX][256];
    uint32_t count;
    uint32_t used[LIST_MAX];
};

static void read_list(struct mutant_list *list, const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "cannot open %s\n", path);
        exit(2);
    }
    while (list->count < LIST_MAX && fgets(list->lines[list->count], 256, file) != NULL) {
        char *line = list->lines[list->count];
        line[strcspn(line, "\n")] = '\0';
        list->count += line[0] != '#' && line[0] != '\0';
    }
    fclose(file);
}

// The line "EDGE<tab>NAME" or "EDGE<tab>NAME<tab>kept: REASON" of a mutant.
static const char *look_up(struct mutant_list *list, const char *name)
{
    size_t length = strlen(name);
    for (uint32_t i = 0; i < list->count; i++) {
        const char *tab = strchr(list->lines[i], '\t');
        if (tab != NULL && strncmp(tab + 1, name, length) == 0 &&
            (tab[1 + length] == '\0' || tab[1 + length] == '\t')) {
            list->used[i] = 1;
            return list->lines[i];
        }
    }
    return NULL;
}

static int check_mutant(struct mutant_list *list, const struct pto_explore_table *table,
                        const struct pto_explore_site *site, uint32_t variant, uint64_t seeds)
{
    char name[256];
    struct pto_explore_result result;
    name_site(table, site, variant, name, sizeof(name));
    const char *line = look_up(list, name);
    const char *kept = line != NULL ? strstr(line, "\tkept: ") : NULL;
    uint64_t seed = 0;
    uint32_t profile = 0;
    for (; profile < PROFILE_COUNT && seed == 0; profile++) {
        uint64_t tries = kept != NULL ? seeds / 10 : seeds;
        seed = find_mutant(site, variant, (enum pto_explore_profile)profile, tries, &result);
    }
    int failed = line == NULL || (seed == 0) != (kept != NULL);
    printf("%s %s\n", failed ? "FAIL" : "ok  ", name);
    if (line == NULL) {
        printf("     is not in the list\n");
    }
    if (seed != 0) {
        printf("     found by seed %" PRIu64 ", profile %s: %s\n", seed, profile_names[profile - 1],
               result.finding.text);
    } else {
        printf("     not found%s\n", kept != NULL ? kept : "");
    }
    return failed;
}

static int run_mutants(const char *path, uint64_t seeds)
{
    static struct mutant_list list;
    uint32_t count = 0;
    uint32_t failures = 0;
    double begin = now_seconds();
    read_list(&list, path);
    for (uint32_t program = 0; program < 2; program++) {
        const struct pto_explore_table *table = pto__explorer_table(memories[0].explorer, program);
        for (const struct pto_explore_site *site = table->sites; site != table->sites_end; site++) {
            if (strcmp(pto__explore_file_name(site->file), "aicore/entry_native.c") == 0) {
                continue; // tickets of cores, which the explorer numbers itself
            }
            for (uint32_t i = 1; i <= pto__explore_variant_count(site); i++) {
                failures += (uint32_t)check_mutant(&list, table, site, i, seeds);
                count++;
            }
        }
    }
    for (uint32_t i = 0; i < list.count; i++) {
        if (!list.used[i]) {
            printf("FAIL the list names what is not there: %s\n", list.lines[i]);
            failures++;
        }
    }
    printf("%" PRIu32 " mutants, %" PRIu32 " failures, %.1f s\n", count, failures,
           now_seconds() - begin);
    return failures != 0;
}

static int run_determinism(void)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct pto_explore_trace traces[2] = {{0}};
        struct pto_explore_result result;
        for (uint32_t i = 0; i < 2; i++) {
            struct explore_case it;
            case_generate(&it, seed, (enum pto_explore_profile)(seed % PROFILE_COUNT));
            it.run.trace = &traces[i];
            case_run(memories, &it, &result);
        }
        if (traces[0].length == 0 || traces[0].length != traces[1].length ||
            memcmp(traces[0].text, traces[1].text, traces[0].length) != 0) {
            printf("seed %" PRIu64 ": two runs give different traces\n", seed);
            return 1;
        }
        pto__explore_trace_free(&traces[0]);
        pto__explore_trace_free(&traces[1]);
    }
    return 0;
}

static char *trace_stage(struct pto_stage *stage, struct pto_small_case *small, uint64_t seed,
                         struct pto_explore_result *result)
{
    struct pto_explore_trace trace = {0};
    struct pto_error err;
    if (pto__stage_run(stage, small->core_count, small->scheduler_count, seed, &small->script,
                       &trace, result, &err) != PTO_OK) {
        case_die(&err);
    }
    return trace.text;
}

// Writes the case to a file, reads it back, and runs both: they must be one.
static int check_replay(struct pto_stage *stage, struct pto_small_case *small, uint64_t seed)
{
    char path[] = "/tmp/pto_explore_XXXXXX";
    struct pto_replay replay = {.launch = 1,
                                .seed = seed,
                                .profile = (uint32_t)stage->whole.profile,
                                .graph_tasks = stage->whole.task_count,
                                .small = *small};
    struct pto_replay back;
    struct pto_explore_result results[2];
    struct pto_error err;
    int file = mkstemp(path);
    if (file < 0 || pto__replay_write(&replay, "text", path, &err) != PTO_OK ||
        pto__replay_read(&back, path, &err) != PTO_OK) {
        case_die(&err);
    }
    close(file);
    unlink(path);
    char *left = trace_stage(stage, small, seed, &results[0]);
    char *right = trace_stage(stage, &back.small, seed + 1, &results[1]);
    int failed = left == NULL || right == NULL || strcmp(left, right) != 0 ||
                 strcmp(results[0].finding.text, results[1].finding.text) != 0;
    free(left);
    free(right);
    pto__small_case_free(&back.small);
    return failed;
}

// The first launch of the case that a mutant's seed gives, made small.
static int shrink_case(struct explore_case *it, uint64_t *tasks, uint64_t *decisions)
{
    const struct case_memory *memory = &memories[it->core_count - 1];
    struct pto_arena *arena = pto__explorer_arena(memory->explorer);
    struct pto_explore_result result;
    struct pto_explore_result small_result;
    struct pto_small_case small;
    struct pto_snapshot start;
    struct pto_stage stage;
    struct pto_poll poll = {0};
    struct pto_error err;
    uint64_t runs;
    case_upload(memory, it);
    it->run.core_count = it->core_count;
    if (pto__snapshot_take(&start, arena, &err) != PTO_OK ||
        pto__explorer_run(memory->explorer, &it->run, &result, &err) != PTO_OK ||
        pto__stage_open(&stage, memory->explorer, &it->run, &start, &err) != PTO_OK ||
        pto__shrink(&stage, &result.finding, 300, &poll, &small, &small_result, &runs, &err) !=
            PTO_OK) {
        case_die(&err);
    }
    int failed = runs > 300 || small.task_count == 0 || small.task_count > it->task_count ||
                 small_result.finding.kind != result.finding.kind ||
                 check_replay(&stage, &small, it->run.seed) != 0;
    *tasks += small.task_count;
    *decisions += small.script.count;
    pto__small_case_free(&small);
    pto__stage_close(&stage);
    pto__snapshot_drop(&start);
    return failed;
}

// What the mutants give in one launch, made small.
static int run_shrink(void)
{
    uint64_t sums[4] = {0};
    int failures = 0;
    for (uint32_t program = 0; program < 2; program++) {
        const struct pto_explore_table *table = pto__explorer_table(memories[0].explorer, program);
        for (const struct pto_explore_site *site = table->sites; site != table->sites_end; site++) {
            for (uint32_t i = 1; i <= pto__explore_variant_count(site); i++) {
                struct explore_case it;
                struct pto_explore_result result;
                uint64_t seed = find_mutant(site, i, PTO_PROFILE_A2A3, 50, &result);
                case_generate(&it, seed, PTO_PROFILE_A2A3);
                it.run.mutant = site;
                it.run.mutant_variant = i;
                // A task that hangs or fails is found by its number, which a part has not.
                if (seed == 0 || it.launches > 1 || it.run.hang_task != PTO_NO_TASK) {
                    continue;
                }
                int failed = shrink_case(&it, &sums[2], &sums[3]);
                if (failed) {
                    printf("FAIL %s:%" PRIu32 " variant %" PRIu32 ", seed %" PRIu64 ": %s\n",
                           pto__explore_file_name(site->file), site->line, i, seed,
                           result.finding.text);
                }
                failures += failed;
                sums[0]++;
                sums[1] += it.task_count;
            }
        }
    }
    printf("%" PRIu64 " findings, of %" PRIu64 " tasks: made small to %" PRIu64 " tasks, %" PRIu64
           " decisions; %d failures\n",
           sums[0], sums[1], sums[2], sums[3], failures);
    return failures != 0 || sums[0] < 10;
}

// Every schedule with at most two preemptions of one core or two, and one task or two.
static int run_search(void)
{
    for (uint32_t shape = 0; shape < 3; shape++) {
        struct explore_case it;
        struct pto_explore_result result;
        uint64_t schedules = 0;
        case_generate(&it, 1, PTO_PROFILE_A2A3);
        memset(it.edges, 0, sizeof(it.edges));
        it.core_count = 1 + (shape == 2);
        it.task_count = 1 + (shape != 0);
        it.edges[0][1] = shape != 0;
        it.fail_task = PTO_NO_TASK;
        it.launches = 1;
        it.run = (struct pto_explore_run){.task_count = it.task_count,
                                          .scheduler_count = 1,
                                          .policy = PTO_POLICY_EXHAUSTIVE,
                                          .timeout_ns = 1000000000,
                                          .hang_task = PTO_NO_TASK};
        do {
            case_run(memories, &it, &result);
            schedules++;
            if (result.finding.kind != PTO_FINDING_NONE) {
                printf("schedule %" PRIu64 ": %s\n", schedules, result.finding.text);
                return 1;
            }
        } while (!result.exhausted && schedules < 200000);
        printf("%" PRIu32 " cores, %" PRIu32 " tasks: %" PRIu64 " schedules%s\n", it.core_count,
               it.task_count, schedules, result.exhausted ? ", all there are" : "");
    }
    return 0;
}

static int run_trace(uint64_t seed, const char *profile)
{
    struct explore_case it;
    struct pto_explore_result result;
    struct pto_explore_trace trace = {0};
    uint32_t chosen = 0;
    while (chosen < PROFILE_COUNT && strcmp(profile, profile_names[chosen]) != 0) {
        chosen++;
    }
    case_generate(&it, seed, (enum pto_explore_profile)(chosen % PROFILE_COUNT));
    it.run.trace = &trace;
    printf("%" PRIu32 " cores, %" PRIu32 " schedulers, %" PRIu32 " tasks\n", it.core_count,
           it.run.scheduler_count, it.task_count);
    case_run(memories, &it, &result);
    printf("%s%s\n", trace.text != NULL ? trace.text : "", result.finding.text);
    pto__explore_trace_free(&trace);
    return result.finding.kind != PTO_FINDING_NONE;
}

// The programs to explore: this build's, or those that the environment names.
static const char *program_path(const char *variable, const char *built)
{
    const char *path = getenv(variable);
    return path != NULL && *path != '\0' ? path : built;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    for (uint32_t i = 0; i < CASE_CORES_MAX; i++) {
        case_memory_open(&memories[i], i + 1,
                         program_path("PTO_TEST_AICPU_EXPLORE", PTO_TEST_AICPU_EXPLORE),
                         program_path("PTO_TEST_KERNELS_EXPLORE", PTO_TEST_KERNELS_EXPLORE));
    }
    int code = 2;
    if (strcmp(mode, "schedules") == 0 && argc >= 3) {
        code = run_schedules(number(argv[2]), argc > 3 ? number(argv[3]) : 1);
    } else if (strcmp(mode, "speed") == 0 && argc == 3) {
        code = run_speed(number(argv[2]));
    } else if (strcmp(mode, "mutants") == 0 && argc == 4) {
        code = run_mutants(argv[2], number(argv[3]));
    } else if (strcmp(mode, "determinism") == 0) {
        code = run_determinism();
    } else if (strcmp(mode, "shrink") == 0) {
        code = run_shrink();
    } else if (strcmp(mode, "search") == 0) {
        code = run_search();
    } else if (strcmp(mode, "trace") == 0 && argc == 4) {
        code = run_trace(number(argv[2]), argv[3]);
    } else {
        fprintf(stderr, "see the comment at the top of explore_gate.c for what to ask\n");
    }
    for (uint32_t i = 0; i < CASE_CORES_MAX; i++) {
        pto__explorer_destroy(memories[i].explorer);
    }
    return code;
}
