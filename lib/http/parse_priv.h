/*
 * parse_priv.h - what the parser's files share: faults, what a head said so far, and who judges it.
 *
 * parse.c reads lines and puts heads together. It asks target.c where a request is aimed, and
 * framing.c where the message ends and whether its connection goes on. Both note what they find in
 * the scan, and neither calls back.
 */
#ifndef WEFT_LIB_HTTP_PARSE_PRIV_H
#define WEFT_LIB_HTTP_PARSE_PRIV_H

#include <weft/error.h>

#include "http/parse.h"
#include "http/scan.h"

/* ---- What is wrong ------------------------------------------------------------------------- */

struct weft__http_fault {
    int rc;
    int status;
    const char *what;
};

/* Gives NULL, for functions that give where the next line begins. */
__attribute__((cold, noinline)) static const char *
refuse_as(struct weft__http_fault *fault, int rc, int status, const char *what)
{
    *fault = (struct weft__http_fault){.rc = rc, .status = status, .what = what};
    return NULL;
}

static inline const char *
refuse(struct weft__http_fault *fault, const char *what)
{
    return refuse_as(fault, WEFT_E_HTTP, 400, what);
}

/* ---- What a head said so far --------------------------------------------------------------- */

/* Bits of weft__http_scan.seen_ */
enum {
    SEEN_HOST = 1 << 0,
    SEEN_LENGTH = 1 << 1,
    SEEN_CODING = 1 << 2, /* Transfer-Encoding; it was just "chunked" */
    SEEN_CLOSE = 1 << 3,
    SEEN_KEEP_ALIVE = 1 << 4,
    SEEN_CONNECTION_UPGRADE = 1 << 5,
    SEEN_UPGRADE = 1 << 6,
    SEEN_EXPECT = 1 << 7,
    SEEN_AUTHORITY = 1 << 8 /* the target had one: host_ is it */
};

/* Equal but for case; `lower` is in lower case and of that length. Setting the bit of lower case
 * makes no other character of a token into a letter or a hyphen. */
static inline bool
token_is(const char *token, const char *lower, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((token[i] | 0x20) != lower[i])
            return false;
    return true;
}

/* ---- target.c: where a request is aimed; false with the fault ------------------------------- */

/* A target of at least one byte, and no path, unless it is that of CONNECT. Its form has to be one
 * that the method has (RFC 9112 3.2); data is where the head begins. */
bool weft__http_target_read(const char *target, const char *end, unsigned method, const char *data,
                            struct weft__http_scan *scan, struct weft__http_fault *fault);
bool weft__http_target_host(const struct weft__http_field *field, const char *data,
                            struct weft__http_scan *scan, struct weft__http_fault *fault);

/* ---- framing.c: where a message ends, and what follows it ----------------------------------- */

/* Fields, one by one; false with the fault. */
bool weft__http_framing_length(const struct weft__http_field *field, struct weft__http_scan *scan,
                               struct weft__http_fault *fault);
bool weft__http_framing_coding(const struct weft__http_field *field, struct weft__http_scan *scan,
                               struct weft__http_fault *fault);
void weft__http_framing_connection(const struct weft__http_field *field,
                                   struct weft__http_scan *scan);

/* The whole head: these fill in what of the message depends on it. False with the fault. */
bool weft__http_framing_of_request(struct weft__http_request *request,
                                   const struct weft__http_scan *scan,
                                   struct weft__http_fault *fault);
bool weft__http_framing_of_response(struct weft__http_response *response,
                                    const struct weft__http_scan *scan, unsigned method,
                                    struct weft__http_fault *fault);

#endif
