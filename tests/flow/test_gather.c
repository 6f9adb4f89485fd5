/*
 * test_gather.c - functions started together: all results, the first good one, one per item.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/gather.h>
#include <weft/scope.h>

#include "base/t_child.h"
#include "task/t_core.h"

TestSuite(gather, .timeout = 60);

#define N(children) (sizeof(children) / sizeof *(children))

/* Sleeps as many milliseconds as the number says, then gives it; fails with it when negative. */
static int
sleep_and_give(void *arg)
{
    intptr_t ms = (intptr_t)arg;
    int rc = weft_sleep(WEFT_MS(ms < 0 ? -ms : ms));
    return rc < 0 ? rc : (int)ms;
}

#define SLEEP(ms)                                                                                  \
    {                                                                                              \
        .fn = sleep_and_give, .arg = T_NUMBER(ms), .result = 99                                    \
    }

/* ---- gather --------------------------------------------------------------------------------- */

TASK_TEST(gather, has_results_in_call_order)
{
    weft_child children[] = {SLEEP(3), SLEEP(1), SLEEP(2)};
    weft_time start = weft_now();
    T_OK(weft_gather(children, N(children), NULL));
    cr_assert(weft_now() - start == WEFT_MS(3));
    cr_assert(children[0].result == 3 && children[1].result == 1 && children[2].result == 2);
    T_OK(weft_gather(NULL, 0, NULL));
}

TASK_TEST(gather, the_first_failure_cancels_the_others)
{
    weft_child children[] = {SLEEP(1), SLEEP(-2), SLEEP(50)};
    weft_time start = weft_now();
    T_ERR(-2, weft_gather(children, N(children), NULL));
    cr_assert(weft_now() - start == WEFT_MS(2));
    cr_assert(children[0].result == 1 && children[1].result == -2);
    T_ERR(-ECANCELED, children[2].result);
    T_OK(weft_yield());
}

TASK_TEST(gather, keeps_going_when_told_to)
{
    weft_child children[] = {SLEEP(-4), SLEEP(-2), SLEEP(5)};
    T_ERR(-2, weft_gather(children, N(children), &(weft_group_options){.keep_going = 1}));
    cr_assert(children[0].result == -4 && children[1].result == -2 && children[2].result == 5);
}

TASK_TEST(gather, runs_as_many_at_once_as_the_limit_says)
{
    weft_child children[] = {SLEEP(2), SLEEP(2), SLEEP(2), SLEEP(2)};
    weft_time start = weft_now();
    T_OK(weft_gather(children, N(children), &(weft_group_options){.limit = 2}));
    cr_assert(weft_now() - start == WEFT_MS(4));
    cr_assert(children[3].result == 2);
}

TASK_TEST(gather, a_deadline_of_its_own_ends_it)
{
    weft_child children[] = {SLEEP(1), SLEEP(50)};
    T_ERR(-ETIMEDOUT,
          weft_gather(children, N(children), &(weft_group_options){.timeout = WEFT_MS(5)}));
    cr_assert(children[0].result == 1);
    T_ERR(-ETIMEDOUT, children[1].result);
    T_OK(weft_yield());
}

TASK_TEST(gather, tells_what_never_began)
{
    weft_child children[] = {SLEEP(-1), SLEEP(1), SLEEP(1)};
    T_ERR(-1, weft_gather(children, N(children), &(weft_group_options){.limit = 1}));
    T_ERR(-ECANCELED, children[1].result);
    T_ERR(-ECANCELED, children[2].result);

    weft_child again[] = {SLEEP(1), SLEEP(1)};
    weft_scope scope;
    weft_scope_open(&scope, 0);
    T_ERR(-ETIMEDOUT, weft_gather(again, 2, NULL));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    T_ERR(-ETIMEDOUT, again[0].result);
    T_ERR(-ETIMEDOUT, again[1].result);
}

TASK_TEST(gather, without_memory_for_a_child_ends_the_others)
{
    weft_child children[] = {SLEEP(1), SLEEP(1), SLEEP(1)};
    weft__torture_arm(WEFT__TORTURE_ALLOC, 2, false, 0);
    int rc = weft_gather(children, N(children), NULL);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_ERR(-ENOMEM, rc);
    T_ERR(-ECANCELED, children[0].result);
    T_ERR(-ENOMEM, children[1].result);
    T_ERR(-ECANCELED, children[2].result);
}

static int
where(void *arg)
{
    (void)arg;
    return (int)weft_loop_index(weft_loop_current());
}

LOOPS_TEST(gather, over_several_loops, 3)
{
    weft_child children[30];
    for (int i = 0; i < 30; i++)
        children[i] = (weft_child){.fn = i < 15 ? where : sleep_and_give,
                                   .arg = T_NUMBER(i % 3),
                                   .on = i % 5 == 4 ? WEFT_LOOP_ANY : WEFT_ON(i % 3)};
    T_OK(weft_gather(children, 30, NULL));
    for (int i = 0; i < 30; i++)
        cr_assert(children[i].result == i % 3 || (i < 15 && i % 5 == 4));
    children[7] = (weft_child){.fn = where, .on = WEFT_ON(3)};
    T_ERR(-EINVAL, weft_gather(children, 30, NULL));
    T_ERR(-EINVAL, children[7].result);
}

