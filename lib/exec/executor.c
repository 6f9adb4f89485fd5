/*
 * executor.c - threads for calls that block: calling, closing, the life of an executor.
 *
 * Who runs the calls is in threads.c; what both share, and who may free what, in executor_priv.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/error.h>
#include <weft/executor.h>
#include <weft/task.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "exec/executor_priv.h"

#define THREADS_DEFAULT 64
#define LEFT_BEHIND 1 /* a park's result: the call, on the heap, is its thread's alone now */

void
weft__executor_unref_unlock(weft_executor *executor)
{
    bool last = --executor->refs == 0;
    if (executor->closing) {
        weft__fetch_add(&executor->left, 1);
        weft__sys_futex_wake(&executor->left, 1);
    }
    weft__unlock(&executor->lock);
    if (last) {
        weft__backlog_free(&executor->queue);
        weft__free(executor);
    }
}

/* ---- The end of a call ----------------------------------------------------------------------- */

void
weft__call_give_up(struct call *call)
{
    call->abandon(call->arg);
    weft__free(call);
}

/* Claims the park of the call's task. One on the heap under the lock, as in wait_out: a task that
 * has left its call behind may be gone with its runtime, and its ticket must not be looked at. */
static bool
claim_task(weft_executor *executor, struct call *call)
{
    if (call->abandon == NULL)
        return weft__claim(call->ticket);
    weft__lock(&executor->lock);
    bool claimed = weft__load(&call->phase) != CALL_LEFT && weft__claim(call->ticket);
    weft__unlock(&executor->lock);
    return claimed;
}

bool
weft__call_complete(weft_executor *executor, struct call *call, int result)
{
    call->result = result;
    if (claim_task(executor, call)) {
        weft__deliver(call->ticket.waiter, 0);
        return true;
    }
    /* Its task was cancelled. Pairs with the exchanges in wait_out; when the task has yet to come
     * there, the call is its own again. */
    switch (weft__exchange(&call->phase, (uint32_t)CALL_DONE)) {
    case CALL_WAITED_AGAIN:
        weft__wake(call->again, 0);
        break;
    case CALL_LEFT:
        weft__call_give_up(call);
        break;
    default:
        break;
    }
    return false; /* its task takes the lock once more, and drops the reference */
}

/* For backlog.h, to which a call is opaque. */
uint64_t *
weft__backlog_position(struct call *call)
{
    return &call->position;
}

/* ---- Calls ---------------------------------------------------------------------------------- */

/* The virtual clock stands still while a call is in progress. */
static void
hold_clock(int by)
{
    struct weft_loop *loop = weft__loop_self;
    if (loop != NULL && loop->clock->is_virtual)
        weft__fetch_add(&loop->clock->holds, (uint32_t)by);
}

/* With the lock held; unlocks. 0 when the call is queued. */
static int
enqueue(weft_executor *executor, struct call *call, bool no_wait)
{
    if (executor->queue.n + executor->promised >= executor->options.queue && !executor->closing) {
        if (no_wait) {
            weft__unlock(&executor->lock);
            return -EAGAIN;
        }
        executor->refs++;
        weft__waits_for("place in the queue of executor", executor);
        int rc = weft__waitq_park(&executor->room, &executor->lock);
        weft__lock(&executor->lock);
        if (rc == 0)
            executor->promised--;
        if (rc < 0 || executor->closing) {
            weft__executor_unref_unlock(executor);
            return rc < 0 ? rc : -ESHUTDOWN;
        }
        executor->refs--;
    }
    if (executor->closing) {
        weft__unlock(&executor->lock);
        return -ESHUTDOWN;
    }
    call->ticket = weft__park_arm();
    int rc = weft__backlog_push(&executor->queue, call);
    if (rc == 0) {
        executor->refs++;
        rc = weft__executor_provide(executor);
        if (rc < 0) {
            weft__backlog_remove(&executor->queue, call);
            executor->refs--;
        }
    }
    struct weft__waiter *place = rc < 0 ? weft__executor_give_place(executor) : NULL;
    weft__unlock(&executor->lock);
    if (place != NULL)
        weft__deliver(place, 0);
    weft__executor_wake(executor, rc);
    return rc < 0 ? rc : 0;
}

