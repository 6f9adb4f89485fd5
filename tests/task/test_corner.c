/*
 * test_corner.c - where two layers meet: what a cancellation, an end or a flood must not hide.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <weft/fd.h>
#include <weft/future.h>
#include <weft/group.h>

#include "task/t_core.h"

TestSuite(corner, .timeout = 60);

/* ---- The end of the main task --------------------------------------------------------------- */

static int
group_after_main(void *arg)
{
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_yield()); /* the main task ends meanwhile */
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, t_give, T_NUMBER(0));
    *(int *)arg = weft_group_close(&group);
    weft_scope_close(&shield);
    return 0;
}

static int
end_before_the_group(void *arg)
{
    T_OK(weft_task_spawn(NULL, group_after_main, arg, NULL));
    T_OK(weft_yield());
    return 0;
}

Test(corner, a_group_spawned_after_the_main_task_ended_hears_of_its_child)
{
    int closed = 1;
    t_run(end_before_the_group, &closed);
    T_OK(closed);
}

/* ---- Cancelled between two waits of one call ------------------------------------------------- */

static int
read_one(void *arg)
{
    weft_fd fd;
    int rc = weft_fd_open(&fd, *(int *)arg);
    if (rc < 0)
        return rc;
    char byte;
    rc = (int)weft_fd_read(&fd, &byte, 1);
    weft_fd_close(&fd);
    return rc;
}

LOOPS_TEST(corner, a_reader_cancelled_after_a_false_alarm_does_not_wait_again, 1)
{
    int ends[2];
    cr_assert(pipe(ends) == 0);
    weft_task *reader;
    T_OK(weft_task_spawn(&reader, read_one, &ends[0], NULL));
    T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert(write(ends[1], "x", 1) == 1);
    while (weft_task_get_state(reader) != WEFT_TASK_READY)
        T_OK(weft_yield());
    char byte;
    cr_assert(read(ends[0], &byte, 1) == 1, "what woke the reader is taken from it");
    weft_task_cancel(reader);

    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(10));
    int result = 0;
    T_OK(weft_task_join(reader, &result));
    T_ERR(-ECANCELED, result);
    T_OK(weft_scope_close(&scope));
    close(ends[1]);
}

/* ---- Verdicts of scopes around groups -------------------------------------------------------- */

TASK_TEST(corner, a_scope_whose_deadline_ended_a_group_tells_so)
{
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(10));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, t_forever, NULL);
    T_ERR(-ETIMEDOUT, weft_group_close(&group));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
}

TASK_TEST(corner, a_scope_that_ended_no_child_of_a_failed_group_tells_nothing)
{
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(10));
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, t_forever, NULL);
    weft_group_spawn(&group, t_give, T_NUMBER(-EIO));
    T_ERR(-ECANCELED, weft_yield());
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    T_OK(weft_sleep(WEFT_MS(20)));
    T_OK(weft_scope_close(&shield));
    T_ERR(-EIO, weft_group_close(&group));
    T_OK(weft_scope_close(&scope));
}

/* ---- Floods ---------------------------------------------------------------------------------- */

struct flood {
    weft_loop *loop;
    uint32_t stop;
    uint32_t posts;
};

static void
count_post(void *arg)
{
    weft__add_own((uint32_t *)arg, 1);
}

static void *
post_on_and_on(void *arg)
{
    struct flood *flood = arg;
    while (!weft__load(&flood->stop))
        for (int i = 0; i < 64; i++)
            weft_ignore(weft_loop_post(flood->loop, count_post, &flood->posts));
    return NULL;
}

LOOPS_TEST(corner, a_descriptor_is_heard_through_a_flood_of_posts, 1)
{
    int ends[2];
    cr_assert(pipe(ends) == 0);
    static struct flood flood; /* the last posts are called after this task has ended */
    flood.loop = weft_loop_current();
    pthread_t thread = t_thread(post_on_and_on, &flood);
    weft_task *reader;
    T_OK(weft_task_spawn(&reader, read_one, &ends[0], NULL));
    T_OK(weft_sleep(WEFT_MS(5)));
    cr_assert(write(ends[1], "x", 1) == 1);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(10));
    int result = 0;
    T_OK(weft_task_join(reader, &result));
    T_ERR(1, result);
    T_OK(weft_scope_close(&scope));
    weft__store(&flood.stop, 1);
    t_thread_join(thread);
    close(ends[1]);
}

/* ---- What weft_run_here leaves --------------------------------------------------------------- */

struct hop {
    weft_future future;
    weft_callback callback;
    int hops;
};

static void
hop(void *arg)
{
    struct hop *way = arg;
    if (++way->hops < 3)
        weft_call_soon(&way->callback, hop, way);
    else
        weft_future_set(&way->future, 0);
}

static int
wait_shielded(void *arg)
{
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    int rc = weft_future_wait(&((struct hop *)arg)->future, NULL);
    weft_scope_close(&shield);
    return rc;
}

static int
leave_one_that_waits(void *arg)
{
    struct hop *way = arg;
    T_OK(weft_task_spawn(NULL, wait_shielded, way, NULL));
    T_OK(weft_yield());
    weft_call_soon(&way->callback, hop, way);
    return 0;
}

Test(corner, what_a_task_here_left_is_woken_by_callbacks_that_follow_each_other)
{
    struct hop way = {.hops = 0};
    weft_future_open(&way.future);
    T_OK(weft_run_here(leave_one_that_waits, &way));
    cr_assert(way.hops == 3);
    weft_future_close(&way.future);
}

struct here {
    weft_task *task;
    weft_loop *loop;
    uint32_t known;
    uint32_t calls;
    int rc;
    int result;
};

static int
give_7_later(void *arg)
{
    struct here *here = arg;
    here->task = weft_task_self();
    here->loop = weft_loop_current();
    weft__store(&here->known, 1);
    return weft_sleep(WEFT_MS(50)) < 0 ? -1 : 7;
}

static void *
await_it(void *arg)
{
    struct here *here = arg;
    while (!weft__load(&here->known))
        weft_ignore(weft_sleep(WEFT_MS(1)));
    here->rc = weft_task_await(here->task, &here->result);
    return NULL;
}

Test(corner, a_thread_may_wait_for_the_task_of_weft_run_here)
{
    struct here here = {.rc = 1};
    pthread_t thread = t_thread(await_it, &here);
    T_ERR(7, weft_run_here(give_7_later, &here));
    t_thread_join(thread);
    T_OK(here.rc);
    T_ERR(7, here.result);
}

static void *
run_and_linger(void *arg)
{
    struct here *here = arg;
    here->rc = weft_run_here(give_7_later, here);
    weft__store(&here->known, 2);
    while (weft__load(&here->known) != 3)
        weft_ignore(weft_sleep(WEFT_MS(1)));
    return NULL;
}

Test(corner, a_post_to_a_private_loop_is_called_before_its_thread_ends)
{
    struct here here = {.rc = 1};
    t_leak_begin();
    pthread_t thread = t_thread(run_and_linger, &here);
    while (weft__load(&here.known) != 2)
        weft_ignore(weft_sleep(WEFT_MS(1)));
    T_OK(weft_loop_post(here.loop, count_post, &here.calls));
    weft__store(&here.known, 3);
    t_thread_join(thread);
    cr_assert(here.calls == 1);
    t_leak_end();
}
