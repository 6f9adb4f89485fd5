/*
 * chunk.c - memory of read buffers.
 *
 * A connection has a buffer only while bytes are in it, so a loop with 10,000 idle connections
 * needs a handful. The one given back last is still in the CPU's cache and is taken first.
 */
#include "base/mem.h"
#include "io/stream_priv.h"

#define KEPT_MAX 64u

/* Per loop, made on first use, freed with the loop. */
struct weft__chunks {
    unsigned n;
    unsigned char *kept[KEPT_MAX];
};

unsigned char *
weft__chunk_take(struct weft_loop *loop)
{
    struct weft__chunks *chunks = loop->chunks;
    if (chunks != NULL && chunks->n > 0)
        return chunks->kept[--chunks->n];
    return weft__alloc(WEFT__CHUNK_BYTES);
}

static void
chunks_free(struct weft__chunks *chunks)
{
    while (chunks->n > 0)
        weft__free(chunks->kept[--chunks->n]);
    weft__free(chunks);
}

void
weft__chunk_give(struct weft_loop *loop, unsigned char *chunk)
{
    struct weft__chunks *chunks = loop->chunks;
    if (chunks == NULL) {
        chunks = weft__alloc_zeroed(sizeof *chunks);
        loop->chunks = chunks;
        loop->chunks_free = chunks_free;
    }
    if (chunks != NULL && chunks->n < KEPT_MAX)
        chunks->kept[chunks->n++] = chunk;
    else
        weft__free(chunk);
}
