/*
 * delay_server.c - the server itself: one thread, one epoll, one queue in order of arrival.
 *
 * All delays are equal, so the queue of answers is sorted by itself: the first is due first. The
 * listener is always emptied before anything else, so that its queue stays short.
 */
#include "delay_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct connection {
    int fd;
    unsigned matched; /* bytes of the "\r\n\r\n" that ends a request seen so far */
    int64_t due;      /* 0 until the request is complete */
    struct connection *next;
};

struct server {
    int poller;
    int listener;
    int control;
    int paused; /* no descriptor was left for a connection: wait until one is closed */
    int stop;
    int64_t delay_ns;
    uint64_t good;
    struct connection *first, *last; /* waiting for their answer, in order */
    struct bench_server_counts counts;
    char response[BENCH_BODY_BYTES + 256];
    size_t response_len;
    size_t short_len; /* less than response_len: close half way */
};

static volatile sig_atomic_t told_to_stop;

static void
on_stop(int signo)
{
    (void)signo;
    told_to_stop = 1;
}

static int64_t
clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void
bench_server_body(char text[BENCH_BODY_BYTES])
{
    static const char line[] = "weft: one loop per core, and tasks that look like functions.\r\n";
    for (size_t i = 0; i < BENCH_BODY_BYTES; i++)
        text[i] = line[i % (sizeof line - 1)];
}

static int
watch(struct server *s, int op, int fd, uint32_t events, void *ptr)
{
    struct epoll_event event = {.events = events, .data.ptr = ptr};
    return epoll_ctl(s->poller, op, fd, &event) < 0 ? -errno : 0;
}

static void
connection_end(struct server *s, struct connection *c)
{
    close(c->fd);
    free(c);
    if (s->paused && watch(s, EPOLL_CTL_MOD, s->listener, EPOLLIN, &s->listener) == 0)
        s->paused = 0;
}

static void
connection_queue(struct server *s, struct connection *c)
{
    s->counts.requests++;
    c->due = clock_ns() + s->delay_ns;
    if (s->last != NULL)
        s->last->next = c;
    else
        s->first = c;
    s->last = c;
}

static void
connection_read(struct server *s, struct connection *c)
{
    char buf[2048];
    while (c->due == 0) {
        ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            s->counts.errors++;
            connection_end(s, c);
            return;
        }
        for (ssize_t i = 0; i < n && c->matched < 4; i++) {
            if (buf[i] == "\r\n\r\n"[c->matched])
                c->matched++;
            else
                c->matched = buf[i] == '\r';
        }
        if (c->matched == 4)
            connection_queue(s, c);
    }
}

static void
accept_all(struct server *s)
{
    for (;;) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN)
            return;
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
            s->counts.errors++;
            s->paused = watch(s, EPOLL_CTL_MOD, s->listener, 0, &s->listener) == 0;
            return;
        }
        if (fd < 0)
            continue; /* the connection's own error: it was gone before we looked */
        s->counts.accepted++;
        struct connection *c = calloc(1, sizeof *c);
        if (c == NULL || watch(s, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, c) < 0) {
            s->counts.errors++;
            free(c);
            close(fd);
            continue;
        }
        c->fd = fd;
    }
}

static void
answer_due(struct server *s)
{
    int64_t now = clock_ns();
    while (s->first != NULL && s->first->due <= now) {
        struct connection *c = s->first;
        s->first = c->next;
        if (s->first == NULL)
            s->last = NULL;
        size_t len = s->counts.bodies < s->good ? s->response_len : s->short_len;
        ssize_t n = send(c->fd, s->response, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n == (ssize_t)s->response_len)
            s->counts.bodies++;
        else if (n != (ssize_t)len)
            s->counts.errors++;
        connection_end(s, c);
    }
}

static void
control_read(struct server *s)
{
    char asked;
    ssize_t n = read(s->control, &asked, 1);
    if (n <= 0) {
        s->stop = n == 0 || errno != EINTR;
        return;
    }
    dprintf(s->control, "%llu %llu %llu %llu\n", (unsigned long long)s->counts.accepted,
            (unsigned long long)s->counts.requests, (unsigned long long)s->counts.bodies,
            (unsigned long long)s->counts.errors);
}

static int
wait_for_events(struct server *s, struct epoll_event *events, int n)
{
    int64_t left = s->first != NULL ? s->first->due - clock_ns() : 0;
    if (left < 0)
        left = 0;
    struct timespec timeout = {left / 1000000000, left % 1000000000};
    sigset_t none; /* SIGTERM comes only here, so it cannot come between the look and the wait */
    sigemptyset(&none);
    int got = epoll_pwait2(s->poller, events, n, s->first != NULL ? &timeout : NULL, &none);
    if (got < 0 && errno == ENOSYS) /* before Linux 5.11: milliseconds, rounded up */
        got = epoll_pwait(s->poller, events, n,
                          s->first != NULL ? (int)((left + 999999) / 1000000) : -1, &none);
    return got;
}

static void
serve(struct server *s)
{
    struct epoll_event events[256];
    while (!s->stop && !told_to_stop) {
        int n = wait_for_events(s, events, 256);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &s->listener)
                accept_all(s);
        }
        for (int i = 0; i < n; i++) {
            void *ptr = events[i].data.ptr;
            if (ptr == &s->control)
                control_read(s);
            else if (ptr != &s->listener && ((struct connection *)ptr)->due == 0)
                connection_read(s, ptr);
        }
        answer_due(s);
    }
}

static int
server_open(struct server *s, unsigned *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)*port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t len = sizeof address;
    int one = 1;
    s->poller = epoll_create1(EPOLL_CLOEXEC);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->poller < 0 || s->listener < 0)
        return -errno;
    if (setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(s->listener, (struct sockaddr *)&address, len) < 0 || listen(s->listener, 65535) < 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &len) < 0)
        return -errno;
    *port = ntohs(address.sin_port);
    int rc = watch(s, EPOLL_CTL_ADD, s->listener, EPOLLIN, &s->listener);
    if (rc == 0 && s->control >= 0)
        rc = watch(s, EPOLL_CTL_ADD, s->control, EPOLLIN, &s->control);
    return rc;
}

static void
response_make(struct server *s, int64_t close_after)
{
    int head = snprintf(s->response, sizeof s->response,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %u\r\n"
                        "Connection: close\r\n\r\n",
                        BENCH_BODY_BYTES);
    bench_server_body(s->response + head);
    s->response_len = (size_t)head + BENCH_BODY_BYTES;
    s->short_len = s->response_len;
    if (close_after >= 0 && (uint64_t)close_after < s->response_len)
        s->short_len = (size_t)close_after;
}

int
bench_delay_server(const struct bench_server_options *options)
{
    unsigned port = options->port;
    struct server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return 3;
    s->delay_ns = options->delay_ns;
    s->good = options->good;
    s->control = options->control;
    response_make(s, options->close_after);

    struct sigaction action = {.sa_handler = on_stop};
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGINT);
    sigprocmask(SIG_BLOCK, &held, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    int rc = server_open(s, &port);
    if (rc < 0) {
        fprintf(stderr, "weft-compare: delay server: %s\n", strerror(-rc));
    } else {
        if (s->control >= 0)
            dprintf(s->control, "%u\n", port);
        else
            printf("http://127.0.0.1:%u/\n", port);
        fflush(stdout);
        serve(s);
    }
    while (s->first != NULL) {
        struct connection *c = s->first;
        s->first = c->next;
        close(c->fd);
        free(c);
    }
    close(s->listener);
    close(s->poller);
    free(s);
    return rc < 0 ? 3 : 0;
}
