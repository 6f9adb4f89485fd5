/*
 * tls_peer.c - what was agreed with the peer, and who it is.
 */
#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "io/tls_priv.h"

static const struct weft__tls *
tls_of(const weft_stream *stream)
{
    return stream->transport == &weft__tls_transport ? stream->state : NULL;
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
