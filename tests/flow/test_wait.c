/*
 * test_wait.c - waiting for the first or all of several tasks, in order of completion, for a time,
 * or shielded: on one loop, over several, and from plain threads.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <weft/scope.h>
#include <weft/sync.h>
#include <weft/wait.h>

#include "base/t_child.h"
#include "task/t_core.h"

TestSuite(wait, .timeout = 60);

#define MANY 40 /* more than are watched from the stack */

/* Sleeps as many milliseconds as the number says, then gives it; fails with it when negative. */
static int
sleep_and_give(void *arg)
{
    intptr_t ms = (intptr_t)arg;
    int rc = weft_sleep(WEFT_MS(ms < 0 ? -ms : ms));
    return rc < 0 ? rc : (int)ms;
}

static void
spawn(weft_task **tasks, const int *ms, size_t n)
{
    for (size_t i = 0; i < n; i++)
        T_OK(weft_task_spawn(&tasks[i], sleep_and_give, T_NUMBER(ms[i]), NULL));
}

/* Cancels what still runs, and joins all. */
static void
end(weft_task **tasks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        weft_task_cancel(tasks[i]);
        T_OK(weft_task_join(tasks[i], NULL));
    }
}

/* ---- weft_wait ------------------------------------------------------------------------------ */

TASK_TEST(wait, the_first_ends_it_and_the_rest_goes_on)
{
    static const int ms[4] = {4, 2, 3, 5};
    weft_task *tasks[4];
    weft_outcome outcomes[4];
    spawn(tasks, ms, 4);
    weft_time start = weft_now();
    cr_assert(weft_wait(tasks, 4, WEFT_FIRST_COMPLETED, outcomes) == 1);
    cr_assert(weft_now() - start == WEFT_MS(2));
    for (int i = 0; i < 4; i++)
        cr_assert(outcomes[i].done == (i == 1) && outcomes[i].result == (i == 1 ? 2 : 0));
    /* Then the pending ones, as in asyncio's example. */
    cr_assert(weft_wait(tasks, 4, WEFT_ALL_COMPLETED, outcomes) == 4);
    cr_assert(weft_now() - start == WEFT_MS(5));
    for (int i = 0; i < 4; i++)
        cr_assert(outcomes[i].done && outcomes[i].result == ms[i]);
    end(tasks, 4);
}

TASK_TEST(wait, the_first_failure_ends_it)
{
    weft_task *tasks[4];
    weft_outcome outcomes[4];
    spawn(tasks, (int[]){1, 2, -3, 50}, 4);
    weft_time start = weft_now();
    cr_assert(weft_wait(tasks, 4, WEFT_FIRST_FAILURE, outcomes) == 3);
    cr_assert(weft_now() - start == WEFT_MS(3));
    cr_assert(outcomes[2].result == -3 && !outcomes[3].done);
    end(tasks, 4);
}

TASK_TEST(wait, a_cancelled_task_counts_as_a_failure)
{
    weft_task *tasks[2];
    spawn(tasks, (int[]){20, 50}, 2);
    weft_task_cancel(tasks[0]);
    weft_outcome outcomes[2];
    cr_assert(weft_wait(tasks, 2, WEFT_FIRST_FAILURE, outcomes) == 1);
    T_ERR(-ECANCELED, outcomes[0].result);
    /* And again when that is known from the start. */
    cr_assert(weft_wait(tasks, 2, WEFT_FIRST_FAILURE, NULL) == 1);
    end(tasks, 2);
}

TASK_TEST(wait, without_a_failure_all_are_waited_for)
{
    weft_task *tasks[3];
    spawn(tasks, (int[]){3, 1, 2}, 3);
    weft_time start = weft_now();
    cr_assert(weft_wait(tasks, 3, WEFT_FIRST_FAILURE, NULL) == 3);
    cr_assert(weft_now() - start == WEFT_MS(3));
    end(tasks, 3);
}

TASK_TEST(wait, for_many_wakes_once)
{
    weft_task *tasks[MANY];
    weft_loop_stats before, after;
    for (int i = 0; i < MANY; i++)
        T_OK(weft_task_spawn(&tasks[i], sleep_and_give, T_NUMBER(1 + i), NULL));
    T_OK(weft_yield());
    weft_loop_stats_get(weft_loop_current(), &before);
    cr_assert(weft_wait(tasks, MANY, WEFT_ALL_COMPLETED, NULL) == MANY);
    weft_loop_stats_get(weft_loop_current(), &after);
    cr_assert(after.switches - before.switches == MANY + 1);
    end(tasks, MANY);
}

