/*
 * peers.c - clients that nobody wants, for hostile.sh and namespaces.sh: a plain program of
 * sockets.
 *
 * peers KIND ADDRESS PORT N SECONDS opens N connections at once, does what KIND says, and closes
 * all of them after SECONDS, or when the server has closed them. It prints how many connected, how
 * many got an answer and its first line, and how many the server closed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct peer {
    int fd;
    bool connected, answered;
    size_t sent, received;
};

struct kind {
    const char *name;
    const char *begin;  /* sent first */
    const char *repeat; /* then this again and again; NULL: nothing */
    unsigned every_ms;  /* a repetition; 0: as fast as it is taken */
    size_t most;        /* bytes of repetitions; 0: without end */
    bool reads;         /* what comes is read; else it stays where it is */
    bool half;          /* says after `begin` that no more will be sent */
    bool resets;        /* ends with a reset, as soon as `begin` is sent and something came */
    size_t wants;       /* bytes to come before the reset */
    bool random;        /* `repeat` is bytes of a fixed sequence instead */
};

#define POST "POST /echo HTTP/1.1\r\nHost: a\r\n"

static const struct kind kinds[] = {
    {.name = "silent", .begin = "", .reads = true},
    {.name = "half-request", .begin = "GET / HTTP/1.1\r\nHo", .reads = true},
    {.name = "half-open", .begin = "GET / HTTP/1.1\r\nHo", .reads = true, .half = true},
    {.name = "half-body",
     .begin = POST "Content-Length: 1000\r\n\r\nabc",
     .reads = true,
     .half = true},
    {.name = "reset-request", .begin = "GET / HTTP/1.1\r\nHo", .reads = true, .resets = true},
    {.name = "reset-body", .begin = POST "Content-Length: 1000\r\n\r\nabc", .resets = true},
    {.name = "reset-write",
     .begin = "GET /count/1000000 HTTP/1.1\r\nHost: a\r\n\r\n",
     .reads = true,
     .resets = true,
     .wants = 1000},
    {.name = "deaf", .begin = "GET /count/1000000 HTTP/1.1\r\nHost: a\r\n\r\n"},
    {.name = "garbage", .begin = "", .repeat = "", .reads = true, .random = true, .most = 65536},
    {.name = "endless-header",
     .begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ",
     .repeat = "xxxxxxxxxxxxxxxx",
     .reads = true},
    {.name = "endless-headers",
     .begin = "GET / HTTP/1.1\r\nHost: a\r\n",
     .repeat = "X: y\r\n",
     .reads = true},
    {.name = "endless-target", .begin = "GET /", .repeat = "xxxxxxxxxxxxxxxx", .reads = true},
    {.name = "endless-extension",
     .begin = POST "Transfer-Encoding: chunked\r\n\r\n1",
     .repeat = ";a=bcdefgh",
     .reads = true},
    {.name = "endless-extensions",
     .begin = POST "Transfer-Encoding: chunked\r\n\r\n",
     .repeat = "1;a=bcdefghijklmnop\r\nx\r\n",
     .reads = true},
    {.name = "endless-trailer",
     .begin = POST "Transfer-Encoding: chunked\r\n\r\n0\r\n",
     .repeat = "X: y\r\n",
     .reads = true},
    {.name = "endless-body",
     .begin = POST "Transfer-Encoding: chunked\r\n\r\n",
     .repeat = "40\r\n0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n",
     .reads = true},
    {.name = "endless-pipeline", .begin = "", .repeat = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {.name = "trickle",
     .begin = POST "Content-Length: 100000\r\n\r\n",
     .repeat = "x",
     .every_ms = 1000,
     .reads = true},
    {.name = "trickle-head",
     .begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ",
     .repeat = "x",
     .every_ms = 1000,
     .reads = true},
    {.name = "echo-deaf", .begin = "", .repeat = "0123456789abcdef", .reads = false},
    {.name = "echo-reset", .begin = "0123456789abcdef", .reads = true, .resets = true, .wants = 1},
};

static const struct kind *kind;
static char first_line[128];
static unsigned long connected, answered, closed;

static long long
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void
end(struct peer *peer, bool by_server)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (kind->resets)
        setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(peer->fd);
    peer->fd = -1;
    closed += by_server;
}

