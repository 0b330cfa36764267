# SPDX-License-Identifier: Apache-2.0
# Building a kernel.o from one's own kernels.
#
#   pto_add_kernels(<target> SOURCES <file.c>...
#                   [OUTPUT <file>]                 default: kernel.o in the current binary folder
#                   [INCLUDE_DIRECTORIES <dir>...]
#                   [COMPILE_DEFINITIONS <name[=value]>...]
#                   [COMPILE_OPTIONS <option>...]
#                   [LINK_LIBRARIES <library>...]   for example m
#                   [SIMULATOR_ONLY])
#
# SOURCES are C files that declare kernels with the macro PTO_KERNEL of <pto/kernel.h>. The file is
# the AICore program for the simulator: the worker loop together with these kernels, and no others;
# the built-in add, add_scalar and mul are in it only if aicore/kernels.c is among the sources.
# Two kernels with one func_id are found by the runner's init, which names both.
#
# With CANN's compilers (ASCEND_HOME_PATH at configure time, see PtoAscend.cmake) OUTPUT becomes the
# program for the NPU, by the target <target>_npu, and the simulator's goes to sim/<OUTPUT>, or, for
# an absolute OUTPUT, to sim/ beside it; init() looks there by itself for a relative path. Then the
# sources must be C that is C++17 too and, because they become one file, must not use a name for two
# things; COMPILE_OPTIONS and LINK_LIBRARIES are the simulator's alone. SIMULATOR_ONLY: no program
# for the NPU, for example because the kernels call the C library.
#
# The targets <target>_explore and <target>_check make two more builds of the same sources, in the
# simulator's folder: kernel_explore.o for the explorer, kernel_check.o for the simulator's checks
# (run with check=, or PTO_CHECK), with _explore and _check put before the extension of any other
# name. Checks need Linux, GCC or Clang, and no sanitizer; elsewhere there is no kernel_check.o.
#
# PTO_DEVICE_SOURCE_DIR, the folder that holds abi/ and aicore/, and PTO_DEVICE_INCLUDE_DIR, the one
# that holds pto/kernel.h, are set by find_package(pto_runtime); without it they are those of the
# source tree that this file lies in. Properties keep them for callers in any folder.
include(CheckCCompilerFlag)
if(NOT PTO_DEVICE_SOURCE_DIR)
    get_filename_component(PTO_DEVICE_SOURCE_DIR "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
    set(PTO_DEVICE_INCLUDE_DIR "${PTO_DEVICE_SOURCE_DIR}/include")
endif()
set_property(GLOBAL PROPERTY PTO_DEVICE_SOURCE_DIR "${PTO_DEVICE_SOURCE_DIR}")
set_property(GLOBAL PROPERTY PTO_DEVICE_INCLUDE_DIR "${PTO_DEVICE_INCLUDE_DIR}")

# What every target of pto_add_kernels, whose variables this reads, is compiled with.
function(pto_kernel_options target)
    get_property(device_dir GLOBAL PROPERTY PTO_DEVICE_SOURCE_DIR)
    get_property(include_dir GLOBAL PROPERTY PTO_DEVICE_INCLUDE_DIR)
    set_target_properties(${target} PROPERTIES
        C_STANDARD 11 C_STANDARD_REQUIRED ON C_VISIBILITY_PRESET hidden
        POSITION_INDEPENDENT_CODE ON)
    target_include_directories(${target} PRIVATE
        ${device_dir} ${include_dir} ${arg_INCLUDE_DIRECTORIES})
    target_compile_definitions(${target} PRIVATE ${arg_COMPILE_DEFINITIONS})
    target_compile_options(${target} PRIVATE ${arg_COMPILE_OPTIONS})
    # PTO Runtime's own kernels: its warnings and sanitizers.
    if(PTO_OWN_OPTIONS)
        set_target_properties(${target} PROPERTIES C_EXTENSIONS OFF)
        target_link_libraries(${target} PRIVATE
            $<BUILD_INTERFACE:pto_options> $<BUILD_INTERFACE:pto_strict>)
    endif()
endfunction()

# One program of pto_add_kernels, from the worker and `sources`.
function(pto_add_kernel_program program file_name)
    get_property(device_dir GLOBAL PROPERTY PTO_DEVICE_SOURCE_DIR)
    add_library(${program} MODULE
        ${ARGN}
        ${device_dir}/aicore/entry_native.c
        ${device_dir}/aicore/worker.c)
    pto_kernel_options(${program})
    set_target_properties(${program} PROPERTIES
        PREFIX "" SUFFIX "" OUTPUT_NAME "${file_name}" LIBRARY_OUTPUT_DIRECTORY "${folder}")
    # One folder for every configuration, whatever the generator, so that the path is known.
    foreach(configuration ${CMAKE_CONFIGURATION_TYPES})
        string(TOUPPER "${configuration}" configuration)
        set_target_properties(${program} PROPERTIES
            LIBRARY_OUTPUT_DIRECTORY_${configuration} "${folder}")
    endforeach()
    if(PTO_OWN_OPTIONS)
        target_link_options(${program} PRIVATE ${PTO_LINK_WHOLE}) # no symbol left open
    endif()
    target_link_libraries(${program} PRIVATE ${arg_LINK_LIBRARIES})
endfunction()

# Kernels that show their own loads and stores: the compiler's part of -fsanitize=thread, without
# its library, in whose place is aicore/kernel_access.c. Other sanitizers exclude it.
# *sources: what a program takes in place of the kernels' sources; empty where it cannot be done.
function(pto_add_instrumented_kernels target sources)
    set(${sources} "" PARENT_SCOPE)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "GNU|Clang" OR PTO_SANITIZE OR
       "${CMAKE_C_FLAGS} ${arg_COMPILE_OPTIONS}" MATCHES "-fsanitize")
        return()
    endif()
    get_property(device_dir GLOBAL PROPERTY PTO_DEVICE_SOURCE_DIR)
    add_library(${target} OBJECT ${arg_SOURCES})
    set_target_properties(${target} PROPERTIES PTO_INSTRUMENTED ON)
    pto_kernel_options(${target})
    # Copies stay calls, which can be shown; compilers expand some of them after instrumenting.
    target_compile_options(${target} PRIVATE -fsanitize=thread -U_FORTIFY_SOURCE
        -fno-builtin-memcpy -fno-builtin-memmove -fno-builtin-memset
        $<$<C_COMPILER_ID:GNU>:-fno-tree-loop-distribute-patterns>
        "$<$<C_COMPILER_ID:GNU>:SHELL:-include \"${device_dir}/aicore/kernel_copies.h\">")
    # Clang leaves out a read before a write of the same place unless asked.
    if(CMAKE_C_COMPILER_ID MATCHES "Clang")
        set(option "-mllvm -tsan-instrument-read-before-write=1")
        check_c_compiler_flag("${option}" PTO_CAN_SHOW_READ_BEFORE_WRITE)
        if(PTO_CAN_SHOW_READ_BEFORE_WRITE)
            target_compile_options(${target} PRIVATE "SHELL:${option}")
        endif()
    endif()
    set(${sources} $<TARGET_OBJECTS:${target}> ${device_dir}/aicore/kernel_access.c PARENT_SCOPE)
