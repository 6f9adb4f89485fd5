/*
 * promise.c - counted futures with the giving side apart.
 *
 * A promise and its future are the same piece of memory; the promise counts as one holder, so
 * whoever gives the result through it may be overtaken by waiters that let go at once.
 */
#include <errno.h>

#include <weft/promise.h>

#include "base/assert.h"
#include "base/mem.h"
#include "flow/future_priv.h"

struct weft_promise {
    weft_future future; /* first: both have the same address */
    uint32_t refs;      /* atomic */
};

static inline struct weft__future *
inside(weft_future *future)
{
    return (struct weft__future *)(void *)future;
}

static struct weft_promise *
counted(weft_future *future)
{
    weft__assert(inside(future)->counted,
                 "only a promise's future is counted; others are closed by who opened them");
    return weft__container(future, struct weft_promise, future);
}

int
weft_promise_new(weft_promise **ret_promise, weft_future **ret_future)
{
    struct weft_promise *promise = weft__alloc(sizeof *promise);
    if (promise == NULL)
        return -ENOMEM;
    weft_future_open(&promise->future);
    inside(&promise->future)->counted = true;
    promise->refs = 2;
    *ret_promise = promise;
    *ret_future = &promise->future;
    return 0;
}

weft_future *
weft_promise_future(weft_promise *promise)
{
    return &promise->future;
}

int
weft_promise_set(weft_promise *promise, int result)
{
    return weft_future_set(&promise->future, result);
}

void
weft_promise_free(weft_promise *promise)
{
    if (promise == NULL)
        return;
    int rc = weft__future_fail_const(&promise->future, -EPIPE,
                                     "the promise of this future was dropped without a result");
    (void)rc; /* it has a result */
    weft_future_unref(&promise->future);
}

weft_future *
weft_future_ref(weft_future *future)
{
    weft__fetch_add(&counted(future)->refs, 1); /* by a holder: nobody frees meanwhile */
    return future;
}

void
weft_future_unref(weft_future *future)
{
    if (future == NULL)
        return;
    struct weft_promise *promise = counted(future);
    /* Pairs with the same of all other holders: the last one comes after all they did. */
    if (weft__fetch_sub(&promise->refs, 1) != 1)
        return;
    inside(future)->counted = false;
    weft_future_close(future);
    weft__free(promise);
}
