/*
 * test_gen.c - generators: values out, values in, delegation, waiting, closing, failing; and that
 * nothing is left behind, whatever fails and wherever it is ended.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/gen.h>
#include <weft/group.h>
#include <weft/sync.h>

#include "base/log.h"
#include "base/t_child.h"
#include "task/t_core.h"

TestSuite(gen, .timeout = 60);

static int
count(weft_gen *gen, void *arg)
{
    int n = *(const int *)arg;
    for (int i = 1; i <= n; i++) {
        int rc = weft_gen_yield(gen, &i, NULL);
        if (rc < 0)
            return rc;
    }
    return 100 + n;
}

/* ---- Values out ----------------------------------------------------------------------------- */

TASK_TEST(gen, hands_out_values_and_then_ends)
{
    weft_gen gen;
    int n = 3, value = 0;
    T_OK(weft_gen_open(&gen, sizeof value, count, &n, NULL));
    T_ERR(-EBUSY, weft_gen_result(&gen));
    for (int i = 1; i <= n; i++) {
        T_ERR(1, weft_gen_next(&gen, &value));
        cr_assert(value == i);
    }
    T_OK(weft_gen_next(&gen, &value));
    T_OK(weft_gen_next(&gen, &value));
    cr_assert(value == n, "the end touches nothing");
    T_ERR(100 + n, weft_gen_result(&gen));
    T_OK(weft_gen_close(&gen));
    T_OK(weft_gen_close(&gen));
    T_OK(weft_gen_close(NULL));
}

struct wide {
    char text[100];
    int number;
};

static int
wide_values(weft_gen *gen, void *arg)
{
    (void)arg;
    struct wide wide = {.text = "a long value"};
    for (;; wide.number++) {
        int rc = weft_gen_yield(gen, &wide, NULL);
        if (rc < 0)
            return rc;
    }
}

TASK_TEST(gen, copies_values_of_any_size)
{
    weft_gen gen;
    struct wide wide;
    T_OK(weft_gen_open(&gen, sizeof wide, wide_values, NULL, NULL));
    for (int i = 0; i < 5; i++) {
        T_ERR(1, weft_gen_next(&gen, i == 3 ? NULL : &wide));
        cr_assert_str_eq(wide.text, "a long value");
        cr_assert(wide.number == (i == 3 ? 2 : i));
    }
    T_OK(weft_gen_close(&gen));
}

static int
signals(weft_gen *gen, void *arg)
{
    int rc = 0;
    while (rc == 0 && ++*(int *)arg < 5)
        rc = weft_gen_yield(gen, NULL, NULL);
    return rc;
}

TASK_TEST(gen, may_have_nothing_to_say_but_that_it_is_there)
{
    weft_gen gen;
    int calls = 0, pulled = 0;
    T_OK(weft_gen_open(&gen, 0, signals, &calls, NULL));
    while (weft_gen_next(&gen, NULL) > 0)
        pulled++;
    cr_assert(pulled == 4 && calls == 5);
    T_OK(weft_gen_close(&gen));
}

TASK_TEST(gen, many_at_once_do_not_mix)
{
    enum { MANY = 50 };
    static weft_gen gens[MANY];
    int n = 20, value;
    for (int i = 0; i < MANY; i++)
        T_OK(weft_gen_open(&gens[i], sizeof value, count, &n, NULL));
    for (int round = 1; round <= n; round++)
        for (int i = 0; i < MANY; i++) {
            T_ERR(1, weft_gen_next(&gens[i], &value));
            cr_assert(value == round);
        }
    for (int i = 0; i < MANY; i++)
        T_OK(weft_gen_close(&gens[i]));
}

static int
deep_frame(weft_gen *gen, void *arg)
{
    volatile char big[400 << 10];
    memset((char *)(uintptr_t)big, 1, sizeof big);
    return weft_gen_yield(gen, arg, NULL);
}

