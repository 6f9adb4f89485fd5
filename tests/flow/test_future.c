/*
 * test_future.c - a result handed over once, between tasks, loops and plain threads.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/future.h>

#include "task/t_core.h"

TestSuite(future, .timeout = 60);

TASK_TEST(future, has_no_result_until_it_is_set)
{
    weft_future future;
    int result = 0;
    weft_future_open(&future);
    cr_assert(!weft_future_done(&future));
    T_OK(weft_future_set(&future, 17));
    cr_assert(weft_future_done(&future));
    T_OK(weft_future_wait(&future, &result));
    cr_assert(result == 17);
    T_OK(weft_future_wait(&future, NULL));
    weft_future_close(&future);
}

TASK_TEST(future, the_first_result_stays)
{
    weft_future future;
    int result = 0;
    weft_future_open(&future);
    T_OK(weft_future_set(&future, -5));
    T_ERR(-EALREADY, weft_future_set(&future, 6));
    T_OK(weft_future_wait(&future, &result));
    cr_assert(result == -5);
    weft_future_close(&future);
}

static int
wait_for(void *arg)
{
    int result;
    int rc = weft_future_wait(arg, &result);
    return rc < 0 ? rc : result;
}

TASK_TEST(future, all_who_wait_go_on)
{
    weft_future future;
    weft_task *tasks[10];
    weft_future_open(&future);
    for (int i = 0; i < 10; i++)
        T_OK(weft_task_spawn(&tasks[i], wait_for, &future, NULL));
    T_OK(weft_yield());
    T_OK(weft_future_set(&future, 8));
    for (int i = 0; i < 10; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        cr_assert(result == 8);
    }
    weft_future_close(&future);
}

TASK_TEST(future, a_cancelled_wait_leaves_the_others)
{
    weft_future future;
    weft_task *tasks[3];
    int result;
    weft_future_open(&future);
    for (int i = 0; i < 3; i++)
        T_OK(weft_task_spawn(&tasks[i], wait_for, &future, NULL));
    T_OK(weft_yield());
    weft_task_cancel(tasks[1]);
    T_OK(weft_task_join(tasks[1], &result));
    T_ERR(-ECANCELED, result);
    weft_scope soon;
    weft_scope_open(&soon, WEFT_MS(1));
    T_ERR(-ETIMEDOUT, weft_future_wait(&future, &result));
    weft_ignore(weft_scope_close(&soon));
    T_OK(weft_future_set(&future, 3));
    for (int i = 0; i < 3; i += 2) {
        T_OK(weft_task_join(tasks[i], &result));
        cr_assert(result == 3);
    }
    weft_future_close(&future);
}

TASK_TEST(future, cancellation_wins_over_a_result_that_is_there)
{
    weft_future future;
    weft_future_open(&future);
    T_OK(weft_future_set(&future, 1));
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_future_wait(&future, NULL));
    T_ERR(-ECANCELED, weft_scope_close(&scope));
    weft_future_close(&future);
}

static int
set_it(void *arg)
{
    return weft_future_set(arg, 21);
}

LOOPS_TEST(future, from_loop_to_loop, 3)
{
    for (int i = 0; i < 3; i++) {
        weft_future future;
        weft_task *waiter;
        int result;
        weft_future_open(&future);
        T_OK(weft_task_spawn(&waiter, wait_for, &future, &(weft_task_options){.on = WEFT_ON(i)}));
        T_OK(weft_task_spawn(NULL, set_it, &future,
                             &(weft_task_options){.on = WEFT_ON((i + 1) % 3)}));
        T_OK(weft_future_wait(&future, &result));
        cr_assert(result == 21);
        T_OK(weft_task_join(waiter, &result));
        cr_assert(result == 21);
        weft_future_close(&future);
    }
}

/* Each thread waits for one future and sets the next. */
struct relay {
    weft_future in;
    weft_future *out;
    int rc;
};

static void *
pass_on(void *arg)
{
    struct relay *relay = arg;
    int result;
    relay->rc = weft_future_wait(&relay->in, &result);
    if (relay->rc == 0)
        relay->rc = weft_future_set(relay->out, result + 1);
    return NULL;
}

LOOPS_TEST(future, through_plain_threads_and_back, 1)
{
    struct relay relays[5];
    pthread_t threads[5];
    weft_future end;
    int result;
    weft_future_open(&end);
    for (int i = 0; i < 5; i++) {
        weft_future_open(&relays[i].in);
        relays[i].out = i < 4 ? &relays[i + 1].in : &end;
    }
    for (int i = 0; i < 5; i++)
        threads[i] = t_thread(pass_on, &relays[i]);
    T_OK(weft_future_set(&relays[0].in, 100));
    T_OK(weft_future_wait(&end, &result));
    cr_assert(result == 105);
    for (int i = 0; i < 5; i++) {
        t_thread_join(threads[i]);
        T_OK(relays[i].rc);
        weft_future_close(&relays[i].in);
    }
    weft_future_close(&end);
}

Test(future, between_plain_threads_alone)
{
    struct relay relay;
    weft_future end;
    int result;
    weft_future_open(&relay.in);
    weft_future_open(&end);
    relay.out = &end;
    pthread_t thread = t_thread(pass_on, &relay);
    T_OK(weft_future_set(&relay.in, 1));
    T_OK(weft_future_wait(&end, &result));
    cr_assert(result == 2);
    t_thread_join(thread);
    weft_future_close(&relay.in);
    weft_future_close(&end);
}

/* A waiter may end the future the moment it has the result, while the setter is still on its
 * way out: the memory is overwritten at once. */
static void *
set_on_heap(void *arg)
{
    weft_future_set(arg, 1);
    return NULL;
}

LOOPS_TEST(future, a_waiter_may_end_it_at_once, 1)
{
    for (int i = 0; i < 200 / T_SLOW; i++) {
        weft_future *future = malloc(sizeof *future);
        cr_assert(future != NULL);
        weft_future_open(future);
        pthread_t thread = t_thread(set_on_heap, future);
        T_OK(weft_future_wait(future, NULL));
        weft_future_close(future);
        memset(future, 0xa5, sizeof *future);
        free(future);
        t_thread_join(thread);
    }
}

Test(future, a_waiting_plain_thread_may_end_it_at_once)
{
    for (int i = 0; i < 200 / T_SLOW; i++) {
        weft_future *future = malloc(sizeof *future);
        cr_assert(future != NULL);
        weft_future_open(future);
        pthread_t thread = t_thread(set_on_heap, future);
        T_OK(weft_future_wait(future, NULL));
        weft_future_close(future);
        memset(future, 0xa5, sizeof *future);
        free(future);
        t_thread_join(thread);
    }
}

static uint32_t winners;

static void *
try_to_set(void *arg)
{
    if (weft_future_set(arg, 4) == 0)
        weft__fetch_add(&winners, 1);
    return NULL;
}

Test(future, of_many_setters_one_wins)
{
    for (int i = 0; i < 50 / T_SLOW; i++) {
        weft_future future;
        pthread_t threads[4];
        weft_future_open(&future);
        weft__store(&winners, 0);
        for (int t = 0; t < 4; t++)
            threads[t] = t_thread(try_to_set, &future);
        for (int t = 0; t < 4; t++)
            t_thread_join(threads[t]);
        cr_assert(weft__load(&winners) == 1);
        weft_future_close(&future);
    }
}
