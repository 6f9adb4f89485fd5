/*
 * sync.h - locks and meeting points, for tasks of any loops and plain threads alike.
 *
 * Whoever waits does so in line: first come, first served. A wait that ends with -ECANCELED or
 * -ETIMEDOUT has taken nothing, and what it would have got goes to the next in line. A mutex, a
 * write lock or a limiter's token belongs to the task or thread that took it: taking it twice,
 * giving it back for somebody else, and ending without having given it back are broken promises,
 * which abort with the names of both.
 */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include <weft/base.h>
#include <weft/task.h>

/* All in the caller's memory, from open to close. */
typedef struct weft_mutex {
    uint64_t opaque_[8];
} weft_mutex;

typedef struct weft_mutex_options {
    const char *name; /* for reports; must outlive the mutex. NULL: it has none */
    unsigned local;   /* 1: only tasks of one loop use it, the one that does first. Cheaper */
} weft_mutex_options;

typedef struct weft_rwlock {
    uint64_t opaque_[8];
} weft_rwlock;

typedef struct weft_rwlock_options {
    const char *name; /* for reports; must outlive the lock. NULL: it has none */
} weft_rwlock_options;

typedef struct weft_semaphore {
    uint64_t opaque_[8];
} weft_semaphore;

typedef struct weft_limiter {
    uint64_t opaque_[8];
} weft_limiter;

typedef struct weft_limiter_stats {
    uint32_t total;    /* how many may be borrowed at once */
    uint32_t borrowed; /* above total for a while after total was lowered */
    uint32_t waiting;  /* in line */
} weft_limiter_stats;

typedef struct weft_event {
    uint64_t opaque_[8];
} weft_event;

typedef struct weft_cond {
    uint64_t opaque_[8];
} weft_cond;

typedef struct weft_barrier {
    uint64_t opaque_[8];
} weft_barrier;

/* All zero, or WEFT_ONCE_INIT, is ready for use; it needs no opening and no closing. */
typedef struct weft_once_flag {
    uint64_t opaque_[6];
} weft_once_flag;

/* clang-format off */
#define WEFT_ONCE_INIT {{0}}
/* clang-format on */

WEFT_BEGIN_DECLS

/*
 * weft_mutex_open - make a mutex that nobody holds
 *
 * options  NULL for the defaults
 *
 * Waits    no
 * Threads  any
 * Source   asyncio.Lock
 */
void weft_mutex_open(weft_mutex *mutex, const weft_mutex_options *options);

/*
 * weft_mutex_lock - take the mutex, waiting in line for it
 *
 * It may be held across any wait; other tasks go on meanwhile.
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first: it is not taken
 * Waits    yes; looks for cancellation first, even when the mutex is free
 * Threads  tasks of any loop, and plain threads; of one loop alone with .local
 * Source   asyncio Lock.acquire
 */
WEFT_WAITS int weft_mutex_lock(weft_mutex *mutex);

/*
 * weft_mutex_try_lock - take the mutex if nobody has it
 *
 * Returns  0; -EAGAIN
 * Waits    no
 * Threads  as weft_mutex_lock
 * Source   pthread_mutex_trylock(3)
 */
int weft_mutex_try_lock(weft_mutex *mutex);

/*
 * weft_mutex_unlock - give the mutex back; it is handed to the one waiting longest
 *
 * Waits    no
 * Threads  the task or thread that holds it; whoever has it next may close it at once
 * Source   asyncio Lock.release
 */
void weft_mutex_unlock(weft_mutex *mutex);

/*
 * weft_mutex_locked - whether anybody holds the mutex
 *
 * Returns  1 or 0, as of now
 * Waits    no
 * Threads  any
 * Source   asyncio Lock.locked
 */
int weft_mutex_locked(const weft_mutex *mutex);

/*
 * weft_mutex_close - end a mutex nobody holds or waits for
 *
 * Waits    no
 * Threads  any, after all other calls but an unlock have returned
 * Source   pthread_mutex_destroy(3)
 */
void weft_mutex_close(weft_mutex *mutex);

/*
 * weft_rwlock_open - make a lock for many readers or one writer
 *
 * Readers that come next to each other in line go in together; a reader that comes after a waiting
 * writer goes in after it. So neither keeps the other out, and a task that reads must not ask to
 * read again: a writer in between would wait for it, and it for the writer.
 *
 * options  NULL for the defaults
 *
 * Waits    no
 * Threads  any
 * Source   Go's sync.RWMutex; tokio::sync::RwLock
 */
void weft_rwlock_open(weft_rwlock *rwlock, const weft_rwlock_options *options);

/*
 * weft_rwlock_read_lock - go in beside other readers, waiting in line for it
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first: it is not taken
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   Go's RWMutex.RLock
 */
