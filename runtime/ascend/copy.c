// SPDX-License-Identifier: Apache-2.0
// Copies between host and device, through pinned memory: from other memory CANN's asynchronous copy
// is not asynchronous, and its synchronous one has no time limit. Two stages alternate, so the
// processor fills one while the device copies the other.
#include <string.h>

#include "ascend/device.h"
#include "base/error.h"

enum pto_status pto__ascend_stages_create(struct pto_backend *device, struct pto_error *err)
{
    const struct pto_cann *cann = device->cann;
    for (uint32_t i = 0; i < PTO_ASCEND_SERVICE_COUNT * PTO_ASCEND_STAGE_COUNT; i++) {
        struct pto_ascend_stage *stage = &device->stages[0][0] + i;
        int code = PTO_CALL(cann, aclrtMallocHost, &stage->memory, PTO_ASCEND_STAGE_BYTES);
        if (code != PTO_CANN_OK) {
            stage->memory = NULL;
            return pto__ascend_fail(device, err, code, "aclrtMallocHost",
                                    "init: pinning host memory");
        }
        code = PTO_CALL(cann, aclrtCreateStream, &stage->stream);
        if (code != PTO_CANN_OK) {
            stage->stream = NULL;
            return pto__ascend_fail(device, err, code, "aclrtCreateStream",
                                    "init: making a stream for copies");
        }
    }
    return PTO_OK;
}

void pto__ascend_stages_destroy(struct pto_backend *device)
{
    const struct pto_cann *cann = device->cann;
    for (uint32_t i = 0; i < PTO_ASCEND_SERVICE_COUNT * PTO_ASCEND_STAGE_COUNT; i++) {
        struct pto_ascend_stage *stage = &device->stages[0][0] + i;
        // On a broken device this might not return; its reset destroys the stream.
        if (stage->stream != NULL && !atomic_load(&device->broken) &&
            PTO_CALL(cann, aclrtDestroyStream, stage->stream) != PTO_CANN_OK) {
            atomic_store(&device->broken, 1);
        }
        // Twice, because host memory is the one thing that no reset gives back.
        if (stage->memory != NULL && PTO_CALL(cann, aclrtFreeHost, stage->memory) != PTO_CANN_OK &&
            PTO_CALL(cann, aclrtFreeHost, stage->memory) != PTO_CANN_OK) {
            atomic_store(&device->broken, 1);
        }
        *stage = (struct pto_ascend_stage){0};
    }
}

static enum pto_status finish(struct pto_backend *device, const struct pto_ascend_stage *stage,
                              const char *what, struct pto_error *err)
{
    int32_t code = pto__ascend_wait(device, stage->stream, pto__ascend_patience_ns(device));
    return code == PTO_CANN_OK
               ? PTO_OK
               : pto__ascend_fail(device, err, code, "aclrtSynchronizeStreamWithTimeout", what);
}

// A part of a copy, by one stage.
struct part {
    uint64_t offset;
    uint64_t size_bytes; // 0: none
};

static enum pto_status begin(struct pto_backend *device, const struct pto_ascend_stage *stage,
                             uint64_t address, const struct part *part, int32_t kind,
                             const char *what, struct pto_error *err)
{
    void *place = (void *)(uintptr_t)(address + part->offset);
    int up = kind == PTO_CANN_COPY_TO_DEVICE;
    int code =
        PTO_CALL(device->cann, aclrtMemcpyAsync, up ? place : stage->memory, part->size_bytes,
                 up ? stage->memory : place, part->size_bytes, kind, stage->stream);
    return code == PTO_CANN_OK ? PTO_OK
                               : pto__ascend_fail(device, err, code, "aclrtMemcpyAsync", what);
}

static struct part next_part(uint64_t offset, uint64_t size_bytes)
{
    uint64_t left = size_bytes - offset;
    return (struct part){.offset = offset,
                         .size_bytes =
                             left < PTO_ASCEND_STAGE_BYTES ? left : PTO_ASCEND_STAGE_BYTES};
}

// Both directions: a stage is finished before it is used again, and an upload's is filled before it
// begins, a download's is emptied when it has finished. Exactly one of the two pointers is set.
static enum pto_status copy(struct pto_backend *device, const struct pto_ascend_stage *stages,
                            uint64_t address, const uint8_t *from, uint8_t *to, uint64_t size_bytes,
                            struct pto_error *err)
{
    const char *what = from != NULL ? "copying to the device" : "copying from the device";
    int32_t kind = from != NULL ? PTO_CANN_COPY_TO_DEVICE : PTO_CANN_COPY_TO_HOST;
    struct part parts[PTO_ASCEND_STAGE_COUNT] = {{0}};
    uint64_t offset = 0;
    enum pto_status status = PTO_OK;
    for (uint32_t turn = 0; status == PTO_OK; turn++) {
        const struct pto_ascend_stage *stage = &stages[turn % PTO_ASCEND_STAGE_COUNT];
        struct part *part = &parts[turn % PTO_ASCEND_STAGE_COUNT];
        if (part->size_bytes != 0) {
            status = finish(device, stage, what, err);
            if (status == PTO_OK && to != NULL) {
                memcpy(to + part->offset, stage->memory, part->size_bytes);
            }
        } else if (offset == size_bytes && turn >= PTO_ASCEND_STAGE_COUNT) {
            break; // parts end in order, so the other stage has none either
        }
        *part = (struct part){0};
        if (status == PTO_OK && offset < size_bytes) {
            *part = next_part(offset, size_bytes);
            if (from != NULL) {
                memcpy(stage->memory, from + part->offset, part->size_bytes);
            }
            status = begin(device, stage, address, part, kind, what, err);
            offset += part->size_bytes;
        }
    }
    if (status != PTO_OK) {
        // The other stage must not be written over while it is being copied.
        for (uint32_t i = 0; i < PTO_ASCEND_STAGE_COUNT; i++) {
            (void)pto__ascend_wait(device, stages[i].stream, pto__ascend_patience_ns(device) / 8);
        }
    }
    return status;
}

enum pto_status pto__ascend_upload(struct pto_backend *device, enum pto_ascend_service_kind kind,
                                   uint64_t address, const void *host, uint64_t size_bytes,
                                   struct pto_error *err)
{
    return copy(device, device->stages[kind], address, host, NULL, size_bytes, err);
}

enum pto_status pto__ascend_download(struct pto_backend *device, enum pto_ascend_service_kind kind,
                                     void *host, uint64_t address, uint64_t size_bytes,
                                     struct pto_error *err)
{
    return copy(device, device->stages[kind], address, NULL, host, size_bytes, err);
}
