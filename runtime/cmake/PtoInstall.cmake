# SPDX-License-Identifier: Apache-2.0
# make install: the C library, its headers, the two device programs, what building one's own
# kernel.o takes, and the descriptions for find_package() and pkg-config. Every path in them is
# relative, so an installed tree may be moved. The Python package is installed by pip instead.
include(CMakePackageConfigHelpers)

set(PTO_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/pto_runtime)
set(PTO_PROGRAM_DIR ${CMAKE_INSTALL_LIBDIR}/pto_runtime)
set(PTO_DEVICE_DIR ${CMAKE_INSTALL_DATADIR}/pto_runtime/device)
set(part COMPONENT development)

install(TARGETS pto_runtime pto_runtime_static EXPORT pto_runtimeTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ${part}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} ${part})
install(TARGETS aicpu_graph_kernel aicpu_graph_kernel_explore
        LIBRARY DESTINATION ${PTO_PROGRAM_DIR}/${PTO_SIM_FOLDER}aicpu ${part})
set(kernel_programs aicore_kernel aicore_kernel_explore)
if(TARGET aicore_kernel_check)
    list(APPEND kernel_programs aicore_kernel_check)
endif()
install(TARGETS ${kernel_programs}
        LIBRARY DESTINATION ${PTO_PROGRAM_DIR}/${PTO_SIM_FOLDER}aicore ${part})
if(PTO_HAS_ASCEND)
    install(FILES ${PROJECT_BINARY_DIR}/aicpu/libaicpu_graph_kernel.so
            DESTINATION ${PTO_PROGRAM_DIR}/aicpu ${part})
    install(FILES ${PROJECT_BINARY_DIR}/aicore/kernel.o
            DESTINATION ${PTO_PROGRAM_DIR}/aicore ${part})
endif()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/pto DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} ${part}
        FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${PROJECT_SOURCE_DIR}/abi ${PROJECT_SOURCE_DIR}/aicore
        DESTINATION ${PTO_DEVICE_DIR} ${part}
        FILES_MATCHING PATTERN "*.h" PATTERN "*.c" PATTERN "*.cc")
install(FILES ${PROJECT_SOURCE_DIR}/../LICENSE
        DESTINATION ${CMAKE_INSTALL_DOCDIR} ${part})

install(EXPORT pto_runtimeTargets NAMESPACE pto_runtime:: DESTINATION ${PTO_CMAKE_DIR} ${part})
set(config_dir ${PROJECT_BINARY_DIR}/package)
set(include_dir ${CMAKE_INSTALL_INCLUDEDIR})
configure_package_config_file(
    ${PROJECT_SOURCE_DIR}/cmake/pto_runtimeConfig.cmake.in ${config_dir}/pto_runtimeConfig.cmake
    INSTALL_DESTINATION ${PTO_CMAKE_DIR}
    PATH_VARS PTO_PROGRAM_DIR PTO_DEVICE_DIR include_dir)
write_basic_package_version_file(
    ${config_dir}/pto_runtimeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${config_dir}/pto_runtimeConfig.cmake
    ${config_dir}/pto_runtimeConfigVersion.cmake
    ${PROJECT_SOURCE_DIR}/cmake/add_section.c
    ${PROJECT_SOURCE_DIR}/cmake/PtoAscend.cmake
    ${PROJECT_SOURCE_DIR}/cmake/PtoKernels.cmake
    DESTINATION ${PTO_CMAKE_DIR} ${part})

# pkg-config wants the way from its file's folder back to the prefix; a folder that was given as an
# absolute path stays one.
file(RELATIVE_PATH PTO_PC_PREFIX
     ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" PTO_PC_PREFIX "${PTO_PC_PREFIX}")
foreach(folder LIBDIR INCLUDEDIR)
    set(PTO_PC_${folder} "${CMAKE_INSTALL_${folder}}")
    if(NOT IS_ABSOLUTE "${PTO_PC_${folder}}")
        set(PTO_PC_${folder} "\${prefix}/${PTO_PC_${folder}}")
    endif()
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/cmake/pto_runtime.pc.in ${config_dir}/pto_runtime.pc @ONLY)
install(FILES ${config_dir}/pto_runtime.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig ${part})
