/*
 * stream_frame.c - what a stream's reader sees, whatever it asks for and however the bytes come,
 * is what was written. The input's first half says how; the second half is the bytes.
 */
#include <string.h>

#include <weft/error.h>
#include <weft/gather.h>
#include <weft/run.h>
#include <weft/stream.h>

#include "fuzz/fuzz.h"

struct flow {
    const uint8_t *steps;
    size_t n_steps;
    const uint8_t *bytes;
    size_t len;
    weft_stream near, far;
    size_t at;    /* bytes taken by the reader */
    size_t limit; /* of its buffer */
};

static int
write_bytes(void *arg)
{
    struct flow *f = arg;
    for (size_t i = 0, done = 0; done < f->len; i++) {
        size_t piece = f->n_steps > 0 ? 1 + f->steps[i % f->n_steps] % 61 : 61;
        if (piece > f->len - done)
            piece = f->len - done;
        size_t written;
        int rc = weft_stream_write_all(&f->far, f->bytes + done, piece, &written);
        if (rc < 0)
            return rc;
        FUZZ_CHECK(written == piece);
        done += piece;
    }
    return weft_stream_shutdown(&f->far);
}

/* These bytes come next, and are taken. */
static void
take(struct flow *f, const void *data, size_t len)
{
    FUZZ_CHECK(len <= f->len - f->at);
    FUZZ_CHECK(len == 0 || memcmp(data, f->bytes + f->at, len) == 0);
    f->at += len;
}

static void
until_step(struct flow *f, const void *separator, size_t separator_len)
{
    const uint8_t *rest = f->bytes + f->at;
    size_t left = f->len - f->at;
    const uint8_t *found = left > 0 ? memmem(rest, left, separator, separator_len) : NULL;
    weft_bytes got;
    int rc = weft_stream_read_until(&f->near, separator, separator_len, &got);
    if (rc == 0) {
        FUZZ_CHECK(found != NULL && got.len == (size_t)(found - rest) + separator_len);
        take(f, got.data, got.len);
    } else if (rc == WEFT_E_END) {
        FUZZ_CHECK(found == NULL);
    } else {
        FUZZ_CHECK(rc == -EMSGSIZE && left >= f->limit);
        FUZZ_CHECK(found == NULL || (size_t)(found - rest) + separator_len > f->limit);
    }
}

static void
line_step(struct flow *f)
{
    const uint8_t *rest = f->bytes + f->at;
    size_t left = f->len - f->at;
    const uint8_t *found = left > 0 ? memchr(rest, '\n', left) : NULL;
    size_t all = found != NULL ? (size_t)(found - rest) + 1 : left;
    size_t line = found != NULL ? all - 1 : all;
    if (found != NULL && line > 0 && rest[line - 1] == '\r')
        line--;
    weft_bytes got;
    int rc = weft_stream_read_line(&f->near, &got);
    if (rc == 1) {
        FUZZ_CHECK(left > 0 && got.len == line);
        take(f, got.data, got.len);
        f->at += all - line;
    } else if (rc == 0) {
        FUZZ_CHECK(left == 0);
    } else {
        FUZZ_CHECK(rc == -EMSGSIZE && all >= f->limit);
    }
}

static void
exact_step(struct flow *f, size_t len)
{
    uint8_t buf[300];
    size_t got = 0;
    int rc = weft_stream_read_exact(&f->near, buf, len, &got);
    FUZZ_CHECK(rc == (len <= f->len - f->at ? 0 : WEFT_E_END));
    FUZZ_CHECK(got == (rc == 0 ? len : f->len - f->at));
    take(f, buf, got);
}

static void
fill_step(struct flow *f, size_t take_len)
{
    size_t before = weft_stream_buffered(&f->near).len;
    ssize_t rc = weft_stream_fill(&f->near);
    weft_bytes there = weft_stream_buffered(&f->near);
    if (rc >= 0)
        FUZZ_CHECK(there.len == before + (size_t)rc && (rc > 0 || there.len == f->len - f->at));
    else
        FUZZ_CHECK(rc == -EMSGSIZE && there.len == before && before >= f->limit);
    size_t len = take_len < there.len ? take_len : there.len;
    take(f, there.data, len);
    weft_stream_consume(&f->near, len);
}

static int
read_bytes(void *arg)
{
    struct flow *f = arg;
    uint8_t buf[300];
    for (size_t i = 0; i < f->n_steps; i++) {
        uint8_t step = f->steps[i];
        switch (step % 6) {
        case 0:
            until_step(f, step & 64 ? "\r\n\r\n" : "ab", step & 64 ? 4 : 2);
            break;
        case 1:
            line_step(f);
            break;
        case 2:
            exact_step(f, step);
            break;
        case 3:
            fill_step(f, step);
            break;
        case 4: {
            ssize_t rc = weft_stream_read(&f->near, buf, 1 + step);
            FUZZ_CHECK(rc >= 0 && rc <= 1 + step && (rc > 0 || f->at == f->len));
            take(f, buf, (size_t)rc);
            break;
        }
        default: {
            weft_bytes there = weft_stream_buffered(&f->near);
            size_t len = step < there.len ? step : there.len;
            take(f, there.data, len);
            weft_stream_consume(&f->near, len);
            break;
        }
        }
    }
    weft_buf rest = {0};
    int rc = weft_stream_read_all(&f->near, &rest, SIZE_MAX);
    FUZZ_CHECK(rc == 0);
    take(f, rest.data, rest.len);
    weft_buf_free(&rest);
    FUZZ_CHECK(f->at == f->len);
    return 0;
}

static int
both(void *arg)
{
    struct flow *f = arg;
    int rc = weft_stream_open_pair(&f->near, &f->far, 1 + f->len % 97);
    FUZZ_CHECK(rc == 0);
    weft_stream_set_limit(&f->near, f->limit);
    weft_child children[] = {{.fn = write_bytes, .arg = f}, {.fn = read_bytes, .arg = f}};
    rc = weft_gather(children, 2, NULL);
    FUZZ_CHECK(rc == 0);
    weft_stream_close(&f->near);
    weft_stream_close(&f->far);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n_steps = size / 2 < 64 ? size / 2 : 64;
    struct flow flow = {.steps = data,
                        .n_steps = n_steps,
                        .bytes = data + n_steps,
                        .len = size - n_steps,
                        .limit = 1 + (size > 0 ? data[0] : 0)};
    int rc = weft_run(
        both, &flow,
        &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE});
    FUZZ_CHECK(rc == 0);
    return 0;
}
