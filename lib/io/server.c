/*
 * server.c - servers: options, running, stopping, figures.
 *
 * weft_server_run starts a lane on each loop (lane.c), waits for a stop or its own cancellation,
 * and then, shielded, for the lanes. A stop is a number that only grows: each lane notes which it
 * has seen, and who stops rings all their bells.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "io/server_priv.h"

#define MAX_CONNECTIONS 65536u
#define GRACE WEFT_SEC(5)
#define STACK_MIN ((size_t)16 << 10)
#define STACK_MAX ((size_t)1 << 30)

static int
check(const weft_server_options *options)
{
    if (options->serve == NULL)
        return weft_error_note(-EINVAL, "server: options.serve is missing");
    if (options->listen == NULL || options->listen[0] == NULL)
        return weft_error_note(-EINVAL, "server: options.listen says nowhere to listen");
    if (options->stack_size != 0 &&
        (options->stack_size < STACK_MIN || options->stack_size > STACK_MAX))
        return weft_error_note(WEFT_E_STACK, "server: a stack of %zu bytes", options->stack_size);
    if (options->max_connections > UINT32_MAX / 2)
        return weft_error_note(-EINVAL, "server: max_connections is at most %u", UINT32_MAX / 2);
    if ((unsigned)options->sharing > WEFT_SERVER_LEAST_LOADED)
        return weft_error_note(-EINVAL, "server: sharing %d is unknown", (int)options->sharing);
    if (options->grace < 0 || options->keep_alive < 0)
        return weft_error_note(-EINVAL, "server: a time is negative");
    if (options->handover != NULL &&
        (options->handover[0] == '\0' ||
         strlen(options->handover) + 4 >= sizeof((weft_server *)0)->handover))
        return weft_error_note(WEFT_E_ADDRESS, "server: '%.100s' is no path for a Unix socket",
                               options->handover);
    return 0;
}

static int
open_lanes(weft_server *server)
{
    server->n_lanes = weft_loop_count();
    server->lanes = weft__alloc_lines(server->n_lanes * sizeof *server->lanes);
    if (server->lanes == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < server->n_lanes; i++) {
        struct weft__lane *lane = &server->lanes[i];
        lane->server = server;
        lane->index = i;
        lane->loop = weft_loop_at(i);
        if (lane->loop == NULL)
            return -ENOMEM;
        weft_event_open(&lane->bell);
        weft_event_open(&lane->room);
        weft__list_init(&lane->connections);
        weft__list_init(&lane->waiting);
        weft__list_init(&lane->idle);
    }
    return 0;
}

/* Which lane accepts from which socket. */
static void
deal_out(weft_server *server)
{
    for (size_t i = 0; i < server->listen.n_listeners; i++) {
        struct weft__listener *listener = &server->listen.listeners[i];
        size_t bound = listener->bound, of_bound = 0;
        for (size_t j = 0; j < i; j++)
            of_bound += server->listen.listeners[j].bound == bound;
        listener->lane = &server->lanes[(bound + of_bound) % server->n_lanes];
        listener->hand_out =
            server->n_lanes > 1 && (server->options.sharing != WEFT_SERVER_PER_LOOP ||
                                    server->listen.bounds[bound].n < server->n_lanes);
    }
}

int
weft_server_new(weft_server **ret_server, const weft_server_options *options)
{
    weft__assert(weft__task_self() != NULL, "a server is made by a task");
    int rc = weft_checkpoint();
    if (rc == 0)
        rc = check(options);
    if (rc < 0)
        return rc;
    weft_server *server = weft__alloc_zeroed(sizeof *server);
    if (server == NULL)
        return -ENOMEM;
    server->options = *options;
    server->options.listen = NULL; /* the caller's */
    server->options.handover = NULL;
    if (options->handover != NULL)
        strcpy(server->handover, options->handover);
    if (options->grace == 0)
        server->options.grace = GRACE;
    server->heir.channel = -1;
    weft_event_open(&server->bell);
    weft_event_open(&server->over);
    weft_event_open(&server->all_here);
    weft_event_open(&server->accepts);
    rc = weft_semaphore_open(&server->permits, options->max_connections != 0
                                                   ? options->max_connections
                                                   : MAX_CONNECTIONS);
    if (rc == 0)
        rc = open_lanes(server);
    if (rc == 0 && options->handover != NULL)
        rc = weft__handover_ask(server->handover, &server->heir);
    if (rc == 0)
        rc = weft__listen_open(&server->listen, options,
                               options->sharing == WEFT_SERVER_PER_LOOP ? server->n_lanes : 1,
                               &server->heir);
    if (rc < 0) {
        weft_server_free(server);
        return rc;
    }
    /* Of those it has no use for, the old server serves the rest: we hold none of them open. */
    for (size_t i = 0; i < server->heir.n; i++) {
        if (server->heir.looms[i].raw >= 0)
            weft__sys_close(server->heir.looms[i].raw);
        server->heir.looms[i].raw = -1;
    }
    deal_out(server);
    *ret_server = server;
    return 0;
}

