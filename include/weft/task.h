/*
 * task.h - tasks: spawn, await, cancel.
 *
 * A task is a stackful coroutine. It stays on one loop from its first step to its last, so
 * thread-locals and errno keep their meaning across waits. A handle has one owner, who ends it
 * with weft_task_join, weft_task_close or by giving the task to a group.
 */
#ifndef WEFT_TASK_H
#define WEFT_TASK_H

#include <weft/base.h>
#include <weft/loop.h>
#include <weft/run.h>

typedef struct weft_task weft_task;

typedef enum weft_task_state {
    WEFT_TASK_NEW = 0,      /* not started */
    WEFT_TASK_READY = 1,    /* waits for its turn on the loop */
    WEFT_TASK_RUNNING = 2,  /* is the caller, or runs on another loop */
    WEFT_TASK_WAITING = 3,  /* suspended in a call that waits */
    WEFT_TASK_DONE = 4,     /* its function returned 0 or more */
    WEFT_TASK_FAILED = 5,   /* its function returned a negative result */
    WEFT_TASK_CANCELLED = 6 /* it was cancelled, and returned why: -ECANCELED, or -ETIMEDOUT when
                                a deadline of its group was the cause */
} weft_task_state;

/* Where a task may start. */
#define WEFT_LOOP_HERE (-1) /* the spawner's loop */
#define WEFT_LOOP_ANY (-2)  /* whichever loop has time first */

typedef struct weft_task_options {
    const char *name;  /* up to 31 bytes are copied; NULL: "task" and its number */
    size_t stack_size; /* usable bytes; 0: the runtime's; 16 KiB to 1 GiB, rounded up to pages */
    int on;            /* 0: here, like WEFT_LOOP_HERE; WEFT_LOOP_ANY; WEFT_ON(i) for loop i */
} weft_task_options;

/* For weft_task_options.on: loop number i. */
#define WEFT_ON(i) ((int)(i) + 1)

WEFT_BEGIN_DECLS

/*
 * weft_task_spawn - start a task
 *
 * ret_task  out: the handle, the caller's to end; NULL: nobody will (the task is detached)
 * options   NULL for the defaults
 *
 * The task runs when its loop comes to it, never before this call returns. It inherits the
 * runtime, not the spawner's scopes: for those use a group.
 *
 * Returns  0; -ENOMEM (memory, or stacks: weft_error_text() names vm.max_map_count where that
 *          was the limit); WEFT_E_STACK for a size out of range; -EINVAL for a loop that does not
 *          exist; -ESHUTDOWN when the runtime is closing; nothing was started then
 * Waits    no
 * Threads  tasks and callbacks of a loop
 * Source   asyncio.create_task
 */
int weft_task_spawn(weft_task **ret_task, weft_task_fn *fn, void *arg,
                    const weft_task_options *options);

/*
 * weft_task_await - wait for a task to end
 *
 * ret_result  out: what the task's function returned; NULL when it is of no interest. A failure
 *             counts as observed either way
 *
 * Returns  0 when the task has ended; -ECANCELED or -ETIMEDOUT when the enclosing scope ended
 *          first; -EDEADLK for oneself. The handle stays valid in each case
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   await task
 */
WEFT_WAITS int weft_task_await(weft_task *task, int *ret_result);

/*
 * weft_task_join - wait for a task to end and end its handle
 *
 * Returns  as weft_task_await; the handle is gone when the result is 0, and otherwise stays
 * Waits    yes; looks for cancellation first
 * Threads  tasks of any loop, and plain threads
 * Source   pthread_join(3)
 */
WEFT_WAITS int weft_task_join(weft_task *task, int *ret_result);

/*
 * weft_task_close - give a handle up; the task itself goes on
 *
 * task     may be NULL. A failure that nobody observed is reported to the log with the task's
 *          name, now or when the task ends
 *
 * Waits    no
 * Threads  tasks of any loop, and plain threads, while the runtime is alive
 * Source   pthread_detach(3); asyncio "exception was never retrieved"
 */
void weft_task_close(weft_task *task);

/*
 * weft_task_cancel - ask a task to end
 *
 * Every call of the task that waits returns -ECANCELED from now on, the present one included,
 * except inside a shield. A task that has not started never will. Idempotent.
 *
 * Waits    no
 * Threads  tasks of any loop, and plain threads, that own a handle
 * Source   asyncio Task.cancel, level-triggered as in trio
 */
void weft_task_cancel(weft_task *task);

/*
 * weft_task_get_state - what a task is doing
 *
 * Returns  the state; from another loop it may be a little old, but DONE, FAILED and CANCELLED
 *          are final
 * Waits    no
 * Threads  any that owns a handle
 * Source   asyncio Task.done, Task.cancelled
 */
weft_task_state weft_task_get_state(const weft_task *task);

/*
 * weft_task_name - name of a task
 *
 * task     NULL means the calling task
 *
 * Returns  text that lives as long as the handle; "" when NULL is given outside a task
 * Waits    no
 * Threads  any that owns a handle
 * Source   asyncio Task.get_name
 */
const char *weft_task_name(const weft_task *task);

/*
 * weft_task_self - handle of the calling task, borrowed
 *
 * Returns  the task, valid until it ends; NULL outside a task
 * Waits    no
 * Threads  any
 * Source   asyncio.current_task
 */
weft_task *weft_task_self(void);

/*
 * weft_task_stack_used - how deep a task's stack was at most
 *
 * task     NULL means the calling task
 *
 * Returns  bytes, to the page; exact to the word with weft_options.measure_stacks. Without it an
 *          earlier task on the same, reused stack may have gone deeper, and what was given back to
 *          the kernel while the task waited is not counted. 0 for a task that has ended without
 *          it, and for one of weft_run_here, which has its thread's stack
 * Waits    no
 * Threads  any that owns a handle
 * Source   uxTaskGetStackHighWaterMark (FreeRTOS)
 */
size_t weft_task_stack_used(const weft_task *task);

/*
 * weft_yield - let every other ready task run before going on
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope has ended (others ran all the
 *          same)
 * Waits    yes
 * Threads  tasks; on a plain thread sched_yield(2)
 * Source   asyncio.sleep(0), trio.lowlevel.checkpoint
 */
WEFT_WAITS int weft_yield(void);

/*
 * weft_on_loop_stack - call a function that goes deeper than the task's stack allows
 *
 * It runs at once, here, on the stack of the thread that runs the loop, which is as large as
 * threads' stacks are (8 MiB mostly; 1 MiB with the virtual clock): for a library that recurses or
 * has large frames, such as a parser of JSON. That stack is in the processor's cache, and the
 * task's own stays small. The function is like a callback of the loop: it must not wait, and
 * weft_task_self is NULL in it.
 *
 * Returns  what fn returned
 * Waits    no
 * Threads  any; elsewhere than in a task, and inside another such call, fn is simply called
 * Source   systemstack (Go's runtime), folly::fibers::runInMainContext
 */
int weft_on_loop_stack(weft_task_fn *fn, void *arg);

/*
 * weft_checkpoint - look for cancellation, and let others run now and then
 *
 * Returns  0; -ECANCELED or -ETIMEDOUT when the enclosing scope has ended
 * Waits    yes
 * Threads  tasks; 0 on a plain thread
 * Source   trio.lowlevel.checkpoint, tokio's task budget
 */
WEFT_WAITS int weft_checkpoint(void);

WEFT_END_DECLS

#endif
