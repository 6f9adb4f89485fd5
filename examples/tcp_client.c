/*
 * tcp_client.c - sends lines to a server and prints what comes back, all within five seconds.
 *
 * asyncio: open_connection(). tcp_client ADDRESS LINE...; the address is numeric, 127.0.0.1:7.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

/* Reads until `len` bytes are there; an end before that is -EPIPE. */
static int
read_exactly(weft_fd *fd, char *buf, size_t len)
{
    for (size_t have = 0; have < len;) {
        ssize_t n = weft_fd_read(fd, buf + have, len - have);
        if (n <= 0)
            return n < 0 ? (int)n : -EPIPE;
        have += (size_t)n;
    }
    return 0;
}

static int
exchange(weft_fd *fd, char **lines)
{
    char reply[4096];
    int rc = 0;
    for (; rc == 0 && *lines != NULL; lines++) {
        size_t len = strlen(*lines);
        if (len > sizeof reply)
            return -EMSGSIZE;
        rc = weft_fd_write_all(fd, *lines, len, NULL);
        if (rc == 0)
            rc = read_exactly(fd, reply, len);
        if (rc == 0)
            printf("%.*s\n", (int)len, reply);
    }
    return rc;
}

static int
talk(void *arg)
{
    char **args = arg; /* address, lines */
    weft_address address;
    int rc = weft_address_parse(&address, args[0]);
    if (rc < 0)
        return rc;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(5)); /* for all of it */
    weft_fd fd;
    rc = weft_tcp_connect(&fd, &address);
    if (rc == 0) {
        rc = exchange(&fd, args + 1);
        weft_fd_close(&fd);
    }
    weft_scope_close(&scope);
    return rc;
}

int
main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: tcp_client ADDRESS LINE...\n");
        return 2;
    }
    int rc = weft_run(talk, argv + 1, &(weft_options){.loops = 1});
    if (rc < 0)
        fprintf(stderr, "tcp_client: %s. %s\n", weft_strerror(rc), weft_error_text());
    return rc < 0;
}
