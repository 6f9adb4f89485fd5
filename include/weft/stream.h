/*
 * stream.h - bytes in order, both ways, over anything: sockets, pipes, memory, TLS, one's own.
 *
 * A stream is a transport and a read buffer. The buffer exists only while something is in it, so
 * that an idle connection costs none. One task may read and another one write at the same time;
 * a second reader, or a second writer, gets -EBUSY.
 *
 * No call here takes a timeout: an idle limit is a scope around the read. A read that a scope ended
 * has lost nothing: what had come is in the buffer, or was counted.
 */
#ifndef WEFT_STREAM_H
#define WEFT_STREAM_H

#include <stdbool.h>
#include <sys/uio.h>

#include <weft/base.h>
#include <weft/fd.h>

typedef struct weft_stream weft_stream;

/* What a transport's wait shall wait for. */
#define WEFT_STREAM_READ 1u
#define WEFT_STREAM_WRITE 2u

/*
 * What carries a stream's bytes: a const table of functions. They are called by tasks of the
 * stream's loop. The try functions never wait; after -EAGAIN from one of them, `wait` is called and
 * then the try again. -ECANCELED and -ETIMEDOUT come from `wait` alone.
 */
typedef struct weft_transport {
    const char *name; /* "tcp", "tls"… */
    /* Up to len bytes, len more than 0: 1 to len; 0 at the end; -EAGAIN; an error. */
    ssize_t (*try_read)(weft_stream *stream, void *buf, size_t len);
    /* Some of the bytes of n vectors, at least one byte in all: 1 or more; -EAGAIN; an error. */
    ssize_t (*try_writev)(weft_stream *stream, const struct iovec *vectors, int n);
    /* Suspends the task until the last try_read, or try_writev, that said -EAGAIN may succeed.
     * 0; an error; -EBADF when the stream was closed meanwhile: then it is not touched again. */
    int (*wait)(weft_stream *stream, unsigned what);
    /* Says that no more will be written; may wait. NULL: -EOPNOTSUPP. */
    int (*shutdown)(weft_stream *stream);
    /* Gives back what the transport holds, and wakes who waits with -EBADF; does not wait. */
    void (*close)(weft_stream *stream);
    /* The descriptor whose bytes are the stream's bytes, for sendfile(2). NULL: there is none. */
    int (*raw)(weft_stream *stream);
} weft_transport;

/* In the caller's memory, from open until it is closed and calls in progress on it have returned;
 * it must not move. All zero is a closed stream. */
struct weft_stream {
    const weft_transport *transport; /* NULL: closed */
    void *state;                     /* the transport's own */
    uint64_t opaque_[44];
};

WEFT_BEGIN_DECLS

/* ---- Opening ------------------------------------------------------------------------------- */

/*
 * weft_stream_open - make a stream of a transport of one's own
 *
 * transport  borrowed until close; try_read, try_writev, wait and close must be there
 * state      found again in stream->state
 *
 * Waits    no
 * Threads  tasks; the stream belongs to their loop from then on
 * Source   asyncio.Transport, trio.abc.Stream
 */
void weft_stream_open(weft_stream *stream, const weft_transport *transport, void *state);

/*
 * weft_stream_open_fd - make a stream of a descriptor: a stream socket, a pipe, a terminal
 *
 * raw      as for weft_fd_open: made non-blocking, and weft's from then on
 *
 * Returns  0; errors of weft_fd_open (raw is still the caller's)
 * Waits    no
 * Threads  tasks; the stream belongs to their loop from then on
 * Source   asyncio.open_connection(sock=), loop.connect_read_pipe
 */
int weft_stream_open_fd(weft_stream *stream, int raw);

/*
 * weft_stream_open_pair - two streams in memory: what is written to one is read from the other
 *
 * capacity  bytes each direction holds before its writer waits; 0: 64 KiB
 *
 * Returns  0; -ENOMEM
 * Waits    no
 * Threads  tasks; both ends belong to their loop
 * Source   trio.testing.memory_stream_pair, tokio::io::duplex
 */
int weft_stream_open_pair(weft_stream *a, weft_stream *b, size_t capacity);

/*
 * weft_stream_open_pipe - a pipe of the kernel as two streams
 *
 * Returns  0; -EMFILE, -ENFILE
 * Waits    no
 * Threads  tasks; both ends belong to their loop
 * Source   pipe2(2)
 */
int weft_stream_open_pipe(weft_stream *reader, weft_stream *writer);

/*
 * weft_stream_close - end a stream; who waits for it gets -EBADF
 *
 * What was written reaches a socket's peer all the same, unless bytes from it were not read. What
 * is in the read buffer is dropped. TLS says good-bye in weft_stream_shutdown, not here.
 *
 * stream   may be closed already
 *
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns stream
 * Source   asyncio StreamWriter.close
 */
