/*
 * calls.c - the calls of a pool of processes: the queue, and how each comes to its one end.
 *
 * The queue, the list of the cancelled and the states of calls are under the lock, for any thread;
 * `done` is called by the supervisor alone, without the lock. Who adds something that the
 * supervisor has to see rings when it sleeps; it looks once more before it says that it does.
 */
#include <weft/error.h>

#include "pool/procpool_priv.h"

/* ---- Lists -----------------------------------------------------------------------------------*/

static void
list_insert(struct call_list *list, weft_procpool_call *call, weft_procpool_call *before)
{
    weft_procpool_call *prev = before == NULL ? list->last : before->prev_;
    call->next_ = before;
    call->prev_ = prev;
    *(prev == NULL ? &list->first : &prev->next_) = call;
    *(before == NULL ? &list->last : &before->prev_) = call;
}

static void
list_remove(struct call_list *list, weft_procpool_call *call)
{
    *(call->prev_ == NULL ? &list->first : &call->prev_->next_) = call->next_;
    *(call->next_ == NULL ? &list->last : &call->next_->prev_) = call->prev_;
    call->next_ = call->prev_ = NULL;
}

/* ---- For the supervisor ----------------------------------------------------------------------*/

size_t
weft__calls_queued(weft_procpool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    size_t n = pool->n_queued;
    (void)pthread_mutex_unlock(&pool->lock);
    return n;
}

weft_procpool_call *
weft__calls_take(weft_procpool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    weft_procpool_call *call = pool->queue.first;
    if (call != NULL) {
        list_remove(&pool->queue, call);
        pool->n_queued--;
        call->state_ = CALL_RUNNING;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return call;
}

void
weft__calls_put_back(weft_procpool *pool, weft_procpool_call *call)
{
    (void)pthread_mutex_lock(&pool->lock);
    bool cancelled = call->state_ == CALL_STOPPING;
    call->state_ = cancelled ? CALL_CANCELLED : CALL_QUEUED;
    list_insert(cancelled ? &pool->cancelled : &pool->queue, call,
                cancelled ? NULL : pool->queue.first);
    pool->n_queued += !cancelled;
    (void)pthread_mutex_unlock(&pool->lock);
}

void
weft__calls_finish(weft_procpool *pool, weft_procpool_call *call, int result)
{
    (void)pthread_mutex_lock(&pool->lock);
    call->state_ = CALL_DONE; /* a cancel from now on finds nothing to do */
    (void)pthread_mutex_unlock(&pool->lock);
    call->done(call, result);
}

void
weft__calls_finish_list(weft_procpool *pool, struct call_list *list, int result)
{
    for (weft_procpool_call *call; (call = list->first) != NULL;) {
        list_remove(list, call);
        weft__calls_finish(pool, call, result);
    }
}

void
weft__calls_finish_queue(weft_procpool *pool, int result)
{
    (void)pthread_mutex_lock(&pool->lock);
    struct call_list all = pool->queue;
    pool->queue = (struct call_list){0};
    pool->n_queued = 0;
    /* Still named by their callers: who cancels one now must not look for it on the queue. */
    for (weft_procpool_call *call = all.first; call != NULL; call = call->next_)
        call->state_ = CALL_DONE;
    (void)pthread_mutex_unlock(&pool->lock);
    weft__calls_finish_list(pool, &all, result);
}

void
weft__calls_finish_late(weft_procpool *pool, weft_time now)
{
    struct call_list late = {0};
    (void)pthread_mutex_lock(&pool->lock);
    if (pool->earliest <= now) {
        pool->earliest = WEFT_FOREVER;
        for (weft_procpool_call *call = pool->queue.first, *next; call != NULL; call = next) {
            next = call->next_;
            if (call->deadline <= now) {
                list_remove(&pool->queue, call);
                pool->n_queued--;
                call->state_ = CALL_DONE;
                list_insert(&late, call, NULL);
            } else if (call->deadline < pool->earliest) {
                pool->earliest = call->deadline;
            }
        }
    }
    (void)pthread_mutex_unlock(&pool->lock);
    weft__calls_finish_list(pool, &late, -ETIMEDOUT);
}

/* ---- For any thread --------------------------------------------------------------------------*/

/* With the lock held: the supervisor, woken, may finish the last call, and then whoever waits for
 * that may free the pool. */
static void
ring(weft_procpool *pool)
{
    if (!pool->sleeping)
        return;
    pool->sleeping = false;
    weft_ignore(write(pool->bell, &(uint64_t){1}, sizeof(uint64_t)));
}

int
weft_procpool_submit(weft_procpool *pool, weft_procpool_call *call)
{
    if (call->done == NULL)
        return weft_error_note(-EINVAL, "process pool: a call without `done`");
    if (call->request[0].len > WEFT_PROCPOOL_BYTES_MAX ||
        call->request[1].len > WEFT_PROCPOOL_BYTES_MAX - call->request[0].len)
        return weft_error_note(-EMSGSIZE, "process pool: a request of more than %zu bytes",
                               WEFT_PROCPOOL_BYTES_MAX);
    (void)pthread_mutex_lock(&pool->lock);
    int rc = 0;
    if (pool->closing) {
        rc = -ESHUTDOWN;
    } else if (pool->refuse_until > 0 && pool->refuse_until > weft__sys_monotonic()) {
        rc = -EOWNERDEAD;
    } else {
        call->state_ = CALL_QUEUED;
        list_insert(&pool->queue, call, NULL);
        pool->n_queued++;
        pool->earliest = weft__earlier(pool->earliest, call->deadline);
        ring(pool);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return rc;
}

void
weft_procpool_cancel(weft_procpool *pool, weft_procpool_call *call)
{
    (void)pthread_mutex_lock(&pool->lock);
    if (call->state_ == CALL_QUEUED) {
        list_remove(&pool->queue, call);
        pool->n_queued--;
        list_insert(&pool->cancelled, call, NULL);
        call->state_ = CALL_CANCELLED;
        ring(pool);
    } else if (call->state_ == CALL_RUNNING) {
        call->state_ = CALL_STOPPING;
        pool->stopping = true;
        ring(pool);
    }
    (void)pthread_mutex_unlock(&pool->lock);
}

void
weft__calls_close(weft_procpool *pool, weft_close_mode mode, weft_time close_by)
{
    (void)pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pool->close_mode = mode;
    pool->close_by = close_by;
    ring(pool);
    (void)pthread_mutex_unlock(&pool->lock);
}
