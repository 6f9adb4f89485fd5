/*
 * pool_sys.h - the system calls only the process pool needs, in the manner of base/sys.h.
 */
#ifndef WEFT_LIB_POOL_POOL_SYS_H
#define WEFT_LIB_POOL_POOL_SYS_H

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/sys.h"

static inline pid_t
weft__sys_fork(void)
{
    WEFT__SYS_FAULT();
    pid_t pid = fork();
    return pid < 0 ? -errno : pid;
}

static inline int
weft__sys_pidfd_kill(int pidfd)
{
    return weft__sys_pidfd_signal(pidfd, SIGKILL);
}

/* -ENOSYS on old kernels. No fault is injected: it only ever closes what is to be closed. */
static inline int
weft__sys_close_range(unsigned first, unsigned last)
{
#ifdef SYS_close_range
    return syscall(SYS_close_range, first, last, 0) < 0 ? -errno : 0;
#else
    (void)first, (void)last;
    return -ENOSYS;
#endif
}

static inline int
weft__sys_prctl(int option, unsigned long value)
{
    WEFT__SYS_RETRY(int, prctl(option, value, 0, 0, 0));
}

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

/* -EINTR is passed through: callers look at the world. */
static inline int
weft__sys_epoll_wait(int epoll, struct epoll_event *events, int n, int timeout_ms)
{
    WEFT__SYS_FAULT();
    int rc = epoll_wait(epoll, events, n, timeout_ms);
    return rc < 0 ? -errno : rc;
}

#endif
