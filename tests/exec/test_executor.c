/*
 * test_executor.c - calls that block: results, limits, cancellation, and the end of an executor.
 *
 * Calls wait at gates, which the test opens; what they note is read by the test's main thread.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include <weft/executor.h>
#include <weft/group.h>
#include <weft/sync.h>

#include "base/random.h"
#include "task/t_core.h"

TestSuite(executor, .timeout = 120);

static weft_executor *
executor_of(weft_executor_options options)
{
    weft_executor *executor;
    T_OK(weft_executor_new(&executor, &options));
    return executor;
}

static weft_executor_stats
stats_of(weft_executor *executor)
{
    weft_executor_stats stats;
    weft_executor_stats_get(executor, &stats);
    return stats;
}

/* A call that waits at a gate. */
struct gated {
    weft_executor *executor;
    sem_t *gate;
    weft_blocking_options options;
    int gives;
    uint32_t started; /* atomic, as all below: read while the call runs */
    uint32_t ended;
    uint32_t abandoned;
    int rc;
    bool done;
};

static int
gated_call(void *arg)
{
    struct gated *gated = arg;
    weft__fetch_add(&gated->started, 1);
    while (gated->gate != NULL && sem_wait(gated->gate) < 0)
        continue;
    weft__fetch_add(&gated->ended, 1);
    return gated->gives;
}

static int
gated_task(void *arg)
{
    struct gated *gated = arg;
    gated->rc = weft_executor_run(gated->executor, gated_call, gated, &gated->options);
    gated->done = true;
    return 0;
}

static weft_task *
gated_start(struct gated *gated)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, gated_task, gated, NULL));
    T_OK(weft_yield());
    return task;
}

static void
wait_until(const uint32_t *count, uint32_t n)
{
    for (int i = 0; weft__load(count) < n; i++) {
        cr_assert(i < 20000, "%u of %u after a long time", weft__load(count), n);
        usleep(500);
    }
}

static void
sem_make(sem_t *sem)
{
    cr_assert(sem_init(sem, 0, 0) == 0);
}

static void
open_gate(sem_t *sem, int n)
{
    while (n-- > 0)
        sem_post(sem);
}

static int
sleep_really(void *arg)
{
    usleep((useconds_t)(intptr_t)arg * 1000);
    return 0;
}

/* ---- Results -------------------------------------------------------------------------------- */

static int
name_of_thread(void *arg)
{
    pthread_getname_np(pthread_self(), arg, 16);
    return 42;
}

TASK_TEST(executor, gives_what_the_function_returned)
{
    weft_executor *executor = executor_of((weft_executor_options){.threads = 2});
    T_ERR(7, weft_executor_run(executor, t_give, T_NUMBER(7), NULL));
    T_ERR(0, weft_executor_run(executor, t_give, T_NUMBER(0), NULL));
    T_ERR(-EILSEQ, weft_executor_run(executor, t_give, T_NUMBER(-EILSEQ), NULL));
    T_ERR(-ECANCELED, weft_executor_run(executor, t_give, T_NUMBER(-ECANCELED), NULL));
    T_ERR(INT32_MIN, weft_executor_run(executor, t_give, T_NUMBER(INT32_MIN), NULL));
    T_ERR(1, weft_executor_run(executor, t_give, T_NUMBER(1), NULL));
    cr_assert(stats_of(executor).done == 6);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

TASK_TEST(executor, runs_on_threads_with_its_name)
{
    weft_executor *executor = executor_of((weft_executor_options){.name = "crypto"});
    char name[16] = "";
    T_ERR(42, weft_executor_run(executor, name_of_thread, name, NULL));
    cr_assert_str_eq(name, "crypto/1");
    T_ERR(42, weft_blocking(name_of_thread, name));
    cr_assert_str_eq(name, "blocking/1");
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));

    executor = executor_of((weft_executor_options){.name = "much-too-long"});
    T_ERR(42, weft_executor_run(executor, name_of_thread, name, NULL));
    cr_assert_str_eq(name, "much-too-/1");
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

Test(executor, serves_plain_threads)
{
    t_leak_begin();
    weft_executor *executor = executor_of((weft_executor_options){.threads = 2});
    for (int i = 0; i < 100; i++)
        T_ERR(i, weft_executor_run(executor, t_give, T_NUMBER(i), NULL));
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
    t_leak_end();
}

Test(executor, weft_blocking_on_a_plain_thread_is_a_call)
{
    char name[16] = "", own[16];
    T_ERR(42, weft_blocking(name_of_thread, name));
    name_of_thread(own);
    cr_assert_str_eq(name, own);
}

static int
block_here(void *arg)
{
    int rc = weft_blocking(sleep_really, T_NUMBER(1));
    return rc < 0 ? rc : weft_blocking(t_give, arg);
}

static void *
block_here_main(void *arg)
{
    *(int *)arg = weft_run_here(block_here, T_NUMBER(5));
    return NULL;
}

Test(executor, serves_a_task_on_a_plain_thread)
{
    t_leak_begin();
    int results[4] = {0};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = t_thread(block_here_main, &results[i]);
    for (int i = 0; i < 4; i++) {
        t_thread_join(threads[i]);
        T_ERR(5, results[i]);
    }
    t_leak_end();
}

static int
weft_inside(void *arg)
{
    (void)arg;
    return weft_run_here(t_sleep_ms, T_NUMBER(1));
}

TASK_TEST(executor, a_call_may_run_a_task_of_its_own)
{
    for (int i = 0; i < 5; i++)
        T_OK(weft_blocking(weft_inside, NULL));
}

TASK_TEST(executor, bad_options_are_refused_with_the_reason)
{
    weft_executor *executor = NULL;
    T_ERR(-EINVAL, weft_executor_new(&executor, &(weft_executor_options){.threads = 4097}));
    cr_assert(strstr(weft_error_text(), "threads must be 0 to 4096, got 4097"), "%s",
              weft_error_text());
    T_ERR(-EINVAL,
          weft_executor_new(&executor, &(weft_executor_options){.threads = 3, .min_threads = 4}));
    cr_assert(strstr(weft_error_text(), "min_threads must be at most threads (3), got 4"));
    T_ERR(-EINVAL, weft_executor_new(&executor, &(weft_executor_options){.idle = -1}));
    cr_assert(strstr(weft_error_text(), "idle must not be negative"));
    cr_assert(executor == NULL);
    T_OK(weft_executor_free(NULL, WEFT_DRAIN, 0));
    T_OK(weft_executor_new(&executor, NULL));
    T_OK(weft_executor_free(executor, WEFT_CANCEL, 0));
}

