// SPDX-License-Identifier: Apache-2.0
// libascendcl.so: what CANN has had since 8.1.
#include <stdlib.h>
#include <string.h>

#include "ascend/symbols.h"
#include "tests/fake_cann/state.h"

#define DECLARE(library, name, need, since, parameters) FAKE_API int name parameters;
PTO_CANN_SYMBOLS(DECLARE)
#undef DECLARE
#define DECLARE(library, name, need, since, parameters) FAKE_API const char *name parameters;
PTO_CANN_TEXT_SYMBOLS(DECLARE)
#undef DECLARE

static int is_initialised;

struct pinned {
    void *memory;
    struct pinned *next;
};
static struct pinned *pinned_blocks;

int aclInit(const char *config_path)
{
    (void)config_path;
    int code = fake_enter("aclInit");
    if (code == 0 && is_initialised) {
        code = PTO_CANN_REPEAT_INITIALIZE;
    }
    is_initialised |= code == 0;
    return fake_leave(code);
}

const char *aclGetRecentErrMsg(void)
{
    return fake_recent();
}

const char *aclrtGetSocName(void)
{
    int code = fake_leave(fake_enter("aclrtGetSocName"));
    return code == 0 ? "Ascend910_9391" : NULL;
}

int aclrtGetDeviceCount(uint32_t *count)
{
    int code = fake_enter("aclrtGetDeviceCount");
    *count = FAKE_DEVICE_COUNT;
    return fake_leave(code == 0 && !is_initialised ? 100001 : code);
}

int aclrtSetDevice(int32_t device_id)
{
    int code = fake_enter("aclrtSetDevice");
    struct fake_device *device = fake_device(device_id);
    if (code == 0 && device == NULL) {
        code = FAKE_INVALID_DEVICE;
    }
    if (code == 0 && device->dead) {
        code = 507033;
    }
    if (code == 0) {
        code = fake_device_use(device);
    }
    if (code == 0) {
        fake_set_current(device);
    }
    return fake_leave(code);
}

static int reset(const char *name, int32_t device_id, int force)
{
    int code = fake_enter(name);
    struct fake_device *device = fake_device(device_id);
    if (code == 0 && (device == NULL || (!force && device->uses == 0))) {
        code = FAKE_INVALID_DEVICE;
    }
    if (code == 0 && force) {
        fake_device_kill(device);
    } else if (code == 0) {
        fake_device_reset(device);
    }
    if (code == 0 && fake_current() == device && device->uses == 0) {
        fake_set_current(NULL);
    }
    return fake_leave(code);
}

int aclrtResetDevice(int32_t device_id)
{
    return reset("aclrtResetDevice", device_id, 0);
}

int aclrtResetDeviceForce(int32_t device_id)
{
    return reset("aclrtResetDeviceForce", device_id, 1);
}

int aclrtGetCurrentContext(void **context)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtGetCurrentContext", &device);
    if (code == 0) {
        *context = device;
    }
    return fake_leave(code);
}

int aclrtSetCurrentContext(void *context)
{
    int code = fake_enter("aclrtSetCurrentContext");
    struct fake_device *device = context;
    if (code == 0 && (device == NULL || device->uses == 0)) {
        code = FAKE_INVALID_PARAM;
    }
    if (code == 0) {
        fake_set_current(context);
    }
    return fake_leave(code);
}

int aclrtMalloc(void **address, size_t size_bytes, int32_t policy)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtMalloc", &device);
    if (code == 0 && policy != PTO_CANN_MEM_HUGE_FIRST) {
        code = FAKE_INVALID_PARAM;
    }
    if (code == 0 && device->dead) {
        code = PTO_CANN_MEMORY_ALLOCATION; // as the real one says it
    }
    uint64_t place = 0;
    if (code == 0) {
        code = fake_memory_allocate(device, size_bytes, &place);
    }
    if (code == 0) {
        *address = (void *)(uintptr_t)place;
    }
    return fake_leave(code);
}

int aclrtFree(void *address)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtFree", &device);
    if (code == 0) {
        code = fake_memory_free(device, (uint64_t)(uintptr_t)address);
    }
    return fake_leave(code);
}

