/*
 * test_tls.c - TLS streams: who is trusted, what is agreed, what arrives, and how it ends.
 *
 * Most tests have both ends on streams in memory, in one loop with the virtual clock: what would
 * wait for ever is reported there as a deadlock.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>

#include <weft/scope.h>
#include <weft/stream.h>
#include <weft/time.h>
#include <weft/tls.h>

#include "io/t_io.h"
#include "io/tls_priv.h"
#include "t_cert.h"

TestSuite(tls, .timeout = 120);

/* ---- Contexts and connections -------------------------------------------------------------- */

static weft_tls_context *
context_of(const weft_tls_options *options)
{
    weft_tls_context *context = NULL;
    T_OK(weft_tls_context_new(&context, options));
    return context;
}

/* A server for localhost, and a client that trusts its authority. */
static weft_tls_context *
server_of(const struct t_cert *cert)
{
    return context_of(
        &(weft_tls_options){.role = WEFT_TLS_SERVER, .cert_pem = t_cert_with_key(cert)});
}

static weft_tls_context *
client_usual(void)
{
    return context_of(&(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca)});
}

struct side {
    weft_stream inner, stream;
    weft_tls_context *context;
    const char *host; /* of clients */
    int rc;
    char text[192];
};

/* Both ends; who fails hangs up. */
struct ends {
    struct side client, server;
};

static int
side_open(void *arg)
{
    struct side *side = arg;
    side->rc = side->context->role == WEFT_TLS_CLIENT
                   ? weft_tls_client(&side->stream, &side->inner, side->context, side->host)
                   : weft_tls_server(&side->stream, &side->inner, side->context);
    snprintf(side->text, sizeof side->text, "%s", side->rc < 0 ? weft_error_text() : "");
    if (side->rc < 0)
        weft_stream_close(&side->inner);
    return 0;
}

/* Takes the contexts over. */
static int
ends_open(struct ends *ends, weft_tls_context *client, weft_tls_context *server, const char *host)
{
    ends->client.context = client;
    ends->client.host = host;
    ends->server.context = server;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, side_open, &ends->server);
    weft_group_spawn(&group, side_open, &ends->client);
    int rc = weft_group_close(&group);
    weft_tls_context_unref(client);
    weft_tls_context_unref(server);
    return rc;
}

static void
ends_shake(struct ends *ends, weft_tls_context *client, weft_tls_context *server, size_t capacity)
{
    memset(ends, 0, sizeof *ends);
    T_OK(weft_stream_open_pair(&ends->client.inner, &ends->server.inner, capacity));
    T_OK(ends_open(ends, client, server, "localhost"));
    cr_assert(ends->client.rc == 0, "client: %d %s", ends->client.rc, ends->client.text);
    cr_assert(ends->server.rc == 0, "server: %d %s", ends->server.rc, ends->server.text);
}

static void
ends_close(struct ends *ends)
{
    weft_stream_close(&ends->client.stream);
    weft_stream_close(&ends->server.stream);
}

/* A line there and back. */
static void
ends_talk(struct ends *ends)
{
    weft_bytes line;
    T_OK(weft_stream_write_all(&ends->client.stream, "hello\n", 6, NULL));
    cr_assert(weft_stream_read_line(&ends->server.stream, &line) == 1);
    cr_assert(line.len == 5 && memcmp(line.data, "hello", 5) == 0);
    T_OK(weft_stream_write_all(&ends->server.stream, "there\n", 6, NULL));
    cr_assert(weft_stream_read_line(&ends->client.stream, &line) == 1, "%s", weft_error_text());
    cr_assert(line.len == 5 && memcmp(line.data, "there", 5) == 0);
}

static void
ends_usual(struct ends *ends, size_t capacity)
{
    ends_shake(ends, client_usual(), server_of(&t_certs()->server), capacity);
}

TASK_TEST(tls, lines_go_both_ways)
{
    struct ends ends;
    ends_usual(&ends, 0);
    cr_assert_str_eq(weft_tls_protocol(&ends.client.stream), "TLSv1.3");
    cr_assert(weft_tls_cipher(&ends.server.stream) != NULL);
    cr_assert_str_eq(weft_tls_server_name(&ends.server.stream), "localhost");
    cr_assert_str_eq(weft_tls_alpn(&ends.server.stream), "");
    T_ERR(-EOPNOTSUPP, weft_stream_raw(&ends.client.stream));
    ends_talk(&ends);
    ends_close(&ends);
    cr_assert(weft_tls_protocol(&ends.client.stream) == NULL);
    cr_assert(ends.client.inner.transport == NULL, "closing it closes the stream below");
}

TASK_TEST(tls, version_1_2_is_spoken_where_the_newer_one_is_not)
{
    struct ends ends;
    ends_shake(&ends,
               context_of(&(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca),
                                              .version_max = WEFT_TLS_1_2}),
               server_of(&t_certs()->server), 0);
    cr_assert_str_eq(weft_tls_protocol(&ends.server.stream), "TLSv1.2");
    ends_talk(&ends);
    ends_close(&ends);
}

static void
tcp_inner(struct side *client, struct side *server)
{
    weft_fd fds[2];
    t_tcp_pair(&fds[0], &fds[1]);
    T_OK(weft_stream_open_fd(&client->inner, weft_fd_release(&fds[0])));
    T_OK(weft_stream_open_fd(&server->inner, weft_fd_release(&fds[1])));
}

TASK_TEST(tls, it_works_over_tcp)
{
    struct ends ends = {0};
    tcp_inner(&ends.client, &ends.server);
    T_OK(ends_open(&ends, client_usual(), server_of(&t_certs()->server), "127.0.0.1"));
    T_OK(ends.client.rc);
    T_OK(ends.server.rc);
    cr_assert_str_eq(weft_tls_server_name(&ends.server.stream), "", "addresses are not sent");
    ends_talk(&ends);
    ends_close(&ends);
}

/* ---- Who is trusted ------------------------------------------------------------------------ */

static void
refused_by_client(const struct t_cert *cert, const char *host, const char *text)
{
    struct ends ends = {0};
    T_OK(weft_stream_open_pair(&ends.client.inner, &ends.server.inner, 0));
    T_OK(ends_open(&ends, client_usual(), server_of(cert), host));
    cr_assert(ends.client.rc == WEFT_E_TLS_VERIFY, "%d %s", ends.client.rc, ends.client.text);
    cr_assert(strstr(ends.client.text, text) != NULL, "it says: %s", ends.client.text);
    T_ERR(WEFT_E_TLS, ends.server.rc);
    cr_assert(strstr(ends.server.text, "the peer says: ") != NULL, "%s", ends.server.text);
}

