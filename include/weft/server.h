/*
 * server.h - servers of connections: a task for each, on every loop, until told to stop.
 *
 * A server listens on addresses, Unix sockets or sockets that it was given, accepts on each loop,
 * and runs one function per connection. It keeps to a limit of connections, gets over shortages
 * of descriptors and memory, drains when it is stopped, and hands its sockets over to its
 * successor without refusing anybody.
 */
#ifndef WEFT_SERVER_H
#define WEFT_SERVER_H

#include <weft/base.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/stream.h>
#include <weft/time.h>

typedef struct weft_server weft_server;

/* A task per connection. The stream is the server's, and open; it is closed when this returns, if
 * it still is open then. A negative result is counted and reported, and ends this connection
 * alone. When the server's grace is over the task is cancelled. */
typedef int weft_serve_fn(weft_stream *connection, void *arg);

/* Is told of a connection whose function failed; or, with a NULL connection, of trouble with
 * accepting: once when it begins, not for each attempt. weft_error_text() may have the detail.
 * Called by a task of the loop concerned; it must not wait. */
typedef void weft_server_error_fn(void *arg, weft_stream *connection, int rc);

/* How connections come to loops. A socket that cannot be had once per loop (a Unix socket, one
 * that was given) is accepted from by one loop, which then hands its connections out as in
 * WEFT_SERVER_LEAST_LOADED, unless in turn is asked for. */
typedef enum weft_server_sharing {
    WEFT_SERVER_PER_LOOP = 0,    /* each loop has a socket of its own, by SO_REUSEPORT: the kernel
                                    spreads connections */
    WEFT_SERVER_IN_TURN = 1,     /* one loop accepts, and each loop is given the next one */
    WEFT_SERVER_LEAST_LOADED = 2 /* one loop accepts for the one with the fewest connections */
} weft_server_sharing;

/* Zero means the default, everywhere. */
typedef struct weft_server_options {
    /* Where to listen, NULL at the end. "127.0.0.1:8080", "[::1]:8080", ":8080" and port 0 as in
     * weft_address_parse; "unix:/path"; "unix:@name" of the abstract name space; "fd:3", a
     * listening socket that is there; "fd:NAME" the sockets of that name, and "fd:*" all sockets,
     * that a service manager passed (sd_listen_fds(3)). All are copied. */
    const char *const *listen;
    weft_serve_fn *serve;           /* must be given */
    void *arg;                      /* for serve and on_error */
    weft_server_error_fn *on_error; /* NULL: trouble with accepting goes to the log */
    weft_server_sharing sharing;
    unsigned max_connections; /* on all loops together; 0: 65,536. Beyond it nobody accepts, and
                                 connections wait in the kernel */
    weft_time grace;          /* how long connections may go on after the end of
                                 accepting, before they are cancelled; 0: 5 s */
    size_t stack_size;        /* of the connections' tasks, as in weft_options; 0: the runtime's */
    int backlog;          /* of each socket; 0: 4096; the kernel bounds it by net.core.somaxconn */
    weft_time keep_alive; /* TCP: after so long without a byte the kernel probes whether the
                                 peer is there, then again as often, at most every 75 s; without
                                 an answer (Linux: to 9 probes) reading gives -ETIMEDOUT, though
                                 no scope ended. 0: never. To the second */
    unsigned delay;       /* 1: small writes may be held back and joined (no TCP_NODELAY) */
    unsigned share_port;  /* 1: other processes of this user may listen on the same addresses
                                 by SO_REUSEPORT; else they get -EADDRINUSE */
    unsigned unix_mode;   /* permissions of Unix sockets' files; 0: by the umask */
    /* Path of a Unix socket at which a successor asks for the sockets: see weft_server_new. NULL:
     * none. */
    const char *handover;
} weft_server_options;

typedef struct weft_server_stats {
    uint64_t accepted;    /* connections that came */
    uint64_t active;      /* being served now */
    uint64_t failed;      /* their function returned a failure */
    uint64_t cancelled;   /* cancelled, because the grace was over */
    uint64_t passed_over; /* gone before they were accepted */
    uint64_t full;        /* times accepting paused because of max_connections */
    uint64_t starved;     /* times it paused for want of descriptors or memory */
} weft_server_stats;

/* For weft_server_stop: the grace of the options. */
#define WEFT_SERVER_GRACE ((weft_time)-1)

WEFT_BEGIN_DECLS

/*
 * weft_server_new - bind and listen; connections queue up from now on
 *
 * options  copied; arg is borrowed
 *
 * With `handover`, a server that runs there already is asked for its sockets. Those it has for the
 * same texts are taken over, the others are opened anew, and the old server goes on accepting
 * until weft_server_run of this one accepts as well; then it drains, and its own weft_server_run
 * returns 0. Nobody is refused meanwhile.
 *
 * A Unix socket's file that nobody listens on is replaced; it is removed in the end, unless it was
 * handed over.
 *
 * Returns  0; WEFT_E_ADDRESS; -EADDRINUSE, -EACCES, -EMFILE… as bind(2) and listen(2);
 *          -ENOENT for sockets that were not passed, -ENOTSOCK and -EINVAL for what does not
 *          listen; -EINVAL without `serve` or `listen`; -EPROTO when something else answers at
 *          `handover`; -ENOMEM; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first.
 *          weft_error_text() names the address
 * Waits    yes, for the answer of an old server (at most 10 s: -ETIME); looks for cancellation
 *          first
 * Threads  tasks
 * Source   asyncio.start_server, Go's net.Listen, nginx's binary upgrade
 */
