/*
 * tls_client.c - sends lines to a server over TLS and prints what comes back.
 *
 * asyncio: open_connection(ssl=True). tls_client ADDRESS HOST CA-FILE LINE...; HOST is who the
 * certificate must be for, CA-FILE who must have signed it ("-": whom the system trusts).
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

struct wish {
    const char *address, *host;
    char **lines;
    weft_tls_context *context;
};

static int
exchange(weft_stream *tls, char **lines)
{
    int rc = 0;
    for (; rc == 0 && *lines != NULL; lines++) {
        struct iovec line[] = {{*lines, strlen(*lines)}, {"\n", 1}};
        weft_bytes reply;
        rc = weft_stream_writev(tls, line, 2, NULL);
        if (rc == 0 && (rc = weft_stream_read_line(tls, &reply)) == 1) {
            printf("%.*s\n", (int)reply.len, (const char *)reply.data);
            rc = 0;
        }
    }
    return rc < 0 ? rc : weft_stream_shutdown(tls);
}

static int
talk(void *arg)
{
    const struct wish *wish = arg;
    weft_address address;
    weft_fd fd;
    weft_stream tcp, tls;
    weft_scope scope;
    int rc = weft_address_parse(&address, wish->address);
    if (rc < 0)
        return rc;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(5)); /* for all of it */
    rc = weft_tcp_connect(&fd, &address);
    if (rc == 0)
        rc = weft_stream_open_fd(&tcp, weft_fd_release(&fd));
    if (rc == 0) {
        rc = weft_tls_client(&tls, &tcp, wish->context, wish->host);
        if (rc == 0) {
            rc = exchange(&tls, wish->lines);
            weft_stream_close(&tls); /* and tcp with it */
        }
        weft_stream_close(&tcp); /* if the handshake failed it is still ours */
    }
    weft_scope_close(&scope);
    return rc;
}

int
main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: tls_client ADDRESS HOST CA-FILE LINE...\n");
        return 2;
    }
    struct wish wish = {.address = argv[1], .host = argv[2], .lines = argv + 4};
    weft_tls_options options = {.ca_file = strcmp(argv[3], "-") == 0 ? NULL : argv[3]};
    int rc = weft_tls_context_new(&wish.context, &options);
    if (rc == 0)
        rc = weft_run(talk, &wish, &(weft_options){.loops = 1});
    weft_tls_context_unref(wish.context);
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "tls_client: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "",
                detail);
    }
    return rc < 0;
}
