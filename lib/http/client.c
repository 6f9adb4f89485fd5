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
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <weft/error.h>
#include <weft/fd.h>
#include <weft/loop.h>
#include <weft/scope.h>
#include <weft/sync.h>
#include <weft/task.h>

#include "base/list.h"
#include "http/client_priv.h"
#include "http/client_sys.h"

#ifndef SHARD_WIDTH
#define SHARD_WIDTH 256
#endif
#define SPARES 64              /* easy handles kept for the next request */
#define AT_ONCE 64             /* requests begun, or events seen to, before others may run */
#define DRIVER_STACK (1 << 18) /* TLS and decoders run on it; what is not used is not there */
#define BODY_LIMIT (64u << 20)
#define REDIRECTS 10
#define BUFFERS (4u << 20) /* curl's receive buffers of all requests together, about */
#define BUFFER_MIN 1024
#define BUFFER_MAX 65536
/* What one of these becomes, 1032 times as much at most, curl keeps at a pause: all of it. */
#define BUFFER_DECODED 16384
#define NO_TIMEOUT_MS 0x7fffffffL /* curl has a limit of its own otherwise */

struct shard {
    weft_http_client *client;
    CURLM *multi;
    unsigned running;
    bool due;   /* curl wants to be called at once */
    int64_t at; /* or then, of the real clock; WEFT_FOREVER */
};

struct weft_http_client {
    weft_loop *loop;
    weft_fd fd; /* the epoll descriptor */
    int epoll;
    int timer;
    int64_t armed; /* when the timer fires; WEFT_FOREVER */
    CURLSH *share;
    struct shard **shards;
    unsigned n_shards;
    struct weft__list queue;   /* calls curl has not got yet */
    struct weft__list running; /* calls it has */
    CURL *spares[SPARES];
    unsigned n_spares;
    size_t refs; /* the owner, open calls, the driver */
    size_t under_way;
    unsigned n_broken;
    bool closing;
    weft_task *driver; /* NULL: none was ever started */
    bool driver_runs;  /* from its first step to its last */
    weft_scope *nap;   /* of the driver, while it waits */
    weft_buf strings;  /* what the texts of the options point into */
    struct curl_slist *resolve;
    weft_http_client_options options;
};

enum call_state { QUEUED, RUNNING, DONE };

struct weft_http_call {
    struct weft__link link;
    weft_http_client *client;
    struct shard *shard; /* while it runs */
    CURL *easy;
    struct curl_slist *headers;
    weft_event reading; /* head, body, or the end has come */
    weft_event writing; /* there is room, or the end has come */
    struct weft__client_head head;
    bool head_done;
    bool head_pending; /* a whole head is there that may not be the last one */
    bool follows, custom, fail, upload;
    enum call_state state;
    int result;  /* when done */
    int failure; /* found by a callback, which could only tell curl to give up */
    int broken;  /* its socket could not be watched */
    int socket_error;
    size_t limit;
    bool whole;    /* the body is collected */
    weft_buf down; /* received: all of it, or what was not read yet, from down_at on */
    size_t down_at;
    bool down_paused;
    weft_buf up; /* to be sent, from up_at on; what is streamed */
    size_t up_at;
    bool up_paused, up_end;
    uint64_t up_left; /* of a known length */
    bool up_known;
    char text[CURL_ERROR_SIZE]; /* curl's own */
};

/* ---- Small things --------------------------------------------------------------------------- */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_rc;
static bool prior2_is_for_once; /* before 8.0.0 the second request breaks HTTP/2's framing */

static void
global_init(void)
{
    global_rc = curl_global_init(CURL_GLOBAL_DEFAULT);
    prior2_is_for_once = curl_version_info(CURLVERSION_NOW)->version_num < 0x080000;
}

static int64_t
real_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* The driver has something to do that its descriptor does not tell of. */
static void
kick(weft_http_client *client)
{
    weft_scope *nap = client->nap;
    client->nap = NULL;
    if (nap != NULL)
        weft_scope_cancel(nap);
}

static void
unref(weft_http_client *client)
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

/* ---- Results -------------------------------------------------------------------------------- */

static bool
is_tls(CURLcode code)
{
    switch (code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_CLIENTCERT:
        return true;
    default:
        return false;
    }
}

