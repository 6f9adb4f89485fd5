/*
 * executor.h - threads for calls that block.
 */
#ifndef WEFT_EXECUTOR_H
#define WEFT_EXECUTOR_H

#include <weft/base.h>
#include <weft/run.h>
#include <weft/time.h>

typedef struct weft_executor weft_executor;

typedef struct weft_executor_options {
    unsigned threads;     /* most threads; 0: 64; at most 4096. They start on demand */
    unsigned min_threads; /* kept although idle; 0: none */
    size_t queue;         /* most calls waiting for a thread; 0: 4 times threads, at least 1024 */
    weft_time idle;       /* an idle thread leaves after this; 0: 5 s */
    const char *name; /* threads are called name/1, name/2…; up to 9 bytes; NULL: "blocking" */
} weft_executor_options;

typedef struct weft_executor_stats {
    unsigned threads;   /* alive now */
    unsigned idle;      /* of these, waiting for work */
    unsigned peak;      /* most alive at once */
    unsigned abandoned; /* left behind in a call that never returned */
    size_t queued;      /* calls waiting for a thread */
    uint64_t done;      /* calls completed */
} weft_executor_stats;

typedef struct weft_blocking_options {
    void (*abandon)(void *arg); /* not NULL: arg is heap memory and the executor's from submit
                                   on, given back through this function after the call ended. A
                                   cancelled task then resumes at once */
    unsigned no_wait;           /* 1: -EAGAIN instead of waiting for a place in the queue */
} weft_blocking_options;

WEFT_BEGIN_DECLS

/*
 * weft_executor_new - make an executor
 *
 * options  NULL for the defaults; copied
 *
 * Returns  0; -ENOMEM; -EINVAL when a number is out of range (weft_error_text() says which)
 * Waits    no
 * Threads  any
 * Source   concurrent.futures.ThreadPoolExecutor
 */
int weft_executor_new(weft_executor **ret_executor, const weft_executor_options *options);

/*
 * weft_executor_free - end an executor
 *
 * mode     WEFT_DRAIN or WEFT_CANCEL
 * grace    how long calls in progress may take, in nanoseconds; WEFT_FOREVER waits for all. What
 *          still runs then completes with -ECANCELED and its thread is left behind
 *
 * Returns  0, or the number of threads left behind; executor may be NULL
 * Waits    no: it blocks the calling thread. From a task call it through weft_blocking of another
 *          executor, or with nothing in progress
 * Threads  any but the executor's own
 * Source   ThreadPoolExecutor.shutdown
 */
int weft_executor_free(weft_executor *executor, weft_close_mode mode, weft_time grace);

/*
 * weft_executor_run - run a function on a thread of an executor and wait for its result
 *
 * options  NULL for the defaults
 *
 * A cancelled call that has not started is taken back. One that runs is waited for, unless
 * .abandon is set.
 *
 * Returns  what fn returned; -ECANCELED or -ETIMEDOUT when the enclosing scope ended first (fn
 *          ran to its end or not at all, unless abandoned); -EAGAIN with .no_wait when the queue
 *          is full; -ESHUTDOWN when the executor is closing; -ENOMEM or -EAGAIN when no thread
 *          could be started and none is there. Whenever fn will not run, arg is the caller's
 *          again, except that with .abandon the function has been called for it
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio loop.run_in_executor
 */
WEFT_WAITS int weft_executor_run(weft_executor *executor, weft_task_fn *fn, void *arg,
                                 const weft_blocking_options *options);

/*
 * weft_blocking - run a function that blocks on the runtime's own executor
 *
 * Returns  as weft_executor_run
 * Waits    yes; looks for cancellation first
 * Threads  tasks; on a plain thread fn is simply called
 * Source   asyncio.to_thread
 */
WEFT_WAITS int weft_blocking(weft_task_fn *fn, void *arg);

/*
 * weft_executor_stats_get - what an executor is doing
 *
 * Waits    no
 * Threads  any
 * Source   trio statistics()
 */
void weft_executor_stats_get(weft_executor *executor, weft_executor_stats *ret_stats);

WEFT_END_DECLS

#endif
