/*
 * test_review_client.c - what a client must not give away or be talked into, and the ways to a
 * server that need one of their own: proxies, certificates, Unix sockets, limits of connections.
 *
 * The servers are those of http_server.h, on the client's own loop.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include <weft/connect.h>
#include <weft/http_client.h>
#include <weft/http_server.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "io/t_io.h"
#include "t_cert.h"

TestSuite(http_review_client, .timeout = 120);

/* ---- Servers -------------------------------------------------------------------------------- */

struct site {
    weft_http_server *server;
    weft_group group;
    int port;
    char url[64]; /* "http://127.0.0.1:PORT" */
    unsigned alive, most;
    weft_http_route routes[5];
};

static int
site_run(void *arg)
{
    struct site *site = arg;
    return weft_http_server_run(site->server);
}

/* What came, line by line. */
static int
say_request(weft_http_exchange *x, void *arg)
{
    (void)arg;
    weft_buf text = {0};
    weft_bytes method = weft_http_request_method_text(x), host = weft_http_request_host(x);
    weft_bytes path = weft_http_request_path(x), name, value;
    T_OK(weft_buf_printf(&text, "%.*s %.*s %.*s\n", (int)method.len, (const char *)method.data,
                         (int)host.len, (const char *)host.data, (int)path.len,
                         (const char *)path.data));
    for (size_t i = 0; weft_http_request_header_at(x, i, &name, &value); i++)
        T_OK(weft_buf_printf(&text, "%.*s: %.*s\n", (int)name.len, (const char *)name.data,
                             (int)value.len, (const char *)value.data));
    int rc = weft_http_reply(x, 200, "text/plain", text.data, text.len);
    weft_buf_free(&text);
    return rc;
}

static int
lead_to(weft_http_exchange *x, void *arg)
{
    char where[128];
    weft_bytes port = weft_http_request_param(x, "port");
    (void)arg;
    snprintf(where, sizeof where, "http://127.0.0.1:%.*s/there", (int)port.len,
             (const char *)port.data);
    T_OK(weft_http_response_header(x, "Location", where));
    return weft_http_reply(x, 302, NULL, NULL, 0);
}

static int
say_slowly(weft_http_exchange *x, void *arg)
{
    struct site *site = arg;
    if (++site->alive > site->most)
        site->most = site->alive;
    int rc = weft_sleep(WEFT_MS(30));
    site->alive--;
    return rc < 0 ? rc : weft_http_reply(x, 200, NULL, "slow", 4);
}

static int
say_peer(weft_http_exchange *x, void *arg)
{
    char name[64] = "nobody";
    (void)arg;
    weft_ignore(weft_tls_peer_name(weft_http_request_stream(x), name, sizeof name));
    return weft_http_reply(x, 200, NULL, name, strlen(name));
}

#define ZEROS ((size_t)10 << 20)

struct bits {
    weft_buf buf;
    unsigned n, value;
};

static void
put_bits(struct bits *bits, unsigned value, unsigned n, bool code)
{
    for (unsigned i = 0; i < n; i++) { /* codes have their highest bit first */
        unsigned bit = code ? value >> (n - 1 - i) & 1 : value >> i & 1;
        bits->value |= bit << bits->n++;
        if (bits->n == 8) {
            unsigned char byte = (unsigned char)bits->value;
            T_OK(weft_buf_append(&bits->buf, &byte, 1));
            bits->n = bits->value = 0;
        }
    }
}

/* Ten megabytes of zeros, in sixty-six thousand bytes (RFC 1951, fixed codes). */
static int
say_zeros(weft_http_exchange *x, void *arg)
{
    struct bits bits = {0};
    (void)arg;
    T_OK(weft_buf_append(&bits.buf, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10));
    put_bits(&bits, 1, 1, false);
    put_bits(&bits, 1, 2, false);
    put_bits(&bits, 0x30, 8, true); /* a zero */
    size_t len = 1;
    for (; len + 258 <= ZEROS; len += 258) {
        put_bits(&bits, 0xc5, 8, true); /* the same again, 258 times */
        put_bits(&bits, 0, 5, true);
    }
    put_bits(&bits, 0, 7, true);
    put_bits(&bits, 0, 7, false);
    /* The end is missing: nobody in these tests gets so far. */
    T_OK(weft_http_response_header(x, "Content-Encoding", "gzip"));
    int rc = weft_http_reply(x, 200, NULL, bits.buf.data, bits.buf.len);
    weft_buf_free(&bits.buf);
    return rc;
}

