# How every library and test of the project is built.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# SystemC: its own package file where there is one; Debian 12 has only systemc.pc. Debian built the library as C++17, and its
# headers choose a link symbol by the language version: SC_CPLUSPLUS pins it, so that C++20 code links.
find_package(SystemCLanguage CONFIG QUIET)
if(NOT TARGET SystemC::systemc)
  pkg_check_modules(SYSTEMC REQUIRED IMPORTED_TARGET GLOBAL systemc)
  add_library(SystemC::systemc INTERFACE IMPORTED GLOBAL)
  target_link_libraries(SystemC::systemc INTERFACE PkgConfig::SYSTEMC)
  target_compile_definitions(SystemC::systemc INTERFACE SC_CPLUSPLUS=201703L)
endif()

# Position-independent code, yet nothing of ours is replaced at load time: calls inside a file may be inlined, calls into
# SystemC go without the detour over the PLT.
add_compile_options(-fno-semantic-interposition -fno-plt)

option(UNDERSTUDY_WERROR "Warnings are errors" ON)
set(UNDERSTUDY_SANITIZE "" CACHE STRING "Sanitizers to build with: address, undefined")
add_library(understudy_warnings INTERFACE)
target_compile_options(understudy_warnings INTERFACE -Wall -Wextra -Wpedantic $<$<BOOL:${UNDERSTUDY_WERROR}>:-Werror>)
if(UNDERSTUDY_SANITIZE)
  add_compile_options(-fsanitize=${UNDERSTUDY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${UNDERSTUDY_SANITIZE})
endif()

# understudy_library(name SOURCES ... [LIBS ...]): a static library whose includes start at the repository's root.
function(understudy_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                            $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/understudy>)
  target_link_libraries(${name} PUBLIC ${A_LIBS} PRIVATE $<BUILD_INTERFACE:understudy_warnings>)
endfunction()

# Every test that is labelled `sanitize`: what the sanitizers' builds need.
add_custom_target(sanitize_tests)

# understudy_test(name SOURCES ... LIBS ... [LABELS ...] [TIMEOUT seconds] [EACH]): a GoogleTest program. EACH: every test case in
# a process of its own (SystemC can elaborate once in a process).
function(understudy_test name)
  cmake_parse_arguments(A "EACH" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_LIBS} understudy_warnings GTest::gtest GTest::gmock)
  if("sanitize" IN_LIST A_LABELS)
    add_dependencies(sanitize_tests ${name})
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  if(UNDERSTUDY_SANITIZE)  # not optimised, and instrumented
    math(EXPR A_TIMEOUT "5 * ${A_TIMEOUT}")
  endif()
  include(GoogleTest)
  if(A_EACH)
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}")
  else()
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}")
  endif()
endfunction()

# understudy_long_test(name TARGET program FILTER cases [ENVIRONMENT ...] TIMEOUT seconds [RUN_SERIAL]): cases of a GoogleTest program
# at length, by the preset nightly. It fails where the filter finds no case, and is skipped where each of them skips itself.
function(understudy_long_test name)
  cmake_parse_arguments(A "RUN_SERIAL" "TARGET;FILTER;TIMEOUT" "ENVIRONMENT" ${ARGN})
  add_test(NAME ${name} COMMAND sh ${PROJECT_SOURCE_DIR}/cmake/run_cases.sh $<TARGET_FILE:${A_TARGET}> ${A_FILTER})
  set_tests_properties(${name} PROPERTIES LABELS nightly TIMEOUT ${A_TIMEOUT} RUN_SERIAL "${A_RUN_SERIAL}" ENVIRONMENT
                       "${A_ENVIRONMENT}" SKIP_RETURN_CODE 77)
endfunction()