TASK_TEST(tls, a_certificate_that_is_not_accepted_is_named)
{
    const struct t_certs *certs = t_certs();
    refused_by_client(&certs->expired, "localhost", "the certificate of localhost expired on 20");
    refused_by_client(&certs->early, "localhost", "localhost is not valid before 20");
    refused_by_client(&certs->elsewhere, "localhost",
                      "the certificate is for a.example, b.example, not for localhost");
    refused_by_client(&certs->server, "10.0.0.1",
                      "the certificate is for localhost, 127.0.0.1, not for 10.0.0.1");
    refused_by_client(&certs->alone, "localhost", "localhost is self-signed");
    refused_by_client(&certs->by_other, "localhost", "unknown issuer, Other Authority");
}

TASK_TEST(tls, a_dot_at_the_end_of_a_name_is_nothing)
{
    struct ends ends = {0};
    T_OK(weft_stream_open_pair(&ends.client.inner, &ends.server.inner, 0));
    T_OK(ends_open(&ends, client_usual(), server_of(&t_certs()->server), "localhost."));
    T_OK(ends.client.rc);
    ends_close(&ends);
}

TASK_TEST(tls, an_insecure_client_takes_anybody)
{
    struct ends ends = {0};
    T_OK(weft_stream_open_pair(&ends.client.inner, &ends.server.inner, 0));
    T_OK(ends_open(&ends, context_of(&(weft_tls_options){.insecure = 1}),
                   server_of(&t_certs()->expired), NULL));
    T_OK(ends.client.rc);
    T_OK(ends.server.rc);
    ends_talk(&ends);
    ends_close(&ends);
}

TASK_TEST(tls, the_systems_store_does_not_know_our_authority)
{
    struct ends ends = {0};
    T_OK(weft_stream_open_pair(&ends.client.inner, &ends.server.inner, 0));
    T_OK(ends_open(&ends, context_of(NULL), server_of(&t_certs()->server), "localhost"));
    T_ERR(WEFT_E_TLS_VERIFY, ends.client.rc);
}

static weft_tls_context *
asking_server(weft_tls_ask ask)
{
    return context_of(&(weft_tls_options){.role = WEFT_TLS_SERVER,
                                          .cert_pem = t_cert_with_key(&t_certs()->server),
                                          .ca_pem = t_cert_only(&t_certs()->ca),
                                          .ask = ask});
}

static weft_tls_context *
client_with(const struct t_cert *cert, weft_tls_version version)
{
    return context_of(&(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca),
                                          .cert_pem = t_cert_with_key(cert),
                                          .version_max = version});
}

TASK_TEST(tls, a_client_shows_its_certificate)
{
    for (int version = WEFT_TLS_1_2; version <= WEFT_TLS_1_3; version++) {
        struct ends ends;
        ends_shake(&ends, client_with(&t_certs()->client, (weft_tls_version)version),
                   asking_server(WEFT_TLS_ASK_REQUIRED), 0);
        char text[64], little[3];
        cr_assert(weft_tls_peer_name(&ends.server.stream, text, sizeof text) == 3);
        cr_assert_str_eq(text, "ann");
        cr_assert(weft_tls_peer_subject(&ends.server.stream, text, sizeof text) == 6);
        cr_assert_str_eq(text, "CN=ann");
        cr_assert(weft_tls_peer_name(&ends.server.stream, little, sizeof little) == 3);
        cr_assert_str_eq(little, "an");
        cr_assert(weft_tls_peer_name(&ends.client.stream, text, sizeof text) == 9);
        cr_assert_str_eq(text, "localhost");
        ends_talk(&ends);
        ends_close(&ends);
    }
}

TASK_TEST(tls, a_client_without_certificate_is_refused_where_one_is_required)
{
    struct ends ends = {0};
    T_OK(weft_stream_open_pair(&ends.client.inner, &ends.server.inner, 0));
    T_OK(ends_open(&ends, client_usual(), asking_server(WEFT_TLS_ASK_REQUIRED), "localhost"));
    T_ERR(WEFT_E_TLS_VERIFY, ends.server.rc);
    cr_assert_str_eq(ends.server.text, "the client showed no certificate");
    T_OK(ends.client.rc); /* it learns of it when it reads */
    char byte;
    T_ERR(WEFT_E_TLS, weft_stream_read(&ends.client.stream, &byte, 1));
    cr_assert(strstr(weft_error_text(), "the peer says: certificate required") != NULL, "%s",
              weft_error_text());
    T_ERR(WEFT_E_TLS, weft_stream_read(&ends.client.stream, &byte, 1));
    weft_stream_close(&ends.client.stream);

    ends_shake(&ends, client_usual(), asking_server(WEFT_TLS_ASK_OPTIONAL), 0);
    T_ERR(-ENOENT, weft_tls_peer_name(&ends.server.stream, &byte, 1));
    ends_talk(&ends);
    ends_close(&ends);
}

TASK_TEST(tls, a_clients_certificate_by_somebody_else_is_refused)
{
    struct ends ends = {0};
    T_OK(weft_stream_open_pair(&ends.client.inner, &ends.server.inner, 0));
    T_OK(ends_open(&ends, client_with(&t_certs()->by_other, WEFT_TLS_1_2),
                   asking_server(WEFT_TLS_ASK_OPTIONAL), "localhost"));
    T_ERR(WEFT_E_TLS_VERIFY, ends.server.rc);
    T_ERR(WEFT_E_TLS, ends.client.rc);
    cr_assert(strstr(ends.client.text, "the peer says: unknown CA") != NULL, "%s",
              ends.client.text);
}

/* ---- What is agreed ------------------------------------------------------------------------ */

static weft_tls_context *
client_alpn(const char *const *names)
{
    return context_of(&(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca), .alpn = names});
}

static weft_tls_context *
server_alpn(const char *const *names)
{
    return context_of(&(weft_tls_options){
        .role = WEFT_TLS_SERVER, .cert_pem = t_cert_with_key(&t_certs()->server), .alpn = names});
}

TASK_TEST(tls, the_servers_favourite_protocol_is_chosen)
{
    struct ends ends;
    ends_shake(&ends, client_alpn((const char *const[]){"spdy/3", "http/1.1", "h2", NULL}),
               server_alpn((const char *const[]){"h2", "http/1.1", NULL}), 0);
    cr_assert_str_eq(weft_tls_alpn(&ends.client.stream), "h2");
    cr_assert_str_eq(weft_tls_alpn(&ends.server.stream), "h2");
    ends_close(&ends);

    ends_shake(&ends, client_usual(), server_alpn((const char *const[]){"h2", NULL}), 0);
    cr_assert_str_eq(weft_tls_alpn(&ends.server.stream), "");
    ends_close(&ends);
}