WEFT_WAITS int weft_rwlock_read_lock(weft_rwlock *rwlock);

/*
 * weft_rwlock_try_read_lock - go in beside other readers if no writer is inside and nobody waits
 *
 * Returns  0; -EAGAIN
 * Waits    no
 * Threads  any
 * Source   Go's RWMutex.TryRLock
 */
int weft_rwlock_try_read_lock(weft_rwlock *rwlock);

/*
 * weft_rwlock_read_unlock - leave as a reader; the last one lets the next in line in
 *
 * Waits    no
 * Threads  the task or thread that went in
 * Source   Go's RWMutex.RUnlock
 */
void weft_rwlock_read_unlock(weft_rwlock *rwlock);

/*
 * weft_rwlock_write_lock - go in alone, waiting in line for it
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first: it is not taken
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   Go's RWMutex.Lock
 */
WEFT_WAITS int weft_rwlock_write_lock(weft_rwlock *rwlock);

/*
 * weft_rwlock_try_write_lock - go in alone if nobody is inside or waits
 *
 * Returns  0; -EAGAIN
 * Waits    no
 * Threads  any
 * Source   Go's RWMutex.TryLock
 */
int weft_rwlock_try_write_lock(weft_rwlock *rwlock);

/*
 * weft_rwlock_write_unlock - leave as the writer; the next in line go in
 *
 * Waits    no
 * Threads  the task or thread that went in
 * Source   Go's RWMutex.Unlock
 */
void weft_rwlock_write_unlock(weft_rwlock *rwlock);

/*
 * weft_rwlock_close - end a lock nobody holds or waits for
 *
 * Waits    no
 * Threads  any, after all other calls have returned
 * Source   pthread_rwlock_destroy(3)
 */
void weft_rwlock_close(weft_rwlock *rwlock);

/*
 * weft_semaphore_open - make a semaphore
 *
 * permits  how many may be held at once, 0 to UINT32_MAX / 2
 *
 * Returns  0; -EINVAL for too many
 * Waits    no
 * Threads  any
 * Source   asyncio.Semaphore
 */
int weft_semaphore_open(weft_semaphore *semaphore, uint32_t permits);

/*
 * weft_semaphore_acquire - take a permit, waiting in line for one
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first: no permit is taken
 * Waits    yes; looks for cancellation first, even when a permit is free
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio Semaphore.acquire
 */
WEFT_WAITS int weft_semaphore_acquire(weft_semaphore *semaphore);

/*
 * weft_semaphore_try_acquire - take a permit if one is free
 *
 * Returns  0; -EAGAIN
 * Waits    no
 * Threads  any
 * Source   sem_trywait(3)
 */
int weft_semaphore_try_acquire(weft_semaphore *semaphore);

/*
 * weft_semaphore_release - give a permit back; the one waiting longest gets it
 *
 * Waits    no
 * Threads  any
 * Source   asyncio Semaphore.release
 */
void weft_semaphore_release(weft_semaphore *semaphore);

/*
 * weft_semaphore_close - end a semaphore nobody waits for
 *
 * Waits    no
 * Threads  any, after all other calls have returned
 * Source   sem_destroy(3)
 */
void weft_semaphore_close(weft_semaphore *semaphore);

/*
 * weft_limiter_open - make a limiter: tokens that belong to who borrowed them
 *
 * total    how many may be borrowed at once, 0 to UINT32_MAX / 2
 *
 * Returns  0; -EINVAL for too many; -ENOMEM
 * Waits    no
 * Threads  any
 * Source   trio.CapacityLimiter
 */
int weft_limiter_open(weft_limiter *limiter, uint32_t total);

/*
 * weft_limiter_acquire - borrow a token for the caller, waiting in line for one
 *
 * Who has one already waits for itself, perhaps for ever: that is a broken promise.
 *
 * Returns  0; -ENOMEM; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first: nothing is
 *          borrowed
 * Waits    yes; looks for cancellation first, even when a token is there
 * Threads  tasks of any loop, and plain threads
 * Source   trio CapacityLimiter.acquire
 */
WEFT_WAITS int weft_limiter_acquire(weft_limiter *limiter);

/*
 * weft_limiter_try_acquire - borrow a token for the caller if one is there
 *
 * Returns  0; -EAGAIN; -ENOMEM
 * Waits    no
 * Threads  any
 * Source   trio CapacityLimiter.acquire_nowait
 */
int weft_limiter_try_acquire(weft_limiter *limiter);

/*
 * weft_limiter_release - return the caller's token; it goes to the one waiting longest
 *
 * Waits    no
 * Threads  the task or thread that borrowed it
 * Source   trio CapacityLimiter.release
 */
void weft_limiter_release(weft_limiter *limiter);

