/*
 * test_barrier.c - all come or all are told; nobody waits for one who cannot come any more.
 */
#include <errno.h>

#include "flow/t_locks.h"

TestSuite(barrier, .timeout = 120);

static weft_barrier barrier;

static int
come(void *arg)
{
    int *place = arg;
    int rc = weft_barrier_wait(&barrier);
    if (place != NULL)
        *place = rc;
    return rc < 0 ? rc : 0;
}

Test(barrier, without_parties_is_refused)
{
    T_ERR(-EINVAL, weft_barrier_open(&barrier, 0));
    T_ERR(-EINVAL, weft_barrier_open(&barrier, UINT32_MAX));
}

TASK_TEST(barrier, of_one_party_waits_for_nobody)
{
    T_OK(weft_barrier_open(&barrier, 1));
    for (int i = 0; i < 3; i++)
        T_OK(weft_barrier_wait(&barrier));
    weft_barrier_close(&barrier);
}

TASK_TEST(barrier, tells_each_its_place_and_begins_anew)
{
    T_OK(weft_barrier_open(&barrier, 4));
    for (int round = 0; round < 3; round++) {
        int places[3] = {-1, -1, -1};
        weft_group group;
        weft_group_open(&group, NULL);
        for (int i = 0; i < 3; i++)
            weft_group_spawn(&group, come, &places[i]);
        T_OK(weft_sleep(WEFT_MS(1)));
        cr_assert(places[0] == -1 && places[2] == -1);
        cr_assert(weft_barrier_waiting(&barrier) == 3);
        T_ERR(3, weft_barrier_wait(&barrier));
        cr_assert(weft_barrier_waiting(&barrier) == 0);
        T_OK(weft_group_close(&group));
        for (int i = 0; i < 3; i++)
            cr_assert(places[i] == i);
    }
    weft_barrier_close(&barrier);
}

static int
come_five_times(void *arg)
{
    unsigned *sum = arg;
    for (int i = 0; i < 5; i++) {
        int rc = weft_barrier_wait(&barrier);
        if (rc < 0)
            return rc;
        weft__fetch_add(sum, (unsigned)rc);
    }
    return 0;
}

TASK_TEST(barrier, a_quick_one_does_not_run_into_the_last_round)
{
    unsigned sum = 0;
    T_OK(weft_barrier_open(&barrier, 3));
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 3; i++)
        weft_group_spawn(&group, come_five_times, &sum);
    T_OK(weft_group_close(&group));
    cr_assert(sum == 5 * (0 + 1 + 2));
    weft_barrier_close(&barrier);
}

static void
two_wait(weft_task **tasks)
{
    T_OK(weft_barrier_open(&barrier, 3));
    for (int i = 0; i < 2; i++)
        T_OK(weft_task_spawn(&tasks[i], come, NULL, NULL));
    T_OK(weft_yield());
}

static void
they_end(weft_task **tasks, int first, int second)
{
    int result;
    T_OK(weft_task_join(tasks[0], &result));
    T_ERR(first, result);
    T_OK(weft_task_join(tasks[1], &result));
    T_ERR(second, result);
}

TASK_TEST(barrier, is_broken_by_a_party_that_is_cancelled)
{
    weft_task *tasks[2];
    two_wait(tasks);
    weft_task_cancel(tasks[0]);
    they_end(tasks, -ECANCELED, WEFT_E_BARRIER);
    cr_assert(weft_barrier_is_broken(&barrier));
    T_ERR(WEFT_E_BARRIER, weft_barrier_wait(&barrier));
    weft_barrier_reset(&barrier);
    cr_assert(!weft_barrier_is_broken(&barrier));
    cr_assert(weft_barrier_waiting(&barrier) == 0);
    weft_barrier_close(&barrier);
}

TASK_TEST(barrier, the_last_to_come_notices_one_that_was_cancelled)
{
    weft_task *tasks[2];
    two_wait(tasks);
    weft_task_cancel(tasks[0]); /* not run since: it still stands in line */
    T_ERR(WEFT_E_BARRIER, weft_barrier_wait(&barrier));
    cr_assert(weft_barrier_is_broken(&barrier));
    they_end(tasks, -ECANCELED, WEFT_E_BARRIER);
    weft_barrier_close(&barrier);
}

