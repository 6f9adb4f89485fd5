/*
 * test_mutex.c - one at a time, in line; whoever breaks a promise is named.
 */
#include <errno.h>

#include "flow/t_locks.h"

TestSuite(mutex, .timeout = 120);

static weft_mutex mutex;

static void
in_scope_that_ended(int (*wait)(void *), void *on)
{
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, wait(on));
    weft_ignore(weft_scope_close(&scope));
}

static int
lock(void *arg)
{
    return weft_mutex_lock(arg);
}

TASK_TEST(mutex, is_held_by_one)
{
    weft_mutex_open(&mutex, NULL);
    cr_assert(!weft_mutex_locked(&mutex));
    T_OK(weft_mutex_lock(&mutex));
    cr_assert(weft_mutex_locked(&mutex));
    T_ERR(-EAGAIN, weft_mutex_try_lock(&mutex));
    weft_mutex_unlock(&mutex);
    T_OK(weft_mutex_try_lock(&mutex));
    weft_mutex_unlock(&mutex);
    cr_assert(!weft_mutex_locked(&mutex));
    weft_mutex_close(&mutex);
}

TASK_TEST(mutex, cancellation_is_looked_for_even_when_it_is_free)
{
    weft_mutex_open(&mutex, NULL);
    in_scope_that_ended(lock, &mutex);
    T_OK(weft_mutex_try_lock(&mutex));
    weft_mutex_unlock(&mutex);
    weft_mutex_close(&mutex);
}

Test(mutex, a_thread_without_a_loop_uses_it_too)
{
    weft_mutex_open(&mutex, NULL);
    T_OK(weft_mutex_lock(&mutex));
    T_ERR(-EAGAIN, weft_mutex_try_lock(&mutex));
    weft_mutex_unlock(&mutex);
    weft_mutex_close(&mutex);
}

TASK_TEST(mutex, several_are_given_back_in_any_order)
{
    weft_mutex several[3];
    for (int i = 0; i < 3; i++) {
        weft_mutex_open(&several[i], NULL);
        T_OK(weft_mutex_lock(&several[i]));
    }
    weft_mutex_unlock(&several[1]);
    weft_mutex_unlock(&several[0]);
    T_OK(weft_mutex_lock(&several[1]));
    weft_mutex_unlock(&several[2]);
    weft_mutex_unlock(&several[1]);
    for (int i = 0; i < 3; i++)
        weft_mutex_close(&several[i]);
}

/* ---- The line -------------------------------------------------------------------------------- */

static char trail[64];

static int
sign(void *arg)
{
    int rc = weft_mutex_lock(&mutex);
    if (rc < 0)
        return rc;
    strcat(trail, arg);
    rc = weft_yield();
    weft_mutex_unlock(&mutex);
    return rc;
}

static const char *const names[] = {"a", "b", "c", "d", "e"};

static void
five_in_line(weft_task **tasks, const weft_mutex_options *options)
{
    trail[0] = '\0';
    weft_mutex_open(&mutex, options);
    T_OK(weft_mutex_lock(&mutex));
    for (int i = 0; i < 5; i++)
        T_OK(weft_task_spawn(&tasks[i], sign, (void *)(uintptr_t)names[i], NULL));
    T_OK(weft_yield());
}

static void
all_come_through(weft_task **tasks)
{
    for (int i = 0; i < 5; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        T_OK(result);
    }
    weft_mutex_close(&mutex);
}

TASK_TEST(mutex, first_come_first_served)
{
    weft_task *tasks[5];
    five_in_line(tasks, NULL);
    weft_mutex_unlock(&mutex);
    T_ERR(-EAGAIN, weft_mutex_try_lock(&mutex)); /* nobody is overtaken */
    T_OK(weft_mutex_lock(&mutex));
    cr_assert_str_eq(trail, "abcde");
    weft_mutex_unlock(&mutex);
    all_come_through(tasks);
}

