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
# The target <target>_explore makes the explorer's build of the same sources, in the same folder:
# kernel_explore.o for kernel.o, and <name>_explore for a name without an extension.
#
# PTO_DEVICE_SOURCE_DIR, the folder that holds abi/ and aicore/, and PTO_DEVICE_INCLUDE_DIR, the one
# that holds pto/kernel.h, are set by find_package(pto_runtime); without it they are those of the
# source tree that this file lies in. Properties keep them for callers in any folder.
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

# The explorer's program. The kernels' own loads and stores are shown to the explorer as well, see
# aicore/kernel_access.c: the compiler's part of -fsanitize=thread, without its library. That cannot
# be combined with other sanitizers.
function(pto_add_explorer_program program file_name)
    get_property(device_dir GLOBAL PROPERTY PTO_DEVICE_SOURCE_DIR)
    if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang" AND NOT PTO_SANITIZE AND
       NOT "${CMAKE_C_FLAGS} ${arg_COMPILE_OPTIONS}" MATCHES "-fsanitize")
        add_library(${program}_kernels OBJECT ${arg_SOURCES})
        pto_kernel_options(${program}_kernels)
        target_compile_options(${program}_kernels PRIVATE -fsanitize=thread)
        pto_add_kernel_program(${program} "${file_name}"
            $<TARGET_OBJECTS:${program}_kernels> ${device_dir}/aicore/kernel_access.c)
    else()
        pto_add_kernel_program(${program} "${file_name}" ${arg_SOURCES})
    endif()
    target_compile_definitions(${program} PRIVATE PTO_TARGET_EXPLORE)
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
    pto_add_explorer_program(${target}_explore "${stem}_explore${extension}")
    # Whoever builds or depends on the one gets the other.
    add_dependencies(${target} ${target}_explore)
endfunction()
