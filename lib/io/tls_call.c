/*
 * tls_call.c - calls into OpenSSL, and what their results mean.
 *
 * None of them waits. OpenSSL's queue of errors is the thread's: it is emptied before a call, and
 * read and emptied after one that failed, before any other task can run.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <weft/error.h>

#include "io/tls_priv.h"

/* OpenSSL goes deep: on the loop's stack, which is in the cache, and which no page of an idle
 * connection's has to remember. */
static int
call(struct weft__tls *tls, weft_task_fn *fn, void *arg)
{
    tls->io_error = 0;
    tls->reads = 0;
    ERR_clear_error();
    return weft_on_loop_stack(fn, arg);
}

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

bool
weft__tls_read(struct weft__tls *tls, void *buf, size_t len, size_t *ret_n)
{
    struct deep deep = {.ssl = tls->ssl, .buf = buf, .len = len};
    if (call(tls, read_deep, &deep) != 1)
        return false;
    *ret_n = deep.n;
    return true;
}

static int
write_deep(void *deep_)
{
    struct deep *deep = deep_;
    return SSL_write_ex(deep->ssl, deep->bytes, deep->len, &deep->n);
}

bool
weft__tls_write(struct weft__tls *tls, const void *bytes, size_t len, size_t *ret_n)
{
    struct deep deep = {.ssl = tls->ssl, .bytes = bytes, .len = len};
    if (call(tls, write_deep, &deep) != 1)
        return false;
    *ret_n = deep.n;
    return true;
}

static int
handshake_deep(void *ssl)
{
    return SSL_do_handshake(ssl);
}

bool
weft__tls_handshake(struct weft__tls *tls)
{
    return call(tls, handshake_deep, tls->ssl) == 1;
}

static int
shutdown_deep(void *ssl)
{
    return SSL_shutdown(ssl);
}

bool
weft__tls_bye(struct weft__tls *tls)
{
    return call(tls, shutdown_deep, tls->ssl) >= 0;
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

/* What to do after a call into OpenSSL that gave nothing. */
ssize_t
weft__tls_not_yet(struct weft__tls *tls, bool writing, const char *doing)
{
    switch (SSL_get_error(tls->ssl, 0)) {
    case SSL_ERROR_WANT_READ:
        tls->wants[writing] = tls->out_end - tls->out_begin > WEFT__TLS_OUT_MAX ? WEFT_STREAM_WRITE
                              : tls->reads == WEFT__TLS_READS_MAX               ? 0
                                                                                : WEFT_STREAM_READ;
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
