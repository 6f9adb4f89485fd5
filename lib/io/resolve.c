/*
 * resolve.c - names to addresses.
 *
 * What needs no asking, numeric hosts and ports, is done in the caller. The rest goes through
 * getaddrinfo(3) on a lane of its own, as it may take seconds and cannot be interrupted: a task
 * that is cancelled leaves its look-up behind, so what both use is counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include <weft/error.h>
#include <weft/resolve.h>
#include <weft/task.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "exec/lanes.h"
#include "io/resolve_priv.h"
#include "task/task_priv.h"

#define NAME_BYTES 1025 /* of a host or service, NI_MAXHOST */

int (*weft__getaddrinfo)(const char *, const char *, const struct addrinfo *,
                         struct addrinfo **) = getaddrinfo;
void (*weft__freeaddrinfo)(struct addrinfo *) = freeaddrinfo;

/* ---- Lists ---------------------------------------------------------------------------------- */

int
weft_addresses_add(weft_addresses *addresses, const weft_address *address)
{
    size_t n = addresses->n;
    if ((n & (n - 1)) == 0) { /* room doubles: it is full at each power of two */
        weft_address *items =
            weft__resize(addresses->items, (n > 0 ? 2 * n : 1) * sizeof *addresses->items);
        if (items == NULL)
            return -ENOMEM;
        addresses->items = items;
    }
    addresses->items[addresses->n++] = *address;
    return 0;
}

void
weft_addresses_free(weft_addresses *addresses)
{
    weft__free(addresses->items);
    *addresses = (weft_addresses){.n = 0};
}

static int
add_found(weft_addresses *addresses, const struct addrinfo *found)
{
    int rc = 0;
    for (; found != NULL && rc == 0; found = found->ai_next) {
        weft_address address = {.len = found->ai_addrlen};
        if (found->ai_addrlen > sizeof address.storage)
            continue;
        memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
        rc = weft_addresses_add(addresses, &address);
    }
    return rc;
}

static void
set_port(weft_address *address, uint16_t port)
{
    if (address->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)&address->storage)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)(void *)&address->storage)->sin_port = htons(port);
}

static uint16_t
port_of(const weft_address *address)
{
    if (address->storage.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)&address->storage)->sin6_port);
    return ntohs(((const struct sockaddr_in *)(const void *)&address->storage)->sin_port);
}

/* ---- getaddrinfo ---------------------------------------------------------------------------- */

static int
failure(int eai, int error, const char *host, const char *service)
{
    const char *what = host != NULL ? host : service;
    switch (eai) {
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_FAMILY:
        return -EAFNOSUPPORT;
    case EAI_SYSTEM:
        if (error == ENOMEM)
            return -ENOMEM;
        return weft_error_note(WEFT_E_NAME_AGAIN, "'%.100s': %s", what, weft_strerror(-error));
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
    case EAI_SERVICE:
    case EAI_SOCKTYPE:
        return weft_error_note(WEFT_E_NAME, "'%.100s': %s", what,
                               host == NULL ? "no such service" : gai_strerror(eai));
    default: /* EAI_AGAIN, EAI_FAIL: servers that do not answer, or refuse to */
        return weft_error_note(WEFT_E_NAME_AGAIN, "'%.100s': %s", what, gai_strerror(eai));
    }
}

/* Held by the task that asks and by the thread that looks. */
struct lookup {
    uint32_t refs; /* atomic */
    int eai;       /* written by the thread, read by the task after the call has ended */
    int error;
    struct addrinfo hints;
    struct addrinfo *found;
    const char *host; /* in text; NULL: only the service is asked for */
    const char *service;
    char text[];
};

static void
lookup_unref(void *arg)
{
    struct lookup *lookup = arg;
    if (weft__fetch_sub(&lookup->refs, 1) != 1) /* pairs with the one of the other holder */
        return;
    if (lookup->found != NULL)
        weft__freeaddrinfo(lookup->found);
    weft__free(lookup);
}

static int
lookup_run(void *arg)
{
    struct lookup *lookup = arg;
    lookup->eai = weft__getaddrinfo(lookup->host, lookup->service, &lookup->hints, &lookup->found);
    lookup->error = errno;
    return 0;
}

