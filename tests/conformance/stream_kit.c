/*
 * stream_kit.c - what every transport must do.
 *
 * Bytes are known by their place (t_byte), so one that is lost, doubled or moved is seen. The main
 * task of each test has both ends; what runs beside it is a child of a group.
 */
#include "stream_kit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/error.h>
#include <weft/group.h>
#include <weft/net.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "io/stream_priv.h"
#include "tests/io/t_io.h"

#define LARGE ((size_t)(1 << 20) / T_SLOW)

static const struct stream_maker *maker;
static weft_stream a, b;

/* ---- Makers -------------------------------------------------------------------------------- */

static int
open_tcp(weft_stream *x, weft_stream *y)
{
    weft_address address;
    weft_fd listener, client, server;
    int rc = weft_address_parse(&address, "127.0.0.1:0");
    if (rc == 0)
        rc = weft_tcp_listen(&listener, &address, NULL);
    if (rc < 0)
        return rc;
    rc = weft_fd_local_address(&listener, &address);
    if (rc == 0)
        rc = weft_tcp_connect(&client, &address);
    if (rc == 0) {
        rc = weft_tcp_accept(&listener, &server, NULL);
        if (rc < 0)
            weft_fd_close(&client);
    }
    weft_fd_close(&listener);
    if (rc < 0)
        return rc;
    weft__stream_init_socket(x, weft_fd_release(&client));
    weft__stream_init_socket(y, weft_fd_release(&server));
    return 0;
}

static int
open_raws(weft_stream *x, weft_stream *y, int fds[2])
{
    int rc = weft_stream_open_fd(x, fds[0]);
    if (rc < 0) {
        close(fds[0]);
        close(fds[1]);
        return rc;
    }
    rc = weft_stream_open_fd(y, fds[1]);
    if (rc < 0) {
        close(fds[1]);
        weft_stream_close(x);
    }
    return rc;
}

static int
open_unix(weft_stream *x, weft_stream *y)
{
    int fds[2];
    int rc = weft__sys_socketpair(AF_UNIX, SOCK_STREAM, fds);
    return rc < 0 ? rc : open_raws(x, y, fds);
}

static int
open_pipe(weft_stream *x, weft_stream *y)
{
    return weft_stream_open_pipe(y, x);
}

static int
open_memory(weft_stream *x, weft_stream *y)
{
    return weft_stream_open_pair(x, y, 0);
}

static int
open_tiny(weft_stream *x, weft_stream *y)
{
    return weft_stream_open_pair(x, y, 7);
}

const struct stream_maker stream_kit_tcp = {
    .name = "tcp", .duplex = true, .half_close = true, .by_kernel = true, .open = open_tcp};
const struct stream_maker stream_kit_unix = {
    .name = "unix", .duplex = true, .half_close = true, .by_kernel = true, .open = open_unix};
const struct stream_maker stream_kit_pipe = {.name = "pipe", .by_kernel = true, .open = open_pipe};
const struct stream_maker stream_kit_memory = {
    .name = "memory", .duplex = true, .half_close = true, .open = open_memory};
const struct stream_maker stream_kit_tiny = {
    .name = "memory of 7 bytes", .duplex = true, .half_close = true, .open = open_tiny};

/* ---- A test with both ends ------------------------------------------------------------------ */

static int
with_ends(void *arg)
{
    void (*body)(void);
    memcpy(&body, &arg, sizeof body);
    T_OK(maker->open(&a, &b));
    body();
    weft_stream_close(&a);
    weft_stream_close(&b);
    if (maker->cleanup != NULL)
        maker->cleanup();
    return 0;
}

static void
run(const struct stream_maker *with, void (*body)(void))
{
    maker = with;
    void *arg;
    memcpy(&arg, &body, sizeof arg);
    weft_options options = {.loops = 1, .signals = WEFT_SIGNALS_NONE};
    if (!with->by_kernel)
        options.clock = WEFT_CLOCK_VIRTUAL;
    t_leak_begin();
    T_OK(weft_run(with_ends, arg, &options));
    t_leak_end();
}

