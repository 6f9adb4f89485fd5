/*
 * cond.c - waiting, with a mutex given back meanwhile, until somebody says that something changed.
 *
 * A waiter is in line before it unlocks the mutex, so who changes something under the mutex and
 * notifies finds it there. A notification claims those who are in line at that moment: it passes
 * over who was cancelled, nobody who comes later can take it, and who was claimed returns 0 even
 * if it is cancelled while it waits for the mutex again.
 */
#include <weft/sync.h>

#include "base/assert.h"
#include "flow/claimed.h"
#include "flow/mutex_priv.h"
#include "flow/waitq.h"
#include "task/task_priv.h"

struct cond {
    struct weft__lock lock;
    weft_mutex *mutex; /* of those in line */
    struct weft__list line;
};
_Static_assert(sizeof(struct cond) <= sizeof(weft_cond), "weft_cond is too small");

static inline struct cond *
cond_of(weft_cond *public)
{
    return (struct cond *)(void *)public;
}

void
weft_cond_open(weft_cond *public)
{
    struct cond *cond = cond_of(public);
    *cond = (struct cond){.mutex = NULL};
    weft__list_init(&cond->line);
}

int
weft_cond_wait(weft_cond *public, weft_mutex *mutex)
{
    struct cond *cond = cond_of(public);
    weft__assert(weft__mutex_is_mine(mutex), "who waits for a condition holds its mutex");
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    struct weft__link *link = &weft__park_arm().waiter->link;
    weft__lock(&cond->lock);
    weft__assert(weft__list_empty(&cond->line) || cond->mutex == mutex,
                 "all who wait for a condition at once hold the same mutex");
    cond->mutex = mutex;
    weft__list_push_back(&cond->line, link);
    weft__unlock(&cond->lock);
    weft_mutex_unlock(mutex);
    weft__waits_for("condition", public);
    rc = weft__park(true);
    if (rc < 0) {
        weft__lock(&cond->lock);
        if (weft__link_on_list(link))
            weft__list_remove(link);
        weft__unlock(&cond->lock);
    }
    weft__mutex_lock_through(mutex);
    return rc;
}

int
weft_cond_wait_for(weft_cond *cond, weft_mutex *mutex, int (*holds)(void *arg), void *arg)
{
    weft__assert(weft__mutex_is_mine(mutex), "who waits for a condition holds its mutex");
    int rc = weft__wait_begin();
    while (rc == 0 && !holds(arg))
        rc = weft_cond_wait(cond, mutex);
    return rc;
}

unsigned
weft_cond_notify_n(weft_cond *public, unsigned n)
{
    struct cond *cond = cond_of(public);
    struct weft__claimed claimed = {.first = NULL};
    unsigned woken = 0;
    weft__lock(&cond->lock);
    for (; woken < n; woken++) {
        struct weft__waiter *waiter = weft__waitq_claim(&cond->line);
        if (waiter == NULL)
            break;
        weft__claimed_add(&claimed, waiter);
    }
    weft__unlock(&cond->lock);
    weft__claimed_deliver(&claimed, 0);
    return woken;
}

unsigned
weft_cond_notify(weft_cond *cond)
{
    return weft_cond_notify_n(cond, 1);
}

unsigned
weft_cond_notify_all(weft_cond *cond)
{
    return weft_cond_notify_n(cond, UINT32_MAX);
}

void
weft_cond_close(weft_cond *public)
{
    struct cond *cond = cond_of(public);
    weft__lock(&cond->lock);
    bool waited = !weft__list_empty(&cond->line);
    weft__unlock(&cond->lock);
    weft__assert(!waited, "a condition was closed while tasks wait for it");
}
