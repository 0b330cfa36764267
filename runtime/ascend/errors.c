// SPDX-License-Identifier: Apache-2.0
// What CANN's codes mean, and what usually helps. Names are CANN's without ACL_ERROR_ and RT_; the
// hints come from public reports of what a code turned out to mean.
#include <stdio.h>
#include <string.h>

#include "ascend/service.h"
#include "base/error.h"

#define RECENT_SIZE 240

#define HINT_RESET "call finalize(), which resets the device, then init()"
#define HINT_REPORT "this is a defect of PTO Runtime or a mismatch with this CANN: please report it"

static const struct pto_cann_code codes[] = {
    {100000, "INVALID_PARAM", "an argument was refused", HINT_REPORT},
    {100001, "UNINITIALIZE", "CANN is not initialised", HINT_REPORT},
    {200001, "API_NOT_SUPPORT", "this CANN or chip lacks the function", "update CANN and driver"},
    {107000, "PARAM_INVALID", "an argument was refused", HINT_REPORT},
    {107001, "INVALID_DEVICEID", "there is no such device",
     "npu-smi info lists the devices; also "
     "check ASCEND_RT_VISIBLE_DEVICES, which renumbers them"},
    {107002, "CONTEXT_NULL", "no context on this thread",
     "another library reset the device; " HINT_RESET},
    {107003, "STREAM_CONTEXT", "the stream belongs to another context", HINT_REPORT},
    {107017, "INVALID_HANDLE", "a handle is not known",
     "another library reset the device; " HINT_RESET},
    {107019, "WAIT_TIMEOUT", "waiting took too long", HINT_RESET},
    {107022, "TASK_ABORT", "the task was aborted", HINT_RESET},
    {107023, "STREAM_ABORT", "the stream was aborted", HINT_RESET},
    {200000, "BAD_ALLOC", "the host has no memory", "free host memory"},
    {207000, "FEATURE_NOT_SUPPORT", "this chip or driver lacks the function",
     "update driver and firmware"},
    {207001, "MEMORY_ALLOCATION", "memory could not be allocated",
     "free device memory (npu-smi info shows who holds it). Right after another failure this code "
     "means a dead device, not a full one: " HINT_RESET},
    {207004, "NO_DEVICE", "no device is left", "npu-smi info lists the devices"},
    {207006, "NO_PERMISSION", "not permitted",
     "the user must belong to the driver's group (HwHiAiUser), or the container needs "
     "/dev/davinci<n>, /dev/davinci_manager, /dev/devmm_svm and /dev/hisi_hdc"},
    {207008, "NO_STREAM_RESOURCE", "no stream is left", "close other users of the device"},
    {207018, "DEVICE_OOM", "the device's memory is exhausted",
     "free device memory (npu-smi info shows who holds it)"},
    {300000, "STORAGE_OVER_LIMIT", "CANN's storage is exhausted", "close other users of CANN"},
    {500000, "INTERNAL_ERROR", "an internal error of CANN",
     "see the logs in ~/ascend/log; " HINT_RESET},
    {500001, "FAILURE", "an internal error of CANN", "see the logs in ~/ascend/log; " HINT_RESET},
    {507000, "INTERNAL_ERROR", "an internal error of CANN",
     "see the device log in ~/ascend/log; " HINT_RESET},
    {507014, "AICORE_TIMEOUT", "the cores did not finish in time", HINT_RESET},
    {507015, "AICORE_EXCEPTION", "a core stopped with an exception",
     "a kernel touched memory that is not there, or was built for another chip; " HINT_RESET},
    {507017, "AICPU_TIMEOUT", "the AICPU program did not finish in time",
     "raise PTO_ASCEND_RUN_LIMIT_S if runs may take so long; " HINT_RESET},
    {507018, "AICPU_EXCEPTION", "the AICPU program failed",
     "if this is the first run, the device lacks CANN's libaicpu_extend_kernels.so (it takes CANN "
     "8.5 and driver 25.2 or later): try PTO_ASCEND_LAUNCH=host; else a kernel may have "
     "faulted: " HINT_RESET},
    {507027, "KERNEL_LOOKUP", "the kernel was not found", "build aicore/kernel.o for this chip"},
    {507033, "DEVICE_SETUP_ERROR", "the device could not be set up",
     "check the driver with npu-smi info, and that CANN and driver are of matching releases"},
    {507034, "VECTOR_CORE_TIMEOUT", "the vector cores did not finish in time", HINT_RESET},
    {507035, "VECTOR_CORE_EXCEPTION", "a vector core stopped with an exception",
     "a kernel touched memory that is not there, or was built for another chip; " HINT_RESET},
    {507046, "STREAM_SYNC_TIMEOUT", "the device did not finish in time", HINT_RESET},
    {507053, "DEVICE_MEM_ERROR", "a memory error of the device", HINT_RESET},
    {507054, "HBM_MULTI_BIT_ECC_ERROR", "an uncorrectable memory error",
     "the device needs a reset by the administrator, and perhaps a repair"},
    {507899, "DRV_INTERNAL_ERROR", "an internal error of the driver",
     "mostly the consequence of an earlier failure: " HINT_RESET},
    {507901, "HDC_DISCONNECT", "the connection to the device was lost",
     "check the device with npu-smi info"},
};

