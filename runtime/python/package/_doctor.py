# SPDX-License-Identifier: Apache-2.0
"""Check this machine: python -m pto_runtime doctor [--device N] [--json].

Runs a small graph on the simulator and, with ASCEND_HOME_PATH set, on an Ascend device; says for
each check whether it passed, what was seen, and what to do. Exit status 0: all passed.
"""

import argparse
import array
import json
import logging
import os
import platform
import sys
from typing import Callable, Dict, List, Optional

from . import DEVICE_PROGRAM_DIR, DeviceRunner, Error, Graph, __version__

PROGRAMS = ("aicpu/libaicpu_graph_kernel.so", "aicore/kernel.o")
VERSION_FILES = (
    "version.cfg",
    "version.info",
    "opp/version.info",
    "runtime/version.info",
    "../driver/version.info",
    "../../driver/version.info",
)


class Finding:
    """One check: its name, whether it passed (None: left out), what was seen, what to do."""

    def __init__(self, name: str, passed: Optional[bool], seen: str, advice: str = "") -> None:
        self.name = name
        self.passed = passed
        self.seen = seen
        self.advice = advice

    def word(self) -> str:
        """Return PASS, FAIL or SKIP."""
        return "SKIP" if self.passed is None else "PASS" if self.passed else "FAIL"

    def as_dict(self) -> Dict[str, str]:
        """Return what --json prints."""
        return {"check": self.name, "result": self.word(), "seen": self.seen,
                "advice": self.advice}


class _Messages(logging.Handler):
    """Keeps what the runtime says while a device is open."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: List[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.lines.append(record.getMessage())


def simulators_folder() -> str:
    """Return the folder of the simulator's programs: apart from an NPU's if those were built."""
    apart = os.path.join(DEVICE_PROGRAM_DIR, "sim")
    return apart if os.path.isfile(os.path.join(apart, *PROGRAMS[0].split("/"))) else (
        DEVICE_PROGRAM_DIR)


def run_42(runner: DeviceRunner) -> float:
    """Compute (a + b + 1) * (a + b + 2) for a = 2, b = 3 on an open device, and return it."""
    count = 1024
    size = 4 * count
    blocks = [runner.allocate_tensor(size) for _ in range(6)]
    runner.copy_to_device(blocks[0], array.array("f", [2.0] * count))
    runner.copy_to_device(blocks[1], array.array("f", [3.0] * count))
    graph = Graph()
    graph.add_task([blocks[0], blocks[1], blocks[2], count], 0)
    graph.add_task([blocks[2], 1.0, blocks[3], count], 1)
    graph.add_task([blocks[2], 2.0, blocks[4], count], 1)
    graph.add_task([blocks[3], blocks[4], blocks[5], count], 2)
    for edge in ((0, 1), (0, 2), (1, 3), (2, 3)):
        graph.add_successor(*edge)
    runner.run(graph)
    result = array.array("f", [0.0] * count)
    runner.copy_from_device(result, blocks[5])
    return max(result, key=lambda value: abs(value - 42.0))


def check_run(backend: str, folder: str, device: int, cores: int) -> List[Finding]:
    """Open a device, run the graph twice and close it: opening, running, closing."""
    programs = [os.path.join(folder, *program.split("/")) for program in PROGRAMS]
    messages = _Messages()
    logger = logging.getLogger("pto_runtime")
    level = logger.level
    logger.addHandler(messages)
    logger.setLevel(logging.INFO)
    runner = DeviceRunner()
    findings = []
    step = "open"
    try:
        runner.init(device, cores, programs[0], programs[1], backend=backend)
        findings.append(Finding(f"{backend}: open", True, "; ".join(messages.lines)))
        step = "run"
        values = [run_42(runner) for _ in range(2)]
        wrong = [value for value in values if value != 42.0]
        findings.append(Finding(
            f"{backend}: run", not wrong,
            f"the graph gave {wrong[0] if wrong else 42.0:g} on {cores} cores; 42 is right",
            "please report this" if wrong else ""))
        step = "close"
        runner.finalize()
        findings.append(Finding(f"{backend}: close", True, "the device was given back"))
    except Error as error:
        findings.append(Finding(f"{backend}: {step}", False,
                                f"{error.name}: {error}", error.hint or ""))
    finally:
        logger.removeHandler(messages)
        logger.setLevel(level)
        if runner.state != "closed":
            runner.finalize()
    return findings


def check_programs(backend: str, folder: str) -> List[Finding]:
    """Look for the two device programs."""
    findings = []
    for program in PROGRAMS:
        path = os.path.join(folder, *program.split("/"))
        there = os.path.isfile(path)
        findings.append(Finding(f"{backend}: {program}", there, path + ("" if there else
                                                                       " is missing"),
                                "" if there else "build PTO Runtime again"))
    return findings


def describe_toolkit(home: str) -> Finding:
    """Say which versions of toolkit and driver the files of the installation name."""
    if not os.path.isdir(home):
        return Finding("ascend: toolkit", False, f"ASCEND_HOME_PATH={home} is no folder",
                       "set it to the folder of the CANN toolkit")
    seen = []
    for name in VERSION_FILES:
        path = os.path.normpath(os.path.join(home, name))
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file if "ersion" in line]
        except OSError:
            continue
        seen.append(f"{path}: {', '.join(lines[:2]) or 'no version in it'}")
    return Finding("ascend: toolkit", True, "; ".join(seen) or f"{home}, which names no version")


def examine(device: int, cores: int, programs: str) -> List[Finding]:
    """Make every check that applies here."""
    folder = simulators_folder()
    findings = check_programs("sim", folder) + check_run("sim", folder, 0, cores)
    home = os.environ.get("ASCEND_HOME_PATH")
    if not home:
        findings.append(Finding("ascend", None, "ASCEND_HOME_PATH is not set",
                                "on a machine with an NPU, run the toolkit's set_env.sh first"))
        return findings
    findings.append(describe_toolkit(home))
    findings += check_programs("ascend", programs)
    findings += check_run("ascend", programs, device, cores)
    return findings


def main(arguments: List[str], write: Callable[[str], None] = print) -> int:
    """Run the checks and print what came of them."""
    parser = argparse.ArgumentParser(prog="python -m pto_runtime doctor",
                                     description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--device", type=int, default=0, help="the Ascend device to try")
    parser.add_argument("--cores", type=int, default=3, help="how many cores to use")
    parser.add_argument("--programs", default=DEVICE_PROGRAM_DIR, metavar="FOLDER",
                        help="where the device's aicpu/ and aicore/ are")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    findings = examine(options.device, options.cores, options.programs)
    good = all(finding.passed is not False for finding in findings)
    if options.json:
        write(json.dumps({
            "version": __version__,
            "python": platform.python_version(),
            "machine": platform.platform(),
            "passed": good,
            "checks": [finding.as_dict() for finding in findings],
        }, indent=2))
        return 0 if good else 1
    write(f"pto_runtime {__version__}, Python {platform.python_version()} at {sys.executable}")
    for finding in findings:
        write(f"{finding.word()}  {finding.name}: {finding.seen}")
        if finding.advice:
            write(f"      {finding.advice}")
    write("all is well" if good else "something failed; the lines that say FAIL tell what to do")
    return 0 if good else 1
