/*
 * openssl_echo.c - an echo server over TLS on OpenSSL and raw epoll.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "rivals/rivals.h"

#define EVENTS_MAX 512

static void
end(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    close(fd);
}

/* All of it; a 64-byte echo always finds room. */
static int
write_all(SSL *ssl, const char *buf, int len)
{
    for (;;) {
        int n = SSL_write(ssl, buf, len);
        if (n == len)
            return 0;
        if (n > 0 || SSL_get_error(ssl, n) != SSL_ERROR_WANT_WRITE)
            return -EIO;
        struct pollfd room = {.fd = SSL_get_fd(ssl), .events = POLLOUT};
        poll(&room, 1, -1);
    }
}

static void
echo(SSL *ssl)
{
    char buf[RIVAL_BUF_BYTES];
    int n;
    do {
        n = SSL_read(ssl, buf, sizeof buf);
        if (n <= 0) {
            int error = SSL_get_error(ssl, n);
            if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
                end(ssl);
            return;
        }
        if (write_all(ssl, buf, n) < 0) {
            end(ssl);
            return;
        }
    } while (SSL_pending(ssl) > 0);
}

static int
accept_all(int poller, int listener, SSL_CTX *context)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return errno == EAGAIN ? 0 : -errno;
        SSL *ssl = SSL_new(context);
        if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
            return -ENOMEM;
        SSL_set_accept_state(ssl);
        struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = ssl}};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
            return -errno;
    }
}

int
rival_openssl_echo(int listener, const char *certificate, const char *key)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        return -EINVAL;
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = NULL}};
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) < 0)
        return -errno;
    int rc = 0;
    while (rc == 0) {
        struct epoll_event events[EVENTS_MAX];
        int n = epoll_wait(poller, events, EVENTS_MAX, -1);
        if (n < 0 && errno != EINTR)
            rc = -errno;
        for (int i = 0; i < n && rc == 0; i++) {
            if (events[i].data.ptr == NULL)
                rc = accept_all(poller, listener, context);
            else
                echo(events[i].data.ptr);
        }
    }
    close(poller);
    SSL_CTX_free(context);
    return rc;
}
