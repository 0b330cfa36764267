# SPDX-License-Identifier: Apache-2.0
"""Turns what run.py collected into medians, ratios, a table of goals, results.md and results.csv.

A figure is the median over processes of one state. A ratio is that of two such figures of the same
run and state, or it is not there.
"""

import csv
import io
from collections import defaultdict
from statistics import median

STATES = ["near", "far", "mixed", "unknown"]
PATTERNS = ["chain", "indep", "fork_join", "stencil", "tree", "random", "cholesky"]
NAMES = {"pto": "PTO Runtime", "serial": "floor: serial loop", "steal": "floor: work stealing",
         "pto cholesky": "PTO Runtime", "tbb cholesky": "oneTBB flow graph",
         "tbb": "oneTBB flow graph", "taskflow": "Taskflow", "openmp": "OpenMP `depend`"}
# A pattern has enough parallelism for all lanes when each level of it is this many times as wide.
PARALLEL_ENOUGH = 4


class Figures:
    """Samples by (kind, program, cores, what, metric, state)."""

    def __init__(self):
        self.samples = defaultdict(list)

    def add(self, experiment, what, metric, state, value):
        if value is not None:
            key = (experiment.kind, experiment.program, experiment.cores, what, metric, state)
            self.samples[key].append(value)

    def get(self, kind, program, cores, what, metric, state):
        values = self.samples.get((kind, program, cores, what, metric, state))
        return median(values) if values else None

    def states(self, kind):
        present = {key[5] for key in self.samples if key[0] == kind}
        return [state for state in STATES if state in present]

    def best_state(self, kind, program):
        """Near, or where the machine was never near the state with most samples."""
        counts = defaultdict(int)
        for key, values in self.samples.items():
            if key[:2] == (kind, program):
                counts[key[5]] += len(values)
        if "near" in counts or not counts:
            return "near"
        return max(counts, key=counts.get)


def add_rows(figures, experiment, data):
    for row in data["rows"]:
        state = row["state"]
        for metric in ("build_ns_per_task", "compile_ns_per_task", "first_ns_per_task",
                       "min_ns_per_task", "median_ns_per_task", "efficiency", "tasks", "depth"):
            figures.add(experiment, row["pattern"], metric, state, row.get(metric))


def add_nested(figures, experiment, data, prefix=""):
    """Every number of a JSON document without states, named by the way to it."""
    for name, value in data.items():
        where = f"{prefix}{name}"
        if isinstance(value, dict):
            add_nested(figures, experiment, value, where + ".")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            figures.add(experiment, "", where, "unknown", value)


def collect(samples):
    figures = Figures()
    for experiment, data in samples:
        kind = experiment.kind
        if kind in ("small", "large", "body"):
            add_rows(figures, experiment, data)
        elif kind == "metg":
            for level in data["metg"]:
                figures.add(experiment, f"{level['efficiency']:.0%}", "metg_ns", data["state"],
                            level["metg_ns"])
        elif kind == "kernels":
            for row in data["kernels"]:
                what = f"{row['kernel']} {int(row['tensor_bytes']) >> 10} KiB"
                for metric in ("kernel_gb_per_s", "tuned_gb_per_s", "ratio"):
                    figures.add(experiment, what, metric, "unknown", row[metric])
        elif kind == "copies":
            for row in data["copies"]:
                for metric in row:
                    figures.add(experiment, f"{int(row['bytes']) >> 10} KiB", metric, "unknown",
                                row[metric])
        elif kind == "memory":
            for row in data["memory"]:
                what = f"{row['pattern']} {int(row['tasks'])}"
                for metric in row:
                    if metric not in ("pattern", "tasks"):
                        figures.add(experiment, what, metric, "unknown", row[metric])
        elif kind == "cholesky":
            what = f"{int(data['n'])} x {int(data['n'])}, tiles of {int(data['tile'])}"
            for metric in ("wall_ms", "gflop_per_s", "kernel_share", "serial_ms", "efficiency"):
                figures.add(experiment, what, metric, "unknown", data[metric])
        elif kind == "idle":
            figures.add(experiment, "", "idle_percent", "unknown", data["idle_percent"])
        elif kind == "python":
            add_nested(figures, experiment, data)
    return figures


def extreme(pairs, choose):
    """(value, name) of the largest or smallest of those that are known; None: there is none."""
    known = [(value, name) for value, name in pairs if value is not None]
    return choose(known) if known else None


