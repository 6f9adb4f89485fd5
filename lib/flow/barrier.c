/*
 * barrier.c - so many parties wait until all of them have come.
 *
 * The last to come claims all who stand in line and lets them go; the barrier is empty again at
 * that moment, so the next round may fill while those of the last one still wake. A round has come
 * to nothing when one of its parties cannot come any more: one that was cancelled, noticed by
 * itself or, before it runs again, by the last to come, whose claim of it fails. Then the barrier
 * is broken, and stays so for everybody until it is reset.
 */
#include <errno.h>
#include <limits.h>

#include <weft/error.h>
#include <weft/sync.h>

#include "base/assert.h"
#include "flow/claimed.h"
#include "flow/waitq.h"
#include "task/task_priv.h"

struct barrier {
    struct weft__lock lock;
    uint32_t parties;
    uint32_t waiting; /* in line, cancelled ones included until they or others notice */
    bool broken;
    struct weft__list line;
};
_Static_assert(sizeof(struct barrier) <= sizeof(weft_barrier), "weft_barrier is too small");

/* What waiters are woken with: not negative, which would be a cancellation. */
enum { ALL_CAME, BROKEN };

static inline struct barrier *
barrier_of(const weft_barrier *public)
{
    return (struct barrier *)(void *)(uintptr_t) public;
}

/* With the lock held: takes all off the line; how many of them could be claimed. */
static uint32_t
claim_all(struct barrier *barrier, struct weft__claimed *claimed)
{
    uint32_t n = 0;
    struct weft__waiter *waiter;
    for (; (waiter = weft__waitq_claim(&barrier->line)) != NULL; n++)
        weft__claimed_add(claimed, waiter);
    barrier->waiting = 0;
    return n;
}

/* Ends the round; the barrier is broken from here on, or as new. */
static void
end_round(struct barrier *barrier, bool broken)
{
    struct weft__claimed claimed = {.first = NULL};
    weft__lock(&barrier->lock);
    claim_all(barrier, &claimed);
    barrier->broken = broken;
    weft__unlock(&barrier->lock);
    weft__claimed_deliver(&claimed, BROKEN);
}

/* One of this round was cancelled, and wakes. Not when the round is over, and noticed it. */
static void
give_up(struct barrier *barrier, struct weft__link *link)
{
    struct weft__claimed claimed = {.first = NULL};
    weft__lock(&barrier->lock);
    if (weft__link_on_list(link)) {
        weft__list_remove(link);
        claim_all(barrier, &claimed);
        barrier->broken = true;
    }
    weft__unlock(&barrier->lock);
    weft__claimed_deliver(&claimed, BROKEN);
}

int
weft_barrier_open(weft_barrier *public, unsigned parties)
{
    if (parties == 0 || parties > INT_MAX)
        return -EINVAL;
    struct barrier *barrier = barrier_of(public);
    *barrier = (struct barrier){.parties = parties};
    weft__list_init(&barrier->line);
    return 0;
}

int
weft_barrier_wait(weft_barrier *public)
{
    struct barrier *barrier = barrier_of(public);
    int rc = weft__wait_begin();
    if (rc < 0) {
        /* Those who wait for this one wait in vain, however early it was cancelled. */
        end_round(barrier, true);
        return rc;
    }
    struct weft__claimed claimed = {.first = NULL};
    weft__lock(&barrier->lock);
    if (barrier->broken) {
        weft__unlock(&barrier->lock);
        return WEFT_E_BARRIER;
    }
    int index = (int)barrier->waiting;
    if (barrier->waiting + 1 < barrier->parties) {
        barrier->waiting++;
        struct weft__link *link = &weft__park_arm().waiter->link;
        weft__list_push_back(&barrier->line, link);
        weft__unlock(&barrier->lock);
        weft__waits_for("barrier", public);
        rc = weft__park(true);
        if (rc < 0) {
            give_up(barrier, link);
            return rc;
        }
        return rc == ALL_CAME ? index : WEFT_E_BARRIER;
    }
    bool all = claim_all(barrier, &claimed) + 1 == barrier->parties;
    barrier->broken = !all;
    weft__unlock(&barrier->lock);
    weft__claimed_deliver(&claimed, all ? ALL_CAME : BROKEN);
    return all ? index : WEFT_E_BARRIER;
}

void
weft_barrier_abort(weft_barrier *barrier)
{
    end_round(barrier_of(barrier), true);
}

void
weft_barrier_reset(weft_barrier *barrier)
{
    end_round(barrier_of(barrier), false);
}

unsigned
weft_barrier_waiting(const weft_barrier *public)
{
    struct barrier *barrier = barrier_of(public);
    weft__lock(&barrier->lock);
    unsigned waiting = barrier->waiting;
    weft__unlock(&barrier->lock);
    return waiting;
}

int
weft_barrier_is_broken(const weft_barrier *public)
{
    struct barrier *barrier = barrier_of(public);
    weft__lock(&barrier->lock);
    bool broken = barrier->broken;
    weft__unlock(&barrier->lock);
    return broken;
}

void
weft_barrier_close(weft_barrier *public)
{
    weft__assert(weft__list_empty(&barrier_of(public)->line),
                 "a barrier was closed while tasks wait at it");
}
