/*
 * test_task.c - the life of a task as seen through its handle, on its own loop, on others, and
 * from plain threads.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/future.h>

#include "task/t_core.h"

TestSuite(task, .timeout = 60);

/* ---- Spawn, await, join, close -------------------------------------------------------------- */

static int
set_flag(void *arg)
{
    *(bool *)arg = true;
    return 3;
}

TASK_TEST(task, runs_later_and_gives_its_result)
{
    bool ran = false;
    weft_task *task;
    T_OK(weft_task_spawn(&task, set_flag, &ran, NULL));
    cr_assert(!ran);
    cr_assert(weft_task_get_state(task) == WEFT_TASK_NEW);
    int result;
    T_OK(weft_task_await(task, &result));
    cr_assert(ran && result == 3);
    result = 0;
    T_OK(weft_task_await(task, &result)); /* as often as one likes */
    cr_assert(result == 3);
    T_OK(weft_task_join(task, NULL));
}

TASK_TEST(task, a_detached_one_runs_as_well)
{
    bool ran = false;
    T_OK(weft_task_spawn(NULL, set_flag, &ran, NULL));
    T_OK(weft_yield());
    cr_assert(ran);
}

TASK_TEST(task, a_closed_one_goes_on)
{
    bool ran = false;
    weft_task *task;
    T_OK(weft_task_spawn(&task, set_flag, &ran, NULL));
    weft_task_close(task);
    weft_task_close(NULL);
    T_OK(weft_yield());
    cr_assert(ran);
}

static int
add_one(void *arg)
{
    ++*(int *)arg;
    return weft_yield();
}

TASK_TEST(task, thousands_come_and_go)
{
    int count = 0;
    for (int round = 0; round < 20; round++) {
        weft_task *tasks[500];
        for (int i = 0; i < 500; i++)
            T_OK(weft_task_spawn(&tasks[i], add_one, &count, NULL));
        for (int i = 0; i < 500; i++)
            T_OK(weft_task_join(tasks[i], NULL));
    }
    cr_assert(count == 10000);
    weft_loop_stats stats;
    weft_loop_stats_get(weft_loop_current(), &stats);
    cr_assert(stats.live == 1);
}

struct awaiting {
    weft_task *task;
    int rc;
    int result;
};

static int
await_it(void *arg)
{
    struct awaiting *awaiting = arg;
    awaiting->rc = weft_task_await(awaiting->task, &awaiting->result);
    return awaiting->rc;
}

TASK_TEST(task, several_await_one)
{
    weft_task *task, *others[5];
    struct awaiting awaiting[5];
    T_OK(weft_task_spawn(&task, t_sleep_ms, T_NUMBER(3), NULL));
    for (int i = 0; i < 5; i++) {
        awaiting[i] = (struct awaiting){.task = task, .rc = 1, .result = 1};
        T_OK(weft_task_spawn(&others[i], await_it, &awaiting[i], NULL));
    }
    for (int i = 0; i < 5; i++)
        T_OK(weft_task_join(others[i], NULL));
    for (int i = 0; i < 5; i++)
        cr_assert(awaiting[i].rc == 0 && awaiting[i].result == 0);
    T_OK(weft_task_join(task, NULL));
}

TASK_TEST(task, awaiting_oneself_is_a_deadlock)
{
    T_ERR(-EDEADLK, weft_task_await(weft_task_self(), NULL));
    T_ERR(-EDEADLK, weft_task_join(weft_task_self(), NULL));
}

TASK_TEST(task, a_cancelled_await_leaves_the_task_alone)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, t_sleep_ms, T_NUMBER(10), NULL));
    weft_scope soon;
    weft_scope_open(&soon, WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_task_join(task, NULL));
    T_ERR(-ETIMEDOUT, weft_task_join(task, NULL));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    int result = 1;
    T_OK(weft_task_join(task, &result));
    cr_assert(result == 0 && weft_now() == WEFT_MS(10));
}

/* ---- Failures nobody looked at -------------------------------------------------------------- */

