/*
 * chan.h - channels: items by value from any number of senders to any number of receivers.
 *
 * A channel holds up to `capacity` items; with capacity 0 it holds none, and a send meets a
 * receive. Who waits is served in the order in which they came, and an item goes straight to a
 * receiver who waits. Whoever waits in a channel may be a task of any loop or a plain thread.
 */
#ifndef WEFT_CHAN_H
#define WEFT_CHAN_H

#include <weft/base.h>

typedef struct weft_chan weft_chan;

typedef struct weft_chan_stats {
    size_t capacity;
    size_t len;               /* items held now */
    size_t waiting_senders;   /* now; selects count in each channel they wait for */
    size_t waiting_receivers; /* now */
    uint64_t sent;            /* items taken from senders so far */
    uint64_t received;        /* items given to receivers so far */
    int closed;               /* 1 or 0 */
} weft_chan_stats;

WEFT_BEGIN_DECLS

/*
 * weft_chan_new - make a channel
 *
 * ret_chan   out
 * item_size  bytes of an item, copied in and out; 0 for a channel of mere signals
 * capacity   items it holds; 0: none, a send returns once a receiver has the item
 *
 * Returns  0; -ENOMEM; -EOVERFLOW when item_size * capacity passes SIZE_MAX
 * Waits    no
 * Threads  any
 * Source   Go's make(chan T, n); trio.open_memory_channel
 */
int weft_chan_new(weft_chan **ret_chan, size_t item_size, size_t capacity);

/*
 * weft_chan_send - hand an item over, waiting for a receiver or for room
 *
 * item     item_size bytes; ignored when that is 0
 *
 * Returns  0: a receiver has the item, or the channel holds it; -EPIPE: the channel is closed;
 *          -ECANCELED or -ETIMEDOUT when the enclosing scope ended first. Unless the result is 0
 *          nobody has the item, nor will
 * Waits    yes; looks for cancellation first, even when there is room
 * Threads  tasks of any loop, and plain threads
 * Source   Go's ch <- v; asyncio Queue.put
 */
WEFT_WAITS int weft_chan_send(weft_chan *chan, const void *item);

/*
 * weft_chan_recv - take the next item, waiting for one
 *
 * ret_item  out: item_size bytes, written only when the result is 0
 *
 * Returns  0; -EPIPE: the channel is closed and all it held has been taken; -ECANCELED or
 *          -ETIMEDOUT when the enclosing scope ended first: no item was taken
 * Waits    yes; looks for cancellation first, even when an item is there
 * Threads  tasks of any loop, and plain threads
 * Source   Go's v, ok := <-ch; asyncio Queue.get
 */
WEFT_WAITS int weft_chan_recv(weft_chan *chan, void *ret_item);

/*
 * weft_chan_try_send - hand an item over if a receiver waits or there is room
 *
 * Returns  0; -EAGAIN; -EPIPE as weft_chan_send
 * Waits    no
 * Threads  any; callbacks of a loop as well
 * Source   asyncio Queue.put_nowait
 */
int weft_chan_try_send(weft_chan *chan, const void *item);

/*
 * weft_chan_try_recv - take the next item if there is one
 *
 * Returns  0; -EAGAIN; -EPIPE as weft_chan_recv
 * Waits    no
 * Threads  any; callbacks of a loop as well
 * Source   asyncio Queue.get_nowait
 */
int weft_chan_try_recv(weft_chan *chan, void *ret_item);

/*
 * weft_chan_close - let no more items in
 *
 * Senders get -EPIPE, those that wait included. Receivers still get what the channel holds, and
 * -EPIPE after that. Idempotent.
 *
 * Waits    no
 * Threads  any; callbacks of a loop as well
 * Source   Go's close(ch), without the panic; asyncio Queue.shutdown
 */
void weft_chan_close(weft_chan *chan);

/*
 * weft_chan_stats_get - what a channel holds, and who waits
 *
 * ret_stats  out: of one moment
 *
 * Waits    no
 * Threads  any
 * Source   trio MemoryChannelStatistics
 */
void weft_chan_stats_get(weft_chan *chan, weft_chan_stats *ret_stats);

/*
 * weft_chan_free - end a channel nobody waits in; items it still holds are dropped
 *
 * chan     may be NULL
 *
 * Waits    no
 * Threads  any, once nobody will call anything with it any more. Who has received an item may do so
 *          although the send of that item has not returned yet, and so may who has sent it; but a
 *          select with several branches of the channel has to return first
 * Source   weft
 */
void weft_chan_free(weft_chan *chan);

WEFT_END_DECLS

#endif
