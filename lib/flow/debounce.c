/*
 * debounce.c - many events close together count as one.
 *
 * Events are counted under the lock; who waits sleeps to the moment at which it would have been
 * quiet for long enough, and looks again. Events are taken at the end, so who leaves early leaves
 * them there.
 */
#include <errno.h>
#include <limits.h>

#include <weft/rate.h>

#include "base/assert.h"
#include "flow/waitq.h"
#include "task/task_priv.h"

struct debounce {
    struct weft__lock lock;
    bool waiting;
    struct weft__list line; /* of the one who waits for the first event */
    uint64_t events;
    int64_t first;
    int64_t last;
    int64_t quiet;
    int64_t longest;
};
_Static_assert(sizeof(struct debounce) <= sizeof(weft_debounce), "weft_debounce is too small");

void
weft_debounce_open(weft_debounce *public, weft_time quiet, weft_time longest)
{
    struct debounce *debounce = (struct debounce *)(void *)public;
    *debounce = (struct debounce){.quiet = quiet, .longest = longest > 0 ? longest : WEFT_FOREVER};
    weft__list_init(&debounce->line);
}

void
weft_debounce_hit(weft_debounce *public)
{
    struct debounce *debounce = (struct debounce *)(void *)public;
    int64_t now = weft_now();
    struct weft__waiter *waiter = NULL;
    weft__lock(&debounce->lock);
    debounce->last = now;
    if (debounce->events++ == 0) {
        debounce->first = now;
        waiter = weft__waitq_claim(&debounce->line);
    }
    weft__unlock(&debounce->lock);
    if (waiter != NULL)
        weft__deliver(waiter, 0);
}

static int64_t
later(int64_t when, int64_t by)
{
    return by > WEFT_FOREVER - when ? WEFT_FOREVER : when + by;
}

/* With the lock held: when it will have been quiet for long enough. */
static int64_t
due(const struct debounce *debounce)
{
    int64_t quiet = later(debounce->last, debounce->quiet);
    int64_t longest = later(debounce->first, debounce->longest);
    return quiet < longest ? quiet : longest;
}

static int
wait_until_quiet(struct debounce *debounce)
{
    for (;;) {
        weft__lock(&debounce->lock);
        if (debounce->events == 0) {
            weft__waits_for("debouncer", debounce);
            int rc = weft__waitq_park(&debounce->line, &debounce->lock); /* unlocks */
            if (rc < 0)
                return rc;
            continue;
        }
        int64_t when = due(debounce);
        if (when <= weft_now()) {
            uint64_t events = debounce->events;
            debounce->events = 0;
            weft__unlock(&debounce->lock);
            return events < INT_MAX ? (int)events : INT_MAX;
        }
        weft__unlock(&debounce->lock);
        int rc = weft_sleep_until(when);
        if (rc < 0)
            return rc;
    }
}

int
weft_debounce_wait(weft_debounce *public)
{
    struct debounce *debounce = (struct debounce *)(void *)public;
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    weft__lock(&debounce->lock);
    weft__assert(!debounce->waiting, "two wait for one debouncer: each event is for one alone");
    debounce->waiting = true;
    weft__unlock(&debounce->lock);
    rc = wait_until_quiet(debounce);
    weft__lock(&debounce->lock);
    debounce->waiting = false;
    weft__unlock(&debounce->lock);
    return rc;
}

void
weft_debounce_close(weft_debounce *public)
{
    weft__assert(!((struct debounce *)(void *)public)->waiting,
                 "a debouncer was closed while a task waits");
}