static int
spawn_failures(void *arg)
{
    (void)arg;
    weft_task *closed_before, *closed_after, *seen, *fine;
    T_OK(weft_task_spawn(NULL, t_give, T_NUMBER(-EPIPE), &(weft_task_options){.name = "detached"}));
    T_OK(weft_task_spawn(&closed_before, t_give, T_NUMBER(-EDOM),
                         &(weft_task_options){.name = "closed before"}));
    T_OK(weft_task_spawn(&closed_after, t_give, T_NUMBER(-ERANGE),
                         &(weft_task_options){.name = "closed after"}));
    T_OK(weft_task_spawn(&seen, t_give, T_NUMBER(-EIO), &(weft_task_options){.name = "seen"}));
    T_OK(weft_task_spawn(&fine, t_give, T_NUMBER(1), &(weft_task_options){.name = "fine"}));
    weft_task_close(closed_before);
    T_OK(weft_task_await(seen, NULL));
    T_OK(weft_yield());
    weft_task_close(closed_after);
    weft_task_close(seen);
    weft_task_close(fine);
    return 0;
}

Test(task, an_unobserved_failure_is_logged_with_its_name)
{
    t_log_begin();
    t_run_virtual(spawn_failures, NULL, 1, 0);
    cr_assert(t_logged("\"detached\"") && t_logged("EPIPE"), "%s", t_log_text);
    cr_assert(t_logged("\"closed before\"") && t_logged("EDOM"), "%s", t_log_text);
    cr_assert(t_logged("\"closed after\"") && t_logged("ERANGE"), "%s", t_log_text);
    cr_assert(!t_logged("seen") && !t_logged("fine"), "%s", t_log_text);
}

static int
fail_in_3_ms(void *arg)
{
    weft_ignore(weft_sleep(WEFT_MS(3)));
    return t_give(arg);
}

/* Awaits a task that fails at the very moment the await runs into its deadline. */
static int
await_too_briefly(void *arg)
{
    (void)arg;
    weft_task *task;
    T_OK(weft_task_spawn(&task, fail_in_3_ms, T_NUMBER(-EIO),
                         &(weft_task_options){.name = "late failure"}));
    T_OK(weft_yield()); /* its timer comes before the scope's */
    weft_scope soon;
    weft_scope_open(&soon, WEFT_MS(3));
    T_ERR(-ETIMEDOUT, weft_task_await(task, NULL));
    weft_ignore(weft_scope_close(&soon));
    weft_task_close(task);
    return weft_yield();
}

Test(task, an_await_that_timed_out_has_observed_nothing)
{
    t_log_begin();
    t_run_virtual(await_too_briefly, NULL, 1, 0);
    cr_assert(t_logged("late failure"), "%s", t_log_text);
}

static int
cancel_and_close(void *arg)
{
    (void)arg;
    weft_task *task;
    T_OK(weft_task_spawn(&task, t_forever, NULL, &(weft_task_options){.name = "cancelled"}));
    T_OK(weft_yield());
    weft_task_cancel(task);
    weft_task_close(task);
    T_OK(weft_yield());
    return 0;
}

Test(task, being_cancelled_is_no_failure)
{
    t_log_begin();
    t_run_virtual(cancel_and_close, NULL, 1, 0);
    cr_assert_str_eq(t_log_text, "");
}

/* ---- Cancelling ----------------------------------------------------------------------------- */

TASK_TEST(task, cancel_ends_a_wait)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, t_forever, NULL, NULL));
    T_OK(weft_yield());
    weft_task_cancel(task);
    weft_task_cancel(task); /* idempotent */
    int result;
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
}

TASK_TEST(task, one_cancelled_before_it_started_never_does)
{
    bool ran = false;
    weft_task *task;
    T_OK(weft_task_spawn(&task, set_flag, &ran, NULL));
    weft_task_cancel(task);
    int result;
    T_OK(weft_task_await(task, &result));
    cr_assert(!ran && result == -ECANCELED);
    cr_assert(weft_task_get_state(task) == WEFT_TASK_CANCELLED);
    weft_task_close(task);
}

static int
wait_in_every_way(void *arg)
{
    int *wrong = arg;
    weft_ignore(weft_sleep(WEFT_FOREVER));
    *wrong += weft_sleep(WEFT_MS(1)) != -ECANCELED;
    *wrong += weft_yield() != -ECANCELED;
    *wrong += weft_sleep(0) != -ECANCELED;
    *wrong += weft_checkpoint() != -ECANCELED;
    *wrong += weft_task_await(weft_task_self(), NULL) != -ECANCELED;
    *wrong += weft_loop_call(weft_loop_current(), t_give, NULL) != -ECANCELED;
    return 5; /* it may still succeed */
}

