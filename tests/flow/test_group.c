/*
 * test_group.c - groups own tasks: what closes them, what cancels whom, and what is told of it.
 */
#include <errno.h>

#include <weft/group.h>

#include "task/t_core.h"
#include "task/task_priv.h"

TestSuite(group, .timeout = 60);

/* A child that notes when it runs and how it ends. */
struct child {
    weft_time sleeps;
    int gives;
    uint32_t began;
    uint32_t ended;
    int waited; /* what its sleep returned */
    unsigned on;
};

static int
be_child(void *arg)
{
    struct child *child = arg;
    weft__store(&child->began, 1);
    child->on = weft_loop_index(weft_loop_current());
    child->waited = weft_sleep(child->sleeps);
    weft__store(&child->ended, 1);
    return child->waited < 0 ? child->waited : child->gives;
}

static unsigned
count_ended(const struct child *children, unsigned n)
{
    unsigned ended = 0;
    for (unsigned i = 0; i < n; i++)
        ended += weft__load(&children[i].ended);
    return ended;
}

/* ---- Waiting for all ------------------------------------------------------------------------ */

TASK_TEST(group, an_empty_one_closes_with_0)
{
    weft_group group;
    weft_group_open(&group, NULL);
    T_OK(weft_group_wait(&group));
    T_OK(weft_group_close(&group));
}

TASK_TEST(group, closing_waits_for_all_children)
{
    struct child children[5] = {{0}};
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 5; i++) {
        children[i] = (struct child){.sleeps = WEFT_MS(5 - i), .gives = i};
        T_ERR(i, weft_group_spawn(&group, be_child, &children[i]));
    }
    cr_assert(count_ended(children, 5) == 0);
    T_OK(weft_group_close(&group));
    cr_assert(count_ended(children, 5) == 5 && weft_now() == WEFT_MS(5));
}

TASK_TEST(group, waiting_leaves_it_open)
{
    struct child children[3] = {{.sleeps = WEFT_MS(1)}, {.sleeps = WEFT_MS(2)}, {.sleeps = 1}};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, be_child, &children[0]);
    T_OK(weft_group_wait(&group));
    cr_assert(children[0].ended);
    T_ERR(1, weft_group_spawn(&group, be_child, &children[1]));
    T_OK(weft_group_wait(&group));
    T_ERR(2, weft_group_spawn(&group, be_child, &children[2]));
    T_OK(weft_group_close(&group));
    cr_assert(count_ended(children, 3) == 3);
}

static weft_group *shared_group;

static int
spawn_sibling(void *arg)
{
    int *depth = arg;
    if (--*depth > 0)
        weft_group_spawn(shared_group, spawn_sibling, depth);
    return weft_yield();
}

TASK_TEST(group, children_may_spawn_siblings)
{
    weft_group group;
    int depth = 100;
    shared_group = &group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, spawn_sibling, &depth);
    T_OK(weft_group_close(&group));
    cr_assert(depth == 0);
}

static int
run_subgroup(void *arg)
{
    struct child *children = arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, be_child, &children[i]);
    return weft_group_close(&group);
}

TASK_TEST(group, groups_in_groups)
{
    struct child children[9];
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 9; i++)
        children[i] = (struct child){.sleeps = WEFT_MS(i)};
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, run_subgroup, &children[3 * i]);
    T_OK(weft_group_close(&group));
    cr_assert(count_ended(children, 9) == 9);
}

TASK_TEST(group, ten_thousand_children)
{
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 10000 / T_SLOW; i++)
        weft_group_spawn(&group, t_sleep_ms, T_NUMBER(i % 100));
    T_OK(weft_group_close(&group));
    cr_assert(weft_now() == WEFT_MS(99));
}

/* ---- Failures ------------------------------------------------------------------------------- */

