/*
 * t_interop.h - what the tests of foreign libevent code share: a scenario that runs on every loop
 * of a runtime at once, beside tasks that keep the loops busy.
 */
#ifndef WEFT_TESTS_INTEROP_T_INTEROP_H
#define WEFT_TESTS_INTEROP_T_INTEROP_H

#include <event2/event.h>

#include <weft/future.h>

#include "io/t_io.h"

#define T_LOOPS_MAX 4
#define T_BUSY_MAX 8
#define T_PORT_MAX 32

/* A scenario may run on a thread whose assertions nobody hears: it says what was wrong and ends
 * with a failure, which the main task asserts. */
#define T_EXPECT(condition)                                                                        \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return -EPROTO;                                                                        \
        }                                                                                          \
    } while (0)

struct t_beside {
    weft_task_fn *scenario; /* gets `arg`, on each loop the same */
    void *arg;
    unsigned busy; /* tasks that never wait, dealt out to the loops */
};

/* Takes turn after turn until it is cancelled, and counts them. */
static inline int
t_busy(void *arg)
{
    uint64_t *turns = arg;
    int rc;
    while ((rc = weft_yield()) == 0)
        (*turns)++;
    return rc;
}

/* The main task: the scenario on every loop, and its end awaited. */
static inline void
t_beside(const struct t_beside *beside)
{
    unsigned n = weft_loop_count();
    cr_assert(n <= T_LOOPS_MAX && beside->busy <= T_BUSY_MAX);
    uint64_t turns[T_BUSY_MAX] = {0};
    weft_task *tasks[T_LOOPS_MAX];
    weft_group busy;
    weft_group_open(&busy, NULL);
    for (unsigned i = 0; i < beside->busy; i++)
        cr_assert(weft_group_spawn_with(&busy, t_busy, &turns[i],
                                        &(weft_task_options){.on = WEFT_ON(i % n)}) >= 0);
    for (unsigned i = 0; i < n; i++)
        T_OK(weft_task_spawn(&tasks[i], beside->scenario, beside->arg,
                             &(weft_task_options){.on = WEFT_ON(i)}));
    for (unsigned i = 0; i < n; i++) {
        int rc;
        T_OK(weft_task_join(tasks[i], &rc));
        cr_assert(rc == 0, "on loop %u: %s", i, weft_strerror(rc));
    }
    weft_group_cancel(&busy);
    T_ERR(beside->busy > 0 ? -ECANCELED : 0, weft_group_close(&busy));
    for (unsigned i = 0; i < beside->busy; i++)
        cr_assert(turns[i] > 0, "busy task %u never had a turn", i);
}

/* ---- Servers that are tasks ----------------------------------------------------------------- */

/* A listener, and a task for each connection, on the loop that opens it. */
struct t_server {
    weft_fd listener;
    weft_address address;
    weft_group group;
    weft_task_fn *serve; /* gets an open weft_fd that it closes and frees */
};

static inline int
t_server_accept(void *arg)
{
    struct t_server *server = arg;
    for (;;) {
        weft_fd *connection = malloc(sizeof *connection);
        int rc = weft_tcp_accept(&server->listener, connection, NULL);
        if (rc == 0 && (rc = weft_group_spawn(&server->group, server->serve, connection)) < 0)
            weft_fd_close(connection);
        if (rc < 0) {
            free(connection);
            return rc;
        }
    }
}

static inline void
t_server_open(struct t_server *server, weft_task_fn *serve)
{
    server->serve = serve;
    server->address = t_listen(&server->listener, NULL);
    weft_group_open(&server->group, &(weft_group_options){.keep_going = 1});
    cr_assert(weft_group_spawn(&server->group, t_server_accept, server) >= 0);
}

static inline void
t_server_close(struct t_server *server)
{
    weft_group_cancel(&server->group);
    T_ERR(-ECANCELED, weft_group_close(&server->group));
    weft_fd_close(&server->listener);
}

static inline int
t_port(const weft_address *address)
{
    return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
}

#endif
