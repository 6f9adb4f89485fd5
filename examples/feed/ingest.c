/*
 * ingest.c - reads lines "SENSOR VALUE" from producers.
 */
#include "feed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 256         /* with its end */
#define READ_MAX_BYTES (64 * 1024) /* that wait to be looked at, at most */
#define ANSWER_WITHIN WEFT_SEC(1)  /* for a producer to take why it is left */

struct producer {
    struct feed *feed;
    weft_stream *stream;
    uint64_t line;
    char error[160];
};

static bool
is_name(const char *text, size_t len)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (len == 0 || len > SENSOR_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\0' || strchr(allowed, text[i]) == NULL)
            return false;
    return true;
}

/* What is printed of a producer's bytes: no more than some, and none that a terminal might obey. */
static void
refuse(struct producer *p, const char *what, const char *text)
{
    char shown[64];
    size_t n = 0;
    for (; n < sizeof shown - 1 && text[n] != '\0'; n++)
        shown[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    shown[n] = '\0';
    snprintf(p->error, sizeof p->error, "line %llu: %s, got '%s'\n", (unsigned long long)p->line,
             what, shown);
}

/* One line, which ends in a zero byte instead of its own end. */
static int
take_line(struct producer *p, char *line)
{
    struct feed *feed = p->feed;
    struct window *w;
    p->line++;
    char *blank = strchr(line, ' '), *end;
    if (blank == NULL || !is_name(line, (size_t)(blank - line))) {
        refuse(p, "must be a sensor of 1 to 32 letters, digits or . _ - and a value", line);
        return -EINVAL;
    }
    *blank = '\0';
    double value = strtod(blank + 1, &end);
    if (end == blank + 1 || *end != '\0' || !(fabs(value) <= VALUE_MAX)) {
        refuse(p, "a value must be a number from -1e12 to 1e12", blank + 1);
        return -EINVAL;
    }
    struct shard *shard = &feed->shards[weft_loop_index(weft_loop_current())];
    int rc = table_find(&shard->table, line, feed->args.sensors_max, &w);
    if (rc == -ENOSPC)
        refuse(p, "there are too many sensors", line);
    if (rc == 0)
        rc = window_add(w, value);
    if (rc == 0)
        count_add(&feed->counts.values, 1);
    return rc;
}

/* All whole lines that have come; at the end of the stream, what is left as well. */
static int
take_lines(struct producer *p, bool at_end)
{
    char line[LINE_MAX_BYTES];
    for (;;) {
        weft_bytes bytes = weft_stream_buffered(p->stream);
        const char *data = (const char *)bytes.data;
        const char *newline = bytes.len > 0 ? memchr(data, '\n', bytes.len) : NULL;
        size_t len = newline != NULL ? (size_t)(newline - data) : bytes.len;
        if (len >= sizeof line) {
            p->line++;
            snprintf(p->error, sizeof p->error, "line %llu: must be shorter than %zu bytes\n",
                     (unsigned long long)p->line, sizeof line);
            return -EMSGSIZE;
        }
        if (newline == NULL && (!at_end || len == 0))
            return 0;
        memcpy(line, data, len);
        if (len > 0 && line[len - 1] == '\r')
            line[len - 1] = '\0';
        line[len] = '\0';
        weft_stream_consume(p->stream, len + (newline != NULL));
        int rc = take_line(p, line);
        if (rc < 0)
            return rc;
    }
}

static ssize_t
fill(struct producer *p)
{
    bool of_server = p->feed->args.demo == 0;
    if (of_server) /* it waits for a producer that may say no more: a drain need not */
        weft_server_idle_open(p->stream, WEFT_FOREVER);
    ssize_t n = weft_stream_fill(p->stream);
    if (of_server && weft_server_idle_close(p->stream) == -ECANCELED && n < 0)
        n = 0; /* as if it had ended */
    return n;
}

int
ingest_serve(weft_stream *stream, void *arg)
{
    struct producer p = {.feed = arg, .stream = stream};
    ssize_t n;
    int rc;
    weft_stream_set_limit(stream, READ_MAX_BYTES);
    do {
        n = fill(&p);
        if (n < 0)
            return n == -ECANCELED ? (int)n
                                   : 0; /* a producer that broke off is no failure of ours */
        rc = take_lines(&p, n == 0);
    } while (rc == 0 && n > 0);
    if (p.error[0] != '\0') {
        weft_scope scope;
        count_add(&p.feed->counts.bad_lines, 1);
        weft_scope_open(&scope, weft_now() + ANSWER_WITHIN);
        rc = weft_stream_write_all(stream, p.error, strlen(p.error), NULL);
        if (rc == 0)
            rc = weft_stream_shutdown(stream);
        while (rc == 0 && (n = weft_stream_fill(stream)) > 0) /* or the answer might be lost */
            weft_stream_consume(stream, weft_stream_buffered(stream).len);
        weft_scope_close(&scope);
        return 0;
    }
    return rc;
}
