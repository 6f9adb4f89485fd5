/*
 * tls_wait.c - waiting for the stream below, and sending what it has not taken yet.
 *
 * Reader and writer are two tasks that may both have to wait for the same direction of inner (a
 * message of the handshake that comes in pieces holds up the writer), which takes one at a time.
 * The second waits for the progress of the first, and both try again then.
 */
#include <errno.h>
#include <string.h>

#include <openssl/ssl.h>

#include "io/tls_priv.h"

int
weft__tls_inner_wait(weft_stream *inner, unsigned what)
{
    if (what == 0)
        return weft_yield();
    return inner->transport != NULL ? inner->transport->wait(inner, what) : -EBADF;
}

/* A user leaves. -EBADF: tls is not to be touched again. */
static int
leave(struct weft__tls *tls, int rc)
{
    tls->users--;
    if (!tls->closed)
        return rc;
    if (tls->users == 0)
        weft__tls_free(tls);
    return -EBADF;
}

int
weft__tls_wait_for(struct weft__tls *tls, unsigned what)
{
    bool *taken = &tls->waits[what == WEFT_STREAM_WRITE];
    int rc;
    tls->users++;
    if (what == 0) {
        rc = weft_yield();
    } else if (*taken) {
        tls->queued++;
        weft_event_clear(&tls->progress);
        rc = weft_event_wait(&tls->progress);
        tls->queued--;
    } else {
        *taken = true;
        rc = weft__tls_inner_wait(tls->inner, what);
        *taken = false;
        if (tls->queued > 0)
            weft_event_set(&tls->progress);
    }
    return leave(tls, rc);
}

/* Below there may be TLS as well, which waits. */
int
weft__tls_shut_below(struct weft__tls *tls)
{
    const weft_transport *below = tls->inner->transport;
    tls->users++;
    int rc = below == NULL ? -EBADF : below->shutdown != NULL ? below->shutdown(tls->inner) : 0;
    tls->shut_below = rc != -ECANCELED && rc != -ETIMEDOUT; /* else it is gone on with */
    return leave(tls, rc);
}

/* Sends what is in `out` when nobody else is about to: an answer that a reader had to give, or the
 * rest of a record whose writer has gone. */
static int
flusher_main(void *arg)
{
    struct weft__tls *tls = arg;
    int rc;
    tls->flushing = true;
    while ((rc = weft__tls_flush(tls)) == -EAGAIN) {
        rc = weft__tls_wait_for(tls, WEFT_STREAM_WRITE);
        if (rc == -EBADF)
            return 0;
        if (rc < 0)
            break;
    }
    tls->flushing = false;
    weft_task_close(tls->flusher);
    tls->flusher = NULL;
    return 0;
}

/* Without memory for a task it is tried again with the next wait. */
void
weft__tls_flush_beside(struct weft__tls *tls)
{
    if (tls->out != NULL && tls->flusher == NULL && tls->broken == 0 &&
        weft__tls_flush(tls) == -EAGAIN &&
        weft_task_spawn(&tls->flusher, flusher_main, tls,
                        &(weft_task_options){.name = "tls flusher"}) < 0)
        tls->flusher = NULL;
}

/* After messages of the handshake (a ticket, say) OpenSSL keeps its buffers in spite of
 * SSL_MODE_RELEASE_BUFFERS. Only before the head of a record are they empty for sure: of a record
 * that is half there they would be freed as well. */
void
weft__tls_free_buffers(struct weft__tls *tls)
{
    if (memcmp(SSL_rstate_string(tls->ssl), "RH", 2) == 0)
        SSL_free_buffers(tls->ssl);
}
