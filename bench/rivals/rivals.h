/*
 * rivals.h - servers, and a client, without weft, to be measured beside ours.
 *
 * Each server serves connections from a listening socket on the calling thread until the process is
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

/* "hello" to whatever ends in an empty line, on raw epoll: no HTTP is read. What the kernel
 * costs. */
int rival_epoll_http(int listener);

/* "hello" from libevent's HTTP server. */
int rival_evhttp(int listener);

/* A client: that many requests at once on libcurl's multi interface and epoll, on the calling
 * thread; the bytes of all bodies. 0 or a negative errno. */
int rival_curl_fetch(const char *url, long requests, long *ret_bytes);

/* Writes all of it to a non-blocking socket, waiting where there is no room. 0 or a negative
 * errno. A 64-byte echo always finds room, so how one waits is not part of the measurement. */
int rival_write_all(int fd, const char *buf, long len);

#endif
