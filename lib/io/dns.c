/*
 * dns.c - the door to c-ares: a channel on one loop, its sockets waited for by one task.
 *
 * c-ares opens and closes its sockets whenever it is called, and says so first; each is lent to a
 * weft_fd meanwhile. A query is held by the task that asks and by c-ares, as c-ares cannot be told
 * to forget a single one: who is cancelled leaves it behind. All of this runs on one loop.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include <weft/chan.h>
#include <weft/dns.h>
#include <weft/error.h>
#include <weft/fd.h>
#include <weft/group.h>
#include <weft/loop.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/sync.h>
#include <weft/task.h>

#include "base/list.h"

#define CLASS_INTERNET 1
#define PAUSE WEFT_MS(10) /* when there are more sockets than a select takes, or one fails */

struct weft_dns {
    ares_channel channel;
    weft_loop *loop;
    weft_task *driver;
    weft_chan *wake; /* of one byte: sockets or time limits have changed */
    struct weft__list sockets;
    struct weft__list closed; /* c-ares has closed them; the driver may still have one in hand */
    bool ending;
};

/* A socket of c-ares. */
struct socket {
    struct weft__link link;
    weft_fd fd;
    ares_socket_t raw;
    bool read;
    bool write;
};

/* ---- Sockets -------------------------------------------------------------------------------- */

static void
wake_driver(weft_dns *dns)
{
    weft_ignore(weft_chan_try_send(dns->wake, ""));
}

static struct socket *
find_socket(const weft_dns *dns, ares_socket_t raw)
{
    weft__list_foreach(link, &dns->sockets)
    {
        struct socket *socket = weft__container(link, struct socket, link);
        if (socket->raw == raw)
            return socket;
    }
    return NULL;
}

/* c-ares wants to read from, or write to, a socket; or neither: it is about to close it. */
static void
on_socket_state(void *arg, ares_socket_t raw, int read, int write)
{
    weft_dns *dns = arg;
    struct socket *socket = find_socket(dns, raw);
    if (!read && !write) {
        if (socket != NULL) {
            weft_ignore(weft_fd_release(&socket->fd));
            weft__list_remove(&socket->link);
            weft__list_push_back(&dns->closed, &socket->link);
        }
        return;
    }
    if (socket == NULL) {
        socket = weft_memory_zeroed(sizeof *socket);
        if (socket == NULL)
            return; /* nobody looks at it, so its queries run out of time */
        if (weft_fd_open(&socket->fd, raw) < 0) {
            weft_memory_free(socket);
            return;
        }
        socket->raw = raw;
        weft__list_push_back(&dns->sockets, &socket->link);
    }
    socket->read = read;
    socket->write = write;
    wake_driver(dns);
}

static void
free_closed(weft_dns *dns)
{
    struct weft__link *link;
    while ((link = weft__list_pop_front(&dns->closed)) != NULL)
        weft_memory_free(weft__container(link, struct socket, link));
}

/* ---- The driver ----------------------------------------------------------------------------- */

struct round {
    weft_case cases[WEFT_SELECT_MAX];
    struct socket *sockets[WEFT_SELECT_MAX]; /* of the cases; NULL: another one */
    bool writes[WEFT_SELECT_MAX];
    size_t n;
    weft_time until;
    char byte;
};

static bool
add_socket(struct round *round, struct socket *socket, bool write)
{
    if (round->n == WEFT_SELECT_MAX - 1)
        return false;
    round->sockets[round->n] = socket;
    round->writes[round->n] = write;
    round->cases[round->n++] =
        write ? weft_case_writable(&socket->fd) : weft_case_readable(&socket->fd);
    return true;
}

