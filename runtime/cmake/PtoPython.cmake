# SPDX-License-Identifier: Apache-2.0
# Finds the Python to build for, and decides between one binary for all (abi3) and one for it alone.
#
# Unless Python3_EXECUTABLE or Python3_ROOT_DIR says otherwise, it is the `python3` that the shell
# would run, because that is what will import the result; and where that one has no headers, another
# python3 on PATH that has them, if an abi3 binary built with those works in the first one.
# Sets PTO_PYTHON_SUFFIX, the end of the extension's file name, and PTO_PYTHON_DEFINITIONS.

set(PTO_PYTHON_PROBE [=[
import os, sys, sysconfig
header = os.path.join(sysconfig.get_path("include"), "Python.h")
abi3 = sys.version_info >= (3, 11) and not sysconfig.get_config_var("Py_GIL_DISABLED")
print(sys.executable, "%d.%d" % sys.version_info[:2], int(os.path.exists(header)), int(abi3),
      sysconfig.get_config_var("EXT_SUFFIX"), sep=";")
]=])

# *result = executable;version;has_headers;can_abi3;suffix, or empty when it is no working Python 3.
function(pto_probe_python python result)
    execute_process(COMMAND "${python}" -c "${PTO_PYTHON_PROBE}"
                    OUTPUT_VARIABLE output ERROR_QUIET RESULT_VARIABLE code
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT code EQUAL 0)
        set(output "")
    endif()
    set(${result} "${output}" PARENT_SCOPE)
endfunction()

# Looks along PATH as described above, and sets Python3_EXECUTABLE when it finds one.
function(pto_choose_python)
    string(REPLACE ":" ";" folders "$ENV{PATH}")
    set(wanted "")
    foreach(folder ${folders})
        if(NOT EXISTS "${folder}/python3")
            continue()
        endif()
        pto_probe_python("${folder}/python3" probe)
        if(NOT probe)
            continue()
        endif()
        list(GET probe 0 executable)
        list(GET probe 2 has_headers)
        list(GET probe 3 can_abi3)
        if(NOT wanted)
            set(wanted "${probe}")
            set(wanted_abi3 ${can_abi3})
        endif()
        if(has_headers AND (wanted STREQUAL probe OR (wanted_abi3 AND can_abi3)))
            if(NOT wanted STREQUAL probe)
                list(GET wanted 0 first)
                message(STATUS "pto_runtime: ${first} has no headers; those of ${executable} "
                               "serve it as well")
            endif()
            set(Python3_EXECUTABLE "${executable}" CACHE FILEPATH "The Python to build for")
            return()
        endif()
    endforeach()
    if(wanted)
        list(GET wanted 0 executable)
        set(Python3_EXECUTABLE "${executable}" CACHE FILEPATH "The Python to build for")
    endif()
endfunction()

if(NOT Python3_EXECUTABLE AND NOT Python3_ROOT_DIR)
    pto_choose_python()
endif()
find_package(Python3 3.9 COMPONENTS Interpreter Development.Module)
if(NOT Python3_Interpreter_FOUND)
    message(FATAL_ERROR
        "BUILD_PYTHON_BINDINGS=ON needs Python 3.9 or later, and none was found.\n"
        "Debian, Ubuntu:  sudo apt-get install python3-dev\n"
        "macOS:           brew install python3\n"
        "Another one:     -DPython3_EXECUTABLE=/path/to/python3\n"
        "The C library alone needs none: -DBUILD_PYTHON_BINDINGS=OFF")
endif()
if(NOT Python3_Development.Module_FOUND)
    message(FATAL_ERROR
        "The headers of Python ${Python3_VERSION} (${Python3_EXECUTABLE}) are missing.\n"
        "Debian, Ubuntu:  sudo apt-get install python3-dev\n"
        "macOS:           brew install python3\n"
        "Another one:     -DPython3_EXECUTABLE=/path/to/python3\n"
        "The C library alone needs none: -DBUILD_PYTHON_BINDINGS=OFF")
endif()

pto_probe_python("${Python3_EXECUTABLE}" probe)
if(NOT probe)
    message(FATAL_ERROR "${Python3_EXECUTABLE} was found, but does not run.")
endif()
list(GET probe 3 can_abi3)
if(can_abi3)
    # 3.11 is the first version whose stable ABI has the buffer protocol. CMake can do this by
    # itself (USE_SABI) from 3.26 on only.
    set(PTO_PYTHON_SUFFIX ".abi3.so")
    set(PTO_PYTHON_DEFINITIONS Py_LIMITED_API=0x030b0000)
    set(PTO_PYTHON_KIND "one binary for CPython 3.11 and later")
else()
    list(GET probe 4 PTO_PYTHON_SUFFIX)
    set(PTO_PYTHON_DEFINITIONS "")
    set(PTO_PYTHON_KIND "a binary for this Python only")
endif()
message(STATUS "pto_runtime: Python ${Python3_VERSION} at ${Python3_EXECUTABLE}; "
               "${PTO_PYTHON_KIND}")
