#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that a task costs no more instructions than recorded.

    perf_guard.py --bench PTO_BENCH [--record] [--parts] [--pattern NAME...]

Counts, by callgrind and with one lane, the instructions that pto_bench takes for each pattern of
bench/patterns.h, and from the differences between runs of different sizes those for one task:

    run     from R1 to R2 runs of the same graph: scheduler, worker, empty kernel
    build   from N1 to N2 tasks, less their runs: making the DAG, building and compiling the graph,
            checking and uploading it

The counts of one binary are the same each time, but another compiler makes another binary: with a
compiler other than the recorded one, or without valgrind, the exit status is 77 (skipped).
--record writes what was measured to bench/instructions.json. Exit status 1 when a count differs
from the recorded one by more than the margin, upwards; a count that fell by more is only reported,
so that somebody records it. --parts prints instead which side of the protocol a run's instructions
are spent on.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RECORD = Path(__file__).resolve().parents[2] / "bench" / "instructions.json"
PATTERNS = ["chain", "indep", "fork_join", "stencil", "tree", "random", "cholesky"]
CORES = [3, 72]
TASKS = (2048, 8192)
RUNS = (1, 5)
MARGIN = 0.05
# The program that an instruction is of, by the name of its file.
PARTS = {"libaicpu_graph_kernel.so": "scheduler", "kernel.o": "core"}
SKIPPED = 77
TIMEOUT_S = 120


def count(bench, valgrind, pattern, cores, tasks, runs, profile="/dev/null"):
    """Instructions of one process, and the number of tasks, which cholesky chooses itself."""
    command = [valgrind, "--tool=callgrind", f"--callgrind-out-file={profile}",
               bench, "--pattern", pattern, "--cores", str(cores), "--lanes", "1",
               "--tasks", str(tasks), "--reps", str(runs), "--no-state", "--no-verify",
               "--json", "-"]
    # The bytes of the environment lie on the stack and are looked through for variables.
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S,
                            env=environment, check=False)
    match = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or match is None:
        raise RuntimeError(f"{' '.join(command)} ended with {result.returncode}:\n{result.stderr}")
    return int(match.group(1)), json.loads(result.stdout)["rows"][0]["tasks"]


def per_task(bench, valgrind, pattern, cores):
    few, many = TASKS
    once, often = RUNS
    small, small_tasks = count(bench, valgrind, pattern, cores, few, once)
    large, large_tasks = count(bench, valgrind, pattern, cores, many, once)
    repeated, _ = count(bench, valgrind, pattern, cores, many, often)
    run = (repeated - large) / ((often - once) * large_tasks)
    # The first process has one run that is not timed, and `once` that are.
    build = (large - small) / (large_tasks - small_tasks) - (1 + once) * run
    return {"run": round(run, 1), "build": round(build, 1)}


def count_parts(profile):
    """Instructions by part, from callgrind's file: costs stand below the object they are of."""
    counts = Counter()
    names = {}
    part, of_callee = "", False
    for line in Path(profile).read_text().splitlines():
        match = re.match(r"ob=\((\d+)\)(?: (.*))?$", line)
        if match:
            names.setdefault(match[1], match[2])
            part = PARTS.get(Path(names[match[1]]).name, "lane")
        elif re.match(r"[\d+*-]\S* \d+$", line):
            counts[part] += 0 if of_callee else int(line.split()[1])
            of_callee = False
        else:
            match = re.match(r"cob=\((\d+)\) (.*)$", line)
            if match:
                names.setdefault(match[1], match[2])
            of_callee = line.startswith("calls=")
    return counts


def print_parts(bench, valgrind, patterns):
    print(f"{'instructions for each task of a run':36}{'scheduler':>10}{'core':>10}{'lane':>10}")
    for pattern in patterns:
        for cores in CORES:
            with tempfile.TemporaryDirectory() as folder:
                profiles = [f"{folder}/{runs}" for runs in RUNS]
                for runs, profile in zip(RUNS, profiles):
                    _, tasks = count(bench, valgrind, pattern, cores, TASKS[1], runs, profile)
                once, often = (count_parts(profile) for profile in profiles)
            runs = RUNS[1] - RUNS[0]
            shown = ((often[part] - once[part]) / (runs * tasks)
                     for part in ("scheduler", "core", "lane"))
            print(f"{f'{pattern}, {cores} cores':36}"
                  + "".join(f"{value:10.1f}" for value in shown))


def measure(bench, valgrind, patterns):
    cases = [(pattern, cores) for pattern in patterns for cores in CORES]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = pool.map(lambda case: per_task(bench, valgrind, *case), cases)
    return {f"{pattern}, {cores} cores": counts
            for (pattern, cores), counts in zip(cases, results)}


def compare(measured, recorded):
    """Prints both beside each other; returns how many measured counts are too high."""
    too_high = 0
    print(f"{'instructions for each task':28}{'':6}{'recorded':>10}{'measured':>10}")
    for name, counts in measured.items():
        for part, value in counts.items():
            before = recorded.get(name, {}).get(part)
            note = ""
            if before is None:
                note = "  not recorded"
                too_high += 1
            elif value > before * (1 + MARGIN):
                note = f"  TOO HIGH: more than {MARGIN:.0%} above"
                too_high += 1
            elif value < before * (1 - MARGIN):
                note = "  lower; record it"
            shown = "-" if before is None else f"{before:.1f}"
            print(f"{name:28}{part:6}{shown:>10}{value:>10.1f}{note}")
    return too_high


def main():
    parser = argparse.ArgumentParser(description="instructions for each task")
    parser.add_argument("--bench", required=True, help="the program pto_bench")
    parser.add_argument("--valgrind", default="valgrind")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name}")
    parser.add_argument("--parts", action="store_true", help="scheduler, core and simulator apart")
    parser.add_argument("--pattern", nargs="+", choices=PATTERNS, default=PATTERNS)
    options = parser.parse_args()

    if shutil.which(options.valgrind) is None:
        print("skipped: there is no valgrind; Debian, Ubuntu: sudo apt-get install valgrind")
        return SKIPPED
    if options.parts:
        print_parts(options.bench, options.valgrind, options.pattern)
        return 0
    compiler = subprocess.run([options.bench, "--describe"], capture_output=True, text=True,
                              timeout=TIMEOUT_S, check=True).stdout.strip()
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if not options.record and compiler != recorded.get("compiler"):
        print(f"skipped: compiled by '{compiler}', the counts are of '{recorded.get('compiler')}'")
        return SKIPPED

    measured = measure(options.bench, options.valgrind, options.pattern)
    if options.record:
        kept = recorded.get("counts", {}) if recorded.get("compiler") == compiler else {}
        RECORD.write_text(json.dumps({"compiler": compiler, "counts": {**kept, **measured}},
                                     indent=2) + "\n")
        print(f"recorded {len(measured)} cases in {RECORD}")
        return 0
    too_high = compare(measured, recorded["counts"])
    if too_high:
        print(f"{too_high} counts are too high. If that is meant, record them: the same command "
              "with --record")
    return 1 if too_high else 0


if __name__ == "__main__":
    sys.exit(main())