TASK_TEST(tls, without_a_protocol_in_common_there_is_no_connection)
{
    struct ends ends = {0};
    T_OK(weft_stream_open_pair(&ends.client.inner, &ends.server.inner, 0));
    T_OK(ends_open(&ends, client_alpn((const char *const[]){"h2", NULL}),
                   server_alpn((const char *const[]){"http/1.1", NULL}), "localhost"));
    T_ERR(WEFT_E_TLS, ends.client.rc);
    T_ERR(WEFT_E_TLS, ends.server.rc);
    cr_assert(strstr(ends.client.text, "no application protocol") != NULL, "%s", ends.client.text);
    cr_assert(strstr(ends.server.text, "ALPN") != NULL, "%s", ends.server.text);
}

struct chooser {
    weft_tls_context *context;
    int rc;
    char name[64];
};

static int
choose(void *arg, const char *name, weft_tls_context **ret_context)
{
    struct chooser *chooser = arg;
    snprintf(chooser->name, sizeof chooser->name, "%s", name);
    if (chooser->context != NULL)
        *ret_context = weft_tls_context_ref(chooser->context);
    return chooser->rc;
}

static weft_tls_context *
choosing_server(struct chooser *chooser)
{
    return context_of(&(weft_tls_options){.role = WEFT_TLS_SERVER,
                                          .cert_pem = t_cert_with_key(&t_certs()->elsewhere),
                                          .choose = choose,
                                          .choose_arg = chooser});
}

TASK_TEST(tls, a_server_chooses_its_context_by_name)
{
    struct ends ends;
    struct chooser chooser = {.context = asking_server(WEFT_TLS_ASK_OPTIONAL)};
    ends_shake(&ends, client_with(&t_certs()->client, 0), choosing_server(&chooser), 0);
    cr_assert_str_eq(chooser.name, "localhost");
    char text[64];
    cr_assert(weft_tls_peer_name(&ends.server.stream, text, sizeof text) == 3, "it asks as well");
    weft_tls_context_unref(chooser.context); /* the connection has its own count */
    ends_talk(&ends);
    ends_close(&ends);
}

TASK_TEST(tls, a_server_refuses_a_name)
{
    struct chooser chooser = {.rc = -ENOENT};
    struct ends ends = {0};
    T_OK(weft_stream_open_pair(&ends.client.inner, &ends.server.inner, 0));
    T_OK(ends_open(&ends, client_usual(), choosing_server(&chooser), "localhost"));
    T_ERR(WEFT_E_TLS, ends.server.rc);
    T_ERR(WEFT_E_TLS, ends.client.rc);
    cr_assert(strstr(ends.client.text, "the peer says: unrecognized name") != NULL, "%s",
              ends.client.text);
}

/* ---- Sessions ------------------------------------------------------------------------------ */

static void
resumes(weft_tls_context *client, weft_tls_context *server, bool expected)
{
    for (int i = 0; i < 3; i++) {
        struct ends ends;
        ends_shake(&ends, weft_tls_context_ref(client), weft_tls_context_ref(server), 0);
        bool resumed = weft_tls_resumed(&ends.client.stream) == 1;
        cr_assert(resumed == (expected && i > 0), "connection %d: resumed %d", i, resumed);
        cr_assert(weft_tls_resumed(&ends.server.stream) == resumed);
        ends_talk(&ends); /* tickets are read with data */
        ends_close(&ends);
    }
    weft_tls_context_unref(client);
    weft_tls_context_unref(server);
}

TASK_TEST(tls, sessions_are_resumed)
{
    resumes(client_usual(), server_of(&t_certs()->server), true);
    resumes(context_of(&(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca),
                                           .version_max = WEFT_TLS_1_2}),
            server_of(&t_certs()->server), true);
    resumes(client_with(&t_certs()->client, 0), asking_server(WEFT_TLS_ASK_REQUIRED), true);
}

TASK_TEST(tls, sessions_are_not_resumed_where_they_are_not_wanted)
{
    resumes(
        context_of(&(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca), .no_sessions = 1}),
        server_of(&t_certs()->server), false);
    resumes(client_usual(),
            context_of(&(weft_tls_options){.role = WEFT_TLS_SERVER,
                                           .cert_pem = t_cert_with_key(&t_certs()->server),
                                           .no_sessions = 1}),
            false);
}

/* Else the second one's question for a certificate could be gone round. */
TASK_TEST(tls, a_session_of_one_context_is_not_resumed_by_another_one)
{
    for (int version = WEFT_TLS_1_2; version <= WEFT_TLS_1_3; version++) {
        struct chooser chooser = {.context = server_of(&t_certs()->server)};
        weft_tls_context *server = choosing_server(&chooser);
        weft_tls_context *client = context_of(&(weft_tls_options){
            .ca_pem = t_cert_only(&t_certs()->ca), .version_max = (weft_tls_version)version});
        struct ends ends;
        ends_shake(&ends, weft_tls_context_ref(client), weft_tls_context_ref(server), 0);
        ends_talk(&ends);
        ends_close(&ends);
        weft_tls_context_unref(chooser.context);

        chooser.context = asking_server(WEFT_TLS_ASK_OPTIONAL);
        ends_shake(&ends, client, server, 0);
        cr_assert(weft_tls_resumed(&ends.server.stream) == 0);
        ends_close(&ends);
        weft_tls_context_unref(chooser.context);
    }
}

TASK_TEST(tls, tickets_of_many_hosts_are_kept_within_a_limit)
{
    weft_tls_context *client = client_usual();
    for (int i = 0; i < WEFT__TLS_SESSIONS + 50; i++) {
        char name[32];
        snprintf(name, sizeof name, "host%d", i);
        for (int j = 0; j < WEFT__TLS_TICKETS + 1; j++)
            weft__tls_session_keep(client->sessions, name, SSL_SESSION_new());
    }
    cr_assert(client->sessions->n_hosts == WEFT__TLS_SESSIONS);
    cr_assert(weft__tls_session_find(client->sessions, "host1") == NULL);
    SSL_SESSION *session = weft__tls_session_find(client->sessions, "host300");
    cr_assert(session != NULL);
    SSL_SESSION_free(session);
    weft_tls_context_unref(client);
}

/* ---- Options ------------------------------------------------------------------------------- */

static void
refuses(int code, const char *text, weft_tls_options options)
{
    weft_tls_context *context = NULL;
    T_ERR(code, weft_tls_context_new(&context, &options));
    cr_assert(context == NULL);
    cr_assert(strstr(weft_error_text(), text) != NULL, "it says: %s", weft_error_text());
}

