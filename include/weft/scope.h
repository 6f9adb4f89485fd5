/*
 * scope.h - regions with a deadline and a cancel switch.
 *
 * Once a scope is cancelled or past its deadline, every call inside it that waits returns
 * -ECANCELED or -ETIMEDOUT at once, until the scope closes. Scopes nest; where several have
 * ended, the outermost one's cause is the one returned. A shield hides the scopes around it.
 */
#ifndef WEFT_SCOPE_H
#define WEFT_SCOPE_H

#include <weft/base.h>
#include <weft/time.h>

/* In the caller's memory, from open to close, on the stack of the task that opened it. */
typedef struct weft_scope {
    uint64_t opaque_[16];
} weft_scope;

WEFT_BEGIN_DECLS

/*
 * weft_scope_open - begin a scope inside the calling task's present one
 *
 * deadline  on the clock of weft_now; WEFT_FOREVER for none. One in the past expires at once
 *
 * Waits    no
 * Threads  tasks
 * Source   trio.CancelScope, asyncio.timeout_at
 */
void weft_scope_open(weft_scope *scope, weft_time deadline);

/*
 * weft_shield_open - begin a scope that hides the cancellation of all scopes around it
 *
 * deadline  of the shield itself: clean-up that waits deserves one
 *
 * Waits    no
 * Threads  tasks
 * Source   trio.CancelScope(shield=True), asyncio.shield
 */
void weft_shield_open(weft_scope *scope, weft_time deadline);

/*
 * weft_scope_close - end the task's innermost scope
 *
 * Runs what weft_defer registered inside it first.
 *
 * Returns  -ETIMEDOUT when this scope's own deadline ended a call inside; -ECANCELED when its
 *          own weft_scope_cancel did; else 0. What an outer scope ended is the outer's to return
 * Waits    only as far as deferred functions do; never looks for cancellation
 * Threads  the task that opened it
 * Source   trio.CancelScope.cancelled_caught
 */
int weft_scope_close(weft_scope *scope);

/*
 * weft_scope_cancel - switch a scope off
 *
 * Waits    no
 * Threads  tasks and callbacks of the loop of the task that opened it
 * Source   trio.CancelScope.cancel
 */
void weft_scope_cancel(weft_scope *scope);

/*
 * weft_scope_set_deadline - move a scope's deadline
 *
 * deadline  WEFT_FOREVER for none; a scope that has expired stays so
 *
 * Waits    no
 * Threads  tasks and callbacks of the loop of the task that opened it
 * Source   asyncio.Timeout.reschedule
 */
void weft_scope_set_deadline(weft_scope *scope, weft_time deadline);

/*
 * weft_scope_deadline - when the calling task must be through
 *
 * Returns  the earliest deadline of the scopes around the caller, up to a shield; WEFT_FOREVER
 *          when there is none. What a child of a group knows of the scopes around its group is
 *          as of its spawning
 * Waits    no
 * Threads  any; WEFT_FOREVER outside a task
 * Source   trio.current_effective_deadline
 */
weft_time weft_scope_deadline(void);

/*
 * weft_defer - have a function called when the innermost scope closes, or the task ends
 *
 * Last registered, first called; on success, failure and cancellation alike. The function may
 * wait: the cancellation of the scopes around it is hidden from it.
 *
 * Returns  0; -ENOMEM (fn will not be called: clean up yourself)
 * Waits    no
 * Threads  tasks
 * Source   Go's defer, contextlib.ExitStack.callback
 */
int weft_defer(void (*fn)(void *arg), void *arg);

WEFT_END_DECLS

#endif
