/*
 * echo_server.c - a TCP server on every loop: a task per connection; Ctrl-C drains and ends it.
 *
 * asyncio: start_server(). echo_server [ADDRESS]... ("127.0.0.1:8080", "unix:/tmp/echo"). SIGINT
 * cancels the main task: nobody is accepted any more, and connections have a second to finish
 * what is under way.
 */
#include <stdio.h>

#include <weft.h>

static int
echo(weft_stream *connection, void *arg)
{
    (void)arg;
    for (;;) {
        weft_bytes bytes = weft_stream_buffered(connection);
        int rc = weft_stream_write_all(connection, bytes.data, bytes.len, NULL);
        if (rc < 0)
            return rc;
        weft_stream_consume(connection, bytes.len);
        ssize_t n = weft_stream_fill(connection);
        if (n <= 0)
            return (int)n; /* a connection that failed is no failure of the server */
    }
}

static int
run_server(void *arg)
{
    const char *const *listen = arg;
    weft_server *server;
    weft_server_stats stats;
    weft_address address;
    char text[64];
    int rc = weft_server_new(
        &server, &(weft_server_options){.listen = listen, .serve = echo, .grace = WEFT_SEC(1)});
    if (rc < 0)
        return rc;
    for (size_t i = 0; weft_server_address(server, i, &address) == 0; i++)
        printf("listening on %s\n", address.storage.ss_family == AF_UNIX
                                        ? listen[i]
                                        : weft_address_format(&address, text, sizeof text));
    fflush(stdout);
    rc = weft_server_run(server);
    weft_server_stats_get(server, -1, &stats);
    printf("connections served: %llu\n", (unsigned long long)stats.accepted);
    weft_server_free(server);
    return rc == -ECANCELED ? 0 : rc;
}

int
main(int argc, char **argv)
{
    const char *anywhere[] = {"127.0.0.1:0", NULL};
    if (argc > 1 && argv[1][0] == '-') {
        fprintf(stderr, "usage: echo_server [ADDRESS]...\n");
        return 2;
    }
    int rc = weft_run(run_server, argc > 1 ? (void *)(argv + 1) : (void *)anywhere, NULL);
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "echo_server: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "",
                detail);
    }
    return rc < 0;
}
