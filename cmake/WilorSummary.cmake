message(STATUS "wilor ${PROJECT_VERSION}: ${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}, ${CMAKE_BUILD_TYPE}")
message(STATUS "  pictures: ${WILOR_IO_SUMMARY}")
message(STATUS "  downloads: ${WILOR_HUB_SUMMARY}")
message(STATUS "  program: ${WILOR_TOOLS}, tests: ${WILOR_TESTS}, benchmarks: ${WILOR_BENCH}, sanitizer: ${WILOR_SANITIZE}")
