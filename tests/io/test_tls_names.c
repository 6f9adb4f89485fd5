/*
 * test_tls_names.c - for whom a certificate is: names that must not be taken for one another.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <weft/stream.h>
#include <weft/tls.h>

#include "io/t_io.h"
#include "t_cert.h"

TestSuite(tls_names, .timeout = 120);

struct side {
    weft_stream inner, stream;
    weft_tls_context *context;
    const char *host; /* NULL: the server */
    int rc;
};

static int
side_open(void *arg)
{
    struct side *side = arg;
    side->rc = side->host != NULL
                   ? weft_tls_client(&side->stream, &side->inner, side->context, side->host)
                   : weft_tls_server(&side->stream, &side->inner, side->context);
    if (side->rc < 0)
        weft_stream_close(&side->inner);
    return 0;
}

/* A handshake; what the client's part of it gave. A server that wants to sees the client's name. */
static int
shake(const struct t_cert *server_cert, const struct t_cert *client_cert, const char *host,
      char *name, size_t len, int *ret_name_rc)
{
    struct side client = {.host = host}, server = {.host = NULL};
    weft_tls_options options = {.ca_pem = t_cert_only(&t_certs()->ca)};
    if (client_cert != NULL)
        options.cert_pem = t_cert_with_key(client_cert);
    T_OK(weft_tls_context_new(&client.context, &options));
    T_OK(weft_tls_context_new(
        &server.context, &(weft_tls_options){.role = WEFT_TLS_SERVER,
                                             .cert_pem = t_cert_with_key(server_cert),
                                             .ask = client_cert != NULL ? WEFT_TLS_ASK_REQUIRED : 0,
                                             .ca_pem = t_cert_only(&t_certs()->ca)}));
    T_OK(weft_stream_open_pair(&client.inner, &server.inner, 65536));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, side_open, &server);
    weft_group_spawn(&group, side_open, &client);
    T_OK(weft_group_close(&group));
    if (server.rc == 0) {
        if (name != NULL)
            *ret_name_rc = weft_tls_peer_name(&server.stream, name, len);
        weft_stream_close(&server.stream);
    }
    if (client.rc == 0)
        weft_stream_close(&client.stream);
    weft_tls_context_unref(client.context);
    weft_tls_context_unref(server.context);
    return client.rc;
}

static int
reach(const struct t_cert *cert, const char *host)
{
    return shake(cert, NULL, host, NULL, 0, NULL);
}

static struct t_cert *
cert_of(const char *name, const char *san)
{
    static struct t_cert cert;
    EVP_PKEY_free(cert.key);
    X509_free(cert.x509);
    t_cert_make(&cert, &(struct t_cert_wish){.name = name, .san = san, .issuer = &t_certs()->ca});
    return &cert;
}

TASK_TEST(tls_names, a_host_that_begins_with_a_dot_is_no_host)
{
    t_certs();
    T_ERR(-EINVAL, reach(cert_of("a", "DNS:a.example.org"), ".example.org"));
}

TASK_TEST(tls_names, a_wildcard_is_for_one_whole_label)
{
    T_OK(reach(cert_of("a", "DNS:*.example.org"), "www.example.org"));
    T_OK(reach(cert_of("a", "DNS:*.example.org"), "WWW.Example.org."));
    T_ERR(WEFT_E_TLS_VERIFY, reach(cert_of("a", "DNS:*.example.org"), "a.b.example.org"));
    T_ERR(WEFT_E_TLS_VERIFY, reach(cert_of("a", "DNS:*.example.org"), "example.org"));
    T_ERR(WEFT_E_TLS_VERIFY, reach(cert_of("a", "DNS:w*.example.org"), "www.example.org"));
}

TASK_TEST(tls_names, an_address_is_no_name_and_a_name_no_address)
{
    T_OK(reach(cert_of("a", "IP:127.0.0.1"), "127.0.0.1"));
    T_OK(reach(cert_of("a", "IP:::1"), "::1"));
    T_OK(reach(cert_of("a", "IP:::1"), "0:0:0:0:0:0:0:1"));
    T_ERR(WEFT_E_TLS_VERIFY, reach(cert_of("a", "DNS:127.0.0.1"), "127.0.0.1"));
    T_ERR(WEFT_E_TLS_VERIFY, reach(cert_of("127.0.0.1", NULL), "127.0.0.1"));
    T_ERR(WEFT_E_TLS_VERIFY, reach(cert_of("a", "IP:127.0.0.2"), "127.0.0.1"));
}

/* RFC 9525 6.3: a common name is text for people. */
TASK_TEST(tls_names, a_common_name_is_not_the_name_of_a_host)
{
    T_ERR(WEFT_E_TLS_VERIFY, reach(cert_of("www.example.org", NULL), "www.example.org"));
    T_ERR(WEFT_E_TLS_VERIFY,
          reach(cert_of("www.example.org", "DNS:b.example.org"), "www.example.org"));
}

