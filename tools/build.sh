#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building takes, and builds in runtime/build, the Python package included.
set -eu
UP=..
# shellcheck source=tools/common.sh
. "$(dirname -- "$0")/common.sh"

# The example needs NumPy, so a Python that has it is the one to build for.
prepare 'python3 python3-dev python3-numpy' numpy <<'PACKAGES'
gcc command:cc
libc6-dev header:pthread.h
make command:make
cmake command:cmake
PACKAGES
say "== building in runtime/build, for $python"
mkdir -p "$ROOT/runtime/build"
cd "$ROOT/runtime/build"
cmake .. -DBUILD_PYTHON_BINDINGS=ON -DPython3_EXECUTABLE="$python"
cmake --build . --parallel "$JOBS"
