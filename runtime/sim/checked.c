// SPDX-License-Identifier: Apache-2.0
// Launches with checks of kernels.
//
// They run on a second device: the same scheduler, the program built for checks, and one lane, so
// that kernels run one after the other on the thread that called run(). Its memory is not used: a
// checked launch works on the same blocks as any other.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "check/checker.h"
#include "sim/backend.h"
#include "sim/device.h"

struct pto_sim_checks {
    struct pto_backend_config config; // with paths of its own
    char *aicpu_so_path;
    char *aicore_kernel_path;
    struct pto_checker *checker;
    struct pto_backend *device; // NULL: not opened yet
    const struct pto_check_program *program;
    bool last_checked; // the last launch was
};

enum pto_status pto__sim_checks_create(struct pto_sim_checks **out,
                                       const struct pto_backend_config *config,
                                       struct pto_error *err)
{
    struct pto_sim_checks *checks = calloc(1, sizeof(*checks));
    *out = NULL;
    if (checks != NULL) {
        checks->config = *config;
        checks->config.lane_count = 1;
        checks->aicpu_so_path = strdup(config->aicpu_so_path);
        checks->aicore_kernel_path = pto__program_sibling(config->aicore_kernel_path, "_check");
        checks->config.aicpu_so_path = checks->aicpu_so_path;
        checks->config.aicore_kernel_path = checks->aicore_kernel_path;
        checks->config.profile = NULL;
    }
    if (checks == NULL || checks->aicpu_so_path == NULL || checks->aicore_kernel_path == NULL) {
        pto__sim_checks_destroy(checks);
        return pto_fail_no_host_memory(err, "the simulator's device", sizeof(*checks));
    }
    *out = checks;
    return PTO_OK;
}

void pto__sim_checks_destroy(struct pto_sim_checks *checks)
{
    if (checks == NULL) {
        return;
    }
    if (checks->device != NULL) {
        pto__sim_close(checks->device);
    }
    pto__checker_destroy(checks->checker);
    free(checks->aicpu_so_path);
    free(checks->aicore_kernel_path);
    free(checks);
}

static enum pto_status find_program(const struct pto_sim_checks *checks, struct pto_error *err)
{
    static const char *const symbols[] = {PTO_AICORE_PROGRAM_SYMBOL, PTO_CHECK_PROGRAM_SYMBOL,
                                          NULL};
    const char *path = checks->aicore_kernel_path;
    char *found = NULL;
    enum pto_status status = pto__program_find(path, NULL, NULL, "run: checks", &found, err);
    free(found);
    if (status == PTO_E_FILE) {
        return pto_fail(err, PTO_E_FILE,
                        "run: checks need %s, a build of the kernels that shows what they touch, "
                        "and it is not there. pto_add_kernels() makes it beside the program, on "
                        "Linux with GCC or Clang and without sanitizers",
                        path);
    }
    return status == PTO_OK
               ? pto__program_check(path, PTO_MACHINE_NATIVE, symbols, "run: checks", err)
               : status;
}

static enum pto_status open_device(struct pto_sim_checks *checks, struct pto_error *err)
{
    enum pto_status status = find_program(checks, err);
    if (status == PTO_OK && checks->checker == NULL) {
        status = pto__checker_create(&checks->checker, err);
    }
    struct pto_backend *device = NULL;
    if (status == PTO_OK) {
        status = pto__sim_open(&device, &checks->config, err);
    }
    if (status != PTO_OK) {
        return status;
    }
    checks->program = dlsym(device->aicore_handle, PTO_CHECK_PROGRAM_SYMBOL);
    if (checks->program == NULL || checks->program->version != PTO_ABI_VERSION) {
        pto__sim_close(device);
        return pto_fail(err, PTO_E_PROGRAM,
                        "run: checks: %s is of another version than this library; build both from "
                        "one release",
                        checks->aicore_kernel_path);
    }
    checks->device = device;
    return PTO_OK;
}

enum pto_status pto__sim_prepare_checks(struct pto_backend *device,
                                        const struct pto_check_setup *setup, struct pto_error *err)
{
    struct pto_sim_checks *checks = device->checks;
    enum pto_status status = checks->device != NULL ? PTO_OK : open_device(checks, err);
    return status == PTO_OK ? pto__checker_prepare(checks->checker, setup, err) : status;
}

static void stop_kernel(void *context, uint64_t address)
{
    pto__sim_fault_stop(context, address);
}

static enum pto_status launch_checked(struct pto_sim_checks *checks,
                                      const struct pto_launch_request *request,
                                      struct pto_launch_outcome *out, struct pto_error *err)
{
    struct pto_check_hooks *hooks =
        pto__checker_begin(checks->checker, request->image, __builtin_frame_address(0), stop_kernel,
                           &checks->device->lanes[0]);
    // The caller's poll function may make a checked launch of another device on this thread.
    struct pto_check_hooks *before = checks->program->bind(hooks);
    enum pto_status status = pto__sim_launch(checks->device, request, out, err);
    checks->program->bind(before);
    pto__checker_end(checks->checker, out);
    return status;
}

enum pto_status pto__sim_launch_any(struct pto_backend *device,
                                    const struct pto_launch_request *request,
                                    struct pto_launch_outcome *out, struct pto_error *err)
{
    device->checks->last_checked = request->checked;
    return request->checked ? launch_checked(device->checks, request, out, err)
                            : pto__sim_launch(device, request, out, err);
}

enum pto_status pto__sim_handshakes_any(struct pto_backend *device, struct pto_handshake *out,
                                        uint32_t core_count, struct pto_error *err)
{
    return pto__sim_handshakes(device->checks->last_checked ? device->checks->device : device, out,
                               core_count, err);
}
