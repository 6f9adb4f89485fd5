/*
 * sys.c - the futex calls, and writing to a pipe; all other system calls are inline in sys.h.
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

/* A pipe has no MSG_NOSIGNAL. So the signal is kept from this thread, and the one our own write
 * made is taken away again. */
ssize_t
weft__sys_writev_quietly(int fd, const struct iovec *vectors, int n)
{
    sigset_t pipe_only, old, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
    bool was_pending =
        sigismember(&old, SIGPIPE) && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE);
    ssize_t written;
    do
        written = WEFT__SYS_CALL(writev(fd, vectors, n));
    while (written < 0 && errno == EINTR);
    if (written < 0) {
        written = -errno;
        if (written == -EPIPE && !was_pending)
            (void)sigtimedwait(&pipe_only, NULL, &(struct timespec){0, 0});
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return written;
}
