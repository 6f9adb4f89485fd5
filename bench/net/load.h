/*
 * load.h - the client of the network benchmarks: many connections, one request each at a time.
 *
 * Raw epoll on the calling thread; knows no weft. Each request is 64 bytes with a number of its
 * own, and the reply must be the same bytes; or it is a request of HTTP.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdint.h>

#define LOAD_MESSAGE_BYTES 64

struct load;

/* Connects to 127.0.0.1. Returns 0 or a negative errno. */
int load_open(struct load **ret_load, uint16_t port, int connections);

/* The same for a server of HTTP: each request is this text, and each reply must be 200, and as long
 * as the first one. The text is borrowed. */
int load_open_http(struct load **ret_load, uint16_t port, int connections, const char *request);

/* The same over TLS, which nobody verifies: 64 bytes and their echo. `newest` is the newest version
 * that the client speaks, 0x0303 (1.2); 0: the newest there is. In load_tls.c. */
struct load_tls;
int load_tls_open(struct load_tls **ret_load, uint16_t port, int connections, int newest);
int load_tls_run(struct load_tls *load, long requests);
void load_tls_close(struct load_tls *load);

/* Sends that many requests, spread over the connections as replies come, and takes all replies.
 * Returns 0; -EPROTO for a wrong reply; -ECONNRESET when the server closed; -ETIMEDOUT when
 * nothing came for 10 s; a negative errno. */
int load_run(struct load *load, long requests);

void load_close(struct load *load);

#endif
