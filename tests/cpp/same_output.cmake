# cmake -DFIRST=program -DSECOND=program -DARGUMENT=--hash -P same_output.cmake: fails where two programs print
# different things; says "skipped" where one of them returns 77.
foreach(which FIRST SECOND)
  execute_process(COMMAND ${${which}} ${ARGUMENT} OUTPUT_VARIABLE ${which}_output RESULT_VARIABLE result)
  if(result EQUAL 77)
    message("skipped: ${${which}_output}")
    return()
  elseif(NOT result EQUAL 0)
    message(FATAL_ERROR "${${which}} ended with ${result}")
  endif()
endforeach()
if(NOT FIRST_output STREQUAL SECOND_output)
  message(FATAL_ERROR "${FIRST}:\n${FIRST_output}\n${SECOND}:\n${SECOND_output}")
endif()
