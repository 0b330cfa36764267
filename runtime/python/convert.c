// SPDX-License-Identifier: Apache-2.0
// From Python objects to what the C library takes: parameters, numbers, paths, buffers.
#include "python/module.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const pto__py_parameter_names[PARAMETER_COUNT] = {
    [PARAMETER_ARGS] = "args",
    [PARAMETER_FUNC_ID] = "func_id",
    [PARAMETER_FROM_TASK] = "from_task",
    [PARAMETER_TO_TASK] = "to_task",
    [PARAMETER_EDGES] = "edges",
    [PARAMETER_TASK] = "task",
    [PARAMETER_DEVICE_ID] = "device_id",
    [PARAMETER_NUM_CORES] = "num_cores",
    [PARAMETER_AICPU_SO_PATH] = "aicpu_so_path",
    [PARAMETER_AICORE_KERNEL_PATH] = "aicore_kernel_path",
    [PARAMETER_BACKEND] = "backend",
    [PARAMETER_TIMEOUT] = "timeout",
    [PARAMETER_SEED] = "seed",
    [PARAMETER_SCHEDULES] = "schedules",
    [PARAMETER_PROFILE] = "profile",
    [PARAMETER_CHECK] = "check",
    [PARAMETER_BYTES] = "bytes",
    [PARAMETER_PTR] = "ptr",
    [PARAMETER_DEV_PTR] = "dev_ptr",
    [PARAMETER_HOST_DATA] = "host_data",
    [PARAMETER_GRAPH] = "graph",
    [PARAMETER_LAUNCH_AICPU_NUM] = "launch_aicpu_num",
    [PARAMETER_RUNNER] = "runner",
    [PARAMETER_MAX_FINDINGS] = "max_findings",
};

static const char *name_of(enum parameter parameter)
{
    return pto__py_parameter_names[parameter];
}

// The index of the parameter that `keyword` names, or -1.
static int find_parameter(const struct module_state *state, const struct signature *signature,
                          PyObject *keyword)
{
    // A keyword written in a program is interned, so its address is nearly always enough.
    for (int i = 0; i < signature->count; i++) {
        if (state->parameters[signature->parameters[i]] == keyword) {
            return i;
        }
    }
    for (int i = 0; i < signature->count; i++) {
        if (PyUnicode_CompareWithASCIIString(keyword, name_of(signature->parameters[i])) == 0) {
            return i;
        }
    }
    return -1;
}

// Mistakes in how a method is called are plain TypeErrors, worded as for a Python function.
static int parse_keywords(const struct module_state *state, const struct signature *signature,
                          PyObject *const *args, PyObject *keywords, PyObject **values)
{
    Py_ssize_t keyword_count = PyTuple_Size(keywords);
    for (Py_ssize_t k = 0; k < keyword_count; k++) {
        PyObject *keyword = PyTuple_GetItem(keywords, k);
        int i = find_parameter(state, signature, keyword);
        if (i < 0) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'",
                         signature->op, keyword);
            return -1;
        }
        if (values[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'",
                         signature->op, keyword);
            return -1;
        }
        values[i] = args[k];
    }
    return 0;
}

int pto__py_parse(const struct module_state *state, const struct signature *signature,
                  PyObject *const *args, Py_ssize_t arg_count, PyObject *keywords,
                  PyObject **values)
{
    if (arg_count > signature->positional) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most %d positional arguments but %zd were given",
                     signature->op, (int)signature->positional, arg_count);
        return -1;
    }
    for (int i = 0; i < signature->count; i++) {
        values[i] = i < arg_count ? args[i] : NULL;
    }
    if (keywords != NULL &&
        parse_keywords(state, signature, args + arg_count, keywords, values) != 0) {
        return -1;
    }
    for (int i = 0; i < signature->required; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s' (pos %d)",
                         signature->op, name_of(signature->parameters[i]), i + 1);
            return -1;
        }
    }
    return 0;
}

