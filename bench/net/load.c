/*
 * load.c - the client: what is read goes out again as the next request, until all are sent.
 */
#include "net/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 512
#define SILENCE_MS 10000

struct connection {
    int fd;
    uint64_t sent[LOAD_MESSAGE_BYTES / sizeof(uint64_t)];
    uint64_t got[LOAD_MESSAGE_BYTES / sizeof(uint64_t)];
    size_t n_got; /* bytes; of HTTP all but the first few are only counted */
};

struct load {
    int poller;
    int n;
    uint64_t number;  /* of the last request */
    const char *text; /* of HTTP; NULL: echo */
    size_t text_len, reply_len;
    struct connection connections[];
};

static int
open_any(struct load **ret_load, uint16_t port, int connections, const char *text)
{
    struct load *load = calloc(1, sizeof *load + (size_t)connections * sizeof load->connections[0]);
    if (load == NULL)
        return -ENOMEM;
    load->text = text;
    load->text_len = text != NULL ? strlen(text) : 0;
    load->poller = epoll_create1(EPOLL_CLOEXEC);
    if (load->poller < 0)
        goto fail;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    for (; load->n < connections; load->n++) {
        struct connection *c = &load->connections[load->n];
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0)
            goto fail;
        int on = 1;
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};
        if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 ||
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ||
            epoll_ctl(load->poller, EPOLL_CTL_ADD, c->fd, &event) < 0) {
            int rc = -errno;
            close(c->fd);
            errno = -rc;
            goto fail;
        }
    }
    *ret_load = load;
    return 0;

fail:;
    int rc = -errno;
    load_close(load);
    return rc;
}

int
load_open(struct load **ret_load, uint16_t port, int connections)
{
    return open_any(ret_load, port, connections, NULL);
}

/* How long a reply is: the first one says so. */
static int
learn_length(struct load *load)
{
    char buf[16384];
    size_t have = 0;
    int fd = load->connections[0].fd;
    if (send(fd, load->text, load->text_len, MSG_NOSIGNAL) != (ssize_t)load->text_len)
        return -EIO;
    for (;;) {
        ssize_t n = recv(fd, buf + have, sizeof buf - 1 - have, 0);
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        have += (size_t)n;
        buf[have] = '\0';
        const char *end = strstr(buf, "\r\n\r\n"), *length = strcasestr(buf, "\r\nContent-Length:");
        if (end == NULL)
            continue;
        if (length == NULL)
            return -EPROTO;
        load->reply_len = (size_t)(end + 4 - buf) + strtoul(length + 17, NULL, 10);
        if (have >= load->reply_len)
            return have == load->reply_len ? 0 : -EPROTO;
    }
}

int
load_open_http(struct load **ret_load, uint16_t port, int connections, const char *text)
{
    struct load *load;
    int rc = open_any(&load, port, connections, text);
    if (rc < 0)
        return rc;
    rc = learn_length(load);
    if (rc < 0) {
        load_close(load);
        return rc;
    }
    *ret_load = load;
    return 0;
}

static int
request(struct load *load, struct connection *c)
{
    if (load->text != NULL) {
        c->n_got = 0;
        ssize_t n = send(c->fd, load->text, load->text_len, MSG_NOSIGNAL);
        return n < 0 ? -errno : n == (ssize_t)load->text_len ? 0 : -EIO;
    }
    load->number++;
    for (size_t i = 0; i < sizeof c->sent / sizeof c->sent[0]; i++)
        c->sent[i] = load->number * 0x9e3779b97f4a7c15u + i;
    c->n_got = 0;
    ssize_t n = send(c->fd, c->sent, sizeof c->sent, MSG_NOSIGNAL);
    return n < 0 ? -errno : n == (ssize_t)sizeof c->sent ? 0 : -EIO;
}

/* 1: a reply is complete and right; 0: not yet complete. */
static int
reply_http(struct load *load, struct connection *c)
{
    char buf[16384];
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    if (n == 0)
        return -ECONNRESET;
    if (c->n_got == 0 && (n < 12 || memcmp(buf, "HTTP/1.1 200", 12) != 0))
        return -EPROTO;
    c->n_got += (size_t)n;
    return c->n_got > load->reply_len ? -EPROTO : c->n_got == load->reply_len;
}

static int
reply(struct load *load, struct connection *c)
{
    if (load->text != NULL)
        return reply_http(load, c);
    ssize_t n = recv(c->fd, (char *)c->got + c->n_got, sizeof c->got - c->n_got, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    if (n == 0)
        return -ECONNRESET;
    c->n_got += (size_t)n;
    if (c->n_got < sizeof c->got)
        return 0;
    return memcmp(c->sent, c->got, sizeof c->got) == 0 ? 1 : -EPROTO;
}

int
load_run(struct load *load, long requests)
{
    long sent = 0, done = 0;
    for (int i = 0; i < load->n && sent < requests; i++, sent++) {
        int rc = request(load, &load->connections[i]);
        if (rc < 0)
            return rc;
    }
    while (done < requests) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(load->poller, events, EVENTS_MAX, SILENCE_MS);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -ETIMEDOUT : -errno;
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            int rc = reply(load, c);
            if (rc < 0)
                return rc;
            if (rc == 0)
                continue;
            done++;
            if (sent < requests) {
                sent++;
                rc = request(load, c);
                if (rc < 0)
                    return rc;
            }
        }
    }
    return 0;
}

void
load_close(struct load *load)
{
    for (int i = 0; i < load->n; i++)
        close(load->connections[i].fd);
    if (load->poller >= 0)
        close(load->poller);
    free(load);
}
