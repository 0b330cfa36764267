# SPDX-License-Identifier: Apache-2.0
"""Graph: what goes in comes out, and what is wrong is said."""

import array
import collections
import copy
import enum
import gc
import io
import pickle
import struct
import sys
import weakref

import numpy as np
import pytest

import pto_runtime
from conftest import words_of
from pto_runtime import Graph


def float_word(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]


def table(code, rows, columns, values):
    """A two-dimensional buffer without NumPy."""
    return memoryview(array.array(code, values)).cast("B").cast(code, (rows, columns))


class Number(enum.IntEnum):
    SEVEN = 7


class Index:
    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


WORDS = [
    (0, 0),
    (1, 1),
    (2**31, 2**31),
    (2**63, 2**63),
    (2**64 - 2, 2**64 - 2),
    (2**64 - 1, 2**64 - 1),
    (-1, 2**64 - 1),
    (-2, 2**64 - 2),
    (-(2**63), 2**63),
    (Number.SEVEN, 7),
    (Index(-3), 2**64 - 3),
    (np.int8(-4), 2**64 - 4),
    (np.uint8(255), 255),
    (np.int32(-1), 2**64 - 1),
    (np.int64(-(2**63)), 2**63),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (np.array(5), 5),
    (0.0, 0),
    (-0.0, 0x80000000),
    (1.0, 0x3F800000),
    (-2.5, float_word(-2.5)),
    (0.1, float_word(0.1)),
    (float("inf"), 0x7F800000),
    (float("-inf"), 0xFF800000),
    (1e-50, 0),
    (3.4028235677973362e38, 0x7F7FFFFF),  # the largest double that rounds to a finite float32
    (np.float16(1.5), float_word(1.5)),
    (np.float32(0.1), float_word(0.1)),
    (np.float64(-7.0), float_word(-7.0)),
    (np.longdouble(3.0), float_word(3.0)),
    (np.array(1.5, np.float32), float_word(1.5)),
]


@pytest.mark.parametrize("value, word", WORDS, ids=lambda value: repr(value)[:30])
def test_numbers_become_words(value, word, capsys):
    graph = Graph()
    graph.add_task([value], 0)
    graph.add_task((value, 1), func_id=0)
    assert words_of(graph, capsys) == [[word], [word, 1]]


def test_nan_becomes_nan(capsys):
    graph = Graph()
    graph.add_task([float("nan"), np.float32("nan")], 0)
    for word in words_of(graph, capsys)[0]:
        assert word >> 32 == 0 and np.isnan(np.uint32(word).view(np.float32))