TASK_TEST(group, the_first_failure_cancels_the_rest_and_is_returned)
{
    struct child children[4] = {{.sleeps = WEFT_SEC(10)},
                                {.sleeps = WEFT_MS(2), .gives = -EPIPE},
                                {.sleeps = WEFT_SEC(10)},
                                {.sleeps = WEFT_MS(1)}};
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 4; i++)
        weft_group_spawn(&group, be_child, &children[i]);
    T_ERR(-EPIPE, weft_group_close(&group));
    cr_assert(weft_now() == WEFT_MS(2));
    cr_assert(count_ended(children, 4) == 4);
    T_ERR(-ECANCELED, children[0].waited);
    T_ERR(-ECANCELED, children[2].waited);
    T_OK(children[3].waited);
}

TASK_TEST(group, a_failure_ends_the_openers_wait_too)
{
    struct child child = {.sleeps = WEFT_MS(2), .gives = -EIO};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, be_child, &child);
    T_ERR(-ECANCELED, weft_sleep(WEFT_SEC(10)));
    cr_assert(weft_now() == WEFT_MS(2));
    T_ERR(-ECANCELED, weft_group_wait(&group));
    T_ERR(-EIO, weft_group_close(&group));
    T_OK(weft_yield());
}

TASK_TEST(group, children_cancelled_by_the_group_are_no_failures)
{
    struct child children[2] = {{.sleeps = WEFT_SEC(1)}, {.sleeps = 1, .gives = -EIO}};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn_with(&group, be_child, &children[0], &(weft_task_options){.name = "long"});
    weft_group_spawn_with(&group, be_child, &children[1], &(weft_task_options){.name = "short"});
    weft_ignore(weft_group_wait(&group));
    cr_assert(weft_group_failures(&group) == 1);
    weft_failure failure;
    T_OK(weft_group_failure(&group, 0, &failure));
    cr_assert(failure.child == 1 && failure.result == -EIO);
    cr_assert_str_eq(failure.name, "short");
    T_ERR(-ENOENT, weft_group_failure(&group, 1, &failure));
    T_ERR(-EIO, weft_group_close(&group));
}

TASK_TEST(group, keep_going_lets_the_siblings_finish)
{
    struct child children[20];
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < 20; i++) {
        children[i] = (struct child){.sleeps = WEFT_MS(20 - i), .gives = i % 2 ? -i : 0};
        weft_group_spawn(&group, be_child, &children[i]);
    }
    T_OK(weft_group_wait(&group));
    cr_assert(count_ended(children, 20) == 20);
    cr_assert(weft_group_failures(&group) == 10);
    /* In the order in which they happened: the last child slept shortest. */
    for (unsigned i = 0; i < 10; i++) {
        weft_failure failure;
        T_OK(weft_group_failure(&group, i, &failure));
        cr_assert(failure.child == 19 - 2 * i && failure.result == -(int)(19 - 2 * i));
    }
    T_ERR(-19, weft_group_close(&group));
}

TASK_TEST(group, failures_without_memory_are_counted_and_the_first_is_kept)
{
    weft_group group;
    weft_failure failure;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (int i = 1; i <= 5; i++)
        weft_group_spawn(&group, t_give, T_NUMBER(-i));
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, true, 0);
    int rc = weft_group_wait(&group);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_OK(rc);
    cr_assert(weft_group_failures(&group) == 5);
    T_OK(weft_group_failure(&group, 0, &failure));
    cr_assert(failure.result == -1);
    T_ERR(-ENOMEM, weft_group_failure(&group, 1, &failure));
    T_ERR(-ENOMEM, weft_group_failure(&group, 4, &failure));
    T_ERR(-1, weft_group_close(&group));
}

