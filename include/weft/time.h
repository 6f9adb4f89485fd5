/*
 * time.h - time, sleeping, and callbacks at a time.
 *
 * Times and durations are int64_t nanoseconds. Points in time are monotonic and belong to the
 * clock of the runtime one is in: the kernel's, or a virtual one that jumps when all is idle.
 */
#ifndef WEFT_TIME_H
#define WEFT_TIME_H

#include <weft/base.h>

typedef int64_t weft_time;

#define WEFT_NS(n) ((weft_time)(n))
#define WEFT_US(n) ((weft_time)(n)*1000)
#define WEFT_MS(n) ((weft_time)(n)*1000000)
#define WEFT_SEC(n) ((weft_time)(n)*1000000000)
#define WEFT_FOREVER INT64_MAX

WEFT_BEGIN_DECLS

/*
 * weft_now - the present on the clock of the runtime one is in
 *
 * Returns  nanoseconds since an arbitrary start; on a loop the time is read afresh on each call
 * Waits    no
 * Threads  any; outside a runtime it is CLOCK_MONOTONIC
 * Source   asyncio loop.time; clock_gettime(2)
 */
weft_time weft_now(void);

/*
 * weft_sleep - suspend the task for a while
 *
 * duration  in nanoseconds; 0 or less only looks for cancellation and lets others run once
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first
 * Waits    yes
 * Threads  tasks; a plain thread sleeps as a thread
 * Source   asyncio.sleep
 */
WEFT_WAITS int weft_sleep(weft_time duration);

/*
 * weft_sleep_until - suspend the task until a point in time
 *
 * when     on the clock of weft_now; WEFT_FOREVER waits for cancellation alone
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first
 * Waits    yes
 * Threads  tasks; a plain thread sleeps as a thread
 * Source   trio.sleep_until
 */
WEFT_WAITS int weft_sleep_until(weft_time when);

/* A call to come, in the caller's memory, which must stay until the call ran or was cancelled. */
typedef struct weft_callback {
    uint64_t opaque_[12];
} weft_callback;

/* Runs on the loop between tasks: it must not wait. */
typedef void weft_callback_fn(void *arg);

/*
 * weft_call_soon - run a function on this loop in its next turn, in the order of the calls
 *
 * callback  memory for the call, not in use by another
 *
 * Waits    no
 * Threads  tasks and callbacks of a loop; from elsewhere use weft_loop_post
 * Source   asyncio loop.call_soon
 */
void weft_call_soon(weft_callback *callback, weft_callback_fn *fn, void *arg);

/*
 * weft_call_later - run a function on this loop after a delay
 *
 * delay    in nanoseconds; 0 or less means the next turn
 *
 * Waits    no
 * Threads  tasks and callbacks of a loop
 * Source   asyncio loop.call_later
 */
void weft_call_later(weft_callback *callback, weft_time delay, weft_callback_fn *fn, void *arg);

/*
 * weft_call_at - run a function on this loop at a point in time
 *
 * when     on the clock of weft_now
 *
 * Waits    no
 * Threads  tasks and callbacks of a loop
 * Source   asyncio loop.call_at
 */
void weft_call_at(weft_callback *callback, weft_time when, weft_callback_fn *fn, void *arg);

/*
 * weft_callback_cancel - take a call back
 *
 * callback  one given to weft_call_soon, _later or _at, or one whose call has run
 *
 * Returns  1 when the call will not run; 0 when it had run already
 * Waits    no
 * Threads  the loop that was to run it
 * Source   asyncio Handle.cancel
 */
int weft_callback_cancel(weft_callback *callback);

WEFT_END_DECLS

#endif
