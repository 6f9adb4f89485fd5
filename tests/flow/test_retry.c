/*
 * test_retry.c - as many attempts as allowed, the right time apart, and none once one is ended.
 */
#include <errno.h>
#include <limits.h>

#include <weft/group.h>
#include <weft/retry.h>

#include "task/t_core.h"

TestSuite(retry, .timeout = 60);

/* Fails so many times, then succeeds; notes when it was called. */
struct flaky {
    int failures;
    int rc;
    int calls;
    weft_time at[16];
};

static int
flaky_call(void *arg)
{
    struct flaky *flaky = arg;
    if (flaky->calls < 16)
        flaky->at[flaky->calls] = weft_now();
    return flaky->calls++ < flaky->failures ? flaky->rc : 42;
}

TASK_TEST(retry, gives_the_first_success)
{
    struct flaky flaky = {.failures = 3, .rc = -EIO};
    T_ERR(42, weft_retry(flaky_call, &flaky, NULL));
    cr_assert(flaky.calls == 4);
}

TASK_TEST(retry, gives_the_last_failure)
{
    struct flaky flaky = {.failures = 100, .rc = -EIO};
    T_ERR(-EIO, weft_retry(flaky_call, &flaky, &(weft_retry_options){.attempts = 3}));
    cr_assert(flaky.calls == 3);
    flaky.calls = 0;
    T_ERR(-EIO, weft_retry(flaky_call, &flaky, NULL));
    cr_assert(flaky.calls == 5, "by default");
    flaky.calls = 0;
    T_ERR(-EIO, weft_retry(flaky_call, &flaky, &(weft_retry_options){.attempts = 1}));
    cr_assert(flaky.calls == 1);
}

TASK_TEST(retry, delays_grow_to_the_cap)
{
    static const int expected[] = {0, 10, 40, 130, 400, 900, 1400};
    struct flaky flaky = {.failures = 6, .rc = -EAGAIN};
    T_ERR(42, weft_retry(flaky_call, &flaky,
                         &(weft_retry_options){.attempts = UINT_MAX,
                                               .base = WEFT_MS(10),
                                               .factor = 3,
                                               .cap = WEFT_MS(500),
                                               .exact = 1}));
    for (int i = 0; i < 7; i++)
        cr_assert(flaky.at[i] == WEFT_MS(expected[i]), "%d: %lld", i, (long long)flaky.at[i]);
}

TASK_TEST(retry, jitter_is_full_and_repeats_with_its_seed)
{
    weft_retry_options options = {.base = 1000, .factor = 1, .seed = 5};
    weft_backoff one, two;
    weft_backoff_start(&one, &options);
    weft_backoff_start(&two, &options);
    int low = 0, high = 0;
    for (int i = 0; i < 1000; i++) {
        weft_time delay = weft_backoff_next(&one);
        cr_assert(delay >= 0 && delay <= 1000 && delay == weft_backoff_next(&two));
        low += delay < 250;
        high += delay > 750;
    }
    cr_assert(low > 200 && low < 300 && high > 200 && high < 300, "%d %d", low, high);
}

TASK_TEST(retry, jitter_is_another_one_each_time)
{
    weft_backoff one, two;
    weft_backoff_start(&one, NULL);
    T_OK(weft_yield());
    weft_backoff_start(&two, NULL);
    cr_assert(weft_backoff_next(&one) != weft_backoff_next(&two));
}

Test(retry, bounds_stay_in_bounds)
{
    weft_backoff backoff;
    weft_backoff_start(&backoff,
                       &(weft_retry_options){
                           .base = WEFT_FOREVER / 2, .cap = WEFT_FOREVER, .factor = 3, .exact = 1});
    cr_assert(weft_backoff_next(&backoff) == WEFT_FOREVER / 2);
    cr_assert(weft_backoff_next(&backoff) == WEFT_FOREVER);
    cr_assert(weft_backoff_next(&backoff) == WEFT_FOREVER);
    weft_backoff_reset(&backoff);
    cr_assert(weft_backoff_next(&backoff) == WEFT_FOREVER / 2);
    weft_backoff_start(&backoff, &(weft_retry_options){.base = 100, .cap = 10, .exact = 1});
    cr_assert(weft_backoff_next(&backoff) == 10);
}

