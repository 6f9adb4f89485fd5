/*
 * test_scope.c - deadlines, cancel switches, shields and deferred functions, and whose cause is
 * returned where.
 */
#include <errno.h>

#include <weft/group.h>

#include "task/t_core.h"

TestSuite(scope, .timeout = 60);

/* ---- Deadlines ------------------------------------------------------------------------------ */

TASK_TEST(scope, a_deadline_ends_a_wait)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_MS(10)));
    cr_assert(weft_now() == WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    T_OK(weft_sleep(WEFT_MS(10)));
}

TASK_TEST(scope, one_in_time_closes_with_0)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_MS(5));
    T_OK(weft_sleep(WEFT_MS(4)));
    T_OK(weft_scope_close(&scope));
    T_OK(weft_sleep(WEFT_MS(10)));
}

TASK_TEST(scope, an_expiry_that_ended_no_call_is_not_reported)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_MS(5));
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    T_OK(weft_sleep(WEFT_MS(10)));
    T_OK(weft_scope_close(&shield));
    T_OK(weft_scope_close(&scope));
}

TASK_TEST(scope, one_in_the_past_expires_at_once)
{
    T_OK(weft_sleep(WEFT_MS(5)));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_MS(3));
    T_ERR(-ETIMEDOUT, weft_checkpoint());
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    weft_scope_open(&scope, weft_now());
    T_ERR(-ETIMEDOUT, weft_yield());
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    weft_scope_open(&scope, INT64_MIN);
    T_ERR(-ETIMEDOUT, weft_sleep(1));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
}

TASK_TEST(scope, a_result_at_the_moment_of_the_deadline_is_one_of_the_two)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_MS(5));
    int rc = weft_sleep(WEFT_MS(5));
    int closed = weft_scope_close(&scope);
    cr_assert((rc == 0 && closed == 0) || (rc == -ETIMEDOUT && closed == -ETIMEDOUT), "%d %d", rc,
              closed);
}

TASK_TEST(scope, nested_deadlines_the_inner_one_first)
{
    weft_scope outer, inner;
    weft_scope_open(&outer, WEFT_MS(20));
    weft_scope_open(&inner, WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_MS(30)));
    cr_assert(weft_now() == WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_scope_close(&inner));
    T_OK(weft_sleep(WEFT_MS(10)));
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_MS(30)));
    cr_assert(weft_now() == WEFT_MS(20));
    T_ERR(-ETIMEDOUT, weft_scope_close(&outer));
}

TASK_TEST(scope, nested_deadlines_the_outer_one_first)
{
    weft_scope outer, inner;
    weft_scope_open(&outer, WEFT_MS(5));
    weft_scope_open(&inner, WEFT_MS(20));
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_MS(30)));
    cr_assert(weft_now() == WEFT_MS(5));
    T_OK(weft_scope_close(&inner)); /* what the outer one ended is its to return */
    T_ERR(-ETIMEDOUT, weft_checkpoint());
    T_ERR(-ETIMEDOUT, weft_scope_close(&outer));
}

TASK_TEST(scope, a_deadline_is_moved)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_MS(5));
    weft_scope_set_deadline(&scope, WEFT_MS(10));
    T_OK(weft_sleep(WEFT_MS(7)));
    weft_scope_set_deadline(&scope, WEFT_FOREVER);
    T_OK(weft_sleep(WEFT_MS(7)));
    weft_scope_set_deadline(&scope, WEFT_MS(20));
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_MS(30)));
    cr_assert(weft_now() == WEFT_MS(20));
    weft_scope_set_deadline(&scope, WEFT_FOREVER); /* expired is expired */
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_MS(1)));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
}

TASK_TEST(scope, a_deadline_moved_into_the_past_expires_at_once)
{
    T_OK(weft_sleep(WEFT_MS(5)));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    T_OK(weft_checkpoint());
    weft_scope_set_deadline(&scope, WEFT_MS(2));
    T_ERR(-ETIMEDOUT, weft_checkpoint());
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
}

static void
move_deadline(void *arg)
{
    weft_scope_set_deadline(arg, weft_now());
}

