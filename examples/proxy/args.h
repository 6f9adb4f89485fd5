/*
 * args.h - what the command line says.
 */
#ifndef PROXY_ARGS_H
#define PROXY_ARGS_H

#include <stdbool.h>

#include <weft.h>

#define LISTEN_MAX 16
#define BACKENDS_MAX 64
#define PROTOCOLS_MAX 8

struct args {
    const char *listen[LISTEN_MAX + 1]; /* NULL at the end */
    const char *backends[BACKENDS_MAX + 1];
    unsigned n_listen, n_backends;
    const char *cert, *key; /* NULL: clients speak plain TCP; no key: it is beside the cert */
    bool backend_tls;       /* backends speak TLS */
    const char *backend_ca; /* who signs for them; NULL: whom the system trusts */
    const char *alpn[PROTOCOLS_MAX + 1];
    unsigned n_alpn;
    bool least; /* the backend with the fewest connections, not the next in turn */
    unsigned connections_max;
    unsigned loops; /* 0: one per usable CPU */
    weft_time connect_timeout;
    weft_time idle_timeout; /* 0: none */
    weft_time grace;
    weft_time stats_every; /* 0: at the end only */
    const char *handover;  /* NULL: none */
};

/* Reads the command line; ends the program for --help (0) and for what is wrong in it (2). */
void args_read(struct args *args, int argc, char **argv);

/* Who the certificate of a backend must be for: the place without its port. NULL when it has no
 * such name, or len bytes are too few. */
const char *args_host(const char *where, char *buf, size_t len);

#endif