#define KIT(name)                                                                                  \
    static void name##_body(void);                                                                 \
    void stream_kit_##name(const struct stream_maker *maker_)                                      \
    {                                                                                              \
        run(maker_, name##_body);                                                                  \
    }                                                                                              \
    static void name##_body(void)

/* For transports that cannot do what is asked: the test has nothing to look at. */
#define ONLY_IF(trait)                                                                             \
    do {                                                                                           \
        if (!(trait))                                                                              \
            return;                                                                                \
    } while (0)

/* ---- Children ------------------------------------------------------------------------------- */

struct flow {
    weft_stream *from, *to; /* written to `to`'s peer... */
    size_t len, chunk;
    uint64_t seed;
    size_t sent, received;
    int send_rc, receive_rc;
    bool wrong, stays_open;
};

static int
send_flow(void *arg)
{
    struct flow *flow = arg;
    unsigned char *bytes = malloc(flow->chunk);
    flow->send_rc = 0;
    while (flow->sent < flow->len && flow->send_rc == 0) {
        size_t len = flow->len - flow->sent < flow->chunk ? flow->len - flow->sent : flow->chunk;
        size_t written = 0;
        t_bytes_make(bytes, len, flow->seed, flow->sent);
        flow->send_rc = weft_stream_write_all(flow->from, bytes, len, &written);
        flow->sent += written;
    }
    free(bytes);
    if (flow->send_rc == 0 && !flow->stays_open)
        flow->send_rc = weft_stream_shutdown(flow->from);
    return flow->send_rc;
}

static int
receive_flow(void *arg)
{
    struct flow *flow = arg;
    unsigned char *bytes = malloc(flow->chunk);
    ssize_t n;
    while ((n = weft_stream_read(flow->to, bytes, flow->chunk)) > 0) {
        if (!t_bytes_match(bytes, (size_t)n, flow->seed, flow->received))
            flow->wrong = true;
        flow->received += (size_t)n;
    }
    free(bytes);
    flow->receive_rc = (int)n;
    return (int)n;
}

static void
carry(struct flow *flows, size_t n)
{
    weft_group group;
    weft_group_open(&group, NULL);
    for (size_t i = 0; i < n; i++) {
        weft_group_spawn(&group, send_flow, &flows[i]);
        weft_group_spawn(&group, receive_flow, &flows[i]);
    }
    T_OK(weft_group_close(&group));
    for (size_t i = 0; i < n; i++) {
        cr_assert(!flows[i].wrong, "a byte out of its place");
        cr_assert_eq(flows[i].received, flows[i].len);
    }
}

struct text {
    weft_stream *to;
    const char *text;
    bool end;
    int rc;
};

static int
say(void *arg)
{
    struct text *text = arg;
    text->rc = weft_stream_write_all(text->to, text->text, strlen(text->text), NULL);
    if (text->rc == 0 && text->end)
        text->rc = weft_stream_shutdown(text->to);
    return text->rc;
}

static weft_group talk_group;
static struct text talk;

/* Writes beside the main task; told_all waits for it. */
static void
tell(weft_stream *to, const char *text, bool end)
{
    talk = (struct text){.to = to, .text = text, .end = end};
    weft_group_open(&talk_group, NULL);
    weft_group_spawn(&talk_group, say, &talk);
}

static void
told_all(void)
{
    T_OK(weft_group_close(&talk_group));
}

static bool
view_is(weft_bytes view, const char *text)
{
    return view.len == strlen(text) && memcmp(view.data, text, view.len) == 0;
}

/* ---- Carrying ------------------------------------------------------------------------------- */

KIT(a_megabyte_arrives_whole_and_in_order)
{
    struct flow flow = {.from = &a, .to = &b, .len = LARGE, .chunk = 30011, .seed = 1};
    carry(&flow, 1);
}

KIT(both_directions_carry_a_megabyte_at_once)
{
    ONLY_IF(maker->duplex && maker->half_close);
    struct flow flows[2] = {{.from = &a, .to = &b, .len = LARGE, .chunk = 4099, .seed = 2},
                            {.from = &b, .to = &a, .len = LARGE, .chunk = 65537, .seed = 3}};
    carry(flows, 2);
}

KIT(one_byte_at_a_time_arrives)
{
    struct flow flow = {.from = &a, .to = &b, .len = 3000, .chunk = 1, .seed = 4};
    carry(&flow, 1);
}

static int
read_one(void *arg)
{
    ssize_t *n = arg;
    char byte;
    *n = weft_stream_read(&b, &byte, 1);
    return 0;
}

KIT(reading_waits_for_the_first_byte)
{
    ssize_t n = -1;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, read_one, &n);
    for (int i = 0; i < 5; i++)
        T_OK(weft_yield());
    cr_assert_eq(n, -1);
    T_OK(weft_stream_write_all(&a, "x", 1, NULL));
    T_OK(weft_group_close(&group));
    cr_assert_eq(n, 1);
}

