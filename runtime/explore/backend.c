// SPDX-License-Identifier: Apache-2.0
// The explorer behind the backend seam: a launch is one schedule or many, each from the same device
// memory, and fails with the first finding.
//
// The programs are the explorer's builds, which lie beside the ones that the caller names:
// kernel_explore.o for kernel.o.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "abi/program.h"
#include "base/error.h"
#include "explore/arena.h"
#include "explore/search.h"
#include "host/backend.h"

struct pto_backend {
    pthread_mutex_t mutex; // device memory; held during a launch
    struct pto_explorer *explorer;
    uint32_t core_count;
    uint64_t timeout_ns;
    struct pto_explore_options options;
    uint64_t launch_count;
    pto_log_function *log;
    void *log_context;
};

static const char *const aicpu_symbols[] = {PTO_AICPU_PROGRAM_SYMBOL, NULL};
static const char *const aicore_symbols[] = {PTO_AICORE_PROGRAM_SYMBOL, NULL};
static const char *const explore_symbols[] = {PTO_EXPLORE_TABLE_SYMBOL, NULL};

// Puts "_explore" before the extension. The caller frees *out_path.
static enum pto_status explorer_path(const char *path, const char *what, char **out_path,
                                     struct pto_error *err)
{
    char *text = pto__program_sibling(path, "_explore");
    if (text == NULL) {
        return pto_fail_no_host_memory(err, "a path", strlen(path));
    }
    char *found = NULL;
    enum pto_status status = pto__program_find(text, NULL, NULL, what, &found, err);
    if (status == PTO_OK) {
        status = pto__program_check(found, PTO_MACHINE_NATIVE, explore_symbols, what, err);
    } else if (status == PTO_E_FILE) {
        status =
            pto_fail(err, PTO_E_FILE,
                     "init: the backend 'explore' needs %s, the explorer's build of %s, and it "
                     "is not there; pto_add_kernels() and the project's own build make both",
                     text, path);
    }
    free(text);
    *out_path = found;
    if (status != PTO_OK) {
        free(found);
        *out_path = NULL;
    }
    return status;
}

static enum pto_status open_device(struct pto_backend **out,
                                   const struct pto_backend_config *config, struct pto_error *err)
{
    char *aicpu_path = NULL;
    char *aicore_path = NULL;
    *out = NULL;
    struct pto_backend *device = calloc(1, sizeof(*device));
    if (device == NULL) {
        return pto_fail_no_host_memory(err, "the explorer's device", sizeof(*device));
    }
    device->core_count = config->core_count;
    device->timeout_ns = config->timeout_ns;
    device->log = config->log;
    device->log_context = config->log_context;
    enum pto_status status = pto__explore_options_init(&device->options, config, err);
    if (status == PTO_OK) {
        status = explorer_path(config->aicpu_so_path, "aicpu_so_path", &aicpu_path, err);
    }
    if (status == PTO_OK) {
        status = explorer_path(config->aicore_kernel_path, "aicore_kernel_path", &aicore_path, err);
    }
    if (status == PTO_OK) {
        struct pto_explore_config explore_config = {
            .core_count = config->core_count,
            .aicpu_so_path = aicpu_path,
            .aicore_kernel_path = aicore_path,
            .timeout_ns = config->timeout_ns,
        };
        status = pto__explorer_create(&device->explorer, &explore_config, err);
    }
    free(aicpu_path);
    free(aicore_path);
    if (status != PTO_OK) {
        pto__explore_options_fini(&device->options);
        free(device);
        return status;
    }
    pthread_mutex_init(&device->mutex, NULL);
    *out = device;
    return PTO_OK;
}

static void close_device(struct pto_backend *device)
{
    pto__explorer_destroy(device->explorer);
    pto__explore_options_fini(&device->options);
    pthread_mutex_destroy(&device->mutex);
    free(device);
}

static enum pto_status allocate(struct pto_backend *device, uint64_t size_bytes,
                                uint64_t *out_address, struct pto_error *err)
{
    pthread_mutex_lock(&device->mutex);
    enum pto_status status =
        pto__arena_allocate(pto__explorer_arena(device->explorer), size_bytes, out_address, err);
    pthread_mutex_unlock(&device->mutex);
    return status;
}

static void release(struct pto_backend *device, uint64_t address, uint64_t size_bytes)
{
    (void)size_bytes;
    pthread_mutex_lock(&device->mutex);
    pto__arena_release(pto__explorer_arena(device->explorer), address);
    pthread_mutex_unlock(&device->mutex);
}

static enum pto_status upload(struct pto_backend *device, uint64_t address, const void *host,
                              uint64_t size_bytes, struct pto_error *err)
{
    (void)err;
    pthread_mutex_lock(&device->mutex);
    memcpy((void *)(uintptr_t)address, host, size_bytes);
    pto__arena_host_wrote(pto__explorer_arena(device->explorer), address, size_bytes);
    pthread_mutex_unlock(&device->mutex);
    return PTO_OK;
}

static enum pto_status download(struct pto_backend *device, void *host, uint64_t address,
                                uint64_t size_bytes, struct pto_error *err)
{
    (void)err;
    pthread_mutex_lock(&device->mutex);
    memcpy(host, (const void *)(uintptr_t)address, size_bytes);
    pthread_mutex_unlock(&device->mutex);
    return PTO_OK;
}

static enum pto_status launch(struct pto_backend *device, const struct pto_launch_request *request,
                              struct pto_launch_outcome *out, struct pto_error *err)
{
    *out = (struct pto_launch_outcome){0};
    pthread_mutex_lock(&device->mutex);
    struct pto_search search = {
        .explorer = device->explorer,
        .options = &device->options,
        .core_count = device->core_count,
        .timeout_ns = device->timeout_ns,
        .launch = ++device->launch_count,
        .log = device->log,
        .log_context = device->log_context,
    };
    enum pto_status status = pto__search_launch(&search, request, out, err);
    pthread_mutex_unlock(&device->mutex);
    return status;
}

static enum pto_status handshakes(struct pto_backend *device, struct pto_handshake *out,
                                  uint32_t core_count, struct pto_error *err)
{
    (void)err;
    pthread_mutex_lock(&device->mutex);
    memcpy(out, pto__explorer_handshakes(device->explorer), core_count * sizeof(*out));
    pthread_mutex_unlock(&device->mutex);
    return PTO_OK;
}

const struct pto_backend_ops pto__explore_backend = {
    .name = "explore",
    .aicpu_machine = PTO_MACHINE_NATIVE,
    .aicore_machine = PTO_MACHINE_NATIVE,
    .aicpu_symbols = aicpu_symbols,
    .aicore_symbols = aicore_symbols,
    .core_count_min = 1,
    .core_count_max = PTO_EXPLORE_CORE_MAX,
    .checks = PTO_CHECK_MEMORY | PTO_CHECK_INIT | PTO_CHECK_RACE | PTO_CHECK_STALE,
    .open = open_device,
    .close = close_device,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .launch = launch,
    .handshakes = handshakes,
};
