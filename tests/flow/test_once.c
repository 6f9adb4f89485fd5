/*
 * test_once.c - a function succeeds once, whoever calls it, and is tried again after a failure.
 */
#include <errno.h>

#include "flow/t_locks.h"

TestSuite(once, .timeout = 120);

static weft_once_flag once;
static uint32_t calls, inside, wrong;
static int failures; /* to come before a success */

static void
begin(void)
{
    once = (weft_once_flag)WEFT_ONCE_INIT;
    calls = inside = wrong = 0;
    failures = 0;
}

static int
make(void *arg)
{
    (void)arg;
    weft__fetch_add(&calls, 1);
    if (weft__fetch_add(&inside, 1) != 0)
        weft__fetch_add(&wrong, 1);
    int rc = weft_sleep(WEFT_MS(1));
    weft__fetch_sub(&inside, 1);
    if (rc < 0)
        return rc;
    if (failures > 0) {
        failures--;
        return -EIO;
    }
    return 42;
}

static int
ask(void *arg)
{
    return weft_once(&once, make, arg);
}

TASK_TEST(once, calls_it_once_and_tells_all_the_result)
{
    begin();
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++)
        T_OK(weft_task_spawn(&tasks[i], ask, NULL, NULL));
    T_OK(weft_yield());
    cr_assert(!weft_once_done(&once));
    T_ERR(42, ask(NULL));
    cr_assert(weft_once_done(&once));
    for (int i = 0; i < 4; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        T_ERR(42, result);
    }
    T_ERR(42, ask(NULL));
    cr_assert(calls == 1);
}

static int
give_seven(void *arg)
{
    (void)arg;
    return 7;
}

Test(once, works_without_any_loop)
{
    static weft_once_flag flag;
    T_ERR(7, weft_once(&flag, give_seven, NULL));
    T_ERR(7, weft_once(&flag, give_seven, NULL));
    cr_assert(weft_once_done(&flag));
}

TASK_TEST(once, a_failure_lets_the_next_one_try)
{
    begin();
    failures = 2;
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++)
        T_OK(weft_task_spawn(&tasks[i], ask, NULL, NULL));
    for (int i = 0; i < 4; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        T_ERR(i < 2 ? -EIO : 42, result);
    }
    cr_assert(calls == 3 && wrong == 0);
}

TASK_TEST(once, a_failure_without_others_is_not_kept)
{
    begin();
    failures = 1;
    T_ERR(-EIO, ask(NULL));
    T_ERR(42, ask(NULL));
    cr_assert(calls == 2);
}

TASK_TEST(once, one_cancelled_inside_lets_the_next_one_try)
{
    begin();
    weft_task *tasks[3];
    for (int i = 0; i < 3; i++)
        T_OK(weft_task_spawn(&tasks[i], ask, NULL, NULL));
    T_OK(weft_yield());
    weft_task_cancel(tasks[0]); /* inside */
    weft_task_cancel(tasks[1]); /* in line, and not run since */
    for (int i = 0; i < 3; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        T_ERR(i < 2 ? -ECANCELED : 42, result);
    }
    cr_assert(calls == 2);
}

TASK_TEST(once, cancellation_is_looked_for_even_when_it_is_done)
{
    begin();
    T_ERR(42, ask(NULL));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, ask(NULL));
    weft_ignore(weft_scope_close(&scope));
}

static int
ask_inside(void *arg)
{
    return weft_once(&once, ask_inside, arg);
}

static int
run_ask_inside_task(void *arg)
{
    begin();
    return ask_inside(arg);
}

static void
run_ask_inside(void)
{
    t_run_bare(run_ask_inside_task);
}

Test(once, asking_from_inside_aborts)
{
    t_breaks(run_ask_inside, "weft_once was called from inside its own function");
}

/* ---- Torture --------------------------------------------------------------------------------- */

static int
crowd(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    for (unsigned i = 0; i < 5; i++)
        t_spawn_round(&group, ask, NULL, i);
    int rc = weft_group_close(&group);
    return rc == -EIO ? 0 : rc;
}

static void
begin_with_a_failure(void)
{
    begin();
    failures = 1;
}

static void
one_at_a_time(void)
{
    cr_assert(weft__load(&wrong) == 0 && weft__load(&inside) == 0);
    /* Nobody is left inside or in line: this one gets its turn at once. */
    int rc = weft_once(&once, give_seven, NULL);
    cr_assert(rc == 42 || rc == 7);
}

Test(once, the_next_one_tries_wherever_others_are_ended)
{
    t_scenario_torture(crowd, begin_with_a_failure, one_at_a_time);
}

Test(once, succeeds_once_in_any_order)
{
    t_scenario_seeds(crowd, begin_with_a_failure, one_at_a_time);
}
