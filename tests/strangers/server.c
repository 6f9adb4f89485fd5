/*
 * server.c - an HTTP server for the programs of others: server PLACE FOLDER [PEM [CA]]
 *
 * It has a route for each thing they do; FOLDER is served below /files/. With PEM, a certificate
 * and its key, it speaks TLS, and with CA it asks clients for a certificate. SIGTERM and Ctrl-C end
 * it; then it prints what it counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

static int
hello(weft_http_exchange *exchange, void *arg)
{
    (void)arg;
    return weft_http_reply(exchange, 200, "text/plain", "hello\n", 6);
}

/* Back to the client as it comes: neither side waits for the end of the other. */
static int
echo(weft_http_exchange *exchange, void *arg)
{
    (void)arg;
    char piece[16384];
    ssize_t n;
    int rc = weft_http_response_begin(exchange, 200, "application/octet-stream",
                                      weft_http_request_length(exchange));
    while (rc == 0 && (n = weft_http_request_read(exchange, piece, sizeof piece)) != 0)
        rc = n < 0 ? (int)n : weft_http_response_write(exchange, piece, (size_t)n);
    return rc;
}

static int
count(weft_http_exchange *exchange, void *arg)
{
    (void)arg;
    char piece[16384], text[32];
    unsigned long long sum = 0;
    ssize_t n;
    while ((n = weft_http_request_read(exchange, piece, sizeof piece)) > 0)
        sum += (size_t)n;
    if (n < 0)
        return (int)n;
    snprintf(text, sizeof text, "%llu\n", sum);
    return weft_http_reply(exchange, 200, "text/plain", text, strlen(text));
}

static int
refuse(weft_http_exchange *exchange, void *arg)
{
    (void)arg;
    return weft_http_reply(exchange, 403, "text/plain", "no\n", 3);
}

/* {n} pieces, whose length in all nobody was told. */
static int
pieces(weft_http_exchange *exchange, void *arg)
{
    (void)arg;
    weft_bytes n = weft_http_request_param(exchange, "n");
    char text[16] = "", line[32];
    memcpy(text, n.data, n.len < sizeof text ? n.len : sizeof text - 1);
    int rc = weft_http_response_begin(exchange, 200, "text/plain", -1);
    for (int i = 0; rc == 0 && i < atoi(text); i++) {
        snprintf(line, sizeof line, "piece %d\n", i);
        rc = weft_http_response_write(exchange, line, strlen(line));
    }
    return rc;
}

/* Who the client's certificate is for. */
static int
who(weft_http_exchange *exchange, void *arg)
{
    (void)arg;
    char name[256] = "nobody";
    weft_ignore(weft_tls_peer_subject(weft_http_request_stream(exchange), name, sizeof name - 1));
    strcat(name, "\n");
    return weft_http_reply(exchange, 200, "text/plain", name, strlen(name));
}

static int
serve(void *arg)
{
    char **argv = arg, text[WEFT_ADDRESS_TEXT];
    weft_http_files files = {.root = argv[2], .max_age = 60};
    const weft_http_route routes[] = {
        {"GET /hello", hello, NULL},
        {"* /echo", echo, NULL},
        {"* /count", count, NULL},
        {"* /refuse", refuse, NULL},
        {"GET /pieces/{n}", pieces, NULL},
        {"GET /who", who, NULL},
        {"GET /files/{path...}", weft_http_serve_files, &files},
        {0},
    };
    static const char *const protocols[] = {"http/1.1", NULL};
    weft_tls_context *tls = NULL;
    int rc = 0;
    if (argv[3] != NULL)
        rc = weft_tls_context_new(
            &tls, &(weft_tls_options){.role = WEFT_TLS_SERVER,
                                      .cert_file = argv[3],
                                      .ca_file = argv[4],
                                      .ask = argv[4] != NULL ? WEFT_TLS_ASK_REQUIRED : 0,
                                      .alpn = protocols});
    weft_http_server *server = NULL;
    const char *const listen[] = {argv[1], NULL};
    if (rc == 0)
        rc = weft_http_server_new(
            &server, &(weft_http_server_options){.net = {.listen = listen, .grace = WEFT_SEC(1)},
                                                 .routes = routes,
                                                 .tls = tls,
                                                 .body_bytes = 64 << 20,
                                                 .head_timeout = WEFT_SEC(2)});
    weft_address address;
    if (rc == 0)
        rc = weft_server_address(weft_http_server_net(server), 0, &address);
    if (rc == 0) {
        printf("listening on %s\n", weft_address_format(&address, text, sizeof text));
        fflush(stdout);
        rc = weft_http_server_run(server);
        weft_http_server_stats stats;
        weft_http_server_stats_get(server, &stats);
        printf("requests: %llu, refused: %llu, failed: %llu\n", (unsigned long long)stats.requests,
               (unsigned long long)stats.refused, (unsigned long long)stats.failed);
    }
    weft_http_server_free(server);
    weft_tls_context_unref(tls);
    return rc == -ECANCELED ? 0 : rc;
}

int
main(int argc, char **argv)
{
    if (argc < 3 || argc > 5) {
        fprintf(stderr, "usage: server PLACE FOLDER [PEM [CA]]\n");
        return 2;
    }
    int rc = weft_run(serve, argv, NULL);
    if (rc < 0)
        fprintf(stderr, "server: %s. %s\n", weft_strerror(rc), weft_error_text());
    return rc < 0;
}