/* The system's own error, if it tells more than curl's; a kernel that gave up is no deadline. */
static int
system_error(weft_http_call *call, int otherwise)
{
    long number = 0;
    if (call->socket_error < 0)
        return call->socket_error;
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
    return number > 0 && number != ETIMEDOUT && number != EAGAIN && number != EINPROGRESS
               ? (int)-number
               : otherwise;
}

static int
result_of(weft_http_call *call, CURLcode code)
{
    if (call->failure < 0)
        return call->failure;
    if (is_tls(code))
        return WEFT_E_TLS;
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return WEFT_E_NAME;
    case CURLE_COULDNT_CONNECT:
        return system_error(call, WEFT_E_CURL);
    case CURLE_RECV_ERROR:
        return system_error(call, WEFT_E_CURL);
    case CURLE_SEND_ERROR: /* without the system's word: several old connections had ended */
        return system_error(call, WEFT_E_END);
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return WEFT_E_END;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return WEFT_E_TLS_VERIFY;
    case CURLE_URL_MALFORMAT:
        return WEFT_E_URL;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY: {
        long sent = 0; /* then what came back was at fault, not what was asked for */
        curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
        return sent > 0 ? WEFT_E_HTTP : WEFT_E_URL;
    }
    case CURLE_BAD_CONTENT_ENCODING:
        return WEFT_E_HTTP;
    default:
        return WEFT_E_CURL;
    }
}

/* The call is over: curl has it no longer, and who waits is told. */
static void
end_call(weft_http_call *call, int rc)
{
    if (call->state == DONE)
        return;
    weft_http_client *client = call->client;
    if (call->state == RUNNING) {
        curl_multi_remove_handle(call->shard->multi, call->easy);
        call->shard->running--;
    }
    weft__list_remove(&call->link);
    call->state = DONE;
    call->result = rc;
    call->shard = NULL;
    weft_event_set(&call->reading);
    weft_event_set(&call->writing);
    if (--client->under_way == 0)
        kick(client);
}

static void
end_all(weft_http_client *client, int rc)
{
    struct weft__list *lists[] = {&client->queue, &client->running};
    for (int i = 0; i < 2; i++) {
        struct weft__link *link;
        while ((link = weft__list_first(lists[i])) != NULL)
            end_call(weft__container(link, weft_http_call, link), rc);
    }
}

static int
noted(const weft_http_call *call)
{
    if (call->result < 0 && call->text[0] != '\0')
        weft_error_note(call->result, "%s", call->text);
    return call->result;
}

/* ---- curl's callbacks ----------------------------------------------------------------------- */

static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    weft_http_call *call = arg;
    int fd = weft__sys_socket(address->family, address->socktype, address->protocol);
    call->socket_error = fd < 0 ? fd : 0;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* `known` is what was assigned to the socket: not NULL when it is in the epoll descriptor. */
static int
watch(weft_http_client *client, curl_socket_t fd, uint32_t events, uint32_t shard, bool known)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)shard << 32 | (uint32_t)fd};
    int rc = weft__sys_epoll_ctl(client->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    if (rc == -ENOENT || rc == -EEXIST) /* a number that is somebody else's now */
        rc = weft__sys_epoll_ctl(client->epoll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    return rc;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct shard *shard = arg;
    weft_http_client *client = shard->client;
    if (what == CURL_POLL_REMOVE) {
        if (known != NULL)
            weft_ignore(weft__sys_epoll_ctl(client->epoll, EPOLL_CTL_DEL, fd, NULL));
        curl_multi_assign(shard->multi, fd, NULL);
        return 0;
    }
    uint32_t index = 0;
    while (client->shards[index] != shard)
        index++;
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    int rc = watch(client, fd, events, index, known != NULL);
    if (rc == 0) {
        curl_multi_assign(shard->multi, fd, shard);
        return 0;
    }
    /* An error here would be the end of all requests of the multi handle: end this one later. */
    weft_http_call *call = NULL;
    if (easy != NULL)
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
    if (call != NULL) {
        call->broken = rc;
        client->n_broken++;
        kick(client);
    }
    return 0;
}

static int
on_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct shard *shard = arg;
    shard->due = ms == 0;
    shard->at = ms > 0 ? real_now() + (int64_t)ms * 1000000 : WEFT_FOREVER;
    if (ms == 0 || shard->at < shard->client->armed)
        kick(shard->client);
    return 0;
}