class Goals:
    """The table of goals: one line each, with what was reached and whether that meets it."""

    def __init__(self, figures):
        self.figures = figures
        self.lines = []

    def add(self, number, what, target, found, is_met, text="{:.2f}"):
        """found: None, or the deciding (value, name)."""
        if found is None:
            self.lines.append((number, what, target, "not measured", ""))
            return
        value, name = found
        reached = text.format(value) + (f" ({name})" if name else "")
        self.lines.append((number, what, target, reached, "yes" if is_met(value) else "no"))

    def median(self, kind, program, cores, pattern, state, metric="median_ns_per_task"):
        return self.figures.get(kind, program, cores, pattern, metric, state)

    def compare(self, of, to, pattern):
        """The ratio of two figures in the first state that has both, and that state. `to` may be
        several, of which the fastest counts: the more of them the better."""
        best = (0, None, "")
        for state in STATES:
            first = self.median(*of, pattern, state)
            others = [self.median(*key, pattern, state) for key in to]
            known = [value for value in others if value is not None]
            if first is not None and len(known) > best[0]:
                best = (len(known), first / min(known), state)
        return best[1:]

    def ratios(self):
        """Lines for a table: PTO Runtime over the fastest peer and over the serial loop."""
        for cores in (3, 72):
            for name, to in (("the faster of oneTBB and Taskflow", [("small", "tbb", None),
                                                                    ("small", "taskflow", None)]),
                             ("the serial loop", [("small", "serial", None)])):
                found = [self.compare(("small", "pto", cores), to, pattern)
                         for pattern in PATTERNS]
                yield [f"{cores} cores / {name}",
                       *(value and f"{value:.2f} ({state})" or "" for value, state in found)]

    def speed(self):
        to_peers, to_serial, to_large = [], [], []
        for cores in (3, 72):
            own = ("small", "pto", cores)
            for pattern in PATTERNS:
                for found, of, to in (
                        (to_peers, own, [("small", "tbb", None), ("small", "taskflow", None)]),
                        (to_serial, own, [("small", "serial", None)]),
                        (to_large, ("large", "pto", cores), [own])):
                    value, state = self.compare(of, to, pattern)
                    found.append((value, f"{pattern}, {cores} cores, {state}"))
        self.add("P1", "empty task, beside the faster of Taskflow and oneTBB", "<= 0.5",
                 extreme(to_peers, max), lambda value: value <= 0.5)
        self.add("P1", "empty task, beside the serial loop", "<= 4", extreme(to_serial, max),
                 lambda value: value <= 4)
        self.add("P2", "many tasks beside 16,384, each", "<= 2", extreme(to_large, max),
                 lambda value: value <= 2)

    def granularity(self):
        state = self.figures.best_state("metg", "pto")
        metg = self.figures.get("metg", "pto", None, "75%", "metg_ns", state)
        self.add("P3", "METG(75 %), stencil of width 64, us", "<= 0.20",
                 extreme([(metg and metg / 1000, state)], max), lambda value: value <= 0.20)
        pairs = []
        for pattern in PATTERNS:
            for state in STATES:
                tasks, depth, efficiency = (
                    self.median("body", "pto", None, pattern, state, metric)
                    for metric in ("tasks", "depth", "efficiency"))
                if depth and tasks / depth >= PARALLEL_ENOUGH * self.lanes:
                    pairs.append((efficiency, f"{pattern}, {state}"))
                if depth:
                    break  # the first state that has it: near before all others
        self.add("P4", "efficiency with bodies of 1 us, all processors", ">= 0.93",
                 extreme(pairs, min), lambda value: value >= 0.93)

    def python(self, metric):
        return self.figures.get("python", "python", None, "", metric, "unknown")

    def rest(self):
        one = self.figures.get
        self.add("P5", "`run()` of an unchanged graph of 4 tasks from Python, us", "<= 2",
                 extreme([(self.python("run.unchanged_us"), "")], max), lambda value: value <= 2)
        self.add("P6", "add_task from Python, ns", "<= 80",
                 extreme([(self.python("add_task.pto_ns"), "")], max), lambda value: value <= 80)
        self.add("P6", "add_tasks from Python, ns for each task", "<= 5",
                 extreme([(self.python("bulk.add_tasks_ns"), "")], max), lambda value: value <= 5)
        keys = [key for key in self.figures.samples if key[0] == "memory"]
        whats = sorted({key[3] for key in keys})
        # The header of 64 bytes is one for each graph, so the largest graphs show a task's share.
        largest = [what for what in whats if int(what.split()[1]) >= 100000]
        image = [(one("memory", "pto", None, what, "image_bytes_per_task_without_edges", "unknown"),
                  what) for what in largest]
        host = [(one("memory", "pto", None, what, "host_bytes_per_task", "unknown"), what)
                for what in largest]
        self.add("P7", "image: bytes for each task, without 4 for each edge", "<= 64",
                 extreme(image, max), lambda value: value <= 64.5, "{:.1f}")
        self.add("P7", "graph on the host: bytes for each task", "<= 160", extreme(host, max),
                 lambda value: value <= 160, "{:.1f}")
        self.add("P8", "copies from 64 KiB up beside memcpy, in C", ">= 0.95",
                 extreme(self.copies(), min), lambda value: value >= 0.95)
        self.add("P8", "the same from Python, beside a slice of a memoryview", ">= 0.95",
                 extreme([(self.python("copies.worst_ratio"), "")], min),
                 lambda value: value >= 0.95)
        kernels = [(one("kernels", "pto", None, key[3], "ratio", "unknown"), key[3])
                   for key in self.figures.samples if key[0] == "kernels" and key[4] == "ratio"]
        self.add("P9", "built-in kernels beside tuned loops", ">= 0.9", extreme(kernels, min),
                 lambda value: value >= 0.9)
        self.add("P10", "an idle runner, % of one processor", "0",
                 extreme([(one("idle", "pto", None, "", "idle_percent", "unknown"), "")], max),
                 lambda value: value < 0.01, "{:.4f}")

    def copies(self):
        for key in self.figures.samples:
            if key[0] == "copies" and key[4].endswith("_device_ratio"):
                if int(key[3].split()[0]) >= 64:
                    value = self.figures.get("copies", "pto", None, key[3], key[4], "unknown")
                    yield value, f"{key[3]}, {key[4][:-len('_ratio')].replace('_', ' ')}"

    def make(self, lanes):
        self.lanes = lanes
        self.speed()
        self.granularity()
        self.rest()
        return self.lines