TASK_TEST(task, every_wait_of_a_cancelled_one_fails)
{
    int wrong = 0, result;
    weft_task *task;
    T_OK(weft_task_spawn(&task, wait_in_every_way, &wrong, NULL));
    T_OK(weft_yield());
    weft_task_cancel(task);
    T_OK(weft_task_await(task, &result));
    cr_assert(wrong == 0 && result == 5);
    cr_assert(weft_task_get_state(task) == WEFT_TASK_DONE);
    weft_task_close(task);
}

static int
cancel_self(void *arg)
{
    (void)arg;
    weft_task_cancel(weft_task_self());
    return weft_sleep(WEFT_MS(1));
}

TASK_TEST(task, one_may_cancel_itself)
{
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, cancel_self, NULL, NULL));
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
}

TASK_TEST(task, cancelling_one_that_ended_does_nothing)
{
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, t_give, T_NUMBER(8), NULL));
    T_OK(weft_task_await(task, NULL));
    weft_task_cancel(task);
    T_OK(weft_task_await(task, &result));
    cr_assert(result == 8);
    cr_assert(weft_task_get_state(task) == WEFT_TASK_DONE);
    weft_task_close(task);
}

TASK_TEST(task, a_wait_that_was_over_already_is_not_taken_back)
{
    weft_future future;
    weft_future_open(&future);
    weft_task *task;
    struct awaiting awaiting = {.rc = 1};
    weft_task *slow;
    T_OK(weft_task_spawn(&slow, t_give, T_NUMBER(6), NULL));
    awaiting.task = slow;
    T_OK(weft_task_spawn(&task, await_it, &awaiting, NULL));
    T_OK(weft_task_await(slow, NULL)); /* task is woken by the same end, and ready */
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    cr_assert(awaiting.rc == 0 && awaiting.result == 6);
    weft_task_close(slow);
    weft_future_close(&future);
}

/* ---- States and names ----------------------------------------------------------------------- */

static int
look_at_self(void *arg)
{
    *(weft_task_state *)arg = weft_task_get_state(weft_task_self());
    return weft_sleep(WEFT_MS(1));
}

TASK_TEST(task, its_state_tells_what_it_does)
{
    weft_task_state inside = WEFT_TASK_NEW;
    weft_task *task, *yielding, *failing;
    T_OK(weft_task_spawn(&task, look_at_self, &inside, NULL));
    cr_assert(weft_task_get_state(task) == WEFT_TASK_NEW);
    T_OK(weft_yield());
    cr_assert(inside == WEFT_TASK_RUNNING);
    cr_assert(weft_task_get_state(task) == WEFT_TASK_WAITING);
    T_OK(weft_task_await(task, NULL));
    cr_assert(weft_task_get_state(task) == WEFT_TASK_DONE);
    weft_task_close(task);

    int count = 0;
    T_OK(weft_task_spawn(&yielding, add_one, &count, NULL));
    T_OK(weft_yield());
    cr_assert(weft_task_get_state(yielding) == WEFT_TASK_READY);
    T_OK(weft_task_join(yielding, NULL));

    T_OK(weft_task_spawn(&failing, t_give, T_NUMBER(-1), NULL));
    T_OK(weft_task_await(failing, NULL));
    cr_assert(weft_task_get_state(failing) == WEFT_TASK_FAILED);
    weft_task_close(failing);
}

static int
fail_with_ecanceled(void *arg)
{
    (void)arg;
    return -ECANCELED;
}

TASK_TEST(task, ecanceled_without_being_cancelled_is_a_failure)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, fail_with_ecanceled, NULL, NULL));
    T_OK(weft_task_await(task, NULL));
    cr_assert(weft_task_get_state(task) == WEFT_TASK_FAILED);
    weft_task_close(task);
}

static int
copy_name(void *arg)
{
    strcpy(arg, weft_task_name(NULL));
    return 0;
}

TASK_TEST(task, names_are_given_or_counted)
{
    char name[40];
    weft_task *task;
    T_OK(weft_task_spawn(&task, copy_name, name, &(weft_task_options){.name = "fetch 7"}));
    cr_assert_str_eq(weft_task_name(task), "fetch 7");
    T_OK(weft_task_join(task, NULL));
    cr_assert_str_eq(name, "fetch 7");

    T_OK(weft_task_spawn(&task, copy_name, name,
                         &(weft_task_options){.name = "a name of more than thirty-one bytes"}));
    T_OK(weft_task_join(task, NULL));
    cr_assert(strlen(name) == 31 && strncmp(name, "a name of more than thirty-one bytes", 31) == 0);

    char other[40];
    T_OK(weft_task_spawn(&task, copy_name, name, NULL));
    T_OK(weft_task_join(task, NULL));
    T_OK(weft_task_spawn(&task, copy_name, other, NULL));
    T_OK(weft_task_join(task, NULL));
    cr_assert(strncmp(name, "task ", 5) == 0 && strncmp(other, "task ", 5) == 0);
    cr_assert_str_neq(name, other);
}

