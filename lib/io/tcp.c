/*
 * tcp.c - listeners and connections.
 *
 * Sockets are non-blocking and close-on-exec from birth. Small writes go out at once
 * (TCP_NODELAY): a task writes when it has something to say. Unix sockets pass through the same
 * calls.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include <weft/net.h>
#include <weft/task.h>

#include "base/assert.h"
#include "io/accept.h"
#include "io/tcp_priv.h"
#include "task/task_priv.h"

static const struct sockaddr *
raw_address(const weft_address *address)
{
    return (const struct sockaddr *)(const void *)&address->storage;
}

int
weft_tcp_listen(weft_fd *public, const weft_address *address, const weft_listen_options *options)
{
    weft__assert(weft__task_self() != NULL, "a listener is opened by a task");
    int raw = weft__sys_socket(address->storage.ss_family, SOCK_STREAM, 0);
    if (raw < 0)
        return raw;
    int rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && options != NULL && options->reuse_port)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0)
        rc = weft__sys_bind(raw, raw_address(address), address->len);
    if (rc == 0)
        rc = weft__sys_listen(raw,
                              options != NULL && options->backlog > 0 ? options->backlog : 4096);
    if (rc < 0) {
        weft__sys_close(raw);
        return rc;
    }
    weft__fd_init((struct weft__fd *)(void *)public, raw, WEFT__FD_OTHER);
    return 0;
}

int
weft_tcp_accept(weft_fd *listener, weft_fd *connection, weft_address *ret_peer)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct weft__fd *fd = weft__fd_of(listener);
    if (fd == NULL)
        return -EBADF;
    if (fd->reader != NULL)
        return -EBUSY;
    for (;;) {
        if (fd->readable) {
            weft_address peer = {.len = sizeof peer.storage};
            int raw = weft__sys_accept4(fd->raw, (struct sockaddr *)&peer.storage, &peer.len);
            if (raw >= 0) {
                /* Fails for a socket that is gone already; the first read will say so. */
                (void)weft__sys_setsockopt_int(raw, IPPROTO_TCP, TCP_NODELAY, 1);
                weft__fd_init((struct weft__fd *)(void *)connection, raw, WEFT__FD_SOCKET);
                if (ret_peer != NULL)
                    *ret_peer = peer;
                return 0;
            }
            if (weft__accept_passes_over(raw)) {
                rc = weft_checkpoint(); /* there may be many of them */
                if (rc < 0)
                    return rc;
                fd = weft__fd_of(listener);
                if (fd == NULL)
                    return -EBADF;
                continue;
            }
            if (raw != -EAGAIN)
                return raw;
            fd->readable = false;
        }
        rc = weft__fd_wait(fd, WEFT__READABLE);
        if (rc < 0)
            return rc;
    }
}

int
weft_tcp_connect(weft_fd *public, const weft_address *address)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    weft__assert(weft__task_self() != NULL, "a connection is opened by a task");
    int raw = weft__sys_socket(address->storage.ss_family, SOCK_STREAM, 0);
    if (raw < 0)
        return raw;
    if (address->storage.ss_family != AF_UNIX)
        rc = weft__sys_setsockopt_int(raw, IPPROTO_TCP, TCP_NODELAY, 1);
    if (rc < 0) {
        weft__sys_close(raw);
        return rc;
    }
    return weft__tcp_connect_raw(public, raw, address);
}

int
weft__tcp_connect_raw(weft_fd *public, int raw, const weft_address *address)
{
    struct weft__fd *fd = (struct weft__fd *)(void *)public;
    int rc = weft__sys_connect(raw, raw_address(address), address->len);
    /* The queue of a Unix listener is full, and nothing tells when there is room. */
    for (weft_time pause = WEFT_MS(1); rc == -EAGAIN && address->storage.ss_family == AF_UNIX;) {
        rc = weft_sleep(pause);
        if (rc < 0) {
            weft__sys_close(raw);
            return rc;
        }
        if (pause < WEFT_MS(32))
            pause *= 2;
        rc = weft__sys_connect(raw, raw_address(address), address->len);
    }
    weft__fd_init(fd, raw, WEFT__FD_SOCKET);
    if (rc == -EINPROGRESS || rc == -EINTR) {
        /* Registered after connect(2): before it, a socket reports a hang-up. What can be read
         * later, an edge will tell. */
        fd->readable = false;
        fd->writable = false;
        rc = weft__fd_wait(fd, WEFT__WRITABLE);
        if (rc == -EBADF)
            return rc; /* closed by another task, and not ours any more */
        int error = 0;
        if (rc == 0)
            rc = weft__sys_getsockopt_int(raw, SOL_SOCKET, SO_ERROR, &error);
        if (rc == 0)
            rc = -error;
    }
    if (rc < 0) {
        weft_fd_close(public);
        return rc;
    }
    return 0;
}

int
weft_fd_local_address(const weft_fd *public, weft_address *ret_address)
{
    const struct weft__fd *fd = weft__fd_of(public);
    if (fd == NULL)
        return -EBADF;
    weft_address address = {.len = sizeof address.storage};
    int rc = weft__sys_getsockname(fd->raw, (struct sockaddr *)&address.storage, &address.len);
    if (rc == 0)
        *ret_address = address;
    return rc;
}

static int
stream_address(weft_stream *stream, weft_address *ret_address,
               int (*get)(int fd, struct sockaddr *address, socklen_t *len))
{
    int raw = weft_stream_raw(stream);
    if (raw < 0)
        return raw;
    weft_address address = {.len = sizeof address.storage};
    int rc = get(raw, (struct sockaddr *)&address.storage, &address.len);
    if (rc == 0)
        *ret_address = address;
    return rc;
}

int
weft_stream_local(weft_stream *stream, weft_address *ret_address)
{
    return stream_address(stream, ret_address, weft__sys_getsockname);
}

int
weft_stream_peer(weft_stream *stream, weft_address *ret_address)
{
    return stream_address(stream, ret_address, weft__sys_getpeername);
}
