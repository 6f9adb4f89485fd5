/*
 * frame.c - length-prefixed frames on a stream socket, in pieces of any size.
 *
 * Neither side trusts the other's length: memory for a payload grows with the bytes that have
 * really arrived. A payload there is no memory for is read and thrown away, so that the
 * connection stays in step and only that frame is lost.
 */
#include <string.h>

#include "base/sys.h"
#include "pool/pool_priv.h"

/* The first piece of memory for a payload; later ones double what is there. */
#define FIRST_BYTES ((size_t)64 << 10)

static void
put_u32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t
get_u32(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void
weft__frame_out_open(struct weft__frame_out *out, enum weft__frame_kind kind, int status,
                     weft_bytes first, weft_bytes second)
{
    uint64_t len = (uint64_t)first.len + second.len;
    *out = (struct weft__frame_out){.part = {first, second}};
    put_u32(out->head, (uint32_t)len);
    put_u32(out->head + 4, (uint32_t)(len >> 32));
    put_u32(out->head + 8, (uint32_t)kind);
    put_u32(out->head + 12, (uint32_t)status);
}

int
weft__frame_send(struct weft__frame_out *out, int fd)
{
    const weft_bytes piece[3] = {{out->head, sizeof out->head}, out->part[0], out->part[1]};
    for (;;) {
        struct iovec iov[3];
        size_t n = 0, skip = out->sent;
        for (size_t i = 0; i < 3; i++) {
            if (skip >= piece[i].len) {
                skip -= piece[i].len;
                continue;
            }
            iov[n].iov_base = (char *)(uintptr_t)piece[i].data + skip;
            iov[n++].iov_len = piece[i].len - skip;
            skip = 0;
        }
        if (n == 0)
            return 0;
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = n};
        ssize_t rc = weft__sys_sendmsg(fd, &message, 0);
        if (rc < 0)
            return (int)rc;
        out->sent += (size_t)rc;
    }
}

static int
head_parse(struct weft__frame_in *in)
{
    in->len = get_u32(in->head) | (uint64_t)get_u32(in->head + 4) << 32;
    in->kind = get_u32(in->head + 8);
    in->status = (int)get_u32(in->head + 12);
    if (in->len > WEFT_PROCPOOL_BYTES_MAX)
        return -EPROTO;
    switch (in->kind) {
    case WEFT__FRAME_HELLO:
        return in->len == 0 ? 0 : -EPROTO;
    case WEFT__FRAME_REQUEST:
    case WEFT__FRAME_REPLY:
        return 0;
    default:
        return -EPROTO;
    }
}

/* Room for the next bytes of the payload; NULL when there is no memory. */
static unsigned char *
body_room(struct weft__frame_in *in, size_t missing, size_t *ret_len)
{
    weft_buf *body = &in->body;
    if (body->cap == body->len) {
        size_t more = body->len > FIRST_BYTES ? body->len : FIRST_BYTES;
        if (weft_buf_reserve(body, more < missing ? more : missing) < 0)
            return NULL;
    }
    size_t room = body->cap - body->len;
    *ret_len = room < missing ? room : missing;
    return body->data + body->len;
}

int
weft__frame_receive(struct weft__frame_in *in, int fd, size_t budget)
{
    for (size_t taken = 0;;) {
        bool in_head = in->got < sizeof in->head;
        unsigned char waste[4096];
        unsigned char *into = in->head + in->got;
        size_t want = sizeof in->head - in->got;
        if (!in_head) {
            uint64_t missing = in->len - (in->got - sizeof in->head);
            if (missing == 0)
                return 1;
            if (taken >= budget)
                return -EAGAIN;
            into = in->lost < 0 ? NULL : body_room(in, (size_t)missing, &want);
            if (into == NULL) {
                weft_buf_free(&in->body);
                in->lost = -ENOMEM;
                into = waste;
                want = missing < sizeof waste ? (size_t)missing : sizeof waste;
            }
        }

        ssize_t rc = weft__sys_recv(fd, into, want, 0);
        if (rc < 0)
            return (int)rc;
        if (rc == 0)
            return in->got == 0 ? 0 : -EPROTO;
        taken += (size_t)rc;
        in->got += (size_t)rc;
        if (in_head) {
            if (in->got == sizeof in->head && (rc = head_parse(in)) < 0)
                return (int)rc;
        } else if (in->lost == 0) {
            in->body.len += (size_t)rc;
        }
    }
}

void
weft__frame_in_reset(struct weft__frame_in *in)
{
    weft_buf_free(&in->body);
    *in = (struct weft__frame_in){0};
}