Test(tls, options_that_cannot_be_are_refused_in_words)
{
    const struct t_certs *certs = t_certs();
    weft_bytes server = t_cert_with_key(&certs->server), nothing = {.data = "nothing", .len = 7};
    refuses(-EINVAL, "a server has a certificate", (weft_tls_options){.role = WEFT_TLS_SERVER});
    refuses(-EINVAL, "clients may have",
            (weft_tls_options){.role = WEFT_TLS_SERVER, .cert_pem = server, .ask = 2});
    refuses(-EINVAL, "neither asks", (weft_tls_options){.ask = WEFT_TLS_ASK_REQUIRED});
    refuses(-EINVAL, "without its certificate", (weft_tls_options){.key_file = "/none"});
    refuses(-EINVAL, "given twice", (weft_tls_options){.cert_file = "x", .cert_pem = server});
    refuses(-EINVAL, "role", (weft_tls_options){.role = 7});
    refuses(-EINVAL, "version", (weft_tls_options){.insecure = 1, .version_min = 5});
    refuses(-EINVAL, "ALPN",
            (weft_tls_options){.insecure = 1, .alpn = (const char *const[]){"", NULL}});
    refuses(-ENOENT, "authorities /none/ca: no such file",
            (weft_tls_options){.ca_file = "/none/ca"});
    refuses(-ENOENT, "certificate /none/cert", (weft_tls_options){.cert_file = "/none/cert"});
    refuses(WEFT_E_TLS, "no certificate is in it", (weft_tls_options){.ca_pem = nothing});
    refuses(WEFT_E_TLS, "private key",
            (weft_tls_options){.insecure = 1, .cert_pem = t_cert_only(&certs->server)});
    refuses(WEFT_E_TLS, "key values mismatch",
            (weft_tls_options){.insecure = 1,
                               .cert_pem = t_cert_only(&certs->server),
                               .key_pem = t_cert_with_key(&certs->client)});
    refuses(WEFT_E_TLS, "private key",
            (weft_tls_options){.insecure = 1, .cert_pem = t_cert_with_key(&certs->locked)});
    refuses(WEFT_E_TLS, "private key",
            (weft_tls_options){.insecure = 1,
                               .cert_pem = t_cert_with_key(&certs->locked),
                               .key_password = "wrong"});
    refuses(WEFT_E_TLS, "ciphers", (weft_tls_options){.insecure = 1, .ciphers = "NO-SUCH"});
    refuses(WEFT_E_TLS, "ciphersuites",
            (weft_tls_options){.insecure = 1, .ciphersuites = "NO_SUCH"});
    weft_tls_context_unref(NULL);
}

Test(tls, files_and_a_locked_key_are_read)
{
    const struct t_cert *cert = &t_certs()->locked;
    char path[] = "/tmp/weft-tls-XXXXXX";
    int file = mkstemp(path);
    cr_assert(file >= 0);
    cr_assert(write(file, cert->pem, cert->len) == (ssize_t)cert->len);
    close(file);
    weft_tls_context *context = context_of(&(weft_tls_options){.role = WEFT_TLS_SERVER,
                                                               .cert_file = path,
                                                               .ca_file = path,
                                                               .ca_dir = "/tmp",
                                                               .ask = WEFT_TLS_ASK_OPTIONAL,
                                                               .key_password = "sesame"});
    weft_tls_context_unref(context);
    unlink(path);
}

TASK_TEST(tls, a_context_is_used_by_whom_it_is_for)
{
    weft_stream a, b, tls;
    weft_tls_context *client = client_usual(), *server = server_of(&t_certs()->server);
    T_OK(weft_stream_open_pair(&a, &b, 0));
    T_ERR(-EINVAL, weft_tls_client(&tls, &a, server, "localhost"));
    T_ERR(-EINVAL, weft_tls_server(&tls, &a, client));
    T_ERR(-EINVAL, weft_tls_client(&tls, &a, client, NULL));
    T_ERR(-EINVAL, weft_tls_client(&tls, &a, client, ""));
    weft_stream_close(&a);
    weft_stream_close(&b);
    T_ERR(-EBADF, weft_tls_client(&tls, &a, client, "localhost"));
    weft_tls_context_unref(client);
    weft_tls_context_unref(server);
}

/* ---- Ends ---------------------------------------------------------------------------------- */

TASK_TEST(tls, after_a_good_bye_the_other_way_goes_on)
{
    struct ends ends;
    char byte;
    ends_usual(&ends, 0);
    T_OK(weft_stream_shutdown(&ends.client.stream));
    T_OK(weft_stream_shutdown(&ends.client.stream));
    T_ERR(-EPIPE, weft_stream_write(&ends.client.stream, "x", 1));
    T_ERR(0, weft_stream_read(&ends.server.stream, &byte, 1));
    T_ERR(0, weft_stream_read(&ends.server.stream, &byte, 1));
    T_OK(weft_stream_write_all(&ends.server.stream, "y", 1, NULL));
    /* Before it there is a ticket to read. */
    T_ERR(1, weft_stream_read(&ends.client.stream, &byte, 1));
    cr_assert(byte == 'y');
    T_OK(weft_stream_shutdown(&ends.server.stream));
    T_ERR(0, weft_stream_read(&ends.client.stream, &byte, 1));
    ends_close(&ends);
}

TASK_TEST(tls, a_connection_that_is_cut_is_no_clean_end)
{
    struct ends ends;
    char bytes[16];
    ends_usual(&ends, 0);
    T_OK(weft_stream_write_all(&ends.server.stream, "part", 4, NULL));
    weft_stream_close(&ends.server.stream);
    T_ERR(4, weft_stream_read(&ends.client.stream, bytes, sizeof bytes));
    T_ERR(WEFT_E_TLS_CUT, weft_stream_read(&ends.client.stream, bytes, sizeof bytes));
    T_ERR(WEFT_E_TLS_CUT, weft_stream_read(&ends.client.stream, bytes, sizeof bytes));
    T_ERR(WEFT_E_TLS_CUT, weft_stream_write(&ends.client.stream, "x", 1));
    weft_stream_close(&ends.client.stream);
}

/* A peer that is not one: it writes this, and reads what comes. */
static int
stranger(weft_stream *inner, const char *text, size_t len)
{
    char bytes[512];
    int rc = weft_stream_write_all(inner, text, len, NULL);
    if (rc == 0)
        rc = weft_stream_shutdown(inner);
    while (rc == 0 && weft_stream_read(inner, bytes, sizeof bytes) > 0)
        continue;
    return rc;
}

static int
read_raw(void *arg)
{
    char bytes[512];
    ssize_t n;
    while ((n = weft_stream_read(arg, bytes, sizeof bytes)) > 0)
        continue;
    return (int)n;
}

static void
met_by(struct side *side, const char *text, size_t len)
{
    weft_stream other;
    memset(&side->stream, 0, sizeof side->stream);
    T_OK(weft_stream_open_pair(&side->inner, &other, 0));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, side_open, side);
    weft_ignore(stranger(&other, text, len));
    T_OK(weft_group_close(&group));
    weft_stream_close(&other);
}

