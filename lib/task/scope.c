/*
 * scope.c - regions with a deadline and a cancel switch, shields, deferred functions.
 *
 * What a task's next wait returns is kept ready in task->pending, and is worked out anew only
 * when a scope opens, closes or ends. The outermost cause wins; a shield hides what is outside.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "task/task_priv.h"

_Static_assert(sizeof(struct weft__open_scope) <= sizeof(weft_scope), "weft_scope is too small");

struct weft__deferred {
    struct weft__deferred *next;
    void (*fn)(void *arg);
    void *arg;
};

void (*weft__group_ended)(struct weft__group *group, int cause);

/* The scope whose cause is in force inside `scope`: the outermost that ended and is not hidden. */
static struct weft__scope *
source(struct weft__scope *scope)
{
    struct weft__scope *found = NULL;
    for (; scope != NULL; scope = scope->outer) {
        if (scope->masked)
            break;
        if (scope->cause != 0)
            found = scope;
        if (scope->shield)
            break;
    }
    return found;
}

int
weft__scope_effective(const struct weft__scope *scope)
{
    const struct weft__scope *found = source((struct weft__scope *)(uintptr_t)scope);
    return found != NULL ? found->cause : 0;
}

void
weft__scope_note_hit(struct weft_task *task)
{
    struct weft__scope *found = source(task->scope);
    if (found != NULL)
        found->hit = true;
}

/* Ends the wait a task is in, if it may be ended and nothing else has ended it already. */
static void
interrupt(struct weft_task *task)
{
    if (!task->cancellable || task->state != WEFT_TASK_WAITING)
        return;
    uint64_t state = weft__load(&task->waiter.state);
    struct weft__ticket ticket = {&task->waiter, state & ~(uint64_t)3};
    if (!(state & WEFT__ARMED) || !weft__claim(ticket))
        return; /* the result won */
    weft__scope_note_hit(task);
    weft__deliver(&task->waiter, task->pending);
}

void
weft__scope_recompute(struct weft_task *task)
{
    struct weft__scope *found = source(task->scope);
    task->pending = found != NULL ? found->cause : 0;
    if (task->pending != 0)
        interrupt(task);
}

void
weft__scope_end(struct weft__scope *scope, int cause)
{
    if (scope->cause != 0)
        return;
    scope->cause = cause;
    struct weft_task *task = scope->task;
    /* Groups of this task that are inside, up to the scope itself: their children end too. */
    for (struct weft__scope *inner = task->scope; inner != NULL; inner = inner->outer) {
        if (inner->has_group) {
            int effective = weft__scope_effective(inner);
            if (effective != 0)
                weft__group_ended((struct weft__group *)(void *)inner, effective);
        }
        if (inner == scope)
            break;
    }
    weft__scope_recompute(task);
}

static void
expire(struct weft__timer *timer)
{
    weft__scope_end(&weft__container(timer, struct weft__open_scope, timer)->scope, -ETIMEDOUT);
}

void
weft__scope_init_root(struct weft_task *task, int64_t deadline)
{
    struct weft__scope *root = &task->root;
    memset(root, 0, sizeof *root);
    root->task = task;
    root->deadline = deadline;
    task->scope = root;
}

void
weft__scope_enter(struct weft__open_scope *open, struct weft_task *task, int64_t deadline,
                  bool shield)
{
    struct weft__scope *scope = &open->scope;
    memset(open, 0, sizeof *open);
    open->timer.fire = expire;
    scope->task = task;
    scope->outer = task->scope;
    scope->deadline = deadline;
    scope->shield = shield;
    task->scope = scope;
    if (deadline != WEFT_FOREVER) {
        struct weft_loop *loop = task->waiter.loop;
        if (deadline <= weft__clock_now(loop->clock))
            scope->cause = -ETIMEDOUT;
        else
            weft__timers_add(&loop->timers, &open->timer, deadline);
    }
    if (shield || scope->cause != 0)
        weft__scope_recompute(task);
}

