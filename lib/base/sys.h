/*
 * sys.h - system calls: negative errno, EINTR handled, descriptors close-on-exec.
 *
 * Inline and direct in release builds. In test builds each passes weft__torture_hit first and
 * may be made to fail. Names are the kernel's.
 */
#ifndef WEFT_LIB_BASE_SYS_H
#define WEFT_LIB_BASE_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/seam.h"

#ifdef WEFT_TEST
/* For calls that are not repeated, most of which no signal interrupts. */
#define WEFT__SYS_FAULT()                                                                          \
    do {                                                                                           \
        if (weft__torture_hit(WEFT__TORTURE_SYSCALL) && weft__torture_errno() != EINTR)            \
            return -weft__torture_errno();                                                         \
    } while (0)
/* The call's value; or, for the first of the tries that a signal may make necessary, that of a call
 * that failed. */
#define WEFT__SYS_CALL(tries, call)                                                                \
    ((tries)++ == 0 && weft__torture_hit(WEFT__TORTURE_SYSCALL)                                    \
         ? (errno = weft__torture_errno(), -1)                                                     \
         : (call))
#else
#define WEFT__SYS_FAULT() ((void)0)
#define WEFT__SYS_CALL(tries, call) ((void)(tries), (call))
#endif

/* Repeats a call interrupted by a signal; gives its result or -errno. */
#define WEFT__SYS_RETRY(type, call)                                                                \
    do {                                                                                           \
        type weft__rc;                                                                             \
        int weft__tries = 0;                                                                       \
        do                                                                                         \
            weft__rc = WEFT__SYS_CALL(weft__tries, call);                                          \
        while (weft__rc < 0 && errno == EINTR);                                                    \
        return weft__rc < 0 ? (type)-errno : weft__rc;                                             \
    } while (0)

static inline ssize_t
weft__sys_read(int fd, void *buf, size_t len)
{
    WEFT__SYS_RETRY(ssize_t, read(fd, buf, len));
}

static inline ssize_t
weft__sys_write(int fd, const void *buf, size_t len)
{
    WEFT__SYS_RETRY(ssize_t, write(fd, buf, len));
}

static inline int
weft__sys_openat(int folder, const char *path, int flags, mode_t mode)
{
    WEFT__SYS_RETRY(int, openat(folder, path, flags | O_CLOEXEC, mode));
}

/* -ENOSYS before Linux 5.6. `resolve`: RESOLVE_ flags; RESOLVE_CACHED gives -EAGAIN where the disk
 * would have to be asked. */
static inline int
weft__sys_openat2(int folder, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC, .resolve = resolve};
    WEFT__SYS_RETRY(int, (int)syscall(SYS_openat2, folder, path, &how, sizeof how));
}

/* Around a call that knows no MSG_NOSIGNAL: SIGPIPE is kept from this thread, and the one that the
 * call itself made is taken away again. `rc` is the call's result. */
struct weft__sys_hush {
    sigset_t old;
    bool was_pending;
};

static inline void
weft__sys_hush(struct weft__sys_hush *hush)
{
    sigset_t pipe_only, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &hush->old);
    hush->was_pending = sigismember(&hush->old, SIGPIPE) && sigpending(&pending) == 0 &&
                        sigismember(&pending, SIGPIPE);
}

static inline void
weft__sys_unhush(const struct weft__sys_hush *hush, ssize_t rc)
{
    if (rc == -EPIPE && !hush->was_pending) {
        sigset_t pipe_only;
        sigemptyset(&pipe_only);
        sigaddset(&pipe_only, SIGPIPE);
        (void)sigtimedwait(&pipe_only, NULL, &(struct timespec){0, 0});
    }
    pthread_sigmask(SIG_SETMASK, &hush->old, NULL);
}

/* writev(2) without SIGPIPE, for pipes; sockets have weft__sys_sendmsg. */
ssize_t weft__sys_writev_quietly(int fd, const struct iovec *vectors, int n);

/* sendfile(2) without SIGPIPE. *offset is moved by what was sent. */
ssize_t weft__sys_sendfile_quietly(int to, int from, off_t *offset, size_t len);

static inline ssize_t
weft__sys_pread(int fd, void *buf, size_t len, off_t offset)
{
    WEFT__SYS_RETRY(ssize_t, pread(fd, buf, len, offset));
}

static inline int
weft__sys_shutdown(int fd, int how)
{
    WEFT__SYS_RETRY(int, shutdown(fd, how));
}

/* For sockets: no SIGPIPE. */
static inline ssize_t
weft__sys_send(int fd, const void *buf, size_t len, int flags)
{
    WEFT__SYS_RETRY(ssize_t, send(fd, buf, len, flags | MSG_NOSIGNAL));
}