TASK_TEST(task, counted_names_are_all_different)
{
    int last = -1;
    for (int i = 0; i < 250; i++) {
        char name[40];
        int number;
        weft_task *task;
        T_OK(weft_task_spawn(&task, copy_name, name, NULL));
        T_OK(weft_task_join(task, NULL));
        cr_assert(sscanf(name, "task %d", &number) == 1);
        cr_assert(last < 0 || number == last + 1, "%s after %d", name, last);
        last = number;
    }
}

Test(task, outside_there_is_none)
{
    cr_assert(weft_task_self() == NULL);
    cr_assert_str_eq(weft_task_name(NULL), "");
    cr_assert(weft_task_stack_used(NULL) == 0);
}

/* ---- Bad input ------------------------------------------------------------------------------ */

TASK_TEST(task, bad_options_are_refused)
{
    weft_task *task = NULL;
    T_ERR(-EINVAL, weft_task_spawn(&task, t_give, NULL, &(weft_task_options){.on = WEFT_ON(1)}));
    cr_assert(strstr(weft_error_text(), "no loop 1") != NULL, "%s", weft_error_text());
    T_ERR(-EINVAL, weft_task_spawn(&task, t_give, NULL, &(weft_task_options){.on = -3}));
    T_ERR(WEFT_E_STACK,
          weft_task_spawn(&task, t_give, NULL, &(weft_task_options){.stack_size = 1000}));
    cr_assert(strlen(weft_error_text()) > 0);
    T_ERR(WEFT_E_STACK, weft_task_spawn(&task, t_give, NULL,
                                        &(weft_task_options){.stack_size = (size_t)2 << 30}));
    cr_assert(task == NULL);
}

static int
use_200_kib(void *arg)
{
    volatile char much[200 << 10];
    (void)arg;
    for (size_t i = 0; i < sizeof much; i += 512)
        much[i] = 1;
    return weft_yield();
}

TASK_TEST(task, a_larger_stack_is_there_when_asked_for)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, use_200_kib, NULL, &(weft_task_options){.stack_size = 256 << 10}));
    T_OK(weft_yield());
    size_t used = weft_task_stack_used(task);
    cr_assert(used >= (200 << 10) && used <= (256 << 10), "%zu", used);
    T_OK(weft_task_join(task, NULL));
}

TASK_TEST(task, error_texts_are_each_tasks_own)
{
    T_ERR(-EINVAL, weft_task_spawn(NULL, t_give, NULL, &(weft_task_options){.on = WEFT_ON(4)}));
    weft_task *task;
    T_OK(weft_task_spawn(&task, use_200_kib, NULL, &(weft_task_options){.stack_size = 256 << 10}));
    T_OK(weft_task_join(task, NULL));
    cr_assert(strstr(weft_error_text(), "no loop 4") != NULL, "%s", weft_error_text());
}

/* ---- Turns ---------------------------------------------------------------------------------- */

static char trail[64];

static int
append_thrice(void *arg)
{
    for (int i = 0; i < 3; i++) {
        strcat(trail, arg);
        int rc = weft_yield();
        if (rc < 0)
            return rc;
    }
    return 0;
}

TASK_TEST(task, yield_lets_every_other_one_run)
{
    weft_task *tasks[3];
    char *names[3] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        T_OK(weft_task_spawn(&tasks[i], append_thrice, names[i], NULL));
    for (int i = 0; i < 3; i++)
        T_OK(weft_task_join(tasks[i], NULL));
    cr_assert_str_eq(trail, "abcabcabc");
}

static int
check_without_end(void *arg)
{
    bool *other_ran = arg;
    for (int i = 0; i < 100000; i++) {
        if (*other_ran)
            return i;
        int rc = weft_checkpoint();
        if (rc < 0)
            return rc;
    }
    return -ETIME;
}

