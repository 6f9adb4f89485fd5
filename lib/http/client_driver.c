/*
 * client_driver.c - the task that calls curl when a descriptor or a timer is due, begins what waits
 * in line, and spreads requests over shards. It is there while requests are under way.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <weft/error.h>

#include "http/client_curl.h"

/* Finished calls leave at once: curl would look through all of them for each that is removed. */
static void
collect(struct shard *shard)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(shard->multi, &left)) != NULL) {
        weft_http_call *call = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        if (code == CURLE_OK && !call->head_done && call->head_pending)
            weft__client_head_is_final(call);
        int rc = weft__client_result_of(call, code);
        if (rc == 0 && !call->head_done) { /* curl takes the end of the connection for that of it */
            rc = WEFT_E_END;
            snprintf(call->text, sizeof call->text, "the head of the response was cut off");
        }
        if (call->fail && rc == WEFT_E_CURL && call->head_done)
            snprintf(call->text, sizeof call->text, "the status is %d", call->head.status);
        else if (rc == WEFT_E_HTTP_LARGE)
            snprintf(call->text, sizeof call->text, "%s",
                     call->head_done ? "the body is over the limit of the request"
                                     : "the head of the response is too large");
        else if (rc < 0 && rc == call->failure) /* of which curl says that a write failed */
            call->text[0] = '\0';
        else if (rc < 0 && call->text[0] == '\0')
            snprintf(call->text, sizeof call->text, "%s", curl_easy_strerror(code));
        weft__client_end_call(call, rc);
    }
}

static void
act(struct shard *shard, curl_socket_t fd, int events)
{
    int running;
    curl_multi_socket_action(shard->multi, fd, events, &running);
    collect(shard);
}

static int
shard_new(weft_http_client *client, struct shard **ret_shard)
{
    struct shard **more =
        weft_memory_resize(client->shards, (client->n_shards + 1) * sizeof(struct shard *));
    if (more == NULL)
        return -ENOMEM;
    client->shards = more;
    struct shard *shard = weft_memory_zeroed(sizeof *shard);
    if (shard == NULL)
        return -ENOMEM;
    CURLM *multi = curl_multi_init();
    if (multi == NULL) {
        weft_memory_free(shard);
        return -ENOMEM;
    }
    *shard = (struct shard){.client = client, .multi = multi, .at = WEFT_FOREVER};
    const weft_http_client_options *options = &client->options;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, weft__client_on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, shard);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, weft__client_on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, shard);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)options->host_connections);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)options->total_connections);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)options->idle_connections);
    client->shards[client->n_shards++] = shard;
    *ret_shard = shard;
    return 0;
}

void
weft__client_shard_free(struct shard *shard)
{
    curl_multi_cleanup(shard->multi);
    weft_memory_free(shard);
}

/* The first with a place: the connections of the first are used most, and kept. */
static int
shard_take(weft_http_client *client, struct shard **ret_shard)
{
    /* Limits are curl's, and count within one multi handle. */
    bool limited = client->options.host_connections > 0 || client->options.total_connections > 0;
    for (unsigned i = 0; i < client->n_shards; i++) {
        if (limited || client->shards[i]->running < SHARD_WIDTH) {
            *ret_shard = client->shards[i];
            return 0;
        }
    }
    return shard_new(client, ret_shard);
}

/* Gives some of the waiting calls to curl. */
static void
admit(weft_http_client *client)
{
    struct weft__link *link;
    for (int i = 0; i < AT_ONCE && (link = weft__list_first(&client->queue)) != NULL; i++) {
        weft_http_call *call = weft__container(link, weft_http_call, link);
        struct shard *shard;
        int rc = shard_take(client, &shard);
        if (rc == 0 && curl_multi_add_handle(shard->multi, call->easy) != CURLM_OK)
            rc = -ENOMEM;
        if (rc < 0) {
            weft__client_end_call(call, rc);
            continue;
        }
        weft__list_remove(&call->link);
        weft__list_push_back(&client->running, &call->link);
        call->state = RUNNING;
        call->shard = shard;
        shard->running++;
    }
}

static void
end_broken(weft_http_client *client)
{
    weft__list_foreach(link, &client->running)
    {
        weft_http_call *call = weft__container(link, weft_http_call, link);
        if (call->broken < 0)
            weft__client_end_call(call, call->broken);
    }
    client->n_broken = 0;
}

