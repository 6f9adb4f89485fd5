/*
 * connect.c - from a place to a stream.
 *
 * Each attempt owns its socket until it has succeeded; from then on the race does, and in the end
 * the stream.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include <weft/connect.h>
#include <weft/error.h>
#include <weft/task.h>

#include "base/assert.h"
#include "base/mem.h"
#include "io/happy.h"
#include "io/stream_priv.h"
#include "io/tcp_priv.h"
#include "task/task_priv.h"

#define ATTEMPT_DELAY WEFT_MS(250)
#define WHERE_BYTES 1100 /* a name, a port, what stands between */

static const weft_connect_options defaults;

/* ---- Sockets -------------------------------------------------------------------------------- */

static int
whole_seconds(weft_time time)
{
    return (int)((time + WEFT_SEC(1) - 1) / WEFT_SEC(1));
}

static int
set_tcp_options(int raw, const weft_connect_options *options)
{
    int rc = 0;
    if (!options->coalesce)
        rc = weft__sys_setsockopt_int(raw, IPPROTO_TCP, TCP_NODELAY, 1);
    if (rc == 0 && options->keep_alive)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (rc == 0 && options->keep_idle > 0)
        rc = weft__sys_setsockopt_int(raw, IPPROTO_TCP, TCP_KEEPIDLE,
                                      whole_seconds(options->keep_idle));
    if (rc == 0 && options->keep_interval > 0)
        rc = weft__sys_setsockopt_int(raw, IPPROTO_TCP, TCP_KEEPINTVL,
                                      whole_seconds(options->keep_interval));
    if (rc == 0 && options->keep_count > 0)
        rc = weft__sys_setsockopt_int(raw, IPPROTO_TCP, TCP_KEEPCNT, (int)options->keep_count);
    return rc;
}

/* All that is done before connecting. */
static int
prepare(int raw, const weft_address *address, const weft_connect_options *options)
{
    sa_family_t family = address->storage.ss_family;
    int rc = 0;
    if (options->send_buffer != 0)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_SNDBUF, options->send_buffer);
    if (rc == 0 && options->receive_buffer != 0)
        rc = weft__sys_setsockopt_int(raw, SOL_SOCKET, SO_RCVBUF, options->receive_buffer);
    if (rc == 0 && family != AF_UNIX)
        rc = set_tcp_options(raw, options);
    const weft_address *source = options->source;
    if (rc == 0 && source != NULL) {
        if (source->storage.ss_family != family)
            return -EADDRNOTAVAIL;
        /* A port is not taken before the peer is known, so that others may use it for another. */
        if (family != AF_UNIX)
            (void)weft__sys_setsockopt_int(raw, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        rc = weft__sys_bind(raw, (const struct sockaddr *)&source->storage, source->len);
    }
    return rc;
}

/* A connected descriptor, or an error. */
static int
connect_one(const weft_address *address, const weft_connect_options *options)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    int raw = weft__sys_socket(address->storage.ss_family, SOCK_STREAM, 0);
    if (raw < 0)
        return raw;
    rc = prepare(raw, address, options);
    if (rc < 0) {
        weft__sys_close(raw);
        return rc;
    }
    weft_fd fd;
    rc = weft__tcp_connect_raw(&fd, raw, address);
    return rc < 0 ? rc : weft_fd_release(&fd);
}

/* ---- Several addresses ---------------------------------------------------------------------- */

struct connecting {
    const weft_connect_options *options;
    const weft_address **order;
    struct weft__happy happy;
};

static int
attempt(void *arg, size_t i)
{
    const struct connecting *connecting = arg;
    return connect_one(connecting->order[i], connecting->options);
}

static void
discard(void *arg, int raw)
{
    (void)arg;
    weft__sys_close(raw);
}

/* What was tried, and why it failed, as far as there is room. */
static int
note_failures(const struct connecting *connecting, int rc)
{
    char text[192];
    size_t len = 0;
    for (size_t i = 0; i < connecting->happy.n && len < sizeof text - 1; i++) {
        char address[WEFT_ADDRESS_TEXT];
        int n = snprintf(text + len, sizeof text - len, "%s%s: %s", i > 0 ? "; " : "",
                         weft_address_format(connecting->order[i], address, sizeof address),
                         weft_strerror(connecting->happy.attempts[i].result));
        len += (size_t)n;
    }
    return weft_error_note(rc, "%s", text);
}