TASK_TEST(task, checkpoints_let_others_run_now_and_then)
{
    bool ran = false;
    weft_task *checker, *other;
    int result;
    T_OK(weft_task_spawn(&checker, check_without_end, &ran, NULL));
    T_OK(weft_task_spawn(&other, set_flag, &ran, NULL));
    T_OK(weft_task_join(checker, &result));
    cr_assert(result > 0, "%d", result);
    T_OK(weft_task_join(other, NULL));
}

/* ---- Other loops ---------------------------------------------------------------------------- */

struct place {
    uint32_t index;
    uint32_t ran;
    uint32_t cancelled;
};

static int
tell_place(void *arg)
{
    struct place *place = arg;
    weft__store(&place->index, weft_loop_index(weft_loop_current()));
    weft__store(&place->ran, 1);
    return 11;
}

LOOPS_TEST(task, runs_on_the_loop_it_was_sent_to, 3)
{
    for (int i = 0; i < 3; i++) {
        struct place place = {.index = 99};
        weft_task *task;
        int result;
        T_OK(weft_task_spawn(&task, tell_place, &place, &(weft_task_options){.on = WEFT_ON(i)}));
        T_OK(weft_task_join(task, &result));
        cr_assert(result == 11 && place.index == (uint32_t)i);
        T_OK(
            weft_task_spawn(&task, tell_place, &place, &(weft_task_options){.on = WEFT_LOOP_HERE}));
        T_OK(weft_task_join(task, &result));
        cr_assert(place.index == 0);
    }
}

LOOPS_TEST(task, a_far_one_is_awaited_again_and_again, 2)
{
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, t_forever, NULL, &(weft_task_options){.on = WEFT_ON(1)}));
    for (int i = 0; i < 5; i++) {
        weft_scope soon;
        weft_scope_open(&soon, weft_now() + WEFT_US(500));
        T_ERR(-ETIMEDOUT, weft_task_await(task, NULL));
        weft_ignore(weft_scope_close(&soon));
    }
    weft_task_cancel(task);
    T_OK(weft_task_await(task, &result));
    T_OK(weft_task_await(task, &result));
    T_OK(weft_task_join(task, &result));
    T_ERR(-ECANCELED, result);
}

static int
wait_for_cancel(void *arg)
{
    struct place *place = arg;
    weft__store(&place->ran, 1);
    int rc = weft_sleep(WEFT_FOREVER);
    weft__store(&place->cancelled, rc == -ECANCELED);
    return rc;
}

LOOPS_TEST(task, a_far_one_is_cancelled, 2)
{
    struct place place = {0};
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, wait_for_cancel, &place, &(weft_task_options){.on = WEFT_ON(1)}));
    while (!weft__load(&place.ran))
        T_OK(weft_sleep(WEFT_MS(1)));
    weft_task_cancel(task);
    T_OK(weft_task_join(task, &result));
    cr_assert(result == -ECANCELED && weft__load(&place.cancelled));
}

LOOPS_TEST(task, a_far_one_cancelled_at_once_ends_cancelled, 2)
{
    for (int i = 0; i < 200 / T_SLOW; i++) {
        struct place place = {0};
        weft_task *task;
        int result;
        int on = i % 2 == 0 ? WEFT_ON(1) : WEFT_LOOP_ANY;
        T_OK(weft_task_spawn(&task, wait_for_cancel, &place, &(weft_task_options){.on = on}));
        weft_task_cancel(task);
        T_OK(weft_task_await(task, &result));
        cr_assert(result == -ECANCELED);
        cr_assert(weft_task_get_state(task) == WEFT_TASK_CANCELLED);
        weft_task_close(task);
    }
}

static int
close_far_ones(void *arg)
{
    (void)arg;
    weft_task *task;
    T_OK(weft_task_spawn(&task, t_give, T_NUMBER(-EXDEV),
                         &(weft_task_options){.on = WEFT_ON(1), .name = "far failure"}));
    weft_task_close(task);
    T_OK(weft_task_spawn(&task, t_give, T_NUMBER(-EIO),
                         &(weft_task_options){.on = WEFT_ON(1), .name = "far observed"}));
    T_OK(weft_task_join(task, NULL));
    T_OK(weft_task_spawn(NULL, t_give, T_NUMBER(-ESRCH),
                         &(weft_task_options){.on = WEFT_LOOP_ANY, .name = "any failure"}));
    return weft_sleep(WEFT_MS(5));
}