TASK_TEST(gather, of_ten_thousand)
{
    enum { MANY = 10000 };
    weft_child *children = calloc(MANY, sizeof *children);
    cr_assert(children != NULL);
    for (int i = 0; i < MANY; i++)
        children[i] = (weft_child){.fn = t_give, .arg = T_NUMBER(i)};
    T_OK(weft_gather(children, MANY, NULL));
    for (int i = 0; i < MANY; i++)
        cr_assert(children[i].result == i);
    free(children);
}

static void
gather_outside_a_task(void)
{
    weft_child child = SLEEP(1);
    weft_ignore(weft_gather(&child, 1, NULL));
}

Test(gather, outside_a_task_aborts)
{
    char text[4096];
    int status = t_child_run(gather_outside_a_task, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert(strstr(text, "a group can be opened only inside a task") != NULL, "%s", text);
}

/* ---- race ----------------------------------------------------------------------------------- */

TASK_TEST(gather, race_first_success_cancels_the_rest)
{
    weft_child children[] = {SLEEP(50), SLEEP(-1), SLEEP(3), SLEEP(60)};
    size_t winner = 99;
    weft_time start = weft_now();
    cr_assert(weft_race(children, N(children), &winner) == 3);
    cr_assert(winner == 2 && weft_now() - start == WEFT_MS(3));
    T_ERR(-ECANCELED, children[0].result);
    cr_assert(children[1].result == -1);
    T_ERR(-ECANCELED, children[3].result);
    T_OK(weft_yield()); /* the cancelling stays inside */
}

static int
slow_to_end(void *arg)
{
    int rc = weft_sleep(WEFT_MS(50));
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_sleep(WEFT_MS(5)));
    weft_ignore(weft_scope_close(&shield));
    *(bool *)arg = true;
    return rc;
}

TASK_TEST(gather, race_waits_for_the_losers)
{
    bool ended = false;
    weft_child children[] = {SLEEP(1), {.fn = slow_to_end, .arg = &ended}};
    weft_time start = weft_now();
    cr_assert(weft_race(children, 2, NULL) == 1);
    cr_assert(ended && weft_now() - start == WEFT_MS(6));
}

TASK_TEST(gather, race_that_all_lose_gives_the_first_error_and_keeps_each)
{
    weft_child children[] = {SLEEP(-3), SLEEP(-1), SLEEP(-2)};
    size_t winner = 99;
    T_ERR(-1, weft_race(children, N(children), &winner));
    cr_assert(winner == 99);
    cr_assert(children[0].result == -3 && children[1].result == -1 && children[2].result == -2);
    T_ERR(-EINVAL, weft_race(NULL, 0, NULL));
}

static int
succeed_though_cancelled(void *arg)
{
    weft_ignore(weft_sleep(WEFT_MS(50)));
    return (int)(intptr_t)arg;
}

TASK_TEST(gather, race_keeps_what_a_late_loser_made)
{
    weft_child children[] = {SLEEP(1), {.fn = succeed_though_cancelled, .arg = T_NUMBER(7)}};
    size_t winner;
    cr_assert(weft_race(children, 2, &winner) == 1);
    cr_assert(winner == 0 && children[1].result == 7);
}

TASK_TEST(gather, race_under_a_deadline)
{
    weft_child children[] = {SLEEP(-1), SLEEP(50)};
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_race(children, 2, NULL));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    cr_assert(children[0].result == -1);
    T_ERR(-ETIMEDOUT, children[1].result);
}

/* The complaint: select loses what one branch had, when something else ends it at the same time.
 * The winner's result stays, and the cancellation is told by the next wait. */
TASK_TEST(gather, complaint_28_race_never_throws_the_winner_away)
{
    for (int late = -1; late <= 1; late++) {
        bool ended = false;
        weft_child children[] = {SLEEP(2), {.fn = slow_to_end, .arg = &ended}};
        size_t winner = 99;
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_MS(2) + late * WEFT_MS(1));
        int rc = weft_race(children, 2, &winner);
        if (children[0].result == 2) {
            cr_assert(rc == 2 && winner == 0);
            T_ERR(-ETIMEDOUT, weft_yield());
        } else {
            T_ERR(-ETIMEDOUT, rc);
            cr_assert(winner == 99);
        }
        cr_assert(ended && (late < 1 || rc == 2) && (late > -1 || rc == -ETIMEDOUT));
        weft_ignore(weft_scope_close(&scope));
    }
}

static weft_scope around;

