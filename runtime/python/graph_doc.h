// SPDX-License-Identifier: Apache-2.0
// Docstrings of pto_runtime.Graph, apart from its code because they are as long.
#ifndef PTO_PYTHON_GRAPH_DOC_H
#define PTO_PYTHON_GRAPH_DOC_H

#include "python/module.h"

PyDoc_STRVAR(graph_doc,
"Graph()\n--\n\n"
"A graph of tasks, and of edges that say which task runs after which.\n"
"\n"
"A task is a kernel, named by its func_id, and the arguments it is called with. Tasks are\n"
"numbered from 0 in the order in which they were added. A graph belongs to the host, grows as\n"
"needed and can be run any number of times, on any runner.\n"
"\n"
"Threads: a call that changes the graph while it runs or is printed, raises Busy and changes\n"
"nothing. Reading is always possible.\n"
"\n"
"Example:\n"
"    >>> graph = Graph()\n"
"    >>> first = graph.add_task([], func_id=0)\n"
"    >>> second = graph.add_task([], func_id=0)\n"
"    >>> graph.add_successor(first, second)\n"
"    >>> len(graph)\n"
"    2\n");

PyDoc_STRVAR(graph_add_task_doc,
"add_task($self, /, args, func_id)\n--\n\n"
"Add one task and return its number.\n"
"\n"
"Args:\n"
"    args: sequence of at most 128 numbers, the kernel's arguments in order. An int, -2**63 to\n"
"        2**64-1, is passed as 64 bits: a pointer, a count. A float is passed as float32, whose\n"
"        bits are the low half of the word; it must be in the range of float32, infinite or NaN.\n"
"        A NumPy scalar counts as what it is. bool, None and strings are refused.\n"
"    func_id: number of the kernel, 0 to 1023. Whether kernel.o has it, and takes these\n"
"        arguments, is checked by run().\n"
"\n"
"Returns:\n"
"    int: the task's number.\n"
"\n"
"Raises:\n"
"    InvalidType: args is no sequence, or args[i] is neither int nor float.\n"
"    OutOfRange: a number is outside its range.\n"
"    LimitExceeded: more than 128 arguments, or more than 2147483647 tasks.\n"
"    Busy: the graph is running.\n"
"    OutOfMemory: no host memory.\n"
"\n"
"Example:\n"
"    >>> Graph().add_task([4096, 0.5, 8192, 16], func_id=1)\n"
"    0\n");

PyDoc_STRVAR(graph_add_tasks_doc,
"add_tasks($self, /, args, func_id)\n--\n\n"
"Add many tasks of one kernel at once; much faster than add_task for each.\n"
"\n"
"Args:\n"
"    args: C-contiguous buffer of shape (tasks, arguments) of 64-bit integers, for example a\n"
"        NumPy array of dtype uint64 or int64. One row is one task's arguments as 64-bit words;\n"
"        a float argument is its float32 bits in the low half.\n"
"    func_id: number of the kernel, 0 to 1023.\n"
"\n"
"Returns:\n"
"    int: the number of the first task; the others follow it.\n"
"\n"
"Raises:\n"
"    InvalidType: args has no buffer.\n"
"    InvalidArgument: args is not C-contiguous, not two-dimensional or not of 64-bit integers.\n"
"    OutOfRange, LimitExceeded, Busy, OutOfMemory: as for add_task; then no task was added.\n"
"\n"
"Example:\n"
"    >>> import array\n"
"    >>> words = memoryview(array.array('Q', range(8))).cast('B').cast('Q', (2, 4))\n"
"    >>> Graph().add_tasks(words, func_id=0)\n"
"    0\n");

