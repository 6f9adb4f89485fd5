/*
 * fd.c - readiness as waiting.
 *
 * A descriptor has one edge-triggered registration for its whole life, made when it is first
 * waited for. `readable` and `writable` say what is known: they are set by edges, and cleared when
 * the kernel says EAGAIN or transfers less than was asked for.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <weft/task.h>

#include "base/assert.h"
#include "io/fd_priv.h"
#include "task/task_priv.h"

static void
wake(struct weft__fd_wait *wait, int result)
{
    if (wait == NULL)
        return;
    if (wait->stand == NULL) {
        if (weft__claim_local(wait->ticket))
            weft__deliver(wait->ticket.waiter, result);
    } else if (weft__claim(wait->ticket)) { /* what else a select waits for may be on its way */
        weft__stand_deliver(wait->stand, result);
    }
}

static void
on_ready(struct weft__watch *watch, unsigned what)
{
    struct weft__fd *fd = (struct weft__fd *)(void *)watch;
    if (what & WEFT__CLOSED)
        fd->hung_up = true;
    if (what & WEFT__READABLE) {
        weft__suspect_remove(fd);
        fd->unsure = false;
        fd->readable = true;
        wake(fd->reader, 0);
    }
    if (what & WEFT__WRITABLE) {
        fd->writable = true;
        wake(fd->writer, 0);
    }
}

void
weft__fd_init(struct weft__fd *fd, int raw, enum weft__fd_kind kind)
{
    memset(fd, 0, sizeof *fd);
    fd->watch.ready = on_ready;
    fd->loop = weft__loop_self;
    fd->raw = raw;
    fd->kind = (uint8_t)kind;
    fd->readable = true;
    fd->writable = true;
}

int
weft_fd_open(weft_fd *public, int raw)
{
    weft__assert(weft__task_self() != NULL, "a descriptor is opened by a task");
    struct stat status;
    if (fstat(raw, &status) < 0)
        return -errno;
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))
        return -EPERM;
    int flags = weft__sys_fcntl_getfl(raw);
    if (flags < 0)
        return flags;
    if (!(flags & O_NONBLOCK)) {
        int rc = weft__sys_fcntl_setfl(raw, flags | O_NONBLOCK);
        if (rc < 0)
            return rc;
    }
    enum weft__fd_kind kind = WEFT__FD_OTHER;
    int type = 0;
    if (S_ISSOCK(status.st_mode) &&
        weft__sys_getsockopt_int(raw, SOL_SOCKET, SO_TYPE, &type) == 0 && type == SOCK_STREAM)
        kind = WEFT__FD_SOCKET;
    weft__fd_init((struct weft__fd *)(void *)public, raw, kind);
    return 0;
}

struct weft__fd *
weft__fd_of(const weft_fd *public)
{
    struct weft__fd *fd = (struct weft__fd *)(uintptr_t) public;
    if (fd->loop == NULL)
        return NULL;
    weft__assert(fd->loop == weft__loop_self,
                 "a descriptor was used on another loop than the one it was opened on");
    return fd;
}

/* Who waits, or has been woken and has yet to run, must not come back to the object. */
static void
dismiss(struct weft__fd_wait *wait)
{
    if (wait == NULL)
        return;
    wait->closed = true;
    wake(wait, -EBADF);
}

/* Ends all dealings with the descriptor; those who wait are told. */
static void
detach(struct weft__fd *fd)
{
    weft__suspect_remove(fd);
    weft__watch_remove(&fd->watch);
    weft__watch_end(fd->loop, &fd->watch);
    fd->loop = NULL;
    dismiss(fd->reader);
    dismiss(fd->writer);
}

void
weft_fd_close(weft_fd *public)
{
    struct weft__fd *fd = weft__fd_of(public);
    if (fd == NULL)
        return;
    detach(fd);
    weft__sys_close(fd->raw);
}

int
weft_fd_release(weft_fd *public)
{
    struct weft__fd *fd = weft__fd_of(public);
    if (fd == NULL)
        return -EBADF;
    detach(fd);
    return fd->raw;
}

int
weft_fd_raw(const weft_fd *public)
{
    const struct weft__fd *fd = weft__fd_of(public);
    return fd == NULL ? -EBADF : fd->raw;
}

static inline struct weft__fd_wait **
place_of(struct weft__fd *fd, unsigned what)
{
    return what == WEFT__READABLE ? &fd->reader : &fd->writer;
}

/* Of use to the virtual clock alone, whose loops share one thread. */
static inline void
count_wait(const struct weft_loop *loop, int by)
{
    if (loop->clock->is_virtual)
        weft__sched_self()->runtime->io_waits += (uint32_t)by;
}

int
weft__fd_wait_begin(struct weft__fd *fd, unsigned what, struct weft__fd_wait *wait)
{
    if (*place_of(fd, what) != NULL)
        return -EBUSY;
    int rc = weft__watch_begin(fd->loop, &fd->watch, fd->raw, what);
    if (rc < 0)
        return rc;
    *place_of(fd, what) = wait;
    count_wait(fd->loop, 1);
    return 0;
}

int
weft__fd_wait_end(struct weft__fd *fd, unsigned what, struct weft__fd_wait *wait)
{
    count_wait(weft__loop_self, -1);
    if (wait->closed)
        return -EBADF;
    weft__watch_end(fd->loop, &fd->watch);
    *place_of(fd, what) = NULL;
    return 0;
}

