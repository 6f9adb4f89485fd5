/*
 * server.c - HTTP connections: one request after the other, until one of the two has enough.
 *
 * An idle connection holds its stream, its task and nothing else: what a request needs is an
 * exchange, taken from its loop when the first byte has come, and given back when the next request
 * is waited for. Errors of the client are answered and end the connection: after something that was
 * not understood, nothing that follows can be trusted to begin where it seems to.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/error.h>
#include <weft/group.h>
#include <weft/loop.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "http/exchange.h"

#define DEFAULT(field, value)                                                                      \
    do {                                                                                           \
        if (options->field == 0)                                                                   \
            options->field = (value);                                                              \
    } while (0)

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

static void
exchange_free(struct weft_http_exchange *x)
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
        exchange_free(x);
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

/* ---- One request --------------------------------------------------------------------------- */

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
    if (rc == 0 && x->begun && !x->ended)
        rc = weft_http_response_end(x);
    if (rc < 0 || !x->begun) {
        bool undone = weft__http_response_undo(x);
        bool of_client = x->body_rc < 0 && !x->begun && !undone;
        if (!of_client && !x->broken)
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

/* ---- A connection -------------------------------------------------------------------------- */

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

/* One request and its answer. True when another one may follow. */
static bool
exchange_once(struct weft_http_exchange *x)
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
        refuse(x, 413);
    else
        rc = answer(x);
    if (x->keep && !x->body_done && weft__http_request_skip(x) < 0)
        x->keep = false;
    weft_memory_free(x->head);
    x->head = NULL;
    return rc == 0 && x->keep && !x->broken;
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
        }
        if (conn->exchange == NULL)
            conn->exchange = exchange_take(conn);
        if (conn->exchange == NULL)
            return; /* out of memory: whoever asked may come again */
        more = exchange_once(conn->exchange);
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
    exchange_give(x);
    conn->exchange = NULL;
    if (!expected && !broken)
        linger(conn);
}

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

static int
serve(weft_stream *net, void *arg)
{
    struct weft_http_server *server = arg;
    if (server->tls != NULL)
        return serve_tls(server, net);
    serve_stream(server, net, net);
    return 0;
}

/* The server of connections knows us as its argument, and its user does not. */
static void
pass_error(void *arg, weft_stream *connection, int rc)
{
    struct weft_http_server *server = arg;
    server->on_error(server->on_error_arg, connection, rc);
}

/* ---- Servers ------------------------------------------------------------------------------- */

static int
out_of_range(const char *what, uint64_t value, uint64_t most)
{
    return weft_error_note(-EINVAL, "%s must be at most %llu, got %llu", what,
                           (unsigned long long)most, (unsigned long long)value);
}

static int
fill_in(weft_http_server_options *options)
{
    DEFAULT(head_bytes, 16384);
    DEFAULT(target_bytes, 8192);
    DEFAULT(header_max, 100);
    DEFAULT(body_bytes, (uint64_t)1 << 20);
    DEFAULT(idle_timeout, WEFT_SEC(60));
    DEFAULT(head_timeout, WEFT_SEC(10));
    DEFAULT(body_timeout, WEFT_SEC(20));
    DEFAULT(body_rate, 128);
    DEFAULT(write_timeout, WEFT_SEC(30));
    if (options->head_bytes > (size_t)16 << 20)
        return out_of_range("head_bytes", options->head_bytes, (size_t)16 << 20);
    if (options->header_max > 1000)
        return out_of_range("header_max", options->header_max, 1000);
    const weft_time *times[] = {&options->idle_timeout, &options->head_timeout,
                                &options->body_timeout, &options->write_timeout};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (*times[i] < 0 || *times[i] > WEFT_SEC(31536000))
            return weft_error_note(-EINVAL, "a timeout must be 0 to a year, got %lld ns",
                                   (long long)*times[i]);
    return 0;
}

static int
make_server_line(struct weft_http_server *server)
{
    const char *name = server->options.server_name;
    if (name == NULL)
        name = "weft";
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return weft_error_note(-EINVAL, "server_name cannot be sent in a header");
    weft_buf line = {0};
    int rc = *name != '\0' ? weft_buf_printf(&line, "Server: %s\r\n", name) : 0;
    server->server_line = (char *)line.data;
    server->server_line_len = (uint32_t)line.len;
    return rc;
}

static int
make_shards(struct weft_http_server *server)
{
    server->n_shards = weft_loop_count();
    /* Aligned by hand: the allocator promises no more than malloc does. */
    server->shards_memory =
        weft_memory_zeroed((server->n_shards + 1) * sizeof(struct weft__http_shard));
    if (server->shards_memory == NULL)
        return -ENOMEM;
    uintptr_t at = (uintptr_t)server->shards_memory;
    at = (at + _Alignof(struct weft__http_shard) - 1) &
         ~(uintptr_t)(_Alignof(struct weft__http_shard) - 1);
    server->shards = (struct weft__http_shard *)at;
    for (unsigned i = 0; i < server->n_shards; i++)
        weft_event_open(&server->shards[i].log_wanted);
    return 0;
}

