// SPDX-License-Identifier: Apache-2.0
// The type pto_runtime.DeviceRunner.
//
// Every call of the C library is made without the GIL, even a short one: another thread may hold
// the runner's lock for as long as a run takes.
#include "python/module.h"

#include <structmember.h>

#include <stdlib.h>

#include "python/runner_doc.h"

static const struct signature init_signature = {
    .op = "init", .count = 9, .required = 4, .positional = 4,
    .parameters = {PARAMETER_DEVICE_ID, PARAMETER_NUM_CORES, PARAMETER_AICPU_SO_PATH,
                   PARAMETER_AICORE_KERNEL_PATH, PARAMETER_BACKEND, PARAMETER_TIMEOUT,
                   PARAMETER_SEED, PARAMETER_SCHEDULES, PARAMETER_PROFILE},
};
static const struct signature allocate_tensor_signature = {
    .op = "allocate_tensor", .count = 1, .required = 1, .positional = 1,
    .parameters = {PARAMETER_BYTES},
};
static const struct signature free_tensor_signature = {
    .op = "free_tensor", .count = 1, .required = 1, .positional = 1,
    .parameters = {PARAMETER_PTR},
};
static const struct signature copy_to_device_signature = {
    .op = "copy_to_device", .count = 2, .required = 2, .positional = 2,
    .parameters = {PARAMETER_DEV_PTR, PARAMETER_HOST_DATA},
};
static const struct signature copy_from_device_signature = {
    .op = "copy_from_device", .count = 2, .required = 2, .positional = 2,
    .parameters = {PARAMETER_HOST_DATA, PARAMETER_DEV_PTR},
};
static const struct signature run_signature = {
    .op = "run", .count = 3, .required = 1, .positional = 2,
    .parameters = {PARAMETER_GRAPH, PARAMETER_LAUNCH_AICPU_NUM, PARAMETER_CHECK},
};

static struct runner_object *as_runner(PyObject *self)
{
    return (struct runner_object *)self;
}

// Ends a method that the specification types as "-> int": log, then 0 or the exception.
static PyObject *finish(struct runner_object *runner, const char *op, enum pto_status status,
                        const struct pto_error *err)
{
    pto__py_log_emit(runner);
    return status == PTO_OK ? PyLong_FromLong(0) : pto__py_raise(runner->state, op, err);
}

static void runner_dealloc(PyObject *self)
{
    struct runner_object *runner = as_runner(self);
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (runner->weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    if (runner->runner != NULL) {
        // Closing the device may wait for threads.
        Py_BEGIN_ALLOW_THREADS
        pto_runner_destroy(runner->runner);
        Py_END_ALLOW_THREADS
    }
    pto__py_log_free(runner);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static int runner_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static PyObject *create_runner(PyTypeObject *type, struct module_state *state)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = allocate(type, 0); // zeroed
    if (self == NULL) {
        return NULL;
    }
    as_runner(self)->state = state;
    struct pto_error err;
    if (pto_runner_create(&as_runner(self)->runner, &err) != PTO_OK) {
        Py_DECREF(self);
        return pto__py_raise(state, "DeviceRunner", &err);
    }
    return self;
}

static PyObject *runner_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct module_state *state = pto__py_type_state(type, runner_dealloc);
    if (state == NULL ||
        pto__py_check_no_arguments(type, state->runner_type, args, keywords) != 0) {
        return NULL;
    }
    return create_runner(type, state);
}

static PyObject *runner_get(PyObject *module, PyObject *unused)
{
    (void)unused;
    struct module_state *state = PyModule_GetState(module);
    if (state->runner_type == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter is shutting down");
        return NULL;
    }
    PyObject *made = NULL;
    PyObject *runner = NULL;
    PTO_LOCK_OBJECT(module);
    if (state->default_runner == NULL) {
        made = create_runner(state->runner_type, state);
    }
    // Creating an object can run a finalizer that calls get() too; the first one made is it.
    if (state->default_runner == NULL) {
        state->default_runner = made;
        made = NULL;
    }
    runner = state->default_runner;
    Py_XINCREF(runner);
    PTO_UNLOCK_OBJECT();
    Py_XDECREF(made);
    return runner;
}

