# How parts, tests and fuzz harnesses are declared. A part is an object library: one folder of src/,
# which lists the parts it may use. The include paths follow that list, so an arrow against
# docs/architecture.md does not compile.
include(CheckCCompilerFlag)

add_library(wilor_flags INTERFACE)
target_compile_definitions(wilor_flags INTERFACE _GNU_SOURCE)
if(NOT MSVC)
  target_compile_options(wilor_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wpointer-arith -Wvla -Wno-sign-conversion
    # Counts are enum constants here; newer compilers warn where one of them meets a float or another enum.
    -Wno-enum-float-conversion -Wno-enum-enum-conversion
    # Fused operations only where the source asks for them: results must not depend on the compiler.
    -ffp-contract=off -fno-math-errno)
  if(WILOR_WERROR)
    target_compile_options(wilor_flags INTERFACE -Werror)
  endif()
endif()
if(WIN32)
  # printf, %zu and 64-bit offsets as everywhere; Windows 7 and later.
  target_compile_definitions(wilor_flags INTERFACE __USE_MINGW_ANSI_STDIO=1 _FILE_OFFSET_BITS=64
    _WIN32_WINNT=0x0601 WIN32_LEAN_AND_MEAN)
  # One file without further ones beside it; a stack as on Linux.
  target_link_options(wilor_flags INTERFACE -static -Wl,--stack,8388608)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # isfinite and its likes of MinGW's <math.h> try all types in one expression.
    target_compile_options(wilor_flags INTERFACE -Wno-float-conversion)
    # GCC keeps 32 and 64 byte vectors on the stack and takes them for aligned, which Windows' calls do not
    # promise (GCC bug 54412): a crash when luck runs out. The assembler can write the moves that need no
    # alignment; they are as quick.
    check_c_compiler_flag(-Wa,-muse-unaligned-vector-move WILOR_HAVE_UNALIGNED_MOVES)
    if(NOT WILOR_HAVE_UNALIGNED_MOVES)
      message(FATAL_ERROR "On Windows GCC needs binutils 2.38 or later (-muse-unaligned-vector-move)")
    endif()
    target_compile_options(wilor_flags INTERFACE -Wa,-muse-unaligned-vector-move)
  endif()
endif()
if(WILOR_SANITIZE STREQUAL "address")
  target_compile_options(wilor_flags INTERFACE -fsanitize=address,undefined
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g)
  target_link_options(wilor_flags INTERFACE -fsanitize=address,undefined)
elseif(WILOR_SANITIZE STREQUAL "thread")
  target_compile_options(wilor_flags INTERFACE -fsanitize=thread -g)
  target_link_options(wilor_flags INTERFACE -fsanitize=thread)
elseif(WILOR_SANITIZE)
  message(FATAL_ERROR "WILOR_SANITIZE is '${WILOR_SANITIZE}'; it may be empty, address or thread")
endif()
if(WILOR_FUZZ AND WILOR_FUZZ_ENGINE STREQUAL "-fsanitize=fuzzer")
  # Without this in the parsers themselves the fuzzer would not see which branches an input takes.
  target_compile_options(wilor_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(wilor_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# wilor_part(NAME USES part ... SOURCES file ... [LIBS lib ...])
function(wilor_part name)
  cmake_parse_arguments(P "" "" "USES;SOURCES;LIBS" ${ARGN})
  add_library(wilor_${name} OBJECT ${P_SOURCES})
  target_include_directories(wilor_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include
                                                  ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_definitions(wilor_${name} PRIVATE WILOR_BUILD)
  target_link_libraries(wilor_${name} PRIVATE wilor_flags)
  foreach(used ${P_USES})
    get_target_property(dirs wilor_${used} INTERFACE_INCLUDE_DIRECTORIES)
    target_include_directories(wilor_${name} PUBLIC ${dirs})
  endforeach()
  set_property(TARGET wilor_${name} PROPERTY WILOR_PART_USES "${P_USES}")
  set_property(TARGET wilor_${name} PROPERTY WILOR_PART_LIBS "${P_LIBS}")
  if(P_LIBS)
    target_link_libraries(wilor_${name} PRIVATE ${P_LIBS})
  endif()
endfunction()

# All parts that the given ones use, themselves included, into ${out}.
function(wilor_parts_closure out)
  set(todo ${ARGN})
  set(done "")
  while(todo)
    list(POP_FRONT todo part)
    if(NOT part IN_LIST done)
      list(APPEND done ${part})
      get_property(uses TARGET wilor_${part} PROPERTY WILOR_PART_USES)
      list(APPEND todo ${uses})
    endif()
  endwhile()
  set(${out} "${done}" PARENT_SCOPE)
endfunction()

# Link the objects of parts (and of all that they use) into a target.
function(wilor_link_parts target)
  find_package(Threads REQUIRED)
  wilor_parts_closure(parts ${ARGN})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include)
  foreach(part ${parts})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:wilor_${part}>)
    get_target_property(dirs wilor_${part} INTERFACE_INCLUDE_DIRECTORIES)
    target_include_directories(${target} PRIVATE ${dirs})
    get_property(libs TARGET wilor_${part} PROPERTY WILOR_PART_LIBS)
    if(libs)
      target_link_libraries(${target} PRIVATE ${libs})
    endif()
  endforeach()
  target_link_libraries(${target} PRIVATE wilor_flags Threads::Threads)
  if(UNIX)
    target_link_libraries(${target} PRIVATE m)
  endif()
endfunction()

# wilor_test(NAME SOURCES file ... PARTS part ... [ARGS a ...] [LABELS l ...] [LIBS lib ...])
# A test program returns 0, or 77 when it could not run at all and has said why: shown as skipped.
# wilor_test_program and wilor_test_entry are its halves, for one program with several entries.
function(wilor_test_program name)
  cmake_parse_arguments(T "" "" "SOURCES;PARTS;LIBS" ${ARGN})
  # golden.c reads reference tensors, hence part weights; files of the program need what it has of the system.
  add_executable(test_${name} ${T_SOURCES} ${PROJECT_SOURCE_DIR}/tests/support/golden.c)
  wilor_link_parts(test_${name} ${T_PARTS} weights system_process)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support)
  if(NOT MSVC)
    # The parts' objects keep their flags; a test's own code need only compile quickly (and gcc 12 for
    # Arm fails on one at -O3).
    target_compile_options(test_${name} PRIVATE -O1)
  endif()
  target_compile_definitions(test_${name} PRIVATE
    WILOR_STATIC
    WILOR_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/golden/data"
    WILOR_TEST_FORMATS="${PROJECT_SOURCE_DIR}/tests/golden/data/formats"
    WILOR_TEST_FIXTURES="${WILOR_FIXTURES}"
    WILOR_TEST_SCRATCH="${CMAKE_BINARY_DIR}/scratch")
  target_link_libraries(test_${name} PRIVATE PkgConfig::CMOCKA ${T_LIBS})
