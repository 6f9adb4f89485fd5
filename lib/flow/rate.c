/*
 * rate.c - a token bucket, and its line.
 *
 * The bucket is a point in time: `empty_at`, when it would have been empty had tokens come ever
 * since. Taking tokens moves it on by the time they take to come, to the fraction of a nanosecond,
 * so the rate is exact however long it runs. Who waits holds `turn`, one after another in the
 * order of a semaphore's line, and sleeps until its tokens have come: tokens are taken when the
 * wait is over and not before, so who leaves has nothing to give back.
 */
#include <errno.h>

#include <weft/rate.h>
#include <weft/sync.h>

#include "base/assert.h"
#include "base/lock.h"
#include "base/log.h"
#include "task/task_priv.h"

struct rate {
    struct weft__lock lock;
    uint32_t waiting; /* in line, the one whose turn it is included: nobody overtakes them */
    weft_semaphore turn;
    int64_t empty_at;
    uint64_t fraction; /* of empty_at: so many tokens'th of a nanosecond */
    uint64_t tokens;   /* come in */
    uint64_t period;   /* nanoseconds */
    uint64_t burst;
    uint64_t full;          /* nanoseconds that the burst takes to come, rounded up, */
    uint64_t full_fraction; /* by so many tokens'th of one */
};
_Static_assert(sizeof(struct rate) <= sizeof(weft_rate), "weft_rate is too small");

int
weft_rate_open(weft_rate *public, const weft_rate_options *options)
{
    struct rate *rate = (struct rate *)(void *)public;
    weft_time period = options->period != 0 ? options->period : WEFT_SEC(1);
    uint64_t burst = options->burst != 0 ? options->burst : 1;
    if (options->tokens == 0 || period < 0)
        return weft_error_note(-EINVAL,
                               "a rate has 1 token or more in a period that is not "
                               "negative, got %llu in %lld ns",
                               (unsigned long long)options->tokens, (long long)period);
    unsigned __int128 full =
        ((unsigned __int128)burst * (uint64_t)period + options->tokens - 1) / options->tokens;
    if (full > INT64_MAX / 2)
        return weft_error_note(-EINVAL, "a burst of %llu tokens would take centuries to gather",
                               (unsigned long long)burst);
    uint64_t full_fraction =
        (uint64_t)(full * options->tokens - (unsigned __int128)burst * (uint64_t)period);
    *rate = (struct rate){.tokens = options->tokens,
                          .period = (uint64_t)period,
                          .burst = burst,
                          .full = (uint64_t)full,
                          .full_fraction = full_fraction,
                          .empty_at = INT64_MIN};
    return weft_semaphore_open(&rate->turn, 1);
}

/* With the lock held: what would be more than a full bucket is lost. Not while somebody waits: it
 * wakes a little late, and that must not slow the rate down. */
static void
spill(struct rate *rate)
{
    int64_t full_since = weft_now() - (int64_t)rate->full;
    if (rate->empty_at >= full_since)
        return;
    rate->empty_at = full_since;
    rate->fraction = rate->full_fraction;
}

/* With the lock held: takes tokens that have come by now; else says when they will have. */
static int64_t
take(struct rate *rate, uint64_t tokens)
{
    int64_t now = weft_now();
    unsigned __int128 cost = (unsigned __int128)tokens * rate->period + rate->fraction;
    int64_t empty_at = rate->empty_at + (int64_t)(cost / rate->tokens);
    uint64_t fraction = (uint64_t)(cost % rate->tokens);
    int64_t when = empty_at + (fraction > 0); /* in whole nanoseconds, and not too early */
    if (when <= now) {
        rate->empty_at = empty_at;
        rate->fraction = fraction;
        return 0;
    }
    return when;
}

static int
check(const struct rate *rate, uint64_t tokens)
{
    if (tokens <= rate->burst)
        return 0;
    return weft_error_note(-EINVAL, "%llu tokens never gather in a burst of %llu",
                           (unsigned long long)tokens, (unsigned long long)rate->burst);
}

int
weft_rate_try_acquire(weft_rate *public, uint64_t tokens)
{
    struct rate *rate = (struct rate *)(void *)public;
    int rc = check(rate, tokens);
    if (rc < 0)
        return rc;
    weft__lock(&rate->lock);
    bool taken = false;
    if (rate->waiting == 0) {
        spill(rate);
        taken = take(rate, tokens) == 0;
    }
    weft__unlock(&rate->lock);
    return taken ? 0 : -EAGAIN;
}

/* In turn: sleeps until the tokens have come, and takes them. */
static int
wait_for(struct rate *rate, uint64_t tokens)
{
    for (;;) {
        weft__lock(&rate->lock);
        int64_t when = take(rate, tokens);
        weft__unlock(&rate->lock);
        if (when == 0)
            return 0;
        int rc = weft_sleep_until(when);
        if (rc < 0)
            return rc;
    }
}

int
weft_rate_acquire(weft_rate *public, uint64_t tokens)
{
    struct rate *rate = (struct rate *)(void *)public;
    int rc = weft__wait_begin();
    if (rc == 0)
        rc = check(rate, tokens);
    if (rc < 0)
        return rc;
    weft__lock(&rate->lock);
    if (rate->waiting == 0) {
        spill(rate);
        if (take(rate, tokens) == 0) {
            weft__unlock(&rate->lock);
            return 0;
        }
    }
    rate->waiting++;
    weft__unlock(&rate->lock);

    rc = weft_semaphore_acquire(&rate->turn);
    bool has_turn = rc == 0;
    if (has_turn)
        rc = wait_for(rate, tokens);
    weft__lock(&rate->lock);
    rate->waiting--;
    weft__unlock(&rate->lock);
    if (has_turn)
        weft_semaphore_release(&rate->turn);
    return rc;
}

void
weft_rate_close(weft_rate *public)
{
    struct rate *rate = (struct rate *)(void *)public;
    weft__assert(rate->waiting == 0, "a rate limiter was closed while tasks wait");
    weft_semaphore_close(&rate->turn);
}
