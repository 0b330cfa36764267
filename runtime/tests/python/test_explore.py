# SPDX-License-Identifier: Apache-2.0
"""The explorer from Python: init's arguments, what it finds, and the command."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import pto_runtime

PROGRAMS = ("aicpu/libaicpu_graph_kernel.so", "aicore/kernel.o")
ADD_SCALAR = 1


@pytest.fixture
def runner():
    made = pto_runtime.DeviceRunner()
    yield made
    made.finalize()


def block(runner, values):
    values = np.asarray(values, np.float32)
    pointer = runner.allocate_tensor(values.nbytes)
    runner.copy_to_device(pointer, values)
    return pointer


def two_writers(runner, has_edge):
    """Two tasks that write the same block."""
    a = block(runner, np.zeros(16))
    b = block(runner, np.zeros(16))
    graph = pto_runtime.Graph()
    first = graph.add_task([a, 1.0, b, 16], ADD_SCALAR)
    second = graph.add_task([a, 2.0, b, 16], ADD_SCALAR)
    if has_edge:
        graph.add_successor(first, second)
    return graph, b


@pytest.mark.parametrize("profile", ["a2a3", "a5", "paranoid", None])
def test_ordered_writers(runner, profile):
    runner.init(0, 3, *PROGRAMS, backend="explore", seed=7, schedules=200, profile=profile)
    assert runner.backend == "explore"
    graph, b = two_writers(runner, has_edge=True)
    for threads in (1, 2, 3):
        assert runner.run(graph, threads) == 0
    out = np.empty(16, np.float32)
    runner.copy_from_device(out, b)
    assert (out == 2).all()


def test_race_is_found_and_replays(runner):
    messages = []
    for _ in range(2):
        runner.init(0, 3, *PROGRAMS, backend="explore", seed=7, schedules=1000)
        graph, _ = two_writers(runner, has_edge=False)
        with pytest.raises(pto_runtime.OrderFault, match=r"graph.add_successor") as caught:
            runner.run(graph)
        messages.append(str(caught.value))
        runner.finalize()
    assert messages[0] == messages[1]
    seed = int(messages[0].split("with seed ")[1].split(",")[0])
    runner.init(0, 3, *PROGRAMS, backend="explore", seed=seed)
    graph, _ = two_writers(runner, has_edge=False)
    with pytest.raises(pto_runtime.OrderFault) as caught:
        runner.run(graph)
    assert str(caught.value) == messages[0]


@pytest.mark.parametrize("argument, value, error", [
    ("profile", "a9", pto_runtime.InvalidArgument), ("profile", 3, pto_runtime.InvalidType),
    ("seed", -1, pto_runtime.OutOfRange), ("seed", "7", pto_runtime.InvalidType),
    ("schedules", 1.5, pto_runtime.InvalidType),
])
def test_bad_arguments(runner, argument, value, error):
    with pytest.raises(error, match=argument if error is not pto_runtime.InvalidArgument else "a9"):
        runner.init(0, 1, *PROGRAMS, backend="explore", **{argument: value})


SCRIPT = """
import numpy as np, pto_runtime
runner = pto_runtime.DeviceRunner()
runner.init(0, 3, "aicpu/libaicpu_graph_kernel.so", "aicore/kernel.o")
print(runner.backend)
block = runner.allocate_tensor(64)
runner.copy_to_device(block, np.zeros(16, np.float32))
graph = pto_runtime.Graph()
tasks = [graph.add_task([block, 1.0, block, 16], 1) for _ in range(2)]
if EDGE:
    graph.add_successor(*tasks)
runner.run(graph)
runner.finalize()
"""


GRAPHS = """
import numpy as np, pto_runtime

def two(runner, edge):
    block = runner.allocate_tensor(64)
    runner.copy_to_device(block, np.zeros(16, np.float32))
    graph = pto_runtime.Graph()
    tasks = [graph.add_task([block, 1.0, block, 16], 1) for _ in range(2)]
    if edge:
        graph.add_successor(*tasks)
    return graph

def good(runner):
    return two(runner, True)

def bad(runner):
    return two(runner, False)

def wrong():
    return 3
