/*
 * lock.c - the slow path of the short lock: spin a little, then sleep.
 *
 * Who has slept takes the lock as contended, because it cannot know whether others still sleep;
 * at worst one wake-up finds nobody.
 */
#include "base/lock.h"
#include "base/sys.h"

/* About as long as a critical section of ours lasts; longer means that the holder was preempted,
 * and spinning keeps it from running. */
#define SPINS 100

void
weft__lock_wait(struct weft__lock *lock)
{
    for (int i = 0; i < SPINS; i++) {
        weft__cpu_pause();
        if (weft__load_relaxed(&lock->word) == WEFT__LOCK_FREE && weft__trylock(lock))
            return;
    }
#ifdef WEFT_TEST
    /* In the simulator the holder is another actor of this very thread: sleeping would be for
     * ever. */
    while (weft__load_relaxed(&weft__point_hook) != NULL) {
        WEFT_POINT(WEFT__POINT_LOCK_HELD);
        if (weft__trylock(lock))
            return;
        weft__cpu_pause();
    }
#endif
    /* pairs with the exchange in weft__unlock */
    while (weft__exchange(&lock->word, WEFT__LOCK_CONTENDED) != WEFT__LOCK_FREE)
        (void)weft__sys_futex_wait(&lock->word, WEFT__LOCK_CONTENDED, -1);
}

void
weft__lock_wake(struct weft__lock *lock)
{
    weft__sys_futex_wake(&lock->word, 1);
}
