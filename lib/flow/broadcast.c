/*
 * broadcast.c - every subscriber gets every item, as far as it keeps up.
 *
 * Items are numbered and kept once, in a ring; a subscription is the number of the item it takes
 * next. Where senders wait for the slowest, each item counts who has yet to take it; subscribers
 * take in order, so items become free in order. As in a channel, nobody waits for an item while
 * there is one, and no sender waits while there is room.
 */
#include <errno.h>
#include <string.h>

#include <weft/broadcast.h>
#include <weft/task.h>

#include "base/assert.h"
#include "base/mem.h"
#include "flow/select_priv.h"
#include "task/task_priv.h"

#define CAPACITY 16 /* unless the options say otherwise */

struct weft_broadcast {
    struct weft__lock lock;
    bool drops;
    bool closed;
    size_t item_size;
    size_t capacity;
    uint64_t next;   /* number of the item that comes next */
    uint64_t oldest; /* if senders wait: the first that somebody has yet to take */
    struct weft__list subscriptions;
    struct weft__list senders; /* in line */
    uint32_t *left;            /* of each item in the ring: who has yet to take it */
    unsigned char *ring;
};

struct subscription {
    struct weft_broadcast *broadcast;
    struct weft__link link;
    uint64_t next; /* number of the item to be taken next */
    struct weft__list receivers;
};
_Static_assert(sizeof(struct subscription) <= sizeof(weft_subscription),
               "weft_subscription is too small");

static void
copy(void *to, const void *from, size_t size)
{
    if (size > 0)
        memcpy(to, from, size);
}

static inline void *
slot(struct weft_broadcast *broadcast, uint64_t number)
{
    return broadcast->ring + (number % broadcast->capacity) * broadcast->item_size;
}

static inline uint32_t *
left(struct weft_broadcast *broadcast, uint64_t number)
{
    return &broadcast->left[number % broadcast->capacity];
}

/* ---- Under the lock: whoever is claimed is served, and delivered to after it ----------------- */

/* There is room. Subscribers that wait get the item at once, the others find it in the ring. */
static void
store(struct weft_broadcast *broadcast, const void *item, struct weft__list *claimed)
{
    uint32_t readers = 0;
    uint64_t number = broadcast->next++;
    weft__list_foreach(link, &broadcast->subscriptions)
    {
        struct subscription *subscription = weft__container(link, struct subscription, link);
        struct weft__stand *stand = weft__stand_claim(&subscription->receivers);
        if (stand == NULL) {
            readers++;
            continue;
        }
        copy(stand->item, item, broadcast->item_size);
        subscription->next = number + 1;
        weft__list_push_back(claimed, &stand->link);
    }
    *left(broadcast, number) = readers;
    if (readers > 0)
        copy(slot(broadcast, number), item, broadcast->item_size);
}

static bool
has_room(struct weft_broadcast *broadcast)
{
    if (broadcast->drops)
        return true;
    while (broadcast->oldest < broadcast->next && *left(broadcast, broadcast->oldest) == 0)
        broadcast->oldest++;
    return broadcast->next - broadcast->oldest < broadcast->capacity;
}

/* Items may have become free: senders in line put theirs in. */
static void
admit(struct weft_broadcast *broadcast, struct weft__list *claimed)
{
    struct weft__stand *stand;
    while (has_room(broadcast) && (stand = weft__stand_claim(&broadcast->senders)) != NULL) {
        store(broadcast, stand->item, claimed);
        weft__list_push_back(claimed, &stand->link);
    }
}

static int
put(struct weft_broadcast *broadcast, const void *item, struct weft__list *claimed)
{
    if (broadcast->closed)
        return -EPIPE;
    if (!has_room(broadcast))
        return -EAGAIN;
    store(broadcast, item, claimed);
    return 0;
}

