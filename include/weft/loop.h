/*
 * loop.h - loops: one thread, one event_base, one run queue, one inbox each.
 */
#ifndef WEFT_LOOP_H
#define WEFT_LOOP_H

#include <weft/base.h>
#include <weft/run.h>

struct event_base;
typedef struct weft_loop weft_loop;

typedef struct weft_loop_stats {
    uint64_t turns;    /* turns taken */
    uint64_t switches; /* tasks resumed */
    uint64_t spawned;  /* tasks started */
    uint64_t live;     /* tasks alive on this loop */
    uint64_t ready;    /* tasks ready to run */
    uint64_t messages; /* messages taken from the inbox */
    uint64_t rings;    /* times another thread had to ring the doorbell */
    uint64_t sleeps;   /* times the loop blocked in the poller */
    uint64_t timers;   /* timers pending */
    uint64_t stacks;   /* stacks mapped for this loop, in use or kept */
} weft_loop_stats;

WEFT_BEGIN_DECLS

/*
 * weft_loop_current - the loop one is running on
 *
 * Returns  the loop; NULL on a thread that runs none
 * Waits    no
 * Threads  any
 * Source   asyncio.get_running_loop
 */
weft_loop *weft_loop_current(void);

/*
 * weft_loop_count - loops of the runtime one is in
 *
 * Returns  1 or more; 0 outside a runtime
 * Waits    no
 * Threads  any
 * Source   weft
 */
unsigned weft_loop_count(void);

/*
 * weft_loop_at - a loop of the runtime one is in, by its number
 *
 * Returns  the loop; NULL when index is not below weft_loop_count()
 * Waits    no
 * Threads  tasks and callbacks of a loop
 * Source   weft
 */
weft_loop *weft_loop_at(unsigned index);

/*
 * weft_loop_index - number of a loop within its runtime
 *
 * Returns  0 for the first loop, the one on the thread that called weft_run
 * Waits    no
 * Threads  any
 * Source   weft
 */
unsigned weft_loop_index(const weft_loop *loop);

/*
 * weft_loop_post - have a function called on a loop, from any thread
 *
 * fn       runs on the loop between tasks; it must not wait (it may spawn a task)
 *
 * Returns  0: fn will be called exactly once, in the order of this thread's posts;
 *          -ESHUTDOWN when the loop is closing: fn will not be called; -ENOMEM. The private loop
 *          of weft_run_here calls it in the call in progress, else in the next, or when the
 *          thread ends
 * Waits    no
 * Threads  any, while the loop's runtime is alive
 * Source   asyncio loop.call_soon_threadsafe
 */
int weft_loop_post(weft_loop *loop, weft_callback_fn *fn, void *arg);

/*
 * weft_loop_call - run a function as a task on another loop and wait for its result
 *
 * fn       runs as a task there, and may wait
 *
 * Returns  what fn returned; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first (fn
 *          is cancelled, and its end is waited for); -ESHUTDOWN; -ENOMEM
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads while the loop's runtime is alive
 * Source   asyncio.run_coroutine_threadsafe
 */
WEFT_WAITS int weft_loop_call(weft_loop *loop, weft_task_fn *fn, void *arg);

/*
 * weft_loop_base - the libevent base of the loop one is running on
 *
 * Any libevent code may use it from this thread. It has no locks: no other thread may touch it.
 *
 * Returns  the base; NULL outside a loop, or when it could not be opened (weft_error_text())
 * Waits    no
 * Threads  tasks and callbacks of a loop
 * Source   libevent
 */
struct event_base *weft_loop_base(void);

/*
 * weft_loop_stats_get - what a loop has done so far
 *
 * ret_stats  out
 *
 * Waits    no
 * Threads  any; from another thread the figures are a little old, each by itself correct
 * Source   trio statistics()
 */
void weft_loop_stats_get(const weft_loop *loop, weft_loop_stats *ret_stats);

WEFT_END_DECLS

#endif