TASK_TEST(wait, for_nothing_is_over_at_once)
{
    cr_assert(weft_wait(NULL, 0, WEFT_ALL_COMPLETED, NULL) == 0);
    cr_assert(weft_wait(NULL, 0, WEFT_FIRST_COMPLETED, NULL) == 0);
}

TASK_TEST(wait, refuses_oneself_and_unknown_modes)
{
    weft_task *self = weft_task_self();
    T_ERR(-EDEADLK, weft_wait(&self, 1, WEFT_ALL_COMPLETED, NULL));
    T_ERR(-EINVAL, weft_wait(NULL, 0, (weft_wait_mode)9, NULL));
}

TASK_TEST(wait, the_same_task_may_be_named_twice)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, sleep_and_give, T_NUMBER(2), NULL));
    weft_task *twice[2] = {task, task};
    weft_outcome outcomes[2];
    cr_assert(weft_wait(twice, 2, WEFT_ALL_COMPLETED, outcomes) == 2);
    cr_assert(outcomes[0].result == 2 && outcomes[1].result == 2);
    T_OK(weft_task_join(task, NULL));
}

TASK_TEST(wait, a_deadline_ends_the_waiting_alone)
{
    weft_task *tasks[2];
    weft_outcome outcomes[2] = {{.done = 7}, {.done = 7}};
    spawn(tasks, (int[]){3, 30}, 2);
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(10));
    T_ERR(-ETIMEDOUT, weft_wait(tasks, 2, WEFT_ALL_COMPLETED, outcomes));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    cr_assert(outcomes[0].done == 7 && outcomes[1].done == 7); /* untouched */
    cr_assert(weft_wait(tasks, 2, WEFT_ALL_COMPLETED, outcomes) == 2);
    cr_assert(outcomes[1].result == 30);
    end(tasks, 2);
}

TASK_TEST(wait, looks_for_cancellation_though_all_have_ended)
{
    weft_task *task;
    weft_scope scope;
    T_OK(weft_task_spawn(&task, t_give, T_NUMBER(1), NULL));
    T_OK(weft_yield());
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_wait(&task, 1, WEFT_ALL_COMPLETED, NULL));
    weft_ignore(weft_scope_close(&scope));
    T_OK(weft_task_join(task, NULL));
}

TASK_TEST(wait, for_many_needs_memory_and_for_few_none)
{
    weft_task *tasks[MANY];
    for (int i = 0; i < MANY; i++)
        T_OK(weft_task_spawn(&tasks[i], sleep_and_give, T_NUMBER(1 + i), NULL));
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, true, 0);
    int many = weft_wait(tasks, MANY, WEFT_ALL_COMPLETED, NULL);
    int few = weft_wait(tasks, 16, WEFT_ALL_COMPLETED, NULL);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_ERR(-ENOMEM, many);
    cr_assert(few == 16);
    cr_assert(weft_wait(tasks, MANY, WEFT_ALL_COMPLETED, NULL) == MANY);
    end(tasks, MANY);
}

static int
fail_at_once(void *arg)
{
    (void)arg;
    return -EIO;
}

/* The complaint: tasks that fail while nobody looks. Waiting for the moment alone is no look. */
TASK_TEST(wait, complaint_26_a_failure_that_was_not_told_is_reported)
{
    weft_task *tasks[2];
    weft_outcome outcomes[2];
    t_log_begin();
    T_OK(weft_task_spawn(&tasks[0], fail_at_once, NULL, &(weft_task_options){.name = "untold"}));
    cr_assert(weft_wait(tasks, 1, WEFT_ALL_COMPLETED, NULL) == 1);
    weft_task_close(tasks[0]);
    cr_assert(t_logged("untold"), "%s", t_log_text);
    T_OK(weft_task_spawn(&tasks[1], fail_at_once, NULL, &(weft_task_options){.name = "told"}));
    cr_assert(weft_wait(&tasks[1], 1, WEFT_ALL_COMPLETED, outcomes) == 1);
    weft_task_close(tasks[1]);
    cr_assert(!t_logged("\"told\""), "%s", t_log_text);
    weft_set_log(NULL, NULL);
}

static int
cancelled_while_watching(void *arg)
{
    return weft_wait(arg, 2, WEFT_ALL_COMPLETED, (weft_outcome[2]){{0}});
}

