# libwilor and libwilor_io, each shared and static, from the parts' objects.
find_package(Threads REQUIRED)

# Where CMake's module for macOS runs on another system, it knows no @rpath.
if(APPLE AND NOT CMAKE_SHARED_LIBRARY_RUNTIME_C_FLAG)
  set(CMAKE_SHARED_LIBRARY_RUNTIME_C_FLAG "-Wl,-rpath,")
endif()

# wilor_library(NAME PARTS part ... [NEEDS library ...] [SHARED_PARTS part ...] [STATIC_PARTS part ...]): targets
# NAME (shared) and NAME_static. SHARED_PARTS: parts that another library hides, so that the shared one needs a
# copy, and what calls a module. STATIC_PARTS: what stands in the module.
function(wilor_library name)
  cmake_parse_arguments(L "" "" "PARTS;NEEDS;SHARED_PARTS;STATIC_PARTS" ${ARGN})
  foreach(kind SHARED STATIC)
    set(target ${name})
    if(kind STREQUAL "STATIC")
      set(target ${name}_static)
    endif()
    add_library(${target} ${kind})
    set(parts ${L_PARTS} ${L_${kind}_PARTS})
    foreach(part ${parts})
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:wilor_${part}>)
      get_property(libs TARGET wilor_${part} PROPERTY WILOR_PART_LIBS)
      if(libs)
        target_link_libraries(${target} PRIVATE ${libs})
      endif()
    endforeach()
    target_include_directories(${target} PUBLIC
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:wilor_flags> Threads::Threads)
    if(UNIX)
      target_link_libraries(${target} PRIVATE m)
    endif()
    foreach(need ${L_NEEDS})
      if(kind STREQUAL "STATIC")
        target_link_libraries(${target} PUBLIC ${need}_static)
      else()
        target_link_libraries(${target} PUBLIC ${need})
      endif()
    endforeach()
    if(kind STREQUAL "STATIC")
      target_compile_definitions(${target} INTERFACE WILOR_STATIC)
    endif()
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} EXPORT_NAME ${target}
      LINKER_LANGUAGE C)
  endforeach()
  set_target_properties(${name} PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${WILOR_SOVERSION})
endfunction()

# wilor_module(NAME PARTS part ... SOURCES file ... NEEDED_BY library): libwilor_NAME, which that library loads when
# what these parts do is asked for; SOURCES: what gives its table. It has copies of all that the parts use, which keep
# nothing in variables that the library would have to see.
function(wilor_module name)
  cmake_parse_arguments(M "" "NEEDED_BY" "PARTS;SOURCES" ${ARGN})
  set(target wilor_${name}_module)
  set(map ${PROJECT_SOURCE_DIR}/cmake/wilor_module.map)
  add_library(${target} SHARED ${M_SOURCES})
  wilor_link_parts(${target} ${M_PARTS})
  # Of the copies only what is used.
  target_link_options(${target} PRIVATE -Wl,--version-script=${map} -Wl,--gc-sections -Wl,--as-needed)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME wilor_${name} VERSION ${PROJECT_VERSION}
    SOVERSION ${WILOR_SOVERSION} LINK_DEPENDS ${map} LINKER_LANGUAGE C)
  add_dependencies(${M_NEEDED_BY} ${target})
  install(TARGETS ${target} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_SKIP)
endfunction()

wilor_library(wilor PARTS system base kernels weights model hand track detect backend api)
if(WILOR_IO)
  set(video video)
  if(WILOR_VIDEO_FOUND AND WILOR_LAZY_FFMPEG)
    set(video video_lazy)
  endif()
  set(hub hub)
  if(WILOR_HUB_FOUND AND WILOR_LAZY_CURL)
    set(hub hub_lazy)
  endif()
  set(hub_core "")
  if(WILOR_HUB_FOUND)
    set(hub_core hub_core)
  endif()
  wilor_library(wilor_io PARTS system_files media overlay video_core ${hub_core}
                SHARED_PARTS system base ${video} ${hub} STATIC_PARTS video hub NEEDS wilor)
  if(video STREQUAL "video_lazy")
    wilor_module(video PARTS video SOURCES src/media/video_module.c NEEDED_BY wilor_io)
  endif()
  if(hub STREQUAL "hub_lazy")
    wilor_module(download PARTS hub SOURCES src/hub/hub_module.c NEEDED_BY wilor_io)
  endif()
  if(UNIX AND NOT APPLE)
    target_link_options(wilor_io PRIVATE
      -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/wilor_io.map)
    set_target_properties(wilor_io PROPERTIES LINK_DEPENDS
      ${PROJECT_SOURCE_DIR}/cmake/wilor_io.map)
  elseif(APPLE)
    # The same list in Apple's form. zig's linker takes the option and leaves it be.
    file(STRINGS cmake/wilor_io.map lines REGEX "^ *wilor_.*;$")
    list(TRANSFORM lines REPLACE "^ *(.*);$" "_\\1")
    list(JOIN lines "\n" lines)
    file(WRITE ${CMAKE_BINARY_DIR}/wilor_io.exported "${lines}\n")
    target_link_options(wilor_io PRIVATE
      -Wl,-exported_symbols_list,${CMAKE_BINARY_DIR}/wilor_io.exported)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS cmake/wilor_io.map)
  endif()
endif()
