/*
 * request.c - what a handler asks of its request, and the request's body.
 *
 * Views are good until the handler returns. Where there is no body they point into the
 * connection's read buffer: nothing is read on then. A body would be read over them: there they
 * point into a copy of the head, which is taken before the handler sees any.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <weft/error.h>
#include <weft/scope.h>

#include "http/exchange.h"

/* Bodies that nobody read: up to this much is skipped, so that the connection can be used on. */
#define SKIP_BYTES ((uint64_t)262144)

/* ---- Head ---------------------------------------------------------------------------------- */

/* Adjusts a view from one copy of the head to the other. */
static void
move(const char **view, const char *from, const char *to)
{
    if (*view != NULL)
        *view = to + (*view - from);
}

/* All views into memory of our own, from the read buffer, which is about to be read into. */
static int
keep_head(struct weft_http_exchange *x)
{
    struct weft__http_request *r = &x->request;
    const char *from = r->method, *end = r->target + r->target_len;
    for (unsigned i = 0; i < r->n_fields; i++) {
        const char *value = r->fields[i].value;
        if (value != NULL && value + r->fields[i].value_len > end)
            end = value + r->fields[i].value_len;
        if (r->fields[i].name + r->fields[i].name_len > end)
            end = r->fields[i].name + r->fields[i].name_len;
    }
    size_t len = (size_t)(end - from);
    char *to = weft_memory_alloc(len);
    if (to == NULL)
        return -ENOMEM;
    memcpy(to, from, len);
    move(&r->method, from, to);
    move(&r->target, from, to);
    move(&r->host, from, to);
    for (unsigned i = 0; i < r->n_fields; i++) {
        move(&r->fields[i].name, from, to);
        move(&r->fields[i].value, from, to);
    }
    x->head = to;
    return 0;
}

int
weft__http_request_begin(struct weft_http_exchange *x, size_t head_len)
{
    struct weft__http_request *request = &x->request;
    weft_stream_consume(x->conn->stream, head_len);

    /* The path: behind scheme and authority, where the target has them. */
    const char *target = request->target;
    x->path_at = 0;
    if (target[0] != '/' && request->target_len > 1 && request->method_id != WEFT_HTTP_CONNECT) {
        const char *authority = memmem(target, request->target_len, "://", 3);
        if (authority != NULL) {
            const char *end = target + request->target_len, *at = authority + 3;
            while (at < end && *at != '/' && *at != '?')
                at++;
            x->path_at = (uint32_t)(at - target);
        }
    }
    const char *path = target + x->path_at;
    size_t left = request->target_len - x->path_at;
    const char *mark = left > 0 ? memchr(path, '?', left) : NULL;
    x->path_len = (uint32_t)(mark != NULL ? (size_t)(mark - path) : left);

    x->body_left = request->has_length ? request->content_length : 0;
    x->body_done = !request->chunked && x->body_left == 0;
    x->expects = request->expect_continue && !x->body_done;
    x->body_read = 0;
    x->body_waited = 0;
    x->body_rc = 0;
    /* Behind CONNECT there may be a tunnel's bytes, from somebody who did not wait for the answer:
     * whatever that is, they are no requests. */
    x->keep = request->keep_alive && request->method_id != WEFT_HTTP_CONNECT;
    if (request->chunked)
        memset(&x->chunks, 0, sizeof x->chunks);
    if (request->has_length && request->content_length > x->server->options.body_bytes)
        return WEFT_E_HTTP_LARGE;
    return x->body_done ? 0 : keep_head(x);
}

weft_http_method
weft_http_request_method(const weft_http_exchange *x)
{
    return (weft_http_method)x->request.method_id;
}

weft_bytes
weft_http_request_method_text(const weft_http_exchange *x)
{
    return (weft_bytes){.data = x->request.method, .len = x->request.method_len};
}

