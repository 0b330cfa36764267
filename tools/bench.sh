#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds in build/bench, and runs all benchmarks: runtime/bench/results.md and results.csv.
#
#   BENCH_OPTIONS  passed on to runtime/bench/run.py, for example '--rounds 3 --quick'
#   TASKFLOW       the folder that holds taskflow/taskflow.hpp, to have Taskflow among the peers
set -eu
UP=..
# shellcheck source=tools/common.sh
. "$(dirname -- "$0")/common.sh"

prepare 'python3 python3-dev python3-numpy' numpy <<'PACKAGES'
gcc command:gcc
libc6-dev header:pthread.h
make command:make
cmake command:cmake
PACKAGES
# The peers are no reason to fail: whoever may not install them gets results without them.
peers=$(missing_packages <<'PACKAGES'
g++ command:g++
libtbb-dev file:/usr/include/tbb/tbb.h
python3-pybind11 file:/usr/lib/python3/dist-packages/pybind11/__init__.py
PACKAGES
)
# shellcheck disable=SC2086
(install_packages $peers) || say "== going on without: $peers"

say "== building in build/bench, for $python"
cmake -S "$ROOT/runtime" -B "$ROOT/build/bench" -DCMAKE_BUILD_TYPE=Release \
    -DPTO_BUILD_BENCH=ON -DPTO_BUILD_TESTS=OFF -DPTO_BUILD_EXAMPLES=OFF \
    -DBUILD_PYTHON_BINDINGS=ON -DPython3_EXECUTABLE="$python" \
    ${TASKFLOW:+-DPTO_TASKFLOW_INCLUDE_DIR="$TASKFLOW"}
cmake --build "$ROOT/build/bench" --parallel "$JOBS"
# shellcheck disable=SC2086
exec env PYTHONDONTWRITEBYTECODE=1 "$python" "$ROOT/runtime/bench/run.py" \
    --build "$ROOT/build/bench" ${BENCH_OPTIONS:-}
