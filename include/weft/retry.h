/*
 * retry.h - trying again, ever more rarely.
 *
 * Delays grow exponentially, and each is drawn at random from 0 to its bound (full jitter), so that
 * many who failed together do not come back together.
 */
#ifndef WEFT_RETRY_H
#define WEFT_RETRY_H

#include <weft/base.h>
#include <weft/run.h>
#include <weft/time.h>

/* Zero means the default. */
typedef struct weft_retry_options {
    unsigned attempts; /* at most, the first included; 0: 5; UINT_MAX: without end */
    unsigned factor;   /* by which the bound grows; 0: 2; 1: it stays */
    weft_time base;    /* bound of the first delay; 0: 100 ms */
    weft_time cap;     /* the bound grows no further; 0: 30 s */
    uint64_t seed;     /* of the jitter; 0: another each time (on the virtual clock: the same) */
    unsigned exact;    /* 1: no jitter, each delay is its bound */
    int (*again)(int rc, void *arg); /* whether a failure is worth another attempt; NULL: all but
                                        -ECANCELED, -EINVAL and -ENOMEM are */
} weft_retry_options;

/* Delays one after another. */
typedef struct weft_backoff {
    uint64_t opaque_[10];
} weft_backoff;

WEFT_BEGIN_DECLS

/*
 * weft_retry - call a function until it succeeds
 *
 * fn       0 or more is success. What it needs a deadline for it gives a scope of its own: a
 *          -ETIMEDOUT from there is a failure like any other
 * arg      for fn, and for options->again
 * options  NULL for the defaults
 *
 * Returns  what fn returned last: success, a failure not worth another attempt, or the failure
 *          of the last attempt; -ECANCELED or -ETIMEDOUT as soon as the enclosing scope has
 *          ended, between attempts too
 * Waits    yes; looks for cancellation first
 * Threads  tasks, and plain threads
 * Source   "Exponential Backoff And Jitter" (AWS architecture blog), full jitter; tenacity
 */
WEFT_WAITS int weft_retry(weft_task_fn *fn, void *arg, const weft_retry_options *options);

/*
 * weft_backoff_start - begin a sequence of delays, for loops that weft_retry does not fit
 *
 * options  base, cap, factor, seed and exact are used; NULL for the defaults. There is nothing to
 *          close
 *
 * Waits    no
 * Threads  whoever owns it
 * Source   weft
 */
void weft_backoff_start(weft_backoff *backoff, const weft_retry_options *options);

/*
 * weft_backoff_next - the next delay
 *
 * Returns  nanoseconds to wait, 0 to the present bound, which then grows
 * Waits    no
 * Threads  whoever owns it
 * Source   weft
 */
weft_time weft_backoff_next(weft_backoff *backoff);

/*
 * weft_backoff_reset - after a success: the next bound is the first one again
 *
 * Waits    no
 * Threads  whoever owns it
 * Source   weft
 */
void weft_backoff_reset(weft_backoff *backoff);

WEFT_END_DECLS

#endif
