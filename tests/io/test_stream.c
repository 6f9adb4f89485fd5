/*
 * test_stream.c - the transports of the core: what every transport must do, and what streams do
 * whatever is below them.
 */
#include "tests/conformance/stream_kit.h"

#include <errno.h>
#include <string.h>

#include <weft/group.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "io/stream_priv.h"
#include "tests/io/t_io.h"

STREAM_KIT(stream_tcp, stream_kit_tcp)
STREAM_KIT(stream_unix, stream_kit_unix)
STREAM_KIT(stream_pipe, stream_kit_pipe)
STREAM_KIT(stream_memory, stream_kit_memory)
STREAM_KIT(stream_tiny, stream_kit_tiny)

TestSuite(stream, .timeout = 120);

/* ---- Closed by another task ----------------------------------------------------------------- */

struct copying {
    weft_stream from, to;
    uint64_t copied;
    int rc;
};

static int
copy_task(void *arg)
{
    struct copying *c = arg;
    c->rc = weft_stream_copy(&c->from, &c->to, UINT64_MAX, &c->copied);
    return 0;
}

/* What another stream reads next must not be sent in the place of what was to be copied. */
TASK_TEST(stream, closing_the_source_of_a_copy_leaves_its_bytes_alone)
{
    struct copying c;
    weft_stream source, sink, other[2];
    char bytes[512];
    T_OK(weft_stream_open_pair(&source, &c.from, 0));
    T_OK(weft_stream_open_pair(&c.to, &sink, 16));
    T_OK(weft_stream_open_pair(&other[0], &other[1], 0));
    memset(bytes, 'a', sizeof bytes);
    T_OK(weft_stream_write_all(&source, bytes, sizeof bytes, NULL));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, copy_task, &c);
    for (int i = 0; i < 5; i++)
        T_OK(weft_yield());
    weft_stream_close(&c.from);
    memset(bytes, 'b', sizeof bytes);
    T_OK(weft_stream_write_all(&other[0], bytes, sizeof bytes, NULL));
    cr_assert_gt(weft_stream_fill(&other[1]), 0);
    size_t got = 0;
    while (got < 512) {
        ssize_t n = weft_stream_read(&sink, bytes, sizeof bytes);
        for (ssize_t i = 0; i < n; i++)
            cr_assert_eq(bytes[i], 'a', "byte %zu is another stream's", got + (size_t)i);
        got += (size_t)n;
    }
    T_OK(weft_group_close(&group));
    T_ERR(-EBADF, c.rc);
    cr_assert_eq(c.copied, 512);
    weft_stream_close(&source);
    weft_stream_close(&sink);
    weft_stream_close(&c.to);
    weft_stream_close(&other[0]);
    weft_stream_close(&other[1]);
}

/* ---- One call at a time --------------------------------------------------------------------- */

/* Gives and takes a byte at a time, never waits: so that calls look for cancellation often. */
static ssize_t
x_try_read(weft_stream *stream, void *buf, size_t len)
{
    (void)stream;
    (void)len;
    *(char *)buf = 'x';
    return 1;
}

static ssize_t
x_try_writev(weft_stream *stream, const struct iovec *vectors, int n)
{
    weft_buf *out = stream->state;
    for (int i = 0; i < n; i++) {
        if (vectors[i].iov_len > 0)
            return weft_buf_append(out, vectors[i].iov_base, 1) < 0 ? -ENOMEM : 1;
    }
    return -EINVAL;
}

static int
x_wait(weft_stream *stream, unsigned what)
{
    (void)stream;
    (void)what;
    return -ENOSYS;
}

static void
x_close(weft_stream *stream)
{
    (void)stream;
}

static const weft_transport x_transport = {.name = "x",
                                           .try_read = x_try_read,
                                           .try_writev = x_try_writev,
                                           .wait = x_wait,
                                           .close = x_close};

#define MANY 20000

struct long_call {
    weft_stream stream;
    weft_buf out;
    char bytes[MANY];
    bool ended;
    int rc;
};

static int
until_task(void *arg)
{
    struct long_call *call = arg;
    weft_bytes bytes;
    call->rc = weft_stream_read_until(&call->stream, "yz", 2, &bytes);
    call->ended = true;
    return 0;
}

static int
exact_task(void *arg)
{
    struct long_call *call = arg;
    call->rc = weft_stream_read_exact(&call->stream, call->bytes, MANY, NULL);
    call->ended = true;
    return 0;
}

static int
all_task(void *arg)
{
    struct long_call *call = arg;
    call->rc = weft_stream_read_all(&call->stream, &call->out, MANY);
    call->ended = true;
    return 0;
}

static int
write_task(void *arg)
{
    struct long_call *call = arg;
    memset(call->bytes, 'a', MANY);
    call->rc = weft_stream_write_all(&call->stream, call->bytes, MANY, NULL);
    call->ended = true;
    return 0;
}

static int
writev_task(void *arg)
{
    struct long_call *call = arg;
    memset(call->bytes, 'a', MANY);
    struct iovec vectors[2] = {{call->bytes, MANY / 2}, {call->bytes + MANY / 2, MANY / 2}};
    call->rc = weft_stream_writev(&call->stream, vectors, 2, NULL);
    call->ended = true;
    return 0;
}

