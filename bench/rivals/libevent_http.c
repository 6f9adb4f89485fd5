/*
 * libevent_http.c - "hello" from evhttp, libevent's HTTP server.
 */
#include <errno.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "rivals/rivals.h"

static void
answer(struct evhttp_request *request, void *arg)
{
    (void)arg;
    struct evbuffer *body = evbuffer_new();
    evbuffer_add(body, "hello\n", 6);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "text/plain");
    evhttp_send_reply(request, 200, "OK", body);
    evbuffer_free(body);
}

int
rival_evhttp(int listener)
{
    struct event_base *base = event_base_new();
    struct evhttp *http = base != NULL ? evhttp_new(base) : NULL;
    if (http == NULL || evhttp_accept_socket(http, listener) < 0)
        return -ENOMEM;
    evhttp_set_gencb(http, answer, NULL);
    return event_base_dispatch(base) < 0 ? -EIO : 0;
}