endfunction()

# Leads a program's calls of the C library's copying functions to aicore/kernel_libc.c.
function(pto_show_copies program)
    get_property(device_dir GLOBAL PROPERTY PTO_DEVICE_SOURCE_DIR)
    target_sources(${program} PRIVATE ${device_dir}/aicore/kernel_libc.c)
    foreach(name memcpy memmove memset __memcpy_chk __memmove_chk __memset_chk)
        target_link_options(${program} PRIVATE "LINKER:--wrap=${name}")
    endforeach()
endfunction()

function(pto_add_kernels target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SIMULATOR_ONLY" "OUTPUT"
        "SOURCES;INCLUDE_DIRECTORIES;COMPILE_DEFINITIONS;COMPILE_OPTIONS;LINK_LIBRARIES")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "pto_add_kernels(${target}): unknown arguments "
                            "'${arg_UNPARSED_ARGUMENTS}'")
    endif()
    if(NOT arg_SOURCES)
        message(FATAL_ERROR "pto_add_kernels(${target}): give the C files after SOURCES")
    endif()
    if(NOT arg_OUTPUT)
        set(arg_OUTPUT kernel.o)
    endif()
    get_property(has_ascend GLOBAL PROPERTY PTO_HAS_ASCEND)
    if(has_ascend AND NOT arg_SIMULATOR_ONLY)
        get_filename_component(output "${arg_OUTPUT}" ABSOLUTE
                               BASE_DIR "${CMAKE_CURRENT_BINARY_DIR}")
        pto_add_ascend_kernels(${target}_npu "${output}" ${target} ${arg_SOURCES}
            INCLUDE_DIRECTORIES ${arg_INCLUDE_DIRECTORIES}
            COMPILE_DEFINITIONS ${arg_COMPILE_DEFINITIONS})
        if(IS_ABSOLUTE "${arg_OUTPUT}")
            get_filename_component(folder "${arg_OUTPUT}" DIRECTORY)
            get_filename_component(name "${arg_OUTPUT}" NAME)
            set(arg_OUTPUT "${folder}/sim/${name}")
        else()
            set(arg_OUTPUT "sim/${arg_OUTPUT}")
        endif()
    endif()
    get_filename_component(output "${arg_OUTPUT}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_BINARY_DIR}")
    get_filename_component(folder "${output}" DIRECTORY)
    get_filename_component(name "${output}" NAME)

    get_filename_component(stem "${name}" NAME_WLE)
    get_filename_component(extension "${name}" LAST_EXT)
    pto_add_kernel_program(${target} "${name}" ${arg_SOURCES})
    pto_add_instrumented_kernels(${target}_instrumented instrumented)
    if(instrumented)
        set(explore_sources ${instrumented})
    else()
        set(explore_sources ${arg_SOURCES})
    endif()
    pto_add_kernel_program(${target}_explore "${stem}_explore${extension}" ${explore_sources})
    target_compile_definitions(${target}_explore PRIVATE PTO_TARGET_EXPLORE)
    # Whoever builds or depends on the one gets the others.
    add_dependencies(${target} ${target}_explore)
    if(instrumented AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
        get_property(device_dir GLOBAL PROPERTY PTO_DEVICE_SOURCE_DIR)
        pto_add_kernel_program(${target}_check "${stem}_check${extension}"
            ${instrumented} ${device_dir}/aicore/kernel_check.c)
        target_compile_definitions(${target}_check PRIVATE PTO_TARGET_CHECK)
        pto_show_copies(${target}_explore)
        pto_show_copies(${target}_check)
        add_dependencies(${target} ${target}_check)
    endif()
endfunction()
