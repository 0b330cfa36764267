// SPDX-License-Identifier: Apache-2.0
// Accessors between AICPU threads: coherent ARM cores, or threads of the host. The same atomics
// serve both.
#ifndef PTO_ABI_ACCESS_PEER_H
#define PTO_ABI_ACCESS_PEER_H

#include "abi/abi.h"

static inline uint32_t pto_peer_load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void pto_peer_store(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline uint32_t pto_peer_count(uint32_t *word, uint32_t value)
{
    return __atomic_fetch_add(word, value, __ATOMIC_RELAXED);
}

static inline uint32_t pto_peer_sub(uint32_t *word, uint32_t value)
{
    return __atomic_fetch_sub(word, value, __ATOMIC_ACQ_REL);
}

static inline int pto_peer_try_lock(uint32_t *lock)
{
    return __atomic_load_n(lock, __ATOMIC_RELAXED) == 0 &&
           __atomic_exchange_n(lock, 1u, __ATOMIC_ACQUIRE) == 0;
}

static inline void pto_peer_unlock(uint32_t *lock)
{
    __atomic_store_n(lock, 0u, __ATOMIC_RELEASE);
}

#endif // PTO_ABI_ACCESS_PEER_H
