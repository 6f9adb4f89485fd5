/*
 * access_log.c - lines about requests, off the hot path.
 *
 * A loop adds its lines to a buffer of its own. A task of the loop hands the buffer over to the
 * executor a second after the first line, or when it is half full. While a write is under way the
 * buffer fills up to a limit; beyond it lines are dropped and counted. A line that a full disk cut
 * is ended before the next one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weft/error.h>
#include <weft/executor.h>
#include <weft/loop.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "base/sys.h"
#include "http/exchange.h"

#define BUFFER_BYTES 65536u
#define BUFFER_MAX ((size_t)1 << 20)
#define GATHER WEFT_SEC(1) /* lines, before they are written */

int
weft__http_log_open(struct weft_http_server *server, const char *path)
{
    server->log_file = -1;
    if (path == NULL)
        return 0;
    if (strcmp(path, "-") == 0) {
        server->log_file = STDOUT_FILENO;
        return 0;
    }
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0)
        return weft_error_note(-errno, "access log '%.120s': %s", path, weft_strerror(-errno));
    server->log_file = file;
    server->log_is_ours = true;
    return 0;
}

void
weft__http_log_close(struct weft_http_server *server)
{
    if (server->log_is_ours)
        weft__sys_close(server->log_file);
    server->log_file = -1;
}

/* Text of the client's: what could end the field, or the line, is shown as \xHH. */
static void
append_escaped(weft_buf *buf, weft_bytes text)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *bytes = text.data;
    if (text.data == NULL) {
        buf->data[buf->len++] = '-';
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = bytes[i];
        if (c >= ' ' && c < 127 && c != '"' && c != '\\') {
            buf->data[buf->len++] = c;
        } else {
            buf->data[buf->len++] = '\\';
            buf->data[buf->len++] = 'x';
            buf->data[buf->len++] = (unsigned char)hex[c >> 4];
            buf->data[buf->len++] = (unsigned char)hex[c & 15];
        }
    }
}

/* host ident user [time] "request" status bytes "referer" "agent" */
void
weft__http_log_line(struct weft_http_exchange *x)
{
    struct weft__http_shard *shard = x->shard;
    weft_bytes method = weft_http_request_method_text(x);
    weft_bytes target = {.data = x->request.target, .len = x->request.target_len};
    weft_bytes referer = weft_http_request_header(x, "Referer");
    weft_bytes agent = weft_http_request_header(x, "User-Agent");
    size_t most = 256 + 4 * (method.len + target.len + referer.len + agent.len);
    if (shard->log.len + most > BUFFER_MAX || weft_buf_reserve(&shard->log, most) < 0) {
        WEFT__HTTP_COUNT(shard->stats.log_dropped, 1);
        return;
    }
    weft_address peer;
    char host[64] = "-", when[40];
    if (weft_http_request_peer(x, &peer) == 0) {
        weft_address_format(&peer, host, sizeof host);
        char *colon = strrchr(host, ':');
        if (colon != NULL)
            *colon = '\0'; /* the port tells nobody anything */
    }
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof when, "%d/%b/%Y:%H:%M:%S +0000", &tm);
    weft_buf *log = &shard->log;
    (void)weft_buf_printf(log, "%s - - [%s] \"", host, when);
    append_escaped(log, method);
    log->data[log->len++] = ' ';
    append_escaped(log, target);
    (void)weft_buf_printf(log, " HTTP/1.%u\" %d %llu \"", x->request.version_minor, x->status,
                          (unsigned long long)x->sent);
    append_escaped(log, referer);
    (void)weft_buf_printf(log, "\" \"");
    append_escaped(log, agent);
    (void)weft_buf_printf(log, "\"\n");
    WEFT__HTTP_COUNT(shard->stats.log_lines, 1);
    /* The writer is told of the first line, and then of a buffer that is half full. */
    if (!shard->log_told || (log->len >= BUFFER_BYTES / 2 && !shard->log_full)) {
        shard->log_full = shard->log_told;
        shard->log_told = true;
        weft_event_set(&shard->log_wanted);
    }
}

struct writing {
    int file;
    bool *cut; /* atomic: what is in the file ends in the middle of a line */
    weft_buf lines;
    size_t at; /* so many bytes are written */
};

static int
write_lines(void *arg)
{
    struct writing *writing = arg;
    const unsigned char *lines = writing->lines.data;
    ssize_t n = 0;
    if (__atomic_exchange_n(writing->cut, false, __ATOMIC_RELAXED)) {
        n = weft__sys_write(writing->file, "\n", 1);
        if (n < 0)
            __atomic_store_n(writing->cut, true, __ATOMIC_RELAXED);
    }
    while (n >= 0 && writing->at < writing->lines.len) {
        n = weft__sys_write(writing->file, lines + writing->at, writing->lines.len - writing->at);
        writing->at += n > 0 ? (size_t)n : 0;
    }
    if (n < 0 && writing->at > 0 && lines[writing->at - 1] != '\n')
        __atomic_store_n(writing->cut, true, __ATOMIC_RELAXED);
    return n < 0 ? (int)n : 0;
}

static void
hand_over(struct weft_http_server *server, struct weft__http_shard *shard, bool *complained)
{
    if (shard->log.len == 0)
        return;
    struct writing writing = {
        .file = server->log_file, .cut = &server->log_cut, .lines = shard->log};
    shard->log = (weft_buf){0};
    int rc = weft_blocking(write_lines, &writing);
    if (rc < 0) {
        uint64_t lines = 0;
        for (size_t i = writing.at; i < writing.lines.len; i++)
            lines += writing.lines.data[i] == '\n';
        WEFT__HTTP_COUNT(shard->stats.log_dropped, lines);
        WEFT__HTTP_COUNT(shard->stats.log_lines, -lines);
        if (!*complained)
            weft_log(WEFT_LOG_WARN, "access log: %s; lines are lost", weft_strerror(rc));
    }
    *complained = rc < 0;
    if (shard->log.data == NULL) {
        shard->log = writing.lines; /* to be filled again */
        shard->log.len = 0;
    } else {
        weft_buf_free(&writing.lines);
    }
}

int
weft__http_log_task(void *arg)
{
    struct weft_http_server *server = arg;
    struct weft__http_shard *shard = &server->shards[weft_loop_index(weft_loop_current())];
    bool complained = false, stop;
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER); /* it ends after the connections, not with them */
    do {
        weft_ignore(weft_event_wait(&shard->log_wanted));
        weft_event_clear(&shard->log_wanted);
        stop = __atomic_load_n(&server->log_stop, __ATOMIC_ACQUIRE);
        if (!stop && !shard->log_full) {
            weft_scope scope;
            weft_scope_open(&scope, weft_now() + GATHER);
            weft_ignore(weft_event_wait(&shard->log_wanted));
            weft_ignore(weft_scope_close(&scope));
            weft_event_clear(&shard->log_wanted);
            stop = __atomic_load_n(&server->log_stop, __ATOMIC_ACQUIRE);
        }
        shard->log_told = shard->log_full = false;
        hand_over(server, shard, &complained);
    } while (!stop);
    weft_ignore(weft_scope_close(&shield));
    return 0;
}

void
weft__http_log_stop(struct weft_http_server *server)
{
    __atomic_store_n(&server->log_stop, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < server->n_shards; i++)
        weft_event_set(&server->shards[i].log_wanted);
}