/* ---- Threads -------------------------------------------------------------------------------- */

static int
sleep_on(void *arg)
{
    return weft_executor_run(arg, sleep_really, T_NUMBER(100), NULL);
}

LOOPS_TEST(executor, calls_that_block_overlap, 1)
{
    weft_executor *executor = executor_of((weft_executor_options){.threads = 64});
    weft_time start = weft_now();
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 64; i++)
        weft_group_spawn(&group, sleep_on, executor);
    T_OK(weft_group_close(&group));
    /* One after the other they take 6.4 s. */
    cr_assert(weft_now() - start < WEFT_MS(T_SLOW > 1 ? 4000 : 1500), "%ld ms",
              (long)((weft_now() - start) / 1000000));
    weft_executor_stats stats = stats_of(executor);
    cr_assert(stats.done == 64 && stats.queued == 0);
    cr_assert(stats.peak > 16 && stats.peak <= 64, "%u threads", stats.peak);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

LOOPS_TEST(executor, short_calls_get_by_with_few_threads, 1)
{
    weft_executor *executor = executor_of((weft_executor_options){.threads = 64});
    for (int i = 0; i < 2000; i++)
        T_ERR(3, weft_executor_run(executor, t_give, T_NUMBER(3), NULL));
    /* A busy machine may keep a call waiting, and then one more thread is right. */
    cr_assert(stats_of(executor).peak <= weft_usable_cpus() + 4, "%u threads",
              stats_of(executor).peak);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

LOOPS_TEST(executor, a_sleeping_thread_is_woken_for_each_call, 1)
{
    weft_executor *executor =
        executor_of((weft_executor_options){.threads = 1, .idle = WEFT_SEC(100)});
    weft_time start = weft_now();
    for (int i = 0; i < 30; i++) {
        T_OK(weft_sleep(WEFT_MS(2))); /* long enough for it to fall asleep */
        T_ERR(3, weft_executor_run(executor, t_give, T_NUMBER(3), NULL));
    }
    cr_assert(weft_now() - start < WEFT_SEC(20));
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

static int
ten_calls(void *arg)
{
    for (int i = 0; i < 10; i++) {
        int rc = weft_executor_run(arg, t_give, T_NUMBER(3), NULL);
        if (rc != 3)
            return rc < 0 ? rc : -EILSEQ;
        rc = weft_sleep(WEFT_MS(1));
        if (rc < 0)
            return rc;
    }
    return 0;
}

LOOPS_TEST(executor, sleeping_threads_are_woken_for_bursts, 1)
{
    weft_executor *executor =
        executor_of((weft_executor_options){.threads = 4, .idle = WEFT_SEC(100)});
    weft_group group;
    weft_group_open(&group, &(weft_group_options){.timeout = WEFT_SEC(30)});
    for (int i = 0; i < 20; i++)
        weft_group_spawn(&group, ten_calls, executor);
    T_OK(weft_group_close(&group));
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

static void
threads_come_to(weft_executor *executor, unsigned n)
{
    for (int i = 0; stats_of(executor).threads != n; i++) {
        cr_assert(i < 5000, "%u threads, not %u", stats_of(executor).threads, n);
        T_OK(weft_sleep(WEFT_MS(2)));
    }
}

LOOPS_TEST(executor, idle_threads_leave, 1)
{
    weft_executor *executor =
        executor_of((weft_executor_options){.threads = 8, .idle = WEFT_MS(20)});
    for (int round = 0; round < 3; round++) {
        weft_group group;
        weft_group_open(&group, NULL);
        for (int i = 0; i < 8; i++)
            weft_group_spawn(&group, sleep_on, executor);
        T_OK(weft_group_close(&group));
        cr_assert(stats_of(executor).peak > 1);
        threads_come_to(executor, 0);
        T_ERR(3, weft_executor_run(executor, t_give, T_NUMBER(3), NULL)); /* and come back */
    }
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

LOOPS_TEST(executor, some_threads_stay, 1)
{
    weft_executor *executor =
        executor_of((weft_executor_options){.threads = 8, .min_threads = 2, .idle = WEFT_MS(10)});
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 8; i++)
        weft_group_spawn(&group, sleep_on, executor);
    T_OK(weft_group_close(&group));
    threads_come_to(executor, 2);
    T_OK(weft_sleep(WEFT_MS(100)));
    cr_assert(stats_of(executor).threads == 2 && stats_of(executor).idle == 2);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

LOOPS_TEST(executor, several_do_not_disturb_each_other, 1)
{
    sem_t gate;
    sem_make(&gate);
    weft_executor *full = executor_of((weft_executor_options){.threads = 1, .queue = 1});
    weft_executor *free_one = executor_of((weft_executor_options){.threads = 1, .queue = 1});
    struct gated gated[3];
    weft_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        gated[i] = (struct gated){.executor = full, .gate = &gate};
        tasks[i] = gated_start(&gated[i]);
    }
    for (int i = 0; i < 50; i++)
        T_ERR(3, weft_executor_run(free_one, t_give, T_NUMBER(3), NULL));
    T_ERR(4, weft_blocking(t_give, T_NUMBER(4)));
    cr_assert(!gated[0].done && !gated[1].done && !gated[2].done);
    open_gate(&gate, 3);
    for (int i = 0; i < 3; i++)
        T_OK(weft_task_join(tasks[i], NULL));
    T_OK(weft_executor_free(free_one, WEFT_DRAIN, WEFT_FOREVER));
    T_OK(weft_executor_free(full, WEFT_DRAIN, WEFT_FOREVER));
}

LOOPS_TEST(executor, no_thread_can_be_started, 1)
{
    weft_executor *executor = executor_of((weft_executor_options){.threads = 4});
    struct gated gated = {.executor = executor};
    for (int i = 0; i < 3; i++) {
        weft__torture_arm(WEFT__TORTURE_SYSCALL, 1, true, EAGAIN);
        int rc = weft_executor_run(executor, gated_call, &gated, NULL);
        weft__torture_disarm(WEFT__TORTURE_SYSCALL);
        T_ERR(-EAGAIN, rc);
    }
    cr_assert(gated.started == 0 && stats_of(executor).queued == 0);
    T_ERR(3, weft_executor_run(executor, t_give, T_NUMBER(3), NULL));
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

LOOPS_TEST(executor, one_thread_is_enough_when_no_more_can_be_started, 1)
{
    weft_executor *executor = executor_of((weft_executor_options){.threads = 16, .min_threads = 1});
    T_ERR(3, weft_executor_run(executor, t_give, T_NUMBER(3), NULL));
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 20; i++)
        weft_group_spawn(&group, ten_calls, executor);
    weft__torture_arm(WEFT__TORTURE_SYSCALL, 1, true, EAGAIN);
    int rc = weft_group_close(&group);
    weft__torture_disarm(WEFT__TORTURE_SYSCALL);
    /* Stacks for the tasks are system calls as well. */
    cr_assert(rc == 0 || rc == -EAGAIN, "%d", rc);
    weft_executor_stats stats = stats_of(executor);
    cr_assert(stats.queued == 0 && stats.peak == 1, "%zu queued, %u threads", stats.queued,
              stats.peak);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

/* In a task: of `gated`, as many as there are. */
static void
start_all(weft_executor *executor, sem_t *gate, struct gated *gated, weft_task **tasks, int n)
{
    for (int i = 0; i < n; i++) {
        gated[i] = (struct gated){.executor = executor, .gate = gate};
        tasks[i] = gated_start(&gated[i]);
    }
}

static void
open_for_all(sem_t *gate, weft_task **tasks, int n)
{
    open_gate(gate, n);
    for (int i = 0; i < n; i++)
        T_OK(weft_task_join(tasks[i], NULL));
}

LOOPS_TEST(executor, a_thread_is_started_once_there_is_memory_for_it_again, 1)
{
    sem_t gate;
    sem_make(&gate);
    weft_executor *executor =
        executor_of((weft_executor_options){.threads = 64, .idle = WEFT_MS(20)});
    int n = (int)weft_usable_cpus() + 1; /* with the last one comes the watcher */
    struct gated *gated = calloc((size_t)n + 1, sizeof *gated);
    weft_task **tasks = calloc((size_t)n + 1, sizeof *tasks);
    start_all(executor, &gate, gated, tasks, n);
    for (int i = 0; i < n; i++)
        wait_until(&gated[i].started, 1);
    threads_come_to(executor, (unsigned)n); /* it may have started one too many */

    gated[n] = (struct gated){.executor = executor, .gate = &gate};
    T_OK(weft_task_spawn(&tasks[n], gated_task, &gated[n], NULL));
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, true, ENOMEM);
    int rc = weft_yield();
    usleep(300000);
    uint32_t early = weft__load(&gated[n].started);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_OK(rc);
    cr_assert(early == 0);
    wait_until(&gated[n].started, 1); /* while all other threads are in calls that do not end */
    open_for_all(&gate, tasks, n + 1);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
    free(tasks);
    free(gated);
}

/* ---- The queue ------------------------------------------------------------------------------ */

/* One call in progress and two in the queue of an executor that has room for no more. */
struct full {
    weft_executor *executor;
    sem_t gate;
    struct gated gated[3];
    weft_task *tasks[3];
};

static void
full_open(struct full *full)
{
    *full = (struct full){0};
    sem_make(&full->gate);
    full->executor = executor_of((weft_executor_options){.threads = 1, .queue = 2});
    for (int i = 0; i < 3; i++) {
        full->gated[i] =
            (struct gated){.executor = full->executor, .gate = &full->gate, .gives = i};
        full->tasks[i] = gated_start(&full->gated[i]);
        if (i == 0)
            wait_until(&full->gated[0].started, 1);
    }
    cr_assert(stats_of(full->executor).queued == 2);
}

static void
full_finish(struct full *full)
{
    open_gate(&full->gate, 3);
    for (int i = 0; i < 3; i++) {
        T_OK(weft_task_join(full->tasks[i], NULL));
        cr_assert(full->gated[i].rc == i && full->gated[i].started == 1);
    }
    T_OK(weft_executor_free(full->executor, WEFT_DRAIN, WEFT_FOREVER));
}

LOOPS_TEST(executor, a_full_queue_makes_callers_wait, 1)
{
    struct full full;
    full_open(&full);
    struct gated late[2];
    weft_task *tasks[2];
    for (int i = 0; i < 2; i++) {
        late[i] = (struct gated){.executor = full.executor, .gives = 10 + i};
        tasks[i] = gated_start(&late[i]);
    }
    T_OK(weft_sleep(WEFT_MS(20)));
    cr_assert(!late[0].done && !late[1].done && stats_of(full.executor).queued == 2);
    open_gate(&full.gate, 3);
    for (int i = 0; i < 2; i++) {
        T_OK(weft_task_join(tasks[i], NULL));
        T_ERR(10 + i, late[i].rc);
    }
    full_finish(&full);
}

LOOPS_TEST(executor, a_full_queue_is_EAGAIN_for_who_does_not_wait, 1)
{
    struct full full;
    full_open(&full);
    struct gated late = {.executor = full.executor};
    T_ERR(-EAGAIN, weft_executor_run(full.executor, gated_call, &late,
                                     &(weft_blocking_options){.no_wait = 1}));
    cr_assert(late.started == 0);
    full_finish(&full);
}

LOOPS_TEST(executor, a_caller_that_waits_for_a_place_can_be_cancelled, 1)
{
    struct full full;
    full_open(&full);
    struct gated late[2];
    weft_task *tasks[2];
    for (int i = 0; i < 2; i++) {
        late[i] = (struct gated){.executor = full.executor, .gives = 5};
        tasks[i] = gated_start(&late[i]);
    }
    weft_task_cancel(tasks[0]);
    T_OK(weft_task_join(tasks[0], NULL));
    T_ERR(-ECANCELED, late[0].rc);
    open_gate(&full.gate, 3);
    T_OK(weft_task_join(tasks[1], NULL)); /* its place was not lost on the other */
    T_ERR(5, late[1].rc);
    cr_assert(late[0].started == 0);
    full_finish(&full);
}

LOOPS_TEST(executor, a_call_taken_back_makes_room, 1)
{
    struct full full;
    full_open(&full);
    struct gated late = {.executor = full.executor, .gives = 5};
    weft_task *task = gated_start(&late);
    cr_assert(stats_of(full.executor).queued == 2);
    weft_task_cancel(full.tasks[1]);
    T_OK(weft_task_join(full.tasks[1], NULL));
    T_ERR(-ECANCELED, full.gated[1].rc);
    T_OK(weft_sleep(WEFT_MS(5)));
    cr_assert(stats_of(full.executor).queued == 2, "the place was not given on");
    open_gate(&full.gate, 2);
    T_OK(weft_task_join(task, NULL));
    T_ERR(5, late.rc);
    T_OK(weft_task_join(full.tasks[0], NULL));
    T_OK(weft_task_join(full.tasks[2], NULL));
    cr_assert(full.gated[1].started == 0);
    T_OK(weft_executor_free(full.executor, WEFT_DRAIN, WEFT_FOREVER));
}

static void *
gated_main(void *arg)
{
    gated_task(arg);
    return NULL;
}

LOOPS_TEST(executor, nobody_overtakes_who_waits_for_a_place, 1)
{
    struct full full;
    full_open(&full);
    struct gated first = {.executor = full.executor, .gives = 5};
    weft_task *task = gated_start(&first);

    /* A place becomes free and is the task's, which cannot run now to take it. */
    open_gate(&full.gate, 1);
    wait_until(&full.gated[1].started, 1);
    struct gated second = {.executor = full.executor, .options.no_wait = 1};
    pthread_t thread = t_thread(gated_main, &second);
    for (int i = 0; i < 100; i++) {
        cr_assert(stats_of(full.executor).queued == 1, "another one has the place");
        usleep(500);
    }
    t_thread_join(thread);
    T_ERR(-EAGAIN, second.rc);

    T_OK(weft_sleep(WEFT_MS(5)));
    cr_assert(stats_of(full.executor).queued == 2);
    open_gate(&full.gate, 2);
    T_OK(weft_task_join(task, NULL));
    T_ERR(5, first.rc);
    full_finish(&full);
}

static void *
hundred_calls_main(void *arg)
{
    intptr_t failed = 0;
    for (int i = 0; i < 100; i++)
        failed += weft_executor_run(arg, t_give, T_NUMBER(i), NULL) != i;
    return (void *)failed;
}

Test(executor, plain_threads_wait_for_places_too)
{
    t_leak_begin();
    weft_executor *executor = executor_of((weft_executor_options){.threads = 2, .queue = 1});
    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        threads[i] = t_thread(hundred_calls_main, executor);
    for (int i = 0; i < 6; i++) {
        void *failed = NULL;
        cr_assert(pthread_join(threads[i], &failed) == 0);
        cr_assert(failed == NULL);
    }
    cr_assert(stats_of(executor).done == 600);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
    t_leak_end();
}

/* ---- Cancellation --------------------------------------------------------------------------- */

LOOPS_TEST(executor, a_cancelled_call_that_has_not_started_never_does, 1)
{
    struct full full;
    full_open(&full);
    for (int i = 1; i < 3; i++) {
        weft_task_cancel(full.tasks[i]);
        T_OK(weft_task_join(full.tasks[i], NULL));
        T_ERR(-ECANCELED, full.gated[i].rc);
    }
    cr_assert(stats_of(full.executor).queued == 0);
    open_gate(&full.gate, 1);
    T_OK(weft_task_join(full.tasks[0], NULL));
    T_OK(full.gated[0].rc);
    T_OK(weft_executor_free(full.executor, WEFT_DRAIN, WEFT_FOREVER));
    cr_assert(full.gated[1].started == 0 && full.gated[2].started == 0);
}

LOOPS_TEST(executor, a_cancelled_call_that_runs_is_waited_for, 1)
{
    sem_t gate;
    sem_make(&gate);
    weft_executor *executor = executor_of((weft_executor_options){.threads = 1});
    struct gated gated = {.executor = executor, .gate = &gate, .gives = 9};
    weft_task *task = gated_start(&gated);
    wait_until(&gated.started, 1);
    weft_task_cancel(task);
    T_OK(weft_sleep(WEFT_MS(20)));
    cr_assert(!gated.done);
    open_gate(&gate, 1);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-ECANCELED, gated.rc);
    cr_assert(weft__load(&gated.ended) == 1);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

/* Lets a deadline pass while the call runs, and some time later the call end. */
struct late {
    struct gated *gated;
    weft_scope soon;
    weft_time opened;
};

static int
end_it_late(void *arg)
{
    struct late *late = arg;
    wait_until(&late->gated->started, 1);
    weft_scope_set_deadline(&late->soon, weft_now() + WEFT_MS(1));
    int rc = weft_sleep(WEFT_MS(20));
    late->opened = weft_now();
    sem_post(late->gated->gate);
    return rc;
}

LOOPS_TEST(executor, a_deadline_waits_for_a_call_that_runs, 1)
{
    sem_t gate;
    sem_make(&gate);
    weft_executor *executor = executor_of((weft_executor_options){.threads = 1});
    struct gated gated = {.executor = executor, .gate = &gate};
    struct late late = {.gated = &gated};
    weft_scope_open(&late.soon, WEFT_FOREVER);
    T_OK(weft_task_spawn(NULL, end_it_late, &late, NULL));
    T_ERR(-ETIMEDOUT, weft_executor_run(executor, gated_call, &gated, NULL));
    T_ERR(-ETIMEDOUT, weft_scope_close(&late.soon));
    cr_assert(weft__load(&gated.ended) == 1 && late.opened > 0);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

TASK_TEST(executor, cancellation_is_looked_for_first)
{
    weft_executor *executor = executor_of((weft_executor_options){.threads = 1});
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    struct gated gated = {.executor = executor};
    T_ERR(-ECANCELED, weft_executor_run(executor, gated_call, &gated, NULL));
    T_ERR(-ECANCELED, weft_blocking(gated_call, &gated));
    T_ERR(-ECANCELED, weft_scope_close(&scope));
    cr_assert(gated.started == 0);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

/* ---- Abandoned calls ------------------------------------------------------------------------ */

static void
note_abandoned(void *arg)
{
    struct gated *gated = arg;
    weft__fetch_add(&gated->abandoned, 1);
}

static struct gated
abandonable(weft_executor *executor, sem_t *gate)
{
    return (struct gated){
        .executor = executor, .gate = gate, .options = {.abandon = note_abandoned}};
}

LOOPS_TEST(executor, an_abandoned_call_is_not_waited_for, 1)
{
    sem_t gate;
    sem_make(&gate);
    weft_executor *executor = executor_of((weft_executor_options){.threads = 1});
    struct gated gated = abandonable(executor, &gate);
    weft_task *task = gated_start(&gated);
    wait_until(&gated.started, 1);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    T_ERR(-ECANCELED, gated.rc);
    cr_assert(weft__load(&gated.ended) == 0 && weft__load(&gated.abandoned) == 0);
    open_gate(&gate, 1);
    wait_until(&gated.abandoned, 1);
    cr_assert(weft__load(&gated.ended) == 1);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
    cr_assert(gated.abandoned == 1);
}

LOOPS_TEST(executor, the_argument_is_given_back_once_whatever_happens, 1)
{
    struct full full;
    full_open(&full);
    struct gated gated = abandonable(full.executor, NULL);

    /* Refused. */
    gated.options.no_wait = 1;
    T_ERR(-EAGAIN, weft_executor_run(full.executor, gated_call, &gated, &gated.options));
    cr_assert(gated.abandoned == 1);
    gated.options.no_wait = 0;

    /* Cancelled before, while it waits for a place, and in the queue. */
    weft_scope scope;
    weft_scope_open(&scope, WEFT_FOREVER);
    weft_scope_cancel(&scope);
    T_ERR(-ECANCELED, weft_executor_run(full.executor, gated_call, &gated, &gated.options));
    weft_scope_close(&scope);
    cr_assert(gated.abandoned == 2);
    weft_task *task = gated_start(&gated);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    cr_assert(gated.rc == -ECANCELED && gated.abandoned == 3);
    weft_task_cancel(full.tasks[2]);
    T_OK(weft_task_join(full.tasks[2], NULL));
    task = gated_start(&gated);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    cr_assert(gated.rc == -ECANCELED && gated.abandoned == 4);
    cr_assert(gated.started == 0);

    /* No memory for the record, and no thread. */
    weft__torture_arm(WEFT__TORTURE_ALLOC, 1, false, 0);
    int rc = weft_executor_run(full.executor, gated_call, &gated, &gated.options);
    weft__torture_disarm(WEFT__TORTURE_ALLOC);
    T_ERR(-ENOMEM, rc);
    cr_assert(gated.abandoned == 5);
    weft_executor *fresh = executor_of((weft_executor_options){.threads = 1});
    weft__torture_arm(WEFT__TORTURE_SYSCALL, 1, true, EAGAIN);
    rc = weft_executor_run(fresh, gated_call, &gated, &gated.options);
    weft__torture_disarm(WEFT__TORTURE_SYSCALL);
    T_ERR(-EAGAIN, rc);
    cr_assert(gated.abandoned == 6 && gated.started == 0);

    /* And after an ordinary end. */
    gated.gives = 8;
    T_ERR(8, weft_executor_run(fresh, gated_call, &gated, &gated.options));
    cr_assert(gated.abandoned == 7 && gated.started == 1);
    T_OK(weft_executor_free(fresh, WEFT_DRAIN, WEFT_FOREVER));

    open_gate(&full.gate, 2);
    T_OK(weft_task_join(full.tasks[0], NULL));
    T_OK(weft_task_join(full.tasks[1], NULL));
    T_OK(weft_executor_free(full.executor, WEFT_DRAIN, WEFT_FOREVER));
}

static int
abandon_and_end(void *arg)
{
    struct gated *gated = arg;
    weft_task *task = gated_start(gated);
    wait_until(&gated->started, 1);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    return 0;
}

/* With the runtime goes the memory of the task that waited for it. */
static void
outlive_the_runtime(bool free_before)
{
    t_leak_begin();
    sem_t gate;
    sem_make(&gate);
    weft_executor *executor = executor_of((weft_executor_options){.threads = 1});
    struct gated gated = abandonable(executor, &gate);
    T_OK(weft_run(abandon_and_end, &gated,
                  &(weft_options){.loops = 1, .signals = WEFT_SIGNALS_NONE}));
    if (free_before)
        T_ERR(1, weft_executor_free(executor, WEFT_CANCEL, 0));
    cr_assert(weft__load(&gated.abandoned) == 0);
    open_gate(&gate, 1);
    wait_until(&gated.abandoned, 1);
    if (!free_before)
        T_OK(weft_executor_free(executor, WEFT_CANCEL, WEFT_FOREVER));
    t_leak_end();
    cr_assert(gated.ended == 1 && gated.abandoned == 1);
}

Test(executor, an_abandoned_call_may_outlive_its_runtime)
{
    outlive_the_runtime(false);
}

Test(executor, an_abandoned_call_may_outlive_its_runtime_and_the_executor)
{
    outlive_the_runtime(true);
}

/* ---- The end of an executor ----------------------------------------------------------------- */

/* Frees an executor from a plain thread, while tasks go on. */
struct freeing {
    weft_executor *executor;
    weft_close_mode mode;
    weft_time grace;
    int behind;
};

static int
free_call(void *arg)
{
    struct freeing *freeing = arg;
    freeing->behind = weft_executor_free(freeing->executor, freeing->mode, freeing->grace);
    return 0;
}

static int
free_task(void *arg)
{
    return weft_blocking(free_call, arg); /* of the runtime's own executor */
}

static weft_task *
free_start(struct freeing *freeing)
{
    weft_task *task;
    T_OK(weft_task_spawn(&task, free_task, freeing, NULL));
    T_OK(weft_sleep(WEFT_MS(20)));
    return task;
}

LOOPS_TEST(executor, a_drained_one_runs_what_it_has_accepted, 1)
{
    struct full full;
    full_open(&full);
    struct freeing freeing = {full.executor, WEFT_DRAIN, WEFT_FOREVER, -1};
    weft_task *task = free_start(&freeing);
    cr_assert(freeing.behind == -1);
    open_gate(&full.gate, 3);
    T_OK(weft_task_join(task, NULL));
    cr_assert(freeing.behind == 0);
    for (int i = 0; i < 3; i++) {
        T_OK(weft_task_join(full.tasks[i], NULL));
        T_ERR(i, full.gated[i].rc);
    }
}

LOOPS_TEST(executor, a_cancelled_one_runs_only_what_has_started, 1)
{
    struct full full;
    full_open(&full);
    struct freeing freeing = {full.executor, WEFT_CANCEL, WEFT_FOREVER, -1};
    weft_task *task = free_start(&freeing);
    for (int i = 1; i < 3; i++) {
        T_OK(weft_task_join(full.tasks[i], NULL));
        T_ERR(-ECANCELED, full.gated[i].rc);
        cr_assert(full.gated[i].started == 0);
    }
    cr_assert(freeing.behind == -1 && !full.gated[0].done);
    open_gate(&full.gate, 1);
    T_OK(weft_task_join(task, NULL));
    T_OK(weft_task_join(full.tasks[0], NULL));
    cr_assert(freeing.behind == 0 && full.gated[0].rc == 0);
}

LOOPS_TEST(executor, a_closing_one_refuses_calls, 1)
{
    struct full full;
    full_open(&full);
    struct gated late[2] = {{.executor = full.executor}, {.executor = full.executor}};
    weft_task *waits = gated_start(&late[0]); /* for a place */
    struct freeing freeing = {full.executor, WEFT_DRAIN, WEFT_FOREVER, -1};
    weft_task *task = free_start(&freeing);
    T_OK(weft_task_join(waits, NULL));
    T_ERR(-ESHUTDOWN, late[0].rc);
    T_ERR(-ESHUTDOWN, weft_executor_run(full.executor, gated_call, &late[1], NULL));
    struct gated gated = abandonable(full.executor, NULL);
    T_ERR(-ESHUTDOWN, weft_executor_run(full.executor, gated_call, &gated, &gated.options));
    cr_assert(gated.abandoned == 1);
    open_gate(&full.gate, 3);
    T_OK(weft_task_join(task, NULL));
    for (int i = 0; i < 3; i++) {
        T_OK(weft_task_join(full.tasks[i], NULL));
        T_ERR(i, full.gated[i].rc);
    }
    cr_assert(late[0].started == 0 && late[1].started == 0 && gated.started == 0);
}

/* A call that does not end in time: its task is answered, its thread counted and left alone. */
static void
outlive_the_grace(weft_close_mode mode)
{
    t_log_begin();
    struct full full;
    full_open(&full);
    struct freeing freeing = {full.executor, mode, WEFT_MS(30), -1};
    weft_task *task = free_start(&freeing);
    T_OK(weft_task_join(task, NULL));
    cr_assert(freeing.behind == 1, "%d left behind", freeing.behind);
    cr_assert(t_logged("executor blocking: 1 threads left behind"), "%s", t_log_text);
    for (int i = 0; i < 3; i++) {
        T_OK(weft_task_join(full.tasks[i], NULL));
        T_ERR(-ECANCELED, full.gated[i].rc);
    }
    cr_assert(weft__load(&full.gated[0].ended) == 0);
    open_gate(&full.gate, 1); /* the thread goes, and the last of the executor with it */
    wait_until(&full.gated[0].ended, 1);
    cr_assert(full.gated[1].started == 0 && full.gated[2].started == 0);
    weft_set_log(NULL, NULL);
}

LOOPS_TEST(executor, a_drained_one_leaves_behind_what_outlives_the_grace, 1)
{
    outlive_the_grace(WEFT_DRAIN);
}

LOOPS_TEST(executor, a_cancelled_one_leaves_behind_what_outlives_the_grace, 1)
{
    outlive_the_grace(WEFT_CANCEL);
}

LOOPS_TEST(executor, a_call_left_behind_keeps_its_argument_to_its_end, 1)
{
    /* One whose task waits, one whose task was cancelled long ago, one that waits on regardless. */
    sem_t gate;
    sem_make(&gate);
    weft_executor *executor = executor_of((weft_executor_options){.threads = 3});
    struct gated gated[3] = {abandonable(executor, &gate),
                             abandonable(executor, &gate),
                             {.executor = executor, .gate = &gate}};
    weft_task *tasks[3];
    for (int i = 0; i < 3; i++) {
        tasks[i] = gated_start(&gated[i]);
        wait_until(&gated[i].started, 1);
    }
    weft_task_cancel(tasks[1]);
    weft_task_cancel(tasks[2]);
    T_OK(weft_task_join(tasks[1], NULL));
    struct freeing freeing = {executor, WEFT_DRAIN, 0, -1};
    weft_task *task = free_start(&freeing);
    T_OK(weft_task_join(task, NULL));
    cr_assert(freeing.behind == 3, "%d left behind", freeing.behind);
    T_OK(weft_task_join(tasks[0], NULL));
    T_OK(weft_task_join(tasks[2], NULL));
    for (int i = 0; i < 3; i++)
        T_ERR(-ECANCELED, gated[i].rc);
    for (int i = 0; i < 2; i++)
        cr_assert(weft__load(&gated[i].abandoned) == 0, "given back while it runs");
    open_gate(&gate, 3);
    for (int i = 0; i < 2; i++)
        wait_until(&gated[i].abandoned, 1);
    for (int i = 0; i < 3; i++)
        wait_until(&gated[i].ended, 1);
    T_OK(weft_sleep(WEFT_MS(10)));
    cr_assert(gated[0].abandoned == 1 && gated[1].abandoned == 1);
}

static int
short_call(void *arg)
{
    usleep((useconds_t)(intptr_t)arg);
    return 0;
}

struct racer {
    weft_executor *executor;
    weft_blocking_options options;
    uint64_t random;
    uint32_t given;      /* atomic: arguments the executor has got */
    uint32_t back;       /* atomic: and given back */
    const bool *closing; /* of its loop: to call an executor that has ended is not allowed */
    int odd;             /* a result that cannot be */
};

static void
count_back(void *arg)
{
    uint32_t *back = *(uint32_t **)arg;
    weft__fetch_add(back, 1);
    free(arg);
}

static int
heap_call(void *arg)
{
    /* Reads its argument at the end: a tool sees when it has gone too early. */
    usleep(50);
    return *(uint32_t **)arg == NULL;
}

static int
race(void *arg)
{
    struct racer *racer = arg;
    while (!*racer->closing) {
        weft_scope scope;
        uint64_t dice = weft__splitmix(&racer->random);
        weft_scope_open(&scope, dice % 3 == 0 ? weft_now() + (weft_time)(dice >> 40) % 200000
                                              : WEFT_FOREVER);
        int rc;
        if (dice % 2 == 0) {
            uint32_t **heap = malloc(sizeof *heap);
            *heap = &racer->back;
            weft__fetch_add(&racer->given, 1);
            rc = weft_executor_run(racer->executor, heap_call, heap, &racer->options);
        } else {
            rc = weft_executor_run(racer->executor, short_call, T_NUMBER(dice % 64), NULL);
        }
        weft_scope_close(&scope);
        bool of_the_end = (rc == -ESHUTDOWN || rc == -ECANCELED) && *racer->closing;
        if (rc != 0 && rc != -ETIMEDOUT && !of_the_end)
            racer->odd = rc;
    }
    return 0;
}

static int
set_flag(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

/* Executors that end under load, with all that may be going on: calls that run, wait, wait for a
 * place, and are cancelled meanwhile. */
static void
end_under_load(int rounds, unsigned loops)
{
    enum { RACERS = 12 };
    uint64_t random = 12345;
    for (int round = 0; round < rounds; round++) {
        struct racer racers[RACERS];
        weft_task *tasks[RACERS];
        bool closing[2] = {false, false};
        struct freeing freeing = {
            executor_of((weft_executor_options){.threads = 1 + (unsigned)round % 4, .queue = 3}),
            round % 2 == 0 ? WEFT_DRAIN : WEFT_CANCEL, round % 3 == 0 ? 0 : WEFT_FOREVER, -1};
        for (int i = 0; i < RACERS; i++) {
            unsigned loop = (unsigned)i % loops;
            racers[i] = (struct racer){.executor = freeing.executor,
                                       .options = {.abandon = count_back},
                                       .random = weft__splitmix(&random),
                                       .closing = &closing[loop]};
            T_OK(weft_task_spawn(&tasks[i], race, &racers[i],
                                 &(weft_task_options){.on = WEFT_ON(loop)}));
        }
        T_OK(weft_sleep((weft_time)(weft__splitmix(&random) % 2000000)));
        for (unsigned i = 0; i < loops; i++)
            T_OK(weft_loop_call(weft_loop_at(i), set_flag, &closing[i]));
        T_OK(weft_blocking(free_call, &freeing));
        for (int i = 0; i < RACERS; i++) {
            T_OK(weft_task_join(tasks[i], NULL));
            cr_assert(racers[i].odd == 0, "%d", racers[i].odd);
        }
        for (int i = 0; i < RACERS; i++) { /* what was left behind comes to its end too */
            wait_until(&racers[i].back, racers[i].given);
            cr_assert(weft__load(&racers[i].back) == racers[i].given);
        }
    }
    T_OK(weft_sleep(WEFT_MS(5)));
}

LOOPS_TEST(executor, ends_under_load, 1)
{
    end_under_load(200 / T_SLOW, 1);
}

LOOPS_TEST(executor, ends_under_load_of_two_loops, 2)
{
    end_under_load(200 / T_SLOW, 2);
}

/* ---- Load ----------------------------------------------------------------------------------- */

static int
add_up(void *arg)
{
    weft__fetch_add((uint32_t *)arg, 1);
    return 1;
}

static int
block_a_little(void *arg)
{
    for (int i = 0; i < 20; i++) {
        int rc = weft_blocking(add_up, arg);
        if (rc != 1)
            return rc < 0 ? rc : -EILSEQ;
    }
    return 0;
}

LOOPS_TEST(executor, weft_blocking_from_many_tasks_of_two_loops, 2)
{
    uint32_t sum = 0;
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < 200; i++)
        weft_group_spawn_with(&group, block_a_little, &sum,
                              &(weft_task_options){.on = WEFT_ON(i % 2)});
    T_OK(weft_group_close(&group));
    cr_assert(weft__load(&sum) == 200 * 20);
}

/* Many calls on few threads that are all busy; every second caller gives up. */
LOOPS_TEST(executor, half_of_ten_thousand_calls_are_cancelled, 1)
{
    enum { N = 10000 / T_SLOW };
    sem_t gate;
    sem_make(&gate);
    weft_executor *executor = executor_of((weft_executor_options){.threads = 4, .queue = N / 10});
    struct gated busy[4];
    weft_task *busy_tasks[4];
    for (int i = 0; i < 4; i++) {
        busy[i] = (struct gated){.executor = executor, .gate = &gate};
        busy_tasks[i] = gated_start(&busy[i]);
        wait_until(&busy[i].started, 1);
    }
    struct gated *calls = calloc(N, sizeof *calls);
    weft_task **tasks = calloc(N, sizeof(weft_task *));
    for (int i = 0; i < N; i++) {
        calls[i] = (struct gated){.executor = executor, .gives = 6};
        T_OK(weft_task_spawn(&tasks[i], gated_task, &calls[i], NULL));
    }
    T_OK(weft_sleep(WEFT_MS(20)));
    cr_assert(stats_of(executor).queued == N / 10, "%zu queued", stats_of(executor).queued);
    for (int i = 0; i < N; i += 2) {
        weft_task_cancel(tasks[i]);
        T_OK(weft_task_join(tasks[i], NULL));
        T_ERR(-ECANCELED, calls[i].rc);
    }
    cr_assert(stats_of(executor).queued == N / 10 && stats_of(executor).threads == 4);
    open_gate(&gate, 4);
    for (int i = 1; i < N; i += 2) {
        T_OK(weft_task_join(tasks[i], NULL));
        T_ERR(6, calls[i].rc);
    }
    for (int i = 0; i < 4; i++)
        T_OK(weft_task_join(busy_tasks[i], NULL));
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
    for (int i = 0; i < N; i++)
        cr_assert(calls[i].started == (i % 2 == 1));
    free(calls);
    free(tasks);
}

/* ---- The virtual clock ---------------------------------------------------------------------- */

static int
sleep_an_hour(void *arg)
{
    int rc = weft_sleep(WEFT_SEC(3600));
    *(weft_time *)arg = weft_now();
    return rc;
}

TASK_TEST(executor, the_virtual_clock_stands_still_while_a_call_runs)
{
    weft_time woken = 0;
    weft_task *task;
    T_OK(weft_task_spawn(&task, sleep_an_hour, &woken, NULL));
    for (int i = 0; i < 3; i++) {
        T_OK(weft_blocking(sleep_really, T_NUMBER(20)));
        cr_assert(weft_now() == 0, "%ld ns went by", (long)weft_now());
    }
    cr_assert(woken == 0);
    T_OK(weft_task_join(task, NULL));
    cr_assert(woken == WEFT_SEC(3600));
}

TASK_TEST(executor, the_virtual_clock_waits_for_a_cancelled_call_but_not_an_abandoned_one)
{
    sem_t gate;
    sem_make(&gate);
    weft_executor *executor = executor_of((weft_executor_options){.threads = 2});
    struct gated gated = {.executor = executor};
    weft_scope soon;
    weft_scope_open(&soon, WEFT_MS(1));
    T_OK(weft_executor_run(executor, sleep_really, T_NUMBER(20), NULL)); /* time stands still */
    T_OK(weft_scope_close(&soon));

    gated = abandonable(executor, &gate);
    weft_task *task = gated_start(&gated);
    wait_until(&gated.started, 1);
    weft_task_cancel(task);
    T_OK(weft_task_join(task, NULL));
    T_OK(weft_sleep(WEFT_SEC(3600)));
    cr_assert(weft__load(&gated.ended) == 0);
    open_gate(&gate, 1);
    wait_until(&gated.abandoned, 1);
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
}

/* ---- Torture -------------------------------------------------------------------------------- */

/* Calls of all kinds on a small executor. What is not asserted here is that all this ends, and
 * leaves nothing behind. */
struct tortured {
    weft_executor *executor;
    uint32_t runs;
    uint32_t given, back;
};

static int
tortured_calls(void *arg)
{
    struct tortured *tortured = arg;
    int rc = weft_executor_run(tortured->executor, add_up, &tortured->runs, NULL);
    if (rc < 0)
        return rc;
    uint32_t **heap = malloc(sizeof *heap);
    *heap = &tortured->back;
    weft__fetch_add(&tortured->given, 1);
    rc = weft_executor_run(tortured->executor, heap_call, heap,
                           &(weft_blocking_options){.abandon = count_back});
    if (rc < 0)
        return rc;
    return weft_blocking(add_up, &tortured->runs) < 0;
}

static int
tortured_main(void *arg)
{
    struct tortured *tortured = arg;
    int rc =
        weft_executor_new(&tortured->executor, &(weft_executor_options){.threads = 2, .queue = 1});
    if (rc < 0)
        return rc;
    weft_group group;
    weft_group_open(&group, NULL);
    for (int i = 0; i < 5; i++)
        weft_group_spawn(&group, tortured_calls, tortured);
    rc = weft_group_close(&group);
    weft_executor_free(tortured->executor, WEFT_DRAIN, WEFT_FOREVER);
    return rc;
}

static void
tortured_run(void *arg)
{
    const weft_options *options = arg;
    struct tortured tortured = {0};
    weft_ignore(weft_run(tortured_main, &tortured, options));
    wait_until(&tortured.back, tortured.given);
    cr_assert(weft__load(&tortured.back) == tortured.given);
}

static void
torture(enum weft__torture kind, bool from_on, int error)
{
    weft_options options[] = {
        {.loops = 1, .signals = WEFT_SIGNALS_NONE},
        {.loops = 1, .clock = WEFT_CLOCK_VIRTUAL, .signals = WEFT_SIGNALS_NONE},
    };
    for (int i = 0; i < 2; i++)
        cr_assert(t_torture_run(&(struct t_torture){.kind = kind,
                                                    .from_on = from_on,
                                                    .error = error,
                                                    .max = 200 / T_SLOW,
                                                    .scenario = tortured_run,
                                                    .arg = &options[i]}) >= 5);
}

Test(executor, every_wait_may_be_cancelled)
{
    torture(WEFT__TORTURE_CANCEL, false, 0);
    torture(WEFT__TORTURE_CANCEL, true, 0);
}

Test(executor, every_wait_may_run_into_a_deadline)
{
    torture(WEFT__TORTURE_DEADLINE, false, 0);
    torture(WEFT__TORTURE_DEADLINE, true, 0);
}

Test(executor, every_allocation_may_fail)
{
    torture(WEFT__TORTURE_ALLOC, false, 0);
    torture(WEFT__TORTURE_ALLOC, true, 0);
}

Test(executor, every_system_call_may_fail)
{
    static const int errors[] = {EAGAIN, ENOMEM, EINTR};
    for (int i = 0; i < 3; i++) {
        torture(WEFT__TORTURE_SYSCALL, false, errors[i]);
        torture(WEFT__TORTURE_SYSCALL, true, errors[i]);
    }
}

/* ---- Stress --------------------------------------------------------------------------------- */

/* Random calls with random ends, and the books are kept: what was cancelled ran to its end or not
 * at all, and what came back with a result ran once. */
struct stress {
    weft_executor *executor;
    uint64_t random;
    size_t n;
    uint32_t given, back; /* atomic */
    size_t wrong;
};

static int
stress_call(void *arg)
{
    struct gated *gated = arg;
    weft__fetch_add(&gated->started, 1);
    if (gated->gives % 5 == 0)
        usleep((useconds_t)gated->gives % 100);
    weft__fetch_add(&gated->ended, 1);
    return gated->gives;
}

static int
stress_task(void *arg)
{
    struct stress *stress = arg;
    for (size_t i = 0; i < stress->n; i++) {
        uint64_t dice = weft__splitmix(&stress->random);
        weft_scope scope;
        weft_scope_open(&scope, dice % 4 == 0 ? weft_now() + (weft_time)(dice >> 20) % 100000
                                              : WEFT_FOREVER);
        weft_blocking_options options = {.no_wait = dice % 8 == 1};
        if (dice % 3 == 0) {
            options.abandon = count_back;
            uint32_t **heap = malloc(sizeof *heap);
            *heap = &stress->back;
            weft__fetch_add(&stress->given, 1);
            int rc = weft_executor_run(stress->executor, heap_call, heap, &options);
            stress->wrong += rc != 0 && rc != -ETIMEDOUT && rc != -EAGAIN;
        } else {
            struct gated gated = {.gives = (int)(dice >> 16 & 511)};
            int rc = weft_executor_run(stress->executor, stress_call, &gated, &options);
            uint32_t started = weft__load(&gated.started), ended = weft__load(&gated.ended);
            if (rc == -EAGAIN)
                stress->wrong += started != 0;
            else if (rc == -ETIMEDOUT)
                stress->wrong += started != ended;
            else
                stress->wrong += rc != gated.gives || started != 1 || ended != 1;
        }
        weft_scope_close(&scope);
    }
    return 0;
}

LOOPS_TEST(executor, keeps_its_books_under_stress, 2)
{
    enum { TASKS = 40 };
    weft_executor *executor =
        executor_of((weft_executor_options){.threads = 6, .queue = 8, .idle = WEFT_MS(1)});
    static struct stress stresses[TASKS];
    weft_group group;
    weft_group_open(&group, NULL);
    for (unsigned i = 0; i < TASKS; i++) {
        stresses[i] =
            (struct stress){.executor = executor, .random = i * 1000 + 1, .n = 500 / T_SLOW};
        weft_group_spawn_with(&group, stress_task, &stresses[i],
                              &(weft_task_options){.on = WEFT_ON(i % 2)});
    }
    T_OK(weft_group_close(&group));
    T_OK(weft_executor_free(executor, WEFT_DRAIN, WEFT_FOREVER));
    for (unsigned i = 0; i < TASKS; i++) {
        cr_assert(stresses[i].wrong == 0, "task %u: %zu wrong", i, stresses[i].wrong);
        wait_until(&stresses[i].back, stresses[i].given);
        cr_assert(weft__load(&stresses[i].back) == stresses[i].given);
    }
}
