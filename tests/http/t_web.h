/*
 * t_web.h - what the tests of the HTTP server share: a server with handlers for all that handlers
 * do, and clients that say bytes and compare bytes.
 */
#ifndef WEFT_TESTS_HTTP_T_WEB_H
#define WEFT_TESTS_HTTP_T_WEB_H

#include <weft/http_server.h>
#include <weft/stream.h>
#include <weft/sync.h>

#include "io/t_io.h"

/* ---- Handlers ------------------------------------------------------------------------------- */

#define T_TEXT "text/plain"

/* What handlers saw; each test is a process of its own. */
static struct t_seen {
    unsigned handled; /* requests that came to one of the handlers below */
    unsigned failing; /* of these, where a call gave a failure */
    int rc;           /* the last one */
    weft_event go;    /* /wait waits for it */
    unsigned waiting;
} t_seen;

/* By handlers of any loop. */
#define T_HANDLED() ((void)__atomic_fetch_add(&t_seen.handled, 1, __ATOMIC_RELAXED))

static inline int
t_note(int rc)
{
    if (rc < 0) {
        t_seen.failing++;
        t_seen.rc = rc;
    }
    return rc;
}

static inline int
t_do_hello(weft_http_exchange *x, void *arg)
{
    const char *text = arg != NULL ? arg : "hello";
    T_HANDLED();
    return t_note(weft_http_reply(x, 200, T_TEXT, text, strlen(text)));
}

/* Method, path, query, and what {name}, {id} and {rest...} stand for. */
static inline int
t_do_describe(weft_http_exchange *x, void *arg)
{
    static const char *const names[] = {"name", "id", "rest"};
    weft_buf out = {0};
    weft_bytes m = weft_http_request_method_text(x), p = weft_http_request_path(x),
               q = weft_http_request_query(x), h = weft_http_request_host(x);
    T_HANDLED();
    int rc = weft_buf_printf(&out, "%s:%.*s %.*s", arg != NULL ? (const char *)arg : "", (int)m.len,
                             (const char *)m.data, (int)p.len, (const char *)p.data);
    if (rc == 0 && q.data != NULL)
        rc = weft_buf_printf(&out, " ?%.*s", (int)q.len, (const char *)q.data);
    if (rc == 0 && h.data != NULL)
        rc = weft_buf_printf(&out, " @%.*s", (int)h.len, (const char *)h.data);
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        weft_bytes v = weft_http_request_param(x, names[i]);
        if (v.data != NULL)
            rc = weft_buf_printf(&out, " %s=%.*s", names[i], (int)v.len, (const char *)v.data);
    }
    if (rc == 0)
        rc = t_note(weft_http_reply(x, 200, T_TEXT, out.data, out.len));
    weft_buf_free(&out);
    return rc;
}

static inline int
t_do_echo(weft_http_exchange *x, void *arg)
{
    weft_buf body = {0};
    (void)arg;
    T_HANDLED();
    int rc = t_note(weft_http_request_read_all(x, &body, SIZE_MAX / 2));
    if (rc == 0)
        rc = t_note(weft_http_reply(x, 200, T_TEXT, body.data, body.len));
    weft_buf_free(&body);
    return rc;
}

static inline int
t_do_chunks(weft_http_exchange *x, void *arg)
{
    (void)arg;
    T_HANDLED();
    int rc = weft_http_response_begin(x, 200, T_TEXT, -1);
    if (rc == 0)
        rc = weft_http_response_write(x, "one", 3);
    if (rc == 0)
        rc = weft_http_response_write(x, "", 0);
    if (rc == 0)
        rc = weft_http_response_write(x, "twelve bytes", 12);
    return t_note(rc);
}

static inline int
t_do_fail(weft_http_exchange *x, void *arg)
{
    (void)arg;
    T_HANDLED();
    T_OK(weft_http_response_header(x, "X-Lost", "1"));
    return -EFAULT;
}

static inline int
t_do_fail_late(weft_http_exchange *x, void *arg)
{
    (void)arg;
    T_HANDLED();
    T_OK(weft_http_response_begin(x, 200, T_TEXT, 10));
    T_OK(weft_http_response_write(x, "half", 4));
    return -EFAULT;
}

