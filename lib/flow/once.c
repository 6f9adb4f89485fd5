/*
 * once.c - a function that is called until it has succeeded once.
 *
 * Whoever comes first runs it, the others wait. When it fails, its caller gets the failure and the
 * oldest waiter runs it next. All zero is a flag that nobody has come to yet, so it needs no
 * opening and can be static.
 */
#include <weft/sync.h>

#include "base/assert.h"
#include "flow/claimed.h"
#include "flow/holder.h"
#include "flow/waitq.h"

struct once {
    struct weft__lock lock;
    uint32_t done;
    int32_t result;                    /* of the success; written before `done` */
    const struct weft__waiter *runner; /* who runs the function; NULL: nobody, or done */
    struct weft__list line;            /* initialised by the first runner */
};
_Static_assert(sizeof(struct once) <= sizeof(weft_once_flag), "weft_once_flag is too small");

/* What waiters are woken with: not negative, which would be a cancellation. */
enum { IS_DONE, YOUR_TURN };

/* Whether the caller is to run the function: 1, or 0 when it is done; negative: cancelled. */
static int
become_runner(struct once *once, const struct weft__waiter *self)
{
    weft__lock(&once->lock);
    if (once->done) {
        weft__unlock(&once->lock);
        return IS_DONE;
    }
    weft__assert(once->runner != self, "weft_once was called from inside its own function");
    if (once->line.ends.next == NULL)
        weft__list_init(&once->line);
    if (once->runner == NULL) {
        once->runner = self;
        weft__unlock(&once->lock);
        return YOUR_TURN;
    }
    weft__waits_for("once", once);
    return weft__waitq_park(&once->line, &once->lock); /* unlocks once in line */
}

static void
succeed(struct once *once, int result)
{
    struct weft__claimed claimed = {.first = NULL};
    struct weft__waiter *waiter;
    weft__lock(&once->lock);
    once->result = result;
    once->runner = NULL;
    weft__store(&once->done, 1); /* pairs with the load in weft_once */
    while ((waiter = weft__waitq_claim(&once->line)) != NULL)
        weft__claimed_add(&claimed, waiter);
    weft__unlock(&once->lock);
    weft__claimed_deliver(&claimed, IS_DONE);
}

static void
fail(struct once *once)
{
    weft__lock(&once->lock);
    struct weft__waiter *next = weft__waitq_claim(&once->line);
    once->runner = next;
    weft__unlock(&once->lock);
    if (next != NULL)
        weft__deliver(next, YOUR_TURN);
}

int
weft_once(weft_once_flag *public, weft_task_fn *fn, void *arg)
{
    struct once *once = (struct once *)(void *)public;
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    if (weft__load(&once->done)) /* pairs with the store in succeed */
        return once->result;
    rc = become_runner(once, weft__holder_self().waiter);
    if (rc < 0)
        return rc;
    if (rc == IS_DONE)
        return once->result;
    rc = fn(arg);
    if (rc >= 0)
        succeed(once, rc);
    else
        fail(once);
    return rc;
}

int
weft_once_done(const weft_once_flag *public)
{
    return weft__load(&((struct once *)(void *)(uintptr_t) public)->done) != 0;
}
