# SPDX-License-Identifier: Apache-2.0
"""python -m pto_runtime explore SCRIPT_OR_GRAPH: run graphs on the explorer."""

import argparse
import importlib
import inspect
import logging
import os
import runpy
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Callable, List, NamedTuple, NoReturn, Optional

from ._core import DeviceRunner, Graph
from ._errors import DeviceTimeout, OrderFault, TaskFault

PROFILES = ("a2a3", "a5", "paranoid")
PROGRAMS = ("aicpu/libaicpu_graph_kernel.so", "aicore/kernel.o")
FAULTS = (OrderFault, TaskFault, DeviceTimeout)
NO_FAULT, FAULT, MISUSE, INTERRUPTED = 0, 1, 2, 130
BLOCK = struct.Struct("<4Q32x")  # struct pto_search_progress of runtime/explore/options.h
BAR_WIDTH = 24
JOBS_MAX = 256

EPILOG = """SCRIPT_OR_GRAPH is a Python file, which must not name a backend of its own, or
FILE.py:FUNCTION or MODULE:FUNCTION. FUNCTION(runner) is given an initialised runner and returns
the graph to run. Options stand before it or after; a script's own options go after --.
Exit status: 0 nothing was found, 1 a fault, 130 interrupted."""


class Progress(NamedTuple):
    """What all parts of a search have done."""

    launches: int
    asked: int
    done: int
    seed: Optional[int]  # of a fault


def part_path(folder: str, part: int, kind: str) -> str:
    """The file in which a part of a search leaves something of this kind."""
    return os.path.join(folder, f"part{part}.{kind}")


