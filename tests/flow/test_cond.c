/*
 * test_cond.c - no wake-up is lost or stolen, and the mutex is held again whatever happened.
 */
#include <errno.h>

#include "flow/t_locks.h"

TestSuite(cond, .timeout = 120);

static weft_mutex mutex;
static weft_cond cond;
static char trail[64];

static void
open_both(void)
{
    weft_mutex_open(&mutex, NULL);
    weft_cond_open(&cond);
    trail[0] = '\0';
}

static void
close_both(void)
{
    weft_cond_close(&cond);   /* asserts that nobody waits */
    weft_mutex_close(&mutex); /* or holds it */
}

static int
wait_and_sign(void *arg)
{
    int rc = weft_mutex_lock(&mutex);
    if (rc < 0)
        return rc;
    rc = weft_cond_wait(&cond, &mutex);
    if (rc == 0)
        strcat(trail, arg);
    weft_mutex_unlock(&mutex); /* aborts unless it is held again */
    return rc;
}

static const char *const names[] = {"a", "b", "c", "d", "e"};

static void
five_wait(weft_task **tasks)
{
    open_both();
    for (int i = 0; i < 5; i++)
        T_OK(weft_task_spawn(&tasks[i], wait_and_sign, (void *)(uintptr_t)names[i], NULL));
    T_OK(weft_yield());
}

static void
five_end(weft_task **tasks, int cancelled)
{
    for (int i = 0; i < 5; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        T_ERR((cancelled >> i) & 1 ? -ECANCELED : 0, result);
    }
    close_both();
}

TASK_TEST(cond, wakes_as_many_as_told_the_oldest_first)
{
    weft_task *tasks[5];
    five_wait(tasks);
    cr_assert(weft_cond_notify(&cond) == 1);
    T_OK(weft_yield());
    cr_assert_str_eq(trail, "a");
    cr_assert(weft_cond_notify_n(&cond, 0) == 0);
    cr_assert(weft_cond_notify_n(&cond, 2) == 2);
    T_OK(weft_yield());
    T_OK(weft_yield());
    cr_assert_str_eq(trail, "abc");
    cr_assert(weft_cond_notify_all(&cond) == 2);
    cr_assert(weft_cond_notify_all(&cond) == 0);
    five_end(tasks, 0);
    cr_assert_str_eq(trail, "abcde");
}

TASK_TEST(cond, a_notification_nobody_waits_for_is_not_kept)
{
    open_both();
    cr_assert(weft_cond_notify(&cond) == 0);
    T_OK(weft_mutex_lock(&mutex));
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_cond_wait(&cond, &mutex));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    weft_mutex_unlock(&mutex);
    close_both();
}

TASK_TEST(cond, a_notification_passes_over_who_was_cancelled)
{
    weft_task *tasks[5];
    five_wait(tasks);
    /* Cancelled, and not run since: they still stand in line. */
    weft_task_cancel(tasks[0]);
    weft_task_cancel(tasks[1]);
    cr_assert(weft_cond_notify(&cond) == 1);
    T_OK(weft_yield());
    T_OK(weft_yield());
    cr_assert_str_eq(trail, "c");
    weft_cond_notify_all(&cond);
    five_end(tasks, 3);
    cr_assert_str_eq(trail, "cde");
}

TASK_TEST(cond, who_was_notified_is_not_cancelled_out_of_it)
{
    weft_task *tasks[5];
    five_wait(tasks);
    T_OK(weft_mutex_lock(&mutex));
    cr_assert(weft_cond_notify(&cond) == 1);
    T_OK(weft_yield()); /* it waits for the mutex by now */
    weft_task_cancel(tasks[0]);
    T_OK(weft_yield());
    weft_mutex_unlock(&mutex);
    T_OK(weft_yield());
    cr_assert_str_eq(trail, "a");
    weft_cond_notify_all(&cond);
    five_end(tasks, 0);
}

TASK_TEST(cond, who_is_cancelled_waits_for_the_mutex_all_the_same)
{
    weft_task *tasks[5];
    five_wait(tasks);
    T_OK(weft_mutex_lock(&mutex));
    weft_task_cancel(tasks[0]);
    T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert(weft_task_get_state(tasks[0]) == WEFT_TASK_WAITING);
    weft_mutex_unlock(&mutex);
    T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert(weft_task_get_state(tasks[0]) == WEFT_TASK_CANCELLED);
    weft_cond_notify_all(&cond);
    five_end(tasks, 1);
}

TASK_TEST(cond, one_who_comes_after_a_notification_cannot_take_it)
{
    weft_task *tasks[5], *late;
    five_wait(tasks);
    cr_assert(weft_cond_notify(&cond) == 1);
    T_OK(weft_task_spawn(&late, wait_and_sign, (void *)(uintptr_t) "z", NULL));
    T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert_str_eq(trail, "a");
    weft_cond_notify_all(&cond);
    T_OK(weft_task_join(late, NULL));
    five_end(tasks, 0);
    cr_assert_str_eq(trail, "abcdez");
}

TASK_TEST(cond, cancellation_is_looked_for_before_the_mutex_is_given_back)
{
    open_both();
    T_OK(weft_mutex_lock(&mutex));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_cond_wait(&cond, &mutex));
    weft_ignore(weft_scope_close(&scope));
    weft_mutex_unlock(&mutex);
    close_both();
}

static int
is_seven(void *arg)
{
    return *(int *)arg == 7;
}