TASK_TEST(gen, takes_a_stack_of_the_size_asked_for)
{
    weft_gen gen;
    int one = 1, value;
    T_ERR(WEFT_E_STACK,
          weft_gen_open(&gen, sizeof one, deep_frame, &one, &(weft_gen_options){.stack_size = 1}));
    T_OK(weft_gen_open(&gen, sizeof one, deep_frame, &one,
                       &(weft_gen_options){.stack_size = 1 << 20, .name = "deep"}));
    T_ERR(1, weft_gen_next(&gen, &value));
    T_OK(weft_gen_next(&gen, &value));
    T_OK(weft_gen_close(&gen));
}

/* ---- Values in ------------------------------------------------------------------------------ */

static int
running_sum(weft_gen *gen, void *arg)
{
    (void)arg;
    int sum = 0;
    for (;;) {
        int sent = -1;
        int rc = weft_gen_yield(gen, &sum, &sent);
        if (rc < 0)
            return rc;
        cr_assert(rc == (sent != -1), "%d sent %d", rc, sent);
        if (rc > 0)
            sum += sent;
    }
}

static const weft_gen_options takes_ints = {.sent_bytes = sizeof(int)};

TASK_TEST(gen, what_is_sent_is_the_result_of_the_yield)
{
    weft_gen gen;
    int sum = -1;
    T_OK(weft_gen_open(&gen, sizeof sum, running_sum, NULL, &takes_ints));
    T_ERR(-EINVAL, weft_gen_send(&gen, &(int){1}, &sum)); /* before its first yield */
    T_ERR(1, weft_gen_next(&gen, &sum));
    cr_assert(sum == 0);
    T_ERR(1, weft_gen_send(&gen, &(int){5}, &sum));
    T_ERR(1, weft_gen_send(&gen, &(int){7}, NULL));
    T_ERR(1, weft_gen_next(&gen, &sum));
    cr_assert(sum == 12);
    T_OK(weft_gen_close(&gen));
}

TASK_TEST(gen, one_that_takes_nothing_is_sent_nothing)
{
    weft_gen gen;
    int n = 3, value;
    T_OK(weft_gen_open(&gen, sizeof value, count, &n, NULL));
    T_ERR(1, weft_gen_next(&gen, &value));
    T_ERR(-EINVAL, weft_gen_send(&gen, &n, &value));
    T_ERR(1, weft_gen_next(&gen, &value));
    cr_assert(value == 2);
    T_OK(weft_gen_close(&gen));
}

/* ---- Delegation ----------------------------------------------------------------------------- */

struct chain {
    int depth;
    int results;
    int ended;
};

/* 1 to 2, then what the next one has, then 1 to 2 again. */
static int
delegating(weft_gen *gen, void *arg)
{
    struct chain *chain = arg;
    int n = 2;
    weft_gen inner;
    int rc;
    for (int i = 1; i <= n; i++)
        if ((rc = weft_gen_yield(gen, &i, NULL)) < 0)
            return rc;
    if (--chain->depth > 0)
        T_OK(weft_gen_open(&inner, sizeof(int), delegating, chain, NULL));
    else
        T_OK(weft_gen_open(&inner, sizeof(int), count, &n, NULL));
    rc = weft_gen_delegate(gen, &inner);
    T_OK(weft_gen_close(&inner));
    chain->ended++;
    if (rc < 0)
        return rc;
    chain->results = chain->results * 1000 + rc;
    for (int i = 1; i <= n; i++)
        if ((rc = weft_gen_yield(gen, &i, NULL)) < 0)
            return rc;
    return 7;
}

TASK_TEST(gen, delegates_to_others_that_delegate)
{
    struct chain chain = {.depth = 3};
    weft_gen gen;
    int value, trail = 0, n = 0;
    T_OK(weft_gen_open(&gen, sizeof(int), delegating, &chain, NULL));
    while (weft_gen_next(&gen, &value) > 0) {
        n++;
        trail = (trail * 3 + value) % 1000003;
    }
    int expected = 0;
    for (int i = 0; i < 14; i++)
        expected = (expected * 3 + 1 + i % 2) % 1000003;
    cr_assert(n == 14 && trail == expected, "%d values, %d not %d", n, trail, expected);
    cr_assert(chain.results == 102007007, "%d", chain.results);
    T_ERR(7, weft_gen_result(&gen));
    T_OK(weft_gen_close(&gen));
}

