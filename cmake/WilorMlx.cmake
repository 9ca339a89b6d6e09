# libwilor_mlx, the module that computes by MLX on Macs: plain C on MLX's C interface (Homebrew: mlx-c). The core never
# links to it. MLX's build for Linux does, too, which is how it is tested where there is no Mac (docs/mlx.md).
set(WILOR_MLX_SUMMARY "no (WILOR_MLX=OFF)")
if(NOT WILOR_MLX STREQUAL "OFF" AND NOT WILOR_MLX AND NOT WILOR_MLX STREQUAL "AUTO")
  message(FATAL_ERROR "WILOR_MLX is '${WILOR_MLX}'; it may be ON, OFF or AUTO")
endif()

if(WILOR_MLX AND UNIX)
  find_path(WILOR_MLXC_INCLUDE mlx/c/mlx.h HINTS ENV MLXC_ROOT PATH_SUFFIXES include
            PATHS /opt/homebrew /usr/local)
  find_library(WILOR_MLXC_LIB mlxc HINTS ENV MLXC_ROOT PATH_SUFFIXES lib PATHS /opt/homebrew /usr/local)
  if(NOT WILOR_MLXC_INCLUDE OR NOT WILOR_MLXC_LIB)
    set(WILOR_MLX_SUMMARY "no (mlx-c not found)")
    if(NOT WILOR_MLX STREQUAL "AUTO")
      message(FATAL_ERROR "WILOR_MLX=ON needs mlx-c 0.6 or later (Homebrew: mlx-c; or CMAKE_PREFIX_PATH)")
    endif()
  else()
    set(sources ${PROJECT_SOURCE_DIR}/src/backend/mlx/module)
    get_filename_component(library_folder ${WILOR_MLXC_LIB} DIRECTORY)
    add_library(wilor_mlx SHARED
      ${sources}/mlx_detector.c ${sources}/mlx_graph.c ${sources}/mlx_hand.c ${sources}/mlx_model.c ${sources}/mlx_refine.c
      ${sources}/mlx_session.c ${sources}/mlx_table.c ${sources}/mlx_vit.c ${sources}/mlx_worker.c)
    target_include_directories(wilor_mlx PRIVATE ${sources} ${PROJECT_SOURCE_DIR}/src/base
                                                 ${PROJECT_SOURCE_DIR}/src/backend
                                                 ${PROJECT_SOURCE_DIR}/src/backend/mlx)
    # Its headers are not of our standard of warnings.
    target_include_directories(wilor_mlx SYSTEM PRIVATE ${WILOR_MLXC_INCLUDE})
    target_link_libraries(wilor_mlx PRIVATE $<BUILD_INTERFACE:wilor_flags> ${WILOR_MLXC_LIB}
                          Threads::Threads m)
    set(origin "$ORIGIN")
    if(APPLE)
      set(origin "@loader_path")
    endif()
    set_target_properties(wilor_mlx PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${WILOR_SOVERSION}
      BUILD_RPATH ${library_folder} INSTALL_RPATH "${origin};${library_folder}")
    install(TARGETS wilor_mlx LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    set(WILOR_MLX_SUMMARY "${WILOR_MLXC_LIB}")
  endif()
elseif(WILOR_MLX)
  set(WILOR_MLX_SUMMARY "no (not on this system)")
endif()
