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

/* A header field as it stands in a list; both texts also end in a zero byte. */
typedef struct weft_http_header {
    const char *name, *value;
    size_t name_len, value_len;
} weft_http_header;

/* Header fields in their order. All zero is an empty list; weft_http_headers_free gives it back. */
typedef struct weft_http_headers {
    struct weft_http_header_slot_ *slots_;
    size_t n; /* fields in the list */
    size_t cap_;
    weft_buf text_;
    size_t unused_; /* bytes of text_ that no field has any more */
} weft_http_headers;

/* A date as weft_http_date_format writes it, with its zero byte. */
#define WEFT_HTTP_DATE_BYTES 30

/* Bytes first to last of a representation, both included. */
typedef struct weft_http_range {
    uint64_t first, last;
} weft_http_range;

/* The parts of a URL: views into the text that was parsed, as it stands there. A part that is not
 * there has data NULL; one that is there may still be empty, as the query of "/a?". */
typedef struct weft_url {
    weft_bytes scheme;
    weft_bytes userinfo;
    weft_bytes host; /* an IPv6 address has its brackets */
    int port;        /* -1: none, or an empty one */
    weft_bytes path; /* always there, perhaps empty */
    weft_bytes query;
    weft_bytes fragment;
} weft_url;

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

/* ---- Header lists -------------------------------------------------------------------------- */

/*
 * weft_http_headers_add - add a field behind those that are there
 *
 * name     a token; not in the list's own memory, nor is value
 * value    printable, with blanks and tabs; blanks around it are left out
 *
 * Returns  0; -EINVAL with weft_error_text() for a name or a value that could end the line or the
 *          head (CR, LF, zero bytes, other controls); -ENOMEM; -EOVERFLOW over 4 GiB. On failure
 *          the list is as it was
 * Waits    no
 * Threads  whoever owns headers
 * Source   RFC 9110 5
 */
int weft_http_headers_add(weft_http_headers *headers, const char *name, const char *value);

/*
 * weft_http_headers_add_bytes - the same for texts without a zero byte behind them
 *
 * Returns  as weft_http_headers_add
 * Waits    no
 * Threads  whoever owns headers
 * Source   RFC 9110 5
 */
int weft_http_headers_add_bytes(weft_http_headers *headers, weft_bytes name, weft_bytes value);

/*
 * weft_http_headers_set - make this the only field of its name
 *
 * It takes the place of the first one of that name, or is added.
 *
 * Returns  as weft_http_headers_add
 * Waits    no
 * Threads  whoever owns headers
 * Source   http.Header.Set of Go
 */
int weft_http_headers_set(weft_http_headers *headers, const char *name, const char *value);

/*
 * weft_http_headers_get - the value of the first field of that name, whatever its case
 *
 * Returns  text that is good until the list changes; NULL when there is none
 * Waits    no
 * Threads  whoever owns headers
 * Source   http.Header.Get of Go
 */
const char *weft_http_headers_get(const weft_http_headers *headers, const char *name);

/*
 * weft_http_headers_remove - remove all fields of that name
 *
 * Returns  how many there were
 * Waits    no
 * Threads  whoever owns headers
 * Source   http.Header.Del of Go
 */
size_t weft_http_headers_remove(weft_http_headers *headers, const char *name);

/*
 * weft_http_headers_at - a field by its place
 *
 * i        less than headers->n
 *
 * Returns  texts that are good until the list changes
 * Waits    no
 * Threads  whoever owns headers
 * Source   weft
 */
weft_http_header weft_http_headers_at(const weft_http_headers *headers, size_t i);

/*
 * weft_http_headers_has_token - whether a field that is a list has an element, as in
 * "Connection: keep-alive, upgrade"; all fields of the name count, and case does not
 *
 * Returns  true if one has
 * Waits    no
 * Threads  whoever owns headers
 * Source   RFC 9110 5.6.1
 */
bool weft_http_headers_has_token(const weft_http_headers *headers, const char *name,
                                 const char *token);

/*
 * weft_http_headers_write - the fields as they are sent, each with its CRLF
 *
 * Returns  0; -ENOMEM, -EOVERFLOW (out may have a part of them)
 * Waits    no
 * Threads  whoever owns both
 * Source   RFC 9112 5
 */
int weft_http_headers_write(const weft_http_headers *headers, weft_buf *out);

