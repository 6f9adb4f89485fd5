/*
 * epoll_echo.c - an echo server on raw epoll: what the kernel costs, and little more.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rivals/rivals.h"

#define EVENTS_MAX 512

int
rival_write_all(int fd, const char *buf, long len)
{
    while (len > 0) {
        ssize_t n = write(fd, buf, (size_t)len);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            poll(&room, 1, -1);
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        buf += n;
        len -= n;
    }
    return 0;
}

static int
watch(int poller, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int
accept_all(int poller, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return errno == EAGAIN ? 0 : -errno;
        int rc = watch(poller, fd);
        if (rc < 0)
            return rc;
    }
}

static void
echo(int fd)
{
    char buf[RIVAL_BUF_BYTES];
    ssize_t n;
    do {
        n = read(fd, buf, sizeof buf);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0 || rival_write_all(fd, buf, n) < 0) {
            close(fd);
            return;
        }
    } while (n == (ssize_t)sizeof buf);
}

int
rival_epoll_echo(int listener)
{
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        return -errno;
    int rc = watch(poller, listener);
    while (rc == 0) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(poller, events, EVENTS_MAX, -1);
        if (n < 0 && errno != EINTR)
            rc = -errno;
        for (int i = 0; i < n && rc == 0; i++) {
            if (events[i].data.fd == listener)
                rc = accept_all(poller, listener);
            else
                echo(events[i].data.fd);
        }
    }
    close(poller);
    return rc;
}
