/*
 * tcp_client.c - sends lines to a server and prints what comes back, all within five seconds.
 *
 * asyncio: open_connection(). tcp_client PLACE LINE...; localhost:7, 127.0.0.1:7, unix:/path.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
exchange(weft_stream *stream, char **lines)
{
    char reply[4096];
    int rc = 0;
    for (; rc == 0 && *lines != NULL; lines++) {
        size_t len = strlen(*lines);
        if (len > sizeof reply)
            return -EMSGSIZE;
        rc = weft_stream_write_all(stream, *lines, len, NULL);
        if (rc == 0)
            rc = weft_stream_read_exact(stream, reply, len, NULL);
        if (rc == 0)
            printf("%.*s\n", (int)len, reply);
    }
    return rc;
}

static int
talk(void *arg)
{
    char **args = arg; /* place, lines */
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(5)); /* for all of it */
    weft_stream stream;
    int rc = weft_connect(&stream, args[0], NULL);
    if (rc == 0) {
        rc = exchange(&stream, args + 1);
        weft_stream_close(&stream);
    }
    weft_scope_close(&scope);
    return rc;
}

int
main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: tcp_client PLACE LINE...\n");
        return 2;
    }
    int rc = weft_run(talk, argv + 1, &(weft_options){.loops = 1});
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "tcp_client: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "",
                detail);
    }
    return rc < 0;
}
