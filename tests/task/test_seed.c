/*
 * test_seed.c - a seed decides the order of ready tasks and of messages, the same way each time.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/executor.h>
#include <weft/future.h>
#include <weft/group.h>
#include <weft/sync.h>

#include "task/t_core.h"

TestSuite(seed, .timeout = 60);

static char trail[4096];
static size_t n_trail;
static bool real_threads; /* several at once: nothing is noted */

static void
note(int c)
{
    if (!real_threads && n_trail < sizeof trail - 1)
        trail[n_trail++] = (char)c;
}

static int
step(void *arg)
{
    int c = (int)(intptr_t)arg;
    for (int i = 0; i < 4; i++) {
        note(c);
        int rc = i % 2 == 0 ? weft_yield() : weft_sleep(WEFT_MS(1));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
run_steps(void *arg)
{
    (void)arg;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 10; i++)
        weft_group_spawn(&group, step, T_NUMBER('a' + i));
    return weft_group_close(&group);
}

/* The order of steps of a run, allocated. */
static char *
order_of(weft_task_fn *fn, unsigned loops, uint64_t seed)
{
    memset(trail, 0, sizeof trail);
    n_trail = 0;
    t_run_virtual(fn, NULL, loops, seed);
    char *copy = malloc(n_trail + 1);
    cr_assert(copy != NULL);
    memcpy(copy, trail, n_trail);
    copy[n_trail] = '\0';
    return copy;
}

static void
same_again_but_not_with_another(weft_task_fn *fn, unsigned loops)
{
    bool differs = false;
    char *last = NULL;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        char *once = order_of(fn, loops, seed);
        char *twice = order_of(fn, loops, seed);
        cr_assert_str_eq(once, twice);
        cr_assert(strlen(once) > 10);
        differs |= last != NULL && strcmp(last, once) != 0;
        free(last);
        free(twice);
        last = once;
    }
    free(last);
    cr_assert(differs);
}

Test(seed, the_same_gives_the_same_order_and_another_another)
{
    same_again_but_not_with_another(run_steps, 1);
}

Test(seed, without_one_tasks_run_in_the_order_in_which_they_became_ready)
{
    char *order = order_of(run_steps, 1, 0);
    cr_assert_str_eq(order, "abcdefghijabcdefghijabcdefghijabcdefghij");
    free(order);
}

/* Three loops that call each other, pass permits around and spawn anywhere. */

static weft_semaphore permits;

static int
note_there(void *arg)
{
    note((int)(intptr_t)arg);
    return (int)weft_loop_index(weft_loop_current());
}

static int
wander(void *arg)
{
    int c = (int)(intptr_t)arg;
    for (unsigned i = 0; i < 4; i++) {
        int rc = weft_loop_call(weft_loop_at(((unsigned)c + i) % 3), note_there, T_NUMBER(c));
        if (rc < 0)
            return rc;
        note('0' + rc);
        rc = weft_semaphore_acquire(&permits);
        if (rc < 0)
            return rc;
        rc = weft_yield();
        note(c);
        weft_semaphore_release(&permits);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int
run_wanderers(void *arg)
{
    (void)arg;
    T_OK(weft_semaphore_open(&permits, 2));
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 6; i++)
        weft_group_spawn_with(
            &group, wander, T_NUMBER('a' + i),
            &(weft_task_options){.on = i % 2 == 0 ? WEFT_ON(i % 3) : WEFT_LOOP_ANY});
    int rc = weft_group_close(&group);
    weft_semaphore_close(&permits);
    return rc;
}

Test(seed, several_loops_on_one_thread_are_deterministic)
{
    same_again_but_not_with_another(run_wanderers, 3);
}

Test(seed, several_loops_without_a_seed_are_deterministic_too)
{
    char *once = order_of(run_wanderers, 3, 0);
    char *twice = order_of(run_wanderers, 3, 0);
    cr_assert_str_eq(once, twice);
    free(once);
    free(twice);
}

static void *
simulate_in_thread(void *arg)
{
    *(int *)arg = weft_run(
        t_sleep_ms, T_NUMBER(50),
        &(weft_options){
            .loops = 3, .seed = 5, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE});
    return NULL;
}

Test(seed, a_simulation_beside_it_changes_nothing)
{
    char *alone = order_of(run_wanderers, 3, 9);
    for (int i = 0; i < 20; i++) {
        int rc = 1;
        pthread_t thread = t_thread(simulate_in_thread, &rc);
        memset(trail, 0, sizeof trail);
        n_trail = 0;
        T_OK(weft_run(
            run_wanderers, NULL,
            &(weft_options){
                .loops = 3, .seed = 9, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE}));
        t_thread_join(thread);
        T_OK(rc);
        cr_assert_str_eq(trail, alone);
    }
    free(alone);
}

Test(seed, the_environment_stands_in_for_none)
{
    char *with_option = order_of(run_steps, 1, 4711);
    setenv("WEFT_SEED", "4711", 1);
    char *with_environment = order_of(run_steps, 1, 0);
    char *option_wins = order_of(run_steps, 1, 3);
    setenv("WEFT_SEED", "0x1267", 1);
    char *hexadecimal = order_of(run_steps, 1, 0);
    unsetenv("WEFT_SEED");
    char *three = order_of(run_steps, 1, 3);
    cr_assert_str_eq(with_environment, with_option);
    cr_assert_str_eq(hexadecimal, with_option);
    cr_assert_str_eq(option_wins, three);
    free(with_option);
    free(with_environment);
    free(option_wins);
    free(hexadecimal);
    free(three);
}

Test(seed, with_real_loops_a_seed_only_shuffles)
{
    real_threads = true;
    t_leak_begin();
    for (uint64_t seed = 1; seed <= 10; seed++)
        T_OK(weft_run(run_wanderers, NULL,
                      &(weft_options){.loops = 3, .seed = seed, .signals = WEFT_SIGNALS_NONE}));
    t_leak_end();
}
