/*
 * stream_file.c - a part of a file onto a stream: by sendfile(2), or through memory.
 */
#include <errno.h>

#include <weft/error.h>
#include <weft/executor.h>
#include <weft/stream.h>
#include <weft/task.h>

#include "base/mem.h"
#include "io/stream_priv.h"

#define PIECE_BYTES 65536u
#define SENDFILE_MAX ((size_t)1 << 30) /* a call; the kernel's own limit is 2 GiB less a page */

struct piece {
    int file;
    off_t offset;
    size_t len;
    unsigned char *bytes;
    ssize_t n; /* read */
};

static int
piece_read(void *arg)
{
    struct piece *piece = arg;
    piece->n = weft__sys_pread(piece->file, piece->bytes, piece->len, piece->offset);
    return 0;
}

/* Through memory, read where it may block. */
static int
through_memory(weft_stream *stream, int file, uint64_t offset, uint64_t len, uint64_t *written)
{
    struct piece piece = {.file = file, .bytes = weft__alloc(PIECE_BYTES)};
    if (piece.bytes == NULL)
        return -ENOMEM;
    int rc = 0;
    while (rc == 0 && *written < len) {
        uint64_t left = len - *written;
        piece.offset = (off_t)(offset + *written);
        piece.len = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        rc = weft_blocking(piece_read, &piece);
        if (rc == 0 && piece.n <= 0)
            rc = piece.n < 0 ? (int)piece.n : WEFT_E_END;
        if (rc < 0)
            break;
        size_t sent = 0;
        rc = weft_stream_write_all(stream, piece.bytes, (size_t)piece.n, &sent);
        *written += sent;
    }
    weft__free(piece.bytes);
    return rc;
}

/* 0, or an error; -EOPNOTSUPP when nothing was sent and memory is the way. */
static int
by_sendfile(weft_stream *public, int raw, int file, uint64_t offset, uint64_t len,
            uint64_t *written)
{
    while (*written < len) {
        int rc = weft_checkpoint();
        if (rc < 0)
            return rc;
        struct weft__stream *stream = weft__stream_of(public);
        if (stream->transport == NULL)
            return -EBADF;
        if (stream->writing)
            return -EBUSY;
        uint64_t left = len - *written;
        off_t at = (off_t)(offset + *written);
        ssize_t n = weft__sys_sendfile_quietly(raw, file, &at,
                                               left < SENDFILE_MAX ? (size_t)left : SENDFILE_MAX);
        if (n > 0) {
            *written += (uint64_t)n;
        } else if (n == -EAGAIN) {
            stream->writing = true;
            rc = stream->transport->wait(public, WEFT_STREAM_WRITE);
            if (rc == -EBADF)
                return rc;
            stream->writing = false;
            if (rc < 0)
                return rc;
        } else if ((n == -EINVAL || n == -ENOSYS) && *written == 0) {
            return -EOPNOTSUPP;
        } else {
            return n < 0 ? (int)n : WEFT_E_END;
        }
    }
    return 0;
}

int
weft_stream_send_file(weft_stream *stream, int file, uint64_t offset, uint64_t len,
                      uint64_t *ret_written)
{
    uint64_t written = 0;
    int rc = (int)weft_stream_write(stream, NULL, 0); /* looks, also when len is 0 */
    if (rc == 0 && (offset > INT64_MAX || len > INT64_MAX - offset))
        rc = -EOVERFLOW;
    if (rc == 0) {
        int raw = weft_stream_raw(stream);
        rc = raw >= 0 ? by_sendfile(stream, raw, file, offset, len, &written) : -EOPNOTSUPP;
        if (rc == -EOPNOTSUPP)
            rc = through_memory(stream, file, offset, len, &written);
    }
    if (ret_written != NULL)
        *ret_written = written;
    return rc;
}