TASK_TEST(scope, a_callback_moves_the_deadline_of_a_waiting_task)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_callback later;
    weft_call_later(&later, WEFT_MS(3), move_deadline, &scope);
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_SEC(1)));
    cr_assert(weft_now() == WEFT_MS(3));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
}

TASK_TEST(scope, the_effective_deadline_is_the_earliest_up_to_a_shield)
{
    cr_assert(weft_scope_deadline() == WEFT_FOREVER);
    weft_scope outer, inner, shield;
    weft_scope_open(&outer, WEFT_MS(5));
    cr_assert(weft_scope_deadline() == WEFT_MS(5));
    weft_scope_open(&inner, WEFT_MS(20));
    cr_assert(weft_scope_deadline() == WEFT_MS(5));
    weft_shield_open(&shield, WEFT_MS(30));
    cr_assert(weft_scope_deadline() == WEFT_MS(30));
    weft_scope_close(&shield);
    weft_scope_close(&inner);
    weft_scope_close(&outer);
    cr_assert(weft_scope_deadline() == WEFT_FOREVER);
}

Test(scope, outside_there_is_no_deadline)
{
    cr_assert(weft_scope_deadline() == WEFT_FOREVER);
}

/* ---- Cancelling ----------------------------------------------------------------------------- */

TASK_TEST(scope, once_cancelled_every_wait_fails_until_it_closes)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    T_OK(weft_sleep(WEFT_MS(1)));
    weft_scope_cancel(&scope);
    weft_scope_cancel(&scope);
    for (int i = 0; i < 3; i++) {
        T_ERR(-ECANCELED, weft_sleep(WEFT_MS(1)));
        T_ERR(-ECANCELED, weft_yield());
        T_ERR(-ECANCELED, weft_checkpoint());
    }
    cr_assert(weft_now() == WEFT_MS(1));
    T_ERR(-ECANCELED, weft_scope_close(&scope));
    T_OK(weft_sleep(WEFT_MS(1)));
}

TASK_TEST(scope, a_cancel_nobody_noticed_closes_with_0)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_OK(weft_scope_close(&scope));
}

static void
cancel_scope(void *arg)
{
    weft_scope_cancel(arg);
}

TASK_TEST(scope, a_callback_cancels_it_during_a_wait)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_callback later;
    weft_call_later(&later, WEFT_MS(3), cancel_scope, &scope);
    T_ERR(-ECANCELED, weft_sleep(WEFT_SEC(1)));
    cr_assert(weft_now() == WEFT_MS(3));
    T_ERR(-ECANCELED, weft_scope_close(&scope));
}

TASK_TEST(scope, a_scope_opened_inside_a_cancelled_one_is_cancelled)
{
    weft_scope outer, inner;
    weft_scope_open(&outer, WEFT_FOREVER);
    weft_scope_cancel(&outer);
    weft_scope_open(&inner, WEFT_FOREVER);
    T_ERR(-ECANCELED, weft_yield());
    T_OK(weft_scope_close(&inner));
    T_ERR(-ECANCELED, weft_scope_close(&outer));
}

TASK_TEST(scope, where_both_ended_the_outer_cause_wins)
{
    weft_scope outer, inner;
    weft_scope_open(&outer, WEFT_FOREVER);
    weft_scope_open(&inner, WEFT_MS(1));
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_MS(2)));
    weft_scope_cancel(&outer);
    T_ERR(-ECANCELED, weft_sleep(WEFT_MS(2)));
    T_ERR(-ETIMEDOUT, weft_scope_close(&inner)); /* it had ended a call of its own before */
    T_ERR(-ECANCELED, weft_scope_close(&outer));
}

TASK_TEST(scope, an_inner_one_that_ended_first_but_unnoticed_gives_0)
{
    weft_scope outer, inner;
    weft_scope_open(&outer, WEFT_FOREVER);
    weft_scope_open(&inner, WEFT_FOREVER);
    weft_scope_cancel(&inner);
    weft_scope_cancel(&outer);
    T_ERR(-ECANCELED, weft_yield());
    T_OK(weft_scope_close(&inner));
    T_ERR(-ECANCELED, weft_scope_close(&outer));
}

