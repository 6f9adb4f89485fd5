/*
 * backend.h - the backends: whose turn it is, and who is left out because it could not be reached.
 *
 * Their health is learned from the connections alone. One that fails is left out for BACK_OFF_MIN,
 * and twice as long each further time, up to BACK_OFF_MAX. When that is over a single connection
 * tries it; the others wait for how that ends.
 */
#ifndef PROXY_BACKEND_H
#define PROXY_BACKEND_H

#include <pthread.h>

#include <weft.h>

#include "args.h"

#define BACK_OFF_MIN WEFT_MS(500)
#define BACK_OFF_MAX WEFT_SEC(30)

struct backend {
    const char *where;
    char host[256]; /* who its certificate must be for */
    /* With the lock of `backends`. */
    unsigned active; /* connections, and attempts */
    uint64_t reached, failed;
    weft_time back_off; /* 0: it is well */
    weft_time again;    /* when it may be tried again, if it is not */
};

struct backends {
    pthread_mutex_t lock; /* held for a few steps, never across a wait */
    unsigned n, next;
    bool least;
    weft_time connect_timeout;
    const char *const *alpn;
    /* What is offered to backends: nothing, or the one protocol that the client has agreed to. */
    weft_tls_context *tls[1 + PROTOCOLS_MAX]; /* all NULL: plain TCP */
    struct backend list[BACKENDS_MAX];
};

/* A connection to a backend. */
struct backend_link {
    weft_stream tcp, tls;
    weft_stream *stream; /* whichever of the two is spoken through */
    struct backend *backend;
};

/* Returns 0 or a negative result, with weft_error_text(). */
int backends_open(struct backends *backends, const struct args *args);
void backends_close(struct backends *backends);

/* What became of each, on standard output. */
void backends_print(struct backends *backends);

/*
 * Connects to the backend whose turn it is, or to the next one that can be reached. protocol is
 * what the client has agreed to, "" for nothing; *retries counts the attempts that failed and were
 * followed by another.
 *
 * Returns 0; -EHOSTUNREACH when none could be reached; -ECANCELED; for want of something of our own
 * -EMFILE, -ENOMEM...
 */
WEFT_WAITS int backend_connect(struct backends *backends, const char *protocol,
                               struct backend_link *link, unsigned *retries);

/* Ends the connection; reset: the backend is to see that it was cut, not that it has ended. */
void backend_hang_up(struct backends *backends, struct backend_link *link, bool reset);

/* Closes a TCP connection so that the peer gets an error and no end. */
void reset_on_close(weft_stream *tcp);

#endif
