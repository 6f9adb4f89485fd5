/*
 * lane.c - the part of a server that lives on one loop: tasks that accept, and connections.
 *
 * A connection has a permit (of max_connections) and counts in the load of its lane from before it
 * is accepted, or handed to the lane, until its task has ended. Tasks that never start, because
 * they or their runtime were cancelled, end all the same, and are seen by their joiner. A lane
 * ends when it shall stop, no lane accepts any more, and its own load is 0: then nothing is on its
 * way to it either.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>
#include <weft/task.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/accept.h"
#include "io/server_priv.h"
#include "io/stream_priv.h"

#define IN_A_ROW 32 /* connections accepted before others run */
#define PAUSE_MIN WEFT_MS(10)
#define PAUSE_MAX WEFT_SEC(1)

/* On the stack of a task that accepts. */
struct acceptor {
    struct weft__lane *lane;
    struct weft__listener *listener;
    struct weft__fd fd;
    struct weft__connection *next; /* memory for the next one: so none is accepted in vain */
};

/* ---- Connections ---------------------------------------------------------------------------- */

static bool
is_stopping(const struct weft_server *server)
{
    return weft__load(&server->stops) != 0; /* pairs with the store in weft_server_stop */
}

static void
release_permit(struct weft_server *server, struct weft__connection *connection)
{
    if (connection->has_permit)
        weft_semaphore_release(&server->permits);
    connection->has_permit = false;
}

/* The last of a connection, on its lane's loop; it is on no list. */
static void
end(struct weft__connection *connection)
{
    struct weft__lane *lane = connection->lane;
    if (connection->raw >= 0)
        weft__sys_close(connection->raw);
    else
        weft_stream_close(&connection->stream);
    release_permit(lane->server, connection);
    weft__free(connection);
    if (lane->starved || !weft__list_empty(&lane->waiting))
        weft_event_set(&lane->room);
    /* Pairs with the addition in hand_over. */
    if (weft__fetch_sub(&lane->load, 1) == 1 && is_stopping(lane->server))
        weft_event_set(&lane->bell);
}

/* When the task of a connection has ended, or will never start. */
static void
task_ended(struct weft__joiner *joiner)
{
    struct weft__connection *connection = weft__container(joiner, struct weft__connection, joiner);
    /* Whoever settles the task lets go of it then. */
    connection->task->has_handle = false;
    connection->task->observed = true;
    weft__list_remove(&connection->link);
    if (connection->cancelled)
        weft__add_own(&connection->lane->n_cancelled, 1);
    end(connection);
}

static int
serve(void *arg)
{
    struct weft__connection *connection = arg;
    const weft_server_options *options = &connection->lane->server->options;
    weft__stream_init_socket(&connection->stream, connection->raw);
    connection->raw = -1;
    int rc = options->serve(&connection->stream, options->arg);
    weft__assert(!weft__link_on_list(&connection->idle_link),
                 "a connection's function returned inside weft_server_idle_open");
    if (rc < 0 && !(connection->cancelled && rc == -ECANCELED)) {
        weft__add_own(&connection->lane->failed, 1);
        if (options->on_error != NULL)
            options->on_error(options->arg, &connection->stream, rc);
    }
    return 0;
}

static void
cancel(struct weft__connection *connection)
{
    connection->cancelled = true;
    weft_task_cancel(connection->task);
}

/* On the lane's loop. 0, or why it cannot start: then it is as it was. */
static int
start(struct weft__connection *connection)
{
    struct weft__lane *lane = connection->lane;
    weft_task_options options = {.name = "connection",
                                 .stack_size = lane->server->options.stack_size};
    int rc = weft_task_spawn(&connection->task, serve, connection, &options);
    if (rc < 0)
        return rc;
    connection->joiner.arrive = task_ended;
    weft__list_push_back(&connection->task->joiners, &connection->joiner.link);
    weft__list_push_back(&lane->connections, &connection->link);
    if (lane->cancelled)
        cancel(connection);
    return 0;
}