TASK_TEST(tls, strangers_are_told_apart)
{
    struct side server = {.context = server_of(&t_certs()->server)};
    met_by(&server, "GET / HTTP/1.1\r\n\r\n", 18);
    T_ERR(WEFT_E_TLS, server.rc);
    cr_assert(strstr(server.text, "HTTP without TLS") != NULL, "%s", server.text);
    met_by(&server, "SSH-2.0-OpenSSH_9.2\r\n", 21);
    T_ERR(WEFT_E_TLS, server.rc);
    met_by(&server, "", 0);
    T_ERR(WEFT_E_TLS_CUT, server.rc);
    met_by(&server, "\x16\x03\x01\x02", 4);
    T_ERR(WEFT_E_TLS_CUT, server.rc);
    met_by(&server, "\x16\x03\x01\xff\xff too much", 14);
    T_ERR(WEFT_E_TLS, server.rc);
    weft_tls_context_unref(server.context);

    struct side client = {.context = client_usual(), .host = "localhost"};
    met_by(&client, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    T_ERR(WEFT_E_TLS, client.rc);
    cr_assert(strstr(client.text, "does not speak TLS") != NULL, "%s", client.text);
    met_by(&client, "", 0);
    T_ERR(WEFT_E_TLS_CUT, client.rc);
    weft_tls_context_unref(client.context);
}

TASK_TEST(tls, garbage_after_the_handshake_ends_it)
{
    struct ends ends;
    char byte;
    ends_usual(&ends, 0);
    T_OK(weft_stream_write_all(&ends.server.inner, "not a record at all", 19, NULL));
    T_ERR(WEFT_E_TLS, weft_stream_read(&ends.client.stream, &byte, 1));
    cr_assert(weft_error_text()[0] != '\0');
    T_ERR(WEFT_E_TLS, weft_stream_read(&ends.server.stream, &byte, 1)); /* an alert */
    ends_close(&ends);
}

TASK_TEST(tls, a_reset_in_the_middle_of_a_handshake_is_told)
{
    weft_fd fd;
    struct side server = {.context = server_of(&t_certs()->server)};
    int raw = t_tcp_half(&fd);
    T_OK(weft_stream_open_fd(&server.inner, weft_fd_release(&fd)));
    cr_assert(write(raw, "\x16\x03\x01", 3) == 3);
    weft_task *task = t_start(side_open, &server);
    t_reset(raw);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-ECONNRESET, server.rc);
    weft_tls_context_unref(server.context);
}

struct reading {
    weft_stream *stream;
    ssize_t rc;
};

static int
reading_main(void *arg)
{
    struct reading *reading = arg;
    char byte;
    reading->rc = weft_stream_read(reading->stream, &byte, 1);
    return 0;
}

TASK_TEST(tls, closing_wakes_who_waits)
{
    struct ends ends;
    ends_usual(&ends, 0);
    struct reading reading = {.stream = &ends.server.stream};
    weft_task *task = t_start(reading_main, &reading);
    weft_stream_close(&ends.server.stream);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-EBADF, reading.rc);
    weft_stream_close(&ends.client.stream);
}

TASK_TEST(tls, a_context_is_replaced_while_connections_of_the_old_one_go_on)
{
    struct ends before, after;
    weft_tls_context *client = client_usual(), *old = server_of(&t_certs()->server);
    ends_shake(&before, weft_tls_context_ref(client), weft_tls_context_ref(old), 0);
    weft_tls_context *renewed = server_of(&t_certs()->server);
    weft_tls_context_unref(old);
    ends_shake(&after, client, renewed, 0);
    ends_talk(&before);
    ends_talk(&after);
    ends_close(&before);
    ends_close(&after);
}

/* ---- Before TLS ---------------------------------------------------------------------------- */

static int
upgrading_client(void *arg)
{
    struct side *side = arg;
    T_OK(weft_stream_write_all(&side->inner, "STARTTLS\n", 9, NULL));
    return side_open(side);
}

TASK_TEST(tls, what_the_stream_below_has_read_already_is_read_first)
{
    struct ends ends = {.client = {.context = client_usual(), .host = "localhost"},
                        .server = {.context = server_of(&t_certs()->server)}};
    T_OK(weft_stream_open_pair(&ends.client.inner, &ends.server.inner, 0));
    weft_task *task = t_start(upgrading_client, &ends.client);
    weft_bytes line;
    cr_assert(weft_stream_read_line(&ends.server.inner, &line) == 1);
    cr_assert(weft_stream_buffered(&ends.server.inner).len > 100, "the client said hello already");
    side_open(&ends.server);
    T_OK(ends.server.rc);
    T_OK(weft_task_join(task, NULL));
    T_OK(ends.client.rc);
    ends_talk(&ends);
    ends_close(&ends);
    weft_tls_context_unref(ends.client.context);
    weft_tls_context_unref(ends.server.context);
}

/* ---- A transport that gives and takes one byte at a time ----------------------------------- */

static ssize_t
drip_read(weft_stream *stream, void *buf, size_t len)
{
    weft_stream *inner = stream->state;
    (void)len;
    return inner->transport->try_read(inner, buf, 1);
}

static ssize_t
drip_writev(weft_stream *stream, const struct iovec *vectors, int n)
{
    weft_stream *inner = stream->state;
    while (n > 1 && vectors->iov_len == 0)
        vectors++, n--;
    struct iovec one = {.iov_base = vectors->iov_base, .iov_len = 1};
    return inner->transport->try_writev(inner, &one, 1);
}

static int
drip_wait(weft_stream *stream, unsigned what)
{
    weft_stream *inner = stream->state;
    return inner->transport->wait(inner, what);
}

static void
drip_close(weft_stream *stream)
{
    weft_stream_close(stream->state);
}

static const weft_transport drip = {.name = "drip",
                                    .try_read = drip_read,
                                    .try_writev = drip_writev,
                                    .wait = drip_wait,
                                    .close = drip_close};

TASK_TEST(tls, one_byte_at_a_time_is_enough)
{
    for (size_t capacity = 1; capacity < 2000; capacity += 999) {
        weft_stream below[2];
        struct ends ends = {0};
        T_OK(weft_stream_open_pair(&below[0], &below[1], capacity));
        weft_stream_open(&ends.client.inner, &drip, &below[0]);
        weft_stream_open(&ends.server.inner, &drip, &below[1]);
        T_OK(ends_open(&ends, client_usual(), server_of(&t_certs()->server), "localhost"));
        T_OK(ends.client.rc);
        T_OK(ends.server.rc);
        if (capacity > 1)
            ends_talk(&ends);
        T_ERR(-EOPNOTSUPP, weft_stream_raw(&ends.client.stream));
        ends_close(&ends);
    }
}

