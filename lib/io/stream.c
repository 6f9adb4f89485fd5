/*
 * stream.c - reading and writing over any transport.
 *
 * The read buffer is one chunk of memory that exists while bytes are in it: bytes [begin, end) of
 * it have come and were not taken. Before a task waits to read, an empty chunk goes back to its
 * loop. Reads into a caller's own memory pass the buffer by when nothing is in it.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>
#include <weft/stream.h>
#include <weft/task.h>

#include "base/assert.h"
#include "base/mem.h"
#include "io/stream_priv.h"
#include "task/task_priv.h"

/* ---- Life ---------------------------------------------------------------------------------- */

void
weft_stream_open(weft_stream *public, const weft_transport *transport, void *state)
{
    weft__assert(weft__task_self() != NULL, "a stream is opened by a task");
    weft__assert(transport->try_read != NULL && transport->try_writev != NULL &&
                     transport->wait != NULL && transport->close != NULL,
                 "a transport has try_read, try_writev, wait and close");
    struct weft__stream *stream = weft__stream_of(public);
    memset(stream, 0, offsetof(struct weft__stream, fd));
    stream->transport = transport;
    stream->state = state;
    stream->loop = weft__loop_self;
    stream->limit = WEFT__STREAM_LIMIT;
}

/* The stream behind the public one; NULL when closed. */
static inline struct weft__stream *
open_stream(weft_stream *public)
{
    struct weft__stream *stream = weft__stream_of(public);
    if (stream->transport == NULL)
        return NULL;
    weft__assert(stream->loop == weft__loop_self,
                 "a stream was used on another loop than the one it was opened on");
    return stream;
}

static void
chunk_free(struct weft__stream *stream)
{
    if (stream->cap == WEFT__CHUNK_BYTES)
        weft__chunk_give(stream->loop, stream->chunk);
    else
        weft__free(stream->chunk);
    stream->chunk = NULL;
    stream->begin = stream->end = stream->cap = 0;
}

void
weft_stream_close(weft_stream *public)
{
    struct weft__stream *stream = open_stream(public);
    if (stream == NULL)
        return;
    if (stream->chunk != NULL && !stream->lent)
        chunk_free(stream);
    const weft_transport *transport = stream->transport;
    transport->close(public);
    stream->transport = NULL;
}

int
weft_stream_raw(weft_stream *public)
{
    struct weft__stream *stream = open_stream(public);
    if (stream == NULL)
        return -EBADF;
    return stream->transport->raw != NULL ? stream->transport->raw(public) : -EOPNOTSUPP;
}

void
weft_stream_set_limit(weft_stream *public, size_t bytes)
{
    struct weft__stream *stream = open_stream(public);
    weft__assert(bytes > 0, "the read buffer of a stream has room for one byte at least");
    if (stream != NULL)
        stream->limit = bytes;
}

/* ---- The read buffer ----------------------------------------------------------------------- */

static inline size_t
buffered(const struct weft__stream *stream)
{
    return stream->end - stream->begin;
}

weft_bytes
weft_stream_buffered(const weft_stream *public)
{
    const struct weft__stream *stream = (const struct weft__stream *)(const void *)public;
    if (stream->transport == NULL || stream->chunk == NULL)
        return (weft_bytes){0};
    return (weft_bytes){.data = stream->chunk + stream->begin, .len = buffered(stream)};
}

void
weft_stream_consume(weft_stream *public, size_t len)
{
    struct weft__stream *stream = open_stream(public);
    if (stream == NULL)
        return;
    weft__assert(len <= buffered(stream), "more was consumed than the buffer of a stream holds");
    weft__assert(!stream->lent, "bytes of a stream were consumed while they are copied");
    stream->begin += len;
}

static int
chunk_grow(struct weft__stream *stream, size_t cap)
{
    unsigned char *larger = weft__alloc(cap);
    if (larger == NULL)
        return -ENOMEM;
    size_t len = buffered(stream);
    memcpy(larger, stream->chunk + stream->begin, len);
    chunk_free(stream);
    stream->chunk = larger;
    stream->cap = cap;
    stream->end = len;
    return 0;
}