def write_table(out, heads, lines):
    print("| " + " | ".join(heads) + " |", file=out)
    print("|" + "---|" * len(heads), file=out)
    for line in lines:
        print("| " + " | ".join(line) + " |", file=out)
    print(file=out)


def shown(value, digits=1):
    return "" if value is None else f"{value:.{digits}f}"


def programs_of(figures, kind):
    """(program, cores) in the order of NAMES."""
    present = {(key[1], key[2]) for key in figures.samples if key[0] == kind}
    order = list(NAMES)
    return sorted(present, key=lambda item: (order.index(item[0]), item[1] or 0))


def write_patterns(out, figures, kind, metric, title, digits=1):
    for state in figures.states(kind):
        lines = []
        for program, cores in programs_of(figures, kind):
            values = [figures.get(kind, program, cores, pattern, metric, state)
                      for pattern in PATTERNS]
            if any(value is not None for value in values):
                name = NAMES[program] + (f", {cores} cores" if cores else "")
                lines.append([name, *(shown(value, digits) for value in values)])
        if lines:
            print(f"### {title}: {state}\n", file=out)
            write_table(out, ["", *PATTERNS], lines)


def write_metg(out, figures):
    for state in figures.states("metg"):
        lines = [[NAMES[program], *(shown(value and value / 1000, 3) for value in
                                    (figures.get("metg", program, None, level, "metg_ns", state)
                                     for level in ("50%", "75%", "90%")))]
                 for program, _ in programs_of(figures, "metg")]
        print(f"### METG in us, stencil of width 64: {state}\n", file=out)
        write_table(out, ["", "METG(50 %)", "METG(75 %)", "METG(90 %)"], lines)


def write_others(out, figures, kind, title, metrics, digits=2):
    whats = list(dict.fromkeys(key[3] for key in figures.samples if key[0] == kind))
    if not whats:
        return
    print(f"### {title}\n", file=out)
    write_table(out, ["", *metrics],
                [[what, *(shown(figures.get(kind, "pto", None, what, metric, "unknown"), digits)
                          for metric in metrics.values())] for what in whats])


