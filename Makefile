# SPDX-License-Identifier: Apache-2.0
# Two commands for a fresh Debian or Ubuntu that has make and git only:
#
#   make demo    installs what is missing, builds, runs the example on device 9 of the simulator
#   make test    installs what is missing, builds in every way, runs every test
#
# and `make bench`, which measures for some minutes, beside what one could use instead.
#
# PYTHON=/path/to/python3 chooses the Python; JOBS=n the number of parallel jobs. What `make build`
# does by itself is in runtime/README.md: three lines of CMake.
SHELL := /bin/sh
export PYTHON JOBS

.PHONY: all build bench demo test clean

all: build

build:
	@tools/build.sh

bench:
	@tools/bench.sh

demo:
	@tools/demo.sh

test:
	@runtime/tests/run_all.sh

clean:
	rm -rf build runtime/build
