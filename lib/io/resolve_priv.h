/*
 * resolve_priv.h - what tests of name look-ups replace and look at.
 */
#ifndef WEFT_LIB_IO_RESOLVE_PRIV_H
#define WEFT_LIB_IO_RESOLVE_PRIV_H

#include <netdb.h>

/* getaddrinfo(3), or what a test has put in its place. Set while nobody looks anything up. */
extern int (*weft__getaddrinfo)(const char *host, const char *service, const struct addrinfo *hints,
                                struct addrinfo **ret_found);
extern void (*weft__freeaddrinfo)(struct addrinfo *found);

#endif
