/*
 * test_limiter.c - tokens belong to who borrowed them, and their number may change meanwhile.
 */
#include <errno.h>

#include "flow/t_locks.h"

TestSuite(limiter, .timeout = 120);

static weft_limiter limiter;

static void
expect(uint32_t total, uint32_t borrowed, uint32_t waiting)
{
    weft_limiter_stats stats;
    weft_limiter_stats_get(&limiter, &stats);
    cr_assert(stats.total == total && stats.borrowed == borrowed && stats.waiting == waiting,
              "%u of %u, %u wait", stats.borrowed, stats.total, stats.waiting);
}

TASK_TEST(limiter, lends_as_many_as_there_are)
{
    int things[3];
    T_OK(weft_limiter_open(&limiter, 2));
    T_OK(weft_limiter_acquire(&limiter));
    T_OK(weft_limiter_acquire_for(&limiter, &things[0]));
    T_ERR(-EAGAIN, weft_limiter_try_acquire_for(&limiter, &things[1]));
    expect(2, 2, 0);
    weft_limiter_release(&limiter);
    T_OK(weft_limiter_try_acquire_for(&limiter, &things[1]));
    T_ERR(-EAGAIN, weft_limiter_try_acquire(&limiter));
    weft_limiter_release_for(&limiter, &things[0]);
    T_OK(weft_limiter_try_acquire(&limiter));
    weft_limiter_release_for(&limiter, &things[1]);
    weft_limiter_release(&limiter);
    expect(2, 0, 0);
    weft_limiter_close(&limiter);
}

Test(limiter, too_many_tokens_are_refused)
{
    T_ERR(-EINVAL, weft_limiter_open(&limiter, UINT32_MAX));
    T_OK(weft_limiter_open(&limiter, 0));
    T_ERR(-EINVAL, weft_limiter_set_total(&limiter, UINT32_MAX));
    T_ERR(-EAGAIN, weft_limiter_try_acquire(&limiter));
    T_OK(weft_limiter_set_total(&limiter, UINT32_MAX / 2));
    T_OK(weft_limiter_acquire(&limiter));
    weft_limiter_release(&limiter);
    weft_limiter_close(&limiter);
}

TASK_TEST(limiter, cancellation_is_looked_for_even_when_a_token_is_there)
{
    T_OK(weft_limiter_open(&limiter, 1));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_limiter_acquire(&limiter));
    weft_ignore(weft_scope_close(&scope));
    expect(1, 0, 0);
    weft_limiter_close(&limiter);
}

static char trail[64];

static int
borrow_and_sign(void *arg)
{
    int rc = weft_limiter_acquire(&limiter);
    if (rc < 0)
        return rc;
    strcat(trail, arg);
    rc = weft_sleep(WEFT_MS(1));
    weft_limiter_release(&limiter);
    return rc;
}

static const char *const names[] = {"a", "b", "c", "d", "e"};

static void
five_borrow(weft_task **tasks, uint32_t total)
{
    trail[0] = '\0';
    T_OK(weft_limiter_open(&limiter, total));
    for (int i = 0; i < 5; i++)
        T_OK(weft_task_spawn(&tasks[i], borrow_and_sign, (void *)(uintptr_t)names[i], NULL));
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
    weft_limiter_close(&limiter);
}

TASK_TEST(limiter, first_come_first_served)
{
    weft_task *tasks[5];
    five_borrow(tasks, 2);
    expect(2, 2, 3);
    cr_assert_str_eq(trail, "ab");
    T_OK(weft_sleep(WEFT_US(1500)));
    cr_assert_str_eq(trail, "abcd");
    five_end(tasks, 0);
    cr_assert_str_eq(trail, "abcde");
}

TASK_TEST(limiter, more_tokens_go_to_who_waits)
{
    weft_task *tasks[5];
    five_borrow(tasks, 0);
    expect(0, 0, 5);
    T_OK(weft_limiter_set_total(&limiter, 3));
    expect(3, 3, 2);
    T_OK(weft_yield());
    cr_assert_str_eq(trail, "abc");
    T_OK(weft_limiter_set_total(&limiter, 10));
    expect(10, 5, 0);
    five_end(tasks, 0);
}

TASK_TEST(limiter, fewer_tokens_let_nobody_in_until_enough_came_back)
{
    weft_task *tasks[5];
    int things[3];
    T_OK(weft_limiter_open(&limiter, 3));
    for (int i = 0; i < 3; i++)
        T_OK(weft_limiter_acquire_for(&limiter, &things[i]));
    trail[0] = '\0';
    for (int i = 0; i < 5; i++)
        T_OK(weft_task_spawn(&tasks[i], borrow_and_sign, (void *)(uintptr_t)names[i], NULL));
    T_OK(weft_limiter_set_total(&limiter, 1));
    weft_limiter_release_for(&limiter, &things[0]);
    weft_limiter_release_for(&limiter, &things[1]);
    T_OK(weft_sleep(WEFT_MS(1)));
    expect(1, 1, 5);
    weft_limiter_release_for(&limiter, &things[2]);
    T_OK(weft_yield());
    cr_assert_str_eq(trail, "a");
    five_end(tasks, 0);
    cr_assert_str_eq(trail, "abcde");
}