static PyMethodDef runner_get_method = {"get", runner_get, METH_NOARGS, runner_get_doc};

static PyObject *runner_init(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                             PyObject *keywords)
{
    struct runner_object *runner = as_runner(self);
    PyObject *values[9];
    if (pto__py_parse(runner->state, &init_signature, args, arg_count, keywords, values) != 0) {
        return NULL;
    }
    struct pto_py_config arguments = {.aicpu_so_path = NULL};
    PyObject *result = NULL;
    if (pto__py_to_config(runner->state, values, &arguments) == 0) {
        arguments.config.log = pto__py_log;
        arguments.config.log_context = runner;
        struct pto_error err;
        enum pto_status status;
        Py_BEGIN_ALLOW_THREADS
        status = pto_runner_init(runner->runner, &arguments.config, &err);
        Py_END_ALLOW_THREADS
        result = finish(runner, "init", status, &err);
    }
    pto__py_config_clear(&arguments);
    return result;
}

static PyObject *runner_allocate_tensor(PyObject *self, PyObject *const *args,
                                        Py_ssize_t arg_count, PyObject *keywords)
{
    struct runner_object *runner = as_runner(self);
    PyObject *values[1];
    uint64_t size_bytes = 0;
    if (pto__py_parse(runner->state, &allocate_tensor_signature, args, arg_count, keywords,
                      values) != 0 ||
        pto__py_to_uint64(runner->state, "allocate_tensor", PARAMETER_BYTES, values[0],
                          PTO_E_RANGE, &size_bytes) != 0) {
        return NULL;
    }
    struct pto_error err;
    enum pto_status status;
    uint64_t pointer = 0;
    Py_BEGIN_ALLOW_THREADS
    status = pto_runner_allocate(runner->runner, size_bytes, &pointer, &err);
    Py_END_ALLOW_THREADS
    pto__py_log_emit(runner);
    if (status != PTO_OK) {
        return pto__py_raise(runner->state, "allocate_tensor", &err);
    }
    PyObject *result = PyLong_FromUnsignedLongLong(pointer);
    if (result == NULL) {
        // Nobody would ever learn the pointer. MemoryError is what the caller gets in any case.
        Py_BEGIN_ALLOW_THREADS
        status = pto_runner_free(runner->runner, pointer, NULL);
        Py_END_ALLOW_THREADS
    }
    return result;
}

static PyObject *runner_free_tensor(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                                    PyObject *keywords)
{
    struct runner_object *runner = as_runner(self);
    PyObject *values[1];
    uint64_t pointer = 0;
    if (pto__py_parse(runner->state, &free_tensor_signature, args, arg_count, keywords, values) !=
            0 ||
        pto__py_to_uint64(runner->state, "free_tensor", PARAMETER_PTR, values[0], PTO_E_POINTER,
                          &pointer) != 0) {
        return NULL;
    }
    struct pto_error err;
    enum pto_status status;
    Py_BEGIN_ALLOW_THREADS
    status = pto_runner_free(runner->runner, pointer, &err);
    Py_END_ALLOW_THREADS
    pto__py_log_emit(runner);
    if (status != PTO_OK) {
        return pto__py_raise(runner->state, "free_tensor", &err);
    }
    return pto__py_new_ref(Py_None);
}

static PyObject *runner_copy_to_device(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                                       PyObject *keywords)
{
    static const char op[] = "copy_to_device";
    struct runner_object *runner = as_runner(self);
    PyObject *values[2];
    uint64_t pointer = 0;
    Py_buffer host;
    if (pto__py_parse(runner->state, &copy_to_device_signature, args, arg_count, keywords,
                      values) != 0 ||
        pto__py_to_uint64(runner->state, op, PARAMETER_DEV_PTR, values[0], PTO_E_POINTER,
                          &pointer) != 0 ||
        pto__py_get_buffer(runner->state, op, PARAMETER_HOST_DATA, values[1], 0, &host) != 0) {
        return NULL;
    }
    struct pto_error err;
    enum pto_status status;
    Py_BEGIN_ALLOW_THREADS
    status = pto_runner_copy_to_device(runner->runner, pointer, host.buf, (uint64_t)host.len, &err);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&host);
    return finish(runner, op, status, &err);
}