/* The old server's sockets, and its files. */
static void
take_over(weft_server *server)
{
    weft__lock(&server->lock); /* those who accept look at the files in the end */
    weft__listen_own_files(&server->listen);
    weft__unlock(&server->lock);
    weft__handover_take(&server->heir);
}

/* Whether it does: false, too, when it is told to stop meanwhile. */
static bool
begins_to_accept(weft_server *server)
{
    return weft_event_wait(&server->accepts) == 0 && weft__load(&server->failure) == 0;
}

static int
serve_successors(void *arg)
{
    weft_server *server = arg;
    if (!begins_to_accept(server))
        return 0;
    int raw = weft__handover_listen(server);
    /* Before we say that we accept: whoever asks from now on asks us. */
    take_over(server);
    int rc = raw < 0 ? raw : weft__handover_serve(server, raw);
    if (rc > 0) {
        weft_server_stop(server, WEFT_SERVER_GRACE);
        return 0;
    }
    if (rc != -ECANCELED && rc != -ETIMEDOUT) {
        const weft_server_options *options = &server->options;
        weft_error_note(rc, "no successor can take over at '%s': %s", server->handover,
                        weft_strerror(rc));
        if (options->on_error != NULL)
            options->on_error(options->arg, NULL, rc);
        else
            weft_log(WEFT_LOG_ERROR, "server: %s", weft_error_text());
    }
    return 0;
}

/* Until it is told to stop, or the caller's scope ends. */
static int
wait_for_stop(weft_server *server)
{
    int rc = 0;
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    if (server->handover[0] != '\0' && weft_group_spawn(&group, serve_successors, server) < 0 &&
        begins_to_accept(server))
        take_over(server);
    /* Pairs with the store in weft_server_stop. */
    while (rc == 0 && weft__load(&server->stops) == 0) {
        rc = weft_event_wait(&server->bell);
        weft_event_clear(&server->bell);
    }
    weft_group_cancel(&group);
    int ended = weft_group_close(&group);
    (void)ended; /* the group's cancellation was our own */
    return rc;
}

int
weft_server_run(weft_server *server)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    weft__assert(!server->ran, "a server runs once");
    server->ran = true;
    weft__lanes_start(server);
    rc = wait_for_stop(server);
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    if (rc < 0)
        weft_server_stop(server, WEFT_SERVER_GRACE);
    while (!weft_event_is_set(&server->over)) /* the last that lanes do to the server */
        weft_ignore(weft_event_wait(&server->over));
    weft_scope_close(&shield);
    weft__heir_close(&server->heir);
    int failure = (int)weft__load(&server->failure);
    return failure < 0 && rc == 0 ? failure : rc;
}

void
weft_server_stop(weft_server *server, weft_time grace)
{
    weft__lock(&server->lock);
    server->grace = grace < 0 ? server->options.grace : grace;
    weft__fetch_add(&server->stops, 1); /* pairs with the loads of lanes and weft_server_run */
    weft__unlock(&server->lock);
    for (unsigned i = 0; i < server->n_lanes; i++)
        weft_event_set(&server->lanes[i].bell);
    weft_event_set(&server->bell);
}

void
weft__server_fail(weft_server *server, int rc)
{
    if (weft__cas(&server->failure, 0, rc))
        weft_server_stop(server, WEFT_SERVER_GRACE);
}

void
weft_server_free(weft_server *server)
{
    if (server == NULL)
        return;
    weft__assert(weft__load(&server->lanes_left) == 0, "a server was freed while it runs");
    weft__listen_close(&server->listen);
    weft__socket_file_remove(&server->handover_file);
    weft__heir_close(&server->heir);
    weft_event_close(&server->bell);
    weft_event_close(&server->over);
    weft_event_close(&server->all_here);
    weft_event_close(&server->accepts);
    weft_semaphore_close(&server->permits);
    weft__free_lines(server->lanes);
    weft__free(server);
}

int
weft_server_address(const weft_server *server, size_t index, weft_address *ret_address)
{
    if (index >= server->listen.n_bounds)
        return -ENOENT;
    *ret_address = server->listen.bounds[index].address;
    return 0;
}

int
weft_server_draining(const weft_server *server)
{
    return weft__load(&server->stops) != 0; /* pairs with the store in weft_server_stop */
}

void
weft_server_stats_get(const weft_server *server, int loop, weft_server_stats *ret_stats)
{
    weft_server_stats stats = {.accepted = 0};
    for (unsigned i = 0; i < server->n_lanes; i++) {
        const struct weft__lane *lane = &server->lanes[i];
        if (loop >= 0 && (unsigned)loop != i)
            continue;
        stats.accepted += weft__load_relaxed(&lane->accepted);
        stats.active += weft__load_relaxed(&lane->load);
        stats.failed += weft__load_relaxed(&lane->failed);
        stats.cancelled += weft__load_relaxed(&lane->n_cancelled);
        stats.passed_over += weft__load_relaxed(&lane->passed_over);
        stats.full += weft__load_relaxed(&lane->full);
        stats.starved += weft__load_relaxed(&lane->n_starved);
    }
    *ret_stats = stats;
}
