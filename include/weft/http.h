/*
 * http.h - the words of HTTP: methods, statuses, header lists, dates, URLs, ranges.
 *
 * Nothing here waits or does input or output. Texts need not end in a zero byte where a length is
 * given. Part of libweft-http.
 */
#ifndef WEFT_HTTP_H
#define WEFT_HTTP_H

#include <stdbool.h>

#include <weft/base.h>

/* The methods of RFC 9110 and PATCH; any other token is WEFT_HTTP_OTHER. */
typedef enum weft_http_method {
    WEFT_HTTP_OTHER = 0,
    WEFT_HTTP_GET,
    WEFT_HTTP_HEAD,
    WEFT_HTTP_POST,
    WEFT_HTTP_PUT,
    WEFT_HTTP_DELETE,
    WEFT_HTTP_CONNECT,
    WEFT_HTTP_OPTIONS,
    WEFT_HTTP_TRACE,
    WEFT_HTTP_PATCH
} weft_http_method;

WEFT_BEGIN_DECLS

/* ---- Methods and statuses ------------------------------------------------------------------ */

/*
 * weft_http_method_name - a method as it is sent
 *
 * Returns  constant text, "GET"; "" for WEFT_HTTP_OTHER and what is no method
 * Waits    no
 * Threads  any
 * Source   RFC 9110 9
 */
const char *weft_http_method_name(weft_http_method method);

/*
 * weft_http_method_parse - which method a token is; case matters
 *
 * Returns  the method; WEFT_HTTP_OTHER when it has no name here
 * Waits    no
 * Threads  any
 * Source   RFC 9110 9
 */
weft_http_method weft_http_method_parse(const char *text, size_t len);

/*
 * weft_http_method_is_idempotent - whether a request may be sent again when its answer was lost
 *
 * Waits    no
 * Returns  true for GET, HEAD, PUT, DELETE, OPTIONS and TRACE
 * Threads  any
 * Source   RFC 9110 9.2.2
 */
bool weft_http_method_is_idempotent(weft_http_method method);

/*
 * weft_http_reason - a status in words
 *
 * Returns  constant text, "Not Found"; "" for a status that is not registered
 * Waits    no
 * Threads  any
 * Source   RFC 9110 15, IANA's registry of status codes
 */
const char *weft_http_reason(int status);

WEFT_END_DECLS

#endif
