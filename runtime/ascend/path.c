// SPDX-License-Identifier: Apache-2.0
// Which of CANN's ways to start the two programs are taken.
#include <stdlib.h>
#include <string.h>

#include "ascend/device.h"
#include "base/error.h"

static const char *const aicpu_names[] = {
    [PTO_ASCEND_AICPU_JSON] = "json",
    [PTO_ASCEND_AICPU_RT] = "rt",
    [PTO_ASCEND_AICPU_NONE] = "host",
};
static const char *const aicore_names[] = {
    [PTO_ASCEND_AICORE_RT] = "rt",
    [PTO_ASCEND_AICORE_ACL] = "acl",
};

const char *pto__ascend_aicpu_path_name(enum pto_ascend_aicpu_path path)
{
    return aicpu_names[path];
}

const char *pto__ascend_aicore_path_name(enum pto_ascend_aicore_path path)
{
    return aicore_names[path];
}

static int has_aicpu_path(const struct pto_cann *cann, enum pto_ascend_aicpu_path path)
{
    switch (path) {
    case PTO_ASCEND_AICPU_JSON:
        return cann->aclrtBinaryLoadFromFile != NULL && cann->aclrtBinaryGetFunction != NULL &&
               cann->aclrtBinaryUnLoad != NULL && cann->aclrtLaunchKernelWithHostArgs != NULL;
    case PTO_ASCEND_AICPU_RT: return cann->rtAicpuKernelLaunchExWithArgs != NULL;
    case PTO_ASCEND_AICPU_NONE: return 1;
    }
    return 0;
}

static int has_aicore_path(const struct pto_cann *cann, enum pto_ascend_aicore_path path)
{
    switch (path) {
    case PTO_ASCEND_AICORE_RT:
        return cann->rtRegisterAllKernel != NULL && cann->rtKernelLaunchWithHandleV2 != NULL;
    case PTO_ASCEND_AICORE_ACL:
        return cann->aclrtBinaryLoadFromData != NULL && cann->aclrtBinaryGetFunction != NULL &&
               cann->aclrtBinaryUnLoad != NULL && cann->aclrtLaunchKernelWithHostArgs != NULL;
    }
    return 0;
}

// The index of the name of `length` characters at `text`, -1: none.
static int find_name(const char *const *names, int count, const char *text, size_t length)
{
    for (int i = 0; i < count; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0) {
            return i;
        }
    }
    return -1;
}

static enum pto_status fail_missing(const char *what, const char *name, const char *needs,
                                    struct pto_error *err)
{
    return pto_fail(err, PTO_E_BACKEND,
                    "init: PTO_ASCEND_LAUNCH asks for the %s path '%s', and this CANN lacks what "
                    "it takes (%s); unset it, or update CANN",
                    what, name, needs);
}

// PTO_ASCEND_LAUNCH: <AICPU path> or <AICPU path>+<AICore path>.
static enum pto_status parse_forced(struct pto_backend *device, const char *text, int *out_aicpu,
                                    int *out_aicore, struct pto_error *err)
{
    size_t first = strcspn(text, "+");
    int is_pair = text[first] == '+';
    int aicpu = find_name(aicpu_names, 3, text, first);
    int aicore =
        is_pair ? find_name(aicore_names, 2, text + first + 1, strlen(text + first + 1)) : -1;
    if (aicpu < 0 || (is_pair && aicore < 0)) {
        return pto_fail(err, PTO_E_RANGE,
                        "init: PTO_ASCEND_LAUNCH is '%s'; it must be json, rt or host, and may be "
                        "followed by +rt or +acl",
                        text);
    }
    enum pto_ascend_aicpu_path aicpu_path = (enum pto_ascend_aicpu_path)aicpu;
    if (!has_aicpu_path(device->cann, aicpu_path)) {
        return fail_missing("AICPU", aicpu_names[aicpu_path],
                            aicpu_path == PTO_ASCEND_AICPU_JSON
                                ? "aclrtLaunchKernelWithHostArgs, CANN 8.5"
                                : "rtAicpuKernelLaunchExWithArgs of libruntime.so",
                            err);
    }
    if (aicore >= 0 && !has_aicore_path(device->cann, (enum pto_ascend_aicore_path)aicore)) {
        return fail_missing("AICore", aicore_names[aicore],
                            aicore == PTO_ASCEND_AICORE_RT
                                ? "rtRegisterAllKernel and rtKernelLaunchWithHandleV2"
                                : "aclrtBinaryLoadFromData, CANN 8.5",
                            err);
    }
    *out_aicpu = aicpu;
    *out_aicore = aicore;
    return PTO_OK;
}

enum pto_status pto__ascend_choose_paths(struct pto_backend *device, struct pto_error *err)
{
    const struct pto_cann *cann = device->cann;
    const char *text = getenv("PTO_ASCEND_LAUNCH");
    int aicpu = -1;
    int aicore = -1;
    if (text != NULL && *text != '\0') {
        enum pto_status status = parse_forced(device, text, &aicpu, &aicore, err);
        if (status != PTO_OK) {
            return status;
        }
        device->aicpu_forced = 1;
    }
    for (int path = 0; aicpu < 0; path++) {
        // The last one takes nothing that may be missing.
        aicpu = has_aicpu_path(cann, (enum pto_ascend_aicpu_path)path) ? path : -1;
    }
    // The rt pair is what has been seen working on hardware with programs like ours.
    for (int path = 0; aicore < 0 && path < 2; path++) {
        aicore = has_aicore_path(cann, (enum pto_ascend_aicore_path)path) ? path : -1;
    }
    if (aicore < 0) {
        return pto_fail(err, PTO_E_BACKEND,
                        "init: this CANN can start no AICore program: it lacks both "
                        "rtRegisterAllKernel with rtKernelLaunchWithHandleV2 (libruntime.so%s) and "
                        "aclrtBinaryLoadFromData with aclrtLaunchKernelWithHostArgs (CANN 8.5); "
                        "install CANN 8.1 or later",
                        cann->runtime_path[0] == '\0' ? ", which was not found" : "");
    }
    device->aicpu_path = (enum pto_ascend_aicpu_path)aicpu;
    device->aicore_path = (enum pto_ascend_aicore_path)aicore;
    return PTO_OK;
}
