# Functions that every CMakeLists.txt of the project uses.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# gold links a program in a quarter of the time. Debian's binutils have it; without it the compiler's own linker is used.
include(CheckLinkerFlag)
check_linker_flag(CXX -fuse-ld=gold MILLRACE_HAS_GOLD)
if(MILLRACE_HAS_GOLD)
  add_link_options(-fuse-ld=gold)
endif()

add_library(millrace_flags INTERFACE)
# Designated initializers omit members on purpose, so that these keep their defaults.
# -pthread everywhere: RE2 and others require it, and a precompiled header works with one setting only.
target_compile_options(millrace_flags INTERFACE -Wall -Wextra -Wno-missing-field-initializers -pthread $<$<BOOL:${MILLRACE_WERROR}>:-Werror>
  # Sources that are compiled together (CMAKE_UNITY_BUILD) look like headers to this warning.
  $<$<BOOL:${CMAKE_UNITY_BUILD}>:-Wno-subobject-linkage>
  # GCC 12 warns about its own inlined std::string copies (GCC bugs 105329, 105651): warn, but do not fail.
  $<$<BOOL:${MILLRACE_WERROR}>:-Wno-error=stringop-overflow> $<$<BOOL:${MILLRACE_WERROR}>:-Wno-error=stringop-overread>
  $<$<BOOL:${MILLRACE_WERROR}>:-Wno-error=restrict> $<$<BOOL:${MILLRACE_WERROR}>:-Wno-error=array-bounds>)
target_include_directories(millrace_flags INTERFACE ${PROJECT_SOURCE_DIR})
# Asio without its deprecated names; one thread runs a loop.
target_compile_definitions(millrace_flags INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ALL_NO_LIB)
if(MILLRACE_SANITIZE)
  # With a sanitizer, GCC 12 warns about <regex>'s own variables and about the deallocation of coroutine frames.
  add_compile_options(-fsanitize=${MILLRACE_SANITIZE} -fno-omit-frame-pointer -g1 -Wno-maybe-uninitialized
                      -Wno-mismatched-new-delete)
  add_link_options(-fsanitize=${MILLRACE_SANITIZE})
  add_compile_definitions(MILLRACE_SANITIZED)
  if(MILLRACE_SANITIZE MATCHES thread)
    add_compile_options(-Wno-tsan)  # GCC warns of Asio's fences, which the sanitizer does not understand
    # With the thread sanitizer, protobuf's headers lay out messages differently than in Debian's library, which was
    # built without it.
    add_compile_options(-U__SANITIZE_THREAD__)
  endif()
endif()

# Tests are not optimised, but the code under test is.
set(MILLRACE_TEST_OPTIONS $<$<CONFIG:Release>:-O0>)

# Allocator of the long-running and busy programs. Memory that one thread allocates is freed by another, which glibc's
# arenas do slowly (twice the CPU time per item, tests/bench/engine_bench). Sanitizers bring their own allocator.
add_library(millrace_allocator INTERFACE)
if(NOT MILLRACE_SANITIZE)
  target_link_libraries(millrace_allocator INTERFACE PkgConfig::JEMALLOC)
  target_sources(millrace_allocator INTERFACE ${PROJECT_SOURCE_DIR}/server/process/allocator.cc)
endif()

# Headers that nearly every source includes, parsed once, which saves a third of the build time. Sources still include
# the headers that they use. One set for the libraries, one with GoogleTest for the tests.
option(MILLRACE_PCH "Use precompiled headers" ON)
set(MILLRACE_PCH_HEADERS
  <algorithm> <chrono> <cstdint> <functional> <map> <memory> <optional> <string> <string_view> <utility> <vector>
  <boost/asio/awaitable.hpp> <boost/json/fwd.hpp> <absl/functional/any_invocable.h> <absl/status/statusor.h>
  <fmt/format.h> <google/protobuf/message.h>)
# Users of the precompiled headers link their sources, because a precompiled header requires equal macros.
add_library(millrace_header_sources INTERFACE)
function(millrace_precompile_headers)
  if(NOT MILLRACE_PCH)
    return()
  endif()
  target_link_libraries(millrace_header_sources INTERFACE millrace_flags absl::statusor absl::any_invocable fmt::fmt
                        Boost::json protobuf::libprotobuf Threads::Threads)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled.cc CONTENT "// Only its precompiled header is used.\n")
  add_library(millrace_headers STATIC ${CMAKE_BINARY_DIR}/precompiled.cc)
  target_link_libraries(millrace_headers PRIVATE millrace_header_sources)
  target_precompile_headers(millrace_headers PRIVATE ${MILLRACE_PCH_HEADERS})
  if(MILLRACE_TESTS)
    add_library(millrace_test_headers STATIC ${CMAKE_BINARY_DIR}/precompiled.cc)
    target_link_libraries(millrace_test_headers PRIVATE millrace_header_sources GTest::gmock)
    target_compile_options(millrace_test_headers PRIVATE ${MILLRACE_TEST_OPTIONS})
    target_precompile_headers(millrace_test_headers PRIVATE ${MILLRACE_PCH_HEADERS} <gmock/gmock.h> <gtest/gtest.h>)
  endif()
endfunction()

# millrace_library(NAME SOURCES a.cc … DEPS lib …): static library with the project's flags.
function(millrace_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC millrace_flags ${ARG_DEPS})
  if(MILLRACE_PCH)
    target_link_libraries(${name} PRIVATE millrace_header_sources)
    target_precompile_headers(${name} REUSE_FROM millrace_headers)
  endif()
endfunction()

# millrace_test(NAME SOURCES a_test.cc … DEPS lib … [HEADER path] [TIMEOUT seconds]): GoogleTest program that ctest
# runs as one test. HEADER, which most of its sources include, is parsed once for all of them.
function(millrace_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT;HEADER" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE millrace_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  # Test files repeat the names of their helpers, and are compiled more often than run.
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)
  target_compile_options(${name} PRIVATE ${MILLRACE_TEST_OPTIONS})
  if(MILLRACE_PCH)
    target_link_libraries(${name} PRIVATE millrace_header_sources)
    if(ARG_HEADER)
      target_precompile_headers(${name} PRIVATE ${MILLRACE_PCH_HEADERS} <gmock/gmock.h> <gtest/gtest.h>
                                ${PROJECT_SOURCE_DIR}/${ARG_HEADER})
    else()
      target_precompile_headers(${name} REUSE_FROM millrace_test_headers)
    endif()
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()
