/*
 * tls.c - a TLS connection from its beginning to the end of its handshake.
 *
 * After that it is a transport (tls_stream.c). OpenSSL is only ever called by functions that do not
 * wait (tls_call.c).
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

/* ---- Life ---------------------------------------------------------------------------------- */

void
weft__tls_free(struct weft__tls *tls)
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
        weft__tls_free(tls);
        return rc;
    }
    if (context->role == WEFT_TLS_CLIENT)
        offer_session(tls);
    *ret_tls = tls;
    return 0;
}

/* ---- The handshake ------------------------------------------------------------------------- */

/* Nobody else knows of this connection yet. */
static int
shake_hands(struct weft__tls *tls)
{
    for (;;) {
        bool done = weft__tls_handshake(tls);
        if (!done) {
            int rc = (int)weft__tls_not_yet(tls, false, "TLS handshake");
            if (rc != -EAGAIN)
                return rc != 0 ? rc : weft_error_note(WEFT_E_TLS, "TLS handshake: the peer left");
        }
        int rc = weft__tls_flush(tls);
        if (done) /* our last words go out while the caller goes on: the peer may be slow */
            return rc == -EAGAIN ? 0 : rc;
        if (rc < 0 && rc != -EAGAIN)
            return rc;
        /* One wait, and then everything is tried again: while we waited for room there may have
         * come what OpenSSL lacked, and inner tells only those who wait for it then. */
        rc = weft__tls_inner_wait(tls->inner, rc == -EAGAIN ? WEFT_STREAM_WRITE : tls->wants[0]);
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
        weft__tls_free(tls);
        return rc;
    }
    tell_of_ktls(tls);
    weft__tls_flush_beside(tls);
    weft_stream_open(stream, &weft__tls_transport, tls);
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
