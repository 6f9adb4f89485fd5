/*
 * resolve.h - addresses of names.
 *
 * Who looks names up is a resolver: by default getaddrinfo(3) on threads of its own, so that all
 * the system is configured for (hosts file, DNS, mDNS…) holds. libweft-dns has one that asks the
 * DNS from a loop (weft/dns.h); one's own is a function.
 */
#ifndef WEFT_RESOLVE_H
#define WEFT_RESOLVE_H

#include <weft/base.h>
#include <weft/net.h>

/* Addresses in the order in which to try them. All zero is an empty list; what a call put into it
 * is given back by weft_addresses_free. */
typedef struct weft_addresses {
    weft_address *items;
    size_t n;
} weft_addresses;

typedef struct weft_resolve_options weft_resolve_options;

/* Looks names up. The function is called by tasks, for names that are no numeric addresses; it may
 * wait, honours options->family, and adds to `ret` with weft_addresses_add. It returns 0 when it
 * found some; WEFT_E_NAME when there are none; WEFT_E_NAME_AGAIN when that cannot be told now. */
typedef struct weft_resolver {
    int (*resolve)(void *arg, const char *host, uint16_t port, const weft_resolve_options *options,
                   weft_addresses *ret);
    void *arg;
} weft_resolver;

struct weft_resolve_options {
    int family;                    /* AF_INET or AF_INET6; 0: both */
    unsigned any_address;          /* 1: host NULL is any address of this machine, to bind to */
    const weft_resolver *resolver; /* borrowed; NULL: that of weft_set_resolver */
};

WEFT_BEGIN_DECLS

/*
 * weft_resolve - find the addresses of a name
 *
 * host     a name; a numeric address, which nobody is asked about; NULL: this machine, by its
 *          loopback addresses
 * service  a port, "80"; its name in the system's list, "http"; NULL: port 0
 * options  NULL for the defaults
 * ret      out: at least one address, to be given back with weft_addresses_free
 *
 * Returns  0; WEFT_E_NAME when there is no such name, or service, or it has no address of the
 *          family; WEFT_E_NAME_AGAIN when names cannot be looked up now; -EINVAL for a host that
 *          is empty or too long to be a name; -EAFNOSUPPORT for another family; -ENOMEM;
 *          -ECANCELED or -ETIMEDOUT when the enclosing scope ended first, at once: a look-up on a
 *          thread goes on there unheard. weft_error_text() says more
 * Waits    yes; looks for cancellation first
 * Threads  tasks, and plain threads where the resolver allows it, as the default does
 * Source   asyncio loop.getaddrinfo; getaddrinfo(3)
 */
WEFT_WAITS int weft_resolve(const char *host, const char *service,
                            const weft_resolve_options *options, weft_addresses *ret);

/*
 * weft_set_resolver - who looks names up where options do not say
 *
 * resolver  copied; what its arg points to stays the caller's, until another one was set and calls
 *           in progress have returned. NULL: the default
 *
 * Waits    no
 * Threads  any, while no task looks a name up
 * Source   Go's net.DefaultResolver
 */
void weft_set_resolver(const weft_resolver *resolver);

/*
 * weft_addresses_add - add an address to a list, for resolvers
 *
 * Returns  0; -ENOMEM (the list is as it was)
 * Waits    no
 * Threads  whoever owns addresses
 * Source   weft
 */
int weft_addresses_add(weft_addresses *addresses, const weft_address *address);

/*
 * weft_addresses_free - give a list back; it is empty and usable afterwards
 *
 * Waits    no
 * Threads  whoever owns addresses
 * Source   freeaddrinfo(3)
 */
void weft_addresses_free(weft_addresses *addresses);

WEFT_END_DECLS

#endif
