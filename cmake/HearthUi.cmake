# The page: npm builds web/ui, and every file of it is embedded, gzipped.
set(HEARTH_UI_DIST "" CACHE PATH "A page built elsewhere, to embed instead of building web/ui")
enable_language(ASM)

# Sets `dist` to the folder with the built page, and `stamp` to the file that says it is new.
function(hearth_build_ui dist stamp)
  find_program(NPM NAMES npm REQUIRED)
  set(ui ${PROJECT_SOURCE_DIR}/web/ui)
  set(out ${CMAKE_BINARY_DIR}/ui)
  set(modules ${ui}/node_modules/.package-lock.json) # npm writes it last
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${ui}/src/* ${ui}/public/*)
  file(GLOB configs CONFIGURE_DEPENDS ${ui}/*.html ${ui}/*.json ${ui}/*.ts)
  add_custom_command(OUTPUT ${modules}
    COMMAND ${NPM} ci --no-audit --no-fund
    COMMAND ${CMAKE_COMMAND} -E touch ${modules}
    DEPENDS ${ui}/package-lock.json WORKING_DIRECTORY ${ui}
    COMMENT "Packages of the page" VERBATIM)
  add_custom_command(OUTPUT ${out}.stamp
    COMMAND ${NPM} run build -- --outDir ${out} --emptyOutDir
    COMMAND ${CMAKE_COMMAND} -E touch ${out}.stamp
    DEPENDS ${modules} ${sources} ${configs} WORKING_DIRECTORY ${ui}
    COMMENT "The page" VERBATIM)
  set(${dist} ${out} PARENT_SCOPE)
  set(${stamp} ${out}.stamp PARENT_SCOPE)
endfunction()

# Adds the table of web/assets.h to a library of the calling folder.
function(hearth_embed_ui target)
  set(out ${CMAKE_BINARY_DIR}/embedded_ui)
  set(script ${PROJECT_SOURCE_DIR}/cmake/embed_assets.sh)
  set(dist ${out}.empty)
  set(stamp)
  if(HEARTH_UI_DIST)
    set(dist ${HEARTH_UI_DIST})
    file(GLOB_RECURSE stamp CONFIGURE_DEPENDS ${dist}/*)
  elseif(HEARTH_UI)
    hearth_build_ui(dist stamp)
  else()
    file(MAKE_DIRECTORY ${dist})
  endif()
  add_custom_command(OUTPUT ${out}/assets.c ${out}/assets.S
    COMMAND sh ${script} ${dist} ${out}
    DEPENDS ${script} ${stamp} COMMENT "Embedding the page" VERBATIM)
  target_sources(${target} PRIVATE ${out}/assets.c ${out}/assets.S)
endfunction()