@pytest.mark.parametrize("value", [
    True, False, None, "1", b"1", [1], (1,), {}, object(), 1j, np.bool_(True), np.complex64(1),
    np.array([1, 2]), np.array([[1.5, 2.5]]), np.datetime64("2020-01-01"), np.array(True),
    np.str_("1"),
], ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_named(value):
    graph = Graph()
    for call in (lambda: graph.add_task([0, 0, value], 0),
                 lambda: graph.add_task((0, 0, value), 0)):
        with pytest.raises(pto_runtime.InvalidType, match=r"args\[2\] must be an int or a float"):
            call()
    assert len(graph) == 0


@pytest.mark.parametrize("value", [
    2**64, -(2**63) - 1, 10**30, -(10**30), 1 << 100000, 1e39, -1e39, 3.4028235677973366e38,
    np.float64(1e300), Index(2**64),
], ids=lambda value: type(value).__name__)
def test_what_does_not_fit_is_named(value):
    with pytest.raises(pto_runtime.OutOfRange, match=r"args\[1\] is .*outside") as caught:
        Graph().add_task([0, value], 0)
    assert isinstance(caught.value, OverflowError)


@pytest.mark.parametrize("args", [
    [1, 2], (1, 2), range(1, 3), array.array("Q", [1, 2]), np.array([1, 2], np.uint16),
    collections.deque([1, 2]), type("List", (list,), {})([1, 2]), collections.UserList([1, 2]),
], ids=lambda value: type(value).__name__)
def test_any_sequence_will_do(args, capsys):
    graph = Graph()
    graph.add_task(args, 0)
    graph.set_args(0, args)
    assert words_of(graph, capsys) == [[1, 2]]


@pytest.mark.parametrize("args", [
    None, 5, "12", b"12", bytearray(b"12"), {1, 2}, {1: 2}, iter([1, 2]), np.array(5),
], ids=lambda value: type(value).__name__)
def test_what_is_no_sequence(args):
    with pytest.raises(pto_runtime.InvalidType, match="args must be a list or another sequence"):
        Graph().add_task(args, 0)


def test_argument_count_limit(capsys):
    graph = Graph()
    graph.add_task(list(range(128)), 0)
    graph.add_task(tuple(range(128)), 0)
    assert words_of(graph, capsys) == [list(range(128))] * 2
    for args in ([0] * 129, (0,) * 129, range(129)):
        with pytest.raises(pto_runtime.LimitExceeded, match="129.*128"):
            graph.add_task(args, 0)
    assert len(graph) == 2


def test_list_that_changes_while_it_is_read(capsys):
    args = []

    class Shrink:
        def __index__(self):
            args.clear()
            return 9

    class Grow:
        def __index__(self):
            args.extend([0] * 1000)
            return 9

    graph = Graph()
    args[:] = [1, Shrink(), 3]
    graph.add_task(args, 0)
    assert words_of(graph, capsys) == [[1, 9]]
    args[:] = [1, Grow(), 3]
    with pytest.raises(pto_runtime.LimitExceeded):
        graph.add_task(args, 0)


def test_exceptions_of_conversions_pass(capsys):
    class Bad:
        def __index__(self):
            raise ZeroDivisionError("mine")

    for call in (lambda: Graph().add_task([Bad()], 0), lambda: Graph().add_task([], Bad())):
        with pytest.raises(ZeroDivisionError, match="mine"):
            call()


def test_signatures():
    graph = Graph()
    assert graph.add_task(func_id=1, args=[]) == 0
    assert graph.add_task([], func_id=1) == 1
    name = "".join(["func", "_id"])  # not the interned string of this file
    assert graph.add_task([], **{name: 1}) == 2
    graph.add_successor(to_task=1, from_task=0)
    graph.set_args(args=[1], task=0)
    for call, message in [
        (lambda: graph.add_task(), "missing required argument 'args'"),
        (lambda: graph.add_task([]), "missing required argument 'func_id'"),
        (lambda: graph.add_task(func_id=1), "missing required argument 'args'"),
        (lambda: graph.add_task([], 1, 2), "at most 2 positional"),
        (lambda: graph.add_task([], 1, func_id=1), "multiple values for argument 'func_id'"),
        (lambda: graph.add_task([], 1, id=1), "unexpected keyword argument 'id'"),
        (lambda: graph.get_task_count(1), "takes no arguments"),
        (lambda: Graph(1), "takes no arguments"),
        (lambda: Graph(a=1), "takes no arguments"),
    ]:
        with pytest.raises(TypeError, match=message):
            call()


@pytest.mark.parametrize("func_id", [-1, 1024, 2**32, 2**64, -(10**30)])
def test_func_id_range(func_id):
    graph = Graph()
    for call in (lambda: graph.add_task([], func_id),
                 lambda: graph.add_tasks(np.zeros((1, 1), np.uint64), func_id)):
        with pytest.raises(pto_runtime.OutOfRange, match="func_id"):
            call()
    for wrong in (True, "0", None, 1.0):
        with pytest.raises(pto_runtime.InvalidType, match="func_id must be an int"):
            graph.add_task([], wrong)
    graph.add_task([], 1023)
    assert len(graph) == 1


def test_add_tasks(capsys):
    graph = Graph()
    assert graph.add_task([], 5) == 0
    assert graph.add_tasks(np.arange(6, dtype=np.uint64).reshape(2, 3), func_id=1) == 1
    assert graph.add_tasks(np.array([[-1]]), 1) == 3
    assert graph.add_tasks(table("Q", 1, 2, [7, 2**64 - 1]), 1) == 4
    assert graph.add_tasks(table("q", 1, 2, [-1, 1]), 1) == 5
    assert graph.add_tasks(np.zeros((2, 0), np.uint64), 1) == 6
    assert graph.get_task_count() == 8
    assert words_of(graph, capsys) == [[], [0, 1, 2], [3, 4, 5], [2**64 - 1], [7, 2**64 - 1],
                                       [2**64 - 1, 1], [], []]
    # Not aligned to 8 bytes: read correctly all the same.
    raw = np.zeros(17, np.uint8)
    unaligned = raw[1:].view(np.uint64).reshape(1, 2)
    unaligned[:] = [[3, 4]]
    graph.add_tasks(unaligned, 1)
    assert words_of(graph, capsys)[-1] == [3, 4]


@pytest.mark.parametrize("args, error, message", [
    ([[1, 2]], pto_runtime.InvalidType, "buffer protocol, not list"),
    (np.zeros(4, np.uint64), pto_runtime.InvalidArgument, "1 dimensions"),
    (np.zeros((2, 2, 2), np.uint64), pto_runtime.InvalidArgument, "3 dimensions"),
    (np.zeros((2, 2), np.uint32), pto_runtime.InvalidArgument, "format 'I'.*64-bit integers"),
    (np.zeros((2, 2)), pto_runtime.InvalidArgument, "format 'd'"),
    (np.zeros((2, 2), ">u8"), pto_runtime.InvalidArgument, "format '>Q'"),
    (np.zeros((2, 4), np.uint64)[:, ::2], pto_runtime.InvalidArgument, "ascontiguousarray"),
    (np.zeros((2, 2), np.uint64, order="F"), pto_runtime.InvalidArgument, "ascontiguousarray"),
    (np.zeros((1, 129), np.uint64), pto_runtime.LimitExceeded, "129"),
    (b"12345678", pto_runtime.InvalidArgument, "1 dimensions"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_add_tasks_refuses(args, error, message):
    graph = Graph()
    with pytest.raises(error, match=message):
        graph.add_tasks(args, 0)
    assert len(graph) == 0


@pytest.mark.parametrize("dtype", ["u4", "i4", "u8", "i8"])
def test_add_successors(dtype, capsys):
    graph = Graph()
    graph.add_tasks(np.zeros((4, 1), np.uint64), 0)
    graph.add_successors(np.array([[0, 1], [0, 2], [1, 3], [2, 3], [2, 3]], dtype))
    graph.add_successors(edges=np.zeros((0, 2), dtype))
    assert graph.get_edge_count() == 5
    capsys.readouterr()
    graph.print_graph()
    out = capsys.readouterr().out
    assert "4 edges (1 duplicate left out)" in out
    assert re_arrows(out) == ["1, 2", "3", "3", ""]


def re_arrows(text):
    return [line.split("-> [")[1].rstrip("]") for line in text.splitlines()[1:]]


@pytest.mark.parametrize("edges, error, message", [
    ([(0, 1)], pto_runtime.InvalidType, "buffer protocol, not list"),
    (np.zeros((2, 3), np.int64), pto_runtime.InvalidArgument, "3 columns"),
    (np.zeros(2, np.int64), pto_runtime.InvalidArgument, "1 dimensions"),
    (np.zeros((1, 2), np.int16), pto_runtime.InvalidArgument, "32 or 64-bit"),
    (np.zeros((1, 2), np.float64), pto_runtime.InvalidArgument, "32 or 64-bit"),
    (np.zeros((1, 2), bool), pto_runtime.InvalidArgument, "32 or 64-bit"),
    (np.array([[0, 1], [1, -1]], np.int64), pto_runtime.OutOfRange, "row 1, column 1"),
    (np.array([[0, 1], [-5, 1]], np.int32), pto_runtime.OutOfRange, "row 1, column 0"),
    (np.array([[0, 1], [1, 2], [0, 3]], np.int64), pto_runtime.OutOfRange, "2"),
    (np.array([[0, 1], [1, 1]], np.int64), pto_runtime.InvalidArgument, "after itself"),
    (np.array([[0, 2**64 - 1]], np.uint64), pto_runtime.OutOfRange, "18446744073709551615"),
    (np.zeros((2, 2), np.int64).T[::-1], pto_runtime.InvalidArgument, "ascontiguousarray"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_add_successors_refuses(edges, error, message):
    graph = Graph()
    graph.add_tasks(np.zeros((3, 0), np.uint64), 0)
    with pytest.raises(error, match=message):
        graph.add_successors(edges)
    assert graph.get_edge_count() == 0


@pytest.mark.parametrize("pair, error", [
    ((0, 0), pto_runtime.InvalidArgument), ((0, 2), pto_runtime.OutOfRange),
    ((2, 0), pto_runtime.OutOfRange), ((-1, 0), pto_runtime.OutOfRange),
    ((0, 2**64), pto_runtime.OutOfRange), ((0, True), pto_runtime.InvalidType),
    ((0, 1.0), pto_runtime.InvalidType), ((None, 1), pto_runtime.InvalidType),
])
def test_add_successor_refuses(pair, error):
    graph = Graph()
    graph.add_task([], 0)
    graph.add_task([], 0)
    with pytest.raises(error):
        graph.add_successor(*pair)
    graph.add_successor(np.int64(0), Index(1))
    graph.add_successor(0, 1)
    assert graph.get_edge_count() == 2


def test_set_args(capsys):
    graph = Graph()
    graph.add_task([1, 2], 0)
    assert graph.set_args(0, [1.0]) is None
    assert words_of(graph, capsys) == [[0x3F800000]]
    graph.set_args(0, range(20))
    assert words_of(graph, capsys) == [list(range(20))]
    with pytest.raises(pto_runtime.OutOfRange, match="task"):
        graph.set_args(1, [])
    with pytest.raises(pto_runtime.InvalidType, match=r"args\[0\]"):
        graph.set_args(0, [True])
    assert words_of(graph, capsys) == [list(range(20))]


@pytest.mark.parametrize("length", [2, 5, 100_000])
def test_cycle_names_its_tasks(length):
    graph = Graph()
    graph.add_tasks(np.zeros((length + 10, 0), np.uint64), 0)
    tasks = np.arange(length, dtype=np.int64) + 3
    graph.add_successors(np.stack([tasks[:-1], tasks[1:]], axis=1).copy())
    graph.add_successor(0, 3)
    graph.validate()
    graph.add_successor(3 + length - 1, 3)
    with pytest.raises(pto_runtime.GraphCycle) as caught:
        graph.validate()
    found = caught.value.tasks
    assert sorted(found) == list(range(3, 3 + length))
    edges = set(zip(range(3, 3 + length), list(range(4, 3 + length)) + [3]))
    assert all(pair in edges for pair in zip(found, found[1:] + found[:1]))
    assert str(found[0]) in str(caught.value) and caught.value.op == "validate"


def test_large_graphs():
    graph = Graph()
    count = 1_000_000
    assert graph.add_tasks(np.zeros((count, 4), np.uint64), 0) == 0
    edges = np.zeros((count - 1, 2), np.uint32)
    edges[:, 1] = np.arange(1, count)
    graph.add_successors(edges)
    graph.validate()
    assert (len(graph), graph.get_edge_count()) == (count, count - 1)


def test_print_goes_to_sys_stdout(monkeypatch, capfd):
    graph = Graph()
    graph.add_task([4096, 1.0], 7)
    graph.add_task([], 8)
    graph.add_successor(0, 1)
    text = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    graph.print_graph()
    assert text.getvalue() == ("Graph: 2 tasks, 1 edge\n"
                               "  task 0: func_id=7 args=[0x1000, 0x3f800000] -> [1]\n"
                               "  task 1: func_id=8 args=[] -> []\n")
    monkeypatch.setattr(sys, "stdout", None)
    graph.print_graph()
    monkeypatch.undo()
    assert capfd.readouterr() == ("", "")


def test_print_passes_exceptions_and_pins(monkeypatch):
    graph = Graph()
    graph.add_tasks(np.zeros((10000, 4), np.uint64), 0)
    pieces = []

    class Out:
        def write(self, text):
            pieces.append(text)
            with pytest.raises(pto_runtime.Busy):
                graph.add_task([], 0)
            assert len(graph) == 10000
            if len(pieces) == 3:
                raise ZeroDivisionError("full")

    monkeypatch.setattr(sys, "stdout", Out())
    with pytest.raises(ZeroDivisionError, match="full"):
        graph.print_graph()
    monkeypatch.undo()
    assert len(pieces) == 3
    assert graph.add_task([], 0) == 10000


def test_as_an_object():
    graph = Graph()
    graph.add_task([], 0)
    assert repr(graph) == "<pto_runtime.Graph: 1 task, 0 edges>" and len(graph) == 1
    reference = weakref.ref(graph)
    for action in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            action(graph)
    del graph
    assert reference() is None


def test_subclass():
    class Named(Graph):
        def __init__(self, name, *, cell=None):
            super().__init__()
            self.name = name
            self.cell = cell

    graph = Named("x", cell=[])
    graph.cell.append(graph)  # a cycle that only the collector can free
    assert graph.add_task([], 0) == 0 and isinstance(graph, Graph) and graph.name == "x"
    reference = weakref.ref(graph)
    del graph
    gc.collect()
    assert reference() is None
