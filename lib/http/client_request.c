/*
 * client_request.c - from a request to what curl is told of it; and requests whose answer is
 * collected.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <weft/error.h>

#include "http/client_curl.h"

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
    if (options->version == WEFT_HTTP_PRIOR2 && weft__client_prior2_is_for_once) {
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
        SET(CURLOPT_READFUNCTION, weft__client_on_upload);
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
    SET(CURLOPT_OPENSOCKETFUNCTION, weft__client_on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, call);
    SET(CURLOPT_HEADERFUNCTION, weft__client_on_header);
    SET(CURLOPT_HEADERDATA, call);
    SET(CURLOPT_WRITEFUNCTION, weft__client_on_body);
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
void
weft__client_release(weft_http_call *call)
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
    weft__client_unref(client);
}

/* Makes a call and sends it on its way. */
int
weft__client_call_new(weft_http_client *client, const weft_http_request *request, bool whole,
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
        rc = weft__client_ensure_driver(client);
    if (rc < 0) {
        weft__client_release(call);
        return rc;
    }
    weft__list_push_back(&client->queue, &call->link);
    client->under_way++;
    *ret_call = call;
    return 0;
}

/* Waits for the next thing to happen to a call; it is ended when the wait was. */
int
weft__client_wait_for(weft_http_call *call, weft_event *event)
{
    weft_event_clear(event);
    int rc = weft_event_wait(event);
    if (rc < 0)
        weft__client_end_call(call, rc);
    return rc;
}

/* ---- Whole requests -------------------------------------------------------------------------- */

int
weft__client_begin(weft_http_client **client)
{
    int rc = weft_checkpoint();
    return rc == 0 && *client == NULL ? weft__client_own(client) : rc;
}

int
weft_http_fetch(weft_http_client *client, const weft_http_request *request,
                weft_http_response *response)
{
    memset(response, 0, sizeof *response);
    int rc = weft__client_begin(&client);
    if (rc < 0)
        return rc;
    if (request->upload)
        return weft_error_note(-EINVAL, "a body that follows needs weft_http_call_open");
    weft_http_call *call;
    rc = weft__client_call_new(client, request, true, &call);
    if (rc < 0)
        return rc;
    while (call->state != DONE && rc == 0)
        rc = weft__client_wait_for(call, &call->reading);
    rc = call->result;
    if (rc < 0)
        weft__client_noted(call);
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
    weft__client_release(call);
    return rc;
}
