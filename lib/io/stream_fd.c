/*
 * stream_fd.c - the transports of descriptors: stream sockets, and everything else that can be
 * polled: pipes, which end their writing by closing, and terminals, which cannot end it.
 */
#include <errno.h>
#include <string.h>

#include <weft/stream.h>
#include <weft/task.h>

#include "base/assert.h"
#include "io/stream_priv.h"
#include "task/task_priv.h"

static struct weft__fd *
fd_of(weft_stream *stream)
{
    return &weft__stream_of(stream)->fd;
}

static weft_fd *
public_fd_of(weft_stream *stream)
{
    return (weft_fd *)(void *)fd_of(stream);
}

static ssize_t
try_read(weft_stream *stream, void *buf, size_t len)
{
    return weft__fd_try_read(fd_of(stream), buf, len);
}

static ssize_t
try_writev(weft_stream *stream, const struct iovec *vectors, int n)
{
    return weft__fd_try_writev(fd_of(stream), vectors, n);
}

static int
wait_for(weft_stream *stream, unsigned what)
{
    struct weft__fd *fd = fd_of(stream);
    return what == WEFT_STREAM_READ ? weft__fd_wait_to_read(fd) : weft__fd_wait(fd, WEFT__WRITABLE);
}

static int
shut_down(weft_stream *stream)
{
    return weft__sys_shutdown(fd_of(stream)->raw, SHUT_WR);
}

static void
close_fd(weft_stream *stream)
{
    weft_fd_close(public_fd_of(stream));
}

static int
raw(weft_stream *stream)
{
    return fd_of(stream)->raw;
}

static const weft_transport socket_transport = {.name = "socket",
                                                .try_read = try_read,
                                                .try_writev = try_writev,
                                                .wait = wait_for,
                                                .shutdown = shut_down,
                                                .close = close_fd,
                                                .raw = raw};

/* ---- Pipes: after the shutdown the descriptor is closed, and the stream is not -------------- */

static ssize_t
pipe_try_read(weft_stream *stream, void *buf, size_t len)
{
    return fd_of(stream)->loop == NULL ? 0 : try_read(stream, buf, len);
}

static ssize_t
pipe_try_writev(weft_stream *stream, const struct iovec *vectors, int n)
{
    return fd_of(stream)->loop == NULL ? -EPIPE : try_writev(stream, vectors, n);
}

static int
pipe_raw(weft_stream *stream)
{
    return fd_of(stream)->loop == NULL ? -EPIPE : raw(stream);
}

static int
pipe_shut_down(weft_stream *stream)
{
    if (fd_of(stream)->loop == NULL)
        return 0;
    int flags = weft__sys_fcntl_getfl(fd_of(stream)->raw);
    if (flags < 0)
        return flags;
    if ((flags & O_ACCMODE) != O_WRONLY)
        return -EOPNOTSUPP; /* it is read from, too */
    close_fd(stream);
    return 0;
}

static const weft_transport pipe_transport = {.name = "pipe",
                                              .try_read = pipe_try_read,
                                              .try_writev = pipe_try_writev,
                                              .wait = wait_for,
                                              .shutdown = pipe_shut_down,
                                              .close = close_fd,
                                              .raw = pipe_raw};

/* ---- Opening ------------------------------------------------------------------------------- */

int
weft_stream_open_fd(weft_stream *public, int descriptor)
{
    int type = SOCK_STREAM;
    int rc = weft__sys_getsockopt_int(descriptor, SOL_SOCKET, SO_TYPE, &type);
    if (rc == 0 && type != SOCK_STREAM)
        return -EPROTOTYPE; /* datagrams are no stream */
    if (rc < 0 && rc != -ENOTSOCK)
        return rc;
    bool is_socket = rc == 0;
    struct weft__stream *stream = weft__stream_of(public);
    rc = weft_fd_open((weft_fd *)(void *)&stream->fd, descriptor);
    if (rc < 0)
        return rc;
    weft_stream_open(public, is_socket ? &socket_transport : &pipe_transport, NULL);
    return 0;
}

void
weft__stream_adopt_socket(weft_stream *stream)
{
    weft_stream_open(stream, &socket_transport, NULL);
}

void
weft__stream_init_socket(weft_stream *stream, int descriptor)
{
    weft__fd_init(fd_of(stream), descriptor, WEFT__FD_SOCKET);
    weft__stream_adopt_socket(stream);
}

int
weft_stream_open_pipe(weft_stream *reader, weft_stream *writer)
{
    int fds[2];
    int rc = weft__sys_pipe(fds);
    if (rc < 0)
        return rc;
    for (int i = 0; i < 2; i++) {
        rc = weft__sys_fcntl_setfl(fds[i], (i == 0 ? O_RDONLY : O_WRONLY) | O_NONBLOCK);
        if (rc < 0) {
            weft__sys_close(fds[0]);
            weft__sys_close(fds[1]);
            return rc;
        }
    }
    weft__fd_init(fd_of(reader), fds[0], WEFT__FD_OTHER);
    weft__fd_init(fd_of(writer), fds[1], WEFT__FD_OTHER);
    weft_stream_open(reader, &pipe_transport, NULL);
    weft_stream_open(writer, &pipe_transport, NULL);
    return 0;
}

int
weft_stream_release(weft_stream *public)
{
    struct weft__stream *stream = weft__stream_of(public);
    if (stream->transport == NULL)
        return -EBADF;
    if (stream->transport != &socket_transport && stream->transport != &pipe_transport)
        return -EOPNOTSUPP;
    if (weft_stream_buffered(public).len > 0)
        return -EBUSY;
    /* Closed first, so that an empty buffer goes back; it then closes nothing. */
    int descriptor = weft_fd_release(public_fd_of(public));
    weft_stream_close(public);
    return descriptor;
}
