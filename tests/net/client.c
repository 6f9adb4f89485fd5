/*
 * client.c - what namespaces.sh has done over networks that lose, stall and refuse: one word for
 * each thing. It prints one line, and ends with 0 when what was asked for came about.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft.h>

#define PIECE ((size_t)16384)

struct talk {
    weft_stream stream;
    size_t len, sent, received;
    bool wrong;
};

static long
ms_since(weft_time from)
{
    return (long)((weft_now() - from) / WEFT_MS(1));
}

static unsigned char
byte_at(size_t at)
{
    return (unsigned char)((at * 2654435761u + (at >> 13)) >> 7);
}

static int
send_bytes(void *arg)
{
    struct talk *talk = arg;
    unsigned char bytes[PIECE];
    int rc = 0;
    while (rc == 0 && talk->sent < talk->len) {
        size_t n = talk->len - talk->sent < PIECE ? talk->len - talk->sent : PIECE, written = 0;
        for (size_t i = 0; i < n; i++)
            bytes[i] = byte_at(talk->sent + i);
        rc = weft_stream_write_all(&talk->stream, bytes, n, &written);
        talk->sent += written;
    }
    return rc;
}

static int
receive_bytes(void *arg)
{
    struct talk *talk = arg;
    unsigned char bytes[PIECE];
    while (talk->received < talk->len) {
        ssize_t n = weft_stream_read(&talk->stream, bytes, sizeof bytes);
        if (n <= 0)
            return n < 0 ? (int)n : WEFT_E_END;
        for (ssize_t i = 0; i < n; i++)
            talk->wrong = talk->wrong || bytes[i] != byte_at(talk->received + (size_t)i);
        talk->received += (size_t)n;
    }
    return 0;
}

/* echo PLACE BYTES MS: so many bytes there and back, within so long. */
static int
echo(char **args)
{
    struct talk talk = {.len = strtoul(args[1], NULL, 10)};
    weft_group group;
    weft_time from = weft_now();
    weft_scope scope;
    weft_scope_open(&scope, from + WEFT_MS(atol(args[2])));
    int rc = weft_connect(&talk.stream, args[0], NULL);
    if (rc == 0) {
        weft_group_open(&group, NULL);
        weft_group_spawn(&group, send_bytes, &talk);
        weft_group_spawn(&group, receive_bytes, &talk);
        rc = weft_group_close(&group);
        weft_stream_close(&talk.stream);
    }
    bool by_deadline = weft_scope_close(&scope) == -ETIMEDOUT;
    printf("%s%s after %ld ms, %zu bytes came%s\n", by_deadline ? "deadline " : "",
           weft_errname(rc), ms_since(from), talk.received, talk.wrong ? ", wrong ones" : "");
    return rc == 0 && !talk.wrong ? 0 : -EIO;
}

/* lines PLACE MS: a line there and back every 100 ms, each within so long, until one fails. */
static int
lines(char **args)
{
    weft_stream stream;
    char reply[6];
    long n = 0;
    int rc = weft_connect(&stream, args[0], NULL);
    if (rc < 0)
        return rc;
    bool by_deadline = false;
    while (rc == 0) {
        weft_time from = weft_now();
        weft_scope scope;
        weft_scope_open(&scope, from + WEFT_MS(atol(args[1])));
        rc = weft_stream_write_all(&stream, "hello\n", 6, NULL);
        if (rc == 0)
            rc = weft_stream_read_exact(&stream, reply, 6, NULL);
        by_deadline = weft_scope_close(&scope) == -ETIMEDOUT;
        if (rc < 0)
            printf("%s%s after %ld ms and %ld lines\n", by_deadline ? "deadline " : "",
                   weft_errname(rc), ms_since(from), n);
        else if (n++ == 0) {
            printf("talking\n");
            fflush(stdout);
        }
        if (rc == 0)
            rc = weft_sleep(WEFT_MS(100));
    }
    weft_stream_close(&stream);
    return 0;
}

