/*
 * future.h - a result handed over once, from any thread or task to any number of others.
 *
 * A future is given its result by whoever comes first: weft_future_set, _set_value, _fail or
 * _cancel. From then on it never changes. None of them may be called in a signal handler, which
 * may have interrupted one of them: have a task read signalfd(2), or the far end of a pipe that
 * the handler writes to, and set the future there.
 */
#ifndef WEFT_FUTURE_H
#define WEFT_FUTURE_H

#include <weft/base.h>

/* In the caller's memory, from open until close, which must follow the last wait; or one end of
 * a promise (promise.h). */
typedef struct weft_future {
    uint64_t opaque_[10];
} weft_future;

/* Gets the result. It must not wait, and must not close the future. */
typedef void weft_future_fn(void *arg, int result);

/* A call to be made when there is a result: in the caller's memory until it was made or taken
 * back. */
typedef struct weft_future_callback {
    uint64_t opaque_[4];
} weft_future_callback;

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
 * Threads  any, an executor's and a process pool's included; never a signal handler. The future
 *          may be closed by a waiter as soon as the result is set
 * Source   asyncio Future.set_result
 */
int weft_future_set(weft_future *future, int result);

/*
 * weft_future_set_value - give the future a pointer beside the result 0
 *
 * value    handed over as it is: who reads it knows what it is, and who frees it
 *
 * Returns  0; -EALREADY when it had a result: value is still the caller's
 * Waits    no
 * Threads  as weft_future_set
 * Source   asyncio Future.set_result
 */
int weft_future_set_value(weft_future *future, void *value);

/*
 * weft_future_fail - give the future an error and the words for it
 *
 * code     negative
 * text     what went wrong; up to 191 bytes are copied. NULL or "": the code says it all. Who
 *          waits reads it with weft_error_text(). Without memory for it the code arrives alone
 *
 * Returns  0; -EALREADY when it had a result: that one stays
 * Waits    no
 * Threads  as weft_future_set
 * Source   asyncio Future.set_exception
 */
int weft_future_fail(weft_future *future, int code, const char *text);

/*
 * weft_future_cancel - say that there will be no result: it is -ECANCELED from now on
 *
 * Waiters get -ECANCELED as the result, while their wait itself returns 0: nobody cancelled them.
 *
 * Returns  0; -EALREADY when it had a result: that one stays
 * Waits    no
 * Threads  as weft_future_set
 * Source   asyncio Future.cancel
 */
int weft_future_cancel(weft_future *future);

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
 * weft_future_done - whether there is a result, and callbacks have run
 *
 * Returns  1 or 0
 * Waits    no
 * Threads  any
 * Source   asyncio Future.done
 */
int weft_future_done(const weft_future *future);

/*
 * weft_future_cancelled - whether it was weft_future_cancel that gave the result
 *
 * Returns  1 or 0
 * Waits    no
 * Threads  any
 * Source   asyncio Future.cancelled
 */
int weft_future_cancelled(const weft_future *future);

/*
 * weft_future_value - the pointer that came with the result
 *
 * Returns  what weft_future_set_value was given; NULL without a result, with one of another kind,
 *          and after weft_future_take
 * Waits    no
 * Threads  any
 * Source   asyncio Future.result
 */
void *weft_future_value(const weft_future *future);

/*
 * weft_future_take - take the pointer that came with the result out of the future
 *
 * Of all who take it, one gets it, and owns from then on what it points to.
 *
 * Returns  as weft_future_value; NULL to everybody after the first
 * Waits    no
 * Threads  any
 * Source   weft; C++ std::future::get, which moves the value out
 */
void *weft_future_take(weft_future *future);

/*
 * weft_future_on_done - have a function called once, when there is a result
 *
 * callback  memory for it; it must stay until fn is called, or it was taken back
 *
 * fn runs on the thread that gives the result, in the call that gives it; or at once, here, when
 * there is a result already. It comes before anybody who waits goes on: whoever has waited for
 * the future knows that all callbacks registered before have returned. To have it run on a loop,
 * post it there: weft_loop_post.
 *
 * Waits    no
 * Threads  any
 * Source   asyncio Future.add_done_callback
 */
void weft_future_on_done(weft_future *future, weft_future_callback *callback, weft_future_fn *fn,
                         void *arg);

/*
 * weft_future_off_done - take a callback back
 *
 * Returns  1: it will not be called; 0: it has been, or is being called right now on another
 *          thread: weft_future_wait returns after it has
 * Waits    no
 * Threads  any
 * Source   asyncio Future.remove_done_callback
 */
int weft_future_off_done(weft_future *future, weft_future_callback *callback);

/*
 * weft_future_close - end a future nobody waits for
 *
 * Callbacks have been called, or taken back. What weft_future_set_value handed over and nobody
 * took is left alone.
 *
 * Waits    no
 * Threads  any, after all waits and sets have returned; the thread of a waiter may close at once
 * Source   weft
 */
void weft_future_close(weft_future *future);

WEFT_END_DECLS

#endif