int
weft__fd_wait(struct weft__fd *fd, unsigned what)
{
    struct weft__fd_wait wait = {.closed = false};
    int rc = weft__fd_wait_begin(fd, what, &wait);
    if (rc < 0)
        return rc;
    weft__waits_for(what == WEFT__READABLE ? weft__what_readable : weft__what_writable,
                    (const void *)(intptr_t)fd->raw);
    wait.ticket = weft__park_arm(); /* nobody looks before we suspend: it is all one thread */
    rc = weft__park(true);
    int ended = weft__fd_wait_end(fd, what, &wait);
    return ended < 0 ? ended : rc;
}

int
weft__fd_look(struct weft__fd *fd, unsigned what)
{
    bool reading = what == WEFT__READABLE;
    if (*place_of(fd, what) != NULL)
        return -EBUSY;
    /* The kernel is asked each time: a short read may have left something behind that no edge
     * will tell of. Edges that come while we look are kept by the poller. */
    struct pollfd pollfd = {.fd = fd->raw, .events = reading ? POLLIN : POLLOUT};
    int rc;
    do
        rc = weft__sys_ppoll(&pollfd, 1, 0);
    while (rc == -EINTR);
    if (rc != 0)
        return rc;
    if (reading)
        fd->readable = false;
    else
        fd->writable = false;
    return 0;
}

static int
wait_for(weft_fd *public, unsigned what)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    struct weft__fd *fd = weft__fd_of(public);
    if (fd == NULL)
        return -EBADF;
    rc = weft__fd_look(fd, what);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    return weft__fd_wait(fd, what);
}

int
weft_fd_wait_readable(weft_fd *fd)
{
    return wait_for(fd, WEFT__READABLE);
}

int
weft_fd_wait_writable(weft_fd *fd)
{
    return wait_for(fd, WEFT__WRITABLE);
}

/* Whether a count below what was asked for says that the descriptor is empty, or full. */
static inline bool
short_count_tells(const struct weft__fd *fd)
{
    return fd->kind == WEFT__FD_SOCKET && !fd->hung_up;
}

static ssize_t
read_some(struct weft__fd *fd, void *buf, size_t len)
{
    return fd->kind == WEFT__FD_SOCKET ? weft__sys_recv(fd->raw, buf, len, 0)
                                       : weft__sys_read(fd->raw, buf, len);
}

static ssize_t
write_some(struct weft__fd *fd, const void *buf, size_t len)
{
    if (WEFT_BUGGIFY(8) && len > 1)
        len = 1;
    ssize_t n = fd->kind == WEFT__FD_SOCKET ? weft__sys_send(fd->raw, buf, len, 0)
                                            : weft__sys_write(fd->raw, buf, len);
    return n;
}

ssize_t
weft__fd_try_read(struct weft__fd *fd, void *buf, size_t len)
{
    if (!fd->readable)
        return -EAGAIN;
    if (WEFT_BUGGIFY(8) && len > 1)
        len = 1;
    ssize_t n = read_some(fd, buf, len);
    if (n > 0 && (size_t)n < len && short_count_tells(fd)) {
        fd->readable = false;
        fd->unsure = true;
    } else if (n == -EAGAIN) {
        fd->readable = false;
        fd->unsure = false;
    }
    return n;
}

int
weft__fd_wait_to_read(struct weft__fd *fd)
{
    if (fd->unsure) {
        fd->unsure = false;
        weft__suspect_add(fd);
        if (fd->readable)
            return 0;
    }
    int rc = weft__fd_wait(fd, WEFT__READABLE);
    if (rc < 0 && rc != -EBADF && weft__link_on_list(&fd->suspect)) {
        weft__suspect_remove(fd);
        fd->unsure = true; /* nobody has looked yet */
    }
    return rc;
}

ssize_t
weft__fd_try_writev(struct weft__fd *fd, const struct iovec *vectors, int n)
{
    if (!fd->writable)
        return -EAGAIN;
    ssize_t written;
    if (n == 1)
        written = write_some(fd, vectors->iov_base, vectors->iov_len);
    else if (fd->kind == WEFT__FD_SOCKET)
        written = weft__sys_sendmsg(fd->raw,
                                    &(struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)vectors,
                                                     .msg_iovlen = (size_t)n},
                                    0);
    else
        written = weft__sys_writev(fd->raw, vectors, n);
    if (written == -EAGAIN)
        fd->writable = false;
    return written;
}

ssize_t
weft_fd_read(weft_fd *public, void *buf, size_t len)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct weft__fd *fd = weft__fd_of(public);
    if (fd == NULL)
        return -EBADF;
    if (fd->reader != NULL)
        return -EBUSY;
    for (;;) {
        ssize_t n = weft__fd_try_read(fd, buf, len);
        if (n != -EAGAIN)
            return n;
        rc = weft__fd_wait_to_read(fd);
        if (rc < 0)
            return rc;
    }
}

ssize_t
weft_fd_write(weft_fd *public, const void *buf, size_t len)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct weft__fd *fd = weft__fd_of(public);
    if (fd == NULL)
        return -EBADF;
    if (len == 0)
        return 0;
    if (fd->writer != NULL)
        return -EBUSY;
    for (;;) {
        struct iovec vector = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
        ssize_t n = weft__fd_try_writev(fd, &vector, 1);
        if (n != -EAGAIN)
            return n;
        rc = weft__fd_wait(fd, WEFT__WRITABLE);
        if (rc < 0)
            return rc;
    }
}

int
weft_fd_write_all(weft_fd *fd, const void *buf, size_t len, size_t *ret_written)
{
    const char *bytes = buf;
    size_t written = 0;
    int rc = 0;
    do {
        ssize_t n = weft_fd_write(fd, bytes + written, len - written);
        if (n < 0)
            rc = (int)n;
        else
            written += (size_t)n;
    } while (rc == 0 && written < len);
    if (ret_written != NULL)
        *ret_written = written;
    return rc;
}
