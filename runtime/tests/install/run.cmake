# SPDX-License-Identifier: Apache-2.0
# Installs the build, moves the tree, and uses it as an outside project would: by find_package(),
# with its own kernel.o, and by pkg-config. And uses the sources, by add_subdirectory().
function(run)
    execute_process(COMMAND ${ARGV} RESULT_VARIABLE code OUTPUT_VARIABLE output
                    ERROR_VARIABLE output)
    if(NOT code EQUAL 0)
        string(REPLACE ";" " " command "${ARGV}")
        message(FATAL_ERROR "${command}\nended with ${code}:\n${output}")
    endif()
    set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/first)
file(RENAME ${WORK_DIR}/first ${WORK_DIR}/prefix)

function(use folder how)
    run(${CMAKE_COMMAND} -S ${SOURCE_DIR} -B ${WORK_DIR}/${folder} -G ${GENERATOR}
        -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_BUILD_TYPE=Release ${how})
    run(${CMAKE_COMMAND} --build ${WORK_DIR}/${folder} --parallel 2)
    foreach(kind shared static)
        run(${WORK_DIR}/${folder}/use_${kind})
        if(CMAKE_HOST_SYSTEM_NAME STREQUAL "Linux")
            run(${CMAKE_COMMAND} -E env PTO_CHECK=all ${WORK_DIR}/${folder}/use_${kind})
        endif()
        string(STRIP "${output}" output)
        message(STATUS "${how}, ${kind}: ${output}")
    endforeach()
endfunction()

use(subdirectory -DPTO_SOURCE_DIR=${PTO_SOURCE_DIR})
use(build -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix)

find_program(PKG_CONFIG NAMES pkg-config pkgconf)
if(NOT PKG_CONFIG)
    message(STATUS "pkg-config is not installed; not tried")
    return()
endif()
file(GLOB_RECURSE description ${WORK_DIR}/prefix/pto_runtime.pc)
get_filename_component(folder ${description} DIRECTORY)
set(ENV{PKG_CONFIG_PATH} ${folder})
run(${PKG_CONFIG} --cflags --libs pto_runtime)
string(STRIP "${output}" flags)
separate_arguments(flags UNIX_COMMAND "${flags}")
run(${PKG_CONFIG} --variable=libdir pto_runtime)
string(STRIP "${output}" library_dir)
run(${PKG_CONFIG} --variable=aicpu_program pto_runtime)
string(STRIP "${output}" aicpu)
run(${C_COMPILER} -std=c11 -DAICPU_PROGRAM="${aicpu}"
    -DKERNELS="${WORK_DIR}/build/kernels/outside.o"
    ${SOURCE_DIR}/main.c -o ${WORK_DIR}/use_pkg_config ${flags} -Wl,-rpath,${library_dir})
run(${WORK_DIR}/use_pkg_config)
message(STATUS "pkg-config: ${output}")
