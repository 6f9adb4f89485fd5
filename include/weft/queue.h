/*
 * queue.h - queues of items between tasks of any loops and plain threads.
 *
 * Items have one size and are copied in and out; what they point to is the user's. Queues have a
 * capacity, and a put into a full one waits: nothing grows unless it was asked to. Who waits is
 * served in the order of coming, and an item is never with a cancelled one: a call that returns
 * -ECANCELED or -ETIMEDOUT has put, or taken, nothing.
 */
#ifndef WEFT_QUEUE_H
#define WEFT_QUEUE_H

#include <weft/base.h>

typedef struct weft_queue weft_queue;

#define WEFT_QUEUE_CAPACITY 256  /* of a queue that names none, in items */
#define WEFT_QUEUE_ITEM_MAX 1024 /* bytes of an item; larger things travel by pointer */
#define WEFT_UNBOUNDED SIZE_MAX  /* as capacity: grows as long as there is memory */

typedef enum weft_queue_order {
    WEFT_FIFO = 0,    /* first in, first out */
    WEFT_LIFO = 1,    /* last in, first out */
    WEFT_PRIORITY = 2 /* what comes first by .compare; first in, first out among equals */
} weft_queue_order;

/* What a put into a full queue does. */
typedef enum weft_queue_overflow {
    WEFT_OVERFLOW_WAIT = 0,       /* waits for room */
    WEFT_OVERFLOW_REJECT = 1,     /* returns -EAGAIN */
    WEFT_OVERFLOW_DROP_OLDEST = 2 /* the item that is longest in the queue is dropped for it */
} weft_queue_overflow;

typedef struct weft_queue_options {
    size_t capacity; /* most items; 0: WEFT_QUEUE_CAPACITY; or WEFT_UNBOUNDED */
    weft_queue_order order;
    weft_queue_overflow overflow;
    /* For WEFT_PRIORITY: negative when a comes before b, 0 when they are equal. Called under the
     * queue's lock: it only compares, and calls nothing of weft. NULL: each item begins with an
     * int64_t, and the smallest comes first. */
    int (*compare)(const void *a, const void *b);
    /* Gets each item that nobody will take: dropped for another one, by a shutdown or by
     * weft_queue_free. It must not wait. NULL: they are only counted. */
    void (*drop)(void *item, void *arg);
    void *drop_arg;
    unsigned local; /* 1: for the tasks and callbacks of the loop that makes it alone, and
                       without locks. Use from elsewhere aborts */
} weft_queue_options;

typedef struct weft_queue_stats {
    size_t size;      /* items in it now */
    size_t capacity;  /* WEFT_UNBOUNDED when it has none */
    size_t getters;   /* waiting for an item */
    size_t putters;   /* waiting for room */
    uint64_t put;     /* items ever put */
    uint64_t taken;   /* of these, handed to a getter */
    uint64_t dropped; /* of these, dropped */
    uint64_t pending; /* of these, what weft_queue_join still waits for */
    unsigned shut;    /* 1: shut down */
} weft_queue_stats;

WEFT_BEGIN_DECLS

/*
 * weft_queue_new - make a queue
 *
 * item_size  bytes of each item, 1 to WEFT_QUEUE_ITEM_MAX
 * options    NULL for the defaults; copied. The room for `capacity` items is allocated now
 *
 * Returns  0; -ENOMEM; -EINVAL for an item size out of range, keys that do not fit into an item,
 *          a priority queue that shall drop the oldest, a capacity beyond memory, or .local
 *          outside a loop (weft_error_text() says which)
 * Waits    no
 * Threads  any; with .local tasks and callbacks of the loop it is for
 * Source   asyncio.Queue, LifoQueue and PriorityQueue
 */
int weft_queue_new(weft_queue **ret_queue, size_t item_size, const weft_queue_options *options);

/*
 * weft_queue_free - end a queue nobody waits for; items still in it are dropped
 *
 * queue    NULL is nothing
 *
 * Waits    no
 * Threads  any, after all other calls have returned; who got the last item, or was told by
 *          weft_queue_join that all is done, may free the queue at once
 * Source   weft
 */
void weft_queue_free(weft_queue *queue);