int aclrtMallocHost(void **address, size_t size_bytes)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtMallocHost", &device);
    struct pinned *block = malloc(sizeof(*block));
    if (code == 0 && (block == NULL || posix_memalign(&block->memory, 4096, size_bytes) != 0)) {
        code = 207001;
    }
    if (code != 0) {
        free(block);
        return fake_leave(code);
    }
    block->next = pinned_blocks;
    pinned_blocks = block;
    memset(block->memory, 0x5a, size_bytes);
    fake_stats.pinned_blocks++;
    *address = block->memory;
    return fake_leave(0);
}

int aclrtFreeHost(void *address)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtFreeHost", &device);
    struct pinned **place = &pinned_blocks;
    while (*place != NULL && (*place)->memory != address) {
        place = &(*place)->next;
    }
    if (code == 0 && *place == NULL) {
        fake_say("EE1003: %p is no pinned memory\n", address);
        code = FAKE_INVALID_PARAM;
    }
    if (code == 0) {
        struct pinned *block = *place;
        *place = block->next;
        fake_stats.pinned_blocks--;
        free(block->memory);
        free(block);
    }
    return fake_leave(code);
}

int aclrtGetMemInfo(int32_t attribute, size_t *free_bytes, size_t *total_bytes)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtGetMemInfo", &device);
    if (code == 0 && attribute != PTO_CANN_MEM_ATTR_HBM) {
        code = FAKE_INVALID_PARAM;
    }
    if (code == 0) {
        *free_bytes = FAKE_CAPACITY_BYTES - device->block_bytes;
        *total_bytes = FAKE_CAPACITY_BYTES;
    }
    return fake_leave(code);
}

static int check_stream(const struct fake_device *device, void *handle)
{
    const struct fake_stream *stream = handle;
    return fake_stream_is_known(stream) && stream->device == device ? 0 : FAKE_STREAM_CONTEXT;
}

int aclrtMemcpyAsync(void *to, size_t to_size, const void *from, size_t size_bytes, int32_t kind,
                     void *stream)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtMemcpyAsync", &device);
    if (code == 0) {
        code = check_stream(device, stream);
    }
    if (code == 0 && (to == NULL || from == NULL || size_bytes == 0 || size_bytes > to_size ||
                      (kind != PTO_CANN_COPY_TO_DEVICE && kind != PTO_CANN_COPY_TO_HOST))) {
        code = FAKE_INVALID_PARAM;
    }
    const void *there = kind == PTO_CANN_COPY_TO_DEVICE ? to : from;
    if (code == 0 && fake_memory_at(device, (uint64_t)(uintptr_t)there, size_bytes) == NULL) {
        fake_say("EE1001: %p is no device memory of %zu bytes\n", there, size_bytes);
        code = FAKE_INVALID_PARAM;
    }
    if (code == 0) {
        struct fake_job job = {.to = to, .from = from, .size_bytes = size_bytes, .kind = kind};
        code = fake_stream_push(stream, &job);
    }
    return fake_leave(code);
}

int aclrtCreateStream(void **stream)
{
    struct fake_device *device;
    struct fake_stream *made;
    int code = fake_enter_device("aclrtCreateStream", &device);
    if (code == 0) {
        code = fake_stream_create(device, &made);
    }
    if (code == 0) {
        *stream = made;
    }
    return fake_leave(code);
}

int aclrtDestroyStream(void *stream)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtDestroyStream", &device);
    if (code == 0) {
        code = check_stream(device, stream);
    }
    return fake_leave(code == 0 ? fake_stream_destroy(stream) : code);
}

int aclrtSynchronizeStreamWithTimeout(void *stream, int32_t timeout_ms)
{
    struct fake_device *device;
    int code = fake_enter_device("aclrtSynchronizeStreamWithTimeout", &device);
    if (code == 0) {
        code = check_stream(device, stream);
    }
    if (code == 0 && (timeout_ms == 0 || timeout_ms < -1)) {
        code = FAKE_INVALID_PARAM;
    }
    return fake_leave(code == 0 ? fake_stream_wait(stream, timeout_ms) : code);
}
