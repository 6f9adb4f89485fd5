/*
 * arrivals.h - many tasks that end, on any loops, seen by one who waits.
 *
 * Each watched task puts its watch on a list when it ends, and the one who waits is woken when as
 * many have come as it waits for. Arrivals and watches are in the memory of who waits, often on
 * its stack: whatever happens it leaves before they go, and no loop has a pointer to them then.
 */
#ifndef WEFT_LIB_FLOW_ARRIVALS_H
#define WEFT_LIB_FLOW_ARRIVALS_H

#include "base/list.h"
#include "base/lock.h"
#include "task/task_priv.h"

struct weft__arrivals {
    struct weft__lock lock;
    bool wake_on_failure;
    size_t wake_at; /* so many in all */
    size_t n;       /* so many have come */
    size_t n_failed;
    size_t n_leaving;       /* watches that other loops have yet to give back */
    struct weft__list come; /* in order of their tasks' ends, until they are taken */
    struct weft__list line; /* the one who waits */
};

struct weft__arrival {
    struct weft__joiner joiner; /* first; its link is also that in `come` */
    struct weft__arrivals *arrivals;
    struct weft_task *task;
    bool arrived; /* under the lock; the task is not touched from then on */
    struct weft__message add, remove;
};

void weft__arrivals_open(struct weft__arrivals *arrivals);

/* Begins to watch a task, which may have ended already. Whoever watches also waits and leaves. */
void weft__arrivals_watch(struct weft__arrivals *arrivals, struct weft__arrival *watch,
                          struct weft_task *task);

/* Waits until n have come in all, or one that failed if that is enough. Looks for cancellation only
 * while it waits; nothing has been taken then. */
int weft__arrivals_wait(struct weft__arrivals *arrivals, size_t n, bool or_failure);

/* Takes the first that has come; NULL when none has. */
struct weft__arrival *weft__arrivals_take(struct weft__arrivals *arrivals);

/* Ends watching. Waits, whatever happens, for loops that must give their watches back. */
void weft__arrivals_leave(struct weft__arrivals *arrivals, struct weft__arrival *watches, size_t n);

/* Notes that somebody knows of a task's failure, so that nobody needs to be told. */
void weft__task_observe(struct weft_task *task, int result);

#endif
