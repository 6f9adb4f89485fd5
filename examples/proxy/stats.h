/*
 * stats.h - what the proxy counts: how each connection ended, and how much it carried.
 */
#ifndef PROXY_STATS_H
#define PROXY_STATS_H

#include <stdint.h>

#include "backend.h"

/* How connections end: each is counted once, in one of these. */
enum ending {
    ENDED_BOTH,       /* both sides have said all they had to say */
    ENDED_NO_BACKEND, /* none could be reached */
    ENDED_HANDSHAKE,  /* the client spoke no TLS, or none that we speak, or too slowly */
    ENDED_IDLE,       /* nothing came for too long */
    ENDED_BROKEN,     /* one side was cut off, and so the other one */
    ENDED_CUT,        /* it outlived the grace */
    ENDED_RESOURCES,  /* our own: descriptors, memory, ports */
    ENDINGS
};

/* Written by all loops. They are sums, which order nothing. */
struct stats {
    uint64_t ended[ENDINGS];
    uint64_t open;       /* connections at present */
    uint64_t retries;    /* attempts after which another backend was tried */
    uint64_t bytes_up;   /* from clients to backends, when the connection has ended or was idle */
    uint64_t bytes_down; /* and back */
};

static inline void
stats_add(uint64_t *count, uint64_t n)
{
    __atomic_add_fetch(count, n, __ATOMIC_RELAXED);
}

/* One line. */
void stats_print_line(const struct stats *stats);

/* All of it, at the end. */
void stats_print(const struct stats *stats, struct backends *backends);

#endif