/* No other head follows. */
static void
head_is_final(weft_http_call *call)
{
    call->head_done = true;
    weft_event_set(&call->reading);
    if (call->fail && call->head.status >= 400)
        call->failure = WEFT_E_CURL;
}

static void
head_is_there(weft_http_call *call)
{
    int status = call->head.status;
    if (status < 200 && status != 101)
        return;
    if (call->follows && status >= 300 && status < 400 && call->head.location) {
        if (status == 303 && call->custom) /* "see other" is a GET, whatever this was */
            curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, NULL);
        return;
    }
    /* curl asks a server again that knows no 100 Continue, unless a body or the end comes. */
    if (status == 417)
        call->head_pending = true;
    else
        head_is_final(call);
}

static size_t
on_header(char *line, size_t size, size_t n, void *arg)
{
    weft_http_call *call = arg;
    if (call->head_done)
        return size * n; /* trailers, whatever they look like */
    int rc = weft__client_head_line(&call->head, line, size * n);
    if (rc > 0)
        head_is_there(call);
    if (rc < 0)
        call->failure = rc;
    return call->failure < 0 ? 0 : size * n;
}

static int
take_in(weft_http_call *call, const char *bytes, size_t len)
{
    if (call->whole && len > call->limit - call->down.len)
        return WEFT_E_HTTP_LARGE;
    if (call->down_at > 0 && call->down_at >= call->down.len / 2) {
        call->down.len -= call->down_at;
        memmove(call->down.data, call->down.data + call->down_at, call->down.len);
        call->down_at = 0;
    }
    return weft_buf_append(&call->down, bytes, len);
}

static size_t
on_body(char *bytes, size_t size, size_t n, void *arg)
{
    weft_http_call *call = arg;
    size_t len = size * n;
    if (!call->head_done)
        head_is_final(call);
    if (call->failure < 0)
        return 0;
    if (!call->whole && call->down.len - call->down_at >= call->client->options.buffer) {
        call->down_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    call->failure = take_in(call, bytes, len);
    if (call->failure < 0)
        return 0;
    if (!call->whole)
        weft_event_set(&call->reading);
    return len;
}

static size_t
on_upload(char *to, size_t size, size_t n, void *arg)
{
    weft_http_call *call = arg;
    size_t have = call->up.len - call->up_at;
    if (have == 0) {
        call->up_paused = !call->up_end;
        return call->up_end ? 0 : CURL_READFUNC_PAUSE;
    }
    if (have > size * n)
        have = size * n;
    memcpy(to, call->up.data + call->up_at, have);
    call->up_at += have;
    if (call->up_at == call->up.len)
        call->up_at = call->up.len = 0;
    weft_event_set(&call->writing);
    return have;
}

/* ---- The driver ----------------------------------------------------------------------------- */

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
            head_is_final(call);
        int rc = result_of(call, code);
        if (rc == 0 && !call->head_done) { /* curl takes the end of the connection for that of it */
            rc = WEFT_E_END;
            snprintf(call->text, sizeof call->text, "the head of the response was cut off");
        }
        if (call->fail && rc == WEFT_E_CURL && call->head_done)
            snprintf(call->text, sizeof call->text, "the status is %d", call->head.status);
        else if (rc < 0 && rc == call->failure) /* of which curl says that a write failed */
            snprintf(call->text, sizeof call->text, "%s",
                     rc != WEFT_E_HTTP_LARGE ? ""
                     : call->head_done       ? "the body is over the limit of the request"
                                             : "the head of the response is too large");
        else if (rc < 0 && call->text[0] == '\0')
            snprintf(call->text, sizeof call->text, "%s", curl_easy_strerror(code));
        end_call(call, rc);
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
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, shard);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, shard);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)options->host_connections);
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)options->total_connections);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)options->idle_connections);
    client->shards[client->n_shards++] = shard;
    *ret_shard = shard;
    return 0;
}

static void
shard_free(struct shard *shard)
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
            end_call(call, rc);
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
            end_call(call, call->broken);
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
            end_all(client, rc);
        if (client->under_way == 0)
            break;
        if (rc > 0)
            weft_ignore(weft_yield());
        else if (rc == 0)
            rc = nap(client);
        if (rc < 0 && !client->closing)
            end_all(client, rc);
    }
    weft_scope_close(&shield);
    client->driver_runs = false;
    /* What a burst has opened beyond the first shard is not kept. */
    while (!client->closing && client->n_shards > 1)
        shard_free(client->shards[--client->n_shards]);
    unref(client);
    return 0;
}

