/*
 * http_server.c - an HTTP server: routes, JSON, answers in pieces, a folder, TLS, an access log.
 *
 * aiohttp: web.run_app(). Ctrl-C or SIGTERM drains it: answers under way are finished, then it
 * prints what it did. Exit status 0; 1 when it could not serve; 2 for wrong arguments.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weft.h>

static const char help[] =
    "usage: http_server [OPTION]... [ADDRESS]...\n"
    "\n"
    "  --folder PATH  what is in it is served as /files/...\n"
    "  --tls FILE     https; a certificate and its key, in PEM\n"
    "  --log FILE     a line per request is added to it; -: shown\n"
    "  --grace MS     for answers under way at the end, 1 to 3600000 "
    "(default 1000)\n"
    "  --help         this text\n"
    "\n"
    "An ADDRESS is 127.0.0.1:8080 (the default), [::1]:8080, or unix:/path.\n"
    "GET /, GET /hello/{name}, POST /sum, POST /echo (up to 1 MiB), GET /count/{n}.\n"
    "SIGTERM and Ctrl-C end it. Exit status: 0 then; 1 when it could not serve; 2 for wrong\n"
    "arguments.\n";

static struct {
    const char *const *listen;
    const char *folder, *tls, *log;
    long grace_ms;
} options = {.listen = (const char *const[]){"127.0.0.1:8080", NULL}, .grace_ms = 1000};

/* ---- What it answers ------------------------------------------------------------------------ */

static int
root(weft_http_exchange *exchange, void *arg)
{
    (void)arg;
    return weft_http_reply(exchange, 200, "text/plain", "hello\n", 6);
}

static int
hello(weft_http_exchange *exchange, void *arg)
{
    weft_bytes encoded = weft_http_request_param(exchange, "name");
    weft_buf text = {0};
    (void)arg;
    int rc = weft_buf_printf(&text, "hello ");
    if (rc == 0 && weft_percent_decode(&text, encoded.data, encoded.len, false) < 0)
        rc = weft_http_reply(exchange, 400, "text/plain", "what name is that?\n", 19);
    else if (rc == 0 && (rc = weft_buf_printf(&text, "\n")) == 0)
        rc = weft_http_reply(exchange, 200, "text/plain; charset=utf-8", text.data, text.len);
    weft_buf_free(&text);
    return rc;
}

/* [1, 2, 3] is answered with {"numbers":3,"sum":6}; numbers are found whatever is between them. */
static int
sum(weft_http_exchange *exchange, void *arg)
{
    weft_buf body = {0};
    char text[80];
    unsigned n = 0;
    double total = 0;
    (void)arg;
    int rc = weft_http_request_read_all(exchange, &body, 65536);
    if (rc == 0)
        rc = weft_buf_append(&body, "", 1); /* a zero byte to stop at */
    const char *at = rc == 0 ? (const char *)body.data : "";
    for (char *end; *(at += strcspn(at, "-0123456789")) != '\0'; at = end > at ? end : at + 1) {
        double number = strtod(at, &end);
        n += end > at;
        total += number;
    }
    weft_buf_free(&body);
    if (rc < 0)
        return rc; /* what could not be read is answered by 400, 408 or 413 */
    int len = snprintf(text, sizeof text, "{\"numbers\":%u,\"sum\":%.15g}\n", n, total);
    return weft_http_reply(exchange, 200, "application/json", text, (size_t)len);
}

/* Sends the body back while it comes: no more of it is held than a piece. */
static int
echo(weft_http_exchange *exchange, void *arg)
{
    char piece[8192];
    ssize_t n;
    (void)arg;
    int rc = weft_http_response_begin(exchange, 200, "application/octet-stream",
                                      weft_http_request_length(exchange));
    while (rc == 0 && (n = weft_http_request_read(exchange, piece, sizeof piece)) != 0)
        rc = n < 0 ? (int)n : weft_http_response_write(exchange, piece, (size_t)n);
    return rc;
}