TASK_TEST(barrier, one_cancelled_in_an_earlier_round_does_not_break_a_later_one)
{
    weft_task *tasks[2];
    two_wait(tasks);
    weft_task_cancel(tasks[0]); /* not run since */
    weft_barrier_reset(&barrier);
    they_end(tasks, -ECANCELED, WEFT_E_BARRIER);
    cr_assert(!weft_barrier_is_broken(&barrier));
    weft_barrier_close(&barrier);
}

TASK_TEST(barrier, is_broken_by_a_party_cancelled_before_it_came)
{
    weft_task *tasks[2];
    two_wait(tasks);
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_barrier_wait(&barrier));
    weft_ignore(weft_scope_close(&scope));
    they_end(tasks, WEFT_E_BARRIER, WEFT_E_BARRIER);
    weft_barrier_close(&barrier);
}

TASK_TEST(barrier, is_broken_by_a_deadline)
{
    weft_task *tasks[2];
    two_wait(tasks);
    weft_barrier_reset(&barrier);
    they_end(tasks, WEFT_E_BARRIER, WEFT_E_BARRIER);
    weft_scope soon;
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_barrier_wait(&barrier));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    cr_assert(weft_barrier_is_broken(&barrier));
    weft_barrier_close(&barrier);
}

TASK_TEST(barrier, may_be_aborted)
{
    weft_task *tasks[2];
    two_wait(tasks);
    weft_barrier_abort(&barrier);
    they_end(tasks, WEFT_E_BARRIER, WEFT_E_BARRIER);
    T_ERR(WEFT_E_BARRIER, weft_barrier_wait(&barrier));
    weft_barrier_reset(&barrier);
    weft_barrier_close(&barrier);
}

TASK_TEST(barrier, one_who_got_through_cannot_be_cancelled_out_of_it)
{
    weft_task *tasks[2];
    two_wait(tasks);
    T_ERR(2, weft_barrier_wait(&barrier));
    weft_task_cancel(tasks[0]);
    they_end(tasks, 0, 0);
    cr_assert(!weft_barrier_is_broken(&barrier));
    weft_barrier_close(&barrier);
}

static int
closes_while_one_waits(void *arg)
{
    (void)arg;
    weft_task *tasks[2];
    two_wait(tasks);
    weft_barrier_close(&barrier);
    return 0;
}

static void
run_closes_while_one_waits(void)
{
    t_run_bare(closes_while_one_waits);
}

Test(barrier, closing_it_while_one_waits_aborts)
{
    t_breaks(run_closes_while_one_waits, "a barrier was closed while tasks wait at it");
}

/* ---- Torture --------------------------------------------------------------------------------- */

static uint32_t arrivals, wrong;

/* Three rounds; whoever is through finds that all have come. */
static int
come_three_times(void *arg)
{
    (void)arg;
    for (uint32_t round = 1; round <= 3; round++) {
        int rc = weft_sleep(WEFT_MS(1));
        if (rc < 0)
            break;
        weft__fetch_add(&arrivals, 1);
        rc = weft_barrier_wait(&barrier);
        if (rc < 0)
            return rc;
        if (weft__load(&arrivals) < round * 4)
            weft__fetch_add(&wrong, 1);
    }
    weft_barrier_abort(&barrier); /* one that comes no more says so */
    return weft_checkpoint();
}

static int
crowd(void *arg)
{
    (void)arg;
    weft_group group;
    /* A party that never began says nothing: then time ends the others. */
    weft_group_open(&group, &(weft_group_options){.keep_going = 1, .timeout = WEFT_MS(100)});
    for (unsigned i = 0; i < 4; i++)
        t_spawn_round(&group, come_three_times, NULL, i);
    return weft_group_close(&group);
}

static void
open_it(void)
{
    T_OK(weft_barrier_open(&barrier, 4));
    arrivals = wrong = 0;
}

static void
nobody_waits(void)
{
    cr_assert(weft__load(&wrong) == 0);
    weft_barrier_close(&barrier);
}

Test(barrier, nobody_waits_in_vain_wherever_parties_are_ended)
{
    t_scenario_torture(crowd, open_it, nobody_waits);
}

Test(barrier, all_come_through_in_any_order)
{
    t_scenario_seeds(crowd, open_it, nobody_waits);
}
