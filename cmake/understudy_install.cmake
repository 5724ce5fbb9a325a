# `cmake --install`: libraries, headers, libunderstudy.so, the program, scenarios with their captures, documentation, and a package for
# find_package(understudy). Included when every target exists.
include(CMakePackageConfigHelpers)

set(model_libraries understudy_core understudy_sim understudy_pcie understudy_net understudy_rtl understudy_cosim understudy_adapter)
set(host_libraries understudy_host_driver understudy_host_sockets)
set(platform_libraries understudy_tb_scenario understudy_tb_report understudy_tb_workload understudy_tb_peers
  understudy_tb_monitors understudy_tb_platform understudy_tb_cli)

# What users link: one target a level, which brings its libraries.
foreach(level model host platform)
  add_library(understudy_${level}_level INTERFACE)
  target_link_libraries(understudy_${level}_level INTERFACE ${${level}_libraries})
endforeach()
target_compile_features(understudy_model_level INTERFACE cxx_std_20)
target_compile_features(understudy_host_level INTERFACE cxx_std_20)
target_compile_features(understudy_platform_level INTERFACE cxx_std_20)
set_target_properties(understudy_model_level PROPERTIES EXPORT_NAME model)
set_target_properties(understudy_host_level PROPERTIES EXPORT_NAME host_sw)
set_target_properties(understudy_platform_level PROPERTIES EXPORT_NAME platform)

# Generated RTL code is linked, never included, by those who use the package.
get_target_property(rtl_includes understudy_rtl INTERFACE_INCLUDE_DIRECTORIES)
set_target_properties(understudy_rtl PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "$<BUILD_INTERFACE:${rtl_includes}>"
  INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "$<BUILD_INTERFACE:${rtl_includes}>")

install(TARGETS ${model_libraries} ${host_libraries} ${platform_libraries}
  understudy_model_level understudy_host_level understudy_platform_level
  EXPORT understudy_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/understudy)
install(TARGETS understudy_embed EXPORT understudy_targets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES tb/embed/include/understudy/embed.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/understudy)
configure_file(cmake/understudy.pc.in ${PROJECT_BINARY_DIR}/understudy.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/understudy.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(TARGETS understudy RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY model host_sw tb DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/understudy
  FILES_MATCHING PATTERN "*.h" PATTERN test EXCLUDE PATTERN embed EXCLUDE PATTERN examples EXCLUDE)

set(data_dir ${CMAKE_INSTALL_DATADIR}/understudy)
install(DIRECTORY traces/scenarios traces/captures DESTINATION ${data_dir}/traces)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY tb/examples DESTINATION ${data_dir} OPTIONAL PATTERN __pycache__ EXCLUDE)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/understudy)
set(UNDERSTUDY_TRACES ${data_dir}/traces)
configure_package_config_file(cmake/understudyConfig.cmake.in ${PROJECT_BINARY_DIR}/understudyConfig.cmake
  INSTALL_DESTINATION ${package_dir} PATH_VARS UNDERSTUDY_TRACES)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/understudyConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/understudyConfig.cmake ${PROJECT_BINARY_DIR}/understudyConfigVersion.cmake
  DESTINATION ${package_dir})
install(EXPORT understudy_targets FILE understudyTargets.cmake NAMESPACE understudy:: DESTINATION ${package_dir})