static inline ssize_t
weft__sys_recv(int fd, void *buf, size_t len, int flags)
{
    WEFT__SYS_RETRY(ssize_t, recv(fd, buf, len, flags));
}

static inline ssize_t
weft__sys_sendmsg(int fd, const struct msghdr *message, int flags)
{
    WEFT__SYS_RETRY(ssize_t, sendmsg(fd, message, flags | MSG_NOSIGNAL));
}

static inline ssize_t
weft__sys_recvmsg(int fd, struct msghdr *message, int flags)
{
    WEFT__SYS_RETRY(ssize_t, recvmsg(fd, message, flags | MSG_CMSG_CLOEXEC));
}

/* How many were sent, 1 or more; what stopped the rest is the result of the next call. */
static inline int
weft__sys_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    WEFT__SYS_RETRY(int, sendmmsg(fd, messages, n, flags | MSG_NOSIGNAL));
}

static inline int
weft__sys_recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    WEFT__SYS_RETRY(int, recvmmsg(fd, messages, n, flags | MSG_CMSG_CLOEXEC, NULL));
}

/* The descriptor is gone whatever happens; EINTR must not be repeated on Linux. No fault is
 * injected: a close that fails still closes. */
static inline void
weft__sys_close(int fd)
{
    (void)close(fd);
}

static inline int
weft__sys_socket(int family, int type, int protocol)
{
    WEFT__SYS_RETRY(int, socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

static inline int
weft__sys_socketpair(int family, int type, int fds[2])
{
    WEFT__SYS_RETRY(int, socketpair(family, type | SOCK_CLOEXEC, 0, fds));
}

static inline int
weft__sys_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    WEFT__SYS_RETRY(int, bind(fd, address, len));
}

static inline int
weft__sys_listen(int fd, int backlog)
{
    WEFT__SYS_RETRY(int, listen(fd, backlog));
}

static inline int
weft__sys_accept4(int fd, struct sockaddr *address, socklen_t *len)
{
    WEFT__SYS_RETRY(int, accept4(fd, address, len, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

/* An interrupted connect goes on in the kernel: -EINTR is passed through, like -EINPROGRESS. */
static inline int
weft__sys_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    WEFT__SYS_FAULT();
    return connect(fd, address, len) < 0 ? -errno : 0;
}

static inline int
weft__sys_getsockopt_int(int fd, int level, int option, int *ret_value)
{
    socklen_t len = sizeof *ret_value;
    WEFT__SYS_RETRY(int, getsockopt(fd, level, option, ret_value, &len));
}

static inline int
weft__sys_setsockopt_int(int fd, int level, int option, int value)
{
    WEFT__SYS_RETRY(int, setsockopt(fd, level, option, &value, sizeof value));
}

static inline int
weft__sys_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    WEFT__SYS_RETRY(int, setsockopt(fd, level, option, value, len));
}

static inline int
weft__sys_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    WEFT__SYS_RETRY(int, getpeername(fd, address, len));
}

static inline int
weft__sys_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
    WEFT__SYS_RETRY(int, getsockname(fd, address, len));
}

static inline int
weft__sys_fcntl_getfl(int fd)
{
    WEFT__SYS_RETRY(int, fcntl(fd, F_GETFL));
}

static inline int
weft__sys_fcntl_setfl(int fd, int flags)
{
    WEFT__SYS_RETRY(int, fcntl(fd, F_SETFL, flags));
}

/* FD_CLOEXEC or 0. */
static inline int
weft__sys_fcntl_setfd(int fd, int flags)
{
    WEFT__SYS_RETRY(int, fcntl(fd, F_SETFD, flags));
}

