/*
 * cross.c - waiting for tasks of other loops, and having a task run there.
 *
 * The list of a task's awaiters belongs to its loop. Who waits elsewhere, a plain thread included,
 * sends a message to get on it, and one to get off it again when cancelled; the second is waited
 * for, because both are on the waiter's stack.
 */
#include <errno.h>

#include <weft/loop.h>

#include "base/assert.h"
#include "task/task_priv.h"

struct far_joiner {
    struct weft__joiner joiner;
    struct weft_task *task;
    struct weft__message add;
    struct weft__message remove;
    struct weft__ticket removed;
};

static void
far_add(struct weft__message *message)
{
    struct far_joiner *far = weft__container(message, struct far_joiner, add);
    if (weft__task_ended(far->task)) {
        weft__joiner_wake(far->task, &far->joiner);
    } else {
        weft__list_push_back(&far->task->joiners, &far->joiner.link);
    }
}

static void
far_remove(struct weft__message *message)
{
    struct far_joiner *far = weft__container(message, struct far_joiner, remove);
    if (weft__link_on_list(&far->joiner.link))
        weft__list_remove(&far->joiner.link);
    weft__wake(far->removed, 0);
}

int
weft__await_far(struct weft_task *task, int *ret_result)
{
    struct far_joiner far = {.task = task, .add = {.fn = far_add}, .remove = {.fn = far_remove}};
    weft__waits_for(weft__what_task, task);
    far.joiner.ticket = weft__park_arm();
    struct weft_loop *home = weft__load(&task->waiter.loop);
    struct weft__runtime *runtime = weft__floating_in(home);
    if (runtime != NULL) {
        weft__lock(&runtime->any_lock);
        home = weft__load(&task->waiter.loop);
        if (weft__floating_in(home) != NULL)
            weft__list_push_back(&task->joiners, &far.joiner.link);
        weft__unlock(&runtime->any_lock);
    }
    if (weft__floating_in(home) == NULL)
        weft__inbox_post(home, &far.add);
    int rc = weft__park(true);
    if (rc == 0) {
        *ret_result = far.joiner.result;
        return 0;
    }
    /* Off the list again, and only then off this stack. */
    far.removed = weft__park_arm();
    home = weft__load(&task->waiter.loop);
    runtime = weft__floating_in(home);
    if (runtime != NULL) {
        weft__lock(&runtime->any_lock);
        home = weft__load(&task->waiter.loop);
        bool floats = weft__floating_in(home) != NULL;
        if (floats)
            weft__list_remove(&far.joiner.link);
        weft__unlock(&runtime->any_lock);
        if (floats)
            return rc;
    }
    weft__inbox_post(home, &far.remove);
    int ignored = weft__park(false);
    (void)ignored;
    return rc;
}

/* A call on another loop: a task there, with the caller as its one awaiter. */
struct far_call {
    struct weft__joiner joiner;
    weft_task_fn *fn;
    void *arg;
    struct weft_task *task;
    struct weft__locals *locals; /* the caller's, who waits */
    int32_t cause;
    struct weft__message start;
    struct weft__message stop;
    struct weft__ticket again; /* after a cancellation */
};

static void
call_start(struct weft__message *message)
{
    struct far_call *call = weft__container(message, struct far_call, start);
    int rc = weft__task_new(&call->task, call->fn, call->arg, &(weft_task_options){.name = "call"},
                            WEFT_FOREVER);
    if (rc == 0) {
        /* The caller's, in place of the loop's own. */
        weft__locals_drop(&call->task->locals);
        rc = weft__locals_inherit(&call->task->locals, call->locals);
        if (rc < 0)
            weft__task_discard(call->task);
    }
    if (rc < 0) {
        call->joiner.result = rc;
        weft__wake(call->joiner.ticket, 0);
        return;
    }
    /* No handle: it goes at its end, which is before its caller is back, who may then end the
     * runtime. */
    call->task->observed = true;
    weft__list_push_back(&call->task->joiners, &call->joiner.link);
    weft__task_start(call->task, WEFT_LOOP_HERE);
}

static void
call_stop(struct weft__message *message)
{
    struct far_call *call = weft__container(message, struct far_call, stop);
    call->joiner.ticket = call->again;
    if (weft__link_on_list(&call->joiner.link))
        weft__task_end_root(call->task, call->cause);
    else
        weft__wake(call->again, 0); /* it has ended, or was never spawned */
}

int
weft_loop_call(weft_loop *loop, weft_task_fn *fn, void *arg)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    struct far_call call = {
        .fn = fn, .arg = arg, .start = {.fn = call_start}, .stop = {.fn = call_stop}};
    call.locals = weft__locals_current();
    weft__waits_for("call on another loop", NULL);
    call.joiner.ticket = weft__park_arm();
    if (loop == weft__loop_self) {
        call_start(&call.start);
    } else {
        rc = weft__inbox_post_unless_closing(loop, &call.start);
        if (rc < 0)
            return rc;
    }
    rc = weft__park(true);
    if (rc < 0) {
        call.cause = rc;
        call.again = weft__park_arm();
        if (loop == weft__loop_self)
            call_stop(&call.stop);
        else
            weft__inbox_post(loop, &call.stop);
        int woken = weft__park(false);
        (void)woken;
    }
    return rc < 0 ? rc : call.joiner.result;
}
