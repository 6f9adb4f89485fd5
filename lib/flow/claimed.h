/*
 * claimed.h - waiters claimed under a lock, to be woken after it: a chain in order of claiming.
 *
 * It goes through their messages, which nobody uses between claim and delivery.
 */
#ifndef WEFT_LIB_FLOW_CLAIMED_H
#define WEFT_LIB_FLOW_CLAIMED_H

#include "loop/waiter.h"

/* All zero is empty. */
struct weft__claimed {
    struct weft__waiter *first;
    struct weft__waiter *last;
};

static inline void
weft__claimed_add(struct weft__claimed *claimed, struct weft__waiter *waiter)
{
    weft__mpsc_set_next(&waiter->message.node, NULL);
    if (claimed->first == NULL)
        claimed->first = waiter;
    else
        weft__mpsc_set_next(&claimed->last->message.node, &waiter->message.node);
    claimed->last = waiter;
}

/* Hands all of them the result. What they waited for may be gone from the first one on. */
static inline void
weft__claimed_deliver(const struct weft__claimed *claimed, int result)
{
    struct weft__waiter *waiter = claimed->first;
    while (waiter != NULL) {
        struct weft__waiter *next =
            (struct weft__waiter *)(void *)weft__mpsc_next(&waiter->message.node);
        weft__deliver(waiter, result);
        waiter = next;
    }
}

#endif
