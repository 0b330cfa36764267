// SPDX-License-Identifier: Apache-2.0
#include "bench/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/machine.h"

#define TASKS_DEFAULT 16384u
#define REPS_DEFAULT 21u
#define REPS_MAX 1000000u
#define LANES_MAX 1024u
#define CORES_MAX 1024u
#define SCHEDULERS_MAX 16u
#define BODY_NS_MAX 1e9
#define SECONDS_DEFAULT 2.0
#define SECONDS_MAX 3600.0

static const char usage[] =
    "usage: %s [option...]\n"
    "  --pattern LIST   all, or some of chain,indep,fork_join,stencil,tree,random,cholesky\n"
    "  --tasks N        tasks in the graph; 16384\n"
    "  --cores N        simulated cores (pto_bench); 3\n"
    "  --schedulers N   scheduler programs (pto_bench); 1\n"
    "  --lanes N        host threads; as many as processors\n"
    "  --body-ns NS     how long each task computes; 0: it is empty\n"
    "  --reps N         timed runs; 21\n"
    "  --json FILE      write the results there too; - for standard output instead of the table\n"
    "  --quiet          no table\n"
    "  --bulk           build by the bulk calls (pto_bench)\n"
    "  --no-verify      leave out the runs that check the order of the tasks\n"
    "  --no-state       leave out the round trip between two processors\n"
    "modes instead of a plain run:\n"
    "  --metg           smallest task granularity with 50, 75 and 90 %% efficiency\n"
    "  --memory         bytes and time from 10^4 to --tasks (10^7) tasks (pto_bench)\n"
    "  --kernels        the built-in kernels beside tuned loops (pto_bench)\n"
    "  --copies         copies to and from the device beside memcpy (pto_bench)\n"
    "  --analysis       redundant edges and races without a run, from 10^4 to --tasks (10^6) "
    "tasks\n"
    "                   (pto_bench)\n"
    "  --idle SECONDS   processor time of an initialised runner that does nothing (pto_bench)\n"
    "  --describe       print how this program was compiled\n";

static bool parse_count(const char *name, const char *text, uint32_t most, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < 1 || value > most) {
        fprintf(stderr, "%s is '%s'; it must be 1 to %u\n", name, text, (unsigned)most);
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool parse_real(const char *name, const char *text, double most, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0) || value > most) {
        fprintf(stderr, "%s is '%s'; it must be 0 to %g\n", name, text, most);
        return false;
    }
    *out = value;
    return true;
}

static bool parse_patterns(struct bench_options *options, const char *text)
{
    for (int i = 0; i < BENCH_PATTERN_COUNT; i++) {
        options->is_chosen[i] = strcmp(text, "all") == 0;
    }
    if (strcmp(text, "all") == 0) {
        return true;
    }
    for (;;) {
        const size_t length = strcspn(text, ",");
        enum bench_pattern pattern;
        if (!bench_pattern_find(text, length, &pattern)) {
            fprintf(stderr, "--pattern: there is no pattern '%.*s'; there are", (int)length, text);
            for (int i = 0; i < BENCH_PATTERN_COUNT; i++) {
                fprintf(stderr, " %s", bench_pattern_name((enum bench_pattern)i));
            }
            fprintf(stderr, "\n");
            return false;
        }
        options->is_chosen[pattern] = true;
        if (text[length] == '\0') {
            return true;
        }
        text += length + 1;
    }
}

static bool parse_flag(struct bench_options *options, const char *name)
{
    static const struct {
        const char *name;
        enum bench_mode mode;
    } modes[] = {
        {"--metg", BENCH_MODE_METG},         {"--memory", BENCH_MODE_MEMORY},
        {"--kernels", BENCH_MODE_KERNELS},   {"--copies", BENCH_MODE_COPIES},
        {"--analysis", BENCH_MODE_ANALYSIS}, {"--describe", BENCH_MODE_DESCRIBE},
    };
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(name, modes[i].name) == 0) {
            options->mode = modes[i].mode;
            return true;
        }
    }
    if (strcmp(name, "--quiet") == 0) {
        options->quiet = true;
    } else if (strcmp(name, "--bulk") == 0) {
        options->bulk = true;
    } else if (strcmp(name, "--no-verify") == 0) {
        options->verify = false;
    } else if (strcmp(name, "--no-state") == 0) {
        options->state = false;
    } else {
        return false;
    }
    return true;
}

static bool parse_value(struct bench_options *options, const char *name, const char *text,
                        bool *out_is_known)
{
    *out_is_known = true;
    if (strcmp(name, "--pattern") == 0) {
        return parse_patterns(options, text);
    }
    if (strcmp(name, "--tasks") == 0) {
        options->tasks_given = true;
        return parse_count(name, text, BENCH_TASK_MAX, &options->tasks);
    }
    if (strcmp(name, "--cores") == 0) {
        return parse_count(name, text, CORES_MAX, &options->cores);
    }
    if (strcmp(name, "--schedulers") == 0) {
        return parse_count(name, text, SCHEDULERS_MAX, &options->schedulers);
    }
    if (strcmp(name, "--lanes") == 0) {
        options->lanes_given = true;
        return parse_count(name, text, LANES_MAX, &options->lanes);
    }
    if (strcmp(name, "--reps") == 0) {
        return parse_count(name, text, REPS_MAX, &options->reps);
    }
    if (strcmp(name, "--body-ns") == 0) {
        return parse_real(name, text, BODY_NS_MAX, &options->body_ns);
    }
    if (strcmp(name, "--idle") == 0) {
        options->mode = BENCH_MODE_IDLE;
        return parse_real(name, text, SECONDS_MAX, &options->seconds);
    }
    if (strcmp(name, "--json") == 0) {
        options->json = text;
        return true;
    }
    *out_is_known = false;
    return true;
}

enum bench_parse bench_options_parse(struct bench_options *options, int argc, char **argv)
{
    *options = (struct bench_options){
        .verify = true,
        .state = true,
        .tasks = TASKS_DEFAULT,
        .cores = 3,
        .schedulers = 1,
        .lanes = bench_cpu_count(),
        .reps = REPS_DEFAULT,
        .seconds = SECONDS_DEFAULT,
    };
    for (int i = 0; i < BENCH_PATTERN_COUNT; i++) {
        options->is_chosen[i] = true;
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            printf(usage, argv[0]);
            return BENCH_PARSE_HELP;
        }
        if (parse_flag(options, argv[i])) {
            continue;
        }
        bool is_known = false;
        if (i + 1 < argc && !parse_value(options, argv[i], argv[i + 1], &is_known)) {
            return BENCH_PARSE_WRONG;
        }
        if (!is_known) {
            fprintf(stderr, "'%s' is no option, or has no value\n", argv[i]);
            fprintf(stderr, usage, argv[0]);
            return BENCH_PARSE_WRONG;
        }
        i++;
    }
    options->quiet = options->quiet || (options->json != NULL && strcmp(options->json, "-") == 0);
    return BENCH_PARSE_GO;
}
