#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The scheduler as it goes to an NPU: what its file asks of the device's system, and its tests on an
# emulated ARM processor. Exit status 77: there is no emulator.
#
#     run.sh BUILD WORK   BUILD was configured with cmake/aarch64-linux-gnu.cmake and
#                         PTO_BUILD_NPU=ON; WORK is a folder for what is made here
set -eu
build=$1
work=$2
runtime=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
scheduler=$build/npu/aicpu/libaicpu_graph_kernel.so
mkdir -p "$work"

# CANN's loader looks up the three functions; nothing else is to be found in the file.
aarch64-linux-gnu-nm -D --defined-only "$scheduler" | awk '{ print $3 }' | sort >"$work/exports"
printf '%s\n' DynTileFwkBackendKernelServer DynTileFwkBackendKernelServerInit \
    StaticTileFwkBackendKernelServer pto_aicpu_program | cmp - "$work/exports"

# The device's system has an old C library and no C++ one. Nothing newer than glibc 2.17, the first
# for this processor, and no library but libc.
aarch64-linux-gnu-nm -D --undefined-only "$scheduler" |
    awk '$1 == "U" { print $2 }' | sed 's/@.*//' >"$work/undefined"
for symbol in $(cat "$work/undefined"); do
    case $symbol in
        memset | memcpy | memmove | __stack_chk_fail | __stack_chk_guard) ;;
        *) echo "the scheduler needs $symbol" >&2; exit 1 ;;
    esac
done
aarch64-linux-gnu-objdump -p "$scheduler" | sed -n 's/.*GLIBC_\([0-9.]*\).*/\1/p' |
    while read -r version; do
        if [ "$version" != 2.17 ]; then
            echo "the scheduler needs glibc $version" >&2
            exit 1
        fi
    done
if aarch64-linux-gnu-objdump -p "$scheduler" | grep NEEDED | grep -qv 'libc\.so\.6\|ld-linux'; then
    echo "the scheduler needs a library beside libc" >&2
    exit 1
fi

emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static || true)
if [ -z "$emulator" ]; then
    echo 'no qemu-aarch64; Debian: sudo apt-get install qemu-user'
    exit 77
fi
compile() {
    aarch64-linux-gnu-gcc -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -O2 -Wall -Wextra \
        -I"$runtime/tests/aarch64" -I"$runtime" -I"$runtime/include" -I"$runtime/tests" "$@" \
        -lpthread -ldl -lm
}
compile -shared -fPIC -fvisibility=hidden -o "$work/kernel.o" \
    "$runtime/tests/kernels/kernels.c" "$runtime/aicore/entry_native.c" "$runtime/aicore/worker.c"
# The scheduler's barriers and cache operations are the device's; the cores are threads.
compile -o "$work/test_device_threads" "$runtime/tests/unit/test_device_threads.c" \
    -DPTO_TEST_AICPU_PROGRAM="\"$scheduler\"" -DPTO_TEST_KERNELS="\"$work/kernel.o\""
compile -o "$work/test_scheduler" "$runtime/tests/unit/test_scheduler.c"
PTO_TEST_CASES=40 "$emulator" -L /usr/aarch64-linux-gnu "$work/test_device_threads"
PTO_TEST_CASES=300 "$emulator" -L /usr/aarch64-linux-gnu "$work/test_scheduler"