TASK_TEST(wait, complaint_26_a_cancelled_wait_has_observed_nothing)
{
    weft_task *tasks[2], *waiter;
    int result;
    t_log_begin();
    T_OK(weft_task_spawn(&tasks[0], fail_at_once, NULL, &(weft_task_options){.name = "unseen"}));
    T_OK(weft_task_spawn(&tasks[1], t_forever, NULL, NULL));
    T_OK(weft_task_spawn(&waiter, cancelled_while_watching, tasks, NULL));
    T_OK(weft_sleep(WEFT_MS(1)));
    weft_task_cancel(waiter);
    T_OK(weft_task_join(waiter, &result));
    T_ERR(-ECANCELED, result);
    weft_task_close(tasks[0]);
    cr_assert(t_logged("unseen"), "%s", t_log_text);
    end(&tasks[1], 1);
    weft_set_log(NULL, NULL);
}

static void
spawn_over_loops(weft_task **tasks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int on = i % 4 == 3 ? WEFT_LOOP_ANY : WEFT_ON((int)(i % weft_loop_count()));
        T_OK(weft_task_spawn(&tasks[i], sleep_and_give, T_NUMBER(1 + i % 7),
                             &(weft_task_options){.on = on}));
    }
}

LOOPS_TEST(wait, for_tasks_of_several_loops, 3)
{
    weft_task *tasks[MANY];
    weft_outcome outcomes[MANY];
    spawn_over_loops(tasks, MANY);
    cr_assert(weft_wait(tasks, MANY, WEFT_FIRST_COMPLETED, outcomes) >= 1);
    cr_assert(weft_wait(tasks, MANY, WEFT_ALL_COMPLETED, outcomes) == MANY);
    for (int i = 0; i < MANY; i++)
        cr_assert(outcomes[i].done && outcomes[i].result == 1 + i % 7);
    end(tasks, MANY);
}

LOOPS_TEST(wait, a_failure_elsewhere_that_was_told_is_not_reported, 2)
{
    weft_task *task;
    weft_outcome outcome;
    t_log_begin();
    for (int i = 0; i < 20; i++) {
        T_OK(weft_task_spawn(&task, fail_at_once, NULL, &(weft_task_options){.on = WEFT_ON(1)}));
        cr_assert(weft_wait(&task, 1, WEFT_ALL_COMPLETED, &outcome) == 1);
        T_ERR(-EIO, outcome.result);
        weft_task_close(task);
    }
    T_OK(weft_sleep(WEFT_MS(1)));
    cr_assert(!t_logged("nobody looked"), "%s", t_log_text);
    weft_set_log(NULL, NULL);
}

static int
cancel_while_floating_task(void *arg)
{
    (void)arg;
    weft_task *tasks[8];
    for (int round = 0; round < 30 / T_SLOW; round++) {
        spawn_over_loops(tasks, 8);
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(50 * round));
        weft_ignore(weft_wait(tasks, 8, WEFT_ALL_COMPLETED, NULL));
        weft_ignore(weft_scope_close(&scope));
        end(tasks, 8);
    }
    return 0;
}

Test(wait, cancelled_while_tasks_are_on_other_loops_or_on_none)
{
    for (uint64_t seed = 1; seed <= 20 / T_SLOW; seed++)
        t_run_virtual(cancel_while_floating_task, NULL, 3, seed);
    t_run_loops(cancel_while_floating_task, NULL, 2);
}

struct from_thread {
    weft_task *tasks[MANY];
    size_t n;
    int waited;
    size_t n_completed;
    long sum;
    uint32_t done;
};

static void *
wait_on_thread(void *arg)
{
    struct from_thread *from = arg;
    weft_as_completed completed;
    size_t index;
    int result;
    from->waited = weft_wait(from->tasks, from->n, WEFT_FIRST_COMPLETED, NULL);
    if (weft_as_completed_open(&completed, from->tasks, from->n) == 0) {
        while (weft_as_completed_next(&completed, &index, &result) > 0) {
            from->n_completed++;
            from->sum += result;
        }
        weft_as_completed_close(&completed);
    }
    if (weft_wait(from->tasks, from->n, WEFT_ALL_COMPLETED, NULL) != (int)from->n)
        from->waited = -1;
    weft__store(&from->done, 1);
    return NULL;
}

