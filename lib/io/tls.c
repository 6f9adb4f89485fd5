/*
 * tls.c - TLS as a transport: the handshake, and reading, writing and closing after it.
 *
 * OpenSSL is only ever called by functions that do not wait. A record that inner did not take whole
 * is kept by the BIO (tls_bio.c), and the write it belongs to is told to wait until it has gone
 * out. When that wait is ended by a scope, the write counts the record all the same: its bytes are
 * committed, and saying less would have the caller send them twice. The scope ends the next call.
 *
 * Reader and writer are two tasks that may both have to wait for the same direction of inner (a
 * message of the handshake that comes in pieces holds up the writer), which takes one at a time.
 * The second waits for the progress of the first, and both try again then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <weft/error.h>

#include "base/atomic.h"
#include "io/tls_priv.h"

/* More of it makes reading wait: else a peer that only asks for answers could fill the memory. */
#define OUT_MAX ((size_t)65536)
#define RECORD_BYTES 16384

/* ---- Life ---------------------------------------------------------------------------------- */

static void
tls_free(struct weft__tls *tls)
{
    if (tls->ssl != NULL) {
        /* Else OpenSSL takes the session for a bad one, and the tickets of it are void. */
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(tls->ssl); /* with its BIO */
    }
    BIO_free(tls->socket);
    ERR_clear_error();
    weft_event_close(&tls->progress);
    weft_tls_context_unref(tls->chosen);
    weft_tls_context_unref(tls->context);
    weft_memory_free(tls->out);
    weft_memory_free(tls->host);
    weft_memory_free(tls->alpn);
    weft_memory_free(tls->why);
    weft_memory_free(tls);
}

