// SPDX-License-Identifier: Apache-2.0
// Calls: counted, failed on request, tied to the thread's context.
#include "tests/fake_cann/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t fake_changed = PTHREAD_COND_INITIALIZER;
struct fake_cann_stats fake_stats;
int fake_dead_reads;
int fake_limits_dropped;

static enum fake_cann_fault fault;
static uint64_t fault_at;
static int fault_code;
static const char *fault_hit;
static uint64_t injections;

static _Thread_local void *current;
static _Thread_local char recent[256];

FAKE_API fake_cann_stats_function fake_cann_stats;
FAKE_API fake_cann_inject_function fake_cann_inject;
FAKE_API fake_cann_hit_function fake_cann_hit;
FAKE_API fake_cann_dead_reads_function fake_cann_dead_reads;
FAKE_API fake_cann_drop_limits_function fake_cann_drop_limits;

void fake_cann_stats(struct fake_cann_stats *out_stats)
{
    pthread_mutex_lock(&fake_lock);
    *out_stats = fake_stats;
    pthread_mutex_unlock(&fake_lock);
}

void fake_cann_inject(enum fake_cann_fault new_fault, uint64_t n, int32_t code)
{
    pthread_mutex_lock(&fake_lock);
    fault = new_fault;
    fault_at = n;
    fault_code = code;
    fault_hit = NULL;
    injections++;
    pthread_cond_broadcast(&fake_changed);
    fake_stats.calls = 0;
    fake_stats.jobs = 0;
    fake_stats.aicpu_blocks = 0;
    pthread_mutex_unlock(&fake_lock);
}

const char *fake_cann_hit(void)
{
    pthread_mutex_lock(&fake_lock);
    const char *hit = fault_hit;
    pthread_mutex_unlock(&fake_lock);
    return hit;
}

void fake_cann_dead_reads(int fail)
{
    fake_dead_reads = fail;
}

void fake_cann_drop_limits(int drop)
{
    fake_limits_dropped = drop;
}

struct timespec fake_until(uint64_t duration_ms)
{
    const char *text = getenv("FAKE_CANN_CLOCK");
    uint64_t speed = text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : 1;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + duration_ms * 1000000u / speed;
    until.tv_sec += (time_t)(ns / 1000000000u);
    until.tv_nsec = (long)(ns % 1000000000u);
    return until;
}

void fake_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(recent, sizeof(recent), format, arguments);
    va_end(arguments);
}

const char *fake_recent(void)
{
    return recent;
}

void *fake_current(void)
{
    return current;
}

void fake_set_current(void *context)
{
    current = context;
}

int fake_enter(const char *name)
{
    pthread_mutex_lock(&fake_lock);
    fake_stats.calls++;
    if ((fault == FAKE_CANN_FAIL || fault == FAKE_CANN_DIE) && fake_stats.calls == fault_at) {
        fault_hit = name;
        fake_say("E39999: [stand-in] %s was made to fail\n", name);
        struct fake_device *device = current;
        if (fault == FAKE_CANN_DIE && device != NULL) {
            device->dead = fault_code;
        }
        return fault_code;
    }
    if (fault == FAKE_CANN_STALL && fake_stats.calls == fault_at) {
        uint64_t this_one = injections;
        fault_hit = name;
        while (injections == this_one) {
            pthread_cond_wait(&fake_changed, &fake_lock);
        }
        return PTO_CANN_DRIVER_INTERNAL;
    }
    return 0;
}

int fake_leave(int code)
{
    pthread_mutex_unlock(&fake_lock);
    return code;
}

int fake_enter_device(const char *name, struct fake_device **out_device)
{
    int code = fake_enter(name);
    *out_device = current;
    if (code == 0 && (*out_device == NULL || (*out_device)->uses == 0)) {
        fake_say("EE1001: %s: the thread has no context\n", name);
        return PTO_CANN_NO_CONTEXT;
    }
    return code;
}

int fake_count_job(void)
{
    fake_stats.jobs++;
    if (fault == FAKE_CANN_HANG && fake_stats.jobs == fault_at) {
        fault_hit = "a job";
        return 1;
    }
    return 0;
}
