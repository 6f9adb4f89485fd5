/*
 * waitq.h - a cancel-safe line of waiters, under the lock of the primitive they wait for.
 *
 * Who wakes claims under the lock and delivers after it: a waiter that was claimed cannot leave,
 * one that could not be claimed was cancelled and is passed over, so nothing is handed to the
 * dead. Who is cancelled takes itself off the line again.
 */
#ifndef WEFT_LIB_FLOW_WAITQ_H
#define WEFT_LIB_FLOW_WAITQ_H

#include "base/list.h"
#include "base/lock.h"
#include "loop/waiter.h"

/* With the lock held: gets in line, unlocks, suspends. 0 when woken; a cancellation otherwise,
 * and then nothing was given. */
int weft__waitq_park(struct weft__list *line, struct weft__lock *lock);

/* The same for a wait that goes on whatever happens to the task. */
void weft__waitq_park_through(struct weft__list *line, struct weft__lock *lock);

/* With the lock held: takes the first one that can still be woken off the line and claims it.
 * To be given to weft__deliver after unlocking; NULL when there is none. */
struct weft__waiter *weft__waitq_claim(struct weft__list *line);

#endif
