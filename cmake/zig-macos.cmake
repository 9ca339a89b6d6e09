# Cross compiling for macOS with zig (the PyPI package ziglang carries it), which brings the C library's
# headers and stubs, but none of Apple's frameworks:
#   cmake -S . -B build-macos --toolchain cmake/zig-macos.cmake -DWILOR_MACOS_ARCH=arm64 -DWILOR_ZIG=/…/zig
# WILOR_MACOS_PREFIX: where libraries for the target lie, if any do.
set(WILOR_MACOS_ARCH "arm64" CACHE STRING "arm64 or x86_64")
set(WILOR_MACOS_MINIMUM "11.0" CACHE STRING "The oldest macOS that the build is for")
set(WILOR_MACOS_PREFIX "/nonexistent" CACHE PATH "Libraries for the target")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES WILOR_ZIG WILOR_MACOS_ARCH WILOR_MACOS_MINIMUM WILOR_MACOS_PREFIX)
if(NOT WILOR_MACOS_ARCH MATCHES "^(arm64|x86_64)$")
  message(FATAL_ERROR "WILOR_MACOS_ARCH is '${WILOR_MACOS_ARCH}'; it may be arm64 or x86_64")
endif()
find_program(WILOR_ZIG zig NO_CMAKE_FIND_ROOT_PATH)
if(NOT WILOR_ZIG)
  message(FATAL_ERROR "zig is not on PATH; -DWILOR_ZIG=… names it")
endif()

set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_VERSION 20) # macOS 11's
set(CMAKE_SYSTEM_PROCESSOR ${WILOR_MACOS_ARCH})
set(CMAKE_C_COMPILER ${WILOR_ZIG} cc)
string(REPLACE "arm64" "aarch64" cpu ${WILOR_MACOS_ARCH})
set(CMAKE_C_COMPILER_TARGET ${cpu}-macos.${WILOR_MACOS_MINIMUM})
set(CMAKE_OSX_SYSROOT "")
set(CMAKE_OSX_DEPLOYMENT_TARGET "")
# Two words each, where CMake looks for one program.
set(CMAKE_C_ARCHIVE_CREATE "${WILOR_ZIG} ar qc <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_C_ARCHIVE_APPEND "${WILOR_ZIG} ar q <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_C_ARCHIVE_FINISH "${WILOR_ZIG} ranlib <TARGET>")
# `cmake --install` takes the build tree's folders out of what it installs.
find_program(CMAKE_INSTALL_NAME_TOOL NAMES llvm-install-name-tool llvm-install-name-tool-14
             llvm-install-name-tool-15 llvm-install-name-tool-16 llvm-install-name-tool-19 NO_CMAKE_FIND_ROOT_PATH)

# This machine's own libraries are another system's.
set(CMAKE_FIND_ROOT_PATH ${WILOR_MACOS_PREFIX})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${WILOR_MACOS_PREFIX}/lib/pkgconfig)