static void
site_open(struct site *site, const char *listen, weft_tls_context *tls)
{
    memset(site, 0, sizeof *site);
    const weft_http_route routes[] = {{"GET /to/{port}", lead_to, NULL},
                                      {"GET /slow", say_slowly, site},
                                      {"GET /peer", say_peer, NULL},
                                      {"GET /zeros", say_zeros, NULL},
                                      {0}};
    memcpy(site->routes, routes, sizeof routes);
    const char *const places[] = {listen, NULL};
    T_OK(weft_http_server_new(&site->server, &(weft_http_server_options){.net = {.listen = places},
                                                                         .routes = site->routes,
                                                                         .handler = say_request,
                                                                         .tls = tls}));
    weft_address address;
    char text[64] = "";
    T_OK(weft_server_address(weft_http_server_net(site->server), 0, &address));
    weft_address_format(&address, text, sizeof text);
    site->port = atoi(strrchr(text, ':') + 1);
    snprintf(site->url, sizeof site->url, "http://127.0.0.1:%d", site->port);
    weft_group_open(&site->group, NULL);
    weft_group_spawn(&site->group, site_run, site);
}

static void
site_close(struct site *site)
{
    weft_http_server_stop(site->server, WEFT_SEC(5));
    T_OK(weft_group_close(&site->group));
    weft_http_server_free(site->server);
}

/* Good until the fourth call after it. */
static const char *
url_of(const char *base, const char *path)
{
    static char urls[4][256];
    static unsigned next;
    char *url = urls[next++ % 4];
    snprintf(url, sizeof urls[0], "%s%s", base, path);
    return url;
}

/* The body of a response with 200; good until the next call. */
static const char *
fetch(weft_http_client *client, const weft_http_request *request)
{
    static char text[8192];
    weft_http_response response;
    T_OK(weft_http_fetch(client, request, &response));
    cr_assert(response.status == 200, "status %d", response.status);
    snprintf(text, sizeof text, "%s", (char *)response.body.data);
    weft_http_response_free(&response);
    return text;
}

static weft_http_client *
client_of(const weft_http_client_options *options)
{
    weft_http_client *client;
    T_OK(weft_http_client_new(&client, options));
    return client;
}

#define CLIENT_TEST(name)                                                                          \
    static void name##_body(void);                                                                 \
    static int name##_task(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        name##_body();                                                                             \
        return 0;                                                                                  \
    }                                                                                              \
    Test(http_review_client, name)                                                                 \
    {                                                                                              \
        t_certs();                                                                                 \
        T_OK(weft_run(warm_up, NULL, &(weft_options){.loops = 1}));                                \
        t_leak_begin();                                                                            \
        T_OK(weft_run(name##_task, NULL,                                                           \
                      &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));                 \
        t_leak_end();                                                                              \
    }                                                                                              \
    static void name##_body(void)

/* What libcurl keeps for the life of the process. */
static int
warm_up(void *arg)
{
    (void)arg;
    weft_http_client_free(client_of(NULL));
    return 0;
}

/* ---- What is sent --------------------------------------------------------------------------- */

CLIENT_TEST(a_head_request_with_a_body_is_refused)
{
    weft_http_client *client = client_of(NULL);
    weft_http_response response;
    T_ERR(-EINVAL,
          weft_http_fetch(client,
                          &(weft_http_request){
                              .url = "http://127.0.0.1:1/", .method = "HEAD", .body = {"x", 1}},
                          &response));
    weft_http_response_free(&response);
    weft_http_client_free(client);
}

CLIENT_TEST(a_user_agent_that_would_be_two_lines_is_refused)
{
    weft_http_client *client = NULL;
    T_ERR(-EINVAL,
          weft_http_client_new(&client, &(weft_http_client_options){.user_agent = "a\r\nX-B: c"}));
    cr_assert(strstr(weft_error_text(), "user_agent") != NULL, "%s", weft_error_text());
}

/* RFC 7617 2: its server would take what follows for the password. */
CLIENT_TEST(a_user_with_a_colon_is_refused)
{
    weft_http_client *client = client_of(NULL);
    weft_http_response response;
    T_ERR(-EINVAL,
          weft_http_fetch(
              client,
              &(weft_http_request){.url = "http://127.0.0.1:1/", .user = "ann:b", .password = "c"},
              &response));
    weft_http_response_free(&response);
    weft_http_client_free(client);
}

