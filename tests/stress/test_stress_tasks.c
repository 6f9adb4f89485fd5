/*
 * test_stress_tasks.c - futures, spawns, awaits, calls and cancels between loops and threads.
 */
#include <errno.h>

#include <weft/future.h>
#include <weft/group.h>

#include "t_stress.h"

TestSuite(stress_tasks, .timeout = 120);

static weft_time end;
static uint64_t seed;
static uint32_t n_done, wrong;

/* ---- Futures set by threads, ended by the waiter at once ------------------------------------- */

#define QUEUE 256
static struct {
    weft_future *slots[QUEUE]; /* atomic: to be set by a thread */
    uint32_t stop;
    uint32_t done[2];
} futures;

static void *
set_futures(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    while (!weft__load(&futures.stop)) {
        for (unsigned i = self; i < QUEUE; i += 2) {
            weft_future *future = weft__exchange(&futures.slots[i], NULL);
            if (future != NULL && weft_future_set(future, (int)i) < 0)
                weft__fetch_add(&wrong, 1);
        }
    }
    weft__store(&futures.done[self], 1);
    return NULL;
}

static int
wait_for_futures(void *arg)
{
    unsigned slot = (unsigned)(uintptr_t)arg;
    uint64_t random = seed + slot;
    while (stress_goes_on(end)) {
        weft_future *future = malloc(sizeof *future);
        weft_future_open(future);
        weft__store(&futures.slots[slot], future);
        /* Now and then the wait is ended before, and taken up again. */
        int rc, result = -1;
        do {
            weft_scope scope;
            weft_scope_open(&scope, weft_now() + WEFT_US(5 + stress_below(&random, 100)));
            rc = weft_future_wait(future, &result);
            weft_ignore(weft_scope_close(&scope));
        } while (rc == -ETIMEDOUT);
        if (rc < 0)
            return rc;
        if (result != (int)slot)
            weft__fetch_add(&wrong, 1);
        weft_future_close(future);
        memset(future, 0x5a, sizeof *future);
        free(future);
        weft__fetch_add(&n_done, 1);
    }
    return 0;
}

static int
exchange_futures(void *arg)
{
    (void)arg;
    pthread_t threads[2];
    end = weft__sys_monotonic() + stress_ns();
    for (uintptr_t i = 0; i < 2; i++)
        threads[i] = t_thread(set_futures, (void *)i);
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 12; i++)
        weft_group_spawn_with(&group, wait_for_futures, T_NUMBER(i),
                              &(weft_task_options){.on = WEFT_ON(i % 2)});
    int rc = weft_group_close(&group);
    weft__store(&futures.stop, 1);
    for (int i = 0; i < 2; i++)
        stress_join(threads[i], &futures.done[i]);
    return rc;
}

Test(stress_tasks, futures_are_set_by_threads_and_ended_by_waiters)
{
    seed = stress_seed("futures");
    stress_run(exchange_futures, NULL);
    cr_assert(weft__load(&wrong) == 0);
    fprintf(stderr, "stress: %u futures\n", n_done);
    cr_assert(n_done > 50);
}

/* ---- Spawns that any loop may take, awaited from far, cancelled at random -------------------- */

static uint32_t entered, left;

static int
live_shortly(void *arg)
{
    weft__fetch_add(&entered, 1);
    uint64_t random = (uint64_t)(uintptr_t)arg;
    int rc = 0;
    switch (stress_below(&random, 4)) {
    case 0:
        break;
    case 1:
        rc = weft_yield();
        break;
    case 2:
        rc = weft_sleep(WEFT_US(stress_below(&random, 200)));
        break;
    default:
        rc = weft_loop_call(weft_loop_at(stress_below(&random, 2)), t_give, T_NUMBER(1));
        rc = rc == 1 ? 0 : rc;
    }
    weft__fetch_add(&left, 1);
    return rc;
}

static int
spawn_await_cancel(void *arg)
{
    uint64_t random = seed + (uint64_t)(uintptr_t)arg;
    while (stress_goes_on(end)) {
        weft_task *tasks[8];
        unsigned n = 0;
        for (unsigned i = 0; i < 8; i++) {
            int on = stress_below(&random, 3) == 0 ? WEFT_ON((int)stress_below(&random, 2))
                                                   : WEFT_LOOP_ANY;
            if (weft_task_spawn(&tasks[n], live_shortly, T_NUMBER(weft__splitmix(&random) >> 8),
                                &(weft_task_options){.on = on}) == 0)
                n++;
        }
        for (unsigned i = 0; i < n; i++) {
            int result = 0, rc;
            if (stress_below(&random, 3) == 0)
                weft_task_cancel(tasks[i]);
            weft_scope scope;
            weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&random, 150)));
            rc = weft_task_await(tasks[i], &result);
            weft_ignore(weft_scope_close(&scope));
            if (rc < 0 && stress_below(&random, 2) == 0) {
                weft_task_cancel(tasks[i]);
                weft_task_close(tasks[i]);
                continue;
            }
            if (weft_task_join(tasks[i], &result) < 0 || (result != 0 && result != -ECANCELED))
                weft__fetch_add(&wrong, 1);
            weft__fetch_add(&n_done, 1);
        }
    }
    return 0;
}

