// SPDX-License-Identifier: Apache-2.0
// Programs for the device, and launches of their functions.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake_cann/state.h"

// CANN's own limits, for a launch that sets none. The AICPU's is an A3's; A2 and 950 have 28 s.
#define AICPU_LIMIT_MS 60000u
#define AICORE_LIMIT_MS 1091000u

static struct fake_binary *binaries;

int fake_binary_is_known(const struct fake_binary *binary)
{
    for (struct fake_binary *other = binaries; other != NULL; other = other->next) {
        if (other == binary) {
            return 1;
        }
    }
    return 0;
}

static struct fake_binary *add(struct fake_device *device)
{
    struct fake_binary *binary = calloc(1, sizeof(*binary));
    if (binary != NULL) {
        binary->device = device;
        binary->next = binaries;
        binaries = binary;
        fake_stats.binaries++;
    }
    return binary;
}

static void drop(struct fake_binary *binary)
{
    struct fake_binary **place = &binaries;
    while (*place != binary) {
        place = &(*place)->next;
    }
    *place = binary->next;
    fake_stats.binaries--;
    free(binary);
}

// Writes an AICore program under this processor's number, so that the device process can load it.
static int write_native(const uint8_t *bytes, uint64_t size_bytes, char *path)
{
    const uint16_t machine = FAKE_MACHINE_NATIVE;
    int fd = mkstemp(path);
    if (fd < 0) {
        return 0;
    }
    int good =
        write(fd, bytes, size_bytes) == (ssize_t)size_bytes &&
        pwrite(fd, &machine, sizeof(machine), FAKE_ELF_MACHINE_OFFSET) == (ssize_t)sizeof(machine);
    close(fd);
    return good;
}

int fake_binary_load_aicore(struct fake_device *device, const void *bytes, uint64_t size_bytes,
                            uint32_t magic, struct fake_binary **out_binary)
{
    uint16_t machine = 0;
    if (magic != PTO_CANN_MAGIC_AICORE || size_bytes < 64 || memcmp(bytes, "\177ELF", 4) != 0) {
        fake_say("EE1001: no ELF file, or not of the magic 0x%x\n", (unsigned)magic);
        return FAKE_INVALID_PARAM;
    }
    memcpy(&machine, (const uint8_t *)bytes + FAKE_ELF_MACHINE_OFFSET, sizeof(machine));
    if (machine != FAKE_MACHINE_AICORE) {
        fake_say("EE1001: machine %u is no AICore\n", (unsigned)machine);
        return FAKE_INVALID_PARAM;
    }
    struct fake_message message = {.kind = FAKE_LOAD_AICORE};
    snprintf(message.path, sizeof(message.path), "/tmp/fake_cann_XXXXXX");
    char path[sizeof(message.path)];
    int good = write_native(bytes, size_bytes, message.path);
    memcpy(path, message.path, sizeof(path)); // the answer takes the message's place
    int code = good ? fake_device_call(device, &message, 10000) : 200000;
    unlink(path);
    if (code != 0) {
        return code;
    }
    struct fake_binary *binary = add(device);
    if (binary == NULL) {
        return 200000;
    }
    binary->is_aicore = 1;
    binary->handle = message.handle;
    binary->functions[0] = (struct fake_function){.binary = binary, .kind = FAKE_FUNCTION_AICORE};
    snprintf(binary->functions[0].name, sizeof(binary->functions[0].name), "aicore_kernel_0");
    *out_binary = binary;
    return 0;
}

int fake_binary_load_json(struct fake_device *device, const char *path,
                          struct fake_binary **out_binary)
{
    char text[4096];
    size_t length = strlen(path);
    FILE *file = fopen(path, "r");
    if (file == NULL || length < 6 || strcmp(path + length - 5, ".json") != 0) {
        if (file != NULL) {
            fclose(file);
        }
        return FAKE_INVALID_PARAM;
    }
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = '\0';
    struct fake_function functions[2] = {{0}};
    if (fake_json_functions(text, functions) != 2) {
        fake_say("EE1001: %s describes no kernels\n", path);
        return FAKE_INVALID_PARAM;
    }
    struct fake_binary *binary = add(device);
    if (binary == NULL) {
        return 200000;
    }
    for (int i = 0; i < 2; i++) {
        binary->functions[i] = functions[i];
        binary->functions[i].binary = binary;
    }
    *out_binary = binary;
    return 0;
}

int fake_binary_unload(struct fake_binary *binary)
{
    if (binary->is_aicore && !binary->device->dead) {
        struct fake_message message = {.kind = FAKE_UNLOAD_AICORE, .handle = binary->handle};
        (void)fake_device_call(binary->device, &message, 10000);
    }
    drop(binary);
    return 0;
}

uint32_t fake_binaries_end(struct fake_device *device)
{
    uint32_t count = 0;
    struct fake_binary *binary = binaries;
    while (binary != NULL) {
        struct fake_binary *next = binary->next;
        if (binary->device == device) {
            drop(binary);
            count++;
        }
        binary = next;
    }
    return count;
}

static int push_launch(struct fake_stream *stream, struct fake_job *job, const void *args,
                       uint64_t args_size)
{
    if (args == NULL || args_size > FAKE_ARGS_MAX) {
        return FAKE_INVALID_PARAM;
    }
    // Copied now: the caller's may be gone when the launch begins.
    memcpy(job->message.args, args, args_size);
    job->message.args_size = (uint32_t)args_size;
    job->is_launch = 1;
    return stream->device->dead ? PTO_CANN_DRIVER_INTERNAL : fake_stream_push(stream, job);
}

int fake_launch_aicore(struct fake_binary *binary, uint32_t blocks, struct fake_stream *stream,
                       const void *args, uint64_t args_size, int is_batch)
{
    if (blocks == 0 || blocks > fake_block_limit() || args_size < 8) {
        fake_say("EE1001: %u blocks asked for, %u are there\n", (unsigned)blocks,
                 (unsigned)fake_block_limit());
        return FAKE_INVALID_PARAM;
    }
    fake_stats.unbatched += !is_batch;
    struct fake_job job = {.limit_ms = AICORE_LIMIT_MS};
    job.message.kind = FAKE_RUN_AICORE;
    job.message.handle = binary->handle;
    job.message.blocks = blocks;
    return push_launch(stream, &job, args, args_size);
}

int fake_launch_aicpu(struct fake_device *device, enum fake_function_kind kind, uint32_t blocks,
                      struct fake_stream *stream, const void *args, uint64_t args_size,
                      int has_limit, uint64_t limit_s)
{
    if (blocks == 0 || stream->device != device || args_size < 48) {
        return FAKE_INVALID_PARAM;
    }
    fake_stats.default_limit += !has_limit;
    fake_stats.aicpu_blocks = blocks > fake_stats.aicpu_blocks ? blocks : fake_stats.aicpu_blocks;
    fake_stats.inits += kind == FAKE_FUNCTION_INIT;
    int has_own = has_limit && !fake_limits_dropped;
    struct fake_job job = {.is_aicpu = 1, .limit_ms = has_own ? limit_s * 1000 : AICPU_LIMIT_MS};
    job.message.kind = kind == FAKE_FUNCTION_INIT ? FAKE_INIT_AICPU : FAKE_RUN_AICPU;
    job.message.blocks = blocks;
    return push_launch(stream, &job, args, args_size);
}