/* Adds what getaddrinfo finds on the lane of names. */
static int
look_up(const char *host, const char *service, int family, int flags, weft_addresses *ret)
{
    size_t host_bytes = host != NULL ? strlen(host) + 1 : 0;
    size_t service_bytes = service != NULL ? strlen(service) + 1 : 0;
    struct lookup *lookup = weft__alloc(sizeof *lookup + host_bytes + service_bytes);
    if (lookup == NULL)
        return -ENOMEM;
    *lookup = (struct lookup){
        .refs = 2,
        .hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags},
    };
    if (host != NULL)
        lookup->host = memcpy(lookup->text, host, host_bytes);
    if (service != NULL)
        lookup->service = memcpy(lookup->text + host_bytes, service, service_bytes);
    int rc = weft__lane_run(WEFT__LANE_NAMES, lookup_run, lookup,
                            &(weft_blocking_options){.abandon = lookup_unref});
    if (rc == 0 && lookup->eai != 0)
        rc = failure(lookup->eai, lookup->error, host, service);
    else if (rc == 0)
        rc = add_found(ret, lookup->found);
    lookup_unref(lookup);
    return rc;
}

/* ---- Resolving ------------------------------------------------------------------------------ */

static int
default_resolve(void *arg, const char *host, uint16_t port, const weft_resolve_options *options,
                weft_addresses *ret)
{
    (void)arg;
    int rc = look_up(host, NULL, options->family, 0, ret);
    for (size_t i = 0; i < ret->n; i++)
        set_port(&ret->items[i], port);
    return rc;
}

static const weft_resolver default_resolver = {.resolve = default_resolve};
static weft_resolver chosen_resolver = {.resolve = default_resolve};

void
weft_set_resolver(const weft_resolver *resolver)
{
    chosen_resolver = resolver != NULL ? *resolver : default_resolver;
}

/* 1: it was a number; 0: it is a name; or an error. */
static int
numeric_port(const char *service, uint16_t *ret_port)
{
    *ret_port = 0;
    if (service == NULL)
        return 1;
    size_t len = strlen(service);
    if (len == 0 || len >= NAME_BYTES)
        return weft_error_note(-EINVAL, "a service is a port or a name");
    if (strspn(service, "0123456789") != len)
        return 0;
    unsigned long port = 0;
    for (const char *digit = service; *digit != '\0' && port <= 65535; digit++)
        port = port * 10 + (unsigned long)(*digit - '0');
    if (port > 65535)
        return weft_error_note(WEFT_E_NAME, "'%.20s': a port is 0 to 65535", service);
    *ret_port = (uint16_t)port;
    return 1;
}

static int
named_port(const char *service, uint16_t *ret_port)
{
    weft_addresses addresses = {.n = 0};
    int rc = look_up(NULL, service, AF_INET, 0, &addresses);
    if (rc == 0 && addresses.n > 0)
        *ret_port = port_of(&addresses.items[0]);
    weft_addresses_free(&addresses);
    return rc;
}

/* Without asking anybody: 1 when the host was NULL or a numeric address; 0; an error. */
static int
numeric_host(const char *host, uint16_t port, const weft_resolve_options *options,
             weft_addresses *ret)
{
    struct addrinfo hints = {.ai_family = options->family,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    if (host == NULL && options->any_address)
        hints.ai_flags |= AI_PASSIVE;
    struct addrinfo *found = NULL;
    int eai = getaddrinfo(host, host == NULL ? "0" : NULL, &hints, &found);
    if (eai == EAI_NONAME)
        return 0;
    if (eai != 0)
        return failure(eai, errno, host, "0");
    int rc = add_found(ret, found);
    freeaddrinfo(found);
    for (size_t i = 0; i < ret->n; i++)
        set_port(&ret->items[i], port);
    return rc < 0 ? rc : 1;
}

int
weft_resolve(const char *host, const char *service, const weft_resolve_options *given,
             weft_addresses *ret)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    static const weft_resolve_options defaults;
    const weft_resolve_options *options = given != NULL ? given : &defaults;
    if (options->family != 0 && options->family != AF_INET && options->family != AF_INET6)
        return weft_error_note(-EAFNOSUPPORT, "names have addresses of IPv4 and IPv6");
    if (host != NULL && (host[0] == '\0' || strlen(host) >= NAME_BYTES))
        return weft_error_note(-EINVAL, "a host's name has 1 to %d bytes", NAME_BYTES - 1);

    uint16_t port;
    rc = numeric_port(service, &port);
    if (rc == 0)
        rc = named_port(service, &port);
    if (rc < 0)
        return rc;
    weft_addresses found = {.n = 0};
    rc = numeric_host(host, port, options, &found);
    if (rc == 0) {
        const weft_resolver *resolver =
            options->resolver != NULL ? options->resolver : &chosen_resolver;
        rc = resolver->resolve(resolver->arg, host, port, options, &found);
    }
    if (rc >= 0 && found.n == 0)
        rc = weft_error_note(WEFT_E_NAME, "'%.100s' has no address", host);
    if (rc < 0) {
        weft_addresses_free(&found);
        return rc;
    }
    *ret = found;
    return 0;
}
