/*
 * pool_sys.h - the system calls only the process pool needs, in the manner of base/sys.h.
 */
#ifndef WEFT_LIB_POOL_POOL_SYS_H
#define WEFT_LIB_POOL_POOL_SYS_H

#include <spawn.h>
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

/* Gives -1, and that is no error, where the kernel (or valgrind in its place) has no pidfds. */
static inline int
weft__sys_pidfd_open(pid_t pid, int *ret_pidfd)
{
    WEFT__SYS_FAULT();
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0 && errno != ENOSYS)
        return -errno;
    *ret_pidfd = pidfd;
    return 0;
}

static inline int
weft__sys_pidfd_kill(int pidfd)
{
    WEFT__SYS_RETRY(int, (int)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0));
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

/* A copy at `at_least` or above, closed on exec. */
static inline int
weft__sys_dup_above(int fd, int at_least)
{
    WEFT__SYS_RETRY(int, fcntl(fd, F_DUPFD_CLOEXEC, at_least));
}

/* Returns 0 or the error, negated, as all here do. */
static inline int
weft__sys_spawnp(pid_t *ret_pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
    WEFT__SYS_FAULT();
    return -posix_spawnp(ret_pid, file, actions, attributes, argv, envp);
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