TASK_TEST(gen, closing_a_chain_ends_all_of_it)
{
    for (int pulls = 0; pulls <= 14; pulls++) {
        struct chain chain = {.depth = 3};
        weft_gen gen;
        T_OK(weft_gen_open(&gen, sizeof(int), delegating, &chain, NULL));
        for (int i = 0; i < pulls; i++)
            T_ERR(1, weft_gen_next(&gen, NULL));
        T_OK(weft_gen_close(&gen));
        cr_assert(chain.ended == (pulls <= 2   ? 0
                                  : pulls <= 4 ? 1
                                  : pulls <= 6 ? 2
                                               : 3),
                  "%d pulls, %d ended", pulls, chain.ended);
    }
}

static int
delegate_to(weft_gen *gen, void *arg)
{
    int rc = weft_gen_delegate(gen, arg);
    if (rc == -EIO)
        return weft_gen_yield(gen, &(int){-5}, NULL);
    return rc;
}

TASK_TEST(gen, what_is_sent_goes_to_the_innermost)
{
    weft_gen outer, inner;
    int sum;
    T_OK(weft_gen_open(&inner, sizeof(int), running_sum, NULL, &takes_ints));
    T_OK(weft_gen_open(&outer, sizeof(int), delegate_to, &inner, &takes_ints));
    T_ERR(1, weft_gen_next(&outer, &sum));
    T_ERR(1, weft_gen_send(&outer, &(int){5}, &sum));
    T_ERR(1, weft_gen_send(&outer, &(int){6}, &sum));
    cr_assert(sum == 11);
    T_OK(weft_gen_close(&outer));
    /* It was at rest, and goes on for whoever pulls it. */
    T_ERR(1, weft_gen_send(&inner, &(int){9}, &sum));
    cr_assert(sum == 20);
    T_OK(weft_gen_close(&inner));
}

static int
fail_after_two(weft_gen *gen, void *arg)
{
    (void)arg;
    for (int i = 1; i <= 2; i++) {
        int rc = weft_gen_yield(gen, &i, NULL);
        if (rc < 0)
            return rc;
    }
    return weft_error_note(-EIO, "value %d could not be made", 3);
}

TASK_TEST(gen, a_failure_comes_to_the_consumer_with_its_text_and_once)
{
    weft_gen gen;
    T_OK(weft_gen_open(&gen, sizeof(int), fail_after_two, NULL, NULL));
    T_ERR(1, weft_gen_next(&gen, NULL));
    T_ERR(1, weft_gen_next(&gen, NULL));
    T_ERR(-EIO, weft_gen_next(&gen, NULL));
    cr_assert_str_eq(weft_error_text(), "value 3 could not be made");
    T_OK(weft_gen_next(&gen, NULL));
    T_ERR(-EIO, weft_gen_result(&gen));
    T_OK(weft_gen_close(&gen));
}

TASK_TEST(gen, a_failure_comes_to_the_delegator_first)
{
    weft_gen outer, inner;
    int value;
    T_OK(weft_gen_open(&inner, sizeof(int), fail_after_two, NULL, NULL));
    T_OK(weft_gen_open(&outer, sizeof(int), delegate_to, &inner, NULL));
    T_ERR(1, weft_gen_next(&outer, &value));
    T_ERR(1, weft_gen_next(&outer, &value));
    T_ERR(1, weft_gen_next(&outer, &value));
    cr_assert(value == -5);
    T_OK(weft_gen_next(&outer, &value));
    T_OK(weft_gen_close(&outer));
    T_OK(weft_gen_close(&inner));
}

