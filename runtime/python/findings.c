// SPDX-License-Identifier: Apache-2.0
// What the checks of a run found, as Python objects.
#include <stdlib.h>

#include "python/module.h"

void pto__py_collect_finding(void *context, const struct pto_check_finding *finding,
                             uint64_t remaining)
{
    struct pto_py_findings *findings = context;
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity == 0 ? 8 : findings->capacity * 2;
        struct pto_check_finding *items =
            realloc(findings->items, capacity * sizeof(*findings->items));
        if (items == NULL) {
            findings->more = remaining + 1; // the rest is counted
            return;
        }
        findings->items = items;
        findings->capacity = capacity;
    }
    findings->items[findings->count++] = *finding;
    findings->more = remaining;
}

// The arguments of a TaskAccess, or None where there is no task.
static PyObject *access_tuple(const struct pto_check_access *access)
{
    if (access->task == PTO_ERROR_NONE) {
        return pto__py_new_ref(Py_None);
    }
    PyObject *arg = access->arg != PTO_ERROR_NONE ? PyLong_FromUnsignedLong(access->arg)
                                                  : pto__py_new_ref(Py_None);
    return arg != NULL ? Py_BuildValue("(IIsNNLL)", (unsigned int)access->task,
                                       (unsigned int)access->func_id, access->kernel, arg,
                                       PyBool_FromLong(access->is_write != 0),
                                       (long long)access->begin, (long long)access->end)
                       : NULL;
}

PyObject *pto__py_make_finding(const struct module_state *state,
                               const struct pto_check_finding *finding)
{
    PyObject *access = access_tuple(&finding->access);
    PyObject *other = access != NULL ? access_tuple(&finding->other) : NULL;
    PyObject *result =
        other != NULL
            ? PyObject_CallFunction(state->make_finding, "IOKKOOs", (unsigned int)finding->kind,
                                    finding->shares_line != 0 ? Py_True : Py_False,
                                    (unsigned long long)finding->tensor,
                                    (unsigned long long)finding->tensor_bytes, access, other,
                                    finding->message)
            : NULL;
    Py_XDECREF(access);
    Py_XDECREF(other);
    return result;
}

static PyObject *make_findings(const struct module_state *state,
                               const struct pto_py_findings *findings)
{
    PyObject *tuple = state->make_finding != NULL ? PyTuple_New((Py_ssize_t)findings->count) : NULL;
    for (size_t i = 0; tuple != NULL && i < findings->count; i++) {
        PyObject *finding = pto__py_make_finding(state, &findings->items[i]);
        if (finding == NULL || PyTuple_SetItem(tuple, (Py_ssize_t)i, finding) != 0) {
            Py_CLEAR(tuple);
        }
    }
    return tuple;
}

void pto__py_attach_findings(const struct module_state *state,
                             const struct pto_py_findings *findings)
{
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *traceback = NULL;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    PyObject *tuple = error != NULL ? make_findings(state, findings) : NULL;
    PyObject *more = tuple != NULL ? PyLong_FromUnsignedLongLong(findings->more) : NULL;
    if (more == NULL || PyObject_SetAttrString(error, "findings", tuple) != 0 ||
        PyObject_SetAttrString(error, "more_findings", more) != 0) {
        PyErr_Clear(); // the message still says what the first one is
    }
    Py_XDECREF(more);
    Py_XDECREF(tuple);
    PyErr_Restore(type, error, traceback);
}
