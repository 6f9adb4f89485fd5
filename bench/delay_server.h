/*
 * delay_server.h - an HTTP server that answers every request after the same delay.
 *
 * The server runs in a process of its own, started from weft-compare's own program. Over a
 * control socket it says its port, and its counts whenever it is asked.
 */
#ifndef BENCH_DELAY_SERVER_H
#define BENCH_DELAY_SERVER_H

#include <stdint.h>
#include <sys/types.h>

/* The body of each response: this many bytes, the same each time. */
#define BENCH_BODY_BYTES 512u

struct bench_server_counts {
    uint64_t accepted; /* connections */
    uint64_t requests; /* complete requests */
    uint64_t bodies;   /* complete responses */
    uint64_t errors;   /* accepts refused, clients gone, short writes */
};

/* A running server, as its parent sees it. */
struct bench_server {
    pid_t pid; /* 0: none */
    int control;
    unsigned port; /* on 127.0.0.1 */
};

struct bench_server_options {
    int64_t delay_ns;
    unsigned port;       /* 0: any */
    int64_t close_after; /* bytes of a response after which the connection is closed; -1: all */
    uint64_t good;       /* so many responses are complete before close_after applies */
    int control;         /* socket to the parent; -1: the URL goes to standard output */
};

/* Runs a server on this thread until the control socket closes, or SIGTERM or SIGINT. Returns an
 * exit code. */
int bench_delay_server(const struct bench_server_options *options);

/* Starts a server process. Returns 0 or -errno. */
int bench_server_start(struct bench_server *server, int64_t delay_ns);

/* Asks for the counts so far. Returns 0 or -errno; -ETIMEDOUT after 5 s. */
int bench_server_ask(struct bench_server *server, struct bench_server_counts *ret_counts);

/* Ends the server and waits for it. */
void bench_server_stop(struct bench_server *server);

/* Fills text with the body of each response. */
void bench_server_body(char text[BENCH_BODY_BYTES]);

#endif
