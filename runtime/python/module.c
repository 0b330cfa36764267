// SPDX-License-Identifier: Apache-2.0
// The module pto_runtime._core: its state, its slots, and what both types share.
#include "python/module.h"

#include "pto/pto.h"

#include <stddef.h>

static struct module_state *state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

// Returns attribute `name` of the package's module `module_name`, or NULL with an exception.
static PyObject *import_attribute(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL) {
        return NULL;
    }
    PyObject *value = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    return value;
}

// The exceptions and the named tuple are written in Python: they then pickle, copy and subclass
// like any other, and the extension only calls them when something went wrong.
static int import_package_parts(struct module_state *state)
{
    state->make_error = import_attribute("pto_runtime._errors", "make");
    state->core_result = import_attribute("pto_runtime._report", "CoreResult");
    state->format_cores = import_attribute("pto_runtime._report", "format_cores");
    state->finding_list = import_attribute("pto_runtime._report", "FindingList");
    state->make_finding = import_attribute("pto_runtime._report", "make_finding");
    if (state->make_error == NULL || state->core_result == NULL || state->format_cores == NULL ||
        state->make_finding == NULL || state->finding_list == NULL) {
        return -1;
    }
    PyObject *folder = import_attribute("pto_runtime._paths", "DEVICE_PROGRAM_DIR");
    if (folder == NULL) {
        return -1;
    }
    int converted = PyUnicode_FSConverter(folder, &state->search_dir);
    Py_DECREF(folder);
    return converted ? 0 : -1;
}

static int module_exec(PyObject *module)
{
    struct module_state *state = state_of(module);
    for (int i = 0; i < PARAMETER_COUNT; i++) {
        state->parameters[i] = PyUnicode_InternFromString(pto__py_parameter_names[i]);
        if (state->parameters[i] == NULL) {
            return -1;
        }
    }
    if (import_package_parts(state) != 0 || pto__py_add_graph_type(module, state) != 0 ||
        pto__py_add_runner_type(module, state) != 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "__version__", pto_version());
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *state = state_of(module);
    if (state == NULL) {
        return 0; // the module was never executed
    }
    Py_VISIT(state->graph_type);
    Py_VISIT(state->runner_type);
    Py_VISIT(state->default_runner);
    Py_VISIT(state->make_error);
    Py_VISIT(state->core_result);
    Py_VISIT(state->format_cores);
    Py_VISIT(state->finding_list);
    Py_VISIT(state->make_finding);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct module_state *state = state_of(module);
    if (state == NULL) {
        return 0;
    }
    // Objects that outlive the module go on working until the interpreter clears what they need;
    // the raise functions then fall back to plain exceptions.
    Py_CLEAR(state->default_runner);
    Py_CLEAR(state->graph_type);
    Py_CLEAR(state->runner_type);
    Py_CLEAR(state->make_error);
    Py_CLEAR(state->core_result);
    Py_CLEAR(state->format_cores);
    Py_CLEAR(state->finding_list);
    Py_CLEAR(state->make_finding);
    Py_CLEAR(state->search_dir);
    for (int i = 0; i < PARAMETER_COUNT; i++) {
        Py_CLEAR(state->parameters[i]);
    }
    return 0;
}

static void module_free(void *module)
{
    (void)module_clear(module);
}

struct module_state *pto__py_type_state(PyTypeObject *type, destructor dealloc)
{
    // Python subclasses have a deallocator of their own; the first base with ours is our type.
    while (type != NULL && PyType_GetSlot(type, Py_tp_dealloc) != (void *)dealloc) {
        type = PyType_GetSlot(type, Py_tp_base);
    }
    if (type == NULL) {
        PyErr_SetString(PyExc_TypeError, "not a type of pto_runtime");
        return NULL;
    }
    return PyType_GetModuleState(type);
}

int pto__py_check_no_arguments(PyTypeObject *type, PyTypeObject *own_type, PyObject *args,
                               PyObject *keywords)
{
    int excess = PyTuple_Size(args) > 0 || (keywords != NULL && PyDict_Size(keywords) > 0);
    if (excess && type == own_type) {
        PyErr_SetString(PyExc_TypeError, "the constructor takes no arguments");
        return -1;
    }
    return 0;
}

int pto__py_poll_signals(void *context)
{
    PyThreadState **saved = context;
    PyEval_RestoreThread(*saved);
    int interrupted = PyErr_CheckSignals() != 0;
    *saved = PyEval_SaveThread();
    return interrupted;
}

int pto__py_print(PyObject *text)
{
    PyObject *out = PySys_GetObject("stdout"); // borrowed
    if (out == NULL || out == Py_None) {
        return 0;
    }
    // Writing runs Python code, which may replace sys.stdout.
    Py_INCREF(out);
    int result = PyFile_WriteObject(text, out, Py_PRINT_RAW);
    Py_DECREF(out);
    return result;
}

PyDoc_STRVAR(module_doc, "Task graphs and device runners; use it as pto_runtime.");

// Interpreters refuse slots that they do not know, and one abi3 binary meets several interpreters:
// the list is chosen by the version that is running. The lists are constant, rather than filled in
// at run time, because interpreters with a GIL of their own may import at the same time.
//
// Slot 3 (3.12): each interpreter has its own objects, so each may have its own GIL.
// Slot 4 (3.13): the module needs no GIL; see PTO_LOCK_OBJECT.
#define SLOT_EXEC {Py_mod_exec, (void *)module_exec}
#define SLOT_MULTIPLE_INTERPRETERS {3, (void *)2}
#define SLOT_GIL {4, (void *)1}
#define SLOT_END {0, NULL}

static PyModuleDef_Slot slots_3_9[] = {SLOT_EXEC, SLOT_END};
static PyModuleDef_Slot slots_3_12[] = {SLOT_EXEC, SLOT_MULTIPLE_INTERPRETERS, SLOT_END};
static PyModuleDef_Slot slots_3_13[] = {SLOT_EXEC, SLOT_MULTIPLE_INTERPRETERS, SLOT_GIL, SLOT_END};

#define DEFINITION(slots)                                                                          \
    {                                                                                              \
        .m_base = PyModuleDef_HEAD_INIT, .m_name = "pto_runtime._core", .m_doc = module_doc,       \
        .m_size = sizeof(struct module_state), .m_slots = (slots), .m_traverse = module_traverse,  \
        .m_clear = module_clear, .m_free = module_free                                             \
    }

static struct PyModuleDef definition_3_9 = DEFINITION(slots_3_9);
static struct PyModuleDef definition_3_12 = DEFINITION(slots_3_12);
static struct PyModuleDef definition_3_13 = DEFINITION(slots_3_13);

// The running interpreter's version. Before 3.11 there is no abi3 build, and the headers tell.
#if PY_VERSION_HEX >= 0x030B0000
#define RUNNING_VERSION Py_Version
#else
#define RUNNING_VERSION PY_VERSION_HEX
#endif

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void)
{
    if (RUNNING_VERSION >= 0x030D0000) {
        return PyModuleDef_Init(&definition_3_13);
    }
    if (RUNNING_VERSION >= 0x030C0000) {
        return PyModuleDef_Init(&definition_3_12);
    }
    return PyModuleDef_Init(&definition_3_9);
}