TASK_TEST(mutex, first_come_first_served_on_one_loop)
{
    weft_task *tasks[5];
    five_in_line(tasks, &(weft_mutex_options){.local = 1});
    weft_mutex_unlock(&mutex);
    T_ERR(-EAGAIN, weft_mutex_try_lock(&mutex));
    T_OK(weft_mutex_lock(&mutex));
    cr_assert_str_eq(trail, "abcde");
    weft_mutex_unlock(&mutex);
    all_come_through(tasks);
}

static void
passed_over(const weft_mutex_options *options)
{
    weft_task *tasks[5];
    five_in_line(tasks, options);
    /* Cancelled but still in line: the mutex must go to the next one alive. */
    weft_task_cancel(tasks[0]);
    weft_task_cancel(tasks[2]);
    weft_mutex_unlock(&mutex);
    for (int i = 0; i < 5; i++) {
        int result;
        T_OK(weft_task_join(tasks[i], &result));
        cr_assert(result == (i == 0 || i == 2 ? -ECANCELED : 0), "%d: %d", i, result);
    }
    cr_assert_str_eq(trail, "bde");
    weft_mutex_close(&mutex);
}

TASK_TEST(mutex, one_who_leaves_the_line_is_passed_over)
{
    passed_over(NULL);
    passed_over(&(weft_mutex_options){.local = 1});
}

TASK_TEST(mutex, one_to_whom_it_was_handed_cannot_leave_any_more)
{
    weft_task *tasks[5];
    five_in_line(tasks, NULL);
    weft_mutex_unlock(&mutex);
    weft_task_cancel(
        tasks[0]); /* too late: its wait for the mutex gives 0, the next one does not */
    int result;
    T_OK(weft_task_join(tasks[0], &result));
    T_ERR(-ECANCELED, result);
    T_OK(weft_mutex_lock(&mutex));
    cr_assert_str_eq(trail, "abcde");
    weft_mutex_unlock(&mutex);
    for (int i = 1; i < 5; i++)
        T_OK(weft_task_join(tasks[i], &result));
    weft_mutex_close(&mutex);
}

TASK_TEST(mutex, is_free_when_all_in_line_have_left)
{
    weft_task *tasks[5];
    five_in_line(tasks, NULL);
    for (int i = 0; i < 5; i++) {
        int result;
        weft_task_cancel(tasks[i]);
        T_OK(weft_task_join(tasks[i], &result));
        T_ERR(-ECANCELED, result);
    }
    weft_mutex_unlock(&mutex);
    T_OK(weft_mutex_try_lock(&mutex));
    weft_mutex_unlock(&mutex);
    weft_mutex_close(&mutex);
}

TASK_TEST(mutex, a_timed_out_waiter_takes_nothing)
{
    weft_task *tasks[5];
    five_in_line(tasks, NULL);
    weft_scope soon;
    weft_mutex other;
    weft_mutex_open(&other, NULL);
    T_OK(weft_mutex_lock(&other));
    weft_scope_open(&soon, weft_now() + WEFT_MS(5));
    T_ERR(-ETIMEDOUT, weft_sleep(WEFT_MS(20)));
    T_ERR(-ETIMEDOUT, weft_mutex_lock(&other));
    T_ERR(-ETIMEDOUT, weft_scope_close(&soon));
    weft_mutex_unlock(&other);
    weft_mutex_unlock(&mutex);
    all_come_through(tasks);
    weft_mutex_close(&other);
}

static int
lock_and_close(void *arg)
{
    weft_mutex *heap = arg;
    int rc = weft_mutex_lock(heap);
    if (rc < 0)
        return rc;
    weft_mutex_unlock(heap);
    weft_mutex_close(heap);
    free(heap);
    return 0;
}

LOOPS_TEST(mutex, whoever_has_it_last_may_close_it_at_once, 2)
{
    for (int i = 0; i < 300 / T_SLOW; i++) {
        weft_mutex *heap = malloc(sizeof *heap);
        weft_mutex_open(heap, NULL);
        T_OK(weft_mutex_lock(heap));
        weft_task *task;
        T_OK(weft_task_spawn(&task, lock_and_close, heap, &(weft_task_options){.on = WEFT_ON(1)}));
        if (i % 2 == 0)
            T_OK(weft_yield());
        weft_mutex_unlock(heap);
        int result;
        T_OK(weft_task_join(task, &result));
        T_OK(result);
    }
}

