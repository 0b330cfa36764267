// SPDX-License-Identifier: Apache-2.0
// The type pto_runtime.Graph.
//
// Its calls keep the GIL: they are short, and what they read must not change meanwhile. Those that
// take long are in graph_analysis.c.
#include "python/module.h"

#include <structmember.h>

#include "python/graph_doc.h"

static const struct signature add_task_signature = {
    .op = "add_task", .count = 2, .required = 2, .positional = 2,
    .parameters = {PARAMETER_ARGS, PARAMETER_FUNC_ID},
};
static const struct signature add_tasks_signature = {
    .op = "add_tasks", .count = 2, .required = 2, .positional = 2,
    .parameters = {PARAMETER_ARGS, PARAMETER_FUNC_ID},
};
static const struct signature add_successor_signature = {
    .op = "add_successor", .count = 2, .required = 2, .positional = 2,
    .parameters = {PARAMETER_FROM_TASK, PARAMETER_TO_TASK},
};
static const struct signature add_successors_signature = {
    .op = "add_successors", .count = 1, .required = 1, .positional = 1,
    .parameters = {PARAMETER_EDGES},
};
static const struct signature set_args_signature = {
    .op = "set_args", .count = 2, .required = 2, .positional = 2,
    .parameters = {PARAMETER_TASK, PARAMETER_ARGS},
};

static struct graph_object *as_graph(PyObject *self)
{
    return (struct graph_object *)self;
}

