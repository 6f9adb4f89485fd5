/*
 * relay.h - one connection: from a client to a backend, and back.
 *
 * The end of what one side says is passed on as such, and the other direction goes on. A side that
 * is cut off cuts the other one off too. Nothing is read that cannot be written: who reads slowly
 * holds the writer up, with one buffer for each direction between them.
 */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include "backend.h"
#include "stats.h"

struct proxy {
    struct args args;
    struct backends backends;
    weft_tls_context *tls; /* of the server; NULL: clients speak plain TCP */
    struct stats stats;
};

/* Serves a connection until it ends; for weft_server. */
int relay_serve(weft_stream *connection, void *proxy);

#endif