static void
unlock_deferred(void *arg)
{
    weft_mutex_unlock(arg);
}

static int
lock_until_the_end(void *arg)
{
    int rc = weft_mutex_lock(arg);
    if (rc < 0)
        return rc;
    rc = weft_defer(unlock_deferred, arg);
    if (rc < 0)
        weft_mutex_unlock(arg);
    return rc;
}

TASK_TEST(mutex, may_be_given_back_by_a_deferred_function)
{
    weft_mutex_open(&mutex, NULL);
    weft_task *task;
    int result;
    T_OK(weft_task_spawn(&task, lock_until_the_end, &mutex, NULL));
    T_OK(weft_task_join(task, &result));
    T_OK(result);
    cr_assert(!weft_mutex_locked(&mutex));
    weft_mutex_close(&mutex);
}

/* ---- Broken promises ------------------------------------------------------------------------- */

static const weft_mutex_options named = {.name = "cache"};
static const weft_mutex_options named_local = {.name = "cache", .local = 1};

static int
locks_twice(void *arg)
{
    (void)arg;
    weft_mutex_open(&mutex, &named);
    weft_ignore(weft_mutex_lock(&mutex));
    return weft_mutex_lock(&mutex);
}

static void
run_locks_twice(void)
{
    t_run_bare(locks_twice);
}

static int
locks_local_twice(void *arg)
{
    (void)arg;
    weft_mutex_open(&mutex, &named_local);
    weft_ignore(weft_mutex_lock(&mutex));
    return weft_mutex_lock(&mutex);
}

static void
run_locks_local_twice(void)
{
    t_run_bare(locks_local_twice);
}

static void
thread_locks_twice(void)
{
    weft_mutex_open(&mutex, NULL);
    weft_ignore(weft_mutex_lock(&mutex));
    weft_ignore(weft_mutex_lock(&mutex));
}

Test(mutex, locking_it_twice_is_named)
{
    t_breaks(run_locks_twice, "mutex \"cache\": task \"main\" locks it, and holds it already");
    t_breaks(run_locks_local_twice, "mutex \"cache\": task \"main\" locks it, and holds it");
    t_breaks(thread_locks_twice, "a mutex: a plain thread locks it, and holds it already");
}

static int
unlock(void *arg)
{
    (void)arg;
    weft_mutex_unlock(&mutex);
    return 0;
}

static int
lets_another_unlock(void *arg)
{
    (void)arg;
    weft_mutex_open(&mutex, &named);
    weft_ignore(weft_mutex_lock(&mutex));
    weft_task_spawn(NULL, unlock, NULL, &(weft_task_options){.name = "thief"});
    return weft_yield();
}

static void
run_lets_another_unlock(void)
{
    t_run_bare(lets_another_unlock);
}

static void
unlocks_what_is_free(void)
{
    weft_mutex_open(&mutex, &named);
    weft_mutex_unlock(&mutex);
}

Test(mutex, unlocking_for_another_is_named)
{
    t_breaks(run_lets_another_unlock,
             "mutex \"cache\": task \"thief\" unlocks it, but task \"main\" holds it");
    t_breaks(unlocks_what_is_free, "a plain thread unlocks it, but nobody holds it");
}

static int
ends_with_it(void *arg)
{
    (void)arg;
    weft_mutex_open(&mutex, &named);
    weft_task *task;
    int rc = weft_task_spawn(&task, lock, &mutex, &(weft_task_options){.name = "forgetful"});
    return rc < 0 ? rc : weft_task_join(task, NULL);
}

static void
run_ends_with_it(void)
{
    t_run_bare(ends_with_it);
}

static void
here_ends_with_it(void)
{
    weft_mutex_open(&mutex, &named);
    weft_ignore(weft_run_here(lock, &mutex));
}

static void *
lock_from_thread(void *arg)
{
    weft_ignore(weft_mutex_lock(arg));
    return NULL;
}