/* Nothing is lost for want of memory: it is tried again. */
static void
start_or_wait(struct weft__connection *connection)
{
    struct weft__lane *lane = connection->lane;
    int rc = lane->cancelled ? -ECANCELED : start(connection);
    if (rc == 0)
        return;
    if (rc == -ENOMEM) {
        weft__list_push_back(&lane->waiting, &connection->link);
        weft_event_set(&lane->bell);
        return;
    }
    if (rc != -ECANCELED && rc != -ESHUTDOWN)
        weft__server_fail(lane->server, rc);
    end(connection);
}

static void
arrive(struct weft__message *message)
{
    start_or_wait(weft__container(message, struct weft__connection, message));
}

static struct weft__lane *
choose_lane(struct weft_server *server, struct weft__lane *own)
{
    if (server->options.sharing == WEFT_SERVER_IN_TURN)
        return &server->lanes[weft__fetch_add(&server->turn, 1) % server->n_lanes];
    struct weft__lane *best = own;
    uint64_t least = weft__load_relaxed(&own->load);
    for (unsigned i = 1; i < server->n_lanes && least > 0; i++) {
        struct weft__lane *lane = &server->lanes[(own->index + i) % server->n_lanes];
        uint64_t load = weft__load_relaxed(&lane->load);
        if (load < least) {
            least = load;
            best = lane;
        }
    }
    return best;
}

/* From the loop that accepted it to the one that serves it. */
static void
hand_over(struct acceptor *acceptor, struct weft__connection *connection)
{
    struct weft__lane *own = acceptor->lane;
    struct weft__lane *lane = own;
    if (acceptor->listener->hand_out)
        lane = choose_lane(own->server, own);
    connection->lane = lane;
    weft__fetch_add(&lane->load, 1); /* pairs with the subtraction in `end` */
    if (lane == own) {
        start_or_wait(connection);
        return;
    }
    connection->message.fn = arrive;
    weft__inbox_post(lane->loop, &connection->message);
}

/* ---- Accepting ------------------------------------------------------------------------------ */

/* Accepts into acceptor->next: 0, -EAGAIN when nobody is there, an error. */
static int
accept_one(struct acceptor *acceptor)
{
    struct weft__connection *connection = acceptor->next;
    if (connection == NULL) {
        connection = weft__alloc_zeroed(sizeof *connection);
        if (connection == NULL)
            return -ENOMEM;
        acceptor->next = connection;
    }
    connection->peer_len = sizeof connection->peer;
    int raw = weft__sys_accept4(acceptor->fd.raw, &connection->peer.any, &connection->peer_len);
    if (raw < 0)
        return raw;
    connection->raw = raw;
    connection->bound = (uint32_t)acceptor->listener->bound;
    return 0;
}

/* Says so once, and waits until a connection ends, or a while. A cancellation. */
static int
pause_for(struct acceptor *acceptor, int why, weft_time *pause)
{
    struct weft__lane *lane = acceptor->lane;
    const weft_server_options *options = &lane->server->options;
    weft_event_clear(&lane->room);
    if (!lane->starved) {
        lane->starved = true;
        weft__add_own(&lane->n_starved, 1);
        if (options->on_error != NULL)
            options->on_error(options->arg, NULL, why);
        else
            weft_log(WEFT_LOG_WARN, "server: accepting on '%s' pauses: %s",
                     lane->server->listen.bounds[acceptor->listener->bound].text,
                     weft_strerror(why));
    }
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + *pause);
    int rc = weft_event_wait(&lane->room);
    if (weft_scope_close(&scope) < 0)
        rc = 0;
    *pause = *pause * 2 < PAUSE_MAX ? *pause * 2 : PAUSE_MAX;
    return rc;
}