TASK_TEST(gen, delegating_to_one_that_has_ended_gives_its_result)
{
    weft_gen outer, inner;
    int none = 0, value;
    T_OK(weft_gen_open(&inner, sizeof(int), count, &none, NULL));
    T_OK(weft_gen_next(&inner, &value));
    T_OK(weft_gen_open(&outer, sizeof(int), delegate_to, &inner, NULL));
    T_OK(weft_gen_next(&outer, &value));
    T_ERR(100, weft_gen_result(&outer));
    T_OK(weft_gen_close(&outer));
    T_OK(weft_gen_close(&inner));
}

TASK_TEST(gen, values_of_another_size_cannot_be_delegated_to)
{
    weft_gen outer, inner;
    int n = 1;
    T_OK(weft_gen_open(&inner, sizeof(int), count, &n, NULL));
    T_OK(weft_gen_open(&outer, sizeof(long), delegate_to, &inner, NULL));
    T_ERR(-EINVAL, weft_gen_next(&outer, NULL));
    T_OK(weft_gen_close(&outer));
    T_OK(weft_gen_close(&inner));
}

/* ---- Closing -------------------------------------------------------------------------------- */

struct trail {
    char text[64];
};

static void
mark_b(void *arg)
{
    cr_assert(weft_sleep(WEFT_MS(10)) == 0, "deferred functions wait undisturbed");
    strcat(((struct trail *)arg)->text, "b");
}

static void
mark_c(void *arg)
{
    strcat(((struct trail *)arg)->text, "c");
}

static int
with_clean_up(weft_gen *gen, void *arg)
{
    struct trail *trail = arg;
    T_OK(weft_defer(mark_c, trail));
    T_OK(weft_defer(mark_b, trail));
    int rc = 0;
    for (int i = 0; rc == 0 && i < 3; i++)
        rc = weft_gen_yield(gen, &i, NULL);
    if (rc < 0) {
        strcat(trail->text, "a");
        T_ERR(-ECANCELED, rc);
        T_ERR(-ECANCELED, weft_gen_yield(gen, &(int){5}, NULL)); /* nobody wants it any more */
        T_ERR(-ECANCELED, weft_sleep(WEFT_MS(1)));
        weft_scope shield;
        weft_shield_open(&shield, weft_now() + WEFT_SEC(1));
        T_OK(weft_sleep(WEFT_MS(10)));
        T_OK(weft_scope_close(&shield));
    }
    return rc;
}

TASK_TEST(gen, leaving_early_runs_the_clean_up)
{
    struct trail trail = {""};
    weft_gen gen;
    T_OK(weft_gen_open(&gen, sizeof(int), with_clean_up, &trail, NULL));
    T_ERR(1, weft_gen_next(&gen, NULL));
    weft_time before = weft_now();
    T_OK(weft_gen_close(&gen));
    cr_assert_str_eq(trail.text, "abc");
    cr_assert(weft_now() - before == WEFT_MS(20));
    T_OK(weft_yield()); /* the consumer was not cancelled */
}

TASK_TEST(gen, deferred_functions_run_at_the_end_and_not_with_the_consumers)
{
    struct trail trail = {""};
    weft_gen gen;
    T_OK(weft_gen_open(&gen, sizeof(int), with_clean_up, &trail, NULL));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    T_ERR(1, weft_gen_next(&gen, NULL));
    T_OK(weft_scope_close(&scope));
    cr_assert_str_eq(trail.text, "");
    while (weft_gen_next(&gen, NULL) > 0)
        continue;
    cr_assert_str_eq(trail.text, "bc");
    T_OK(weft_gen_close(&gen));
}

TASK_TEST(gen, one_that_never_started_never_does)
{
    struct trail trail = {""};
    weft_gen gen;
    T_OK(weft_gen_open(&gen, sizeof(int), with_clean_up, &trail, NULL));
    T_OK(weft_gen_close(&gen));
    T_ERR(-EBUSY, weft_gen_result(&gen));
    cr_assert_str_eq(trail.text, "");
}

