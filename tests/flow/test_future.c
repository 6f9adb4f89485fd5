/*
 * test_future.c - a result handed over once, between tasks, loops and plain threads.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/executor.h>
#include <weft/future.h>

#include "base/t_child.h"
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

/* ---- Cancelled, failed, with a value --------------------------------------------------------- */

TASK_TEST(future, cancelling_it_is_a_result_and_ends_no_wait)
{
    weft_future future;
    weft_task *waiter;
    int result = 0;
    weft_future_open(&future);
    cr_assert(!weft_future_cancelled(&future));
    T_OK(weft_task_spawn(&waiter, wait_for, &future, NULL));
    T_OK(weft_yield());
    T_OK(weft_future_cancel(&future));
    T_OK(weft_future_wait(&future, &result));
    T_ERR(-ECANCELED, result);
    cr_assert(weft_future_cancelled(&future) && weft_future_done(&future));
    T_ERR(-EALREADY, weft_future_set(&future, 1));
    T_ERR(-EALREADY, weft_future_cancel(&future));
    T_OK(weft_task_join(waiter, &result));
    T_ERR(-ECANCELED, result);
    weft_future_close(&future);
}

TASK_TEST(future, a_result_of_minus_ecanceled_is_no_cancelling)
{
    weft_future future;
    weft_future_open(&future);
    T_OK(weft_future_set(&future, -ECANCELED));
    cr_assert(!weft_future_cancelled(&future));
    T_ERR(-EALREADY, weft_future_cancel(&future));
    cr_assert(!weft_future_cancelled(&future));
    weft_future_close(&future);
}

static char seen_text[2][200];

static int
wait_and_note_text(void *arg)
{
    int result;
    int rc = weft_future_wait(arg, &result);
    strcpy(seen_text[0], weft_error_text());
    return rc < 0 ? rc : result;
}

static void *
wait_and_note_text_on_thread(void *arg)
{
    int result;
    if (weft_future_wait(arg, &result) == 0 && result == -ENOENT)
        strcpy(seen_text[1], weft_error_text());
    return NULL;
}

LOOPS_TEST(future, every_waiter_reads_why_it_failed, 2)
{
    weft_future future;
    weft_task *waiter;
    int result;
    char text[] = "no such page: /nowhere";
    weft_future_open(&future);
    pthread_t thread = t_thread(wait_and_note_text_on_thread, &future);
    T_OK(weft_task_spawn(&waiter, wait_and_note_text, &future,
                         &(weft_task_options){.on = WEFT_ON(1)}));
    T_OK(weft_sleep(WEFT_MS(1)));
    T_OK(weft_future_fail(&future, -ENOENT, text));
    memset(text, 'x', sizeof text - 1); /* it was copied */
    T_OK(weft_task_join(waiter, &result));
    T_ERR(-ENOENT, result);
    t_thread_join(thread);
    T_OK(weft_future_wait(&future, &result));
    cr_assert_str_eq(weft_error_text(), "no such page: /nowhere");
    cr_assert_str_eq(seen_text[0], weft_error_text());
    cr_assert_str_eq(seen_text[1], weft_error_text());
    weft_future_close(&future);
}

TASK_TEST(future, a_failure_needs_no_words_and_keeps_the_first_ones)
{
    weft_future future;
    int result;
    weft_future_open(&future);
    T_OK(weft_future_fail(&future, -EIO, NULL));
    T_ERR(-EALREADY, weft_future_fail(&future, -EPERM, "too late"));
    T_OK(weft_future_wait(&future, &result));
    T_ERR(-EIO, result);
    cr_assert_str_eq(weft_error_text(), "");
    weft_future_close(&future);
    weft_future_open(&future);
    T_OK(weft_future_fail(&future, -EIO, ""));
    weft_future_close(&future);
}

TASK_TEST(future, a_failure_without_memory_for_its_words_arrives_alone)
{
    weft_future future;
    int result;
    weft_future_open(&future);
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    T_OK(weft_future_fail(&future, -EIO, "the disk is on fire"));
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_OK(weft_future_wait(&future, &result));
    T_ERR(-EIO, result);
    cr_assert_str_eq(weft_error_text(), "");
    weft_future_close(&future);
}

TASK_TEST(future, words_beyond_the_limit_are_cut)
{
    weft_future future;
    char text[400];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    weft_future_open(&future);
    T_OK(weft_future_fail(&future, -EIO, text));
    T_OK(weft_future_wait(&future, NULL));
    cr_assert(strlen(weft_error_text()) == 191);
    weft_future_close(&future);
}