WEFT_WAITS int weft_server_new(weft_server **ret_server, const weft_server_options *options);

/*
 * weft_server_run - serve on all loops until stopped; once per server
 *
 * When the enclosing scope ends (SIGTERM cancels the main task, say) the server drains as after
 * weft_server_stop with the grace of the options, shielded.
 *
 * Returns  0 after weft_server_stop, or a hand-over, when all connections have ended; -ECANCELED or
 *          -ETIMEDOUT when the enclosing scope ended it, drained as well; the error of a listening
 *          socket that failed; -ENOMEM; -ESHUTDOWN when the runtime is closing
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the runtime of weft_server_new
 * Source   asyncio Server.serve_forever, Go's http.Server.Serve and Shutdown
 */
WEFT_WAITS int weft_server_run(weft_server *server);

/*
 * weft_server_stop - end accepting, and let connections end
 *
 * Connections in the kernel's queues are accepted and served; then the sockets are closed. After
 * the grace the connections that are left are cancelled, and waited for.
 *
 * grace    from now on; 0: cancelled at once; WEFT_FOREVER: never; WEFT_SERVER_GRACE: that of the
 *          options. A later call can shorten it. Before weft_server_run: that returns when it has
 *          served what had queued up
 *
 * Waits    no: weft_server_run returns when all have ended
 * Threads  any, also callbacks; not signal handlers
 * Source   asyncio Server.close, Go's http.Server.Shutdown
 */
void weft_server_stop(weft_server *server, weft_time grace);

/*
 * weft_server_free - close what was not handed over or closed yet, and free the server
 *
 * server   may be NULL; not while it runs
 *
 * Waits    no
 * Threads  tasks and callbacks, and plain threads
 * Source   weft
 */
void weft_server_free(weft_server *server);

/*
 * weft_server_address - where a server listens; with port 0, on which port
 *
 * index    in the order of options.listen, where "fd:*" may stand for several
 *
 * Returns  0; -ENOENT when there is no such one
 * Waits    no
 * Threads  any
 * Source   asyncio Server.sockets
 */
int weft_server_address(const weft_server *server, size_t index, weft_address *ret_address);

/*
 * weft_server_draining - whether a server has been told to stop
 *
 * For saying "Connection: close", or for not beginning something long.
 *
 * Returns  1 or 0
 * Waits    no
 * Threads  any
 * Source   Go's http.Server.RegisterOnShutdown
 */
int weft_server_draining(const weft_server *server);

/*
 * weft_server_stats_get - what a server has done so far
 *
 * loop     number of a loop; -1: all together
 *
 * Waits    no
 * Threads  any; the figures are a little old, each by itself correct
 * Source   weft
 */
void weft_server_stats_get(const weft_server *server, int loop, weft_server_stats *ret_stats);

/* ---- Of one connection: for the function that serves it -------------------------------------- */

/*
 * weft_server_of - whose connection this is
 *
 * connection    the stream that the server gave to its function, not one put on top of it
 * ret_listener  out: through which of the addresses it came, as for weft_server_address; may be
 *               NULL
 *
 * Returns  the server
 * Waits    no
 * Threads  tasks of the connection's loop
 * Source   weft
 */
weft_server *weft_server_of(const weft_stream *connection, size_t *ret_listener);

/*
 * weft_server_peer - who connected
 *
 * connection  as for weft_server_of
 *
 * Returns  0; -EAFNOSUPPORT for a Unix socket, whose peers have no address
 * Waits    no
 * Threads  tasks of the connection's loop
 * Source   getpeername(2)
 */
int weft_server_peer(const weft_stream *connection, weft_address *ret_peer);

/*
 * weft_server_idle_open - begin a scope in which nothing is under way on a connection
 *
 * The scope is cancelled when the server is told to stop, so that connections that only wait for
 * the next request end at once and not after the grace. Not before the first request: who has just
 * connected is about to ask. It is a scope of the calling task like any other.
 *
 * connection  as for weft_server_of; in no such scope yet
 * deadline    of the scope; WEFT_FOREVER for none
 *
 * Waits    no
 * Threads  the task of the connection
 * Source   Go's http.Server.Shutdown, which closes idle connections first
 */
void weft_server_idle_open(weft_stream *connection, weft_time deadline);

/*
 * weft_server_idle_close - end the scope of weft_server_idle_open
 *
 * Returns  0; -ECANCELED when a call inside was ended because the server drains; -ETIMEDOUT when
 *          one was by the deadline: as weft_scope_close
 * Waits    only as far as deferred functions do; never looks for cancellation
 * Threads  the task of the connection
 * Source   weft_scope_close
 */
int weft_server_idle_close(weft_stream *connection);

WEFT_END_DECLS

#endif