def write_cholesky(out, figures):
    metrics = {"wall ms": ("wall_ms", 1), "GFLOP/s": ("gflop_per_s", 1),
               "kernels' share of processor time": ("kernel_share", 3),
               "tasks one by one, ms": ("serial_ms", 1), "efficiency": ("efficiency", 3)}
    programs = programs_of(figures, "cholesky")
    whats = sorted({key[3] for key in figures.samples if key[0] == "cholesky"})
    lines = [[NAMES[program], what,
              *(shown(figures.get("cholesky", program, None, what, metric, "unknown"), digits)
                for metric, digits in metrics.values())]
             for what in whats for program, _ in programs]
    if lines:
        print("### Cholesky factorisation with real kernels\n", file=out)
        write_table(out, ["", "", *metrics], lines)


def write_python(out, figures):
    lines = [[key[4], shown(figures.get(*key[:5], "unknown"), 3)]
             for key in figures.samples if key[0] == "python"]
    if lines:
        print("### From Python\n", file=out)
        write_table(out, ["", "median"], lines)


def write_head(out, first, machine, versions, missing):
    print("# Results of the benchmarks\n", file=out)
    print("Written by `make bench`. How it is measured is in README.md beside it.\n", file=out)
    print(f"Machine: {first['cpu_model']}, {machine['processor']}, {int(first['cpu_count'])} "
          f"processors, {machine['memory_gib']} GiB; {machine['system']} {machine['kernel']}; "
          f"{first['compiler']}; Python {machine['python']}.", file=out)
    print(f"Measured on {machine['date']} in {machine['rounds']} rounds, order by seed "
          f"{machine['seed']}.", file=out)
    if versions:
        print("Beside: " + ", ".join(f"{NAMES[name]} {version}"
                                     for name, version in sorted(versions.items())) + ".", file=out)
    if missing:
        print("Not measured, because not installed: "
              + ", ".join(NAMES[name] for name in missing) + ".", file=out)
    print(file=out)


def write(folder, samples, machine, missing):
    figures = collect(samples)
    first = next((data for experiment, data in samples if experiment.program == "pto"),
                 samples[0][1])
    out = io.StringIO()
    versions = {experiment.program: data["version"] for experiment, data in samples
                if "version" in data}
    write_head(out, first, machine, versions, missing)
    print("## Goals\n\nWhere many figures bear on a goal, the worst of them.\n", file=out)
    goals = Goals(figures)
    write_table(out, ["", "what", "target", "reached", "met"],
                goals.make(first.get("lanes", first["cpu_count"])))
    print("### Time of an empty task beside others, and the state in which both were measured\n",
          file=out)
    write_table(out, ["", *PATTERNS], list(goals.ratios()))
    print("## Figures\n\nMedians over processes; ns for each task where nothing else is said.\n",
          file=out)
    write_patterns(out, figures, "small", "median_ns_per_task", "Empty tasks, 16,384")
    write_patterns(out, figures, "small", "min_ns_per_task", "Empty tasks, the fastest run")
    write_patterns(out, figures, "small", "build_ns_per_task", "Building")
    write_patterns(out, figures, "small", "compile_ns_per_task", "Compiling")
    write_patterns(out, figures, "large", "median_ns_per_task", "Many empty tasks")
    write_patterns(out, figures, "body", "efficiency", "Efficiency, bodies of 1 us", 3)
    write_metg(out, figures)
    write_others(out, figures, "memory", "Memory and scale; image without the edges",
                 {"image bytes/task": "image_bytes_per_task_without_edges",
                  "host bytes/task": "host_bytes_per_task",
                  "build": "build_ns_per_task", "compile": "compile_ns_per_task",
                  "first run": "first_ns_per_task", "run": "run_ns_per_task",
                  "peak MiB": "peak_mib"}, 1)
    write_others(out, figures, "copies", "Copies, GB/s",
                 {"memcpy": "memcpy_gb_per_s", "to device": "to_device_gb_per_s",
                  "from device": "from_device_gb_per_s", "ratio to": "to_device_ratio",
                  "ratio from": "from_device_ratio"})
    write_others(out, figures, "kernels", "Built-in kernels, GB/s",
                 {"kernel": "kernel_gb_per_s", "tuned loop": "tuned_gb_per_s", "ratio": "ratio"})
    write_cholesky(out, figures)
    write_python(out, figures)
    (folder / "results.md").write_text(out.getvalue().rstrip("\n") + "\n")
    with open(folder / "results.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kind", "program", "cores", "what", "metric", "state", "samples", "median",
                         "min", "max"])
        for key, values in sorted(figures.samples.items(), key=lambda item: str(item[0])):
            writer.writerow([*("" if part is None else part for part in key), len(values),
                             f"{median(values):.6g}", f"{min(values):.6g}", f"{max(values):.6g}"])