static int
spawn_everywhere(void *arg)
{
    (void)arg;
    end = weft__sys_monotonic() + stress_ns();
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 4; i++)
        weft_group_spawn_with(&group, spawn_await_cancel, T_NUMBER(i),
                              &(weft_task_options){.on = WEFT_ON(i % 2)});
    return weft_group_close(&group);
}

Test(stress_tasks, tasks_are_spawned_awaited_and_cancelled_across_loops)
{
    seed = stress_seed("spawns");
    t_log_begin();
    stress_run(spawn_everywhere, NULL);
    cr_assert(weft__load(&wrong) == 0, "%u", wrong);
    cr_assert(weft__load(&entered) == weft__load(&left));
    cr_assert_str_eq(t_log_text, "");
    fprintf(stderr, "stress: %u tasks\n", n_done);
    cr_assert(n_done > 50);
}

/* ---- Calls and joins from plain threads ------------------------------------------------------ */

struct caller {
    uint64_t random;
    weft_loop *loops[2];
    uint32_t done;
};

static void *
call_from_thread(void *arg)
{
    struct caller *caller = arg;
    while (stress_goes_on(end)) {
        int n = (int)stress_below(&caller->random, 1000);
        if (weft_loop_call(caller->loops[n % 2], t_give, T_NUMBER(n)) != n)
            weft__fetch_add(&wrong, 1);
        weft__fetch_add(&n_done, 1);
    }
    weft__store(&caller->done, 1);
    return NULL;
}

static int
call_to_and_fro(void *arg)
{
    uint64_t random = seed + 7 + (uint64_t)(uintptr_t)arg;
    while (stress_goes_on(end)) {
        int n = (int)stress_below(&random, 1000);
        weft_scope scope;
        weft_scope_open(&scope, weft_now() + WEFT_US(stress_below(&random, 200)));
        int rc = weft_loop_call(weft_loop_at((unsigned)n % 2), t_give, T_NUMBER(n));
        weft_ignore(weft_scope_close(&scope));
        if (rc != n && rc != -ETIMEDOUT)
            weft__fetch_add(&wrong, 1);
        weft__fetch_add(&n_done, 1);
    }
    return 0;
}

static int
call_everywhere(void *arg)
{
    (void)arg;
    struct caller callers[2];
    pthread_t threads[2];
    end = weft__sys_monotonic() + stress_ns();
    for (unsigned i = 0; i < 2; i++) {
        callers[i] =
            (struct caller){.random = seed + i, .loops = {weft_loop_at(0), weft_loop_at(1)}};
        threads[i] = t_thread(call_from_thread, &callers[i]);
    }
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 4; i++)
        weft_group_spawn_with(&group, call_to_and_fro, T_NUMBER(i),
                              &(weft_task_options){.on = WEFT_ON(i % 2)});
    int rc = weft_group_close(&group);
    for (int i = 0; i < 2; i++)
        stress_join(threads[i], &callers[i].done);
    return rc;
}

Test(stress_tasks, calls_go_to_and_fro_between_loops_and_threads)
{
    seed = stress_seed("calls");
    stress_run(call_everywhere, NULL);
    cr_assert(weft__load(&wrong) == 0, "%u", wrong);
    fprintf(stderr, "stress: %u calls\n", n_done);
    cr_assert(n_done > 50);
}

/* A runtime that ends while the thread's call is just coming back. */

struct late {
    weft_loop *loop;
    pthread_t thread;
    uint32_t called;
};

static int
note_call(void *arg)
{
    weft__store((uint32_t *)arg, 1);
    return 0;
}

static void *
call_once(void *arg)
{
    struct late *late = arg;
    weft_ignore(weft_loop_call(late->loop, note_call, &late->called));
    return NULL;
}

static int
end_when_called(void *arg)
{
    struct late *late = arg;
    late->loop = weft_loop_at(1);
    late->thread = t_thread(call_once, late);
    while (!weft__load(&late->called))
        T_OK(weft_yield());
    return 0;
}

Test(stress_tasks, a_runtime_may_end_as_soon_as_a_call_has_run)
{
    for (int i = 0; i < 100 / T_SLOW; i++) {
        struct late late = {0};
        T_OK(weft_run(end_when_called, &late,
                      &(weft_options){.loops = 2, .signals = WEFT_SIGNALS_NONE}));
        t_thread_join(late.thread);
    }
}
