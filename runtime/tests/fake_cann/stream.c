// SPDX-License-Identifier: Apache-2.0
// Streams: a thread each, which does the stream's jobs in order. What goes wrong in one is seen by
// who waits for the stream, not by who pushed the job.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake_cann/state.h"

static struct fake_stream *streams;

int fake_stream_is_known(const struct fake_stream *stream)
{
    for (struct fake_stream *other = streams; other != NULL; other = other->next) {
        if (other == stream) {
            return 1;
        }
    }
    return 0;
}

static int do_copy(struct fake_stream *stream, const struct fake_job *job)
{
    struct fake_device *device = stream->device;
    int up = job->kind == PTO_CANN_COPY_TO_DEVICE;
    if (device->dead && (up || fake_dead_reads)) {
        return PTO_CANN_DRIVER_INTERNAL;
    }
    uint64_t address = (uint64_t)(uintptr_t)(up ? job->to : job->from);
    uint8_t *place = fake_memory_at(device, address, job->size_bytes);
    if (place == NULL) {
        return FAKE_INVALID_PARAM; // freed since the job was pushed
    }
    memcpy(up ? place : job->to, up ? job->from : place, job->size_bytes);
    return 0;
}

static int do_launch(struct fake_stream *stream, struct fake_job *job)
{
    struct fake_device *device = stream->device;
    if (device->dead) {
        return PTO_CANN_DRIVER_INTERNAL;
    }
    if (fake_aicpu_is_broken && job->is_aicpu) {
        device->dead = PTO_CANN_AICPU_EXCEPTION;
        return PTO_CANN_AICPU_EXCEPTION;
    }
    uint32_t generation = device->generation;
    int code = fake_device_call(device, &job->message, job->limit_ms);
    if (code == PTO_CANN_STREAM_SYNC_TIMEOUT) {
        code = job->is_aicpu ? PTO_CANN_AICPU_TIMEOUT : PTO_CANN_AICORE_TIMEOUT;
    }
    if (code != 0 && device->generation == generation && device->pid != 0) {
        // From here on the device is poisoned until it is reset by force.
        device->dead = code;
    }
    return code;
}

static void *stream_main(void *argument)
{
    struct fake_stream *stream = argument;
    pthread_mutex_lock(&fake_lock);
    while (!stream->closing) {
        struct fake_job *job = stream->jobs;
        if (job == NULL || job->hangs) {
            pthread_cond_wait(&fake_changed, &fake_lock);
            continue;
        }
        int code = job->is_launch ? do_launch(stream, job) : do_copy(stream, job);
        if (code != 0 && stream->error == 0) {
            stream->error = code;
        }
        stream->jobs = job->next;
        free(job);
        pthread_cond_broadcast(&fake_changed);
    }
    pthread_mutex_unlock(&fake_lock);
    return NULL;
}

int fake_stream_create(struct fake_device *device, struct fake_stream **out_stream)
{
    struct fake_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return 207008;
    }
    stream->device = device;
    if (!fake_start_thread(&stream->thread, stream_main, stream)) {
        free(stream);
        return 207008;
    }
    stream->next = streams;
    streams = stream;
    fake_stats.streams++;
    *out_stream = stream;
    return 0;
}

static void end(struct fake_stream *stream)
{
    struct fake_stream **place = &streams;
    while (*place != stream) {
        place = &(*place)->next;
    }
    *place = stream->next;
    stream->closing = 1;
    fake_stats.streams--;
    pthread_cond_broadcast(&fake_changed);
    pthread_mutex_unlock(&fake_lock);
    pthread_join(stream->thread, NULL);
    pthread_mutex_lock(&fake_lock);
    while (stream->jobs != NULL) {
        struct fake_job *job = stream->jobs;
        stream->jobs = job->next;
        free(job);
    }
    free(stream);
}

// Waits for the jobs, as CANN does; on a dead device they end by themselves.
int fake_stream_destroy(struct fake_stream *stream)
{
    while (stream->jobs != NULL) {
        pthread_cond_wait(&fake_changed, &fake_lock);
    }
    end(stream);
    return 0;
}

uint32_t fake_streams_end(struct fake_device *device)
{
    uint32_t count = 0;
    struct fake_stream *stream = streams;
    while (stream != NULL) {
        if (stream->device == device) {
            end(stream);
            count++;
            stream = streams; // the list may have changed
        } else {
            stream = stream->next;
        }
    }
    return count;
}

int fake_stream_push(struct fake_stream *stream, const struct fake_job *job)
{
    struct fake_job *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return 200000;
    }
    *copy = *job;
    copy->next = NULL;
    copy->hangs = fake_count_job();
    struct fake_job **place = &stream->jobs;
    while (*place != NULL) {
        place = &(*place)->next;
    }
    *place = copy;
    pthread_cond_broadcast(&fake_changed);
    return 0;
}

int fake_stream_wait(struct fake_stream *stream, int32_t timeout_ms)
{
    const struct timespec until = fake_until(timeout_ms > 0 ? (uint64_t)timeout_ms : 0);
    while (stream->jobs != NULL) {
        int waited = timeout_ms < 0 ? pthread_cond_wait(&fake_changed, &fake_lock)
                                    : pthread_cond_timedwait(&fake_changed, &fake_lock, &until);
        if (waited == ETIMEDOUT && stream->jobs != NULL) {
            fake_say("EE1002: the stream did not finish within %d ms\n", (int)timeout_ms);
            return PTO_CANN_STREAM_SYNC_TIMEOUT;
        }
    }
    int code = stream->error;
    if (code != 0) {
        fake_say("EZ9999: a task of the stream failed, error %d\n", code);
    }
    return code;
}
