/*
 * test_promise.c - futures with a count: either end may go first, and nobody waits for ever.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/promise.h>

#include "base/t_child.h"
#include "task/t_core.h"

TestSuite(promise, .timeout = 60);

TASK_TEST(promise, its_result_reaches_the_future_after_it_is_gone)
{
    weft_promise *promise;
    weft_future *future;
    int result;
    T_OK(weft_promise_new(&promise, &future));
    cr_assert(weft_promise_future(promise) == future);
    T_OK(weft_promise_set(promise, 5));
    T_ERR(-EALREADY, weft_promise_set(promise, 6));
    weft_promise_free(promise);
    T_OK(weft_future_wait(future, &result));
    cr_assert(result == 5);
    weft_future_unref(future);
}

TASK_TEST(promise, dropped_without_a_result_says_so)
{
    weft_promise *promise;
    weft_future *future;
    int result;
    T_OK(weft_promise_new(&promise, &future));
    weft_promise_free(promise);
    T_OK(weft_future_wait(future, &result));
    T_ERR(-EPIPE, result);
    cr_assert_str_eq(weft_error_text(), "the promise of this future was dropped without a result");
    weft_future_unref(future);
}

TASK_TEST(promise, outlives_all_who_wanted_its_result)
{
    weft_promise *promise;
    weft_future *future;
    T_OK(weft_promise_new(&promise, &future));
    cr_assert(weft_future_ref(future) == future);
    weft_future_unref(future);
    weft_future_unref(future);
    T_OK(weft_promise_set(promise, 5));
    weft_promise_free(promise);
    weft_promise_free(NULL);
    weft_future_unref(NULL);
}

static void
note_result(void *arg, int result)
{
    *(int *)arg = result;
}

TASK_TEST(promise, hears_of_a_cancelled_future)
{
    weft_promise *promise;
    weft_future *future;
    weft_future_callback callback;
    int heard = 0, result;
    T_OK(weft_promise_new(&promise, &future));
    weft_future_on_done(weft_promise_future(promise), &callback, note_result, &heard);
    T_OK(weft_future_cancel(future));
    T_ERR(-ECANCELED, heard);
    T_ERR(-EALREADY, weft_promise_set(promise, 1));
    weft_promise_free(promise);
    T_OK(weft_future_wait(future, &result));
    T_ERR(-ECANCELED, result);
    weft_future_unref(future);
}

TASK_TEST(promise, fails_with_words_that_last_as_long_as_the_future)
{
    weft_promise *promise;
    weft_future *future;
    T_OK(weft_promise_new(&promise, &future));
    T_OK(weft_future_fail(weft_promise_future(promise), -EIO, "sector 7"));
    weft_promise_free(promise);
    T_OK(weft_future_wait(future, NULL));
    cr_assert_str_eq(weft_error_text(), "sector 7");
    weft_future_unref(future);
}

TASK_TEST(promise, needs_memory_and_says_when_there_is_none)
{
    weft_promise *promise = NULL;
    weft_future *future = NULL;
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    int rc = weft_promise_new(&promise, &future);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_ERR(-ENOMEM, rc);
    cr_assert(promise == NULL && future == NULL);
}

static void *
give_from_thread(void *arg)
{
    weft_promise_set(arg, 9);
    weft_promise_free(arg);
    return NULL;
}

static int
wait_and_let_go(void *arg)
{
    int result;
    int rc = weft_future_wait(arg, &result);
    weft_future_unref(arg);
    return rc < 0 ? rc : result;
}

static void *
wait_and_let_go_on_thread(void *arg)
{
    weft_ignore(wait_and_let_go(arg));
    return NULL;
}

/* Tasks of two loops and a thread wait, the giver and they let go in any order. */
LOOPS_TEST(promise, is_freed_once_whoever_is_last, 2)
{
    for (int i = 0; i < 100 / T_SLOW; i++) {
        weft_promise *promise;
        weft_future *future;
        weft_task *tasks[2];
        int result;
        T_OK(weft_promise_new(&promise, &future));
        for (int t = 0; t < 2; t++)
            T_OK(weft_task_spawn(&tasks[t], wait_and_let_go, weft_future_ref(future),
                                 &(weft_task_options){.on = WEFT_ON(t)}));
        pthread_t waiter = t_thread(wait_and_let_go_on_thread, weft_future_ref(future));
        weft_future_unref(future);
        pthread_t giver = t_thread(give_from_thread, promise);
        for (int t = 0; t < 2; t++) {
            T_OK(weft_task_join(tasks[t], &result));
            cr_assert(result == 9);
        }
        t_thread_join(giver);
        t_thread_join(waiter);
    }
}

/* The complaint: an error that nobody is told of, and a waiter that hangs, because whoever was to
 * give the result died. */
static int
die_with_the_promise(void *arg)
{
    int rc = weft_sleep(WEFT_SEC(1));
    if (rc == 0)
        rc = weft_promise_set(arg, 1);
    weft_promise_free(arg);
    return rc;
}

TASK_TEST(promise, complaint_26_a_giver_that_dies_is_noticed)
{
    weft_promise *promise;
    weft_future *future;
    weft_task *giver;
    int result;
    T_OK(weft_promise_new(&promise, &future));
    T_OK(weft_task_spawn(&giver, die_with_the_promise, promise, NULL));
    T_OK(weft_yield());
    weft_task_cancel(giver);
    T_OK(weft_future_wait(future, &result));
    T_ERR(-EPIPE, result);
    weft_future_unref(future);
    T_OK(weft_task_join(giver, &result));
    T_ERR(-ECANCELED, result);
}

static void
close_a_counted_one(void)
{
    weft_promise *promise;
    weft_future *future;
    if (weft_promise_new(&promise, &future) == 0)
        weft_future_close(future);
}

static void
count_one_of_the_caller(void)
{
    weft_future future;
    weft_future_open(&future);
    weft_future_ref(&future);
}

Test(promise, mixing_the_two_kinds_of_futures_aborts)
{
    char text[4096];
    int status = t_child_run(close_a_counted_one, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert(strstr(text, "a promise's future ends by weft_future_unref") != NULL, "%s", text);
    status = t_child_run(count_one_of_the_caller, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert(strstr(text, "only a promise's future is counted") != NULL, "%s", text);
}