LOOPS_TEST(wait, from_a_plain_thread, 2)
{
    struct from_thread from = {.n = MANY};
    long sum = 0;
    spawn_over_loops(from.tasks, MANY);
    for (int i = 0; i < MANY; i++)
        sum += 1 + i % 7;
    pthread_t thread = t_thread(wait_on_thread, &from);
    while (!weft__load(&from.done))
        T_OK(weft_sleep(WEFT_MS(1)));
    t_thread_join(thread);
    cr_assert(from.waited >= 1 && from.n_completed == MANY && from.sum == sum);
    end(from.tasks, MANY);
}

/* ---- as_completed --------------------------------------------------------------------------- */

TASK_TEST(wait, as_completed_gives_results_in_order_of_completion)
{
    static const int ms[4] = {3, 1, 4, -2};
    static const size_t order[4] = {1, 3, 0, 2};
    weft_task *tasks[4];
    weft_as_completed completed;
    size_t index;
    int result;
    spawn(tasks, ms, 4);
    T_OK(weft_as_completed_open(&completed, tasks, 4));
    for (int i = 0; i < 4; i++) {
        cr_assert(weft_as_completed_next(&completed, &index, &result) == 1);
        cr_assert(index == order[i]);
        cr_assert(result == ms[order[i]]);
        weft_task_close(tasks[index]); /* its handle may go at once */
    }
    T_OK(weft_as_completed_next(&completed, &index, &result));
    weft_as_completed_close(&completed);
}

TASK_TEST(wait, as_completed_of_none_and_of_ended_ones)
{
    weft_task *tasks[3];
    weft_as_completed completed;
    size_t index;
    T_OK(weft_as_completed_open(&completed, NULL, 0));
    T_OK(weft_as_completed_next(&completed, &index, NULL));
    weft_as_completed_close(&completed);
    for (int i = 0; i < 3; i++)
        T_OK(weft_task_spawn(&tasks[i], t_give, T_NUMBER(i), NULL));
    T_OK(weft_yield());
    T_OK(weft_as_completed_open(&completed, tasks, 3));
    for (size_t i = 0; i < 3; i++) {
        cr_assert(weft_as_completed_next(&completed, &index, NULL) == 1);
        cr_assert(index == i);
    }
    weft_as_completed_close(&completed);
    end(tasks, 3);
}

TASK_TEST(wait, as_completed_ended_early_leaves_the_rest_running)
{
    weft_task *tasks[3];
    weft_as_completed completed;
    size_t index;
    int result;
    spawn(tasks, (int[]){1, 2, 3}, 3);
    T_OK(weft_as_completed_open(&completed, tasks, 3));
    cr_assert(weft_as_completed_next(&completed, &index, &result) == 1);
    weft_as_completed_close(&completed);
    memset(&completed, 0xa5, sizeof completed);
    for (int i = 0; i < 3; i++) {
        T_OK(weft_task_join(tasks[i], &result));
        cr_assert(result == i + 1);
    }
}

TASK_TEST(wait, as_completed_refuses_oneself_and_needs_memory)
{
    weft_task *self = weft_task_self();
    weft_as_completed completed;
    T_ERR(-EDEADLK, weft_as_completed_open(&completed, &self, 1));
    weft_task *task;
    T_OK(weft_task_spawn(&task, t_give, T_NUMBER(1), NULL));
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    int rc = weft_as_completed_open(&completed, &task, 1);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_ERR(-ENOMEM, rc);
    T_OK(weft_task_join(task, NULL));
}

/* The complaint: a wait that is cancelled loses what it was about to give. Here each call runs
 * under a deadline of its own, at every distance from the task's end. */
TASK_TEST(wait, complaint_28_a_cancelled_next_loses_no_result)
{
    for (int late = -3; late <= 3; late++) {
        weft_task *tasks[5];
        weft_as_completed completed;
        unsigned seen[5] = {0};
        size_t index;
        int n = 0, result, ended = 0;
        spawn(tasks, (int[]){10, 20, 30, 40, 50}, 5);
        weft_time start = weft_now();
        T_OK(weft_as_completed_open(&completed, tasks, 5));
        while (n < 5) {
            weft_scope scope;
            weft_scope_open(&scope, start + WEFT_MS(10 * (n + 1)) + late);
            int rc = weft_as_completed_next(&completed, &index, &result);
            weft_ignore(weft_scope_close(&scope));
            if (rc == -ETIMEDOUT) {
                ended++;
                rc = weft_as_completed_next(&completed, &index, &result);
            }
            cr_assert(rc == 1 && index == (size_t)n && result == 10 * (n + 1));
            seen[index]++;
            n++;
        }
        for (int i = 0; i < 5; i++)
            cr_assert(seen[i] == 1);
        cr_assert(late >= 0 || ended == 5);
        weft_as_completed_close(&completed);
        end(tasks, 5);
    }
}

