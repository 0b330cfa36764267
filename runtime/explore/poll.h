// SPDX-License-Identifier: Apache-2.0
// The caller's poll function, asked at most every 50 ms.
#ifndef PTO_EXPLORE_POLL_H
#define PTO_EXPLORE_POLL_H

#include <stdbool.h>

#include "base/wait.h"
#include "host/backend.h"

#define PTO_POLL_INTERVAL_NS UINT64_C(50000000)

struct pto_poll {
    pto_poll_function *function; // NULL: never asked
    void *context;
    uint64_t next_ns;
    bool stopped; // it asked for the end
};

static inline bool pto__poll_stops(struct pto_poll *poll)
{
    if (poll->function != NULL && !poll->stopped) {
        uint64_t now = pto__now_ns();
        if (now >= poll->next_ns) {
            poll->next_ns = now + PTO_POLL_INTERVAL_NS;
            poll->stopped = poll->function(poll->context) != 0;
        }
    }
    return poll->stopped;
}

#endif // PTO_EXPLORE_POLL_H