static int
race_in_a_scope(void *arg)
{
    (void)arg;
    bool ended = false;
    weft_child children[] = {SLEEP(1), {.fn = slow_to_end, .arg = &ended}};
    weft_scope_open(&around, WEFT_FOREVER);
    int rc = weft_race(children, 2, NULL);
    int closed = weft_scope_close(&around);
    return closed < 0 ? closed : rc;
}

TASK_TEST(gather, race_that_was_won_leaves_no_trace_in_the_scopes_around_it)
{
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, race_in_a_scope, NULL, NULL));
    T_OK(weft_sleep(WEFT_MS(2)));
    weft_scope_cancel(&around); /* while it waits for the loser */
    T_OK(weft_task_join(task, &result));
    cr_assert(result == 1);
}

LOOPS_TEST(gather, race_over_several_loops, 3)
{
    for (int round = 0; round < 30 / T_SLOW; round++) {
        weft_child children[6];
        size_t winner = 99;
        for (int i = 0; i < 6; i++)
            children[i] = (weft_child){.fn = i == 4 ? t_give : t_forever,
                                       .arg = T_NUMBER(i),
                                       .on = WEFT_ON((round + i) % 3)};
        cr_assert(weft_race(children, 6, &winner) == 4);
        cr_assert(winner == 4);
        for (int i = 0; i < 6; i++)
            T_ERR(i == 4 ? 4 : -ECANCELED, children[i].result);
    }
}

/* ---- map ------------------------------------------------------------------------------------ */

struct item {
    int in;
    int out;
    int began; /* as the n-th */
};

static int at_once, most_at_once, begun;

static int
square(void *arg)
{
    struct item *item = arg;
    item->began = ++begun;
    if (++at_once > most_at_once)
        most_at_once = at_once;
    int rc = item->in < 0 ? item->in : weft_sleep(WEFT_MS(2));
    at_once--;
    item->out = item->in * item->in;
    return rc;
}

static void
prepare(struct item *items, int n)
{
    at_once = most_at_once = begun = 0;
    for (int i = 0; i < n; i++)
        items[i] = (struct item){.in = i + 1};
}

TASK_TEST(gather, map_calls_for_each_item_within_the_limit)
{
    struct item items[10];
    prepare(items, 10);
    weft_time start = weft_now();
    T_OK(weft_map(square, items, sizeof *items, 10, 3));
    cr_assert(weft_now() - start == WEFT_MS(8));
    cr_assert(most_at_once == 3 && begun == 10);
    for (int i = 0; i < 10; i++)
        cr_assert(items[i].out == (i + 1) * (i + 1) && items[i].began == i + 1);
}

TASK_TEST(gather, map_without_a_limit_does_all_at_once)
{
    struct item items[10];
    prepare(items, 10);
    T_OK(weft_map(square, items, sizeof *items, 10, 0));
    cr_assert(most_at_once == 10);
    prepare(items, 10);
    T_OK(weft_map(square, items, sizeof *items, 10, 50));
    cr_assert(most_at_once == 10);
    T_OK(weft_map(square, NULL, 1, 0, 5));
}

TASK_TEST(gather, map_stops_at_the_first_failure)
{
    struct item items[10];
    prepare(items, 10);
    items[4].in = -EIO;
    T_ERR(-EIO, weft_map(square, items, sizeof *items, 10, 2));
    cr_assert(items[2].out == 9 && begun <= 6);
    for (int i = 6; i < 10; i++)
        cr_assert(items[i].out == 0 && items[i].began == 0);
}

TASK_TEST(gather, map_under_a_deadline_leaves_the_rest_alone)
{
    struct item items[10];
    prepare(items, 10);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(3));
    T_ERR(-ETIMEDOUT, weft_map(square, items, sizeof *items, 10, 2));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    cr_assert(begun == 4 && items[4].began == 0);
}

static int
never_waits(void *arg)
{
    int *n = arg;
    ++*n;
    return 0;
}

static int
map_without_waiting(void *arg)
{
    return weft_map(never_waits, arg, 0, 100000, 1);
}

TASK_TEST(gather, map_of_calls_that_never_wait_lets_others_run_and_can_be_cancelled)
{
    weft_task *task;
    int n = 0, result;
    T_OK(weft_task_spawn(&task, map_without_waiting, &n, NULL));
    while (n == 0)
        T_OK(weft_yield());
    weft_task_cancel(task);
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
    cr_assert(n > 0 && n < 100000, "%d", n);
}

static int deferred_runs, deferred_late;

static void
count_deferred(void *arg)
{
    (void)arg;
    deferred_runs++;
}

static int
defers(void *arg)
{
    int *index = arg;
    if (deferred_runs != *index)
        deferred_late++;
    return weft_defer(count_deferred, NULL);
}

TASK_TEST(gather, map_runs_what_an_item_deferred_before_the_next)
{
    int items[5] = {0, 1, 2, 3, 4};
    deferred_runs = deferred_late = 0;
    T_OK(weft_map(defers, items, sizeof *items, 5, 1));
    cr_assert(deferred_runs == 5 && deferred_late == 0);
}