static inline int
t_do_fail_after(weft_http_exchange *x, void *arg)
{
    (void)arg;
    T_HANDLED();
    T_OK(weft_http_reply(x, 200, T_TEXT, "all of it", 9));
    return -EFAULT;
}

static inline int
t_do_nothing(weft_http_exchange *x, void *arg)
{
    (void)x, (void)arg;
    T_HANDLED();
    return 0;
}

static inline int
t_do_short(weft_http_exchange *x, void *arg)
{
    (void)arg;
    T_HANDLED();
    T_OK(weft_http_response_begin(x, 200, T_TEXT, 10));
    T_OK(weft_http_response_write(x, "half", 4));
    return t_note(weft_http_response_end(x));
}

static inline int
t_do_long(weft_http_exchange *x, void *arg)
{
    (void)arg;
    T_HANDLED();
    T_OK(weft_http_response_begin(x, 200, T_TEXT, 3));
    T_OK(weft_http_response_write(x, "ab", 2));
    T_ERR(-EMSGSIZE, weft_http_response_write(x, "cd", 2));
    T_OK(weft_http_response_write(x, "c", 1));
    T_ERR(-EMSGSIZE, weft_http_response_write(x, "d", 1));
    return 0;
}

static inline int
t_do_wait(weft_http_exchange *x, void *arg)
{
    (void)arg;
    T_HANDLED();
    t_seen.waiting++;
    int rc = t_note(weft_event_wait(&t_seen.go));
    t_seen.waiting--;
    return rc < 0 ? rc : t_note(weft_http_reply(x, 200, T_TEXT, "waited", 6));
}

/* The number that stands for {id}. */
static inline uint64_t
t_id(const weft_http_exchange *x)
{
    weft_bytes id = weft_http_request_param(x, "id");
    char digits[24];
    snprintf(digits, sizeof digits, "%.*s", (int)id.len, (const char *)id.data);
    return strtoull(digits, NULL, 10);
}

/* That many known bytes, in pieces. */
static inline int
t_do_big(weft_http_exchange *x, void *arg)
{
    unsigned char bytes[5000];
    (void)arg;
    T_HANDLED();
    uint64_t len = t_id(x), at = 0;
    int rc = weft_http_response_begin(x, 200, T_TEXT, (int64_t)len);
    while (rc == 0 && at < len) {
        size_t n = len - at < sizeof bytes ? (size_t)(len - at) : sizeof bytes;
        t_bytes_make(bytes, n, 7, at);
        rc = weft_http_response_write(x, bytes, n);
        at += n;
    }
    return t_note(rc);
}

static const weft_http_route t_routes[] = {
    {"GET /hello", t_do_hello, NULL},
    {"* /echo", t_do_echo, NULL},
    {"* /describe/{rest...}", t_do_describe, NULL},
    {"GET /chunks", t_do_chunks, NULL},
    {"POST /ignore", t_do_hello, "ignored"},
    {"GET /fail", t_do_fail, NULL},
    {"GET /fail-late", t_do_fail_late, NULL},
    {"GET /fail-after", t_do_fail_after, NULL},
    {"GET /nothing", t_do_nothing, NULL},
    {"GET /short", t_do_short, NULL},
    {"GET /long", t_do_long, NULL},
    {"GET /wait", t_do_wait, NULL},
    {"GET /big/{id}", t_do_big, NULL},
    {NULL, NULL, NULL},
};

/* ---- Servers -------------------------------------------------------------------------------- */

struct t_web {
    weft_http_server *server;
    weft_task *task;
    weft_address address;
    int rc;
    bool ended;
};

static inline int
t_web_run(void *arg)
{
    struct t_web *web = arg;
    web->rc = weft_http_server_run(web->server);
    web->ended = true;
    return 0;
}