static int
fail_when_closed(weft_gen *gen, void *arg)
{
    (void)arg;
    return weft_gen_yield(gen, &(int){1}, NULL) == -ECANCELED ? -EPIPE : 0;
}

TASK_TEST(gen, a_clean_up_that_fails_says_so)
{
    weft_gen gen;
    T_OK(weft_gen_open(&gen, sizeof(int), fail_when_closed, NULL, NULL));
    T_ERR(1, weft_gen_next(&gen, NULL));
    T_ERR(-EPIPE, weft_gen_close(&gen));
}

TASK_TEST(gen, closing_works_for_a_consumer_that_is_cancelled)
{
    struct trail trail = {""};
    weft_gen gen;
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    T_OK(weft_gen_open(&gen, sizeof(int), with_clean_up, &trail, NULL));
    T_ERR(1, weft_gen_next(&gen, NULL));
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_gen_next(&gen, NULL)); /* looked for first: it is where it was */
    cr_assert_str_eq(trail.text, "");
    T_OK(weft_gen_close(&gen));
    cr_assert_str_eq(trail.text, "abc");
    T_ERR(-ECANCELED, weft_scope_close(&scope));
}

static int
forget(void *arg)
{
    T_OK(weft_gen_open(arg, sizeof(int), with_clean_up, NULL, NULL));
    return 0;
}

Test(gen, one_never_closed_is_told_of)
{
    static weft_gen gen;
    t_log_begin();
    T_OK(weft_run(forget, &gen, &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL}));
    cr_assert(t_logged("generators that were never closed: 1"), "%s", t_log_text);
}

/* ---- Generators that wait ------------------------------------------------------------------- */

static int
ticks(weft_gen *gen, void *arg)
{
    (void)arg;
    for (int i = 0;; i++) {
        int rc = weft_sleep(WEFT_MS(100));
        if (rc == 0)
            rc = weft_gen_yield(gen, &i, NULL);
        if (rc < 0)
            return rc;
    }
}

static int
sleep_and_count(void *arg)
{
    for (int i = 0; i < 10; i++) {
        int rc = weft_sleep(WEFT_MS(50));
        if (rc < 0)
            return rc;
        ++*(int *)arg;
    }
    return 0;
}

TASK_TEST(gen, waits_while_others_run)
{
    weft_gen gen;
    weft_task *other;
    int value, counted = 0;
    T_OK(weft_gen_open(&gen, sizeof value, ticks, NULL, NULL));
    T_OK(weft_task_spawn(&other, sleep_and_count, &counted, NULL));
    for (int i = 0; i < 3; i++) {
        T_ERR(1, weft_gen_next(&gen, &value));
        cr_assert(value == i && weft_now() == WEFT_MS(100) * (i + 1));
        cr_assert(counted >= 2 * i && counted <= 2 * i + 2);
    }
    T_OK(weft_gen_close(&gen));
    T_OK(weft_task_join(other, NULL));
    cr_assert(counted == 10);
}

TASK_TEST(gen, the_consumers_deadline_holds_inside)
{
    weft_gen gen;
    weft_scope scope;
    T_OK(weft_gen_open(&gen, sizeof(int), ticks, NULL, NULL));
    T_ERR(1, weft_gen_next(&gen, NULL));
    weft_scope_open(&scope, weft_now() + WEFT_MS(150));
    T_ERR(1, weft_gen_next(&gen, NULL));
    T_ERR(-ETIMEDOUT, weft_gen_next(&gen, NULL));
    cr_assert(weft_now() == WEFT_MS(250));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    T_OK(weft_gen_next(&gen, NULL)); /* it returned what its wait gave: it has ended */
    T_OK(weft_gen_close(&gen));
}

static int
pull_ticks(void *arg)
{
    int rc, n = 0;
    while ((rc = weft_gen_next(arg, NULL)) > 0 && ++n < 3)
        continue;
    return rc < 0 ? rc : n;
}

