/*
 * tls_priv.h - what the files of libweft-tls share.
 *
 * OpenSSL's own headers are for the .c files; here its types are names alone.
 */
#ifndef WEFT_LIB_IO_TLS_PRIV_H
#define WEFT_LIB_IO_TLS_PRIV_H

#include <pthread.h>
#include <stdbool.h>

#include <weft/sync.h>
#include <weft/task.h>
#include <weft/tls.h>

struct bio_st;
struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;
struct x509_st;

#define WEFT__TLS_HOST_MAX 255 /* bytes of a name; longer ones do not exist */
#define WEFT__TLS_SESSIONS 256
#define WEFT__TLS_TICKETS 2 /* kept per host */

struct weft__tls;

/* What a client may resume: tickets of hosts, the one that was used longest ago goes first. */
struct weft__tls_sessions {
    pthread_mutex_t lock; /* held for moments: OpenSSL's callbacks must not wait */
    struct weft__tls_host *hosts[WEFT__TLS_SESSIONS];
    unsigned n_hosts;
    uint64_t clock;
};

struct weft_tls_context {
    uint32_t count; /* atomic */
    struct ssl_ctx_st *ssl_ctx;
    weft_tls_role role;
    bool insecure;
    bool ktls;
    bool told; /* that there is no kTLS; atomic */
    weft_tls_choose_fn *choose;
    void *choose_arg;
    unsigned char *alpn; /* as it is sent: each name behind its length */
    unsigned alpn_len;
    struct weft__tls_sessions *sessions; /* of clients; NULL: none are kept */
};

/* A connection. It lasts until it is closed and the last of its users has left. */
struct weft__tls {
    struct ssl_st *ssl;
    weft_stream *inner;
    weft_tls_context *context; /* the one it began with */
    weft_tls_context *chosen;  /* by name; NULL: none was */
    char *host;                /* that is asked for, or was; NULL: none */
    char *alpn;                /* NULL: none */
    char *why;                 /* a certificate was not accepted; NULL */

    /* Bytes of records that inner has not taken yet: [out_begin, out_end). OpenSSL never sees a
     * write that did not succeed, so that it never asks for one to be repeated. */
    unsigned char *out;
    size_t out_begin, out_end, out_cap;
    size_t committed; /* of the write in progress: bytes whose record is partly in `out` */
    bool giving_up;   /* its wait was ended: they are counted now */

    bool mixed;       /* inner may have bytes in its read buffer */
    bool ended;       /* inner has */
    bool said_bye;    /* close_notify is sent, or in `out` */
    bool shut;        /* all of that has gone out */
    bool shut_below;  /* inner has been shut down */
    bool closed;      /* only its users' leaving is waited for */
    bool waits[2];    /* somebody waits for inner: to read, to write */
    bool flushing;    /* the flusher has started */
    uint8_t wants[2]; /* what the reader, and the writer, have to wait for; 0: others run first */
    uint8_t reads;    /* of inner, in the present call into OpenSSL */
    int io_error;     /* of inner, in the present call into OpenSSL */
    int broken;       /* what every call returns from now on; 0 */
    unsigned users;   /* tasks inside a wait */
    unsigned queued;  /* of these, for others' progress */
    weft_event progress;
    weft_task *flusher;

    struct bio_st *socket; /* with .ktls, on a socket: what talks to the kernel. NULL: none */
    bool marked;           /* what is written next is a message, not data */
    int ktls_error;        /* why the kernel did not want to; 0: it was not asked, or did */
};

extern const weft_transport weft__tls_transport; /* tls_stream.c */

/* tls.c. Nobody is inside a wait any more. */
void weft__tls_free(struct weft__tls *tls);

/* tls_call.c: what OpenSSL does. false: see weft__tls_not_yet. */
bool weft__tls_read(struct weft__tls *tls, void *buf, size_t len, size_t *ret_n);
bool weft__tls_write(struct weft__tls *tls, const void *bytes, size_t len, size_t *ret_n);
bool weft__tls_handshake(struct weft__tls *tls);
bool weft__tls_bye(struct weft__tls *tls);
/* What to do after such a call. -EAGAIN: wait for what is in tls->wants; 0: the peer has said
 * good-bye; else the connection is broken. */
ssize_t weft__tls_not_yet(struct weft__tls *tls, bool writing, const char *doing);

/* tls_wait.c. What is waited for is WEFT_STREAM_READ, WEFT_STREAM_WRITE, or 0: others run. */
int weft__tls_inner_wait(weft_stream *inner, unsigned what);
/* Waits for inner, or for the one who does. -EBADF: tls is not to be touched again. */
int weft__tls_wait_for(struct weft__tls *tls, unsigned what);
/* Shuts inner down; -EBADF as above. */
int weft__tls_shut_below(struct weft__tls *tls);
/* What is in `out` goes out beside the caller, who has nothing to do with it any more. */
void weft__tls_flush_beside(struct weft__tls *tls);
/* Gives back OpenSSL's buffers, if they are empty. */
void weft__tls_free_buffers(struct weft__tls *tls);

/* tls_error.c. Notes the detail of what OpenSSL reports as the first of its errors, and forgets
 * them all; returns the code. `doing` is "handshake", "private key FILE"... */
int weft__tls_words(int rc, const char *doing);
/* The code for what OpenSSL reports: -ENOMEM, -ENOENT..., else rc. */
int weft__tls_fails(int rc, const char *doing);
/* Inside the check of a certificate: keeps in tls->why what is wrong with it. */
void weft__tls_why(struct weft__tls *tls, int code, struct x509_st *cert);

/* More of it in `out` makes reading wait: else a peer that only asks for answers could fill the
 * memory. */
#define WEFT__TLS_OUT_MAX ((size_t)65536)
/* Reading from inner so often without giving any data, OpenSSL is stopped: else a peer that only
 * asks for answers could keep the loop. */
#define WEFT__TLS_READS_MAX 16

/* tls_bio.c: OpenSSL's door to the stream below. NULL: no memory. */
struct bio_st *weft__tls_bio_new(struct weft__tls *tls);
/* What is in `out` goes out. 0 when it is empty; -EAGAIN; an error of inner. */
int weft__tls_flush(struct weft__tls *tls);
/* Of WEFT_STREAM_READ and WEFT_STREAM_WRITE. */
unsigned weft__tls_ktls_state(const struct weft__tls *tls);

/* tls_session.c */
struct weft__tls_sessions *weft__tls_sessions_new(void);
void weft__tls_sessions_free(struct weft__tls_sessions *sessions);
/* Takes the session over. */
void weft__tls_session_keep(struct weft__tls_sessions *sessions, const char *host,
                            struct ssl_session_st *session);
/* One for this host, the caller's to free; NULL: there is none. */
struct ssl_session_st *weft__tls_session_find(struct weft__tls_sessions *sessions,
                                              const char *host);

#endif
