#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts known bugs of this protocol's family into copies of the device programs; the explorer must
find each within 10,000 schedules, and nothing in the copies as they are.

The accessors are weakened one by one by `explore_gate mutants`; this is about the rest: sequence
checks, counts, who owns what. Several are bugs that related runtimes had.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RUNTIME = Path(__file__).resolve().parents[2]
AICPU = ("dispatch.c", "entry.c", "finish.c", "scheduler.c")

# What is wrong, the file, the text that is there, and what is there instead.
MUTANTS = (
    ("a place of the ring is written again before the core has read it", "aicpu/dispatch.c",
     "pto_own_load(&handshake->note.retired) + PTO_RING_DEPTH;",
     "pto_own_load(&handshake->note.retired) + PTO_RING_DEPTH + 1;"),
    ("a run does not put the counts back that the next one starts from", "aicpu/scheduler.c",
     "pto_cpu_store(&pending[task], pto_cpu_load(&record->predecessor_count));", ""),
    ("a task is chained while it waits for others too", "aicpu/dispatch.c",
     "if (pto_peer_load(pending) != 1) {", "if (pto_peer_load(pending) == 0) {"),
    ("a chained task is not marked, and is queued a second time", "aicpu/dispatch.c",
     "    pto_cpu_store(pending, 0);\n", ""),
    ("threads count a predecessor off by load and store", "aicpu/scheduler.c",
     "return pto_peer_sub(pending, 1) == 1;",
     "pto_cpu_store(pending, count - 1);\n    return count == 1;"),
    ("a task is announced before it is in the ring", "aicpu/dispatch.c",
     "pto_cpu_publish(&handshake->dispatch.queued, queued);",
     "pto_cpu_publish(&handshake->dispatch.queued, queued + 1);"),
    ("cores are not told that the run is over", "aicpu/finish.c",
     "pto_cpu_store(&scheduler->handshakes[core].dispatch.command, (uint32_t)command);", ""),
    ("the run ends one task early", "aicpu/scheduler.c",
     "if (count_retired(scheduler) == 0) {", "if (count_retired(scheduler) <= 1) {"),
    ("a core that fails is blamed for the task before", "aicpu/scheduler.c",
     "        retire_completed(scheduler, core);\n        scheduler->failed_core = core;",
     "        scheduler->failed_core = core;"),
    ("two scheduler threads own the same cores", "aicpu/scheduler.c",
     "scheduler->core_begin = (uint32_t)(core_count * (uint64_t)scheduler->index / count);",
     "scheduler->core_begin = 0;"),
    ("a task counts as complete once it is queued", "aicpu/scheduler.c",
     "uint32_t completed = pto_cpu_observe(&handshake->core.completed);",
     "uint32_t completed = pto_own_load(&handshake->note.queued);"),
    ("the scheduler writes into the core's line", "aicpu/dispatch.c",
     "            // D1: the places were",
     "            pto_cpu_store(&handshake->core.reserved[0], queued);\n"
     "            // D1: the places were"),
    ("a thief does not look whether something is left", "aicpu/dispatch.c",
     "*got = pto__min_u32(want, tail > head ? tail - head : 0);", "*got = want;"),
    ("a core runs on past what is queued", "aicore/worker.c",
     "while (completed != end) {", "while (budget-- != 0) {"),
    ("a core takes tasks by flag and not by number", "aicore/worker.c",
     "uint32_t task = pto_core_load(&dispatch->ring[completed % PTO_RING_DEPTH]);",
     "uint32_t task = pto_core_load(&dispatch->ring[(queued - 1) % PTO_RING_DEPTH]);"),
    ("results go out after they are announced", "aicore/worker.c",
     "        pto_core_flush_cache();\n        completed++;",
     "        completed++;"),
    ("a core counts a task that failed", "aicore/worker.c",
     "            return fail(worker, PTO_FAIL_RETURN, code);",
     "            pto_core_publish(&worker->line->completed, completed + 1);\n"
     "            return fail(worker, PTO_FAIL_RETURN, code);"),
    ("a core leaves with tasks in its ring", "aicore/worker.c",
     "if (command == PTO_CORE_STOP) {", "if (command != PTO_CORE_RUN || queued == 3) {"),
    ("the core writes into the scheduler's line", "aicore/worker.c",
     "        completed++;",
     "        completed++;\n"
     "        pto_core_store((uint32_t *)&dispatch->command, command);"),
    ("a completion is told from the last one by one bit", "aicpu/scheduler.c",
     "    uint32_t completed = pto_cpu_observe(&handshake->core.completed);",
     "    uint32_t before = pto_own_load(&handshake->note.retired);\n"
     "    uint32_t completed = pto_cpu_observe(&handshake->core.completed);\n"
     "    completed = before + ((completed ^ before) & 1);"),
    ("a completion is not noted, and counts again", "aicpu/scheduler.c",
     "    pto_own_store(&handshake->note.retired, completed);", ""),
    ("the last of a task's successors is forgotten", "aicpu/scheduler.c",
     "for (; successors != end; successors++) {",
     "for (; successors != end && successors + 1 != end; successors++) {"),
    ("the scheduler has no deadline", "aicpu/finish.c",
     "if (now < scheduler->deadline_ns + grace) {",
     "if (now < scheduler->deadline_ns + grace || now != 0) {"),
)