/* A name with a zero byte in it, as the only one of a certificate. */
static struct t_cert *
cert_of_bytes(const char *name, size_t len, bool common)
{
    struct t_cert *cert = cert_of("x", NULL);
    if (common) {
        X509_NAME *subject = X509_NAME_new();
        cr_assert(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                             (const unsigned char *)name, (int)len, -1, 0) == 1);
        cr_assert(X509_set_subject_name(cert->x509, subject) == 1);
        X509_NAME_free(subject);
    } else {
        GENERAL_NAMES *names = GENERAL_NAMES_new();
        GENERAL_NAME *one = GENERAL_NAME_new();
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        cr_assert(ASN1_STRING_set(text, name, (int)len) == 1);
        GENERAL_NAME_set0_value(one, GEN_DNS, text);
        sk_GENERAL_NAME_push(names, one);
        cr_assert(X509_add1_ext_i2d(cert->x509, NID_subject_alt_name, names, 0, 0) == 1);
        GENERAL_NAMES_free(names);
    }
    cr_assert(X509_sign(cert->x509, t_certs()->ca.key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    cr_assert(PEM_write_bio_X509(bio, cert->x509) == 1);
    cert->cert_len = (size_t)BIO_pending(bio);
    cr_assert(PEM_write_bio_PKCS8PrivateKey(bio, cert->key, NULL, NULL, 0, NULL, NULL) == 1);
    cert->len = (size_t)BIO_read(bio, cert->pem, sizeof cert->pem - 1);
    BIO_free(bio);
    return cert;
}

TASK_TEST(tls_names, a_zero_byte_does_not_end_a_name)
{
    char name[64] = "";
    int rc = 0;
    T_ERR(WEFT_E_TLS_VERIFY,
          reach(cert_of_bytes("localhost\0.evil.example", 23, false), "localhost"));
    T_OK(shake(&t_certs()->server, cert_of_bytes("boss\0.evil.example", 18, false), "localhost",
               name, sizeof name, &rc));
    cr_assert(rc == -ENOENT, "%d '%s'", rc, name);
    T_OK(shake(&t_certs()->server, cert_of_bytes("boss\0.evil.example", 18, true), "localhost",
               name, sizeof name, &rc));
    cr_assert(rc == -ENOENT, "%d '%s'", rc, name);
}

/* ---- Sessions ------------------------------------------------------------------------------- */

static int
choose(void *arg, const char *name, weft_tls_context **ret_context)
{
    weft_tls_context *const *now = arg;
    (void)name;
    *ret_context = weft_tls_context_ref(*now);
    return 0;
}

/* One connection with a line from the server, by which a ticket has come too. */
static void
visit(weft_tls_context *client_context, weft_tls_context *server_context, int *ret_server_rc,
      int *ret_resumed)
{
    struct side client = {.host = "localhost", .context = client_context};
    struct side server = {.host = NULL, .context = server_context};
    T_OK(weft_stream_open_pair(&client.inner, &server.inner, 65536));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, side_open, &server);
    weft_group_spawn(&group, side_open, &client);
    T_OK(weft_group_close(&group));
    *ret_server_rc = server.rc;
    *ret_resumed = server.rc == 0 ? weft_tls_resumed(&server.stream) : 0;
    if (server.rc == 0) {
        weft_bytes line;
        T_OK(weft_stream_write_all(&server.stream, "hello\n", 6, NULL));
        cr_assert(weft_stream_read_line(&client.stream, &line) == 1);
        weft_stream_close(&server.stream);
    }
    if (client.rc == 0)
        weft_stream_close(&client.stream);
}

static void
visit_two(weft_tls_version version)
{
    weft_tls_context *client, *front, *open, *strict, *now;
    T_OK(weft_tls_context_new(&client, &(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca),
                                                           .version_max = version}));
    T_OK(weft_tls_context_new(&front, &(weft_tls_options){.role = WEFT_TLS_SERVER,
                                                          .choose = choose,
                                                          .choose_arg = (void *)&now}));
    weft_tls_options options = {.role = WEFT_TLS_SERVER,
                                .cert_pem = t_cert_with_key(&t_certs()->server),
                                .ca_pem = t_cert_only(&t_certs()->ca)};
    T_OK(weft_tls_context_new(&open, &options));
    options.ask = WEFT_TLS_ASK_REQUIRED;
    T_OK(weft_tls_context_new(&strict, &options));
    int rc, resumed;
    now = open;
    visit(client, front, &rc, &resumed);
    cr_assert(rc == 0 && !resumed);
    visit(client, front, &rc, &resumed);
    cr_assert(rc == 0 && resumed);
    now = strict;
    visit(client, front, &rc, &resumed);
    cr_assert(rc == WEFT_E_TLS_VERIFY && !resumed, "%d", rc);
    weft_tls_context_unref(client);
    weft_tls_context_unref(front);
    weft_tls_context_unref(open);
    weft_tls_context_unref(strict);
}

TASK_TEST(tls_names, a_ticket_for_one_name_opens_no_door_that_asks_for_certificates)
{
    visit_two(WEFT_TLS_1_3);
    visit_two(WEFT_TLS_1_2);
}