/* While one call goes on, another task tries to get in between. Returns how the call ended. */
static int
intrude(weft_task_fn *fn, bool reads)
{
    struct long_call *call = calloc(1, sizeof *call);
    char bytes[100];
    weft_stream_open(&call->stream, &x_transport, &call->out);
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, fn, call);
    T_OK(weft_yield());
    int tries = 0;
    for (; !call->ended; tries++) {
        T_ERR(-EBUSY, reads ? weft_stream_read(&call->stream, bytes, sizeof bytes)
                            : weft_stream_write(&call->stream, "b", 1));
        T_OK(weft_yield());
    }
    cr_assert_gt(tries, 0, "the call let nobody run");
    T_OK(weft_group_close(&group));
    int rc = call->rc;
    if (!reads)
        cr_assert(call->out.len == MANY && memchr(call->out.data, 'b', MANY) == NULL);
    weft_buf_free(&call->out);
    weft_stream_close(&call->stream);
    free(call);
    return rc;
}

TASK_TEST(stream, nobody_reads_in_the_middle_of_a_search)
{
    T_ERR(-EMSGSIZE, intrude(until_task, true));
}

TASK_TEST(stream, nobody_reads_in_the_middle_of_an_exact_read)
{
    T_OK(intrude(exact_task, true));
}

TASK_TEST(stream, nobody_reads_in_the_middle_of_reading_all)
{
    T_ERR(-EMSGSIZE, intrude(all_task, true));
}

TASK_TEST(stream, nobody_writes_in_the_middle_of_a_long_write)
{
    T_OK(intrude(write_task, false));
    T_OK(intrude(writev_task, false));
}

/* Closed while the call let others run, not while it waits. */
static void
close_during(weft_task_fn *fn)
{
    struct long_call *call = calloc(1, sizeof *call);
    weft_stream_open(&call->stream, &x_transport, &call->out);
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, fn, call);
    T_OK(weft_yield());
    cr_assert(!call->ended);
    weft_stream_close(&call->stream);
    T_OK(weft_group_close(&group));
    T_ERR(-EBADF, call->rc);
    weft_buf_free(&call->out);
    free(call);
}

TASK_TEST(stream, closing_ends_calls_that_never_wait)
{
    close_during(until_task);
    close_during(exact_task);
    close_during(all_task);
    close_during(write_task);
    close_during(writev_task);
}

/* ---- Files ---------------------------------------------------------------------------------- */

static int
file_of(size_t len)
{
    char path[] = "/tmp/weft-stream-XXXXXX";
    int file = mkstemp(path);
    cr_assert(file >= 0);
    unlink(path);
    cr_assert(ftruncate(file, (off_t)len) == 0);
    return file;
}

static int
send_to_nobody(void *arg)
{
    (void)arg;
    weft_stream reader, writer, ends[2];
    int file = file_of(100), raw[2];
    uint64_t written = 1;
    T_OK(weft_stream_open_pipe(&reader, &writer));
    weft_stream_close(&reader);
    T_ERR(-EPIPE, weft_stream_send_file(&writer, file, 0, 100, &written));
    cr_assert_eq(written, 0);
    weft_stream_close(&writer);
    t_socketpair(raw);
    T_OK(weft_stream_open_fd(&ends[0], raw[0]));
    T_OK(weft_stream_open_fd(&ends[1], raw[1]));
    weft_stream_close(&ends[1]);
    T_ERR(-EPIPE, weft_stream_send_file(&ends[0], file, 0, 100, &written));
    weft_stream_close(&ends[0]);
    close(file);
    return 0;
}

Test(stream, a_file_sent_to_a_closed_peer_raises_no_signal)
{
    signal(SIGPIPE, SIG_DFL);
    t_run(send_to_nobody, NULL);
    T_OK(weft_run_here(send_to_nobody, NULL));
}

struct sending {
    weft_stream *stream;
    int file;
    uint64_t len, written;
    int rc;
    bool ended;
};

static int
sending_task(void *arg)
{
    struct sending *sending = arg;
    sending->rc =
        weft_stream_send_file(sending->stream, sending->file, 0, sending->len, &sending->written);
    sending->ended = true;
    return 0;
}

/* Neither by sendfile(2), nor through memory; and a descriptor that was shut down in the middle might
 * have its number given to somebody else, who would get the file. */
static void
write_during(weft_stream *reader, weft_stream *writer)
{
    char bytes[1000];
    int file = file_of(sizeof bytes), caught = 0;
    struct sending sending = {.stream = writer, .file = file, .len = sizeof bytes};
    weft__buggify_seed(1); /* so that calls let others run now and then */
    for (int i = 0; i < 1000 && caught < 5; i++) {
        weft_group group;
        sending.ended = false;
        weft_group_open(&group, NULL);
        weft_group_spawn(&group, sending_task, &sending);
        T_OK(weft_yield());
        if (weft__stream_of(writer)->writing) { /* it has begun */
            weft__buggify_seed(0);
            T_ERR(-EBUSY, weft_stream_write(writer, "b", 1));
            T_ERR(-EBUSY, weft_stream_shutdown(writer));
            weft__buggify_seed((uint64_t)i + 2);
            caught++;
        }
        T_OK(weft_group_close(&group));
        T_OK(sending.rc);
        T_OK(weft_stream_read_exact(reader, bytes, sizeof bytes, NULL));
        cr_assert(memchr(bytes, 'b', sizeof bytes) == NULL);
    }
    weft__buggify_seed(0);
    cr_assert_gt(caught, 0, "no call was caught in the middle");
    weft_stream_close(writer);
    weft_stream_close(reader);
    close(file);
}

TASK_TEST(stream, nobody_writes_in_the_middle_of_a_file)
{
    weft_stream reader, writer;
    T_OK(weft_stream_open_pipe(&reader, &writer));
    write_during(&reader, &writer);
    T_OK(weft_stream_open_pair(&reader, &writer, 0));
    write_during(&reader, &writer);
}
