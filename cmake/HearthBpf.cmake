# BPF objects: clang compiles bpf/NAME.bpf.c, bpftool makes NAME.skel.h from it.
find_program(BPF_CLANG NAMES clang clang-19 clang-16 clang-14 REQUIRED)
find_program(BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin REQUIRED)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(BPF_TARGET_ARCH arm64)
else()
  set(BPF_TARGET_ARCH x86)
endif()

# hearth_add_bpf(TARGET NAME...): TARGET is an interface library with the skeletons' folder.
function(hearth_add_bpf target)
  set(out ${CMAKE_BINARY_DIR}/skeletons)
  file(MAKE_DIRECTORY ${out})
  file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bpf/*.h)
  set(skeletons)
  foreach(name IN LISTS ARGN)
    add_custom_command(OUTPUT ${out}/${name}.bpf.o
      COMMAND ${BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-function -Wno-gnu-variable-sized-type-not-at-end
              -D__TARGET_ARCH_${BPF_TARGET_ARCH} -I${PROJECT_SOURCE_DIR}
              -I/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
              -c ${PROJECT_SOURCE_DIR}/bpf/${name}.bpf.c -o ${out}/${name}.bpf.o
      DEPENDS ${PROJECT_SOURCE_DIR}/bpf/${name}.bpf.c ${headers}
      COMMENT "BPF ${name}" VERBATIM)
    # Linking drops the DWARF that -g made and keeps the BTF.
    add_custom_command(OUTPUT ${out}/${name}.skel.h
      COMMAND ${BPFTOOL} gen object ${out}/${name}.linked.o ${out}/${name}.bpf.o
      COMMAND ${BPFTOOL} gen skeleton ${out}/${name}.linked.o name ${name}_bpf > ${out}/${name}.skel.h
      DEPENDS ${out}/${name}.bpf.o COMMENT "Skeleton ${name}" VERBATIM)
    list(APPEND skeletons ${out}/${name}.skel.h)
  endforeach()
  add_custom_target(${target}_skeletons DEPENDS ${skeletons})
  add_library(${target} INTERFACE)
  target_include_directories(${target} SYSTEM INTERFACE ${out})
  add_dependencies(${target} ${target}_skeletons)
endfunction()
