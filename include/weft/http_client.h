/*
 * http_client.h - HTTP requests by tasks: whole, or streamed both ways. Part of libweft-http.
 *
 * libcurl does the protocol, on the loop of the tasks that ask: no thread of a loop blocks, and a
 * loop has as many requests under way as it has descriptors. Names are looked up by libcurl too, by
 * threads of its own as a rule: weft_set_resolver does not concern it.
 *
 * Deadlines are scopes, and there are no others: a request whose scope ends is taken back at once,
 * and its connection is closed unless the response was complete. So is a streamed one when a scope
 * ends a call of it that waits; one that the scope ends before it has to wait leaves it going.
 * Time is the real clock's, whatever clock the loop has.
 *
 * A status of 400 or more is a response like any other, unless .fail asks for an error.
 */
#ifndef WEFT_HTTP_CLIENT_H
#define WEFT_HTTP_CLIENT_H

#include <weft/base.h>
#include <weft/time.h>

/* Connections, cookies and settings that requests share. It belongs to one loop. */
typedef struct weft_http_client weft_http_client;

/* A request under way whose bodies are streamed. */
typedef struct weft_http_call weft_http_call;

typedef enum weft_http_use {
    WEFT_HTTP_AUTO = 0,  /* HTTP/2 where TLS can agree on it, else HTTP/1.1 */
    WEFT_HTTP_ONLY1 = 1, /* HTTP/1.1 */
    WEFT_HTTP_PRIOR2 = 2 /* HTTP/2 without asking, without TLS too */
} weft_http_use;

/* Texts are copied. */
typedef struct weft_http_client_options {
    const char *user_agent; /* NULL: "weft/" and the version; "": none is sent */
    const char *proxy;      /* "http://host:port", "socks5h://host:port"; NULL: none */
    const char *no_proxy;   /* hosts without the proxy, "localhost,example.org" */
    const char *ca_file;    /* PEM certificates to trust; NULL: the system's */
    const char *cert_file;  /* PEM, to show to servers that ask; NULL: none */
    const char *key_file;   /* its key; NULL: in cert_file */
    const char *key_password;
    const char *unix_path;           /* connect to this socket whatever the URL says; NULL: no */
    const char *const *resolve;      /* "host:port:address", ended by NULL: no look-up for them */
    unsigned proxy_from_environment; /* 1: http_proxy, https_proxy, no_proxy apply */
    unsigned insecure;               /* 1: certificates are not verified. For tests alone */
    unsigned cookies;                /* 1: keep cookies that servers set, and send them back */
    unsigned no_compression;         /* 1: do not ask for compressed bodies */
    weft_http_use version;
    unsigned host_connections;  /* most connections to a host; 0: no limit. Requests wait in line,
                                   without a time limit but their scopes' */
    unsigned total_connections; /* most connections at all; 0: no limit */
    unsigned idle_connections;  /* most connections kept for the next request, those in use among
                                   them; 0: 256 */
    size_t buffer;              /* bytes of a streamed body, each way, that are kept before the one
                                   side waits for the other; 0: 64 KiB; at least 16 KiB */
} weft_http_client_options;

/* Must stay until the call that was given it returns; nothing is kept but body, by a streamed
 * call, until it is closed. */
typedef struct weft_http_request {
    const char *url;            /* http or https; a scheme is needed */
    const char *method;         /* NULL: GET, or POST when there is a body */
    const char *const *headers; /* "Name: value", ended by NULL, sent in this order; "Name:" leaves
                                   one out that would be sent otherwise. NULL: none */
    weft_bytes body;            /* data not NULL: the whole body */
    unsigned upload;            /* 1: the body follows by weft_http_call_write */
    uint64_t upload_length;     /* its length, if it is known; 0: it is not */
    const char *user;           /* basic authentication, without a colon; NULL: none */
    const char *password;
    int redirects; /* most that are followed; 0: 10; -1: none, they are responses */
    unsigned fail; /* 1: a status of 400 or more is WEFT_E_CURL */
    size_t limit;  /* most bytes of a whole response body; 0: 64 MiB */
} weft_http_request;