TASK_TEST(group, a_failed_spawn_is_a_failed_child)
{
    struct child child = {.sleeps = WEFT_SEC(1)};
    weft_group group;
    weft_failure failure;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, be_child, &child);
    T_OK(weft_yield());
    T_ERR(WEFT_E_STACK,
          weft_group_spawn_with(&group, be_child, &child,
                                &(weft_task_options){.stack_size = 1, .name = "tiny"}));
    T_OK(weft_group_failure(&group, 0, &failure));
    cr_assert(failure.child == 1 && failure.result == WEFT_E_STACK);
    cr_assert_str_eq(failure.name, "tiny");
    T_ERR(-ECANCELED, weft_yield()); /* like any failure it cancels the rest */
    T_ERR(WEFT_E_STACK, weft_group_close(&group));
    T_ERR(-ECANCELED, child.waited);
}

TASK_TEST(group, a_spawn_on_no_loop_or_without_memory_fails_likewise)
{
    weft_group group;
    weft_group_open(&group, NULL);
    T_ERR(-EINVAL,
          weft_group_spawn_with(&group, t_give, NULL, &(weft_task_options){.on = WEFT_ON(7)}));
    T_ERR(-EINVAL, weft_group_close(&group));
    weft_group_open(&group, NULL);
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    int rc = weft_group_spawn(&group, t_give, NULL);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_ERR(-ENOMEM, rc);
    T_ERR(-ENOMEM, weft_group_close(&group));
}

static int
fail_in_group(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, t_give, T_NUMBER(-EIO));
    T_ERR(-EIO, weft_group_close(&group));
    return 0;
}

Test(group, failures_of_children_are_not_logged)
{
    t_log_begin();
    t_run_virtual(fail_in_group, NULL, 1, 0);
    cr_assert_str_eq(t_log_text, "");
}

/* ---- Limits --------------------------------------------------------------------------------- */

static unsigned running, most_running, started;

static int
count_running(void *arg)
{
    started++;
    if (++running > most_running)
        most_running = running;
    int rc = weft_sleep(WEFT_MS((intptr_t)arg));
    running--;
    return rc;
}

TASK_TEST(group, a_limit_bounds_how_many_run_at_once)
{
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.limit = 3});
    for (int i = 0; i < 20; i++)
        T_ERR(i, weft_group_spawn(&group, count_running, T_NUMBER(1 + i % 3)));
    T_OK(weft_group_close(&group));
    cr_assert(started == 20 && running == 0 && most_running == 3, "%u", most_running);
}

static char trail[64];

static int
append(void *arg)
{
    strcat(trail, arg);
    return weft_sleep(WEFT_MS(1));
}

TASK_TEST(group, those_over_the_limit_start_in_order)
{
    char *names[] = {"a", "b", "c", "d", "e", "f"};
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.limit = 1});
    for (int i = 0; i < 6; i++)
        weft_group_spawn(&group, append, names[i]);
    T_OK(weft_group_close(&group));
    cr_assert_str_eq(trail, "abcdef");
    cr_assert(weft_now() == WEFT_MS(6));
}

TASK_TEST(group, a_failure_keeps_those_over_the_limit_from_starting)
{
    struct child children[5] = {{.sleeps = WEFT_MS(1), .gives = -EIO}};
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.limit = 1});
    for (int i = 0; i < 5; i++)
        weft_group_spawn(&group, be_child, &children[i]);
    T_ERR(-EIO, weft_group_close(&group));
    for (int i = 1; i < 5; i++)
        cr_assert(!children[i].began);
}

LOOPS_TEST(group, a_limit_holds_for_children_on_other_loops, 3)
{
    struct child children[12];
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.limit = 2});
    for (int i = 0; i < 12; i++) {
        children[i] = (struct child){.sleeps = WEFT_US(200)};
        int on = i % 4 == 3 ? WEFT_LOOP_ANY : WEFT_ON(i % 3);
        weft_group_spawn_with(&group, be_child, &children[i], &(weft_task_options){.on = on});
    }
    T_OK(weft_group_close(&group));
    cr_assert(count_ended(children, 12) == 12);
}

/* ---- Deadlines and cancelling --------------------------------------------------------------- */