static PyObject *runner_copy_from_device(PyObject *self, PyObject *const *args,
                                         Py_ssize_t arg_count, PyObject *keywords)
{
    static const char op[] = "copy_from_device";
    struct runner_object *runner = as_runner(self);
    PyObject *values[2];
    uint64_t pointer = 0;
    Py_buffer host;
    if (pto__py_parse(runner->state, &copy_from_device_signature, args, arg_count, keywords,
                      values) != 0 ||
        pto__py_to_uint64(runner->state, op, PARAMETER_DEV_PTR, values[1], PTO_E_POINTER,
                          &pointer) != 0 ||
        pto__py_get_buffer(runner->state, op, PARAMETER_HOST_DATA, values[0], PyBUF_WRITABLE,
                           &host) != 0) {
        return NULL;
    }
    struct pto_error err;
    enum pto_status status;
    Py_BEGIN_ALLOW_THREADS
    status =
        pto_runner_copy_from_device(runner->runner, host.buf, pointer, (uint64_t)host.len, &err);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&host);
    return finish(runner, op, status, &err);
}

static enum pto_status run_without_gil(struct runner_object *runner, struct pto_graph *graph,
                                       struct pto_run_options *options, struct pto_error *err)
{
    PyThreadState *saved = PyEval_SaveThread();
    options->size = sizeof(*options);
    options->poll = pto__py_poll_signals;
    options->poll_context = &saved;
    enum pto_status status = pto_runner_run(runner->runner, graph, options, err);
    PyEval_RestoreThread(saved);
    return status;
}

static PyObject *run_graph(struct runner_object *runner, struct graph_object *graph,
                           struct pto_run_options *options)
{
    const struct module_state *state = runner->state;
    struct pto_py_findings findings = {.items = NULL};
    struct pto_error err;
    options->finding = pto__py_collect_finding;
    options->finding_context = &findings;
    enum pto_status status = run_without_gil(runner, graph->graph, options, &err);
    pto__py_log_emit(runner);
    PyObject *result = NULL;
    if (PyErr_Occurred()) {
        // A signal handler's exception, mostly KeyboardInterrupt: it is what ended the run.
    } else if (status == PTO_E_CYCLE) {
        result = pto__py_raise_cycle(state, "run", &err, graph->graph);
    } else {
        result = finish(runner, "run", status, &err);
        if (result == NULL && findings.count != 0) {
            pto__py_attach_findings(state, &findings);
        }
    }
    free(findings.items);
    return result;
}

static PyObject *runner_run(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                            PyObject *keywords)
{
    struct runner_object *runner = as_runner(self);
    const struct module_state *state = runner->state;
    PyObject *values[3];
    struct pto_run_options options = {.scheduler_count = 1};
    PyObject *check = NULL;
    if (pto__py_parse(state, &run_signature, args, arg_count, keywords, values) != 0) {
        return NULL;
    }
    if (state->graph_type == NULL || !PyObject_TypeCheck(values[0], state->graph_type)) {
        return pto__py_raise_type(state, "run", "graph must be a pto_runtime.Graph, not %.100R",
                                  values[0]);
    }
    if ((values[1] != NULL && pto__py_to_int64(state, "run", PARAMETER_LAUNCH_AICPU_NUM, values[1],
                                               &options.scheduler_count) != 0) ||
        pto__py_to_text(state, "run", PARAMETER_CHECK, values[2], &check, &options.check) != 0) {
        return NULL;
    }
    // The caller's reference could be dropped by another thread while this one is without the GIL.
    struct graph_object *graph = (struct graph_object *)pto__py_new_ref(values[0]);
    PyObject *result = run_graph(runner, graph, &options);
    Py_DECREF(graph);
    Py_XDECREF(check);
    return result;
}

static void note_freed_blocks(struct runner_object *runner, uint64_t freed_blocks)
{
    // Relaxed: a number to look at, which orders nothing.
    atomic_store_explicit(&runner->last_freed_blocks, freed_blocks, memory_order_relaxed);
    if (freed_blocks > 0) {
        char text[80];
        (void)PyOS_snprintf(text, sizeof(text),
                            "finalize: freed %llu device block%s that free_tensor had not",
                            (unsigned long long)freed_blocks, freed_blocks == 1 ? "" : "s");
        pto__py_log(runner, PTO_LOG_WARNING, text);
    }
}

