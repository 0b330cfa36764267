#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds PTO Runtime in every supported way and runs every test: what `make test` does.
#
# Each step prints one line; its output is kept in build/test/logs and shown when it fails. A failed
# step does not keep the others from running; the last line counts them.
#   PYTHON       the Python to use; it needs headers, NumPy, pytest and hypothesis
#   JOBS         parallel compilations and tests
#   STEPS        run only the steps whose names match this shell pattern, for example 'gcc*'
#   PTO_OFFLINE  1: leave out the one step that needs a package index (pip_install)
set -eu
UP=../..
# shellcheck source=tools/common.sh
. "$(dirname -- "$0")/../../tools/common.sh"

OUT=$ROOT/build/test
LOGS=$OUT/logs
STEPS=${STEPS:-*}
passed=0
failed=0
skipped=0
failures=''

# step NAME: runs the function of that name in a subshell that ends at the first error.
step() {
    step_name=$1
    # shellcheck disable=SC2254
    case $step_name in
        $STEPS) ;;
        *) return 0 ;;
    esac
    step_log=$LOGS/$step_name.log
    step_begin=$(date +%s)
    printf '== %-16s ' "$step_name"
    set +e
    (set -eux; "$step_name") >"$step_log" 2>&1 </dev/null
    step_code=$?
    set -e
    step_seconds=$(($(date +%s) - step_begin))
    case $step_code in
        0)
            passed=$((passed + 1))
            say "ok ($step_seconds s)" ;;
        77)
            skipped=$((skipped + 1))
            say "skipped: $(tail -n 1 "$step_log")" ;;
        *)
            failed=$((failed + 1))
            failures="$failures $step_name"
            say "FAILED after $step_seconds s with exit status $step_code; the end of $step_log:"
            tail -n 60 "$step_log" | sed 's/^/    /' ;;
    esac
}

# configure FOLDER OPTION...: the C library, strict. The tests choose their Python by themselves.
configure() {
    configure_dir=$OUT/$1
    shift
    cmake -S "$ROOT/runtime" -B "$configure_dir" -DCMAKE_C_FLAGS=-Werror "$@"
}

build() {
    cmake --build "$OUT/$1" --parallel "$JOBS"
}

run_ctest() {
    run_ctest_dir=$OUT/$1
    shift
    (cd "$run_ctest_dir" && ctest --parallel "$JOBS" --output-on-failure --no-tests=error "$@")
}

# Of the stand-in for CANN one variant is enough for a sanitizer; all of them run in the gcc build.
other_variants='ascend/(v81|acl|noaicpu|json|rt|host)_'

gcc_build() {
    configure gcc -DCMAKE_C_COMPILER=gcc -DBUILD_PYTHON_BINDINGS=ON \
        -DPython3_EXECUTABLE="$python" -DPTO_BUILD_BENCH=ON
    build gcc
}

gcc_tests() {
    run_ctest gcc
}

python_tests() {
    cd "$ROOT"
    PYTHONPATH=$OUT/gcc/python PTO_TEST_KERNELS=$OUT/gcc/tests/kernels/kernel.o \
        PTO_FAKE_CANN=$OUT/gcc/tests/fake_cann \
        PYTHONDONTWRITEBYTECODE=1 \
        "$python" -m pytest -q -p no:cacheprovider runtime/tests/python
}

# The steps that the README gives, word for word, in a copy of the tree that was never built; then
# the example, from both folders that it must run in.
as_documented() {
    rm -rf "$OUT/copy"
    mkdir -p "$OUT/copy"
    (cd "$ROOT" && tar -cf - --exclude=./build --exclude=./.git --exclude='./runtime/build*' .) |
        (cd "$OUT/copy" && tar -xf -)
    cd "$OUT/copy"
    cd runtime
    mkdir -p build && cd build
    cmake .. -DBUILD_PYTHON_BINDINGS=ON
    MAKEFLAGS=-j$JOBS make
    for file in aicpu/libaicpu_graph_kernel.so aicore/kernel.o lib/libpto_runtime.so \
            lib/libpto_runtime.a python/pto_runtime/py.typed python/pto_runtime/__init__.pyi; do
        test -f "$file"
    done
    ls python/pto_runtime/_core.*.so
    (cd python && "$python" ../../python/graphbuilder.py 9) | tee "$OUT/example.txt"
    tail -n 1 "$OUT/example.txt" | grep -qx '=== Success ==='
    PYTHONPATH=$PWD/python "$python" ../python/graphbuilder.py 9 | tail -n 1 |
        grep -qx '=== Success ==='
    # No argument at all builds the C library without any Python.
    cmake -S .. -B "$OUT/copy/c_only" && cmake --build "$OUT/copy/c_only" --parallel "$JOBS"
    test ! -e "$OUT/copy/c_only/python"
}

clang_build() {
    configure clang -DCMAKE_C_COMPILER=clang -DBUILD_PYTHON_BINDINGS=ON \
        -DPython3_EXECUTABLE="$python" -DPTO_BUILD_BENCH=ON
    build clang
}

