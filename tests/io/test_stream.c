/*
 * test_stream.c - the transports of the core: what every transport must do, and what streams do
 * whatever is below them.
 */
#include "tests/conformance/stream_kit.h"

#include <errno.h>
#include <string.h>
#include <termios.h>

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

/* ---- A transport of somebody else's: over memory, a byte at a time -------------------------- */

struct dribble {
    weft_stream below;
};

static weft_stream *
below_of(weft_stream *stream)
{
    return &((struct dribble *)stream->state)->below;
}

static ssize_t
dribble_try_read(weft_stream *stream, void *buf, size_t len)
{
    (void)len;
    return below_of(stream)->transport->try_read(below_of(stream), buf, 1);
}

static ssize_t
dribble_try_writev(weft_stream *stream, const struct iovec *vectors, int n)
{
    while (n > 1 && vectors->iov_len == 0) {
        vectors++;
        n--;
    }
    struct iovec one = {.iov_base = vectors->iov_base, .iov_len = 1};
    return below_of(stream)->transport->try_writev(below_of(stream), &one, 1);
}

static int
dribble_wait(weft_stream *stream, unsigned what)
{
    return below_of(stream)->transport->wait(below_of(stream), what);
}

static int
dribble_shutdown(weft_stream *stream)
{
    return weft_stream_shutdown(below_of(stream));
}

static void
dribble_close(weft_stream *stream)
{
    weft_stream_close(below_of(stream));
    free(stream->state);
}

static const weft_transport dribble_transport = {.name = "dribble",
                                                 .try_read = dribble_try_read,
                                                 .try_writev = dribble_try_writev,
                                                 .wait = dribble_wait,
                                                 .shutdown = dribble_shutdown,
                                                 .close = dribble_close};

static int
open_dribble(weft_stream *a, weft_stream *b)
{
    struct dribble *x = calloc(1, sizeof *x), *y = calloc(1, sizeof *y);
    int rc = weft_stream_open_pair(&x->below, &y->below, 1000);
    if (rc < 0) {
        free(x);
        free(y);
        return rc;
    }
    weft_stream_open(a, &dribble_transport, x);
    weft_stream_open(b, &dribble_transport, y);
    return 0;
}

static const struct stream_maker stream_kit_dribble = {
    .name = "a byte at a time", .duplex = true, .half_close = true, .open = open_dribble};

STREAM_KIT(stream_dribble, stream_kit_dribble)

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

/* Neither by sendfile(2), nor through memory; and a descriptor that was shut down in the middle
 * might have its number given to somebody else, who would get the file. */
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

/* ---- Terminals ------------------------------------------------------------------------------ */

/* Both ends of a pseudo-terminal, which passes bytes on as they are, or line by line. False where
 * the machine has none. */
static bool
open_terminal(weft_stream *outer, weft_stream *inner, bool by_line)
{
    int raw = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (raw < 0)
        return false;
    cr_assert(grantpt(raw) == 0 && unlockpt(raw) == 0);
    int terminal = open(ptsname(raw), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0) {
        close(raw);
        return false;
    }
    struct termios how;
    T_OK(tcgetattr(terminal, &how));
    if (by_line)
        how.c_lflag &= ~(tcflag_t)ECHO;
    else
        cfmakeraw(&how);
    T_OK(tcsetattr(terminal, TCSANOW, &how));
    T_OK(weft_stream_open_fd(outer, raw));
    T_OK(weft_stream_open_fd(inner, terminal));
    return true;
}

TASK_TEST(stream, a_terminal_gives_lines)
{
    weft_stream outer, inner;
    weft_bytes line;
    char byte;
    if (!open_terminal(&outer, &inner, true))
        return;
    T_OK(weft_stream_write_all(&outer, "one\ntwo\nthr", 11, NULL));
    T_ERR(1, weft_stream_read_line(&inner, &line));
    cr_assert(line.len == 3 && memcmp(line.data, "one", 3) == 0);
    T_ERR(1, weft_stream_read_line(&inner, &line));
    cr_assert(line.len == 3 && memcmp(line.data, "two", 3) == 0);
    /* ^D ends the line, and then, alone, the input: which goes on all the same. */
    T_OK(weft_stream_write_all(&outer, "\004\004", 2, NULL));
    T_ERR(1, weft_stream_read_line(&inner, &line));
    cr_assert(line.len == 3 && memcmp(line.data, "thr", 3) == 0);
    T_OK(weft_stream_write_all(&outer, "x\n", 2, NULL));
    T_ERR(1, weft_stream_read(&inner, &byte, 1));
    cr_assert_eq(byte, 'x');
    weft_stream_close(&inner);
    weft_stream_close(&outer);
}