static void
begin_round(weft_dns *dns, struct round *round)
{
    round->n = 0;
    round->sockets[round->n] = NULL;
    round->cases[round->n++] = weft_case_recv(dns->wake, &round->byte);

    struct timeval left, *limit = ares_timeout(dns->channel, NULL, &left);
    round->until = WEFT_FOREVER;
    if (limit != NULL) /* rounded up: woken too early, c-ares would find nothing to do */
        round->until = weft_now() + limit->tv_sec * WEFT_SEC(1) + (limit->tv_usec + 1000) * 1000;
    bool all = true;
    weft__list_foreach(link, &dns->sockets)
    {
        struct socket *socket = weft__container(link, struct socket, link);
        if (socket->read)
            all = add_socket(round, socket, false) && all;
        if (socket->write)
            all = add_socket(round, socket, true) && all;
    }
    if (!all && round->until > weft_now() + PAUSE)
        round->until = weft_now() + PAUSE;
    round->sockets[round->n] = NULL;
    round->cases[round->n++] = weft_case_until(round->until);
}

/* Those left out come to the front, for the next round. */
static void
rotate_sockets(weft_dns *dns)
{
    struct weft__link *first = weft__list_pop_front(&dns->sockets);
    if (first != NULL)
        weft__list_push_back(&dns->sockets, first);
}

static int
end_round(weft_dns *dns, struct round *round, int chosen)
{
    struct socket *socket = round->sockets[chosen];
    int rc = round->cases[chosen].result;
    if (rc == -EBADF)
        return 0; /* closed while we waited */
    if (socket == NULL || rc < 0) {
        ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* time limits */
        return rc < 0 ? weft_sleep(PAUSE) : 0; /* the poller has no room for it */
    }
    bool write = round->writes[chosen];
    rotate_sockets(dns);
    ares_process_fd(dns->channel, write ? ARES_SOCKET_BAD : socket->raw,
                    write ? socket->raw : ARES_SOCKET_BAD);
    return 0;
}

static int
drive(void *arg)
{
    weft_dns *dns = arg;
    struct round *round = weft_memory_alloc(sizeof *round);
    int rc = round == NULL ? -ENOMEM : 0;
    while (rc == 0 && !dns->ending) {
        free_closed(dns);
        begin_round(dns, round);
        int chosen = weft_select(round->cases, round->n);
        if (chosen < 0)
            rc = chosen;
        else if (!dns->ending)
            rc = end_round(dns, round, chosen);
    }
    weft_memory_free(round);
    /* With nobody to look at the sockets, nothing would come to an end. */
    if (!dns->ending) {
        dns->ending = true;
        ares_cancel(dns->channel);
    }
    return rc == -ENOMEM ? rc : 0;
}

/* ---- Life ----------------------------------------------------------------------------------- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_status;

static void
library_init(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int
open_channel(weft_dns *dns, const weft_dns_options *given)
{
    pthread_once(&library_once, library_init);
    if (library_status != ARES_SUCCESS)
        return weft_error_note(WEFT_E_NAME_AGAIN, "c-ares: %s", ares_strerror(library_status));
    struct ares_options options = {.lookups = (char *)(uintptr_t) "fb",
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = dns};
    int mask = ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    if (given->timeout > 0) {
        options.timeout = (int)((given->timeout + WEFT_MS(1) - 1) / WEFT_MS(1));
        mask |= ARES_OPT_TIMEOUTMS;
    }
    if (given->tries > 0) {
        options.tries = (int)given->tries;
        mask |= ARES_OPT_TRIES;
    }
    if (given->rotate)
        mask |= ARES_OPT_ROTATE;
    if (given->search != NULL) {
        options.domains = (char **)(uintptr_t)given->search; /* copied by c-ares, not written to */
        options.ndomains = (int)given->n_search;
        mask |= ARES_OPT_DOMAINS;
    }
    int status = ares_init_options(&dns->channel, &options, mask);
    if (status != ARES_SUCCESS)
        return status == ARES_ENOMEM
                   ? -ENOMEM
                   : weft_error_note(WEFT_E_NAME_AGAIN, "c-ares: %s", ares_strerror(status));
    if (given->servers != NULL) {
        status = ares_set_servers_ports_csv(dns->channel, given->servers);
        if (status != ARES_SUCCESS) {
            ares_destroy(dns->channel);
            return status == ARES_ENOMEM ? -ENOMEM
                                         : weft_error_note(-EINVAL, "DNS servers '%.100s': %s",
                                                           given->servers, ares_strerror(status));
        }
    }
    return 0;
}

