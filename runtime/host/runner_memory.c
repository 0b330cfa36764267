// SPDX-License-Identifier: Apache-2.0
// A runner's device memory: allocating, freeing, copying.
#include "base/error.h"
#include "host/run.h"

// Enters a call that uses device memory: afterwards use_lock is held for reading.
static enum pto_status begin_use(struct pto_runner *runner, const char *operation,
                                 struct pto_error *err)
{
    enum pto_status status = pto__runner_enter(runner, operation, err);
    if (status != PTO_OK) {
        return status;
    }
    pthread_rwlock_rdlock(&runner->use_lock);
    status = pto__runner_require_ready(runner, operation, err);
    if (status != PTO_OK) {
        pthread_rwlock_unlock(&runner->use_lock);
    }
    return status;
}

enum pto_status pto_runner_allocate(struct pto_runner *runner, uint64_t size_bytes,
                                    uint64_t *out_pointer, struct pto_error *err)
{
    if (out_pointer == NULL) {
        return pto_fail(err, PTO_E_ARGUMENT, "allocate_tensor: out_pointer is NULL");
    }
    *out_pointer = 0;
    struct pto_error own;
    err = err != NULL ? err : &own;
    enum pto_status status = begin_use(runner, "allocate_tensor", err);
    if (status != PTO_OK) {
        return status;
    }
    if (size_bytes == 0) {
        status = pto_fail(err, PTO_E_RANGE,
                          "allocate_tensor: 0 bytes asked for; a block has at least 1");
    } else {
        pthread_mutex_lock(&runner->ledger_mutex);
        status = pto__ledger_reserve(runner->ledger, err);
        if (status == PTO_OK) {
            status = runner->ops->allocate(runner->backend, size_bytes, out_pointer, err);
        }
        if (status == PTO_OK) {
            pto__ledger_add(runner->ledger, *out_pointer, size_bytes);
        }
        pthread_mutex_unlock(&runner->ledger_mutex);
        if (status == PTO_E_DEVICE || status == PTO_E_TIMEOUT) {
            pto__runner_fail(runner, err);
        }
    }
    pthread_rwlock_unlock(&runner->use_lock);
    return status;
}

enum pto_status pto_runner_free(struct pto_runner *runner, uint64_t pointer, struct pto_error *err)
{
    enum pto_status status = pto__runner_enter(runner, "free_tensor", err);
    if (status != PTO_OK) {
        return status;
    }
    // For writing: no copy and no run uses the block while it goes.
    pthread_rwlock_wrlock(&runner->use_lock);
    status = pto__runner_require_ready(runner, "free_tensor", err);
    if (status == PTO_OK) {
        uint64_t size_bytes;
        pthread_mutex_lock(&runner->ledger_mutex);
        status = pto__ledger_remove(runner->ledger, pointer, &size_bytes, err);
        pthread_mutex_unlock(&runner->ledger_mutex);
        if (status == PTO_OK) {
            runner->ops->release(runner->backend, pointer, size_bytes);
        }
    }
    pthread_rwlock_unlock(&runner->use_lock);
    return status;
}

enum direction { TO_DEVICE, FROM_DEVICE };

// Checks a copy's two ends. use_lock is held, so the block stays.
static enum pto_status check_copy(struct pto_runner *runner, enum direction direction,
                                  const void *host, uint64_t device_pointer, uint64_t size_bytes,
                                  struct pto_error *err)
{
    const char *what =
        direction == TO_DEVICE ? "copy_to_device: dev_ptr" : "copy_from_device: dev_ptr";
    if (host == NULL && size_bytes != 0) {
        return pto_fail(err, PTO_E_ARGUMENT, "%s: the host pointer is NULL", what);
    }
    pthread_mutex_lock(&runner->ledger_mutex);
    enum pto_status status =
        pto__ledger_check(runner->ledger, device_pointer, size_bytes, what, err);
    if (status == PTO_OK && direction == TO_DEVICE && size_bytes != 0) {
        pto__ledger_note_written(runner->ledger, device_pointer, size_bytes);
    }
    pthread_mutex_unlock(&runner->ledger_mutex);
    return status;
}

enum pto_status pto_runner_copy_to_device(struct pto_runner *runner, uint64_t device_pointer,
                                          const void *host, uint64_t size_bytes,
                                          struct pto_error *err)
{
    struct pto_error own;
    err = err != NULL ? err : &own;
    enum pto_status status = begin_use(runner, "copy_to_device", err);
    if (status != PTO_OK) {
        return status;
    }
    status = check_copy(runner, TO_DEVICE, host, device_pointer, size_bytes, err);
    if (status == PTO_OK && size_bytes != 0) {
        status = runner->ops->upload(runner->backend, device_pointer, host, size_bytes, err);
        // A driver that fails a copy leaves the device in an unknown state.
        if (status != PTO_OK) {
            pto__runner_fail(runner, err);
        }
    }
    pthread_rwlock_unlock(&runner->use_lock);
    return status;
}

enum pto_status pto_runner_copy_from_device(struct pto_runner *runner, void *host,
                                            uint64_t device_pointer, uint64_t size_bytes,
                                            struct pto_error *err)
{
    struct pto_error own;
    err = err != NULL ? err : &own;
    enum pto_status status = begin_use(runner, "copy_from_device", err);
    if (status != PTO_OK) {
        return status;
    }
    status = check_copy(runner, FROM_DEVICE, host, device_pointer, size_bytes, err);
    if (status == PTO_OK && size_bytes != 0) {
        status = runner->ops->download(runner->backend, host, device_pointer, size_bytes, err);
        // A driver that fails a copy leaves the device in an unknown state.
        if (status != PTO_OK) {
            pto__runner_fail(runner, err);
        }
    }
    pthread_rwlock_unlock(&runner->use_lock);
    return status;
}
