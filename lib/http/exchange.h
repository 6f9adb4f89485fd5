/*
 * exchange.h - a connection, a request on it and the answer: what the server's files share.
 */
#ifndef WEFT_LIB_HTTP_EXCHANGE_H
#define WEFT_LIB_HTTP_EXCHANGE_H

#include <pthread.h>

#include <weft/http_server.h>
#include <weft/stream.h>
#include <weft/sync.h>

#include "http/chunked.h"
#include "http/parse.h"
#include "http/route.h"

#define WEFT__HTTP_OUT_BYTES                                                                       \
    16384u /* answers to pipelined requests, gathered before they are sent */
#define WEFT__HTTP_SMALL_BODY                                                                      \
    8192u /* copied behind its head; larger ones are sent from where they are */
#define WEFT__HTTP_EXCHANGES_KEPT 64u

/* What a server has on one loop: touched by that loop's thread alone, but for the counters, which
 * others read. */
struct weft__http_shard {
    struct weft_http_exchange *free; /* chained; the one used last is taken first */
    unsigned n_free;
    int64_t date_second; /* for which the line below was made */
    char date[40];       /* "Date: ...\r\n" */
    uint32_t date_len;

    weft_buf log; /* lines not yet given to the writer */
    weft_event log_wanted;
    bool log_told; /* the writer, that there are some */
    bool log_full; /* and that there are enough of them */

    weft_http_server_stats stats;
} __attribute__((aligned(64)));

struct weft_http_server {
    weft_http_server_options options; /* with the defaults filled in */
    struct weft__http_limits limits;
    struct weft__http_router *router;
    weft_server *net;
    char *server_line; /* "Server: weft\r\n" */
    uint32_t server_line_len;
    pthread_mutex_t tls_lock;
    weft_tls_context *tls;
    weft_server_error_fn *on_error; /* may be NULL */
    void *on_error_arg;
    int log_file; /* -1: none */
    bool log_is_ours;
    bool log_stop; /* atomic: all connections have ended */
    bool log_cut;  /* atomic: the file ends in the middle of a line */
    unsigned n_shards;
    struct weft__http_shard *shards;
    void *shards_memory;
};

/* Lives on the stack of the connection's task. */
struct weft__http_conn {
    struct weft_http_server *server;
    struct weft__http_shard *shard;
    weft_stream *net;                    /* as the server of connections gave it */
    weft_stream *stream;                 /* the same, or TLS on top of it */
    struct weft_http_exchange *exchange; /* NULL between requests */
    unsigned n_requests;
};

struct weft_http_exchange {
    struct weft__http_conn *conn;
    struct weft_http_server *server;
    struct weft__http_shard *shard;
    struct weft_http_exchange *next_free;

    /* The request. Its views point into the stream's read buffer, or into `head` where a body
     * follows, which is read over that. */
    struct weft__http_scan scan;
    struct weft__http_request request;
    uint32_t path_len; /* of the target; the query is behind it */
    uint32_t path_at;
    char *head; /* a copy; NULL: none was needed */
    struct weft__http_match match;

    /* Its body. */
    struct weft__http_chunks chunks;
    uint64_t body_left;    /* of a known length */
    uint64_t body_read;    /* so far */
    weft_time body_waited; /* for the client, so far */
    bool body_done;
    bool expects; /* 100 Continue is still to be said */
    int body_rc;  /* what ended reading for good */

    /* The answer. */
    weft_buf out;   /* bytes not sent yet: of earlier answers too */
    weft_buf extra; /* header lines of the handler */
    size_t head_at; /* in `out`, as long as none of it was sent */
    bool head_sent;
    uint64_t left;  /* to be written, of the announced length */
    uint64_t sent;  /* of the body */
    int status;     /* 0: nothing has been answered */
    int64_t length; /* announced; -1: none */
    bool begun, ended, chunked, bodyless, own_date, own_server;
    bool keep;      /* the connection, for the next request */
    bool broken;    /* nothing more can be sent */
    bool cut_short; /* broken, and not by the client: the answer had no more bytes */

    struct weft__http_field fields[];
};

/* connection.c */

/* Serves a connection to its end; server is a struct weft_http_server. */
int weft__http_serve(weft_stream *net, void *server);
/* One of those that a shard keeps. */
void weft__http_exchange_free(struct weft_http_exchange *x);

/* exchange.c */

/* One request and its answer. True when another one may follow. */
bool weft__http_exchange_once(struct weft_http_exchange *x);

/* request.c */

/* After the head was parsed, of `head_len` bytes that are at the front of the read buffer. 0;
 * WEFT_E_HTTP_LARGE for a body over the limit; -ENOMEM. */
int weft__http_request_begin(struct weft_http_exchange *x, size_t head_len);
/* What of the body nobody read: 0 when the next request follows. */
int weft__http_request_skip(struct weft_http_exchange *x);
/* Reads into the stream's buffer, until a deadline; that alone gives -ETIME. */
ssize_t weft__http_fill_until(weft_stream *stream, weft_time deadline);

/* response.c */

/* Readies the exchange for another request on the same connection; `out` stays. */
void weft__http_response_reset(struct weft_http_exchange *x);
/* Forgets an answer that was begun and of which nothing was sent. Whether it did so. */
bool weft__http_response_undo(struct weft_http_exchange *x);
/* The server's own answer, with which the connection ends. */
int weft__http_refuse(struct weft_http_exchange *x, int status);
/* Sends what is in `out`. */
int weft__http_flush(struct weft_http_exchange *x);
int weft__http_say_continue(struct weft_http_exchange *x);

/* access_log.c */
int weft__http_log_open(struct weft_http_server *server, const char *path);
void weft__http_log_close(struct weft_http_server *server);
void weft__http_log_line(struct weft_http_exchange *x);
/* A task of each loop, until it is told to stop, when all connections have ended. */
int weft__http_log_task(void *server);
void weft__http_log_stop(struct weft_http_server *server);

/* A counter of a shard, which one thread changes and any may read. */
#define WEFT__HTTP_COUNT(counter, by)                                                              \
    __atomic_store_n(&(counter), __atomic_load_n(&(counter), __ATOMIC_RELAXED) + (by),             \
                     __ATOMIC_RELAXED)

#endif
