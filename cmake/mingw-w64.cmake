# Cross-building for 64-bit Windows: Debian's packages gcc-mingw-w64-x86-64 and g++-…, the variant whose
# threads are winpthreads. WILOR_MINGW_PREFIX: a folder with further libraries for Windows
# (scripts/build-windows-libraries makes one).
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES WILOR_MINGW_PREFIX)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
if(WILOR_MINGW_PREFIX)
  list(PREPEND CMAKE_FIND_ROOT_PATH ${WILOR_MINGW_PREFIX})
  # Only what was built for Windows may be found.
  set(ENV{PKG_CONFIG_LIBDIR} ${WILOR_MINGW_PREFIX}/lib/pkgconfig)
else()
  set(ENV{PKG_CONFIG_LIBDIR} /usr/x86_64-w64-mingw32/lib/pkgconfig)
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
find_program(WILOR_WINE NAMES wine64 PATHS /usr/lib/wine)
if(WILOR_WINE)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${WILOR_WINE})
endif()
