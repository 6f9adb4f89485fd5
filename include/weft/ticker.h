/*
 * ticker.h - a schedule without drift, and work that is done on one.
 */
#ifndef WEFT_TICKER_H
#define WEFT_TICKER_H

#include <weft/base.h>
#include <weft/run.h>
#include <weft/time.h>

/* What becomes of the schedule when somebody comes for a tick a period or more too late. The tick
 * itself comes at once. */
typedef enum weft_missed {
    WEFT_MISSED_SKIP = 0,  /* those missed since are left out; the next is on the schedule again */
    WEFT_MISSED_BURST = 1, /* each one missed comes at once too, until all have come */
    WEFT_MISSED_DELAY = 2  /* it starts anew: the next tick is a period from now */
} weft_missed;

/* Nothing needs to be closed. */
typedef struct weft_ticker {
    uint64_t opaque_[4];
} weft_ticker;

/* Work that repeats, for weft_periodic_run: in memory that stays as long as it runs. */
typedef struct weft_periodic {
    weft_time period; /* from the begin of one call to that of the next, more than 0 */
    weft_task_fn *fn; /* 0: go on; more than 0: enough; negative: it failed, and so ends */
    void *arg;
    weft_missed missed; /* what when a call took longer than the period; calls never overlap */
    unsigned now;       /* 1: the first call is at once; 0: after one period */
} weft_periodic;

WEFT_BEGIN_DECLS

/*
 * weft_ticker_start - begin a schedule
 *
 * first    when the first tick is, on the clock of weft_now; 0: one period from now
 * period   between two ticks, in nanoseconds; more than 0
 *
 * Returns  0; -EINVAL for a period that is not more than 0, or an unknown policy
 * Waits    no
 * Threads  whoever owns it
 * Source   tokio::time::interval_at, MissedTickBehavior
 */
int weft_ticker_start(weft_ticker *ticker, weft_time first, weft_time period, weft_missed missed);

/*
 * weft_ticker_wait - wait for the next tick
 *
 * Returns  0; the number of ticks that were left out before this one; -ECANCELED or -ETIMEDOUT
 *          when the enclosing scope ended first: the tick is still to come
 * Waits    yes; looks for cancellation first, even when a tick is due
 * Threads  tasks, and plain threads; one at a time
 * Source   tokio Interval::tick, Go's time.Ticker
 */
WEFT_WAITS int weft_ticker_wait(weft_ticker *ticker);

/*
 * weft_periodic_run - do some work again and again, on a schedule without drift
 *
 *     weft_periodic beat = {.period = WEFT_SEC(10), .fn = send_heartbeat, .arg = peer};
 *     weft_group_spawn(&group, weft_periodic_run, &beat);
 *
 * periodic  a weft_periodic; it is a void * so that the function can be spawned as it is
 *
 * Returns  what fn returned that was not 0; -ECANCELED or -ETIMEDOUT when the enclosing scope
 *          ended first; -EINVAL as weft_ticker_start
 * Waits    yes
 * Threads  tasks, and plain threads
 * Source   every event loop's users
 */
WEFT_WAITS int weft_periodic_run(void *periodic);

WEFT_END_DECLS

#endif
