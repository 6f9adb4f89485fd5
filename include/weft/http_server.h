/*
 * http_server.h - an HTTP/1.1 server: a handler is a task, and may wait on anything.
 *
 * A connection is a task of its loop. For each request it calls the handler of the route, in that
 * task; the handler reads the body as it comes, and replies at once or piece by piece. Whoever is
 * slow is suspended, and nothing is buffered without a limit. What a client does wrong is answered
 * and ended before a handler sees it. Part of libweft-http.
 *
 * Wherever a deadline ends a handler's call, return what it returned: when nothing was sent the
 * client gets 500, else the connection is cut, so that half an answer is not taken for a whole one.
 */
#ifndef WEFT_HTTP_SERVER_H
#define WEFT_HTTP_SERVER_H

#include <stdbool.h>

#include <weft/base.h>
#include <weft/http.h>
#include <weft/server.h>
#include <weft/time.h>
#include <weft/tls.h>

typedef struct weft_http_server weft_http_server;

/* A request and the answer to it; the server's, until the handler returns. */
typedef struct weft_http_exchange weft_http_exchange;

/*
 * Answers a request. Negative results are counted and reported, to on_error or else to the log;
 * without an answer so far the client gets 500 Internal Server Error. Returning 0 without an answer
 * is 500 too. What of the request's body was not read is skipped, or the connection is closed.
 */
typedef int weft_http_handler(weft_http_exchange *exchange, void *arg);

typedef struct weft_http_route {
    /* "GET /users/{id}": a method, or "*" for all, and a path. {name} stands for one segment, and
     * {name...} at the end for all that follows, or nothing. A literal segment is preferred to
     * {name}, and that to {name...}. GET routes answer HEAD, without the body. NULL ends a
     * table. */
    const char *pattern;
    weft_http_handler *handler;
    void *arg;
} weft_http_route;

/* Zero means the default, everywhere. */
typedef struct weft_http_server_options {
    /* Where to listen, and how many. serve is not looked at; arg is that of on_error, which is also
     * told of handlers that failed: with their result, or 0 when there was no answer. */
    weft_server_options net;
    const weft_http_route *routes; /* ends with a NULL pattern; strings are borrowed */
    weft_http_handler *handler;    /* for what no route matches; NULL: 404, or 405 with Allow */
    void *arg;                     /* of `handler` */
    weft_tls_context *tls;         /* NULL: plain; counted, see weft_http_server_set_tls */

    size_t head_bytes;    /* of a request, all lines; 0: 16 KiB. Beyond: 431 */
    size_t target_bytes;  /* of its target; 0: 8 KiB. Beyond: 414 */
    unsigned header_max;  /* number of its header lines; 0: 100, at most 1,000. Beyond: 431 */
    uint64_t body_bytes;  /* of its body; 0: 1 MiB, UINT64_MAX: any. Beyond: 413 */
    unsigned request_max; /* of one connection; 0: no limit */

    weft_time idle_timeout;  /* between requests; 0: 60 s. The connection is closed */
    weft_time head_timeout;  /* from the first byte of a head to its last; 0: 10 s. 408. Also for a
                                TLS handshake, and for the first byte of a new connection, which
                                is closed then */
    weft_time body_timeout;  /* in which at least `body_rate` bytes a second must have come, and any
                                byte at all; 0: 20 s. 408 */
    unsigned body_rate;      /* bytes a second, on average over a body; 0: 128 */
    weft_time write_timeout; /* in which a client must take something; 0: 30 s. Cut off */

    /* Lines as Apache's combined log, written by the executor; "-" is standard output. NULL: none.
     * When the disk cannot keep up lines are dropped, counted and reported: requests never wait. */
    const char *access_log;
    const char *server_name; /* value of the Server header; NULL: "weft"; "" sends none */
} weft_http_server_options;

typedef struct weft_http_server_stats {
    uint64_t requests;    /* answered, or begun to be */
    uint64_t refused;     /* of these, by the server: malformed, too large, too slow */
    uint64_t failed;      /* of these, whose handler failed */
    uint64_t tls_failed;  /* handshakes that came to nothing */
    uint64_t bytes_sent;  /* of bodies */
    uint64_t log_lines;   /* kept, to be written */
    uint64_t log_dropped; /* because the disk was slow or full */
} weft_http_server_stats;

WEFT_BEGIN_DECLS

/* ---- Servers ------------------------------------------------------------------------------- */

