// SPDX-License-Identifier: Apache-2.0
// What the C library reports, as Python has it: statuses as exceptions, messages as log records.
#include "python/module.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// A number that may be absent, as int or None.
static PyObject *optional_number(uint32_t value)
{
    if (value == PTO_ERROR_NONE) {
        return pto__py_new_ref(Py_None);
    }
    return PyLong_FromUnsignedLong(value);
}

// Makes the exception object: _errors.make(kind, code, op, message, vendor_code, task, func_id,
// core, kernel, task_code). `kind` chooses the class and is the status's name, or "TYPE".
static PyObject *make_exception(const struct module_state *state, const char *kind, const char *op,
                                const struct pto_error *err, PyObject *message)
{
    int has_task_code = err->status == PTO_E_TASK || err->status == PTO_E_FAULT;
    PyObject *task_code =
        has_task_code ? PyLong_FromLong(err->task_code) : pto__py_new_ref(Py_None);
    PyObject *task = optional_number(err->task);
    PyObject *func_id = optional_number(err->func_id);
    PyObject *core = optional_number(err->core);
    PyObject *error = NULL;
    if (task_code != NULL && task != NULL && func_id != NULL && core != NULL) {
        const char *kernel = err->kernel[0] != '\0' ? err->kernel : NULL;
        error = PyObject_CallFunction(state->make_error, "sisOiOOOzO", kind, (int)err->status, op,
                                      message, (int)err->vendor_code, task, func_id, core, kernel,
                                      task_code);
    }
    Py_XDECREF(task_code);
    Py_XDECREF(task);
    Py_XDECREF(func_id);
    Py_XDECREF(core);
    return error;
}

// Raises with a message that the caller owns; NULL when making it failed.
static void raise_with(const struct module_state *state, const char *kind, const char *op,
                       const struct pto_error *err, PyObject *message)
{
    if (message == NULL) {
        return; // an exception is set
    }
    if (state->make_error == NULL) {
        // The interpreter is shutting down and has taken the exception classes away.
        PyErr_SetObject(PyExc_RuntimeError, message);
        return;
    }
    PyObject *error = make_exception(state, kind, op, err, message);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
}

void *pto__py_raise(const struct module_state *state, const char *op, const struct pto_error *err)
{
    // File names in a message are bytes, and need not be UTF-8.
    PyObject *message =
        PyUnicode_DecodeUTF8(err->message, (Py_ssize_t)strlen(err->message), "backslashreplace");
    raise_with(state, pto_status_name(err->status), op, err, message);
    Py_XDECREF(message);
    return NULL;
}

// An error that carries nothing but its status and a message, which begins with op like the
// library's do.
static void *raise_formatted(const struct module_state *state, const char *kind, const char *op,
                             enum pto_status status, const char *format, va_list values)
{
    const struct pto_error err = {
        .status = status,
        .task = PTO_ERROR_NONE,
        .func_id = PTO_ERROR_NONE,
        .core = PTO_ERROR_NONE,
    };
    PyObject *text = PyUnicode_FromFormatV(format, values);
    PyObject *message = text != NULL ? PyUnicode_FromFormat("%s: %U", op, text) : NULL;
    raise_with(state, kind, op, &err, message);
    Py_XDECREF(text);
    Py_XDECREF(message);
    return NULL;
}

void *pto__py_raise_status(const struct module_state *state, const char *op,
                           enum pto_status status, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    (void)raise_formatted(state, pto_status_name(status), op, status, format, values);
    va_end(values);
    return NULL;
}

void *pto__py_raise_type(const struct module_state *state, const char *op, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    (void)raise_formatted(state, "TYPE", op, PTO_E_ARGUMENT, format, values);
    va_end(values);
    return NULL;
}

// The tasks of one cycle, as a tuple; NULL with an exception.
static PyObject *cycle_tasks(struct pto_graph *graph)
{
    size_t count = 0;
    if (pto_graph_find_cycle(graph, NULL, 0, &count, NULL) != PTO_OK) {
        count = 0; // changed or short of memory since: the message still names tasks
    }
    uint32_t *tasks = count > 0 ? malloc(count * sizeof(*tasks)) : NULL;
    size_t seen = 0;
    if (tasks == NULL || pto_graph_find_cycle(graph, tasks, count, &seen, NULL) != PTO_OK ||
        seen != count) {
        count = 0;
    }
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *task = PyLong_FromUnsignedLong(tasks[i]);
        if (task == NULL || PyTuple_SetItem(tuple, (Py_ssize_t)i, task) != 0) {
            Py_CLEAR(tuple);
        }
    }
    free(tasks);
    return tuple;
}

