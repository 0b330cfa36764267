# SPDX-License-Identifier: Apache-2.0
# Building programs for an NPU with CANN's compilers, when ASCEND_HOME_PATH names a toolkit that has
# them: the scheduler by its gcc for the device's ARM cores, the worker and kernels by ccec, once
# for the cube and once for the vector cores, and ld.lld. Also used by projects with kernels of
# their own, through PtoKernels.cmake.
#
# Sets PTO_ASCEND_CC, PTO_ASCEND_CCEC, PTO_ASCEND_LD, and PTO_HAS_ASCEND, also as a global property,
# when all three are there.
set(PTO_HAS_ASCEND OFF)
set(PTO_ASCEND_ARCH "dav-c220" CACHE STRING
    "The NPU's cores: dav-c220 (A2, A3) or dav-c310 (A5)")
set_property(CACHE PTO_ASCEND_ARCH PROPERTY STRINGS dav-c220 dav-c310)

if(DEFINED ENV{ASCEND_HOME_PATH} AND NOT "$ENV{ASCEND_HOME_PATH}" STREQUAL "")
    set(home "$ENV{ASCEND_HOME_PATH}")
    find_program(PTO_ASCEND_CC aarch64-target-linux-gnu-gcc NO_DEFAULT_PATH
        PATHS "${home}/toolkit/toolchain/hcc/bin" "${home}/tools/hcc/bin")
    find_program(PTO_ASCEND_CCEC NAMES ccec bisheng NO_DEFAULT_PATH PATHS "${home}/bin"
        "${home}/compiler/ccec_compiler/bin" "${home}/tools/bisheng_compiler/bin")
    find_program(PTO_ASCEND_LD ld.lld NO_DEFAULT_PATH PATHS "${home}/bin"
        "${home}/compiler/ccec_compiler/bin" "${home}/tools/bisheng_compiler/bin")
    set(missing "")
    foreach(tool PTO_ASCEND_CC PTO_ASCEND_CCEC PTO_ASCEND_LD)
        if(NOT ${tool})
            list(APPEND missing ${tool})
        endif()
    endforeach()
    if(missing)
        string(REPLACE ";" ", " missing "${missing}")
        message(STATUS "pto_runtime: ASCEND_HOME_PATH=${home} has no compilers for an NPU "
                       "(${missing}); building for the simulator only. Install the CANN toolkit, "
                       "or set these to the compilers' paths.")
    else()
        set(PTO_HAS_ASCEND ON)
        message(STATUS "pto_runtime: building for ${PTO_ASCEND_ARCH} with ${PTO_ASCEND_CCEC} too; "
                       "the simulator's programs go to sim/")
    endif()
endif()

set_property(GLOBAL PROPERTY PTO_HAS_ASCEND ${PTO_HAS_ASCEND})
set_property(GLOBAL PROPERTY PTO_ASCEND_CMAKE_DIR "${CMAKE_CURRENT_LIST_DIR}")

# pto_write_aicore_unit(<file> <kernels.c>...): the one file that the AICore's compiler is given.
function(pto_write_aicore_unit file)
    set(text "// Made by the build: the AICore program as one file.\n")
    foreach(source ${ARGN})
        string(APPEND text "#include \"${source}\"\n")
    endforeach()
    string(APPEND text "#include \"aicore/worker.c\"\n#include \"aicore/entry_aicore.cc\"\n")
    file(GENERATE OUTPUT ${file} CONTENT "${text}")
endfunction()

# Makes the target pto_add_section, once.
function(pto_need_add_section)
    get_property(cmake_dir GLOBAL PROPERTY PTO_ASCEND_CMAKE_DIR)
    if(NOT TARGET pto_add_section)
        add_executable(pto_add_section EXCLUDE_FROM_ALL ${cmake_dir}/add_section.c)
        set_target_properties(pto_add_section PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON)
        if(TARGET pto_options)
            target_link_libraries(pto_add_section PRIVATE pto_options pto_strict)
        endif()
    endif()
endfunction()

# pto_add_ascend_kernels(<target> <output> <the simulator's target> <kernels.c>...
#                        [INCLUDE_DIRECTORIES <dir>...] [COMPILE_DEFINITIONS <name[=value]>...])
# All sources become one file, in which every name has one meaning. The records that describe the
# kernels are taken from the simulator's program.
function(pto_add_ascend_kernels target output sim_target)
    cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "INCLUDE_DIRECTORIES;COMPILE_DEFINITIONS")
    get_property(device_dir GLOBAL PROPERTY PTO_DEVICE_SOURCE_DIR)
    get_property(include_dir GLOBAL PROPERTY PTO_DEVICE_INCLUDE_DIR)
    pto_need_add_section()
    get_filename_component(folder ${output} DIRECTORY)
    set(work ${CMAKE_CURRENT_BINARY_DIR}/${target}_ascend)
    set(sources "")
    set(header_patterns ${device_dir}/abi/*.h ${device_dir}/aicore/*.h ${include_dir}/pto/*.h)
    foreach(source ${arg_UNPARSED_ARGUMENTS})
        get_filename_component(source ${source} ABSOLUTE)
        list(APPEND sources ${source})
        get_filename_component(source_dir ${source} DIRECTORY)
        list(APPEND header_patterns ${source_dir}/*.h)
    endforeach()
    set(options -I${device_dir} -I${include_dir})
    foreach(directory ${arg_INCLUDE_DIRECTORIES})
        get_filename_component(directory ${directory} ABSOLUTE)
        list(APPEND options -I${directory})
        list(APPEND header_patterns ${directory}/*.h)
    endforeach()
    foreach(definition ${arg_COMPILE_DEFINITIONS})
        list(APPEND options -D${definition})
    endforeach()
    pto_write_aicore_unit(${work}/program.cce ${sources})
    set(objects "")
    set(commands "")
    foreach(core cube vec)
        set(object ${work}/${core}.o)
        list(APPEND objects ${object})
        list(APPEND commands COMMAND ${PTO_ASCEND_CCEC} -c -O3 -g -x cce -Wall -std=c++17
            --cce-aicore-only --cce-aicore-arch=${PTO_ASCEND_ARCH}-${core}
            -mllvm -cce-aicore-stack-size=0x8000 -mllvm -cce-aicore-function-stack-size=0x8000
            -mllvm -cce-aicore-record-overflow=false -mllvm -cce-aicore-addr-transform
            -mllvm -cce-aicore-dcci-insert-for-scalar=false
            ${options} -o ${object} ${work}/program.cce)
    endforeach()
    file(GLOB headers CONFIGURE_DEPENDS ${header_patterns})
    add_custom_command(
        OUTPUT ${output}
        DEPENDS ${sources} ${headers} ${work}/program.cce ${sim_target} pto_add_section
                ${device_dir}/aicore/worker.c ${device_dir}/aicore/entry_aicore.cc
        COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
        ${commands}
        COMMAND ${PTO_ASCEND_LD} -m aicorelinux -Ttext=0 -static -n -o ${output} ${objects}
        COMMAND ${CMAKE_OBJCOPY} -O binary --only-section=pto_kernels
                $<TARGET_FILE:${sim_target}> ${work}/records.bin
        COMMAND pto_add_section ${output} pto_kernels ${work}/records.bin
        COMMENT "Building ${output} for the NPU"
        VERBATIM)
    add_custom_target(${target} ALL DEPENDS ${output})
endfunction()