static int
timed_wait(void *arg)
{
    int *results = arg;
    weft_scope scope;
    weft_scope_open(&scope, WEFT_MS(5));
    results[0] = weft_sleep(WEFT_SEC(1));
    results[1] = weft_sleep(WEFT_SEC(1));
    results[2] = weft_scope_close(&scope);
    return weft_sleep(WEFT_SEC(1));
}

TASK_TEST(scope, cancelling_the_task_wins_over_its_scopes)
{
    int results[3], result;
    weft_task *task;
    T_OK(weft_task_spawn(&task, timed_wait, results, NULL));
    T_OK(weft_sleep(WEFT_MS(2)));
    weft_task_cancel(task);
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, results[0]);
    T_ERR(-ECANCELED, results[1]);
    T_OK(results[2]);
    T_ERR(-ECANCELED, result);
}

/* ---- Shields -------------------------------------------------------------------------------- */

TASK_TEST(scope, a_shield_hides_what_is_outside)
{
    weft_scope outer, shield;
    weft_scope_open(&outer, WEFT_FOREVER);
    weft_scope_cancel(&outer);
    T_ERR(-ECANCELED, weft_yield());
    weft_shield_open(&shield, WEFT_FOREVER);
    T_OK(weft_sleep(WEFT_MS(1)));
    T_OK(weft_yield());
    T_OK(weft_scope_close(&shield));
    T_ERR(-ECANCELED, weft_yield());
    T_ERR(-ECANCELED, weft_scope_close(&outer));
}

TASK_TEST(scope, a_shield_has_a_deadline_of_its_own)
{
    weft_scope outer, shield;
    weft_scope_open(&outer, WEFT_MS(1));
    weft_shield_open(&shield, WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_MS(10)));
    cr_assert(weft_now() == WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_scope_close(&shield));
    T_ERR(-ETIMEDOUT, weft_yield());
    T_ERR(-ETIMEDOUT, weft_scope_close(&outer));
}

TASK_TEST(scope, a_shield_can_be_cancelled_itself)
{
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_scope_cancel(&shield);
    T_ERR(-ECANCELED, weft_yield());
    T_ERR(-ECANCELED, weft_scope_close(&shield));
}

static int
clean_up_shielded(void *arg)
{
    int *results = arg;
    results[0] = weft_sleep(WEFT_FOREVER);
    weft_scope shield;
    weft_shield_open(&shield, weft_now() + WEFT_MS(50));
    results[1] = weft_sleep(WEFT_MS(10));
    results[2] = weft_scope_close(&shield);
    return results[0];
}

TASK_TEST(scope, a_cancelled_task_cleans_up_behind_a_shield)
{
    int results[3], result;
    weft_task *task;
    T_OK(weft_task_spawn(&task, clean_up_shielded, results, NULL));
    T_OK(weft_sleep(WEFT_MS(1)));
    weft_task_cancel(task);
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, results[0]);
    T_OK(results[1]);
    T_OK(results[2]);
    T_ERR(-ECANCELED, result);
    cr_assert(weft_now() == WEFT_MS(11));
}

/* ---- Deferred functions --------------------------------------------------------------------- */

static char trail[64];

static void
note(void *arg)
{
    strcat(trail, arg);
}

TASK_TEST(scope, deferred_functions_run_last_first_when_it_closes)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    T_OK(weft_defer(note, "a"));
    T_OK(weft_defer(note, "b"));
    T_OK(weft_defer(note, "c"));
    cr_assert_str_eq(trail, "");
    T_OK(weft_scope_close(&scope));
    cr_assert_str_eq(trail, "cba");
}

TASK_TEST(scope, deferred_functions_belong_to_the_innermost_scope)
{
    weft_scope outer, inner;
    weft_scope_open(&outer, WEFT_FOREVER);
    T_OK(weft_defer(note, "o"));
    weft_scope_open(&inner, WEFT_FOREVER);
    T_OK(weft_defer(note, "i"));
    T_OK(weft_scope_close(&inner));
    cr_assert_str_eq(trail, "i");
    T_OK(weft_defer(note, "p"));
    T_OK(weft_scope_close(&outer));
    cr_assert_str_eq(trail, "ipo");
}

