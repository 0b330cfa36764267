#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every benchmark of this folder and writes results.md and results.csv for `make bench`.

    run.py --build DIR [--rounds N] [--quick] [--out DIR] [--only NAME...]

DIR is a Release build with PTO_BUILD_BENCH and BUILD_PYTHON_BINDINGS. Each round runs every
experiment once, each in a process of its own, in an order shuffled anew, so that no program has the
quiet moments of the machine to itself.

Two processors of a virtual machine may be near to each other or far apart, and this changes while
programs run. Each process says which it was, by the round trip of a cache line before and after
each of its measurements; samples of different states are never mixed, nor compared with each other.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import results

TIMEOUT_S = 1800
PEERS = ["tbb", "taskflow", "openmp"]
FILES = {"pto": "pto_bench", "serial": "floor_serial", "steal": "floor_steal", "tbb": "peer_tbb",
         "taskflow": "peer_taskflow", "openmp": "peer_openmp",
         "pto cholesky": "cholesky_pto", "tbb cholesky": "cholesky_tbb"}


class Experiment:
    """One command whose JSON is kept under `kind`, `program` and `cores`."""

    def __init__(self, kind, program, arguments, cores=None, rounds=None):
        self.kind = kind
        self.program = program
        self.cores = cores
        self.arguments = [str(argument) for argument in arguments]
        self.rounds = rounds  # None: all of them

    def name(self):
        return f"{self.kind} {self.program}" + (f" {self.cores} cores" if self.cores else "")


def plan(programs, quick):
    """The experiments, for those programs that were built."""
    small, large = 16384, 100000 if quick else 1000000
    made = []

    def add(kind, program, *arguments, rounds=None):
        if program not in programs:
            return
        for cores in (3, 72) if program == "pto" and kind in ("small", "large") else (None,):
            chosen = ["--cores", cores] if cores else []
            made.append(Experiment(kind, program, [*arguments, *chosen], cores, rounds))

    for program in ["pto", "serial", "steal", *PEERS]:
        add("small", program, "--tasks", small)
    for program in ["pto", "serial", "tbb", "taskflow"]:
        add("large", program, "--tasks", large, "--reps", 5, rounds=3)
    for program in ["pto", "steal", *PEERS]:
        add("body", program, "--tasks", small, "--reps", 7, "--body-ns", 1000, rounds=3)
        add("metg", program, "--metg", rounds=3)
    add("kernels", "pto", "--kernels", rounds=3)
    add("copies", "pto", "--copies", rounds=3)
    add("idle", "pto", "--idle", 2 if quick else 10, rounds=1)
    for program in ["pto cholesky", "tbb cholesky"]:
        for tile in (128, 256):
            add("cholesky", program, "--n", 1024 if quick else 4096, "--tile", tile, rounds=3)
    memory = ["--tasks", large] if quick else []
    add("memory", "pto", "--memory", *memory, rounds=1)
    if "python" in programs:
        made.append(Experiment("python", "python", ["--quick"] if quick else [], rounds=3))
    return made


def find_programs(build):
    """Name -> command of what the build folder holds."""
    found = {name: [str(build / "bench" / file)] for name, file in FILES.items()
             if os.access(build / "bench" / file, os.X_OK)}
    if (build / "python" / "pto_runtime").is_dir():
        script = Path(__file__).resolve().parent / "python_bench.py"
        found["python"] = [sys.executable, str(script), "--build", str(build)]
    return found


def run_one(experiment, command, scratch):
    """The JSON that the program wrote, or None after a message."""
    output = scratch / "output.json"
    output.unlink(missing_ok=True)
    whole = [*command, *experiment.arguments, "--quiet", "--json", str(output)]
    try:
        result = subprocess.run(whole, capture_output=True, text=True, timeout=TIMEOUT_S,
                                check=False)
    except subprocess.TimeoutExpired:
        print(f"{experiment.name()}: no end after {TIMEOUT_S} s", file=sys.stderr)
        return None
    if result.returncode != 0:
        print(f"{experiment.name()} ended with {result.returncode}:\n{result.stderr}",
              file=sys.stderr)
        return None
    try:
        return json.loads(output.read_text())
    except ValueError as error:
        print(f"{experiment.name()} wrote no JSON: {error}", file=sys.stderr)
        return None


def describe(rounds, seed):
    """The machine and this run, without anything that names the one or its owner."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"date": time.strftime("%Y-%m-%d"), "rounds": rounds, "seed": seed,
            "system": platform.system(), "processor": platform.machine(),
            "kernel": platform.release().split("-")[0], "python": platform.python_version(),
            "memory_gib": f"{memory_gib:.0f}"}


def main():
    parser = argparse.ArgumentParser(description="runs all benchmarks")
    parser.add_argument("--build", type=Path, required=True, help="a build with PTO_BUILD_BENCH")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent,
                        help="where results.md and results.csv go")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="fewer tasks; to try this script")
    parser.add_argument("--seed", type=int, default=None, help="of the order")
    parser.add_argument("--only", nargs="+", help="only these kinds of experiments")
    options = parser.parse_args()

    programs = find_programs(options.build.resolve())
    if "pto" not in programs:
        parser.error(f"{options.build} has no bench/{FILES['pto']}; build with PTO_BUILD_BENCH=ON")
    experiments = [experiment for experiment in plan(programs, options.quick)
                   if not options.only or experiment.kind in options.only]
    if not experiments:
        parser.error("--only leaves nothing to run")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    order = random.Random(seed)
    samples = []
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            due = [experiment for experiment in experiments
                   if experiment.rounds is None or number < experiment.rounds]
            order.shuffle(due)
            for experiment in due:
                print(f"round {number + 1} of {options.rounds}: {experiment.name()}", flush=True)
                data = run_one(experiment, programs[experiment.program], Path(folder))
                if data is None:
                    failed += 1
                else:
                    samples.append((experiment, data))
    if not samples:
        print("nothing was measured", file=sys.stderr)
        return 1
    missing = [name for name in PEERS if name not in programs]
    results.write(options.out, samples, describe(options.rounds, seed), missing)
    print(f"wrote {options.out / 'results.md'} and {options.out / 'results.csv'}")
    if failed:
        print(f"{failed} processes failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