/*
 * weft_http_server_new - bind and listen; connections queue up from now on
 *
 * options  copied; routes, args and strings are borrowed until the server is freed
 *
 * Returns  0; -EINVAL for a route that cannot be read or is there twice, or a limit out of range
 *          (weft_error_text() names it); errors of weft_server_new, of opening the access log,
 *          -ENOMEM
 * Waits    yes, as weft_server_new
 * Threads  tasks
 * Source   aiohttp.web.Application, Go's http.Server
 */
WEFT_WAITS int weft_http_server_new(weft_http_server **ret_server,
                                    const weft_http_server_options *options);

/*
 * weft_http_server_run - serve on all loops until stopped; once per server
 *
 * Draining, as weft_server_run does it: connections between two requests end at once, the others
 * with the answer under way, which says "Connection: close". The access log is written out.
 *
 * Returns  as weft_server_run
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the runtime of weft_http_server_new
 * Source   aiohttp.web.run_app
 */
WEFT_WAITS int weft_http_server_run(weft_http_server *server);

/*
 * weft_http_server_stop - end accepting, and let requests end: weft_server_stop
 *
 * Waits    no: weft_http_server_run returns when all have ended
 * Threads  any, also callbacks; not signal handlers
 * Source   Go's http.Server.Shutdown
 */
void weft_http_server_stop(weft_http_server *server, weft_time grace);

/*
 * weft_http_server_free - free a server
 *
 * server   may be NULL; not while it runs
 *
 * Waits    no
 * Threads  tasks and callbacks, and plain threads
 * Source   weft
 */
void weft_http_server_free(weft_http_server *server);

/*
 * weft_http_server_net - the server of connections below: its address, its figures
 *
 * Returns  borrowed
 * Waits    no
 * Threads  any
 * Source   weft
 */
weft_server *weft_http_server_net(const weft_http_server *server);

/*
 * weft_http_server_set_tls - serve connections that come from now on with another context
 *
 * For renewed certificates. Connections that are there keep the context they began with.
 *
 * context  counted; the server must have been made with one
 *
 * Returns  0; -EINVAL for a server without TLS, or NULL
 * Waits    no
 * Threads  any
 * Source   nginx's reload
 */
int weft_http_server_set_tls(weft_http_server *server, weft_tls_context *context);

/*
 * weft_http_server_stats_get - what a server has done so far
 *
 * Waits    no
 * Threads  any; the figures are a little old, each by itself correct
 * Source   weft
 */
void weft_http_server_stats_get(const weft_http_server *server, weft_http_server_stats *ret_stats);

/* ---- The request ---------------------------------------------------------------------------
 * Views are good until the handler returns. */

/*
 * weft_http_request_method - the request's method
 *
 * Returns  a method; for WEFT_HTTP_OTHER see weft_http_request_method_text
 * Waits    no
 * Threads  the handler's task
 * Source   RFC 9110 9
 */
weft_http_method weft_http_request_method(const weft_http_exchange *exchange);

/*
 * weft_http_request_method_text - the request's method as it came
 *
 * Returns  a view, at least one byte
 * Waits    no
 * Threads  the handler's task
 * Source   RFC 9110 9
 */
weft_bytes weft_http_request_method_text(const weft_http_exchange *exchange);

/*
 * weft_http_request_path - the path that was asked for, as it came: still encoded
 *
 * Returns  a view; "/users/7"; "*" for OPTIONS *; the authority of CONNECT
 * Waits    no
 * Threads  the handler's task
 * Source   RFC 9112 3.2
 */
weft_bytes weft_http_request_path(const weft_http_exchange *exchange);

/*
 * weft_http_request_query - what stands behind the question mark
 *
 * Returns  a view, perhaps empty; data is NULL when there is no question mark
 * Waits    no
 * Threads  the handler's task
 * Source   RFC 3986 3.4
 */
weft_bytes weft_http_request_query(const weft_http_exchange *exchange);

/*
 * weft_http_request_host - whom the request is for: of the target, else the Host header
 *
 * Returns  a view: name or address, and port if it was given; data is NULL when HTTP/1.0 said none
 * Waits    no
 * Threads  the handler's task
 * Source   RFC 9110 7.2
 */
weft_bytes weft_http_request_host(const weft_http_exchange *exchange);

/*
 * weft_http_request_version - the version the client speaks
 *
 * Returns  10 or 11
 * Waits    no
 * Threads  the handler's task
 * Source   RFC 9112 2.3
 */