void weft_stream_close(weft_stream *stream);

/*
 * weft_stream_release - give the descriptor of a stream back without closing it
 *
 * Another loop can open it then. Who waits gets -EBADF.
 *
 * Returns  the raw descriptor; -EBUSY when bytes are in the read buffer (read them first);
 *          -EOPNOTSUPP when the stream is not of weft_stream_open_fd; -EBADF when closed
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns stream
 * Source   weft_fd_release
 */
int weft_stream_release(weft_stream *stream);

/*
 * weft_stream_raw - the descriptor whose bytes are the stream's bytes, borrowed
 *
 * Returns  0 or more; -EOPNOTSUPP when there is none (memory, TLS); -EBADF when closed
 * Waits    no
 * Threads  tasks and callbacks of the loop that owns stream
 * Source   fileno(3)
 */
int weft_stream_raw(weft_stream *stream);

/*
 * weft_stream_set_limit - how large the read buffer may grow
 *
 * bytes    at least 1; 64 KiB until set. It is the longest line or head that can be read
 *
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   asyncio StreamReader(limit=)
 */
void weft_stream_set_limit(weft_stream *stream, size_t bytes);

/* ---- Reading ------------------------------------------------------------------------------- */

/*
 * weft_stream_read - read what has arrived, waiting for the first byte
 *
 * Returns  bytes read, 1 to len; 0 at the end of the stream; -ECANCELED or -ETIMEDOUT when the
 *          enclosing scope ended first (nothing was taken); -EBUSY when another task reads; -EBADF
 *          when closed, meanwhile too; the transport's errors
 * Waits    yes; looks for cancellation even when data is there
 * Threads  tasks of the loop that owns stream
 * Source   asyncio StreamReader.read
 */
WEFT_WAITS ssize_t weft_stream_read(weft_stream *stream, void *buf, size_t len);

/*
 * weft_stream_read_exact - read that many bytes
 *
 * ret_read  out, also on failure: how many are in buf; may be NULL
 *
 * Returns  0; WEFT_E_END when the stream ended before; errors of weft_stream_read
 * Waits    yes; looks for cancellation even when data is there
 * Threads  tasks of the loop that owns stream
 * Source   asyncio StreamReader.readexactly
 */
WEFT_WAITS int weft_stream_read_exact(weft_stream *stream, void *buf, size_t len, size_t *ret_read);

/*
 * weft_stream_read_until - read up to and with a separator
 *
 * separator  1 to 64 bytes
 * ret_bytes  out: the bytes, separator included; they are the stream's, and good until the next
 *            call that reads from it
 *
 * Returns  0; -EMSGSIZE when the limit of the buffer was reached before; WEFT_E_END when the stream
 *          ended before. On any failure what came stays in the buffer, for weft_stream_read
 * Waits    yes; looks for cancellation even when data is there
 * Threads  tasks of the loop that owns stream
 * Source   asyncio StreamReader.readuntil
 */
WEFT_WAITS int weft_stream_read_until(weft_stream *stream, const void *separator,
                                      size_t separator_len, weft_bytes *ret_bytes);

/*
 * weft_stream_read_line - read a line
 *
 * ret_line  out: without its end, "\n" or "\r\n"; the stream's, as in weft_stream_read_until.
 *           The last line need not have an end
 *
 * Returns  1; 0 at the end of the stream; -EMSGSIZE when the line is longer than the limit (it
 *          stays in the buffer); errors of weft_stream_read
 * Waits    yes; looks for cancellation even when data is there
 * Threads  tasks of the loop that owns stream
 * Source   asyncio StreamReader.readline
 */
WEFT_WAITS int weft_stream_read_line(weft_stream *stream, weft_bytes *ret_line);

/*
 * weft_stream_read_all - read to the end
 *
 * out      bytes are added to it, also on failure
 * max      most bytes to add
 *
 * Returns  0; -EMSGSIZE when there are more (max have been added); -ENOMEM; errors of
 *          weft_stream_read
 * Waits    yes; looks for cancellation even when data is there
 * Threads  tasks of the loop that owns stream
 * Source   asyncio StreamReader.read(-1)
 */
WEFT_WAITS int weft_stream_read_all(weft_stream *stream, weft_buf *out, size_t max);

/*
 * weft_stream_buffered - what is in the read buffer, without taking it
 *
 * Returns  the stream's bytes, good until the next call that reads from it
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   bufio.Reader.Peek
 */
weft_bytes weft_stream_buffered(const weft_stream *stream);

