/*
 * log.h - what the two public calls, weft_log and weft_error_note, need from higher layers.
 */
#ifndef WEFT_LIB_BASE_LOG_H
#define WEFT_LIB_BASE_LOG_H

#include <stdbool.h>

#include <weft/base.h>
#include <weft/error.h>

/* Debug mode was asked for: without a function, and where WEFT_LOG says nothing else, warnings go
 * to standard error from now on. */
void weft__log_show_warnings(void);

#define WEFT__ERROR_TEXT_BYTES 192

/* Set by the task layer: the running task's buffer of that size, made on demand when `make` is
 * true; NULL outside a task or when there is no memory. Without it the text is the thread's. */
extern char *(*weft__error_task_text)(bool make);

#endif