/* Lines, each sent as soon as it is known. A client that is slow makes this task wait. */
static int
count(weft_http_exchange *exchange, void *arg)
{
    weft_bytes digits = weft_http_request_param(exchange, "n");
    char text[16] = "";
    (void)arg;
    snprintf(text, sizeof text, "%.*s", (int)digits.len, (const char *)digits.data);
    long n = strtol(text, NULL, 10);
    if (n < 1 || n > 1000000)
        return weft_http_reply(exchange, 400, "text/plain", "1 to 1000000\n", 13);
    int rc = weft_http_response_begin(exchange, 200, "text/plain", -1);
    for (long i = 1; rc == 0 && i <= n; i++) {
        int len = snprintf(text, sizeof text, "%ld\n", i);
        rc = weft_http_response_write(exchange, text, (size_t)len);
    }
    return rc;
}

/* ---- The program ---------------------------------------------------------------------------- */

static int
serve(weft_tls_context *tls)
{
    weft_http_files files = {.root = options.folder};
    const weft_http_route routes[] = {
        {"GET /", root, NULL},
        {"GET /hello/{name}", hello, NULL},
        {"POST /sum", sum, NULL},
        {"POST /echo", echo, NULL},
        {"GET /count/{n}", count, NULL},
        {options.folder != NULL ? "GET /files/{name...}" : NULL, weft_http_serve_files, &files},
        {NULL, NULL, NULL}};
    weft_http_server *server;
    weft_http_server_stats stats;
    weft_address address;
    char text[64];
    int rc = weft_http_server_new(
        &server, &(weft_http_server_options){
                     .net = {.listen = options.listen, .grace = WEFT_MS(options.grace_ms)},
                     .routes = routes,
                     .tls = tls,
                     .access_log = options.log});
    if (rc < 0)
        return rc;
    weft_server *net = weft_http_server_net(server);
    for (size_t i = 0; weft_server_address(net, i, &address) == 0; i++)
        printf("listening on %s\n", address.storage.ss_family == AF_UNIX
                                        ? options.listen[i]
                                        : weft_address_format(&address, text, sizeof text));
    fflush(stdout);
    rc = weft_http_server_run(server);
    weft_server_stats connections;
    weft_server_stats_get(net, -1, &connections);
    weft_http_server_stats_get(server, &stats);
    printf("connections: %llu, of these cancelled: %llu\n"
           "requests: %llu, of these refused: %llu, failed: %llu\n",
           (unsigned long long)connections.accepted, (unsigned long long)connections.cancelled,
           (unsigned long long)stats.requests, (unsigned long long)stats.refused,
           (unsigned long long)stats.failed);
    weft_http_server_free(server);
    return rc == -ECANCELED ? 0 : rc;
}

static int
run(void *arg)
{
    weft_tls_context *tls = NULL;
    (void)arg;
    int rc = options.tls == NULL
                 ? 0
                 : weft_tls_context_new(&tls, &(weft_tls_options){.role = WEFT_TLS_SERVER,
                                                                  .cert_file = options.tls});
    if (rc == 0)
        rc = serve(tls);
    weft_tls_context_unref(tls);
    return rc;
}

static void
read_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"folder", required_argument, NULL, 'f'}, {"tls", required_argument, NULL, 't'},
        {"log", required_argument, NULL, 'l'},    {"grace", required_argument, NULL, 'g'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    struct stat status;
    char *end;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'f':
            options.folder = optarg;
            if (stat(optarg, &status) < 0 || !S_ISDIR(status.st_mode)) {
                fprintf(stderr, "http_server: --folder must be a folder, got '%s'\n", optarg);
                exit(2);
            }
            break;
        case 't':
            options.tls = optarg;
            break;
        case 'l':
            options.log = optarg;
            break;
        case 'g':
            options.grace_ms = strtol(optarg, &end, 10);
            if (*optarg == '\0' || *end != '\0' || options.grace_ms < 1 ||
                options.grace_ms > 3600000) {
                fprintf(stderr, "http_server: --grace must be 1 to 3600000, got '%s'\n", optarg);
                exit(2);
            }
            break;
        case 'h':
            fputs(help, stdout);
            exit(0);
        default:
            exit(2); /* getopt has said why */
        }
    }
    if (optind < argc)
        options.listen = (const char *const *)(argv + optind);
}

int
main(int argc, char **argv)
{
    read_options(argc, argv);
    int rc = weft_run(run, NULL, NULL);
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "http_server: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "",
                detail);
    }
    return rc < 0;
}
