/*
 * semaphore.c - counted permits, for tasks and threads alike.
 *
 * A released permit goes straight to the oldest waiter and back to the count only when nobody
 * waits. So permits > 0 means that no one is waiting, and no one is overtaken.
 */
#include <errno.h>

#include <weft/sync.h>

#include "base/assert.h"
#include "flow/waitq.h"
#include "task/task_priv.h"

struct semaphore {
    struct weft__lock lock;
    uint32_t permits;
    struct weft__list line;
};
_Static_assert(sizeof(struct semaphore) <= sizeof(weft_semaphore), "weft_semaphore is too small");

int
weft_semaphore_open(weft_semaphore *public, uint32_t permits)
{
    if (permits > UINT32_MAX / 2)
        return -EINVAL;
    struct semaphore *semaphore = (struct semaphore *)(void *)public;
    *semaphore = (struct semaphore){.permits = permits};
    weft__list_init(&semaphore->line);
    return 0;
}

int
weft_semaphore_acquire(weft_semaphore *public)
{
    struct semaphore *semaphore = (struct semaphore *)(void *)public;
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    weft__lock(&semaphore->lock);
    if (semaphore->permits > 0) {
        semaphore->permits--;
        weft__unlock(&semaphore->lock);
        return 0;
    }
    weft__waits_for("semaphore", public);
    return weft__waitq_park(&semaphore->line, &semaphore->lock); /* unlocks once in line */
}

int
weft_semaphore_try_acquire(weft_semaphore *public)
{
    struct semaphore *semaphore = (struct semaphore *)(void *)public;
    weft__lock(&semaphore->lock);
    bool free_permit = semaphore->permits > 0;
    if (free_permit)
        semaphore->permits--;
    weft__unlock(&semaphore->lock);
    return free_permit ? 0 : -EAGAIN;
}

void
weft_semaphore_release(weft_semaphore *public)
{
    struct semaphore *semaphore = (struct semaphore *)(void *)public;
    weft__lock(&semaphore->lock);
    struct weft__waiter *waiter = weft__waitq_claim(&semaphore->line);
    if (waiter == NULL) {
        weft__assert(semaphore->permits < UINT32_MAX,
                     "a semaphore was released more often than it can count");
        semaphore->permits++;
    }
    weft__unlock(&semaphore->lock);
    if (waiter != NULL)
        weft__deliver(waiter, 0);
}

void
weft_semaphore_close(weft_semaphore *public)
{
    struct semaphore *semaphore = (struct semaphore *)(void *)public;
    weft__assert(weft__list_empty(&semaphore->line), "a semaphore was closed while tasks wait");
}