class Search:
    """The files through which the parts of a search are watched, and where they leave faults."""

    def __init__(self, parts: int) -> None:
        self.folder = tempfile.mkdtemp(prefix="pto_explore_")
        self.parts = parts
        self.home = os.getcwd()  # the script may go elsewhere
        self.begin = time.monotonic()
        self.workers: List["subprocess.Popen[bytes]"] = []
        self.over = threading.Event()
        with open(self.path("progress"), "wb") as file:
            file.write(bytes(BLOCK.size * parts))

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def part_path(self, part: int, kind: str) -> str:
        return part_path(self.folder, part, kind)

    def progress(self) -> Progress:
        with open(self.path("progress"), "rb") as file:
            parts = list(BLOCK.iter_unpack(file.read()))
        seeds = [found - 1 for *_, found in parts if found]
        return Progress(
            max(part[0] for part in parts),
            sum(part[1] for part in parts),
            sum(part[2] for part in parts),
            min(seeds) if seeds else None,
        )

    def speed(self) -> str:
        seconds = time.monotonic() - self.begin
        done = self.progress().done
        return f"{seconds:.1f} s, {done / max(seconds, 1e-9):,.0f} schedules/s"

    def watch(self) -> None:
        """In a thread, while stderr is a terminal: draw the bar."""
        while not self.over.wait(0.1):
            self._draw()
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _draw(self) -> None:
        progress = self.progress()
        if progress.asked == 0:
            return
        share = min(progress.done / progress.asked, 1.0)
        seconds = max(time.monotonic() - self.begin, 1e-9)
        rate = progress.done / seconds
        left = (progress.asked - progress.done) / rate if rate > 0 else 0.0
        full = int(share * BAR_WIDTH)
        state = "making the fault small" if progress.seed is not None else f"{left:.0f} s left"
        print(
            f"\r[{'#' * full}{'.' * (BAR_WIDTH - full)}] {progress.done:,}/{progress.asked:,} "
            f"schedules, {rate:,.0f}/s, {state}\x1b[K",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        self.over.set()
        for worker in self.workers:
            if worker.poll() is None:
                worker.terminate()
            worker.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def misuse(text: str) -> NoReturn:
    print(f"explore: {text}", file=sys.stderr)
    raise SystemExit(MISUSE)


def load_graph_function(target: str) -> Callable[..., Any]:
    """The function that FILE.py:FUNCTION or MODULE:FUNCTION names."""
    place, _, name = target.rpartition(":")
    if place.endswith(".py"):
        sys.path[0] = os.path.dirname(os.path.abspath(place))
        found = runpy.run_path(place, run_name="__explore__").get(name)
    else:
        sys.path[0] = os.getcwd()
        found = getattr(importlib.import_module(place), name, None)
    if not callable(found):
        misuse(f"{place} has no function {name}")
    return found


def run_graph(options: argparse.Namespace) -> None:
    function = load_graph_function(options.target)
    runner = DeviceRunner()
    runner.init(0, options.cores, options.aicpu, options.aicore)
    try:
        graph = function(runner) if inspect.signature(function).parameters else function()
        if not isinstance(graph, Graph):
            misuse(f"{options.target} returned {type(graph).__name__}, not a graph")
        runner.run(graph, options.threads)
    finally:
        # Its tensors are for this one graph, so nobody has to free them.
        logging.getLogger("pto_runtime").setLevel(logging.ERROR)
        runner.finalize()


def run_script(options: argparse.Namespace) -> None:
    sys.path[0] = os.path.dirname(os.path.abspath(options.target))
    try:
        runpy.run_path(options.target, run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0):
            raise


def is_graph(target: str) -> bool:
    return ":" in target and not os.path.exists(target)


def run_part(options: argparse.Namespace, folder: str, part: int, parts: int) -> int:
    """Runs the target; a fault's text goes to a file of the part."""
    environment = {
        "PTO_BACKEND": "explore",
        "PTO_EXPLORE_SCHEDULES": str(options.seeds),
        "PTO_EXPLORE_SEED": str(options.seed),
        "PTO_EXPLORE_PROFILE": options.profile,
        "PTO_EXPLORE_SHRINK": str(options.shrink),
        "PTO_EXPLORE_PART": f"{part}/{parts}",
        "PTO_EXPLORE_PROGRESS": os.path.join(folder, "progress"),
        "PTO_EXPLORE_SAVE": part_path(folder, part, "small"),
    }
    if options.timeline:
        environment["PTO_EXPLORE_TIMELINE"] = part_path(folder, part, "timeline")
    if options.replay:
        environment["PTO_EXPLORE_REPLAY"] = os.path.abspath(options.replay)
    os.environ.update(environment)
    sys.argv = [options.target, *options.arguments]
    try:
        if is_graph(options.target):
            run_graph(options)
        else:
            run_script(options)
    except FAULTS as fault:
        with open(part_path(folder, part, "fault"), "w", encoding="utf-8") as file:
            file.write(str(fault))
        return FAULT
    return NO_FAULT


def start_workers(search: Search, arguments: List[str]) -> None:
    command = [sys.executable, "-m", "pto_runtime", "explore"]
    for part in range(1, search.parts):
        worker = ["--worker", f"{search.folder}:{part}:{search.parts}"]
        with open(search.part_path(part, "err"), "wb") as errors:
            search.workers.append(
                subprocess.Popen(
                    [*command, *worker, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,  # the terminal's Ctrl-C is for the first process
                )
            )


def work(options: argparse.Namespace) -> int:
    """A process that takes one part of a search, and ends with the one that started it."""
    parent = os.getppid()

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(INTERRUPTED)

    threading.Thread(target=watch_parent, daemon=True).start()
    folder, part, parts = options.worker.rsplit(":", 2)
    return run_part(options, folder, int(part), int(parts))


def report_fault(search: Search, options: argparse.Namespace, part: int) -> int:
    with open(search.part_path(part, "fault"), encoding="utf-8") as file:
        fault = file.read()
    print(fault, file=sys.stderr)
    small = search.part_path(part, "small")
    if os.path.exists(small):
        with open(small, encoding="utf-8") as file:
            text = file.readlines()[1][2:].strip()
        if text not in fault:
            print(f"explore: made small: {text}", file=sys.stderr)
    hints = ["--seeds 1 --seed with the seed above shows it again"]
    for path, kind in ((options.timeline, "timeline"), (options.save, "small")):
        if path and os.path.exists(search.part_path(part, kind)):
            shutil.copyfile(search.part_path(part, kind), os.path.join(search.home, path))
            hints.append(f"wrote {path}")
    if os.path.exists(small):
        hints.append(
            f"--replay {options.save} shows it made small"
            if options.save
            else "--save FILE keeps it made small, for --replay"
        )
    print(f"explore: a fault; {'; '.join(hints)}", file=sys.stderr)
    print(f"explore: {search.progress().done} schedules, {search.speed()}", file=sys.stderr)
    return FAULT


def report_end(search: Search, options: argparse.Namespace) -> int:
    progress = search.progress()
    runs = f"{progress.launches} run{'' if progress.launches == 1 else 's'}"
    if progress.launches == 0:
        print("explore: nothing was tried: the script ran no graph on a runner of the explorer")
    elif options.replay:
        print(f"explore: the replay shows no fault; {runs}, {search.speed()}")
    else:
        print(f"explore: nothing found; {progress.done} schedules of {runs}, {search.speed()}")
    return NO_FAULT


def report_interrupt(search: Search) -> int:
    progress = search.progress()
    found = "nothing found" if progress.seed is None else f"a fault with seed {progress.seed}"
    print(
        f"explore: interrupted after {progress.done} of {progress.asked} schedules, {found}; "
        f"{search.speed()}",
        file=sys.stderr,
    )
    return INTERRUPTED


def report_worker(search: Search, options: argparse.Namespace) -> int:
    """Another part ended first: by a fault, or because something is wrong with it."""
    for part in range(search.parts):
        if os.path.exists(search.part_path(part, "fault")):
            return report_fault(search, options, part)
    for part, worker in enumerate(search.workers, 1):
        if worker.poll() not in (None, NO_FAULT):
            with open(search.part_path(part, "err"), encoding="utf-8", errors="replace") as file:
                print(file.read().rstrip(), file=sys.stderr)
            print(f"explore: process {part} of the search ended badly", file=sys.stderr)
            break
    return FAULT


def explore(search: Search, options: argparse.Namespace, arguments: List[str]) -> int:
    watcher = threading.Thread(target=search.watch, daemon=True)
    if sys.stderr.isatty():
        watcher.start()
    try:
        start_workers(search, arguments)
        code = run_part(options, search.folder, 0, search.parts)
        # The others see in the progress file that a fault was found, and end by themselves.
        while code == NO_FAULT and any(worker.poll() is None for worker in search.workers):
            time.sleep(0.02)
    finally:
        search.over.set()
        if watcher.is_alive():
            watcher.join()
    if code == FAULT:
        return report_fault(search, options, 0)
    if any(worker.poll() != NO_FAULT for worker in search.workers):
        return report_worker(search, options)
    return report_end(search, options)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pto_runtime explore",
        description="Run a script's graphs, or one graph, on the explorer instead of a device. "
        "Each run of a graph tries many schedules, and the first that goes wrong ends it.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("--seeds", type=int, default=10000, help="schedules of each run (10000)")
    add("--seed", type=int, default=0, help="the first seed (0)")
    add("--profile", choices=PROFILES, default="a2a3", help="the hardware (a2a3)")
    add("--jobs", type=int, default=0, metavar="N",
        help="processes that share the seeds, each of which runs the target (1 for a script, one "
        "for each CPU for a graph)")
    add("--shrink", type=int, default=2000, metavar="N", help="runs to make a fault small (2000)")
    add("--save", metavar="FILE", help="write the fault, made small, here")
    add("--replay", metavar="FILE", help="show a fault that was saved again, and try nothing else")
    add("--timeline", metavar="FILE", help="write what led to a fault here, for ui.perfetto.dev")
    add("--cores", type=int, default=3, help="for a graph: cores of the device (3)")
    add("--threads", type=int, default=1, help="for a graph: scheduler threads (1)")
    add("--aicpu", default=PROGRAMS[0], metavar="FILE", help="for a graph: the scheduler program")
    add("--aicore", default=PROGRAMS[1], metavar="FILE", help="for a graph: the kernels")
    add("--worker", help=argparse.SUPPRESS)
    add("target", metavar="SCRIPT_OR_GRAPH")
    add("arguments", nargs="*", metavar="...", help="the script's own; its options after --")
    return parser


def cpu_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse(parser: argparse.ArgumentParser, arguments: List[str]) -> argparse.Namespace:
    """Options may stand before and after the target; what follows -- is the script's, as it is."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, unknown = parser.parse_known_intermixed_args(arguments[:end])
    if unknown:
        parser.error(f"unknown option {unknown[0]}; those of the script go after --")
    options.arguments += arguments[end + 1 :]
    return options


def main(arguments: List[str]) -> int:
    parser = make_parser()
    options = parse(parser, arguments)
    if options.seeds < 1 or options.seed < 0 or options.shrink < 0 or options.jobs < 0:
        parser.error("--seeds must be 1 or more; --seed, --shrink and --jobs 0 or more")
    if options.jobs > JOBS_MAX:
        parser.error(f"--jobs is {options.jobs}; at most {JOBS_MAX} processes share a search")
    if is_graph(options.target) and options.arguments:
        parser.error(f"{options.target} takes no arguments; {options.arguments[0]} is one")
    if not is_graph(options.target) and not os.path.isfile(options.target):
        parser.error(f"there is no file {options.target}")
    if options.replay and not os.path.isfile(options.replay):
        parser.error(f"there is no file {options.replay}")
    if options.worker:
        return work(options)
    jobs = options.jobs or (cpu_count() if is_graph(options.target) else 1)
    search = Search(1 if options.replay else min(jobs, options.seeds))
    try:
        return explore(search, options, arguments)
    except KeyboardInterrupt:
        return report_interrupt(search)
    finally:
        search.close()
