/*
 * retry.c - exponential back-off with full jitter.
 */
#include <errno.h>
#include <limits.h>

#include <weft/retry.h>

#include "base/random.h"
#include "task/task_priv.h"

struct backoff {
    struct weft__random random;
    int64_t base;
    int64_t cap;
    int64_t bound; /* of the next delay */
    unsigned factor;
    bool exact;
};
_Static_assert(sizeof(struct backoff) <= sizeof(weft_backoff), "weft_backoff is too small");

/* Different for whoever asks at once, and from run to run; but with the virtual clock a run is
 * to repeat, so there it comes from what repeats. */
static uint64_t
any_seed(const void *who)
{
    uint64_t seed = (uint64_t)weft_now();
    struct weft__sched *sched = weft__sched_self();
    if (sched != NULL && sched->loop.clock->is_virtual)
        return seed + sched->runtime->options.seed + sched->switches * WEFT__SPLITMIX_STEP;
    return seed ^ (uint64_t)(uintptr_t)who;
}

static void
rewind_to_first(struct backoff *backoff)
{
    backoff->bound = backoff->base < backoff->cap ? backoff->base : backoff->cap;
}

void
weft_backoff_start(weft_backoff *public, const weft_retry_options *given)
{
    struct backoff *backoff = (struct backoff *)(void *)public;
    weft_retry_options options = {.attempts = 0};
    if (given != NULL)
        options = *given;
    *backoff = (struct backoff){.base = options.base > 0 ? options.base : WEFT_MS(100),
                                .cap = options.cap > 0 ? options.cap : WEFT_SEC(30),
                                .factor = options.factor > 0 ? options.factor : 2,
                                .exact = options.exact != 0};
    weft__random_seed(&backoff->random, options.seed != 0 ? options.seed : any_seed(backoff));
    rewind_to_first(backoff);
}

void
weft_backoff_reset(weft_backoff *public)
{
    rewind_to_first((struct backoff *)(void *)public);
}

weft_time
weft_backoff_next(weft_backoff *public)
{
    struct backoff *backoff = (struct backoff *)(void *)public;
    int64_t bound = backoff->bound;
    if (bound > backoff->cap / (int64_t)backoff->factor)
        backoff->bound = backoff->cap;
    else
        backoff->bound = bound * (int64_t)backoff->factor;
    if (backoff->exact || bound == INT64_MAX)
        return bound;
    return (weft_time)weft__random_below(&backoff->random, (uint64_t)bound + 1);
}

static int
worth_it(int rc, void *arg)
{
    (void)arg;
    return rc != -ECANCELED && rc != -EINVAL && rc != -ENOMEM;
}

int
weft_retry(weft_task_fn *fn, void *arg, const weft_retry_options *options)
{
    unsigned attempts = options != NULL && options->attempts > 0 ? options->attempts : 5;
    int (*again)(int, void *) =
        options != NULL && options->again != NULL ? options->again : worth_it;
    weft_backoff backoff;
    weft_backoff_start(&backoff, options);
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    for (unsigned attempt = 1;; attempt++) {
        rc = fn(arg);
        if (rc >= 0)
            return rc;
        int ended = weft__wait_begin(); /* an end of ours, not one of fn's own */
        if (ended < 0)
            return ended;
        if ((attempt == attempts && attempts != UINT_MAX) || !again(rc, arg))
            return rc;
        int slept = weft_sleep(weft_backoff_next(&backoff));
        if (slept < 0)
            return slept;
    }
}