/* How a request went. Times are from its start on, in nanoseconds; 0 for what did not happen. */
typedef struct weft_http_stats {
    unsigned version;     /* 10, 11, 20 */
    unsigned connections; /* opened for it; 0: one of before was used again */
    unsigned redirects;   /* followed */
    weft_time resolved, connected, secured, first_byte, total;
    uint64_t sent, received; /* bytes of bodies, as they went over the wire */
    char peer[46];           /* numeric address; "" for a unix socket */
} weft_http_stats;

typedef struct weft_http_response {
    int status;
    weft_buf head; /* the header lines, for weft_http_response_field */
    weft_buf body; /* decoded; one zero byte follows it, which is not counted */
    weft_http_stats stats;
} weft_http_response;

WEFT_BEGIN_DECLS

/* ---- Clients ------------------------------------------------------------------------------- */

/*
 * weft_http_client_new - make a client for requests of this loop
 *
 * options  NULL for the defaults
 *
 * Returns  0; -ENOMEM; -EMFILE, -ENFILE; -EINVAL for an option that cannot be (weft_error_text())
 * Waits    no
 * Threads  tasks; the client belongs to their loop
 * Source   aiohttp.ClientSession, curl_multi_init(3)
 */
int weft_http_client_new(weft_http_client **ret_client, const weft_http_client_options *options);

/*
 * weft_http_client_free - end a client and its connections
 *
 * Requests under way fail with -ESHUTDOWN; streamed calls are still to be closed.
 *
 * client   may be NULL
 *
 * Waits    no
 * Threads  tasks of the client's loop
 * Source   aiohttp ClientSession.close
 */
void weft_http_client_free(weft_http_client *client);

/* ---- Whole requests ------------------------------------------------------------------------ */

/*
 * weft_http_fetch - send a request and read the whole response
 *
 * client    NULL: the loop's own, with the default options, made on first use
 * response  out: to be freed by weft_http_response_free, also after a failure, when it holds what
 *           had come
 *
 * Returns  0, whatever the status; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first;
 *          WEFT_E_URL; -EINVAL for a method or header that cannot be sent; WEFT_E_NAME;
 *          -ECONNREFUSED and other errors of connect(2); -ECONNRESET; WEFT_E_TLS_VERIFY,
 *          WEFT_E_TLS; WEFT_E_END when the response was cut off; WEFT_E_HTTP when it is not HTTP;
 *          WEFT_E_HTTP_LARGE when it is over the limit; -ENOMEM; -ESHUTDOWN; WEFT_E_CURL for the
 *          rest. weft_error_text() has the details
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the client's loop
 * Source   aiohttp ClientSession.request
 */
WEFT_WAITS int weft_http_fetch(weft_http_client *client, const weft_http_request *request,
                               weft_http_response *response);

/*
 * weft_http_get - fetch a URL with the loop's own client
 *
 * Returns  as weft_http_fetch
 * Waits    yes; looks for cancellation first
 * Threads  tasks
 * Source   requests.get
 */
WEFT_WAITS int weft_http_get(const char *url, weft_http_response *response);

/*
 * weft_http_post - post bytes to a URL with the loop's own client
 *
 * type     the body's content type; NULL: none is sent
 *
 * Returns  as weft_http_fetch
 * Waits    yes; looks for cancellation first
 * Threads  tasks
 * Source   requests.post
 */
WEFT_WAITS int weft_http_post(const char *url, const char *type, weft_bytes body,
                              weft_http_response *response);

/*
 * weft_http_response_field - a field of a response
 *
 * name     case does not matter
 * index    0 for the first field of that name, 1 for the second…
 *
 * Returns  the value, as long as the response is; NULL when there is none
 * Waits    no
 * Threads  whoever owns response
 * Source   aiohttp ClientResponse.headers.getall
 */
