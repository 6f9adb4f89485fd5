/*
 * client_stream.c - requests whose bodies are sent and read piece by piece.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <weft/error.h>

#include "http/client_curl.h"

int
weft_http_call_open(weft_http_client *client, const weft_http_request *request,
                    weft_http_call **ret_call)
{
    int rc = weft__client_begin(&client);
    return rc < 0 ? rc : weft__client_call_new(client, request, false, ret_call);
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
        weft__client_end_call(call, weft__client_result_of(call, code));
}

static int
write_some(weft_http_call *call, const char *buf, size_t len, size_t *ret_written)
{
    size_t have = call->up.len - call->up_at, room = call->client->options.buffer;
    *ret_written = 0;
    if (call->state == DONE)
        return call->result < 0 ? weft__client_noted(call) : -EPIPE;
    if (have >= room)
        return weft__client_wait_for(call, &call->writing);
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
        weft__client_end_call(call, -EINVAL);
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
        rc = weft__client_wait_for(call, &call->reading);
    if (rc < 0)
        return rc;
    if (call->state == DONE && (call->result < 0 || !call->head_done))
        return call->result < 0 ? weft__client_noted(call) : WEFT_E_HTTP;
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
            rc = weft__client_wait_for(call, &call->reading);
    }
    if (rc < 0)
        return rc;
    size_t have = call->down.len - call->down_at;
    if (have == 0)
        return weft__client_noted(call);
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
    weft__client_end_call(call, -ECANCELED);
    weft__client_release(call);
}
