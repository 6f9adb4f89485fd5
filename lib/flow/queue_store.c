/*
 * queue_store.c - where the items of a queue are: a ring, or a heap for priorities.
 *
 * In a FIFO ring the counts of items put and gone are the places. LIFO takes from the end where
 * it puts; its bottom moves only when the oldest is dropped. A slot of the heap has the item's
 * number behind it, so that equals come out in the order in which they went in.
 */
#include <errno.h>

#include "base/mem.h"
#include "flow/queue_priv.h"

#define UNBOUNDED_AT_FIRST 64
#define NUMBER_BYTES sizeof(uint64_t)

int
weft__queue_store_open(struct weft_queue *queue)
{
    size_t align = 2 * sizeof(void *); /* what malloc gives: compare functions get slots */
    queue->stride = queue->item_size;
    if (queue->order == WEFT_PRIORITY)
        queue->stride = (queue->item_size + NUMBER_BYTES + align - 1) / align * align;

    size_t want = queue->capacity != WEFT_UNBOUNDED ? queue->capacity : UNBOUNDED_AT_FIRST;
    size_t n = 1;
    while (n < want)
        n *= 2;
    queue->slots = weft__alloc(n * queue->stride);
    if (queue->slots == NULL)
        return -ENOMEM;
    queue->mask = n - 1;
    queue->in.limit = want;
    return 0;
}

/* ---- The heap ------------------------------------------------------------------------------- */

static uint64_t
number_of(const struct weft_queue *queue, const unsigned char *slot)
{
    uint64_t number;
    memcpy(&number, slot + queue->stride - NUMBER_BYTES, sizeof number);
    return number;
}

/* Whether item a, with its number, comes before the one in a slot. */
static bool
comes_before(const struct weft_queue *queue, const void *a, uint64_t number,
             const unsigned char *slot)
{
    if (queue->compare != NULL) {
        int order = queue->compare(a, slot);
        return order != 0 ? order < 0 : number < number_of(queue, slot);
    }
    int64_t key, other;
    memcpy(&key, a, sizeof key);
    memcpy(&other, slot, sizeof other);
    return key != other ? key < other : number < number_of(queue, slot);
}

static void
heap_push(struct weft_queue *queue, const void *item)
{
    uint64_t number = queue->in.n_put;
    size_t at = weft__queue_size(queue);
    while (at > 0) {
        unsigned char *parent = weft__queue_slot(queue, (at - 1) / 2);
        if (!comes_before(queue, item, number, parent))
            break;
        memcpy(weft__queue_slot(queue, at), parent, queue->stride);
        at = (at - 1) / 2;
    }
    unsigned char *slot = weft__queue_slot(queue, at);
    weft__queue_copy(slot, item, queue->item_size);
    memcpy(slot + queue->stride - NUMBER_BYTES, &number, sizeof number);
}

static void
heap_pop(struct weft_queue *queue, void *item)
{
    weft__queue_copy(item, weft__queue_slot(queue, 0), queue->item_size);
    /* The hole sinks to where the last one fits. */
    size_t n = weft__queue_size(queue) - 1;
    const unsigned char *last = weft__queue_slot(queue, n);
    uint64_t number = number_of(queue, last);
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n)
            break;
        unsigned char *first = weft__queue_slot(queue, child);
        if (child + 1 < n) {
            unsigned char *second = weft__queue_slot(queue, child + 1);
            if (comes_before(queue, second, number_of(queue, second), first)) {
                first = second;
                child++;
            }
        }
        if (comes_before(queue, last, number, first))
            break;
        memcpy(weft__queue_slot(queue, at), first, queue->stride);
        at = child;
    }
    if (at != n)
        memcpy(weft__queue_slot(queue, at), last, queue->stride);
}

/* ---- All orders ----------------------------------------------------------------------------- */

size_t
weft__queue_push(struct weft_queue *queue, const void *items, size_t n)
{
    const unsigned char *item = items;
    size_t room = queue->in.limit - weft__queue_size(queue);
    n = n < room ? n : room;
    for (size_t i = 0; i < n; i++, item += queue->item_size) {
        if (queue->order == WEFT_PRIORITY)
            heap_push(queue, item);
        else if (queue->order == WEFT_LIFO)
            weft__queue_copy(weft__queue_slot(queue, queue->in.bottom + weft__queue_size(queue)),
                             item, queue->item_size);
        else
            weft__queue_copy(weft__queue_slot(queue, queue->in.n_put), item, queue->item_size);
        weft__queue_add_put(queue, 1);
    }
    return n;
}

size_t
weft__queue_pop(struct weft_queue *queue, void *items, size_t n)
{
    unsigned char *item = items;
    size_t size = weft__queue_size(queue);
    n = n < size ? n : size;
    for (size_t i = 0; i < n; i++, item += queue->item_size) {
        if (queue->order == WEFT_PRIORITY)
            heap_pop(queue, item);
        else if (queue->order == WEFT_LIFO)
            weft__queue_copy(
                item, weft__queue_slot(queue, queue->in.bottom + weft__queue_size(queue) - 1),
                queue->item_size);
        else
            weft__queue_copy(item, weft__queue_slot(queue, queue->out.n_gone), queue->item_size);
        weft__queue_add_gone(queue, 1);
    }
    return n;
}

void
weft__queue_pop_oldest(struct weft_queue *queue, void *item)
{
    uint64_t oldest = queue->order == WEFT_LIFO ? queue->in.bottom++ : queue->out.n_gone;
    weft__queue_copy(item, weft__queue_slot(queue, oldest), queue->item_size);
    weft__queue_add_gone(queue, 1);
}

/* Where the oldest item is; of priorities, the first slot in use. */
static uint64_t
first_at(const struct weft_queue *queue)
{
    return queue->order == WEFT_FIFO   ? queue->out.n_gone
           : queue->order == WEFT_LIFO ? queue->in.bottom
                                       : 0;
}

unsigned char *
weft__queue_move(struct weft_queue *queue, unsigned char *slots, size_t n)
{
    size_t size = weft__queue_size(queue);
    uint64_t first = first_at(queue);
    for (uint64_t at = first; at != first + size; at++)
        memcpy(slots + (at & (n - 1)) * queue->stride, weft__queue_slot(queue, at), queue->stride);
    unsigned char *before = queue->slots;
    queue->slots = slots;
    queue->mask = n - 1;
    queue->in.limit = n;
    return before;
}

void
weft__queue_take_away(struct weft_queue *queue, struct weft__items *items)
{
    *items = (struct weft__items){
        .slots = queue->slots,
        .mask = queue->mask,
        .stride = queue->stride,
        .n = weft__queue_size(queue),
        .first = first_at(queue),
        .drop = queue->drop,
        .drop_arg = queue->drop_arg,
    };
    queue->slots = NULL;
    queue->out.n_dropped += items->n;
    weft__queue_add_gone(queue, items->n);
}

void
weft__items_drop(const struct weft__items *items)
{
    if (items->drop != NULL)
        for (uint64_t at = items->first; at != items->first + items->n; at++)
            items->drop(items->slots + (at & items->mask) * items->stride, items->drop_arg);
    weft__free(items->slots);
}