TASK_TEST(gen, cancelling_the_consumer_ends_a_wait_inside)
{
    weft_gen gen;
    weft_task *task;
    int result;
    T_OK(weft_gen_open(&gen, sizeof(int), ticks, NULL, NULL));
    T_OK(weft_task_spawn(&task, pull_ticks, &gen, NULL));
    T_OK(weft_sleep(WEFT_MS(150)));
    weft_task_cancel(task);
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
    T_OK(weft_gen_close(&gen));
}

TASK_TEST(gen, goes_from_one_task_to_another)
{
    weft_gen gen;
    T_OK(weft_gen_open(&gen, sizeof(int), ticks, NULL, NULL));
    for (int i = 0; i < 3; i++) {
        weft_task *task;
        int result, value;
        T_ERR(1, weft_gen_next(&gen, &value));
        cr_assert(value == i * 4);
        T_OK(weft_task_spawn(&task, pull_ticks, &gen, NULL));
        T_OK(weft_task_join(task, &result));
        T_ERR(3, result);
    }
    T_OK(weft_gen_close(&gen));
}

static int
nap_ms(void *arg)
{
    return weft_sleep(WEFT_MS((intptr_t)arg));
}

/* Uses scopes and groups of its own between two yields. */
static int
structured(weft_gen *gen, void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_MS(5));
        int rc = weft_sleep(WEFT_MS(i == 1 ? 10 : 1));
        if (weft_scope_close(&scope) != -ETIMEDOUT && rc < 0)
            return rc;
        weft_group group;
        weft_group_open(&group, NULL);
        for (int k = 1; k < 4; k++)
            weft_group_spawn(&group, nap_ms, T_NUMBER(k));
        rc = weft_group_close(&group);
        if (rc == 0)
            rc = weft_gen_yield(gen, &i, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

TASK_TEST(gen, opens_scopes_and_groups_between_yields)
{
    weft_gen gen;
    int value, n = 0;
    T_OK(weft_gen_open(&gen, sizeof value, structured, NULL, NULL));
    while (weft_gen_next(&gen, &value) > 0)
        cr_assert(value == n++);
    cr_assert(n == 3 && weft_now() == WEFT_MS(1 + 5 + 1 + 9));
    T_OK(weft_gen_close(&gen));
}

static int
pull_structured(weft_gen *gen, void *arg)
{
    (void)arg;
    weft_gen inner;
    int value, rc = weft_gen_open(&inner, sizeof value, structured, NULL, NULL);
    if (rc < 0)
        return rc;
    while ((rc = weft_gen_next(&inner, &value)) > 0) {
        value *= value;
        if ((rc = weft_gen_yield(gen, &value, NULL)) < 0)
            break;
    }
    weft_gen_close(&inner);
    return rc;
}

TASK_TEST(gen, consumes_another)
{
    weft_gen gen;
    int value, n = 0;
    T_OK(weft_gen_open(&gen, sizeof value, pull_structured, NULL, NULL));
    while (weft_gen_next(&gen, &value) > 0) {
        cr_assert(value == n * n);
        n++;
    }
    cr_assert(n == 3);
    T_OK(weft_gen_close(&gen));
}

/* ---- Where it may be used ------------------------------------------------------------------- */

Test(gen, is_refused_on_a_plain_thread)
{
    weft_gen gen;
    T_ERR(-EPERM, weft_gen_open(&gen, sizeof(int), count, NULL, NULL));
    cr_assert(strstr(weft_error_text(), "weft_run_here") != NULL);
}

static int
use_here(void *arg)
{
    (void)arg;
    weft_gen gen;
    int value, n = 0;
    static int counted; /* the other task may count once more when this one has returned */
    counted = 0;
    T_OK(weft_gen_open(&gen, sizeof value, pull_structured, NULL, NULL));
    T_OK(weft_task_spawn(NULL, sleep_and_count, &counted, NULL));
    while (weft_gen_next(&gen, &value) > 0) {
        cr_assert(value == n * n);
        n++;
    }
    cr_assert(n == 3);
    T_OK(weft_gen_close(&gen));
    T_OK(weft_gen_open(&gen, sizeof value, ticks, NULL, NULL));
    T_ERR(1, weft_gen_next(&gen, &value));
    T_OK(weft_gen_close(&gen));
    return 0;
}

static void *
use_here_thread(void *arg)
{
    return T_NUMBER(weft_run_here(use_here, arg));
}

Test(gen, works_on_the_private_loop_of_a_thread)
{
    void *rc;
    pthread_t thread = t_thread(use_here_thread, NULL);
    cr_assert(pthread_join(thread, &rc) == 0);
    T_OK((intptr_t)rc);
}

static int
use_on_this_loop(void *arg)
{
    (void)arg;
    for (int round = 0; round < 20; round++) {
        weft_gen gen;
        int value, n = 0;
        int rc = weft_gen_open(&gen, sizeof value, pull_structured, NULL, NULL);
        if (rc < 0)
            return rc;
        while (n < 1 + round % 3 && weft_gen_next(&gen, &value) > 0)
            n++;
        weft_gen_close(&gen);
        if (n != 1 + round % 3)
            return -EPROTO;
    }
    return 0;
}

LOOPS_TEST(gen, loops_have_their_own, 2)
{
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 8; i++)
        weft_group_spawn_with(&group, use_on_this_loop, NULL,
                              &(weft_task_options){.on = WEFT_ON(i % 2)});
    T_OK(weft_group_close(&group));
}