/* Sets the timer to the earliest time that any shard has asked for. One that is set to fire before
 * that may do so: it costs less than setting it anew for each request. */
static int
arm(weft_http_client *client)
{
    int64_t first = WEFT_FOREVER;
    for (unsigned i = 0; i < client->n_shards; i++) {
        if (client->shards[i]->at < first)
            first = client->shards[i]->at;
    }
    if (first >= client->armed)
        return 0;
    int64_t after = first - real_now();
    int rc = weft__sys_timerfd_after(client->timer, after < 1 ? 1 : after);
    if (rc == 0)
        client->armed = first;
    return rc;
}

static int
timer_fired(weft_http_client *client)
{
    uint64_t times;
    ssize_t n = weft__sys_read(client->timer, &times, sizeof times);
    if (n < 0 && n != -EAGAIN)
        return (int)n;
    client->armed = WEFT_FOREVER;
    int64_t now = real_now();
    for (unsigned i = 0; i < client->n_shards; i++) {
        struct shard *shard = client->shards[i];
        if (shard->at > now)
            continue;
        shard->at = WEFT_FOREVER;
        shard->due = true;
    }
    return 0;
}

static void
run_due(weft_http_client *client)
{
    for (unsigned i = 0; i < client->n_shards; i++) {
        if (!client->shards[i]->due)
            continue;
        client->shards[i]->due = false;
        act(client->shards[i], CURL_SOCKET_TIMEOUT, 0);
    }
}

/* Does what there is to do: 1 when there is more at once, 0, or an error that no call survives. */
static int
turn(weft_http_client *client)
{
    admit(client);
    run_due(client);
    struct epoll_event events[AT_ONCE];
    int n = weft__sys_epoll_look(client->epoll, events, AT_ONCE);
    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 == UINT64_MAX) {
            int rc = timer_fired(client);
            if (rc < 0)
                return rc;
            continue;
        }
        uint32_t what = events[i].events;
        act(client->shards[events[i].data.u64 >> 32], (int)(uint32_t)events[i].data.u64,
            (what & EPOLLIN ? CURL_CSELECT_IN : 0) | (what & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                (what & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
    }
    if (client->n_broken > 0)
        end_broken(client);
    bool more = n == AT_ONCE || !weft__list_empty(&client->queue);
    for (unsigned i = 0; i < client->n_shards && !more; i++)
        more = client->shards[i]->due;
    if (more)
        return 1;
    return arm(client);
}

static int
nap(weft_http_client *client)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    client->nap = &scope;
    int rc = weft_fd_wait_readable(&client->fd);
    client->nap = NULL;
    bool kicked = weft_scope_close(&scope) == -ECANCELED;
    return kicked || rc == -ECANCELED || rc == -ETIMEDOUT ? 0 : rc;
}

static int
drive(void *arg)
{
    weft_http_client *client = arg;
    weft_scope shield; /* calls in shields go on while all else is cancelled */
    client->refs++;
    client->driver_runs = true;
    weft_shield_open(&shield, WEFT_FOREVER);
    while (client->under_way > 0 && !client->closing) {
        int rc = turn(client);
        if (rc < 0)
            weft__client_end_all(client, rc);
        if (client->under_way == 0)
            break;
        if (rc > 0)
            weft_ignore(weft_yield());
        else if (rc == 0)
            rc = nap(client);
        if (rc < 0 && !client->closing)
            weft__client_end_all(client, rc);
    }
    weft_scope_close(&shield);
    client->driver_runs = false;
    /* What a burst has opened beyond the first shard is not kept. */
    while (!client->closing && client->n_shards > 1)
        weft__client_shard_free(client->shards[--client->n_shards]);
    weft__client_unref(client);
    return 0;
}

int
weft__client_ensure_driver(weft_http_client *client)
{
    if (client->driver_runs) {
        weft__client_kick(client);
        return 0;
    }
    if (client->driver != NULL) {
        if (weft_task_get_state(client->driver) < WEFT_TASK_DONE)
            return 0; /* about to start */
        weft_task_close(client->driver);
        client->driver = NULL;
    }
    return weft_task_spawn(&client->driver, drive, client,
                           &(weft_task_options){.name = "http driver", .stack_size = DRIVER_STACK});
}
