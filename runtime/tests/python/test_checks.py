# SPDX-License-Identifier: Apache-2.0
"""run(check=...): what is found, how it is told, and what is refused."""

import copy
import pickle
import shutil
import sys

import pytest

import pto_runtime
from conftest import ADD, ADD_SCALAR, FAIL, open_runner, run_python
from pto_runtime import CheckFailed, CheckFinding, Graph, TaskAccess

N = 100  # elements
BYTES = 4 * N

# The build has no kernels for checks where they cannot be made.
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="checks need Linux")


def tensors(runner, count):
    made = [runner.allocate_tensor(BYTES) for _ in range(count)]
    for pointer in made:
        runner.copy_to_device(pointer, bytes(BYTES))
    return made


def failure(runner, graph, check="all", **options):
    with pytest.raises(CheckFailed) as caught:
        runner.run(graph, check=check, **options)
    assert runner.state == "ready"
    assert (caught.value.code, caught.value.name) == (-22, "PTO_E_CHECK")
    return caught.value


def test_missing_edge(runner):
    a, b, c = tensors(runner, 3)
    graph = Graph()
    first = graph.add_task([a, 1.0, b, N], ADD_SCALAR)
    second = graph.add_task([b, a, c, N], ADD)
    error = failure(runner, graph, "race")
    assert len(error.findings) == 1 and error.more_findings == 0
    finding = error.findings[0]
    assert finding == CheckFinding(
        kind="racecheck", tensor=b, tensor_bytes=BYTES,
        access=TaskAccess(second, ADD, "add", 0, False, 0, BYTES),
        other=TaskAccess(first, ADD_SCALAR, "add_scalar", 2, True, 0, BYTES),
        shares_line=False, edge=(first, second), message=str(finding))
    assert f"graph.add_successor({first}, {second})" in str(error)
    assert str(error).endswith(finding.message) and finding.message.startswith("racecheck: task ")
    for copied in (copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert copied.findings == error.findings and str(copied) == str(error)
    # The edge it names is the one that was missing.
    graph.add_successor(*finding.edge)
    assert runner.run(graph, check="all") == 0


def test_several_findings(runner):
    a, b = tensors(runner, 2)
    garbage = runner.allocate_tensor(BYTES)
    graph = Graph()
    graph.add_task([garbage, a, b, N], ADD)
    graph.add_task([a, garbage, b, N], ADD)
    error = failure(runner, graph)
    assert sorted(f.kind for f in error.findings) == ["initcheck", "initcheck", "racecheck"]
    lines = str(error).splitlines()
    assert lines[0] == "run: the checks found 3 faults"
    assert [line.strip() for line in lines[1:]] == [str(f) for f in error.findings]
    for check, kinds in (("memory", []), ("init", ["initcheck"] * 2), ("race", ["racecheck"]),
                         ("", []), ("memory, race", ["racecheck"])):
        if kinds:
            assert [f.kind for f in failure(runner, graph, check).findings] == kinds
        else:
            assert runner.run(graph, check=check) == 0
    # What runs without checks have written is not known.
    assert {f.kind for f in failure(runner, graph).findings} == {"racecheck"}


def test_results_are_those_of_any_run(runner):
    a, b, c = tensors(runner, 3)
    graph = Graph()
    tasks = [graph.add_task([a, 1.0, a, N], ADD_SCALAR), graph.add_task([a, 2.0, b, N], ADD_SCALAR),
             graph.add_task([a, b, c, N], ADD)]
    graph.add_successor(tasks[0], tasks[1])
    graph.add_successor(tasks[1], tasks[2])
    for run in range(1, 5):
        assert runner.run(graph, 1 + run % 2, check="all" if run % 2 else "") == 0
        out = memoryview(bytearray(BYTES))
        runner.copy_from_device(out, c)
        assert set(out.cast("f")) == {2.0 * run + 2.0}
        assert sum(core.completed for core in runner.handshake_results()) == 3


def test_a_task_that_fails_says_so(kernel_runner):
    graph = Graph()
    graph.add_task([7], FAIL)
    with pytest.raises(pto_runtime.TaskFailed) as caught:
        kernel_runner.run(graph, check="all")
    assert caught.value.task_code == 7 and kernel_runner.state == "ready"


@pytest.mark.parametrize("check, kind", [
    ("memroy", pto_runtime.InvalidArgument), ("memory;race", pto_runtime.InvalidArgument),
    ("memory,", pto_runtime.InvalidArgument), (",", pto_runtime.InvalidArgument),
    ("ALL", pto_runtime.InvalidArgument), ("é" * 500, pto_runtime.InvalidArgument),
    ("memory\0race", pto_runtime.InvalidArgument),
    ("stale", pto_runtime.BackendUnavailable), ("memory,stale", pto_runtime.BackendUnavailable),
    (True, pto_runtime.InvalidType), (["memory"], pto_runtime.InvalidType),
    (b"memory", pto_runtime.InvalidType),
])
def test_refusals(runner, check, kind):
    graph = Graph()
    with pytest.raises(kind, match="check"):
        runner.run(graph, check=check)
    assert runner.state == "ready" and runner.run(graph, check=None) == 0
    with pytest.raises(TypeError):
        runner.run(graph, 1, "memory")  # by keyword only


def test_the_explorer_always_checks():
    explorer = open_runner(backend="explore")
    a, b = tensors(explorer, 2)
    graph = Graph()
    graph.add_task([a, 1.0, b, N], ADD_SCALAR)
    assert explorer.run(graph, check="memory,init,race,stale") == 0
    with pytest.raises(pto_runtime.InvalidArgument, match="'stall' is no check"):
        explorer.run(graph, check="stall")
    explorer.finalize()


def test_environment(monkeypatch):
    monkeypatch.setenv("PTO_CHECK", "race")
    runner = open_runner()
    monkeypatch.delenv("PTO_CHECK")
    a, b = tensors(runner, 2)
    graph = Graph()
    graph.add_task([a, 1.0, b, N], ADD_SCALAR)
    graph.add_task([a, 2.0, b, N], ADD_SCALAR)
    with pytest.raises(CheckFailed):
        runner.run(graph)
    assert runner.run(graph, check="") == 0
    runner.finalize()
    runner = open_runner()
    graph = Graph()
    assert runner.run(graph) == 0
    runner.finalize()


def test_missing_build(tmp_path):
    path = tmp_path / "kernel.o"
    shutil.copy(pto_runtime.DEVICE_PROGRAM_DIR + "/aicore/kernel.o", path)
    runner = open_runner(kernels=path)
    a, b = tensors(runner, 2)
    graph = Graph()
    graph.add_task([a, 1.0, b, N], ADD_SCALAR)
    with pytest.raises(pto_runtime.FileError, match=r"kernel_check\.o.*pto_add_kernels"):
        runner.run(graph, check="all")
    assert runner.run(graph) == 0
    # Made later, it is found by the next run.
    shutil.copy(pto_runtime.DEVICE_PROGRAM_DIR + "/aicore/kernel_check.o", tmp_path)
    assert runner.run(graph, check="all") == 0
    # Another file in its place is refused.
    other = open_runner(kernels=path)
    a, b = tensors(other, 2)
    graph.set_args(0, [a, 1.0, b, N])
    (tmp_path / "kernel_check.o").unlink()
    shutil.copy(pto_runtime.DEVICE_PROGRAM_DIR + "/aicore/kernel.o", tmp_path / "kernel_check.o")
    with pytest.raises(pto_runtime.InvalidProgram, match="pto_check_program"):
        other.run(graph, check="all")
    runner.finalize()
    other.finalize()


MANY_THREADS = """
import threading
import pto_runtime
from conftest import ADD_SCALAR, open_runner

def work(index):
    runner = open_runner()
    block = runner.allocate_tensor(4000)
    runner.copy_to_device(block, bytes(4000))
    graph = pto_runtime.Graph()
    tasks = [graph.add_task([block, 1.0, block, 1000], ADD_SCALAR) for _ in range(2)]
    for _ in range(20):
        try:
            runner.run(graph, check="all")
        except pto_runtime.CheckFailed as error:
            found[index] += len(error.findings)
    graph.add_successor(*tasks)
    runner.run(graph, check="all")
    runner.finalize()

found = [0] * 4
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(found)
"""


def test_runners_of_several_threads():
    done = run_python(MANY_THREADS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[20, 20, 20, 20]"
