/*
 * future.c - a result handed over once.
 *
 * Everything happens under the lock, also looking: whoever sees the result may end the future, so
 * nobody may see it while the setter still holds the lock.
 */
#include <errno.h>

#include <weft/future.h>

#include "base/assert.h"
#include "flow/waitq.h"
#include "task/task_priv.h"

struct future {
    struct weft__lock lock;
    bool done;
    int32_t result;
    struct weft__list line;
};
_Static_assert(sizeof(struct future) <= sizeof(weft_future), "weft_future is too small");

void
weft_future_open(weft_future *public)
{
    struct future *future = (struct future *)(void *)public;
    *future = (struct future){.done = false};
    weft__list_init(&future->line);
}

int
weft_future_set(weft_future *public, int result)
{
    struct future *future = (struct future *)(void *)public;
    /* Claimed waiters, chained through their messages, which nobody else uses meanwhile. */
    struct weft__waiter *claimed = NULL;
    struct weft__mpsc_node *last = NULL;

    weft__lock(&future->lock);
    if (future->done) {
        weft__unlock(&future->lock);
        return -EALREADY;
    }
    future->result = result;
    future->done = true;
    struct weft__waiter *waiter;
    while ((waiter = weft__waitq_claim(&future->line)) != NULL) {
        weft__mpsc_set_next(&waiter->message.node, NULL);
        if (last == NULL)
            claimed = waiter;
        else
            weft__mpsc_set_next(last, &waiter->message.node);
        last = &waiter->message.node;
    }
    weft__unlock(&future->lock);
    /* The future may be gone from here on. */
    while (claimed != NULL) {
        struct weft__waiter *next =
            (struct weft__waiter *)(void *)weft__mpsc_next(&claimed->message.node);
        weft__deliver(claimed, 0);
        claimed = next;
    }
    return 0;
}

int
weft_future_wait(weft_future *public, int *ret_result)
{
    struct future *future = (struct future *)(void *)public;
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    weft__lock(&future->lock);
    if (!future->done) {
        rc = weft__waitq_park(&future->line, &future->lock);
        if (rc < 0)
            return rc;
        weft__lock(&future->lock);
    }
    int result = future->result;
    weft__unlock(&future->lock);
    if (ret_result != NULL)
        *ret_result = result;
    return 0;
}

int
weft_future_done(const weft_future *public)
{
    struct future *future = (struct future *)(void *)(uintptr_t) public;
    weft__lock(&future->lock);
    bool done = future->done;
    weft__unlock(&future->lock);
    return done;
}

void
weft_future_close(weft_future *public)
{
    struct future *future = (struct future *)(void *)public;
    weft__assert(weft__list_empty(&future->line), "a future was closed while tasks wait for it");
}
