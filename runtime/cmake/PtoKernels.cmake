# SPDX-License-Identifier: Apache-2.0
# Building a kernel.o from one's own kernels.
#
#   pto_add_kernels(<target> SOURCES <file.c>...
#                   [OUTPUT <file>]                 default: kernel.o in the current binary folder
#                   [INCLUDE_DIRECTORIES <dir>...]
#                   [COMPILE_DEFINITIONS <name[=value]>...]
#                   [COMPILE_OPTIONS <option>...]
#                   [LINK_LIBRARIES <library>...])  for example m
#
# SOURCES are C files that declare kernels with the macro PTO_KERNEL of <pto/kernel.h>. The file is
# the AICore program for the simulator: the worker loop together with these kernels, and no others;
# the built-in add, add_scalar and mul are in it only if aicore/kernels.c is among the sources.
# Two kernels with one func_id are found by the runner's init, which names both.
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

# One program of pto_add_kernels, whose variables it reads.
function(pto_add_kernel_program program file_name)
    get_property(device_dir GLOBAL PROPERTY PTO_DEVICE_SOURCE_DIR)
    get_property(include_dir GLOBAL PROPERTY PTO_DEVICE_INCLUDE_DIR)
    add_library(${program} MODULE
        ${arg_SOURCES}
        ${device_dir}/aicore/entry_native.c
        ${device_dir}/aicore/worker.c)
    set_target_properties(${program} PROPERTIES
        PREFIX "" SUFFIX "" OUTPUT_NAME "${file_name}" LIBRARY_OUTPUT_DIRECTORY "${folder}"
        C_STANDARD 11 C_STANDARD_REQUIRED ON C_VISIBILITY_PRESET hidden
        POSITION_INDEPENDENT_CODE ON)
    # One folder for every configuration, whatever the generator, so that the path is known.
    foreach(configuration ${CMAKE_CONFIGURATION_TYPES})
        string(TOUPPER "${configuration}" configuration)
        set_target_properties(${program} PROPERTIES
            LIBRARY_OUTPUT_DIRECTORY_${configuration} "${folder}")
    endforeach()
    target_include_directories(${program} PRIVATE
        ${device_dir} ${include_dir} ${arg_INCLUDE_DIRECTORIES})
    target_compile_definitions(${program} PRIVATE ${arg_COMPILE_DEFINITIONS})
    target_compile_options(${program} PRIVATE ${arg_COMPILE_OPTIONS})
    # PTO Runtime's own kernels: its warnings and sanitizers, and no symbol left open.
    if(PTO_OWN_OPTIONS)
        set_target_properties(${program} PROPERTIES C_EXTENSIONS OFF)
        target_link_libraries(${program} PRIVATE
            $<BUILD_INTERFACE:pto_options> $<BUILD_INTERFACE:pto_strict>)
        target_link_options(${program} PRIVATE ${PTO_LINK_WHOLE})
    endif()
    target_link_libraries(${program} PRIVATE ${arg_LINK_LIBRARIES})
endfunction()

function(pto_add_kernels target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "OUTPUT"
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
    get_filename_component(output "${arg_OUTPUT}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_BINARY_DIR}")
    get_filename_component(folder "${output}" DIRECTORY)
    get_filename_component(name "${output}" NAME)

    get_filename_component(stem "${name}" NAME_WLE)
    get_filename_component(extension "${name}" LAST_EXT)
    pto_add_kernel_program(${target} "${name}")
    pto_add_kernel_program(${target}_explore "${stem}_explore${extension}")
    target_compile_definitions(${target}_explore PRIVATE PTO_TARGET_EXPLORE)
    # Whoever builds or depends on the one gets the other.
    add_dependencies(${target} ${target}_explore)
endfunction()