/* What comes while the other side waits for room to write must not be waited for afterwards. */
TASK_TEST(tls, both_sides_may_talk_at_once_through_little_room)
{
    static const char hello[] = "\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03";
    struct side client = {.context = client_usual(), .host = "localhost"};
    weft_stream other;
    T_OK(weft_stream_open_pair(&client.inner, &other, 2));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, side_open, &client);
    weft_group_spawn(&group, read_raw, &other);
    weft_ignore(weft_stream_write_all(&other, hello, sizeof hello, NULL));
    T_OK(weft_stream_shutdown(&other));
    T_OK(weft_group_close(&group));
    T_ERR(WEFT_E_TLS_CUT, client.rc);
    weft_stream_close(&other);
    weft_tls_context_unref(client.context);
}

/* ---- Much ---------------------------------------------------------------------------------- */

/* One direction, as t_stream for descriptors. */
struct flow {
    weft_stream *from, *to;
    uint64_t seed;
    size_t len, chunk, sent, received;
    int key_updates; /* the sender asks for new keys now and then */
    bool wrong;
    int send_rc, receive_rc;
};

static int
flow_send(void *arg)
{
    struct flow *flow = arg;
    unsigned char *bytes = malloc(flow->chunk);
    flow->send_rc = 0;
    for (unsigned i = 0; flow->sent < flow->len && flow->send_rc == 0; i++) {
        size_t len = flow->len - flow->sent, written = 0;
        if (len > flow->chunk)
            len = flow->chunk;
        t_bytes_make(bytes, len, flow->seed, flow->sent);
        if (flow->key_updates && i % 5 == 4)
            SSL_key_update(((struct weft__tls *)flow->from->state)->ssl, SSL_KEY_UPDATE_REQUESTED);
        struct iovec vectors[3] = {
            {bytes, len / 3}, {bytes + len / 3, 0}, {bytes + len / 3, len - len / 3}};
        flow->send_rc = i % 2 ? weft_stream_writev(flow->from, vectors, 3, &written)
                              : weft_stream_write_all(flow->from, bytes, len, &written);
        flow->sent += written;
    }
    free(bytes);
    if (flow->send_rc == 0)
        flow->send_rc = weft_stream_shutdown(flow->from);
    return flow->send_rc;
}

static int
flow_receive(void *arg)
{
    struct flow *flow = arg;
    unsigned char *bytes = malloc(flow->chunk);
    ssize_t n;
    while ((n = weft_stream_read(flow->to, bytes, flow->chunk)) > 0) {
        if (!t_bytes_match(bytes, (size_t)n, flow->seed, flow->received))
            flow->wrong = true;
        flow->received += (size_t)n;
    }
    free(bytes);
    flow->receive_rc = (int)n;
    return (int)n;
}

static void
both_ways(struct ends *ends, struct flow flows[2])
{
    flows[0].from = flows[1].to = &ends->client.stream;
    flows[1].from = flows[0].to = &ends->server.stream;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 2; i++) {
        weft_group_spawn(&group, flow_send, &flows[i]);
        weft_group_spawn(&group, flow_receive, &flows[i]);
    }
    T_OK(weft_group_close(&group));
    for (int i = 0; i < 2; i++) {
        cr_assert(!flows[i].wrong, "a byte out of its place");
        cr_assert(flows[i].received == flows[i].len, "%zu of %zu", flows[i].received, flows[i].len);
    }
}

TASK_TEST(tls, ten_megabytes_go_both_ways_at_once)
{
    size_t len = 10000000 / T_SLOW;
    struct ends ends;
    struct flow flows[2] = {{.len = len, .chunk = 100000, .seed = 1},
                            {.len = len, .chunk = 33333, .seed = 2}};
    ends_usual(&ends, 0);
    both_ways(&ends, flows);
    ends_close(&ends);

    struct ends tcp = {0};
    struct flow more[2] = {{.len = len, .chunk = 100000, .seed = 1},
                           {.len = len, .chunk = 33333, .seed = 2}};
    tcp_inner(&tcp.client, &tcp.server);
    T_OK(ends_open(&tcp, client_usual(), server_of(&t_certs()->server), "localhost"));
    T_OK(tcp.client.rc);
    both_ways(&tcp, more);
    ends_close(&tcp);
}

TASK_TEST(tls, keys_are_changed_under_way)
{
    struct ends ends;
    struct flow flows[2] = {{.len = 300000, .chunk = 1000, .seed = 1, .key_updates = 1},
                            {.len = 300000, .chunk = 7000, .seed = 2, .key_updates = 1}};
    ends_usual(&ends, 1500);
    both_ways(&ends, flows);
    ends_close(&ends);
}

/* ---- Slow peers ---------------------------------------------------------------------------- */

TASK_TEST(tls, a_write_that_was_ended_says_how_much_is_on_its_way)
{
    for (size_t capacity = 100; capacity < 40000; capacity = capacity * 3 + 1) {
        struct ends ends;
        ends_usual(&ends, capacity);
        struct flow flow = {.from = &ends.client.stream,
                            .to = &ends.server.stream,
                            .seed = 7,
                            .len = SIZE_MAX,
                            .chunk = 50000};
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_MS(10));
        T_ERR(-ETIMEDOUT, flow_send(&flow)); /* nobody reads */
        T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
        cr_assert(flow.sent > 0);

        /* It goes on where it stopped, with other pieces. */
        flow.len = flow.sent + 12345;
        flow.chunk = 777;
        weft_group group;
        weft_group_open(&group, NULL);
        weft_group_spawn(&group, flow_receive, &flow);
        weft_group_spawn(&group, flow_send, &flow);
        T_OK(weft_group_close(&group));
        cr_assert(!flow.wrong);
        cr_assert(flow.received == flow.len, "%zu of %zu", flow.received, flow.len);
        ends_close(&ends);
    }
}

TASK_TEST(tls, the_rest_of_a_record_goes_out_although_its_writer_has_gone)
{
    struct ends ends;
    unsigned char bytes[9000], got[9000];
    t_bytes_make(bytes, sizeof bytes, 1, 0);
    ends_usual(&ends, 500);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(10));
    size_t written;
    /* All of it is one record: it is on its way. The next call looks at the scope. */
    T_OK(weft_stream_write_all(&ends.client.stream, bytes, sizeof bytes, &written));
    cr_assert(written == sizeof bytes);
    T_ERR(-ETIMEDOUT, weft_stream_write(&ends.client.stream, "x", 1));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    T_OK(weft_stream_read_exact(&ends.server.stream, got, sizeof got, NULL));
    cr_assert(memcmp(bytes, got, sizeof got) == 0);
    ends_talk(&ends);
    ends_close(&ends);
}

