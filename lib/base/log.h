/*
 * log.h - messages to whoever asked for them, and the detail of the last failure.
 */
#ifndef WEFT_LIB_BASE_LOG_H
#define WEFT_LIB_BASE_LOG_H

#include <stdbool.h>

#include <weft/base.h>

void weft__log(weft_log_level level, const char *format, ...)
    __attribute__((cold, format(printf, 2, 3)));

/* Debug mode was asked for: without a function, and where WEFT_LOG says nothing else, warnings go
 * to standard error from now on. */
void weft__log_show_warnings(void);

/* Notes the detail behind a failure for weft_error_text(), and returns rc. The text is per task:
 * the task layer points weft__error_detail at the running task's; otherwise it is per thread. */
int weft__error_note(int rc, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

#define WEFT__ERROR_TEXT_BYTES 192

/* Set by the task layer: the running task's buffer of that size, made on demand when `make` is
 * true; NULL outside a task or when there is no memory. Without it the text is the thread's. */
extern char *(*weft__error_task_text)(bool make);

#endif
