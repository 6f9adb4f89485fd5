/*
 * tls_stream.c - TLS as a transport, after the handshake: reading, writing and the end.
 *
 * A record that inner did not take whole is kept by the BIO (tls_bio.c), and the write it belongs
 * to is told to wait until it has gone out. When that wait is ended by a scope, the write counts
 * the record all the same: its bytes are committed, and saying less would have the caller send them
 * twice. The scope ends the next call.
 */
#include <errno.h>
#include <string.h>

#include <openssl/ssl.h>

#include "io/tls_priv.h"

#define RECORD_BYTES 16384

static int
tls_wait(weft_stream *stream, unsigned what)
{
    struct weft__tls *tls = stream->state;
    bool writing = what == WEFT_STREAM_WRITE;
    unsigned want = tls->wants[writing];
    if (!writing && want != WEFT_STREAM_WRITE) {
        if (want == WEFT_STREAM_READ && tls->broken == 0)
            weft__tls_free_buffers(tls);
        if (tls->out != NULL && !tls->waits[1])
            weft__tls_flush_beside(tls);
    }
    int rc = weft__tls_wait_for(tls, want);
    if (rc < 0 && rc != -EBADF && writing && tls->committed > 0) {
        tls->giving_up = true;
        return 0; /* the write that tries again is told how much it has written */
    }
    return rc;
}

static ssize_t
tls_try_read(weft_stream *stream, void *buf, size_t len)
{
    struct weft__tls *tls = stream->state;
    if (tls->broken != 0)
        return tls->broken;
    if (tls->out_end - tls->out_begin > WEFT__TLS_OUT_MAX) {
        int rc = weft__tls_flush(tls);
        if (rc == -EAGAIN)
            tls->wants[0] = WEFT_STREAM_WRITE;
        if (rc < 0)
            return rc;
    }
    size_t n;
    if (weft__tls_read(tls, buf, len, &n))
        return (ssize_t)n;
    return weft__tls_not_yet(tls, false, "TLS, reading");
}

/* Pieces of a record, one after the other, so that the head and the body of a message are one
 * record. Nobody else runs while it is in use. */
static _Thread_local unsigned char gathered[RECORD_BYTES];

static const void *
gather(const struct iovec *vectors, int n, size_t *ret_len)
{
    *ret_len = vectors->iov_len;
    if (n == 1 || vectors->iov_len >= RECORD_BYTES)
        return vectors->iov_base;
    size_t used = 0;
    for (int i = 0; i < n && used < RECORD_BYTES; i++) {
        size_t len = vectors[i].iov_len;
        if (len > RECORD_BYTES - used)
            len = RECORD_BYTES - used;
        if (len > 0)
            memcpy(gathered + used, vectors[i].iov_base, len);
        used += len;
    }
    *ret_len = used;
    return gathered;
}

/* The record of the write in progress is on its way: that many bytes are written. */
static ssize_t
settle(struct weft__tls *tls)
{
    size_t n = tls->committed;
    tls->committed = 0;
    tls->giving_up = false;
    return (ssize_t)n;
}

static ssize_t
tls_try_writev(weft_stream *stream, const struct iovec *vectors, int n_vectors)
{
    struct weft__tls *tls = stream->state;
    if (tls->broken != 0)
        return tls->broken;
    if (tls->said_bye)
        return -EPIPE;
    if (tls->out != NULL) {
        int rc = weft__tls_flush(tls);
        if (rc == -EAGAIN && tls->giving_up) {
            weft__tls_flush_beside(tls);
            return settle(tls);
        }
        tls->wants[1] = WEFT_STREAM_WRITE;
        if (rc < 0 && rc != -EAGAIN)
            tls->broken = rc;
        if (rc < 0)
            return rc;
    }
    if (tls->committed > 0)
        return settle(tls);

    size_t len, n;
    const void *bytes = gather(vectors, n_vectors, &len);
    if (!weft__tls_write(tls, bytes, len, &n))
        return weft__tls_not_yet(tls, true, "TLS, writing");
    if (tls->out == NULL)
        return (ssize_t)n;
    tls->committed = n;
    tls->wants[1] = WEFT_STREAM_WRITE;
    return -EAGAIN;
}

/* ---- The end ------------------------------------------------------------------------------- */

/* Until all that was written has gone out. */
static int
flush_waiting(struct weft__tls *tls)
{
    int rc;
    while ((rc = weft__tls_flush(tls)) == -EAGAIN) {
        rc = weft__tls_wait_for(tls, WEFT_STREAM_WRITE);
        if (rc < 0 && rc != -EBADF)
            weft__tls_flush_beside(tls);
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        tls->broken = rc;
    return rc;
}

static int
say_bye(struct weft__tls *tls)
{
    while (!tls->said_bye) {
        /* In the middle of a message of the handshake, its end must come first. */
        if ((!SSL_in_init(tls->ssl) || weft__tls_handshake(tls)) && weft__tls_bye(tls)) {
            tls->said_bye = true;
            /* OpenSSL would refuse to read tickets after it has sent the good-bye. */
            SSL_set_shutdown(tls->ssl, SSL_get_shutdown(tls->ssl) & ~SSL_SENT_SHUTDOWN);
            return 0;
        }
        int rc = (int)weft__tls_not_yet(tls, true, "TLS, saying good-bye");
        if (rc == -EAGAIN)
            rc = weft__tls_wait_for(tls, tls->wants[1]);
        if (rc == 0)
            rc = weft__tls_flush(tls);
        if (rc < 0 && rc != -EAGAIN)
            return rc;
    }
    return 0;
}

static int
tls_shutdown(weft_stream *stream)
{
    struct weft__tls *tls = stream->state;
    if (tls->broken != 0)
        return tls->broken;
    if (tls->shut_below)
        return 0;
    int rc = say_bye(tls);
    if (rc == 0)
        rc = flush_waiting(tls);
    if (rc < 0)
        return rc;
    tls->shut = true;
    return weft__tls_shut_below(tls);
}

static void
tls_close(weft_stream *stream)
{
    struct weft__tls *tls = stream->state;
    tls->closed = true;
    (void)weft__tls_flush(tls); /* if there is room; it is the stream's end all the same */
    if (tls->flusher != NULL) {
        if (!tls->flushing)
            weft_task_cancel(tls->flusher); /* it has not started, and never will */
        weft_task_close(tls->flusher);
        tls->flusher = NULL;
    }
    weft_event_set(&tls->progress);
    weft_stream_close(tls->inner);
    if (tls->users == 0)
        weft__tls_free(tls);
}

static int
tls_raw(weft_stream *stream)
{
    struct weft__tls *tls = stream->state;
    if ((weft__tls_ktls_state(tls) & WEFT_STREAM_WRITE) == 0 || tls->out != NULL || tls->said_bye ||
        tls->broken != 0)
        return -EOPNOTSUPP;
    return weft_stream_raw(tls->inner);
}

const weft_transport weft__tls_transport = {.name = "tls",
                                            .try_read = tls_try_read,
                                            .try_writev = tls_try_writev,
                                            .wait = tls_wait,
                                            .shutdown = tls_shutdown,
                                            .close = tls_close,
                                            .raw = tls_raw};