/* race ADDRESS ADDRESS MS: to the first of the two that answers. */
static int
race(char **args)
{
    weft_address addresses[2], peer;
    weft_stream stream;
    char text[64];
    for (int i = 0; i < 2; i++) {
        int rc = weft_address_parse(&addresses[i], args[i]);
        if (rc < 0)
            return rc;
    }
    weft_time from = weft_now();
    weft_scope scope;
    weft_scope_open(&scope, from + WEFT_MS(atol(args[2])));
    int rc = weft_connect_addresses(&stream, addresses, 2, NULL);
    weft_ignore(weft_scope_close(&scope));
    long took = ms_since(from);
    if (rc < 0)
        return rc;
    rc = weft_stream_peer(&stream, &peer);
    weft_stream_close(&stream);
    printf("connected to %s after %ld ms\n", weft_address_format(&peer, text, sizeof text), took);
    return rc;
}

struct attempt {
    char **args;
    unsigned n;
    bool connected; /* some attempt came so far */
};

static int
attempt_get(void *arg)
{
    struct attempt *attempt = arg;
    weft_http_response response;
    weft_scope scope;
    attempt->n++;
    weft_scope_open(&scope, weft_now() + WEFT_MS(atol(attempt->args[1])));
    int rc = weft_http_get(attempt->args[0], &response);
    weft_ignore(weft_scope_close(&scope));
    if (rc == 0 && response.status != 200)
        rc = -EIO;
    weft_http_response_free(&response);
    if (attempt->n == 1) {
        printf("first attempt: %s\n", weft_errname(rc));
        fflush(stdout);
    }
    return rc;
}

/* retry URL MS TIMES: gets it, trying again when an attempt took longer. */
static int
retry(char **args)
{
    struct attempt attempt = {.args = args};
    weft_time from = weft_now();
    int rc = weft_retry(attempt_get, &attempt,
                        &(weft_retry_options){.attempts = (unsigned)atol(args[2]),
                                              .base = WEFT_MS(50),
                                              .cap = WEFT_MS(200)});
    printf("%s after %ld ms and %u attempts\n", weft_errname(rc), ms_since(from), attempt.n);
    return rc;
}

static int
watch(weft_stream *connection, void *arg)
{
    char bytes[256];
    ssize_t n;
    (void)arg;
    weft_time from = weft_now();
    while ((n = weft_stream_read(connection, bytes, sizeof bytes)) > 0) {
        printf("talking\n");
        fflush(stdout);
        from = weft_now();
    }
    printf("%s after %ld ms\n", weft_errname((int)n), ms_since(from));
    fflush(stdout);
    return 0;
}

/* watch ADDRESS SECONDS: a server that only reads, and asks silent peers whether they are there. */
static int
watch_server(char **args)
{
    const char *listen[] = {args[0], NULL};
    weft_server *server;
    weft_address address;
    char text[64];
    int rc = weft_server_new(
        &server, &(weft_server_options){
                     .listen = listen, .serve = watch, .keep_alive = WEFT_SEC(atol(args[1]))});
    if (rc < 0)
        return rc;
    if (weft_server_address(server, 0, &address) == 0)
        printf("listening on %s\n", weft_address_format(&address, text, sizeof text));
    fflush(stdout);
    rc = weft_server_run(server);
    weft_server_free(server);
    return rc == -ECANCELED ? 0 : rc;
}

static const struct command {
    const char *name;
    int n_args;
    int (*run)(char **args);
} commands[] = {{"echo", 3, echo},
                {"lines", 2, lines},
                {"race", 3, race},
                {"retry", 3, retry},
                {"watch", 2, watch_server}};

struct call {
    const struct command *command;
    char **args;
};

static int
run(void *arg)
{
    struct call *call = arg;
    return call->command->run(call->args);
}

int
main(int argc, char **argv)
{
    struct call call = {.args = argv + 2};
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0 && argc == 2 + commands[i].n_args)
            call.command = &commands[i];
    if (call.command == NULL) {
        fprintf(stderr, "usage: client echo|lines|race|retry|watch ARGUMENT...\n");
        return 2;
    }
    int rc = weft_run(run, &call, &(weft_options){.loops = 1, .stack_size = 131072});
    if (rc < 0)
        printf("%s. %s\n", weft_strerror(rc), weft_error_text());
    return rc < 0;
}
