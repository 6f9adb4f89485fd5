/*
 * queue_priv.h - what a queue is, for its calls (queue.c) and its storage (queue_store.c).
 *
 * A FIFO queue has two sides, each with a lock and cache lines of its own, so that who puts and
 * who takes on two CPUs do not fetch the same line from each other for every item: each knows a
 * count of the other side's as of some time ago, and looks again only when that says full or
 * empty. What does not concern one side alone is read under either lock and written under both.
 * Other orders use the lock of the side `in` for everything, local queues use none.
 */
#ifndef WEFT_LIB_FLOW_QUEUE_PRIV_H
#define WEFT_LIB_FLOW_QUEUE_PRIV_H

#include <string.h>

#include <weft/queue.h>

#include "base/list.h"
#include "base/lock.h"
#include "loop/waiter.h"

/* One who waits, on its own stack. Whoever takes it off the line and claims it writes the result
 * and delivers; one that could not be claimed was cancelled. */
struct weft__place {
    struct weft__link link;
    struct weft__waiter *waiter;
    struct weft__place *next; /* among those claimed, to be delivered */
    void *items; /* what a putter brings (only read then), or where a getter wants it */
    size_t n;
    ssize_t result;
};

struct weft__line {
    struct weft__list places;
    size_t n;
};

/* Figures of a heuristic, read and written without a lock: relaxed, and they pair with nothing. */
struct weft__gather {
    uint32_t skip;   /* times it is not tried now */
    uint32_t seldom; /* how many times that will be next */
};

struct weft_queue {
    /* Written under both locks, and hardly ever. */
    unsigned char *slots;
    size_t mask;      /* slots - 1; a power of two less one */
    size_t stride;    /* bytes from slot to slot */
    size_t item_size; /* constant, as are all below but `shut` */
    size_t capacity;
    struct weft_loop *loop; /* of a local queue; NULL: shared */
    weft_queue_order order;
    weft_queue_overflow overflow;
    bool shut;
    int (*compare)(const void *a, const void *b);
    void (*drop)(void *item, void *arg);
    void *drop_arg;

    char apart_[128]; /* from the line before, and its neighbour, which is fetched along with it */
    struct {
        struct weft__lock lock;
        size_t limit;       /* items that fit into the slots there are */
        uint64_t n_put;     /* FIFO: written under this lock, read by the other side */
        uint64_t gone_seen; /* out.n_gone, some time ago */
        struct weft__gather gather;
        uint64_t bottom;           /* LIFO: where the oldest item is */
        struct weft__line getters; /* not empty: no items */
    } in;
    char apart_too_[128];
    struct {
        struct weft__lock lock;
        uint64_t n_gone;   /* taken or dropped; as n_put */
        uint64_t put_seen; /* in.n_put, some time ago */
        struct weft__gather gather;
        uint64_t n_dropped;        /* of n_gone */
        uint64_t n_done;           /* of those taken */
        struct weft__line putters; /* not empty: no room */
        struct weft__line joiners;
    } out;
    char apart_still_[64];
};

static inline unsigned char *
weft__queue_slot(const struct weft_queue *queue, uint64_t at)
{
    return queue->slots + (at & queue->mask) * queue->stride;
}

/* Most items are a pointer, a number or two: copied without a call. */
static inline void
weft__queue_copy(void *to, const void *from, size_t size)
{
    if (size == 8)
        memcpy(to, from, 8);
    else if (size == 16)
        memcpy(to, from, 16);
    else if (size == 4)
        memcpy(to, from, 4);
    else
        memcpy(to, from, size);
}

/* The rest with everything locked. */

static inline size_t
weft__queue_size(const struct weft_queue *queue)
{
    return (size_t)(queue->in.n_put - queue->out.n_gone);
}

/* The counts are read without a lock by who lets some gather. */
static inline void
weft__queue_add_put(struct weft_queue *queue, uint64_t n)
{
    weft__store_release(&queue->in.n_put, queue->in.n_put + n);
}

static inline void
weft__queue_add_gone(struct weft_queue *queue, uint64_t n)
{
    weft__store_release(&queue->out.n_gone, queue->out.n_gone + n);
}

/* The first slots; capacity and stride are known. -ENOMEM. */
int weft__queue_store_open(struct weft_queue *queue);

/* As many of n items as there is room for, or as there are; how many. */
size_t weft__queue_push(struct weft_queue *queue, const void *items, size_t n);
size_t weft__queue_pop(struct weft_queue *queue, void *items, size_t n);

/* Takes the item that is longest in the queue; not for priorities, and there must be one. */
void weft__queue_pop_oldest(struct weft_queue *queue, void *item);

/* Moves all to `slots`, of which there are n, a power of two; returns the slots until now. */
unsigned char *weft__queue_move(struct weft_queue *queue, unsigned char *slots, size_t n);

/* The items of a queue with their slots, when nobody else has them any more. */
struct weft__items {
    unsigned char *slots;
    size_t mask, stride, n;
    uint64_t first;
    void (*drop)(void *item, void *arg);
    void *drop_arg;
};

/* Takes all items and the slots away; the items count as dropped. */
void weft__queue_take_away(struct weft_queue *queue, struct weft__items *items);

/* Unlocked: one by one to the drop function, and the slots back. The queue may be gone. */
void weft__items_drop(const struct weft__items *items);

#endif
