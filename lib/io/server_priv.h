/*
 * server_priv.h - what a server holds: a lane on each loop, and what lanes share.
 *
 * A lane and its connections belong to their loop. What other threads touch is marked: atomic
 * words, events, and what the lock of the server covers.
 */
#ifndef WEFT_LIB_IO_SERVER_PRIV_H
#define WEFT_LIB_IO_SERVER_PRIV_H

#include <netinet/in.h>

#include <weft/group.h>
#include <weft/scope.h>
#include <weft/server.h>
#include <weft/sync.h>

#include "base/lock.h"
#include "io/listen_priv.h"
#include "task/task_priv.h"

struct weft__connection {
    weft_stream stream; /* first */
    struct weft__lane *lane;
    struct weft_task *task;       /* NULL: not started yet */
    struct weft__joiner joiner;   /* on it: whatever happens, its end is seen */
    struct weft__message message; /* to the loop it was given to */
    struct weft__link link;       /* among those of its lane, or those that wait for memory */
    struct weft__link idle_link;
    weft_scope idle;
    int raw; /* -1: the stream has it */
    uint32_t bound;
    bool has_permit;
    bool cancelled;
    socklen_t peer_len;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } peer;
};

struct weft__lane {
    struct weft_server *server;
    struct weft_loop *loop;
    unsigned index;
    struct weft_task *task;
    struct weft__joiner joiner;
    struct weft__message message; /* that starts it */
    weft_event bell;              /* something is to be looked at; from any thread */
    weft_event room; /* a connection of this lane has ended while something was short */
    struct weft__list connections; /* started */
    struct weft__list waiting;     /* no memory to start them */
    struct weft__list idle;
    bool accepting; /* counts in server->accepting */
    bool stopping;  /* has seen that it shall */
    bool cancelled; /* and that the grace is over */
    bool starved;   /* said so already */
    uint32_t stop_seen;
    weft_time deadline;
    uint64_t load; /* connections given to this lane, until their end; atomic */
    /* Written by its loop alone. */
    uint64_t accepted, failed, n_cancelled, passed_over, full, n_starved;
} __attribute__((aligned(64)));

struct weft_server {
    weft_server_options options;
    struct weft__listen listen;
    struct weft__heir heir; /* until we accept ourselves */
    unsigned n_lanes;
    struct weft__lane *lanes;
    weft_semaphore permits; /* of connections */
    weft_event bell;        /* for weft_server_run; from any thread */
    weft_event over;        /* no lane is left */
    weft_event all_here;    /* lanes_missing is 0 */
    weft_event accepts;     /* lanes_deaf is 0: so it does, if it has not failed */
    struct weft__lock lock;
    weft_time grace;        /* under the lock: of the last stop */
    uint32_t stops;         /* calls of stop; 0: serving. Atomic, written under the lock */
    uint32_t accepting;     /* lanes that may still hand connections out; atomic */
    uint32_t lanes_left;    /* atomic */
    uint32_t lanes_missing; /* have not said yet whether they are there; atomic */
    uint32_t lanes_deaf;    /* have not begun yet to accept; atomic */
    uint32_t turn;          /* atomic */
    int32_t failure;        /* the first; atomic */
    uint32_t gone;          /* the sockets were handed over: queues are not ours any more; atomic */
    bool ran;
    struct weft__socket_file handover_file;
    char handover[sizeof((struct sockaddr_un *)0)->sun_path]; /* empty: none */
};

/* lane.c */

/* Starts the lanes. The last that ends sets server->over, and touches the server no more. */
void weft__lanes_start(struct weft_server *server);

/* server.c: stops it because of a failure, the first of which is what weft_server_run gives. */
void weft__server_fail(struct weft_server *server, int rc);

/* handover.c */

/* Asks the server at a path for its sockets: 0, with heir->channel -1 when none is there. */
int weft__handover_ask(const char *path, struct weft__heir *heir);
/* Tells it that we accept now, if there is one. */
void weft__handover_take(struct weft__heir *heir);
/* Forgets it, and closes sockets that were not taken. */
void weft__heir_close(struct weft__heir *heir);
/* Listens at the server's path, in the place of whoever did before. A raw descriptor. */
int weft__handover_listen(struct weft_server *server);
/* Answers successors until one has taken over (1), or a cancellation. */
int weft__handover_serve(struct weft_server *server, int raw);

#endif