weft_bytes
weft_http_request_path(const weft_http_exchange *x)
{
    if (x->path_len == 0 && x->path_at > 0)
        return (weft_bytes){.data = "/", .len = 1}; /* http://host: RFC 9110 4.2.3 */
    return (weft_bytes){.data = x->request.target + x->path_at, .len = x->path_len};
}

weft_bytes
weft_http_request_query(const weft_http_exchange *x)
{
    uint32_t at = x->path_at + x->path_len;
    if (at >= x->request.target_len)
        return (weft_bytes){0};
    return (weft_bytes){.data = x->request.target + at + 1, .len = x->request.target_len - at - 1};
}

weft_bytes
weft_http_request_host(const weft_http_exchange *x)
{
    if (x->request.host == NULL)
        return (weft_bytes){0};
    return (weft_bytes){.data = x->request.host, .len = x->request.host_len};
}

int
weft_http_request_version(const weft_http_exchange *x)
{
    return 10 + x->request.version_minor;
}

weft_bytes
weft_http_request_header(const weft_http_exchange *x, const char *name)
{
    size_t len = strlen(name);
    for (unsigned i = 0; i < x->request.n_fields; i++) {
        const struct weft__http_field *field = &x->request.fields[i];
        if (field->name_len == len && strncasecmp(field->name, name, len) == 0)
            return (weft_bytes){.data = field->value, .len = field->value_len};
    }
    return (weft_bytes){0};
}

bool
weft_http_request_header_at(const weft_http_exchange *x, size_t index, weft_bytes *ret_name,
                            weft_bytes *ret_value)
{
    if (index >= x->request.n_fields)
        return false;
    const struct weft__http_field *field = &x->request.fields[index];
    *ret_name = (weft_bytes){.data = field->name, .len = field->name_len};
    *ret_value = (weft_bytes){.data = field->value, .len = field->value_len};
    return true;
}

weft_bytes
weft_http_request_param(const weft_http_exchange *x, const char *name)
{
    return weft__http_match_param(&x->match, name);
}

int
weft_http_request_peer(const weft_http_exchange *x, weft_address *ret_peer)
{
    return weft_server_peer(x->conn->net, ret_peer);
}

const weft_stream *
weft_http_request_stream(const weft_http_exchange *x)
{
    return x->conn->stream;
}

int64_t
weft_http_request_length(const weft_http_exchange *x)
{
    if (x->request.chunked)
        return -1;
    return x->request.has_length ? (int64_t)x->request.content_length : 0;
}

/* ---- Body ---------------------------------------------------------------------------------- */

ssize_t
weft__http_fill_until(weft_stream *stream, weft_time deadline)
{
    weft_scope scope;
    weft_scope_open(&scope, deadline);
    ssize_t n = weft_stream_fill(stream);
    return weft_scope_close(&scope) == -ETIMEDOUT ? -ETIME : n;
}

/* How long something may take to come: any byte, and enough of them on average. The time in which
 * nobody waited is the handler's, not the client's. */
static weft_time
body_patience(const struct weft_http_exchange *x)
{
    const weft_http_server_options *options = &x->server->options;
    uint64_t earned = x->body_read / options->body_rate; /* seconds */
    weft_time any = options->body_timeout;
    if (earned > (uint64_t)(x->body_waited / WEFT_SEC(1)))
        return any;
    weft_time enough = any + (weft_time)earned * WEFT_SEC(1) - x->body_waited;
    return any < enough ? any : enough;
}

/* Something of the body in the read buffer. 0, or what ended it. */
static int
await_body(struct weft_http_exchange *x)
{
    weft_stream *stream = x->conn->stream;
    if (weft_stream_buffered(stream).len > 0) {
        x->expects = false; /* it did not wait */
        return 0;
    }
    int rc = 0;
    if (x->expects && x->begun)
        rc = weft_error_note(-EPROTO, "the answer was begun before the client was told to go on");
    else if (x->expects)
        rc = weft__http_say_continue(x);
    else if (x->out.len > 0)
        rc = weft__http_flush(x); /* answers to earlier requests, which the client may wait for */
    if (rc < 0)
        return rc;
    weft_time from = weft_now();
    ssize_t n = weft__http_fill_until(stream, from + body_patience(x));
    x->body_waited += weft_now() - from;
    if (n > 0)
        return 0;
    return n < 0 ? (int)n : WEFT_E_END;
}

