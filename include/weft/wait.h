/*
 * wait.h - waiting for several tasks, in the ways that asyncio has words for.
 *
 * These wait for tasks that exist, whose handles the caller keeps: nothing here cancels a task or
 * ends a handle. The tasks may be on any loops. To start functions and wait for their results
 * use gather.h.
 */
#ifndef WEFT_WAIT_H
#define WEFT_WAIT_H

#include <weft/base.h>
#include <weft/run.h>
#include <weft/task.h>
#include <weft/time.h>

typedef enum weft_wait_mode {
    WEFT_ALL_COMPLETED = 0,
    WEFT_FIRST_COMPLETED = 1,
    WEFT_FIRST_FAILURE = 2 /* one that has failed or was cancelled; all, when none does */
} weft_wait_mode;

/* What is known of one task after weft_wait. */
typedef struct weft_outcome {
    int done;   /* 1: it has ended */
    int result; /* what its function returned; 0 while it goes on */
} weft_outcome;

/* In the caller's memory, from open to close. */
typedef struct weft_as_completed {
    uint64_t opaque_[16];
} weft_as_completed;

WEFT_BEGIN_DECLS

/*
 * weft_wait - wait until the first, or all, of several tasks have ended; the rest goes on
 *
 * tasks         n handles; they stay the caller's to end
 * ret_outcomes  out: of each task, in their order. A failure told here counts as observed. NULL
 *               when only the moment matters
 *
 * Returns  how many of them have ended, at least 1, at most INT_MAX; 0 when n is 0; -ECANCELED or
 *          -ETIMEDOUT when the enclosing scope ended first; -EDEADLK for oneself; -EINVAL for an
 *          unknown mode; -ENOMEM for more than 16 tasks. Nothing is told then, and all goes on
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio.wait
 */
WEFT_WAITS int weft_wait(weft_task *const *tasks, size_t n, weft_wait_mode mode,
                         weft_outcome *ret_outcomes);

/*
 * weft_as_completed_open - begin to go through tasks in the order in which they end
 *
 * completed  memory that stays where it is until closed
 * tasks      n handles; each stays valid until it was handed out, or closed is what goes through
 *            them. The array itself is not needed any more
 *
 * Returns  0; -EDEADLK for oneself; -ENOMEM; it need not be closed then
 * Waits    no
 * Threads  tasks of any loop, and plain threads: who opens also calls next and close
 * Source   asyncio.as_completed
 */
int weft_as_completed_open(weft_as_completed *completed, weft_task *const *tasks, size_t n);

/*
 * weft_as_completed_next - wait for the next task that has ended
 *
 * ret_index   out: its place in the array. It may be ended at once: weft_task_close
 * ret_result  out: what its function returned, which counts as observed; may be NULL
 *
 * Each task is handed out once. Those that had ended when it began come first, in the order of
 * the array.
 *
 * Returns  1; 0 when all were handed out; -ECANCELED or -ETIMEDOUT when the enclosing scope ended
 *          first: the next call hands out what this one would have
 * Waits    yes; looks for cancellation first
 * Threads  who opened it
 * Source   asyncio.as_completed
 */
WEFT_WAITS int weft_as_completed_next(weft_as_completed *completed, size_t *ret_index,
                                      int *ret_result);

/*
 * weft_as_completed_close - stop going through tasks; those that are left go on
 *
 * Waits    only for a message from the loop of each task of another loop that has not ended, and
 *          without looking for cancellation
 * Threads  who opened it
 * Source   asyncio.as_completed; its close leaves the rest running
 */
void weft_as_completed_close(weft_as_completed *completed);

/*
 * weft_wait_for - run a function that may take so long and no longer
 *
 * fn       runs as a part of the calling task, in a scope with the deadline; on a plain thread as
 *          by weft_run_here
 * timeout  in nanoseconds from now; WEFT_FOREVER: none. With 0 or less the first wait in fn fails
 *
 * When time is up the call of fn that waits returns -ETIMEDOUT, and its end is waited for. Should
 * it succeed all the same, its result is the result: it is never thrown away.
 *
 * Returns  what fn returned, so -ETIMEDOUT when that is how its wait ended; -ECANCELED or
 *          -ETIMEDOUT when the enclosing scope had ended before: fn did not run
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio.wait_for
 */
WEFT_WAITS int weft_wait_for(weft_task_fn *fn, void *arg, weft_time timeout);

/*
 * weft_shield - wait for a task that goes on when the waiting is cancelled
 *
 * Here that is true of every wait for a task: this is weft_task_await by the name that says why.
 * Spawn the task with weft_task_spawn, outside the scopes and groups that may end it.
 *
 * ret_result  out: what the task's function returned; may be NULL
 *
 * Returns  0 when the task has ended; -ECANCELED or -ETIMEDOUT when the enclosing scope ended
 *          first: the task goes on, and can be waited for again; -EDEADLK for oneself
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   asyncio.shield
 */
WEFT_WAITS int weft_shield(weft_task *task, int *ret_result);

WEFT_END_DECLS

#endif