static int
defer_and_give(void *arg)
{
    T_OK(weft_defer(note, "1"));
    T_OK(weft_defer(note, "2"));
    int rc = weft_yield();
    return rc < 0 ? rc : t_give(arg);
}

TASK_TEST(scope, a_tasks_deferred_functions_run_at_its_end_however_it_ends)
{
    int given[] = {0, -EIO};
    for (int i = 0; i < 2; i++) {
        weft_task *task;
        int result;
        trail[0] = '\0';
        T_OK(weft_task_spawn(&task, defer_and_give, T_NUMBER(given[i]), NULL));
        T_OK(weft_task_join(task, &result));
        cr_assert(result == given[i]);
        cr_assert_str_eq(trail, "21");
    }
    weft_task *task;
    int result;
    trail[0] = '\0';
    T_OK(weft_task_spawn(&task, defer_and_give, NULL, NULL));
    T_OK(weft_yield());
    weft_task_cancel(task);
    T_OK(weft_task_join(task, &result));
    cr_assert(result == -ECANCELED);
    cr_assert_str_eq(trail, "21");
}

static void
wait_and_note(void *arg)
{
    T_OK(weft_sleep(WEFT_MS(5)));
    T_OK(weft_yield());
    strcat(trail, arg);
}

static int
defer_waiting(void *arg)
{
    (void)arg;
    weft_scope scope;
    weft_scope_open(&scope, WEFT_MS(3));
    T_OK(weft_defer(wait_and_note, "w"));
    weft_ignore(weft_sleep(WEFT_FOREVER));
    cr_assert(weft_scope_deadline() <= WEFT_MS(3));
    weft_ignore(weft_scope_close(&scope));
    T_OK(weft_defer(wait_and_note, "v"));
    return weft_sleep(WEFT_FOREVER);
}

TASK_TEST(scope, deferred_functions_may_wait_in_spite_of_cancellation_and_deadline)
{
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, defer_waiting, NULL, NULL));
    T_OK(weft_sleep(WEFT_MS(6)));
    weft_task_cancel(task); /* while the first deferred function sleeps */
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
    cr_assert_str_eq(trail, "wv");
    cr_assert(weft_now() == WEFT_MS(3 + 5 + 5));
}

static void
defer_more(void *arg)
{
    T_OK(weft_defer(note, arg));
    strcat(trail, "m");
}

TASK_TEST(scope, a_deferred_function_may_defer)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    T_OK(weft_defer(note, "z"));
    T_OK(weft_defer(defer_more, "x"));
    T_OK(weft_scope_close(&scope));
    cr_assert_str_eq(trail, "mxz");
}

static void
open_a_scope(void *arg)
{
    int *rc = arg;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(2));
    *rc = weft_sleep(WEFT_SEC(1));
    weft_ignore(weft_scope_close(&scope));
}

TASK_TEST(scope, deadlines_hold_inside_a_deferred_function)
{
    int rc = 0;
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    T_OK(weft_defer(open_a_scope, &rc));
    weft_scope_cancel(&scope);
    T_OK(weft_scope_close(&scope));
    T_ERR(-ETIMEDOUT, rc);
    cr_assert(weft_now() == WEFT_MS(2));
}

TASK_TEST(scope, without_memory_defer_says_so)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    int rc = weft_defer(note, "x");
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_ERR(-ENOMEM, rc);
    T_OK(weft_scope_close(&scope));
    cr_assert_str_eq(trail, "");
}

TASK_TEST(scope, a_hundred_nested)
{
    weft_scope scopes[100];
    for (int i = 0; i < 100; i++)
        weft_scope_open(&scopes[i], WEFT_MS(100 - i));
    for (int i = 99; i >= 0; i--) {
        T_ERR(-ETIMEDOUT, weft_sleep(WEFT_SEC(1)));
        cr_assert(weft_now() == WEFT_MS(100 - i));
        T_ERR(-ETIMEDOUT, weft_scope_close(&scopes[i]));
    }
}
