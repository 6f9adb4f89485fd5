/*
 * park.c - the one way to wait, for tasks and plain threads.
 *
 *     rc = weft__wait_begin();            looks for cancellation
 *     ticket = weft__park_arm();          others may claim it from now on
 *     ... put the ticket where wakers find it ...
 *     rc = weft__park(true);              suspends; the result of whoever claimed it
 *     if (rc is a cancellation) ... take the ticket back from there ...
 */
#include <errno.h>
#include <sched.h>

#include "base/assert.h"
#include "task/task_priv.h"

#ifdef WEFT_TEST
/* The k-th suspension of any task is cancelled, or runs into a deadline. */
static void
torture(struct weft_task *task)
{
    if (weft__torture_hit(WEFT__TORTURE_CANCEL))
        weft__task_end_root(task, -ECANCELED);
    if (weft__torture_hit(WEFT__TORTURE_DEADLINE))
        weft__task_end_root(task, -ETIMEDOUT);
}
#else
static inline void
torture(struct weft_task *task)
{
    (void)task;
}
#endif

void
weft__wait_uncancellable(void)
{
    torture(weft__task_self());
}

const char weft__what_sleep[] = "sleep";
const char weft__what_task[] = "task";
const char weft__what_readable[] = "readable";
const char weft__what_writable[] = "writable";
const char weft__what_executor[] = "call on an executor";
const char weft__what_select_outside[] = "select";

/* To the loop, and through whatever it has to do; a new stretch begins. */
static __attribute__((noinline)) void
let_others(struct weft__sched *sched, struct weft_task *task)
{
    sched->calls_left = WEFT__CALLS;
    sched->budget = 0;
    weft__switch_back_later(sched, task);
}

int
weft__wait_begin(void)
{
    struct weft__sched *sched = weft__sched_self();
    struct weft_task *task = sched != NULL ? sched->current : NULL;
    if (task == NULL) {
        weft__assert(weft__loop_self == NULL,
                     "a callback of the loop (weft_loop_post, weft_call_soon…) must not wait");
        return 0;
    }
    torture(task);
    if (__builtin_expect(--sched->calls_left == 0, 0))
        let_others(sched, task);
    if (__builtin_expect(task->pending != 0, 0)) {
        weft__scope_note_hit(task);
        return task->pending;
    }
    return 0;
}

struct weft__ticket
weft__park_arm(void)
{
    struct weft_task *task = weft__task_self();
    if (task != NULL) {
        uint64_t id = task->waiter.loop->next_id += WEFT__ID_STEP;
        return weft__waiter_arm(&task->waiter, id);
    }
    struct weft__thread *thread = weft__thread_self();
    weft__assert(thread != NULL, "no memory for the record of a thread that waits");
    weft__store(&thread->waiter.delivered, 0);
    thread->next_id += WEFT__ID_STEP;
    return weft__waiter_arm(&thread->waiter, thread->next_id);
}

static int
park_thread(void)
{
    struct weft__thread *thread = weft__thread_self();
    /* Pairs with the store in weft__deliver. */
    while (weft__load(&thread->waiter.delivered) == 0)
        weft__sys_futex_wait(&thread->waiter.delivered, 0, -1);
    return thread->waiter.result;
}

static __attribute__((noinline)) void
note_since(struct weft__sched *sched, struct weft_task *task)
{
    task->parked_ms = weft__debug_ms(sched);
}

int
weft__park(bool cancellable)
{
    struct weft__sched *sched = weft__sched_self();
    struct weft_task *task = sched != NULL ? sched->current : NULL;
    if (task == NULL)
        return park_thread();
    WEFT_POINT(WEFT__POINT_PARK);
    task->cancellable = cancellable;
    weft__store_relaxed(&task->state, (uint8_t)WEFT_TASK_WAITING);
    /* A call that waits a second time may have been cancelled between its waits. */
    if (__builtin_expect(task->pending != 0 && cancellable, 0))
        weft__scope_recompute(task);
    if (__builtin_expect(sched->debug, 0))
        note_since(sched, task);
    weft__switch_away(sched, task);
    task->cancellable = false;
    task->what = NULL;
    return task->waiter.result;
}

/* The timer is part of the task, not of its stack: when a million fall due at once, the loop walks
 * through memory that lies close together. */
static void
sleep_over(struct weft__timer *timer)
{
    struct weft_task *task = weft__container(timer, struct weft_task, sleep);
    struct weft__ticket ticket = {&task->waiter, task->waiter.state & ~(uint64_t)3};
    if (weft__claim_local(ticket))
        weft__deliver(&task->waiter, 0);
}

int
weft__sleep_until(int64_t when)
{
    struct weft_task *task = weft__task_self();
    struct weft_loop *loop = task->waiter.loop;
    task->what = weft__what_sleep;
    task->object = NULL;
    task->sleep.fire = sleep_over;
    weft__park_arm();
    if (when != WEFT_FOREVER)
        weft__timers_add(&loop->timers, &task->sleep, when);
    int rc = weft__park(true);
    weft__timers_cancel(&loop->timers, &task->sleep);
    return rc;
}

int
weft_sleep_until(weft_time when)
{
    if (weft__task_self() == NULL) {
        int rc = weft__wait_begin();
        if (rc < 0)
            return rc;
        for (;;) {
            int64_t now = weft__sys_monotonic();
            if (when <= now)
                return 0;
            weft__sys_ppoll(NULL, 0, when == WEFT_FOREVER ? -1 : when - now);
        }
    }
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    return weft__sleep_until(when);
}

int
weft_sleep(weft_time duration)
{
    if (duration <= 0)
        return weft_yield();
    weft_time now = weft_now();
    return weft_sleep_until(duration > WEFT_FOREVER - now ? WEFT_FOREVER : now + duration);
}

int
weft_yield(void)
{
    struct weft__sched *sched = weft__sched_self();
    struct weft_task *task = sched != NULL ? sched->current : NULL;
    if (__builtin_expect(task == NULL, 0)) {
        int rc = weft__wait_begin();
        sched_yield();
        return rc;
    }
    torture(task);
    weft__switch_back_later(sched, task);
    if (__builtin_expect(task->pending != 0, 0)) {
        weft__scope_note_hit(task);
        return task->pending;
    }
    return 0;
}

int
weft_checkpoint(void)
{
    if (weft__task_self() == NULL)
        return 0;
    if (WEFT_BUGGIFY(16))
        return weft_yield();
    return weft__wait_begin();
}