def compile_program(compiler, tree, sources, output):
    subprocess.run([compiler, "-std=c11", "-O1", "-g", "-fPIC", "-shared", "-fvisibility=hidden",
                    "-D_POSIX_C_SOURCE=200809L", "-DPTO_TARGET_EXPLORE", "-I", tree, "-I",
                    tree / "include", "-o", output, *sources], check=True)


def build(compiler, folder, patches, unpatched=None):
    """Copies the device programs to `folder`, patches and compiles them.

    A program that no patch touches is taken from `unpatched`, where there is one.
    """
    for part in ("abi", "aicpu", "aicore", "include", "tests/explore"):
        shutil.copytree(RUNTIME / part, folder / part)
    for name, old, new in patches:
        text = (folder / name).read_text()
        if text.count(old) != 1:
            sys.exit(f"{name}: there is not one '{old}'; this list must follow the source")
        (folder / name).write_text(text.replace(old, new))
    programs = (
        ("aicpu", "aicpu.so", [f"aicpu/{name}" for name in AICPU]),
        ("aicore", "kernel.o",
         ["aicore/entry_native.c", "aicore/worker.c", "tests/explore/kernels.c"]),
    )
    built = []
    for part, output, sources in programs:
        if unpatched and not any(name.startswith(part) for name, _, _ in patches):
            built.append(unpatched / output)
            continue
        compile_program(compiler, folder, [folder / source for source in sources],
                        folder / output)
        built.append(folder / output)
    return built


def explore(gate, programs, count):
    environment = dict(os.environ, PTO_TEST_AICPU_EXPLORE=str(programs[0]),
                       PTO_TEST_KERNELS_EXPLORE=str(programs[1]))
    return subprocess.run([gate, "schedules", str(count)], env=environment, timeout=120,
                          stdout=subprocess.PIPE, universal_newlines=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gate", required=True)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--schedules", type=int, default=10000)
    options = parser.parse_args()
    failures = 0
    cases = [("as it is", None)] + [(mutant[0], mutant[1:]) for mutant in MUTANTS]
    with tempfile.TemporaryDirectory() as folder:
        unpatched = None
        for number, (what, patch) in enumerate(cases):
            place = Path(folder) / str(number)
            place.mkdir()
            programs = build(options.cc, place, [patch] if patch else [], unpatched)
            unpatched = unpatched or place
            result = explore(options.gate, programs, options.schedules)
            failed = result.returncode != (1 if patch else 0)
            failures += failed
            print(f"{'FAIL' if failed else 'ok  '} {what}")
            print(f"     {result.stdout.splitlines()[0] if result.stdout else 'no output'}")
    print(f"{len(MUTANTS)} mutants, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
