# SPDX-License-Identifier: Apache-2.0
"""Say what this installation is: python -m pto_runtime [--version].

python -m pto_runtime explore SCRIPT runs a script's graphs on the explorer.
python -m pto_runtime doctor checks this machine, and says what to do.
"""

import argparse
import os
import platform
import sys

from . import DEVICE_PROGRAM_DIR, DeviceRunner, Error, __version__, _core, _doctor, _explore

PROGRAMS = ("aicpu/libaicpu_graph_kernel.so", "aicore/kernel.o")
BACKENDS = ("sim", "explore")


def try_backend(backend: str) -> str:
    """Open and close a device, and return what came of it."""
    runner = DeviceRunner()
    try:
        runner.init(0, 1, *PROGRAMS, backend=backend)
        runner.finalize()
    except Error as error:
        return f"not usable: {error}"
    return "works"


def main() -> int:
    if sys.argv[1:2] == ["explore"]:
        return _explore.main(sys.argv[2:])
    if sys.argv[1:2] == ["doctor"]:
        return _doctor.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m pto_runtime", description=__doc__)
    parser.add_argument("--version", action="version", version=f"pto_runtime {__version__}")
    parser.parse_args()
    print(f"pto_runtime {__version__}")
    print(f"Python:          {platform.python_version()} at {sys.executable}")
    print(f"extension:       {_core.__file__}")
    missing = 0
    for program in PROGRAMS:
        path = os.path.join(DEVICE_PROGRAM_DIR, *program.split("/"))
        found = os.path.isfile(path)
        missing += not found
        print(f"device program:  {path}{'' if found else '  (missing)'}")
    chosen = os.environ.get("PTO_BACKEND") or (
        "ascend" if os.environ.get("ASCEND_HOME_PATH") else "sim"
    )
    broken = 0
    for backend in BACKENDS:
        outcome = try_backend(backend)
        broken += outcome != "works"
        note = " (default)" if backend == chosen else ""
        print(f"backend:         {backend}{note}, {outcome}")
    if chosen not in BACKENDS:
        outcome = try_backend(chosen)
        broken += outcome != "works"
        print(f"backend:         {chosen} (default here), {outcome}")
    return 1 if missing or broken else 0


if __name__ == "__main__":
    sys.exit(main())
