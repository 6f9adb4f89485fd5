/*
 * tls_echo.c - a TLS server that sends back what it gets; Ctrl-C ends it.
 *
 * asyncio: start_server(ssl=context). tls_echo ADDRESS PEM-FILE; the file has the certificate and
 * its key.
 */
#include <stdio.h>
#include <stdlib.h>

#include <weft.h>

struct connection {
    weft_stream tcp, tls;
    weft_tls_context *context;
};

static int
serve(void *arg)
{
    struct connection *c = arg;
    int rc = weft_tls_server(&c->tls, &c->tcp, c->context);
    if (rc == 0) {
        rc = weft_stream_copy(&c->tls, &c->tls, UINT64_MAX, NULL);
        if (rc == 0)
            rc = weft_stream_shutdown(&c->tls); /* says good-bye: nothing was cut off */
        weft_stream_close(&c->tls);
    }
    if (rc < 0 && rc != -ECANCELED)
        fprintf(stderr, "a connection ended: %s. %s\n", weft_strerror(rc), weft_error_text());
    weft_stream_close(&c->tcp);
    free(c);
    return 0; /* a connection that failed is no failure of the server */
}

static int
accept_one(weft_group *group, weft_fd *listener, weft_tls_context *context)
{
    weft_fd fd;
    struct connection *c = calloc(1, sizeof *c);
    int rc = c != NULL ? weft_tcp_accept(listener, &fd, NULL) : -ENOMEM;
    if (rc == 0) {
        c->context = context;
        rc = weft_stream_open_fd(&c->tcp, weft_fd_release(&fd));
    }
    if (rc == 0 && (rc = weft_group_spawn(group, serve, c)) < 0)
        weft_stream_close(&c->tcp);
    if (rc < 0)
        free(c);
    return rc;
}

static int
run_server(void *arg)
{
    char **args = arg, text[64];
    weft_tls_context *context;
    weft_address address;
    weft_fd listener;
    weft_group group;
    int rc = weft_tls_context_new(
        &context, &(weft_tls_options){.role = WEFT_TLS_SERVER, .cert_file = args[1]});
    if (rc < 0)
        return rc;
    rc = weft_address_parse(&address, args[0]);
    if (rc == 0)
        rc = weft_tcp_listen(&listener, &address, NULL);
    if (rc == 0) {
        weft_fd_local_address(&listener, &address);
        printf("listening on %s\n", weft_address_format(&address, text, sizeof text));
        fflush(stdout);
        weft_group_open(&group, &(weft_group_options){.keep_going = 1});
        while (rc >= 0)
            rc = accept_one(&group, &listener, context);
        weft_fd_close(&listener);
        weft_ignore(weft_group_close(&group));
    }
    weft_tls_context_unref(context);
    return rc == -ECANCELED ? 0 : rc;
}

int
main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: tls_echo ADDRESS PEM-FILE\n");
        return 2;
    }
    int rc = weft_run(run_server, argv + 1, &(weft_options){.loops = 1});
    if (rc < 0) {
        const char *detail = weft_error_text();
        fprintf(stderr, "tls_echo: %s%s%s\n", weft_strerror(rc), *detail != '\0' ? ". " : "",
                detail);
    }
    return rc < 0;
}
