// SPDX-License-Identifier: Apache-2.0
// A launch of the explorer's backend: schedule after schedule from the same device memory, until
// one goes wrong. What went wrong is made small, and written down where that is wanted.
#ifndef PTO_EXPLORE_SEARCH_H
#define PTO_EXPLORE_SEARCH_H

#include "explore/options.h"

struct pto_search {
    struct pto_explorer *explorer;
    const struct pto_explore_options *options;
    uint32_t core_count;
    uint64_t timeout_ns;
    uint64_t launch;       // number of this one, from 1
    pto_log_function *log; // may be NULL
    void *log_context;
};

PTO_NODISCARD enum pto_status pto__search_launch(const struct pto_search *search,
                                                 const struct pto_launch_request *request,
                                                 struct pto_launch_outcome *out,
                                                 struct pto_error *err);

#endif // PTO_EXPLORE_SEARCH_H
