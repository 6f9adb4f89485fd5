/*
 * backend.c - chooses backends, connects to them, remembers who is down.
 */
#include "backend.h"

#include <stdio.h>
#include <string.h>

/* ---- Opening -------------------------------------------------------------------------------- */

static int
contexts_open(struct backends *backends, const struct args *args)
{
    for (unsigned i = 0; i <= args->n_alpn; i++) {
        const char *offer[] = {i > 0 ? args->alpn[i - 1] : NULL, NULL};
        int rc = weft_tls_context_new(&backends->tls[i],
                                      &(weft_tls_options){.role = WEFT_TLS_CLIENT,
                                                          .ca_file = args->backend_ca,
                                                          .alpn = i > 0 ? offer : NULL});
        if (rc < 0)
            return rc;
    }
    return 0;
}

int
backends_open(struct backends *backends, const struct args *args)
{
    memset(backends, 0, sizeof *backends);
    pthread_mutex_init(&backends->lock, NULL);
    backends->least = args->least;
    backends->connect_timeout = args->connect_timeout;
    backends->alpn = args->alpn;
    backends->n = args->n_backends;
    for (unsigned i = 0; i < backends->n; i++) {
        struct backend *b = &backends->list[i];
        b->where = args->backends[i];
        args_host(b->where, b->host, sizeof b->host);
    }
    return args->backend_tls ? contexts_open(backends, args) : 0;
}

void
backends_close(struct backends *backends)
{
    for (unsigned i = 0; i <= PROTOCOLS_MAX; i++)
        weft_tls_context_unref(backends->tls[i]);
    pthread_mutex_destroy(&backends->lock);
}

void
backends_print(struct backends *backends)
{
    pthread_mutex_lock(&backends->lock);
    for (unsigned i = 0; i < backends->n; i++) {
        const struct backend *b = &backends->list[i];
        printf("backend %s: %s, reached %llu, failed %llu\n", b->where,
               b->back_off > 0 ? "down" : "up", (unsigned long long)b->reached,
               (unsigned long long)b->failed);
    }
    pthread_mutex_unlock(&backends->lock);
}

/* ---- Choosing ------------------------------------------------------------------------------- */

/* With the lock: the first that may be tried from `next` on, or the least busy of these. */
static struct backend *
choose(struct backends *backends, uint64_t tried, weft_time now)
{
    struct backend *best = NULL;
    unsigned begin = backends->next;
    for (unsigned i = 0; i < backends->n; i++) {
        unsigned at = (begin + i) % backends->n;
        struct backend *b = &backends->list[at];
        if (tried >> at & 1 || (b->back_off > 0 && now < b->again))
            continue;
        if (best == NULL || b->active < best->active) {
            best = b;
            backends->next = at + 1;
        }
        if (!backends->least)
            break;
    }
    return best;
}

/* The backend to try next, none of those in the set *tried, to which it is added. NULL: no more. */
static struct backend *
backend_take(struct backends *backends, uint64_t *tried, bool *ret_probe)
{
    pthread_mutex_lock(&backends->lock);
    weft_time now = weft_now();
    struct backend *b = choose(backends, *tried, now);
    if (b != NULL) {
        *tried |= (uint64_t)1 << (b - backends->list);
        *ret_probe = b->back_off > 0;
        b->active++;
        if (*ret_probe) /* whoever comes meanwhile leaves it out */
            b->again = now + backends->connect_timeout + b->back_off;
    }
    pthread_mutex_unlock(&backends->lock);
    return b;
}

static void
backend_give_back(struct backends *backends, struct backend *b)
{
    pthread_mutex_lock(&backends->lock);
    b->active--;
    pthread_mutex_unlock(&backends->lock);
}

static void
backend_reached(struct backends *backends, struct backend *b)
{
    pthread_mutex_lock(&backends->lock);
    bool was_down = b->back_off > 0;
    b->back_off = 0;
    b->reached++;
    pthread_mutex_unlock(&backends->lock);
    if (was_down)
        fprintf(stderr, "proxy: backend %s is up\n", b->where);
}

static void
backend_failed(struct backends *backends, struct backend *b, bool probe, int rc)
{
    char why[192];
    snprintf(why, sizeof why, "%s", weft_error_text());
    pthread_mutex_lock(&backends->lock);
    bool was_up = b->back_off == 0;
    b->active--;
    b->failed++;
    if (was_up)
        b->back_off = BACK_OFF_MIN;
    else if (probe)
        b->back_off = b->back_off * 2 < BACK_OFF_MAX ? b->back_off * 2 : BACK_OFF_MAX;
    if (was_up || probe) /* an attempt from before it was found to be down says nothing new */
        b->again = weft_now() + b->back_off;
    pthread_mutex_unlock(&backends->lock);
    if (was_up)
        fprintf(stderr, "proxy: backend %s is down: %s%s%s\n", b->where, weft_strerror(rc),
                *why != '\0' ? ". " : "", why);
}

/* ---- Connecting ----------------------------------------------------------------------------- */

/* What says nothing about the backend. */
static bool
is_our_own(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS ||
           rc == -EADDRNOTAVAIL;
}

static weft_tls_context *
context_for(const struct backends *backends, const char *protocol)
{
    for (unsigned i = 0; *protocol != '\0' && backends->alpn[i] != NULL; i++)
        if (strcmp(backends->alpn[i], protocol) == 0)
            return backends->tls[1 + i];
    return backends->tls[0];
}

static int
attempt(struct backends *backends, const char *protocol, struct backend_link *link)
{
    weft_tls_context *context = context_for(backends, protocol);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + backends->connect_timeout);
    int rc = weft_connect(&link->tcp, link->backend->where, NULL);
    link->stream = &link->tcp;
    if (rc == 0 && context != NULL) {
        rc = weft_tls_client(&link->tls, &link->tcp, context, link->backend->host);
        link->stream = &link->tls;
        if (rc < 0)
            weft_stream_close(&link->tcp);
    }
    if (weft_scope_close(&scope) == -ETIMEDOUT && rc < 0)
        rc = weft_error_note(-ETIME, "no answer within %g s",
                             (double)backends->connect_timeout / 1e9);
    return rc;
}

int
backend_connect(struct backends *backends, const char *protocol, struct backend_link *link,
                unsigned *retries)
{
    uint64_t tried = 0;
    bool failed = false, probe;
    memset(link, 0, sizeof *link);
    while ((link->backend = backend_take(backends, &tried, &probe)) != NULL) {
        if (failed)
            ++*retries;
        int rc = attempt(backends, protocol, link);
        if (rc == 0) {
            backend_reached(backends, link->backend);
            return 0;
        }
        if (rc == -ECANCELED || is_our_own(rc)) {
            backend_give_back(backends, link->backend);
            return rc;
        }
        backend_failed(backends, link->backend, probe, rc);
        failed = true;
    }
    return -EHOSTUNREACH;
}

void
reset_on_close(weft_stream *tcp)
{
    int fd = weft_stream_raw(tcp);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                   sizeof(struct linger));
}

void
backend_hang_up(struct backends *backends, struct backend_link *link, bool reset)
{
    if (reset)
        reset_on_close(&link->tcp);
    weft_stream_close(link->stream);
    backend_give_back(backends, link->backend);
}
