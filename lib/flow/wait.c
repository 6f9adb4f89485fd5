/*
 * wait.c - waiting for the first or all of several tasks, for a time, or shielded.
 *
 * What is told of a task is read when the waiting is over, from the task itself, whose handle the
 * caller holds: so nothing was taken by a wait that did not come to its end.
 */
#include <errno.h>
#include <limits.h>

#include <weft/scope.h>
#include <weft/wait.h>

#include "base/mem.h"
#include "flow/arrivals.h"

#define ON_STACK 16 /* watches: 2 KiB */

static bool
satisfied(weft_task *const *tasks, size_t n, weft_wait_mode mode)
{
    size_t n_done = 0;
    for (size_t i = 0; i < n; i++) {
        weft_task_state state = weft_task_get_state(tasks[i]);
        if (state < WEFT_TASK_DONE)
            continue;
        n_done++;
        if (mode == WEFT_FIRST_COMPLETED || (mode == WEFT_FIRST_FAILURE && state != WEFT_TASK_DONE))
            return true;
    }
    return n_done == n;
}

static int
wait_with(struct weft__arrival *watches, weft_task *const *tasks, size_t n, weft_wait_mode mode)
{
    struct weft__arrivals arrivals;
    weft__arrivals_open(&arrivals);
    for (size_t i = 0; i < n; i++)
        weft__arrivals_watch(&arrivals, &watches[i], tasks[i]);
    int rc = weft__arrivals_wait(&arrivals, mode == WEFT_FIRST_COMPLETED ? 1 : n,
                                 mode == WEFT_FIRST_FAILURE);
    weft__arrivals_leave(&arrivals, watches, n);
    return rc;
}

/* Apart, so that a wait that is over at once needs little stack. */
static __attribute__((noinline)) int
wait_for_few(weft_task *const *tasks, size_t n, weft_wait_mode mode)
{
    struct weft__arrival watches[ON_STACK];
    return wait_with(watches, tasks, n, mode);
}

static int
wait_for_many(weft_task *const *tasks, size_t n, weft_wait_mode mode)
{
    struct weft__arrival *watches =
        n <= SIZE_MAX / sizeof *watches ? weft__alloc(n * sizeof *watches) : NULL;
    if (watches == NULL)
        return -ENOMEM;
    int rc = wait_with(watches, tasks, n, mode);
    weft__free(watches);
    return rc;
}

static int
tell(weft_task *const *tasks, size_t n, weft_outcome *ret_outcomes)
{
    size_t n_done = 0;
    for (size_t i = 0; i < n; i++) {
        /* Pairs with the release in weft__task_settle: the result is there before the state. */
        bool done = weft_task_get_state(tasks[i]) >= WEFT_TASK_DONE;
        n_done += done;
        if (ret_outcomes == NULL)
            continue;
        ret_outcomes[i] = (weft_outcome){.done = done, .result = done ? tasks[i]->result : 0};
        weft__task_observe(tasks[i], ret_outcomes[i].result);
    }
    return n_done < INT_MAX ? (int)n_done : INT_MAX;
}

int
weft_wait(weft_task *const *tasks, size_t n, weft_wait_mode mode, weft_outcome *ret_outcomes)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    if (mode != WEFT_ALL_COMPLETED && mode != WEFT_FIRST_COMPLETED && mode != WEFT_FIRST_FAILURE)
        return -EINVAL;
    struct weft_task *self = weft__task_self();
    for (size_t i = 0; i < n && self != NULL; i++)
        if (tasks[i] == self)
            return -EDEADLK;
    if (!satisfied(tasks, n, mode)) {
        rc = n <= ON_STACK ? wait_for_few(tasks, n, mode) : wait_for_many(tasks, n, mode);
        if (rc < 0)
            return rc;
    }
    return tell(tasks, n, ret_outcomes);
}

struct timed_call {
    weft_task_fn *fn;
    void *arg;
    weft_time timeout;
};

static int
call_here(void *arg)
{
    struct timed_call *call = arg;
    return weft_wait_for(call->fn, call->arg, call->timeout);
}

/* In the caller's own task, not in a child: so there is nothing that could end without the caller,
 * or with a result that nobody takes, and nothing that memory could be short for. */
int
weft_wait_for(weft_task_fn *fn, void *arg, weft_time timeout)
{
    if (weft__task_self() == NULL && weft__loop_self == NULL)
        return weft_run_here(call_here, &(struct timed_call){fn, arg, timeout});
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    weft_time now = weft_now();
    weft_scope scope;
    weft_scope_open(&scope, timeout > WEFT_FOREVER - now ? WEFT_FOREVER : now + timeout);
    rc = fn(arg);
    weft_scope_close(&scope); /* what it ended is in fn's result, or was no hindrance */
    return rc;
}

int
weft_shield(weft_task *task, int *ret_result)
{
    return weft_task_await(task, ret_result);
}
