/*
 * stream_priv.h - what a stream holds.
 */
#ifndef WEFT_LIB_IO_STREAM_PRIV_H
#define WEFT_LIB_IO_STREAM_PRIV_H

#include <weft/stream.h>

#include "io/fd_priv.h"

#define WEFT__STREAM_LIMIT 65536u

struct weft__stream {
    const weft_transport *transport; /* these two are the public ones */
    void *state;
    struct weft_loop *loop;
    unsigned char *chunk; /* the read buffer, of cap bytes; NULL: nothing is in it */
    size_t cap;
    size_t begin, end; /* what is in it, and has not been taken */
    size_t limit;      /* of end - begin */
    bool reading;      /* a task waits to read */
    bool writing;
    bool lent;          /* the chunk is being written from: it is freed by who does that */
    bool eager;         /* the last read filled all the room there was: make more */
    struct weft__fd fd; /* of weft_stream_open_fd */
};
_Static_assert(sizeof(struct weft__stream) <= sizeof(weft_stream), "weft_stream is too small");

static inline struct weft__stream *
weft__stream_of(weft_stream *public)
{
    return (struct weft__stream *)(void *)public;
}

/* A stream on a socket that is known to be of type SOCK_STREAM, non-blocking and connected: makes
 * no system call. */
void weft__stream_init_socket(weft_stream *stream, int raw);
/* The same for one whose member `fd` is open already. */
void weft__stream_adopt_socket(weft_stream *stream);

/* Looks for cancellation between two steps of one call. Others run meanwhile: `busy`, which is
 * `reading` or `writing` of the stream, keeps them out, so that calls do not mix. */
int weft__stream_go_on(struct weft__stream *stream, bool *busy);
/* weft_stream_write_all by who has looked for cancellation, and that nobody writes. */
int weft__stream_write_rest(struct weft__stream *stream, const void *buf, size_t len,
                            size_t *ret_written);

/* chunk.c: memory of read buffers, kept per loop, last in first out. */
#define WEFT__CHUNK_BYTES 4096u
unsigned char *weft__chunk_take(struct weft_loop *loop);
void weft__chunk_give(struct weft_loop *loop, unsigned char *chunk);

#endif