TASK_TEST(tls, closing_drops_the_rest_of_a_record)
{
    for (int yields = 0; yields < 3; yields++) {
        struct ends ends;
        char bytes[9000] = {0};
        ends_usual(&ends, 500);
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_MS(10));
        weft_ignore(weft_stream_write_all(&ends.client.stream, bytes, sizeof bytes, NULL));
        weft_scope_close(&scope);
        for (int i = 0; i < yields; i++)
            T_OK(weft_yield());
        weft_stream_close(&ends.client.stream);
        ssize_t n = weft_stream_read(&ends.server.stream, bytes, sizeof bytes);
        T_ERR(WEFT_E_TLS_CUT, n);
        weft_stream_close(&ends.server.stream);
    }
}

static int
ask_for_keys(void *arg)
{
    weft_stream *stream = arg;
    for (int i = 0; i < 5000; i++) {
        SSL_key_update(((struct weft__tls *)stream->state)->ssl, SSL_KEY_UPDATE_REQUESTED);
        int rc = weft_stream_write_all(stream, "x", 1, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

TASK_TEST(tls, a_peer_that_asks_and_never_reads_fills_no_memory)
{
    struct ends ends;
    ends_usual(&ends, 1000);
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_SEC(1)});
    weft_group_spawn(&group, ask_for_keys, &ends.client.stream);
    weft_group_spawn(&group, read_raw, &ends.server.stream);
    T_ERR(-ETIMEDOUT, weft_group_close(&group)); /* one waits for the other */
    const struct weft__tls *tls = ends.server.stream.state;
    cr_assert(tls->out_end - tls->out_begin < 70000, "%zu bytes", tls->out_end - tls->out_begin);
    ends_close(&ends);
}

TASK_TEST(tls, a_good_bye_that_a_scope_ended_goes_out_by_itself)
{
    struct ends ends;
    char byte;
    ends_usual(&ends, 10);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(10));
    T_ERR(-ETIMEDOUT, weft_stream_shutdown(&ends.client.stream)); /* nobody reads */
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    T_ERR(0, weft_stream_read(&ends.server.stream, &byte, 1));
    ends_close(&ends);
}

/* ---- A peer that only asks ----------------------------------------------------------------- */

/* Whenever the server has read all that there is, its client asks for new keys once more. */
struct asker {
    weft_stream *below;
    SSL *client;
    bool asks;
    int asked;
};

#define ASKED_MAX 5000

static ssize_t
asker_read(weft_stream *stream, void *buf, size_t len)
{
    struct asker *asker = stream->state;
    ssize_t n = asker->below->transport->try_read(asker->below, buf, len);
    if (n != -EAGAIN || !asker->asks || asker->asked == ASKED_MAX)
        return n;
    asker->asked++;
    SSL_key_update(asker->client, SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(asker->client);
    return asker->below->transport->try_read(asker->below, buf, len);
}

static ssize_t
asker_writev(weft_stream *stream, const struct iovec *vectors, int n)
{
    weft_stream *below = ((struct asker *)stream->state)->below;
    return below->transport->try_writev(below, vectors, n);
}

static int
asker_wait(weft_stream *stream, unsigned what)
{
    weft_stream *below = ((struct asker *)stream->state)->below;
    return below->transport->wait(below, what);
}

static void
asker_close(weft_stream *stream)
{
    weft_stream_close(((struct asker *)stream->state)->below);
}

static const weft_transport asker_transport = {.name = "asker",
                                               .try_read = asker_read,
                                               .try_writev = asker_writev,
                                               .wait = asker_wait,
                                               .close = asker_close};

TASK_TEST(tls, a_peer_that_only_asks_lets_others_run)
{
    struct ends ends = {0};
    weft_stream below;
    struct asker asker = {.below = &below};
    T_OK(weft_stream_open_pair(&ends.client.inner, &below, 0));
    weft_stream_open(&ends.server.inner, &asker_transport, &asker);
    T_OK(ends_open(&ends, client_usual(), server_of(&t_certs()->server), "localhost"));
    T_OK(ends.client.rc);
    T_OK(ends.server.rc);
    asker.client = ((struct weft__tls *)ends.client.stream.state)->ssl;
    asker.asks = true;
    struct reading reading = {.stream = &ends.server.stream};
    weft_task *task = t_start(reading_main, &reading);
    cr_assert(asker.asked < ASKED_MAX, "it was read to the end of what it had to say");
    cr_assert(asker.asked > 0);
    asker.asks = false;
    T_OK(weft_stream_write_all(&ends.client.stream, "x", 1, NULL));
    T_OK(weft_task_join(task, NULL));
    T_ERR(1, reading.rc);
    ends_close(&ends);
}

/* A reader that others are let run by is ended there as in any wait. */
TASK_TEST(tls, who_reads_from_a_peer_that_only_asks_is_cancelled)
{
    struct ends ends = {0};
    weft_stream below;
    struct asker asker = {.below = &below};
    T_OK(weft_stream_open_pair(&ends.client.inner, &below, 0));
    weft_stream_open(&ends.server.inner, &asker_transport, &asker);
    T_OK(ends_open(&ends, client_usual(), server_of(&t_certs()->server), "localhost"));
    asker.client = ((struct weft__tls *)ends.client.stream.state)->ssl;
    asker.asks = true;
    struct reading reading = {.stream = &ends.server.stream};
    weft_task *task = t_start(reading_main, &reading);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-ECANCELED, reading.rc);

    reading.rc = 0;
    task = t_start(reading_main, &reading);
    weft_stream_close(&ends.server.stream);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-EBADF, reading.rc);
    weft_stream_close(&ends.client.stream);
}

/* ---- TLS in TLS ---------------------------------------------------------------------------- */

static ssize_t
through_read(weft_stream *stream, void *buf, size_t len)
{
    weft_stream *below = stream->state;
    return below->transport->try_read(below, buf, len);
}

static ssize_t
through_writev(weft_stream *stream, const struct iovec *vectors, int n)
{
    weft_stream *below = stream->state;
    return below->transport->try_writev(below, vectors, n);
}

static int
through_shutdown(weft_stream *stream)
{
    return weft_stream_shutdown(stream->state);
}

static const weft_transport through = {.name = "through",
                                       .try_read = through_read,
                                       .try_writev = through_writev,
                                       .wait = drip_wait,
                                       .shutdown = through_shutdown,
                                       .close = drip_close};

/* Takes the contexts over. Closing the inside closes the outside. */
static void
ends_inside(struct ends *inside, struct ends *outside, weft_tls_context *client,
            weft_tls_context *server)
{
    memset(inside, 0, sizeof *inside);
    weft_stream_open(&inside->client.inner, &through, &outside->client.stream);
    weft_stream_open(&inside->server.inner, &through, &outside->server.stream);
    T_OK(ends_open(inside, client, server, "localhost"));
}

