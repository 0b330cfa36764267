// SPDX-License-Identifier: Apache-2.0
// Private header of the extension pto_runtime._core.
//
// The extension translates: a method converts its arguments, makes one call of the C library, and
// turns the status into 0, a value or an exception. It keeps no process-wide state; what lives
// longer than a call is in the module state, one for each interpreter.
//
// One source serves two kinds of build. With Py_LIMITED_API (3.11 or later, defined by the build)
// the binary is abi3 and is loaded by every later CPython; without it (3.9 and 3.10, whose limited
// API lacks buffers, and free-threaded builds, which cannot load abi3) it is for one version. Only
// calls that are in both are used.
#ifndef PTO_PYTHON_MODULE_H
#define PTO_PYTHON_MODULE_H

#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>

#include <stdatomic.h>
#include <stdint.h>

#include "pto/graph.h"
#include "pto/runner.h"
#include "pto/status.h"

// A graph may not be read while it is changed. The GIL sees to that; where there is none, the
// object's own lock does. Nothing that waits for another thread may be called between the two.
#ifdef Py_GIL_DISABLED
#define PTO_LOCK_OBJECT(object) Py_BEGIN_CRITICAL_SECTION(object)
#define PTO_UNLOCK_OBJECT() Py_END_CRITICAL_SECTION()
#else
#define PTO_LOCK_OBJECT(object)                                                                    \
    {                                                                                              \
        (void)(object)
#define PTO_UNLOCK_OBJECT() }
#endif

// METH_FASTCALL functions stand in PyMethodDef as PyCFunction; going through a function without
// parameters says that the change of type is meant.
#define PTO_METHOD(function) ((PyCFunction)(void (*)(void))(function))

static inline PyObject *pto__py_new_ref(PyObject *object)
{
    Py_INCREF(object);
    return object;
}

// The names of parameters, interned once for each interpreter.
enum parameter {
    PARAMETER_ARGS,
    PARAMETER_FUNC_ID,
    PARAMETER_FROM_TASK,
    PARAMETER_TO_TASK,
    PARAMETER_EDGES,
    PARAMETER_TASK,
    PARAMETER_DEVICE_ID,
    PARAMETER_NUM_CORES,
    PARAMETER_AICPU_SO_PATH,
    PARAMETER_AICORE_KERNEL_PATH,
    PARAMETER_BACKEND,
    PARAMETER_TIMEOUT,
    PARAMETER_SEED,
    PARAMETER_SCHEDULES,
    PARAMETER_PROFILE,
    PARAMETER_BYTES,
    PARAMETER_PTR,
    PARAMETER_DEV_PTR,
    PARAMETER_HOST_DATA,
    PARAMETER_GRAPH,
    PARAMETER_LAUNCH_AICPU_NUM,
    PARAMETER_CHECK,
    PARAMETER_RUNNER,
    PARAMETER_MAX_FINDINGS,
    PARAMETER_COUNT,
};

struct module_state {
    PyTypeObject *graph_type;
    PyTypeObject *runner_type;
    PyObject *default_runner; // what DeviceRunner.get() returns, NULL before the first call
    PyObject *make_error;     // pto_runtime._errors.make
    PyObject *core_result;    // pto_runtime._report.CoreResult
    PyObject *format_cores;   // pto_runtime._report.format_cores
    PyObject *make_finding;   // pto_runtime._report.make_finding
    PyObject *finding_list;   // pto_runtime._report.FindingList
    PyObject *search_dir;     // bytes: where relative paths of device programs are tried second
    PyObject *parameters[PARAMETER_COUNT];
};

// Objects keep their state at hand: a subclass written in Python does not lead to the module. It
// outlives them, because each instance holds its type and the type holds the module.
struct graph_object {
    PyObject_HEAD
    struct module_state *state;
    struct pto_graph *graph;
    PyObject *weak_references;
};

struct log_message;

struct runner_object {
    PyObject_HEAD
    struct module_state *state;
    struct pto_runner *runner;
    PyObject *weak_references;
    _Atomic(struct log_message *) log; // newest first; pushed by any thread, taken with the GIL
    _Atomic uint64_t last_freed_blocks;
};

// graph_type.c and runner_type.c: 0, or -1 with an exception.
int pto__py_add_graph_type(PyObject *module, struct module_state *state);
int pto__py_add_runner_type(PyObject *module, struct module_state *state);

// graph_analysis.c: the graph type's parts that take long.
PyObject *pto__py_graph_redundant_edges(PyObject *self, PyObject *unused);
PyObject *pto__py_graph_find_races(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                                   PyObject *keywords);

// runner_info.c: the runner type's parts that only look.
extern PyGetSetDef pto__py_runner_properties[];
PyObject *pto__py_runner_repr(PyObject *self);
PyObject *pto__py_runner_handshake_results(PyObject *self, PyObject *unused);
PyObject *pto__py_runner_print_handshake_results(PyObject *self, PyObject *unused);

// The state that belongs to `type`, one of ours or a subclass of it; `dealloc` is our type's.
// NULL with an exception when there is none.
struct module_state *pto__py_type_state(PyTypeObject *type, destructor dealloc);

// Refuses arguments to a constructor that takes none. A subclass may define an __init__ that does.
int pto__py_check_no_arguments(PyTypeObject *type, PyTypeObject *own_type, PyObject *args,
                               PyObject *keywords);

// A pto_poll_function: runs signal handlers, so that Ctrl-C ends a long call. The context is the
// place of the thread state that the call saved; only the main thread has signals to handle.
int pto__py_poll_signals(void *context);

// Writes an object's text to sys.stdout, or nowhere when that is None. 0, or -1 with an exception.
int pto__py_print(PyObject *text);

// errors.c. The raise functions set an exception and return NULL; `op` is the method's name.
void *pto__py_raise(const struct module_state *state, const char *op, const struct pto_error *err);
void *pto__py_raise_cycle(const struct module_state *state, const char *op,
                          const struct pto_error *err, struct pto_graph *graph);
// For what the extension itself finds. Formats are those of PyUnicode_FromFormat.
void *pto__py_raise_status(const struct module_state *state, const char *op,
                           enum pto_status status, const char *format, ...);
void *pto__py_raise_type(const struct module_state *state, const char *op, const char *format, ...);

// findings.c: what the checks of a run found, collected without the GIL.
struct pto_py_findings {
    struct pto_check_finding *items;
    size_t count;
    size_t capacity;
    uint64_t more; // that were only counted
};
// A pto_finding_function whose context is a struct pto_py_findings *.
void pto__py_collect_finding(void *context, const struct pto_check_finding *finding,
                             uint64_t remaining);
// One finding as a CheckFinding; NULL with an exception.
PyObject *pto__py_make_finding(const struct module_state *state,
                               const struct pto_check_finding *finding);
// Gives the exception that is set the attributes findings and more_findings.
void pto__py_attach_findings(const struct module_state *state,
                             const struct pto_py_findings *findings);

// A pto_log_function whose context is a struct runner_object *; runs without the GIL.
void pto__py_log(void *context, enum pto_log_level level, const char *message);
// Hands the collected messages to logging.getLogger("pto_runtime"). Never raises, and keeps an
// exception that is set.
void pto__py_log_emit(struct runner_object *runner);
void pto__py_log_free(struct runner_object *runner);

// convert.c and buffer.c. A method's parameters: the first `required` of `count` must be given, and
// those from `positional` on by keyword only.
struct signature {
    const char *op;
    uint8_t count;
    uint8_t required;
    uint8_t positional;
    uint8_t parameters[9]; // enum parameter
};

extern const char *const pto__py_parameter_names[PARAMETER_COUNT];

// Sorts a vectorcall's arguments into values[count], borrowed, NULL where not given.
// All functions below return 0, or -1 with an exception that names the parameter.
int pto__py_parse(const struct module_state *state, const struct signature *signature,
                  PyObject *const *args, Py_ssize_t arg_count, PyObject *keywords,
                  PyObject **values);

// What init takes, converted: device_id, num_cores, the two paths, backend, timeout, seed,
// schedules, profile. The objects hold the bytes that the config points to; clear drops them, after
// a failure too.
struct pto_py_config {
    struct pto_config config;
    PyObject *aicpu_so_path;
    PyObject *aicore_kernel_path;
    PyObject *backend;
    PyObject *profile;
};
// A str or None, as UTF-8: *out_bytes keeps what *out points to, NULL for None.
int pto__py_to_text(const struct module_state *state, const char *op, enum parameter parameter,
                    PyObject *value, PyObject **out_bytes, const char **out);
int pto__py_to_config(const struct module_state *state, PyObject *const *values,
                      struct pto_py_config *out);
void pto__py_config_clear(struct pto_py_config *config);

// Integers: int or what has __index__, but not bool. A value outside 0..2^64-1 raises
// out_of_range, one outside the signed 64 bits PTO_E_RANGE.
int pto__py_to_uint64(const struct module_state *state, const char *op, enum parameter parameter,
                      PyObject *value, enum pto_status out_of_range, uint64_t *out);
int pto__py_to_int64(const struct module_state *state, const char *op, enum parameter parameter,
                     PyObject *value, int64_t *out);
int pto__py_to_func_id(const struct module_state *state, const char *op, PyObject *value,
                       uint32_t *out);
// None or a number of seconds; None is 0.
int pto__py_to_timeout_ns(const struct module_state *state, const char *op, PyObject *value,
                          uint64_t *out);
// A path: str, bytes or os.PathLike; *out gets a bytes object.
int pto__py_to_path(const struct module_state *state, const char *op, enum parameter parameter,
                    PyObject *value, PyObject **out);

// A sequence of numbers into 64-bit task arguments; `out` has room for PTO_GRAPH_ARG_MAX.
int pto__py_to_task_args(const struct module_state *state, const char *op, PyObject *sequence,
                         uint64_t *out, uint32_t *out_count);

// A C-contiguous view of an object's bytes; `flags` adds PyBUF_WRITABLE or PyBUF_FORMAT.
int pto__py_get_buffer(const struct module_state *state, const char *op, enum parameter parameter,
                       PyObject *value, int flags, Py_buffer *out);

// A two-dimensional buffer of integers as 64-bit words. words points into the buffer when it holds
// such words already, and else to a copy. `release` undoes it, also for a zeroed one.
struct word_table {
    Py_buffer buffer;
    const uint64_t *words;
    uint64_t *copy;
    size_t rows;
    size_t columns;
};
enum word_rule {
    WORDS_64_BIT,       // 64-bit integers, as they are
    WORDS_NOT_NEGATIVE, // 32 or 64-bit integers, none negative
};
int pto__py_get_word_table(const struct module_state *state, const char *op,
                           enum parameter parameter, PyObject *value, enum word_rule rule,
                           struct word_table *out);
void pto__py_release_word_table(struct word_table *table);

#endif // PTO_PYTHON_MODULE_H
