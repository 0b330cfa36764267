# SPDX-License-Identifier: Apache-2.0
# Compile and link options as interface targets. Nothing here touches a global flag, so a project
# that adds this one with add_subdirectory() keeps its own.
#
#   pto_options   language, warnings, hardening, sanitizers: everything of ours links it
#   pto_strict    the warnings that Python's type slots cannot pass: everything but python/
# PTO_OWN_OPTIONS tells functions that projects outside may call too which side they are on.
set(PTO_OWN_OPTIONS ON)
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

add_library(pto_options INTERFACE)
target_compile_features(pto_options INTERFACE c_std_11)
target_compile_options(pto_options INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla -Wundef -fvisibility=hidden)

add_library(pto_strict INTERFACE)
target_compile_options(pto_strict INTERFACE -Wpedantic -Wmissing-prototypes)

# POSIX 2008 and the few names that every Unix has beyond it (MAP_ANONYMOUS, syscall). A file that
# needs a platform's own names is named for the platform, and its folder's build file asks for them.
target_compile_definitions(pto_options INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)

set(optimised "$<OR:$<CONFIG:Release>,$<CONFIG:RelWithDebInfo>,$<CONFIG:MinSizeRel>>")
check_c_compiler_flag(-fstack-protector-strong PTO_HAS_STACK_PROTECTOR)
if(PTO_HAS_STACK_PROTECTOR)
    target_compile_options(pto_options INTERFACE -fstack-protector-strong)
endif()
check_linker_flag(C "LINKER:-z,relro,-z,now" PTO_HAS_RELRO)
if(PTO_HAS_RELRO)
    target_link_options(pto_options INTERFACE "LINKER:-z,relro,-z,now")
endif()

if(PTO_SANITIZE)
    string(MAKE_C_IDENTIFIER "PTO_CAN_SANITIZE_${PTO_SANITIZE}" can_sanitize)
    set(CMAKE_REQUIRED_LINK_OPTIONS -fsanitize=${PTO_SANITIZE})
    check_c_compiler_flag(-fsanitize=${PTO_SANITIZE} ${can_sanitize})
    unset(CMAKE_REQUIRED_LINK_OPTIONS)
    if(NOT ${can_sanitize})
        message(FATAL_ERROR "PTO_SANITIZE=${PTO_SANITIZE}: ${CMAKE_C_COMPILER} cannot compile and "
                            "link a program with -fsanitize=${PTO_SANITIZE}. Install its sanitizer "
                            "libraries, or leave PTO_SANITIZE empty.")
    endif()
    target_compile_options(pto_options INTERFACE
        -fsanitize=${PTO_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
        $<$<CONFIG:Debug>:-O1>)
    target_link_options(pto_options INTERFACE -fsanitize=${PTO_SANITIZE})
else()
    # Some compilers define a level of their own, hence the undefinition. Instrumented kernels show
    # calls of the plain functions, see PtoKernels.cmake.
    set(plain "$<BOOL:$<TARGET_PROPERTY:PTO_INSTRUMENTED>>")
    target_compile_options(pto_options INTERFACE
        "$<$<AND:${optimised},$<NOT:${plain}>>:SHELL:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>")
endif()

# A module that lacks a symbol should fail to link here, not to load there. The sanitizers' run
# time comes from the executable, so it cannot be asked for with them.
set(PTO_LINK_WHOLE "")
check_linker_flag(C "LINKER:-z,defs" PTO_HAS_Z_DEFS)
if(PTO_HAS_Z_DEFS AND NOT PTO_SANITIZE)
    set(PTO_LINK_WHOLE "LINKER:-z,defs")
endif()

# A program of ours: C11 without extensions, position independent, only what is marked visible.
function(pto_target_defaults target)
    set_target_properties(${target} PROPERTIES
        C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
    target_include_directories(${target} PRIVATE
        ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:pto_options>)
endfunction()
