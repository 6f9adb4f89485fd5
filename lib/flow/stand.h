/*
 * stand.h - a place in a line, on the stack of who waits, with where the item is or shall go.
 *
 * A waiter has one link of its own; a stand is for those that stand in several lines at once, or
 * wait with something in their hands. The rules are those of waitq.h: claimed under the lock of the
 * line, served and delivered after it. Who is claimed does not move until it is delivered to, so
 * its stand and its item can be used meanwhile; of a stand whose waiter could not be claimed
 * nothing may be touched once the lock is given back.
 */
#ifndef WEFT_LIB_FLOW_STAND_H
#define WEFT_LIB_FLOW_STAND_H

#include "base/list.h"
#include "base/lock.h"
#include "loop/waiter.h"

struct weft__stand {
    struct weft__link link;
    struct weft__waiter *waiter;
    void *item;     /* what is given, or where it goes */
    int32_t woken;  /* what waking says: 0, or which branch of a select this is */
    int32_t status; /* out, before waking: how it went */
};

static inline void
weft__stand_enter(struct weft__stand *stand, struct weft__list *line)
{
    weft__list_push_back(line, &stand->link);
}

/* With the lock of the line held: the first one that can still be woken, off the line and claimed;
 * NULL when there is none. */
static inline struct weft__stand *
weft__stand_claim(struct weft__list *line)
{
    struct weft__link *link;
    while ((link = weft__list_pop_front(line)) != NULL) {
        struct weft__stand *stand = weft__container(link, struct weft__stand, link);
        if (weft__claim_present(stand->waiter))
            return stand;
    }
    return NULL;
}

/* The same for all of them, onto a list of the caller's. */
static inline void
weft__stand_claim_all(struct weft__list *line, struct weft__list *claimed)
{
    struct weft__stand *stand;
    while ((stand = weft__stand_claim(line)) != NULL)
        weft__list_push_back(claimed, &stand->link);
}

/* Without the lock: wakes one that was claimed. Neither it nor what it waited for may be there any
 * more when this returns. */
static inline void
weft__stand_deliver(struct weft__stand *stand, int status)
{
    stand->status = status;
    weft__deliver(stand->waiter, stand->woken);
}

static inline void
weft__stand_deliver_all(struct weft__list *claimed, int status)
{
    struct weft__link *link;
    while ((link = weft__list_pop_front(claimed)) != NULL)
        weft__stand_deliver(weft__container(link, struct weft__stand, link), status);
}

/* Takes one that was not served off its line, if nobody has. */
static inline void
weft__stand_leave(struct weft__stand *stand, struct weft__lock *lock)
{
    weft__lock(lock);
    if (weft__link_on_list(&stand->link))
        weft__list_remove(&stand->link);
    weft__unlock(lock);
}

#endif
