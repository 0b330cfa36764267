// SPDX-License-Identifier: Apache-2.0
// The arguments of DeviceRunner.init.
#include <string.h>

#include "python/module.h"

int pto__py_to_text(const struct module_state *state, const char *op, enum parameter parameter,
                    PyObject *value, PyObject **out_bytes, const char **out)
{
    if (value == NULL || value == Py_None) {
        return 0;
    }
    if (!PyUnicode_Check(value)) {
        (void)pto__py_raise_type(state, op, "%s must be a str or None, not %.100R",
                                 pto__py_parameter_names[parameter], value);
        return -1;
    }
    *out_bytes = PyUnicode_AsEncodedString(value, "utf-8", "backslashreplace");
    if (*out_bytes == NULL) {
        return -1;
    }
    *out = PyBytes_AsString(*out_bytes);
    if (strlen(*out) != (size_t)PyBytes_Size(*out_bytes)) {
        (void)pto__py_raise_status(state, op, PTO_E_ARGUMENT, "%s must not hold a zero character",
                                   pto__py_parameter_names[parameter]);
        Py_CLEAR(*out_bytes);
        return -1;
    }
    return 0;
}

// What only the explorer takes.
static int convert_explore(const struct module_state *state, PyObject *const *values,
                           struct pto_py_config *out)
{
    struct pto_config *config = &out->config;
    if (values[0] != NULL && values[0] != Py_None &&
        pto__py_to_uint64(state, "init", PARAMETER_SEED, values[0], PTO_E_RANGE, &config->seed) !=
            0) {
        return -1;
    }
    if (values[1] != NULL && values[1] != Py_None &&
        pto__py_to_uint64(state, "init", PARAMETER_SCHEDULES, values[1], PTO_E_RANGE,
                          &config->schedules) != 0) {
        return -1;
    }
    return pto__py_to_text(state, "init", PARAMETER_PROFILE, values[2], &out->profile,
                           &config->profile);
}

int pto__py_to_config(const struct module_state *state, PyObject *const *values,
                      struct pto_py_config *out)
{
    struct pto_config *config = &out->config;
    config->size = sizeof(*config);
    if (pto__py_to_int64(state, "init", PARAMETER_DEVICE_ID, values[0], &config->device_id) != 0 ||
        pto__py_to_int64(state, "init", PARAMETER_NUM_CORES, values[1], &config->core_count) != 0 ||
        pto__py_to_path(state, "init", PARAMETER_AICPU_SO_PATH, values[2], &out->aicpu_so_path) !=
            0 ||
        pto__py_to_path(state, "init", PARAMETER_AICORE_KERNEL_PATH, values[3],
                        &out->aicore_kernel_path) != 0 ||
        pto__py_to_text(state, "init", PARAMETER_BACKEND, values[4], &out->backend,
                        &config->backend) != 0 ||
        convert_explore(state, &values[6], out) != 0) {
        return -1;
    }
    if (values[5] != NULL &&
        pto__py_to_timeout_ns(state, "init", values[5], &config->timeout_ns) != 0) {
        return -1;
    }
    config->aicpu_so_path = PyBytes_AsString(out->aicpu_so_path);
    config->aicore_kernel_path = PyBytes_AsString(out->aicore_kernel_path);
    config->search_dir = PyBytes_AsString(state->search_dir);
    return 0;
}

void pto__py_config_clear(struct pto_py_config *config)
{
    Py_XDECREF(config->aicpu_so_path);
    Py_XDECREF(config->aicore_kernel_path);
    Py_XDECREF(config->backend);
    Py_XDECREF(config->profile);
}
