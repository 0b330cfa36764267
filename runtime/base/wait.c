// SPDX-License-Identifier: Apache-2.0
#include "base/wait.h"

#include <time.h>
#include <unistd.h>

// Where POSIX's clock selection is missing (macOS), a step of the system's clock can stretch a
// wait; nothing depends on a wait's length but promptness.
#if defined(_POSIX_CLOCK_SELECTION) && _POSIX_CLOCK_SELECTION > 0
#define WAIT_CLOCK CLOCK_MONOTONIC
#else
#define WAIT_CLOCK CLOCK_REALTIME
#endif

uint64_t pto__now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void pto__wait_init(pthread_cond_t *condition)
{
#if defined(_POSIX_CLOCK_SELECTION) && _POSIX_CLOCK_SELECTION > 0
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, WAIT_CLOCK);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
#else
    pthread_cond_init(condition, NULL);
#endif
}

void pto__wait_for(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t duration_ns)
{
    struct timespec until;
    clock_gettime(WAIT_CLOCK, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + duration_ns;
    until.tv_sec += (time_t)(nanoseconds / 1000000000u);
    until.tv_nsec = (long)(nanoseconds % 1000000000u);
    pthread_cond_timedwait(condition, mutex, &until);
}
