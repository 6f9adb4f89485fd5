/*
 * sync.h - counted permits, for tasks and plain threads alike.
 */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include <weft/base.h>

/* In the caller's memory, from open to close. */
typedef struct weft_semaphore {
    uint64_t opaque_[8];
} weft_semaphore;

WEFT_BEGIN_DECLS

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

WEFT_END_DECLS

#endif
