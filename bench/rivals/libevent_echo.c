/*
 * libevent_echo.c - an echo server on libevent's event core, as one would write it by hand.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rivals/rivals.h"

struct connection {
    struct event event;
};

static void
readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct connection *connection = arg;
    char buf[RIVAL_BUF_BYTES];
    ssize_t n;
    do {
        n = read(fd, buf, sizeof buf);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0 || rival_write_all(fd, buf, n) < 0) {
            event_del(&connection->event);
            close(fd);
            free(connection);
            return;
        }
    } while (n == (ssize_t)sizeof buf);
}

static void
connected(evutil_socket_t listener, short what, void *arg)
{
    (void)what;
    struct event_base *base = arg;
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno != EAGAIN)
                event_base_loopbreak(base);
            return;
        }
        struct connection *connection = malloc(sizeof *connection);
        if (connection == NULL ||
            event_assign(&connection->event, base, fd, EV_READ | EV_PERSIST, readable, connection) <
                0 ||
            event_add(&connection->event, NULL) < 0) {
            free(connection);
            close(fd);
        }
    }
}

int
rival_libevent_echo(int listener)
{
    struct event_config *config = event_config_new();
    if (config == NULL)
        return -ENOMEM;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    if (base == NULL)
        return -ENOMEM;
    struct event accepting;
    int rc = -ENOMEM;
    if (event_assign(&accepting, base, listener, EV_READ | EV_PERSIST, connected, base) == 0 &&
        event_add(&accepting, NULL) == 0) {
        event_base_dispatch(base); /* comes back only when accepting failed */
        rc = -EIO;
        event_del(&accepting);
    }
    event_base_free(base);
    return rc;
}