/*
 * weft_limiter_acquire_for - borrow a token on behalf of a thing, waiting in line for one
 *
 * borrower  any address of the caller's, a connection's for instance; a key, nothing is read there
 *
 * Returns  as weft_limiter_acquire
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   trio CapacityLimiter.acquire_on_behalf_of
 */
WEFT_WAITS int weft_limiter_acquire_for(weft_limiter *limiter, const void *borrower);

/*
 * weft_limiter_try_acquire_for - borrow a token on behalf of a thing if one is there
 *
 * Returns  0; -EAGAIN; -ENOMEM
 * Waits    no
 * Threads  any
 * Source   trio CapacityLimiter.acquire_on_behalf_of_nowait
 */
int weft_limiter_try_acquire_for(weft_limiter *limiter, const void *borrower);

/*
 * weft_limiter_release_for - return a thing's token
 *
 * Waits    no
 * Threads  any
 * Source   trio CapacityLimiter.release_on_behalf_of
 */
void weft_limiter_release_for(weft_limiter *limiter, const void *borrower);

/*
 * weft_limiter_set_total - change how many tokens there are
 *
 * More of them go to who waits. With fewer, nothing is taken away; nobody gets one until less than
 * the new total is borrowed.
 *
 * total    0 to UINT32_MAX / 2
 *
 * Returns  0; -EINVAL for too many
 * Waits    no
 * Threads  any
 * Source   trio CapacityLimiter.total_tokens
 */
int weft_limiter_set_total(weft_limiter *limiter, uint32_t total);

/*
 * weft_limiter_stats_get - how many tokens there are, are borrowed, and are waited for
 *
 * ret_stats  out
 *
 * Waits    no
 * Threads  any
 * Source   trio CapacityLimiter.statistics
 */
void weft_limiter_stats_get(const weft_limiter *limiter, weft_limiter_stats *ret_stats);

/*
 * weft_limiter_close - end a limiter whose tokens are all back
 *
 * Waits    no
 * Threads  any, after all other calls have returned
 * Source   weft
 */
void weft_limiter_close(weft_limiter *limiter);

/*
 * weft_event_open - make a flag that is not set
 *
 * Waits    no
 * Threads  any
 * Source   asyncio.Event
 */
void weft_event_open(weft_event *event);

/*
 * weft_event_set - set the flag; all who wait go on, also when it is cleared right after
 *
 * Waits    no
 * Threads  any; who has waited for the event may close it at once
 * Source   asyncio Event.set
 */
void weft_event_set(weft_event *event);

/*
 * weft_event_clear - take the flag back: who waits from now on waits for the next set
 *
 * Waits    no
 * Threads  any
 * Source   asyncio Event.clear
 */
void weft_event_clear(weft_event *event);

/*
 * weft_event_is_set - whether the flag is set
 *
 * Returns  1 or 0
 * Waits    no
 * Threads  any
 * Source   asyncio Event.is_set
 */
int weft_event_is_set(const weft_event *event);

/*
 * weft_event_wait - wait until the flag is set
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first
 * Waits    yes; looks for cancellation first, even when the flag is set
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio Event.wait
 */
WEFT_WAITS int weft_event_wait(weft_event *event);

/*
 * weft_event_close - end an event nobody waits for
 *
 * Waits    no
 * Threads  any, after all other calls but a set have returned
 * Source   weft
 */
void weft_event_close(weft_event *event);

/*
 * weft_cond_open - make a condition
 *
 * Waits    no
 * Threads  any
 * Source   asyncio.Condition
 */
void weft_cond_open(weft_cond *cond);

/*
 * weft_cond_wait - give the mutex back, wait to be notified, and take the mutex again
 *
 * There are no wake-ups without a notification, but others may come first to the mutex and undo
 * what it was about: check again, or let weft_cond_wait_for do it.
 *
 * mutex    held by the caller, and on return again, whatever is returned; the same one for all who
 *          wait at once
 *
 * Returns  0 when notified; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first: then
 *          no notification was used up
 * Waits    yes; looks for cancellation first. Taking the mutex again is waited for even after
 *          cancellation
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio Condition.wait
 */
WEFT_WAITS int weft_cond_wait(weft_cond *cond, weft_mutex *mutex);

/*
 * weft_cond_wait_for - wait until a condition holds
 *
 * holds    called with arg and the mutex held, first at once and then after each notification;
 *          0 means not yet
 *
 * Returns  0 when it holds; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first. The
 *          mutex is held in either case
 * Waits    yes; looks for cancellation first, even when the condition holds
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio Condition.wait_for
 */
WEFT_WAITS int weft_cond_wait_for(weft_cond *cond, weft_mutex *mutex, int (*holds)(void *arg),
                                  void *arg);

