/*
 * test_ticker.c - ticks on a schedule without drift, what becomes of missed ones, and work on it.
 */
#include <errno.h>

#include <weft/group.h>
#include <weft/ticker.h>

#include "task/t_core.h"

TestSuite(ticker, .timeout = 60);
TestSuite(periodic, .timeout = 60);

TASK_TEST(ticker, does_not_drift)
{
    weft_ticker ticker;
    T_OK(weft_ticker_start(&ticker, 0, WEFT_MS(10), WEFT_MISSED_SKIP));
    for (int i = 1; i <= 100; i++) {
        T_OK(weft_ticker_wait(&ticker));
        cr_assert(weft_now() == WEFT_MS(10) * i);
        T_OK(weft_sleep(WEFT_MS(i % 10))); /* work */
    }
}

TASK_TEST(ticker, starts_when_it_is_told_to)
{
    weft_ticker ticker;
    T_OK(weft_ticker_start(&ticker, WEFT_MS(3), WEFT_MS(10), WEFT_MISSED_SKIP));
    T_OK(weft_ticker_wait(&ticker));
    cr_assert(weft_now() == WEFT_MS(3));
    T_OK(weft_ticker_wait(&ticker));
    cr_assert(weft_now() == WEFT_MS(13));
}

TASK_TEST(ticker, may_have_started_before_the_clock_did)
{
    weft_missed policies[] = {WEFT_MISSED_SKIP, WEFT_MISSED_BURST, WEFT_MISSED_DELAY};
    for (int i = 0; i < 3; i++) {
        weft_time now = weft_now();
        weft_ticker ticker;
        T_OK(weft_ticker_start(&ticker, now - WEFT_SEC(60), WEFT_SEC(100), policies[i]));
        T_OK(weft_ticker_wait(&ticker));
        cr_assert(weft_now() == now);
        T_OK(weft_ticker_wait(&ticker));
        cr_assert(weft_now() == now + WEFT_SEC(40), "policy %d: %lld", i, (long long)weft_now());
    }
}

TASK_TEST(ticker, refuses_what_is_no_schedule)
{
    weft_ticker ticker;
    T_ERR(-EINVAL, weft_ticker_start(&ticker, 0, 0, WEFT_MISSED_SKIP));
    T_ERR(-EINVAL, weft_ticker_start(&ticker, 0, -1, WEFT_MISSED_SKIP));
    T_ERR(-EINVAL, weft_ticker_start(&ticker, 0, 1, (weft_missed)7));
}

/* Ticks at 10, 20, 30…; one is late until 35, and here is when the next ones come. */
static void
after_being_late(weft_missed missed, const int *expected, const int *left_out, int n)
{
    weft_ticker ticker;
    T_OK(weft_ticker_start(&ticker, 0, WEFT_MS(10), missed));
    T_OK(weft_sleep(WEFT_MS(35)));
    for (int i = 0; i < n; i++) {
        int rc = weft_ticker_wait(&ticker);
        cr_assert(rc == left_out[i], "%d: %d left out", i, rc);
        cr_assert(weft_now() == WEFT_MS(expected[i]), "%d: %lld", i, (long long)weft_now());
    }
}

TASK_TEST(ticker, missed_ticks_are_skipped)
{
    after_being_late(WEFT_MISSED_SKIP, (int[]){35, 40, 50}, (int[]){2, 0, 0}, 3);
}

TASK_TEST(ticker, missed_ticks_come_in_a_burst)
{
    after_being_late(WEFT_MISSED_BURST, (int[]){35, 35, 35, 40, 50}, (int[]){0, 0, 0, 0, 0}, 5);
}

TASK_TEST(ticker, missed_ticks_delay_the_schedule)
{
    after_being_late(WEFT_MISSED_DELAY, (int[]){35, 45, 55}, (int[]){0, 0, 0}, 3);
}

TASK_TEST(ticker, less_than_a_period_late_misses_nothing)
{
    for (int missed = WEFT_MISSED_SKIP; missed <= WEFT_MISSED_DELAY; missed++) {
        weft_ticker ticker;
        weft_time start = weft_now();
        T_OK(weft_ticker_start(&ticker, 0, WEFT_MS(10), (weft_missed)missed));
        T_OK(weft_sleep(WEFT_MS(19)));
        T_OK(weft_ticker_wait(&ticker));
        cr_assert(weft_now() == start + WEFT_MS(19));
        T_OK(weft_ticker_wait(&ticker));
        cr_assert(weft_now() == start + WEFT_MS(20));
    }
}