struct filler {
    weft_stream *stream;
    size_t written;
    ssize_t rc;
    bool done;
};

/* Writes until that fails. */
static int
fill_up(void *arg)
{
    struct filler *filler = arg;
    static char zeros[16384];
    do {
        filler->rc = weft_stream_write(filler->stream, zeros, sizeof zeros);
        if (filler->rc > 0)
            filler->written += (size_t)filler->rc;
    } while (filler->rc > 0);
    filler->done = true;
    return 0;
}

/* Lets a filler run until it writes no more. */
static void
let_it_fill(struct filler *filler)
{
    size_t before;
    do {
        before = filler->written;
        T_OK(weft_sleep(WEFT_MS(20)));
    } while (filler->written != before);
}

KIT(a_writer_waits_for_a_reader_that_does_not_read)
{
    struct filler filler = {.stream = &a};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, fill_up, &filler);
    let_it_fill(&filler);
    cr_assert(!filler.done, "it gave up: %zd", filler.rc);
    cr_assert_lt(filler.written, (size_t)64 << 20);
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group));
    cr_assert_eq(filler.rc, -ECANCELED);
}

KIT(the_end_comes_after_the_last_byte)
{
    char buf[16];
    tell(&a, "last", true);
    size_t n = 0;
    T_ERR(WEFT_E_END, weft_stream_read_exact(&b, buf, sizeof buf, &n));
    cr_assert(n == 4 && memcmp(buf, "last", 4) == 0);
    told_all();
}

KIT(after_the_end_reading_gives_the_end_again)
{
    char byte;
    tell(&a, "", true);
    cr_assert_eq(weft_stream_read(&b, &byte, 1), 0);
    cr_assert_eq(weft_stream_read(&b, &byte, 1), 0);
    cr_assert_eq(weft_stream_fill(&b), 0);
    told_all();
}

KIT(after_a_shutdown_the_other_direction_goes_on)
{
    ONLY_IF(maker->half_close);
    char buf[6];
    tell(&a, "ask", true);
    T_OK(weft_stream_read_exact(&b, buf, 3, NULL));
    cr_assert_eq(weft_stream_read(&b, buf, 1), 0);
    told_all();
    tell(&b, "answer", false);
    T_OK(weft_stream_read_exact(&a, buf, 6, NULL));
    cr_assert(memcmp(buf, "answer", 6) == 0);
    told_all();
}

KIT(writing_after_a_shutdown_is_refused)
{
    T_OK(weft_stream_shutdown(&a));
    T_ERR(-EPIPE, weft_stream_write_all(&a, "x", 1, NULL));
}

KIT(writing_to_a_closed_peer_fails_in_the_end)
{
    weft_stream_close(&b);
    int rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++) {
        rc = weft_stream_write_all(&a, "x", 1, NULL);
        T_OK(weft_sleep(WEFT_MS(1)));
    }
    cr_assert(rc == -EPIPE || rc == -ECONNRESET, "%d", rc);
}

/* ---- Reading in shapes ---------------------------------------------------------------------- */

KIT(reading_exactly_crosses_writes)
{
    char buf[8];
    tell(&a, "ab", false);
    told_all();
    tell(&a, "cdefgh", false);
    T_OK(weft_stream_read_exact(&b, buf, 8, NULL));
    cr_assert(memcmp(buf, "abcdefgh", 8) == 0);
    told_all();
}

KIT(reading_exactly_past_the_end_says_what_it_has)
{
    char buf[8];
    size_t n = 99;
    T_OK(weft_stream_read_exact(&b, buf, 0, &n));
    cr_assert_eq(n, 0);
    tell(&a, "abc", true);
    T_ERR(WEFT_E_END, weft_stream_read_exact(&b, buf, 8, &n));
    cr_assert_eq(n, 3);
    told_all();
}

