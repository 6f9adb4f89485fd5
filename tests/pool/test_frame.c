/* Frames: whole, in pieces, cut short, lying, and without memory. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "pool/pool_priv.h"
#include "t.h"

TestSuite(frame, .timeout = 30);

static void
pair_open(int ends[2])
{
    T_OK(weft__sys_socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, ends));
}

static void
pair_close(int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static struct weft__frame_out
request_of(const char *first, const char *second)
{
    struct weft__frame_out out;
    weft__frame_out_open(&out, WEFT__FRAME_REQUEST, 0, (weft_bytes){first, strlen(first)},
                         (weft_bytes){second, strlen(second)});
    return out;
}

static void
expect_body(const struct weft__frame_in *in, const char *text)
{
    cr_assert_eq(in->body.len, strlen(text));
    cr_assert_eq(memcmp(in->body.data, text, strlen(text)), 0);
}

Test(frame, its_parts_arrive_as_one_payload)
{
    int ends[2];
    pair_open(ends);
    struct weft__frame_out out = request_of("head and ", "body");
    T_OK(weft__frame_send(&out, ends[0]));
    struct weft__frame_in in = {0};
    T_ERR(1, weft__frame_receive(&in, ends[1], SIZE_MAX));
    cr_assert_eq(in.kind, (uint32_t)WEFT__FRAME_REQUEST);
    expect_body(&in, "head and body");
    weft__frame_in_reset(&in);
    pair_close(ends);
}

Test(frame, carries_a_negative_status)
{
    int ends[2];
    pair_open(ends);
    struct weft__frame_out out;
    weft__frame_out_open(&out, WEFT__FRAME_REPLY, -ENOENT, (weft_bytes){0}, (weft_bytes){0});
    T_OK(weft__frame_send(&out, ends[0]));
    struct weft__frame_in in = {0};
    T_ERR(1, weft__frame_receive(&in, ends[1], SIZE_MAX));
    cr_assert_eq(in.status, -ENOENT);
    cr_assert_eq(in.body.len, 0u);
    pair_close(ends);
}

Test(frame, may_arrive_byte_by_byte)
{
    int ends[2], far[2];
    pair_open(ends);
    pair_open(far);
    struct weft__frame_out out = request_of("piece", "meal");
    T_OK(weft__frame_send(&out, ends[0]));
    struct weft__frame_in in = {0};
    int rc = -EAGAIN;
    for (char byte; read(ends[1], &byte, 1) == 1;) {
        T_ERR(-EAGAIN, rc);
        cr_assert_eq(write(far[0], &byte, 1), 1);
        rc = weft__frame_receive(&in, far[1], SIZE_MAX);
    }
    T_ERR(1, rc);
    expect_body(&in, "piecemeal");
    weft__frame_in_reset(&in);
    pair_close(ends);
    pair_close(far);
}

Test(frame, two_in_a_row_stay_two)
{
    int ends[2];
    pair_open(ends);
    struct weft__frame_out one = request_of("one", ""), two = request_of("", "two");
    T_OK(weft__frame_send(&one, ends[0]));
    T_OK(weft__frame_send(&two, ends[0]));
    struct weft__frame_in in = {0};
    T_ERR(1, weft__frame_receive(&in, ends[1], SIZE_MAX));
    expect_body(&in, "one");
    weft__frame_in_reset(&in);
    T_ERR(1, weft__frame_receive(&in, ends[1], SIZE_MAX));
    expect_body(&in, "two");
    weft__frame_in_reset(&in);
    T_ERR(-EAGAIN, weft__frame_receive(&in, ends[1], SIZE_MAX));
    pair_close(ends);
}

Test(frame, more_than_the_socket_holds_goes_through_in_turns)
{
    int ends[2];
    pair_open(ends);
    size_t len = (size_t)8 << 20;
    unsigned char *bytes = malloc(len);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 4096);
    struct weft__frame_out out;
    weft__frame_out_open(&out, WEFT__FRAME_REPLY, 7, (weft_bytes){bytes, 1000},
                         (weft_bytes){bytes + 1000, len - 1000});
    struct weft__frame_in in = {0};
    int sent, received, turns = 0;
    do {
        sent = weft__frame_send(&out, ends[0]);
        cr_assert(sent == 0 || sent == -EAGAIN);
        received = weft__frame_receive(&in, ends[1], 100000);
        cr_assert(received == 1 || received == -EAGAIN);
        turns++;
    } while (received != 1);
    cr_assert_eq(sent, 0);
    cr_assert_gt(turns, 10);
    cr_assert_eq(in.body.len, len);
    cr_assert_eq(memcmp(in.body.data, bytes, len), 0);
    weft__frame_in_reset(&in);
    free(bytes);
    pair_close(ends);
}

Test(frame, the_end_of_file_is_clean_only_between_frames)
{
    struct weft__frame_out out = request_of("cut", "short");
    for (size_t kept = 0; kept <= WEFT__FRAME_HEAD + 8; kept++) {
        int ends[2];
        pair_open(ends);
        unsigned char bytes[WEFT__FRAME_HEAD + 8];
        memcpy(bytes, out.head, WEFT__FRAME_HEAD);
        memcpy(bytes + WEFT__FRAME_HEAD, "cutshort", 8);
        cr_assert_eq(send(ends[0], bytes, kept, 0), (ssize_t)kept);
        close(ends[0]);
        struct weft__frame_in in = {0};
        int expected = kept == 0 ? 0 : kept == sizeof bytes ? 1 : -EPROTO;
        T_ERR(expected, weft__frame_receive(&in, ends[1], SIZE_MAX));
        weft__frame_in_reset(&in);
        close(ends[1]);
    }
}

static int
receive_head(const unsigned char head[WEFT__FRAME_HEAD], struct weft__frame_in *in)
{
    int ends[2];
    pair_open(ends);
    cr_assert_eq(write(ends[0], head, WEFT__FRAME_HEAD), WEFT__FRAME_HEAD);
    int rc = weft__frame_receive(in, ends[1], SIZE_MAX);
    pair_close(ends);
    return rc;
}

Test(frame, bytes_that_are_none_are_refused)
{
    struct weft__frame_in in = {0};
    T_ERR(-EPROTO, receive_head((const unsigned char *)"GET / HTTP/1.1\r\n", &in));

    in = (struct weft__frame_in){0};
    struct weft__frame_out out;
    weft__frame_out_open(&out, WEFT__FRAME_HELLO, 0, (weft_bytes){"x", 1}, (weft_bytes){0});
    T_ERR(-EPROTO, receive_head(out.head, &in)); /* a hello with a payload */
}

