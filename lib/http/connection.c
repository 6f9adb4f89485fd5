/*
 * connection.c - HTTP connections: one request after the other, until one of the two has enough.
 *
 * An idle connection holds its stream, its task and nothing else: what a request needs is an
 * exchange, taken from its loop when the first byte has come, and given back when the next request
 * is waited for.
 */
#include <errno.h>
#include <sys/socket.h>

#include <weft/error.h>
#include <weft/loop.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "http/exchange.h"

/* A connection that was taken from the queue while the server drains may say what it wants. */
#define LAST_WORDS WEFT_MS(500)
/* After an answer to something that was not read to its end: so long the client may go on sending,
 * lest a reset destroys the answer before it was read (RFC 9112 9.6). */
#define LINGER WEFT_SEC(2)
#define LINGER_BYTES ((size_t)1 << 20)

/* ---- Exchanges ----------------------------------------------------------------------------- */

static struct weft_http_exchange *
exchange_take(struct weft__http_conn *conn)
{
    struct weft__http_shard *shard = conn->shard;
    struct weft_http_exchange *x = shard->free;
    if (x != NULL) {
        shard->free = x->next_free;
        shard->n_free--;
    } else {
        size_t fields = conn->server->limits.fields;
        x = weft_memory_zeroed(sizeof *x + fields * sizeof x->fields[0]);
        if (x == NULL)
            return NULL;
        x->request.fields = x->fields;
    }
    x->conn = conn;
    x->server = conn->server;
    x->shard = shard;
    x->broken = false;
    return x;
}

void
weft__http_exchange_free(struct weft_http_exchange *x)
{
    weft_buf_free(&x->out);
    weft_buf_free(&x->extra);
    weft_memory_free(x);
}

static void
exchange_give(struct weft_http_exchange *x)
{
    struct weft__http_shard *shard = x->shard;
    x->out.len = 0;
    if (shard->n_free >= WEFT__HTTP_EXCHANGES_KEPT) {
        weft__http_exchange_free(x);
        return;
    }
    if (x->out.cap > 2 * WEFT__HTTP_OUT_BYTES)
        weft_buf_free(&x->out);
    if (x->extra.cap > WEFT__HTTP_OUT_BYTES)
        weft_buf_free(&x->extra);
    x->next_free = shard->free;
    shard->free = x;
    shard->n_free++;
}

/* ---- Requests ------------------------------------------------------------------------------ */

/* Waits for the first byte of a request, with nothing held. True when it is there. */
static bool
await_request(struct weft__http_conn *conn)
{
    const weft_http_server_options *options = &conn->server->options;
    bool first = conn->n_requests == 0;
    weft_time deadline = weft_now() + (first ? options->head_timeout : options->idle_timeout);
    weft_server_idle_open(conn->net, deadline);
    ssize_t n = weft_stream_fill(conn->stream);
    int ended = weft_server_idle_close(conn->net);
    if (n == -ECANCELED && ended == -ECANCELED && first)
        n = weft__http_fill_until(conn->stream, weft_now() + LAST_WORDS);
    return n > 0;
}

/* So that the client gets the last answer, although it may still be sending. */
static void
linger(struct weft__http_conn *conn)
{
    weft_stream *stream = conn->stream;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + LINGER);
    size_t dropped = 0;
    if (weft_stream_shutdown(stream) == 0)
        while (dropped < LINGER_BYTES) {
            weft_bytes view = weft_stream_buffered(stream);
            weft_stream_consume(stream, view.len);
            ssize_t n = weft_stream_fill(stream);
            if (n <= 0)
                break;
            dropped += (size_t)n;
        }
    weft_ignore(weft_scope_close(&scope));
}

/* Between two requests: so that the client knows that nothing is missing (RFC 9112 9.8). */
static void
say_bye(struct weft__http_conn *conn)
{
    if (conn->stream == conn->net)
        return;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + LAST_WORDS);
    weft_ignore(weft_stream_shutdown(conn->stream));
    weft_ignore(weft_scope_close(&scope));
}

