/*
 * t_cert.c - certificates for tests: keys on P-256, signed by SHA-256.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "t_cert.h"

#define must(expression)                                                                           \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            fprintf(stderr, "t_cert: %s failed\n", #expression);                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static void
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(extension != NULL);
    must(X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void
write_pem(struct t_cert *cert, const char *password)
{
    BIO *bio = BIO_new(BIO_s_mem());
    must(bio != NULL);
    must(PEM_write_bio_X509(bio, cert->x509) == 1);
    cert->cert_len = (size_t)BIO_pending(bio);
    must(PEM_write_bio_PKCS8PrivateKey(bio, cert->key, password != NULL ? EVP_aes_128_cbc() : NULL,
                                       password, password != NULL ? (int)strlen(password) : 0, NULL,
                                       NULL) == 1);
    int n = BIO_read(bio, cert->pem, sizeof cert->pem - 1);
    must(n > 0 && (size_t)n < sizeof cert->pem - 1);
    cert->len = (size_t)n;
    BIO_free(bio);
}

void
t_cert_make(struct t_cert *made, const struct t_cert_wish *wish)
{
    static long serial = 1;
    memset(made, 0, sizeof *made);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    must(key != NULL && cert != NULL);
    made->key = key;
    made->x509 = cert;
    X509 *issuer = wish->issuer != NULL ? wish->issuer->x509 : cert;
    must(X509_set_version(cert, X509_VERSION_3) == 1);
    must(ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++) == 1);
    bool usual = wish->from_days == 0 && wish->to_days == 0;
    must(X509_gmtime_adj(X509_getm_notBefore(cert), (usual ? -1 : wish->from_days) * 86400L));
    must(X509_gmtime_adj(X509_getm_notAfter(cert), (usual ? 1 : wish->to_days) * 86400L));
    must(X509_set_pubkey(cert, key) == 1);
    must(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                    (const unsigned char *)wish->name, -1, -1, 0) == 1);
    must(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
    add_extension(cert, issuer, NID_basic_constraints,
                  wish->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    if (wish->is_ca)
        add_extension(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    if (wish->san != NULL)
        add_extension(cert, issuer, NID_subject_alt_name, wish->san);
    must(X509_sign(cert, wish->issuer != NULL ? wish->issuer->key : key, EVP_sha256()) > 0);
    write_pem(made, wish->password);
}

static struct t_certs certs;

static void
make_all(void)
{
    const char *here = "DNS:localhost,IP:127.0.0.1";
    t_cert_make(&certs.ca, &(struct t_cert_wish){.name = "Test Authority", .is_ca = 1});
    t_cert_make(&certs.other_ca, &(struct t_cert_wish){.name = "Other Authority", .is_ca = 1});
    t_cert_make(&certs.server,
                &(struct t_cert_wish){.name = "localhost", .san = here, .issuer = &certs.ca});
    t_cert_make(&certs.client, &(struct t_cert_wish){.name = "ann", .issuer = &certs.ca});
    t_cert_make(&certs.expired, &(struct t_cert_wish){.name = "localhost",
                                                      .san = here,
                                                      .from_days = -20,
                                                      .to_days = -10,
                                                      .issuer = &certs.ca});
    t_cert_make(
        &certs.early,
        &(struct t_cert_wish){
            .name = "localhost", .san = here, .from_days = 10, .to_days = 20, .issuer = &certs.ca});
    t_cert_make(&certs.elsewhere, &(struct t_cert_wish){.name = "elsewhere",
                                                        .san = "DNS:a.example,DNS:b.example",
                                                        .issuer = &certs.ca});
    t_cert_make(&certs.alone, &(struct t_cert_wish){.name = "localhost", .san = here});
    t_cert_make(&certs.by_other,
                &(struct t_cert_wish){.name = "localhost", .san = here, .issuer = &certs.other_ca});
    t_cert_make(&certs.locked,
                &(struct t_cert_wish){
                    .name = "localhost", .san = here, .issuer = &certs.ca, .password = "sesame"});
}

const struct t_certs *
t_certs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_all);
    return &certs;
}

weft_bytes
t_cert_only(const struct t_cert *cert)
{
    return (weft_bytes){.data = cert->pem, .len = cert->cert_len};
}

weft_bytes
t_cert_with_key(const struct t_cert *cert)
{
    return (weft_bytes){.data = cert->pem, .len = cert->len};
}
