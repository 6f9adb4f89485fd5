/*
 * client_curl.h - what the files share that know libcurl: clients, their shards, calls.
 */
#ifndef WEFT_LIB_HTTP_CLIENT_CURL_H
#define WEFT_LIB_HTTP_CLIENT_CURL_H

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>

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

static inline int64_t
real_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Once per process. */
extern pthread_once_t weft__client_global_once;
extern CURLcode weft__client_global_rc;
extern bool weft__client_prior2_is_for_once;

/* client.c */
void weft__client_global_init(void);
/* The driver has something to do that its descriptor does not tell of. */
void weft__client_kick(weft_http_client *client);
void weft__client_unref(weft_http_client *client);

/* client_call.c */
/* How a request ended, in our codes, noted in its text. */
int weft__client_result_of(weft_http_call *call, CURLcode code);
/* The call is over: curl has it no longer, and who waits is told. */
void weft__client_end_call(weft_http_call *call, int rc);
void weft__client_end_all(weft_http_client *client, int rc);
/* The result of a call that is done; its text becomes the task's detail. */
int weft__client_noted(const weft_http_call *call);
/* curl's callbacks. */
curl_socket_t weft__client_on_open_socket(void *arg, curlsocktype purpose,
                                          struct curl_sockaddr *address);
int weft__client_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known);
int weft__client_on_timer(CURLM *multi, long ms, void *arg);
void weft__client_head_is_final(weft_http_call *call);
size_t weft__client_on_header(char *line, size_t size, size_t n, void *arg);
size_t weft__client_on_body(char *bytes, size_t size, size_t n, void *arg);
size_t weft__client_on_upload(char *to, size_t size, size_t n, void *arg);

/* client_driver.c */
void weft__client_shard_free(struct shard *shard);
/* A driver that runs, or will. 0, or why there is none. */
int weft__client_ensure_driver(weft_http_client *client);

/* client_request.c */
/* Gives a call back, whatever its state. */
void weft__client_release(weft_http_call *call);
int weft__client_call_new(weft_http_client *client, const weft_http_request *request, bool whole,
                          weft_http_call **ret_call);
/* Waits for one of the call's events. 0, or the cause when the scope ended, the call with it. */
int weft__client_wait_for(weft_http_call *call, weft_event *event);
/* First thing in each call of users: looks for cancellation; NULL becomes the loop's client. */
int weft__client_begin(weft_http_client **client);

#endif
