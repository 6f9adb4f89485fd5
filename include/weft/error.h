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
    row(WEFT_E_BARRIER, -4102, "a barrier that one of its parties could not come to")              \
    row(WEFT_E_END, -4103, "the stream ended before what was to be read")                          \
    row(WEFT_E_NAME, -4104, "a name that no address was found for")                                \
    row(WEFT_E_NAME_AGAIN, -4105, "names cannot be looked up at present")                          \
    row(WEFT_E_TLS, -4106, "TLS failed")                                                           \
    row(WEFT_E_TLS_VERIFY, -4107, "the peer's certificate was not accepted")                       \
    row(WEFT_E_TLS_CUT, -4108, "the TLS connection was cut off without its closing message")       \
    row(WEFT_E_HTTP, -4109, "a message that is not HTTP")                                          \
    row(WEFT_E_HTTP_LARGE, -4110, "an HTTP message over a limit")                                  \
    row(WEFT_E_HTTP_VERSION, -4111, "a version of HTTP that is not served")                        \
    row(WEFT_E_URL, -4112, "a URL that cannot be read")                                            \
    row(WEFT_E_CURL, -4113, "the HTTP request failed")                                             \
    row(WEFT_E_EXIT, -4114, "the process ended with another status than 0")
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

/*
 * weft_error_note - note the detail of a failure, for weft_error_text
 *
 * rc       the failure
 * format   of the text, of which up to 191 bytes are kept
 *
 * Returns  rc
 * Waits    no
 * Threads  any
 * Source   weft; for libraries that build on it
 */
int weft_error_note(int rc, const char *format, ...) __attribute__((cold, format(printf, 2, 3)));

WEFT_END_DECLS

#endif
