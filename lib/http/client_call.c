/*
 * client_call.c - one request as curl sees it: how it ended, in our words, and the callbacks by
 * which curl asks for sockets and timers and moves bytes. They set events and never call code of
 * the user's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <weft/error.h>

#include "http/client_curl.h"

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

/* Then what came back is at fault, not what was asked for. */
static bool
request_sent(weft_http_call *call)
{
    long sent = 0;
    curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
    return sent > 0;
}

int
weft__client_result_of(weft_http_call *call, CURLcode code)
{
    if (call->failure < 0)
        return call->failure;
    if (is_tls(code))
        return WEFT_E_TLS;
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_OUT_OF_MEMORY: /* curl's word for a line beyond its own limit, too */
        return request_sent(call) && !call->head_done ? WEFT_E_HTTP_LARGE : -ENOMEM;
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
    case CURLE_WEIRD_SERVER_REPLY:
        return request_sent(call) ? WEFT_E_HTTP : WEFT_E_URL;
    case CURLE_BAD_CONTENT_ENCODING:
        return WEFT_E_HTTP;
    default:
        return WEFT_E_CURL;
    }
}

/* The call is over: curl has it no longer, and who waits is told. */
void
weft__client_end_call(weft_http_call *call, int rc)
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
        weft__client_kick(client);
}

void
weft__client_end_all(weft_http_client *client, int rc)
{
    struct weft__list *lists[] = {&client->queue, &client->running};
    for (int i = 0; i < 2; i++) {
        struct weft__link *link;
        while ((link = weft__list_first(lists[i])) != NULL)
            weft__client_end_call(weft__container(link, weft_http_call, link), rc);
    }
}

int
weft__client_noted(const weft_http_call *call)
{
    if (call->result < 0 && call->text[0] != '\0')
        weft_error_note(call->result, "%s", call->text);
    return call->result;
}

/* ---- curl's callbacks ------------------------------------------------------------------------ */

curl_socket_t
weft__client_on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
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

int
weft__client_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
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
        weft__client_kick(client);
    }
    return 0;
}

int
weft__client_on_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct shard *shard = arg;
    shard->due = ms == 0;
    shard->at = ms > 0 ? real_now() + (int64_t)ms * 1000000 : WEFT_FOREVER;
    if (ms == 0 || shard->at < shard->client->armed)
        weft__client_kick(shard->client);
    return 0;
}

/* No other head follows. */
void
weft__client_head_is_final(weft_http_call *call)
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
        weft__client_head_is_final(call);
}

size_t
weft__client_on_header(char *line, size_t size, size_t n, void *arg)
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

size_t
weft__client_on_body(char *bytes, size_t size, size_t n, void *arg)
{
    weft_http_call *call = arg;
    size_t len = size * n;
    if (!call->head_done)
        weft__client_head_is_final(call);
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

size_t
weft__client_on_upload(char *to, size_t size, size_t n, void *arg)
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
