/*
 * load_tls.c - the client over TLS: OpenSSL on blocking handshakes, then epoll.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "net/load.h"

#define EVENTS_MAX 512
#define SILENCE_MS 10000

struct load_tls {
    SSL_CTX *context;
    int poller;
    int n;
    uint64_t number;
    SSL *connections[];
};

static int
connect_one(struct load_tls *load, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    SSL *ssl = SSL_new(load->context);
    if (ssl == NULL || connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 || SSL_set_fd(ssl, fd) != 1) {
        int rc = errno != 0 ? -errno : -ENOMEM;
        SSL_free(ssl);
        close(fd);
        return rc;
    }
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = ssl}};
    if (SSL_connect(ssl) != 1 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
        epoll_ctl(load->poller, EPOLL_CTL_ADD, fd, &event) < 0) {
        SSL_free(ssl);
        close(fd);
        return -EPROTO;
    }
    load->connections[load->n++] = ssl;
    return 0;
}

int
load_tls_open(struct load_tls **ret_load, uint16_t port, int connections, int newest)
{
    struct load_tls *load =
        calloc(1, sizeof *load + (size_t)connections * sizeof load->connections[0]);
    if (load == NULL)
        return -ENOMEM;
    load->context = SSL_CTX_new(TLS_client_method());
    load->poller = epoll_create1(EPOLL_CLOEXEC);
    int rc = load->context != NULL && load->poller >= 0 ? 0 : -ENOMEM;
    if (rc == 0 && SSL_CTX_set_max_proto_version(load->context, newest) != 1)
        rc = -EINVAL;
    while (rc == 0 && load->n < connections)
        rc = connect_one(load, port);
    if (rc < 0) {
        load_tls_close(load);
        return rc;
    }
    *ret_load = load;
    return 0;
}

static int
request(struct load_tls *load, SSL *ssl)
{
    uint64_t message[LOAD_MESSAGE_BYTES / sizeof(uint64_t)];
    for (size_t i = 0; i < sizeof message / sizeof message[0]; i++)
        message[i] = load->number++ * 0x9e3779b97f4a7c15u;
    return SSL_write(ssl, message, sizeof message) == sizeof message ? 0 : -EIO;
}

/* 1: a reply has come, in one record as it was sent; 0: none yet. */
static int
reply(SSL *ssl)
{
    char got[LOAD_MESSAGE_BYTES];
    int n = SSL_read(ssl, got, sizeof got);
    if (n == sizeof got)
        return 1;
    if (n <= 0 && SSL_get_error(ssl, n) == SSL_ERROR_WANT_READ)
        return 0;
    return n > 0 ? -EPROTO : -ECONNRESET;
}

int
load_tls_run(struct load_tls *load, long requests)
{
    long sent = 0, done = 0;
    int rc = 0;
    for (int i = 0; rc == 0 && i < load->n && sent < requests; i++, sent++)
        rc = request(load, load->connections[i]);
    while (rc == 0 && done < requests) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(load->poller, events, EVENTS_MAX, SILENCE_MS);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? -ETIMEDOUT : -errno;
        for (int i = 0; rc == 0 && i < n; i++) {
            rc = reply(events[i].data.ptr);
            if (rc != 1)
                continue;
            rc = 0;
            done++;
            if (sent < requests) {
                sent++;
                rc = request(load, events[i].data.ptr);
            }
        }
    }
    return rc;
}

void
load_tls_close(struct load_tls *load)
{
    for (int i = 0; i < load->n; i++) {
        int fd = SSL_get_fd(load->connections[i]);
        SSL_free(load->connections[i]);
        close(fd);
    }
    if (load->poller >= 0)
        close(load->poller);
    SSL_CTX_free(load->context);
    free(load);
}