KIT(lines_come_one_by_one_whatever_ends_them)
{
    weft_bytes line;
    tell(&a, "one\ntwo\r\n\nfour\rfive\n", true);
    static const char *const expected[] = {"one", "two", "", "four\rfive"};
    for (size_t i = 0; i < 4; i++) {
        T_ERR(1, weft_stream_read_line(&b, &line));
        cr_assert(view_is(line, expected[i]), "line %zu", i);
    }
    T_OK(weft_stream_read_line(&b, &line));
    told_all();
}

KIT(a_last_line_needs_no_end)
{
    weft_bytes line;
    tell(&a, "one\ntwo", true);
    T_ERR(1, weft_stream_read_line(&b, &line));
    T_ERR(1, weft_stream_read_line(&b, &line));
    cr_assert(view_is(line, "two"));
    T_OK(weft_stream_read_line(&b, &line));
    told_all();
}

KIT(a_line_over_the_limit_is_refused_and_not_lost)
{
    weft_bytes line;
    char buf[16];
    weft_stream_set_limit(&b, 8);
    tell(&a, "0123456789\nshort\n", true);
    T_ERR(-EMSGSIZE, weft_stream_read_line(&b, &line));
    T_ERR(-EMSGSIZE, weft_stream_read_line(&b, &line));
    T_OK(weft_stream_read_exact(&b, buf, 11, NULL));
    cr_assert(memcmp(buf, "0123456789\n", 11) == 0);
    T_ERR(1, weft_stream_read_line(&b, &line));
    cr_assert(view_is(line, "short"));
    told_all();
}

KIT(a_separator_is_found_across_reads)
{
    weft_bytes part;
    weft_group group;
    weft_group_open(&group, NULL);
    tell(&a, "head-", false);
    told_all();
    tell(&a, "-", false);
    told_all();
    tell(&a, "-tail---", false);
    T_OK(weft_stream_read_until(&b, "---", 3, &part));
    cr_assert(view_is(part, "head---"));
    T_OK(weft_stream_read_until(&b, "---", 3, &part));
    cr_assert(view_is(part, "tail---"));
    told_all();
    T_OK(weft_group_close(&group));
}

KIT(a_missing_separator_leaves_the_bytes)
{
    weft_bytes part;
    char buf[8];
    tell(&a, "no end", true);
    T_ERR(WEFT_E_END, weft_stream_read_until(&b, "\r\n", 2, &part));
    T_OK(weft_stream_read_exact(&b, buf, 6, NULL));
    cr_assert(memcmp(buf, "no end", 6) == 0);
    told_all();
}

KIT(reading_all_stops_at_its_limit)
{
    weft_buf out = {0};
    tell(&a, "0123456789", true);
    T_ERR(-EMSGSIZE, weft_stream_read_all(&b, &out, 4));
    cr_assert(out.len == 4 && memcmp(out.data, "0123", 4) == 0);
    T_OK(weft_stream_read_all(&b, &out, 6));
    cr_assert(out.len == 10 && memcmp(out.data, "0123456789", 10) == 0);
    T_OK(weft_stream_read_all(&b, &out, 0));
    weft_buf_free(&out);
    told_all();
}

KIT(what_is_buffered_can_be_looked_at_and_taken)
{
    cr_assert_eq(weft_stream_buffered(&b).len, 0);
    tell(&a, "abcdef", false);
    while (weft_stream_buffered(&b).len < 6)
        cr_assert_gt(weft_stream_fill(&b), 0);
    cr_assert(view_is(weft_stream_buffered(&b), "abcdef"));
    weft_stream_consume(&b, 2);
    cr_assert(view_is(weft_stream_buffered(&b), "cdef"));
    char buf[4];
    T_OK(weft_stream_read_exact(&b, buf, 4, NULL));
    cr_assert_eq(weft_stream_buffered(&b).len, 0);
    told_all();
}