"""


def environment():
    package = os.path.dirname(os.path.dirname(pto_runtime.__file__))
    return dict(os.environ, PYTHONPATH=package)


def explore(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "pto_runtime", "explore", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=60,
        env=environment(), cwd=cwd)


@pytest.mark.parametrize("edge", [True, False])
def test_command(tmp_path, edge):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("EDGE", str(edge)))
    timeline = tmp_path / "timeline.json"
    saved = tmp_path / "small.replay"
    result = explore("--seeds", 1000, "--timeline", timeline, "--save", saved, script)
    assert result.stdout.splitlines()[0] == "explore"
    if edge:
        assert result.returncode == 0, result.stderr
        assert "nothing found; 1000 schedules of 1 run" in result.stdout
        assert not timeline.exists() and not saved.exists()
        return
    assert result.returncode == 1
    assert "racecheck: task 0 (kernel" in result.stderr
    assert "schedules/s" in result.stderr
    events = json.loads(timeline.read_text())
    rows = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert rows == {"scheduler 0", "core 0", "core 1"}  # made small
    assert events[-1]["name"] == "finding"
    assert events[-1]["args"]["text"] in result.stderr
    assert {"task 0", "task 1"} <= {event["name"] for event in events}
    again = explore("--replay", saved, script)
    assert again.returncode == 1
    assert events[-1]["args"]["text"] in again.stderr
    # Mended since: the replay finds nothing, and the script goes on.
    script.write_text(SCRIPT.replace("EDGE", "True"))
    mended = explore("--replay", saved, script)
    assert mended.returncode == 0, mended.stderr
    assert "the replay shows no fault" in mended.stdout


@pytest.mark.parametrize("jobs", [1, 2])
def test_graph_function(tmp_path, jobs):
    (tmp_path / "graphs.py").write_text(GRAPHS)
    options = ("--seeds", 2000, "--jobs", jobs)
    good = explore(*options, tmp_path / "graphs.py:good")
    assert (good.returncode, good.stderr) == (0, "")
    assert "nothing found; 2000 schedules of 1 run" in good.stdout
    bad = explore(*options, "graphs:bad", cwd=tmp_path)
    assert bad.returncode == 1
    assert "graph.add_successor(" in bad.stderr
    assert "Made small" in bad.stderr


def test_options_and_arguments(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint(sys.argv[1:])\n")
    mixed = explore(script, "--seeds", 10, "one", "--profile", "a5", "--", "--seeds", "-x")
    assert mixed.stdout.splitlines()[0] == "['one', '--seeds', '-x']"
    unknown = explore(script, "--sedes", 10)
    assert unknown.returncode == 2
    assert "unknown option --sedes; those of the script go after --" in unknown.stderr
    (tmp_path / "graphs.py").write_text(GRAPHS)
    result = explore(tmp_path / "graphs.py:good", "--seeds", 100, "--jobs", 2)
    assert (result.returncode, result.stderr) == (0, "")
    assert "100 schedules" in result.stdout
    assert "takes no arguments" in explore(tmp_path / "graphs.py:good", "one").stderr


@pytest.mark.parametrize("target, text", [("wrong", "returned int"), ("none", "no function none")])
def test_no_graph(tmp_path, target, text):
    (tmp_path / "graphs.py").write_text(GRAPHS)
    misused = explore("--jobs", 1, tmp_path / f"graphs.py:{target}")
    assert misused.returncode == 2
    assert text in misused.stderr


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupt(tmp_path, jobs):
    (tmp_path / "graphs.py").write_text(GRAPHS)
    try:
        master, terminal = os.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminals here: {error}")
    process = subprocess.Popen(
        [sys.executable, "-m", "pto_runtime", "explore", "--seeds", str(10**12), "--jobs",
         str(jobs), str(tmp_path / "graphs.py:good")],
        stdout=subprocess.PIPE, stderr=terminal, env=environment(), start_new_session=True,
        # A shell starts background jobs with it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    os.close(terminal)
    shown = b""
    try:
        while b" schedules, " not in shown:  # the bar: it runs
            shown += os.read(master, 4096)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # its workers too
        raise
    while b"nothing found" not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    assert process.returncode == 130
    assert out == b""
    assert b"interrupted after" in shown
