/*
 * gather.h - start functions together and wait for all their results, or the first good one.
 *
 * What is started runs in a group, inside the scopes of the caller: it has ended, whatever
 * happens, when the call returns.
 */
#ifndef WEFT_GATHER_H
#define WEFT_GATHER_H

#include <weft/base.h>
#include <weft/group.h>
#include <weft/run.h>

/* One function to start, and its result. */
typedef struct weft_child {
    weft_task_fn *fn;
    void *arg;
    int on;     /* as in weft_task_options: 0: this loop; WEFT_LOOP_ANY; WEFT_ON(i) */
    int result; /* out: what fn returned; the cause when it was cancelled before it began; why it
                   could not be started */
} weft_child;

WEFT_BEGIN_DECLS

/*
 * weft_gather - run functions at the same time, and have their results in call order
 *
 * children  n of them; the result of each is written, also when the call fails
 * options   of the group: limit, keep_going, timeout or deadline; NULL for the defaults
 *
 * The first failure cancels the others, unless .keep_going is set; all are waited for.
 *
 * Returns  0 when all have succeeded; else the result of the first that failed; -ETIMEDOUT when
 *          the deadline ended one and none had failed before; -ECANCELED or -ETIMEDOUT when an
 *          enclosing scope did
 * Waits    yes; looks for cancellation first
 * Threads  tasks; a plain thread wraps the call in weft_run_here
 * Source   asyncio.gather; with .keep_going gather(return_exceptions=True)
 */
WEFT_WAITS int weft_gather(weft_child *children, size_t n, const weft_group_options *options);

/*
 * weft_race - run functions at the same time until one succeeds; the others are cancelled
 *
 * children    n of them, at least 1; the result of each is written, also when the call fails. One
 *             that was cancelled too late may have succeeded as well: what it made is there to be
 *             cleaned up
 * ret_winner  out: which one was the first; may be NULL
 *
 * Returns  the winner's result, 0 or more, also when an enclosing scope ended meanwhile: it is
 *          not thrown away; else, when an enclosing scope ended one of them, -ECANCELED or
 *          -ETIMEDOUT; else the result of the first that failed; -EINVAL when n is 0
 * Waits    yes, for all of them; looks for cancellation first
 * Threads  tasks; a plain thread wraps the call in weft_run_here
 * Source   Promise.any; RFC 8305 (happy eyeballs) is one use
 */
WEFT_WAITS int weft_race(weft_child *children, size_t n, size_t *ret_winner);

/*
 * weft_map - call a function for each item of an array, several at a time
 *
 * fn         gets a pointer to the item, which is also where its result goes
 * items      n items of item_size bytes, one after the other
 * limit      most calls at the same time; 0: all
 *
 * As many tasks as the limit says take one item after the other, in the order of the array; each
 * call of fn has a scope of its own, so what it defers is done before the next item. The first
 * failure cancels the others; items that were not begun then are left alone.
 *
 * Returns  0 when fn has succeeded for each item; else the result of the first that failed;
 *          -ENOMEM; -ECANCELED or -ETIMEDOUT when an enclosing scope ended it
 * Waits    yes; looks for cancellation first
 * Threads  tasks; a plain thread wraps the call in weft_run_here
 * Source   concurrent.futures Executor.map; p-map
 */
WEFT_WAITS int weft_map(weft_task_fn *fn, void *items, size_t item_size, size_t n, unsigned limit);

WEFT_END_DECLS

#endif
