# The few verbs that every CMakeLists.txt of the project uses.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(millrace_flags INTERFACE)
# Designated initializers leave members to their defaults on purpose.
# -pthread everywhere: RE2 and others ask for it, and a precompiled header fits only one setting.
target_compile_options(millrace_flags INTERFACE -Wall -Wextra -Wno-missing-field-initializers -pthread $<$<BOOL:${MILLRACE_WERROR}>:-Werror>
  # Sources that are compiled together (CMAKE_UNITY_BUILD) look like headers to this one.
  $<$<BOOL:${CMAKE_UNITY_BUILD}>:-Wno-subobject-linkage>
  # GCC 12 warns of its own inlined std::string copies (GCC bugs 105329, 105651): shown, but no errors.
  $<$<BOOL:${MILLRACE_WERROR}>:-Wno-error=stringop-overflow> $<$<BOOL:${MILLRACE_WERROR}>:-Wno-error=stringop-overread>
  $<$<BOOL:${MILLRACE_WERROR}>:-Wno-error=restrict> $<$<BOOL:${MILLRACE_WERROR}>:-Wno-error=array-bounds>)
target_include_directories(millrace_flags INTERFACE ${PROJECT_SOURCE_DIR})
# Asio: one thread runs a loop, and nothing of its deprecated names is used.
target_compile_definitions(millrace_flags INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ALL_NO_LIB)
if(MILLRACE_SANITIZE)
  # What a sanitizer adds to the code makes GCC 12 warn of <regex>'s own variables, and of how coroutines' frames are freed.
  add_compile_options(-fsanitize=${MILLRACE_SANITIZE} -fno-omit-frame-pointer -g1 -Wno-maybe-uninitialized
                      -Wno-mismatched-new-delete)
  add_link_options(-fsanitize=${MILLRACE_SANITIZE})
  add_compile_definitions(MILLRACE_SANITIZED)
  if(MILLRACE_SANITIZE MATCHES thread)
    add_compile_options(-Wno-tsan)  # GCC warns of Asio's fences, which the sanitizer does not follow
    # Protobuf's headers lay messages out differently for it than Debian's library, which was built without.
    add_compile_options(-U__SANITIZE_THREAD__)
  endif()
endif()

# The tests themselves are not optimised: what they test is.
set(MILLRACE_TEST_OPTIONS $<$<CONFIG:Release>:-O0>)

# The allocator of what runs long or much: what one thread allocates another frees, which glibc's arenas do slowly (twice the
# CPU of an item, tests/bench/engine_bench). A sanitizer brings its own.
add_library(millrace_allocator INTERFACE)
if(NOT MILLRACE_SANITIZE)
  target_link_libraries(millrace_allocator INTERFACE PkgConfig::JEMALLOC)
  target_sources(millrace_allocator INTERFACE ${PROJECT_SOURCE_DIR}/server/process/allocator.cc)
endif()

# What nearly every source includes, parsed once: a third of the build's time. Sources include what they use all the same.
# (Not with sanitizers: their builds are rare.) One set for the parts, one with GoogleTest for the tests.
option(MILLRACE_PCH "Use precompiled headers" ON)
set(MILLRACE_PCH_HEADERS
  <algorithm> <chrono> <cstdint> <functional> <map> <memory> <optional> <string> <string_view> <utility> <vector>
  <boost/asio/awaitable.hpp> <boost/json/fwd.hpp> <absl/functional/any_invocable.h> <absl/status/statusor.h>
  <fmt/format.h> <google/protobuf/message.h>)
# All that reuse them link what they come from: a precompiled header fits only where the same macros are set.
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

# millrace_library(NAME SOURCES a.cc … DEPS lib …): a static library with the project's flags.
function(millrace_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC millrace_flags ${ARG_DEPS})
  if(MILLRACE_PCH)
    target_link_libraries(${name} PRIVATE millrace_header_sources)
    target_precompile_headers(${name} REUSE_FROM millrace_headers)
  endif()
endfunction()

# millrace_test(NAME SOURCES a_test.cc … DEPS lib …): a GoogleTest program that ctest runs as one test.
function(millrace_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE millrace_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  # Each test file has helpers of its own, and is compiled more often than it is run.
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)
  target_compile_options(${name} PRIVATE ${MILLRACE_TEST_OPTIONS})
  if(MILLRACE_PCH)
    target_link_libraries(${name} PRIVATE millrace_header_sources)
    target_precompile_headers(${name} REUSE_FROM millrace_test_headers)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()