/* After a cancellation: takes a call back that has not started, else waits for its end. */
static int
wait_out(weft_executor *executor, struct call *call, int cause)
{
    weft__lock(&executor->lock);
    if (weft__backlog_remove(&executor->queue, call)) {
        struct weft__waiter *place = weft__executor_give_place(executor);
        weft__executor_unref_unlock(executor);
        if (place != NULL)
            weft__deliver(place, 0);
        if (call->abandon != NULL)
            weft__call_give_up(call);
        return cause;
    }
    /* Both exchanges pair with the one in complete: one of us sees the other. */
    if (call->abandon != NULL) {
        uint32_t phase = weft__exchange(&call->phase, (uint32_t)CALL_LEFT);
        weft__executor_unref_unlock(executor);
        if (phase == CALL_DONE)
            weft__call_give_up(call);
        return cause;
    }
    weft__executor_unref_unlock(executor);
    call->again = weft__park_arm();
    if (weft__exchange(&call->phase, (uint32_t)CALL_WAITED_AGAIN) != CALL_DONE) {
        weft__waits_for(weft__what_executor, NULL);
        int woken = weft__park(false);
        (void)woken;
    }
    return cause;
}

int
weft_executor_run(weft_executor *executor, weft_task_fn *fn, void *arg,
                  const weft_blocking_options *options)
{
    void (*abandon)(void *) = options != NULL ? options->abandon : NULL;
    struct call on_stack;
    struct call *call = &on_stack;
    int rc = weft__wait_begin();
    if (rc == 0 && abandon != NULL) {
        call = weft__alloc(sizeof *call);
        if (call == NULL)
            rc = -ENOMEM;
    }
    if (rc == 0) {
        *call = (struct call){.fn = fn, .arg = arg, .abandon = abandon};
        if (abandon == NULL) /* the caller stays as long as the call */
            call->locals = weft__locals_current();
        weft__lock(&executor->lock);
        rc = enqueue(executor, call, options != NULL && options->no_wait);
        if (rc < 0 && abandon != NULL)
            weft__free(call);
    }
    if (rc < 0) {
        if (abandon != NULL)
            abandon(arg);
        return rc;
    }
    hold_clock(+1);
    weft__waits_for(weft__what_executor, NULL);
    rc = weft__park(true);
    if (rc < 0)
        rc = wait_out(executor, call, rc);
    hold_clock(-1);
    if (rc < 0)
        return rc;
    if (rc == LEFT_BEHIND)
        return -ECANCELED; /* its thread still runs it, and cleans up */
    int result = call->result;
    if (abandon != NULL)
        weft__call_give_up(call);
    return result;
}

/* ---- Life ----------------------------------------------------------------------------------- */

int
weft_executor_new(weft_executor **ret_executor, const weft_executor_options *given)
{
    weft_executor_options options = {.threads = 0};
    if (given != NULL)
        options = *given;
    if (options.threads > THREADS_MAX)
        return weft_error_note(-EINVAL, "threads must be 0 to %d, got %u", THREADS_MAX,
                               options.threads);
    if (options.threads == 0)
        options.threads = THREADS_DEFAULT;
    if (options.min_threads > options.threads)
        return weft_error_note(-EINVAL, "min_threads must be at most threads (%u), got %u",
                               options.threads, options.min_threads);
    if (options.idle < 0)
        return weft_error_note(-EINVAL, "idle must not be negative, got %lld ns",
                               (long long)options.idle);
    if (options.idle == 0)
        options.idle = WEFT_SEC(5);
    if (options.queue == 0)
        options.queue = options.threads * 4 > 1024 ? options.threads * 4 : 1024;

    weft_executor *executor = weft__alloc_zeroed(sizeof *executor);
    if (executor == NULL)
        return -ENOMEM;
    if (weft__backlog_init(&executor->queue) < 0) {
        weft__free(executor);
        return -ENOMEM;
    }
    snprintf(executor->name, sizeof executor->name, "%s",
             options.name != NULL ? options.name : "blocking");
    options.name = NULL;
    executor->options = options;
    executor->n_cpus = weft_usable_cpus();
    executor->spin = executor->n_cpus > 1;
    executor->refs = 1;
    weft__list_init(&executor->room);
    weft__list_init(&executor->threads);
    *ret_executor = executor;
    return 0;
}

