/*
 * relay.c - carries bytes both ways until both sides have ended, or nothing comes any more.
 *
 * The task of the connection carries what the backend says; a child carries what the client says.
 */
#include "relay.h"

/* How often in an idle timeout somebody looks whether anything has come. */
#define LOOKS 4

struct relay {
    struct proxy *proxy;
    weft_group group;
    weft_stream *client, *backend;
    weft_time last; /* when a byte, or an end, was last seen to have passed, either way */
    bool idle;
};

/*
 * Copies to the end of `from`. The copy is interrupted now and then to see whether it got on: that
 * loses nothing, and costs less than a timer for each read. So a connection may be idle for half as
 * long again before it is ended.
 */
static int
copy_unless_idle(struct relay *r, weft_stream *from, weft_stream *to, uint64_t *sum)
{
    weft_time timeout = r->proxy->args.idle_timeout;
    for (;;) {
        weft_scope look;
        uint64_t copied;
        weft_scope_open(&look, timeout > 0 ? weft_now() + timeout / LOOKS : WEFT_FOREVER);
        int rc = weft_stream_copy(from, to, UINT64_MAX, &copied);
        stats_add(sum, copied);
        if (copied > 0)
            r->last = weft_now();
        if (weft_scope_close(&look) != -ETIMEDOUT)
            return rc;
        if (rc == 0) /* it ended just then */
            return 0;
        if (weft_now() - r->last >= timeout) {
            r->idle = true;
            return -ETIME;
        }
    }
}

/* One direction, and its end. */
static int
carry(struct relay *r, weft_stream *from, weft_stream *to, uint64_t *sum)
{
    weft_time timeout = r->proxy->args.idle_timeout;
    weft_scope scope;
    int rc = copy_unless_idle(r, from, to, sum);
    if (rc == -EPIPE)
        return 0; /* `to` reads no more, but may still have something to say */
    if (rc < 0)
        return rc;
    weft_scope_open(&scope, timeout > 0 ? weft_now() + timeout : WEFT_FOREVER);
    rc = weft_stream_shutdown(to);
    r->last = weft_now();
    if (weft_scope_close(&scope) == -ETIMEDOUT && rc < 0) {
        r->idle = true;
        return -ETIME;
    }
    /* It has got all there was; that it does not wait for the good-bye is its own affair. */
    return rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN ? 0 : rc;
}

static int
carry_up(void *arg)
{
    struct relay *r = arg;
    return carry(r, r->client, r->backend, &r->proxy->stats.bytes_up);
}

static int
carry_both(struct relay *r)
{
    weft_group_open(&r->group, NULL);
    weft_group_spawn_with(&r->group, carry_up, r, &(weft_task_options){.name = "up"});
    int rc = carry(r, r->backend, r->client, &r->proxy->stats.bytes_down);
    if (rc < 0)
        weft_group_cancel(&r->group);
    int first = weft_group_close(&r->group);
    /* Whoever failed first cancelled the other. */
    return first < 0 && first != -ECANCELED ? first : rc;
}

static enum ending
relay_to_backend(struct proxy *proxy, weft_stream *client, const char *protocol)
{
    struct relay r = {.proxy = proxy, .client = client};
    struct backend_link link;
    unsigned retries = 0;
    int rc = backend_connect(&proxy->backends, protocol, &link, &retries);
    stats_add(&proxy->stats.retries, retries);
    if (rc < 0)
        return rc == -EHOSTUNREACH ? ENDED_NO_BACKEND
               : rc == -ECANCELED  ? ENDED_CUT
                                   : ENDED_RESOURCES;
    r.backend = link.stream;
    r.last = weft_now();
    rc = carry_both(&r);
    backend_hang_up(&proxy->backends, &link, rc < 0);
    return rc == 0            ? ENDED_BOTH
           : r.idle           ? ENDED_IDLE
           : rc == -ECANCELED ? ENDED_CUT
           : rc == -ENOMEM    ? ENDED_RESOURCES
                              : ENDED_BROKEN;
}

/* Speaks TLS on top of a client's connection first. */
static enum ending
relay_tls(struct proxy *proxy, weft_stream *connection)
{
    weft_stream tls;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + proxy->args.connect_timeout);
    int rc = weft_tls_server(&tls, connection, proxy->tls);
    weft_scope_close(&scope);
    if (rc < 0)
        return rc == -ECANCELED ? ENDED_CUT : rc == -ENOMEM ? ENDED_RESOURCES : ENDED_HANDSHAKE;
    enum ending ending = relay_to_backend(proxy, &tls, weft_tls_alpn(&tls));
    if (ending != ENDED_BOTH)
        reset_on_close(connection);
    weft_stream_close(&tls); /* and the connection below */
    return ending;
}

int
relay_serve(weft_stream *connection, void *arg)
{
    struct proxy *proxy = arg;
    enum ending ending;
    stats_add(&proxy->stats.open, 1);
    if (proxy->tls != NULL) {
        ending = relay_tls(proxy, connection);
    } else {
        ending = relay_to_backend(proxy, connection, "");
        if (ending != ENDED_BOTH)
            reset_on_close(connection);
    }
    stats_add(&proxy->stats.open, (uint64_t)-1);
    stats_add(&proxy->stats.ended[ending], 1);
    return ending == ENDED_CUT ? -ECANCELED
                               : 0; /* a connection that failed is no failure of ours */
}
