/*
 * t_server.h - what the tests of servers share: a server run by a task, and clients that block.
 */
#ifndef WEFT_TESTS_IO_T_SERVER_H
#define WEFT_TESTS_IO_T_SERVER_H

#include <sys/un.h>

#include <weft/server.h>
#include <weft/sync.h>

#include "io/t_io.h"

struct t_served {
    weft_server *server;
    weft_task *task;
    weft_address address;
    int rc;
};

static inline int
t_served_run(void *arg)
{
    struct t_served *served = arg;
    served->rc = weft_server_run(served->server);
    return 0;
}

static inline void
t_served_begin(struct t_served *served, const weft_server_options *options)
{
    T_OK(weft_server_new(&served->server, options));
    T_OK(weft_server_address(served->server, 0, &served->address));
    T_OK(weft_task_spawn(&served->task, t_served_run, served, NULL));
}

/* Stopped already, or about to be. */
static inline void
t_served_join(struct t_served *served)
{
    T_OK(weft_task_join(served->task, NULL));
}

static inline void
t_served_end(struct t_served *served)
{
    weft_server_stop(served->server, WEFT_SERVER_GRACE);
    t_served_join(served);
    T_OK(served->rc);
    weft_server_free(served->server);
}

static inline weft_server_stats
t_served_stats(const struct t_served *served, int loop)
{
    weft_server_stats stats;
    weft_server_stats_get(served->server, loop, &stats);
    return stats;
}

/* Until a figure is what it shall be: the test's own timeout ends it. */
#define T_SERVED_UNTIL(served, figure, value)                                                      \
    while (t_served_stats((served), -1).figure != (value))                                         \
    weft_ignore(weft_sleep(WEFT_MS(1)))

static inline const char *const *
t_anywhere(void)
{
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    return listen;
}

/* A raw client; loopback connects at once as long as the queue has room. */
static inline int
t_client_socket(const weft_address *address)
{
    int raw = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(raw >= 0);
    return raw;
}

static inline int
t_client_connect(int raw, const weft_address *address)
{
    return connect(raw, (const struct sockaddr *)&address->storage, address->len) == 0 ? 0 : -errno;
}

static inline int
t_client(const weft_address *address)
{
    int raw = t_client_socket(address);
    T_OK(t_client_connect(raw, address));
    return raw;
}

/* Says a word and hears it back, by a task of this loop. Closes the socket. */
static inline int
t_client_ask(int raw)
{
    weft_fd fd;
    char buf[5];
    size_t got = 0;
    int rc = weft_fd_open(&fd, raw);
    if (rc < 0) {
        close(raw);
        return rc;
    }
    rc = weft_fd_write_all(&fd, "hello", 5, NULL);
    while (rc == 0 && got < 5) {
        ssize_t n = weft_fd_read(&fd, buf + got, 5 - got);
        if (n <= 0)
            rc = n < 0 ? (int)n : -EPIPE;
        else
            got += (size_t)n;
    }
    weft_fd_close(&fd);
    return rc;
}

/* To the end: bytes read, or an error. */
static inline ssize_t
t_client_read_end(int raw)
{
    weft_fd fd;
    char buf[64];
    T_OK(weft_fd_open(&fd, raw));
    ssize_t n, sum = 0;
    while ((n = weft_fd_read(&fd, buf, sizeof buf)) > 0)
        sum += n;
    weft_fd_close(&fd);
    return n < 0 ? n : sum;
}

static inline int
t_serve_echo(weft_stream *connection, void *arg)
{
    char buf[256];
    ssize_t n;
    (void)arg;
    while ((n = weft_stream_read(connection, buf, sizeof buf)) > 0) {
        int rc = weft_stream_write_all(connection, buf, (size_t)n, NULL);
        if (rc < 0)
            return rc;
    }
    return (int)n;
}

/* Until the event that arg is is set. */
static inline int
t_serve_until(weft_stream *connection, void *arg)
{
    int rc = weft_event_wait(arg);
    if (rc == 0)
        rc = weft_stream_write_all(connection, "done", 4, NULL);
    return rc;
}

#endif
