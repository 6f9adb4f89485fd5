/*
 * t_cert.h - certificates for tests, made when they are needed.
 */
#ifndef WEFT_TESTS_T_CERT_H
#define WEFT_TESTS_T_CERT_H

#include <weft/base.h>

/* A certificate and its key, as PEM. */
struct t_cert {
    char pem[4096]; /* certificate, then key: what weft_tls_options.cert_pem takes */
    size_t len;
    size_t cert_len; /* of it, the certificate */
    void *x509, *key;
};

/* Whom it is for, and until when: days from now. */
struct t_cert_wish {
    const char *name;       /* common name */
    const char *san;        /* "DNS:localhost,IP:127.0.0.1"; NULL: none */
    int from_days, to_days; /* 0 and 0: yesterday to tomorrow */
    int is_ca;
    const struct t_cert *issuer; /* NULL: itself */
    const char *password;        /* of the key in the PEM; NULL: none */
};

void t_cert_make(struct t_cert *cert, const struct t_cert_wish *wish);

/* The usual ones, made once per process. */
struct t_certs {
    struct t_cert ca, server, client, expired, early, elsewhere, alone, other_ca;
    struct t_cert by_other; /* for localhost, by other_ca */
    struct t_cert locked;   /* for localhost; its key's password is "sesame" */
};
const struct t_certs *t_certs(void);

/* The certificate alone, and with its key. */
weft_bytes t_cert_only(const struct t_cert *cert);
weft_bytes t_cert_with_key(const struct t_cert *cert);

#endif
