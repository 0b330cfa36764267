// SPDX-License-Identifier: Apache-2.0
// Which graphs a device holds, and bringing one up to date with the least upload: nothing when it
// did not change, single records when only arguments did, all of it otherwise.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "host/check.h"
#include "host/runner.h"

static void drop(struct pto_runner *runner, struct pto_cached_image *image)
{
    if (image->life == NULL) {
        return;
    }
    if (image->address != 0) {
        runner->ops->release(runner->backend, image->address, image->size_bytes);
    }
    if (image->ready_address != 0) {
        runner->ops->release(runner->backend, image->ready_address, image->ready_bytes);
    }
    pto__graph_life_release(image->life);
    *image = (struct pto_cached_image){0};
}

void pto__image_cache_clear(struct pto_runner *runner)
{
    for (uint32_t i = 0; i < PTO_CACHED_IMAGE_COUNT; i++) {
        drop(runner, &runner->images[i]);
    }
}

// The graph's place: the one it has, else a free one, else the one used longest ago. Copies of
// graphs that exist no more are dropped on the way.
static struct pto_cached_image *find_place(struct pto_runner *runner, const struct pto_graph *graph)
{
    uint64_t graph_id = pto__graph_version(graph).graph_id;
    struct pto_cached_image *oldest = NULL;
    struct pto_cached_image *empty = NULL;
    for (uint32_t i = 0; i < PTO_CACHED_IMAGE_COUNT; i++) {
        struct pto_cached_image *image = &runner->images[i];
        if (image->life != NULL && image->version.graph_id == graph_id) {
            return image;
        }
        if (image->life != NULL && !pto__graph_life_is_alive(image->life)) {
            drop(runner, image);
        }
        if (image->life == NULL) {
            empty = empty != NULL ? empty : image;
        } else if (oldest == NULL || image->last_use < oldest->last_use) {
            oldest = image;
        }
    }
    if (empty == NULL) {
        drop(runner, oldest);
        empty = oldest;
    }
    empty->life = pto__graph_life_retain(graph);
    empty->version.graph_id = graph_id;
    return empty;
}

static enum pto_status upload(struct pto_runner *runner, uint64_t address, const void *host,
                              uint64_t size_bytes, struct pto_error *err)
{
    enum pto_status status = runner->ops->upload(runner->backend, address, host, size_bytes, err);
    if (status == PTO_OK) {
        atomic_fetch_add(&runner->upload_bytes, size_bytes);
    }
    return status;
}

static void drop_others(struct pto_runner *runner, const struct pto_cached_image *keep)
{
    for (uint32_t i = 0; i < PTO_CACHED_IMAGE_COUNT; i++) {
        if (&runner->images[i] != keep) {
            drop(runner, &runner->images[i]);
        }
    }
}

// Makes `*address`, which is one of `keep`, a device block of at least `needed` bytes. A block that
// is more than twice as large is given back. A full device loses the copies of other graphs.
static enum pto_status make_room(struct pto_runner *runner, const struct pto_cached_image *keep,
                                 uint64_t *address, uint64_t *size_bytes, uint64_t needed,
                                 struct pto_error *err)
{
    if (*address != 0 && *size_bytes >= needed && *size_bytes / 2 <= needed) {
        return PTO_OK;
    }
    if (*address != 0) {
        runner->ops->release(runner->backend, *address, *size_bytes);
        *address = 0;
        *size_bytes = 0;
    }
    enum pto_status status = runner->ops->allocate(runner->backend, needed, address, err);
    if (status == PTO_E_NO_MEMORY) {
        drop_others(runner, keep);
        status = runner->ops->allocate(runner->backend, needed, address, err);
    }
    if (status == PTO_OK) {
        *size_bytes = needed;
    }
    return status;
}

// The counts that every run starts from, and that the scheduler restores.
static enum pto_status upload_pending(struct pto_runner *runner, uint64_t address,
                                      const struct pto_image *compiled, struct pto_error *err)
{
    uint32_t task_count = compiled->header->task_count;
    uint64_t size_bytes = (uint64_t)task_count * sizeof(uint32_t);
    uint32_t *pending = malloc(size_bytes);
    if (pending == NULL) {
        return pto_fail_no_host_memory(err, "the predecessor counts of a graph", size_bytes);
    }
    const struct pto_task_record *records =
        (const struct pto_task_record *)(const void *)(compiled->bytes +
                                                       compiled->header->record_offset);
    for (uint32_t i = 0; i < task_count; i++) {
        pending[i] = records[i].predecessor_count;
    }
    enum pto_status status = upload(runner, address, pending, size_bytes, err);
    free(pending);
    return status;
}