Test(task, failures_of_far_ones_are_logged_too)
{
    t_log_begin();
    t_run_loops(close_far_ones, NULL, 2);
    cr_assert(t_logged("far failure") && t_logged("any failure"), "%s", t_log_text);
    cr_assert(!t_logged("far observed"), "%s", t_log_text);
}

static void
busy_for(weft_time duration)
{
    weft_time end = weft_now() + duration;
    while (weft_now() < end)
        continue;
}

LOOPS_TEST(task, an_idle_loop_takes_one_that_may_run_anywhere, 2)
{
    T_OK(weft_sleep(WEFT_MS(5))); /* the other one sleeps by now */
    struct place place = {.index = 99};
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, tell_place, &place, &(weft_task_options){.on = WEFT_LOOP_ANY}));
    /* This loop stays busy without a wait: nobody but the other can run it. */
    weft_time end = weft_now() + WEFT_SEC(20);
    while (!weft__load(&place.ran) && weft_now() < end)
        continue;
    cr_assert(place.index == 1);
    T_OK(weft_task_join(task, &result));
    cr_assert(result == 11);
}

LOOPS_TEST(task, a_lone_loop_takes_its_own, 1)
{
    struct place place = {.index = 99};
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, tell_place, &place, &(weft_task_options){.on = WEFT_LOOP_ANY}));
    T_OK(weft_task_join(task, &result));
    cr_assert(result == 11 && place.index == 0);
}

LOOPS_TEST(task, a_hundred_that_may_run_anywhere_all_run, 3)
{
    struct place places[100];
    weft_task *tasks[100];
    for (int i = 0; i < 100; i++) {
        places[i] = (struct place){.index = 99};
        T_OK(weft_task_spawn(&tasks[i], tell_place, &places[i],
                             &(weft_task_options){.on = WEFT_LOOP_ANY}));
        if (i % 10 == 0)
            busy_for(WEFT_US(50));
    }
    for (int i = 0; i < 100; i++) {
        T_OK(weft_task_join(tasks[i], NULL));
        cr_assert(places[i].ran && places[i].index < 3);
    }
}

static int
stay_on_one_loop(void *arg)
{
    struct place *place = arg;
    unsigned first = weft_loop_index(weft_loop_current());
    pthread_t thread = pthread_self();
    for (int i = 0; i < 20; i++) {
        int rc = i % 2 == 0 ? weft_yield() : weft_sleep(WEFT_US(100));
        if (rc < 0)
            return rc;
        if (weft_loop_index(weft_loop_current()) != first || !pthread_equal(thread, pthread_self()))
            return -EXDEV;
    }
    weft__store(&place->ran, 1);
    return 0;
}

LOOPS_TEST(task, one_that_has_started_never_moves, 2)
{
    struct place places[20];
    weft_task *tasks[20];
    for (int i = 0; i < 20; i++) {
        places[i] = (struct place){0};
        T_OK(weft_task_spawn(&tasks[i], stay_on_one_loop, &places[i],
                             &(weft_task_options){.on = WEFT_LOOP_ANY}));
    }
    for (int i = 0; i < 20; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        T_OK(result);
    }
}

/* ---- Plain threads -------------------------------------------------------------------------- */

struct threaded {
    weft_task *task;
    int result;
    int rc;
    bool cancel;
    uint32_t asked; /* it has cancelled, if it was to */
    uint32_t done;
};

static void *
join_from_thread(void *arg)
{
    struct threaded *threaded = arg;
    if (threaded->cancel)
        weft_task_cancel(threaded->task);
    weft__store(&threaded->asked, 1);
    threaded->rc = weft_task_join(threaded->task, &threaded->result);
    weft__store(&threaded->done, 1);
    return NULL;
}

static void
let_thread_join(struct threaded *threaded)
{
    pthread_t thread = t_thread(join_from_thread, threaded);
    while (!weft__load(&threaded->done))
        T_OK(weft_sleep(WEFT_MS(1)));
    t_thread_join(thread);
    T_OK(threaded->rc);
}

LOOPS_TEST(task, a_plain_thread_may_join, 2)
{
    for (int on = 0; on < 2; on++) {
        struct threaded threaded = {.result = 1};
        T_OK(weft_task_spawn(&threaded.task, t_sleep_ms, T_NUMBER(5),
                             &(weft_task_options){.on = WEFT_ON(on)}));
        let_thread_join(&threaded);
        cr_assert(threaded.result == 0);
    }
}

