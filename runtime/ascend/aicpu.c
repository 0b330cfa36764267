// SPDX-License-Identifier: Apache-2.0
// The scheduler program: handed to CANN's own AICPU program, which writes it to the device's file
// system, loads it and calls it.
//
// CANN's program does so once for each process and device: a second, different scheduler would be
// ignored without a word. That is refused here, by what the first one's bytes were.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ascend/device.h"
#include "base/error.h"
#include "host/file.h"

#define INIT_PATIENCE 2u // the first AICPU launch brings CANN's own programs to the device
#define INIT_NAME "PtoInit"
#define RUN_NAME "PtoRun"

// What the device of this process was given. Never forgotten: nothing public says that a reset
// makes CANN's program forget.
struct latch {
    int is_set;
    uint64_t size_bytes;
    uint64_t hash;
};
static pthread_mutex_t latch_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct latch latches[PTO_DEVICE_ID_MAX + 1];

// FNV-1a
static uint64_t hash_bytes(const uint8_t *bytes, uint64_t size_bytes)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint64_t i = 0; i < size_bytes; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    }
    return hash;
}

static enum pto_status check_latch(const struct pto_backend *device, const struct latch *wanted,
                                   const char *path, struct pto_error *err)
{
    pthread_mutex_lock(&latch_mutex);
    struct latch seen = latches[device->device_id];
    pthread_mutex_unlock(&latch_mutex);
    if (!seen.is_set || (seen.size_bytes == wanted->size_bytes && seen.hash == wanted->hash)) {
        return PTO_OK;
    }
    return pto_fail(err, PTO_E_PROGRAM,
                    "aicpu_so_path: '%s' differs from the scheduler that this process gave device "
                    "%d before (%" PRIu64 " bytes, now %" PRIu64 "); CANN loads one for each "
                    "process and device, and would go on with the first: start a new process",
                    path, (int)device->device_id, seen.size_bytes, wanted->size_bytes);
}

static void set_latch(const struct pto_backend *device, const struct latch *latch)
{
    pthread_mutex_lock(&latch_mutex);
    latches[device->device_id] = *latch;
    pthread_mutex_unlock(&latch_mutex);
}

#define DESCRIPTION(name, function)                                                       \
    "\"" name "\":{\"opInfo\":{\"functionName\":\"" function                              \
    "\",\"kernelSo\":\"" PTO_CANN_LOADER_SO                                               \
    "\",\"opKernelLib\":\"KFCKernel\",\"userDefined\":\"False\",\"computeCost\":\"100\"," \
    "\"engine\":\"DNN_VM_AICPU\",\"flagAsync\":\"False\",\"flagPartial\":\"False\"}}"

static enum pto_status write_description(const char *path, struct pto_error *err)
{
    static const char text[] = "{" DESCRIPTION(INIT_NAME, PTO_CANN_LOADER_INIT) "," DESCRIPTION(
        RUN_NAME, PTO_CANN_LOADER_RUN) "}\n";
    FILE *file = fopen(path, "w");
    int good = file != NULL && fwrite(text, 1, sizeof(text) - 1, file) == sizeof(text) - 1;
    if (file != NULL && fclose(file) != 0) {
        good = 0;
    }
    return good ? PTO_OK
                : pto_fail(err, PTO_E_FILE,
                           "init: '%s' cannot be written, and CANN reads it from there; make room, "
                           "or set TMPDIR to a folder that can be written",
                           path);
}

// CANN reads which functions a program of the device has from a JSON file.
static enum pto_status load_description(struct pto_backend *device, struct pto_error *err)
{
    const char *base = getenv("TMPDIR");
    char folder[400];
    char path[440];
    snprintf(folder, sizeof(folder), "%s/pto_XXXXXX",
             base != NULL && *base != '\0' && strlen(base) < 300 ? base : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return pto_fail(err, PTO_E_FILE,
                        "init: no folder can be made for '%s', which CANN needs for a moment; "
                        "make room, or set TMPDIR to a folder that can be written",
                        folder);
    }
    snprintf(path, sizeof(path), "%s/aicpu_loader.json", folder);
    enum pto_status status = write_description(path, err);
    if (status == PTO_OK) {
        struct pto_cann_option option = {.id = PTO_CANN_LOAD_CPU_KERNEL_MODE, .value.i32 = 0};
        struct pto_cann_options options = {.options = &option, .count = 1};
        int code =
            PTO_CALL(device->cann, aclrtBinaryLoadFromFile, path, &options, &device->aicpu_binary);
        if (code != PTO_CANN_OK) {
            device->aicpu_binary = NULL;
            status = pto__ascend_fail(device, err, code, "aclrtBinaryLoadFromFile",
                                      "init: describing the AICPU program");
        }
    }
    (void)unlink(path);
    (void)rmdir(folder);
    return status;
}

static enum pto_status find_functions(struct pto_backend *device, struct pto_error *err)
{
    enum pto_status status = load_description(device, err);
    if (status != PTO_OK) {
        return status;
    }
    int code = PTO_CALL(device->cann, aclrtBinaryGetFunction, device->aicpu_binary, INIT_NAME,
                        &device->aicpu_init);
    if (code == PTO_CANN_OK) {
        code = PTO_CALL(device->cann, aclrtBinaryGetFunction, device->aicpu_binary, RUN_NAME,
                        &device->aicpu_run);
    }
    return code == PTO_CANN_OK ? PTO_OK
                               : pto__ascend_fail(device, err, code, "aclrtBinaryGetFunction",
                                                  "init: finding CANN's AICPU program");
}