Test(frame, a_length_over_the_limit_is_refused)
{
    struct weft__frame_in in = {0};
    struct weft__frame_out out;
    weft__frame_out_open(&out, WEFT__FRAME_REPLY, 0, (weft_bytes){"", WEFT_PROCPOOL_BYTES_MAX},
                         (weft_bytes){"", 1});
    T_ERR(-EPROTO, receive_head(out.head, &in));
}

Test(frame, a_length_alone_costs_little_memory)
{
    struct weft__frame_in in = {0};
    struct weft__frame_out out;
    weft__frame_out_open(&out, WEFT__FRAME_REPLY, 0, (weft_bytes){"", WEFT_PROCPOOL_BYTES_MAX},
                         (weft_bytes){0});
    T_ERR(-EAGAIN, receive_head(out.head, &in));
    cr_assert_leq(in.body.cap, (size_t)128 << 10);
    weft__frame_in_reset(&in);
}

Test(frame, without_memory_a_payload_is_lost_and_the_next_one_is_not)
{
    int ends[2];
    pair_open(ends);
    struct weft__frame_out one = request_of("too much", ""), two = request_of("fits", "");
    T_OK(weft__frame_send(&one, ends[0]));
    T_OK(weft__frame_send(&two, ends[0]));
    struct weft__frame_in in = {0};
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    T_ERR(1, weft__frame_receive(&in, ends[1], SIZE_MAX));
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_ERR(-ENOMEM, in.lost);
    cr_assert_eq(in.body.len, 0u);
    weft__frame_in_reset(&in);
    T_ERR(1, weft__frame_receive(&in, ends[1], SIZE_MAX));
    T_OK(in.lost);
    expect_body(&in, "fits");
    weft__frame_in_reset(&in);
    pair_close(ends);
}

Test(frame, to_a_closed_socket_gives_an_error_and_no_signal)
{
    int ends[2];
    pair_open(ends);
    close(ends[1]);
    struct weft__frame_out out = request_of("nobody", "");
    T_ERR(-EPIPE, weft__frame_send(&out, ends[0]));
    cr_assert_eq(out.sent, 0u);
    close(ends[0]);
}