/* With t_routes, on a free port, without a Server header, unless the options say otherwise. */
static inline void
t_web_begin(struct t_web *web, const weft_http_server_options *options)
{
    static const char *const listen[] = {"127.0.0.1:0", NULL};
    weft_http_server_options full = options != NULL ? *options : (weft_http_server_options){0};
    if (full.net.listen == NULL)
        full.net.listen = listen;
    if (full.routes == NULL)
        full.routes = t_routes;
    if (full.server_name == NULL)
        full.server_name = "";
    memset(web, 0, sizeof *web);
    weft_event_open(&t_seen.go);
    T_OK(weft_http_server_new(&web->server, &full));
    T_OK(weft_server_address(weft_http_server_net(web->server), 0, &web->address));
    T_OK(weft_task_spawn(&web->task, t_web_run, web, NULL));
}

static inline void
t_web_join(struct t_web *web)
{
    T_OK(weft_task_join(web->task, NULL));
    weft_http_server_free(web->server);
    weft_event_close(&t_seen.go);
}

static inline void
t_web_end(struct t_web *web)
{
    weft_http_server_stop(web->server, WEFT_SEC(20));
    t_web_join(web);
    T_OK(web->rc);
}

static inline weft_http_server_stats
t_web_stats(const struct t_web *web)
{
    weft_http_server_stats stats;
    weft_http_server_stats_get(web->server, &stats);
    return stats;
}

/* Until something is so; the test's own timeout ends it. */
#define T_UNTIL(condition)                                                                         \
    while (!(condition))                                                                           \
    weft_ignore(weft_sleep(WEFT_MS(1)))

/* ---- Clients -------------------------------------------------------------------------------- */

