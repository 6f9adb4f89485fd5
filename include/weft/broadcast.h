/*
 * broadcast.h - every subscriber gets every item, as far as it keeps up.
 *
 * The last `capacity` items are kept once, for all. A subscriber that lags behind by more either
 * holds the senders up or misses the oldest and is told how many: that is the broadcast's choice.
 */
#ifndef WEFT_BROADCAST_H
#define WEFT_BROADCAST_H

#include <weft/base.h>

typedef struct weft_broadcast weft_broadcast;

/* In the caller's memory, from subscribe to unsubscribe; it must not move. */
typedef struct weft_subscription {
    uint64_t opaque_[8];
} weft_subscription;

/* What a send does when a subscriber has all of `capacity` items still to take. */
typedef enum weft_lag {
    WEFT_LAG_WAITS = 0, /* it waits for that subscriber: nobody misses anything */
    WEFT_LAG_DROPS = 1  /* it never waits: that subscriber misses its oldest item */
} weft_lag;

typedef struct weft_broadcast_options {
    size_t capacity; /* items a subscriber may lag behind; 0: 16 */
    weft_lag lag;
} weft_broadcast_options;

WEFT_BEGIN_DECLS

/*
 * weft_broadcast_new - make a broadcast
 *
 * ret_broadcast  out
 * item_size      bytes of an item, copied in and out; may be 0
 * options        NULL for the defaults
 *
 * Returns  0; -ENOMEM; -EINVAL for an unknown lag; -EOVERFLOW when the sizes pass SIZE_MAX
 * Waits    no
 * Threads  any
 * Source   tokio::sync::broadcast
 */
int weft_broadcast_new(weft_broadcast **ret_broadcast, size_t item_size,
                       const weft_broadcast_options *options);

/*
 * weft_broadcast_subscribe - get every item from now on
 *
 * subscription  the caller's memory; ended by weft_unsubscribe
 *
 * Returns  0; -EPIPE when the broadcast is closed (nothing is to be ended then)
 * Waits    no
 * Threads  any
 * Source   tokio broadcast::Sender::subscribe
 */
int weft_broadcast_subscribe(weft_broadcast *broadcast, weft_subscription *subscription);

/*
 * weft_unsubscribe - get no more; what was not taken yet holds no sender up any more
 *
 * Waits    no
 * Threads  any, once nobody waits for the subscription
 * Source   weft
 */
void weft_unsubscribe(weft_subscription *subscription);

/*
 * weft_broadcast_send - give an item to all subscribers there are
 *
 * Returns  0, also when nobody has subscribed; -EPIPE when closed; -ECANCELED or -ETIMEDOUT when
 *          the enclosing scope ended first. Unless the result is 0 nobody gets the item
 * Waits    yes, with WEFT_LAG_WAITS for the slowest subscriber; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   tokio broadcast::Sender::send; anyio memory streams
 */
WEFT_WAITS int weft_broadcast_send(weft_broadcast *broadcast, const void *item);

/*
 * weft_broadcast_try_send - the same if nobody lags too far behind
 *
 * Returns  0; -EAGAIN; -EPIPE as weft_broadcast_send
 * Waits    no
 * Threads  any; callbacks of a loop as well
 * Source   tokio broadcast::Sender::send
 */
int weft_broadcast_try_send(weft_broadcast *broadcast, const void *item);

/*
 * weft_subscription_recv - take a subscriber's next item, waiting for one
 *
 * ret_item    out: written only when the result is 0
 * ret_missed  out, likewise: how many items before this one were lost to this subscriber; 0 with
 *             WEFT_LAG_WAITS. May be NULL
 *
 * Several tasks may share a subscription: each item goes to one of them.
 *
 * Returns  0; -EPIPE: the broadcast is closed and all there was has been taken; -ECANCELED or
 *          -ETIMEDOUT when the enclosing scope ended first: no item was taken
 * Waits    yes; looks for cancellation first, even when an item is there
 * Threads  tasks of any loop, and plain threads
 * Source   tokio broadcast::Receiver::recv, with the count of RecvError::Lagged
 */
WEFT_WAITS int weft_subscription_recv(weft_subscription *subscription, void *ret_item,
                                      uint64_t *ret_missed);

/*
 * weft_subscription_try_recv - take a subscriber's next item if there is one
 *
 * Returns  0; -EAGAIN; -EPIPE as weft_subscription_recv
 * Waits    no
 * Threads  any; callbacks of a loop as well
 * Source   tokio broadcast::Receiver::try_recv
 */
int weft_subscription_try_recv(weft_subscription *subscription, void *ret_item,
                               uint64_t *ret_missed);

/*
 * weft_broadcast_close - let no more items in
 *
 * Senders get -EPIPE, those that wait included; subscribers do after what is left for them.
 * Idempotent.
 *
 * Waits    no
 * Threads  any; callbacks of a loop as well
 * Source   dropping the last tokio broadcast::Sender
 */
void weft_broadcast_close(weft_broadcast *broadcast);

/*
 * weft_broadcast_free - end a broadcast without subscribers
 *
 * broadcast  may be NULL
 *
 * Waits    no
 * Threads  any, after all other calls have returned
 * Source   weft
 */
void weft_broadcast_free(weft_broadcast *broadcast);

WEFT_END_DECLS

#endif