TASK_TEST(group, a_timeout_cancels_children_and_is_returned)
{
    struct child children[2] = {{.sleeps = WEFT_SEC(1)}, {.sleeps = WEFT_MS(1)}};
    weft_group group;
    T_OK(weft_sleep(WEFT_MS(7)));
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(5)});
    for (int i = 0; i < 2; i++)
        weft_group_spawn(&group, be_child, &children[i]);
    T_ERR(-ETIMEDOUT, weft_group_close(&group));
    cr_assert(weft_now() == WEFT_MS(12));
    T_ERR(-ETIMEDOUT, children[0].waited);
    T_OK(children[1].waited);
}

TASK_TEST(group, a_deadline_is_a_point_in_time)
{
    struct child child = {.sleeps = WEFT_SEC(1)};
    weft_group group;
    T_OK(weft_sleep(WEFT_MS(7)));
    weft_group_open(&group, &(weft_group_options){.deadline = WEFT_MS(9)});
    weft_group_spawn(&group, be_child, &child);
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_SEC(1)));
    cr_assert(weft_now() == WEFT_MS(9));
    T_ERR(-ETIMEDOUT, weft_group_close(&group));
}

TASK_TEST(group, in_time_closes_with_0)
{
    struct child child = {.sleeps = WEFT_MS(4)};
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(5)});
    weft_group_spawn(&group, be_child, &child);
    T_OK(weft_group_close(&group));
    T_OK(weft_sleep(WEFT_MS(10)));
}

TASK_TEST(group, a_failure_before_the_timeout_is_what_is_returned)
{
    struct child children[2] = {{.sleeps = WEFT_SEC(1)}, {.sleeps = WEFT_MS(1), .gives = -EIO}};
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(5), .keep_going = 1});
    for (int i = 0; i < 2; i++)
        weft_group_spawn(&group, be_child, &children[i]);
    T_ERR(-EIO, weft_group_close(&group));
    T_ERR(-ETIMEDOUT, children[0].waited);
}

TASK_TEST(group, cancelling_it_ends_children_and_the_openers_waits)
{
    struct child children[3];
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++) {
        children[i] = (struct child){.sleeps = WEFT_SEC(1)};
        weft_group_spawn(&group, be_child, &children[i]);
    }
    T_OK(weft_sleep(WEFT_MS(1)));
    weft_group_cancel(&group);
    weft_group_cancel(&group);
    T_ERR(-ECANCELED, weft_yield());
    T_ERR(-ECANCELED, weft_group_wait(&group));
    T_ERR(-ECANCELED, weft_group_close(&group));
    for (int i = 0; i < 3; i++)
        T_ERR(-ECANCELED, children[i].waited);
    T_OK(weft_yield());
}

TASK_TEST(group, a_cancelled_one_takes_no_more_children)
{
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_cancel(&group);
    T_ERR(-ECANCELED, weft_group_spawn(&group, t_give, NULL));
    T_ERR(-ECANCELED, weft_group_close(&group)); /* what was to run did not */
}

TASK_TEST(group, one_past_its_deadline_takes_none_and_says_so_at_the_end)
{
    weft_group group;
    T_OK(weft_sleep(WEFT_MS(5)));
    weft_group_open(&group, &(weft_group_options){.deadline = WEFT_MS(3)});
    for (int i = 0; i < 3; i++)
        T_ERR(-ETIMEDOUT, weft_group_spawn(&group, t_give, NULL));
    T_ERR(-ETIMEDOUT, weft_group_close(&group));
}

TASK_TEST(group, one_opened_in_an_ended_scope_returns_that_cause)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    weft_group group;
    weft_group_open(&group, NULL);
    T_ERR(-ECANCELED, weft_group_spawn(&group, t_give, NULL));
    T_ERR(-ECANCELED, weft_group_close(&group));
    T_ERR(-ECANCELED, weft_yield());
    T_ERR(-ECANCELED, weft_scope_close(&scope));
}

