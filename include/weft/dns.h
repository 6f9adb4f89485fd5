/*
 * dns.h - libweft-dns: names looked up by the loop itself, with c-ares.
 *
 * Where getaddrinfo(3) needs a thread for each look-up, this asks the DNS over descriptors of the
 * loop: thousands at once, and a server that does not answer holds up nobody else. It knows the
 * hosts file (/etc/hosts, or what CARES_HOSTS in the environment names) and the DNS, as configured
 * in /etc/resolv.conf, and nothing else the system may be configured for.
 *
 * Time limits of servers run on the real clock, whatever clock the loop has.
 */
#ifndef WEFT_DNS_H
#define WEFT_DNS_H

#include <weft/base.h>
#include <weft/resolve.h>
#include <weft/time.h>

typedef struct weft_dns weft_dns;

typedef struct weft_dns_options {
    const char *servers;       /* "192.0.2.1,[2001:db8::1]:5353"; NULL: those of the system */
    weft_time timeout;         /* of the first try; later ones wait longer. 0: the system's, 5 s */
    unsigned tries;            /* of each server; 0: the system's, 4 */
    unsigned rotate;           /* 1: servers take turns, instead of the first being preferred */
    const char *const *search; /* domains for names without a dot; NULL: the system's */
    size_t n_search;
} weft_dns_options;

WEFT_BEGIN_DECLS

/*
 * weft_dns_new - make a resolver that asks from the calling task's loop
 *
 * options  NULL for the defaults; copied
 *
 * It has one task, which sleeps while nothing is asked, and descriptors only meanwhile.
 *
 * Returns  0; -EINVAL for servers that cannot be read, and numbers out of range (weft_error_text()
 *          says which); -ENOMEM; WEFT_E_NAME_AGAIN when c-ares cannot be configured
 * Waits    no; the system's configuration is read from files
 * Threads  tasks; the resolver belongs to their loop from then on
 * Source   aiodns.DNSResolver; ares_init_options(3)
 */
int weft_dns_new(weft_dns **ret_dns, const weft_dns_options *options);

/*
 * weft_dns_free - end a resolver; look-ups in progress end with -ECANCELED
 *
 * dns      may be NULL. No call with it may begin from then on
 *
 * Waits    only for its own task, which comes at once; never looks for cancellation
 * Threads  tasks of the loop that owns dns
 * Source   ares_destroy(3)
 */
void weft_dns_free(weft_dns *dns);

/*
 * weft_dns_resolver - the resolver, for weft_resolve_options, weft_connect_options and
 * weft_set_resolver
 *
 * Tasks of other loops of the runtime can use it too: they are served by the loop that owns it.
 *
 * Returns  a resolver, good until dns is freed. On a loop of another runtime it gives -EXDEV
 * Waits    no
 * Threads  any
 * Source   weft
 */
weft_resolver weft_dns_resolver(weft_dns *dns);

/*
 * weft_dns_query - ask the DNS for records of one kind
 *
 * name     asked for as it is, without search domains
 * type     number of the kind: 15 for MX, 16 for TXT, 33 for SRV…
 * answer   the whole message of the server is added to it, to be read with ares_parse_srv_reply(3)
 *          and the like
 *
 * Returns  0; WEFT_E_NAME when there is no such name or no such record; WEFT_E_NAME_AGAIN when that
 *          cannot be told now; -ENOMEM; -EXDEV on another loop; -ECANCELED or -ETIMEDOUT when the
 *          enclosing scope ended first, -ECANCELED also when dns is freed
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the loop that owns dns
 * Source   ares_query(3)
 */
WEFT_WAITS int weft_dns_query(weft_dns *dns, const char *name, int type, weft_buf *answer);

WEFT_END_DECLS

#endif