PyDoc_STRVAR(graph_add_successor_doc,
"add_successor($self, /, from_task, to_task)\n--\n\n"
"Add the edge \"to_task runs after from_task\".\n"
"\n"
"An edge that is there already is counted once. A cycle of more than one task is found by\n"
"validate() and by run().\n"
"\n"
"Args:\n"
"    from_task: number of a task.\n"
"    to_task: number of another task.\n"
"\n"
"Raises:\n"
"    OutOfRange: there is no such task.\n"
"    InvalidArgument: both are the same task.\n"
"    InvalidType, LimitExceeded, Busy, OutOfMemory.\n"
"\n"
"Example:\n"
"    >>> graph = Graph()\n"
"    >>> graph.add_successor(graph.add_task([], 0), graph.add_task([], 0))\n"
"    >>> graph.get_edge_count()\n"
"    1\n");

PyDoc_STRVAR(graph_add_successors_doc,
"add_successors($self, /, edges)\n--\n\n"
"Add many edges at once; all of them or, after an error, none.\n"
"\n"
"Args:\n"
"    edges: C-contiguous buffer of shape (edges, 2) of 32 or 64-bit integers, for example a NumPy\n"
"        array. One row is from_task, to_task.\n"
"\n"
"Raises:\n"
"    InvalidType: edges has no buffer.\n"
"    InvalidArgument: edges has another shape or format, or an edge from a task to itself.\n"
"    OutOfRange: there is no such task; the message names the row.\n"
"    LimitExceeded, Busy, OutOfMemory.\n"
"\n"
"Example:\n"
"    >>> import array\n"
"    >>> graph = Graph()\n"
"    >>> tasks = [graph.add_task([], 0) for _ in range(3)]\n"
"    >>> pairs = array.array('Q', [0, 1, 1, 2])\n"
"    >>> graph.add_successors(memoryview(pairs).cast('B').cast('Q', (2, 2)))\n"
"    >>> graph.get_edge_count()\n"
"    2\n");

PyDoc_STRVAR(graph_set_args_doc,
"set_args($self, /, task, args)\n--\n\n"
"Replace a task's arguments.\n"
"\n"
"With as many arguments as before, the next run uploads this task alone.\n"
"\n"
"Args:\n"
"    task: number of a task.\n"
"    args: as for add_task.\n"
"\n"
"Raises:\n"
"    OutOfRange: there is no such task, or a number is outside its range.\n"
"    InvalidType, LimitExceeded, Busy, OutOfMemory.\n"
"\n"
"Example:\n"
"    >>> graph = Graph()\n"
"    >>> graph.set_args(graph.add_task([1, 2], 0), [3, 4])\n");

PyDoc_STRVAR(graph_get_task_count_doc,
"get_task_count($self, /)\n--\n\n"
"Return the number of tasks. len(graph) is the same.\n"
"\n"
"Example:\n"
"    >>> Graph().get_task_count()\n"
"    0\n");

PyDoc_STRVAR(graph_get_edge_count_doc,
"get_edge_count($self, /)\n--\n\n"
"Return the number of edges as they were added, repeated ones included.\n"
"\n"
"Example:\n"
"    >>> Graph().get_edge_count()\n"
"    0\n");

PyDoc_STRVAR(graph_validate_doc,
"validate($self, /)\n--\n\n"
"Check that the graph has no cycle. run() does so too.\n"
"\n"
"Raises:\n"
"    GraphCycle: there is one; its attribute tasks holds the numbers of all tasks of one cycle.\n"
"    OutOfMemory: no host memory.\n"
"\n"
"Example:\n"
"    >>> Graph().validate()\n");

PyDoc_STRVAR(graph_print_graph_doc,
"print_graph($self, /)\n--\n\n"
"Print the graph to sys.stdout: the counts, then one line for each task.\n"
"\n"
"Arguments are in hexadecimal, as the 64-bit words that the kernel gets. The numbers after the\n"
"arrow are the tasks that run after this one.\n"
"\n"
"Raises:\n"
"    OutOfMemory: no host memory. An exception of sys.stdout's write is passed on.\n"
"\n"
"Example:\n"
"    >>> Graph().print_graph()\n"
"    Graph: 0 tasks, 0 edges\n");

#endif // PTO_PYTHON_GRAPH_DOC_H
