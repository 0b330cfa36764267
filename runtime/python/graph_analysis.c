// SPDX-License-Identifier: Apache-2.0
// What pto_runtime.Graph says of itself without a run: races, redundant edges.
//
// Both may take long, so they work without the GIL and look for signals. The graph is pinned
// meanwhile: a change by another thread, or by a signal handler, raises Busy.
#include "python/module.h"

#include <stdlib.h>

#include "pto/analysis.h"

// As much memory as a caller can ask for without meaning it: 80 MB.
#define FINDING_MAX 100000

#define FINDING_DEFAULT 100

static const struct signature find_races_signature = {
    .op = "find_races",
    .count = 2,
    .required = 1,
    .positional = 1,
    .parameters = {PARAMETER_RUNNER, PARAMETER_MAX_FINDINGS},
};

static struct graph_object *as_graph(PyObject *self)
{
    return (struct graph_object *)self;
}

// Raises what a call that failed left behind.
static PyObject *raise_failure(struct graph_object *graph, const char *op, enum pto_status status,
                               const struct pto_error *err)
{
    if (PyErr_Occurred()) {
        return NULL; // a signal handler's, mostly KeyboardInterrupt: it is what ended the call
    }
    return status == PTO_E_CYCLE ? pto__py_raise_cycle(graph->state, op, err, graph->graph)
                                 : pto__py_raise(graph->state, op, err);
}

static enum pto_status redundant_edges(struct pto_graph *graph, uint64_t *edges, size_t capacity,
                                       size_t *out_count, struct pto_error *err)
{
    PyThreadState *saved = PyEval_SaveThread();
    const struct pto_analysis_options options = {
        .size = sizeof(options), .poll = pto__py_poll_signals, .poll_context = &saved};
    enum pto_status status =
        pto_graph_redundant_edges(graph, &options, edges, capacity, out_count, err);
    PyEval_RestoreThread(saved);
    return status;
}

static PyObject *make_edge_list(const uint64_t *edges, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *edge = Py_BuildValue("(KK)", (unsigned long long)edges[2 * i],
                                       (unsigned long long)edges[2 * i + 1]);
        if (edge == NULL || PyList_SetItem(list, (Py_ssize_t)i, edge) != 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyObject *pto__py_graph_redundant_edges(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct graph_object *graph = as_graph(self);
    for (;;) {
        size_t capacity = (size_t)pto_graph_edge_count(graph->graph);
        uint64_t *edges = malloc((2 * capacity + 1) * sizeof(*edges));
        if (edges == NULL) {
            return PyErr_NoMemory();
        }
        struct pto_error err;
        size_t count = 0;
        enum pto_status status = redundant_edges(graph->graph, edges, capacity, &count, &err);
        PyObject *result = NULL;
        if (status != PTO_OK) {
            result = raise_failure(graph, "redundant_edges", status, &err);
        } else if (count <= capacity) {
            result = make_edge_list(edges, count);
        }
        free(edges);
        if (status != PTO_OK || count <= capacity) {
            return result;
        }
        // Another thread has added edges in between; look again.
    }
}

static enum pto_status find_races(struct pto_graph *graph, struct pto_runner *runner,
                                  struct pto_check_finding *findings, size_t capacity,
                                  size_t *out_count, struct pto_error *err)
{
    PyThreadState *saved = PyEval_SaveThread();
    const struct pto_analysis_options options = {
        .size = sizeof(options), .poll = pto__py_poll_signals, .poll_context = &saved};
    enum pto_status status =
        pto_graph_find_races(graph, runner, &options, findings, capacity, out_count, err);
    PyEval_RestoreThread(saved);
    return status;
}

// The first `kept` of `count` findings as a FindingList; NULL with an exception.
static PyObject *make_finding_list(const struct module_state *state,
                                   const struct pto_check_finding *findings, size_t kept,
                                   size_t count)
{
    if (state->make_finding == NULL || state->finding_list == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter is shutting down");
        return NULL;
    }
    PyObject *list = PyList_New((Py_ssize_t)kept);
    for (size_t i = 0; list != NULL && i < kept; i++) {
        PyObject *finding = pto__py_make_finding(state, &findings[i]);
        if (finding == NULL || PyList_SetItem(list, (Py_ssize_t)i, finding) != 0) {
            Py_CLEAR(list);
        }
    }
    PyObject *result = NULL;
    if (list != NULL) {
        result = PyObject_CallFunction(state->finding_list, "On", list, (Py_ssize_t)(count - kept));
    }
    Py_XDECREF(list);
    return result;
}

static int to_max_findings(const struct module_state *state, PyObject *value, size_t *out)
{
    int64_t wanted = FINDING_DEFAULT;
    if (value != NULL &&
        pto__py_to_int64(state, "find_races", PARAMETER_MAX_FINDINGS, value, &wanted) != 0) {
        return -1;
    }
    if (wanted < 0 || wanted > FINDING_MAX) {
        (void)pto__py_raise_status(state, "find_races", PTO_E_RANGE,
                                   "max_findings is %lld; it must be 0 to %d", (long long)wanted,
                                   FINDING_MAX);
        return -1;
    }
    *out = (size_t)wanted;
    return 0;
}

PyObject *pto__py_graph_find_races(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                                   PyObject *keywords)
{
    struct graph_object *graph = as_graph(self);
    const struct module_state *state = graph->state;
    PyObject *values[2];
    size_t capacity = 0;
    if (pto__py_parse(state, &find_races_signature, args, arg_count, keywords, values) != 0) {
        return NULL;
    }
    if (state->runner_type == NULL || !PyObject_TypeCheck(values[0], state->runner_type)) {
        return pto__py_raise_type(state, "find_races",
                                  "runner must be a pto_runtime.DeviceRunner, not %.100R",
                                  values[0]);
    }
    if (to_max_findings(state, values[1], &capacity) != 0) {
        return NULL;
    }
    struct pto_check_finding *findings = malloc((capacity + 1) * sizeof(*findings));
    if (findings == NULL) {
        return PyErr_NoMemory();
    }
    // The caller's reference could be dropped by another thread while this one is without the GIL.
    struct runner_object *runner = (struct runner_object *)pto__py_new_ref(values[0]);
    struct pto_error err;
    size_t count = 0;
    enum pto_status status =
        find_races(graph->graph, runner->runner, findings, capacity, &count, &err);
    PyObject *result =
        status == PTO_OK
            ? make_finding_list(state, findings, count < capacity ? count : capacity, count)
            : raise_failure(graph, "find_races", status, &err);
    Py_DECREF(runner);
    free(findings);
    return result;
}