static int
count_to_ten(void *arg)
{
    int *n = arg;
    for (int i = 0; i < 10; i++) {
        int rc = weft_mutex_lock(&mutex);
        if (rc < 0)
            return rc;
        if (*n < 7)
            ++*n;
        weft_mutex_unlock(&mutex);
        weft_cond_notify(&cond);
        rc = weft_sleep(WEFT_MS(1));
        if (rc < 0)
            return rc;
    }
    return 0;
}

TASK_TEST(cond, waiting_for_it_goes_on_until_it_holds)
{
    open_both();
    int n = 0;
    weft_task *task;
    T_OK(weft_task_spawn(&task, count_to_ten, &n, NULL));
    T_OK(weft_mutex_lock(&mutex));
    T_OK(weft_cond_wait_for(&cond, &mutex, is_seven, &n));
    cr_assert(n == 7);
    T_OK(weft_cond_wait_for(&cond, &mutex, is_seven, &n)); /* holds already */
    weft_mutex_unlock(&mutex);
    T_OK(weft_task_join(task, NULL));
    close_both();
}

/* ---- Broken promises ------------------------------------------------------------------------- */

static void
waits_without_mutex(void)
{
    open_both();
    weft_ignore(weft_cond_wait(&cond, &mutex));
}

static int
waits_with_another_mutex(void *arg)
{
    (void)arg;
    open_both();
    weft_task_spawn(NULL, wait_and_sign, (void *)(uintptr_t) "a", NULL);
    weft_ignore(weft_yield());
    weft_mutex other;
    weft_mutex_open(&other, NULL);
    weft_ignore(weft_mutex_lock(&other));
    return weft_cond_wait(&cond, &other);
}

static void
run_waits_with_another_mutex(void)
{
    t_run_bare(waits_with_another_mutex);
}

Test(cond, broken_promises_abort)
{
    t_breaks(waits_without_mutex, "who waits for a condition holds its mutex");
    t_breaks(run_waits_with_another_mutex, "hold the same mutex");
}

/* ---- Torture --------------------------------------------------------------------------------- */

/* Things made, and taken by who waits for one: none may be left while somebody waits. */
static unsigned things, taken;

static int
there_is_one(void *arg)
{
    (void)arg;
    return things > 0;
}

static int
take_two(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        int rc = weft_mutex_lock(&mutex);
        if (rc < 0)
            return rc;
        rc = weft_cond_wait_for(&cond, &mutex, there_is_one, NULL);
        if (rc == 0) {
            things--;
            taken++;
        }
        weft_mutex_unlock(&mutex);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
make_four(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++) {
        int rc = i % 2 == 0 ? weft_sleep(WEFT_MS(1)) : weft_yield();
        if (rc == 0)
            rc = weft_mutex_lock(&mutex);
        if (rc < 0)
            return rc;
        things++;
        weft_mutex_unlock(&mutex);
        weft_cond_notify(&cond);
    }
    return 0;
}

static int
crowd(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(100), .keep_going = 1});
    for (unsigned i = 0; i < 4; i++)
        t_spawn_round(&group, take_two, NULL, i);
    for (unsigned i = 0; i < 2; i++)
        t_spawn_round(&group, make_four, NULL, i + 1);
    return weft_group_close(&group);
}

static void
begin(void)
{
    open_both();
    things = taken = 0;
}

static void
nobody_is_in_line(void)
{
    close_both();
    cr_assert(taken + things <= 8);
}

Test(cond, the_mutex_is_free_and_nobody_waits_wherever_waiters_are_ended)
{
    t_scenario_torture(crowd, begin, nobody_is_in_line);
}

static void
all_were_taken(void)
{
    close_both();
    cr_assert(taken == 8 && things == 0);
}

Test(cond, every_wake_up_arrives_in_any_order)
{
    t_scenario_seeds(crowd, begin, all_were_taken);
}

/* Six give up early, six hold out until long after the last thing was made: if one of those finds
 * something left, one who gave up has taken a wake-up with it. */
static unsigned in_vain;

static int
take_one(void *arg)
{
    intptr_t us = (intptr_t)arg;
    int rc = weft_mutex_lock(&mutex);
    if (rc < 0)
        return rc;
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_US(us));
    rc = weft_cond_wait_for(&cond, &mutex, there_is_one, NULL);
    if (rc == 0) {
        things--;
        taken++;
    } else if (us > 100000 && things > 0) {
        in_vain++;
    }
    weft_ignore(weft_scope_close(&soon));
    weft_mutex_unlock(&mutex);
    return 0;
}

static int
hurried_crowd(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 12; i++)
        t_spawn_round(&group, take_one, T_NUMBER(i % 2 == 0 ? 1000 + (i % 3) * 500 : 1000000), i);
    t_spawn_round(&group, make_four, NULL, 1);
    t_spawn_round(&group, make_four, NULL, 2);
    return weft_group_close(&group);
}

static void
begin_hurried(void)
{
    begin();
    in_vain = 0;
}

static void
nobody_waited_in_vain(void)
{
    close_both();
    cr_assert(taken + things == 8 && in_vain == 0, "%u taken, %u left, %u in vain", taken, things,
              in_vain);
}

Test(cond, a_wake_up_of_one_who_gave_up_goes_to_the_next)
{
    t_scenario_seeds(hurried_crowd, begin_hurried, nobody_waited_in_vain);
}