/* An answer without a length goes until the end of the connection, and may look whole where it was
 * cut: an end by a reset does not. (TLS says no good-bye then.) */
static void
end_by_reset(struct weft__http_conn *conn, const struct weft_http_exchange *x)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    int raw = weft_stream_raw(conn->stream);
    if (raw >= 0 && x->begun && x->length < 0 && !x->chunked && !x->bodyless)
        setsockopt(raw, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static void
serve_requests(struct weft__http_conn *conn)
{
    bool more = true, broken = false, unread = false;
    while (more) {
        if (weft_stream_buffered(conn->stream).len == 0) {
            if (conn->exchange != NULL) {
                more = weft__http_flush(conn->exchange) == 0;
                exchange_give(conn->exchange);
                conn->exchange = NULL;
            }
            if (!more)
                return;
            if (!await_request(conn)) {
                say_bye(conn);
                return;
            }
        } else {
            /* A request of a pipeline waits for nothing: it counts as a call that found what it
             * wants, so that others have their turn. A cancellation is for its handler to see. */
            weft_ignore(weft_checkpoint());
        }
        if (conn->exchange == NULL)
            conn->exchange = exchange_take(conn);
        if (conn->exchange == NULL)
            return; /* out of memory: whoever asked may come again */
        more = weft__http_exchange_once(conn->exchange);
        broken = conn->exchange->broken;
        unread = !conn->exchange->body_done;
    }
    struct weft_http_exchange *x = conn->exchange;
    /* A client that did not ask for the end may be sending the next request. TLS says good-bye. */
    bool expected = x->status == 0 ||
                    (!unread && !x->request.keep_alive &&
                     weft_stream_buffered(conn->stream).len == 0 && conn->stream == conn->net);
    if (!broken)
        broken = weft__http_flush(x) < 0;
    if (broken)
        end_by_reset(conn, x);
    exchange_give(x);
    conn->exchange = NULL;
    if (!expected && !broken)
        linger(conn);
}

/* ---- Plain, or with TLS -------------------------------------------------------------------- */

/* Plain connections: the frame of those with TLS is larger. */
static void
serve_stream(struct weft_http_server *server, weft_stream *net, weft_stream *stream)
{
    struct weft__http_conn conn = {
        .server = server,
        .shard = &server->shards[weft_loop_index(weft_loop_current())],
        .net = net,
        .stream = stream,
    };
    weft_stream_set_limit(stream, server->options.head_bytes + 1);
    serve_requests(&conn);
}

static weft_tls_context *
tls_of(struct weft_http_server *server)
{
    pthread_mutex_lock(&server->tls_lock);
    weft_tls_context *tls = weft_tls_context_ref(server->tls);
    pthread_mutex_unlock(&server->tls_lock);
    return tls;
}

__attribute__((noinline)) static int
serve_tls(struct weft_http_server *server, weft_stream *net)
{
    weft_stream *tls = weft_memory_zeroed(sizeof *tls);
    if (tls == NULL)
        return -ENOMEM;
    weft_tls_context *context = tls_of(server);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + server->options.head_timeout);
    int rc = weft_tls_server(tls, net, context);
    if (weft_scope_close(&scope) == -ETIMEDOUT)
        rc = -ETIME;
    weft_tls_context_unref(context);
    if (rc == 0) {
        serve_stream(server, net, tls);
        weft_stream_close(tls);
    } else if (rc != -ECANCELED) {
        struct weft__http_shard *shard = &server->shards[weft_loop_index(weft_loop_current())];
        WEFT__HTTP_COUNT(shard->stats.tls_failed, 1);
        rc = 0; /* ordinary: scanners, old clients */
    }
    weft_memory_free(tls);
    return rc;
}

int
weft__http_serve(weft_stream *net, void *arg)
{
    struct weft_http_server *server = arg;
    if (server->tls != NULL)
        return serve_tls(server, net);
    serve_stream(server, net, net);
    return 0;
}
