/*
 * exchange.c - one request on a connection: its head, its handler, its one answer.
 *
 * Errors of the client are answered and end the connection: after something that was not
 * understood, nothing that follows can be trusted to begin where it seems to.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>

#include "http/exchange.h"

/* ---- The answer ---------------------------------------------------------------------------- */

/* Which handler; the server's own answer where there is none. */
static int
dispatch(struct weft_http_exchange *x)
{
    const weft_http_server_options *options = &x->server->options;
    weft_buf allow = {0};
    int status = weft__http_router_find(x->server->router, weft_http_request_method_text(x),
                                        weft_http_request_path(x), &x->match, &allow);
    int rc = 0;
    if (status == 200) {
        const weft_http_route *route = weft__http_match_route(&x->match);
        rc = route->handler(x, route->arg);
    } else if (options->handler != NULL) {
        rc = options->handler(x, options->arg);
    } else {
        bool keep = x->keep;
        if (status == 405 && weft_buf_append(&allow, "", 1) == 0)
            rc = weft_http_response_header(x, "Allow", (const char *)allow.data);
        if (rc == 0)
            rc = weft_http_reply(x, status, "text/plain; charset=utf-8",
                                 status == 404 ? "404 Not Found\n" : "405 Method Not Allowed\n",
                                 status == 404 ? 14 : 23);
        x->keep = x->keep && keep;
    }
    weft_buf_free(&allow);
    return rc;
}

/* The answer to what a handler could not read of its request. */
static int
status_of_body(int rc)
{
    return rc == WEFT_E_HTTP_LARGE ? 413 : rc == -ETIME ? 408 : rc == -EPROTO ? 500 : 400;
}

/* A failure of a handler, and not of its client: of that the figures tell. */
static void
report(struct weft_http_exchange *x, int rc)
{
    if (rc == -ECANCELED)
        return;
    if (x->server->on_error != NULL) {
        x->server->on_error(x->server->on_error_arg, x->conn->net, rc);
        return;
    }
    weft_bytes method = weft_http_request_method_text(x), path = weft_http_request_path(x);
    weft_log(WEFT_LOG_WARN, "http: %.*s %.*s: the handler %s%s", (int)method.len,
             (const char *)method.data, (int)(path.len < 200 ? path.len : 200),
             (const char *)path.data, rc < 0 ? "failed: " : "did not answer",
             rc < 0 ? weft_strerror(rc) : "");
}

/* Calls the handler and sees to it that the request has one whole answer. What ended the
 * connection, or 0. */
static int
answer(struct weft_http_exchange *x)
{
    struct weft__http_shard *shard = x->shard;
    int rc = dispatch(x);
    if (rc > 0)
        rc = 0; /* a count, as reads give it: no failure */
    if (rc == 0 && x->begun && !x->ended)
        rc = weft_http_response_end(x);
    if (rc < 0 || !x->begun) {
        bool undone = weft__http_response_undo(x);
        bool of_client = x->body_rc < 0 && !x->begun && !undone;
        if (!of_client && (!x->broken || x->cut_short))
            report(x, rc);
        WEFT__HTTP_COUNT(*(of_client ? &shard->stats.refused : &shard->stats.failed), 1);
        if (!x->begun && !x->broken) {
            x->extra.len = 0;
            x->own_date = x->own_server = false;
            /* A cancelled task may still say so, as long as the answer goes out at once. */
            weft_ignore(weft__http_refuse(x, of_client ? status_of_body(x->body_rc) : 500));
        } else if (!x->ended) {
            x->broken = true; /* cut off: it must not look like a whole answer */
            x->keep = false;
        }
    }
    WEFT__HTTP_COUNT(shard->stats.requests, 1);
    WEFT__HTTP_COUNT(shard->stats.bytes_sent, x->sent);
    if (x->server->log_file >= 0 && x->begun)
        weft__http_log_line(x);
    if (rc == -ECANCELED || rc == -ETIMEDOUT)
        x->keep = false;
    return rc < 0 && x->broken ? rc : 0;
}

/* A request that was not let through to a handler. */
static void
refuse(struct weft_http_exchange *x, int status)
{
    struct weft__http_shard *shard = x->shard;
    if (status != 413) { /* of which the head was read */
        x->request.n_fields = 0;
        x->request.method_id = WEFT_HTTP_OTHER;
        x->request.version_minor = 1;
        x->request.keep_alive = false;
        x->request.method = "-";
        x->request.method_len = 1;
        x->request.target = "-";
        x->request.target_len = 1;
    }
    x->expects = false;
    weft_ignore(weft__http_refuse(x, status));
    WEFT__HTTP_COUNT(shard->stats.requests, 1);
    WEFT__HTTP_COUNT(shard->stats.refused, 1);
    if (x->server->log_file >= 0)
        weft__http_log_line(x);
}

/* ---- The request --------------------------------------------------------------------------- */

/* Some clients end a body with an empty line too many: it is not yet a request. */
static bool
only_empty_lines(const weft_stream *stream)
{
    weft_bytes view = weft_stream_buffered(stream);
    const char *bytes = view.data;
    size_t n = 0;
    while (n < view.len && (bytes[n] == '\r' || bytes[n] == '\n'))
        n++;
    return n == view.len;
}

/* Reads a head. Its length; 0 when the connection ended; the status to refuse it with, negated. */
static ssize_t
read_head(struct weft_http_exchange *x)
{
    weft_stream *stream = x->conn->stream;
    weft_time deadline = 0;
    memset(&x->scan, 0, sizeof x->scan);
    for (;;) {
        weft_bytes view = weft_stream_buffered(stream);
        int status = 0;
        ssize_t n = weft__http_parse_request(&x->request, &x->scan, view.data, view.len,
                                             &x->server->limits, &status);
        if (n != 0)
            return n > 0 ? n : -status;
        if (weft__http_flush(x) < 0)
            return 0;
        if (deadline == 0)
            deadline = weft_now() + x->server->options.head_timeout;
        n = weft__http_fill_until(stream, deadline);
        if (n == -ETIME)
            return only_empty_lines(stream) ? 0 : -408;
        if (n <= 0)
            return n == -EMSGSIZE ? -431 : 0;
    }
}

bool
weft__http_exchange_once(struct weft_http_exchange *x)
{
    const weft_http_server_options *options = &x->server->options;
    weft__http_response_reset(x);
    x->match.n = 0;
    x->match.rule = NULL;
    x->keep = false;
    x->body_done = false;
    x->expects = false;
    x->head = NULL;
    x->body_rc = 0;
    ssize_t head = read_head(x);
    if (head == 0)
        return false;
    if (head < 0) {
        refuse(x, (int)-head);
        return false;
    }
    x->conn->n_requests++;
    int rc = weft__http_request_begin(x, (size_t)head);
    if (options->request_max > 0 && x->conn->n_requests >= options->request_max)
        x->keep = false;
    if (rc < 0)
        refuse(x, rc == WEFT_E_HTTP_LARGE ? 413 : 503);
    else
        rc = answer(x);
    if (x->keep && !x->body_done && weft__http_request_skip(x) < 0)
        x->keep = false;
    weft_memory_free(x->head);
    x->head = NULL;
    return rc == 0 && x->keep && !x->broken;
}
