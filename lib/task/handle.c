/*
 * handle.c - what the owner of a task's handle may do: await, cancel, close, look.
 */
#include <errno.h>

#include "task/task_priv.h"

void
weft_task_cancel(weft_task *task)
{
    weft__task_request(task, WEFT__OP_CANCEL, -ECANCELED);
}

void
weft_task_close(weft_task *task)
{
    if (task != NULL)
        weft__task_request(task, WEFT__OP_CLOSE, 0);
}

int
weft_task_await(weft_task *task, int *ret_result)
{
    int rc = weft__wait_begin();
    if (rc < 0)
        return rc;
    struct weft_task *self = weft__task_self();
    if (task == self)
        return -EDEADLK;
    int result = 0;
    if (weft__load(&task->waiter.loop) != weft__loop_self || self == NULL) {
        rc = weft__await_far(task, &result);
        if (rc < 0)
            return rc;
    } else if (!weft__task_ended(task)) {
        struct weft__joiner joiner;
        joiner.arrive = NULL;
        self->what = weft__what_task;
        self->object = task;
        joiner.ticket = weft__park_arm();
        weft__list_push_back(&task->joiners, &joiner.link);
        rc = weft__park(true);
        if (rc < 0) {
            if (weft__link_on_list(&joiner.link))
                weft__list_remove(&joiner.link);
            return rc;
        }
        result = joiner.result;
    } else {
        task->observed = true;
        result = task->result;
    }
    if (ret_result != NULL)
        *ret_result = result;
    return 0;
}

int
weft_task_join(weft_task *task, int *ret_result)
{
    int rc = weft_task_await(task, ret_result);
    if (rc == 0)
        weft_task_close(task);
    return rc;
}

weft_task_state
weft_task_get_state(const weft_task *task)
{
    return (weft_task_state)__atomic_load_n(&task->state, __ATOMIC_ACQUIRE);
}

const char *
weft_task_name(const weft_task *task)
{
    if (task == NULL)
        task = weft__task_self();
    return task != NULL ? task->name : "";
}

weft_task *
weft_task_self(void)
{
    struct weft_task *task = weft__task_self();
    /* Whoever asks may hand it to another thread. */
    if (task != NULL && weft__loop_share(task->waiter.loop) < 0)
        return NULL;
    return task;
}

size_t
weft_task_stack_used(const weft_task *task)
{
    if (task == NULL)
        task = weft__task_self();
    if (task == NULL)
        return 0;
    if (task->stack != NULL)
        return weft__stack_used(task->stack);
    return task->state == WEFT_TASK_NEW ? 0 : task->stack_used;
}