/*
 * weft_queue_put - put an item into the queue, waiting for room
 *
 * item     item_size bytes, copied
 *
 * Returns  0; -EPIPE when the queue is or was meanwhile shut down; -EAGAIN when it is full and
 *          rejects; -ENOMEM when an unbounded one cannot grow; -ECANCELED or -ETIMEDOUT when the
 *          enclosing scope ended first. Only with 0 the item was put
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio Queue.put
 */
WEFT_WAITS int weft_queue_put(weft_queue *queue, const void *item);

/*
 * weft_queue_try_put - put an item if there is room
 *
 * Returns  0; -EAGAIN when the queue is full, unless it drops; -EPIPE; -ENOMEM
 * Waits    no
 * Threads  any, callbacks of loops too
 * Source   asyncio Queue.put_nowait
 */
int weft_queue_try_put(weft_queue *queue, const void *item);

/*
 * weft_queue_put_many - put at least one of several items, waiting for room for the first
 *
 * items    an array; n of at least 1
 *
 * Returns  how many were put, from the first on, 1 to n: as many as there was room for; else as
 *          weft_queue_put, and none was
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   write(2); weft
 */
WEFT_WAITS ssize_t weft_queue_put_many(weft_queue *queue, const void *items, size_t n);

/*
 * weft_queue_get - take an item, waiting for one
 *
 * ret_item  out: item_size bytes
 *
 * Returns  0; -EPIPE when the queue is shut down and empty; -ECANCELED or -ETIMEDOUT when the
 *          enclosing scope ended first. Only with 0 an item was taken
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio Queue.get
 */
WEFT_WAITS int weft_queue_get(weft_queue *queue, void *ret_item);

/*
 * weft_queue_try_get - take an item if there is one
 *
 * Returns  0; -EAGAIN when the queue is empty; -EPIPE when it is shut down as well
 * Waits    no
 * Threads  any, callbacks of loops too
 * Source   asyncio Queue.get_nowait
 */
int weft_queue_try_get(weft_queue *queue, void *ret_item);

/*
 * weft_queue_get_many - take what is there, waiting for the first item
 *
 * ret_items  out: room for n items; n of at least 1
 *
 * Returns  how many were taken, 1 to n, in the queue's order; else as weft_queue_get, and none was
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   tokio's recv_many
 */
WEFT_WAITS ssize_t weft_queue_get_many(weft_queue *queue, void *ret_items, size_t n);

/*
 * weft_queue_task_done - say that the work on one item that was taken is done
 *
 * One call for each item taken; one too many aborts.
 *
 * Waits    no
 * Threads  any
 * Source   asyncio Queue.task_done
 */
void weft_queue_task_done(weft_queue *queue);

/*
 * weft_queue_join - wait until the work on all items put so far, and meanwhile, is done
 *
 * Items that are dropped need no work.
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio Queue.join
 */
WEFT_WAITS int weft_queue_join(weft_queue *queue);

/*
 * weft_queue_shutdown - accept no more items; may be repeated, also with the other mode
 *
 * mode     WEFT_DRAIN: items in the queue can still be taken; WEFT_CANCEL: they are dropped
 *
 * All puts return -EPIPE from now on, those that wait too; gets do once the queue is empty.
 *
 * Waits    no
 * Threads  any
 * Source   asyncio Queue.shutdown
 */
void weft_queue_shutdown(weft_queue *queue, weft_close_mode mode);

/*
 * weft_queue_size - how many items are in the queue
 *
 * Returns  count, as of a moment during the call
 * Waits    no
 * Threads  any
 * Source   asyncio Queue.qsize
 */
size_t weft_queue_size(weft_queue *queue);

/*
 * weft_queue_capacity - how many items fit
 *
 * Returns  count; WEFT_UNBOUNDED when there is no limit
 * Waits    no
 * Threads  any
 * Source   asyncio Queue.maxsize
 */
size_t weft_queue_capacity(const weft_queue *queue);

/*
 * weft_queue_stats_get - what a queue holds, and has seen
 *
 * Waits    no
 * Threads  any
 * Source   trio MemoryChannel statistics()
 */
void weft_queue_stats_get(weft_queue *queue, weft_queue_stats *ret_stats);

WEFT_END_DECLS

#endif