TASK_TEST(future, a_value_comes_with_the_result)
{
    weft_future future;
    int page, other, result = 7;
    weft_future_open(&future);
    cr_assert(weft_future_value(&future) == NULL);
    T_OK(weft_future_set_value(&future, &page));
    T_ERR(-EALREADY, weft_future_set_value(&future, &other));
    T_OK(weft_future_wait(&future, &result));
    cr_assert(result == 0);
    cr_assert(weft_future_value(&future) == &page);
    cr_assert(weft_future_value(&future) == &page);
    weft_future_close(&future);
}

static weft_future handed;
static uint32_t takers;

static void *
take_it(void *arg)
{
    (void)arg;
    if (weft_future_wait(&handed, NULL) == 0 && weft_future_take(&handed) != NULL)
        weft__fetch_add(&takers, 1);
    return NULL;
}

Test(future, of_all_takers_one_gets_the_value)
{
    for (int i = 0; i < 50 / T_SLOW; i++) {
        pthread_t threads[4];
        weft_future_open(&handed);
        weft__store(&takers, 0);
        for (int t = 0; t < 4; t++)
            threads[t] = t_thread(take_it, NULL);
        T_OK(weft_future_set_value(&handed, &i));
        for (int t = 0; t < 4; t++)
            t_thread_join(threads[t]);
        cr_assert(weft__load(&takers) == 1);
        cr_assert(weft_future_value(&handed) == NULL);
        weft_future_close(&handed);
    }
}

static int
set_from_executor(void *arg)
{
    return weft_future_set(arg, 30);
}

LOOPS_TEST(future, is_set_by_a_job_of_the_executor, 1)
{
    weft_future future;
    int result;
    weft_future_open(&future);
    T_OK(weft_blocking(set_from_executor, &future));
    T_OK(weft_future_wait(&future, &result));
    cr_assert(result == 30);
    weft_future_close(&future);
}

/* ---- Callbacks ------------------------------------------------------------------------------ */

struct heard {
    weft_future_callback callback;
    weft_future *future;
    struct heard *takes_back; /* when called */
    int taken_back;
    int order;
    int calls;
    int result;
    bool saw_done;
    pthread_t thread;
};

static int calls_made;

static void
hear(void *arg, int result)
{
    struct heard *heard = arg;
    heard->calls++;
    heard->order = calls_made++;
    heard->result = result;
    heard->thread = pthread_self();
    if (heard->future != NULL)
        heard->saw_done = weft_future_done(heard->future);
    if (heard->takes_back != NULL)
        heard->taken_back = weft_future_off_done(heard->future, &heard->takes_back->callback);
}

TASK_TEST(future, callbacks_run_once_in_order_before_waiters_go_on)
{
    weft_future future;
    weft_task *waiter;
    struct heard heard[3] = {{.future = &future}};
    int result;
    calls_made = 0;
    weft_future_open(&future);
    for (int i = 0; i < 3; i++)
        weft_future_on_done(&future, &heard[i].callback, hear, &heard[i]);
    T_OK(weft_task_spawn(&waiter, wait_for, &future, NULL));
    T_OK(weft_yield());
    T_OK(weft_future_set(&future, 12));
    for (int i = 0; i < 3; i++)
        cr_assert(heard[i].calls == 1 && heard[i].order == i && heard[i].result == 12);
    cr_assert(!heard[0].saw_done); /* done means that they have run */
    T_ERR(-EALREADY, weft_future_set(&future, 13));
    T_OK(weft_task_join(waiter, &result));
    cr_assert(result == 12 && calls_made == 3);
    weft_future_close(&future);
}

TASK_TEST(future, a_callback_on_a_finished_future_runs_at_once)
{
    weft_future future;
    struct heard heard = {.calls = 0};
    weft_future_open(&future);
    T_OK(weft_future_cancel(&future));
    weft_future_on_done(&future, &heard.callback, hear, &heard);
    cr_assert(heard.calls == 1);
    T_ERR(-ECANCELED, heard.result);
    cr_assert(weft_future_off_done(&future, &heard.callback) == 0);
    weft_future_close(&future);
}

