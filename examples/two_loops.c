/*
 * two_loops.c - work on another loop: a call, a task, a group over both, a message.
 *
 * asyncio has one loop per thread and run_coroutine_threadsafe(), call_soon_threadsafe(). A task
 * stays on its loop; awaiting it works from anywhere.
 */
#include <pthread.h>
#include <stdio.h>

#include <weft.h>

static int
where_am_i(void *arg)
{
    char thread[16];
    pthread_getname_np(pthread_self(), thread, sizeof thread);
    printf("%-8s on loop %u, thread %s\n", (const char *)arg, weft_loop_index(weft_loop_current()),
           thread);
    return 0;
}

static int
add_index(void *arg)
{
    unsigned *sum = arg;
    __atomic_fetch_add(sum, 1 + weft_loop_index(weft_loop_current()), __ATOMIC_SEQ_CST);
    return 0;
}

/* Runs between the tasks of the other loop; a future brings the answer back. */
static void
answer(void *arg)
{
    weft_future_set(arg, (int)weft_loop_index(weft_loop_current()));
}

static int
tour(void *arg)
{
    (void)arg;
    int rc = where_am_i("main");
    if (rc == 0)
        rc = weft_loop_call(weft_loop_at(1), where_am_i, "call");
    if (rc < 0)
        return rc;

    weft_task *task;
    rc = weft_task_spawn(&task, where_am_i, "task", &(weft_task_options){.on = WEFT_ON(1)});
    if (rc < 0)
        return rc;
    rc = weft_task_join(task, NULL);
    if (rc < 0) {
        weft_task_close(task);
        return rc;
    }

    unsigned sum = 0;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 10; i++)
        weft_group_spawn_with(&group, add_index, &sum, &(weft_task_options){.on = WEFT_ON(i % 2)});
    rc = weft_group_close(&group);
    if (rc < 0)
        return rc;
    printf("a group on both loops added up %u\n", sum);

    weft_future future;
    weft_future_open(&future);
    int index = -1;
    rc = weft_loop_post(weft_loop_at(1), answer, &future);
    if (rc == 0) {
        weft_scope shield; /* answer() has our future's address: wait for it, come what may */
        weft_shield_open(&shield, WEFT_FOREVER);
        rc = weft_future_wait(&future, &index);
        weft_scope_close(&shield);
    }
    weft_future_close(&future);
    printf("a message was answered by loop %d\n", index);
    return rc;
}

int
main(void)
{
    return weft_run(tour, NULL, &(weft_options){.loops = 2}) < 0;
}