// Of the codes that are not named above: the first number of each range.
static const struct pto_cann_code families[] = {
    {0, "UNKNOWN", "not in our table", "look the number up in CANN's documentation; " HINT_RESET},
    {100000, "a code of wrong use", "CANN refused the call", HINT_REPORT},
    {107024, "a code of graph capture", "a stream is being captured",
     "another library captures this thread's work: end the capture first"},
    {107042, "a code of wrong use", "CANN refused the call", HINT_REPORT},
    {200000, "a code of missing resources", "CANN lacks a resource",
     "close other users of the device (npu-smi info shows them); else " HINT_RESET},
    {500000, "a code of the device", "the device or its driver failed",
     "see the logs in ~/ascend/log; " HINT_RESET},
    {600000, "UNKNOWN", "not in our table",
     "look the number up in CANN's documentation; " HINT_RESET},
};

const struct pto_cann_code *pto__cann_code(int32_t code)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].code == code) {
            return &codes[i];
        }
    }
    size_t family = 0;
    while (family + 1 < sizeof(families) / sizeof(families[0]) &&
           families[family + 1].code <= code) {
        family++;
    }
    return &families[family];
}

// The first line or two of what CANN wrote, on one line; empty when it wrote nothing.
static void recent_text(const struct pto_cann *cann, char *text, size_t size)
{
    const char *recent =
        cann->aclGetRecentErrMsg != NULL ? PTO_CALL_TEXT(cann, aclGetRecentErrMsg) : NULL;
    text[0] = '\0';
    if (recent == NULL || *recent == '\0') {
        return;
    }
    snprintf(text, size, "%s", recent);
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20) {
            text[i] = ' ';
        }
    }
    while (length > 0 && text[length - 1] == ' ') {
        text[--length] = '\0';
    }
}

void pto__cann_describe(const struct pto_cann *cann, int32_t code, char *text, size_t size)
{
    const struct pto_cann_code *known = pto__cann_code(code);
    char recent[RECENT_SIZE];
    recent_text(cann, recent, sizeof(recent));
    snprintf(text, size, "%d (%s: %s)%s%s%s", (int)code, known->name, known->text,
             recent[0] != '\0' ? "; CANN says: \"" : "", recent, recent[0] != '\0' ? "\"" : "");
}

enum pto_status pto__cann_fail(const struct pto_cann *cann, struct pto_error *err, int32_t code,
                               const char *function, const char *what)
{
    const struct pto_cann_code *known = pto__cann_code(code);
    enum pto_status status = code == PTO_CANN_MEMORY_ALLOCATION || code == PTO_CANN_DEVICE_OOM
                                 ? PTO_E_NO_MEMORY
                                 : PTO_E_DEVICE;
    char described[RECENT_SIZE + 160];
    pto__cann_describe(cann, code, described, sizeof(described));
    pto_fail(err, status, "%s failed: %s returned %s. Hint: %s", what, function, described,
             known->hint);
    if (err != NULL) {
        err->vendor_code = code;
    }
    return status;
}