struct pour {
    weft_stream *from, *to;
    size_t len, received;
    bool wrong;
};

static int
pour_in(void *arg)
{
    struct pour *pour = arg;
    unsigned char bytes[3001];
    for (size_t at = 0; at < pour->len; at += sizeof bytes) {
        size_t len = pour->len - at < sizeof bytes ? pour->len - at : sizeof bytes;
        t_bytes_make(bytes, len, 21, at);
        int rc = weft_stream_write_all(pour->from, bytes, len, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
pour_out(void *arg)
{
    struct pour *pour = arg;
    unsigned char bytes[5000];
    while (pour->received < pour->len) {
        ssize_t n = weft_stream_read(pour->to, bytes, sizeof bytes);
        if (n <= 0)
            return n < 0 ? (int)n : -EPIPE;
        pour->wrong = pour->wrong || !t_bytes_match(bytes, (size_t)n, 21, pour->received);
        pour->received += (size_t)n;
    }
    return 0;
}

TASK_TEST(stream, a_terminal_carries_bytes_both_ways_at_once)
{
    weft_stream outer, inner;
    if (!open_terminal(&outer, &inner, false))
        return;
    struct pour in = {.from = &outer, .to = &inner, .len = 200000 / T_SLOW};
    struct pour out = {.from = &inner, .to = &outer, .len = 200000 / T_SLOW};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, pour_in, &in);
    weft_group_spawn(&group, pour_out, &in);
    weft_group_spawn(&group, pour_in, &out);
    weft_group_spawn(&group, pour_out, &out);
    T_OK(weft_group_close(&group));
    cr_assert(!in.wrong && !out.wrong);
    weft_stream_close(&inner);
    weft_stream_close(&outer);
}

static int
read_byte(void *arg)
{
    char byte;
    ssize_t n = weft_stream_read(arg, &byte, 1);
    return n < 0 ? (int)n : 0;
}

TASK_TEST(stream, a_terminal_that_is_hung_up_wakes_who_reads)
{
    weft_stream outer, inner;
    if (!open_terminal(&outer, &inner, false))
        return;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, read_byte, &outer);
    for (int i = 0; i < 5; i++)
        T_OK(weft_yield());
    weft_stream_close(&inner);
    T_ERR(-EIO, weft_group_close(&group));
    weft_stream_close(&outer);
}

/* What can be read from is not closed by a shutdown, which could only close it altogether. */
TASK_TEST(stream, what_cannot_end_its_writing_alone_says_so)
{
    weft_stream outer, inner, reader, writer;
    char byte;
    if (open_terminal(&outer, &inner, false)) {
        weft_group group;
        weft_group_open(&group, NULL);
        weft_group_spawn(&group, read_byte, &inner);
        for (int i = 0; i < 5; i++)
            T_OK(weft_yield());
        T_ERR(-EOPNOTSUPP, weft_stream_shutdown(&inner));
        T_OK(weft_stream_write_all(&outer, "xy", 2, NULL));
        T_OK(weft_group_close(&group));
        T_ERR(1, weft_stream_read(&inner, &byte, 1));
        cr_assert_eq(byte, 'y');
        weft_stream_close(&inner);
        weft_stream_close(&outer);
    }
    T_OK(weft_stream_open_pipe(&reader, &writer));
    T_ERR(-EOPNOTSUPP, weft_stream_shutdown(&reader));
    T_OK(weft_stream_write_all(&writer, "z", 1, NULL));
    T_OK(weft_stream_shutdown(&writer));
    T_OK(weft_stream_shutdown(&writer));
    T_ERR(1, weft_stream_read(&reader, &byte, 1));
    T_OK(weft_stream_read(&reader, &byte, 1));
    weft_stream_close(&reader);
    weft_stream_close(&writer);
}
