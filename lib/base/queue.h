/*
 * queue.h - the door to Concurrency Kit: many producers, one consumer, through nodes inside the
 * messages.
 *
 * A push is one compare-and-swap on a stack; the consumer takes all of it with one exchange and
 * turns it round, so messages come out in the order in which they went in. Nobody pops single
 * nodes, therefore a node may be used again as soon as it came out (no ABA).
 *
 * Push and weft__mpsc_empty are sequentially consistent towards the atomics of atomic.h: either a
 * producer that pushed sees the consumer's "I sleep", or the consumer that said so sees the push.
 */
#ifndef WEFT_LIB_BASE_QUEUE_H
#define WEFT_LIB_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include <ck_stack.h>

#include "base/atomic.h"
#include "base/list.h"

/* All zero is empty. */
struct weft__mpsc {
    ck_stack_t head;
};

struct weft__mpsc_node {
    ck_stack_entry_t entry;
};

/* On x86-64 CK's compare-and-swap is a locked instruction, which is a full barrier: nothing is
 * needed. Under ThreadSanitizer it is the compiler's, sequentially consistent one. Elsewhere
 * (aarch64) CK's orders nothing by itself and its push has a store barrier before it only: a full
 * barrier before it makes the push a release for loads too, one behind it keeps a later load of
 * the consumer's state from passing it. */
#if defined(__x86_64__) || defined(__SANITIZE_THREAD__)
#define WEFT__MPSC_BARRIER() ((void)0)
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT__MPSC_BARRIER() ((void)0)
#endif
#endif
#ifndef WEFT__MPSC_BARRIER
#define WEFT__MPSC_BARRIER() ck_pr_fence_strict_memory()
#endif

/* From any thread. The node belongs to the consumer from here on. */
static inline void
weft__mpsc_push(struct weft__mpsc *queue, struct weft__mpsc_node *node)
{
    WEFT__MPSC_BARRIER();
    weft__prefetch_write(&queue->head);
    /* pairs with the exchange in weft__mpsc_take_all_fifo and the load in weft__mpsc_empty */
    ck_stack_push_upmc(&queue->head, &node->entry);
    WEFT__MPSC_BARRIER();
}

/* The same for several, chained from the last to come out to the first with
 * weft__mpsc_set_next: `newest` is the one taken last. */
static inline void
weft__mpsc_push_chain(struct weft__mpsc *queue, struct weft__mpsc_node *newest,
                      struct weft__mpsc_node *oldest)
{
    struct ck_stack_entry *head;
    do {
        head = weft__load(&queue->head.head);
        oldest->entry.next = head;
    } while (!weft__cas(&queue->head.head, head, &newest->entry)); /* pairs as in the push */
}

/* Whether nothing is there. A plain load of CK's could pass an earlier store of the caller's. */
static inline bool
weft__mpsc_empty(const struct weft__mpsc *queue)
{
    return weft__load(&queue->head.head) == NULL; /* pairs with the push */
}

/* What came after this node in the list that weft__mpsc_take_all_fifo gave, or NULL. To be asked
 * before the message is given away. */
static inline struct weft__mpsc_node *
weft__mpsc_next(const struct weft__mpsc_node *node)
{
    ck_stack_entry_t *next = node->entry.next;
    return next == NULL ? NULL : weft__container(next, struct weft__mpsc_node, entry);
}

/* Consumer only: changes what comes after a node of a list it has taken. */
static inline void
weft__mpsc_set_next(struct weft__mpsc_node *node, struct weft__mpsc_node *next)
{
    node->entry.next = next == NULL ? NULL : &next->entry;
}

/* Consumer only: all that is there, oldest first, or NULL. */
static inline struct weft__mpsc_node *
weft__mpsc_take_all_fifo(struct weft__mpsc *queue)
{
    if (weft__mpsc_empty(queue))
        return NULL;
    /* pairs with the compare-and-swap in weft__mpsc_push */
    ck_stack_entry_t *newest = ck_stack_batch_pop_upmc(&queue->head);
    ck_stack_entry_t *oldest = NULL;
    weft__prefetch_write(newest);
    while (newest != NULL) {
        ck_stack_entry_t *older = newest->next;
        weft__prefetch_write(older); /* its line comes from the producer's core */
        newest->next = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest == NULL ? NULL : weft__container(oldest, struct weft__mpsc_node, entry);
}

#endif