static void graph_dealloc(PyObject *self)
{
    struct graph_object *graph = as_graph(self);
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (graph->weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    pto_graph_destroy(graph->graph);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static int graph_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static PyObject *graph_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct module_state *state = pto__py_type_state(type, graph_dealloc);
    if (state == NULL ||
        pto__py_check_no_arguments(type, state->graph_type, args, keywords) != 0) {
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = allocate(type, 0); // zeroed
    if (self == NULL) {
        return NULL;
    }
    as_graph(self)->state = state;
    struct pto_error err;
    if (pto_graph_create(&as_graph(self)->graph, &err) != PTO_OK) {
        Py_DECREF(self);
        return pto__py_raise(state, "Graph", &err);
    }
    return self;
}

static PyObject *graph_add_task(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                                PyObject *keywords)
{
    const struct module_state *state = as_graph(self)->state;
    PyObject *values[2];
    uint64_t words[PTO_GRAPH_ARG_MAX];
    uint32_t word_count = 0;
    uint32_t func_id = 0;
    if (pto__py_parse(state, &add_task_signature, args, arg_count, keywords, values) != 0 ||
        pto__py_to_task_args(state, "add_task", values[0], words, &word_count) != 0 ||
        pto__py_to_func_id(state, "add_task", values[1], &func_id) != 0) {
        return NULL;
    }
    struct pto_error err;
    enum pto_status status;
    uint32_t task = 0;
    PTO_LOCK_OBJECT(self);
    status = pto_graph_add_task(as_graph(self)->graph, words, word_count, func_id, &task, &err);
    PTO_UNLOCK_OBJECT();
    if (status != PTO_OK) {
        return pto__py_raise(state, "add_task", &err);
    }
    return PyLong_FromUnsignedLong(task);
}

static PyObject *graph_add_tasks(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                                 PyObject *keywords)
{
    const struct module_state *state = as_graph(self)->state;
    PyObject *values[2];
    uint32_t func_id = 0;
    struct word_table table;
    if (pto__py_parse(state, &add_tasks_signature, args, arg_count, keywords, values) != 0 ||
        pto__py_to_func_id(state, "add_tasks", values[1], &func_id) != 0 ||
        pto__py_get_word_table(state, "add_tasks", PARAMETER_ARGS, values[0], WORDS_64_BIT,
                               &table) != 0) {
        return NULL;
    }
    uint32_t columns = table.columns <= UINT32_MAX ? (uint32_t)table.columns : UINT32_MAX;
    struct pto_error err;
    enum pto_status status;
    uint32_t first = 0;
    PTO_LOCK_OBJECT(self);
    status = pto_graph_add_tasks(as_graph(self)->graph, table.words, table.rows, columns, func_id,
                                 &first, &err);
    PTO_UNLOCK_OBJECT();
    pto__py_release_word_table(&table);
    if (status != PTO_OK) {
        return pto__py_raise(state, "add_tasks", &err);
    }
    return PyLong_FromUnsignedLong(first);
}

static PyObject *graph_add_successor(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                                     PyObject *keywords)
{
    const struct module_state *state = as_graph(self)->state;
    PyObject *values[2];
    uint64_t from = 0;
    uint64_t to = 0;
    if (pto__py_parse(state, &add_successor_signature, args, arg_count, keywords, values) != 0 ||
        pto__py_to_uint64(state, "add_successor", PARAMETER_FROM_TASK, values[0], PTO_E_RANGE,
                          &from) != 0 ||
        pto__py_to_uint64(state, "add_successor", PARAMETER_TO_TASK, values[1], PTO_E_RANGE,
                          &to) != 0) {
        return NULL;
    }
    struct pto_error err;
    enum pto_status status;
    PTO_LOCK_OBJECT(self);
    status = pto_graph_add_successor(as_graph(self)->graph, from, to, &err);
    PTO_UNLOCK_OBJECT();
    if (status != PTO_OK) {
        return pto__py_raise(state, "add_successor", &err);
    }
    return pto__py_new_ref(Py_None);
}

static PyObject *graph_add_successors(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                                      PyObject *keywords)
{
    const struct module_state *state = as_graph(self)->state;
    PyObject *values[1];
    struct word_table table;
    if (pto__py_parse(state, &add_successors_signature, args, arg_count, keywords, values) != 0 ||
        pto__py_get_word_table(state, "add_successors", PARAMETER_EDGES, values[0],
                               WORDS_NOT_NEGATIVE, &table) != 0) {
        return NULL;
    }
    if (table.columns != 2) {
        (void)pto__py_raise_status(state, "add_successors", PTO_E_ARGUMENT,
                                   "edges has %zu columns; a row is (from_task, to_task)",
                                   table.columns);
        pto__py_release_word_table(&table);
        return NULL;
    }
    struct pto_error err;
    enum pto_status status;
    PTO_LOCK_OBJECT(self);
    status = pto_graph_add_successors(as_graph(self)->graph, table.words, table.rows, &err);
    PTO_UNLOCK_OBJECT();
    pto__py_release_word_table(&table);
    if (status != PTO_OK) {
        return pto__py_raise(state, "add_successors", &err);
    }
    return pto__py_new_ref(Py_None);
}

static PyObject *graph_set_args(PyObject *self, PyObject *const *args, Py_ssize_t arg_count,
                                PyObject *keywords)
{
    const struct module_state *state = as_graph(self)->state;
    PyObject *values[2];
    uint64_t task = 0;
    uint64_t words[PTO_GRAPH_ARG_MAX];
    uint32_t word_count = 0;
    if (pto__py_parse(state, &set_args_signature, args, arg_count, keywords, values) != 0 ||
        pto__py_to_uint64(state, "set_args", PARAMETER_TASK, values[0], PTO_E_RANGE, &task) != 0 ||
        pto__py_to_task_args(state, "set_args", values[1], words, &word_count) != 0) {
        return NULL;
    }
    struct pto_error err;
    enum pto_status status;
    PTO_LOCK_OBJECT(self);
    status = pto_graph_set_args(as_graph(self)->graph, task, words, word_count, &err);
    PTO_UNLOCK_OBJECT();
    if (status != PTO_OK) {
        return pto__py_raise(state, "set_args", &err);
    }
    return pto__py_new_ref(Py_None);
}

static PyObject *graph_get_task_count(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(pto_graph_task_count(as_graph(self)->graph));
}

static PyObject *graph_get_edge_count(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(pto_graph_edge_count(as_graph(self)->graph));
}

static Py_ssize_t graph_length(PyObject *self)
{
    return (Py_ssize_t)pto_graph_task_count(as_graph(self)->graph);
}

static PyObject *graph_repr(PyObject *self)
{
    struct pto_graph *graph = as_graph(self)->graph;
    unsigned long tasks = pto_graph_task_count(graph);
    unsigned long long edges = pto_graph_edge_count(graph);
    return PyUnicode_FromFormat("<pto_runtime.Graph: %lu task%s, %llu edge%s>", tasks,
                                tasks == 1 ? "" : "s", edges, edges == 1 ? "" : "s");
}

static PyObject *graph_validate(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct pto_error err;
    enum pto_status status;
    PTO_LOCK_OBJECT(self);
    status = pto_graph_validate(as_graph(self)->graph, &err);
    PTO_UNLOCK_OBJECT();
    if (status == PTO_E_CYCLE) {
        return pto__py_raise_cycle(as_graph(self)->state, "validate", &err, as_graph(self)->graph);
    }
    if (status != PTO_OK) {
        return pto__py_raise(as_graph(self)->state, "validate", &err);
    }
    return pto__py_new_ref(Py_None);
}

// A pto_text_function: writes to sys.stdout, which may run any Python code; the graph is pinned
// meanwhile, so that code cannot change it.
static int write_text(void *context, const char *text, size_t size_bytes)
{
    (void)context;
    PyObject *string = PyUnicode_DecodeUTF8(text, (Py_ssize_t)size_bytes, "backslashreplace");
    if (string == NULL) {
        return -1;
    }
    int result = pto__py_print(string);
    Py_DECREF(string);
    // A large graph is printed for long; Ctrl-C ends it.
    return result == 0 ? PyErr_CheckSignals() : result;
}

static PyObject *graph_print_graph(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct pto_error err;
    enum pto_status status = pto_graph_print(as_graph(self)->graph, write_text, NULL, &err);
    if (PyErr_Occurred()) {
        return NULL; // write_text's
    }
    if (status != PTO_OK) {
        return pto__py_raise(as_graph(self)->state, "print_graph", &err);
    }
    return pto__py_new_ref(Py_None);
}

static PyMethodDef graph_methods[] = {
    {"add_task", PTO_METHOD(graph_add_task), METH_FASTCALL | METH_KEYWORDS, graph_add_task_doc},
    {"add_tasks", PTO_METHOD(graph_add_tasks), METH_FASTCALL | METH_KEYWORDS, graph_add_tasks_doc},
    {"add_successor", PTO_METHOD(graph_add_successor), METH_FASTCALL | METH_KEYWORDS,
     graph_add_successor_doc},
    {"add_successors", PTO_METHOD(graph_add_successors), METH_FASTCALL | METH_KEYWORDS,
     graph_add_successors_doc},
    {"set_args", PTO_METHOD(graph_set_args), METH_FASTCALL | METH_KEYWORDS, graph_set_args_doc},
    {"get_task_count", graph_get_task_count, METH_NOARGS, graph_get_task_count_doc},
    {"get_edge_count", graph_get_edge_count, METH_NOARGS, graph_get_edge_count_doc},
    {"validate", graph_validate, METH_NOARGS, graph_validate_doc},
    {"redundant_edges", pto__py_graph_redundant_edges, METH_NOARGS, graph_redundant_edges_doc},
    {"find_races", PTO_METHOD(pto__py_graph_find_races), METH_FASTCALL | METH_KEYWORDS,
     graph_find_races_doc},
    {"print_graph", graph_print_graph, METH_NOARGS, graph_print_graph_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef graph_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct graph_object, weak_references), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot graph_slots[] = {
    {Py_tp_doc, (void *)graph_doc},
    {Py_tp_new, (void *)graph_new},
    {Py_tp_dealloc, (void *)graph_dealloc},
    {Py_tp_traverse, (void *)graph_traverse},
    {Py_tp_repr, (void *)graph_repr},
    {Py_sq_length, (void *)graph_length},
    {Py_tp_methods, graph_methods},
    {Py_tp_members, graph_members},
    {0, NULL},
};

static PyType_Spec graph_spec = {
    .name = "pto_runtime.Graph",
    .basicsize = sizeof(struct graph_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = graph_slots,
};

int pto__py_add_graph_type(PyObject *module, struct module_state *state)
{
    state->graph_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &graph_spec, NULL);
    return state->graph_type != NULL ? PyModule_AddType(module, state->graph_type) : -1;
}