TASK_TEST(future, a_callback_taken_back_is_never_called)
{
    weft_future future;
    struct heard heard[3] = {{.calls = 0}};
    weft_future_open(&future);
    for (int i = 0; i < 3; i++)
        weft_future_on_done(&future, &heard[i].callback, hear, &heard[i]);
    cr_assert(weft_future_off_done(&future, &heard[1].callback) == 1);
    cr_assert(weft_future_off_done(&future, &heard[1].callback) == 0);
    T_OK(weft_future_set(&future, 1));
    cr_assert(heard[0].calls == 1 && heard[1].calls == 0 && heard[2].calls == 1);
    weft_future_close(&future);
}

TASK_TEST(future, a_callback_may_take_the_next_one_back)
{
    weft_future future;
    struct heard heard[2] = {{.future = &future, .takes_back = &heard[1]}};
    weft_future_open(&future);
    for (int i = 0; i < 2; i++)
        weft_future_on_done(&future, &heard[i].callback, hear, &heard[i]);
    T_OK(weft_future_set(&future, 1));
    cr_assert(heard[0].calls == 1 && heard[0].taken_back == 1 && heard[1].calls == 0);
    weft_future_close(&future);
}

static void
hear_and_add(void *arg, int result)
{
    struct heard *heard = arg;
    hear(heard, result);
    weft_future_on_done(heard->future, &heard[1].callback, hear, &heard[1]);
}

TASK_TEST(future, a_callback_added_by_a_callback_runs_too)
{
    weft_future future;
    struct heard heard[2] = {{.future = &future}};
    weft_future_open(&future);
    weft_future_on_done(&future, &heard[0].callback, hear_and_add, &heard[0]);
    T_OK(weft_future_set(&future, 1));
    cr_assert(heard[0].calls == 1 && heard[1].calls == 1);
    weft_future_close(&future);
}

LOOPS_TEST(future, callbacks_run_on_the_thread_that_sets, 1)
{
    weft_future future;
    struct heard heard = {.calls = 0};
    weft_future_open(&future);
    weft_future_on_done(&future, &heard.callback, hear, &heard);
    pthread_t thread = t_thread(set_on_heap, &future);
    T_OK(weft_future_wait(&future, NULL));
    cr_assert(heard.calls == 1 && pthread_equal(heard.thread, thread));
    t_thread_join(thread);
    weft_future_close(&future);
}

/* Registered and taken back while another thread sets: called or taken back, never both, never
 * neither; and after a wait its memory may go. */
Test(future, called_or_taken_back_never_both_never_neither)
{
    for (int i = 0; i < 300 / T_SLOW; i++) {
        weft_future future;
        struct heard *heard = calloc(1, sizeof *heard);
        cr_assert(heard != NULL);
        weft_future_open(&future);
        pthread_t thread = t_thread(set_on_heap, &future);
        weft_future_on_done(&future, &heard->callback, hear, heard);
        for (volatile int spin = 0; spin < i * 20; spin++)
            continue;
        int taken = weft_future_off_done(&future, &heard->callback);
        T_OK(weft_future_wait(&future, NULL));
        cr_assert(heard->calls == 1 - taken);
        memset(heard, 0xa5, sizeof *heard);
        free(heard);
        t_thread_join(thread);
        weft_future_close(&future);
    }
}

static void
close_with_a_callback(void)
{
    weft_future future;
    weft_future_callback callback;
    weft_future_open(&future);
    weft_future_on_done(&future, &callback, hear, NULL);
    weft_future_close(&future);
}

static void
fail_with_success(void)
{
    weft_future future;
    weft_future_open(&future);
    weft_future_fail(&future, 3, "three");
}

static int
close_under_a_waiter_task(void *arg)
{
    (void)arg;
    static weft_future future;
    weft_future_open(&future);
    weft_task_spawn(NULL, wait_for, &future, NULL);
    weft_ignore(weft_yield());
    weft_future_close(&future);
    return 0;
}

static void
close_under_a_waiter(void)
{
    weft_ignore(weft_run(close_under_a_waiter_task, NULL, &(weft_options){.loops = 1}));
}

Test(future, broken_promises_abort_with_the_sentence)
{
    static const struct {
        void (*fn)(void);
        const char *sentence;
    } cases[] = {
        {close_with_a_callback, "closed before its callbacks were called or taken back"},
        {fail_with_success, "a future fails with a negative code"},
        {close_under_a_waiter, "a future was closed while tasks wait for it"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[4096];
        int status = t_child_run(cases[i].fn, text, sizeof text);
        cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%zu: %d", i, status);
        cr_assert(strstr(text, cases[i].sentence) != NULL, "%zu: %s", i, text);
    }
}
