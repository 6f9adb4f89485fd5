/*
 * test_event.c - a flag wakes all who wait at the moment it is set, and nobody else.
 */
#include <errno.h>

#include "flow/t_locks.h"

TestSuite(event, .timeout = 120);

static weft_event event;
static uint32_t woken;

static int
wait_and_count(void *arg)
{
    (void)arg;
    int rc = weft_event_wait(&event);
    if (rc == 0)
        weft__fetch_add(&woken, 1);
    return rc;
}

TASK_TEST(event, lets_nobody_through_until_it_is_set)
{
    weft_event_open(&event);
    woken = 0;
    cr_assert(!weft_event_is_set(&event));
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 5; i++)
        weft_group_spawn(&group, wait_and_count, NULL);
    T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert(woken == 0);
    weft_event_set(&event);
    weft_event_set(&event);
    cr_assert(weft_event_is_set(&event));
    T_OK(weft_group_close(&group));
    cr_assert(woken == 5);
    T_OK(weft_event_wait(&event));
    weft_event_clear(&event);
    cr_assert(!weft_event_is_set(&event));
    weft_event_close(&event);
}

TASK_TEST(event, who_waits_is_woken_even_if_it_is_cleared_right_after)
{
    weft_event_open(&event);
    woken = 0;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, wait_and_count, NULL);
    T_OK(weft_yield());
    weft_event_set(&event);
    weft_event_clear(&event);
    weft_group_spawn(&group, wait_and_count, NULL); /* for the next time */
    T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert(woken == 3);
    weft_event_set(&event);
    T_OK(weft_group_close(&group));
    cr_assert(woken == 4);
    weft_event_close(&event);
}

TASK_TEST(event, cancellation_is_looked_for_even_when_it_is_set)
{
    weft_event_open(&event);
    weft_event_set(&event);
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_event_wait(&event));
    weft_ignore(weft_scope_close(&scope));
    weft_event_close(&event);
}

TASK_TEST(event, a_wait_may_time_out)
{
    weft_event_open(&event);
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_event_wait(&event));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    weft_event_close(&event);
}

TASK_TEST(event, who_was_woken_cannot_be_cancelled_out_of_it)
{
    weft_event_open(&event);
    woken = 0;
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, wait_and_count, NULL, NULL));
    T_OK(weft_yield());
    weft_event_set(&event);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, &result));
    T_OK(result);
    weft_event_close(&event);
}

static int
set_it(void *arg)
{
    weft_event_set(arg);
    return 0;
}

LOOPS_TEST(event, whoever_waited_may_close_it_at_once, 2)
{
    for (int i = 0; i < 300 / T_SLOW; i++) {
        weft_event *heap = malloc(sizeof *heap);
        weft_event_open(heap);
        weft_task *task;
        T_OK(weft_task_spawn(&task, set_it, heap, &(weft_task_options){.on = WEFT_ON(1)}));
        if (i % 2 == 0) {
            while (!weft_event_is_set(heap))
                T_OK(weft_yield());
        }
        T_OK(weft_event_wait(heap));
        weft_event_close(heap);
        free(heap);
        T_OK(weft_task_join(task, NULL));
    }
}

static int
close_it_while_one_waits(void *arg)
{
    (void)arg;
    weft_event_open(&event);
    weft_task_spawn(NULL, wait_and_count, NULL, NULL);
    weft_ignore(weft_yield());
    weft_event_close(&event);
    return 0;
}

static void
run_close_it(void)
{
    t_run_bare(close_it_while_one_waits);
}

Test(event, closing_it_while_one_waits_aborts)
{
    t_breaks(run_close_it, "an event was closed while tasks wait for it");
}

/* ---- Torture --------------------------------------------------------------------------------- */

static int
set_twice(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_MS(1));
    weft_event_set(&event);
    if (rc == 0)
        rc = weft_yield();
    weft_event_clear(&event);
    if (rc == 0)
        rc = weft_sleep(WEFT_MS(1));
    weft_event_set(&event);
    return rc;
}

static int
wait_twice(void *arg)
{
    int rc = wait_and_count(arg);
    if (rc == 0)
        rc = weft_sleep(WEFT_US(1500));
    return rc < 0 ? rc : wait_and_count(arg);
}

static int
crowd(void *arg)
{
    (void)arg;
    weft_group group;
    /* A setter that was cancelled before it began sets nothing: then time ends it. */
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(100)});
    for (unsigned i = 0; i < 4; i++)
        t_spawn_round(&group, wait_twice, NULL, i);
    t_spawn_round(&group, set_twice, NULL, 1);
    return weft_group_close(&group);
}

static void
open_it(void)
{
    weft_event_open(&event);
}

static void
nobody_is_in_line(void)
{
    weft_event_close(&event);
}

Test(event, nobody_stays_in_line_wherever_waiters_are_ended)
{
    t_scenario_torture(crowd, open_it, nobody_is_in_line);
}

Test(event, nobody_stays_in_line_in_any_order)
{
    t_scenario_seeds(crowd, open_it, nobody_is_in_line);
}