static int
use_on_all_loops(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 6; i++)
        weft_group_spawn_with(&group, use_on_this_loop, NULL,
                              &(weft_task_options){.on = WEFT_ON(i % 3)});
    return weft_group_close(&group);
}

Test(gen, works_in_any_order_of_three_loops)
{
    for (uint64_t seed = 1; seed <= 40 / T_SLOW; seed++)
        t_run_virtual(use_on_all_loops, NULL, 3, seed);
}

/* ---- Broken promises ------------------------------------------------------------------------ */

static int
yield_in_a_scope(weft_gen *gen, void *arg)
{
    (void)arg;
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(1));
    return weft_gen_yield(gen, &(int){1}, NULL);
}

static int
pull_oneself(weft_gen *gen, void *arg)
{
    (void)arg;
    return weft_gen_next(gen, NULL);
}

static int
return_in_a_scope(weft_gen *gen, void *arg)
{
    static weft_scope scope;
    (void)gen;
    (void)arg;
    weft_scope_open(&scope, WEFT_FOREVER);
    return 0;
}

static weft_gen_fn *misused;

static int
misuse(void *arg)
{
    (void)arg;
    weft_gen gen;
    int rc = weft_gen_open(&gen, sizeof(int), misused, NULL, NULL);
    return rc < 0 ? rc : weft_gen_next(&gen, NULL);
}

static void
misuse_in_child(void)
{
    weft_ignore(weft_run(misuse, NULL, &(weft_options){.loops = 1}));
}

static int
yield_from_outside(weft_gen *gen, void *arg)
{
    (void)gen;
    (void)arg;
    weft_gen inner;
    int rc = weft_gen_open(&inner, sizeof(int), yield_from_outside, NULL, NULL);
    return rc < 0 ? rc : weft_gen_yield(&inner, &(int){1}, NULL);
}

static int
pull_at_once(void *arg)
{
    return weft_gen_next(arg, NULL);
}

static int
two_consumers(weft_gen *gen, void *arg)
{
    (void)arg;
    int rc = weft_task_spawn(NULL, pull_at_once, gen, NULL);
    return rc < 0 ? rc : weft_sleep(WEFT_MS(1));
}

Test(gen, broken_promises_abort_with_a_sentence)
{
    static const struct {
        weft_gen_fn *fn;
        const char *sentence;
    } cases[] = {
        {yield_in_a_scope, "outside of the scopes and groups it has opened"},
        {yield_from_outside, "a generator yields from its own function"},
        {pull_oneself, "was pulled or closed while it runs"},
        {two_consumers, "was pulled or closed while it runs"},
        {return_in_a_scope, "a generator returned with a scope or group still open"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        misused = cases[i].fn;
        int status = t_child_run(misuse_in_child, text, sizeof text);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "case %zu: %d", i, status);
        cr_assert(strstr(text, cases[i].sentence) != NULL, "case %zu: %s", i, text);
    }
}

