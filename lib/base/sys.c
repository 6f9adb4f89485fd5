/*
 * sys.c - the futex calls, and writing without SIGPIPE; all other system calls are inline in sys.h.
 */
#include <linux/futex.h>
#include <sys/syscall.h>

#include "base/sys.h"

int
weft__sys_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec ts = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns < 0 ? NULL : &ts,
                      NULL, 0);
    return rc < 0 ? -errno : 0;
}

/* The word may be gone by now: its owner can have seen the new value and left. The kernel then
 * finds no sleeper, or none that minds being woken for nothing. */
void
weft__sys_futex_wake(uint32_t *word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* A pipe has no MSG_NOSIGNAL, nor has sendfile(2). So the signal is kept from this thread, and the
 * one our own write made is taken away again. */
struct quiet {
    sigset_t pipe_only, old;
    bool was_pending;
};

static void
quiet_begin(struct quiet *quiet)
{
    sigset_t pending;
    sigemptyset(&quiet->pipe_only);
    sigaddset(&quiet->pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &quiet->pipe_only, &quiet->old);
    quiet->was_pending = sigismember(&quiet->old, SIGPIPE) && sigpending(&pending) == 0 &&
                         sigismember(&pending, SIGPIPE);
}

static void
quiet_end(const struct quiet *quiet, ssize_t rc)
{
    if (rc == -EPIPE && !quiet->was_pending)
        (void)sigtimedwait(&quiet->pipe_only, NULL, &(struct timespec){0, 0});
    pthread_sigmask(SIG_SETMASK, &quiet->old, NULL);
}

static ssize_t
writev_retried(int fd, const struct iovec *vectors, int n)
{
    WEFT__SYS_RETRY(ssize_t, writev(fd, vectors, n));
}

ssize_t
weft__sys_writev_quietly(int fd, const struct iovec *vectors, int n)
{
    struct quiet quiet;
    quiet_begin(&quiet);
    ssize_t written = writev_retried(fd, vectors, n);
    quiet_end(&quiet, written);
    return written;
}

static ssize_t
sendfile_retried(int to, int from, off_t *offset, size_t len)
{
    WEFT__SYS_RETRY(ssize_t, sendfile(to, from, offset, len));
}

ssize_t
weft__sys_sendfile_quietly(int to, int from, off_t *offset, size_t len)
{
    struct quiet quiet;
    quiet_begin(&quiet);
    ssize_t sent = sendfile_retried(to, from, offset, len);
    quiet_end(&quiet, sent);
    return sent;
}
