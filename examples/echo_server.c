/*
 * echo_server.c - a TCP server: a task per connection; Ctrl-C drains and ends it.
 *
 * asyncio: start_server(). echo_server [ADDRESS]. SIGINT cancels the main task: accept ends, and
 * each connection has a second to finish what is under way.
 */
#include <stdio.h>
#include <stdlib.h>

#include <weft.h>

struct connection {
    weft_fd fd;
    size_t len, sent; /* of what was read, how much has been sent back */
    char buf[4096];
};

static int
echo(struct connection *c)
{
    for (;;) {
        size_t written;
        int rc = weft_fd_write_all(&c->fd, c->buf + c->sent, c->len - c->sent, &written);
        c->sent += written; /* what a cancelled write left over is not lost */
        if (rc < 0)
            return rc;
        ssize_t n = weft_fd_read(&c->fd, c->buf, sizeof c->buf);
        if (n <= 0)
            return (int)n;
        c->len = (size_t)n;
        c->sent = 0;
    }
}

static int
serve(void *arg)
{
    struct connection *c = arg;
    if (echo(c) == -ECANCELED) {
        weft_scope shield;
        weft_shield_open(&shield, weft_now() + WEFT_SEC(1));
        weft_ignore(echo(c));
        weft_scope_close(&shield);
    }
    weft_fd_close(&c->fd);
    free(c);
    return 0; /* a connection that failed is no failure of the server */
}

static int
accept_one(weft_group *group, weft_fd *listener)
{
    struct connection *c = calloc(1, sizeof *c);
    int rc = c != NULL ? weft_tcp_accept(listener, &c->fd, NULL) : -ENOMEM;
    if (rc == 0 && (rc = weft_group_spawn(group, serve, c)) < 0)
        weft_fd_close(&c->fd);
    if (rc < 0)
        free(c);
    return rc;
}

static int
run_server(void *arg)
{
    weft_address address;
    weft_fd listener;
    weft_group group;
    unsigned served = 0;
    char text[64];
    int rc = weft_address_parse(&address, arg);
    if (rc == 0)
        rc = weft_tcp_listen(&listener, &address, NULL);
    if (rc < 0)
        return rc;
    weft_fd_local_address(&listener, &address);
    printf("listening on %s\n", weft_address_format(&address, text, sizeof text));
    fflush(stdout);
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    do {
        rc = accept_one(&group, &listener);
        served += rc >= 0;
        if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM)
            rc = weft_sleep(WEFT_MS(100)); /* a connection that ends makes room */
    } while (rc >= 0);
    weft_fd_close(&listener);
    weft_ignore(weft_group_close(&group)); /* drained */
    printf("connections served: %u\n", served);
    return rc == -ECANCELED ? 0 : rc;
}

int
main(int argc, char **argv)
{
    int rc = weft_run(run_server, argc > 1 ? argv[1] : "127.0.0.1:0", &(weft_options){.loops = 1});
    if (rc < 0)
        fprintf(stderr, "echo_server: %s. %s\n", weft_strerror(rc), weft_error_text());
    return rc < 0;
}