static PyObject *runner_finalize(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct runner_object *runner = as_runner(self);
    struct pto_error err;
    enum pto_status status;
    uint64_t freed_blocks = 0;
    Py_BEGIN_ALLOW_THREADS
    status = pto_runner_finalize(runner->runner, &freed_blocks, &err);
    Py_END_ALLOW_THREADS
    if (status == PTO_OK) {
        note_freed_blocks(runner, freed_blocks);
    }
    return finish(runner, "finalize", status, &err);
}

static PyObject *runner_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return pto__py_new_ref(self);
}

static PyObject *runner_exit(PyObject *self, PyObject *exception)
{
    (void)exception; // the tuple (type, value, traceback); the interpreter passes it on
    PyObject *result = runner_finalize(self, NULL);
    if (result == NULL) {
        return NULL;
    }
    Py_DECREF(result);
    return pto__py_new_ref(Py_None);
}

static PyMethodDef runner_methods[] = {
    {"init", PTO_METHOD(runner_init), METH_FASTCALL | METH_KEYWORDS, runner_init_doc},
    {"allocate_tensor", PTO_METHOD(runner_allocate_tensor), METH_FASTCALL | METH_KEYWORDS,
     runner_allocate_tensor_doc},
    {"free_tensor", PTO_METHOD(runner_free_tensor), METH_FASTCALL | METH_KEYWORDS,
     runner_free_tensor_doc},
    {"copy_to_device", PTO_METHOD(runner_copy_to_device), METH_FASTCALL | METH_KEYWORDS,
     runner_copy_to_device_doc},
    {"copy_from_device", PTO_METHOD(runner_copy_from_device), METH_FASTCALL | METH_KEYWORDS,
     runner_copy_from_device_doc},
    {"run", PTO_METHOD(runner_run), METH_FASTCALL | METH_KEYWORDS, runner_run_doc},
    {"handshake_results", pto__py_runner_handshake_results, METH_NOARGS,
     runner_handshake_results_doc},
    {"print_handshake_results", pto__py_runner_print_handshake_results, METH_NOARGS,
     runner_print_handshake_results_doc},
    {"finalize", runner_finalize, METH_NOARGS, runner_finalize_doc},
    {"__enter__", runner_enter, METH_NOARGS, runner_enter_doc},
    {"__exit__", runner_exit, METH_VARARGS, runner_exit_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef runner_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct runner_object, weak_references), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot runner_slots[] = {
    {Py_tp_doc, (void *)runner_doc},
    {Py_tp_new, (void *)runner_new},
    {Py_tp_dealloc, (void *)runner_dealloc},
    {Py_tp_traverse, (void *)runner_traverse},
    {Py_tp_repr, (void *)pto__py_runner_repr},
    {Py_tp_methods, runner_methods},
    {Py_tp_members, runner_members},
    {Py_tp_getset, pto__py_runner_properties},
    {0, NULL},
};

static PyType_Spec runner_spec = {
    .name = "pto_runtime.DeviceRunner",
    .basicsize = sizeof(struct runner_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = runner_slots,
};

// A static method made by METH_STATIC is not told its module, and so not the interpreter's state;
// a function of the module inside a staticmethod object is.
static int add_get(PyObject *module, PyTypeObject *type)
{
    PyObject *builtins = PyImport_ImportModule("builtins");
    PyObject *function = PyCFunction_NewEx(&runner_get_method, module, NULL);
    PyObject *static_method =
        builtins != NULL && function != NULL
            ? PyObject_CallMethod(builtins, "staticmethod", "O", function)
            : NULL;
    int result = static_method != NULL
                     ? PyObject_SetAttrString((PyObject *)type, "get", static_method)
                     : -1;
    Py_XDECREF(static_method);
    Py_XDECREF(function);
    Py_XDECREF(builtins);
    return result;
}

int pto__py_add_runner_type(PyObject *module, struct module_state *state)
{
    state->runner_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &runner_spec, NULL);
    if (state->runner_type == NULL || add_get(module, state->runner_type) != 0) {
        return -1;
    }
    return PyModule_AddType(module, state->runner_type);
}
