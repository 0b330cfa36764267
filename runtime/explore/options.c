// SPDX-License-Identifier: Apache-2.0
#include "explore/options.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/variable.h"
#include "explore/shrink.h"

#define PART_MAX 4096u

// The value of a variable, NULL when it is not set or empty.
static const char *environment(const char *variable)
{
    const char *text = getenv(variable);
    return text != NULL && *text != '\0' ? text : NULL;
}

static enum pto_status choose_profile(const char *name, enum pto_explore_profile *out,
                                      struct pto_error *err)
{
    *out = PTO_PROFILE_A2A3;
    for (uint32_t i = 0; name != NULL && pto__profile_name(i) != NULL; i++) {
        if (strcmp(pto__profile_name(i), name) == 0) {
            *out = (enum pto_explore_profile)i;
            return PTO_OK;
        }
    }
    return name == NULL ? PTO_OK
                        : pto_fail(err, PTO_E_ARGUMENT,
                                   "init: there is no profile '%s'; the explorer has 'a2a3', 'a5' "
                                   "and 'paranoid'",
                                   name);
}

static bool read_number(const char *text, const char *end_with, uint64_t *out, const char **end)
{
    char *rest;
    errno = 0;
    *out = strtoull(text, &rest, 10);
    *end = rest;
    return errno == 0 && *text >= '0' && *text <= '9' && strchr(end_with, *rest) != NULL;
}

// A number that the caller left at zero may come from the environment.
static enum pto_status choose_number(uint64_t given, const char *variable, uint64_t otherwise,
                                     uint64_t *out, struct pto_error *err)
{
    *out = given != 0 ? given : otherwise;
    return given != 0 ? PTO_OK : pto__variable_number(variable, "", 0, UINT64_MAX, out, err);
}

static enum pto_status choose_part(struct pto_explore_options *options, struct pto_error *err)
{
    const char *text = environment("PTO_EXPLORE_PART");
    const char *end;
    options->part_count = 1;
    if (text == NULL) {
        return PTO_OK;
    }
    if (!read_number(text, "/", &options->part, &end) || *end != '/' ||
        !read_number(end + 1, "", &options->part_count, &end) || *end != '\0' ||
        options->part_count > PART_MAX || options->part >= options->part_count) {
        return pto_fail(err, PTO_E_RANGE,
                        "init: PTO_EXPLORE_PART is '%s'; it must be K/N with K below N, and N %u "
                        "at most",
                        text, PART_MAX);
    }
    return PTO_OK;
}

static enum pto_status choose_path(const char *variable, char **out, struct pto_error *err)
{
    const char *text = environment(variable);
    *out = text != NULL ? strdup(text) : NULL;
    return text == NULL || *out != NULL ? PTO_OK
                                        : pto_fail_no_host_memory(err, "a path", strlen(text) + 1);
}

static enum pto_status open_progress(struct pto_explore_options *options, struct pto_error *err)
{
    const char *path = environment("PTO_EXPLORE_PROGRESS");
    struct stat status;
    options->progress = &options->unseen;
    if (path == NULL) {
        return PTO_OK;
    }
    size_t size_bytes = options->part_count * sizeof(struct pto_search_progress);
    int file = open(path, O_RDWR | O_CLOEXEC);
    bool good = file >= 0 && fstat(file, &status) == 0 && (uint64_t)status.st_size >= size_bytes;
    void *mapping =
        good ? mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    if (file >= 0) {
        close(file);
    }
    if (mapping == MAP_FAILED) {
        return pto_fail(err, PTO_E_FILE,
                        "init: PTO_EXPLORE_PROGRESS is '%s', which is not a file of %zu bytes that "
                        "can be written",
                        path, size_bytes);
    }
    options->progress_mapping = mapping;
    options->progress_bytes = size_bytes;
    options->progress = (struct pto_search_progress *)mapping + options->part;
    return PTO_OK;
}

enum pto_status pto__explore_options_init(struct pto_explore_options *options,
                                          const struct pto_backend_config *config,
                                          struct pto_error *err)
{
    const char *replay = environment("PTO_EXPLORE_REPLAY");
    const char *profile = config->profile != NULL ? config->profile : getenv("PTO_EXPLORE_PROFILE");
    *options = (struct pto_explore_options){0};
    enum pto_status status = choose_profile(profile, &options->profile, err);
    if (status == PTO_OK) {
        status = choose_number(config->seed, "PTO_EXPLORE_SEED", 0, &options->seed, err);
    }
    if (status == PTO_OK) {
        status =
            choose_number(config->schedules, "PTO_EXPLORE_SCHEDULES", 1, &options->schedules, err);
    }
    if (status == PTO_OK) {
        status =
            choose_number(0, "PTO_EXPLORE_SHRINK", PTO_SHRINK_RUNS, &options->shrink_runs, err);
    }
    if (status == PTO_OK) {
        status = choose_part(options, err);
    }
    if (status == PTO_OK) {
        status = choose_path("PTO_EXPLORE_TIMELINE", &options->timeline_path, err);
    }
    if (status == PTO_OK) {
        status = choose_path("PTO_EXPLORE_SAVE", &options->save_path, err);
    }
    if (status == PTO_OK) {
        status = open_progress(options, err);
    }
    if (status == PTO_OK && replay != NULL) {
        status = pto__replay_read(&options->replay, replay, err);
        options->replays = status == PTO_OK;
    }
    if (status != PTO_OK) {
        pto__explore_options_fini(options);
    }
    return status;
}

void pto__explore_options_fini(struct pto_explore_options *options)
{
    free(options->timeline_path);
    free(options->save_path);
    pto__small_case_free(&options->replay.small);
    if (options->progress_mapping != NULL) {
        munmap(options->progress_mapping, options->progress_bytes);
    }
    *options = (struct pto_explore_options){0};
}
