// SPDX-License-Identifier: Apache-2.0
// Objects with the buffer protocol, as bytes and as tables of integers.
#include "python/module.h"

#include <stdlib.h>
#include <string.h>

// Says why an object gave no buffer of the wanted kind, by asking it for any buffer at all. The
// object's own exception is set, and stays when nothing better is to be said.
static int fail_buffer(const struct module_state *state, const char *op, const char *name,
                       PyObject *value, int flags)
{
    if (!PyErr_ExceptionMatches(PyExc_BufferError) && !PyErr_ExceptionMatches(PyExc_ValueError)) {
        return -1; // out of memory, Ctrl-C
    }
    PyObject *type = NULL;
    PyObject *error = NULL;
    PyObject *traceback = NULL;
    PyErr_Fetch(&type, &error, &traceback);
    Py_buffer any;
    int is_any = PyObject_GetBuffer(value, &any, PyBUF_STRIDED_RO) == 0;
    if (!is_any) {
        PyErr_Clear();
    }
    if (is_any && !PyBuffer_IsContiguous(&any, 'C')) {
        (void)pto__py_raise_status(state, op, PTO_E_ARGUMENT,
                                   "%s is not C-contiguous; make it contiguous: "
                                   "numpy.ascontiguousarray(array)",
                                   name);
    } else if (is_any && any.readonly && (flags & PyBUF_WRITABLE) == PyBUF_WRITABLE) {
        (void)pto__py_raise_status(state, op, PTO_E_ARGUMENT,
                                   "%s is read-only, so nothing can be copied into it; give a "
                                   "writable array, for example numpy.empty_like(array)",
                                   name);
    } else {
        (void)pto__py_raise_status(state, op, PTO_E_ARGUMENT, "%s gives no usable buffer: %S", name,
                                   error != NULL ? error : Py_None);
    }
    if (is_any) {
        PyBuffer_Release(&any);
    }
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return -1;
}

int pto__py_get_buffer(const struct module_state *state, const char *op, enum parameter parameter,
                       PyObject *value, int flags, Py_buffer *out)
{
    const char *name = pto__py_parameter_names[parameter];
    if (!PyObject_CheckBuffer(value)) {
        PyObject *type_name = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__name__");
        if (type_name == NULL) {
            PyErr_Clear();
        }
        (void)pto__py_raise_type(state, op,
                                 "%s must be a NumPy array or another object with the buffer "
                                 "protocol, not %V",
                                 name, type_name, "this");
        Py_XDECREF(type_name);
        return -1;
    }
    if (PyObject_GetBuffer(value, out, PyBUF_C_CONTIGUOUS | flags) != 0) {
        return fail_buffer(state, op, name, value, PyBUF_C_CONTIGUOUS | flags);
    }
    return 0;
}

// Whether a format is one native integer of 4 or 8 bytes, by its letter; *is_signed gets its kind.
static int is_integer_format(const Py_buffer *buffer, int *is_signed)
{
    const char *format = buffer->format != NULL ? buffer->format : "B";
    const uint16_t one = 1;
    int is_little = *(const unsigned char *)&one == 1;
    if (*format == '@' || *format == '=' || *format == (is_little ? '<' : '>')) {
        format++;
    }
    int is_one = format[0] != '\0' && format[1] == '\0';
    if (!is_one || (buffer->itemsize != 4 && buffer->itemsize != 8)) {
        return 0;
    }
    *is_signed = strchr("ilqn", format[0]) != NULL;
    return strchr("ilqnILQN", format[0]) != NULL;
}

// Reads the n-th element; false when it is negative.
static int read_element(const Py_buffer *buffer, int is_signed, size_t n, uint64_t *out)
{
    const char *at = (const char *)buffer->buf + n * (size_t)buffer->itemsize;
    if (buffer->itemsize == 4) {
        uint32_t narrow;
        memcpy(&narrow, at, sizeof(narrow));
        *out = narrow;
        return !is_signed || narrow <= INT32_MAX;
    }
    memcpy(out, at, sizeof(*out));
    return !is_signed || *out <= INT64_MAX;
}

// Finds out whether the elements may be used where they lie, and copies them if not.
static int convert_words(const struct module_state *state, const char *op, const char *name,
                         enum word_rule rule, int is_signed, struct word_table *table)
{
    const Py_buffer *buffer = &table->buffer;
    size_t count = (size_t)(buffer->len / buffer->itemsize);
    int in_place = buffer->itemsize == 8 && (uintptr_t)buffer->buf % sizeof(uint64_t) == 0;
    if (!in_place && count > 0) {
        if (count <= SIZE_MAX / sizeof(uint64_t)) {
            table->copy = malloc(count * sizeof(uint64_t));
        }
        if (table->copy == NULL) {
            (void)pto__py_raise_status(state, op, PTO_E_NO_MEMORY,
                                       "no host memory to convert the %zu integers of %s to 64 "
                                       "bits",
                                       count, name);
            return -1;
        }
    }
    static const uint64_t nothing = 0; // so that an empty table has an address too
    table->words = in_place ? buffer->buf : table->copy;
    if (table->words == NULL) {
        table->words = &nothing;
    }
    int check_sign = rule == WORDS_NOT_NEGATIVE && is_signed;
    for (size_t i = 0; i < count && (check_sign || !in_place); i++) {
        uint64_t word;
        if (!read_element(buffer, check_sign, i, &word)) {
            (void)pto__py_raise_status(state, op, PTO_E_RANGE,
                                       "%s has a negative number in row %zu, column %zu", name,
                                       i / table->columns, i % table->columns);
            return -1;
        }
        if (!in_place) {
            table->copy[i] = word;
        }
    }
    return 0;
}

int pto__py_get_word_table(const struct module_state *state, const char *op,
                           enum parameter parameter, PyObject *value, enum word_rule rule,
                           struct word_table *out)
{
    const char *name = pto__py_parameter_names[parameter];
    memset(out, 0, sizeof(*out));
    if (pto__py_get_buffer(state, op, parameter, value, PyBUF_FORMAT, &out->buffer) != 0) {
        return -1;
    }
    int is_signed = 0;
    int is_integer = is_integer_format(&out->buffer, &is_signed);
    const char *wanted = rule == WORDS_64_BIT ? "64-bit integers" : "32 or 64-bit integers";
    if (out->buffer.ndim != 2) {
        (void)pto__py_raise_status(state, op, PTO_E_ARGUMENT,
                                   "%s has %d dimensions; it must be a table of rows and columns "
                                   "of %s",
                                   name, out->buffer.ndim, wanted);
    } else if (!is_integer || (rule == WORDS_64_BIT && out->buffer.itemsize != 8)) {
        (void)pto__py_raise_status(state, op, PTO_E_ARGUMENT,
                                   "%s has elements of format '%s', %zd bytes each; they must be "
                                   "%s in this machine's byte order",
                                   name, out->buffer.format != NULL ? out->buffer.format : "B",
                                   out->buffer.itemsize, wanted);
    } else {
        out->rows = (size_t)out->buffer.shape[0];
        out->columns = (size_t)out->buffer.shape[1];
        if (convert_words(state, op, name, rule, is_signed, out) == 0) {
            return 0;
        }
    }
    pto__py_release_word_table(out);
    return -1;
}

void pto__py_release_word_table(struct word_table *table)
{
    if (table->buffer.obj != NULL) {
        PyBuffer_Release(&table->buffer);
    }
    free(table->copy);
    table->copy = NULL;
}