/*
 * weft_cond_notify - wake the one waiting longest
 *
 * Change what is waited for under the mutex; notifying needs it no longer, and is cheaper
 * after unlocking.
 *
 * Returns  how many were woken, 0 or 1
 * Waits    no
 * Threads  any
 * Source   asyncio Condition.notify
 */
unsigned weft_cond_notify(weft_cond *cond);

/*
 * weft_cond_notify_n - wake the n who wait longest, or all if they are fewer
 *
 * Returns  how many were woken
 * Waits    no
 * Threads  any
 * Source   asyncio Condition.notify
 */
unsigned weft_cond_notify_n(weft_cond *cond, unsigned n);

/*
 * weft_cond_notify_all - wake all who wait at this moment
 *
 * Returns  how many were woken
 * Waits    no
 * Threads  any
 * Source   asyncio Condition.notify_all
 */
unsigned weft_cond_notify_all(weft_cond *cond);

/*
 * weft_cond_close - end a condition nobody waits for
 *
 * Waits    no
 * Threads  any, after all notifications have returned; one who was notified may close it
 * Source   pthread_cond_destroy(3)
 */
void weft_cond_close(weft_cond *cond);

/*
 * weft_barrier_open - make a barrier for a number of parties
 *
 * parties  1 to INT_MAX
 *
 * Returns  0; -EINVAL
 * Waits    no
 * Threads  any
 * Source   asyncio.Barrier
 */
int weft_barrier_open(weft_barrier *barrier, unsigned parties);

/*
 * weft_barrier_wait - wait until all parties have come; then the next round begins
 *
 * A party that is cancelled, while it waits or before, breaks the barrier: the others of its round
 * would wait in vain. It stays broken until weft_barrier_reset.
 *
 * Returns  the caller's place in the order of coming, from 0; the last one gets parties - 1.
 *          WEFT_E_BARRIER when the barrier is broken, was aborted or reset meanwhile; -ECANCELED
 *          or -ETIMEDOUT when the enclosing scope ended first
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio Barrier.wait; threading.Barrier for what cancellation does
 */
WEFT_WAITS int weft_barrier_wait(weft_barrier *barrier);

/*
 * weft_barrier_abort - break the barrier: all who wait, and come later, get WEFT_E_BARRIER
 *
 * Waits    no
 * Threads  any
 * Source   asyncio Barrier.abort
 */
void weft_barrier_abort(weft_barrier *barrier);

/*
 * weft_barrier_reset - begin anew, broken or not; who waits gets WEFT_E_BARRIER
 *
 * Waits    no
 * Threads  any
 * Source   asyncio Barrier.reset
 */
void weft_barrier_reset(weft_barrier *barrier);

/*
 * weft_barrier_waiting - how many parties have come in this round
 *
 * Returns  0 to parties - 1
 * Waits    no
 * Threads  any
 * Source   asyncio Barrier.n_waiting
 */
unsigned weft_barrier_waiting(const weft_barrier *barrier);

/*
 * weft_barrier_is_broken - whether the barrier is broken
 *
 * Returns  1 or 0
 * Waits    no
 * Threads  any
 * Source   asyncio Barrier.broken
 */
int weft_barrier_is_broken(const weft_barrier *barrier);

/*
 * weft_barrier_close - end a barrier nobody waits at
 *
 * Waits    no
 * Threads  any, after all other calls have returned
 * Source   pthread_barrier_destroy(3)
 */
void weft_barrier_close(weft_barrier *barrier);

/*
 * weft_once - call a function unless it has succeeded before
 *
 * Whoever comes first calls it; who comes meanwhile waits. When it fails, its caller gets the
 * failure, and of the others the one waiting longest calls its own fn next, and so on; after a
 * success nobody does any more.
 *
 * once     WEFT_ONCE_INIT to begin with; there until the last call has returned
 * fn       0 or more is success. Called in the caller's task, scopes and all; may wait, but not
 *          for the same flag
 *
 * Returns  what the call that succeeded returned, to all alike; fn's failure to who called it;
 *          -ECANCELED or -ETIMEDOUT when the enclosing scope ended first
 * Waits    yes; looks for cancellation first, even when it is done
 * Threads  tasks of any loop, and plain threads
 * Source   Go's sync.Once; tokio::sync::OnceCell::get_or_try_init for failures
 */
WEFT_WAITS int weft_once(weft_once_flag *once, weft_task_fn *fn, void *arg);

/*
 * weft_once_done - whether a call has succeeded
 *
 * Returns  1 or 0
 * Waits    no
 * Threads  any
 * Source   tokio OnceCell::initialized
 */
int weft_once_done(const weft_once_flag *once);

WEFT_END_DECLS

#endif