int weft_http_request_version(const weft_http_exchange *exchange);

/*
 * weft_http_request_header - the value of a header, of its first line when there are several
 *
 * name     in any case
 *
 * Returns  a view, perhaps empty; data is NULL when there is no such header
 * Waits    no
 * Threads  the handler's task
 * Source   RFC 9110 5
 */
weft_bytes weft_http_request_header(const weft_http_exchange *exchange, const char *name);

/*
 * weft_http_request_header_at - the header lines in their order
 *
 * index      from 0
 * ret_name   out: as it was sent
 * ret_value  out: without blanks around it
 *
 * Returns  true; false when there are fewer
 * Waits    no
 * Threads  the handler's task
 * Source   RFC 9110 5
 */
bool weft_http_request_header_at(const weft_http_exchange *exchange, size_t index,
                                 weft_bytes *ret_name, weft_bytes *ret_value);

/*
 * weft_http_request_param - what stood in the place of {name} in the route's pattern, encoded
 *
 * Returns  a view, perhaps empty; data is NULL when the pattern has no such name
 * Waits    no
 * Threads  the handler's task
 * Source   aiohttp's match_info, Go's Request.PathValue
 */
weft_bytes weft_http_request_param(const weft_http_exchange *exchange, const char *name);

/*
 * weft_http_request_peer - who asked
 *
 * Returns  as weft_server_peer
 * Waits    no
 * Threads  the handler's task
 * Source   getpeername(2)
 */
int weft_http_request_peer(const weft_http_exchange *exchange, weft_address *ret_peer);

/*
 * weft_http_request_stream - the connection, for questions about it (weft_tls_alpn…)
 *
 * Returns  borrowed: neither to be read from nor written to
 * Waits    no
 * Threads  the handler's task
 * Source   weft
 */
const weft_stream *weft_http_request_stream(const weft_http_exchange *exchange);

/*
 * weft_http_request_length - how long the body is
 *
 * Returns  bytes; 0 when there is none; -1 when only its end will tell (chunked)
 * Waits    no
 * Threads  the handler's task
 * Source   RFC 9112 6
 */
int64_t weft_http_request_length(const weft_http_exchange *exchange);

/*
 * weft_http_request_read - read what has come of the body, waiting for the first byte
 *
 * A client that expects 100 Continue is told to go on by the first call, or by the beginning of an
 * answer in pieces with a status below 300. Once another answer has begun it is too late: -EPROTO.
 *
 * Returns  bytes, 1 to len; 0 at the end of the body; WEFT_E_HTTP for a malformed one;
 *          WEFT_E_HTTP_LARGE over the limit; WEFT_E_END when the client left before the end; -ETIME
 *          when it was too slow; -ECANCELED, -ETIMEDOUT; errors of the connection
 * Waits    yes; looks for cancellation even when data is there
 * Threads  the handler's task
 * Source   aiohttp's request.content.read
 */
WEFT_WAITS ssize_t weft_http_request_read(weft_http_exchange *exchange, void *buf, size_t len);

/*
 * weft_http_request_read_all - read the body, or the rest of it
 *
 * out      bytes are added to it, also on failure
 * max      most bytes to add, beyond the server's own limit
 *
 * Returns  0; WEFT_E_HTTP_LARGE when there are more; -ENOMEM; errors of weft_http_request_read
 * Waits    yes; looks for cancellation even when data is there
 * Threads  the handler's task
 * Source   aiohttp's request.read
 */
WEFT_WAITS int weft_http_request_read_all(weft_http_exchange *exchange, weft_buf *out, size_t max);

/* ---- The answer ---------------------------------------------------------------------------- */

/*
 * weft_http_response_header - add a header to the answer, before it is begun
 *
 * Several of one name are sent as several lines. The server itself sends Date and Server, unless
 * they are added here, and Connection, Content-Length and Transfer-Encoding.
 *
 * Returns  0; -EINVAL for a name or value that cannot be sent, and for Connection, Content-Length,
 *          Transfer-Encoding, Keep-Alive, Upgrade and Trailer; -EALREADY when the answer has begun;
 *          -ENOMEM
 * Waits    no
 * Threads  the handler's task
 * Source   RFC 9110 5
 */
int weft_http_response_header(weft_http_exchange *exchange, const char *name, const char *value);

