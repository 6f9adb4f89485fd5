/*
 * udp_echo.c - a task that sends datagrams back, and one that asks it and does not wait for ever.
 *
 * asyncio: create_datagram_endpoint(). What was lost on the way is asked for again after 200 ms.
 */
#include <stdio.h>
#include <string.h>

#include <weft.h>

static int
echo(void *arg)
{
    weft_fd *fd = arg;
    for (;;) {
        char buf[1500];
        weft_address from;
        ssize_t n = weft_udp_receive_from(fd, buf, sizeof buf, &from, NULL);
        if (n == -EMSGSIZE)
            continue; /* larger than we answer */
        if (n < 0)
            return (int)n;
        int rc = weft_udp_send_to(fd, buf, (size_t)n, &from);
        if (rc < 0)
            return rc;
    }
}

static int
ask(weft_fd *fd, const char *question)
{
    for (int tries = 0; tries < 3; tries++) {
        char reply[1500];
        weft_scope soon;
        weft_scope_open(&soon, weft_now() + WEFT_MS(200));
        ssize_t n = weft_udp_send(fd, question, strlen(question));
        if (n == 0)
            n = weft_udp_receive(fd, reply, sizeof reply);
        if (weft_scope_close(&soon) == -ETIMEDOUT)
            continue;
        if (n >= 0)
            printf("%.*s\n", (int)n, reply);
        return n < 0 ? (int)n : 0;
    }
    return -ETIMEDOUT;
}

static int
talk(void *arg)
{
    (void)arg;
    weft_address address;
    weft_fd server, client;
    weft_group group;
    int rc = weft_address_parse(&address, "127.0.0.1:0");
    if (rc == 0)
        rc = weft_udp_open(&server, &address, NULL);
    if (rc < 0)
        return rc;
    rc = weft_udp_open(&client, &address, NULL);
    if (rc < 0) {
        weft_fd_close(&server);
        return rc;
    }
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, echo, &server);
    rc = weft_fd_local_address(&server, &address);
    if (rc == 0)
        rc = weft_udp_connect(&client, &address);
    for (int i = 0; rc == 0 && i < 3; i++)
        rc = ask(&client, (const char *[]){"warp", "weft", "selvedge"}[i]);
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group)); /* -ECANCELED, by ourselves */
    weft_fd_close(&client);
    weft_fd_close(&server);
    return rc;
}

int
main(void)
{
    int rc = weft_run(talk, NULL, &(weft_options){.loops = 1});
    if (rc < 0)
        fprintf(stderr, "udp_echo: %s\n", weft_strerror(rc));
    return rc < 0;
}