static int
only_io(int rc, void *arg)
{
    (void)arg;
    return rc == -EIO;
}

TASK_TEST(retry, what_is_not_worth_it_is_not_tried_again)
{
    struct flaky flaky = {.failures = 5, .rc = -EINVAL};
    T_ERR(-EINVAL, weft_retry(flaky_call, &flaky, NULL));
    cr_assert(flaky.calls == 1);
    flaky.rc = -EPIPE;
    flaky.calls = 0;
    T_ERR(-EPIPE, weft_retry(flaky_call, &flaky, &(weft_retry_options){.again = only_io}));
    cr_assert(flaky.calls == 1);
    flaky.rc = -EIO;
    flaky.calls = 0;
    T_ERR(-EIO, weft_retry(flaky_call, &flaky, &(weft_retry_options){.again = only_io}));
    cr_assert(flaky.calls == 5);
}

TASK_TEST(retry, ends_at_once_between_attempts)
{
    struct flaky flaky = {.failures = 100, .rc = -EIO};
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(25));
    T_ERR(-ETIMEDOUT,
          weft_retry(flaky_call, &flaky, &(weft_retry_options){.base = WEFT_MS(10), .exact = 1}));
    cr_assert(flaky.calls == 2 && weft_now() == WEFT_MS(25));
    T_ERR(-ETIMEDOUT, weft_retry(flaky_call, &flaky, NULL));
    cr_assert(flaky.calls == 2, "looked for first");
    weft_ignore(weft_scope_close(&scope));
}

/* Each attempt has a millisecond; the third is quick enough. */
static int
with_its_own_deadline(void *arg)
{
    int *calls = arg;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(1));
    int rc = weft_sleep(++*calls == 3 ? 1 : WEFT_SEC(1));
    weft_ignore(weft_scope_close(&scope));
    return rc;
}

TASK_TEST(retry, a_deadline_of_one_attempt_is_a_failure_like_any_other)
{
    int calls = 0;
    T_OK(weft_retry(with_its_own_deadline, &calls, NULL));
    cr_assert(calls == 3);
}

static int
cancelled_inside(void *arg)
{
    ++*(int *)arg;
    return weft_sleep(WEFT_SEC(10));
}

static int
retry_long(void *arg)
{
    return weft_retry(cancelled_inside, arg, &(weft_retry_options){.attempts = UINT_MAX});
}

TASK_TEST(retry, cancelling_ends_it_in_the_midst_of_an_attempt)
{
    int calls = 0, result;
    weft_task *task;
    T_OK(weft_task_spawn(&task, retry_long, &calls, NULL));
    T_OK(weft_sleep(WEFT_MS(5)));
    weft_task_cancel(task);
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
    cr_assert(calls == 1);
}

Test(retry, works_on_a_plain_thread)
{
    struct flaky flaky = {.failures = 2, .rc = -EIO};
    T_ERR(42, weft_retry(flaky_call, &flaky, &(weft_retry_options){.base = WEFT_US(10)}));
}

static int
tortured(void *arg)
{
    struct flaky flaky = {.failures = 4, .rc = -EIO};
    (void)arg;
    return weft_retry(flaky_call, &flaky, &(weft_retry_options){.seed = 1});
}

static void
scenario(void *arg)
{
    (void)arg;
    int rc = weft_run(
        tortured, NULL,
        &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE});
    cr_assert(rc == 42 || rc == -ECANCELED || rc == -ETIMEDOUT, "%d", rc);
}

Test(retry, ends_with_the_cause_wherever_it_is_ended)
{
    cr_assert(t_torture(WEFT__TORTURE_CANCEL, scenario, NULL) > 8);
    cr_assert(t_torture(WEFT__TORTURE_DEADLINE, scenario, NULL) > 8);
}