CLIENT_TEST(nothing_of_a_request_is_in_the_next)
{
    struct site site;
    site_open(&site, "127.0.0.1:0", NULL);
    weft_http_client *client = client_of(NULL);
    const char *const headers[] = {"X-Secret: one", "User-Agent:", NULL};
    const char *got = fetch(client, &(weft_http_request){.url = site.url,
                                                         .method = "PUT",
                                                         .body = {"text", 4},
                                                         .headers = headers,
                                                         .user = "ann",
                                                         .password = "sesame"});
    cr_assert(strncmp(got, "PUT ", 4) == 0 && strstr(got, "Authorization: Basic ") != NULL, "%s",
              got);
    cr_assert(strstr(got, "X-Secret: one") != NULL && strstr(got, "User-Agent") == NULL, "%s", got);
    got = fetch(client, &(weft_http_request){.url = site.url});
    cr_assert(strncmp(got, "GET ", 4) == 0, "%s", got);
    cr_assert(strstr(got, "Authorization") == NULL && strstr(got, "X-Secret") == NULL, "%s", got);
    cr_assert(strstr(got, "Content-") == NULL && strstr(got, "User-Agent: weft/") != NULL, "%s",
              got);
    weft_http_client_free(client);
    site_close(&site);
}

CLIENT_TEST(a_redirect_takes_no_credentials_to_another_server)
{
    struct site one, two;
    char to[32];
    site_open(&one, "127.0.0.1:0", NULL);
    site_open(&two, "127.0.0.1:0", NULL);
    weft_http_client *client = client_of(NULL);
    snprintf(to, sizeof to, "/to/%d", two.port);
    const char *const headers[] = {"Authorization: Bearer sesame", "Cookie: a=b", NULL};
    const char *got =
        fetch(client, &(weft_http_request){.url = url_of(one.url, to), .headers = headers});
    cr_assert(strstr(got, "/there") != NULL, "%s", got);
    cr_assert(strstr(got, "Authorization") == NULL && strstr(got, "Cookie") == NULL, "%s", got);
    got = fetch(client, &(weft_http_request){
                            .url = url_of(one.url, to), .user = "ann", .password = "sesame"});
    cr_assert(strstr(got, "/there") != NULL && strstr(got, "Authorization") == NULL, "%s", got);
    snprintf(to, sizeof to, "/to/%d", one.port);
    got = fetch(client, &(weft_http_request){
                            .url = url_of(one.url, to), .user = "ann", .password = "sesame"});
    cr_assert(strstr(got, "Authorization: Basic ") != NULL, "%s", got);
    weft_http_client_free(client);
    site_close(&two);
    site_close(&one);
}

/* ---- What comes back ------------------------------------------------------------------------ */

CLIENT_TEST(a_compressed_body_ends_at_the_limit_of_what_it_becomes)
{
    struct site site;
    site_open(&site, "127.0.0.1:0", NULL);
    weft_http_client *client = client_of(NULL);
    weft_http_response response;
    T_ERR(WEFT_E_HTTP_LARGE, weft_http_fetch(client,
                                             &(weft_http_request){.url = url_of(site.url, "/zeros"),
                                                                  .limit = (size_t)1 << 20},
                                             &response));
    cr_assert(response.body.len <= (size_t)1 << 20);
    weft_http_response_free(&response);
    weft_http_client_free(client);
    site_close(&site);
}

CLIENT_TEST(a_reader_who_waits_does_not_have_all_that_was_compressed_in_memory)
{
    struct site site;
    site_open(&site, "127.0.0.1:0", NULL);
    weft_http_client *client = client_of(NULL);
    weft_http_call *call;
    fetch(client, &(weft_http_request){.url = site.url});
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    T_OK(weft_http_call_open(client, &(weft_http_request){.url = url_of(site.url, "/zeros")},
                             &call));
    cr_assert(weft_http_call_head(call, NULL) == 200);
    T_OK(weft_sleep(WEFT_MS(300)));
    size_t after = mallinfo2().uordblks + mallinfo2().hblkhd; /* 0 under sanitizers */
    cr_assert(after < before + ((size_t)8 << 20), "%zu bytes before, %zu after", before, after);
    size_t read = 0;
    static char bytes[65536];
    ssize_t n;
    while ((n = weft_http_call_read(call, bytes, sizeof bytes)) > 0 && read < ZEROS / 2)
        read += (size_t)n;
    cr_assert(n > 0, "after %zu bytes %zd", read, n);
    weft_http_call_close(call);
    weft_http_client_free(client);
    site_close(&site);
}

