/*
 * client_sys.h - the system calls of the HTTP client, in the form of base/sys.h.
 */
#ifndef WEFT_LIB_HTTP_CLIENT_SYS_H
#define WEFT_LIB_HTTP_CLIENT_SYS_H

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "base/sys.h"

static inline int
weft__sys_epoll_create(void)
{
    WEFT__SYS_RETRY(int, epoll_create1(EPOLL_CLOEXEC));
}

static inline int
weft__sys_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    WEFT__SYS_RETRY(int, epoll_ctl(epoll, operation, fd, event));
}

/* What is ready now; never blocks. */
static inline int
weft__sys_epoll_look(int epoll, struct epoll_event *events, int max)
{
    WEFT__SYS_RETRY(int, epoll_wait(epoll, events, max, 0));
}

static inline int
weft__sys_timerfd_create(void)
{
    WEFT__SYS_RETRY(int, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
}

/* Once, after so many nanoseconds, more than 0. */
static inline int
weft__sys_timerfd_after(int fd, int64_t ns)
{
    struct itimerspec spec = {.it_value = {ns / 1000000000, ns % 1000000000}};
    WEFT__SYS_RETRY(int, timerfd_settime(fd, 0, &spec, NULL));
}

#endif
