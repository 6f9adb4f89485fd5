/*
 * t_peer.h - a small HTTP server of tasks, which does what the path of a request says.
 */
#ifndef WEFT_TESTS_HTTP_T_PEER_H
#define WEFT_TESTS_HTTP_T_PEER_H

#include <weft/http_client.h>

#include "io/t_io.h"

struct t_server {
    weft_fd listener;
    weft_address address;
    weft_group group;
    char base[64]; /* "http://127.0.0.1:PORT" */
    unsigned connections, requests;
    unsigned alive; /* connections open now */
    bool lasting;   /* a client keeps connections beyond the server's end */
    uint64_t sent;  /* bytes of /big that the socket took */
};

/* One connection, with what was read from it. */
struct t_peer {
    struct t_server *server;
    weft_fd fd;
    char in[65536];
    size_t have;
    char head[8192]; /* of the request at hand */
    bool close;
};

static inline int
t_say(struct t_peer *peer, const char *text)
{
    return weft_fd_write_all(&peer->fd, text, strlen(text), NULL);
}

static inline int
t_answer(struct t_peer *peer, const char *status, const char *more, const char *body)
{
    weft_buf buf = {.data = NULL};
    weft_ignore(weft_buf_printf(&buf, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status,
                                more, strlen(body),
                                strncmp(peer->head, "HEAD", 4) == 0 ? "" : body));
    int rc = buf.len > 0 ? weft_fd_write_all(&peer->fd, buf.data, buf.len, NULL) : -ENOMEM;
    weft_buf_free(&buf);
    return rc;
}

/* More bytes into peer->in: 1, 0 at the end, an error. */
static inline int
t_more(struct t_peer *peer)
{
    if (peer->have == sizeof peer->in)
        return -EMSGSIZE;
    ssize_t n = weft_fd_read(&peer->fd, peer->in + peer->have, sizeof peer->in - peer->have);
    if (n > 0)
        peer->have += (size_t)n;
    return n > 0 ? 1 : (int)n;
}

static inline void
t_take(struct t_peer *peer, size_t len)
{
    peer->have -= len;
    memmove(peer->in, peer->in + len, peer->have);
}

static inline int
t_echo_bytes(struct t_peer *peer, size_t len)
{
    while (len > 0) {
        int rc = peer->have == 0 ? t_more(peer) : 1;
        if (rc <= 0)
            return rc < 0 ? rc : -EPIPE;
        size_t n = peer->have < len ? peer->have : len;
        char line[32];
        snprintf(line, sizeof line, "%zx\r\n", n);
        rc = t_say(peer, line);
        if (rc == 0)
            rc = weft_fd_write_all(&peer->fd, peer->in, n, NULL);
        if (rc == 0)
            rc = t_say(peer, "\r\n");
        if (rc < 0)
            return rc;
        t_take(peer, n);
        len -= n;
    }
    return 0;
}

/* A line of a chunked body: its number, or an error. */
static inline long
t_chunk_line(struct t_peer *peer)
{
    char *end;
    while ((end = memmem(peer->in, peer->have, "\r\n", 2)) == NULL) {
        int rc = t_more(peer);
        if (rc <= 0)
            return rc < 0 ? rc : -EPIPE;
    }
    long n = strtol(peer->in, NULL, 16);
    t_take(peer, (size_t)(end - peer->in) + 2);
    return n;
}