/*
 * weft_http_headers_clear - remove all fields and keep the memory for others
 *
 * Waits    no
 * Threads  whoever owns headers
 * Source   weft
 */
void weft_http_headers_clear(weft_http_headers *headers);

/*
 * weft_http_headers_free - give the memory back; the list is empty and usable afterwards
 *
 * Waits    no
 * Threads  whoever owns headers
 * Source   weft
 */
void weft_http_headers_free(weft_http_headers *headers);

/* ---- Values of fields ---------------------------------------------------------------------- */

/*
 * weft_http_date_format - a time as fields have it: "Sun, 06 Nov 1994 08:49:37 GMT"
 *
 * seconds  since 1970 in UTC; years 0 to 9999, what is outside counts as the nearest inside
 * buf      out: WEFT_HTTP_DATE_BYTES, ends in a zero byte
 *
 * Returns  buf
 * Waits    no
 * Threads  any
 * Source   RFC 9110 5.6.7
 */
const char *weft_http_date_format(int64_t seconds, char *buf);

/*
 * weft_http_date_parse - read a date in one of its three formats
 *
 * now      seconds since 1970: a year of two digits more than 50 years after it is in the past
 *
 * Returns  0; -EINVAL for what is no date, one that no calendar has too
 * Waits    no
 * Threads  any
 * Source   RFC 9110 5.6.7
 */
int weft_http_date_parse(const char *text, size_t len, int64_t now, int64_t *ret_seconds);

/*
 * weft_http_range_parse - which bytes a Range field asks for
 *
 * size     of the representation
 * ranges   out: up to max, at least 1, in the order asked for, each within size
 *
 * Returns  how many ranges; 0 when the field has to be ignored and all be sent: not in bytes, not to
 *          be read, more than max, or ranges that overlap; -ERANGE when none is within size: 416
 * Waits    no
 * Threads  any
 * Source   RFC 9110 14.1.2 and 14.2
 */
int weft_http_range_parse(const char *text, size_t len, uint64_t size, weft_http_range *ranges,
                          size_t max);

/*
 * weft_http_etag_match - whether a list of entity tags, or *, has one
 *
 * text     the value of If-None-Match (compare weakly) or If-Match (strongly)
 * etag     with its quotes, and W/ before a weak one
 * weak     true: W/"a" and "a" are the same; false: two strong tags that are
 *
 * Returns  true if it has; false too for a list that cannot be read
 * Waits    no
 * Threads  any
 * Source   RFC 9110 8.8.3.2, 13.1
 */
bool weft_http_etag_match(const char *text, size_t len, const char *etag, bool weak);

/*
 * weft_http_accepts - how much a media type, or a content coding, is wanted
 *
 * text     the value of Accept, Accept-Encoding, Accept-Language or Accept-Charset
 * what     "text/html", "gzip"; the most specific element that has it counts: itself, then text/\*,
 *          then * or *\/\*
 *
 * Returns  0 (not wanted, or not named) to 1000 (q=1)
 * Waits    no
 * Threads  any
 * Source   RFC 9110 12.4.2, 12.5
 */
int weft_http_accepts(const char *text, size_t len, const char *what);

/*
 * weft_http_media_type - what a file is by its name
 *
 * name     of a file, or a path; NULL counts as ""
 *
 * Returns  constant text, "text/html; charset=utf-8"; "application/octet-stream" if not known
 * Waits    no
 * Threads  any
 * Source   IANA's registry of media types, mimetypes.guess_type
 */
const char *weft_http_media_type(const char *name);

/* ---- Percent encoding, queries, paths ------------------------------------------------------ */

/*
 * weft_percent_encode - add text to a buffer, with %41 for all but letters, digits, - . _ ~
 *
 * keep     further characters that stay as they are, such as "/"; NULL for none
 *
 * Returns  0; -ENOMEM, -EOVERFLOW (the buffer may have a part)
 * Waits    no
 * Threads  whoever owns out
 * Source   RFC 3986 2.1, urllib.parse.quote
 */
int weft_percent_encode(weft_buf *out, const void *data, size_t len, const char *keep);