/*
 * weft_stream_fill - add to the read buffer what arrives, waiting for the first byte
 *
 * With weft_stream_buffered and weft_stream_consume, what a parser needs: it looks at bytes where
 * they are, and takes what it understood.
 *
 * Returns  bytes added; 0 at the end of the stream; -EMSGSIZE when the buffer is at its limit;
 *          -ENOMEM; errors of weft_stream_read
 * Waits    yes; looks for cancellation even when data is there
 * Threads  tasks of the loop that owns stream
 * Source   Rust's BufRead.fill_buf
 */
WEFT_WAITS ssize_t weft_stream_fill(weft_stream *stream);

/*
 * weft_stream_consume - take bytes out of the read buffer
 *
 * len      at most what weft_stream_buffered shows. The bytes taken stay where they are until the
 *          next call that reads
 *
 * Waits    no
 * Threads  tasks of the loop that owns stream
 * Source   Rust's BufRead.consume
 */
void weft_stream_consume(weft_stream *stream, size_t len);

/* ---- Writing ------------------------------------------------------------------------------- */

/*
 * weft_stream_write - write some bytes, waiting for room for the first
 *
 * Returns  bytes written, 1 to len (0 for len 0); -ECANCELED or -ETIMEDOUT when the enclosing scope
 *          ended first (nothing was written); -EPIPE without SIGPIPE when the peer reads no more;
 *          -ECONNRESET; -EBUSY when another task writes; -EBADF when closed, meanwhile too
 * Waits    yes; looks for cancellation even when there is room
 * Threads  tasks of the loop that owns stream
 * Source   write(2)
 */
WEFT_WAITS ssize_t weft_stream_write(weft_stream *stream, const void *buf, size_t len);

/*
 * weft_stream_write_all - write all bytes: the task waits while the peer is slow
 *
 * ret_written  out, also on failure: how many bytes the transport took; may be NULL
 *
 * Returns  0; errors of weft_stream_write
 * Waits    yes; looks for cancellation even when there is room
 * Threads  tasks of the loop that owns stream
 * Source   asyncio StreamWriter.write and drain
 */
WEFT_WAITS int weft_stream_write_all(weft_stream *stream, const void *buf, size_t len,
                                     size_t *ret_written);

/*
 * weft_stream_writev - write all bytes of several pieces, in one system call when they fit
 *
 * vectors  left as they are
 * n        0 or more pieces
 *
 * Returns  as weft_stream_write_all
 * Waits    yes; looks for cancellation even when there is room
 * Threads  tasks of the loop that owns stream
 * Source   writev(2), asyncio StreamWriter.writelines
 */
WEFT_WAITS int weft_stream_writev(weft_stream *stream, const struct iovec *vectors, int n,
                                  size_t *ret_written);

/*
 * weft_stream_send_file - write a part of a file
 *
 * By sendfile(2) where the stream has a descriptor, else through memory, read on the executor.
 *
 * file         descriptor of a regular file, borrowed; its own position is left alone
 * offset, len  the part; it must be there
 * ret_written  out, also on failure; may be NULL
 *
 * Returns  0; WEFT_E_END when the file is shorter; errors of weft_stream_write, pread(2)'s
 * Waits    yes; looks for cancellation even when there is room. sendfile(2) itself may block the
 *          loop for as long as the disk takes
 * Threads  tasks of the loop that owns stream
 * Source   asyncio loop.sendfile
 */
WEFT_WAITS int weft_stream_send_file(weft_stream *stream, int file, uint64_t offset, uint64_t len,
                                     uint64_t *ret_written);

/*
 * weft_stream_shutdown - say that no more will be written; the peer reads to the end
 *
 * Reading goes on. TLS sends its close_notify and shuts the transport below down.
 *
 * Returns  0; -ENOTCONN; -EOPNOTSUPP; errors of weft_stream_write
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the loop that owns stream
 * Source   asyncio StreamWriter.write_eof, shutdown(2)
 */
WEFT_WAITS int weft_stream_shutdown(weft_stream *stream);

/*
 * weft_stream_copy - read from one stream and write to another one, until the first ends
 *
 * max         most bytes; UINT64_MAX for no limit
 * ret_copied  out, also on failure: bytes that were written; may be NULL
 *
 * Returns  0 at the end of `from`, or after max bytes; the error of reading or writing: bytes that
 *          were read and not written are back in the read buffer of `from`
 * Waits    yes; looks for cancellation even when data is there
 * Threads  tasks of the loop that owns both
 * Source   tokio::io::copy, shutil.copyfileobj
 */
WEFT_WAITS int weft_stream_copy(weft_stream *from, weft_stream *to, uint64_t max,
                                uint64_t *ret_copied);

WEFT_END_DECLS

#endif
