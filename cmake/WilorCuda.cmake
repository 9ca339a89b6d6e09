# libwilor_cuda, the module that drives NVIDIA cards: nvcc makes its objects, the C++ compiler behind nvcc
# links them. The core never links to it. nvcc is called as it is (no CUDA language of CMake's), so that
# a toolkit from packages of other kinds does, whose files lie elsewhere.
set(WILOR_CUDA_SUMMARY "no (WILOR_CUDA=OFF)")
set(WILOR_CUDA_SOURCES ${PROJECT_SOURCE_DIR}/src/backend/cuda/module)
set(WILOR_CUDA_FILES device model session_memory session_stages session_product session_residual session_hand session net_plan net_steps net_choice net table)
if(NOT WILOR_CUDA STREQUAL "OFF" AND NOT WILOR_CUDA)
  if(NOT WILOR_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "WILOR_CUDA is '${WILOR_CUDA}'; it may be ON, OFF or AUTO")
  endif()
endif()

# All seven take minutes to build.
set(architectures ${WILOR_CUDA_ARCHITECTURES})
set(no_card OFF)
if(WILOR_CUDA STREQUAL "AUTO" AND NOT architectures)
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
                  OUTPUT_VARIABLE cards RESULT_VARIABLE code ERROR_QUIET)
  string(REGEX MATCHALL "[0-9]+\\.[0-9]+" cards "${cards}")
  string(REPLACE "." "" architectures "${cards}")
  list(FILTER architectures EXCLUDE REGEX "^([0-9]|[0-6][0-9]|7[0-4])$") # older than the code can be made for
  if(code OR NOT architectures)
    set(no_card ON)
  endif()
  list(REMOVE_DUPLICATES architectures)
  list(SORT architectures COMPARE NATURAL)
elseif(NOT architectures)
  set(architectures 75 80 86 89 90 100 120)
endif()

if(no_card)
  set(WILOR_CUDA_SUMMARY "no (no card here; WILOR_CUDA=ON builds it for others)")
elseif(WILOR_CUDA AND UNIX AND NOT APPLE AND NOT CMAKE_CROSSCOMPILING)
  find_program(WILOR_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin
               PATHS /usr/local/cuda /opt/cuda)
  if(WILOR_NVCC)
    get_filename_component(real ${WILOR_NVCC} REALPATH)
    get_filename_component(bin ${real} DIRECTORY)
    get_filename_component(root ${bin} DIRECTORY)
    find_file(WILOR_CUBLASLT_LIB NAMES libcublasLt.so libcublasLt.so.13 libcublasLt.so.12
              HINTS ${root}/lib64 ${root}/lib ${root}/targets/x86_64-linux/lib
                    ${root}/targets/sbsa-linux/lib)
    find_file(WILOR_CUDART_LIB NAMES libcudart_static.a
              HINTS ${root}/lib64 ${root}/lib ${root}/targets/x86_64-linux/lib
                    ${root}/targets/sbsa-linux/lib)
    find_path(WILOR_CUDA_INCLUDE cublasLt.h HINTS ${root}/include ${root}/targets/x86_64-linux/include
              ${root}/targets/sbsa-linux/include)
  endif()
  set(missing "")
  foreach(need WILOR_NVCC WILOR_CUBLASLT_LIB WILOR_CUDART_LIB WILOR_CUDA_INCLUDE)
    if(NOT ${need})
      string(APPEND missing " ${need}")
    endif()
  endforeach()
  if(missing)
    set(WILOR_CUDA_SUMMARY "no (not found:${missing})")
    if(NOT WILOR_CUDA STREQUAL "AUTO")
      message(FATAL_ERROR "WILOR_CUDA=ON needs a CUDA toolkit 12.8 or later with cuBLASLt; not found:${missing}")
    endif()
  else()
    set(codes "")
    foreach(arch ${architectures})
      list(APPEND codes -gencode arch=compute_${arch},code=sm_${arch})
    endforeach()
    list(GET architectures -1 last)
    list(APPEND codes -gencode arch=compute_${last},code=compute_${last})
    set(host "-fPIC,-Wall,-Wextra,-fvisibility=hidden,-ffp-contract=off")
    if(WILOR_WERROR)
      string(APPEND host ",-Werror")
    endif()
    file(GLOB headers ${WILOR_CUDA_SOURCES}/*.h ${PROJECT_SOURCE_DIR}/src/backend/cuda/*.h
         ${PROJECT_SOURCE_DIR}/src/backend/net_tensors.h ${PROJECT_SOURCE_DIR}/src/base/module_head.h)
    set(objects "")
    foreach(name ${WILOR_CUDA_FILES} gemm_lt)
      set(object ${PROJECT_BINARY_DIR}/cuda/${name}.o)
      file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/cuda)
      add_custom_command(OUTPUT ${object}
        # Fused operations only where the source asks for them, as everywhere.
        COMMAND ${WILOR_NVCC} -std=c++17 -O3 --fmad=false -Xcompiler ${host} ${codes}
                -I${PROJECT_SOURCE_DIR}/src/base -I${PROJECT_SOURCE_DIR}/src/backend
                -I${PROJECT_SOURCE_DIR}/src/backend/cuda
                -I${WILOR_CUDA_SOURCES} -I${WILOR_CUDA_INCLUDE}
                -c ${WILOR_CUDA_SOURCES}/${name}.cu -o ${object}
        DEPENDS ${WILOR_CUDA_SOURCES}/${name}.cu ${headers}
        COMMENT "Building CUDA object ${name}.o" VERBATIM)
      list(APPEND objects ${object})
    endforeach()
    get_filename_component(library_folder ${WILOR_CUBLASLT_LIB} DIRECTORY)
    enable_language(CXX)
    add_library(wilor_cuda SHARED ${objects})
    set_target_properties(wilor_cuda PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
      SOVERSION ${WILOR_SOVERSION} INSTALL_RPATH "$ORIGIN:${library_folder}"
      BUILD_RPATH ${library_folder})
    target_link_libraries(wilor_cuda PRIVATE ${WILOR_CUDART_LIB} ${WILOR_CUBLASLT_LIB}
      ${CMAKE_DL_LIBS} rt Threads::Threads)
    target_link_options(wilor_cuda PRIVATE -Wl,--exclude-libs,ALL)
    install(TARGETS wilor_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    list(JOIN architectures " " shown)
    set(WILOR_CUDA_SUMMARY "${WILOR_NVCC}, architectures ${shown}")
  endif()
elseif(WILOR_CUDA)
  set(WILOR_CUDA_SUMMARY "no (not on this system)")
endif()