int
weft_dns_new(weft_dns **ret_dns, const weft_dns_options *given)
{
    static const weft_dns_options defaults;
    const weft_dns_options *options = given != NULL ? given : &defaults;
    if (options->timeout < 0 || options->timeout > WEFT_SEC(3600) || options->tries > 100 ||
        options->n_search > 100)
        return weft_error_note(-EINVAL, "the time for a DNS server is at most an hour, its tries "
                                        "and the search domains at most 100");
    weft_dns *dns = weft_memory_zeroed(sizeof *dns);
    if (dns == NULL)
        return -ENOMEM;
    dns->loop = weft_loop_current();
    weft__list_init(&dns->sockets);
    weft__list_init(&dns->closed);
    int rc = weft_chan_new(&dns->wake, 1, 1);
    if (rc < 0)
        goto fail_memory;
    rc = open_channel(dns, options);
    if (rc < 0)
        goto fail_chan;
    rc = weft_task_spawn(&dns->driver, drive, dns, &(weft_task_options){.name = "dns"});
    if (rc < 0)
        goto fail_channel;
    *ret_dns = dns;
    return 0;

fail_channel:
    ares_destroy(dns->channel);
fail_chan:
    weft_chan_free(dns->wake);
fail_memory:
    weft_memory_free(dns);
    return rc;
}

void
weft_dns_free(weft_dns *dns)
{
    if (dns == NULL)
        return;
    dns->ending = true;
    ares_cancel(dns->channel); /* wakes all who ask; none of them has run again before we wait */
    weft_task_cancel(dns->driver);
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    /* It cannot fail: nothing cancels the shield. */
    weft_ignore(weft_task_join(dns->driver, NULL));
    weft_scope_close(&shield);
    ares_destroy(dns->channel);
    free_closed(dns);
    weft_chan_free(dns->wake);
    weft_memory_free(dns);
}

/* ---- Queries -------------------------------------------------------------------------------- */

/* Held by the task that asks, and by c-ares until it has called back. */
struct query {
    unsigned refs;
    int rc;
    int status; /* the same as c-ares says it */
    weft_event done;
    struct ares_addrinfo *found;
    weft_buf answer;
};

static void
query_unref(struct query *query)
{
    if (--query->refs > 0)
        return;
    if (query->found != NULL)
        ares_freeaddrinfo(query->found);
    weft_buf_free(&query->answer);
    weft_event_close(&query->done);
    weft_memory_free(query);
}

static int
result_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOMEM:
        return -ENOMEM;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return -ECANCELED;
    case ARES_EBADFAMILY:
        return -EAFNOSUPPORT;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_ENONAME:
    case ARES_EBADNAME:
    case ARES_EBADSTR:
    case ARES_ESERVICE:
        return WEFT_E_NAME;
    default: /* no server, none that answers, or with sense */
        return WEFT_E_NAME_AGAIN;
    }
}

static void
query_done(struct query *query, int status)
{
    query->rc = result_of(status);
    query->status = status;
    weft_event_set(&query->done);
    query_unref(query);
}

static void
on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    struct query *query = arg;
    (void)timeouts;
    query->found = found;
    query_done(query, status);
}

static void
on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    struct query *query = arg;
    (void)timeouts;
    if (status == ARES_SUCCESS && weft_buf_append(&query->answer, bytes, (size_t)len) < 0)
        status = ARES_ENOMEM;
    query_done(query, status);
}

static int
query_new(weft_dns *dns, struct query **ret_query)
{
    if (dns->ending)
        return -ECANCELED;
    struct query *query = weft_memory_zeroed(sizeof *query);
    if (query == NULL)
        return -ENOMEM;
    query->refs = 2;
    weft_event_open(&query->done);
    *ret_query = query;
    return 0;
}

