// SPDX-License-Identifier: Apache-2.0
#include "graph/poll.h"

#include "base/error.h"

// Steps between two questions: some milliseconds.
#define WORK_BETWEEN (UINT64_C(1) << 19)

enum pto_status pto__poll_init(struct pto_work_poll *poll, const char *operation,
                               const struct pto_analysis_options *options, struct pto_error *err)
{
    *poll = (struct pto_work_poll){.operation = operation};
    if (options == NULL) {
        return PTO_OK;
    }
    if (options->size != sizeof(*options)) {
        return pto_fail(err, PTO_E_ARGUMENT,
                        "%s: the options' size field is not sizeof(struct pto_analysis_options); "
                        "was the caller compiled with another version's headers?",
                        operation);
    }
    poll->function = options->poll;
    poll->context = options->poll_context;
    return PTO_OK;
}

enum pto_status pto__poll(struct pto_work_poll *poll, uint64_t work, struct pto_error *err)
{
    if (poll == NULL) {
        return PTO_OK;
    }
    poll->work += work;
    if (poll->work < WORK_BETWEEN) {
        return PTO_OK;
    }
    poll->work = 0;
    if (poll->function == NULL || poll->function(poll->context) == 0) {
        return PTO_OK;
    }
    return pto_fail(err, PTO_E_INTERRUPTED, "%s: stopped at the caller's wish", poll->operation);
}
