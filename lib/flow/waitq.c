/*
 * waitq.c - a cancel-safe line of waiters.
 */
#include "flow/waitq.h"

#include "task/task_priv.h"

int
weft__waitq_park(struct weft__list *line, struct weft__lock *lock)
{
    struct weft__link *link = &weft__park_arm().waiter->link;
    weft__list_push_back(line, link);
    weft__unlock(lock);
    int rc = weft__park(true);
    if (rc < 0) {
        weft__lock(lock);
        if (weft__link_on_list(link))
            weft__list_remove(link);
        weft__unlock(lock);
    }
    return rc;
}

void
weft__waitq_park_through(struct weft__list *line, struct weft__lock *lock)
{
    weft__list_push_back(line, &weft__park_arm().waiter->link);
    weft__unlock(lock);
    int woken = weft__park(false);
    (void)woken;
}

struct weft__waiter *
weft__waitq_claim(struct weft__list *line)
{
    struct weft__link *link;
    while ((link = weft__list_first(line)) != NULL) {
        struct weft__waiter *waiter = weft__container(link, struct weft__waiter, link);
        weft__prefetch_write(waiter);
        if (waiter->loop != NULL)
            weft__prefetch_write(&waiter->loop->inbox); /* where it will be sent in a moment */
        /* Off the line; that it is off is only written down for one who was cancelled, and asks. */
        line->ends.next = link->next;
        link->next->prev = &line->ends;
        if (weft__claim_present(waiter))
            return waiter;
        link->prev = link->next = NULL;
    }
    return NULL;
}