/* ---- Proxies -------------------------------------------------------------------------------- */

CLIENT_TEST(a_proxy_is_told_the_whole_url_and_looks_the_name_up)
{
    struct site site;
    site_open(&site, "127.0.0.1:0", NULL);
    weft_http_client *client =
        client_of(&(weft_http_client_options){.proxy = site.url, .no_proxy = "127.0.0.1"});
    const char *got = fetch(client, &(weft_http_request){.url = "http://far.invalid:81/away"});
    cr_assert(strncmp(got, "GET far.invalid:81 /away\n", 25) == 0, "%s", got);
    got = fetch(client, &(weft_http_request){.url = url_of(site.url, "/near")});
    cr_assert(strstr(got, "/near") != NULL && strstr(got, "Proxy-Connection") == NULL, "%s", got);
    weft_http_client_free(client);
    site_close(&site);
}

/* A proxy that makes tunnels, one after the other. */
struct tunnel {
    weft_fd listener, near, far;
    weft_address address;
    weft_group group;
    char head[2048];
    unsigned n;
};

struct pump {
    weft_fd *from, *to;
};

static int
pump_run(void *arg)
{
    struct pump *pump = arg;
    char bytes[4096];
    ssize_t n;
    while ((n = weft_fd_read(pump->from, bytes, sizeof bytes)) > 0)
        if (weft_fd_write_all(pump->to, bytes, (size_t)n, NULL) < 0)
            break;
    shutdown(weft_fd_raw(pump->to), SHUT_WR);
    return 0;
}

static int
tunnel_run(void *arg)
{
    struct tunnel *tunnel = arg;
    while (weft_tcp_accept(&tunnel->listener, &tunnel->near, NULL) == 0) {
        size_t len = 0;
        ssize_t n = 1;
        int port = 0;
        memset(tunnel->head, 0, sizeof tunnel->head);
        while (n > 0 && strstr(tunnel->head, "\r\n\r\n") == NULL) {
            n = weft_fd_read(&tunnel->near, tunnel->head + len, sizeof tunnel->head - 1 - len);
            len += n > 0 ? (size_t)n : 0;
        }
        weft_address address;
        char text[32];
        if (sscanf(tunnel->head, "CONNECT localhost:%d HTTP/1.1\r\n", &port) == 1) {
            tunnel->n++;
            snprintf(text, sizeof text, "127.0.0.1:%d", port);
            T_OK(weft_address_parse(&address, text));
            T_OK(weft_tcp_connect(&tunnel->far, &address));
            T_OK(weft_fd_write_all(&tunnel->near, "HTTP/1.1 200 Yes\r\n\r\n", 20, NULL));
            weft_group group;
            weft_group_open(&group, NULL);
            weft_group_spawn(&group, pump_run, &(struct pump){&tunnel->near, &tunnel->far});
            weft_group_spawn(&group, pump_run, &(struct pump){&tunnel->far, &tunnel->near});
            weft_ignore(weft_group_close(&group));
            weft_fd_close(&tunnel->far);
        } else {
            weft_ignore(weft_fd_write_all(
                &tunnel->near, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 38, NULL));
        }
        weft_fd_close(&tunnel->near);
    }
    return 0;
}

static void
tunnel_open(struct tunnel *tunnel, char *url, size_t len)
{
    char text[64];
    memset(tunnel, 0, sizeof *tunnel);
    tunnel->address = t_listen(&tunnel->listener, NULL);
    snprintf(url, len, "http://%.50s", weft_address_format(&tunnel->address, text, sizeof text));
    weft_group_open(&tunnel->group, NULL);
    weft_group_spawn(&tunnel->group, tunnel_run, tunnel);
}

static void
tunnel_close(struct tunnel *tunnel)
{
    weft_group_cancel(&tunnel->group);
    weft_ignore(weft_group_close(&tunnel->group));
    weft_fd_close(&tunnel->listener);
}