/* Completes what has not started, and those who wait for a place. */
static void
refuse_queued(weft_executor *executor, bool queued_too)
{
    for (;;) {
        weft__lock(&executor->lock);
        struct weft__waiter *place = weft__executor_give_place(executor);
        struct call *call =
            place == NULL && queued_too ? weft__backlog_take(&executor->queue) : NULL;
        weft__unlock(&executor->lock);
        if (place != NULL)
            weft__deliver(place, 0); /* it finds the executor closing */
        else if (call == NULL)
            return;
        else if (weft__call_complete(executor, call, -ECANCELED)) {
            weft__lock(&executor->lock);
            executor->refs--; /* not the last: the owner is in weft_executor_free */
            weft__unlock(&executor->lock);
        }
    }
}

/* With the lock held: answers for the calls that still run, and leaves their threads to
 * themselves. The lock keeps them from freeing a call on the heap while it is looked at. */
static int
leave_behind(weft_executor *executor)
{
    int behind = 0;
    struct weft__link *link = weft__list_first(&executor->threads);
    while (link != NULL) {
        struct weft__link *next = link->next == &executor->threads.ends ? NULL : link->next;
        struct thread *thread = weft__container(link, struct thread, link);
        struct call *call = weft__exchange(&thread->call, NULL);
        if (call != NULL) {
            weft__list_remove(&thread->link);
            executor->n_threads--;
            executor->abandoned++;
            behind++;
            if (call->abandon == NULL) {
                executor->refs -= weft__call_complete(executor, call, -ECANCELED);
            } else if (weft__load(&call->phase) != CALL_LEFT && weft__claim(call->ticket)) {
                weft__store(&call->phase, (uint32_t)CALL_LEFT);
                weft__deliver(call->ticket.waiter, LEFT_BEHIND);
                executor->refs--;
            }
        }
        link = next;
    }
    return behind;
}

int
weft_executor_free(weft_executor *executor, weft_close_mode mode, weft_time grace)
{
    if (executor == NULL)
        return 0;
    int64_t now = weft__sys_monotonic();
    int64_t until = grace > WEFT_FOREVER - now ? WEFT_FOREVER : now + grace;
    weft__lock(&executor->lock);
    executor->closing = true;
    weft__fetch_add(&executor->wake, 1);
    weft__fetch_add(&executor->watch_wake, 1);
    weft__unlock(&executor->lock);
    refuse_queued(executor, mode == WEFT_CANCEL);
    weft__sys_futex_wake(&executor->wake, INT32_MAX);
    weft__sys_futex_wake(&executor->watch_wake, INT32_MAX);

    weft__lock(&executor->lock);
    for (;;) {
        if (executor->n_threads == 0 && !executor->watching)
            break;
        int64_t left = until == WEFT_FOREVER ? -1 : until - weft__sys_monotonic();
        if (until != WEFT_FOREVER && left <= 0)
            break;
        uint32_t seen = weft__load(&executor->left);
        weft__unlock(&executor->lock);
        weft__sys_futex_wait(&executor->left, seen, left);
        weft__lock(&executor->lock);
    }
    int behind = 0;
    if (executor->n_threads > 0 || executor->queue.n > 0) {
        /* The grace is over. What never started is taken back, what runs is answered for. */
        weft__unlock(&executor->lock);
        refuse_queued(executor, true);
        weft__lock(&executor->lock);
        behind = leave_behind(executor);
        if (behind > 0)
            weft_log(WEFT_LOG_ERROR, "executor %s: %d threads left behind in calls that do not end",
                     executor->name, behind);
    }
    weft__executor_unref_unlock(executor);
    return behind;
}

void
weft_executor_stats_get(weft_executor *executor, weft_executor_stats *ret_stats)
{
    weft__lock(&executor->lock);
    uint64_t running = executor->abandoned;
    for (struct weft__link *link = weft__list_first(&executor->threads); link != NULL;
         link = link->next == &executor->threads.ends ? NULL : link->next)
        running += weft__load(&weft__container(link, struct thread, link)->call) != NULL;
    *ret_stats = (weft_executor_stats){
        .threads = executor->n_threads,
        .idle = executor->n_idle,
        .peak = executor->peak,
        .abandoned = executor->abandoned,
        .queued = executor->queue.n,
        .done = executor->taken - running,
    };
    weft__unlock(&executor->lock);
}