/*
 * weft_http_reply - answer with a whole body
 *
 * status   200 to 599
 * type     of the body, "text/plain; charset=utf-8"; NULL sends no Content-Type
 * data     len bytes; not looked at for HEAD, 204 and 304, beyond their number
 *
 * Returns  0; -EALREADY when an answer has begun; -EINVAL for a status or type that cannot be sent;
 *          -ETIME when the client took nothing for too long; errors of the connection
 * Waits    yes; an answer that fits goes out without looking for cancellation
 * Threads  the handler's task
 * Source   aiohttp.web.Response
 */
WEFT_WAITS int weft_http_reply(weft_http_exchange *exchange, int status, const char *type,
                               const void *data, size_t len);

/*
 * weft_http_response_begin - begin an answer that comes in pieces
 *
 * length   of the body; -1 when it is not known: chunked, or until the end of the connection for
 *          HTTP/1.0
 *
 * Returns  as weft_http_reply
 * Waits    yes; looks for cancellation first
 * Threads  the handler's task
 * Source   aiohttp.web.StreamResponse.prepare
 */
WEFT_WAITS int weft_http_response_begin(weft_http_exchange *exchange, int status, const char *type,
                                        int64_t length);

/*
 * weft_http_response_write - send a piece of the body at once; the task waits while the client is
 * slow
 *
 * Returns  0; -EPROTO before weft_http_response_begin; -EMSGSIZE beyond the length that was
 *          announced; -ETIME when the client took nothing for too long; errors of the connection
 * Waits    yes; looks for cancellation first
 * Threads  the handler's task
 * Source   aiohttp.web.StreamResponse.write
 */
WEFT_WAITS int weft_http_response_write(weft_http_exchange *exchange, const void *data, size_t len);

/*
 * weft_http_response_send_file - send a part of a file as a piece of the body
 *
 * file, offset, len  as for weft_stream_send_file
 *
 * Returns  as weft_http_response_write; WEFT_E_END when the file is shorter; pread(2)'s errors
 * Waits    yes; looks for cancellation first
 * Threads  the handler's task
 * Source   sendfile(2)
 */
WEFT_WAITS int weft_http_response_send_file(weft_http_exchange *exchange, int file, uint64_t offset,
                                            uint64_t len);

/*
 * weft_http_response_end - end the body; done for a handler that returns 0
 *
 * Returns  0; -EPROTO before weft_http_response_begin; WEFT_E_END when less was written than was
 *          announced (the connection is then cut); errors of the connection
 * Waits    yes; looks for cancellation first
 * Threads  the handler's task
 * Source   aiohttp.web.StreamResponse.write_eof
 */
WEFT_WAITS int weft_http_response_end(weft_http_exchange *exchange);

/* ---- Files --------------------------------------------------------------------------------- */

/* A folder that is served; all that is in it, but no name that begins with a dot. */
typedef struct weft_http_files {
    const char *root;   /* the folder; symbolic links in it may not lead out of it */
    const char *index;  /* shown for a folder; NULL: "index.html" */
    unsigned max_age;   /* seconds, of Cache-Control; 0: none is sent */
    unsigned dot_files; /* 1: names with a dot in front are served too */
} weft_http_files;

/*
 * weft_http_serve_files - the handler of a folder
 *
 * For a route that ends in {name...}: what stood there is the path below the root; without one it
 * is the request's path. Knows ranges, If-None-Match, If-Modified-Since, If-Range, and HEAD; by
 * sendfile(2) where the connection allows it.
 *
 * arg      a weft_http_files, borrowed
 *
 * Returns  0, also when the answer was 404; errors of the connection
 * Waits    yes
 * Threads  a handler's task
 * Source   RFC 9110 13 and 14; aiohttp's static routes, Go's http.FileServer
 */
WEFT_WAITS int weft_http_serve_files(weft_http_exchange *exchange, void *arg);

/*
 * weft_http_reply_file - answer with a file, as weft_http_serve_files would
 *
 * path     as for open(2): it is the program's, not the client's
 * type     NULL: by the name
 *
 * Returns  0; -ENOENT, -EACCES, -EISDIR… (nothing was sent); errors of weft_http_reply
 * Waits    yes; looks for cancellation first
 * Threads  the handler's task
 * Source   aiohttp.web.FileResponse
 */
WEFT_WAITS int weft_http_reply_file(weft_http_exchange *exchange, const char *path,
                                    const char *type);

WEFT_END_DECLS

#endif
