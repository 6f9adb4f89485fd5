/*
 * here.c - weft_run_here: one task on the calling thread's own stack.
 *
 * The thread keeps a private loop. Its task is `native`: when it waits, turns of the loop are
 * taken on the same stack, below it. While it is alone there is no poller and no eventfd.
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "task/task_priv.h"

struct private_loop {
    struct weft_task task; /* of the call in progress; its stack is the thread's */
    struct weft__sched *table[1];
    struct weft__runtime runtime;
    struct weft__sched sched;
};

static void
private_loop_free(struct private_loop *private)
{
    struct weft__runtime *runtime = &private->runtime;
    struct weft__sched *sched = &private->sched;
    weft__runtime_lanes_free(runtime, WEFT_FOREVER);
    /* Posts that were accepted are called, also those that came after the last call. */
    weft__store(&sched->loop.refuses, 1); /* pairs with the load in weft_loop_post */
    weft__threads_quiesce(&sched->loop);
    sched->closing = true;
    weft__loop_self = &sched->loop;
    while (weft__inbox_run(&sched->loop) || !weft__mpsc_empty(&sched->loop.inbox))
        continue;
    weft__loop_self = NULL;
    weft__sched_close(sched);
    weft__task_chunks_free(runtime);
    weft__stack_pool_free(runtime->pool);
    weft__free_lines(private);
}

static void
thread_exits(struct weft__thread *thread)
{
    if (thread->private_loop != NULL)
        private_loop_free(thread->private_loop);
    thread->private_loop = NULL;
    weft__locals_drop(&thread->locals);
}

/* Before main, when no other thread can be looking. */
__attribute__((constructor)) static void
set_hooks(void)
{
    weft__thread_exit_hook = thread_exits;
}

static int
private_loop_new(struct private_loop **ret_private)
{
    struct private_loop *private = weft__alloc_lines(sizeof *private);
    if (private == NULL)
        return -ENOMEM;
    struct weft__runtime *runtime = &private->runtime;
    weft__list_init(&runtime->any);
    private->table[0] = &private->sched;
    runtime->loops = private->table;
    runtime->n_loops = 1;
    weft__sched_init(&private->sched, runtime, 0);
    *ret_private = private;
    return 0;
}

int
weft__here_grow(struct weft__sched *sched)
{
    struct weft__runtime *runtime = sched->runtime;
    int rc = weft__loop_share(&sched->loop);
    if (rc < 0)
        return rc;
    rc = weft__stack_round(0, &runtime->options.stack_size);
    if (rc == 0)
        rc = weft__stack_pool_new(&runtime->pool, sizeof(struct weft__stack),
                                  runtime->options.stack_size, weft__task_entry, false);
    if (rc == 0)
        weft__stack_cache_open(&sched->stacks, runtime->pool);
    return rc;
}

static void
resume_native(struct weft__waiter *waiter)
{
    weft__ready_push((struct weft__sched *)(void *)waiter->loop,
                     weft__container(waiter, struct weft_task, waiter));
}

static void
resume_native_message(struct weft__message *message)
{
    resume_native((struct weft__waiter *)(void *)message);
}

/* Cancels what the task left behind, and waits for it. */
static void
wait_for_rest(struct weft__sched *sched)
{
    sched->closing = true;
    while (sched->live > 0 || weft__load(&sched->runtime->n_any) > 0) {
        weft__list_foreach(link, &sched->tasks)
            weft__task_end_root(weft__container(link, struct weft_task, link), -ECANCELED);
        weft_ignore(weft_yield());
        if (sched->live > 0 && sched->ready_head == NULL && sched->loop.pending == NULL &&
            weft__list_empty(&sched->loop.soon)) {
            /* All wait for something that must not be cut short: sleep until it comes. */
            sched->loop.idle(&sched->loop, weft__timers_next(&sched->loop.timers));
        }
    }
    sched->closing = false;
}

int
weft_run_here(weft_task_fn *fn, void *arg)
{
    if (weft__loop_self != NULL)
        return weft_error_note(-EDEADLK, "weft_run_here inside a task: call the function itself");
    struct weft__thread *thread = weft__thread_self();
    if (thread == NULL)
        return -ENOMEM;
    struct private_loop *private = thread->private_loop;
    if (private == NULL) {
        int rc = private_loop_new(&private);
        if (rc < 0)
            return rc;
        thread->private_loop = private;
    }
    struct weft__sched *sched = &private->sched;
    struct weft_task *task = &private->task;
    memset(task, 0, sizeof *task);
    task->native = true;
    task->fn = fn;
    task->arg = arg;
    task->state = WEFT_TASK_RUNNING;
    task->waiter.loop = &sched->loop;
    task->waiter.resume = resume_native;
    task->waiter.message.fn = resume_native_message;
    task->remote.fn = weft__task_ops_message;
    memcpy(task->name, "here", 5);
    weft__list_init(&task->joiners);
    weft__scope_init_root(task, WEFT_FOREVER);
    int rc = weft__locals_inherit(&task->locals, thread->locals);
    if (rc < 0)
        return rc;
    private->runtime.main = task;

    weft__loop_self = &sched->loop;
    weft__ctx_adopt(&sched->native);
    sched->current = task;
    sched->budget = 256;
    rc = fn(arg);
    weft__assert(task->scope == &task->root, "a task returned with a scope or group still open");
    weft__scope_run_deferred(&task->root);
    weft__holdings_check(&task->holdings, task->name);
    if (sched->live > 0 || weft__load(&private->runtime.n_any) > 0)
        wait_for_rest(sched);
    weft__locals_drop(&task->locals);
    sched->current = NULL;
    /* Others may wait for this task, and have requests to it on their way; the next call uses its
     * memory again. */
    weft__task_settle(task, rc);
    while (sched->loop.pending != NULL || !weft__mpsc_empty(&sched->loop.inbox))
        weft__inbox_run(&sched->loop);
    weft__ctx_unadopt(&sched->native);
    weft__loop_self = NULL;
    if (rc < 0 && task->error != NULL)
        weft_error_note(rc, "%s", task->error);
    weft__free(task->error);
    return rc;
}
