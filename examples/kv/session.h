/*
 * session.h - one connection: its request under way, and the replies that gather until there is
 * nothing left to answer.
 *
 * Replies are written when all requests that have come are answered, or when they have reached
 * REPLIES_MARK: then the next request waits until the peer has taken them.
 */
#ifndef KV_SESSION_H
#define KV_SESSION_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft.h>

#include "resp.h"
#include "store.h"

#define REPLIES_MARK 65536 /* bytes of replies that wait for each other at most, about */

/* What the server counts; one for each loop, written by that loop alone. */
struct counts {
    uint64_t requests;
} __attribute__((aligned(64)));

/* What all sessions share. */
struct kv {
    struct store *store;
    weft_server *server;
    size_t request_max, args_max;
    weft_time begun;
    struct counts *counts; /* one for each loop */
};

struct session {
    struct kv *kv;
    weft_stream *stream;
    struct resp parser;
    const char *data; /* the request under way */
    weft_time now;    /* when what is answered now was read */
    weft_buf out;     /* replies */
    bool no_memory;   /* for a reply: the connection ends */
    bool quit;        /* after this reply */
};

/* Serves a connection until it ends; for weft_server. */
int session_serve(weft_stream *stream, void *kv);

/* Writes the replies that have gathered. */
WEFT_WAITS int session_flush(struct session *s);

/* All requests that were answered, of all loops. */
uint64_t kv_requests(const struct kv *kv);

/* ---- The request ---------------------------------------------------------------------------- */

static inline weft_bytes
arg(const struct session *s, size_t i)
{
    return (weft_bytes){resp_arg(&s->parser, s->data, i), s->parser.args[i].len};
}

/* ---- Replies -------------------------------------------------------------------------------- */

void reply_text(struct session *s, const char *text); /* as it is, with its "\r\n" */
void reply_error(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_number(struct session *s, int64_t number);
void reply_array(struct session *s, size_t n); /* its elements follow */
void reply_bytes(struct session *s, weft_bytes bytes);
void reply_string(struct session *s, const char *string);

/* Takes the reference over; NULL is "nil". A large value is written at once, without a copy. */
WEFT_WAITS int reply_value(struct session *s, struct value *value);

/* ---- command.c ------------------------------------------------------------------------------ */

void commands_open(void);

/* Answers the request under way. A negative result ends the connection. */
WEFT_WAITS int command_run(struct session *s);

#endif
