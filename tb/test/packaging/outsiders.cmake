# Install BUILD into a folder of its own, build each project in EXAMPLES against it, run both: and see the driver's run fail
# where it must.
function(must_run expected)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
  if(NOT status EQUAL expected)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "exit status ${status} instead of ${expected}: ${command}\n${text}")
  endif()
  set(output "${text}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK})
set(prefix ${WORK}/prefix)
must_run(0 ${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
foreach(project own_platform own_driver)
  must_run(0 ${CMAKE_COMMAND} -G Ninja -S ${EXAMPLES}/${project} -B ${WORK}/${project} -DCMAKE_BUILD_TYPE=Release
           -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_CXX_COMPILER_LAUNCHER=$ENV{CMAKE_CXX_COMPILER_LAUNCHER})
  must_run(0 ${CMAKE_COMMAND} --build ${WORK}/${project})
endforeach()

must_run(0 ${WORK}/own_platform/own_platform)
message("${output}")
set(scenario ${prefix}/share/understudy/traces/scenarios/failover.toml)
must_run(0 ${WORK}/own_driver/own_driver run ${scenario} --out ${WORK}/results --captures off)
message("${output}")
must_run(1 ${WORK}/own_driver/own_driver run ${scenario} --out ${WORK}/results --captures off --set topology.adapters=1)
must_run(0 ${prefix}/bin/understudy run ${scenario} --out ${WORK}/results --captures off)
message("outsiders: 2 projects built and run")
