/*
 * stream_mem.c - two ends in memory: what one writes the other reads.
 *
 * Each direction is a ring of bytes. Both ends belong to one loop, so nothing here is atomic; the
 * memory goes when both ends are closed. Waiting holds no clock: on a virtual one, time passes.
 */
#include <errno.h>
#include <string.h>

#include <weft/stream.h>

#include "base/mem.h"
#include "io/stream_priv.h"
#include "task/task_priv.h"

#define CAPACITY_DEFAULT 65536u

/* On the stack of a task that waits. */
struct mem_wait {
    struct weft__ticket ticket;
    bool closed; /* its own end, meanwhile */
};

struct mem_ring {
    unsigned char *bytes;
    size_t head; /* of the oldest byte */
    size_t len;
    bool ended;  /* nothing more will be written */
    bool unread; /* the reading end is closed */
    struct mem_wait *reader, *writer;
};

struct mem_pair;

struct mem_end {
    struct mem_pair *pair;
    struct mem_ring *in, *out;
};

struct mem_pair {
    size_t capacity;
    unsigned open;
    struct mem_ring rings[2];
    struct mem_end ends[2];
    unsigned char bytes[];
};

static struct mem_end *
end_of(weft_stream *stream)
{
    return stream->state;
}

static void
wake(struct mem_wait *wait, int result)
{
    if (wait != NULL && weft__claim_local(wait->ticket))
        weft__deliver(wait->ticket.waiter, result);
}

static ssize_t
mem_try_read(weft_stream *stream, void *buf, size_t len)
{
    struct mem_ring *in = end_of(stream)->in;
    size_t capacity = end_of(stream)->pair->capacity;
    if (in->len == 0)
        return in->ended ? 0 : -EAGAIN;
    if (WEFT_BUGGIFY(8) && len > 1)
        len = 1;
    if (len > in->len)
        len = in->len;
    size_t first = capacity - in->head < len ? capacity - in->head : len;
    memcpy(buf, in->bytes + in->head, first);
    memcpy((unsigned char *)buf + first, in->bytes, len - first);
    in->head = (in->head + len) % capacity;
    in->len -= len;
    wake(in->writer, 0);
    return (ssize_t)len;
}

static ssize_t
mem_try_writev(weft_stream *stream, const struct iovec *vectors, int n)
{
    struct mem_ring *out = end_of(stream)->out;
    size_t capacity = end_of(stream)->pair->capacity;
    if (out->unread || out->ended)
        return -EPIPE;
    size_t written = 0;
    for (int i = 0; i < n && out->len < capacity; i++) {
        size_t len = vectors[i].iov_len;
        if (len > capacity - out->len)
            len = capacity - out->len;
        size_t tail = (out->head + out->len) % capacity;
        size_t first = capacity - tail < len ? capacity - tail : len;
        memcpy(out->bytes + tail, vectors[i].iov_base, first);
        memcpy(out->bytes, (const unsigned char *)vectors[i].iov_base + first, len - first);
        out->len += len;
        written += len;
    }
    if (written == 0)
        return -EAGAIN;
    wake(out->reader, 0);
    return (ssize_t)written;
}

static int
mem_wait(weft_stream *stream, unsigned what)
{
    struct mem_end *end = end_of(stream);
    struct mem_wait **place = what == WEFT_STREAM_READ ? &end->in->reader : &end->out->writer;
    if (*place != NULL)
        return -EBUSY;
    struct mem_wait wait = {.closed = false};
    *place = &wait;
    weft__waits_for(what == WEFT_STREAM_READ ? "memory stream, to read" : "memory stream, to write",
                    stream);
    wait.ticket = weft__park_arm();
    int rc = weft__park(true);
    if (wait.closed)
        return -EBADF; /* the pair may be gone */
    *place = NULL;
    return rc;
}

static int
mem_shutdown(weft_stream *stream)
{
    struct mem_ring *out = end_of(stream)->out;
    out->ended = true;
    wake(out->reader, 0);
    return 0;
}

static void
dismiss(struct mem_wait **place)
{
    struct mem_wait *wait = *place;
    *place = NULL;
    if (wait == NULL)
        return;
    wait->closed = true;
    wake(wait, -EBADF);
}

static void
mem_close(weft_stream *stream)
{
    struct mem_end *end = end_of(stream);
    end->out->ended = true;
    end->in->unread = true;
    dismiss(&end->in->reader);
    dismiss(&end->out->writer);
    wake(end->out->reader, 0);
    wake(end->in->writer, 0);
    if (--end->pair->open == 0)
        weft__free(end->pair);
}

static const weft_transport mem_transport = {.name = "memory",
                                             .try_read = mem_try_read,
                                             .try_writev = mem_try_writev,
                                             .wait = mem_wait,
                                             .shutdown = mem_shutdown,
                                             .close = mem_close};

int
weft_stream_open_pair(weft_stream *a, weft_stream *b, size_t capacity)
{
    if (capacity == 0)
        capacity = CAPACITY_DEFAULT;
    if (capacity > (SIZE_MAX - sizeof(struct mem_pair)) / 2)
        return -ENOMEM;
    struct mem_pair *pair = weft__alloc(sizeof *pair + 2 * capacity);
    if (pair == NULL)
        return -ENOMEM;
    memset(pair, 0, sizeof *pair);
    pair->capacity = capacity;
    pair->open = 2;
    for (int i = 0; i < 2; i++) {
        pair->rings[i].bytes = pair->bytes + (size_t)i * capacity;
        pair->ends[i] =
            (struct mem_end){.pair = pair, .in = &pair->rings[i], .out = &pair->rings[1 - i]};
    }
    weft_stream_open(a, &mem_transport, &pair->ends[0]);
    weft_stream_open(b, &mem_transport, &pair->ends[1]);
    return 0;
}
