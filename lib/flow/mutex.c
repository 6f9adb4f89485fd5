/*
 * mutex.c - one at a time, between tasks and threads alike, first come first served.
 *
 * All of the state is one word: nobody, or who holds it and whether somebody waits. While nobody
 * waits, locking and unlocking are a compare-and-swap each, of a word that says whose turn it is,
 * which also notices who unlocks what another holds. Who comes when it is taken gets in line under
 * the lock, and marks the word first, so that the holder comes there too when it unlocks. A mutex
 * that somebody waits for is never free: it is handed over, and no one is overtaken.
 *
 * Once the word says "nobody" the next one may have it, and close the mutex at once. Closing takes
 * the lock, so it waits for an unlock that has let the word go and still holds the lock.
 */
#include "flow/mutex_priv.h"

#include <errno.h>

#include "flow/holder.h"
#include "flow/waitq.h"

#define WAITED ((uintptr_t)1) /* a waiter's address is a multiple of 64 */

struct mutex {
    uintptr_t word; /* NOBODY, or the holder's waiter, with WAITED when it must look at the line */
    struct weft_loop *local; /* the only loop that uses it; NULL: shared */
    struct weft__held held;
    struct weft__lock lock; /* of the line */
    struct weft__list line;
};
_Static_assert(sizeof(struct mutex) <= sizeof(weft_mutex), "weft_mutex is too small");

#define NOBODY ((uintptr_t)0)

/* A local mutex that was not used yet. */
#define ON_SOME_LOOP ((struct weft_loop *)1)

static inline struct mutex *
mutex_of(const weft_mutex *public)
{
    return (struct mutex *)(void *)(uintptr_t) public;
}

static inline const struct weft__waiter *
holder_in(uintptr_t word)
{
    return (const struct weft__waiter *)(word & ~WAITED);
}

/* ---- Broken promises ------------------------------------------------------------------------- */

static __attribute__((noreturn, cold, noinline)) void
locked_twice(const struct mutex *mutex, struct weft__holder self)
{
    char what[WEFT__HELD_TEXT], who[WEFT__HELD_TEXT];
    weft__fatal("%s: %s locks it, and holds it already", weft__held_text(&mutex->held, what),
                weft__holder_text(self.waiter, who));
}

static __attribute__((noreturn, cold, noinline)) void
not_the_holder(const struct mutex *mutex, struct weft__holder self)
{
    char what[WEFT__HELD_TEXT], who[WEFT__HELD_TEXT], other[WEFT__HELD_TEXT];
    uintptr_t word = weft__load(&mutex->word);
    weft__fatal("%s: %s unlocks it, but %s holds it", weft__held_text(&mutex->held, what),
                weft__holder_text(self.waiter, who),
                word == NOBODY ? "nobody" : weft__holder_text(holder_in(word), other));
}

static __attribute__((noreturn, cold, noinline)) void
not_here(const struct mutex *mutex, struct weft__holder self)
{
    char what[WEFT__HELD_TEXT], who[WEFT__HELD_TEXT];
    weft__fatal("%s: it is local to one loop, and %s uses it elsewhere",
                weft__held_text(&mutex->held, what), weft__holder_text(self.waiter, who));
}

/* ---- Locking --------------------------------------------------------------------------------- */

/* Takes the mutex if it is free, and the caller where it may use it. */
static inline bool
take(struct mutex *mutex, struct weft__holder self)
{
    if (mutex->local != NULL) {
        if (mutex->local != weft__loop_self || weft__load_relaxed(&mutex->word) != NOBODY)
            return false;
        weft__store_relaxed(&mutex->word,
                            (uintptr_t)self.waiter); /* others may ask if it is held */
    } else if (!weft__cas(&mutex->word, NOBODY, (uintptr_t)self.waiter)) {
        return false; /* pairs with the compare-and-swap in weft_mutex_unlock, and hand_over */
    }
    weft__hold(self.holdings, &mutex->held);
    return true;
}

/* The same for who was not so lucky. The first loop to use a local mutex keeps it. */
static bool
take_here(struct mutex *mutex, struct weft__holder self)
{
    if (mutex->local == ON_SOME_LOOP && weft__loop_self != NULL)
        mutex->local = weft__loop_self;
    if (mutex->local != NULL && mutex->local != weft__loop_self)
        not_here(mutex, self);
    if (!take(mutex, self))
        return false;
    weft__debug_lock_taken(mutex, "mutex");
    return true;
}

/* With the lock held: whether the mutex was free after all and is the caller's now. Else it is
 * marked, and its holder will come for the lock. */
static bool
take_or_mark(struct mutex *mutex, struct weft__holder self)
{
    for (;;) {
        uintptr_t word = weft__load(&mutex->word);
        if (word == NOBODY) {
            if (weft__cas(&mutex->word, NOBODY, (uintptr_t)self.waiter))
                return true;
            continue;
        }
        if (holder_in(word) == self.waiter)
            locked_twice(mutex, self);
        /* Pairs with the compare-and-swap in weft_mutex_unlock: of two at once one fails. */
        if ((word & WAITED) || weft__cas(&mutex->word, word, word | WAITED))
            return false;
    }
}

