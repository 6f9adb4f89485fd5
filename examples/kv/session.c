/*
 * session.c - reads requests, answers them, writes replies.
 */
#include "session.h"

#include <stdio.h>
#include <string.h>

#define LARGE_VALUE 16384  /* from here on a value is not copied */
#define OUT_KEPT 4096      /* memory for replies that an idle connection keeps */
#define LINGER WEFT_SEC(1) /* for a peer to read why it is left */

/* ---- Replies -------------------------------------------------------------------------------- */

static void
append(struct session *s, const void *bytes, size_t len)
{
    if (weft_buf_append(&s->out, bytes, len) < 0)
        s->no_memory = true; /* a reply that lacks a part is worse than none */
}

void
reply_text(struct session *s, const char *text)
{
    append(s, text, strlen(text));
}

void
reply_error(struct session *s, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\r' || *c == '\n')
            *c = ' ';
    append(s, "-", 1);
    append(s, text, strlen(text));
    append(s, "\r\n", 2);
}

/* A line of a kind and a number: ":12\r\n". */
static void
append_number(struct session *s, char kind, int64_t number)
{
    char text[32], *at = text + sizeof text;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (number < 0)
        *--at = '-';
    *--at = kind;
    append(s, at, (size_t)(text + sizeof text - at));
}

void
reply_number(struct session *s, int64_t number)
{
    append_number(s, ':', number);
}

void
reply_array(struct session *s, size_t n)
{
    append_number(s, '*', (int64_t)n);
}

void
reply_bytes(struct session *s, weft_bytes bytes)
{
    append_number(s, '$', (int64_t)bytes.len);
    append(s, bytes.data, bytes.len);
    append(s, "\r\n", 2);
}

void
reply_string(struct session *s, const char *string)
{
    reply_bytes(s, (weft_bytes){string, strlen(string)});
}

int
reply_value(struct session *s, struct value *value)
{
    int rc = 0;
    if (value == NULL) {
        reply_text(s, "$-1\r\n");
    } else if (value->len < LARGE_VALUE) {
        reply_bytes(s, (weft_bytes){value->bytes, value->len});
    } else {
        append_number(s, '$', (int64_t)value->len);
        if (!s->no_memory) {
            struct iovec parts[] = {{s->out.data, s->out.len}, {value->bytes, value->len}};
            rc = weft_stream_writev(s->stream, parts, 2, NULL);
            s->out.len = 0;
        }
        append(s, "\r\n", 2);
    }
    value_unref(value);
    return rc < 0 || s->out.len < REPLIES_MARK ? rc : session_flush(s);
}

int
session_flush(struct session *s)
{
    if (s->no_memory)
        return -ENOMEM;
    int rc = s->out.len > 0 ? weft_stream_write_all(s->stream, s->out.data, s->out.len, NULL) : 0;
    s->out.len = 0;
    if (s->out.cap > OUT_KEPT)
        weft_buf_free(&s->out);
    return rc;
}

/* ---- Requests ------------------------------------------------------------------------------- */

uint64_t
kv_requests(const struct kv *kv)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < weft_loop_count(); i++)
        sum += __atomic_load_n(&kv->counts[i].requests, __ATOMIC_RELAXED);
    return sum;
}

/* Answers every request that is whole. 0 when more is needed. */
static int
answer_all(struct session *s)
{
    uint64_t answered = 0;
    int rc = 0;
    s->now = weft_now();
    while (rc >= 0 && !s->quit) {
        weft_bytes in = weft_stream_buffered(s->stream);
        enum resp_result result = resp_parse(&s->parser, in.data, in.len);
        if (result == RESP_MORE)
            break;
        if (result != RESP_REQUEST) {
            s->quit = true;
            if (result == RESP_ERROR)
                reply_error(s, "ERR Protocol error: %s", s->parser.error);
            else
                reply_error(s, "ERR out of memory");
            break;
        }
        s->data = in.data;
        if (s->parser.n_args > 0) {
            rc = command_run(s);
            answered++;
        }
        weft_stream_consume(s->stream, s->parser.at);
        resp_next(&s->parser);
        if (rc >= 0 && s->out.len >= REPLIES_MARK)
            rc = session_flush(s);
    }
    uint64_t *requests = &s->kv->counts[weft_loop_index(weft_loop_current())].requests;
    __atomic_store_n(requests, *requests + answered, __ATOMIC_RELAXED);
    return rc;
}

/* More of the request under way, or the next one: when the server is told to stop, nobody waits
 * for that. 0 at the end. */
static ssize_t
read_more(struct session *s)
{
    if (weft_stream_buffered(s->stream).len > 0)
        return weft_stream_fill(s->stream);
    weft_server_idle_open(s->stream, WEFT_FOREVER);
    ssize_t n = weft_stream_fill(s->stream);
    int ended = weft_server_idle_close(s->stream);
    return n < 0 && ended < 0 ? 0 : n;
}

/* A socket closed with bytes unread resets the connection, and the peer may lose the last reply. */
static void
linger(struct session *s)
{
    char dropped[4096];
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + LINGER);
    if (weft_stream_shutdown(s->stream) == 0)
        while (weft_stream_read(s->stream, dropped, sizeof dropped) > 0)
            continue;
    weft_scope_close(&scope);
}

int
session_serve(weft_stream *stream, void *arg_)
{
    struct kv *kv = arg_;
    struct session s = {.kv = kv, .stream = stream};
    resp_open(&s.parser, kv->request_max, kv->args_max);
    weft_stream_set_limit(stream, kv->request_max + RESP_LINE_MAX); /* the parser says no first */
    ssize_t n;
    do {
        n = answer_all(&s);
        /* Whoever else has a request is answered first: clients that wait then get their replies
         * together, and wake once for many. */
        int ended = n >= 0 && s.out.len > 0 ? weft_yield() : 0;
        if (n >= 0)
            n = session_flush(&s);
        if (n >= 0)
            n = ended;
        if (n >= 0 && s.quit)
            linger(&s);
        else if (n >= 0)
            n = read_more(&s);
    } while (n > 0);
    resp_close(&s.parser);
    weft_buf_free(&s.out);
    /* That a client went away is no failure. */
    return n == -EPIPE || n == -ECONNRESET ? 0 : (int)n;
}