TASK_TEST(tls, in_tls_there_is_tls)
{
    for (size_t capacity = 70; capacity < 20000; capacity *= 15) {
        struct ends outside, inside;
        struct flow flows[2] = {{.len = 100000, .chunk = 1000, .seed = 1, .key_updates = 1},
                                {.len = 100000, .chunk = 7000, .seed = 2}};
        ends_usual(&outside, capacity);
        ends_inside(&inside, &outside, client_usual(), server_of(&t_certs()->server));
        T_OK(inside.client.rc);
        T_OK(inside.server.rc);
        both_ways(&inside, flows);
        ends_close(&inside);
        cr_assert(outside.client.stream.transport == NULL);
    }
}

/* The alert goes out through another OpenSSL, which forgets its thread's errors first. */
TASK_TEST(tls, in_tls_it_is_told_as_well_what_went_wrong)
{
    struct ends outside, inside;
    ends_usual(&outside, 0);
    ends_inside(&inside, &outside, client_usual(), asking_server(WEFT_TLS_ASK_REQUIRED));
    cr_assert(inside.server.rc == WEFT_E_TLS_VERIFY, "%d %s", inside.server.rc, inside.server.text);
    T_OK(inside.client.rc);
    weft_stream_close(&inside.client.stream);

    char byte;
    ends_usual(&outside, 0);
    ends_inside(&inside, &outside, client_usual(), server_of(&t_certs()->server));
    T_OK(weft_stream_write_all(&outside.server.stream, "not a record at all", 19, NULL));
    T_ERR(WEFT_E_TLS, weft_stream_read(&inside.client.stream, &byte, 1));
    cr_assert(strstr(weft_error_text(), "no reason") == NULL, "%s", weft_error_text());
    ends_close(&inside);
}

static int
shutting_main(void *stream)
{
    return weft_stream_shutdown(stream);
}

TASK_TEST(tls, in_tls_a_shutdown_that_a_scope_ended_is_gone_on_with)
{
    struct ends outside, inside;
    char byte;
    ends_usual(&outside, 60); /* room for the inner good-bye, not for the outer one as well */
    ends_inside(&inside, &outside, client_usual(), server_of(&t_certs()->server));
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(10));
    T_ERR(-ETIMEDOUT, weft_stream_shutdown(&inside.client.stream));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    weft_task *task = t_start(shutting_main, &inside.client.stream);
    weft_scope_open(&scope, weft_now() + WEFT_SEC(1));
    T_ERR(0, weft_stream_read(&inside.server.stream, &byte, 1));
    T_ERR(0, weft_stream_read(&outside.server.stream, &byte, 1));
    T_OK(weft_scope_close(&scope));
    T_OK(weft_task_join(task, NULL));
    ends_close(&inside);
}

/* ---- The kernel's TLS ---------------------------------------------------------------------- */

static char log_line[256];

static void
keep_line(void *arg, weft_log_level level, const char *line)
{
    (void)arg;
    if (level == WEFT_LOG_INFO && strncmp(line, "tls: ", 5) == 0)
        snprintf(log_line, sizeof log_line, "%s", line);
}

static void
with_ktls(bool tcp)
{
    struct ends ends = {0};
    if (tcp)
        tcp_inner(&ends.client, &ends.server);
    else
        T_OK(weft_stream_open_pair(&ends.client.inner, &ends.server.inner, 0));
    log_line[0] = '\0';
    T_OK(ends_open(
        &ends, context_of(&(weft_tls_options){.ca_pem = t_cert_only(&t_certs()->ca), .ktls = 1}),
        context_of(&(weft_tls_options){
            .role = WEFT_TLS_SERVER, .cert_pem = t_cert_with_key(&t_certs()->server), .ktls = 1}),
        "localhost"));
    T_OK(ends.client.rc);
    T_OK(ends.server.rc);
    int state = weft_tls_ktls(&ends.client.stream);
    cr_assert(state >= 0);
    if (state == 0)
        cr_assert(strstr(log_line, "encrypting without the kernel: ") != NULL, "%s", log_line);
    cr_assert((weft_stream_raw(&ends.client.stream) >= 0) == ((state & WEFT_STREAM_WRITE) != 0));
    if (!tcp)
        cr_assert_str_eq(log_line, "tls: encrypting without the kernel: the stream is no socket");
    struct flow flows[2] = {{.len = 500000, .chunk = 30000, .seed = 1},
                            {.len = 500000, .chunk = 3000, .seed = 2}};
    both_ways(&ends, flows);
    ends_close(&ends);
}

TASK_TEST(tls, where_the_kernel_cannot_encrypt_we_do_and_say_so)
{
    weft_set_log(keep_line, NULL);
    with_ktls(true);
    with_ktls(false);
    weft_set_log(NULL, NULL);
}

/* ---- What an idle connection costs --------------------------------------------------------- */

struct idle {
    struct side side;
    size_t stack;
};

static int
idle_main(void *arg)
{
    struct idle *idle = arg;
    char byte;
    side_open(&idle->side);
    idle->stack = weft_task_stack_used(NULL);
    weft_ignore(weft_stream_read(&idle->side.stream, &byte, 1));
    weft_stream_close(&idle->side.stream);
    return 0;
}

#define IDLE 50

static int
idle_run(void *arg)
{
    (void)arg;
    weft_tls_context *client = client_usual(), *server = server_of(&t_certs()->server);
    static struct idle servers[IDLE], clients[IDLE];
    weft_group group;
    size_t each[3];
    weft_group_open(&group, NULL);
    for (int i = 0; i < IDLE; i++) {
        clients[i].side = (struct side){.context = client, .host = "localhost"};
        servers[i].side = (struct side){.context = server};
        T_OK(weft_stream_open_pair(&clients[i].side.inner, &servers[i].side.inner, 4096));
        weft_group_spawn(&group, idle_main, &servers[i]);
        weft_group_spawn(&group, idle_main, &clients[i]);
    }
    T_OK(weft_sleep(WEFT_MS(10)));
    each[0] = mallinfo2().uordblks;
    for (int i = 0; i < IDLE; i++)
        weft_stream_close(&clients[i].side.stream);
    T_OK(weft_group_close(&group));
    each[1] = mallinfo2().uordblks;
    weft_tls_context_unref(client);
    weft_tls_context_unref(server);
    size_t pair = (each[0] - each[1]) / IDLE; /* with 8 KiB of the streams in memory */
    fprintf(stderr,
            "an idle pair of connections: %zu bytes; stack of the server's task %zu, of "
            "the client's %zu\n",
            pair, servers[1].stack, clients[1].stack);
    cr_assert(T_SLOW > 1 || pair < 44000);
    return 0;
}

Test(tls, an_idle_connection_is_small)
{
    T_OK(weft_run(idle_run, NULL,
                  &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .measure_stacks = 1}));
}