LOOPS_TEST(task, a_plain_thread_may_cancel, 2)
{
    for (int on = 0; on < 2; on++) {
        struct threaded threaded = {.cancel = true};
        T_OK(weft_task_spawn(&threaded.task, t_forever, NULL,
                             &(weft_task_options){.on = WEFT_ON(on)}));
        let_thread_join(&threaded);
        T_ERR(-ECANCELED, threaded.result);
    }
}

/* A task that no loop has taken yet, because the only one is busy. */
static void
thread_meets_untaken(bool cancel)
{
    struct threaded threaded = {.cancel = cancel, .result = 1};
    bool ran = false;
    T_OK(
        weft_task_spawn(&threaded.task, set_flag, &ran, &(weft_task_options){.on = WEFT_LOOP_ANY}));
    pthread_t thread = t_thread(join_from_thread, &threaded);
    while (!weft__load(&threaded.asked)) /* without a wait: the loop takes nothing */
        continue;
    busy_for(WEFT_MS(5));
    while (!weft__load(&threaded.done))
        T_OK(weft_sleep(WEFT_MS(1)));
    t_thread_join(thread);
    T_OK(threaded.rc);
    cr_assert(ran == !cancel);
    cr_assert(threaded.result == (cancel ? -ECANCELED : 3));
}

LOOPS_TEST(task, a_plain_thread_may_join_one_not_taken_yet, 1)
{
    thread_meets_untaken(false);
}

LOOPS_TEST(task, a_plain_thread_may_cancel_one_not_taken_yet, 1)
{
    thread_meets_untaken(true);
}

static void *
close_from_thread(void *arg)
{
    struct threaded *threaded = arg;
    weft_task_close(threaded->task);
    weft__store(&threaded->done, 1);
    return NULL;
}

LOOPS_TEST(task, a_plain_thread_may_close, 1)
{
    for (int i = 0; i < 3; i++) {
        struct threaded threaded = {.result = 1};
        T_OK(weft_task_spawn(&threaded.task, t_sleep_ms, T_NUMBER(i), NULL));
        pthread_t thread = t_thread(close_from_thread, &threaded);
        while (!weft__load(&threaded.done))
            T_OK(weft_sleep(WEFT_MS(1)));
        t_thread_join(thread);
    }
    T_OK(weft_sleep(WEFT_MS(5)));
    weft_loop_stats stats;
    weft_loop_stats_get(weft_loop_current(), &stats);
    cr_assert(stats.live == 1);
}

static int
measure_an_ended_one(void *arg)
{
    (void)arg;
    weft_task *task;
    T_OK(weft_task_spawn(&task, use_200_kib, NULL, &(weft_task_options){.stack_size = 256 << 10}));
    T_OK(weft_task_await(task, NULL));
    size_t used = weft_task_stack_used(task);
    cr_assert(used >= (200 << 10) && used <= (256 << 10), "%zu", used);
    weft_task_close(task);
    return 0;
}

Test(task, measured_stacks_are_known_after_the_end)
{
    t_leak_begin();
    T_OK(weft_run(measure_an_ended_one, NULL,
                  &(weft_options){.loops = 1, .measure_stacks = 1, .signals = WEFT_SIGNALS_NONE}));
    t_leak_end();
}

/* ---- Requests that come too late ------------------------------------------------------------ */

static void *
cancel_from_thread(void *task)
{
    weft_task_cancel(task);
    return NULL;
}

/* Is alive until its cancellation has been asked for, and ends before it comes. */
static int
end_when_cancelled(void *arg)
{
    bool *ended = arg;
    t_thread_join(t_thread(cancel_from_thread, weft_task_self()));
    *ended = true;
    return 0;
}

/* Not each time, for messages may be looked at first. */
TASK_TEST(task, one_without_a_handle_leaves_no_request_to_its_successor)
{
    for (int round = 0; round < 8; round++) {
        bool ended = false;
        T_OK(weft_task_spawn(NULL, end_when_cancelled, &ended, NULL));
        while (!ended)
            T_OK(weft_yield());
        /* It gets the memory of the one that ended. */
        weft_task *next;
        T_OK(weft_task_spawn(&next, t_forever, NULL, NULL));
        t_thread_join(t_thread(cancel_from_thread, next));
        int result;
        T_OK(weft_task_join(next, &result));
        cr_assert(result == -ECANCELED);
    }
}