/* Sends the body back while it comes. */
static inline int
t_echo(struct t_peer *peer)
{
    int rc = 0;
    if (strcasestr(peer->head, "\r\nExpect: 100-continue"))
        rc = t_say(peer, "HTTP/1.1 100 Continue\r\n\r\n");
    if (rc == 0)
        rc = t_say(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const char *length = strcasestr(peer->head, "\r\nContent-Length:");
    if (rc == 0 && length != NULL)
        rc = t_echo_bytes(peer, (size_t)atol(length + 17));
    while (rc == 0 && length == NULL) {
        long n = t_chunk_line(peer);
        rc = n > 0 ? t_echo_bytes(peer, (size_t)n) : (int)n;
        if (rc == 0)
            rc = (int)(t_chunk_line(peer) < 0 ? -EPIPE : 0);
        if (n <= 0)
            break;
    }
    return rc < 0 ? rc : t_say(peer, "0\r\n\r\n");
}

static inline int
t_big(struct t_peer *peer, size_t len)
{
    char head[128];
    unsigned char bytes[4096];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    int rc = t_say(peer, head);
    for (size_t at = 0; rc == 0 && at < len;) {
        size_t n = len - at < sizeof bytes ? len - at : sizeof bytes;
        t_bytes_make(bytes, n, 7, at);
        rc = weft_fd_write_all(&peer->fd, bytes, n, NULL);
        at += n;
        if (rc == 0)
            peer->server->sent += n;
    }
    return rc;
}

/* Waits until the client goes away. */
static inline int
t_stall(struct t_peer *peer)
{
    int rc;
    do {
        peer->have = 0;
        rc = t_more(peer);
    } while (rc > 0);
    return rc < 0 ? rc : -EPIPE;
}

/* Reads past the body of a request that is not about it. */
static inline int
t_skip_body(struct t_peer *peer)
{
    const char *length = strcasestr(peer->head, "\r\nContent-Length:");
    size_t len = length != NULL ? (size_t)atol(length + 17) : 0;
    int rc = 1;
    while (rc > 0 && peer->have < len)
        rc = t_more(peer);
    if (rc > 0)
        t_take(peer, len);
    return rc > 0 ? 0 : rc < 0 ? rc : -EPIPE;
}

static inline int
t_serve_one(struct t_peer *peer)
{
    char method[16], path[256], more[512];
    if (sscanf(peer->head, "%15s %255s", method, path) != 2)
        return -EBADMSG;
    peer->server->requests++;
    const char *number = strrchr(path, '/') + 1;
    bool about_body =
        strcmp(path, "/echo") == 0 || strcmp(path, "/close") == 0 || strcmp(path, "/half") == 0;
    int skipped = about_body ? 0 : t_skip_body(peer);
    if (skipped < 0)
        return skipped;
    if (strcmp(path, "/hello") == 0)
        return t_answer(peer, "200 OK", "X-Two: a\r\nx-two: b\r\n", "hello");
    if (strcmp(path, "/method") == 0)
        return t_answer(peer, "200 OK", "", method);
    if (strcmp(path, "/headers") == 0)
        return t_answer(peer, "200 OK", "", peer->head);
    if (strcmp(path, "/cookie") == 0)
        return t_answer(peer, "200 OK", "Set-Cookie: taste=sweet\r\n", "");
    if (strcmp(path, "/chunked") == 0)
        return t_say(peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "4\r\nwell\r\n2\r\n, \r\n5\r\nhello\r\n0\r\nX-Trailer: t\r\n\r\n");
    if (strcmp(path, "/close") == 0) {
        peer->close = true;
        return t_answer(peer, "200 OK", "Connection: close\r\n", "bye");
    }
    if (strcmp(path, "/see-other") == 0)
        return t_answer(peer, "303 See Other", "Location: /method\r\n", "not this");
    if (strcmp(path, "/gzip") == 0) {
        static const unsigned char hello[] = {31,   139,  8,    0,    0,    0,    0, 0, 0,
                                              255,  0xcb, 0x48, 0xcd, 0xc9, 0xc9, 7, 0, 0x86,
                                              0xa6, 0x10, 0x36, 5,    0,    0,    0};
        int rc = t_say(peer, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
                             "Content-Length: 25\r\n\r\n");
        return rc < 0 ? rc : weft_fd_write_all(&peer->fd, hello, sizeof hello, NULL);
    }
    if (strncmp(path, "/redirect/", 10) == 0) {
        int left = atoi(number);
        if (left > 1)
            snprintf(more, sizeof more, "Location: /redirect/%d\r\n", left - 1);
        else
            snprintf(more, sizeof more, "Location: /hello\r\n");
        return t_answer(peer, "302 Found", more, "elsewhere");
    }
    if (strncmp(path, "/status/", 8) == 0)
        return t_answer(peer, number, "", "so it is");
    if (strcmp(path, "/echo") == 0)
        return t_echo(peer);
    if (strncmp(path, "/big/", 5) == 0)
        return t_big(peer, (size_t)atol(number));
    if (strcmp(path, "/stall") == 0)
        return t_stall(peer);
    if (strcmp(path, "/half") == 0) {
        int rc = t_say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        return rc < 0 ? rc : t_stall(peer);
    }
    if (strcmp(path, "/cut") == 0) {
        weft_ignore(t_say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
        peer->close = true;
        return 0;
    }
    if (strcmp(path, "/cut-head") == 0) {
        weft_ignore(t_say(peer, "HTTP/1.1 200 OK\r\nContent-Le"));
        peer->close = true;
        return 0;
    }
    if (strcmp(path, "/reset") == 0) {
        weft_ignore(t_say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"));
        weft_ignore(weft_sleep(WEFT_MS(20))); /* so that the client has read this */
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(weft_fd_raw(&peer->fd), SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        peer->close = true;
        return 0;
    }
    if (strcmp(path, "/nothing") == 0) {
        peer->close = true;
        return 0;
    }
    if (strcmp(path, "/endless") == 0) { /* a line of the head */
        char piece[8192];
        memset(piece, 'x', sizeof piece - 1);
        piece[sizeof piece - 1] = '\0';
        peer->close = true;
        int rc = t_say(peer, "HTTP/1.1 200 OK\r\nX: ");
        for (int i = 0; i < 25 && rc == 0; i++)
            rc = t_say(peer, piece);
        return rc;
    }
    if (strcmp(path, "/garbage") == 0) {
        peer->close = true;
        return t_say(peer, "this is no HTTP\r\n\r\n");
    }
    return t_answer(peer, "404 Not Found", "", "what?");
}

static inline int
t_serve(void *arg)
{
    struct t_peer *peer = arg;
    peer->server->alive++;
    int rc = 0;
    while (rc == 0 && !peer->close) {
        char *end;
        while ((end = memmem(peer->in, peer->have, "\r\n\r\n", 4)) == NULL && rc == 0) {
            rc = t_more(peer);
            rc = rc > 0 ? 0 : rc < 0 ? rc : -EPIPE;
        }
        if (rc < 0)
            break;
        size_t len = (size_t)(end - peer->in) + 4;
        snprintf(peer->head, sizeof peer->head, "%.*s", (int)len, peer->in);
        t_take(peer, len);
        rc = t_serve_one(peer);
    }
    peer->server->alive--;
    weft_fd_close(&peer->fd);
    free(peer);
    return 0; /* that a client went away is no failure */
}

static inline int
t_accept(void *arg)
{
    struct t_server *server = arg;
    int rc = 0;
    while (rc >= 0) {
        struct t_peer *peer = malloc(sizeof *peer);
        peer->server = server;
        peer->have = 0;
        peer->close = false;
        rc = weft_tcp_accept(&server->listener, &peer->fd, NULL);
        if (rc == 0) {
            server->connections++;
            rc = weft_task_spawn(NULL, t_serve, peer, NULL);
            if (rc < 0)
                weft_fd_close(&peer->fd);
        }
        if (rc < 0)
            free(peer);
    }
    return rc;
}

static inline void
t_server_start(struct t_server *server)
{
    memset(server, 0, sizeof *server);
    server->address = t_listen(&server->listener, NULL);
    char text[64];
    snprintf(server->base, sizeof server->base, "http://%.50s",
             weft_address_format(&server->address, text, sizeof text));
    weft_group_open(&server->group, NULL);
    weft_group_spawn(&server->group, t_accept, server);
}

/* When its clients are gone, and their connections with them. */
static inline void
t_server_stop(struct t_server *server)
{
    weft_group_cancel(&server->group);
    weft_ignore(weft_group_close(&server->group));
    weft_fd_close(&server->listener);
    if (server->lasting)
        return;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(10));
    while (server->alive > 0 && weft_sleep(WEFT_MS(1)) == 0)
        continue;
    weft_scope_close(&scope);
    cr_assert(server->alive == 0, "%u connections are still open", server->alive);
}

/* A URL at the server; good until the eighth call after it. */
static inline const char *
t_url(const struct t_server *server, const char *path)
{
    static char urls[8][256];
    static unsigned next;
    char *url = urls[next++ % 8];
    snprintf(url, sizeof urls[0], "%s%s", server->base, path);
    return url;
}

#endif