clang_tests() {
    run_ctest clang -LE 'tree|ascend|explore|guard'
}

asan() {
    configure asan -DCMAKE_C_COMPILER=gcc -DPTO_SANITIZE=address,undefined
    build asan
    run_ctest asan -E "$other_variants"
}

# ThreadSanitizer cannot place its shadow memory under some kernels' address randomisation.
tsan() {
    configure tsan -DCMAKE_C_COMPILER=gcc -DPTO_SANITIZE=thread
    build tsan
    fixed_addresses=''
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        fixed_addresses="setarch $(uname -m) -R"
    fi
    cd "$OUT/tsan"
    $fixed_addresses ctest --parallel "$JOBS" --output-on-failure --no-tests=error \
        -E "$other_variants"
}

aarch64_build() {
    configure aarch64 -DPTO_BUILD_NPU=ON -DPTO_BUILD_TESTS=OFF \
        -DCMAKE_TOOLCHAIN_FILE="$ROOT/runtime/cmake/aarch64-linux-gnu.cmake"
    build aarch64
}

# The scheduler for the NPU, on an emulated processor.
aarch64_run() {
    "$ROOT/runtime/tests/aarch64/run.sh" "$OUT/aarch64" "$OUT/aarch64/run"
}

# The programs for an NPU by a toolkit's compilers: stand-ins that take the same options. What they
# make of the AICore's program runs on the stand-in for CANN.
ascend_build() {
    ASCEND_HOME_PATH=$ROOT/runtime/tests/fake_cann/toolkit
    export ASCEND_HOME_PATH
    configure ascend -DCMAKE_C_COMPILER=gcc -DBUILD_PYTHON_BINDINGS=ON \
        -DPython3_EXECUTABLE="$python" -DPTO_BUILD_TESTS=OFF
    build ascend
    aarch64-linux-gnu-readelf -h "$OUT/ascend/aicpu/libaicpu_graph_kernel.so" | grep -q AArch64
    readelf -h "$OUT/ascend/aicore/kernel.o" | grep -q 'Machine:.*0x1029'
    test -f "$OUT/ascend/sim/aicpu/libaicpu_graph_kernel.so"
    test -f "$OUT/ascend/sim/aicore/kernel.o"
    # The scheduler is for ARM: on the stand-in, the host does its work.
    standin=$OUT/gcc/tests/fake_cann/ascend/v85
    PYTHONPATH=$OUT/ascend/python ASCEND_HOME_PATH=$standin \
        PTO_ASCEND_LAUNCH=host "$python" -m pto_runtime doctor --cores 9
    ASCEND_HOME_PATH=$standin PTO_ASCEND_LAUNCH=host "$OUT/ascend/examples/graph42" 9 \
        "$OUT/ascend/aicpu/libaicpu_graph_kernel.so" "$OUT/ascend/aicore/kernel.o"
    # An outside project's kernels, by the installed tree, on both kinds of device. A path relative
    # to the installed programs' folder, or to the project's build, means each its own.
    rm -rf "$OUT/ascend/prefix" "$OUT/ascend/outside"
    cmake --install "$OUT/ascend" --prefix "$OUT/ascend/prefix"
    cmake -S "$ROOT/runtime/tests/install" -B "$OUT/ascend/outside" -DCMAKE_C_COMPILER=gcc \
        -DCMAKE_PREFIX_PATH="$OUT/ascend/prefix"
    cmake --build "$OUT/ascend/outside" --parallel "$JOBS"
    programs=$(dirname "$(find "$OUT/ascend/prefix" -path '*/pto_runtime/aicpu')")
    cd "$programs"
    aarch64-linux-gnu-readelf -h aicpu/libaicpu_graph_kernel.so | grep -q AArch64
    readelf -h aicore/kernel.o | grep -q 'Machine:.*0x1029'
    cd "$OUT/ascend/outside"
    readelf -h kernels/outside.o | grep -q 'Machine:.*0x1029'
    ./use_static
    scheduler=$programs/aicpu/libaicpu_graph_kernel.so
    ./use_static sim "$programs/sim/aicpu/libaicpu_graph_kernel.so" ./kernels/outside.o
    ASCEND_HOME_PATH=$standin PTO_ASCEND_LAUNCH=host \
        ./use_static ascend "$scheduler" ./kernels/outside.o
    # A wheel's folder.
    cmake --install "$OUT/ascend" --component python --prefix "$OUT/ascend/wheel/pto_runtime"
    cd /
    PYTHONPATH=$OUT/ascend/wheel ASCEND_HOME_PATH=$standin PTO_ASCEND_LAUNCH=host \
        "$python" -m pto_runtime doctor --cores 9
}

