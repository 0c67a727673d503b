# Run by CPack before it packs: what Debian wants compressed is compressed,
# without a time stamp, and what Debian's tools do to permissions is done.
file(GLOB_RECURSE files
     ${CPACK_TEMPORARY_DIRECTORY}/*/usr/share/man/man*/*.[0-9]
     ${CPACK_TEMPORARY_DIRECTORY}/*/usr/share/doc/*/changelog*)
foreach(file IN LISTS files)
    execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