TASK_TEST(ticker, a_tick_not_waited_for_is_still_to_come)
{
    weft_ticker ticker;
    weft_scope scope;
    T_OK(weft_ticker_start(&ticker, 0, WEFT_MS(10), WEFT_MISSED_SKIP));
    weft_scope_open(&scope, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_ticker_wait(&ticker));
    T_ERR(-ETIMEDOUT, weft_ticker_wait(&ticker));
    weft_ignore(weft_scope_close(&scope));
    T_OK(weft_ticker_wait(&ticker));
    cr_assert(weft_now() == WEFT_MS(10));
    T_OK(weft_sleep(WEFT_MS(12)));
    weft_scope_open(&scope, weft_now());
    T_ERR(-ETIMEDOUT, weft_ticker_wait(&ticker)); /* looked for although one is due */
    weft_ignore(weft_scope_close(&scope));
    T_OK(weft_ticker_wait(&ticker));
    cr_assert(weft_now() == WEFT_MS(22));
}

Test(ticker, works_on_a_plain_thread)
{
    weft_ticker ticker;
    weft_time start = weft_now();
    T_OK(weft_ticker_start(&ticker, 0, WEFT_MS(1), WEFT_MISSED_BURST));
    for (int i = 0; i < 5; i++)
        T_OK(weft_ticker_wait(&ticker));
    cr_assert(weft_now() - start >= WEFT_MS(5));
}

/* ---- Periodic work -------------------------------------------------------------------------- */

struct work {
    int calls;
    int inside;
    int takes_ms;
    int stop_after;
    int stop_with;
    weft_time at[16];
};

static int
do_work(void *arg)
{
    struct work *work = arg;
    cr_assert(work->inside++ == 0, "calls never overlap");
    if (work->calls < 16)
        work->at[work->calls] = weft_now();
    int rc = work->takes_ms > 0 ? weft_sleep(WEFT_MS(work->takes_ms)) : 0;
    work->inside--;
    if (++work->calls == work->stop_after)
        return work->stop_with;
    return rc;
}

TASK_TEST(periodic, runs_until_its_group_ends)
{
    struct work work = {.takes_ms = 3};
    weft_periodic periodic = {.period = WEFT_MS(10), .fn = do_work, .arg = &work};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, weft_periodic_run, &periodic);
    T_OK(weft_sleep(WEFT_MS(55)));
    weft_group_cancel(&group);
    weft_ignore(weft_group_close(&group));
    cr_assert(work.calls == 5);
    for (int i = 0; i < 5; i++)
        cr_assert(work.at[i] == WEFT_MS(10) * (i + 1));
}

TASK_TEST(periodic, begins_at_once_when_asked_to)
{
    for (int i = 0; i < 2; i++) {
        struct work work = {.stop_after = 3, .stop_with = 7};
        weft_periodic periodic = {.period = WEFT_MS(10), .fn = do_work, .arg = &work, .now = 1};
        weft_time start = weft_now();
        T_ERR(7, weft_periodic_run(&periodic));
        cr_assert(work.at[0] == start && work.at[1] == start + WEFT_MS(10) &&
                  work.at[2] == start + WEFT_MS(20));
    }
}

TASK_TEST(periodic, calls_that_take_too_long_do_not_overlap)
{
    struct work work = {.takes_ms = 25, .stop_after = 3, .stop_with = 1};
    weft_periodic periodic = {.period = WEFT_MS(10), .fn = do_work, .arg = &work};
    T_ERR(1, weft_periodic_run(&periodic));
    cr_assert(work.at[0] == WEFT_MS(10) && work.at[1] == WEFT_MS(35) && work.at[2] == WEFT_MS(60));
}

TASK_TEST(periodic, a_failure_ends_it_and_its_group)
{
    struct work work = {.stop_after = 2, .stop_with = -EIO};
    weft_periodic periodic = {.period = WEFT_MS(10), .fn = do_work, .arg = &work};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, weft_periodic_run, &periodic);
    weft_group_spawn(&group, t_forever, NULL);
    T_ERR(-EIO, weft_group_close(&group));
    cr_assert(work.calls == 2);
}

TASK_TEST(periodic, one_without_a_period_is_refused)
{
    weft_periodic periodic = {.fn = do_work};
    T_ERR(-EINVAL, weft_periodic_run(&periodic));
}

static int
tortured(void *arg)
{
    (void)arg;
    struct work work = {.takes_ms = 3, .stop_after = 4, .stop_with = 1};
    weft_periodic periodic = {.period = WEFT_MS(2), .fn = do_work, .arg = &work, .now = 1};
    weft_group group;
    weft_group_open(&group, NULL);
    weft_group_spawn(&group, weft_periodic_run, &periodic);
    return weft_group_close(&group);
}

static void
scenario(void *arg)
{
    (void)arg;
    weft_ignore(weft_run(
        tortured, NULL,
        &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}));
}

Test(periodic, ends_wherever_it_is_ended)
{
    for (int from_on = 0; from_on < 2; from_on++)
        for (int kind = WEFT__TORTURE_CANCEL; kind <= WEFT__TORTURE_ALLOC; kind++)
            t_torture_run(&(struct t_torture){
                .kind = (enum weft__torture)kind, .from_on = from_on, .scenario = scenario});
}