static int
take(struct subscription *subscription, void *ret_item, uint64_t *ret_missed,
     struct weft__list *claimed)
{
    struct weft_broadcast *broadcast = subscription->broadcast;
    uint64_t lag = broadcast->next - subscription->next;
    if (lag == 0)
        return broadcast->closed ? -EPIPE : -EAGAIN;
    uint64_t missed = lag > broadcast->capacity ? lag - broadcast->capacity : 0;
    uint64_t number = subscription->next + missed;
    copy(ret_item, slot(broadcast, number), broadcast->item_size);
    subscription->next = number + 1;
    if (ret_missed != NULL)
        *ret_missed = missed;
    if (!broadcast->drops && --*left(broadcast, number) == 0)
        admit(broadcast, claimed);
    return 0;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static inline int
begin(void)
{
    return weft__task_self() != NULL ? weft_checkpoint() : weft__wait_begin();
}

/* With the lock: gets in line, unlocks, suspends. */
static int
stand_in(struct weft_broadcast *broadcast, struct weft__list *line, void *item)
{
    struct weft__stand stand = {.waiter = weft__park_arm().waiter, .item = item};
    weft__stand_enter(&stand, line);
    weft__unlock(&broadcast->lock);
    weft__waits_for("broadcast", broadcast);
    int rc = weft__park(true);
    if (rc < 0) {
        weft__stand_leave(&stand, &broadcast->lock);
        return rc;
    }
    return stand.status;
}

static int
send_or_stand(struct weft_broadcast *broadcast, const void *item, bool wait)
{
    struct weft__list claimed;
    weft__list_init(&claimed);
    weft__lock(&broadcast->lock);
    int rc = put(broadcast, item, &claimed);
    if (rc == -EAGAIN && wait)
        return stand_in(broadcast, &broadcast->senders, (void *)(uintptr_t)item);
    weft__unlock(&broadcast->lock);
    weft__stand_deliver_all(&claimed, 0);
    return rc;
}

int
weft_broadcast_send(weft_broadcast *broadcast, const void *item)
{
    int rc = begin();
    return rc < 0 ? rc : send_or_stand(broadcast, item, true);
}

int
weft_broadcast_try_send(weft_broadcast *broadcast, const void *item)
{
    return send_or_stand(broadcast, item, false);
}

static int
recv_or_stand(struct subscription *subscription, void *ret_item, uint64_t *ret_missed, bool wait)
{
    struct weft_broadcast *broadcast = subscription->broadcast;
    struct weft__list claimed;
    weft__list_init(&claimed);
    weft__lock(&broadcast->lock);
    int rc = take(subscription, ret_item, ret_missed, &claimed);
    if (rc == -EAGAIN && wait) {
        rc = stand_in(broadcast, &subscription->receivers, ret_item);
        if (rc == 0 && ret_missed != NULL)
            *ret_missed = 0; /* it was given the item the moment it was sent */
        return rc;
    }
    weft__unlock(&broadcast->lock);
    weft__stand_deliver_all(&claimed, 0);
    return rc;
}

int
weft_subscription_recv(weft_subscription *public, void *ret_item, uint64_t *ret_missed)
{
    int rc = begin();
    return rc < 0
               ? rc
               : recv_or_stand((struct subscription *)(void *)public, ret_item, ret_missed, true);
}

int
weft_subscription_try_recv(weft_subscription *public, void *ret_item, uint64_t *ret_missed)
{
    return recv_or_stand((struct subscription *)(void *)public, ret_item, ret_missed, false);
}

int
weft_broadcast_subscribe(weft_broadcast *broadcast, weft_subscription *public)
{
    struct subscription *subscription = (struct subscription *)(void *)public;
    weft__lock(&broadcast->lock);
    int rc = broadcast->closed ? -EPIPE : 0;
    if (rc == 0) {
        *subscription = (struct subscription){.broadcast = broadcast, .next = broadcast->next};
        weft__list_init(&subscription->receivers);
        weft__list_push_back(&broadcast->subscriptions, &subscription->link);
    }
    weft__unlock(&broadcast->lock);
    return rc;
}

void
weft_unsubscribe(weft_subscription *public)
{
    struct subscription *subscription = (struct subscription *)(void *)public;
    struct weft_broadcast *broadcast = subscription->broadcast;
    struct weft__list claimed;
    weft__list_init(&claimed);
    weft__lock(&broadcast->lock);
    bool idle = weft__list_empty(&subscription->receivers);
    weft__list_remove(&subscription->link);
    if (!broadcast->drops) {
        for (uint64_t number = subscription->next; number < broadcast->next; number++)
            --*left(broadcast, number);
        admit(broadcast, &claimed);
    }
    weft__unlock(&broadcast->lock);
    weft__assert(idle, "a subscription was ended while somebody waits for it");
    weft__stand_deliver_all(&claimed, 0);
}

void
weft_broadcast_close(weft_broadcast *broadcast)
{
    struct weft__list claimed;
    weft__list_init(&claimed);
    weft__lock(&broadcast->lock);
    broadcast->closed = true;
    weft__list_foreach(link, &broadcast->subscriptions) weft__stand_claim_all(
        &weft__container(link, struct subscription, link)->receivers, &claimed);
    weft__stand_claim_all(&broadcast->senders, &claimed);
    weft__unlock(&broadcast->lock);
    weft__stand_deliver_all(&claimed, -EPIPE);
}

int
weft_broadcast_new(weft_broadcast **ret_broadcast, size_t item_size,
                   const weft_broadcast_options *options)
{
    size_t capacity = options != NULL && options->capacity > 0 ? options->capacity : CAPACITY;
    weft_lag lag = options != NULL ? options->lag : WEFT_LAG_WAITS;
    if (lag != WEFT_LAG_WAITS && lag != WEFT_LAG_DROPS)
        return -EINVAL;
    size_t counts, bytes;
    if (__builtin_mul_overflow(capacity, sizeof(uint32_t), &counts) ||
        __builtin_mul_overflow(capacity, item_size, &bytes) ||
        __builtin_add_overflow(bytes, counts, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(weft_broadcast), &bytes))
        return -EOVERFLOW;
    weft_broadcast *broadcast = weft__alloc_zeroed(bytes);
    if (broadcast == NULL)
        return -ENOMEM;
    broadcast->drops = lag == WEFT_LAG_DROPS;
    broadcast->item_size = item_size;
    broadcast->capacity = capacity;
    broadcast->left = (uint32_t *)(void *)(broadcast + 1);
    broadcast->ring = (unsigned char *)(broadcast->left + capacity);
    weft__list_init(&broadcast->subscriptions);
    weft__list_init(&broadcast->senders);
    *ret_broadcast = broadcast;
    return 0;
}

void
weft_broadcast_free(weft_broadcast *broadcast)
{
    if (broadcast == NULL)
        return;
    weft__lock(&broadcast->lock);
    bool idle =
        weft__list_empty(&broadcast->subscriptions) && weft__list_empty(&broadcast->senders);
    weft__unlock(&broadcast->lock);
    weft__assert(idle, "a broadcast was freed while it has subscribers, or senders that wait");
    weft__free(broadcast);
}

/* ---- As a branch of a select ----------------------------------------------------------------- */

static int
case_take(struct weft__case *branch)
{
    branch->result = recv_or_stand(branch->object, branch->stand.item, branch->extra, false);
    return branch->result == -EAGAIN ? -EAGAIN : 0;
}

static unsigned
case_locks(struct weft__case *branch, struct weft__lock *locks[2])
{
    locks[0] = &((struct subscription *)branch->object)->broadcast->lock;
    return 1;
}

static struct weft__list *
case_claimed(struct weft__case *branch)
{
    _Static_assert(sizeof(struct weft__list) <= sizeof branch->own, "a case must hold a list");
    return (struct weft__list *)(void *)branch->own;
}

static int
case_take_locked(struct weft__case *branch)
{
    weft__list_init(case_claimed(branch));
    branch->result = take(branch->object, branch->stand.item, branch->extra, case_claimed(branch));
    return branch->result == -EAGAIN ? -EAGAIN : 0;
}

static void
case_after(struct weft__case *branch)
{
    weft__stand_deliver_all(case_claimed(branch), 0);
}

static void
case_enter(struct weft__case *branch)
{
    weft__stand_enter(&branch->stand, &((struct subscription *)branch->object)->receivers);
}

static void
case_leave(struct weft__case *branch)
{
    weft__stand_leave(&branch->stand, &((struct subscription *)branch->object)->broadcast->lock);
}

static void
case_served(struct weft__case *branch)
{
    if (branch->result == 0 && branch->extra != NULL)
        *(uint64_t *)branch->extra = 0;
}

static const struct weft__case_kind subscription_kind = {
    .take = case_take,
    .locks = case_locks,
    .take_locked = case_take_locked,
    .after = case_after,
    .enter = case_enter,
    .served = case_served,
    .leave = case_leave,
};

weft_case
weft_case_subscription(weft_subscription *subscription, void *ret_item, uint64_t *ret_missed)
{
    weft_case public;
    weft__case_init(&public, &subscription_kind, subscription, ret_item, ret_missed);
    return public;
}