int
weft_http_server_new(weft_http_server **ret_server, const weft_http_server_options *options)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct weft_http_server *server = weft_memory_zeroed(sizeof *server);
    if (server == NULL)
        return -ENOMEM;
    pthread_mutex_init(&server->tls_lock, NULL);
    server->log_file = -1;
    server->options = *options;
    rc = fill_in(&server->options);
    if (rc == 0)
        rc = make_server_line(server);
    if (rc == 0)
        rc = weft__http_router_new(&server->router, options->routes);
    if (rc == 0)
        rc = make_shards(server);
    if (rc == 0)
        rc = weft__http_log_open(server, options->access_log);
    if (rc == 0) {
        server->limits = (struct weft__http_limits){
            .head_bytes = server->options.head_bytes,
            .fields = server->options.header_max,
            .target_bytes = server->options.target_bytes,
        };
        server->tls = options->tls != NULL ? weft_tls_context_ref(options->tls) : NULL;
        server->on_error = options->net.on_error;
        server->on_error_arg = options->net.arg;
        server->options.net.serve = serve;
        server->options.net.arg = server;
        if (server->on_error != NULL)
            server->options.net.on_error = pass_error;
        rc = weft_server_new(&server->net, &server->options.net);
    }
    if (rc < 0) {
        weft_http_server_free(server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

int
weft_http_server_run(weft_http_server *server)
{
    if (server->log_file < 0)
        return weft_server_run(server->net);
    /* The writers outlive the connections: what these have logged is written. */
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < server->n_shards; i++)
        weft_group_spawn_with(&group, weft__http_log_task, server,
                              &(weft_task_options){.name = "access log", .on = WEFT_ON(i)});
    int rc = weft_server_run(server->net);
    weft__http_log_stop(server);
    int closed = weft_group_close(&group);
    return rc < 0 ? rc : closed;
}

void
weft_http_server_stop(weft_http_server *server, weft_time grace)
{
    weft_server_stop(server->net, grace);
}

void
weft_http_server_free(weft_http_server *server)
{
    if (server == NULL)
        return;
    weft_server_free(server->net);
    weft__http_log_close(server);
    for (unsigned i = 0; i < server->n_shards && server->shards != NULL; i++) {
        struct weft__http_shard *shard = &server->shards[i];
        while (shard->free != NULL) {
            struct weft_http_exchange *x = shard->free;
            shard->free = x->next_free;
            exchange_free(x);
        }
        weft_buf_free(&shard->log);
    }
    weft_memory_free(server->shards_memory);
    weft__http_router_free(server->router);
    if (server->tls != NULL)
        weft_tls_context_unref(server->tls);
    pthread_mutex_destroy(&server->tls_lock);
    weft_memory_free(server->server_line);
    weft_memory_free(server);
}

weft_server *
weft_http_server_net(const weft_http_server *server)
{
    return server->net;
}

int
weft_http_server_set_tls(weft_http_server *server, weft_tls_context *context)
{
    if (server->options.tls == NULL || context == NULL)
        return -EINVAL;
    weft_tls_context *now = weft_tls_context_ref(context);
    pthread_mutex_lock(&server->tls_lock);
    weft_tls_context *old = server->tls;
    server->tls = now;
    pthread_mutex_unlock(&server->tls_lock);
    weft_tls_context_unref(old);
    return 0;
}

void
weft_http_server_stats_get(const weft_http_server *server, weft_http_server_stats *ret_stats)
{
    weft_http_server_stats sum = {0};
    for (unsigned i = 0; i < server->n_shards; i++) {
        const weft_http_server_stats *stats = &server->shards[i].stats;
        sum.requests += __atomic_load_n(&stats->requests, __ATOMIC_RELAXED);
        sum.refused += __atomic_load_n(&stats->refused, __ATOMIC_RELAXED);
        sum.failed += __atomic_load_n(&stats->failed, __ATOMIC_RELAXED);
        sum.tls_failed += __atomic_load_n(&stats->tls_failed, __ATOMIC_RELAXED);
        sum.bytes_sent += __atomic_load_n(&stats->bytes_sent, __ATOMIC_RELAXED);
        sum.log_lines += __atomic_load_n(&stats->log_lines, __ATOMIC_RELAXED);
        sum.log_dropped += __atomic_load_n(&stats->log_dropped, __ATOMIC_RELAXED);
    }
    *ret_stats = sum;
}
