/*
 * test_wire.c - calls and replies as bytes: there and back, and whatever else may arrive.
 */
#include <string.h>

#include "t.h"
#include "t_jobs.h"
#include "workers/wire.h"

TestSuite(wire, .timeout = 60);

static weft_bytes
bytes_of(const weft_buf *buf)
{
    return (weft_bytes){buf->data, buf->len};
}

static weft_buf
call_bytes(const char *name, weft_time remaining, weft_bytes payload)
{
    weft__wire_message call = {.kind = WEFT__WIRE_CALL, .remaining = remaining, .payload = payload};
    strncpy(call.name, name, sizeof call.name - 1);
    weft_buf out = {0};
    T_OK(weft__wire_append(&call, &out));
    return out;
}

Test(wire, a_call_arrives_as_it_was_sent)
{
    weft_buf sent = call_bytes("t.echo", WEFT_MS(5), t_text("payload"));
    cr_assert_eq(sent.len, 40u + 6 + 7);
    weft__wire_message got;
    T_OK(weft__wire_parse(bytes_of(&sent), &got));
    cr_assert_eq(got.kind, WEFT__WIRE_CALL);
    cr_assert_str_eq(got.name, "t.echo");
    cr_assert_eq(got.remaining, WEFT_MS(5));
    cr_assert_eq(got.payload.len, 7u);
    cr_assert_eq(memcmp(got.payload.data, "payload", 7), 0);
    weft_buf_free(&sent);
}

Test(wire, a_reply_arrives_as_it_was_sent)
{
    weft__wire_message reply = {.kind = WEFT__WIRE_REPLY,
                                .result = -ETIMEDOUT,
                                .started = 7,
                                .ended = WEFT_SEC(100),
                                .payload = t_text("")};
    weft_buf sent = {0};
    T_OK(weft__wire_append(&reply, &sent));
    weft__wire_message got;
    T_OK(weft__wire_parse(bytes_of(&sent), &got));
    cr_assert_eq(got.kind, WEFT__WIRE_REPLY);
    T_ERR(-ETIMEDOUT, got.result);
    cr_assert_eq(got.started, 7);
    cr_assert_eq(got.ended, WEFT_SEC(100));
    cr_assert_eq(got.payload.len, 0u);
    weft_buf_free(&sent);
}

Test(wire, numbers_are_little_endian_at_fixed_places)
{
    weft_buf sent = call_bytes("ab", 0x0102030405060708, t_text("xyz"));
    static const unsigned char head[] = {'w', 'e', 'f', 't', 1, 1, 2, 0, 8, 7, 6, 5, 4, 3, 2, 1};
    cr_assert_eq(memcmp(sent.data, head, sizeof head), 0);
    cr_assert_eq(sent.data[32], 3);
    weft_buf_free(&sent);
}

Test(wire, every_shorter_and_longer_message_is_refused)
{
    weft_buf sent = call_bytes("t.echo", WEFT_FOREVER, t_text("payload"));
    weft__wire_message got;
    for (size_t len = 0; len < sent.len; len++)
        T_ERR(-EPROTO, weft__wire_parse((weft_bytes){sent.data, len}, &got));
    T_OK(weft_buf_append(&sent, "!", 1));
    T_ERR(-EPROTO, weft__wire_parse(bytes_of(&sent), &got));
    weft_buf_free(&sent);
}

Test(wire, no_change_of_one_byte_is_read_beyond_the_message)
{
    weft_buf sent = call_bytes("t.echo", WEFT_FOREVER, t_text("payload"));
    for (size_t at = 0; at < sent.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            sent.data[at] ^= (unsigned char)(1 << bit);
            weft__wire_message got;
            if (weft__wire_parse(bytes_of(&sent), &got) == 0) {
                const unsigned char *payload = got.payload.data;
                cr_assert(payload >= sent.data &&
                          payload + got.payload.len <= sent.data + sent.len);
                cr_assert(strlen(got.name) >= 1 || got.kind == WEFT__WIRE_REPLY);
            }
            sent.data[at] ^= (unsigned char)(1 << bit);
        }
    }
    weft_buf_free(&sent);
}

Test(wire, what_is_refused_is_said_in_words)
{
    weft__wire_message got;
    T_ERR(-EPROTO,
          weft__wire_parse(t_text("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n....."), &got));
    cr_assert(strstr(weft_error_text(), "not a message") != NULL, "%s", weft_error_text());
    weft_buf sent = call_bytes("t.echo", 0, t_text(""));
    sent.data[4] = 9;
    T_ERR(-EPROTO, weft__wire_parse(bytes_of(&sent), &got));
    cr_assert(strstr(weft_error_text(), "version 9") != NULL, "%s", weft_error_text());
    weft_buf_free(&sent);
}

Test(wire, a_payload_over_the_limit_is_not_sent)
{
    weft__wire_message call = {.kind = WEFT__WIRE_CALL,
                               .name = "t.echo",
                               .payload = {NULL, (size_t)WEFT__WIRE_PAYLOAD_MAX + 1}};
    unsigned char prefix[WEFT__WIRE_PREFIX_MAX];
    T_ERR(-EMSGSIZE, weft__wire_prefix(&call, prefix));
    call.name[0] = '\0';
    T_ERR(-EINVAL, weft__wire_prefix(&call, prefix));
}

/* Serves a call and reads the reply; the result, with the payload in out. */
static int
serve(const char *name, weft_time remaining, const char *in, weft_buf *out)
{
    weft_buf call = call_bytes(name, remaining, t_text(in));
    weft_buf reply = {0};
    T_OK(weft__wire_serve(bytes_of(&call), &reply));
    weft__wire_message got;
    T_OK(weft__wire_parse(bytes_of(&reply), &got));
    cr_assert_eq(got.kind, WEFT__WIRE_REPLY);
    T_OK(weft_buf_append(out, got.payload.data, got.payload.len));
    weft_buf_free(&call);
    weft_buf_free(&reply);
    return got.result;
}

Test(wire, serving_a_call_runs_its_job)
{
    weft_buf out = {0};
    T_OK(serve("t.group", WEFT_SEC(60), "3", &out)); /* makes the thread's private loop, to stay */
    weft_buf_free(&out);
    t_leak_begin();
    T_OK(serve("t.reverse", WEFT_FOREVER, "abc", &out));
    cr_assert_eq(memcmp(out.data, "cba", 3), 0);
    T_ERR(-EILSEQ, serve("t.fail", WEFT_FOREVER, "def", &out));
    cr_assert_eq(memcmp(out.data, "cbadef", 6), 0);
    weft_buf_free(&out);
    T_ERR(WEFT_E_JOB_UNKNOWN, serve("t.nowhere", WEFT_FOREVER, "", &out));
    T_ERR(-ETIMEDOUT, serve("t.spin_until_cancelled", WEFT_MS(10), "", &out));
    T_ERR(-ETIMEDOUT, serve("t.echo", 0, "", &out));
    t_leak_end();
}

Test(wire, serving_what_is_no_call_makes_no_reply)
{
    weft_buf out = {0};
    T_ERR(-EPROTO, weft__wire_serve(t_text("rubbish"), &out));
    weft__wire_message reply = {.kind = WEFT__WIRE_REPLY};
    weft_buf bytes = {0};
    T_OK(weft__wire_append(&reply, &bytes));
    T_ERR(-EPROTO, weft__wire_serve(bytes_of(&bytes), &out));
    cr_assert_eq(out.len, 0u);
    weft_buf_free(&bytes);
}