static ssize_t
read_known(struct weft_http_exchange *x, void *buf, size_t len)
{
    weft_bytes view = weft_stream_buffered(x->conn->stream);
    if (len > view.len)
        len = view.len;
    if (len > x->body_left)
        len = (size_t)x->body_left;
    memcpy(buf, view.data, len);
    weft_stream_consume(x->conn->stream, len);
    x->body_left -= len;
    x->body_done = x->body_left == 0;
    return (ssize_t)len;
}

/* 0 also when what came was no body, or its end. */
static ssize_t
read_chunked(struct weft_http_exchange *x, void *buf, size_t len)
{
    weft_bytes view = weft_stream_buffered(x->conn->stream);
    const char *body;
    size_t body_len;
    ssize_t n = weft__http_chunks_feed(&x->chunks, view.data, len < view.len ? len : view.len,
                                       &body, &body_len, &x->body_done);
    if (n < 0)
        return n;
    if (body_len > 0)
        memcpy(buf, body, body_len);
    weft_stream_consume(x->conn->stream, (size_t)n);
    return (ssize_t)body_len;
}

ssize_t
weft_http_request_read(weft_http_exchange *x, void *buf, size_t len)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    if (x->body_rc < 0)
        return x->body_rc;
    ssize_t n = 0;
    while (n == 0 && !x->body_done && len > 0) {
        n = await_body(x);
        if (n == -ECANCELED || n == -ETIMEDOUT || n == -ENOMEM)
            return n; /* the caller may go on later */
        if (n == 0)
            n = x->request.chunked ? read_chunked(x, buf, len) : read_known(x, buf, len);
    }
    if (n > 0) {
        x->body_read += (uint64_t)n;
        if (x->body_read > x->server->options.body_bytes)
            n = weft_error_note(WEFT_E_HTTP_LARGE, "the request's body is longer than %llu bytes",
                                (unsigned long long)x->server->options.body_bytes);
    }
    if (n < 0)
        x->body_rc = (int)n;
    return n;
}

int
weft_http_request_read_all(weft_http_exchange *x, weft_buf *out, size_t max)
{
    for (;;) {
        /* Into the buffer itself; the end is found with a byte that must not come. */
        char one;
        size_t room = out->cap - out->len;
        if (max > 0 && room < 512) {
            int rc = weft_buf_reserve(out, 4096);
            if (rc < 0)
                return rc;
            room = out->cap - out->len;
        }
        if (room > max)
            room = max;
        ssize_t n = max > 0 ? weft_http_request_read(x, out->data + out->len, room)
                            : weft_http_request_read(x, &one, 1);
        if (n <= 0)
            return (int)n;
        if (max == 0) {
            x->body_rc = WEFT_E_HTTP_LARGE;
            return weft_error_note(WEFT_E_HTTP_LARGE, "the body is longer than was to be read");
        }
        out->len += (size_t)n;
        max -= (size_t)n;
    }
}

int
weft__http_request_skip(struct weft_http_exchange *x)
{
    if (x->body_done)
        return 0;
    if (x->body_rc < 0 || x->expects || x->body_left > SKIP_BYTES)
        return -EPIPE;
    char bytes[2048];
    uint64_t skipped = 0;
    while (!x->body_done && skipped < SKIP_BYTES) {
        ssize_t n = weft_http_request_read(x, bytes, sizeof bytes);
        if (n <= 0)
            return (int)n;
        skipped += (uint64_t)n;
    }
    return x->body_done ? 0 : -EPIPE;
}