TASK_TEST(limiter, one_who_leaves_the_line_is_passed_over)
{
    weft_task *tasks[5];
    five_borrow(tasks, 0);
    weft_task_cancel(tasks[0]); /* not run since: it still stands in line */
    weft_task_cancel(tasks[2]);
    T_OK(weft_limiter_set_total(&limiter, 1));
    five_end(tasks, 5);
    cr_assert_str_eq(trail, "bde");
}

TASK_TEST(limiter, finds_the_token_of_any_of_many_borrowers)
{
    enum { MANY = 5000 };
    static char things[MANY];
    T_OK(weft_limiter_open(&limiter, 1));
    T_OK(weft_limiter_acquire_for(&limiter, &things[0]));
    T_OK(weft_limiter_set_total(&limiter, MANY));
    for (int i = 1; i < MANY; i++)
        T_OK(weft_limiter_acquire_for(&limiter, &things[i]));
    expect(MANY, MANY, 0);
    for (int i = 0; i < MANY; i++)
        weft_limiter_release_for(&limiter, &things[(i * 7) % MANY]);
    weft_limiter_close(&limiter);
}

/* ---- Broken promises ------------------------------------------------------------------------- */

static void
borrows_twice(void)
{
    T_OK(weft_limiter_open(&limiter, 2));
    weft_ignore(weft_limiter_acquire(&limiter));
    weft_ignore(weft_limiter_acquire(&limiter));
}

static void
returns_what_it_has_not(void)
{
    T_OK(weft_limiter_open(&limiter, 2));
    weft_limiter_release(&limiter);
}

static void
returns_for_a_thing_that_has_none(void)
{
    int thing;
    T_OK(weft_limiter_open(&limiter, 2));
    weft_limiter_release_for(&limiter, &thing);
}

static void
closes_it_borrowed(void)
{
    T_OK(weft_limiter_open(&limiter, 2));
    weft_ignore(weft_limiter_acquire(&limiter));
    weft_limiter_close(&limiter);
}

static int
ends_with_a_token(void *arg)
{
    (void)arg;
    T_OK(weft_limiter_open(&limiter, 2));
    return weft_limiter_acquire(&limiter);
}

static void
run_ends_with_a_token(void)
{
    t_run_bare(ends_with_a_token);
}

Test(limiter, broken_promises_are_named)
{
    t_breaks(borrows_twice, "a limiter: a plain thread borrows a second token");
    t_breaks(returns_what_it_has_not, "a limiter: a plain thread returns a token, and has none");
    t_breaks(returns_for_a_thing_that_has_none, "a borrower returns a token, and has none");
    t_breaks(closes_it_borrowed, "a limiter was closed while tokens are borrowed");
    t_breaks(run_ends_with_a_token, "task \"main\" ended and still holds a token of a limiter");
}

/* ---- Torture --------------------------------------------------------------------------------- */

static uint32_t out, wrong;

static int
use(void *arg)
{
    for (int i = 0; i < 2; i++) {
        int rc = i == 0 ? weft_limiter_acquire(&limiter) : weft_limiter_acquire_for(&limiter, arg);
        if (rc < 0)
            return rc;
        if (weft__fetch_add(&out, 1) + 1 > 3)
            weft__fetch_add(&wrong, 1);
        rc = weft_sleep(WEFT_MS(1));
        weft__fetch_sub(&out, 1);
        if (i == 0)
            weft_limiter_release(&limiter);
        else
            weft_limiter_release_for(&limiter, arg);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
change_total(void *arg)
{
    (void)arg;
    static const uint32_t totals[] = {3, 0, 2, 1};
    int rc = 0;
    for (int i = 0; i < 4 && rc == 0; i++) {
        weft_limiter_set_total(&limiter, totals[i]);
        rc = weft_sleep(WEFT_US(700));
    }
    weft_limiter_set_total(&limiter, 2);
    return rc;
}

static bool opened; /* or there was no memory for it */

static int
crowd(void *arg)
{
    (void)arg;
    static char things[5];
    if (!opened)
        return -ENOMEM;
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 5; i++)
        t_spawn_round(&group, use, &things[i], i);
    t_spawn_round(&group, change_total, NULL, 1);
    return weft_group_close(&group);
}

static void
open_it(void)
{
    opened = weft_limiter_open(&limiter, 2) == 0;
    out = wrong = 0;
}

static void
all_tokens_are_back(void)
{
    cr_assert(weft__load(&wrong) == 0);
    if (!opened)
        return;
    weft_limiter_stats stats;
    weft_limiter_stats_get(&limiter, &stats);
    cr_assert(stats.borrowed == 0 && stats.waiting == 0);
    weft_limiter_close(&limiter);
}

Test(limiter, all_tokens_are_back_wherever_waiters_are_ended)
{
    t_scenario_torture(crowd, open_it, all_tokens_are_back);
}

Test(limiter, all_tokens_are_back_in_any_order)
{
    t_scenario_seeds(crowd, open_it, all_tokens_are_back);
}