static enum pto_status upload_all(struct pto_runner *runner, const struct pto_graph *graph,
                                  struct pto_cached_image *image, struct pto_error *err)
{
    struct pto_image compiled;
    image->usable = 0;
    image->written = 1;
    enum pto_status status = pto__graph_compile(graph, &compiled, err);
    if (status != PTO_OK) {
        return status;
    }
    uint64_t task_count = compiled.header->task_count;
    uint64_t pending_offset =
        (compiled.size_bytes + PTO_CACHE_LINE_SIZE - 1) / PTO_CACHE_LINE_SIZE * PTO_CACHE_LINE_SIZE;
    status = make_room(runner, image, &image->address, &image->size_bytes,
                       pending_offset + task_count * sizeof(uint32_t), err);
    if (status == PTO_OK) {
        status = upload(runner, image->address, compiled.bytes, compiled.size_bytes, err);
    }
    if (status == PTO_OK) {
        status = upload_pending(runner, image->address + pending_offset, &compiled, err);
    }
    if (status == PTO_OK) {
        image->pending_address = image->address + pending_offset;
        image->record_offset = compiled.header->record_offset;
        image->task_count = compiled.header->task_count;
        image->version = pto__graph_version(graph);
        image->usable = 1;
    }
    pto__image_free(&compiled);
    return status;
}

static enum pto_status upload_args(struct pto_runner *runner, const struct pto_graph *graph,
                                   const struct pto_cached_image *image, uint32_t task,
                                   struct pto_error *err)
{
    struct pto_task_view view;
    enum pto_status status = pto_graph_get_task(graph, task, &view, err);
    if (status != PTO_OK || view.arg_count == 0) {
        return status;
    }
    uint64_t args_address = image->address + image->record_offset +
                            (uint64_t)task * sizeof(struct pto_task_record) +
                            offsetof(struct pto_task_record, args);
    if (view.arg_count > PTO_INLINE_ARG_COUNT) {
        uint64_t spill_offset;
        status = runner->ops->download(runner->backend, &spill_offset, args_address,
                                       sizeof(spill_offset), err);
        if (status != PTO_OK) {
            return status;
        }
        args_address = image->address + spill_offset;
    }
    return upload(runner, args_address, view.args, (uint64_t)view.arg_count * sizeof(uint64_t),
                  err);
}

// Uploads the records whose arguments changed. *out_done is 0 when everything must be uploaded.
static enum pto_status upload_changes(struct pto_runner *runner, const struct pto_graph *graph,
                                      struct pto_cached_image *image, int *out_done,
                                      struct pto_error *err)
{
    const uint32_t *tasks;
    size_t count;
    struct pto_graph_version version = pto__graph_version(graph);
    *out_done = 0;
    if (!image->usable || image->version.structure != version.structure ||
        !pto__graph_changed_args(graph, image->version.args, &tasks, &count)) {
        return PTO_OK;
    }
    for (size_t i = 0; i < count; i++) {
        image->written = 1;
        enum pto_status status = upload_args(runner, graph, image, tasks[i], err);
        if (status != PTO_OK) {
            image->usable = 0; // a part of the changes is there
            return status;
        }
    }
    image->version = version;
    *out_done = 1;
    return PTO_OK;
}

// Checks what is not known to be good: everything, or the tasks whose arguments were replaced.
static enum pto_status check_locked(struct pto_runner *runner, const struct pto_graph *graph,
                                    const struct pto_cached_image *image, uint64_t generation,
                                    struct pto_error *err)
{
    const uint32_t *tasks;
    size_t count;
    if (!image->checked || image->checked_generation != generation ||
        image->checked_structure != pto__graph_version(graph).structure ||
        !pto__graph_changed_args(graph, image->checked_args, &tasks, &count)) {
        return pto__check_graph(graph, &runner->kernels, runner->ledger, err);
    }
    for (size_t i = 0; i < count; i++) {
        struct pto_task_view view;
        enum pto_status status = pto_graph_get_task(graph, tasks[i], &view, err);
        if (status == PTO_OK) {
            status = pto__check_task(&view, tasks[i], &runner->kernels, runner->ledger, err);
        }
        if (status != PTO_OK) {
            return status;
        }
    }
    return PTO_OK;
}

static enum pto_status check(struct pto_runner *runner, const struct pto_graph *graph,
                             struct pto_cached_image *image, struct pto_error *err)
{
    pthread_mutex_lock(&runner->ledger_mutex);
    uint64_t generation = pto__ledger_generation(runner->ledger);
    enum pto_status status = check_locked(runner, graph, image, generation, err);
    image->checked = status == PTO_OK;
    image->checked_generation = generation;
    image->next_serial = pto__ledger_next_serial(runner->ledger);
    image->checked_structure = pto__graph_version(graph).structure;
    image->checked_args = pto__graph_version(graph).args;
    pthread_mutex_unlock(&runner->ledger_mutex);
    return status;
}

enum pto_status pto__image_cache_get(struct pto_runner *runner, const struct pto_graph *graph,
                                     uint32_t scheduler_count, struct pto_cached_image **out_image,
                                     struct pto_error *err)
{
    struct pto_cached_image *image = find_place(runner, graph);
    image->last_use = ++runner->use_count;
    *out_image = image;
    enum pto_status status = check(runner, graph, image, err);
    int done = 0;
    if (status == PTO_OK) {
        status = upload_changes(runner, graph, image, &done, err);
    }
    if (status == PTO_OK && !done) {
        status = upload_all(runner, graph, image, err);
    }
    if (status == PTO_OK) {
        status = make_room(runner, image, &image->ready_address, &image->ready_bytes,
                           (uint64_t)scheduler_count * image->task_count * sizeof(uint32_t), err);
    }
    return status;
}