/* Room behind what is in the buffer. 0; -EMSGSIZE at the limit; -ENOMEM. */
static int
make_room(struct weft__stream *stream)
{
    if (stream->chunk == NULL) {
        stream->chunk = weft__chunk_take(stream->loop);
        if (stream->chunk == NULL)
            return -ENOMEM;
        stream->cap = WEFT__CHUNK_BYTES;
    }
    size_t len = buffered(stream);
    if (len == 0)
        stream->begin = stream->end = 0;
    if (len >= stream->limit)
        return -EMSGSIZE;
    if ((stream->end == stream->cap || stream->eager) && stream->cap < stream->limit &&
        (len > stream->cap / 2 || stream->eager)) {
        size_t cap = stream->cap > stream->limit / 2 ? stream->limit : stream->cap * 2;
        stream->eager = false;
        if (chunk_grow(stream, cap) == 0)
            return 0;
        /* No memory for a larger one: what is left of this one will do. */
    }
    if (stream->end == stream->cap) {
        if (stream->begin == 0)
            return -ENOMEM;
        memmove(stream->chunk, stream->chunk + stream->begin, len);
        stream->begin = 0;
        stream->end = len;
    }
    return 0;
}

/* Waits until reading is worth another try. */
static int
wait_to_read(struct weft__stream *stream)
{
    if (stream->chunk != NULL && buffered(stream) == 0)
        chunk_free(stream);
    stream->reading = true;
    int rc = stream->transport->wait((weft_stream *)(void *)stream, WEFT_STREAM_READ);
    if (rc != -EBADF) /* it may be gone */
        stream->reading = false;
    return rc;
}

int
weft__stream_go_on(struct weft__stream *stream, bool *busy)
{
    *busy = true;
    int rc = weft_checkpoint();
    if (stream->transport == NULL)
        return -EBADF;
    *busy = false;
    return rc;
}

/* Begins a call that reads, or writes: looks for cancellation. */
static inline int
begin(weft_stream *public, unsigned what, struct weft__stream **ret_stream)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    struct weft__stream *stream = open_stream(public);
    if (stream == NULL)
        return -EBADF;
    if (what == WEFT_STREAM_READ ? stream->reading : stream->writing)
        return -EBUSY;
    *ret_stream = stream;
    return 0;
}

/* Adds what comes to the buffer. */
static ssize_t
fill(struct weft__stream *stream)
{
    for (;;) {
        int rc = make_room(stream);
        if (rc < 0)
            return rc;
        size_t room = stream->cap - stream->end;
        if (room > stream->limit - buffered(stream))
            room = stream->limit - buffered(stream);
        ssize_t n = stream->transport->try_read((weft_stream *)(void *)stream,
                                                stream->chunk + stream->end, room);
        if (n > 0) {
            stream->end += (size_t)n;
            stream->eager = (size_t)n == room && room >= WEFT__CHUNK_BYTES;
            return n;
        }
        if (n != -EAGAIN)
            return n;
        rc = wait_to_read(stream);
        if (rc < 0)
            return rc;
    }
}

ssize_t
weft_stream_fill(weft_stream *public)
{
    struct weft__stream *stream;
    int rc = begin(public, WEFT_STREAM_READ, &stream);
    return rc < 0 ? rc : fill(stream);
}

/* ---- Reading ------------------------------------------------------------------------------- */

static size_t
take(struct weft__stream *stream, void *buf, size_t len)
{
    size_t n = buffered(stream);
    if (n > len)
        n = len;
    if (n > 0)
        memcpy(buf, stream->chunk + stream->begin, n);
    stream->begin += n;
    return n;
}

/* What has come, or what comes, into memory of at least a byte. */
static ssize_t
read_some(struct weft__stream *stream, void *buf, size_t len)
{
    size_t had = take(stream, buf, len);
    if (had > 0)
        return (ssize_t)had;
    for (;;) {
        ssize_t n = stream->transport->try_read((weft_stream *)(void *)stream, buf, len);
        if (n != -EAGAIN)
            return n;
        int rc = wait_to_read(stream);
        if (rc < 0)
            return rc;
    }
}

ssize_t
weft_stream_read(weft_stream *public, void *buf, size_t len)
{
    struct weft__stream *stream;
    int rc = begin(public, WEFT_STREAM_READ, &stream);
    if (rc < 0 || len == 0)
        return rc;
    return read_some(stream, buf, len);
}

int
weft_stream_read_exact(weft_stream *public, void *buf, size_t len, size_t *ret_read)
{
    struct weft__stream *stream;
    size_t had = 0;
    int rc = begin(public, WEFT_STREAM_READ, &stream);
    while (rc == 0 && had < len) {
        ssize_t n = read_some(stream, (char *)buf + had, len - had);
        if (n <= 0)
            rc = n < 0 ? (int)n : WEFT_E_END;
        else if ((had += (size_t)n) < len)
            rc = weft__stream_go_on(stream, &stream->reading);
    }
    if (ret_read != NULL)
        *ret_read = had;
    return rc;
}

