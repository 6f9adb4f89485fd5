/*
 * rate.h - rate limiter: a token bucket, for tasks and plain threads alike; and debouncing.
 */
#ifndef WEFT_RATE_H
#define WEFT_RATE_H

#include <weft/base.h>
#include <weft/time.h>

/* In the caller's memory, from open to close. */
typedef struct weft_rate {
    uint64_t opaque_[24];
} weft_rate;

typedef struct weft_rate_options {
    uint64_t tokens;  /* that come in each period, evenly; 1 or more */
    weft_time period; /* in nanoseconds; 0: a second */
    uint64_t burst;   /* tokens that gather while nobody asks; 0: 1, strictly even spacing */
} weft_rate_options;

/* In the caller's memory, from open to close. */
typedef struct weft_debounce {
    uint64_t opaque_[8];
} weft_debounce;

WEFT_BEGIN_DECLS

/*
 * weft_rate_open - make a rate limiter; it begins with a full burst
 *
 * Returns  0; -EINVAL when tokens is 0, the period negative, or a burst would take more than a
 *          century to gather
 * Waits    no
 * Threads  any; all that use it share a clock
 * Source   token bucket; asyncio's aiolimiter, golang.org/x/time/rate
 */
int weft_rate_open(weft_rate *rate, const weft_rate_options *options);

/*
 * weft_rate_acquire - take tokens, waiting in line until they have come
 *
 * tokens   1 to the burst; 0 takes none, in turn
 *
 * Returns  0; -EINVAL for more than the burst, which never gather; -ECANCELED or -ETIMEDOUT when
 *          the enclosing scope ended first: no token is taken
 * Waits    yes; looks for cancellation first, even when there are tokens
 * Threads  tasks of any loop, and plain threads
 * Source   golang.org/x/time/rate WaitN
 */
WEFT_WAITS int weft_rate_acquire(weft_rate *rate, uint64_t tokens);

/*
 * weft_rate_try_acquire - take tokens if they are there and nobody waits
 *
 * With a burst of 1 this throttles: one call in each stretch of time gets through.
 *
 * Returns  0; -EAGAIN; -EINVAL for more than the burst
 * Waits    no
 * Threads  any
 * Source   golang.org/x/time/rate AllowN; lodash throttle
 */
int weft_rate_try_acquire(weft_rate *rate, uint64_t tokens);

/*
 * weft_rate_close - end a limiter nobody waits for
 *
 * Waits    no
 * Threads  any, after all other calls have returned
 * Source   weft
 */
void weft_rate_close(weft_rate *rate);

/*
 * weft_debounce_open - make a debouncer: many events close together count as one
 *
 * quiet    how long nothing must have happened, in nanoseconds
 * longest  but at most this long after the first event; 0: however long it takes
 *
 * Waits    no
 * Threads  any; all that use it share a clock
 * Source   lodash debounce, maxWait
 */
void weft_debounce_open(weft_debounce *debounce, weft_time quiet, weft_time longest);

/*
 * weft_debounce_hit - an event has happened
 *
 * Waits    no
 * Threads  any
 * Source   lodash debounce
 */
void weft_debounce_hit(weft_debounce *debounce);

/*
 * weft_debounce_wait - wait for events, and until it has been quiet after them
 *
 * Returns  how many events there were, 1 or more (INT_MAX for more than that); -ECANCELED or
 *          -ETIMEDOUT when the enclosing scope ended first: the events still count
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads; one at a time
 * Source   lodash debounce
 */
WEFT_WAITS int weft_debounce_wait(weft_debounce *debounce);

/*
 * weft_debounce_close - end a debouncer nobody waits for
 *
 * Waits    no
 * Threads  any, after all other calls have returned
 * Source   weft
 */
void weft_debounce_close(weft_debounce *debounce);

WEFT_END_DECLS

#endif
