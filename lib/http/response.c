/*
 * response.c - answers: their heads, and bodies of a known length, chunked, or until the end.
 *
 * Small answers are put together in `out` and sent when no further request is at hand, so that
 * pipelined requests share a system call. A write is tried at once; only what the client does not
 * take is waited for, with a deadline that moves with each byte it takes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <weft/error.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "http/exchange.h"
#include "http/scan.h"

/* ---- Sending ------------------------------------------------------------------------------- */

/* One write of what is left, as soon as the client takes anything. */
static ssize_t
write_in_time(struct weft_http_exchange *x, const struct iovec *vector)
{
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + x->server->options.write_timeout);
    ssize_t n = weft_stream_write(x->conn->stream, vector->iov_base, vector->iov_len);
    return weft_scope_close(&scope) == -ETIMEDOUT ? -ETIME : n;
}

/* All of the vectors, which are changed. */
static int
send_vectors(struct weft_http_exchange *x, struct iovec *vectors, int n)
{
    if (x->broken)
        return -EPIPE;
    x->head_sent = true;
    weft_stream *stream = x->conn->stream;
    ssize_t rc = stream->transport->try_writev(stream, vectors, n);
    for (;;) {
        if (rc == -EAGAIN)
            rc = 0;
        if (rc < 0)
            break;
        size_t written = (size_t)rc;
        while (n > 0 && written >= vectors->iov_len) {
            written -= vectors->iov_len;
            vectors++;
            n--;
        }
        if (n == 0)
            return 0;
        vectors->iov_base = (char *)vectors->iov_base + written;
        vectors->iov_len -= written;
        rc = write_in_time(x, vectors);
    }
    x->broken = true; /* what was sent is not whole, and nobody can tell how much of it was */
    x->keep = false;
    return (int)rc;
}

int
weft__http_flush(struct weft_http_exchange *x)
{
    if (x->out.len == 0)
        return 0;
    struct iovec vector = {.iov_base = x->out.data, .iov_len = x->out.len};
    int rc = send_vectors(x, &vector, 1);
    x->out.len = 0;
    return rc;
}

