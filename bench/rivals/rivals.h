/*
 * rivals.h - servers without weft, to be measured beside ours.
 *
 * Each serves connections from a listening socket on the calling thread until the process is
 * ended by a signal. A server sends back what it reads; after a short read it waits for
 * readiness, as ours does, so none pays for a system call that the others save.
 */
#ifndef BENCH_RIVALS_H
#define BENCH_RIVALS_H

#define RIVAL_BUF_BYTES 4096

/* Level-triggered epoll, nothing else. Returns a negative errno when it cannot go on. */
int rival_epoll_echo(int listener);

/* libevent's event core: one persistent read event for each connection. */
int rival_libevent_echo(int listener);

/* The same over TLS, on OpenSSL and level-triggered epoll: certificate and key are PEM files. */
int rival_openssl_echo(int listener, const char *certificate, const char *key);

/* "hello" to whatever ends in an empty line, on raw epoll; no HTTP is read: the kernel's cost. */
int rival_epoll_http(int listener);

/* "hello" from libevent's HTTP server. */
int rival_evhttp(int listener);

/* Writes all of it to a non-blocking socket, waiting where there is no room. 0 or a negative
 * errno. A 64-byte echo always finds room, so how one waits is not part of the measurement. */
int rival_write_all(int fd, const char *buf, long len);

#endif
