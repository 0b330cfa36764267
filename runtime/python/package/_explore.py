# SPDX-License-Identifier: Apache-2.0
"""python -m pto_runtime explore SCRIPT: run a script's graphs on the explorer."""

import argparse
import os
import runpy
import sys
import time
from typing import List

from ._errors import OrderFault

PROFILES = ("a2a3", "a5", "paranoid")


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m pto_runtime explore",
        description="Run a script whose runners open the explorer instead of a device. Each run() "
        "of a graph tries many schedules, and the first that goes wrong ends the script.",
    )
    parser.add_argument("--seeds", type=int, default=10000, help="schedules of each run (10000)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--profile", choices=PROFILES, default="a2a3", help="the hardware (a2a3)")
    parser.add_argument("--timeline", help="write what led to a fault here, for ui.perfetto.dev")
    parser.add_argument("script", help="a Python file; it must not name a backend of its own")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the script's own")
    options = parser.parse_args(arguments)
    if options.seeds < 1 or options.seed < 0:
        parser.error("--seeds must be 1 or more, --seed 0 or more")
    os.environ["PTO_BACKEND"] = "explore"
    os.environ["PTO_EXPLORE_SCHEDULES"] = str(options.seeds)
    os.environ["PTO_EXPLORE_SEED"] = str(options.seed)
    os.environ["PTO_EXPLORE_PROFILE"] = options.profile
    if options.timeline:
        os.environ["PTO_EXPLORE_TIMELINE"] = os.path.abspath(options.timeline)
    sys.argv = [options.script, *options.arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(options.script))
    begin = time.monotonic()
    try:
        runpy.run_path(options.script, run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    except OrderFault as fault:
        print(fault, file=sys.stderr)
        print("explore: a fault; --seeds 1 --seed with the seed above replays it", file=sys.stderr)
        return 1
    seconds = time.monotonic() - begin
    print(f"explore: nothing found; {options.seeds} schedules for each run, {seconds:.1f} s")
    return 0
