/*
 * future.h - a result handed over once, from any thread or task to any number of others.
 */
#ifndef WEFT_FUTURE_H
#define WEFT_FUTURE_H

#include <weft/base.h>

/* In the caller's memory, from open until close, which must follow the last wait. */
typedef struct weft_future {
    uint64_t opaque_[8];
} weft_future;

WEFT_BEGIN_DECLS

/*
 * weft_future_open - make a future without a result
 *
 * Waits    no
 * Threads  any
 * Source   asyncio.Future
 */
void weft_future_open(weft_future *future);

/*
 * weft_future_set - give the future its result; all who wait go on
 *
 * result   any number, handed to each waiter
 *
 * Returns  0; -EALREADY when it had one: that one stays
 * Waits    no
 * Threads  any; the future may be closed by a waiter as soon as the result is set
 * Source   asyncio Future.set_result
 */
int weft_future_set(weft_future *future, int result);

/*
 * weft_future_wait - wait for the result
 *
 * ret_result  out: the result; NULL when only the moment matters
 *
 * Returns  0 when there is a result; -ECANCELED or -ETIMEDOUT when the enclosing scope ended
 *          first
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   await future
 */
WEFT_WAITS int weft_future_wait(weft_future *future, int *ret_result);

/*
 * weft_future_done - whether there is a result
 *
 * Returns  1 or 0
 * Waits    no
 * Threads  any
 * Source   asyncio Future.done
 */
int weft_future_done(const weft_future *future);

/*
 * weft_future_close - end a future nobody waits for
 *
 * Waits    no
 * Threads  any, after all waits and sets have returned; the thread of a waiter may close at once
 * Source   weft
 */
void weft_future_close(weft_future *future);

WEFT_END_DECLS

#endif
