#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds, then runs the example of the README on device 9 of the simulator.
set -eu
UP=..
# shellcheck source=tools/common.sh
. "$(dirname -- "$0")/common.sh"

"$ROOT/tools/build.sh"
python=$(find_python numpy)
say "== cd runtime/build/python && $python ../../python/graphbuilder.py 9"
cd "$ROOT/runtime/build/python"
exec "$python" ../../python/graphbuilder.py 9