/* Fills until the separator is there. 0, and how many bytes there are up to and with it. */
static int
find(weft_stream *public, const void *separator, size_t separator_len, size_t *ret_len)
{
    struct weft__stream *stream;
    int rc = begin(public, WEFT_STREAM_READ, &stream);
    if (rc < 0)
        return rc;
    size_t seen = 0; /* bytes in which it does not begin */
    for (;;) {
        size_t len = buffered(stream);
        if (len - seen >= separator_len) { /* else there may be no chunk at all */
            const unsigned char *bytes = stream->chunk + stream->begin;
            const unsigned char *at =
                separator_len == 1
                    ? memchr(bytes + seen, *(const unsigned char *)separator, len - seen)
                    : memmem(bytes + seen, len - seen, separator, separator_len);
            if (at != NULL) {
                *ret_len = (size_t)(at - bytes) + separator_len;
                return 0;
            }
        }
        if (len >= separator_len)
            seen = len - separator_len + 1;
        ssize_t n = fill(stream);
        if (n <= 0)
            return n < 0 ? (int)n : WEFT_E_END;
        rc = weft__stream_go_on(stream, &stream->reading); /* a peer may send and send */
        if (rc < 0)
            return rc;
    }
}

static weft_bytes
take_view(struct weft__stream *stream, size_t len)
{
    weft_bytes view = {.data = stream->chunk + stream->begin, .len = len};
    stream->begin += len;
    return view;
}

int
weft_stream_read_until(weft_stream *public, const void *separator, size_t separator_len,
                       weft_bytes *ret_bytes)
{
    weft__assert(separator_len >= 1 && separator_len <= 64, "a separator has 1 to 64 bytes");
    size_t len;
    int rc = find(public, separator, separator_len, &len);
    if (rc == 0)
        *ret_bytes = take_view(weft__stream_of(public), len);
    return rc;
}

int
weft_stream_read_line(weft_stream *public, weft_bytes *ret_line)
{
    struct weft__stream *stream = weft__stream_of(public);
    size_t len;
    int rc = find(public, "\n", 1, &len);
    if (rc == WEFT_E_END) {
        len = buffered(stream);
        if (len == 0)
            return 0;
        *ret_line = take_view(stream, len);
        return 1;
    }
    if (rc < 0)
        return rc;
    weft_bytes line = take_view(stream, len);
    line.len--;
    if (line.len > 0 && ((const char *)line.data)[line.len - 1] == '\r')
        line.len--;
    *ret_line = line;
    return 1;
}

int
weft_stream_read_all(weft_stream *public, weft_buf *out, size_t max)
{
    struct weft__stream *stream;
    int rc = begin(public, WEFT_STREAM_READ, &stream);
    while (rc == 0) {
        if (buffered(stream) == 0) {
            ssize_t n = fill(stream);
            if (n <= 0)
                return (int)n;
        }
        size_t len = buffered(stream);
        if (len > max)
            len = max;
        rc = weft_buf_append(out, stream->chunk + stream->begin, len);
        if (rc < 0)
            return rc;
        stream->begin += len;
        max -= len;
        rc = buffered(stream) > 0 ? -EMSGSIZE : weft__stream_go_on(stream, &stream->reading);
    }
    return rc;
}

/* ---- Writing ------------------------------------------------------------------------------- */

static int
wait_to_write(struct weft__stream *stream)
{
    stream->writing = true;
    int rc = stream->transport->wait((weft_stream *)(void *)stream, WEFT_STREAM_WRITE);
    if (rc != -EBADF)
        stream->writing = false;
    return rc;
}

/* Writes some of what the vectors hold, which is at least a byte. */
static ssize_t
write_some(struct weft__stream *stream, const struct iovec *vectors, int n_vectors)
{
    for (;;) {
        ssize_t n =
            stream->transport->try_writev((weft_stream *)(void *)stream, vectors, n_vectors);
        if (n != -EAGAIN)
            return n;
        int rc = wait_to_write(stream);
        if (rc < 0)
            return rc;
    }
}

