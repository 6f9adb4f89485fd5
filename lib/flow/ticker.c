/*
 * ticker.c - a schedule without drift: each tick is calculated from the one before, not from when
 * somebody came for it.
 */
#include <errno.h>
#include <limits.h>

#include <weft/ticker.h>

#include "base/log.h"
#include "task/task_priv.h"

struct ticker {
    int64_t next;
    int64_t period;
    weft_missed missed;
};
_Static_assert(sizeof(struct ticker) <= sizeof(weft_ticker), "weft_ticker is too small");

/* `by` is more than 0; `when` may be before the clock began. */
static int64_t
later(int64_t when, int64_t by)
{
    return when > WEFT_FOREVER - by ? WEFT_FOREVER : when + by;
}

int
weft_ticker_start(weft_ticker *public, weft_time first, weft_time period, weft_missed missed)
{
    struct ticker *ticker = (struct ticker *)(void *)public;
    if (period <= 0)
        return weft_error_note(-EINVAL, "the period of a ticker must be more than 0, got %lld ns",
                               (long long)period);
    if (missed != WEFT_MISSED_SKIP && missed != WEFT_MISSED_BURST && missed != WEFT_MISSED_DELAY)
        return weft_error_note(-EINVAL, "missed ticks: there is no policy %d", (int)missed);
    *ticker = (struct ticker){
        .next = first != 0 ? first : later(weft_now(), period), .period = period, .missed = missed};
    return 0;
}

int
weft_ticker_wait(weft_ticker *public)
{
    struct ticker *ticker = (struct ticker *)(void *)public;
    int64_t late = weft_now() - ticker->next;
    int rc = late < 0 ? weft_sleep_until(ticker->next) : weft_checkpoint();
    if (rc < 0)
        return rc;
    late = weft_now() - ticker->next;
    int64_t left_out = 0;
    if (late >= ticker->period && ticker->missed == WEFT_MISSED_SKIP)
        left_out = late / ticker->period; /* this tick stands for the last one that was due */
    if (late >= ticker->period && ticker->missed == WEFT_MISSED_DELAY)
        ticker->next += late;
    ticker->next = later(ticker->next + left_out * ticker->period, ticker->period);
    return left_out < INT_MAX ? (int)left_out : INT_MAX;
}

int
weft_periodic_run(void *arg)
{
    const weft_periodic *periodic = arg;
    weft_ticker ticker;
    int rc = weft__wait_begin();
    if (rc == 0)
        rc = weft_ticker_start(&ticker, 0, periodic->period, periodic->missed);
    if (rc == 0 && periodic->now != 0)
        rc = periodic->fn(periodic->arg);
    while (rc == 0) {
        rc = weft_ticker_wait(&ticker);
        if (rc >= 0)
            rc = periodic->fn(periodic->arg);
    }
    return rc;
}