static inline int
weft__sys_dup(int fd)
{
    WEFT__SYS_RETRY(int, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

static inline int
weft__sys_open(const char *path, int flags)
{
    WEFT__SYS_RETRY(int, open(path, flags | O_CLOEXEC));
}

static inline int
weft__sys_flock(int fd, int operation)
{
    WEFT__SYS_RETRY(int, flock(fd, operation));
}

static inline int
weft__sys_stat(const char *path, struct stat *ret_status)
{
    WEFT__SYS_RETRY(int, stat(path, ret_status));
}

static inline int
weft__sys_chmod(const char *path, mode_t mode)
{
    WEFT__SYS_RETRY(int, chmod(path, mode));
}

static inline int
weft__sys_rename(const char *from, const char *to)
{
    WEFT__SYS_RETRY(int, rename(from, to));
}

/* No fault is injected: nobody could do anything about it. */
static inline void
weft__sys_unlink(const char *path)
{
    (void)unlink(path);
}

static inline int
weft__sys_eventfd(unsigned initial)
{
    WEFT__SYS_RETRY(int, eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK));
}

static inline int
weft__sys_pipe(int fds[2])
{
    WEFT__SYS_RETRY(int, pipe2(fds, O_CLOEXEC));
}

/* timeout_ns < 0 waits without limit. -EINTR is passed through: callers look at the world. */
static inline int
weft__sys_ppoll(struct pollfd *fds, nfds_t n, int64_t timeout_ns)
{
    WEFT__SYS_FAULT();
    struct timespec ts = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    int rc = ppoll(fds, n, timeout_ns < 0 ? NULL : &ts, NULL);
    return rc < 0 ? -errno : rc;
}

static inline int
weft__sys_mmap(void **ret_memory, size_t len, int protection, int flags)
{
    WEFT__SYS_FAULT();
    void *memory = mmap(NULL, len, protection, flags, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    *ret_memory = memory;
    return 0;
}

static inline int
weft__sys_mprotect(void *memory, size_t len, int protection)
{
    WEFT__SYS_RETRY(int, mprotect(memory, len, protection));
}

static inline int
weft__sys_madvise(void *memory, size_t len, int advice)
{
    WEFT__SYS_RETRY(int, madvise(memory, len, advice));
}

/* No fault is injected: nobody could do anything about it. */
static inline void
weft__sys_munmap(void *memory, size_t len)
{
    (void)munmap(memory, len);
}

/* One byte a page; its lowest bit says whether the page is in memory. */
static inline int
weft__sys_mincore(void *memory, size_t len, unsigned char *ret_pages)
{
    WEFT__SYS_RETRY(int, mincore(memory, len, ret_pages));
}

/* Either pointer may be NULL. */
static inline int
weft__sys_sigaltstack(const stack_t *stack, stack_t *ret_old)
{
    WEFT__SYS_RETRY(int, sigaltstack(stack, ret_old));
}

static inline int
weft__sys_sigaction(int number, const struct sigaction *action, struct sigaction *ret_old)
{
    WEFT__SYS_RETRY(int, sigaction(number, action, ret_old));
}

/* Returns 0 or the error, negated, as all here do. */
static inline int
weft__sys_thread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                        void *(*main)(void *), void *arg)
{
    WEFT__SYS_FAULT();
    return -pthread_create(ret_thread, attributes, main, arg);
}

static inline pid_t
weft__sys_waitpid(pid_t pid, int *ret_status, int options)
{
    WEFT__SYS_RETRY(pid_t, waitpid(pid, ret_status, options));
}

static inline int
weft__sys_kill(pid_t pid, int number)
{
    WEFT__SYS_RETRY(int, kill(pid, number));
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
weft__sys_pidfd_signal(int pidfd, int number)
{
    WEFT__SYS_RETRY(int, (int)syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0));
}

static inline int
weft__sys_waitid(idtype_t type, id_t id, siginfo_t *ret_info, int options)
{
    WEFT__SYS_RETRY(int, waitid(type, id, ret_info, options));
}

/* A copy at `at_least` or above, closed on exec. */
static inline int
weft__sys_dup_above(int fd, int at_least)
{
    WEFT__SYS_RETRY(int, fcntl(fd, F_DUPFD_CLOEXEC, at_least));
}

/* Searches PATH. Returns 0 or the error, negated, as all here do. */
static inline int
weft__sys_spawnp(pid_t *ret_pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
    WEFT__SYS_FAULT();
    return -posix_spawnp(ret_pid, file, actions, attributes, argv, envp);
}

static inline int
weft__sys_spawn(pid_t *ret_pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const *argv, char *const *envp)
{
    WEFT__SYS_FAULT();
    return -posix_spawn(ret_pid, path, actions, attributes, argv, envp);
}

static inline int
weft__sys_inotify_init(void)
{
    WEFT__SYS_RETRY(int, inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

static inline int
weft__sys_inotify_add(int fd, const char *path, uint32_t mask)
{
    WEFT__SYS_RETRY(int, inotify_add_watch(fd, path, mask));
}

/* No fault is injected: the watch may be gone in any case. */
static inline void
weft__sys_inotify_remove(int fd, int watch)
{
    (void)inotify_rm_watch(fd, watch);
}

/* Nanoseconds of CLOCK_MONOTONIC. Cannot fail. */
static inline int64_t
weft__sys_monotonic(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* futex(2) wait while *word is `expected`; timeout_ns < 0 waits without limit. Returns 0,
 * -EAGAIN (it was not), -ETIMEDOUT, or -EINTR. Never made to fail: callers loop on the word. */
int weft__sys_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns);
void weft__sys_futex_wake(uint32_t *word, int count);

#endif
