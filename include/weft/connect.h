/*
 * connect.h - streams to a place: a name and a port, an address, a Unix socket.
 */
#ifndef WEFT_CONNECT_H
#define WEFT_CONNECT_H

#include <weft/base.h>
#include <weft/net.h>
#include <weft/resolve.h>
#include <weft/stream.h>
#include <weft/time.h>

typedef struct weft_connect_options {
    int family;                    /* AF_INET or AF_INET6; 0: both */
    const weft_resolver *resolver; /* borrowed; NULL: that of weft_set_resolver */
    weft_time attempt_delay;       /* an address that has not answered for so long gets a rival; 0:
                                      250 ms; WEFT_FOREVER: never */
    const weft_address *source;    /* borrowed; where to connect from. NULL: the kernel chooses */
    unsigned coalesce;             /* 1: small writes may be held back to be sent as one (Nagle) */
    unsigned keep_alive;           /* 1: the kernel asks silent peers whether they are there */
    weft_time keep_idle;           /* after so long, in whole seconds; 0: the system's default */
    weft_time keep_interval;       /* and again after so long */
    unsigned keep_count;           /* and gives up after so many times without an answer */
    int send_buffer;               /* bytes the kernel keeps; 0: its default. It may round them */
    int receive_buffer;
} weft_connect_options;

WEFT_BEGIN_DECLS

/*
 * weft_connect - connect to a place
 *
 * stream   out: an open stream of this loop
 * where    "host:port", "[::1]:port", ":port" (this machine), the port a number or a service's
 *          name; "unix:/path", "unix:@name"
 * options  NULL for the defaults
 *
 * A name's addresses are tried as in weft_connect_addresses.
 *
 * Returns  0; WEFT_E_ADDRESS for a place that cannot be read; errors of weft_resolve and
 *          weft_connect_addresses. weft_error_text() says more
 * Waits    yes; looks for cancellation first
 * Threads  tasks
 * Source   asyncio.open_connection; Go's net.Dial
 */
WEFT_WAITS int weft_connect(weft_stream *stream, const char *where,
                            const weft_connect_options *options);

/*
 * weft_connect_addresses - connect to the first of several addresses that answers
 *
 * IPv6 and IPv4 take turns, IPv6 first. An attempt that has not succeeded after attempt_delay is
 * joined by the next one, which starts at once when one fails. Those that lose are closed.
 *
 * stream   out: an open stream of this loop
 * n        more than 0
 *
 * Returns  0; when none answered, the error of the last, and weft_error_text() lists them all
 *          (-ECONNREFUSED, -EHOSTUNREACH; -EADDRNOTAVAIL when the source address cannot be used);
 *          -EINVAL for n 0 or options out of range; -ENOMEM; -ECANCELED or -ETIMEDOUT when the
 *          enclosing scope ended first: everything is closed
 * Waits    yes; looks for cancellation first
 * Threads  tasks
 * Source   RFC 8305, sections 4 and 5
 */
WEFT_WAITS int weft_connect_addresses(weft_stream *stream, const weft_address *addresses, size_t n,
                                      const weft_connect_options *options);

WEFT_END_DECLS

#endif
