/*
 * t_http.h - what a parse gave, as text: so that a message fed whole and the same one fed in pieces
 * can be compared, by tests and by fuzz targets.
 *
 * Each call of the parser sees its bytes in a block of just their size, so that AddressSanitizer
 * notices a look behind them, and somewhere else than the call before.
 */
#ifndef WEFT_TESTS_T_HTTP_H
#define WEFT_TESTS_T_HTTP_H

#include <stdlib.h>
#include <string.h>

#include <weft/error.h>

#include "http/chunked.h"
#include "http/parse.h"

#define T_HTTP_FIELDS 16

static const struct weft__http_limits t_http_limits = {
    .head_bytes = 4096, .fields = T_HTTP_FIELDS, .target_bytes = 1024};

/* How a message is given: all at once; up to `cut` first; each byte as a call of its own. */
#define T_HTTP_WHOLE SIZE_MAX
#define T_HTTP_BYTES (SIZE_MAX - 1)

static inline void
t_http_put(weft_buf *out, const char *name, const char *data, size_t len)
{
    if (weft_buf_printf(out, " %s[", name) < 0 || weft_buf_append(out, data, len) < 0 ||
        weft_buf_append(out, "]", 1) < 0)
        abort();
}

static inline void
t_http_put_fields(weft_buf *out, const struct weft__http_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        t_http_put(out, "", fields[i].name, fields[i].name_len);
        t_http_put(out, "=", fields[i].value, fields[i].value_len);
    }
}

/* The block that a call sees, and how much of the message is in it. False: all was given. */
static inline bool
t_http_next(const char *data, size_t len, size_t cut, size_t *given, char **block)
{
    if (*block != NULL && *given == len)
        return false;
    if (cut == T_HTTP_BYTES)
        *given += len > 0;
    else
        *given = *block == NULL && cut < len ? cut : len;
    char *next = malloc(*given > 0 ? *given : 1);
    if (next == NULL)
        abort();
    memcpy(next, data, *given);
    free(*block);
    *block = next;
    return true;
}

/* Adds to out what the request gave; *ret_rc is the parser's last result. */
static inline void
t_http_request(weft_buf *out, const char *data, size_t len, size_t cut, ssize_t *ret_rc)
{
    struct weft__http_field fields[T_HTTP_FIELDS];
    struct weft__http_request r = {.fields = fields};
    struct weft__http_scan scan = {0};
    char *block = NULL;
    size_t given = 0;
    int status = 0;
    ssize_t rc = 0;
    while (rc == 0 && t_http_next(data, len, cut, &given, &block))
        rc = weft__http_parse_request(&r, &scan, block, given, &t_http_limits, &status);
    weft_buf_printf(out, "%zd", rc);
    if (rc < 0)
        weft_buf_printf(out, " %d %s", status, weft_error_text());
    if (rc > 0) {
        if ((size_t)rc > given || weft_http_method_parse(r.method, r.method_len) != r.method_id)
            abort();
        t_http_put(out, "", r.method, r.method_len);
        t_http_put(out, "", r.target, r.target_len);
        weft_buf_printf(out, " 1.%d%s%s%s%s%s %llu", r.version_minor, r.keep_alive ? " keep" : "",
                        r.chunked ? " chunked" : "", r.has_length ? " length" : "",
                        r.expect_continue ? " expect" : "", r.upgrade ? " upgrade" : "",
                        (unsigned long long)r.content_length);
        if (r.has_host || r.host != NULL)
            t_http_put(out, r.has_host ? "host" : "authority", r.host, r.host_len);
        t_http_put_fields(out, r.fields, r.n_fields);
    }
    free(block);
    *ret_rc = rc;
}

/* The same for a response to a request of that method. */
static inline void
t_http_response(weft_buf *out, unsigned method, const char *data, size_t len, size_t cut,
                ssize_t *ret_rc)
{
    struct weft__http_field fields[T_HTTP_FIELDS];
    struct weft__http_response r = {.fields = fields};
    struct weft__http_scan scan = {0};
    char *block = NULL;
    size_t given = 0;
    ssize_t rc = 0;
    while (rc == 0 && t_http_next(data, len, cut, &given, &block))
        rc = weft__http_parse_response(&r, &scan, method, block, given, &t_http_limits);
    weft_buf_printf(out, "%zd", rc);
    if (rc < 0)
        weft_buf_printf(out, " %s", weft_error_text());
    if (rc > 0) {
        static const char *const bodies[] = {"none", "length", "chunks", "close", "tunnel"};
        if ((size_t)rc > given)
            abort();
        weft_buf_printf(out, " %d", r.status);
        t_http_put(out, "", r.reason, r.reason_len);
        weft_buf_printf(out, " 1.%d %s%s%s%s%s %llu", r.version_minor, bodies[r.body],
                        r.keep_alive ? " keep" : "", r.chunked ? " chunked" : "",
                        r.has_length ? " length" : "", r.upgrade ? " upgrade" : "",
                        (unsigned long long)r.content_length);
        t_http_put_fields(out, r.fields, r.n_fields);
    }
    free(block);
    *ret_rc = rc;
}

/* The body of a chunked message, its trailers, and how many bytes it took. Here pieces are given
 * on their own: what was taken is gone. */
static inline void
t_http_chunked(weft_buf *out, const char *data, size_t len, size_t cut, ssize_t *ret_rc)
{
    weft_buf body = {0}, trailers = {0};
    struct weft__http_chunks chunks = {
        .extension_bytes = 64, .trailer_bytes = 256, .trailer_fields = 4, .trailers = &trailers};
    size_t taken = 0;
    ssize_t rc = 0;
    bool done = false;
    while (rc >= 0 && !done && taken < len) {
        size_t piece = len - taken;
        if (cut == T_HTTP_BYTES)
            piece = 1;
        else if (cut < len && taken < cut)
            piece = cut - taken;
        char *block = malloc(piece);
        if (block == NULL)
            abort();
        memcpy(block, data + taken, piece);
        const char *part;
        size_t part_len;
        rc = weft__http_chunks_feed(&chunks, block, piece, &part, &part_len, &done);
        if (rc >= 0) {
            if (rc == 0 || (size_t)rc > piece || part < block || part + part_len > block + rc ||
                weft_buf_append(&body, part, part_len) < 0)
                abort();
            taken += (size_t)rc;
        }
        free(block);
    }
    if (rc < 0)
        weft_buf_printf(out, "%zd %s", rc, weft_error_text());
    else
        weft_buf_printf(out, "%s %zu", done ? "done" : "more", taken);
    t_http_put(out, "body", (const char *)body.data, body.len);
    if (done) {
        struct weft__http_field fields[4];
        ssize_t n = weft__http_parse_trailers(fields, 4, (const char *)trailers.data, trailers.len);
        if (n < 0)
            abort();
        t_http_put_fields(out, fields, (size_t)n);
    }
    weft_buf_free(&body);
    weft_buf_free(&trailers);
    *ret_rc = rc < 0 ? rc : done;
}

#endif