static int
ensure_driver(weft_http_client *client)
{
    if (client->driver_runs) {
        kick(client);
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

/* ---- Clients -------------------------------------------------------------------------------- */

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
    pthread_once(&global_once, global_init);
    if (global_rc != CURLE_OK)
        return weft_error_note(-ENOMEM, "libcurl: %s", curl_easy_strerror(global_rc));
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
        unref(client);
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
    end_all(client, -ESHUTDOWN);
    if (client->driver != NULL) {
        if (!client->driver_runs)
            weft_task_cancel(client->driver); /* so it never will */
        weft_task_close(client->driver);
        client->driver = NULL;
    }
    for (unsigned i = 0; i < client->n_shards; i++)
        shard_free(client->shards[i]);
    weft_memory_free(client->shards);
    client->shards = NULL;
    client->n_shards = 0;
    weft_fd_close(&client->fd); /* the driver is told, if it waits */
    weft__sys_close(client->timer);
    unref(client);
}

/* ---- Requests ------------------------------------------------------------------------------- */

/* Sets an option, unless one before has failed. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (code == CURLE_OK)                                                                      \
            code = curl_easy_setopt(easy, option, value);                                          \
    } while (0)

static CURLcode
set_client(weft_http_client *client, CURL *easy)
{
    const weft_http_client_options *options = &client->options;
    static const long versions[] = {CURL_HTTP_VERSION_2TLS, CURL_HTTP_VERSION_1_1,
                                    CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE};
    CURLcode code = CURLE_OK;
    SET(CURLOPT_SHARE, client->share);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a look-up that is cancelled is not waited for */
    SET(CURLOPT_CONNECTTIMEOUT_MS, NO_TIMEOUT_MS);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, versions[options->version]);
    if (options->version == WEFT_HTTP_PRIOR2 && prior2_is_for_once) {
        SET(CURLOPT_FRESH_CONNECT, 1L);
        SET(CURLOPT_FORBID_REUSE, 1L);
    }
    if (options->user_agent[0] != '\0')
        SET(CURLOPT_USERAGENT, options->user_agent);
    if (options->proxy != NULL)
        SET(CURLOPT_PROXY, options->proxy);
    else if (!options->proxy_from_environment)
        SET(CURLOPT_PROXY, "");
    if (options->no_proxy != NULL)
        SET(CURLOPT_NOPROXY, options->no_proxy);
    if (options->ca_file != NULL)
        SET(CURLOPT_CAINFO, options->ca_file);
    if (options->cert_file != NULL) {
        SET(CURLOPT_SSLCERT, options->cert_file);
        SET(CURLOPT_SSLKEY, options->key_file != NULL ? options->key_file : options->cert_file);
    }
    if (options->key_password != NULL)
        SET(CURLOPT_KEYPASSWD, options->key_password);
    if (options->insecure) {
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (options->unix_path != NULL)
        SET(CURLOPT_UNIX_SOCKET_PATH, options->unix_path);
    if (client->resolve != NULL)
        SET(CURLOPT_RESOLVE, client->resolve);
    if (options->cookies)
        SET(CURLOPT_COOKIEFILE, ""); /* turns the engine on; cookies are in the share */
    if (!options->no_compression)
        SET(CURLOPT_ACCEPT_ENCODING, "");
    return code;
}

static CURLcode
set_body(weft_http_call *call, const weft_http_request *request)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_POST, 1L);
    if (request->upload) {
        SET(CURLOPT_READFUNCTION, on_upload);
        SET(CURLOPT_READDATA, call);
        SET(CURLOPT_POSTFIELDSIZE_LARGE,
            request->upload_length > 0 ? (curl_off_t)request->upload_length : (curl_off_t)-1);
    } else {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        SET(CURLOPT_POSTFIELDS, request->body.data != NULL ? request->body.data : "");
    }
    return code;
}