/* As many bytes as are taken of what is due at that time. False: the connection is over. */
static bool
send_due(struct peer *peer, long long ran_ms)
{
    size_t begin = strlen(kind->begin);
    size_t unit = kind->random ? 64 : kind->repeat != NULL ? strlen(kind->repeat) : 0;
    for (int i = 0; i < 64; i++) { /* then the others have their turn */
        char bytes[16384];
        size_t len = 0;
        if (peer->sent < begin) {
            len = begin - peer->sent;
            memcpy(bytes, kind->begin + peer->sent, len);
        } else if (unit > 0) {
            size_t done = peer->sent - begin;
            if (kind->most > 0 && done >= kind->most)
                return true;
            if (kind->every_ms > 0 && done >= (size_t)(ran_ms / kind->every_ms))
                return true;
            len = kind->every_ms > 0 ? 1 : sizeof bytes / unit * unit - done % unit;
            for (size_t at = 0; at < len; at++)
                bytes[at] = kind->random
                                ? (char)(((done + at + 7 * (size_t)peer->fd) * 2654435761u) >> 13)
                                : kind->repeat[(done + at) % unit];
        }
        if (len == 0)
            return true;
        ssize_t n = send(peer->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == ENOTCONN || errno == EINTR;
        peer->sent += (size_t)n;
        if (peer->sent == begin && kind->half)
            shutdown(peer->fd, SHUT_WR);
    }
    return true;
}

/* False: the connection is over. */
static bool
receive(struct peer *peer)
{
    char bytes[16384];
    for (;;) {
        ssize_t n = recv(peer->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            return false;
        if (!peer->answered && first_line[0] == '\0')
            snprintf(first_line, sizeof first_line, "%.*s", (int)strcspn(bytes, "\r\n"), bytes);
        answered += !peer->answered;
        peer->answered = true;
        peer->received += (size_t)n;
    }
}

static void
step(struct peer *peer, short events, long long ran_ms)
{
    if (!peer->connected && events != 0) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error != 0) {
            end(peer, false);
            return;
        }
        peer->connected = true;
        connected++;
    }
    if (!peer->connected)
        return;
    /* What was answered is read before a failure to send is believed. */
    bool sending = send_due(peer, ran_ms);
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && (kind->reads || !sending) && !receive(peer))
        end(peer, true);
    else if (!sending || (events & POLLERR) != 0)
        end(peer, true);
    else if (kind->resets && peer->sent >= strlen(kind->begin) && peer->received >= kind->wants)
        end(peer, false);
}

static void
start(struct peer *peer, const struct sockaddr_in *address)
{
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (peer->fd < 0) {
        perror("peers: socket");
        exit(1);
    }
    if (connect(peer->fd, (const struct sockaddr *)address, sizeof *address) < 0 &&
        errno != EINPROGRESS)
        end(peer, false);
}

int
main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (argc != 6 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1) {
        fprintf(stderr, "usage: peers KIND ADDRESS PORT N SECONDS\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, argv[1]) == 0)
            kind = &kinds[i];
    if (kind == NULL) {
        fprintf(stderr, "peers: there is no kind '%s'\n", argv[1]);
        return 2;
    }
    address.sin_port = htons((unsigned short)atoi(argv[3]));
    size_t n = (size_t)atol(argv[4]), started = 0;
    long long from = now_ms(), until = from + atol(argv[5]) * 1000;
    struct peer *peers = calloc(n, sizeof *peers);
    struct pollfd *polled = calloc(n, sizeof *polled);
    if (peers == NULL || polled == NULL)
        return 1;
    for (long long now = from; now < until; now = now_ms()) {
        /* Not all at once: the queue of a listening socket has an end. */
        for (size_t k = 0; k < 500 && started < n; k++)
            start(&peers[started++], &address);
        size_t alive = 0;
        for (size_t i = 0; i < started; i++) {
            polled[i] = (struct pollfd){.fd = peers[i].fd, .events = POLLIN};
            if (!peers[i].connected || (kind->repeat != NULL && kind->every_ms == 0))
                polled[i].events = kind->reads ? POLLIN | POLLOUT : POLLOUT;
            else if (!kind->reads)
                polled[i].events = 0;
            alive += peers[i].fd >= 0;
        }
        if (alive == 0 && started == n)
            break;
        poll(polled, started, started < n ? 5 : 50);
        for (size_t i = 0; i < started; i++)
            if (peers[i].fd >= 0 && (polled[i].revents != 0 || kind->every_ms > 0))
                step(&peers[i], polled[i].revents, now - from);
    }
    for (size_t i = 0; i < started; i++)
        if (peers[i].fd >= 0)
            end(&peers[i], false);
    printf("connected %lu answered %lu closed %lu: %s\n", connected, answered, closed, first_line);
    free(peers);
    free(polled);
    return 0;
}
