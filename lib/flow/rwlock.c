/*
 * rwlock.c - many readers or one writer, first come first served.
 *
 * Everybody stands in one line. A reader goes straight in only while no writer is inside and
 * nobody waits, so a stream of readers does not keep a writer out; readers that stand next to each
 * other go in together, so a stream of writers lets them through one batch at a time.
 *
 * A waiter's place lies on its stack. It stays there until it is off the line, be it claimed or
 * have left, so whoever holds the lock may look at it. A writer that leaves the line lets those
 * behind it move up.
 */
#include <errno.h>

#include <weft/sync.h>

#include "flow/claimed.h"
#include "flow/holder.h"
#include "flow/waitq.h"

struct rwlock {
    struct weft__lock lock;
    uint32_t readers; /* inside */
    const struct weft__waiter *writer;
    struct weft__held held; /* of the writer */
    struct weft__list line; /* of places */
};
_Static_assert(sizeof(struct rwlock) <= sizeof(weft_rwlock), "weft_rwlock is too small");

struct place {
    struct weft__link link;
    struct weft__waiter *waiter;
    bool writes;
};

static inline struct rwlock *
rwlock_of(weft_rwlock *public)
{
    return (struct rwlock *)(void *)public;
}

static __attribute__((noreturn, cold, noinline)) void
broken(const struct rwlock *rwlock, struct weft__holder self, const char *how)
{
    char what[WEFT__HELD_TEXT], who[WEFT__HELD_TEXT], writer[WEFT__HELD_TEXT] = "nobody";
    if (rwlock->writer != NULL)
        weft__holder_text(rwlock->writer, writer);
    weft__fatal("%s: %s %s (%s writes, %u read)", weft__held_text(&rwlock->held, what),
                weft__holder_text(self.waiter, who), how, writer, rwlock->readers);
}

/* With the lock held: lets in whose turn it is. */
static void
admit(struct rwlock *rwlock, struct weft__claimed *claimed)
{
    struct weft__link *link;
    while ((link = weft__list_first(&rwlock->line)) != NULL) {
        struct place *place = weft__container(link, struct place, link);
        if (rwlock->writer != NULL || (place->writes && rwlock->readers > 0))
            return;
        weft__list_remove(link);
        if (!weft__claim_present(place->waiter))
            continue; /* cancelled: it will find that it is off the line */
        weft__claimed_add(claimed, place->waiter);
        if (place->writes)
            rwlock->writer = place->waiter;
        else
            rwlock->readers++;
    }
}

/* With the lock held, which it gives back: waits for its turn. */
static int
wait_for_turn(struct rwlock *rwlock, bool writes)
{
    struct place place = {.writes = writes};
    place.waiter = weft__park_arm().waiter;
    weft__list_push_back(&rwlock->line, &place.link);
    weft__unlock(&rwlock->lock);
    weft__waits_for(writes ? "rwlock to write" : "rwlock to read", rwlock);
    int rc = weft__park(true);
    if (rc < 0) {
        struct weft__claimed claimed = {.first = NULL};
        weft__lock(&rwlock->lock);
        if (weft__link_on_list(&place.link)) {
            weft__list_remove(&place.link);
            admit(rwlock, &claimed);
        }
        weft__unlock(&rwlock->lock);
        weft__claimed_deliver(&claimed, 0);
    }
    return rc;
}

/* With the lock held: whether a newcomer may go straight in. */
static inline bool
may_enter(const struct rwlock *rwlock, bool writes)
{
    return rwlock->writer == NULL && !(writes && rwlock->readers > 0) &&
           weft__list_empty(&rwlock->line);
}

void
weft_rwlock_open(weft_rwlock *public, const weft_rwlock_options *options)
{
    struct rwlock *rwlock = rwlock_of(public);
    *rwlock = (struct rwlock){.held.what = "rwlock"};
    weft__list_init(&rwlock->line);
    if (options != NULL)
        rwlock->held.name = options->name;
}