static char *
copy_text(const void *text, size_t len)
{
    char *copy = weft_memory_alloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

/* ---- What went wrong ----------------------------------------------------------------------- */

/* The result of a call into OpenSSL that failed for good. Forgets its errors. */
static int
failure(struct weft__tls *tls, const char *doing)
{
    unsigned long error = ERR_peek_error();
    int rc;
    if (tls->why != NULL)
        rc = weft_error_note(WEFT_E_TLS_VERIFY, "%s", tls->why);
    else if (tls->io_error != 0 && error == 0) /* else it is of the alert that followed */
        rc = weft_error_note(tls->io_error, "%s: %s", doing, weft_strerror(tls->io_error));
    else if (ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        rc = weft_error_note(WEFT_E_TLS_VERIFY, "the client showed no certificate");
    else if (tls->ended)
        rc = weft_error_note(WEFT_E_TLS_CUT, "%s: the peer hung up without a good-bye", doing);
    else
        rc = weft__tls_fails(WEFT_E_TLS, doing);
    ERR_clear_error();
    return rc;
}

/* Nothing works from now on. What OpenSSL wants to tell the peer is sent, if there is room. */
static int
breaks(struct weft__tls *tls, const char *doing)
{
    tls->broken = failure(tls, doing);
    (void)weft__tls_flush(tls);
    return tls->broken;
}

/* ---- Waiting ------------------------------------------------------------------------------- */

static int
inner_wait(weft_stream *inner, unsigned what)
{
    return inner->transport != NULL ? inner->transport->wait(inner, what) : -EBADF;
}

/* Waits for inner, or for the one who does. -EBADF: tls is not to be touched again. */
static int
wait_for(struct weft__tls *tls, unsigned what)
{
    bool *taken = &tls->waits[what == WEFT_STREAM_WRITE];
    int rc;
    tls->users++;
    if (*taken) {
        tls->queued++;
        weft_event_clear(&tls->progress);
        rc = weft_event_wait(&tls->progress);
        tls->queued--;
    } else {
        *taken = true;
        rc = inner_wait(tls->inner, what);
        *taken = false;
        if (tls->queued > 0)
            weft_event_set(&tls->progress);
    }
    tls->users--;
    if (!tls->closed)
        return rc;
    if (tls->users == 0)
        tls_free(tls);
    return -EBADF;
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
        rc = wait_for(tls, WEFT_STREAM_WRITE);
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
static void
flush_beside(struct weft__tls *tls)
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
static void
free_buffers(struct weft__tls *tls)
{
    if (memcmp(SSL_rstate_string(tls->ssl), "RH", 2) == 0)
        SSL_free_buffers(tls->ssl);
}

static int
tls_wait(weft_stream *stream, unsigned what)
{
    struct weft__tls *tls = stream->state;
    bool writing = what == WEFT_STREAM_WRITE;
    unsigned want = tls->wants[writing];
    if (!writing && want == WEFT_STREAM_READ) {
        if (tls->broken == 0)
            free_buffers(tls);
        if (tls->out != NULL && !tls->waits[1])
            flush_beside(tls);
    }
    int rc = wait_for(tls, want);
    if (rc < 0 && rc != -EBADF && writing && tls->committed > 0) {
        tls->giving_up = true;
        return 0; /* the write that tries again is told how much it has written */
    }
    return rc;
}

/* ---- Reading and writing ------------------------------------------------------------------- */

/* OpenSSL goes deep: on the loop's stack, which is in the cache, and which no page of an idle
 * connection's has to remember. */
struct deep {
    SSL *ssl;
    union {
        void *buf;         /* to read into */
        const void *bytes; /* to write */
    };
    size_t len, n;
};

static int
read_deep(void *deep_)
{
    struct deep *deep = deep_;
    return SSL_read_ex(deep->ssl, deep->buf, deep->len, &deep->n);
}

static int
write_deep(void *deep_)
{
    struct deep *deep = deep_;
    return SSL_write_ex(deep->ssl, deep->bytes, deep->len, &deep->n);
}

static int
handshake_deep(void *ssl)
{
    return SSL_do_handshake(ssl);
}

static int
shutdown_deep(void *ssl)
{
    return SSL_shutdown(ssl);
}

/* What to do after a call into OpenSSL that gave nothing. */
static ssize_t
not_yet(struct weft__tls *tls, bool writing, const char *doing)
{
    switch (SSL_get_error(tls->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        tls->wants[writing] = WEFT_STREAM_READ;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        tls->wants[writing] = WEFT_STREAM_WRITE;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN: /* also said of writing that failed after the peer's good-bye */
        return writing || tls->io_error != 0 ? breaks(tls, doing) : 0;
    default:
        return breaks(tls, doing);
    }
}

static ssize_t
tls_try_read(weft_stream *stream, void *buf, size_t len)
{
    struct weft__tls *tls = stream->state;
    if (tls->broken != 0)
        return tls->broken;
    if (tls->out_end - tls->out_begin > OUT_MAX) {
        int rc = weft__tls_flush(tls);
        if (rc == -EAGAIN)
            tls->wants[0] = WEFT_STREAM_WRITE;
        if (rc < 0)
            return rc;
    }
    struct deep deep = {.ssl = tls->ssl, .buf = buf, .len = len};
    tls->io_error = 0;
    ERR_clear_error();
    if (weft_on_loop_stack(read_deep, &deep) == 1)
        return (ssize_t)deep.n;
    return not_yet(tls, false, "TLS, reading");
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
            flush_beside(tls);
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

    struct deep deep = {.ssl = tls->ssl};
    deep.bytes = gather(vectors, n_vectors, &deep.len);
    tls->io_error = 0;
    ERR_clear_error();
    if (weft_on_loop_stack(write_deep, &deep) != 1)
        return not_yet(tls, true, "TLS, writing");
    if (tls->out == NULL)
        return (ssize_t)deep.n;
    tls->committed = deep.n;
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
        rc = wait_for(tls, WEFT_STREAM_WRITE);
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
        tls->io_error = 0;
        ERR_clear_error();
        /* In the middle of a message of the handshake, its end must come first. */
        int rc = SSL_in_init(tls->ssl) ? weft_on_loop_stack(handshake_deep, tls->ssl) : 1;
        if (rc == 1)
            rc = weft_on_loop_stack(shutdown_deep, tls->ssl);
        if (rc >= 0) {
            tls->said_bye = true;
            /* OpenSSL would refuse to read tickets after it has sent the good-bye. */
            SSL_set_shutdown(tls->ssl, SSL_get_shutdown(tls->ssl) & ~SSL_SENT_SHUTDOWN);
            return 0;
        }
        rc = (int)not_yet(tls, true, "TLS, saying good-bye");
        if (rc == -EAGAIN)
            rc = wait_for(tls, tls->wants[1]);
        if (rc < 0)
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
    if (tls->shut)
        return 0;
    int rc = say_bye(tls);
    if (rc == 0)
        rc = flush_waiting(tls);
    if (rc < 0)
        return rc;
    tls->shut = true;
    rc = tls->inner->transport == NULL             ? -EBADF
         : tls->inner->transport->shutdown != NULL ? tls->inner->transport->shutdown(tls->inner)
                                                   : 0;
    return rc;
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
        tls_free(tls);
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

static const weft_transport tls_transport = {.name = "tls",
                                             .try_read = tls_try_read,
                                             .try_writev = tls_try_writev,
                                             .wait = tls_wait,
                                             .shutdown = tls_shutdown,
                                             .close = tls_close,
                                             .raw = tls_raw};

/* ---- The handshake ------------------------------------------------------------------------- */

/* The name or address that the peer's certificate must be for. */
static int
expect_host(struct weft__tls *tls, const char *host)
{
    size_t len = strlen(host);
    if (len > 0 && host[len - 1] == '.')
        len--; /* "example.org." is the same to DNS; certificates have no dot there */
    if (len == 0 || len > WEFT__TLS_HOST_MAX)
        return weft_error_note(-EINVAL, "the name of a host has 1 to 255 bytes");
    if (host[0] == '.') /* to OpenSSL it would be every host below */
        return weft_error_note(-EINVAL, "the name of a host does not begin with a dot");
    tls->host = copy_text(host, len);
    if (tls->host == NULL)
        return -ENOMEM;
    struct in6_addr address;
    bool numeric = inet_pton(AF_INET, tls->host, &address) == 1 ||
                   inet_pton(AF_INET6, tls->host, &address) == 1;
    X509_VERIFY_PARAM *expected = SSL_get0_param(tls->ssl);
    /* A common name is text for people: RFC 9525 6.3. */
    X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                                  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (numeric) {
        if (X509_VERIFY_PARAM_set1_ip_asc(expected, tls->host) == 1)
            return 0;
    } else if (SSL_set_tlsext_host_name(tls->ssl, tls->host) == 1 &&
               SSL_set1_host(tls->ssl, tls->host) == 1) {
        return 0;
    }
    return weft__tls_fails(-ENOMEM, "the name of the host");
}

static void
offer_session(struct weft__tls *tls)
{
    if (tls->host == NULL || tls->context->sessions == NULL)
        return;
    SSL_SESSION *session = weft__tls_session_find(tls->context->sessions, tls->host);
    if (session == NULL)
        return;
    SSL_set_session(tls->ssl, session); /* when it fails the handshake is a full one */
    SSL_SESSION_free(session);
}

/* A connection before its handshake. */
static int
tls_new(struct weft__tls **ret_tls, weft_stream *inner, weft_tls_context *context, const char *host)
{
    struct weft__tls *tls = weft_memory_zeroed(sizeof *tls);
    if (tls == NULL)
        return -ENOMEM;
    ERR_clear_error();
    weft_event_open(&tls->progress);
    tls->context = weft_tls_context_ref(context);
    tls->inner = inner;
    tls->mixed = weft_stream_buffered(inner).len > 0;
    tls->ssl = SSL_new(context->ssl_ctx);
    BIO *bio = tls->ssl != NULL ? weft__tls_bio_new(tls) : NULL;
    int rc = bio != NULL ? 0 : weft__tls_fails(-ENOMEM, "a TLS connection");
    if (rc == 0) {
        SSL_set_bio(tls->ssl, bio, bio);
        SSL_set_app_data(tls->ssl, tls);
        if (context->role == WEFT_TLS_SERVER)
            SSL_set_accept_state(tls->ssl);
        else
            SSL_set_connect_state(tls->ssl);
        if (host != NULL)
            rc = expect_host(tls, host);
    }
    int raw = context->ktls ? weft_stream_raw(inner) : -1;
    if (rc == 0 && raw >= 0)
        tls->socket = BIO_new_socket(raw, BIO_NOCLOSE); /* without it we encrypt ourselves */
    if (rc < 0) {
        tls_free(tls);
        return rc;
    }
    if (context->role == WEFT_TLS_CLIENT)
        offer_session(tls);
    *ret_tls = tls;
    return 0;
}

/* Nobody else knows of this connection yet. */
static int
shake_hands(struct weft__tls *tls)
{
    for (;;) {
        tls->io_error = 0;
        ERR_clear_error();
        int done = weft_on_loop_stack(handshake_deep, tls->ssl);
        if (done != 1) {
            int rc = (int)not_yet(tls, false, "TLS handshake");
            if (rc != -EAGAIN)
                return rc != 0 ? rc : weft_error_note(WEFT_E_TLS, "TLS handshake: the peer left");
        }
        int rc = weft__tls_flush(tls);
        if (done == 1) /* our last words go out while the caller goes on: the peer may be slow */
            return rc == -EAGAIN ? 0 : rc;
        if (rc < 0 && rc != -EAGAIN)
            return rc;
        /* One wait, and then everything is tried again: while we waited for room there may have
         * come what OpenSSL lacked, and inner tells only those who wait for it then. */
        rc = inner_wait(tls->inner, rc == -EAGAIN ? WEFT_STREAM_WRITE : tls->wants[0]);
        if (rc < 0)
            return rc;
    }
}

static int
keep_alpn(struct weft__tls *tls)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(tls->ssl, &name, &len);
    if (len == 0)
        return 0;
    tls->alpn = copy_text(name, len);
    return tls->alpn != NULL ? 0 : -ENOMEM;
}

/* Once per context: it would be the same for each connection. */
static void
tell_of_ktls(struct weft__tls *tls)
{
    if (!tls->context->ktls || weft__tls_ktls_state(tls) != 0 ||
        weft__exchange(&tls->context->told, true))
        return;
    weft_log(WEFT_LOG_INFO, "tls: encrypting without the kernel: %s",
             tls->socket == NULL          ? "the stream is no socket"
             : tls->ktls_error == -ENOENT ? "it has no TLS (module tls)"
             : tls->ktls_error != 0       ? weft_strerror(tls->ktls_error)
                                          : "OpenSSL does not offer this cipher to it");
}

static int
open_tls(weft_stream *stream, weft_stream *inner, weft_tls_context *context, const char *host)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    if (inner->transport == NULL)
        return -EBADF;
    struct weft__tls *tls;
    rc = tls_new(&tls, inner, context, host);
    if (rc < 0)
        return rc;
    rc = shake_hands(tls);
    if (rc == 0)
        rc = keep_alpn(tls);
    if (rc < 0) {
        tls_free(tls);
        return rc;
    }
    tell_of_ktls(tls);
    flush_beside(tls);
    weft_stream_open(stream, &tls_transport, tls);
    return 0;
}

int
weft_tls_client(weft_stream *stream, weft_stream *inner, weft_tls_context *context,
                const char *host)
{
    if (context->role != WEFT_TLS_CLIENT)
        return weft_error_note(-EINVAL, "a client was given the context of a server");
    if (host == NULL && !context->insecure)
        return weft_error_note(-EINVAL, "whose certificate the peer must have is not said");
    return open_tls(stream, inner, context, host);
}

int
weft_tls_server(weft_stream *stream, weft_stream *inner, weft_tls_context *context)
{
    if (context->role != WEFT_TLS_SERVER)
        return weft_error_note(-EINVAL, "a server was given the context of a client");
    return open_tls(stream, inner, context, NULL);
}

/* ---- What was agreed ----------------------------------------------------------------------- */

static const struct weft__tls *
tls_of(const weft_stream *stream)
{
    return stream->transport == &tls_transport ? stream->state : NULL;
}

const char *
weft_tls_alpn(const weft_stream *stream)
{
    const struct weft__tls *tls = tls_of(stream);
    return tls == NULL ? NULL : tls->alpn != NULL ? tls->alpn : "";
}

const char *
weft_tls_server_name(const weft_stream *stream)
{
    const struct weft__tls *tls = tls_of(stream);
    return tls == NULL ? NULL : tls->host != NULL ? tls->host : "";
}

const char *
weft_tls_protocol(const weft_stream *stream)
{
    const struct weft__tls *tls = tls_of(stream);
    return tls == NULL ? NULL : SSL_get_version(tls->ssl);
}

const char *
weft_tls_cipher(const weft_stream *stream)
{
    const struct weft__tls *tls = tls_of(stream);
    return tls == NULL ? NULL : SSL_get_cipher_name(tls->ssl);
}

int
weft_tls_resumed(const weft_stream *stream)
{
    const struct weft__tls *tls = tls_of(stream);
    return tls == NULL ? -EBADF : SSL_session_reused(tls->ssl) == 1;
}

int
weft_tls_ktls(const weft_stream *stream)
{
    const struct weft__tls *tls = tls_of(stream);
    return tls == NULL ? -EBADF : (int)weft__tls_ktls_state(tls);
}

/* Copies as much as there is room for; the length of all. What has a zero byte in it is no name:
 * who reads up to there would take it for another one. */
static int
give_text(const char *text, size_t text_len, char *buf, size_t len)
{
    if (memchr(text, 0, text_len) != NULL)
        return -ENOENT;
    size_t n = text_len < len ? text_len : len - 1;
    memcpy(buf, text, n);
    buf[n] = '\0';
    return (int)text_len;
}

/* The peer's certificate, borrowed; NULL and a result. */
static X509 *
peer_of(const weft_stream *stream, int *ret_rc)
{
    const struct weft__tls *tls = tls_of(stream);
    X509 *cert = tls != NULL ? SSL_get0_peer_certificate(tls->ssl) : NULL;
    *ret_rc = tls == NULL ? -EBADF : -ENOENT;
    return cert;
}

int
weft_tls_peer_name(const weft_stream *stream, char *buf, size_t len)
{
    int rc;
    X509 *cert = peer_of(stream, &rc);
    if (cert == NULL)
        return rc;
    bool named = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS) {
            rc = give_text((const char *)ASN1_STRING_get0_data(name->d.dNSName),
                           (size_t)ASN1_STRING_length(name->d.dNSName), buf, len);
            named = true;
            break;
        }
    }
    GENERAL_NAMES_free(names);
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = !named ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
    if (at >= 0) {
        unsigned char *text = NULL; /* in UTF-8, whatever the certificate has */
        int n =
            ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
        rc = n >= 0 ? give_text((const char *)text, (size_t)n, buf, len) : -ENOMEM;
        OPENSSL_free(text);
    }
    ERR_clear_error();
    return rc;
}

int
weft_tls_peer_subject(const weft_stream *stream, char *buf, size_t len)
{
    int rc;
    X509 *cert = peer_of(stream, &rc);
    if (cert == NULL)
        return rc;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    rc = -ENOMEM;
    if (bio != NULL &&
        X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0) {
        long n = BIO_get_mem_data(bio, &text);
        rc = n > 0 ? give_text(text, (size_t)n, buf, len) : -ENOENT;
    }
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}
