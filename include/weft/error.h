/*
 * error.h - what a negative result means.
 *
 * Calls return 0 or a count on success and a negative errno on failure. What has no errno has
 * a code below WEFT_E_FIRST from the table here. errno itself is never the carrier: another
 * task may run, and overwrite it, between a failure and the test.
 */
#ifndef WEFT_ERROR_H
#define WEFT_ERROR_H

#include <errno.h>

#include <weft/base.h>

/* Codes of our own: name, value, text. */
/* clang-format off */
#define WEFT_ERROR_TABLE(row)                                                                      \
    row(WEFT_E_JOB_UNKNOWN, -4097, "no job of that name is registered")                            \
    row(WEFT_E_MODEL_UNKNOWN, -4098, "no worker model of that name")                               \
    row(WEFT_E_SPEC, -4099, "a worker spec that cannot be read")                                   \
    row(WEFT_E_STACK, -4100, "a stack size outside what is allowed")                               \
    row(WEFT_E_ADDRESS, -4101, "an address that cannot be read")                                   \
    row(WEFT_E_BARRIER, -4102, "a barrier that one of its parties could not come to")
/* clang-format on */

enum weft_error_code {
    WEFT_E_FIRST = -4096,
#define WEFT_ERROR_ENUM(name, value, text) name = value,
    WEFT_ERROR_TABLE(WEFT_ERROR_ENUM)
#undef WEFT_ERROR_ENUM
        WEFT_E_LAST_ = -4999
};

WEFT_BEGIN_DECLS

/*
 * weft_strerror - a result in words
 *
 * rc       any result of a weft call
 *
 * Returns  constant text, "success" for 0 and more, "unknown error" for what is in no table
 * Waits    no
 * Threads  any
 * Source   strerror(3), uv_strerror
 */
const char *weft_strerror(int rc);

/*
 * weft_errname - a result by its name
 *
 * rc       any result of a weft call
 *
 * Returns  constant text like "ETIMEDOUT" or "WEFT_E_SPEC", "OK" for 0 and more, "EUNKNOWN"
 * Waits    no
 * Threads  any
 * Source   uv_err_name
 */
const char *weft_errname(int rc);

/*
 * weft_error_text - the detail of the last failure of this task (or plain thread)
 *
 * Returns  text that says what was wrong with what was given, empty when nothing was noted;
 *          it stays until the next failure that notes a detail
 * Waits    no
 * Threads  any
 * Source   dlerror(3), per task
 */
const char *weft_error_text(void);

WEFT_END_DECLS

#endif
