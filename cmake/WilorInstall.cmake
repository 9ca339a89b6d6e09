# What `cmake --install` puts where, what other builds find there (pkg-config files, a CMake package),
# and the target `uninstall`.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/wilor)

# Libraries and headers. The static libraries are an export of their own: they need more from who links
# them, and a machine without that can still use the shared ones.
set(libraries wilor)
if(WILOR_IO)
  list(APPEND libraries wilor_io)
endif()
foreach(library ${libraries})
  install(TARGETS ${library} EXPORT wilorTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(TARGETS ${library}_static EXPORT wilorStaticTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES include/wilor/${library}.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wilor)
endforeach()
install(EXPORT wilorTargets NAMESPACE wilor:: DESTINATION ${package_dir})
install(EXPORT wilorStaticTargets NAMESPACE wilor:: DESTINATION ${package_dir})

# What the static libraries need, for the templates: of the picture libraries those that were found.
set(WILOR_PICTURE_MODULES "")
set(WILOR_PICTURE_PACKAGES "")
if(WILOR_IO)
  foreach(pair JPEG:libjpeg PNG:libpng WEBP:libwebp)
    string(REPLACE ":" ";" pair ${pair})
    list(GET pair 0 name)
    list(GET pair 1 module)
    if(WILOR_${name} AND WILOR_${name}_LIB_FOUND)
      string(APPEND WILOR_PICTURE_MODULES " ${module}")
      list(APPEND WILOR_PICTURE_PACKAGES WILOR_${name}_LIB:${module})
    endif()
  endforeach()
  if(WILOR_VIDEO_FOUND)
    string(APPEND WILOR_PICTURE_MODULES " libavformat libavcodec libswscale libavutil")
    list(APPEND WILOR_PICTURE_PACKAGES
         WILOR_FFMPEG_LIB:libavformat:libavcodec:libswscale:libavutil)
    if(NOT WILOR_LAZY_FFMPEG)
      string(APPEND WILOR_PICTURE_MODULES " libavdevice")
      list(APPEND WILOR_PICTURE_PACKAGES WILOR_AVDEVICE_LIB:libavdevice)
    endif()
  endif()
  if(WILOR_HUB_FOUND)
    string(APPEND WILOR_PICTURE_MODULES " libcurl libcrypto jansson")
    list(APPEND WILOR_PICTURE_PACKAGES WILOR_CURL_LIB:libcurl WILOR_CRYPTO_LIB:libcrypto
         WILOR_JSON_LIB:jansson)
  endif()
endif()
set(WILOR_NEEDS_ZLIB OFF)
set(WILOR_PRIVATE_LIBS "-lm -pthread")
if(CMAKE_DL_LIBS)
  set(WILOR_PRIVATE_LIBS "-l${CMAKE_DL_LIBS} ${WILOR_PRIVATE_LIBS}")
endif()
if(ZLIB_FOUND)
  set(WILOR_NEEDS_ZLIB ON)
  set(WILOR_PRIVATE_LIBS "-lz ${WILOR_PRIVATE_LIBS}")
endif()

configure_package_config_file(cmake/wilorConfig.cmake.in wilorConfig.cmake
  INSTALL_DESTINATION ${package_dir})
# Before 1.0 a minor version may break the interface.
write_basic_package_version_file(wilorConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/wilorConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/wilorConfigVersion.cmake DESTINATION ${package_dir})

# pkg-config: the prefix is found from the file's own place, so that the folder can be moved; folders
# given as absolute paths stay what they are.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(WILOR_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH up "/prefix/${pkgconfig_dir}" "/prefix")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(WILOR_PC_PREFIX "\${pcfiledir}/${up}")
endif()
foreach(folder LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${folder}}")
    set(WILOR_PC_${folder} "${CMAKE_INSTALL_${folder}}")
  else()
    set(WILOR_PC_${folder} "\${prefix}/${CMAKE_INSTALL_${folder}}")
  endif()
endforeach()
foreach(library ${libraries})
  configure_file(cmake/${library}.pc.in ${library}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${library}.pc DESTINATION ${pkgconfig_dir})
endforeach()

# The free model, where the tree has one.
if(WILOR_IO)
  foreach(file nano.safetensors hand-detector-nano.safetensors README.md)
    install(FILES models/nano/${file} DESTINATION ${CMAKE_INSTALL_DATADIR}/wilor/nano OPTIONAL)
  endforeach()
endif()

# The program's own page and its completion for bash are installed by tools/wilor.
install(FILES docs/man/wilor.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
if(WILOR_TOOLS)
  install(FILES scripts/completions/wilor.zsh RENAME _wilor
    DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES scripts/completions/wilor.fish
    DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

if(NOT TARGET uninstall)
  add_custom_target(uninstall
    COMMAND ${CMAKE_COMMAND} -DMANIFEST=${CMAKE_BINARY_DIR}/install_manifest.txt
            -P ${PROJECT_SOURCE_DIR}/cmake/uninstall.cmake
    COMMENT "Removing what install_manifest.txt lists")
endif()

# For the wheel (pyproject.toml): one plain file beside the Python modules, and nano.
if(SKBUILD)
  install(FILES $<TARGET_FILE:wilor> DESTINATION wilor COMPONENT python
    RENAME ${CMAKE_SHARED_LIBRARY_PREFIX}wilor${CMAKE_SHARED_LIBRARY_SUFFIX})
  install(FILES models/nano/nano.safetensors models/nano/hand-detector-nano.safetensors
    DESTINATION wilor/data COMPONENT python)
endif()