/* ---- Torture -------------------------------------------------------------------------------- */

static uint32_t entered;

static void
left(void *arg)
{
    (void)arg;
    weft_ignore(weft_sleep(WEFT_MS(1)));
    weft__fetch_sub(&entered, 1);
}

static int
tortured(weft_gen *gen, void *arg)
{
    intptr_t depth = (intptr_t)arg;
    weft__fetch_add(&entered, 1);
    if (weft_defer(left, NULL) < 0) {
        left(NULL);
        return -ENOMEM;
    }
    int rc = weft_sleep(WEFT_MS(1));
    for (int i = 0; i < 2 && rc >= 0; i++)
        rc = weft_gen_yield(gen, &i, NULL);
    if (rc < 0 || depth == 0)
        return rc;
    weft_gen inner;
    rc = weft_gen_open(&inner, sizeof(int), tortured, T_NUMBER(depth - 1), NULL);
    if (rc < 0)
        return rc;
    if (depth % 2 == 0) {
        rc = weft_gen_delegate(gen, &inner);
    } else {
        int value;
        while ((rc = weft_gen_next(&inner, &value)) > 0)
            if ((rc = weft_gen_yield(gen, &value, NULL)) < 0)
                break;
    }
    int closed = weft_gen_close(&inner);
    if (rc >= 0)
        rc = weft_sleep(WEFT_MS(1));
    return rc < 0 ? rc : closed;
}

static int
pull_some(void *arg)
{
    weft_gen gen;
    int rc = weft_gen_open(&gen, sizeof(int), tortured, T_NUMBER(3), NULL);
    if (rc < 0)
        return rc;
    intptr_t n = (intptr_t)arg;
    while (n-- > 0 && (rc = weft_gen_next(&gen, NULL)) > 0)
        continue;
    int closed = weft_gen_close(&gen);
    return rc < 0 ? rc : closed;
}

static int
torture_main(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.keep_going = 1});
    weft_group_spawn(&group, pull_some, T_NUMBER(100));
    weft_group_spawn(&group, pull_some, T_NUMBER(3));
    weft_group_spawn(&group, pull_some, T_NUMBER(6));
    int rc = pull_some(T_NUMBER(5));
    int closed = weft_group_close(&group);
    return rc < 0 ? rc : closed;
}

static void
torture_scenario(void *arg)
{
    (void)arg;
    t_log_begin();
    weft_ignore(weft_run(
        torture_main, NULL,
        &(weft_options){.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}));
    cr_assert(weft__load(&entered) == 0, "%u generators were entered and not left", entered);
    cr_assert(!t_logged("never closed") && !t_logged("outlived"), "%s", t_log_text);
}

static void *
torture_here(void *arg)
{
    weft_ignore(weft_run_here(torture_main, arg));
    return NULL;
}

static void
torture_scenario_here(void *arg)
{
    pthread_t thread = t_thread(torture_here, arg);
    t_thread_join(thread);
    cr_assert(weft__load(&entered) == 0, "%u generators were entered and not left", entered);
}

static void
torture(void (*scenario)(void *arg))
{
    for (int from_on = 0; from_on < 2; from_on++)
        for (int kind = WEFT__TORTURE_CANCEL; kind <= WEFT__TORTURE_ALLOC; kind++)
            t_torture_run(&(struct t_torture){.kind = (enum weft__torture)kind,
                                              .from_on = from_on,
                                              .max = T_SLOW > 1 ? 15 : 0,
                                              .scenario = scenario});
}

Test(gen, leaves_nothing_behind_wherever_it_is_ended)
{
    torture(torture_scenario);
}

Test(gen, leaves_nothing_behind_on_a_private_loop)
{
    torture(torture_scenario_here);
}
