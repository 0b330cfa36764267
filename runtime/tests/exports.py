#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks what the built files export: the library exactly the functions that the public headers
mark PTO_API, the device programs exactly what the simulator and CANN look up."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

AICPU = {
    "pto_aicpu_program",
    "StaticTileFwkBackendKernelServer",
    "DynTileFwkBackendKernelServerInit",
    "DynTileFwkBackendKernelServer",
}
# The bounds of the worker's table come from the linker, which makes them visible.
AICORE = {"pto_aicore_program", "aicore_kernel_0_mix_aic", "aicore_kernel_0_mix_aiv"}
LINKER_MADE = re.compile(r"^(__start_pto_kernel|__stop_pto_kernel|_init$|_fini$|_edata$|_end$"
                         r"|__bss_start$)")


def exported(nm, path):
    text = subprocess.run([nm, "-D", "--defined-only", path], check=True, stdout=subprocess.PIPE,
                          universal_newlines=True).stdout
    names = {line.split()[-1].split("@")[0] for line in text.splitlines()}
    return {name for name in names if not LINKER_MADE.match(name)}


def declared(folder):
    names = set()
    for header in sorted(Path(folder).glob("*.h")):
        text = re.sub(r"//[^\n]*", "", header.read_text())
        names.update(re.findall(r"^PTO_API\b[^;(]*?\b(pto_\w+)\s*\(", text, re.M))
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("nm", "headers", "library", "aicpu", "aicore"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    failures = 0
    for path, wanted in ((options.library, declared(options.headers)), (options.aicpu, AICPU),
                         (options.aicore, AICORE)):
        seen = exported(options.nm, path)
        for name in sorted(seen - wanted):
            print(f"{path}: exports {name}, which nothing declares public")
        for name in sorted(wanted - seen):
            print(f"{path}: lacks {name}, which is declared public")
        failures += len(seen ^ wanted)
        print(f"{path}: {len(seen)} symbols exported")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
