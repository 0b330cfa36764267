// SPDX-License-Identifier: Apache-2.0
// Condition variables with relative, monotonic time-outs.
#ifndef PTO_BASE_WAIT_H
#define PTO_BASE_WAIT_H

#include <pthread.h>
#include <stdint.h>

// Nanoseconds of a clock that never goes back.
uint64_t pto__now_ns(void);

// Initializes a condition variable for pto__wait_for.
void pto__wait_init(pthread_cond_t *condition);

// Waits for a signal, `duration_ns` at most; may return early. The mutex is held.
void pto__wait_for(pthread_cond_t *condition, pthread_mutex_t *mutex, uint64_t duration_ns);

#endif // PTO_BASE_WAIT_H