/* A certificate as a file, to be removed. */
static void
cert_file(char *path, weft_bytes pem)
{
    strcpy(path, "/tmp/weft-test-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, pem.data, pem.len) == (ssize_t)pem.len);
    close(fd);
}

static weft_tls_context *
tls_of(weft_tls_ask ask)
{
    weft_tls_context *context;
    T_OK(weft_tls_context_new(&context,
                              &(weft_tls_options){.role = WEFT_TLS_SERVER,
                                                  .cert_pem = t_cert_with_key(&t_certs()->server),
                                                  .ask = ask,
                                                  .ca_pem = t_cert_only(&t_certs()->ca)}));
    return context;
}

CLIENT_TEST(tls_goes_through_a_proxy_in_a_tunnel)
{
    struct site site;
    struct tunnel tunnel;
    char proxy[80], ca[32], url[64];
    weft_tls_context *tls = tls_of(WEFT_TLS_ASK_NOTHING);
    site_open(&site, "127.0.0.1:0", tls);
    weft_tls_context_unref(tls);
    tunnel_open(&tunnel, proxy, sizeof proxy);
    cert_file(ca, t_cert_only(&t_certs()->ca));
    const char *const headers[] = {"X-Secret: one", NULL};
    weft_http_client *client =
        client_of(&(weft_http_client_options){.proxy = proxy, .ca_file = ca});
    snprintf(url, sizeof url, "https://localhost:%d/inside", site.port);
    const char *got = fetch(client, &(weft_http_request){.url = url, .headers = headers});
    cr_assert(strstr(got, "/inside") != NULL && strstr(got, "X-Secret") != NULL, "%s", got);
    cr_assert(strstr(got, "Proxy-") == NULL, "%s", got);
    cr_assert(tunnel.n == 1);
    /* What is meant for the server the proxy does not see. */
    cr_assert(strstr(tunnel.head, "X-Secret") == NULL, "%s", tunnel.head);
    weft_http_client_free(client);
    client = client_of(&(weft_http_client_options){.proxy = proxy, .ca_file = ca});
    weft_http_response response;
    int rc =
        weft_http_fetch(client, &(weft_http_request){.url = "https://elsewhere:1/"}, &response);
    cr_assert(rc == WEFT_E_CURL, "%d %s", rc, weft_error_text());
    cr_assert(strstr(weft_error_text(), "403") != NULL, "%s", weft_error_text());
    weft_http_response_free(&response);
    weft_http_client_free(client);
    unlink(ca);
    tunnel_close(&tunnel);
    site_close(&site);
}

/* ---- Certificates --------------------------------------------------------------------------- */

CLIENT_TEST(a_client_shows_its_certificate_to_a_server_that_asks)
{
    struct site site;
    char ca[32], mine[32], url[64];
    weft_tls_context *tls = tls_of(WEFT_TLS_ASK_REQUIRED);
    site_open(&site, "127.0.0.1:0", tls);
    weft_tls_context_unref(tls);
    cert_file(ca, t_cert_only(&t_certs()->ca));
    cert_file(mine, t_cert_with_key(&t_certs()->client));
    snprintf(url, sizeof url, "https://localhost:%d/peer", site.port);

    weft_http_client *client =
        client_of(&(weft_http_client_options){.ca_file = ca, .cert_file = mine});
    cr_assert_str_eq(fetch(client, &(weft_http_request){.url = url}), "ann");
    weft_http_client_free(client);

    weft_http_response response;
    client = client_of(&(weft_http_client_options){.ca_file = ca});
    int rc = weft_http_fetch(client, &(weft_http_request){.url = url}, &response);
    cr_assert(rc < 0, "a stranger got %s", (char *)response.body.data);
    weft_http_response_free(&response);
    weft_http_client_free(client);

    client = client_of(&(weft_http_client_options){.cert_file = mine});
    T_ERR(WEFT_E_TLS_VERIFY, weft_http_fetch(client, &(weft_http_request){.url = url}, &response));
    weft_http_response_free(&response);
    weft_http_client_free(client);
    unlink(ca);
    unlink(mine);
    site_close(&site);
}

/* ---- Unix sockets --------------------------------------------------------------------------- */

CLIENT_TEST(a_unix_socket_stands_for_whatever_host_the_url_has)
{
    struct site site;
    char listen[80], path[64];
    snprintf(path, sizeof path, "/tmp/weft-test-%d.sock", (int)getpid());
    snprintf(listen, sizeof listen, "unix:%s", path);
    site_open(&site, listen, NULL);
    weft_http_client *client = client_of(&(weft_http_client_options){.unix_path = path});
    const char *got = fetch(client, &(weft_http_request){.url = "http://any.invalid/thing"});
    cr_assert(strncmp(got, "GET any.invalid /thing\n", 23) == 0, "%s", got);
    weft_http_client_free(client);
    site_close(&site);
}

/* ---- Limits of connections ------------------------------------------------------------------ */

struct one_of_many {
    weft_http_client *client;
    const char *url;
};

static int
one_of_many(void *arg)
{
    const struct one_of_many *one = arg;
    weft_http_response response;
    int rc = weft_http_fetch(one->client, &(weft_http_request){.url = one->url}, &response);
    if (rc == 0 && response.status != 200)
        rc = -EPROTO;
    weft_http_response_free(&response);
    return rc;
}

static void
ask_many(weft_http_client *client, const char *const *urls, size_t n_urls, size_t n)
{
    struct one_of_many ones[16];
    weft_group group;
    weft_group_open(&group, NULL);
    for (size_t i = 0; i < n; i++) {
        ones[i] = (struct one_of_many){client, urls[i % n_urls]};
        weft_group_spawn(&group, one_of_many, &ones[i]);
    }
    T_OK(weft_group_close(&group));
}

static unsigned
connections(const struct site *site)
{
    weft_server_stats stats;
    weft_server_stats_get(weft_http_server_net(site->server), -1, &stats);
    return (unsigned)stats.active;
}

CLIENT_TEST(connections_to_all_hosts_together_stay_within_the_limit)
{
    struct site one, two;
    site_open(&one, "127.0.0.1:0", NULL);
    site_open(&two, "127.0.0.1:0", NULL);
    weft_http_client *client = client_of(&(weft_http_client_options){.total_connections = 2});
    const char *const urls[] = {url_of(one.url, "/slow"), url_of(two.url, "/slow")};
    ask_many(client, urls, 2, 12);
    cr_assert(one.most + two.most <= 4 && one.most <= 2 && two.most <= 2, "%u and %u", one.most,
              two.most);
    cr_assert(connections(&one) + connections(&two) <= 2, "%u and %u", connections(&one),
              connections(&two));
    weft_http_client_free(client);
    site_close(&two);
    site_close(&one);
}

CLIENT_TEST(no_more_connections_than_the_limit_are_kept_idle)
{
    struct site site;
    site_open(&site, "127.0.0.1:0", NULL);
    weft_http_client *client = client_of(&(weft_http_client_options){.idle_connections = 2});
    const char *const urls[] = {url_of(site.url, "/slow")};
    ask_many(client, urls, 1, 12);
    cr_assert(site.most > 2, "only %u at once", site.most);
    for (int i = 0; i < 500 && connections(&site) > 2; i++)
        T_OK(weft_sleep(WEFT_MS(10)));
    cr_assert(connections(&site) <= 2 && connections(&site) > 0, "%u", connections(&site));
    weft_http_client_free(client);
    site_close(&site);
}

/* ---- Heads that are not ---------------------------------------------------------------------- */

/* Answers each request of one connection with the next text, as it stands. */
struct script {
    weft_fd listener;
    weft_group group;
    char url[64];
    const char *const *texts; /* ended by NULL */
    unsigned requests;
};

static int
script_run(void *arg)
{
    struct script *script = arg;
    const char *const *text = script->texts;
    weft_fd fd;
    while (*text != NULL && weft_tcp_accept(&script->listener, &fd, NULL) == 0) {
        static char in[65536];
        ssize_t n = 1;
        while (n > 0 && *text != NULL) {
            size_t len = 0;
            memset(in, 0, sizeof in);
            while (n > 0 && strstr(in, "\r\n\r\n") == NULL) {
                n = weft_fd_read(&fd, in + len, sizeof in - 1 - len);
                len += n > 0 ? (size_t)n : 0;
            }
            if (n > 0) {
                script->requests++;
                T_OK(weft_fd_write_all(&fd, *text, strlen(*text), NULL));
                text++;
            }
        }
        if (*text == NULL)
            while (weft_fd_read(&fd, in, sizeof in) > 0)
                continue;
        weft_fd_close(&fd);
    }
    return 0;
}

static void
script_open(struct script *script, const char *const *texts)
{
    char text[64];
    memset(script, 0, sizeof *script);
    script->texts = texts;
    weft_address address = t_listen(&script->listener, NULL);
    snprintf(script->url, sizeof script->url, "http://%.50s",
             weft_address_format(&address, text, sizeof text));
    weft_group_open(&script->group, NULL);
    weft_group_spawn(&script->group, script_run, script);
}

static void
script_close(struct script *script)
{
    weft_group_cancel(&script->group);
    weft_ignore(weft_group_close(&script->group));
    weft_fd_close(&script->listener);
}

CLIENT_TEST(a_trailer_that_looks_like_a_head_is_none)
{
    static char text[200000];
    const char *const texts[] = {text, NULL};
    size_t len = (size_t)snprintf(text, sizeof text,
                                  "HTTP/1.1 200 OK\r\nX-First: one\r\nTransfer-Encoding: "
                                  "chunked\r\n\r\n3\r\nabc\r\n0\r\nHTTP/1.1 500 No: x\r\n");
    for (int i = 0; i < 1000; i++) /* enough to move the lines */
        len += (size_t)snprintf(text + len, sizeof text - len, "X-More: %0100d\r\n", i);
    snprintf(text + len, sizeof text - len, "\r\n");
    struct script script;
    script_open(&script, texts);
    weft_http_client *client = client_of(NULL);
    weft_http_call *call;
    weft_http_response head;
    T_OK(weft_http_call_open(client, &(weft_http_request){.url = script.url}, &call));
    cr_assert(weft_http_call_head(call, &head) == 200);
    char bytes[64];
    while (weft_http_call_read(call, bytes, sizeof bytes) > 0)
        continue;
    cr_assert_str_eq(weft_http_response_field(&head, "X-First", 0), "one");
    cr_assert(weft_http_response_field(&head, "X-More", 0) == NULL);
    cr_assert(weft_http_call_head(call, &head) == 200);
    weft_http_call_close(call);
    weft_http_client_free(client);
    script_close(&script);
}

CLIENT_TEST(a_server_without_100_continue_is_asked_again)
{
    const char *const texts[] = {
        "HTTP/1.1 417 No\r\nX-First: one\r\nContent-Length: 4\r\n\r\nwhat",
        "HTTP/1.1 200 OK\r\nX-Second: two\r\nContent-Length: 4\r\n\r\ngood", NULL};
    const char *const headers[] = {"Expect: 100-continue", NULL};
    struct script script;
    script_open(&script, texts);
    weft_http_client *client = client_of(NULL);
    weft_http_response response;
    T_OK(weft_http_fetch(
        client, &(weft_http_request){.url = script.url, .body = {"body", 4}, .headers = headers},
        &response));
    cr_assert(script.requests == 2);
    cr_assert(response.status == 200, "%d", response.status);
    cr_assert_str_eq((char *)response.body.data, "good");
    cr_assert(weft_http_response_field(&response, "X-First", 0) == NULL);
    weft_http_response_free(&response);
    weft_http_client_free(client);
    script_close(&script);
}

CLIENT_TEST(a_417_that_is_meant_so_is_the_response)
{
    const char *const texts[] = {"HTTP/1.1 417 No\r\nContent-Length: 4\r\n\r\nwhat",
                                 "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n",
                                 "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n", NULL};
    struct script script;
    script_open(&script, texts);
    weft_http_client *client = client_of(NULL);
    weft_http_call *call;
    char bytes[16];
    T_OK(weft_http_call_open(client, &(weft_http_request){.url = script.url}, &call));
    cr_assert(weft_http_call_head(call, NULL) == 417);
    cr_assert(weft_http_call_read(call, bytes, sizeof bytes) == 4 && memcmp(bytes, "what", 4) == 0);
    cr_assert(weft_http_call_read(call, bytes, sizeof bytes) == 0);
    weft_http_call_close(call);
    T_OK(weft_http_call_open(client, &(weft_http_request){.url = script.url}, &call));
    cr_assert(weft_http_call_head(call, NULL) == 417);
    weft_http_call_close(call);
    weft_http_response response;
    T_ERR(WEFT_E_CURL,
          weft_http_fetch(client, &(weft_http_request){.url = script.url, .fail = 1}, &response));
    cr_assert(response.status == 417);
    weft_http_response_free(&response);
    weft_http_client_free(client);
    script_close(&script);
}