// Whether an object's type has this name in the module numpy. Their boolean has a float value and,
// once, an index, but is neither.
static int is_numpy_bool(PyObject *value)
{
    PyObject *type = (PyObject *)Py_TYPE(value);
    PyObject *module = PyObject_GetAttrString(type, "__module__");
    PyObject *name = PyObject_GetAttrString(type, "__name__");
    int found = 0;
    if (module != NULL && name != NULL && PyUnicode_Check(module) && PyUnicode_Check(name)) {
        found = PyUnicode_CompareWithASCIIString(module, "numpy") == 0 &&
                (PyUnicode_CompareWithASCIIString(name, "bool_") == 0 ||
                 PyUnicode_CompareWithASCIIString(name, "bool") == 0);
    }
    Py_XDECREF(module);
    Py_XDECREF(name);
    PyErr_Clear();
    return found;
}

// "name must be <wanted>, not <type>".
static int fail_type(const struct module_state *state, const char *op, const char *name,
                     const char *wanted, PyObject *value)
{
    PyErr_Clear();
    PyObject *type_name = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");
    if (type_name == NULL) {
        PyErr_Clear();
    }
    (void)pto__py_raise_type(state, op, "%s must be %s, not %V", name, wanted, type_name, "this");
    Py_XDECREF(type_name);
    return -1;
}

// Returns value as an int object, a new reference; NULL with an exception when it is not one.
static PyObject *as_integer(const struct module_state *state, const char *op, const char *name,
                            const char *wanted, PyObject *value)
{
    if (PyBool_Check(value) || !PyIndex_Check(value) || is_numpy_bool(value)) {
        (void)fail_type(state, op, name, wanted, value);
        return NULL;
    }
    PyObject *integer = PyNumber_Index(value);
    if (integer == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        (void)fail_type(state, op, name, wanted, value); // an array with other than one integer
    }
    return integer;
}

// Raises that a number is outside its range. The number is left out when it has no text of bearable
// length (int refuses to print thousands of digits).
static int fail_range(const struct module_state *state, const char *op, enum pto_status status,
                      const char *name, PyObject *value, const char *range)
{
    PyErr_Clear();
    PyObject *text = PyObject_Str(value);
    if (text == NULL) {
        PyErr_Clear();
    }
    (void)pto__py_raise_status(state, op, status, "%s is %.60V, which is outside %s", name, text,
                               "a number of very many digits", range);
    Py_XDECREF(text);
    return -1;
}

// Whether this is an int in 0..2^64-2, as nearly every argument is; then *out gets it, and no
// Python code has run. PyLong_AsSize_t reads the digits in place, unlike PyLong_AsUnsignedLongLong.
static inline int is_plain_word(PyObject *value, uint64_t *out)
{
    _Static_assert(sizeof(size_t) == sizeof(uint64_t), "device pointers need a 64-bit host");
    if (!PyLong_CheckExact(value)) {
        return 0;
    }
    *out = PyLong_AsSize_t(value);
    if (*out != SIZE_MAX) {
        return 1;
    }
    PyErr_Clear();
    return 0;
}

int pto__py_to_uint64(const struct module_state *state, const char *op, enum parameter parameter,
                      PyObject *value, enum pto_status out_of_range, uint64_t *out)
{
    if (is_plain_word(value, out)) {
        return 0;
    }
    const char *wanted = out_of_range == PTO_E_POINTER
                             ? "an int, a pointer that allocate_tensor returned,"
                             : "an int";
    PyObject *integer = as_integer(state, op, name_of(parameter), wanted, value);
    if (integer == NULL) {
        return -1;
    }
    int result = 0;
    *out = PyLong_AsUnsignedLongLong(integer);
    if (*out == UINT64_MAX && PyErr_Occurred()) {
        result = fail_range(state, op, out_of_range, name_of(parameter), integer, "0..2^64-1");
    }
    Py_DECREF(integer);
    return result;
}

int pto__py_to_int64(const struct module_state *state, const char *op, enum parameter parameter,
                     PyObject *value, int64_t *out)
{
    PyObject *integer = as_integer(state, op, name_of(parameter), "an int", value);
    if (integer == NULL) {
        return -1;
    }
    int result = 0;
    *out = PyLong_AsLongLong(integer);
    if (*out == -1 && PyErr_Occurred()) {
        result = fail_range(state, op, PTO_E_RANGE, name_of(parameter), integer, "-2^63..2^63-1");
    }
    Py_DECREF(integer);
    return result;
}