static CURLcode
set_method(weft_http_call *call, const weft_http_request *request)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;
    bool body = request->body.data != NULL || request->upload;
    const char *method = request->method != NULL ? request->method : body ? "POST" : "GET";
    bool post = strcmp(method, "POST") == 0;
    if (strcmp(method, "HEAD") == 0 && !body) {
        SET(CURLOPT_NOBODY, 1L);
        return code;
    }
    if (body || post)
        code = set_body(call, request);
    call->custom = !post && (body || strcmp(method, "GET") != 0);
    if (call->custom) {
        SET(CURLOPT_CUSTOMREQUEST, method);
        /* Only of POST do browsers make GET. */
        SET(CURLOPT_POSTREDIR, CURL_REDIR_POST_301 | CURL_REDIR_POST_302);
    }
    return code;
}

static CURLcode
set_headers(weft_http_call *call, const weft_http_request *request)
{
    CURL *easy = call->easy;
    CURLcode code = CURLE_OK;
    const char *type = "Content-Type:"; /* curl would say that it is a form */
    bool typed = (request->body.data == NULL && !request->upload) ||
                 weft__client_request_has(request, "Content-Type");
    for (const char *const *line = request->headers;
         code == CURLE_OK && ((line != NULL && *line != NULL) || !typed);) {
        bool own = line != NULL && *line != NULL;
        struct curl_slist *list = curl_slist_append(call->headers, own ? *line++ : type);
        if (list == NULL)
            return CURLE_OUT_OF_MEMORY;
        call->headers = list;
        typed = typed || !own;
    }
    if (call->headers != NULL)
        SET(CURLOPT_HTTPHEADER, call->headers);
    return code;
}

static CURLcode
set_request(weft_http_call *call, const weft_http_request *request)
{
    CURL *easy = call->easy;
    CURLcode code = set_client(call->client, easy);
    if (code == CURLE_OK)
        code = set_method(call, request);
    if (code == CURLE_OK)
        code = set_headers(call, request);
    size_t buffer = BUFFERS / (call->client->under_way + 1);
    size_t most = call->whole || call->client->options.no_compression ? BUFFER_MAX : BUFFER_DECODED;
    buffer = buffer < BUFFER_MIN ? BUFFER_MIN : buffer > most ? most : buffer;
    /* Refused where a request that failed early has left its buffer behind: that will do too. */
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)buffer);
    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_ERRORBUFFER, call->text);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, call);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, call);
    if (request->redirects >= 0) {
        SET(CURLOPT_FOLLOWLOCATION, 1L);
        SET(CURLOPT_MAXREDIRS, request->redirects > 0 ? (long)request->redirects : REDIRECTS);
        call->follows = true;
    }
    if (request->user != NULL) {
        SET(CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        SET(CURLOPT_USERNAME, request->user);
        SET(CURLOPT_PASSWORD, request->password != NULL ? request->password : "");
    }
    SET(CURLOPT_URL, request->url);
    return code;
}

/* Gives back what the call holds; curl has it no longer. */
static void
release(weft_http_call *call)
{
    weft_http_client *client = call->client;
    if (call->easy != NULL) {
        if (client->n_spares < SPARES && !client->closing) {
            curl_easy_setopt(call->easy, CURLOPT_COOKIEFILE, NULL); /* resetting would leak it */
            curl_easy_reset(call->easy);
            client->spares[client->n_spares++] = call->easy;
        } else {
            curl_easy_cleanup(call->easy);
        }
    }
    curl_slist_free_all(call->headers);
    weft_event_close(&call->reading);
    weft_event_close(&call->writing);
    weft_buf_free(&call->head.lines);
    weft_buf_free(&call->down);
    weft_buf_free(&call->up);
    weft_memory_free(call);
    unref(client);
}