# The compiler of the AICore takes C++ only.
aicore_as_cxx() {
    cd "$ROOT/runtime"
    for file in aicore/worker.c aicore/kernels.c tests/install/kernel_scale.c \
            examples/cholesky/kernels.c; do
        clang -x c++ -std=c++17 -fsyntax-only -Wall -Wextra -Wshadow -Wconversion -Werror \
            -I. -Iinclude "$file"
    done
    # As that compiler sees kernels, its own spellings aside. Those of the tests call the C library.
    for file in aicore/kernels.c tests/install/kernel_scale.c examples/cholesky/kernels.c; do
        clang -x c++ -std=c++17 -fsyntax-only -Wall -Wextra -Wshadow -Wconversion -Werror \
            -Wno-unused-function -include tests/aicore/cce.h -I. -Iinclude "$file"
    done
}

# Every other Python of this machine, each real one once.
other_pythons() {
    for candidate in python3.9 python3.10 python3.11 python3.12 python3.13 python3.14 \
            "$HOME"/.pyenv/versions/*/bin/python3; do
        "$candidate" -c 'import os, sys
if sys.version_info >= (3, 9):
    print(os.path.realpath(sys.executable))' 2>/dev/null || true
    done | sort -u
}

# The abi3 binary in each Python from 3.11 on, and a build of its own for each that needs one.
python_versions() {
    tried=0
    for other in $(other_pythons); do
        kind=$("$other" -c 'import sys, sysconfig
own = sys.version_info < (3, 11) or sysconfig.get_config_var("Py_GIL_DISABLED")
print("own" if own else "abi3", sysconfig.get_config_var("SOABI"))')
        folder=gcc
        case $kind in
            own*)
                if ! python_has "$other"; then
                    echo "$other has no headers; left out"
                    continue
                fi
                folder=python-${kind#own }
                configure "$folder" -DCMAKE_C_COMPILER=gcc -DBUILD_PYTHON_BINDINGS=ON \
                    -DPTO_BUILD_TESTS=OFF -DPTO_BUILD_EXAMPLES=OFF -DPython3_EXECUTABLE="$other"
                build "$folder" ;;
        esac
        PYTHONPATH=$OUT/$folder/python PYTHONDONTWRITEBYTECODE=1 \
            "$other" "$ROOT/runtime/tests/python_smoke.py"
        tried=$((tried + 1))
    done
    test "$tried" -gt 0
}

# A wheel made by pip, installed into an environment with nothing else, used from another folder.
pip_install() {
    if [ "${PTO_OFFLINE:-0}" = 1 ]; then
        echo 'PTO_OFFLINE=1'
        exit 77
    fi
    rm -rf "$OUT/pip"
    mkdir -p "$OUT/pip"
    "$python" -m venv "$OUT/pip/venv"
    "$OUT/pip/venv/bin/python" -m pip wheel --disable-pip-version-check --no-deps \
        --wheel-dir "$OUT/pip/wheel" "$ROOT"
    unzip_list=$("$python" -m zipfile -l "$OUT"/pip/wheel/*.whl)
    for name in aicpu/libaicpu_graph_kernel.so aicore/kernel.o aicore/kernel_check.o py.typed \
            __init__.pyi __init__.py; do
        printf '%s\n' "$unzip_list" | grep "^pto_runtime/$name "
    done
    "$OUT/pip/venv/bin/python" -m pip install --disable-pip-version-check --no-index \
        "$OUT"/pip/wheel/*.whl
    cd /
    "$OUT/pip/venv/bin/python" "$ROOT/runtime/tests/python_smoke.py"
    # The stubs against the module, by a mypy that is recent enough; Debian 12's is not.
    "$OUT/pip/venv/bin/python" -m pip install --disable-pip-version-check --quiet mypy pytest
    PYTHONPATH=$OUT/gcc/python PYTHONDONTWRITEBYTECODE=1 "$OUT/pip/venv/bin/python" -m pytest -q \
        -p no:cacheprovider -k test_stubtest "$ROOT/runtime/tests/python/test_stubs.py"
}

prepare 'python3 python3-dev python3-venv python3-numpy python3-pytest python3-hypothesis' \
    numpy pytest hypothesis venv ensurepip <<'PACKAGES'
gcc command:gcc
libc6-dev header:pthread.h
make command:make
cmake command:cmake
clang command:clang
libcmocka-dev header:cmocka.h
pkg-config command:pkg-config
valgrind command:valgrind
gcc-aarch64-linux-gnu command:aarch64-linux-gnu-gcc
qemu-user command:qemu-aarch64
libc6-dev-arm64-cross file:/usr/aarch64-linux-gnu/include/pthread.h
PACKAGES

mkdir -p "$LOGS"
say "== testing with $python; logs in $LOGS"
begin=$(date +%s)
step gcc_build
step gcc_tests
step python_tests
step as_documented
step clang_build
step clang_tests
step asan
step tsan
step aarch64_build
step aarch64_run
step ascend_build
step aicore_as_cxx
step python_versions
step pip_install
say "== $(($(date +%s) - begin)) s in all${failures:+; failed:$failures}"
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
