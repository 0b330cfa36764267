# SPDX-License-Identifier: Apache-2.0
# The build type when none is asked for: Release, or Debug under a sanitizer, whose reports need
# symbols and whose runs should not skip the assertions that NDEBUG removes.
get_property(is_multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(PTO_IS_TOP_LEVEL AND NOT is_multi_config AND NOT CMAKE_BUILD_TYPE)
    if(PTO_SANITIZE)
        set(build_type Debug)
    else()
        set(build_type Release)
    endif()
    set(CMAKE_BUILD_TYPE ${build_type} CACHE STRING "Build type" FORCE)
    set_property(CACHE CMAKE_BUILD_TYPE PROPERTY STRINGS Debug Release RelWithDebInfo MinSizeRel)
    message(STATUS "pto_runtime: build type ${build_type}, since none was given")
endif()
unset(is_multi_config)
