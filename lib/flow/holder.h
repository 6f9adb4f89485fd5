/*
 * holder.h - who takes a lock: a task or a plain thread, known by its waiter.
 */
#ifndef WEFT_LIB_FLOW_HOLDER_H
#define WEFT_LIB_FLOW_HOLDER_H

#include "base/assert.h"
#include "loop/held.h"
#include "task/task_priv.h"

struct weft__holder {
    struct weft__waiter *waiter;
    struct weft__holdings *holdings;
};

static inline struct weft__holder
weft__holder_of(struct weft_task *task)
{
    return (struct weft__holder){&task->waiter, &task->holdings};
}

/* The caller. A callback of the loop counts as the loop's thread. */
static inline struct weft__holder
weft__holder_self(void)
{
    struct weft_task *task = weft__task_self();
    if (__builtin_expect(task != NULL, 1))
        return weft__holder_of(task);
    struct weft__thread *thread = weft__thread_self();
    weft__assert(thread != NULL, "no memory for the record of a thread that takes a lock");
    return (struct weft__holder){&thread->waiter, &thread->holdings};
}

/* Whether a task may begin a wait: weft__wait_begin where it has nothing to say, inline. Nothing to
 * say either when others are to run first, or in debug mode: then the slow way is taken. */
static inline bool
weft__nothing_pending(const struct weft_task *task)
{
    struct weft__sched *sched = weft__sched_self();
    if (__builtin_expect(task->pending != 0 || sched->calls_left == 1 || sched->debug, 0))
        return false;
#ifdef WEFT_TEST
    weft__wait_uncancellable(); /* counts for the torture harness */
    if (task->pending != 0)
        return false;
#endif
    sched->calls_left--;
    return true;
}

/* `task "x"`, or what stands for a thread; in text, of WEFT__HELD_TEXT bytes. */
const char *weft__holder_text(const struct weft__waiter *waiter, char *text);

#endif
