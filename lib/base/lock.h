/*
 * lock.h - a lock for a few instructions, in one word.
 *
 * All zero is free. Who holds it does not wait for anything, does not switch tasks, and calls
 * nothing of the user's. Waiters spin shortly and then sleep in the kernel, so a holder that was
 * preempted costs little.
 */
#ifndef WEFT_LIB_BASE_LOCK_H
#define WEFT_LIB_BASE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/seam.h"

enum {
    WEFT__LOCK_FREE = 0,
    WEFT__LOCK_HELD = 1,
    WEFT__LOCK_CONTENDED = 2 /* held, and somebody may sleep */
};

struct weft__lock {
    uint32_t word;
};

void weft__lock_wait(struct weft__lock *lock) __attribute__((cold));
void weft__lock_wake(struct weft__lock *lock) __attribute__((cold));

static inline bool
weft__trylock(struct weft__lock *lock)
{
    /* pairs with the exchange in weft__unlock, as do all that take the lock */
    return weft__cas(&lock->word, WEFT__LOCK_FREE, WEFT__LOCK_HELD);
}

static inline void
weft__lock(struct weft__lock *lock)
{
    WEFT_POINT(WEFT__POINT_LOCK);
    if (!weft__trylock(lock))
        weft__lock_wait(lock);
}

static inline void
weft__unlock(struct weft__lock *lock)
{
    /* pairs with the compare-and-swap of weft__trylock and the exchange of weft__lock_wait */
    if (weft__exchange(&lock->word, WEFT__LOCK_FREE) == WEFT__LOCK_CONTENDED)
        weft__lock_wake(lock);
}

#endif
