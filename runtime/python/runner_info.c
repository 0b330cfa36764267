// SPDX-License-Identifier: Apache-2.0
// What a DeviceRunner tells of itself: properties, repr, the handshakes of its cores.
#include "python/module.h"

#include <stdlib.h>
#include <string.h>

#include "python/runner_doc.h"

static const char *const state_names[] = {
    [PTO_RUNNER_CLOSED] = "closed",
    [PTO_RUNNER_READY] = "ready",
    [PTO_RUNNER_FAILED] = "failed",
};

static struct runner_object *as_runner(PyObject *self)
{
    return (struct runner_object *)self;
}

static struct pto_runner_info get_info(PyObject *self)
{
    struct pto_runner_info info;
    Py_BEGIN_ALLOW_THREADS
    pto_runner_get_info(as_runner(self)->runner, &info);
    Py_END_ALLOW_THREADS
    return info;
}

static PyObject *get_backend(PyObject *self, void *unused)
{
    (void)unused;
    struct pto_runner_info info = get_info(self);
    if (info.state == PTO_RUNNER_CLOSED) {
        return pto__py_new_ref(Py_None);
    }
    return PyUnicode_FromString(info.backend);
}

static PyObject *get_device_id(PyObject *self, void *unused)
{
    (void)unused;
    struct pto_runner_info info = get_info(self);
    if (info.state == PTO_RUNNER_CLOSED) {
        return pto__py_new_ref(Py_None);
    }
    return PyLong_FromLongLong(info.device_id);
}

static PyObject *get_num_cores(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLongLong(get_info(self).core_count);
}

static PyObject *get_state(PyObject *self, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(state_names[get_info(self).state]);
}

static PyObject *get_live_blocks(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(get_info(self).block_count);
}

static PyObject *get_live_bytes(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(get_info(self).block_bytes);
}

static PyObject *get_upload_bytes(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(get_info(self).upload_bytes);
}

static PyObject *get_run_count(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(get_info(self).run_count);
}

static PyObject *get_last_freed_blocks(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(
        atomic_load_explicit(&as_runner(self)->last_freed_blocks, memory_order_relaxed));
}

PyGetSetDef pto__py_runner_properties[] = {
    {"backend", get_backend, NULL, RUNNER_BACKEND_DOC, NULL},
    {"device_id", get_device_id, NULL, RUNNER_DEVICE_ID_DOC, NULL},
    {"num_cores", get_num_cores, NULL, RUNNER_NUM_CORES_DOC, NULL},
    {"state", get_state, NULL, RUNNER_STATE_DOC, NULL},
    {"live_blocks", get_live_blocks, NULL, RUNNER_LIVE_BLOCKS_DOC, NULL},
    {"live_bytes", get_live_bytes, NULL, RUNNER_LIVE_BYTES_DOC, NULL},
    {"upload_bytes", get_upload_bytes, NULL, RUNNER_UPLOAD_BYTES_DOC, NULL},
    {"run_count", get_run_count, NULL, RUNNER_RUN_COUNT_DOC, NULL},
    {"last_freed_blocks", get_last_freed_blocks, NULL, RUNNER_LAST_FREED_BLOCKS_DOC, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyObject *pto__py_runner_repr(PyObject *self)
{
    struct pto_runner_info info = get_info(self);
    if (info.state == PTO_RUNNER_CLOSED) {
        return PyUnicode_FromString("<pto_runtime.DeviceRunner: closed>");
    }
    return PyUnicode_FromFormat("<pto_runtime.DeviceRunner: %s, %s device %lld, %lld cores>",
                                state_names[info.state], info.backend, (long long)info.device_id,
                                (long long)info.core_count);
}

static const char *core_type_name(uint32_t core_type)
{
    switch (core_type) {
    case 1:
        return "aic";
    case 2:
        return "aiv";
    default:
        return "unknown";
    }
}

static const char *core_state_name(uint32_t state)
{
    switch (state) {
    case 0:
        return "absent";
    case 1:
        return "running";
    case 2:
        return "left";
    case 3:
        return "failed";
    default:
        return "unknown";
    }
}

// One core as a CoreResult, a named tuple; NULL with an exception.
static PyObject *make_core_result(const struct module_state *state,
                                  const struct pto_core_result *core)
{
    PyObject *last_task = core->last_task == UINT32_MAX
                              ? pto__py_new_ref(Py_None)
                              : PyLong_FromUnsignedLong(core->last_task);
    if (last_task == NULL) {
        return NULL;
    }
    return PyObject_CallFunction(state->core_result, "IsIsIINi", (unsigned int)core->core,
                                 core_type_name(core->core_type), (unsigned int)core->physical_id,
                                 core_state_name(core->state), (unsigned int)core->queued,
                                 (unsigned int)core->completed, last_task, (int)core->fail_code);
}

// All cores as a list; NULL with an exception.
static PyObject *make_core_list(const struct module_state *state,
                                const struct pto_core_result *cores, size_t count)
{
    if (state->core_result == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter is shutting down");
        return NULL;
    }
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = make_core_result(state, &cores[i]);
        if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) != 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *handshake_results(PyObject *self, const char *op)
{
    struct runner_object *runner = as_runner(self);
    // Room for the most cores there can be: a runner may be opened anew, with more cores, between
    // asking for the number and asking for the cores.
    struct pto_core_result *cores = malloc(PTO_RUNNER_CORE_MAX * sizeof(*cores));
    if (cores == NULL) {
        return PyErr_NoMemory();
    }
    struct pto_error err;
    enum pto_status status;
    size_t count = 0;
    Py_BEGIN_ALLOW_THREADS
    status = pto_runner_handshake_results(runner->runner, cores, PTO_RUNNER_CORE_MAX, &count, &err);
    Py_END_ALLOW_THREADS
    pto__py_log_emit(runner);
    PyObject *result = status == PTO_OK ? make_core_list(runner->state, cores, count)
                                        : pto__py_raise(runner->state, op, &err);
    free(cores);
    return result;
}

PyObject *pto__py_runner_handshake_results(PyObject *self, PyObject *unused)
{
    (void)unused;
    return handshake_results(self, "handshake_results");
}

PyObject *pto__py_runner_print_handshake_results(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *cores = handshake_results(self, "print_handshake_results");
    if (cores == NULL) {
        return NULL;
    }
    const struct module_state *state = as_runner(self)->state;
    PyObject *text = PyObject_CallFunctionObjArgs(state->format_cores, cores, NULL);
    Py_DECREF(cores);
    int result = text != NULL ? pto__py_print(text) : -1;
    Py_XDECREF(text);
    return result == 0 ? pto__py_new_ref(Py_None) : NULL;
}