/* Makes a call and sends it on its way. */
static int
call_new(weft_http_client *client, const weft_http_request *request, bool whole,
         weft_http_call **ret_call)
{
    if (client->closing)
        return -ESHUTDOWN;
    if (client->loop != weft_loop_current())
        return weft_error_note(-EINVAL, "a client belongs to the loop it was made on");
    int rc = weft__client_request_check(request);
    if (rc < 0)
        return rc;
    weft_http_call *call = weft_memory_zeroed(sizeof *call);
    if (call == NULL)
        return -ENOMEM;
    call->client = client;
    client->refs++;
    weft_event_open(&call->reading);
    weft_event_open(&call->writing);
    call->whole = whole;
    call->limit = request->limit > 0 ? request->limit : BODY_LIMIT;
    call->fail = request->fail != 0;
    call->upload = request->upload != 0;
    call->up_known = request->upload_length > 0;
    call->up_left = request->upload_length;
    call->easy = client->n_spares > 0 ? client->spares[--client->n_spares] : curl_easy_init();
    CURLcode code = call->easy != NULL ? set_request(call, request) : CURLE_OUT_OF_MEMORY;
    if (code != CURLE_OK)
        rc = code == CURLE_OUT_OF_MEMORY
                 ? -ENOMEM
                 : weft_error_note(code == CURLE_URL_MALFORMAT ? WEFT_E_URL : -EINVAL,
                                   "libcurl: %s", curl_easy_strerror(code));
    if (rc == 0)
        rc = ensure_driver(client);
    if (rc < 0) {
        release(call);
        return rc;
    }
    weft__list_push_back(&client->queue, &call->link);
    client->under_way++;
    *ret_call = call;
    return 0;
}

/* Waits for the next thing to happen to a call; it is ended when the wait was. */
static int
wait_for(weft_http_call *call, weft_event *event)
{
    weft_event_clear(event);
    int rc = weft_event_wait(event);
    if (rc < 0)
        end_call(call, rc);
    return rc;
}

/* ---- Whole requests ------------------------------------------------------------------------- */

static int
begin(weft_http_client **client)
{
    int rc = weft_checkpoint();
    return rc == 0 && *client == NULL ? weft__client_own(client) : rc;
}

int
weft_http_fetch(weft_http_client *client, const weft_http_request *request,
                weft_http_response *response)
{
    memset(response, 0, sizeof *response);
    int rc = begin(&client);
    if (rc < 0)
        return rc;
    if (request->upload)
        return weft_error_note(-EINVAL, "a body that follows needs weft_http_call_open");
    weft_http_call *call;
    rc = call_new(client, request, true, &call);
    if (rc < 0)
        return rc;
    while (call->state != DONE && rc == 0)
        rc = wait_for(call, &call->reading);
    rc = call->result;
    if (rc < 0)
        noted(call);
    if (rc == 0)
        rc = weft_buf_reserve(&call->down, 1);
    if (call->down.cap > call->down.len)
        call->down.data[call->down.len] = '\0';
    response->status = call->head.status;
    response->head = call->head.lines;
    response->body = call->down;
    weft_http_call_stats_get(call, &response->stats);
    memset(&call->head.lines, 0, sizeof call->head.lines);
    memset(&call->down, 0, sizeof call->down);
    release(call);
    return rc;
}

/* ---- Streamed requests ---------------------------------------------------------------------- */

int
weft_http_call_open(weft_http_client *client, const weft_http_request *request,
                    weft_http_call **ret_call)
{
    int rc = begin(&client);
    return rc < 0 ? rc : call_new(client, request, false, ret_call);
}

/* Lets curl go on after one of its pauses. */
static void
go_on(weft_http_call *call, bool *paused)
{
    *paused = false;
    if (call->state != RUNNING)
        return;
    CURLcode code = curl_easy_pause(call->easy, (call->down_paused ? CURLPAUSE_RECV : 0) |
                                                    (call->up_paused ? CURLPAUSE_SEND : 0));
    if (code != CURLE_OK)
        end_call(call, result_of(call, code));
}

static int
write_some(weft_http_call *call, const char *buf, size_t len, size_t *ret_written)
{
    size_t have = call->up.len - call->up_at, room = call->client->options.buffer;
    *ret_written = 0;
    if (call->state == DONE)
        return call->result < 0 ? noted(call) : -EPIPE;
    if (have >= room)
        return wait_for(call, &call->writing);
    if (call->up_at > 0) {
        memmove(call->up.data, call->up.data + call->up_at, have);
        call->up.len = have;
        call->up_at = 0;
    }
    if (len > room - have)
        len = room - have;
    int rc = weft_buf_append(&call->up, buf, len);
    if (rc < 0)
        return rc;
    *ret_written = len;
    call->up_left -= call->up_known ? len : 0;
    if (call->up_paused)
        go_on(call, &call->up_paused);
    return 0;
}