int
weft__http_say_continue(struct weft_http_exchange *x)
{
    x->expects = false;
    int rc = weft_buf_append(&x->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return rc < 0 ? rc : weft__http_flush(x);
}

/* `out` and a piece behind it. */
static int
send_with(struct weft_http_exchange *x, const void *data, size_t len)
{
    struct iovec vectors[2] = {{.iov_base = x->out.data, .iov_len = x->out.len},
                               {.iov_base = (void *)(uintptr_t)data, .iov_len = len}};
    int from = x->out.len == 0, n = len > 0 ? 2 : 1;
    int rc = n > from ? send_vectors(x, vectors + from, n - from) : 0;
    x->out.len = 0;
    return rc;
}

/* ---- Heads --------------------------------------------------------------------------------- */

static void
put(struct weft_http_exchange *x, const void *data, size_t len)
{
    if (len > 0) /* data may be NULL */
        memcpy(x->out.data + x->out.len, data, len);
    x->out.len += len;
}

#define PUT(x, literal) put(x, literal, sizeof(literal) - 1)

static void
put_number(struct weft_http_exchange *x, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    put(x, digits + at, sizeof digits - at);
}

/* The line is made once a second. */
static void
put_date(struct weft_http_exchange *x)
{
    struct weft__http_shard *shard = x->shard;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != shard->date_second || shard->date_len == 0) {
        static const char days[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        struct tm tm;
        gmtime_r(&now.tv_sec, &tm);
        shard->date_second = now.tv_sec;
        shard->date_len = (uint32_t)snprintf(
            shard->date, sizeof shard->date, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
            days + 3 * tm.tm_wday, tm.tm_mday % 100, months + 3 * tm.tm_mon,
            (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
    }
    put(x, shard->date, shard->date_len);
}

static bool
has_no_body(const struct weft_http_exchange *x, int status)
{
    return x->request.method_id == WEFT_HTTP_HEAD || status == 204 || status == 304;
}

/* The whole head into `out`, and room for `more` behind it. */
static int
make_head(struct weft_http_exchange *x, int status, const char *type, int64_t length, size_t more)
{
    const char *reason = weft_http_reason(status);
    size_t reason_len = strlen(reason), type_len = type != NULL ? strlen(type) : 0;
    int rc = weft_buf_reserve(&x->out, 256 + reason_len + type_len + x->server->server_line_len +
                                           x->extra.len + more);
    if (rc < 0)
        return rc;
    x->head_at = x->out.len;
    x->head_sent = false;
    /* To a client a tunnel begins here, but then it has to end with it (RFC 9110 9.3.6). */
    bool tunnel = x->request.method_id == WEFT_HTTP_CONNECT && status < 300;
    x->bodyless = has_no_body(x, status);
    x->status = status;
    x->length = length;
    x->begun = true;
    x->left = length >= 0 ? (uint64_t)length : 0;
    x->chunked = length < 0 && x->request.version_minor == 1 && !x->bodyless && !tunnel;
    if (length < 0 && !x->chunked && !x->bodyless)
        x->keep = false; /* HTTP/1.0: the end of the connection is the end of the body */
    if (weft_server_draining(x->server->net) || x->expects)
        x->keep = false;

    if (status == 200) {
        PUT(x, "HTTP/1.1 200 OK\r\n");
    } else {
        PUT(x, "HTTP/1.1 ");
        put_number(x, (uint64_t)status);
        PUT(x, " ");
        put(x, reason, reason_len);
        PUT(x, "\r\n");
    }
    if (!x->own_server)
        put(x, x->server->server_line, x->server->server_line_len);
    if (!x->own_date)
        put_date(x);
    if (type != NULL) {
        PUT(x, "Content-Type: ");
        put(x, type, type_len);
        PUT(x, "\r\n");
    }
    if (length >= 0 && !tunnel && status != 204 && (status != 304 || length > 0)) {
        PUT(x, "Content-Length: ");
        put_number(x, (uint64_t)length);
        PUT(x, "\r\n");
    } else if (x->chunked) {
        PUT(x, "Transfer-Encoding: chunked\r\n");
    }
    if (!x->keep)
        PUT(x, "Connection: close\r\n");
    else if (x->request.version_minor == 0)
        PUT(x, "Connection: keep-alive\r\n");
    if (x->extra.len > 0) /* else there may be no memory for them at all */
        put(x, x->extra.data, x->extra.len);
    PUT(x, "\r\n");
    return 0;
}

/* ---- What handlers call -------------------------------------------------------------------- */

static bool
is_token(const char *name)
{
    if (*name == '\0')
        return false;
    for (; *name != '\0'; name++)
        if ((unsigned char)*name <= ' ' || (unsigned char)*name >= 127 ||
            strchr("\"(),/:;<=>?@[\\]{}", *name) != NULL)
            return false;
    return true;
}

static bool
is_value(const char *value)
{
    const char *end = value + strlen(value);
    return skip_text(value, end) == end;
}

int
weft_http_response_header(weft_http_exchange *x, const char *name, const char *value)
{
    static const char *const ours[] = {"Connection", "Content-Length", "Transfer-Encoding",
                                       "Keep-Alive", "Upgrade",        "Trailer"};
    if (x->begun)
        return -EALREADY;
    if (!is_token(name) || !is_value(value))
        return weft_error_note(-EINVAL, "header '%.80s' cannot be sent", name);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(name, ours[i]) == 0)
            return weft_error_note(-EINVAL, "header '%s' is the server's to send", name);
    int rc = weft_buf_printf(&x->extra, "%s: %s\r\n", name, value);
    if (rc == 0 && strcasecmp(name, "Date") == 0)
        x->own_date = true;
    if (rc == 0 && strcasecmp(name, "Server") == 0)
        x->own_server = true;
    return rc;
}

static int
may_begin(const struct weft_http_exchange *x, int status, const char *type)
{
    if (x->begun)
        return weft_error_note(-EALREADY, "an answer has begun already");
    if (status < 200 || status > 599)
        return weft_error_note(-EINVAL, "status %d: an answer has 200 to 599", status);
    if (type != NULL && !is_value(type))
        return weft_error_note(-EINVAL, "a Content-Type that cannot be sent");
    return x->broken ? -EPIPE : 0;
}

int
weft_http_reply(weft_http_exchange *x, int status, const char *type, const void *data, size_t len)
{
    int rc = may_begin(x, status, type);
    if (rc == 0)
        rc = make_head(x, status, type, (int64_t)len, len <= WEFT__HTTP_SMALL_BODY ? len : 0);
    if (rc < 0)
        return rc;
    x->ended = true;
    if (x->bodyless)
        len = 0;
    x->sent = len;
    if (len > WEFT__HTTP_SMALL_BODY)
        return send_with(x, data, len);
    if (len > 0)
        put(x, data, len);
    return x->out.len >= WEFT__HTTP_OUT_BYTES ? weft__http_flush(x) : 0;
}

int
weft_http_response_begin(weft_http_exchange *x, int status, const char *type, int64_t length)
{
    int rc = weft_checkpoint();
    if (rc == 0)
        rc = may_begin(x, status, type);
    /* Who begins to answer well and in pieces means to read on: a client that waits to be told
     * would wait for ever, and what it is told must come before the answer. */
    if (rc == 0 && x->expects && status < 300)
        rc = weft__http_say_continue(x);
    if (rc == 0)
        rc = make_head(x, status, type, length < 0 ? -1 : length, 0);
    return rc;
}

/* Whether a piece of that many bytes may follow. */
static int
may_write(struct weft_http_exchange *x, uint64_t len)
{
    if (!x->begun || x->ended)
        return weft_error_note(-EPROTO, "an answer's body is written between its begin and end");
    if (x->broken)
        return -EPIPE;
    if (x->length >= 0 && len > x->left)
        return weft_error_note(-EMSGSIZE, "more is written than the length that was announced");
    return 0;
}

static void
wrote(struct weft_http_exchange *x, uint64_t len)
{
    x->sent += x->bodyless ? 0 : len;
    if (x->length >= 0)
        x->left -= len;
}

/* Into `out`: the line in front of a chunk. */
static int
chunk_line(struct weft_http_exchange *x, uint64_t len)
{
    return weft_buf_printf(&x->out, "%llx\r\n", (unsigned long long)len);
}

int
weft_http_response_write(weft_http_exchange *x, const void *data, size_t len)
{
    int rc = weft_checkpoint();
    if (rc == 0)
        rc = may_write(x, len);
    if (rc < 0)
        return rc;
    if (len == 0)
        return weft__http_flush(x); /* an empty chunk would be the last one */
    if (x->bodyless) {
        wrote(x, len);
        return weft__http_flush(x);
    }
    if (!x->chunked) {
        wrote(x, len);
        return send_with(x, data, len);
    }
    rc = chunk_line(x, len);
    if (rc < 0)
        return rc;
    struct iovec vectors[3] = {{.iov_base = x->out.data, .iov_len = x->out.len},
                               {.iov_base = (void *)(uintptr_t)data, .iov_len = len},
                               {.iov_base = (void *)(uintptr_t) "\r\n", .iov_len = 2}};
    wrote(x, len);
    rc = send_vectors(x, vectors, 3);
    x->out.len = 0;
    return rc;
}

int
weft_http_response_send_file(weft_http_exchange *x, int file, uint64_t offset, uint64_t len)
{
    int rc = weft_checkpoint();
    if (rc == 0)
        rc = may_write(x, len);
    if (rc == 0 && x->chunked && len > 0)
        rc = chunk_line(x, len);
    if (rc < 0)
        return rc;
    rc = weft__http_flush(x);
    /* In pieces, so that the deadline moves on with what the client takes. */
    uint64_t done = 0;
    while (rc == 0 && !x->bodyless && done < len) {
        uint64_t piece = len - done < 262144 ? len - done : 262144, written = 0;
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + x->server->options.write_timeout);
        rc = weft_stream_send_file(x->conn->stream, file, offset + done, piece, &written);
        if (weft_scope_close(&scope) == -ETIMEDOUT)
            rc = written > 0 ? 0 : -ETIME;
        done += written;
    }
    wrote(x, x->bodyless ? len : done);
    if (rc == 0 && x->chunked && len > 0)
        rc = weft_buf_append(&x->out, "\r\n", 2);
    if (rc < 0) {
        x->broken = true;
        x->cut_short = rc == WEFT_E_END || rc == -EIO; /* of the file, not of the client */
        x->keep = false;
    }
    return rc;
}

int
weft_http_response_end(weft_http_exchange *x)
{
    int rc = weft_checkpoint();
    if (rc < 0)
        return rc;
    if (!x->begun)
        return weft_error_note(-EPROTO, "an answer is ended that was not begun");
    if (x->ended)
        return 0;
    x->ended = true;
    if (x->broken)
        return -EPIPE;
    if (x->length > 0 && x->left > 0 && !x->bodyless) {
        x->broken = x->cut_short = true;
        x->keep = false;
        weft_ignore(weft__http_flush(x));
        return weft_error_note(WEFT_E_END, "an answer ends %llu bytes before its announced length",
                               (unsigned long long)x->left);
    }
    if (x->chunked) {
        rc = weft_buf_append(&x->out, "0\r\n\r\n", 5);
        if (rc == 0)
            rc = weft__http_flush(x);
    }
    if (rc < 0) {
        x->broken = true; /* without its end it swallows the next answer */
        x->keep = false;
    }
    return rc;
}

void
weft__http_response_reset(struct weft_http_exchange *x)
{
    x->extra.len = 0;
    x->status = 0;
    x->length = 0;
    x->sent = x->left = 0;
    x->begun = x->ended = x->chunked = x->bodyless = false;
    x->own_date = x->own_server = x->cut_short = false;
}

/* Takes back an answer of which nothing was sent. */
bool
weft__http_response_undo(struct weft_http_exchange *x)
{
    if (!x->begun || x->ended || x->head_sent || x->broken)
        return false;
    x->out.len = x->head_at;
    weft__http_response_reset(x);
    return true;
}

int
weft__http_refuse(struct weft_http_exchange *x, int status)
{
    char text[128];
    int len = snprintf(text, sizeof text, "%d %s\n", status, weft_http_reason(status));
    x->keep = false;
    return weft_http_reply(x, status, "text/plain; charset=utf-8", text, (size_t)len);
}