/*
 * weft_percent_decode - add text to a buffer, with each %41 as the byte it stands for
 *
 * plus     true: + is a blank, as in forms
 *
 * Returns  0; WEFT_E_URL for a % without two hexadecimal digits; -ENOMEM, -EOVERFLOW. On failure the
 *          buffer has what it had
 * Waits    no
 * Threads  whoever owns out
 * Source   RFC 3986 2.1, urllib.parse.unquote_plus
 */
int weft_percent_decode(weft_buf *out, const void *data, size_t len, bool plus);

/*
 * weft_query_next - take the next name=value off a query or a form
 *
 * rest       in and out: what is left, the query at first; empty parts between & are skipped
 * ret_name   out: as it stands: weft_percent_decode(…, true) reads it
 * ret_value  out: the same; data NULL when there is no =
 *
 * Returns  true; false when nothing is left
 * Waits    no
 * Threads  any
 * Source   URL Standard 5.1, urllib.parse.parse_qsl
 */
bool weft_query_next(weft_bytes *rest, weft_bytes *ret_name, weft_bytes *ret_value);

/*
 * weft_http_path_decode - the path of a target as a relative path that cannot leave its folder
 *
 * Percent-decoded once, without "." and empty segments, ".." taken together with what is before it,
 * without a slash at the beginning: "/a/../b%20c/" is "b c/", and "/" is "". What cannot be said so
 * is refused: more ".." than segments, a slash or backslash that was encoded, a backslash, control
 * characters and zero bytes, and bytes that are no UTF-8.
 *
 * path     the target up to ? or weft_url's path; begins with a slash
 * out      the path is added, and a zero byte that its len does not count
 *
 * Returns  0; WEFT_E_URL with weft_error_text(); -ENOMEM, -EOVERFLOW. On failure out has what it had
 * Waits    no
 * Threads  whoever owns out
 * Source   RFC 3986 5.2.4
 */
int weft_http_path_decode(weft_buf *out, const void *path, size_t len);

/* ---- URLs ---------------------------------------------------------------------------------- */

/*
 * weft_url_parse - take a URL apart
 *
 * text     with a scheme; borrowed as long as ret_url is used
 *
 * Returns  0; WEFT_E_URL with weft_error_text() for what RFC 3986 does not have: characters that
 *          have to be encoded, % without two digits, an address that is none, a port over 65,535
 * Waits    no
 * Threads  any
 * Source   RFC 3986 3
 */
int weft_url_parse(weft_url *ret_url, const char *text, size_t len);

/*
 * weft_url_parse_reference - the same, and what stands in links: "../a", "?b", "//host/c", ""
 *
 * Returns  as weft_url_parse
 * Waits    no
 * Threads  any
 * Source   RFC 3986 4.1
 */
int weft_url_parse_reference(weft_url *ret_url, const char *text, size_t len);

/*
 * weft_url_port - the port to connect to
 *
 * Returns  the URL's port; else 80 for http and ws, 443 for https and wss; else -1
 * Waits    no
 * Threads  any
 * Source   RFC 9110 4.2
 */
int weft_url_port(const weft_url *url);

/*
 * weft_url_write - put the parts together again
 *
 * Returns  0; -ENOMEM, -EOVERFLOW (out may have a part)
 * Waits    no
 * Threads  whoever owns out
 * Source   RFC 3986 5.3
 */
int weft_url_write(weft_buf *out, const weft_url *url);

/*
 * weft_url_resolve - what a link on a page leads to
 *
 * base     of the page; has a scheme
 * out      the URL's text is added; it is not inside base or reference
 *
 * Returns  0; WEFT_E_URL when base has no scheme; -ENOMEM, -EOVERFLOW (out may have a part)
 * Waits    no
 * Threads  whoever owns out
 * Source   RFC 3986 5.2, strict
 */
int weft_url_resolve(weft_buf *out, const weft_url *base, const weft_url *reference);

/*
 * weft_url_normalize - the same URL for all its spellings, so that a crawler sees a page once
 *
 * Scheme and host in lower case, no default port, "." and ".." resolved, "/" for an empty path
 * behind a host, percent encoding in capitals and only where it is needed, no fragment.
 *
 * Returns  0; -ENOMEM, -EOVERFLOW (out may have a part)
 * Waits    no
 * Threads  whoever owns out
 * Source   RFC 3986 6.2
 */
int weft_url_normalize(weft_buf *out, const weft_url *url);

WEFT_END_DECLS

#endif