static int
as_completed_over_loops(void *arg)
{
    (void)arg;
    weft_task *tasks[MANY];
    for (size_t stop = 0; stop <= MANY; stop += 8) {
        unsigned seen[MANY] = {0};
        weft_as_completed completed;
        size_t index, n = 0;
        int result;
        spawn_over_loops(tasks, MANY);
        T_OK(weft_as_completed_open(&completed, tasks, MANY));
        while (n < stop) {
            weft_scope scope;
            weft_scope_open(&scope, weft_now() + WEFT_US(300));
            int rc = weft_as_completed_next(&completed, &index, &result);
            weft_ignore(weft_scope_close(&scope));
            if (rc < 0)
                continue;
            cr_assert(rc == 1 && seen[index] == 0 && result == (int)(1 + index % 7));
            seen[index]++;
            n++;
        }
        weft_as_completed_close(&completed);
        memset(&completed, 0xa5, sizeof completed);
        end(tasks, MANY);
    }
    return 0;
}

Test(wait, as_completed_over_loops_ended_anywhere)
{
    for (uint64_t seed = 1; seed <= 20 / T_SLOW; seed++)
        t_run_virtual(as_completed_over_loops, NULL, 3, seed);
    t_run_loops(as_completed_over_loops, NULL, 2);
}

static weft_as_completed stolen;

static int
go_on_with_it(void *arg)
{
    size_t index;
    (void)arg;
    return weft_as_completed_next(&stolen, &index, NULL);
}

static int
two_owners_task(void *arg)
{
    weft_task *task;
    (void)arg;
    weft_task_spawn(&task, t_forever, NULL, NULL);
    weft_ignore(weft_as_completed_open(&stolen, &task, 1));
    weft_task_spawn(NULL, go_on_with_it, NULL, NULL);
    return weft_sleep(WEFT_MS(10));
}

static void
two_owners(void)
{
    weft_ignore(weft_run(two_owners_task, NULL, &(weft_options){.loops = 1}));
}

Test(wait, as_completed_by_two_aborts)
{
    char text[4096];
    int status = t_child_run(two_owners, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    cr_assert(strstr(text, "by the one who began it") != NULL, "%s", text);
}

/* ---- wait_for ------------------------------------------------------------------------------- */

TASK_TEST(wait, wait_for_gives_the_result_in_time)
{
    weft_time start = weft_now();
    cr_assert(weft_wait_for(sleep_and_give, T_NUMBER(1), WEFT_MS(2)) == 1);
    cr_assert(weft_wait_for(sleep_and_give, T_NUMBER(-1), WEFT_MS(2)) == -1);
    cr_assert(weft_wait_for(sleep_and_give, T_NUMBER(2), WEFT_FOREVER) == 2);
    cr_assert(weft_now() - start == WEFT_MS(4));
}

TASK_TEST(wait, wait_for_ends_what_takes_too_long)
{
    weft_time start = weft_now();
    T_ERR(-ETIMEDOUT, weft_wait_for(sleep_and_give, T_NUMBER(3), WEFT_MS(2)));
    cr_assert(weft_now() - start == WEFT_MS(2));
    T_ERR(-ETIMEDOUT, weft_wait_for(sleep_and_give, T_NUMBER(3), 0));
    T_ERR(-ETIMEDOUT, weft_wait_for(sleep_and_give, T_NUMBER(3), -WEFT_SEC(1)));
    cr_assert(weft_wait_for(t_give, T_NUMBER(3), 0) == 3); /* never waits, so is never late */
    cr_assert(weft_now() - start == WEFT_MS(2));
    T_OK(weft_yield()); /* nothing of the deadline is left */
}

static int
clean_up_slowly(void *arg)
{
    int rc = weft_sleep(WEFT_MS(5));
    weft_scope shield;
    weft_shield_open(&shield, WEFT_FOREVER);
    weft_ignore(weft_sleep(WEFT_MS(4)));
    weft_ignore(weft_scope_close(&shield));
    *(bool *)arg = true;
    return rc;
}

TASK_TEST(wait, wait_for_waits_for_the_end_of_what_it_ended)
{
    bool cleaned_up = false;
    weft_time start = weft_now();
    T_ERR(-ETIMEDOUT, weft_wait_for(clean_up_slowly, &cleaned_up, WEFT_MS(1)));
    cr_assert(cleaned_up && weft_now() - start == WEFT_MS(5));
}

static int
wait_for_in_a_task(void *arg)
{
    return weft_wait_for(sleep_and_give, arg, WEFT_MS(20));
}

/* The complaint: asyncio's wait_for could return the result, or the timeout, and forget that it
 * was cancelled. Level cancellation cannot: whatever it returns, the next wait says so again. */
TASK_TEST(wait, complaint_27_wait_for_swallows_no_cancellation)
{
    for (int ms = 1; ms <= 4; ms++) {
        weft_task *task;
        int result;
        T_OK(weft_task_spawn(&task, wait_for_in_a_task, T_NUMBER(3), NULL));
        T_OK(weft_sleep(WEFT_MS(ms)));
        weft_task_cancel(task);
        T_OK(weft_task_join(task, &result));
        cr_assert(result == (ms <= 3 ? -ECANCELED : 3) || (ms == 3 && result == 3));
    }
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_wait_for(t_give, T_NUMBER(3), WEFT_MS(1)));
    T_ERR(-ECANCELED, weft_yield());
    weft_ignore(weft_scope_close(&scope));
}

