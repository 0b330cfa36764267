# SPDX-License-Identifier: Apache-2.0
"""The specified example and the module's command line, as a user starts them."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import pto_runtime
from conftest import PACKAGE_PARENT, RUNTIME

EXAMPLE = RUNTIME / "python" / "graphbuilder.py"
BUILD = pathlib.Path(pto_runtime.DEVICE_PROGRAM_DIR)
FIRST = "=== Graph Builder Example (Python) ==="
LAST = [
    "✓ SUCCESS: All 16384 elements are correct (42.0)",
    "Formula verified: (a + b + 1)(a + b + 2) = (2+3+1)*(2+3+2) = 42",
    "=== Success ===",
]


def start(arguments, cwd, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment.update({"PYTHONIOENCODING": "utf-8"}, **variables)
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=str(cwd), env=environment,
                          timeout=120, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def lines_of(done):
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8").splitlines()


@pytest.fixture
def build_tree(tmp_path):
    """A build folder, and beside it the example: what the build makes, whatever was tested."""
    build = tmp_path / "runtime" / "build"
    shutil.copytree(PACKAGE_PARENT / "pto_runtime", build / "python" / "pto_runtime")
    (build / "python" / "pto_runtime" / "_build.py").write_text('DEVICE_PROGRAM_DIR = "../.."\n')
    for name in ("aicpu", "aicore"):
        (build / name).mkdir()
    for name in ("aicpu/libaicpu_graph_kernel.so", "aicore/kernel.o", "aicore/kernel_check.o"):
        shutil.copy(BUILD / name, build / name)
    (tmp_path / "runtime" / "python").mkdir()
    shutil.copy(EXAMPLE, tmp_path / "runtime" / "python" / "graphbuilder.py")
    return build


@pytest.mark.parametrize("folder, script", [
    (".", "../python/graphbuilder.py"),
    ("python", "../../python/graphbuilder.py"),
    ("..", "python/graphbuilder.py"),
    ("../..", "runtime/python/graphbuilder.py"),
])
def test_example_finds_the_build(build_tree, folder, script):
    lines = lines_of(start([script, "9"], build_tree / folder))
    assert lines[0] == FIRST and lines[-3:] == LAST


def test_example_has_nothing_to_find(build_tree):
    script = "../../python/graphbuilder.py"
    for checks in ("memory,init,race", "all"):
        lines = lines_of(start([script, "9"], build_tree / "python", PTO_CHECK=checks))
        assert lines[0] == FIRST and lines[-3:] == LAST
    done = start([script, "9"], build_tree / "python", PTO_CHECK="memory,rice")
    assert done.returncode == 1
    assert "PTO_CHECK is 'memory,rice', and 'rice' is no check" in done.stderr.decode()
    assert any("Device 9" in line and "sim" in line for line in lines)
    assert any(line.startswith("Graph: 4 tasks, 4 edges") for line in lines)
    assert "3 cores completed 4 tasks" in lines


def test_example_with_pythonpath(tmp_path):
    lines = lines_of(start([EXAMPLE], tmp_path, PYTHONPATH=str(PACKAGE_PARENT)))
    assert lines[-3:] == LAST and "Device 9: backend sim, 3 cores" in lines


@pytest.mark.parametrize("device_id, code", [("0", 0), ("15", 0), ("16", 1), ("-1", 1), ("x", 2)])
def test_example_device_id(tmp_path, device_id, code):
    done = start([EXAMPLE, device_id], tmp_path, PYTHONPATH=str(PACKAGE_PARENT))
    assert done.returncode == code
    assert (b"device_id" in done.stderr) == (code != 0)


def test_example_on_a_terminal_without_unicode(tmp_path):
    done = start([EXAMPLE], tmp_path, PYTHONPATH=str(PACKAGE_PARENT), PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.decode("ascii").splitlines()[-1] == "=== Success ==="


def test_example_without_a_build(tmp_path):
    shutil.copy(EXAMPLE, tmp_path / "graphbuilder.py")
    done = start(["-S", tmp_path / "graphbuilder.py"], tmp_path)
    assert done.returncode == 1
    assert b"cmake .. -DBUILD_PYTHON_BINDINGS=ON" in done.stderr


def test_example_without_numpy(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError('no numpy', name='numpy')\n")
    paths = os.pathsep.join([str(tmp_path), str(PACKAGE_PARENT)])
    done = start([EXAMPLE], tmp_path, PYTHONPATH=paths)
    assert done.returncode == 1
    assert b"-m pip install numpy" in done.stderr and b"python3-numpy" in done.stderr


def test_example_tells_a_wrong_result(tmp_path):
    code = ("import runpy, sys, numpy\n"
            f"example = runpy.run_path({str(EXAMPLE)!r})\n"
            "values = numpy.full((128, 128), 42.0)\n"
            "values[3, 4] = 41\n"
            "sys.exit(0 if example['check'](values) else 1)\n")
    done = start(["-c", code], tmp_path, PYTHONPATH=str(PACKAGE_PARENT))
    assert done.returncode == 1
    assert "1 of 16384" in done.stdout.decode() and "[3, 4] is 41.0" in done.stdout.decode()


def test_command_line(tmp_path):
    done = start(["-m", "pto_runtime", "--version"], tmp_path, PYTHONPATH=str(PACKAGE_PARENT))
    assert lines_of(done) == [f"pto_runtime {pto_runtime.__version__}"]
    lines = lines_of(start(["-m", "pto_runtime"], tmp_path, PYTHONPATH=str(PACKAGE_PARENT)))
    assert lines[0] == f"pto_runtime {pto_runtime.__version__}"
    assert any("kernel.o" in line and "missing" not in line for line in lines)
    assert any(line.split() == ["backend:", "sim", "(default),", "works"] for line in lines)
    done = start(["-m", "pto_runtime"], tmp_path, PYTHONPATH=str(PACKAGE_PARENT),
                 PTO_BACKEND="gpu")
    assert done.returncode == 1 and b"gpu (default here), not usable" in done.stdout
