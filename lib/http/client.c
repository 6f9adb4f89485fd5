/*
 * client.c - the door to libcurl: its multi interface, driven by one task of the loop.
 *
 * curl's sockets are in an epoll descriptor of the client's own, its timers in a timerfd beside
 * them; the loop sees one descriptor. The driver waits for it, and is there only while requests are
 * under way. curl is called by it, and by the tasks that take requests back or go on after a pause;
 * its callbacks move bytes and set events, so that it never calls code of the user's.
 *
 * Requests are spread over several multi handles, each of which has at most SHARD_WIDTH under way:
 * curl looks through all connections to a host for each new request, through all of them when one
 * comes back to its cache, and through all finished requests when one is removed. With 10,000 in
 * one handle that was most of the time spent; in shards it is nothing. What shards would keep from
 * each other, cookies, names and TLS sessions, they share.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <weft/error.h>

#include "http/client_curl.h"

pthread_once_t weft__client_global_once = PTHREAD_ONCE_INIT;
CURLcode weft__client_global_rc;
bool weft__client_prior2_is_for_once; /* before 8.0.0 the second request breaks HTTP/2's framing */

void
weft__client_global_init(void)
{
    weft__client_global_rc = curl_global_init(CURL_GLOBAL_DEFAULT);
    weft__client_prior2_is_for_once = curl_version_info(CURLVERSION_NOW)->version_num < 0x080000;
}

/* The driver has something to do that its descriptor does not tell of. */
void
weft__client_kick(weft_http_client *client)
{
    weft_scope *nap = client->nap;
    client->nap = NULL;
    if (nap != NULL)
        weft_scope_cancel(nap);
}

void
weft__client_unref(weft_http_client *client)
{
    if (--client->refs > 0)
        return;
    for (unsigned i = 0; i < client->n_spares; i++)
        curl_easy_cleanup(client->spares[i]);
    curl_share_cleanup(client->share);
    curl_slist_free_all(client->resolve);
    weft_buf_free(&client->strings);
    weft_memory_free(client);
}

/* ---- Clients --------------------------------------------------------------------------------- */

static int
options_check(const weft_http_client_options *options)
{
    if (options->version > WEFT_HTTP_PRIOR2)
        return weft_error_note(-EINVAL, "there is no use of HTTP versions %u", options->version);
    for (const char *c = options->user_agent; c != NULL && *c != '\0'; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 127)
            return weft_error_note(-EINVAL, "user_agent has a control character");
    if (options->buffer > (1u << 30))
        return weft_error_note(-EINVAL, "buffer must be at most 1 GiB, got %zu", options->buffer);
    return 0;
}

/* Copies the texts of the options. */
static int
options_copy(weft_http_client *client, const weft_http_client_options *given)
{
    client->options = *given;
    weft_http_client_options *mine = &client->options;
    const char **texts[] = {&mine->user_agent,   &mine->proxy,     &mine->no_proxy,
                            &mine->ca_file,      &mine->cert_file, &mine->key_file,
                            &mine->key_password, &mine->unix_path};
    size_t n = sizeof texts / sizeof texts[0], total = 1;
    for (size_t i = 0; i < n; i++)
        total += *texts[i] != NULL ? strlen(*texts[i]) + 1 : 0;
    int rc = weft_buf_reserve(&client->strings, total);
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (*texts[i] == NULL)
            continue;
        const char *copy = (const char *)client->strings.data + client->strings.len;
        rc = weft_buf_append(&client->strings, *texts[i], strlen(*texts[i]) + 1);
        *texts[i] = copy;
    }
    for (const char *const *entry = given->resolve; rc == 0 && entry != NULL && *entry != NULL;
         entry++) {
        struct curl_slist *list = curl_slist_append(client->resolve, *entry);
        if (list == NULL)
            return -ENOMEM;
        client->resolve = list;
    }
    if (mine->idle_connections == 0)
        mine->idle_connections = SHARD_WIDTH;
    if (mine->user_agent == NULL)
        mine->user_agent = "weft/" WEFT_VERSION;
    if (mine->buffer == 0)
        mine->buffer = 65536;
    if (mine->buffer < 16384)
        mine->buffer = 16384;
    return rc;
}

static int
share_new(weft_http_client *client)
{
    client->share = curl_share_init();
    if (client->share == NULL)
        return -ENOMEM;
    /* One thread has all of it: nothing needs a lock. */
    CURLSHcode rc = curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    if (rc == CURLSHE_OK)
        rc = curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    if (rc == CURLSHE_OK && client->options.cookies)
        rc = curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
    return rc == CURLSHE_OK ? 0 : -ENOMEM;
}

static int
open_descriptors(weft_http_client *client)
{
    client->epoll = weft__sys_epoll_create();
    if (client->epoll < 0)
        return client->epoll;
    int rc = client->timer = weft__sys_timerfd_create();
    if (rc < 0)
        goto fail_epoll;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    rc = weft__sys_epoll_ctl(client->epoll, EPOLL_CTL_ADD, client->timer, &event);
    if (rc == 0)
        rc = weft_fd_open(&client->fd, client->epoll);
    if (rc == 0)
        return 0;
    weft__sys_close(client->timer);
fail_epoll:
    weft__sys_close(client->epoll);
    return rc;
}

int
weft_http_client_new(weft_http_client **ret_client, const weft_http_client_options *options)
{
    static const weft_http_client_options defaults;
    if (options == NULL)
        options = &defaults;
    int rc = options_check(options);
    if (rc < 0)
        return rc;
    pthread_once(&weft__client_global_once, weft__client_global_init);
    if (weft__client_global_rc != CURLE_OK)
        return weft_error_note(-ENOMEM, "libcurl: %s", curl_easy_strerror(weft__client_global_rc));
    weft_http_client *client = weft_memory_zeroed(sizeof *client);
    if (client == NULL)
        return -ENOMEM;
    client->loop = weft_loop_current();
    client->refs = 1;
    client->armed = WEFT_FOREVER;
    weft__list_init(&client->queue);
    weft__list_init(&client->running);
    rc = options_copy(client, options);
    if (rc == 0)
        rc = share_new(client);
    if (rc == 0)
        rc = open_descriptors(client);
    if (rc < 0) {
        weft__client_unref(client);
        return rc;
    }
    *ret_client = client;
    return 0;
}

void
weft_http_client_free(weft_http_client *client)
{
    if (client == NULL)
        return;
    client->closing = true;
    weft__client_end_all(client, -ESHUTDOWN);
    if (client->driver != NULL) {
        if (!client->driver_runs)
            weft_task_cancel(client->driver); /* so it never will */
        weft_task_close(client->driver);
        client->driver = NULL;
    }
    for (unsigned i = 0; i < client->n_shards; i++)
        weft__client_shard_free(client->shards[i]);
    weft_memory_free(client->shards);
    client->shards = NULL;
    client->n_shards = 0;
    weft_fd_close(&client->fd); /* the driver is told, if it waits */
    weft__sys_close(client->timer);
    weft__client_unref(client);
}