static inline int
t_web_raw(const struct t_web *web)
{
    int raw = socket(web->address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(raw >= 0);
    const struct sockaddr *to = (const struct sockaddr *)&web->address.storage;
    cr_assert(connect(raw, to, web->address.len) == 0);
    return raw;
}

static inline void
t_dial(const struct t_web *web, weft_stream *stream)
{
    T_OK(weft_stream_open_fd(stream, t_web_raw(web)));
}

static inline void
t_tell(weft_stream *stream, const char *text)
{
    T_OK(weft_stream_write_all(stream, text, strlen(text), NULL));
}

/* Takes the line of that name out of a text, wherever it stands. */
static inline void
t_drop_lines(char *text, const char *name)
{
    char *line;
    while ((line = strstr(text, name)) != NULL) {
        char *next = strstr(line, "\r\n");
        cr_assert(next != NULL && line > text && line[-1] == '\n');
        memmove(line, next + 2, strlen(next + 2) + 1);
    }
}

/* The next answer: head, without Date, and body as it came. Good until the eighth call after it.
 * bodyless: of HEAD. The answer is "" when the connection ended before it, and ends where the
 * connection ended. */
static inline char *
t_hear_one(weft_stream *stream, bool bodyless)
{
    static weft_buf answers[8];
    static unsigned next;
    weft_buf *out = &answers[next++ % 8];
    out->len = 0;
    char byte;
    ssize_t n;
    /* Byte by byte out of the stream's buffer, so that nothing of the next answer is taken. */
    size_t head = 0, want = SIZE_MAX;
    bool chunked = false;
    T_OK(weft_buf_append(out, "", 1));
    out->len--;
    while (out->len < want && (n = weft_stream_read(stream, &byte, 1)) == 1) {
        T_OK(weft_buf_reserve(out, 2));
        out->data[out->len++] = (unsigned char)byte;
        out->data[out->len] = '\0';
        char *text = (char *)out->data;
        if (head == 0 && out->len >= 4 && memcmp(text + out->len - 4, "\r\n\r\n", 4) == 0) {
            head = out->len;
            const char *length = strcasestr(text, "\r\nContent-Length:");
            chunked = strcasestr(text, "\r\nTransfer-Encoding: chunked") != NULL;
            if (bodyless || strstr(text, " 304 ") != NULL || strstr(text, " 100 ") != NULL ||
                strstr(text, " 204 ") != NULL)
                want = head;
            else if (length != NULL)
                want = head + strtoull(length + 17, NULL, 10);
        }
        if (chunked && head > 0 && !bodyless && out->len >= head + 5 &&
            memcmp(text + out->len - 5, "0\r\n\r\n", 5) == 0)
            break;
    }
    /* What libraries under test gave out is theirs to count, so the text is the C library's. */
    char *text = strdup((char *)out->data);
    weft_buf_free(out);
    static char *texts[8];
    static unsigned at;
    free(texts[at % 8]);
    texts[at++ % 8] = text;
    if (text[0] != '\0' && head > 0)
        t_drop_lines(text, "Date: ");
    return text;
}

static inline char *
t_hear(weft_stream *stream)
{
    return t_hear_one(stream, false);
}

/* Nothing more comes, but the end. */
static inline void
t_hear_end(weft_stream *stream)
{
    char bytes[64];
    ssize_t n = weft_stream_read(stream, bytes, sizeof bytes);
    cr_assert(n == 0, "%zd (%.*s) instead of the end", n, n > 0 ? (int)n : 0, bytes);
}

/* Says something on a connection of its own and gives all that is answered until it is closed,
 * without dates. Good until the eighth call after it. */
static inline char *
t_talk_bytes(const struct t_web *web, const void *data, size_t len)
{
    static char *texts[8];
    static unsigned at;
    weft_stream stream;
    weft_buf out = {0};
    t_dial(web, &stream);
    int rc = weft_stream_write_all(&stream, data, len, NULL);
    cr_assert(rc == 0 || rc == -EPIPE || rc == -ECONNRESET, "%d", rc);
    T_OK(weft_stream_read_all(&stream, &out, (size_t)64 << 20));
    weft_stream_close(&stream);
    T_OK(weft_buf_append(&out, "", 1));
    char *text = strdup((char *)out.data);
    weft_buf_free(&out);
    free(texts[at % 8]);
    texts[at++ % 8] = text;
    t_drop_lines(text, "Date: ");
    return text;
}

static inline char *
t_talk(const struct t_web *web, const char *text)
{
    return t_talk_bytes(web, text, strlen(text));
}

#define T_SAYS(text, expected)                                                                     \
    do {                                                                                           \
        const char *t_text = (text);                                                               \
        cr_assert(strcmp(t_text, (expected)) == 0, "got:\n%s\ninstead of:\n%s", t_text,            \
                  (expected));                                                                     \
    } while (0)

/* The first line's status. */
static inline int
t_status(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

#define T_STATUS(expected, text)                                                                   \
    do {                                                                                           \
        const char *t_text = (text);                                                               \
        cr_assert(t_status(t_text) == (expected), "got:\n%s\ninstead of %d", t_text, (expected));  \
    } while (0)

#define T_HAS(text, words)                                                                         \
    do {                                                                                           \
        const char *t_text = (text);                                                               \
        cr_assert(strstr(t_text, (words)) != NULL, "no '%s' in:\n%s", (words), t_text);            \
    } while (0)

/* "200 OK" and a text of that many bytes behind it. */
#define T_OK_TEXT(length, body)                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " length "\r\n\r\n" body
#define T_LAST_TEXT(length, body)                                                                  \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " length                       \
    "\r\nConnection: close\r\n\r\n" body

#define T_REQUEST(line) line " HTTP/1.1\r\nHost: a\r\n\r\n"
#define T_LAST_REQUEST(line) line " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

/* WEB_TEST(suite, a_behaviour, .option = 1, ...) { body }: runs as a task beside a server `web`. */
#define WEB_TEST(suite, name, ...)                                                                 \
    static void suite##_##name##_body(struct t_web *web);                                          \
    static int suite##_##name##_task(void *arg)                                                    \
    {                                                                                              \
        struct t_web web;                                                                          \
        t_web_begin(&web, &(weft_http_server_options){__VA_ARGS__});                               \
        suite##_##name##_body(&web);                                                               \
        t_web_end(&web);                                                                           \
        return (int)(intptr_t)arg;                                                                 \
    }                                                                                              \
    Test(suite, name)                                                                              \
    {                                                                                              \
        t_run_loops(suite##_##name##_task, NULL, 1);                                               \
    }                                                                                              \
    static void suite##_##name##_body(struct t_web *web)

#endif
