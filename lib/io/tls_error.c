/*
 * tls_error.c - what OpenSSL reports, in words.
 *
 * OpenSSL keeps its errors in a queue of the thread. They are taken out and forgotten before any
 * other task can run: each call into it is followed by these functions when it fails.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <weft/error.h>

#include "io/tls_priv.h"

/* ---- Errors of OpenSSL --------------------------------------------------------------------- */

/* What puzzles most, said plainly. */
static const char *
plain_words(int reason)
{
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
        return "the peer speaks HTTP without TLS";
    case SSL_R_HTTPS_PROXY_REQUEST:
        return "the peer asks for a proxy, without TLS";
    case SSL_R_WRONG_VERSION_NUMBER:
        return "the peer does not speak TLS, or none of its versions in use here";
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return "the peer speaks no version of TLS in use here";
    case SSL_R_NO_SHARED_CIPHER:
        return "no cipher in common";
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return "no protocol (ALPN) in common";
    case SSL_R_CALLBACK_FAILED:
        return "the name that the client asks for was refused";
    default:
        return NULL;
    }
}

/* OpenSSL 3.0 has no words for the alerts of TLS 1.3. */
static const char *
alert_words(int alert)
{
    switch (alert) {
    case SSL_AD_MISSING_EXTENSION:
        return "missing extension";
    case SSL_AD_CERTIFICATE_REQUIRED:
        return "certificate required";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return "no application protocol";
    default:
        return SSL_alert_desc_string_long(alert);
    }
}

static void put(char *text, size_t len, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
put(char *text, size_t len, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, len, format, args) < 0)
        text[0] = '\0';
    va_end(args);
}

static void
words_of(unsigned long error, char *text, size_t len)
{
    int reason = ERR_GET_REASON(error);
    if (ERR_SYSTEM_ERROR(error)) {
        put(text, len, "%s", weft_strerror(-reason));
        return;
    }
    if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
        const char *plain = plain_words(reason);
        if (plain != NULL) {
            put(text, len, "%s", plain);
            return;
        }
        if (reason > SSL_AD_REASON_OFFSET) {
            put(text, len, "the peer says: %s", alert_words(reason - SSL_AD_REASON_OFFSET));
            return;
        }
    }
    const char *known = ERR_reason_error_string(error);
    if (known != NULL)
        put(text, len, "%s", known);
    else
        put(text, len, "OpenSSL's error %08lX", error);
}

int
weft__tls_words(int rc, const char *doing)
{
    unsigned long error = ERR_peek_error();
    char text[128] = "no reason was given";
    if (error != 0)
        words_of(error, text, sizeof text);
    ERR_clear_error();
    return weft_error_note(rc, "%s: %s", doing, text);
}

int
weft__tls_fails(int rc, const char *doing)
{
    unsigned long error = ERR_peek_error();
    if (ERR_SYSTEM_ERROR(error) && ERR_GET_REASON(error) > 0)
        rc = -ERR_GET_REASON(error);
    else if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        rc = -ENOMEM;
    return weft__tls_words(rc, doing);
}

/* ---- Certificates that were not accepted --------------------------------------------------- */

#define WHY_BYTES 160

/* The time as a date, "2026-01-31". */
static void
put_date(char *text, size_t len, const ASN1_TIME *when)
{
    struct tm tm;
    if (when != NULL && ASN1_TIME_to_tm(when, &tm) == 1)
        put(text, len, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    else
        put(text, len, "an unknown date");
}

static void
append(char *text, size_t len, const char *more)
{
    size_t used = strlen(text);
    put(text + used, len - used, "%s%s", used > 0 ? ", " : "", more);
}

static void
append_name(char *text, size_t len, const GENERAL_NAME *name)
{
    char one[72];
    const unsigned char *data = NULL;
    int n = 0;
    if (name->type == GEN_DNS) {
        data = ASN1_STRING_get0_data(name->d.dNSName);
        n = ASN1_STRING_length(name->d.dNSName);
        put(one, sizeof one, "%.*s", n < 64 ? n : 64, (const char *)data);
    } else if (name->type == GEN_IPADD) {
        data = ASN1_STRING_get0_data(name->d.iPAddress);
        n = ASN1_STRING_length(name->d.iPAddress);
        if (n == 4)
            put(one, sizeof one, "%d.%d.%d.%d", data[0], data[1], data[2], data[3]);
        else
            put(one, sizeof one, "an IPv6 address");
    } else {
        return;
    }
    append(text, len, one);
}

/* "a, b" - whom the certificate is for. */
static void
put_names(char *text, size_t len, X509 *cert)
{
    text[0] = '\0';
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++)
        append_name(text, len, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    if (text[0] == '\0' &&
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text, (int)len) <= 0)
        put(text, len, "nobody");
}

/* A name as people say it: the common name, else all of it. */
static void
put_subject(char *text, size_t len, const X509_NAME *name)
{
    if (X509_NAME_get_text_by_NID(name, NID_commonName, text, (int)len) > 0)
        return;
    text[0] = '\0';
    X509_NAME_oneline(name, text, (int)len);
}

void
weft__tls_why(struct weft__tls *tls, int code, struct x509_st *cert)
{
    if (tls->why != NULL || (tls->why = weft_memory_alloc(WHY_BYTES)) == NULL)
        return;
    char *why = tls->why;
    char who[96] = "", when[32];
    if (cert != NULL)
        put_subject(who, sizeof who, X509_get_subject_name(cert));
    switch (cert != NULL ? code : X509_V_ERR_UNSPECIFIED) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        put_names(who, sizeof who, cert);
        put(why, WHY_BYTES, "the certificate is for %s, not for %.60s", who,
            tls->host != NULL ? tls->host : "this host");
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        put_date(when, sizeof when, X509_get0_notAfter(cert));
        put(why, WHY_BYTES, "the certificate of %s expired on %s", who, when);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        put_date(when, sizeof when, X509_get0_notBefore(cert));
        put(why, WHY_BYTES, "the certificate of %s is not valid before %s", who, when);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        put(why, WHY_BYTES, "the certificate of %s is self-signed, by nobody trusted", who);
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        put(why, WHY_BYTES, "the authority %s is not trusted", who);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: {
        char issuer[48];
        put_subject(issuer, sizeof issuer, X509_get_issuer_name(cert));
        put(why, WHY_BYTES, "the certificate of %.64s is by an unknown issuer, %s", who, issuer);
        break;
    }
    default:
        put(why, WHY_BYTES, "%s%s%.64s", X509_verify_cert_error_string(code),
            who[0] != '\0' ? ": " : "", who);
    }
}