const char *weft_http_response_field(const weft_http_response *response, const char *name,
                                     size_t index);

/*
 * weft_http_response_free - give back what a response holds; it is empty afterwards
 *
 * Waits    no
 * Threads  whoever owns response
 * Source   aiohttp ClientResponse.release
 */
void weft_http_response_free(weft_http_response *response);

/* ---- Streamed requests --------------------------------------------------------------------- */

/*
 * weft_http_call_open - start a request whose bodies are streamed
 *
 * One task may write the request's body while another one reads the response.
 *
 * client    NULL: the loop's own
 * ret_call  out: to be closed
 *
 * Returns  0: it is on its way; -ENOMEM; WEFT_E_URL; -EINVAL; -ESHUTDOWN; -ECANCELED or -ETIMEDOUT
 *          when the enclosing scope had ended
 * Waits    yes; looks for cancellation first. For the server it does not wait
 * Threads  tasks of the client's loop
 * Source   aiohttp ClientSession.request, as a context manager
 */
WEFT_WAITS int weft_http_call_open(weft_http_client *client, const weft_http_request *request,
                                   weft_http_call **ret_call);

/*
 * weft_http_call_write - send a part of the request's body, waiting while the server is slow
 *
 * Returns  0; -EPIPE when the request was over before all was sent: the response may be there;
 *          -EMSGSIZE for more than .upload_length; -EINVAL without .upload, or after
 *          weft_http_call_finish; else as weft_http_fetch
 * Waits    yes; looks for cancellation first. A cancellation while it waits ends the request, of
 *          which some may have been sent
 * Threads  tasks of the client's loop, one at a time
 * Source   http.client.HTTPConnection.send
 */
WEFT_WAITS int weft_http_call_write(weft_http_call *call, const void *buf, size_t len);

/*
 * weft_http_call_finish - say that the request's body is complete
 *
 * Returns  0; -EINVAL when less than .upload_length was written: the request is ended
 * Waits    no
 * Threads  tasks of the client's loop
 * Source   http.client.HTTPConnection.endheaders
 */
int weft_http_call_finish(weft_http_call *call);

/*
 * weft_http_call_head - wait for the head of the response
 *
 * ret_head  out: status and header lines are the call's, good until it is closed, and must not be
 *           freed; may be NULL
 *
 * Returns  the status; else as weft_http_fetch
 * Waits    yes; looks for cancellation first
 * Threads  tasks of the client's loop, one at a time, the one that reads
 * Source   aiohttp ClientResponse.start
 */
WEFT_WAITS int weft_http_call_head(weft_http_call *call, weft_http_response *ret_head);

/*
 * weft_http_call_read - read some of the response's body, waiting for the first byte
 *
 * len      in bytes, more than 0
 *
 * Returns  bytes read, 1 to len; 0 at the end; else as weft_http_fetch
 * Waits    yes; looks for cancellation even when data is there
 * Threads  tasks of the client's loop, one at a time
 * Source   aiohttp StreamReader.readany
 */
WEFT_WAITS ssize_t weft_http_call_read(weft_http_call *call, void *buf, size_t len);

/*
 * weft_http_call_stats_get - how the request went so far; all of it is known at its end
 *
 * Waits    no
 * Threads  tasks of the client's loop
 * Source   curl_easy_getinfo(3)
 */
void weft_http_call_stats_get(const weft_http_call *call, weft_http_stats *ret_stats);

/*
 * weft_http_call_close - end a call; its connection is kept if the response was complete
 *
 * call     may be NULL; nobody else may be waiting in a call of it
 *
 * Waits    no
 * Threads  tasks of the client's loop
 * Source   aiohttp ClientResponse.close
 */
void weft_http_call_close(weft_http_call *call);

WEFT_END_DECLS

#endif
