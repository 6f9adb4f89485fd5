/*
 * epoll_http.c - "hello" on raw epoll: two system calls a request, and no understanding of HTTP.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rivals/rivals.h"

#define EVENTS_MAX 512

static const char reply[] = "HTTP/1.1 200 OK\r\nServer: epoll\r\n"
                            "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\n"
                            "Content-Length: 6\r\n\r\nhello\n";

static int
watch(int poller, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void
answer(int fd)
{
    char buf[RIVAL_BUF_BYTES];
    ssize_t n = read(fd, buf, sizeof buf);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 4 || memcmp(buf + n - 4, "\r\n\r\n", 4) != 0 ||
        rival_write_all(fd, reply, sizeof reply - 1) < 0)
        close(fd);
}

int
rival_epoll_http(int listener)
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
            if (events[i].data.fd != listener) {
                answer(events[i].data.fd);
                continue;
            }
            int fd;
            while (rc == 0 &&
                   (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
                rc = watch(poller, fd);
        }
    }
    close(poller);
    return rc;
}