ssize_t
weft_stream_write(weft_stream *public, const void *buf, size_t len)
{
    struct weft__stream *stream;
    int rc = begin(public, WEFT_STREAM_WRITE, &stream);
    if (rc < 0 || len == 0)
        return rc;
    struct iovec vector = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
    return write_some(stream, &vector, 1);
}

int
weft__stream_write_rest(struct weft__stream *stream, const void *buf, size_t len,
                        size_t *ret_written)
{
    size_t written = 0;
    int rc = 0;
    while (rc == 0 && written < len) {
        struct iovec vector = {.iov_base = (char *)(uintptr_t)buf + written,
                               .iov_len = len - written};
        ssize_t n = write_some(stream, &vector, 1);
        if (n <= 0)
            rc = n < 0 ? (int)n : -EIO; /* 0 bytes of some: it would go on for ever */
        else if ((written += (size_t)n) < len)
            rc = weft__stream_go_on(stream, &stream->writing);
    }
    *ret_written = written;
    return rc;
}

int
weft_stream_write_all(weft_stream *public, const void *buf, size_t len, size_t *ret_written)
{
    struct weft__stream *stream;
    size_t written = 0;
    int rc = begin(public, WEFT_STREAM_WRITE, &stream);
    if (rc == 0)
        rc = weft__stream_write_rest(stream, buf, len, &written);
    if (ret_written != NULL)
        *ret_written = written;
    return rc;
}

/* The next vectors to write, without empty ones, after `skip` bytes of the first. */
#define WINDOW 16

static int
window(struct iovec *out, const struct iovec *vectors, int n, size_t skip)
{
    int used = 0;
    for (int i = 0; i < n && used < WINDOW; i++) {
        size_t from = i == 0 ? skip : 0;
        if (vectors[i].iov_len > from)
            out[used++] = (struct iovec){.iov_base = (char *)vectors[i].iov_base + from,
                                         .iov_len = vectors[i].iov_len - from};
    }
    return used;
}

int
weft_stream_writev(weft_stream *public, const struct iovec *vectors, int n, size_t *ret_written)
{
    struct weft__stream *stream;
    size_t written = 0, skip = 0;
    int rc = begin(public, WEFT_STREAM_WRITE, &stream);
    while (rc == 0) {
        while (n > 0 && skip >= vectors->iov_len) {
            skip -= vectors->iov_len;
            vectors++;
            n--;
        }
        if (n == 0)
            break;
        if (written > 0) {
            rc = weft__stream_go_on(stream, &stream->writing);
            if (rc < 0)
                break;
        }
        struct iovec now[WINDOW];
        int used = window(now, vectors, n, skip);
        ssize_t some = write_some(stream, now, used);
        if (some <= 0) {
            rc = some < 0 ? (int)some : -EIO;
            break;
        }
        written += (size_t)some;
        skip += (size_t)some;
    }
    if (ret_written != NULL)
        *ret_written = written;
    return rc;
}

int
weft_stream_shutdown(weft_stream *public)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    struct weft__stream *stream = open_stream(public);
    if (stream == NULL)
        return -EBADF;
    if (stream->writing)
        return -EBUSY;
    if (stream->transport->shutdown == NULL)
        return -EOPNOTSUPP;
    stream->writing = true; /* it may wait */
    rc = stream->transport->shutdown(public);
    if (stream->transport != NULL)
        stream->writing = false;
    return rc;
}

int
weft_stream_copy(weft_stream *from, weft_stream *to, uint64_t max, uint64_t *ret_copied)
{
    struct weft__stream *stream;
    uint64_t copied = 0;
    int rc = begin(from, WEFT_STREAM_READ, &stream);
    while (rc == 0 && copied < max) {
        if (buffered(stream) == 0) {
            ssize_t n = fill(stream);
            if (n <= 0) {
                rc = (int)n;
                break;
            }
        }
        size_t len = buffered(stream), written = 0;
        if (len > max - copied)
            len = (size_t)(max - copied);
        /* Nobody reads while we write, or the bytes could move; who closes leaves them to us. */
        stream->reading = stream->lent = true;
        rc = weft_stream_write_all(to, stream->chunk + stream->begin, len, &written);
        stream->lent = false;
        copied += written;
        if (stream->transport == NULL) {
            chunk_free(stream);
            rc = -EBADF;
            break;
        }
        stream->reading = false;
        stream->begin += written;
        if (rc == 0 && copied < max)
            rc = weft__stream_go_on(stream, &stream->reading);
    }
    if (ret_copied != NULL)
        *ret_copied = copied;
    return rc;
}