KIT(filling_stops_at_the_limit)
{
    weft_stream_set_limit(&b, 3);
    tell(&a, "abcdef", false);
    while (weft_stream_buffered(&b).len < 3)
        cr_assert_gt(weft_stream_fill(&b), 0);
    T_ERR(-EMSGSIZE, weft_stream_fill(&b));
    weft_stream_consume(&b, 1);
    cr_assert_eq(weft_stream_fill(&b), 1);
    cr_assert(view_is(weft_stream_buffered(&b), "bcd"));
    weft_stream_consume(&b, 3);
    while (weft_stream_buffered(&b).len < 2)
        cr_assert_gt(weft_stream_fill(&b), 0);
    told_all();
}

/* ---- Writing in shapes ---------------------------------------------------------------------- */

static int
write_pieces(void *arg)
{
    struct flow *flow = arg;
    enum { PIECES = 40 };
    struct iovec vectors[PIECES];
    unsigned char *bytes = malloc(flow->len);
    t_bytes_make(bytes, flow->len, flow->seed, 0);
    size_t at = 0;
    for (size_t i = 0; i < PIECES; i++) {
        size_t len = i == PIECES - 1 ? flow->len - at : i % 3 == 0 ? 0 : i * 7;
        vectors[i] = (struct iovec){.iov_base = bytes + at, .iov_len = len};
        at += len;
    }
    flow->send_rc = weft_stream_writev(flow->from, vectors, PIECES, &flow->sent);
    if (flow->send_rc == 0)
        flow->send_rc = weft_stream_shutdown(flow->from);
    free(bytes);
    return flow->send_rc;
}

KIT(pieces_are_written_in_order)
{
    struct flow flow = {.from = &a, .to = &b, .len = LARGE / 4, .chunk = 5000, .seed = 5};
    T_OK(weft_stream_writev(&a, NULL, 0, NULL));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, write_pieces, &flow);
    weft_group_spawn(&group, receive_flow, &flow);
    T_OK(weft_group_close(&group));
    cr_assert(!flow.wrong);
    cr_assert(flow.sent == flow.len && flow.received == flow.len);
}

static int
file_of(size_t len, uint64_t seed)
{
    char path[] = "/tmp/weft-stream-XXXXXX";
    int file = mkstemp(path);
    cr_assert(file >= 0);
    unlink(path);
    unsigned char *bytes = malloc(len);
    t_bytes_make(bytes, len, seed, 0);
    cr_assert_eq(write(file, bytes, len), (ssize_t)len);
    free(bytes);
    return file;
}

struct sending {
    int file;
    uint64_t offset, len, written;
    int rc;
};

static int
send_part(void *arg)
{
    struct sending *sending = arg;
    sending->rc =
        weft_stream_send_file(&a, sending->file, sending->offset, sending->len, &sending->written);
    return weft_stream_shutdown(&a);
}

KIT(a_file_is_sent)
{
    size_t len = LARGE / 2;
    struct sending sending = {.file = file_of(len, 6), .offset = 1000, .len = len - 1000};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, send_part, &sending);
    weft_buf out = {0};
    T_OK(weft_stream_read_all(&b, &out, len));
    T_OK(weft_group_close(&group));
    T_OK(sending.rc);
    cr_assert(out.len == len - 1000 && sending.written == out.len);
    cr_assert(t_bytes_match(out.data, out.len, 6, 1000));
    weft_buf_free(&out);
    close(sending.file);
}

KIT(a_file_that_is_too_short_says_so)
{
    struct sending sending = {.file = file_of(100, 7), .offset = 40, .len = 100};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, send_part, &sending);
    weft_buf out = {0};
    T_OK(weft_stream_read_all(&b, &out, 1000));
    T_OK(weft_group_close(&group));
    T_ERR(WEFT_E_END, sending.rc);
    cr_assert(sending.written == 60 && out.len == 60);
    weft_buf_free(&out);
    close(sending.file);
}

/* With SIGPIPE as it is by default: it would end the program. */
KIT(a_file_for_a_closed_peer_fails_in_the_end)
{
    signal(SIGPIPE, SIG_DFL);
    int file = file_of(100, 8), rc = 0;
    weft_stream_close(&b);
    for (int i = 0; i < 100 && rc == 0; i++) {
        rc = weft_stream_send_file(&a, file, 0, 100, NULL);
        T_OK(weft_sleep(WEFT_MS(1)));
    }
    cr_assert(rc == -EPIPE || rc == -ECONNRESET, "%d", rc);
    close(file);
}

