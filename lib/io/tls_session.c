/*
 * tls_session.c - tickets by which clients resume sessions, by host.
 *
 * A ticket of TLS 1.3 is used once, so that those who watch cannot tell that two connections are
 * of the same client; a session of TLS 1.2 is used as long as the server takes it.
 */
#include <string.h>

#include <openssl/ssl.h>

#include "io/tls_priv.h"

struct weft__tls_host {
    SSL_SESSION *tickets[WEFT__TLS_TICKETS]; /* the newest first */
    unsigned n_tickets;
    uint64_t used; /* when, on the clock of the sessions */
    char name[];
};

struct weft__tls_sessions *
weft__tls_sessions_new(void)
{
    struct weft__tls_sessions *sessions = weft_memory_zeroed(sizeof *sessions);
    if (sessions != NULL)
        pthread_mutex_init(&sessions->lock, NULL);
    return sessions;
}

static void
host_free(struct weft__tls_host *host)
{
    for (unsigned i = 0; i < host->n_tickets; i++)
        SSL_SESSION_free(host->tickets[i]);
    weft_memory_free(host);
}

void
weft__tls_sessions_free(struct weft__tls_sessions *sessions)
{
    if (sessions == NULL)
        return;
    for (unsigned i = 0; i < sessions->n_hosts; i++)
        host_free(sessions->hosts[i]);
    pthread_mutex_destroy(&sessions->lock);
    weft_memory_free(sessions);
}

static struct weft__tls_host *
host_find(struct weft__tls_sessions *sessions, const char *name)
{
    for (unsigned i = 0; i < sessions->n_hosts; i++) {
        if (strcmp(sessions->hosts[i]->name, name) == 0) {
            sessions->hosts[i]->used = ++sessions->clock;
            return sessions->hosts[i];
        }
    }
    return NULL;
}

/* The place of the one used longest ago, emptied when all are taken. */
static struct weft__tls_host **
place_for_another(struct weft__tls_sessions *sessions)
{
    if (sessions->n_hosts < WEFT__TLS_SESSIONS)
        return &sessions->hosts[sessions->n_hosts++];
    struct weft__tls_host **oldest = &sessions->hosts[0];
    for (unsigned i = 1; i < sessions->n_hosts; i++) {
        if (sessions->hosts[i]->used < (*oldest)->used)
            oldest = &sessions->hosts[i];
    }
    host_free(*oldest);
    return oldest;
}

static struct weft__tls_host *
host_add(struct weft__tls_sessions *sessions, const char *name)
{
    size_t bytes = strlen(name) + 1;
    struct weft__tls_host *host = weft_memory_zeroed(sizeof *host + bytes);
    if (host == NULL)
        return NULL;
    memcpy(host->name, name, bytes);
    host->used = ++sessions->clock;
    *place_for_another(sessions) = host;
    return host;
}

void
weft__tls_session_keep(struct weft__tls_sessions *sessions, const char *name, SSL_SESSION *session)
{
    SSL_SESSION *dropped = session;
    pthread_mutex_lock(&sessions->lock);
    struct weft__tls_host *host = host_find(sessions, name);
    if (host == NULL)
        host = host_add(sessions, name);
    if (host != NULL) {
        dropped = host->n_tickets < WEFT__TLS_TICKETS ? NULL : host->tickets[--host->n_tickets];
        memmove(host->tickets + 1, host->tickets, host->n_tickets * sizeof *host->tickets);
        host->tickets[0] = session;
        host->n_tickets++;
    }
    pthread_mutex_unlock(&sessions->lock);
    SSL_SESSION_free(dropped); /* NULL is nothing */
}

struct ssl_session_st *
weft__tls_session_find(struct weft__tls_sessions *sessions, const char *name)
{
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&sessions->lock);
    struct weft__tls_host *host = host_find(sessions, name);
    if (host != NULL && host->n_tickets > 0) {
        session = host->tickets[0];
        if (SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION)
            SSL_SESSION_up_ref(session);
        else
            memmove(host->tickets, host->tickets + 1, --host->n_tickets * sizeof *host->tickets);
    }
    pthread_mutex_unlock(&sessions->lock);
    return session;
}