TASK_TEST(group, an_outer_deadline_ends_it_and_its_children)
{
    struct child child = {.sleeps = WEFT_SEC(1)};
    weft_scope scope;
    weft_group group;
    weft_scope_open(&scope, WEFT_MS(3));
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(10)});
    weft_group_spawn(&group, be_child, &child);
    T_ERR(-ETIMEDOUT, weft_group_close(&group));
    T_ERR(-ETIMEDOUT, child.waited);
    cr_assert(weft_now() == WEFT_MS(3));
    T_ERR(-ETIMEDOUT, weft_yield());
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
}

static int
run_group_forever(void *arg)
{
    struct child *children = arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, be_child, &children[i]);
    return weft_group_close(&group);
}

TASK_TEST(group, cancelling_the_opener_ends_all_children_before_it_ends)
{
    struct child children[3] = {
        {.sleeps = WEFT_SEC(9)}, {.sleeps = WEFT_SEC(9)}, {.sleeps = WEFT_SEC(9)}};
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, run_group_forever, children, NULL));
    T_OK(weft_sleep(WEFT_MS(1)));
    weft_task_cancel(task);
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
    cr_assert(count_ended(children, 3) == 3);
    for (int i = 0; i < 3; i++)
        T_ERR(-ECANCELED, children[i].waited);
}

static int
clean_up_slowly(void *arg)
{
    struct child *child = arg;
    child->waited = weft_sleep(WEFT_SEC(1));
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_sleep(WEFT_MS(50)));
    weft_scope_close(&shield);
    weft__store(&child->ended, 1);
    return child->waited;
}

TASK_TEST(group, no_child_outlives_it_not_even_one_that_cleans_up)
{
    struct child child = {0};
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(5)});
    weft_group_spawn(&group, clean_up_slowly, &child);
    T_ERR(-ETIMEDOUT, weft_group_close(&group));
    cr_assert(child.ended && weft_now() == WEFT_MS(55));
}

static int
tell_deadline(void *arg)
{
    *(weft_time *)arg = weft_scope_deadline();
    return 0;
}

TASK_TEST(group, children_know_the_deadline_around_them)
{
    weft_time seen[2];
    weft_scope scope;
    weft_group group;
    weft_scope_open(&scope, WEFT_MS(30));
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, tell_deadline, &seen[0]);
    T_OK(weft_group_close(&group));
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(10)});
    weft_group_spawn(&group, tell_deadline, &seen[1]);
    T_OK(weft_group_close(&group));
    T_OK(weft_scope_close(&scope));
    cr_assert(seen[0] == WEFT_MS(30) && seen[1] == WEFT_MS(10));
}

TASK_TEST(group, a_shield_around_it_protects_its_children)
{
    struct child child = {.sleeps = WEFT_MS(10)};
    weft_scope scope, shield;
    weft_group group;
    weft_scope_open(&scope, WEFT_MS(3));
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, be_child, &child);
    T_OK(weft_group_close(&group));
    T_OK(child.waited);
    T_OK(weft_scope_close(&shield));
    T_ERR(-ETIMEDOUT, weft_yield());
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
}

static bool ended_before_deferred;

static void
look_at_child(void *arg)
{
    ended_before_deferred = ((struct child *)arg)->ended;
}

TASK_TEST(group, deferred_functions_inside_it_run_after_the_children)
{
    struct child child = {.sleeps = WEFT_MS(3)};
    weft_group group;
    weft_group_open(&group, NULL);
    T_OK(weft_defer(look_at_child, &child));
    weft_group_spawn(&group, be_child, &child);
    T_OK(weft_group_close(&group));
    cr_assert(ended_before_deferred);
}

/* ---- Other loops ---------------------------------------------------------------------------- */

LOOPS_TEST(group, children_live_on_other_loops, 3)
{
    struct child children[30];
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 30; i++) {
        children[i] = (struct child){.sleeps = WEFT_US(50 * i)};
        weft_group_spawn_with(&group, be_child, &children[i],
                              &(weft_task_options){.on = WEFT_ON(i % 3)});
    }
    T_OK(weft_group_close(&group));
    for (int i = 0; i < 30; i++)
        cr_assert(children[i].ended && children[i].on == (unsigned)i % 3);
}