int
weft_rwlock_read_lock(weft_rwlock *public)
{
    struct rwlock *rwlock = rwlock_of(public);
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    struct weft__holder self = weft__holder_self();
    weft__lock(&rwlock->lock);
    if (rwlock->writer == self.waiter)
        broken(rwlock, self, "locks it for reading, and holds it for writing");
    if (may_enter(rwlock, false)) {
        rwlock->readers++;
        weft__unlock(&rwlock->lock);
    } else {
        rc = wait_for_turn(rwlock, false); /* unlocks */
        if (rc < 0)
            return rc;
    }
    self.holdings->n_reads++;
    return 0;
}

int
weft_rwlock_try_read_lock(weft_rwlock *public)
{
    struct rwlock *rwlock = rwlock_of(public);
    struct weft__holder self = weft__holder_self();
    weft__lock(&rwlock->lock);
    bool entered = may_enter(rwlock, false);
    if (entered)
        rwlock->readers++;
    weft__unlock(&rwlock->lock);
    if (!entered)
        return -EAGAIN;
    self.holdings->n_reads++;
    return 0;
}

void
weft_rwlock_read_unlock(weft_rwlock *public)
{
    struct rwlock *rwlock = rwlock_of(public);
    struct weft__holder self = weft__holder_self();
    struct weft__claimed claimed = {.first = NULL};
    weft__lock(&rwlock->lock);
    if (self.holdings->n_reads == 0 || rwlock->readers == 0)
        broken(rwlock, self, "unlocks it for reading, and holds no read lock");
    self.holdings->n_reads--;
    if (--rwlock->readers == 0)
        admit(rwlock, &claimed);
    weft__unlock(&rwlock->lock);
    weft__claimed_deliver(&claimed, 0);
}

int
weft_rwlock_write_lock(weft_rwlock *public)
{
    struct rwlock *rwlock = rwlock_of(public);
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    struct weft__holder self = weft__holder_self();
    weft__lock(&rwlock->lock);
    if (rwlock->writer == self.waiter)
        broken(rwlock, self, "locks it for writing, and holds it already");
    if (may_enter(rwlock, true)) {
        rwlock->writer = self.waiter;
        weft__unlock(&rwlock->lock);
    } else {
        rc = wait_for_turn(rwlock, true); /* unlocks */
        if (rc < 0)
            return rc;
    }
    weft__hold(self.holdings, &rwlock->held);
    weft__debug_lock_taken(rwlock, "rwlock");
    return 0;
}

int
weft_rwlock_try_write_lock(weft_rwlock *public)
{
    struct rwlock *rwlock = rwlock_of(public);
    struct weft__holder self = weft__holder_self();
    weft__lock(&rwlock->lock);
    bool entered = may_enter(rwlock, true);
    if (entered)
        rwlock->writer = self.waiter;
    weft__unlock(&rwlock->lock);
    if (!entered)
        return -EAGAIN;
    weft__hold(self.holdings, &rwlock->held);
    weft__debug_lock_taken(rwlock, "rwlock");
    return 0;
}

void
weft_rwlock_write_unlock(weft_rwlock *public)
{
    struct rwlock *rwlock = rwlock_of(public);
    struct weft__holder self = weft__holder_self();
    struct weft__claimed claimed = {.first = NULL};
    weft__lock(&rwlock->lock);
    if (rwlock->writer != self.waiter)
        broken(rwlock, self, "unlocks it for writing, and does not hold it");
    weft__let_go(self.holdings, &rwlock->held);
    weft__debug_lock_released(rwlock);
    rwlock->writer = NULL;
    admit(rwlock, &claimed);
    weft__unlock(&rwlock->lock);
    weft__claimed_deliver(&claimed, 0);
}

void
weft_rwlock_close(weft_rwlock *public)
{
    struct rwlock *rwlock = rwlock_of(public);
    weft__assert(weft__list_empty(&rwlock->line), "an rwlock was closed while tasks wait for it");
    weft__assert(rwlock->writer == NULL && rwlock->readers == 0,
                 "an rwlock was closed while it is held");
}
