/*
 * net.h - addresses, listeners, connections: of TCP, and of Unix sockets.
 */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <sys/socket.h>

#include <weft/base.h>
#include <weft/fd.h>
#include <weft/stream.h>

/* Bytes of text that any address fits into. */
#define WEFT_ADDRESS_TEXT 128

typedef struct weft_address {
    struct sockaddr_storage storage;
    socklen_t len; /* bytes of storage in use */
} weft_address;

typedef struct weft_listen_options {
    int backlog;         /* 0: 4096; the kernel bounds it by net.core.somaxconn */
    unsigned reuse_port; /* 1: several listeners share the address, one per loop say */
} weft_listen_options;

WEFT_BEGIN_DECLS

/*
 * weft_address_parse - read a numeric address
 *
 * text     "127.0.0.1:8080", "[::1]:8080", ":8080" (any IPv4 address); port 0 to 65535;
 *          "unix:/path", or "unix:@name" for a name that is in no directory; up to 107 bytes
 *
 * Returns  0; WEFT_E_ADDRESS with weft_error_text() saying what is wrong
 * Waits    no
 * Threads  any
 * Source   inet_pton(3)
 */
int weft_address_parse(weft_address *ret_address, const char *text);

/*
 * weft_address_format - an address as text that weft_address_parse can read
 *
 * buf      out: at least 64 bytes, for Unix sockets WEFT_ADDRESS_TEXT; always ends in a zero byte
 *
 * Returns  buf
 * Waits    no
 * Threads  any
 * Source   inet_ntop(3)
 */
const char *weft_address_format(const weft_address *address, char *buf, size_t len);

/*
 * weft_tcp_listen - open a listening socket on this loop
 *
 * address  of IPv4, IPv6, or of a Unix socket, whose path must not be there yet, and stays
 * options  NULL for the defaults
 *
 * Returns  0; -EADDRINUSE, -EACCES, -EMFILE… as socket(2), bind(2) and listen(2)
 * Waits    no
 * Threads  tasks
 * Source   asyncio.start_server
 */
int weft_tcp_listen(weft_fd *listener, const weft_address *address,
                    const weft_listen_options *options);

/*
 * weft_tcp_accept - wait for a connection and open it on this loop
 *
 * connection  out: an open descriptor object
 * ret_peer    out: who connected; may be NULL
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first (no connection was
 *          taken); -EMFILE, -ENFILE, -ENOMEM, -ENOBUFS: the connection stays in the kernel's
 *          queue, try again later; errors of the connection itself are passed over
 * Waits    yes; looks for cancellation even when a connection is there
 * Threads  tasks of the loop that owns listener
 * Source   accept4(2)
 */
WEFT_WAITS int weft_tcp_accept(weft_fd *listener, weft_fd *connection, weft_address *ret_peer);

/*
 * weft_tcp_connect - connect to an address, without delay for small writes
 *
 * connection  out: an open descriptor object of this loop
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first (the socket is
 *          closed); else socket(2)'s or connect(2)'s errno, negated (-ECONNREFUSED…)
 * Waits    yes; looks for cancellation first
 * Threads  tasks
 * Source   asyncio.open_connection
 */
WEFT_WAITS int weft_tcp_connect(weft_fd *connection, const weft_address *address);

/*
 * weft_fd_local_address - the address a socket is bound to
 *
 * Returns  0; getsockname(2)'s errno, negated
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns fd
 * Source   getsockname(2)
 */
int weft_fd_local_address(const weft_fd *fd, weft_address *ret_address);

/*
 * weft_stream_local - the address a stream's socket is bound to
 *
 * Returns  0; -EBADF when closed; -EOPNOTSUPP when the stream is no socket's own (memory, TLS: ask
 *          the stream below); -ENOTSOCK; getsockname(2)'s errno, negated
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   asyncio transport.get_extra_info('sockname')
 */
int weft_stream_local(weft_stream *stream, weft_address *ret_address);

/*
 * weft_stream_peer - the address a stream's socket is connected to
 *
 * Returns  0; -ENOTCONN; else as weft_stream_local
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   asyncio transport.get_extra_info('peername')
 */
int weft_stream_peer(weft_stream *stream, weft_address *ret_address);

WEFT_END_DECLS

#endif