/* A second pair, in memory, that the first one is copied to or from. */
KIT(copying_ends_with_the_source)
{
    weft_stream c, d;
    T_OK(weft_stream_open_pair(&c, &d, LARGE));
    struct flow flow = {.from = &a, .len = LARGE, .chunk = 9000, .seed = 8};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, send_flow, &flow);
    uint64_t copied = 0;
    T_OK(weft_stream_copy(&b, &c, UINT64_MAX, &copied));
    cr_assert_eq(copied, LARGE);
    T_OK(weft_group_close(&group));
    T_OK(weft_stream_shutdown(&c));
    weft_buf out = {0};
    T_OK(weft_stream_read_all(&d, &out, LARGE));
    cr_assert(out.len == LARGE && t_bytes_match(out.data, LARGE, 8, 0));
    weft_buf_free(&out);
    weft_stream_close(&c);
    weft_stream_close(&d);
}

KIT(copying_stops_at_its_limit)
{
    weft_stream c, d;
    char buf[8];
    T_OK(weft_stream_open_pair(&c, &d, 0));
    tell(&a, "abcdefgh", false);
    uint64_t copied = 0;
    T_OK(weft_stream_copy(&b, &c, 5, &copied));
    cr_assert_eq(copied, 5);
    T_OK(weft_stream_read_exact(&d, buf, 5, NULL));
    T_OK(weft_stream_read_exact(&b, buf + 5, 3, NULL));
    cr_assert(memcmp(buf, "abcdefgh", 8) == 0);
    told_all();
    /* What cannot be written is still to be read. */
    weft_stream_close(&d);
    tell(&a, "rest", false);
    T_ERR(-EPIPE, weft_stream_copy(&b, &c, 4, &copied));
    cr_assert_eq(copied, 0);
    T_OK(weft_stream_read_exact(&b, buf, 4, NULL));
    cr_assert(memcmp(buf, "rest", 4) == 0);
    told_all();
    weft_stream_close(&c);
}

/* ---- Ended while they wait ------------------------------------------------------------------ */

KIT(a_read_that_is_cancelled_takes_nothing)
{
    char buf[4] = "....";
    weft_scope scope;
    weft_bytes line;
    weft_scope_open(&scope, WEFT_FOREVER);
    tell(&a, "ab", false);
    told_all();
    while (weft_stream_buffered(&b).len < 2)
        cr_assert_gt(weft_stream_fill(&b), 0);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_stream_read(&b, buf, 4));
    T_ERR(-ECANCELED, weft_stream_read_line(&b, &line));
    T_ERR(-ECANCELED, weft_scope_close(&scope));
    T_OK(weft_stream_read_exact(&b, buf, 2, NULL));
    cr_assert(memcmp(buf, "ab..", 4) == 0);
}

KIT(a_read_past_its_deadline_takes_nothing)
{
    weft_bytes line;
    weft_scope scope;
    tell(&a, "half a ", false);
    told_all();
    weft_scope_open(&scope, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_stream_read_line(&b, &line));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    tell(&a, "line\n", false);
    T_ERR(1, weft_stream_read_line(&b, &line));
    cr_assert(view_is(line, "half a line"));
    told_all();
}

KIT(a_write_that_is_cancelled_tells_how_far_it_came)
{
    struct flow flow = {.from = &a, .to = &b, .len = (size_t)16 << 20, .chunk = 100000, .seed = 9};
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(50)});
    weft_group_spawn(&group, send_flow, &flow);
    weft_ignore(weft_group_close(&group));
    T_ERR(-ETIMEDOUT, flow.send_rc);
    cr_assert(flow.sent < flow.len);
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, receive_flow, &flow);
    /* The rest, so that all of it is one stream again. */
    flow.len = flow.sent + 10000;
    weft_group_spawn(&group, send_flow, &flow);
    T_OK(weft_group_close(&group));
    cr_assert(!flow.wrong && flow.received == flow.len, "%zu of %zu", flow.received, flow.len);
}

KIT(closing_wakes_the_reader)
{
    ssize_t n = -1;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, read_one, &n);
    for (int i = 0; i < 5; i++)
        T_OK(weft_yield());
    weft_stream_close(&b);
    T_OK(weft_group_close(&group));
    cr_assert_eq(n, -EBADF);
}

