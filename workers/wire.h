/*
 * wire.h - a call, and its reply, as bytes: what models send to where their jobs run.
 *
 * A message is a head of fixed size, then the job's name (calls only), then the payload. Numbers
 * are little-endian:
 *
 *     0  u32  "weft"
 *     4  u8   version, 1
 *     5  u8   kind: 1 call, 2 reply
 *     6  u8   bytes of the name; 0 in a reply
 *     7  u8   0
 *     8  i64  call: nanoseconds left until the deadline, INT64_MAX for none; reply: the result
 *    16  i64  reply: when the job started, nanoseconds after the call was read; call: 0
 *    24  i64  reply: when it ended, likewise; call: 0
 *    32  u64  bytes of the payload
 *
 * A deadline travels as what is left of it, because the clocks of two machines have nothing in
 * common. The length of the whole message is not in it: that is the transport's frame.
 */
#ifndef WEFT_WORKERS_WIRE_H
#define WEFT_WORKERS_WIRE_H

#include <weft/base.h>
#include <weft/time.h>

enum {
    WEFT__WIRE_VERSION = 1,
    WEFT__WIRE_HEAD = 40,           /* bytes before the name */
    WEFT__WIRE_NAME_MAX = 63,       /* bytes of a job's name */
    WEFT__WIRE_PREFIX_MAX = 40 + 63 /* most bytes before the payload */
};

/* More than this in one payload is refused on both sides. */
#define WEFT__WIRE_PAYLOAD_MAX ((uint64_t)1 << 30)

enum weft__wire_kind { WEFT__WIRE_CALL = 1, WEFT__WIRE_REPLY = 2 };

typedef struct weft__wire_message {
    enum weft__wire_kind kind;
    char name[WEFT__WIRE_NAME_MAX + 1]; /* call: the job; reply: "" */
    weft_time remaining;                /* call: until its deadline; WEFT_FOREVER for none */
    int result;                         /* reply: the job's, or why it did not run */
    weft_time started;                  /* reply: after the call was read, 0 or more */
    weft_time ended;                    /* reply: not before started */
    weft_bytes payload;                 /* a view into the bytes that were parsed */
} weft__wire_message;

/* Writes what stands before the payload, so that the payload itself need not be copied. Returns
 * its length; -EMSGSIZE for a payload, -EINVAL for a name, too long or empty. */
int weft__wire_prefix(const weft__wire_message *message,
                      unsigned char ret_prefix[WEFT__WIRE_PREFIX_MAX]);

/* Appends the whole message to out. Returns 0; -ENOMEM; errors as weft__wire_prefix. */
int weft__wire_append(const weft__wire_message *message, weft_buf *out);

/* Reads one whole message. Returns 0; -EPROTO when the bytes are none, or of another version, or
 * longer or shorter than they say (weft_error_text() says which). ret_message is untouched then. */
int weft__wire_parse(weft_bytes bytes, weft__wire_message *ret_message);

/*
 * The far side of every remote model: parses a call, runs its job to the end as a lone task on
 * the calling plain thread with what is left of its deadline, and appends the reply to out. A job
 * that is unknown here is a reply with WEFT_E_JOB_UNKNOWN, one past its deadline -ETIMEDOUT.
 *
 * Returns  0: there is a reply; -EPROTO as weft__wire_parse, -ENOMEM when the reply itself could
 *          not be written: out is as it was
 */
int weft__wire_serve(weft_bytes call, weft_buf *out);

#endif
