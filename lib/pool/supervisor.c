/*
 * supervisor.c - the one thread of a pool of processes: it looks at all there is to do, and sleeps.
 *
 * Whatever must not wait for an event of a child or for a ring has to be asked for in next_turn,
 * under the lock, in one look: what comes after that look finds a supervisor that sleeps.
 */
#include <limits.h>

#include <weft/error.h>

#include "base/log.h"
#include "base/seam.h"
#include "pool/procpool_priv.h"

#define RETRY_START WEFT_MS(100) /* no resources for a child, but others are alive */
#define EVENTS_MAX 64

/* Calls taken back: those that waited are done; those that run lose their child. */
static void
turn_cancels(weft_procpool *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    struct call_list cancelled = pool->cancelled;
    pool->cancelled = (struct call_list){0};
    if (pool->stopping) {
        pool->stopping = false;
        for (unsigned i = 0; i < pool->width; i++) {
            struct slot *slot = &pool->slots[i];
            if (slot->state == SLOT_BUSY && slot->call->state_ == CALL_STOPPING)
                weft__slot_kill(pool, slot, -ECANCELED, true);
        }
    }
    (void)pthread_mutex_unlock(&pool->lock);
    weft__calls_finish_list(pool, &cancelled, -ECANCELED);
}

static void
turn_deadlines(weft_procpool *pool, weft_time now)
{
    weft__calls_finish_late(pool, now);
    for (unsigned i = 0; i < pool->width && pool->n_alive > 0; i++) {
        struct slot *slot = &pool->slots[i];
        if (slot->state == SLOT_BUSY && slot->call->deadline <= now)
            weft__slot_kill(pool, slot, -ETIMEDOUT, true);
        else if (slot->state == SLOT_ENDING && slot->give_up <= now)
            weft__slot_patience_over(pool, slot, now);
    }
}

/* Whether all is over. */
static bool
turn_close(weft_procpool *pool, weft_time now)
{
    (void)pthread_mutex_lock(&pool->lock);
    bool closing = pool->closing;
    pool->close_seen = closing;
    bool drop = closing && (pool->close_mode == WEFT_CANCEL || pool->close_by <= now);
    bool stop = closing && pool->close_by <= now;
    (void)pthread_mutex_unlock(&pool->lock);
    if (!closing)
        return false;
    if (drop)
        weft__calls_finish_queue(pool, -ECANCELED);
    (void)pthread_mutex_lock(&pool->lock);
    bool over = pool->queue.first == NULL && pool->cancelled.first == NULL;
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->width; i++) {
        struct slot *slot = &pool->slots[i];
        if (slot->state == SLOT_BUSY && stop) {
            weft__slot_kill(pool, slot, -ECANCELED, true);
        } else if ((slot->state == SLOT_IDLE || slot->state == SLOT_STARTING) && over) {
            weft__slot_send_off(pool, slot);
        }
    }
    return over && pool->n_alive == 0;
}

static void
turn_assign(weft_procpool *pool)
{
    while (pool->n_idle > 0) {
        weft_procpool_call *call = weft__calls_take(pool);
        if (call == NULL)
            return;
        weft__slot_assign(pool, &pool->slots[pool->idle[pool->n_idle - 1]], call);
    }
}

/* As long as it is open whether children live at all, they are tried one at a time: the next
 * when the one before has said hello, or is gone. */
static bool
start_is_wanted(const weft_procpool *pool, size_t n_queued)
{
    bool doubtful = !pool->proven || pool->failed_starts > 0;
    return n_queued > pool->n_idle + pool->n_starting && pool->n_alive < pool->width &&
           !(doubtful && pool->n_alive > pool->n_idle + pool->n_busy);
}

static void
turn_start(weft_procpool *pool, weft_time now)
{
    if (!start_is_wanted(pool, weft__calls_queued(pool)) || now < pool->next_start)
        return;
    struct slot *slot = pool->slots;
    while (slot->state != SLOT_FREE)
        slot++;
    int rc = weft__slot_start(pool, slot);
    if (rc == 0)
        return;
    weft_log(WEFT_LOG_WARN, "process pool: no child could be started: %s", weft_strerror(rc));
    if (pool->n_alive == 0)
        weft__calls_finish_queue(pool, rc);
    else
        pool->next_start = now + RETRY_START;
}

/* When there is something to do without anybody saying so. Marks the supervisor as sleeping. */
static weft_time
next_turn(weft_procpool *pool)
{
    weft_time when = WEFT_FOREVER;
    for (unsigned i = 0; i < pool->width && pool->n_alive > 0; i++) {
        const struct slot *slot = &pool->slots[i];
        if (slot->state == SLOT_BUSY)
            when = weft__earlier(when, slot->call->deadline);
        else if (slot->state == SLOT_ENDING)
            when = weft__earlier(when, slot->give_up);
    }
    (void)pthread_mutex_lock(&pool->lock);
    if (pool->n_queued > 0) {
        when = weft__earlier(when, pool->earliest);
        if (pool->n_idle > 0)
            when = 0;
        if (start_is_wanted(pool, pool->n_queued))
            when = weft__earlier(when, pool->next_start);
    }
    if (pool->closing && (pool->n_queued > 0 || pool->n_busy > 0))
        when = weft__earlier(when, pool->close_by);
    if (pool->cancelled.first != NULL || pool->stopping || pool->closing != pool->close_seen ||
        (pool->closing && pool->n_queued == 0 && pool->n_alive == 0))
        when = 0;
    /* Who submits, cancels or closes after this sees it and rings; who did so before has been
     * looked at above. */
    pool->sleeping = when != 0;
    (void)pthread_mutex_unlock(&pool->lock);
    return when;
}

static int
timeout_ms(weft_time when)
{
    if (when == WEFT_FOREVER)
        return -1;
    weft_time left = when == 0 ? 0 : when - weft__sys_monotonic();
    if (left <= 0)
        return 0;
    left = left / WEFT_MS(1) + 1; /* rounded up: too early would be a turn for nothing */
    return left < INT_MAX ? (int)left : INT_MAX;
}

static void
turn_events(weft_procpool *pool)
{
    struct epoll_event events[EVENTS_MAX];
    int n = weft__sys_epoll_wait(pool->epoll, events, EVENTS_MAX, timeout_ms(next_turn(pool)));
    (void)pthread_mutex_lock(&pool->lock);
    pool->sleeping = false;
    (void)pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < n; i++) {
        if (events[i].data.u64 != TAG_BELL) {
            weft__slots_event(pool, events[i].data.u64, events[i].events);
            continue;
        }
        uint64_t rings;
        weft_ignore(weft__sys_read(pool->bell, &rings, sizeof rings));
    }
}

static void *
supervisor_main(void *arg)
{
    weft_procpool *pool = arg;
    (void)pthread_setname_np(pthread_self(), "weft-pool");
    for (;;) {
        turn_cancels(pool);
        weft_time now = weft__sys_monotonic();
        turn_deadlines(pool, now);
        if (turn_close(pool, now))
            return NULL;
        turn_assign(pool);
        turn_start(pool, now);
        WEFT_POINT(WEFT__POINT_SLEEPING);
        turn_events(pool);
    }
}

/* Signals are for the threads that know of them. */
int
weft__supervisor_start(weft_procpool *pool)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = weft__sys_thread_create(&pool->supervisor, NULL, supervisor_main, pool);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}