int pto__py_to_func_id(const struct module_state *state, const char *op, PyObject *value,
                       uint32_t *out)
{
    uint64_t wide = 0;
    if (!is_plain_word(value, &wide) &&
        pto__py_to_uint64(state, op, PARAMETER_FUNC_ID, value, PTO_E_RANGE, &wide) != 0) {
        return -1;
    }
    if (wide > UINT32_MAX) {
        return fail_range(state, op, PTO_E_RANGE, "func_id", value, "0..1023");
    }
    *out = (uint32_t)wide;
    return 0;
}

int pto__py_to_timeout_ns(const struct module_state *state, const char *op, PyObject *value,
                          uint64_t *out)
{
    *out = 0;
    if (value == Py_None) {
        return 0;
    }
    double seconds = PyBool_Check(value) ? -1.0 : PyFloat_AsDouble(value);
    if (PyBool_Check(value) || PyErr_Occurred()) {
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_TypeError)) {
            return -1;
        }
        return fail_type(state, op, "timeout", "a number of seconds or None", value);
    }
    // Written so that NaN fails too.
    if (!(seconds >= 1e-3 && seconds <= 1e9)) {
        return fail_range(state, op, PTO_E_RANGE, "timeout", value,
                          "0.001..1e9 seconds; None is the default");
    }
    *out = (uint64_t)ceil(seconds * 1e9);
    return 0;
}

int pto__py_to_path(const struct module_state *state, const char *op, enum parameter parameter,
                    PyObject *value, PyObject **out)
{
    if (PyUnicode_FSConverter(value, out)) {
        return 0;
    }
    if (PyErr_ExceptionMatches(PyExc_TypeError)) {
        return fail_type(state, op, name_of(parameter), "a path: str, bytes or os.PathLike,",
                         value);
    }
    if (PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        (void)pto__py_raise_status(state, op, PTO_E_ARGUMENT,
                                   "%s is %.200R, which cannot be the name of a file",
                                   name_of(parameter), value);
    }
    return -1;
}

// Float arguments travel as float32. The threshold is where rounding to float32 gives infinity.
static int float_to_word(const struct module_state *state, const char *op, const char *name,
                         double value, uint64_t *out)
{
    if (isfinite(value) && fabs(value) >= 0x1.ffffffp127) {
        PyObject *number = PyFloat_FromDouble(value);
        if (number != NULL) {
            (void)fail_range(state, op, PTO_E_RANGE, name, number,
                             "float32, the type of float arguments");
            Py_DECREF(number);
        }
        return -1;
    }
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof(bits));
    *out = bits;
    return 0;
}

static int integer_to_word(const struct module_state *state, const char *op, const char *name,
                           PyObject *integer, uint64_t *out)
{
    *out = PyLong_AsUnsignedLongLong(integer);
    if (*out != UINT64_MAX || !PyErr_Occurred()) {
        return 0;
    }
    PyErr_Clear();
    int overflow = 0;
    long long value = PyLong_AsLongLongAndOverflow(integer, &overflow);
    if (overflow != 0) {
        return fail_range(state, op, PTO_E_RANGE, name, integer, "-2^63..2^64-1");
    }
    *out = (uint64_t)value;
    return 0;
}

// Whether this is one of NumPy's floats, or a thing with their interface.
static int has_float_kind(PyObject *value)
{
    PyObject *dtype = PyObject_GetAttrString(value, "dtype");
    PyObject *kind = dtype != NULL ? PyObject_GetAttrString(dtype, "kind") : NULL;
    int found = kind != NULL && PyUnicode_Check(kind) &&
                PyUnicode_CompareWithASCIIString(kind, "f") == 0;
    Py_XDECREF(kind);
    Py_XDECREF(dtype);
    PyErr_Clear();
    return found;
}