void *pto__py_raise_cycle(const struct module_state *state, const char *op,
                          const struct pto_error *err, struct pto_graph *graph)
{
    PyObject *tasks = cycle_tasks(graph);
    if (tasks == NULL) {
        return NULL;
    }
    (void)pto__py_raise(state, op, err);
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *traceback = NULL;
    PyErr_Fetch(&type, &error, &traceback);
    if (error != NULL && PyObject_SetAttrString(error, "tasks", tasks) != 0) {
        PyErr_Clear();
    }
    PyErr_Restore(type, error, traceback);
    Py_DECREF(tasks);
    return NULL;
}

// Messages wait in a lock-free stack: the library logs while the GIL is released, and a lock could
// be left held for ever in a forked child.
struct log_message {
    struct log_message *next;
    enum pto_log_level level;
    char text[];
};

void pto__py_log(void *context, enum pto_log_level level, const char *message)
{
    struct runner_object *runner = context;
    size_t size_bytes = strlen(message) + 1;
    struct log_message *entry = malloc(sizeof(*entry) + size_bytes);
    if (entry == NULL) {
        return; // a log line is not worth an error
    }
    entry->level = level;
    memcpy(entry->text, message, size_bytes);
    entry->next = atomic_load_explicit(&runner->log, memory_order_relaxed);
    // Release: whoever takes the stack sees the entries whole.
    while (!atomic_compare_exchange_weak_explicit(&runner->log, &entry->next, entry,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

// Takes the whole stack and returns it oldest first.
static struct log_message *take_log(struct runner_object *runner)
{
    struct log_message *newest = atomic_exchange_explicit(&runner->log, NULL, memory_order_acquire);
    struct log_message *oldest = NULL;
    while (newest != NULL) {
        struct log_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static int log_one(PyObject *logger, const struct log_message *entry)
{
    // The library's levels are 0, 1, 2; those of the logging module 10, 20, 30.
    int level = 10 * ((int)entry->level + 1);
    PyObject *text =
        PyUnicode_DecodeUTF8(entry->text, (Py_ssize_t)strlen(entry->text), "backslashreplace");
    PyObject *result =
        text != NULL ? PyObject_CallMethod(logger, "log", "isO", level, "%s", text) : NULL;
    Py_XDECREF(text);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

static PyObject *get_logger(void)
{
    PyObject *logging = PyImport_ImportModule("logging");
    if (logging == NULL) {
        return NULL;
    }
    PyObject *logger = PyObject_CallMethod(logging, "getLogger", "s", "pto_runtime");
    Py_DECREF(logging);
    return logger;
}

// What a call achieved must reach its caller, so an exception of the logging itself is only
// reported; Ctrl-C is raised again as soon as the caller goes on.
static void report_failed_log(struct runner_object *runner)
{
    if (PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) {
        PyErr_Clear();
        PyErr_SetInterrupt();
    } else {
        PyErr_WriteUnraisable((PyObject *)runner);
    }
}

void pto__py_log_emit(struct runner_object *runner)
{
    if (atomic_load_explicit(&runner->log, memory_order_relaxed) == NULL) {
        return; // so it is for nearly every call
    }
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *traceback = NULL;
    PyErr_Fetch(&type, &error, &traceback);

    struct log_message *entry = take_log(runner);
    PyObject *logger = get_logger();
    if (logger == NULL) {
        report_failed_log(runner);
    }
    while (entry != NULL) {
        struct log_message *next = entry->next;
        if (logger != NULL && log_one(logger, entry) != 0) {
            report_failed_log(runner);
        }
        free(entry);
        entry = next;
    }
    Py_XDECREF(logger);
    PyErr_Restore(type, error, traceback);
}

void pto__py_log_free(struct runner_object *runner)
{
    struct log_message *entry = take_log(runner);
    while (entry != NULL) {
        struct log_message *next = entry->next;
        free(entry);
        entry = next;
    }
}
