/*
 * web.c - subscribers: server-sent events over HTTP, and the page that draws them.
 */
#include "feed.h"

#include <stdio.h>
#include <string.h>

#define BATCH_BYTES 16384       /* of events that are written together, about */
#define KEEP_ALIVE WEFT_SEC(15) /* after so long without an event a comment is sent */
#define RETRY_MS 2000           /* when a browser comes again after the end */

static const char no_store[] = "no-store";

static int
page(weft_http_exchange *x, void *arg)
{
    (void)arg;
    int rc = weft_http_response_header(
        x, "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:");
    if (rc < 0)
        return rc;
    return weft_http_reply(x, 200, "text/html; charset=utf-8", page_html, strlen(page_html));
}

static int
figures(weft_http_exchange *x, void *arg)
{
    const struct counts *c = &((struct feed *)arg)->counts;
    char text[512];
    int n = snprintf(text, sizeof text,
                     "{\"values\":%llu,\"bad_lines\":%llu,\"windows\":%llu,\"summaries\":%llu,"
                     "\"subscribers\":%llu,\"missed\":%llu}\n",
                     count_get(&c->values), count_get(&c->bad_lines), count_get(&c->windows),
                     count_get(&c->summaries), count_get(&c->subscribers), count_get(&c->missed));
    int rc = weft_http_response_header(x, "Cache-Control", no_store);
    return rc < 0 ? rc : weft_http_reply(x, 200, "application/json", text, (size_t)n);
}

/* ---- Events --------------------------------------------------------------------------------- */

struct subscriber {
    struct feed *feed;
    weft_http_exchange *exchange;
    weft_subscription subscription;
    char sensor[SENSOR_MAX + 1]; /* "": all of them */
    weft_buf out;
};

/* "sensor=NAME" limits the events to one; everything else is none of ours. */
static void
read_query(struct subscriber *s)
{
    weft_bytes query = weft_http_request_query(s->exchange);
    const char *text = (const char *)query.data;
    if (text != NULL && query.len > 7 && query.len <= 7 + SENSOR_MAX &&
        memcmp(text, "sensor=", 7) == 0)
        memcpy(s->sensor, text + 7, query.len - 7);
}

static int
append_event(struct subscriber *s, const struct summary *e, uint64_t missed)
{
    int rc = 0;
    if (missed > 0) {
        count_add(&s->feed->counts.missed, missed);
        rc = weft_buf_printf(&s->out, "event: missed\ndata: %llu\n\n", (unsigned long long)missed);
    }
    if (rc < 0 || (s->sensor[0] != '\0' && strcmp(s->sensor, e->sensor) != 0))
        return rc;
    /* Names have neither quotes nor backslashes in them, and values are finite: see ingest.c. */
    return weft_buf_printf(&s->out,
                           "id: %llu\ndata: {\"sensor\":\"%s\",\"window\":%llu,\"count\":%llu,"
                           "\"min\":%.6g,\"max\":%.6g,\"mean\":%.6g,\"p95\":%.6g}\n\n",
                           (unsigned long long)e->window, e->sensor, (unsigned long long)e->window,
                           (unsigned long long)e->count, e->min, e->max, e->mean, e->p95);
}

static int
flush(struct subscriber *s)
{
    if (s->out.len == 0)
        return 0;
    int rc = weft_http_response_write(s->exchange, s->out.data, s->out.len);
    s->out.len = 0;
    return rc;
}

/* Waits for an event, and takes those that have come as well. 0; -EPIPE: there will be no more. */
static int
take_events(struct subscriber *s)
{
    struct summary event;
    uint64_t missed;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + KEEP_ALIVE);
    int rc = weft_subscription_recv(&s->subscription, &event, &missed);
    if (weft_scope_close(&scope) == -ETIMEDOUT && rc < 0)
        return weft_buf_printf(&s->out, ": nothing new\n\n"); /* finds out who has gone */
    while (rc == 0) {
        rc = append_event(s, &event, missed);
        if (rc < 0 || s->out.len >= BATCH_BYTES)
            return rc;
        rc = weft_subscription_try_recv(&s->subscription, &event, &missed);
    }
    return rc == -EAGAIN ? 0 : rc;
}

static int
stream_events(struct subscriber *s)
{
    int rc = weft_http_response_header(s->exchange, "Cache-Control", no_store);
    if (rc == 0)
        rc = weft_http_response_begin(s->exchange, 200, "text/event-stream", -1);
    if (rc == 0)
        rc = weft_buf_printf(&s->out, "retry: %d\nevent: hello\ndata: {\"seconds\":%g}\n\n",
                             RETRY_MS, (double)s->feed->args.window / 1e9);
    while (rc == 0 && (rc = flush(s)) == 0)
        rc = take_events(s);
    if (rc != -EPIPE || weft_buf_printf(&s->out, "event: end\ndata: the server ends\n\n") < 0)
        return rc;
    return flush(s);
}

static int
events(weft_http_exchange *x, void *arg)
{
    struct subscriber s = {.feed = arg, .exchange = x};
    read_query(&s);
    if (weft_http_request_method(x) == WEFT_HTTP_HEAD)
        return weft_http_reply(x, 200, "text/event-stream", NULL, 0);
    int rc = weft_broadcast_subscribe(s.feed->broadcast, &s.subscription);
    if (rc == -EPIPE)
        return weft_http_reply(x, 503, "text/plain", "the server ends\n", 16);
    if (rc < 0)
        return rc;
    count_add(&s.feed->counts.subscribers, 1);
    rc = stream_events(&s);
    count_add(&s.feed->counts.subscribers, (uint64_t)-1);
    weft_unsubscribe(&s.subscription);
    weft_buf_free(&s.out);
    /* Subscribers come and go: one that has gone is no failure of the handler. */
    return rc == -ENOMEM || rc == -ECANCELED ? rc : 0;
}

int
web_open(weft_http_server **ret_server, struct feed *feed)
{
    static weft_http_route routes[] = {{"GET /", page, NULL},
                                       {"GET /events", events, NULL},
                                       {"GET /figures", figures, NULL},
                                       {NULL, NULL, NULL}};
    for (size_t i = 0; routes[i].pattern != NULL; i++)
        routes[i].arg = feed;
    return weft_http_server_new(
        ret_server,
        &(weft_http_server_options){.net = {.listen = feed->args.http, .grace = feed->args.grace},
                                    .routes = routes});
}
