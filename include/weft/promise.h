/*
 * promise.h - futures that outlive who made them: counted, with the giving side apart.
 *
 * Who holds the promise gives the result; who holds a reference to the future waits for it, with
 * every call of future.h but open and close. Both ends may go first, on any thread. A promise
 * dropped without a result gives one, so nobody waits for ever.
 */
#ifndef WEFT_PROMISE_H
#define WEFT_PROMISE_H

#include <weft/base.h>
#include <weft/future.h>

typedef struct weft_promise weft_promise;

WEFT_BEGIN_DECLS

/*
 * weft_promise_new - make a promise and the future it is for
 *
 * ret_promise  out: ended by weft_promise_free
 * ret_future   out: one reference, given back with weft_future_unref
 *
 * Returns  0; -ENOMEM
 * Waits    no
 * Threads  any
 * Source   tokio::sync::oneshot::channel, C++ std::promise
 */
int weft_promise_new(weft_promise **ret_promise, weft_future **ret_future);

/*
 * weft_promise_future - the future of a promise, borrowed while one has the promise
 *
 * The giving side registers callbacks there, to hear of a weft_future_cancel; or gives the result
 * with the calls of future.h, a value or a failure with its text.
 *
 * Returns  the future
 * Waits    no
 * Threads  any
 * Source   C++ std::promise::get_future
 */
weft_future *weft_promise_future(weft_promise *promise);

/*
 * weft_promise_set - give the result; all who wait go on
 *
 * Returns  0; -EALREADY when there is one, also by weft_future_cancel: that one stays. The promise
 *          is still to be freed
 * Waits    no
 * Threads  as weft_future_set
 * Source   C++ std::promise::set_value
 */
int weft_promise_set(weft_promise *promise, int result);

/*
 * weft_promise_free - end a promise; without a result until now, the future's is -EPIPE
 *
 * promise  may be NULL. weft_error_text() tells the waiter that the promise was dropped
 *
 * Waits    no
 * Threads  as weft_future_set
 * Source   C++ future_error broken_promise; tokio oneshot RecvError
 */
void weft_promise_free(weft_promise *promise);

/*
 * weft_future_ref - one more holder of a promise's future
 *
 * Returns  the same future
 * Waits    no
 * Threads  any that holds a reference
 * Source   weft
 */
weft_future *weft_future_ref(weft_future *future);

/*
 * weft_future_unref - give a reference back; with the last one, and the promise freed, it is gone
 *
 * future   may be NULL
 *
 * Waits    no
 * Threads  any
 * Source   weft
 */
void weft_future_unref(weft_future *future);

WEFT_END_DECLS

#endif