int
weft_http_call_write(weft_http_call *call, const void *buf, size_t len)
{
    const char *bytes = buf;
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    if (!call->upload || call->up_end)
        return weft_error_note(-EINVAL, call->upload ? "the body is complete already"
                                                     : "the request was opened without .upload");
    if (call->up_known && len > call->up_left)
        return weft_error_note(-EMSGSIZE, "%zu bytes, of a body of which %llu are left", len,
                               (unsigned long long)call->up_left);
    while (rc == 0 && len > 0) {
        size_t written;
        rc = write_some(call, bytes, len, &written);
        bytes += written;
        len -= written;
    }
    return rc;
}

int
weft_http_call_finish(weft_http_call *call)
{
    if (!call->upload)
        return weft_error_note(-EINVAL, "the request was opened without .upload");
    call->up_end = true;
    if (call->up_known && call->up_left > 0) {
        end_call(call, -EINVAL);
        return weft_error_note(-EINVAL, "%llu bytes of the body are missing",
                               (unsigned long long)call->up_left);
    }
    if (call->up_paused)
        go_on(call, &call->up_paused);
    return 0;
}

int
weft_http_call_head(weft_http_call *call, weft_http_response *ret_head)
{
    int rc = weft_checkpoint();
    while (rc == 0 && !call->head_done && call->state != DONE)
        rc = wait_for(call, &call->reading);
    if (rc < 0)
        return rc;
    if (call->state == DONE && (call->result < 0 || !call->head_done))
        return call->result < 0 ? noted(call) : WEFT_E_HTTP;
    if (ret_head != NULL) {
        memset(ret_head, 0, sizeof *ret_head);
        ret_head->status = call->head.status;
        ret_head->head = call->head.lines;
        weft_http_call_stats_get(call, &ret_head->stats);
    }
    return call->head.status;
}

ssize_t
weft_http_call_read(weft_http_call *call, void *buf, size_t len)
{
    int rc = weft_checkpoint();
    while (rc == 0 && call->down.len == call->down_at && call->state != DONE) {
        if (call->down_paused)
            go_on(call, &call->down_paused);
        else
            rc = wait_for(call, &call->reading);
    }
    if (rc < 0)
        return rc;
    size_t have = call->down.len - call->down_at;
    if (have == 0)
        return noted(call);
    if (len > have)
        len = have;
    memcpy(buf, call->down.data + call->down_at, len);
    call->down_at += len;
    if (call->down_at == call->down.len)
        call->down_at = call->down.len = 0;
    if (call->down_paused && have - len <= call->client->options.buffer / 2)
        go_on(call, &call->down_paused);
    return (ssize_t)len;
}

static weft_time
time_of(CURL *easy, CURLINFO what)
{
    curl_off_t us = 0;
    curl_easy_getinfo(easy, what, &us);
    return (weft_time)us * 1000;
}

void
weft_http_call_stats_get(const weft_http_call *call, weft_http_stats *ret_stats)
{
    CURL *easy = call->easy;
    long version = 0, connections = 0, redirects = 0;
    curl_off_t sent = 0, received = 0;
    const char *peer = NULL;
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &redirects);
    curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
    curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &peer);
    memset(ret_stats, 0, sizeof *ret_stats);
    ret_stats->version = version == CURL_HTTP_VERSION_1_0   ? 10
                         : version == CURL_HTTP_VERSION_1_1 ? 11
                         : version == CURL_HTTP_VERSION_2_0 ? 20
                                                            : 0;
    ret_stats->connections = (unsigned)connections;
    ret_stats->redirects = (unsigned)redirects;
    ret_stats->sent = (uint64_t)sent;
    ret_stats->received = (uint64_t)received;
    ret_stats->resolved = time_of(easy, CURLINFO_NAMELOOKUP_TIME_T);
    ret_stats->connected = time_of(easy, CURLINFO_CONNECT_TIME_T);
    ret_stats->secured = time_of(easy, CURLINFO_APPCONNECT_TIME_T);
    ret_stats->first_byte = time_of(easy, CURLINFO_STARTTRANSFER_TIME_T);
    ret_stats->total = time_of(easy, CURLINFO_TOTAL_TIME_T);
    if (peer != NULL && strlen(peer) < sizeof ret_stats->peer)
        memcpy(ret_stats->peer, peer, strlen(peer));
}

void
weft_http_call_close(weft_http_call *call)
{
    if (call == NULL)
        return;
    end_call(call, -ECANCELED);
    release(call);
}