/* Until it is cancelled, or the socket fails. */
static int
accept_all(struct acceptor *acceptor)
{
    struct weft__lane *lane = acceptor->lane;
    struct weft_server *server = lane->server;
    weft_time pause = PAUSE_MIN;
    unsigned in_a_row = 0;
    for (;;) {
        int rc = ++in_a_row % IN_A_ROW == 0 ? weft_yield() : weft_checkpoint();
        if (rc == 0 && !acceptor->fd.readable)
            rc = weft__fd_wait(&acceptor->fd, WEFT__READABLE);
        if (rc == 0 && weft_semaphore_try_acquire(&server->permits) < 0) {
            weft__add_own(&lane->full, 1);
            rc = weft_semaphore_acquire(&server->permits);
        }
        if (rc == -ENOMEM || rc == -ENOSPC) { /* the poller's */
            rc = pause_for(acceptor, rc, &pause);
            if (rc == 0)
                continue;
        }
        if (rc < 0)
            return rc;
        rc = accept_one(acceptor);
        if (rc == 0) {
            struct weft__connection *connection = acceptor->next;
            acceptor->next = NULL;
            connection->has_permit = true;
            weft__add_own(&lane->accepted, 1);
            pause = PAUSE_MIN;
            hand_over(acceptor, connection);
            continue;
        }
        weft_semaphore_release(&server->permits);
        if (rc == -EAGAIN) {
            acceptor->fd.readable = false;
            lane->starved = false;
        } else if (weft__accept_short(rc)) {
            rc = pause_for(acceptor, rc, &pause);
            if (rc < 0)
                return rc;
        } else if (weft__accept_passes_over(rc)) {
            weft__add_own(&lane->passed_over, 1);
        } else if (rc != -EINTR) {
            return rc;
        }
    }
}

/* Who has queued up before the socket is closed is served: the kernel would reset them. As many as
 * the queue holds, so that those who come meanwhile do not keep it open for ever. */
static void
empty_queue(struct acceptor *acceptor)
{
    struct weft__lane *lane = acceptor->lane;
    int backlog = lane->server->options.backlog > 0 ? lane->server->options.backlog : 4096;
    for (int i = 0; i <= backlog; i++) {
        int rc = accept_one(acceptor);
        if (rc == 0) {
            weft__add_own(&lane->accepted, 1);
            hand_over(acceptor, acceptor->next);
            acceptor->next = NULL;
        } else if (rc != -EINTR && !weft__accept_passes_over(rc)) {
            return;
        }
    }
}

static int
accept_task(void *arg)
{
    struct weft__listener *listener = arg;
    struct acceptor acceptor = {.lane = listener->lane, .listener = listener};
    struct weft_server *server = listener->lane->server;
    weft__fd_init(&acceptor.fd, listener->raw, WEFT__FD_OTHER);
    int rc = accept_all(&acceptor);
    if (!is_stopping(server)) /* whatever it was: a server that accepts no more is to end */
        weft__server_fail(server, weft_error_note(rc, "accepting on '%s': %s",
                                                  server->listen.bounds[listener->bound].text,
                                                  weft_strerror(rc)));
    if (!weft__load(&server->gone) || !listener->taken)
        empty_queue(&acceptor);
    weft__free(acceptor.next);
    struct weft__socket_file *file = &server->listen.bounds[listener->bound].file;
    weft__lock(&server->lock); /* a hand-over may be about to copy it, or takes the file with it */
    listener->raw = -1;
    struct weft__socket_file last = *file;
    file->path[0] = '\0';
    weft__unlock(&server->lock);
    /* Before the socket is closed: after that another server's file may get its number. */
    weft__socket_file_remove(&last);
    weft_fd_close((weft_fd *)(void *)&acceptor.fd);
    return 0;
}

/* ---- The lane ------------------------------------------------------------------------------- */

/* No task accepts here any more. The last lane tells all. */
static void
accepting_ended(struct weft__lane *lane)
{
    struct weft_server *server = lane->server;
    if (!lane->accepting)
        return;
    lane->accepting = false;
    /* Pairs with the load in `done`: who sees 0 sees the loads of all lanes that were raised. */
    if (weft__fetch_sub(&server->accepting, 1) != 1)
        return;
    for (unsigned i = 0; i < server->n_lanes; i++)
        weft_event_set(&server->lanes[i].bell);
}

static bool
done(struct weft__lane *lane)
{
    return lane->stopping && weft__load(&lane->server->accepting) == 0 &&
           weft__load(&lane->load) == 0;
}

static void
cancel_all(struct weft__lane *lane)
{
    lane->cancelled = true;
    weft__list_foreach(link, &lane->connections)
        cancel(weft__container(link, struct weft__connection, link));
    struct weft__link *link;
    while ((link = weft__list_pop_front(&lane->waiting)) != NULL)
        end(weft__container(link, struct weft__connection, link));
}