LOOPS_TEST(group, a_failure_elsewhere_cancels_everywhere, 3)
{
    for (int round = 0; round < 20 / T_SLOW + 1; round++) {
        struct child children[9];
        weft_group group;
        weft_group_open(&group, NULL);
        for (int i = 0; i < 9; i++) {
            children[i] = (struct child){.sleeps = WEFT_SEC(20)};
            if (i == 4)
                children[i] = (struct child){.sleeps = WEFT_US(100), .gives = -EPIPE};
            int on = i >= 6 ? WEFT_LOOP_ANY : WEFT_ON(i % 3);
            weft_group_spawn_with(&group, be_child, &children[i], &(weft_task_options){.on = on});
        }
        T_ERR(-EPIPE, weft_group_close(&group));
        for (int i = 0; i < 9; i++)
            cr_assert(!children[i].began ||
                      (children[i].ended && (i == 4 || children[i].waited < 0)));
    }
}

LOOPS_TEST(group, a_timeout_reaches_children_everywhere, 3)
{
    struct child children[6];
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_MS(20)});
    for (int i = 0; i < 6; i++) {
        children[i] = (struct child){.sleeps = WEFT_SEC(20)};
        weft_group_spawn_with(&group, be_child, &children[i],
                              &(weft_task_options){.on = WEFT_ON(i % 3)});
    }
    T_ERR(-ETIMEDOUT, weft_group_close(&group));
    for (int i = 0; i < 6; i++)
        cr_assert(!children[i].began || (children[i].ended && children[i].waited == -ETIMEDOUT));
}

static int deepest;

static int
nest(void *arg)
{
    int left = (int)(intptr_t)arg;
    if (left == 0) {
        deepest = 1;
        return t_forever(NULL);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, nest, T_NUMBER(left - 1));
    return weft_group_close(&group);
}

TASK_TEST(group, groups_nested_thousands_deep_are_cancelled_on_a_small_stack)
{
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, nest, T_NUMBER(5000));
    while (!deepest)
        T_OK(weft_yield());
    weft_group_cancel(&group);
    T_ERR(-ECANCELED, weft_group_close(&group));
}

/* The innermost of nested groups' children: ends by itself, cancelled by then or not. */
struct innermost {
    weft_task *task;
    bool leave;
};
static struct innermost innermost;

static int
nest_until_left(void *arg)
{
    int left = (int)(intptr_t)arg;
    if (left == 0) {
        innermost.task = weft_task_self();
        while (!innermost.leave)
            T_OK(weft_yield());
        return 0;
    }
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, nest_until_left, T_NUMBER(left - 1));
    return weft_group_close(&group);
}

static void *
cancel_main(void *arg)
{
    weft_task_cancel(arg);
    return NULL;
}

LOOPS_TEST(group, a_child_that_ends_while_its_cancellation_is_on_the_way_is_no_other_task_yet, 1)
{
    innermost = (struct innermost){.leave = false};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, nest_until_left, T_NUMBER(16));
    while (innermost.task == NULL)
        T_OK(weft_yield());
    weft_group_cancel(&group);
    cr_assert(weft__load(&innermost.task->ops) & WEFT__OP_PENDING, "not as deep as that");
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    innermost.leave = true;
    T_OK(weft_yield());

    /* Its memory must wait for that message: another task would be sent the same one again. */
    weft_task *next;
    T_OK(weft_task_spawn(&next, t_forever, NULL, NULL));
    t_thread_join(t_thread(cancel_main, next));
    int result = 0;
    T_OK(weft_task_join(next, &result));
    T_ERR(-ECANCELED, result);
    T_OK(weft_scope_close(&shield));
    weft_ignore(weft_group_close(&group));
}