static int
take_permit(void *arg)
{
    return weft_semaphore_acquire(arg);
}

static int
release_soon(void *arg)
{
    int rc = weft_sleep(WEFT_MS(1));
    weft_semaphore_release(arg);
    return rc;
}

/* The other half of it: the item that arrives at the very moment of the timeout. */
TASK_TEST(wait, complaint_27_item_or_timeout_never_both_never_neither)
{
    for (int late = -2; late <= 2; late++) {
        weft_semaphore sem;
        weft_task *task;
        T_OK(weft_semaphore_open(&sem, 0));
        T_OK(weft_task_spawn(&task, release_soon, &sem, NULL));
        int rc = weft_wait_for(take_permit, &sem, WEFT_MS(1) + late);
        cr_assert(rc == 0 || rc == -ETIMEDOUT);
        T_OK(weft_task_join(task, NULL));
        cr_assert(weft_semaphore_try_acquire(&sem) == (rc == 0 ? -EAGAIN : 0));
        weft_semaphore_close(&sem);
    }
}

Test(wait, wait_for_on_a_plain_thread)
{
    cr_assert(weft_wait_for(sleep_and_give, T_NUMBER(1), WEFT_SEC(20)) == 1);
    T_ERR(-ETIMEDOUT, weft_wait_for(sleep_and_give, T_NUMBER(10000), WEFT_MS(1)));
}

/* ---- shield --------------------------------------------------------------------------------- */

TASK_TEST(wait, shield_ends_the_waiting_and_not_the_task)
{
    weft_task *task;
    int result = 0;
    T_OK(weft_task_spawn(&task, sleep_and_give, T_NUMBER(3000), NULL));
    weft_time start = weft_now();
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_SEC(1));
    T_ERR(-ETIMEDOUT, weft_shield(task, &result));
    T_ERR(-ETIMEDOUT, weft_scope_close(&scope));
    cr_assert(weft_now() - start == WEFT_SEC(1));
    cr_assert(weft_task_get_state(task) == WEFT_TASK_WAITING);
    T_OK(weft_shield(task, &result));
    cr_assert(result == 3000 && weft_now() - start == WEFT_SEC(3));
    T_OK(weft_task_join(task, NULL));
}

/* The complaint: a task that nobody holds is collected in the middle of its work. */
static int finished;

static int
work_alone(void *arg)
{
    int rc = sleep_and_give(arg);
    finished += rc > 0;
    return rc;
}

TASK_TEST(wait, complaint_25_a_task_nobody_holds_runs_to_its_end)
{
    finished = 0;
    weft_task *task;
    T_OK(weft_task_spawn(NULL, work_alone, T_NUMBER(5), NULL));
    T_OK(weft_task_spawn(&task, work_alone, T_NUMBER(6), NULL));
    weft_scope scope;
    weft_scope_open(&scope, weft_now() + WEFT_MS(1));
    T_ERR(-ETIMEDOUT, weft_shield(task, NULL));
    weft_ignore(weft_scope_close(&scope));
    weft_task_close(task);
    T_OK(weft_sleep(WEFT_MS(10)));
    cr_assert(finished == 2);
}
