# SPDX-License-Identifier: Apache-2.0
# Building the programs for an NPU with CANN's compilers, when ASCEND_HOME_PATH names a toolkit
# that has them: the scheduler by its gcc for the device's ARM cores, the worker and kernels by
# ccec, once for the cube and once for the vector cores, and ld.lld.
#
# Sets PTO_ASCEND_CC, PTO_ASCEND_CCEC, PTO_ASCEND_LD, and PTO_HAS_ASCEND when all three are there.
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

# The simulator's programs lie where an NPU's would, unless those do.
if(PTO_HAS_ASCEND)
    set(PTO_SIM_PROGRAM_DIR ${PROJECT_BINARY_DIR}/sim)
else()
    set(PTO_SIM_PROGRAM_DIR ${PROJECT_BINARY_DIR})
endif()

# pto_write_aicore_unit(<file> <kernels.c>...): the one file that the AICore's compiler is given.
function(pto_write_aicore_unit file)
    set(text "// Made by the build: the AICore program as one file.\n")
    foreach(source ${ARGN})
        string(APPEND text "#include \"${source}\"\n")
    endforeach()
    string(APPEND text "#include \"aicore/worker.c\"\n#include \"aicore/entry_aicore.cc\"\n")
    file(GENERATE OUTPUT ${file} CONTENT "${text}")
endfunction()

add_executable(add_section EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/cmake/add_section.c)
target_link_libraries(add_section PRIVATE pto_options pto_strict)

# pto_add_ascend_scheduler(<output> <file.c>...)
function(pto_add_ascend_scheduler output)
    get_filename_component(folder ${output} DIRECTORY)
    set(sources "")
    foreach(source ${ARGN})
        list(APPEND sources ${CMAKE_CURRENT_SOURCE_DIR}/${source})
    endforeach()
    file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/abi/*.h *.h)
    add_custom_command(
        OUTPUT ${output}
        DEPENDS ${sources} ${headers}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
        COMMAND ${PTO_ASCEND_CC} -std=gnu11 -O3 -fPIC -shared -fno-common -fvisibility=hidden
                -DPTO_TARGET_AICPU -I${PROJECT_SOURCE_DIR} -I${PROJECT_SOURCE_DIR}/include
                ${sources} -o ${output}
        COMMENT "Building the scheduler for the NPU"
        VERBATIM)
    add_custom_target(aicpu_graph_kernel_npu ALL DEPENDS ${output})
endfunction()

# pto_add_ascend_kernels(<target> <output> <the simulator's target> <kernels.c>...)
# The records that describe the kernels are taken from the simulator's program.
function(pto_add_ascend_kernels target output sim_target)
    get_filename_component(folder ${output} DIRECTORY)
    set(work ${CMAKE_CURRENT_BINARY_DIR}/${target}_ascend)
    set(sources "")
    foreach(source ${ARGN})
        get_filename_component(source ${source} ABSOLUTE)
        list(APPEND sources ${source})
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
            -I${PROJECT_SOURCE_DIR} -I${PROJECT_SOURCE_DIR}/include
            -o ${object} ${work}/program.cce)
    endforeach()
    file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/abi/*.h
         ${PROJECT_SOURCE_DIR}/aicore/*.h)
    add_custom_command(
        OUTPUT ${output}
        DEPENDS ${sources} ${headers} ${work}/program.cce ${sim_target}
                ${PROJECT_SOURCE_DIR}/aicore/worker.c ${PROJECT_SOURCE_DIR}/aicore/entry_aicore.cc
                ${PROJECT_SOURCE_DIR}/include/pto/kernel.h
        COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
        ${commands}
        COMMAND ${PTO_ASCEND_LD} -m aicorelinux -Ttext=0 -static -n -o ${output} ${objects}
        COMMAND ${CMAKE_OBJCOPY} -O binary --only-section=pto_kernels
                $<TARGET_FILE:${sim_target}> ${work}/records.bin
        COMMAND add_section ${output} pto_kernels ${work}/records.bin
        COMMENT "Building ${output} for the NPU"
        VERBATIM)
    add_custom_target(${target} ALL DEPENDS ${output})
endfunction()
