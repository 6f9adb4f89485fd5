/*
 * wire.c - a call, and its reply, as bytes; and the far side that serves one.
 *
 * Nothing that comes in is trusted: each length is compared with what is really there before it
 * is used, and a message is read completely or not at all.
 */
#include "wire.h"

#include <stdbool.h>
#include <string.h>

#include <weft/error.h>
#include <weft/job.h>

#include "jobs.h"
#include "worker_priv.h"

static const unsigned char magic[4] = {'w', 'e', 'f', 't'};

enum {
    AT_VERSION = 4,
    AT_KIND = 5,
    AT_NAME_LEN = 6,
    AT_ZERO = 7,
    AT_FIRST = 8, /* remaining time or result */
    AT_STARTED = 16,
    AT_ENDED = 24,
    AT_PAYLOAD = 32
};

static void
put_u64(unsigned char *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t
get_u64(const unsigned char *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

int
weft__wire_prefix(const weft__wire_message *message,
                  unsigned char ret_prefix[WEFT__WIRE_PREFIX_MAX])
{
    bool is_call = message->kind == WEFT__WIRE_CALL;
    size_t name_len = is_call ? strnlen(message->name, sizeof message->name) : 0;
    if (is_call && (name_len == 0 || name_len > WEFT__WIRE_NAME_MAX))
        return weft_error_note(-EINVAL, "wire: a job's name has 1 to 63 bytes");
    if (message->payload.len > WEFT__WIRE_PAYLOAD_MAX)
        return weft_error_note(-EMSGSIZE, "wire: a payload of %zu bytes, over the limit of 1 GiB",
                               message->payload.len);

    memcpy(ret_prefix, magic, sizeof magic);
    ret_prefix[AT_VERSION] = WEFT__WIRE_VERSION;
    ret_prefix[AT_KIND] = (unsigned char)message->kind;
    ret_prefix[AT_NAME_LEN] = (unsigned char)name_len;
    ret_prefix[AT_ZERO] = 0;
    put_u64(ret_prefix + AT_FIRST, (uint64_t)(is_call ? message->remaining : message->result));
    put_u64(ret_prefix + AT_STARTED, is_call ? 0 : (uint64_t)message->started);
    put_u64(ret_prefix + AT_ENDED, is_call ? 0 : (uint64_t)message->ended);
    put_u64(ret_prefix + AT_PAYLOAD, message->payload.len);
    memcpy(ret_prefix + WEFT__WIRE_HEAD, message->name, name_len);
    return (int)(WEFT__WIRE_HEAD + name_len);
}

int
weft__wire_append(const weft__wire_message *message, weft_buf *out)
{
    unsigned char prefix[WEFT__WIRE_PREFIX_MAX];
    int len = weft__wire_prefix(message, prefix);
    if (len < 0)
        return len;
    /* All the room first, so that a failure leaves out as it was. */
    int rc = weft_buf_reserve(out, (size_t)len + message->payload.len);
    if (rc < 0)
        return rc;
    weft_ignore(weft_buf_append(out, prefix, (size_t)len));
    weft_ignore(weft_buf_append(out, message->payload.data, message->payload.len));
    return 0;
}

int
weft__wire_parse(weft_bytes bytes, weft__wire_message *ret_message)
{
    const unsigned char *at = bytes.data;
    if (bytes.len < WEFT__WIRE_HEAD)
        return weft_error_note(-EPROTO, "wire: %zu bytes are too few for a message", bytes.len);
    if (memcmp(at, magic, sizeof magic) != 0)
        return weft_error_note(-EPROTO, "wire: not a message of weft");
    if (at[AT_VERSION] != WEFT__WIRE_VERSION)
        return weft_error_note(-EPROTO, "wire: version %d, this library speaks version %d",
                               at[AT_VERSION], WEFT__WIRE_VERSION);

    int kind = at[AT_KIND];
    size_t name_len = at[AT_NAME_LEN];
    bool named = kind == WEFT__WIRE_CALL && name_len >= 1 && name_len <= WEFT__WIRE_NAME_MAX;
    bool nameless = kind == WEFT__WIRE_REPLY && name_len == 0;
    if ((!named && !nameless) || at[AT_ZERO] != 0)
        return weft_error_note(-EPROTO, "wire: neither a call with a name nor a reply");

    /* Subtracted, not added: a length of nearly 2^64 must not wrap round. */
    size_t rest = bytes.len - WEFT__WIRE_HEAD;
    uint64_t payload_len = get_u64(at + AT_PAYLOAD);
    if (rest < name_len || rest - name_len != payload_len || payload_len > WEFT__WIRE_PAYLOAD_MAX)
        return weft_error_note(-EPROTO, "wire: the message says %llu bytes of payload, %zu came",
                               (unsigned long long)payload_len, bytes.len);
    if (name_len > 0 && memchr(at + WEFT__WIRE_HEAD, '\0', name_len) != NULL)
        return weft_error_note(-EPROTO, "wire: a job's name with a zero byte");

    int64_t first = (int64_t)get_u64(at + AT_FIRST);
    int64_t started = (int64_t)get_u64(at + AT_STARTED);
    int64_t ended = (int64_t)get_u64(at + AT_ENDED);
    if (kind == WEFT__WIRE_CALL
            ? started != 0 || ended != 0
            : first < INT32_MIN || first > INT32_MAX || started < 0 || ended < started)
        return weft_error_note(-EPROTO, "wire: a result or a time out of range");

    memset(ret_message, 0, sizeof *ret_message);
    ret_message->kind = (enum weft__wire_kind)kind;
    memcpy(ret_message->name, at + WEFT__WIRE_HEAD, name_len);
    if (kind == WEFT__WIRE_CALL) {
        ret_message->remaining = first;
    } else {
        ret_message->result = (int)first;
        ret_message->started = started;
        ret_message->ended = ended;
    }
    ret_message->payload =
        (weft_bytes){.data = at + WEFT__WIRE_HEAD + name_len, .len = (size_t)payload_len};
    return 0;
}

int
weft__wire_serve(weft_bytes call, weft_buf *out)
{
    weft_time read_at = weft__worker_clock();
    weft__wire_message request;
    int rc = weft__wire_parse(call, &request);
    if (rc < 0)
        return rc;
    if (request.kind != WEFT__WIRE_CALL)
        return weft_error_note(-EPROTO, "wire: a reply where a call was expected");

    weft_time deadline = WEFT_FOREVER;
    if (request.remaining < WEFT_FOREVER - read_at)
        deadline = read_at + request.remaining;

    weft_buf result = {0};
    weft__wire_message reply = {.kind = WEFT__WIRE_REPLY};
    const weft_job *job = weft_job_find(request.name);
    reply.started = weft__worker_clock() - read_at;
    reply.result = job == NULL ? WEFT_E_JOB_UNKNOWN
                               : weft__job_run_here(job, request.payload, &result, deadline);
    reply.ended = weft__worker_clock() - read_at;
    if (result.len > WEFT__WIRE_PAYLOAD_MAX) {
        weft_buf_free(&result);
        reply.result = -EMSGSIZE;
    }
    reply.payload = (weft_bytes){.data = result.data, .len = result.len};
    rc = weft__wire_append(&reply, out);
    weft_buf_free(&result);
    return rc;
}