void
weft__scope_run_deferred(struct weft__scope *scope)
{
    if (scope->deferred == NULL)
        return;
    scope->masked = true;
    weft__scope_recompute(scope->task);
    struct weft__deferred *deferred;
    while ((deferred = scope->deferred) != NULL) {
        scope->deferred = deferred->next;
        deferred->fn(deferred->arg);
        weft__free(deferred);
    }
    scope->masked = false;
    weft__scope_recompute(scope->task);
}

int
weft__scope_leave(struct weft__open_scope *open)
{
    struct weft__scope *scope = &open->scope;
    struct weft_task *task = scope->task;
    weft__assert(task == weft__task_self(), "a scope is closed by the task that opened it");
    weft__assert(task->scope == scope, "scopes close innermost first");
    weft__scope_run_deferred(scope);
    weft__timers_cancel(&task->waiter.loop->timers, &open->timer);
    task->scope = scope->outer;
    weft__scope_recompute(task);
    return scope->hit ? scope->cause : 0;
}

static struct weft_task *
task_that_opens(void)
{
    struct weft_task *task = weft__task_self();
    weft__assert(task != NULL, "a scope can be opened only inside a task");
    return task;
}

void
weft_scope_open(weft_scope *scope, weft_time deadline)
{
    weft__scope_enter((struct weft__open_scope *)(void *)scope, task_that_opens(), deadline, false);
}

void
weft_shield_open(weft_scope *scope, weft_time deadline)
{
    weft__scope_enter((struct weft__open_scope *)(void *)scope, task_that_opens(), deadline, true);
}

int
weft_scope_close(weft_scope *scope)
{
    return weft__scope_leave((struct weft__open_scope *)(void *)scope);
}

void
weft_scope_cancel(weft_scope *public)
{
    struct weft__scope *scope = (struct weft__scope *)(void *)public;
    weft__assert(scope->task->waiter.loop == weft__loop_self,
                 "weft_scope_cancel belongs on the loop of the task that opened the scope");
    weft__scope_end(scope, -ECANCELED);
}

void
weft_scope_set_deadline(weft_scope *public, weft_time deadline)
{
    struct weft__open_scope *open = (struct weft__open_scope *)(void *)public;
    struct weft__scope *scope = &open->scope;
    struct weft_loop *loop = scope->task->waiter.loop;
    weft__assert(loop == weft__loop_self,
                 "weft_scope_set_deadline belongs on the loop of the task that opened the scope");
    weft__timers_cancel(&loop->timers, &open->timer);
    scope->deadline = deadline;
    if (scope->cause != 0 || deadline == WEFT_FOREVER)
        return;
    if (deadline <= weft__clock_now(loop->clock))
        weft__scope_end(scope, -ETIMEDOUT);
    else
        weft__timers_add(&loop->timers, &open->timer, deadline);
}

weft_time
weft_scope_deadline(void)
{
    struct weft_task *task = weft__task_self();
    weft_time deadline = WEFT_FOREVER;
    if (task == NULL)
        return deadline;
    for (const struct weft__scope *scope = task->scope; scope != NULL; scope = scope->outer) {
        if (scope->masked)
            break;
        if (scope->deadline < deadline)
            deadline = scope->deadline;
        if (scope->shield)
            break;
    }
    return deadline;
}

int
weft_defer(void (*fn)(void *arg), void *arg)
{
    struct weft_task *task = weft__task_self();
    weft__assert(task != NULL, "weft_defer needs a task whose end it can wait for");
    struct weft__deferred *deferred = weft__alloc(sizeof *deferred);
    if (deferred == NULL)
        return -ENOMEM;
    deferred->fn = fn;
    deferred->arg = arg;
    deferred->next = task->scope->deferred;
    task->scope->deferred = deferred;
    return 0;
}