/* What the last stop said, if it is news. */
static void
look_at_stop(struct weft__lane *lane)
{
    struct weft_server *server = lane->server;
    weft__lock(&server->lock);
    uint32_t stops = weft__load(&server->stops);
    weft_time grace = server->grace;
    weft__unlock(&server->lock);
    if (stops == lane->stop_seen)
        return;
    lane->stop_seen = stops;
    weft_time now = weft_now();
    weft_time deadline = grace < WEFT_FOREVER - now ? now + grace : WEFT_FOREVER;
    if (!lane->stopping || deadline < lane->deadline)
        lane->deadline = deadline;
}

/* Those that could not be started for want of memory. */
static void
try_waiting(struct weft__lane *lane)
{
    struct weft__list again;
    weft__list_init(&again);
    weft__list_append_all(&again, &lane->waiting);
    struct weft__link *link;
    while ((link = weft__list_pop_front(&again)) != NULL) {
        struct weft__connection *connection = weft__container(link, struct weft__connection, link);
        int rc = start(connection);
        if (rc == -ENOMEM)
            weft__list_push_back(&lane->waiting, link); /* the lane looks again in a while */
        else if (rc < 0)
            end(connection);
    }
}

/* Waits for the bell, or until something is due. */
static void
wait_for_bell(struct weft__lane *lane)
{
    weft_time until = lane->stopping && !lane->cancelled ? lane->deadline : WEFT_FOREVER;
    if (!weft__list_empty(&lane->waiting)) {
        weft_time soon = weft_now() + PAUSE_MIN;
        until = soon < until ? soon : until;
    }
    weft_scope scope;
    weft_scope_open(&scope, until);
    weft_ignore(weft_event_wait(&lane->bell));
    weft_scope_close(&scope);
}

/* What the bell may have meant. False when all is over. */
static bool
look(struct weft__lane *lane, weft_group *acceptors)
{
    weft_event_clear(&lane->bell);
    look_at_stop(lane);
    if (lane->stop_seen != 0 && !lane->stopping) {
        lane->stopping = true;
        weft__list_foreach(link, &lane->idle)
            weft_scope_cancel(&weft__container(link, struct weft__connection, idle_link)->idle);
        weft_group_cancel(acceptors);
        weft_ignore(weft_group_close(acceptors)); /* they do not wait any more */
        accepting_ended(lane);
    }
    if (lane->stopping && !lane->cancelled && weft_now() >= lane->deadline)
        cancel_all(lane);
    try_waiting(lane);
    return !done(lane);
}

/* A lane is there, or never will be. Nobody accepts before all have said so: a connection must not
 * be given to a lane that nobody serves. */
static void
here(struct weft_server *server)
{
    if (weft__fetch_sub(&server->lanes_missing, 1) == 1)
        weft_event_set(&server->all_here);
}

/* A lane has what accepts, or has failed. */
static void
accepts(struct weft_server *server)
{
    if (weft__fetch_sub(&server->lanes_deaf, 1) == 1)
        weft_event_set(&server->accepts);
}

static void
spawn_acceptors(struct weft__lane *lane, weft_group *acceptors)
{
    struct weft_server *server = lane->server;
    if (weft__load(&server->failure) != 0)
        return;
    for (size_t i = 0; i < server->listen.n_listeners; i++) {
        struct weft__listener *listener = &server->listen.listeners[i];
        if (listener->lane != lane)
            continue;
        int rc = weft_group_spawn_with(acceptors, accept_task, listener,
                                       &(weft_task_options){.name = "acceptor"});
        if (rc < 0)
            weft__server_fail(server, rc);
    }
}

static void
start_accepting(struct weft__lane *lane, weft_group *acceptors)
{
    here(lane->server);
    weft_ignore(weft_event_wait(&lane->server->all_here));
    spawn_acceptors(lane, acceptors);
    accepts(lane->server);
    weft_ignore(weft_yield()); /* acceptors that are stopped at once still empty their queues */
}

