/*
 * fd.h - descriptors that tasks can wait for.
 */
#ifndef WEFT_FD_H
#define WEFT_FD_H

#include <weft/base.h>
#include <weft/select.h>

/* In the caller's memory, from open until it is closed and calls in progress on it have returned;
 * it must not move. */
typedef struct weft_fd {
    uint64_t opaque_[32];
} weft_fd;

WEFT_BEGIN_DECLS

/*
 * weft_fd_open - take a descriptor over for waiting on this loop
 *
 * raw      an open descriptor that can be polled; made non-blocking; it is weft's until
 *          weft_fd_close or weft_fd_release
 *
 * Returns  0; -EBADF; -EPERM for a regular file (use weft_blocking). On failure raw is still the
 *          caller's
 * Waits    no
 * Threads  tasks; the descriptor belongs to their loop from then on
 * Source   epoll_ctl(2)
 */
int weft_fd_open(weft_fd *fd, int raw);

/*
 * weft_fd_close - close a descriptor; who waits for it gets -EBADF
 *
 * fd       may be closed already
 *
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns fd
 * Source   close(2)
 */
void weft_fd_close(weft_fd *fd);

/*
 * weft_fd_release - give the descriptor back without closing it; who waits gets -EBADF
 *
 * Returns  the raw descriptor, non-blocking
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns fd
 * Source   asyncio transport.pause, turned round; FILE fileno(3)
 */
int weft_fd_release(weft_fd *fd);

/*
 * weft_fd_raw - the descriptor's number
 *
 * Returns  0 or more; -EBADF when closed
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns fd
 * Source   fileno(3)
 */
int weft_fd_raw(const weft_fd *fd);

/*
 * weft_fd_wait_readable - wait until reading would not block
 *
 * Returns  0: read until -EAGAIN or a short count before waiting again; -EBADF when closed
 *          meanwhile; -EBUSY when another task waits to read; -ECANCELED or -ETIMEDOUT; the first
 *          wait of a descriptor also -ENOMEM or -ENOSPC, when the poller cannot take it
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the loop that owns fd
 * Source   trio.lowlevel.wait_readable
 */
WEFT_WAITS int weft_fd_wait_readable(weft_fd *fd);

/*
 * weft_fd_wait_writable - wait until writing would not block
 *
 * Returns  as weft_fd_wait_readable, for writing
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the loop that owns fd
 * Source   trio.lowlevel.wait_writable
 */
WEFT_WAITS int weft_fd_wait_writable(weft_fd *fd);

/*
 * weft_fd_read - read what has arrived, waiting for the first byte
 *
 * buf      out: up to len bytes
 * len      in bytes, more than 0
 *
 * Returns  bytes read, 1 to len; 0 at end of file; -ECANCELED or -ETIMEDOUT when the enclosing
 *          scope ended first (nothing was read); -EBADF when closed meanwhile; -EBUSY when
 *          another task waits to read; errors of weft_fd_wait_readable; else read(2)'s errno,
 *          negated
 * Waits    yes; looks for cancellation even when data is there
 * Threads  tasks of the loop that owns fd
 * Source   asyncio StreamReader.read; read(2)
 */
WEFT_WAITS ssize_t weft_fd_read(weft_fd *fd, void *buf, size_t len);

/*
 * weft_fd_write - write some bytes, waiting for room for the first
 *
 * Returns  bytes written, 1 to len (0 for len 0); errors as weft_fd_read; -EPIPE, without
 *          SIGPIPE
 * Waits    yes; looks for cancellation even when there is room
 * Threads  tasks of the loop that owns fd
 * Source   write(2)
 */
WEFT_WAITS ssize_t weft_fd_write(weft_fd *fd, const void *buf, size_t len);

/*
 * weft_fd_write_all - write all bytes
 *
 * ret_written  out, also on failure: how many bytes the kernel took; may be NULL
 *
 * Returns  0; errors as weft_fd_write
 * Waits    yes; looks for cancellation even when there is room
 * Threads  tasks of the loop that owns fd
 * Source   asyncio StreamWriter.drain; trio SendStream.send_all
 */
WEFT_WAITS int weft_fd_write_all(weft_fd *fd, const void *buf, size_t len, size_t *ret_written);

/*
 * weft_case_readable - the branch of a select in which reading would not block
 *
 * fd       NULL makes a branch that is never chosen
 *
 * Returns  a case; its result will be what weft_fd_wait_readable would have returned
 * Waits    no
 * Threads  any; the select belongs to a task of the loop that owns fd
 * Source   libdill's choose, neco_waitreadable
 */
weft_case weft_case_readable(weft_fd *fd);

/*
 * weft_case_writable - the branch of a select in which writing would not block
 *
 * fd       NULL makes a branch that is never chosen
 *
 * Returns  a case; its result will be what weft_fd_wait_writable would have returned
 * Waits    no
 * Threads  any; the select belongs to a task of the loop that owns fd
 * Source   libdill's choose
 */
weft_case weft_case_writable(weft_fd *fd);

WEFT_END_DECLS

#endif
