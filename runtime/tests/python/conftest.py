# SPDX-License-Identifier: Apache-2.0
"""Finds the built package and the device programs, and gives the tests open runners.

PTO_PYTHON_DIR is the folder that holds the package pto_runtime; without it the package is the one
that can be imported, else the one in runtime/build/python. PTO_TEST_KERNELS is the kernel.o of
tests/kernels; without it, the one in the package's build folder.
"""

import faulthandler
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import pytest

# Hypothesis keeps notes in the working folder unless told otherwise.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY",
                      os.path.join(tempfile.gettempdir(), "pto_runtime_hypothesis"))

TESTS = pathlib.Path(__file__).resolve().parent
RUNTIME = TESTS.parent.parent

if os.environ.get("PTO_PYTHON_DIR"):
    sys.path.insert(0, os.environ["PTO_PYTHON_DIR"])
try:
    import pto_runtime
except ModuleNotFoundError as error:
    if error.name != "pto_runtime":
        raise
    sys.path.insert(0, str(RUNTIME / "build" / "python"))
    import pto_runtime

# Far more than any test takes: a test that hangs says where, and does not hang its caller.
HANG_SECONDS = 300

AICPU = "aicpu/libaicpu_graph_kernel.so"
AICORE = "aicore/kernel.o"
PACKAGE_PARENT = pathlib.Path(pto_runtime.__file__).resolve().parent.parent

ADD, ADD_SCALAR, MUL = 0, 1, 2
TRACE, SLEEP_NS, FAIL, CRASH, HANG, SPIN, NOP = 10, 11, 12, 13, 14, 15, 16


def find_test_kernels():
    given = os.environ.get("PTO_TEST_KERNELS")
    if given:
        return given
    built = pathlib.Path(pto_runtime.DEVICE_PROGRAM_DIR) / "tests" / "kernels" / "kernel.o"
    return str(built) if built.exists() else None


@pytest.fixture(autouse=True)
def no_hang():
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """Whoever runs the tests on a machine with an NPU means the simulator here."""
    monkeypatch.setenv("PTO_BACKEND", "sim")
    monkeypatch.delenv("PTO_TIMEOUT_MS", raising=False)


def open_runner(num_cores=3, kernels=AICORE, **options):
    runner = pto_runtime.DeviceRunner()
    assert runner.init(0, num_cores, AICPU, kernels, **options) == 0
    return runner


@pytest.fixture
def runner():
    runner = open_runner()
    yield runner
    runner.finalize()


@pytest.fixture
def kernel_file():
    path = find_test_kernels()
    if path is None:
        pytest.skip("no test kernels: set PTO_TEST_KERNELS to <build>/tests/kernels/kernel.o")
    return path


@pytest.fixture
def kernel_runner(kernel_file):
    """A runner with the kernels of tests/kernels."""
    runner = open_runner(kernels=kernel_file)
    yield runner
    runner.finalize()


def words_of(graph, capsys):
    """The arguments of every task, as the 64-bit words that print_graph shows."""
    capsys.readouterr()
    graph.print_graph()
    rows = re.findall(r"args=\[(.*?)\]", capsys.readouterr().out)
    return [[int(word, 16) for word in row.split(", ") if word] for row in rows]


# A shell starts background jobs with SIGINT ignored, and the tests with it; then Python installs no
# handler of its own either.
HEED_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


def run_python(code, *arguments, timeout=120, **options):
    """Runs code in a Python of its own, which finds the same package and heeds Ctrl-C."""
    environment = dict(os.environ, **options.pop("env", {}))
    paths = [str(PACKAGE_PARENT), str(TESTS), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return subprocess.run(
        [sys.executable, "-c", HEED_CTRL_C + code, *map(str, arguments)],
        env=environment, timeout=timeout,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, **options)