Test(mutex, ending_with_it_is_named)
{
    t_breaks(run_ends_with_it, "task \"forgetful\" ended and still holds mutex \"cache\"");
    t_breaks(here_ends_with_it, "task \"here\" ended and still holds mutex \"cache\"");
}

static void
leave_if_named(const char *sentence)
{
    if (strcmp(sentence, "a thread ended that still holds mutex \"cache\"") == 0)
        _exit(7);
}

/* In this process: ThreadSanitizer starts no threads in a forked one. */
Test(mutex, a_thread_ending_with_it_is_named, .exit_code = 7)
{
    weft_set_fatal(leave_if_named);
    weft_mutex_open(&mutex, &named);
    t_thread_join(t_thread(lock_from_thread, &mutex));
}

static int
uses_local_elsewhere(void *arg)
{
    (void)arg;
    weft_mutex_open(&mutex, &named_local);
    weft_ignore(weft_mutex_lock(&mutex));
    weft_mutex_unlock(&mutex);
    return weft_loop_call(weft_loop_at(1), lock, &mutex);
}

static void
run_uses_local_elsewhere(void)
{
    weft_ignore(weft_run(uses_local_elsewhere, NULL,
                         &(weft_options){.loops = 2, .clock = WEFT_CLOCK_VIRTUAL}));
}

static void
thread_uses_local(void)
{
    weft_mutex_open(&mutex, &named_local);
    weft_ignore(weft_mutex_lock(&mutex));
}

Test(mutex, a_local_one_used_elsewhere_is_named)
{
    t_breaks(run_uses_local_elsewhere,
             "mutex \"cache\": it is local to one loop, and task \"call\" uses it elsewhere");
    t_breaks(thread_uses_local, "mutex \"cache\": it is local to one loop, and a plain thread");
}

static int
closes_held(void *arg)
{
    (void)arg;
    weft_mutex_open(&mutex, &named);
    weft_ignore(weft_mutex_lock(&mutex));
    weft_mutex_close(&mutex);
    return 0;
}

static void
run_closes_held(void)
{
    t_run_bare(closes_held);
}

Test(mutex, closing_it_while_held_is_named)
{
    t_breaks(run_closes_held, "mutex \"cache\" was closed while held by task \"main\"");
}

/* ---- Torture --------------------------------------------------------------------------------- */

static weft_mutex one, two;
static uint32_t inside, wrong;

static int
take_turns(void *arg)
{
    weft_mutex *locked = arg;
    for (int i = 0; i < 3; i++) {
        int rc = weft_mutex_lock(locked);
        if (rc < 0)
            return rc;
        if (weft__fetch_add(&inside, 1) != 0)
            weft__fetch_add(&wrong, 1);
        rc = i % 2 == 0 ? weft_yield() : weft_sleep(WEFT_MS(1));
        weft__fetch_sub(&inside, 1);
        weft_mutex_unlock(locked);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
take_both(void *arg)
{
    (void)arg;
    int rc = weft_mutex_lock(&one);
    if (rc < 0)
        return rc;
    rc = weft_mutex_lock(&two);
    if (rc == 0) {
        rc = weft_sleep(WEFT_MS(1));
        weft_mutex_unlock(&two);
    }
    weft_mutex_unlock(&one);
    return rc;
}

static int
crowd(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 4; i++)
        t_spawn_round(&group, take_turns, &one, i);
    t_spawn_round(&group, take_both, NULL, 1);
    t_spawn_round(&group, take_both, NULL, 2);
    return weft_group_close(&group);
}

static void
open_both(void)
{
    weft_mutex_open(&one, NULL);
    weft_mutex_open(&two, NULL);
    inside = wrong = 0;
}

static void
both_are_free(void)
{
    cr_assert(weft__load(&wrong) == 0 && weft__load(&inside) == 0);
    weft_mutex_close(&one); /* asserts that nobody holds it, or is in line */
    weft_mutex_close(&two);
}

Test(mutex, is_free_in_the_end_wherever_waiters_are_ended)
{
    t_scenario_torture(crowd, open_both, both_are_free);
}

Test(mutex, is_free_in_the_end_in_any_order)
{
    t_scenario_seeds(crowd, open_both, both_are_free);
}