static int
connect_several(const weft_address *addresses, size_t n, const weft_connect_options *options)
{
    struct connecting connecting = {
        .options = options,
        .happy = {.n = n,
                  .delay = options->attempt_delay != 0 ? options->attempt_delay : ATTEMPT_DELAY,
                  .attempt = attempt,
                  .discard = discard,
                  .arg = &connecting},
    };
    connecting.order = weft__alloc(n * sizeof *connecting.order);
    if (connecting.order == NULL)
        return -ENOMEM;
    connecting.happy.attempts = weft__alloc(n * sizeof *connecting.happy.attempts);
    if (connecting.happy.attempts == NULL) {
        weft__free(connecting.order);
        return -ENOMEM;
    }
    weft__happy_order(addresses, n, connecting.order);
    int rc = weft__happy_race(&connecting.happy);
    if (rc < 0 && rc != -ECANCELED && rc != -ETIMEDOUT)
        rc = note_failures(&connecting, rc);
    else if (rc == -ETIMEDOUT && weft__task_self()->pending == 0)
        rc = note_failures(&connecting, rc); /* the network's, not a scope's */
    weft__free(connecting.happy.attempts);
    weft__free(connecting.order);
    return rc;
}

static int
look_at_options(const weft_connect_options *options)
{
    if (options->attempt_delay < 0 || options->keep_idle < 0 || options->keep_interval < 0 ||
        options->keep_idle > WEFT_SEC(32767) || options->keep_interval > WEFT_SEC(32767) ||
        options->keep_count > 127)
        return weft_error_note(-EINVAL, "times are 0 or more, those of keep-alive at most 32767 s, "
                                        "and its count at most 127");
    if (options->send_buffer < 0 || options->receive_buffer < 0)
        return weft_error_note(-EINVAL, "a buffer has 0 bytes or more");
    return 0;
}

int
weft_connect_addresses(weft_stream *stream, const weft_address *addresses, size_t n,
                       const weft_connect_options *options)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    weft__assert(weft__task_self() != NULL, "a connection is opened by a task");
    if (options == NULL)
        options = &defaults;
    rc = look_at_options(options);
    if (rc < 0)
        return rc;
    if (n == 0)
        return weft_error_note(-EINVAL, "there is no address to connect to");
    if (n > 1) {
        rc = connect_several(addresses, n, options);
    } else {
        rc = connect_one(addresses, options);
        char text[WEFT_ADDRESS_TEXT];
        if (rc < 0 && weft__task_self()->pending == 0)
            weft_error_note(rc, "%s: %s", weft_address_format(addresses, text, sizeof text),
                            weft_strerror(rc));
    }
    if (rc < 0)
        return rc;
    weft__stream_init_socket(stream, rc);
    return 0;
}

/* ---- Places --------------------------------------------------------------------------------- */

/* Cuts "host:port" in two where it stands. An empty host is NULL. */
static int
split(char *where, const char **ret_host, const char **ret_port)
{
    char *colon = strrchr(where, ':');
    if (colon == NULL || colon[1] == '\0')
        return weft_error_note(WEFT_E_ADDRESS, "'%.100s': a place ends in a colon and a port",
                               where);
    const char *host = where;
    if (where[0] == '[') {
        if (colon[-1] != ']')
            return weft_error_note(WEFT_E_ADDRESS, "'%.100s': the bracket is not closed", where);
        host++;
        colon[-1] = '\0';
        if (strchr(host, ':') == NULL)
            return weft_error_note(WEFT_E_ADDRESS, "'%.100s': only IPv6 goes in brackets", host);
    } else if (strchr(where, ':') != colon) {
        return weft_error_note(WEFT_E_ADDRESS, "'%.100s': IPv6 goes in brackets", where);
    }
    *colon = '\0';
    *ret_host = *host != '\0' ? host : NULL;
    *ret_port = colon + 1;
    return 0;
}

int
weft_connect(weft_stream *stream, const char *where, const weft_connect_options *options)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    if (options == NULL)
        options = &defaults;
    if (strncmp(where, "unix:", 5) == 0) {
        weft_address address;
        rc = weft_address_parse(&address, where);
        return rc < 0 ? rc : weft_connect_addresses(stream, &address, 1, options);
    }
    char text[WHERE_BYTES];
    size_t len = strlen(where);
    if (len >= sizeof text)
        return weft_error_note(WEFT_E_ADDRESS, "'%.100s…': too long for a place", where);
    memcpy(text, where, len + 1);
    const char *host = NULL, *port = NULL;
    rc = split(text, &host, &port);
    if (rc < 0)
        return rc;
    weft_addresses addresses;
    rc = weft_resolve(
        host, port,
        &(weft_resolve_options){.family = options->family, .resolver = options->resolver},
        &addresses);
    if (rc < 0)
        return rc;
    rc = weft_connect_addresses(stream, addresses.items, addresses.n, options);
    weft_addresses_free(&addresses);
    return rc;
}