static int
query_wait(weft_dns *dns, struct query *query, const char *name)
{
    if (!weft_event_is_set(&query->done))
        wake_driver(dns); /* there is a time limit more */
    int rc = weft_event_wait(&query->done);
    if (rc == 0)
        rc = query->rc;
    if (rc == WEFT_E_NAME || rc == WEFT_E_NAME_AGAIN)
        weft_error_note(rc, "'%.100s': %s", name, ares_strerror(query->status));
    return rc;
}

int
weft_dns_query(weft_dns *dns, const char *name, int type, weft_buf *answer)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    if (weft_loop_current() != dns->loop)
        return weft_error_note(-EXDEV, "a DNS query was made on another loop than its resolver's");
    struct query *query;
    rc = query_new(dns, &query);
    if (rc < 0)
        return rc;
    ares_query(dns->channel, name, CLASS_INTERNET, type, on_answer, query);
    rc = query_wait(dns, query, name);
    if (rc == 0)
        rc = weft_buf_append(answer, query->answer.data, query->answer.len);
    query_unref(query);
    return rc;
}

/* ---- Resolving ------------------------------------------------------------------------------ */

static int
add_found(weft_addresses *ret, const struct ares_addrinfo *found, uint16_t port)
{
    int rc = 0;
    for (const struct ares_addrinfo_node *node = found->nodes; node != NULL && rc == 0;
         node = node->ai_next) {
        weft_address address;
        memset(&address, 0, sizeof address);
        if (node->ai_addrlen > sizeof address.storage)
            continue;
        memcpy(&address.storage, node->ai_addr, node->ai_addrlen);
        address.len = node->ai_addrlen;
        if (node->ai_family == AF_INET6)
            ((struct sockaddr_in6 *)(void *)&address.storage)->sin6_port = htons(port);
        else
            ((struct sockaddr_in *)(void *)&address.storage)->sin_port = htons(port);
        rc = weft_addresses_add(ret, &address);
    }
    return rc;
}

static int
resolve_here(weft_dns *dns, const char *host, uint16_t port, int family, weft_addresses *ret)
{
    struct query *query;
    int rc = query_new(dns, &query);
    if (rc < 0)
        return rc;
    struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_ENVHOSTS, .ai_family = family, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(dns->channel, host, NULL, &hints, on_addresses, query);
    rc = query_wait(dns, query, host);
    if (rc == 0)
        rc = add_found(ret, query->found, port);
    query_unref(query);
    return rc;
}

/* What a task of another loop wants of ours. */
struct errand {
    weft_dns *dns;
    const char *host;
    uint16_t port;
    int family;
    weft_addresses *ret;
    int rc;
    char text[192]; /* the detail of its failure, which is the other task's */
};

static int
errand_main(void *arg)
{
    struct errand *errand = arg;
    errand->rc = resolve_here(errand->dns, errand->host, errand->port, errand->family, errand->ret);
    if (errand->rc < 0)
        snprintf(errand->text, sizeof errand->text, "%s", weft_error_text());
    return errand->rc;
}

static int
resolve_far(struct errand *errand)
{
    unsigned index = weft_loop_index(errand->dns->loop);
    if (index >= weft_loop_count() || weft_loop_at(index) != errand->dns->loop)
        return weft_error_note(-EXDEV, "a DNS resolver was used by another runtime than its own");
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn_with(&group, errand_main, errand,
                          &(weft_task_options){.name = "dns errand", .on = WEFT_ON(index)});
    int rc = weft_group_close(&group);
    if (rc < 0 && rc == errand->rc && errand->text[0] != '\0')
        weft_error_note(rc, "%s", errand->text);
    return rc;
}

static int
resolve(void *arg, const char *host, uint16_t port, const weft_resolve_options *options,
        weft_addresses *ret)
{
    weft_dns *dns = arg;
    if (weft_loop_current() == dns->loop)
        return resolve_here(dns, host, port, options->family, ret);
    return resolve_far(&(struct errand){
        .dns = dns, .host = host, .port = port, .family = options->family, .ret = ret});
}

weft_resolver
weft_dns_resolver(weft_dns *dns)
{
    return (weft_resolver){.resolve = resolve, .arg = dns};
}