endfunction()

function(wilor_test_entry program name)
  cmake_parse_arguments(T "" "" "ARGS;LABELS" ${ARGN})
  add_test(NAME ${name} COMMAND test_${program} ${T_ARGS})
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)
  if(T_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}")
  endif()
endfunction()

function(wilor_test name)
  cmake_parse_arguments(T "" "" "SOURCES;PARTS;ARGS;LABELS;LIBS" ${ARGN})
  wilor_test_program(${name} SOURCES ${T_SOURCES} PARTS ${T_PARTS} LIBS ${T_LIBS})
  wilor_test_entry(${name} ${name} ARGS ${T_ARGS} LABELS ${T_LABELS})
endfunction()

# How a script starts a target's program: as it is, or, cross-built, by the emulator.
function(wilor_test_command out target)
  set(${out} $<TARGET_FILE:${target}> PARENT_SCOPE)
  if(CMAKE_CROSSCOMPILING_EMULATOR)
    set(script ${CMAKE_BINARY_DIR}/run/${target})
    file(GENERATE OUTPUT ${script}
      CONTENT "#!/bin/sh\nexec ${CMAKE_CROSSCOMPILING_EMULATOR} \"$<TARGET_FILE:${target}>\" \"$@\"\n"
      FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
    set(${out} ${script} PARENT_SCOPE)
  endif()
endfunction()

# wilor_fuzz(NAME SOURCES file ... PARTS part ... CORPUS folder ... [MUTATOR file] [INCLUDES folder ...]
# [LIBS lib ...])
# The harness is LLVMFuzzerTestOneInput. Always: a replay program over the corpus, run by ctest. With
# WILOR_FUZZ: also the libFuzzer program fuzz_NAME; MUTATOR is for that alone.
function(wilor_fuzz_program target)
  cmake_parse_arguments(F "" "" "SOURCES;PARTS;INCLUDES;LIBS" ${ARGN})
  add_executable(${target} ${F_SOURCES})
  wilor_link_parts(${target} ${F_PARTS} system_process)
  target_include_directories(${target} PRIVATE ${F_INCLUDES})
  target_compile_definitions(${target} PRIVATE WILOR_STATIC)
  target_link_libraries(${target} PRIVATE ${F_LIBS})
endfunction()

function(wilor_fuzz name)
  cmake_parse_arguments(F "" "MUTATOR" "SOURCES;PARTS;CORPUS;INCLUDES;LIBS" ${ARGN})
  set(rest PARTS ${F_PARTS} INCLUDES ${F_INCLUDES} LIBS ${F_LIBS})
  wilor_fuzz_program(replay_${name} SOURCES ${F_SOURCES} replay_main.c ${rest})
  add_test(NAME fuzz_replay_${name} COMMAND replay_${name} ${F_CORPUS})
  set_tests_properties(fuzz_replay_${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600 LABELS fuzz)
  if(WILOR_FUZZ)
    wilor_fuzz_program(fuzz_${name} SOURCES ${F_SOURCES} ${F_MUTATOR} ${rest})
    target_link_options(fuzz_${name} PRIVATE ${WILOR_FUZZ_ENGINE})
    # For scripts/fuzz: where this harness's seeds lie.
    string(REPLACE ";" "\n" seeds "${F_CORPUS}")
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}.seeds "${seeds}\n")
  endif()
endfunction()
