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

static ssize_t
writev_retried(int fd, const struct iovec *vectors, int n)
{
    WEFT__SYS_RETRY(ssize_t, writev(fd, vectors, n));
}

ssize_t
weft__sys_writev_quietly(int fd, const struct iovec *vectors, int n)
{
    struct weft__sys_hush hush;
    weft__sys_hush(&hush);
    ssize_t written = writev_retried(fd, vectors, n);
    weft__sys_unhush(&hush, written);
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
    struct weft__sys_hush hush;
    weft__sys_hush(&hush);
    ssize_t sent = sendfile_retried(to, from, offset, len);
    weft__sys_unhush(&hush, sent);
    return sent;
}