KIT(closing_wakes_the_writer)
{
    struct filler filler = {.stream = &a};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, fill_up, &filler);
    let_it_fill(&filler);
    weft_stream_close(&a);
    T_OK(weft_group_close(&group));
    cr_assert_eq(filler.rc, -EBADF);
}

static int
shut_a_down(void *arg)
{
    *(int *)arg = weft_stream_shutdown(&a);
    return 0;
}

/* Of transports that have something to say then, for which there is no room. */
KIT(closing_wakes_who_shuts_down)
{
    struct filler filler = {.stream = &a};
    int rc = 1;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, fill_up, &filler);
    let_it_fill(&filler);
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group));
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, shut_a_down, &rc);
    for (int i = 0; i < 5; i++)
        T_OK(weft_yield());
    if (rc == 1) {
        T_ERR(-EBUSY, weft_stream_write(&a, "x", 1));
        T_ERR(-EBUSY, weft_stream_shutdown(&a));
    }
    weft_stream_close(&a);
    T_OK(weft_group_close(&group));
    cr_assert(rc == 0 || rc == -EBADF, "%d", rc);
}

KIT(a_second_reader_is_refused)
{
    ssize_t n = -1;
    char byte;
    weft_bytes line;
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, read_one, &n);
    for (int i = 0; i < 5; i++)
        T_OK(weft_yield());
    T_ERR(-EBUSY, weft_stream_read(&b, &byte, 1));
    T_ERR(-EBUSY, weft_stream_read_line(&b, &line));
    T_ERR(-EBUSY, weft_stream_fill(&b));
    T_OK(weft_stream_write_all(&a, "x", 1, NULL));
    T_OK(weft_group_close(&group));
    cr_assert_eq(n, 1);
}

KIT(a_second_writer_is_refused)
{
    struct filler filler = {.stream = &a};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, fill_up, &filler);
    let_it_fill(&filler);
    T_ERR(-EBUSY, weft_stream_write_all(&a, "x", 1, NULL));
    T_ERR(-EBUSY, weft_stream_shutdown(&a));
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group));
}

KIT(a_closed_stream_refuses_everything)
{
    char byte = 0;
    weft_bytes view;
    weft_buf out = {0};
    weft_stream_close(&a);
    weft_stream_close(&a);
    T_ERR(-EBADF, weft_stream_read(&a, &byte, 1));
    T_ERR(-EBADF, weft_stream_read_exact(&a, &byte, 1, NULL));
    T_ERR(-EBADF, weft_stream_read_until(&a, "x", 1, &view));
    T_ERR(-EBADF, weft_stream_read_line(&a, &view));
    T_ERR(-EBADF, weft_stream_read_all(&a, &out, 1));
    T_ERR(-EBADF, weft_stream_fill(&a));
    T_ERR(-EBADF, weft_stream_write(&a, &byte, 1));
    T_ERR(-EBADF, weft_stream_write_all(&a, &byte, 1, NULL));
    T_ERR(-EBADF, weft_stream_writev(&a, NULL, 0, NULL));
    T_ERR(-EBADF, weft_stream_send_file(&a, 0, 0, 0, NULL));
    T_ERR(-EBADF, weft_stream_shutdown(&a));
    T_ERR(-EBADF, weft_stream_copy(&a, &b, 1, NULL));
    T_ERR(-EBADF, weft_stream_raw(&a));
    T_ERR(-EBADF, weft_stream_release(&a));
    cr_assert_eq(weft_stream_buffered(&a).len, 0);
}

KIT(an_ended_scope_ends_calls_that_need_not_wait)
{
    char byte = 'x';
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_stream_write(&a, &byte, 1));
    T_ERR(-ECANCELED, weft_stream_write(&a, &byte, 0));
    T_ERR(-ECANCELED, weft_stream_writev(&a, NULL, 0, NULL));
    T_ERR(-ECANCELED, weft_stream_read_exact(&b, &byte, 0, NULL));
    T_ERR(-ECANCELED, weft_stream_fill(&b));
    T_ERR(-ECANCELED, weft_stream_shutdown(&a));
    T_ERR(-ECANCELED, weft_scope_close(&scope));
}