static int start_json(struct pto_backend *device, void *function, uint32_t thread_count)
{
    struct pto_cann_option attribute = {
        .id = PTO_CANN_LAUNCH_TIMEOUT, .value.u16 = (uint16_t)(device->run_limit_ns / 1000000000u)};
    struct pto_cann_options config = {.options = &attribute, .count = 1};
    struct pto_kernel_args args = device->block->args;
    return PTO_CALL(device->cann, aclrtLaunchKernelWithHostArgs, function, thread_count,
                    device->aicpu_stream, &config, &args, sizeof(args), NULL, 0);
}

static int start_rt(struct pto_backend *device, const char *function, uint32_t thread_count)
{
    struct {
        struct pto_kernel_args args;
        char kernel_name[32];
        char so_name[32];
        char op_name[32];
    } blob = {
        .args = device->block->args, .so_name = PTO_CANN_LOADER_SO, .op_name = "PTO_SCHEDULER"};
    snprintf(blob.kernel_name, sizeof(blob.kernel_name), "%s", function);
    const struct pto_cann_aicpu_args args = {
        .args = &blob,
        .args_size = sizeof(blob),
        .kernel_name_offset = (uint32_t)((char *)blob.kernel_name - (char *)&blob),
        .so_name_offset = (uint32_t)((char *)blob.so_name - (char *)&blob),
        .timeout_s = (uint16_t)(device->run_limit_ns / 1000000000u),
    };
    return PTO_CALL(device->cann, rtAicpuKernelLaunchExWithArgs, PTO_CANN_KERNEL_TYPE_AICPU_KFC,
                    blob.op_name, thread_count, &args, NULL, device->aicpu_stream,
                    PTO_CANN_KERNEL_SPECIAL_TIMEOUT);
}

// Starts one of the two functions of CANN's program.
static enum pto_status start(struct pto_backend *device, int is_init, uint32_t thread_count,
                             const char *what, struct pto_error *err)
{
    int is_json = device->aicpu_path == PTO_ASCEND_AICPU_JSON;
    int code =
        is_json
            ? start_json(device, is_init ? device->aicpu_init : device->aicpu_run, thread_count)
            : start_rt(device, is_init ? PTO_CANN_LOADER_INIT : PTO_CANN_LOADER_RUN, thread_count);
    return code == PTO_CANN_OK ? PTO_OK
                               : pto__ascend_fail(device, err, code,
                                                  is_json ? "aclrtLaunchKernelWithHostArgs"
                                                          : "rtAicpuKernelLaunchExWithArgs",
                                                  what);
}

// Has CANN's program load the scheduler, whose bytes lie at `address` on the device.
static enum pto_status initialise(struct pto_backend *device, uint64_t address, uint64_t size_bytes,
                                  int *out_unusable, struct pto_error *err)
{
    device->block->device_args.aicpu_so_address = address;
    device->block->device_args.aicpu_so_size_bytes = size_bytes;
    enum pto_status status =
        pto__ascend_block_upload(device, 0, offsetof(struct pto_ascend_block, launch), err);
    if (status == PTO_OK) {
        status = start(device, 1, 1, "init: starting CANN's AICPU program", err);
    }
    if (status != PTO_OK) {
        return status;
    }
    int32_t code = pto__ascend_wait(device, device->aicpu_stream,
                                    INIT_PATIENCE * pto__ascend_patience_ns(device));
    if (code != PTO_CANN_OK) {
        *out_unusable = !device->aicpu_forced &&
                        (code == PTO_CANN_AICPU_EXCEPTION || code == PTO_CANN_AICPU_TIMEOUT ||
                         code == PTO_CANN_STREAM_SYNC_TIMEOUT);
        return pto__ascend_fail(device, err, code, "aclrtSynchronizeStreamWithTimeout",
                                "init: loading the scheduler on the device");
    }
    return PTO_OK;
}

enum pto_status pto__ascend_load_aicpu(struct pto_backend *device, const char *path,
                                       int *out_unusable, struct pto_error *err)
{
    uint8_t *bytes = NULL;
    uint64_t size_bytes = 0;
    uint64_t address = 0;
    enum pto_status status = pto__file_read(path, "aicpu_so_path", &bytes, &size_bytes, err);
    if (status != PTO_OK) {
        return status;
    }
    const struct latch latch = {
        .is_set = 1, .size_bytes = size_bytes, .hash = hash_bytes(bytes, size_bytes)};
    status = check_latch(device, &latch, path, err);
    if (status == PTO_OK && device->aicpu_path == PTO_ASCEND_AICPU_JSON) {
        status = find_functions(device, err);
    }
    if (status == PTO_OK) {
        status = pto__ascend_allocate(device, size_bytes, &address, err);
    }
    if (status == PTO_OK) {
        status = pto__ascend_upload(device, PTO_ASCEND_RUNS, address, bytes, size_bytes, err);
    }
    if (status == PTO_OK) {
        status = initialise(device, address, size_bytes, out_unusable, err);
    }
    if (status == PTO_OK) {
        set_latch(device, &latch);
    }
    if (address != 0) {
        pto__ascend_release(device, address, size_bytes);
    }
    free(bytes);
    return status;
}

void pto__ascend_unload_aicpu(struct pto_backend *device)
{
    if (device->aicpu_binary != NULL && !atomic_load(&device->broken) &&
        PTO_CALL(device->cann, aclrtBinaryUnLoad, device->aicpu_binary) != PTO_CANN_OK) {
        atomic_store(&device->broken, 1);
    }
    device->aicpu_binary = NULL;
}

enum pto_status pto__ascend_start_aicpu(struct pto_backend *device, uint32_t thread_count,
                                        struct pto_error *err)
{
    return start(device, 0, thread_count, "run: starting the scheduler", err);
}
