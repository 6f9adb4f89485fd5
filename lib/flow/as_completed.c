/*
 * as_completed.c - tasks in the order in which they end.
 *
 * A result is taken off the list of arrivals in the very call that hands it out, so a wait that
 * was cancelled has taken none.
 */
#include <errno.h>

#include <weft/wait.h>

#include "base/assert.h"
#include "base/mem.h"
#include "flow/arrivals.h"

struct as_completed {
    struct weft__arrivals arrivals;
    struct weft__arrival *watches;
    size_t n;
    size_t n_given;
    struct weft_task *owner; /* NULL: a plain thread */
};
_Static_assert(sizeof(struct as_completed) <= sizeof(weft_as_completed),
               "weft_as_completed is too small");

int
weft_as_completed_open(weft_as_completed *public, weft_task *const *tasks, size_t n)
{
    struct as_completed *completed = (struct as_completed *)(void *)public;
    struct weft_task *self = weft__task_self();
    for (size_t i = 0; i < n && self != NULL; i++)
        if (tasks[i] == self)
            return -EDEADLK;
    struct weft__arrival *watches = NULL;
    if (n > 0) {
        watches = n <= SIZE_MAX / sizeof *watches ? weft__alloc(n * sizeof *watches) : NULL;
        if (watches == NULL)
            return -ENOMEM;
    }
    *completed = (struct as_completed){.watches = watches, .n = n, .owner = self};
    weft__arrivals_open(&completed->arrivals);
    for (size_t i = 0; i < n; i++)
        weft__arrivals_watch(&completed->arrivals, &watches[i], tasks[i]);
    return 0;
}

static void
assert_owner(const struct as_completed *completed)
{
    weft__assert(completed->owner == weft__task_self(),
                 "tasks are gone through, as they complete, by the one who began it");
}

int
weft_as_completed_next(weft_as_completed *public, size_t *ret_index, int *ret_result)
{
    struct as_completed *completed = (struct as_completed *)(void *)public;
    assert_owner(completed);
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    if (completed->n_given == completed->n)
        return 0;
    struct weft__arrival *watch = weft__arrivals_take(&completed->arrivals);
    if (watch == NULL) {
        rc = weft__arrivals_wait(&completed->arrivals, completed->n_given + 1, false);
        if (rc < 0)
            return rc;
        watch = weft__arrivals_take(&completed->arrivals);
    }
    completed->n_given++;
    weft__task_observe(watch->task, watch->joiner.result);
    *ret_index = (size_t)(watch - completed->watches);
    if (ret_result != NULL)
        *ret_result = watch->joiner.result;
    return 1;
}

void
weft_as_completed_close(weft_as_completed *public)
{
    struct as_completed *completed = (struct as_completed *)(void *)public;
    assert_owner(completed);
    if (completed->n_given < completed->n)
        weft__arrivals_leave(&completed->arrivals, completed->watches, completed->n);
    weft__free(completed->watches);
}