/* Waits for its turn, unless it is. Who is woken finds the mutex made over to it. */
static int
wait_for_turn(struct mutex *mutex, struct weft__holder self, bool cancellable)
{
    int rc = 0;
    weft__waits_for("mutex", mutex);
    weft__lock(&mutex->lock);
    if (take_or_mark(mutex, self))
        weft__unlock(&mutex->lock);
    else if (cancellable)
        rc = weft__waitq_park(&mutex->line, &mutex->lock); /* unlocks once in line */
    else
        weft__waitq_park_through(&mutex->line, &mutex->lock);
    if (rc == 0) {
        weft__hold(self.holdings, &mutex->held);
        weft__debug_lock_taken(mutex, "mutex");
    }
    return rc;
}

static __attribute__((noinline)) int
lock_slowly(struct mutex *mutex)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    struct weft__holder self = weft__holder_self();
    return take_here(mutex, self) ? 0 : wait_for_turn(mutex, self, true);
}

/* Frees the mutex, or makes it over to who has waited longest. */
static __attribute__((noinline)) void
hand_over(struct mutex *mutex)
{
    weft__lock(&mutex->lock);
    struct weft__waiter *next = weft__waitq_claim(&mutex->line);
    uintptr_t word = NOBODY;
    if (next != NULL)
        word = (uintptr_t)next | (weft__list_empty(&mutex->line) ? 0 : WAITED);
    weft__store_release(&mutex->word, word); /* pairs with the compare-and-swaps that take it */
    weft__unlock(&mutex->lock);
    if (next != NULL)
        weft__deliver(next, 0);
}

void
weft_mutex_open(weft_mutex *public, const weft_mutex_options *options)
{
    struct mutex *mutex = mutex_of(public);
    *mutex = (struct mutex){.held.what = "mutex"};
    weft__list_init(&mutex->line);
    if (options != NULL) {
        mutex->held.name = options->name;
        if (options->local)
            mutex->local = ON_SOME_LOOP;
    }
}

int
weft_mutex_lock(weft_mutex *public)
{
    struct mutex *mutex = mutex_of(public);
    struct weft_task *task = weft__task_self();
    if (__builtin_expect(task != NULL && weft__nothing_pending(task) && !WEFT_BUGGIFY(4) &&
                             take(mutex, weft__holder_of(task)),
                         1))
        return 0;
    return lock_slowly(mutex);
}

void
weft__mutex_lock_through(weft_mutex *public)
{
    struct mutex *mutex = mutex_of(public);
    struct weft__holder self = weft__holder_self();
    weft__wait_uncancellable();
    if (!take_here(mutex, self))
        wait_for_turn(mutex, self, false);
}

int
weft_mutex_try_lock(weft_mutex *public)
{
    return take_here(mutex_of(public), weft__holder_self()) ? 0 : -EAGAIN;
}

static inline void
unlock(struct mutex *mutex, struct weft__holder self)
{
    uintptr_t mine = (uintptr_t)self.waiter;
    uintptr_t word = weft__load_relaxed(&mutex->word); /* only the holder makes it its own */
    if (__builtin_expect((word & ~WAITED) != mine, 0))
        not_the_holder(mutex, self);
    weft__let_go(self.holdings, &mutex->held);
    weft__debug_lock_released(mutex);
    if (mutex->local != NULL && word == mine)
        weft__store_relaxed(&mutex->word, NOBODY);
    else if (mutex->local != NULL || WEFT_BUGGIFY(4) || !weft__cas(&mutex->word, mine, NOBODY))
        hand_over(mutex); /* somebody marked it: pairs with take_or_mark */
}

/* From a plain thread: apart, so that a task's way needs no frame. */
static __attribute__((noinline)) void
unlock_from_thread(struct mutex *mutex)
{
    unlock(mutex, weft__holder_self());
}

void
weft_mutex_unlock(weft_mutex *public)
{
    struct weft_task *task = weft__task_self();
    if (__builtin_expect(task != NULL, 1))
        unlock(mutex_of(public), weft__holder_of(task));
    else
        unlock_from_thread(mutex_of(public));
}

int
weft_mutex_locked(const weft_mutex *public)
{
    return weft__load(&mutex_of(public)->word) != NOBODY;
}

bool
weft__mutex_is_mine(const weft_mutex *public)
{
    return holder_in(weft__load(&mutex_of(public)->word)) == weft__holder_self().waiter;
}

void
weft_mutex_close(weft_mutex *public)
{
    struct mutex *mutex = mutex_of(public);
    weft__lock(&mutex->lock);
    uintptr_t word = weft__load(&mutex->word);
    bool waited = !weft__list_empty(&mutex->line);
    weft__unlock(&mutex->lock);
    char what[WEFT__HELD_TEXT], who[WEFT__HELD_TEXT];
    if (word != NOBODY)
        weft__fatal("%s was closed while held by %s", weft__held_text(&mutex->held, what),
                    weft__holder_text(holder_in(word), who));
    weft__assert(!waited, "a mutex was closed while tasks wait for it");
}