// Any object. Its own kind decides: an integer of NumPy's is an integer.
static int object_to_word(const struct module_state *state, const char *op, Py_ssize_t index,
                          PyObject *value, uint64_t *out)
{
    char name[40];
    (void)PyOS_snprintf(name, sizeof(name), "args[%ld]", (long)index);
    int result = -1;
    if (PyFloat_Check(value) || has_float_kind(value)) {
        double number = PyFloat_AsDouble(value);
        if (number != -1.0 || !PyErr_Occurred()) {
            result = float_to_word(state, op, name, number, out);
        } else if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            result = fail_type(state, op, name, "an int or a float", value);
        }
        return result;
    }
    PyObject *integer = as_integer(state, op, name, "an int or a float", value);
    if (integer != NULL) {
        result = integer_to_word(state, op, name, integer, out);
        Py_DECREF(integer);
    }
    return result;
}

static int to_word(const struct module_state *state, const char *op, Py_ssize_t index,
                   PyObject *value, uint64_t *out)
{
    // A conversion may run Python code, which may take the value out of its list.
    Py_INCREF(value);
    int result = object_to_word(state, op, index, value, out);
    Py_DECREF(value);
    return result;
}

static int fail_arg_count(const struct module_state *state, const char *op, Py_ssize_t count)
{
    (void)pto__py_raise_status(state, op, PTO_E_LIMIT,
                               "args has %zd values; a task takes at most %d", count,
                               (int)PTO_GRAPH_ARG_MAX);
    return -1;
}

static int tuple_to_task_args(const struct module_state *state, const char *op, PyObject *tuple,
                              uint64_t *out, uint32_t *out_count)
{
    Py_ssize_t count = PyTuple_Size(tuple);
    if (count > (Py_ssize_t)PTO_GRAPH_ARG_MAX) {
        return fail_arg_count(state, op, count);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value = PyTuple_GetItem(tuple, i);
        if (!is_plain_word(value, &out[i]) && to_word(state, op, i, value, &out[i]) != 0) {
            return -1;
        }
    }
    *out_count = (uint32_t)count;
    return 0;
}

#ifndef Py_GIL_DISABLED
// Reads a list in place. Its size is read anew after each conversion that may have changed it.
static int list_to_task_args(const struct module_state *state, const char *op, PyObject *list,
                             uint64_t *out, uint32_t *out_count)
{
    Py_ssize_t count = PyList_Size(list);
    Py_ssize_t i = 0;
    for (; i < count && count <= (Py_ssize_t)PTO_GRAPH_ARG_MAX; i++) {
        PyObject *value = PyList_GetItem(list, i);
        if (is_plain_word(value, &out[i])) {
            continue;
        }
        if (to_word(state, op, i, value, &out[i]) != 0) {
            return -1;
        }
        count = PyList_Size(list);
    }
    if (count > (Py_ssize_t)PTO_GRAPH_ARG_MAX) {
        return fail_arg_count(state, op, count);
    }
    *out_count = (uint32_t)i;
    return 0;
}
#endif

int pto__py_to_task_args(const struct module_state *state, const char *op, PyObject *sequence,
                         uint64_t *out, uint32_t *out_count)
{
    if (PyTuple_Check(sequence)) {
        return tuple_to_task_args(state, op, sequence, out, out_count);
    }
#ifndef Py_GIL_DISABLED
    if (PyList_Check(sequence)) {
        return list_to_task_args(state, op, sequence, out, out_count);
    }
#endif
    // Strings and bytes are sequences, but never what was meant.
    if (!PySequence_Check(sequence) || PyUnicode_Check(sequence) || PyBytes_Check(sequence) ||
        PyByteArray_Check(sequence)) {
        return fail_type(state, op, "args", "a list or another sequence of numbers", sequence);
    }
    PyObject *tuple = PySequence_Tuple(sequence);
    if (tuple == NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            return fail_type(state, op, "args", "a list or another sequence of numbers", sequence);
        }
        return -1;
    }
    int result = tuple_to_task_args(state, op, tuple, out, out_count);
    Py_DECREF(tuple);
    return result;
}