/* ---- Torture: a conversation in which one thing goes wrong ---------------------------------- */

struct conversation {
    weft_stream x, y;
    struct flow there;
};

static int
converse(void *arg)
{
    struct conversation *c = arg;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(20));
    int rc = maker->open(&c->x, &c->y);
    if (rc == 0) {
        c->there.from = &c->x;
        c->there.to = &c->y;
        weft_group group;
        weft_group_open(&group, NULL);
        weft_group_spawn(&group, receive_flow, &c->there);
        weft_group_spawn(&group, send_flow, &c->there);
        rc = weft_group_close(&group);
        /* What nobody came to read, when all is over: it must be there, each byte once. */
        weft_scope shield;
        weft_shield_open(&shield, weft_now() + WEFT_SEC(5));
        weft_stream_close(&c->x);
        if (c->there.receive_rc < 0 || c->there.received < c->there.sent)
            receive_flow(&c->there);
        weft_stream_close(&c->y);
        weft_scope_close(&shield);
        if (maker->cleanup != NULL)
            maker->cleanup();
    }
    weft_ignore(weft_scope_close(&scope));
    return rc;
}

static bool unharmed; /* nothing that is done to the conversation may end it */

static void
conversation(void *arg)
{
    (void)arg;
    struct conversation c = {.there = {.len = 20000, .chunk = 3001, .seed = 11}};
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    weft_options options = {.loops = 1, .signals = WEFT_SIGNALS_NONE};
    if (!maker->by_kernel)
        options.clock = WEFT_CLOCK_VIRTUAL;
    int rc = weft_run(converse, &c, &options);
    clock_gettime(CLOCK_MONOTONIC, &to);
    cr_assert(to.tv_sec - from.tv_sec < 10, "a wait that nothing ended");
    cr_assert(!c.there.wrong, "a byte out of its place");
    cr_assert(c.there.received <= c.there.sent);
    cr_assert(rc < 0 || c.there.received == c.there.len);
    if (unharmed)
        cr_assert(rc == 0 && c.there.received == c.there.len, "%d, %zu bytes", rc,
                  c.there.received);
}

void
stream_kit_a_conversation_survives_a_cancellation_at_any_point(const struct stream_maker *with)
{
    maker = with;
    t_torture_run(&(struct t_torture){
        .kind = WEFT__TORTURE_CANCEL, .max = 60 / T_SLOW + 5, .scenario = conversation});
}

void
stream_kit_a_conversation_survives_a_deadline_at_any_point(const struct stream_maker *with)
{
    maker = with;
    t_torture_run(&(struct t_torture){
        .kind = WEFT__TORTURE_DEADLINE, .max = 60 / T_SLOW + 5, .scenario = conversation});
}

void
stream_kit_a_conversation_survives_a_failing_allocation(const struct stream_maker *with)
{
    maker = with;
    t_torture_run(&(struct t_torture){
        .kind = WEFT__TORTURE_ALLOC, .max = 80 / T_SLOW + 5, .scenario = conversation});
}

void
stream_kit_a_conversation_survives_failing_system_calls(const struct stream_maker *with)
{
    maker = with;
    static const int errors[] = {EAGAIN, EIO,        ENOMEM,       ENOBUFS,
                                 EMFILE, ECONNRESET, ECONNABORTED, EPIPE};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        t_torture_run(&(struct t_torture){.kind = WEFT__TORTURE_SYSCALL,
                                          .error = errors[i],
                                          .max = 40 / T_SLOW + 5,
                                          .scenario = conversation});
}

void
stream_kit_an_interrupted_system_call_changes_nothing(const struct stream_maker *with)
{
    maker = with;
    unharmed = true;
    t_torture_run(&(struct t_torture){.kind = WEFT__TORTURE_SYSCALL,
                                      .error = EINTR,
                                      .max = 80 / T_SLOW + 5,
                                      .scenario = conversation});
}

void
stream_kit_short_reads_and_writes_change_nothing(const struct stream_maker *with)
{
    maker = with;
    unharmed = true;
    t_leak_begin();
    for (uint64_t seed = 1; seed <= 20 / T_SLOW + 1; seed++) {
        weft__buggify_seed(seed);
        conversation(NULL);
    }
    weft__buggify_seed(0);
    t_leak_end();
}