static int
lane_task(void *arg)
{
    struct weft__lane *lane = arg;
    weft_scope shield; /* what ends a lane is weft_server_stop, which weft_server_run calls */
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_group acceptors;
    weft_group_open(&acceptors, &(weft_group_options){.keep_going = 1});
    start_accepting(lane, &acceptors);
    weft_event_set(&lane->bell);
    while (look(lane, &acceptors))
        wait_for_bell(lane);
    weft_scope_close(&shield);
    return 0;
}

/* Whatever became of the lane's task: the server may be gone when this returns. */
static void
lane_over(struct weft__lane *lane)
{
    struct weft_server *server = lane->server;
    /* Pairs with the load in weft_server_run. */
    if (weft__fetch_sub(&server->lanes_left, 1) == 1)
        weft_event_set(&server->over);
}

static void
lane_failed(struct weft__lane *lane, int rc)
{
    weft__server_fail(lane->server, rc);
    here(lane->server);
    accepts(lane->server);
    accepting_ended(lane);
    lane_over(lane);
}

static void
lane_ended(struct weft__joiner *joiner)
{
    struct weft__lane *lane = weft__container(joiner, struct weft__lane, joiner);
    lane->task->has_handle = false;
    lane->task->observed = true;
    if (joiner->result < 0) /* it never ran */
        lane_failed(lane, joiner->result);
    else
        lane_over(lane);
}

static void
start_lane(struct weft__message *message)
{
    struct weft__lane *lane = weft__container(message, struct weft__lane, message);
    int rc = weft_task_spawn(&lane->task, lane_task, lane, &(weft_task_options){.name = "server"});
    if (rc < 0) {
        lane_failed(lane, rc);
        return;
    }
    lane->joiner.arrive = lane_ended;
    weft__list_push_back(&lane->task->joiners, &lane->joiner.link);
}

void
weft__lanes_start(struct weft_server *server)
{
    weft__store(&server->accepting, server->n_lanes);
    weft__store(&server->lanes_left, server->n_lanes);
    weft__store(&server->lanes_missing, server->n_lanes);
    weft__store(&server->lanes_deaf, server->n_lanes);
    for (unsigned i = 0; i < server->n_lanes; i++) {
        struct weft__lane *lane = &server->lanes[i];
        lane->accepting = true;
        lane->message.fn = start_lane;
        weft__inbox_post(lane->loop, &lane->message);
    }
}

/* ---- For the function that serves a connection ---------------------------------------------- */

static struct weft__connection *
connection_of(const weft_stream *stream)
{
    return (struct weft__connection *)(void *)(uintptr_t)stream;
}

weft_server *
weft_server_of(const weft_stream *stream, size_t *ret_listener)
{
    const struct weft__connection *connection = connection_of(stream);
    if (ret_listener != NULL)
        *ret_listener = connection->bound;
    return connection->lane->server;
}

int
weft_server_peer(const weft_stream *stream, weft_address *ret_peer)
{
    const struct weft__connection *connection = connection_of(stream);
    if (connection->peer.any.sa_family != AF_INET && connection->peer.any.sa_family != AF_INET6)
        return -EAFNOSUPPORT;
    memset(ret_peer, 0, sizeof *ret_peer);
    memcpy(&ret_peer->storage, &connection->peer, connection->peer_len);
    ret_peer->len = connection->peer_len;
    return 0;
}

void
weft_server_idle_open(weft_stream *stream, weft_time deadline)
{
    struct weft__connection *connection = connection_of(stream);
    struct weft__lane *lane = connection->lane;
    weft__assert(connection->task == weft__task_self() &&
                     !weft__link_on_list(&connection->idle_link),
                 "weft_server_idle_open is for the task of the connection, once at a time");
    weft_scope_open(&connection->idle, deadline);
    weft__list_push_back(&lane->idle, &connection->idle_link);
    if (is_stopping(lane->server))
        weft_scope_cancel(&connection->idle);
}

int
weft_server_idle_close(weft_stream *stream)
{
    struct weft__connection *connection = connection_of(stream);
    weft__assert(connection->task == weft__task_self() &&
                     weft__link_on_list(&connection->idle_link),
                 "weft_server_idle_close without weft_server_idle_open");
    weft__list_remove(&connection->idle_link);
    return weft_scope_close(&connection->idle);
}
